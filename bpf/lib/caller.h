/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who is calling: the caller's end says so while its SYN is under way, the called end finds
 * it by the SYN's sequence number and port.
 *
 * The two tell a place in an array; whoever finds it taken has one of the next ones. That
 * costs a fraction of a hash map's insertion and deletion, which each connection would pay. A
 * few places are tried first, as their memory is in the processor's cache: to wait for that of
 * the others takes longer than all else here.
 */
#ifndef SIDESTEP_BPF_CALLER_H
#define SIDESTEP_BPF_CALLER_H

#include "lib/flow.h"
#include "lib/policy.h"

#define CALLER_PLACES 65536 /* of map `callers` */
#define CALLER_FIRST  256   /* of them */
#define CALLER_NEAR   2     /* tries there, and then: */
#define CALLER_TRIES  10    /* with 10,000 SYNs under way one in some 70,000 finds none */

static __always_inline __u32 caller_place(__u32 sequence, __be16 port, __u32 nth)
{
	__u32 places = nth < CALLER_NEAR ? CALLER_FIRST : CALLER_PLACES;

	return (sst_policy_mix((__u64)sequence << 16 | port) + nth) & (places - 1);
}

static __always_inline const struct sst_caller *caller_find(__u32 sequence, __be16 port)
{
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < CALLER_TRIES; i++) {
		__u32 place = caller_place(sequence, port, i);
		const struct sst_caller *caller = bpf_map_lookup_elem(&callers, &place);

		if (caller && caller->cookie && caller->sequence == sequence &&
		    caller->port == port)
			return caller;
	}
	return 0;
}

static __always_inline struct sst_caller *caller_claim(struct sst_flow *flow, __u32 sequence,
						       __be16 port)
{
	for (__u32 i = 0; i < CALLER_TRIES; i++) {
		__u32 place = caller_place(sequence, port, i);
		struct sst_caller *caller = bpf_map_lookup_elem(&callers, &place);

		if (caller && !__sync_val_compare_and_swap(&caller->cookie, 0, flow->cookie)) {
			flow->calling_as = place + 1;
			return caller;
		}
	}
	return 0;
}

/* At TCP_CONNECT_CB the port and the sequence number of the SYN are chosen. */
static __always_inline void caller_tell(struct sst_flow *flow, struct tcp_sock *tp)
{
	const struct sst_policy_head *head = policy_head(policy_set());
	struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	__be16 port = bpf_htons(sk->__sk_common.skc_num);
	__u32 sequence = tp->write_seq;
	struct sst_caller *caller;
	struct sst_addr remote;

	if (!head || !(head->flags & SST_POLICY_INGRESS))
		return;
	caller = caller_claim(flow, sequence, port);
	if (!caller) {
		count(SST_COUNTER_POLICY_CALLER_LOST);
		return;
	}
	caller->generation = flow->generation;
	address_of_socket(sk, &caller->address, &remote);
	caller->sequence = sequence;
	caller->port = port;
	caller->identity = flow->judgement.identity;
	caller->workload = flow->judgement.workload;
	caller->judged = judged_called(&flow->judgement);
}

static __always_inline void caller_forget(struct sst_flow *flow)
{
	__u32 place = flow->calling_as - 1;
	struct sst_caller *caller;

	if (!flow->calling_as)
		return;
	flow->calling_as = 0;
	caller = bpf_map_lookup_elem(&callers, &place);
	if (caller)
		caller->cookie = 0;
}

#endif
