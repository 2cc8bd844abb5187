/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Each message of an adopted socket: past TCP into the peer, or by TCP. */
#define SST_IN_A_HURRY
#include "maps.h"
#include "lib/capture.h"
#include "lib/splice.h"

static __always_inline void spliced_message(struct sst_pair_end *me, __u32 size)
{
	/* from there only: a walk may release it right now */
	if (me->state == SST_STATE_ADOPTED &&
	    __sync_val_compare_and_swap(&me->state, SST_STATE_ADOPTED, SST_STATE_REDIRECTING) ==
		    SST_STATE_ADOPTED)
		count(SST_COUNTER_SPLICE_PROVEN);
	/* only this end writes these, under its socket's lock */
	me->spliced_bytes += size;
	me->spliced_messages++;
}

/* Every message by TCP marks the reader's turn: the next splice waits for its answer. */
static __always_inline void tcp_message(struct sst_pair_end *me, const struct sst_pair_end *peer)
{
	me->seen_turns = peer->turns;
}

/*
 * After a send() that TCP had no room for, the kernel keeps the verdict for what comes next
 * and does not ask: such messages are only seen by where write_seq stands.
 */
static __always_inline void find_unseen(struct sst_pair_end *me, const struct sst_pair_end *peer,
					__u32 write_seq)
{
	if (write_seq != me->next_seq)
		tcp_message(me, peer);
	me->next_seq = write_seq;
}

static __always_inline void by_tcp(struct sst_pair_end *me, const struct sst_pair_end *peer,
				   __u32 size)
{
	tcp_message(me, peer);
	me->next_seq += size;
}

/* It is fast by TCP only: so it goes, and its endpoint's next ones are not adopted. */
static __always_inline void find_stream(struct sst_pair *pair, struct sst_pair_end *me,
					const struct tcp_sock *tp, int gained)
{
	if (!is_stream(me, tp, gained) || !let_go(pair))
		return;
	count(SST_COUNTER_REFUSE_STREAMING);
	habit_strike(pair->endpoint);
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
	int behind = 1;
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
	if (me->seen_turns != peer->turns)
		me->run_seq = tp->write_seq;
	find_unseen(me, peer, tp->write_seq);
	decision = guard(tp, pair, me, peer, &behind);
	cookie = peer->cookie;
	/* the helper's own SK_DROP would refuse a message that TCP can carry */
	if (decision == SST_COUNTER_MESSAGE_SPLICED &&
	    bpf_msg_redirect_hash(msg, &spliced, &cookie, BPF_F_INGRESS) != SK_PASS)
		decision = SST_COUNTER_MESSAGE_FAILED;
	count(decision);
	capture_message(msg, decision);
	if (decision == SST_COUNTER_MESSAGE_SPLICED)
		spliced_message(me, msg->size);
	else
		by_tcp(me, peer, msg->size);
	/* while the adopter has yet to come to the other end, nothing is learned of either */
	if (decision != SST_COUNTER_MESSAGE_NO_PEER)
		find_stream(pair, me, tp, decision == SST_COUNTER_MESSAGE_SPLICED && !behind);
	return SK_PASS;
}
