/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hooks that are attached only while a policy needs them: HOOK_POLICY and HOOK_NETNS. Their
 * links are looked up by their pins each time, since any process may attach and detach.
 * The lock must be held by whoever changes something.
 */
#ifndef SIDESTEP_DATAPATH_ONDEMAND_H
#define SIDESTEP_DATAPATH_ONDEMAND_H

#include "datapath/internal.h"

/* Which are attached, sorted; the caller's to free. */
int ondemand_dump(const struct datapath *datapath, struct state_hook **ret, size_t *n);

/* In place of one that is dead. A network namespace that has gone is passed over. */
int ondemand_attach(struct datapath *datapath, const struct state_hook *hook);
int ondemand_detach(struct datapath *datapath, const struct state_hook *hook);

int ondemand_detach_all(struct datapath *datapath);

/* Another program for all links of one hook. */
int ondemand_update(struct datapath *datapath, enum hook_index hook, int program);

#endif
