/* SPDX-License-Identifier: Apache-2.0 */
/* Who calls whom, as the kernel's maps have it. */
#ifndef SIDESTEP_DATAPATH_EDGES_H
#define SIDESTEP_DATAPATH_EDGES_H

#include "datapath/datapath.h"

/* Into state->edges, and state->n_edges. */
int edges_dump(struct datapath *datapath, struct state *state);

#endif
