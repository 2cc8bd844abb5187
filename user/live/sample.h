/* SPDX-License-Identifier: Apache-2.0 */
/* One look at the data plane. What a live view shows is the difference of two. */
#ifndef SIDESTEP_LIVE_SAMPLE_H
#define SIDESTEP_LIVE_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/state.h"

/* Flows that one look takes. */
#define LIVE_FLOWS_MAX 100000

/* Zeroed: nothing was looked at. */
struct live_sample {
	uint64_t time_ns;         /* CLOCK_BOOTTIME */
	struct state state;       /* tables, edges, and the policy set for their names */
	struct sst_record *flows; /* sorted by flow, once live_sample_sort() was called */
	size_t n_flows;
	size_t room;
	bool full;   /* there were more than LIVE_FLOWS_MAX */
	bool walked; /* the flows were looked at: it is what costs most */
};

/*
 * For a walk over live flows, with the sample as its argument. A connection is taken once: by
 * its client's end where that is on this node. -E2BIG ends the walk: there are LIVE_FLOWS_MAX.
 */
int live_sample_add(const struct sst_record *record, void *sample);

/* Sorts the flows; a walk may have told of one twice. */
void live_sample_sort(struct live_sample *sample);

/* How many connections are live, whether they were looked at or not. */
uint64_t live_sample_active(const struct live_sample *sample);

/* NULL: it is not among them. */
const struct sst_record *live_sample_flow(const struct live_sample *sample, uint64_t flow);

/* Whether counters of both are of one load, so that they can be compared. */
bool live_sample_follows(const struct live_sample *now, const struct live_sample *before);

/* Leaves it zeroed. Usable as a cleanup. */
void live_sample_release(struct live_sample *sample);
#define _cleanup_live_sample_ __attribute__((cleanup(live_sample_release)))

#endif
