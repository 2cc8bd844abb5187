/* SPDX-License-Identifier: Apache-2.0 */
/* How much of a service's traffic was spliced. */
#ifndef SIDESTEP_BENCH_TRAFFIC_H
#define SIDESTEP_BENCH_TRAFFIC_H

#include "datapath/datapath.h"

struct bench_traffic {
	uint64_t connections;
	uint64_t bytes;   /* both directions, by whatever way */
	uint64_t spliced; /* of them */
};

/* Of one port of a service since it is loaded, of a state with DUMP_TABLES; nothing where
 * there is no such service. */
struct bench_traffic bench_traffic(const struct state *state, const char *service, unsigned port);

/* The state, with what live flows have sent. 0 or -errno. */
int bench_traffic_look(const char *pin, struct state *ret);

#endif
