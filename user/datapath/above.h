/* SPDX-License-Identifier: Apache-2.0 */
/* Programs on cgroups above one: they run for what lives in it, too. */
#ifndef SIDESTEP_DATAPATH_ABOVE_H
#define SIDESTEP_DATAPATH_ABOVE_H

#include "core/problems.h"

/* Warns of them, where a cgroup, given by its path, has hooks of the kinds that ours are: of
 * another Sidestep's, and of others'. */
void above_tell(const char *cgroup, struct problems *problems);

#endif
