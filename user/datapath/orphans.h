/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDESTEP_DATAPATH_ORPHANS_H
#define SIDESTEP_DATAPATH_ORPHANS_H

#include "datapath/datapath.h"

/*
 * Deletes what an apply that was killed half-way left behind: statistics, names and
 * cursors whose service or endpoint never came to be. A dump does not show them,
 * so no plan would. The lock must be held.
 */
int orphans_delete(struct datapath *datapath);

#endif
