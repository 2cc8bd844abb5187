/* SPDX-License-Identifier: Apache-2.0 */
/* The policy set in the kernel, replaced by one write; datapath_policy() reads it. */
#ifndef SIDESTEP_DATAPATH_POLICY_H
#define SIDESTEP_DATAPATH_POLICY_H

#include "datapath/datapath.h"
#include "model/policy_set.h"

/* enum sst_policy_flags of the set in force; 0 without one. */
int policy_flags(const struct datapath *datapath, uint32_t *ret);

/*
 * Puts a set in force, and waits until no program runs that saw the one before. *before is
 * that one's map, or negative, for policy_put_back(), and the caller's to close. On
 * failure the old one is in force.
 */
int policy_replace(struct datapath *datapath, const struct policy_set *set, int *before);
void policy_put_back(struct datapath *datapath, int before);

/* There is none any more. */
int policy_delete(struct datapath *datapath);

#endif
