/* SPDX-License-Identifier: Apache-2.0 */
/* What two looks at the data plane say of each service, edge or flow. */
#ifndef SIDESTEP_LIVE_ROWS_H
#define SIDESTEP_LIVE_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "live/sample.h"

enum live_view {
	LIVE_SERVICES,
	LIVE_EDGES,
	LIVE_FLOWS,
	LIVE_VIEWS,
};

/* Of a row, in words. */
enum live_text {
	LIVE_SOURCE,
	LIVE_SERVICE,
	LIVE_DESTINATION,
	LIVE_FLOW,   /* its id */
	LIVE_SPLICE, /* its state */
	LIVE_TEXTS,
};

/* Of a row, in figures; NAN: not known, as each rate is at the first look. */
enum live_figure {
	/* a second, of the time between the two looks */
	LIVE_CONNECTIONS,
	LIVE_BYTES, /* sent and received */
	LIVE_SENT,
	LIVE_RECEIVED,
	LIVE_SPLICED_BYTES,
	LIVE_ERRORS, /* connect() that did not succeed */
	LIVE_RESETS, /* connections that were reset or timed out */
	LIVE_DENIED,
	LIVE_RETRANSMITS,
	LIVE_DATAGRAMS,
	LIVE_RATES,

	LIVE_ACTIVE = LIVE_RATES,
	LIVE_SPLICED, /* share of the bytes, 0 to 1 */
	LIVE_P50,     /* of round trips, in microseconds; of a flow its smoothed one */
	LIVE_P99,
	LIVE_AGE, /* in seconds */
	LIVE_FIGURES,
};

struct live_row {
	uint64_t id;
	bool old_rtt;           /* none was measured meanwhile: it is of all that were before */
	char *text[LIVE_TEXTS]; /* NULL: this view has none */
	double figure[LIVE_FIGURES];
};

struct live_rows {
	struct live_row *items;
	size_t n;
	size_t left_out; /* flows that would fit the filter, but for their number */
};

/* Flows that are listed: those with the most bytes a second. */
#define LIVE_ROWS_MAX 1000

/*
 * All rows whose words contain the filter in upper or lower case ("" fits all), in no order.
 * 0 or -ENOMEM. "before" may be of another load, or of none.
 */
int live_rows(enum live_view view, const struct live_sample *before, const struct live_sample *now,
	      const char *filter, struct live_rows *ret);

void live_rows_release(struct live_rows *rows);
#define _cleanup_live_rows_ __attribute__((cleanup(live_rows_release)))

#endif
