/* SPDX-License-Identifier: Apache-2.0 */
/* Who listens, where no address tells: several workloads share the node's own ones. */
#ifndef SIDESTEP_DATAPATH_LISTENER_H
#define SIDESTEP_DATAPATH_LISTENER_H

#include "model/policy_set.h"

/*
 * The workload (its index) of whose socket a call would reach at this address of our
 * network namespace: as the kernel half finds it. 0: nobody listens, or nobody that is
 * known, or it cannot be told.
 */
uint32_t listener_find(const struct policy_set *set, const struct sst_addr *address, uint16_t port,
		       uint8_t protocol);

#endif
