/* SPDX-License-Identifier: Apache-2.0 */
/* Who calls whom, as the kernel's maps have it. */
#ifndef SIDESTEP_DATAPATH_EDGES_H
#define SIDESTEP_DATAPATH_EDGES_H

#include "datapath/datapath.h"

/* Into state->edges, and state->n_edges. */
int edges_dump(struct datapath *datapath, struct state *state);

/*
 * Takes away edges without connections that were idle for ttl_ns; their totals go to their
 * service's `other`. Only one process may do this at a time, which is the daemon. Finishes
 * what one that was killed has left. *gone is how many went.
 */
int edges_expire(struct datapath *datapath, uint64_t ttl_ns, unsigned *gone);

#endif
