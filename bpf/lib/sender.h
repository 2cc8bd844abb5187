/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who sends a datagram: its sender's end says so when it leaves, the end it arrives at finds
 * it by addresses and ports. That is as good as the kernel's own word, as
 *
 * - only a hook on a socket of this node writes it, after the datagram has got its source
 *   address and port, and in its own name: nobody can speak for another;
 * - each datagram tells anew, right before it is under way, so what an earlier sender from the
 *   same port has told does not stand for this one;
 * - without another datagram it ends after SST_SENDER_NS. Whoever forges a datagram of another
 *   from outside, within that time and with the same ports, gets where that one's own
 *   datagrams get, as whoever forges a reply does.
 *
 * Without it, as for those who send from other nodes or whose addresses are translated on the
 * way, the address tells.
 */
#ifndef SIDESTEP_BPF_SENDER_H
#define SIDESTEP_BPF_SENDER_H

#include "lib/flow.h"
#include "lib/packet.h"
#include "lib/policy.h"

/* In egress.bpf.c. 1: who sends this now is this one. */
int sst_sender_is(const struct packet *packet, __u32 identity, __u32 workload);
/* Tells the case who sends, if somebody has said so. */
int sst_sender_recall(const struct packet *packet, struct policy_case *c);

/* Within one network namespace: the other end's socket is found there. */
static __always_inline int stays_within(const struct packet *packet)
{
	return is_loopback(&packet->source) || address_equal(&packet->source, &packet->target);
}

/* Its connect() to this very target was judged; 0: not so. */
static __always_inline int judged_connected(struct bpf_sock *sk, const struct packet *packet,
					    struct policy_case *c)
{
	struct sst_flow *flow = flow_of(sk);

	if (!flow || !sk->dst_port || flow->chosen_port != packet->target_port ||
	    !address_equal(&flow->chosen, &packet->target))
		return 0;
	c->judged = judged_called(&flow->judgement);
	c->judged_by = flow->generation;
	return c->judged != 0;
}

#endif
