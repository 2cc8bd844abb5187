/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Each message of an adopted socket: past TCP into the peer, or by TCP. */
#include "maps.h"
#include "lib/splice.h"

static __always_inline void spliced_message(struct sst_pair_end *me, __u32 size)
{
	if (me->state != SST_STATE_REDIRECTING) {
		me->state = SST_STATE_REDIRECTING;
		count(SST_COUNTER_SPLICE_PROVEN);
	}
	/* only this end writes these, under its socket's lock */
	me->spliced_bytes += size;
	me->spliced_messages++;
}

/* Every message by TCP marks the reader's turn: the next splice waits for its answer. */
static __always_inline void tcp_message(struct sst_pair_end *me, const struct sst_pair_end *peer)
{
	me->seen_turns = peer->turns;
}

SEC("sk_msg")
int sst_skmsg(struct sk_msg_md *msg)
{
	struct bpf_sock *sk = msg->sk;
	struct sst_pair_end *me, *peer;
	enum sst_counter decision;
	struct sst_flow *flow;
	struct sst_pair *pair;
	struct tcp_sock *tp;
	__u64 cookie;

	if (!sk)
		return SK_PASS;
	flow = flow_of(sk);
	pair = flow ? pair_of(flow) : 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!pair || !tp) {
		count(SST_COUNTER_MESSAGE_NO_PEER);
		return SK_PASS;
	}
	if (pair->doomed) {
		/* by TCP it would be read before what is stuck: refuse it instead */
		count(SST_COUNTER_MESSAGE_DOOMED);
		return SK_DROP;
	}
	me = &pair->end[flow->role & 1];
	peer = &pair->end[!flow->role];
	me->turns++;
	decision = guard(tp, pair, me, peer, msg->size);
	cookie = peer->cookie;
	/* the helper's own SK_DROP would refuse a message that TCP can carry */
	if (decision == SST_COUNTER_MESSAGE_SPLICED &&
	    bpf_msg_redirect_hash(msg, &spliced, &cookie, BPF_F_INGRESS) != SK_PASS)
		decision = SST_COUNTER_MESSAGE_FAILED;
	count(decision);
	if (decision == SST_COUNTER_MESSAGE_SPLICED)
		spliced_message(me, msg->size);
	else
		tcp_message(me, peer);
	return SK_PASS;
}
