/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who is calling: the caller's end says so while its SYN is under way, the called end finds
 * it by the SYN's sequence number and port. */
#ifndef SIDESTEP_BPF_CALLER_H
#define SIDESTEP_BPF_CALLER_H

#include "lib/flow.h"
#include "lib/policy.h"

/* At TCP_CONNECT_CB the port and the sequence number of the SYN are chosen. */
static __always_inline void caller_tell(struct sst_flow *flow, struct tcp_sock *tp)
{
	const struct sst_policy_head *head = policy_head(policy_set());
	struct sst_caller_key key = {
		.sequence = tp->write_seq,
		.port = bpf_htons(tp->inet_conn.icsk_inet.sk.__sk_common.skc_num),
	};
	struct sst_caller caller = {
		.generation = flow->generation,
		.cookie = flow->cookie,
		.identity = flow->judgement.identity,
		.workload = flow->judgement.workload,
		.judged = judged_called(&flow->judgement),
	};
	struct sst_addr remote;

	if (!head || !(head->flags & SST_POLICY_INGRESS))
		return;
	address_of_socket(&tp->inet_conn.icsk_inet.sk, &caller.address, &remote);
	if (bpf_map_update_elem(&callers, &key, &caller, BPF_ANY)) {
		count(SST_COUNTER_POLICY_CALLER_LOST);
		return;
	}
	flow->calling = 1;
	flow->calling_as = key;
}

static __always_inline void caller_forget(struct sst_flow *flow)
{
	struct sst_caller_key key = flow->calling_as;

	if (flow->calling)
		bpf_map_delete_elem(&callers, &key);
	flow->calling = 0;
}

#endif
