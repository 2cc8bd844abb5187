/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel's maps hold, in Prometheus' text format or as OpenMetrics. Every family is
 * described in docs/metrics.md, and a unit test holds that table against the output.
 *
 * Counters are the kernel's, so they go on across restarts of the daemon. What the daemon alone
 * knows begins with it.
 *
 * There are no more series than a budget, whatever there is to tell of; see series.h for what
 * becomes of the rest.
 */
#ifndef SIDESTEP_EXPORT_METRICS_H
#define SIDESTEP_EXPORT_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/text.h"
#include "export/exemplar.h"
#include "export/series.h"
#include "model/kube_proxy.h"
#include "model/state.h"

/* Series that are always there: a budget below is exceeded by them. */
#define METRICS_FIXED (SST_COUNTER_MAX + SST_FEATURE_MAX + 2 * STATE_MAP_MAX + 128)

/* What has series, in the order in which the budget is given out; X(name). */
#define METRICS_KINDS(X) \
	X(service)       \
	X(rule)          \
	X(endpoint)      \
	X(time)          \
	X(istio)         \
	X(edge)

#define X(name) METRICS_##name,
enum metrics_kind { METRICS_KINDS(X) METRICS_KIND_MAX };
#undef X

/* What was told so far, from which the next telling goes on. */
struct metrics_series {
	struct series kind[METRICS_KIND_MAX];
	uint32_t budget;
	bool istio;
};

void metrics_series_init(struct metrics_series *series, bool istio);
void metrics_series_release(struct metrics_series *series);

/* Takes what was read into account: once for each reading, however often it is written. The names
 * are of the state with its policy set. 0 or -ENOMEM. */
int metrics_account(struct metrics_series *series, const struct state *state, uint32_t budget);

/* What a daemon leaves to the next one, if anything has changed since it was last asked; NULL: it
 * has not. Loading takes nothing from text of another load of the data plane, or of none of
 * ours: -EINVAL, -ESTALE, -ENOMEM. */
char *metrics_series_save(struct metrics_series *series, const struct sst_meta *meta);
int metrics_series_load(struct metrics_series *series, const struct sst_meta *meta,
			const char *text, size_t length);

/* What is told of each resource of the API server. */
enum metrics_resource_value {
	METRICS_WATCHING,
	METRICS_OBJECTS,
	METRICS_SKIPPED,
	METRICS_LISTS,
	METRICS_EVENTS,
	METRICS_RESOURCE_VALUES,
};

struct metrics_resource {
	const char *name;
	uint64_t values[METRICS_RESOURCE_VALUES];
};

/* Of events that we post. */
enum metrics_post {
	METRICS_POSTED,
	METRICS_REPEATED,
	METRICS_DROPPED,
	METRICS_POST_FAILED,
	METRICS_POSTS,
};

#define METRICS_RESOURCES_MAX 9
#define METRICS_FAILURES_MAX  8

/* What the daemon has from an API server. */
struct metrics_kubernetes {
	bool synced;
	uint64_t age_ns;
	struct metrics_resource resources[METRICS_RESOURCES_MAX];
	size_t n_resources;
	const char *const *failure_names;
	uint64_t failures[METRICS_FAILURES_MAX];
	size_t n_failures;
	uint64_t applied, apply_failed;
	uint64_t posted[METRICS_POSTS];
	uint64_t colliding, sctp;
};

/* The daemon's own values. Times of day are CLOCK_REALTIME. */
struct metrics_daemon {
	uint64_t started_ns;
	uint64_t reloaded_ns;  /* the last time the configuration was read, accepted or not */
	bool reload_succeeded; /* that time */
	unsigned problems;     /* found that time */
	uint64_t accepted_ns;  /* the last time it was accepted */
	uint64_t apply_ns;     /* how long putting it in force took, the last time */
	uint64_t apply_max_ns;
	uint64_t read_ns;      /* when the maps were last read */
	uint64_t read_took_ns; /* how long that took */
	uint64_t reads_failed;
	uint64_t stats_failed;  /* times that the stats file could not be written */
	uint64_t scrapes;       /* answered from a reading made for it */
	uint64_t scrapes_again; /* answered with the text of another one, a moment ago */
	uint64_t memory_bytes;  /* resident */
	uint64_t cpu_ns;
	uint64_t maps_bytes;  /* of the kernel's maps */
	uint64_t log_lines;   /* of the flow log, that were written .. */
	uint64_t log_lost;    /* .. and that could not be */
	uint64_t follow_lost; /* events that followers read too slowly for */
	struct kube_proxy_sight kube_proxy;
	bool kube_proxy_differs; /* from what was stated, or it is missing */
	size_t unserved;         /* services that callers from outside of the node do not reach */
	size_t shadowed;         /* addresses and ports of services where the node listens, too */
	const struct metrics_kubernetes *kubernetes; /* NULL: it follows no API server */
};

struct metrics_view {
	const struct state *state;
	const struct metrics_series *series; /* that it was accounted in */
	const struct metrics_daemon *daemon; /* may be NULL */
	const struct exemplars *exemplars;   /* may be NULL */
	bool open_metrics;
};

/*
 * Appends all families to out. Returns 0, or -ENOMEM, when what was appended is incomplete and
 * must not be shown.
 */
int metrics_write(const struct metrics_view *view, struct text *out);

#endif
