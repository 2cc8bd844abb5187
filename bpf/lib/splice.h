/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The splice: who may be adopted, and which message may go past TCP.
 *
 * An end's states (enum sst_splice_state in its half of the pair):
 *
 *   TCP          in no sockhash. sockops watches for request/response.
 *   NOMINATED    proved it; waits for the adopting iterator.
 *   ADOPTED      in the sockhash; its copied_seq was recorded after it went in.
 *   REDIRECTING  at least one of its messages went past TCP.
 *   STICKY TCP   pair->stopped: a member for good, but every message goes by TCP.
 *
 * Invariants, each of them needed (measured: without one, hangs or reordering):
 *
 *   1. Messages of one direction are decided one at a time: sk_msg runs under the
 *      sender's socket lock.
 *   2. Spliced bytes are read before TCP bytes. So a message is spliced only when
 *      the reader has read every byte that ever went by TCP: its copied_seq is our
 *      write_seq.
 *   3. A reader may sleep in a recv() that began before its socket was adopted, and
 *      that wakes for TCP data only. So nothing is spliced to it before its
 *      copied_seq has moved since and it has itself sent.
 *   4. After any message by TCP the reader must have read all and then sent
 *      (the turn rule) before the next one is spliced.
 *   5. What a reader holds unread is bounded by its own receive buffer; past that
 *      TCP, whose window makes the sender wait. Each message costs the kernel a
 *      kilobyte that no buffer accounts for, so small ones are bounded in number, too.
 *   6. A live member is never deleted from the sockhash: its unread bytes would be lost.
 */
#ifndef SIDESTEP_BPF_SPLICE_H
#define SIDESTEP_BPF_SPLICE_H

#include "lib/flow.h"

/* The peer as seen from outside: probed, since its address is all we have of it. */
struct peer_view {
	__u64 cookie;
	__u32 copied_seq;
	int rmem;
	int rcvbuf;
	int orphan; /* closed by its program */
	__u32 file_flags;
};

static __always_inline __u32 file_flags(struct sock *sk)
{
	return BPF_CORE_READ(sk, sk_socket, file, f_flags);
}

static __always_inline void peer_look(__u64 address, struct peer_view *view)
{
	struct tcp_sock *tp = (struct tcp_sock *)address;
	struct sock *sk = (struct sock *)address;

	view->cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	view->copied_seq = BPF_CORE_READ(tp, copied_seq);
	view->rmem = BPF_CORE_READ(sk, sk_backlog.rmem_alloc.counter);
	view->rcvbuf = BPF_CORE_READ(sk, sk_rcvbuf);
	view->file_flags = file_flags(sk);
	view->orphan = !BPF_CORE_READ(sk, sk_socket);
}

static __always_inline void pair_stop(struct sst_pair *pair)
{
	if (pair->stopped)
		return;
	pair->stopped = 1;
	count(SST_COUNTER_SPLICE_STOPPED);
}

/* What its program asked for that only TCP's own receive path gives; SPLICE_ADOPTED:
 * nothing. It may ask later than it was adopted, and is given it from then on. */
static __always_inline enum sst_counter reading_obstacle(struct tcp_sock *tp)
{
	struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	unsigned long flags = BPF_CORE_READ(sk, __sk_common.skc_flags);

	if (BPF_CORE_READ(sk, sk_rcvlowat) > 1)
		return SST_COUNTER_REFUSE_LOWAT;
	if (BPF_CORE_READ_BITFIELD_PROBED(tp, recvmsg_inq))
		return SST_COUNTER_REFUSE_INQ;
	if (BPF_CORE_READ(sk, sk_peek_off) >= 0)
		return SST_COUNTER_REFUSE_PEEK_OFF;
	if (BPF_CORE_READ_BITFIELD_PROBED(sk, sk_tsflags) ||
	    flags >> bpf_core_enum_value(enum sock_flags, SOCK_RCVTSTAMP) & 1)
		return SST_COUNTER_REFUSE_TIMESTAMPS;
	return SST_COUNTER_SPLICE_ADOPTED;
}

