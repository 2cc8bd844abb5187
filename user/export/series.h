/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which series a kind of thing (services, edges ...) has in the metrics, when there may be more
 * things than series are wanted. Each row has labels of its own, or is `other`: all that have
 * found no room.
 *
 * A row's values grow by what its things have counted since the last reading, so no value ever
 * goes back, and nothing is counted in two rows, whatever is given a row, loses it, or goes:
 * - who has a row keeps it until it goes, unless the room shrinks: then the newest lose theirs;
 *   what such a thing counts later is `other`'s, what it counted before is not;
 * - a thing that gets a row late brings all that it has counted: nobody takes a difference to a
 *   series that was not there;
 * - things of the same labels share a row.
 * Between two daemons this is kept in a file (series_save(), series_load()).
 */
#ifndef SIDESTEP_EXPORT_SERIES_H
#define SIDESTEP_EXPORT_SERIES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/dictionary.h"
#include "core/text.h"

/* One thing that counts, as it was read. */
struct series_source {
	uint32_t id;            /* never given twice */
	const uint64_t *values; /* of kind->n_values */
	uint64_t active;        /* goes up and down */
	uint32_t cost;          /* series of a row of its own */
	bool nameless;          /* belongs to `other`, whatever room there is */
};

struct series_kind {
	unsigned n_values;
	bool moves; /* what a thing counted is a nameless one's when it has gone */
};

struct series_row {
	char *labels;     /* "service=\"web\",port=\"80\""; NULL: no row, or `other` */
	uint64_t *values; /* NULL: no row */
	uint64_t active;
	uint32_t id; /* of one of its things */
	uint32_t cost;
	bool present; /* it has things */
	bool fresh;   /* since this reading */
};

struct series_member {
	uint32_t id;
	uint32_t row;
};

/* Starts as { .kind = ... }. */
struct series {
	const struct series_kind *kind;
	struct series_row *rows; /* row 0 is `other`; some may be none */
	size_t n_rows, room_rows;
	uint32_t first_free; /* or after it */
	struct dictionary by_labels;
	struct series_member *members; /* as last read, sorted by id */
	uint64_t *counted;             /* n_values of each member */
	size_t n_members;
	uint32_t used;    /* series of the rows but `other` */
	uint32_t folded;  /* series that were not given */
	bool needs_other; /* something was folded once */
	bool changed;     /* what series_save() would say; the caller takes it back */
};

#define SERIES_OTHER 0

/* Appends the labels of source number i. */
typedef void (*series_label_fn)(size_t i, const void *arg, struct text *out);

/*
 * Takes a reading, sorted by id, into account; there is room for so many series, `other` not
 * counted. 0 or -ENOMEM: what was shown before may be missing, nothing has gone back.
 */
int series_update(struct series *series, const struct series_source *sources, size_t n,
		  uint32_t room, series_label_fn label, const void *arg);

/* Whether `other` is to be shown: it is from when something was folded. */
static inline bool series_has_other(const struct series *series)
{
	return series->needs_other;
}

/* The row of a thing as last read; SERIES_OTHER also for one that is not known. */
uint32_t series_row_of(const struct series *series, uint32_t id);

/* What must not be forgotten; NULL when memory is out. */
json_t *series_save(const struct series *series);

/* Into an empty one. -EINVAL: it was not saved by us; -ENOMEM. It is empty then. */
int series_load(struct series *series, const json_t *saved);

/* It is empty then, of the same kind. */
void series_release(struct series *series);

#endif
