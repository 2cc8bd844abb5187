/* SPDX-License-Identifier: Apache-2.0 */
/* Workloads whose cgroups lie where no program of ours is attached: nothing of them is seen. */
#ifndef SIDESTEP_DATAPATH_OUTSIDE_H
#define SIDESTEP_DATAPATH_OUTSIDE_H

#include "core/problems.h"
#include "model/model.h"
#include "model/policy_set.h"

/* attached: the cgroup with the programs, from "/" on as in struct sst_meta; "": none. One warning
 * for all of them. */
void outside_tell(const struct model *model, const char *attached, struct problems *problems);

/* Of a set in force, which may be empty. */
void outside_tell_loaded(const struct policy_set *set, const char *attached,
			 struct problems *problems);

#endif
