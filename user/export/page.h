/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the page in the browser shows, as one line of JSON: rows without names, so that it
 * is small and made quickly. It belongs to the page of the same binary; programs read the
 * listings.
 */
#ifndef SIDESTEP_EXPORT_PAGE_H
#define SIDESTEP_EXPORT_PAGE_H

#include "core/text.h"
#include "model/state.h"

/* Of each kind; the rest is told as a number. */
#define PAGE_ROWS_MAX  10000
#define PAGE_FLOWS_MAX 100 /* the newest ones, and as many of the largest */

/* Those live flows that are shown. Starts as { 0 }. */
struct page_flows {
	struct sst_record newest[PAGE_FLOWS_MAX];
	struct sst_record largest[PAGE_FLOWS_MAX];
	size_t kept;                   /* in each of the two */
	size_t n;                      /* that there were */
	size_t least_new, least_large; /* which to replace next */
};

/* A connection whose ends are both here is told of by its client's. */
void page_add_flow(struct page_flows *flows, const struct sst_record *record);

struct page_view {
	const struct state *state; /* with edges, rules, policy */
	const struct page_flows *flows;
	const char *host;
	uint64_t time_ns;           /* CLOCK_REALTIME */
	int64_t realtime_offset_ns; /* CLOCK_REALTIME - CLOCK_BOOTTIME */
};

/* Appends it, without a newline; -ENOMEM. */
int page_snapshot(const struct page_view *view, struct text *out);

#endif
