/* SPDX-License-Identifier: Apache-2.0 */
/* The counters of a sample's services, edges and flows, in one form. */
#ifndef SIDESTEP_LIVE_TALLY_H
#define SIDESTEP_LIVE_TALLY_H

#include "live/rows.h"

struct tally {
	uint32_t id;
	uint64_t active;
	uint64_t count[LIVE_RATES]; /* of all time */
	struct sst_histogram rtt;
};

struct tallies {
	struct tally *items; /* sorted by id */
	size_t n;
};

/* Of each service, and by id 0 of what went to none. 0 or -ENOMEM. */
int tally_services(const struct state *state, struct tallies *ret);

/*
 * Of each edge. An idle edge's totals move to its service's `other`: those that are in
 * `before` and not in `now` are added there, so that a difference has nothing of it.
 */
int tally_edges(const struct state *now, struct tallies *ret);
int tally_edges_before(const struct state *before, const struct state *now, struct tallies *ret);

/* By id; NULL: there is none. */
const struct tally *tally_find(const struct tallies *tallies, uint32_t id);

void tally_flow(const struct sst_record *record, uint64_t count[LIVE_RATES]);

void tallies_release(struct tallies *tallies);
#define _cleanup_tallies_ __attribute__((cleanup(tallies_release)))

#endif
