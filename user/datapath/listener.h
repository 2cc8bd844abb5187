/* SPDX-License-Identifier: Apache-2.0 */
/* Who listens in our network namespace. */
#ifndef SIDESTEP_DATAPATH_LISTENER_H
#define SIDESTEP_DATAPATH_LISTENER_H

#include "model/policy_set.h"
#include "model/shadow.h"

/*
 * Where no address tells, since several workloads share the node's own ones:
 * the workload (its index) of whose socket a call would reach at this address of our
 * network namespace: as the kernel half finds it. 0: nobody listens, or nobody that is
 * known, or it cannot be told.
 */
uint32_t listener_find(const struct policy_set *set, const struct sst_addr *address, uint16_t port,
		       uint8_t protocol);

/* Sockets that listen, and those of UDP that take datagrams of anybody. 0 or -errno. */
int listener_list(struct shadow_sockets *ret);

#endif
