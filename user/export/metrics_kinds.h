/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the metrics that are told under labels, a file each: shared by metrics.c alone. */
#ifndef SIDESTEP_EXPORT_METRICS_KINDS_H
#define SIDESTEP_EXPORT_METRICS_KINDS_H

#include "export/metrics.h"
#include "export/metrics_text.h"

/* What there is to tell of a kind; the values are the state's, or in memory of its own. */
struct sources {
	struct series_source *items;
	size_t n;
	uint64_t *values; /* NULL: the state's */
	series_label_fn label;
	uint32_t other_cost;
};

static inline void sources_release(struct sources *sources)
{
	free(sources->items);
	free(sources->values);
}
#define _cleanup_sources_ __attribute__((cleanup(sources_release)))

/* What label functions are given. */
struct label_context {
	const struct state *state;
	const struct sources *sources;
};

/* Room for n of them. -ENOMEM. */
int sources_init(struct sources *sources, size_t n, series_label_fn label, uint32_t other_cost);

extern const struct series_kind metrics_time_kind, metrics_istio_kind;

int service_sources(const struct state *state, struct sources *ret);
int endpoint_sources(const struct state *state, struct sources *ret);
int rule_sources(const struct state *state, struct sources *ret);
int edge_sources(const struct state *state, struct sources *ret);
int time_sources(const struct state *state, struct sources *ret);
int istio_sources(const struct state *state, struct sources *ret);

void write_services(struct metrics_text *text, const struct metrics_view *view);
void write_endpoints(struct metrics_text *text, const struct metrics_view *view);
void write_rules(struct metrics_text *text, const struct metrics_view *view);
void write_edges(struct metrics_text *text, const struct metrics_view *view);
void write_times(struct metrics_text *text, const struct metrics_view *view);
void write_istio(struct metrics_text *text, const struct metrics_view *view);
void write_kubernetes(struct metrics_text *text, const struct metrics_kubernetes *kubernetes);

/* The labels of a service's port; and its name alone, also of one that has gone. */
void label_service(struct text *labels, const struct sst_service_info *info);
void label_service_of(const struct state *state, uint32_t id, struct text *out);

/*
 * The rows of a kind in turn, `other` last, if it is to be shown. Begins with NULL, ends with it.
 */
const struct series_row *next_row(const struct series *series, const struct series_row *row);

/* `other`'s labels are the same for all kinds: each label `other`. Its row has none. */
static inline const char *row_labels(const struct series_row *row, const char *others)
{
	return row->labels ? row->labels : others;
}

#endif