/* Why a socket may not be adopted; SPLICE_ADOPTED: it may. */
static __always_inline enum sst_counter adoption_obstacle(struct tcp_sock *tp)
{
	struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	unsigned long flags = BPF_CORE_READ(sk, __sk_common.skc_flags);

	if (!(file_flags(sk) & O_NONBLOCK))
		return SST_COUNTER_REFUSE_BLOCKING;
	if (flags >> bpf_core_enum_value(enum sock_flags, SOCK_ZEROCOPY) & 1)
		return SST_COUNTER_REFUSE_ZEROCOPY;
	if (BPF_CORE_READ(tp, inet_conn.icsk_ulp_ops))
		return SST_COUNTER_REFUSE_ULP;
	if (bpf_core_field_exists(tp->is_mptcp) && BPF_CORE_READ(tp, is_mptcp))
		return SST_COUNTER_REFUSE_MPTCP;
	if (BPF_CORE_READ_BITFIELD_PROBED(tp, repair))
		return SST_COUNTER_REFUSE_REPAIR;
	return reading_obstacle(tp);
}

/* What stands against this pair now; SPLICE_ADOPTED: nothing. */
static __always_inline enum sst_counter pair_obstacle(const struct sst_pair *pair)
{
	enum sst_counter obstacle;

	if (pair->stopped)
		return SST_COUNTER_REFUSE_OFF;
	if (!pair->allowed)
		return SST_COUNTER_REFUSE_PEER;
	if (pair->ended)
		return SST_COUNTER_REFUSE_STATE;
	obstacle = adoption_obstacle((struct tcp_sock *)pair->end[SST_ROLE_CLIENT].sock);
	if (obstacle != SST_COUNTER_SPLICE_ADOPTED)
		return obstacle;
	return adoption_obstacle((struct tcp_sock *)pair->end[SST_ROLE_SERVER].sock);
}

/* A message goes past TCP only if it is more than this part of what the reader holds
 * unread: no more than a thousand or so of any sizes can wait. */
#define UNREAD_RATIO 64

/*
 * May this message go past TCP? MESSAGE_SPLICED if so, else the reason why not.
 * me and peer are the halves of the pair, tp the sender, size the message's.
 */
static __always_inline enum sst_counter guard(struct tcp_sock *tp, struct sst_pair *pair,
					      struct sst_pair_end *me,
					      const struct sst_pair_end *peer, __u32 size)
{
	struct sst_config *node = settings();
	struct peer_view view = {};
	__u32 limit;

	if (pair->stopped || !node)
		return SST_COUNTER_MESSAGE_STOPPED;
	if (node->splice == SST_SPLICE_OFF && pair->service < SST_SELFTEST_ID)
		return SST_COUNTER_MESSAGE_STOPPED;
	if (tp->inet_conn.icsk_inet.sk.sk_shutdown & SEND_SHUTDOWN)
		return SST_COUNTER_MESSAGE_SHUTDOWN;
	if (peer->state < SST_STATE_ADOPTED)
		return SST_COUNTER_MESSAGE_NO_PEER;
	peer_look(peer->sock, &view);
	if (view.cookie != peer->cookie || view.orphan)
		return SST_COUNTER_MESSAGE_NO_PEER;
	if (!(view.file_flags & O_NONBLOCK)) {
		pair_stop(pair);
		return SST_COUNTER_MESSAGE_STOPPED;
	}
	if (me->state != SST_STATE_REDIRECTING &&
	    (view.copied_seq == peer->copied_seq || !peer->turns))
		return SST_COUNTER_MESSAGE_UNPROVEN;
	if (view.copied_seq != tp->write_seq)
		return SST_COUNTER_MESSAGE_DRAIN;
	if (me->seen_turns == peer->turns)
		return SST_COUNTER_MESSAGE_TURN;
	limit = node->splice_limit ? node->splice_limit : view.rcvbuf >> 1;
	if (view.rmem >= (int)limit || (__u32)view.rmem / UNREAD_RATIO >= size)
		return SST_COUNTER_MESSAGE_FULL;
	if (reading_obstacle((struct tcp_sock *)peer->sock) != SST_COUNTER_SPLICE_ADOPTED)
		return SST_COUNTER_MESSAGE_OPTION;
	return SST_COUNTER_MESSAGE_SPLICED;
}

#endif
