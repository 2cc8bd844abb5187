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
 *   STICKY TCP   pair->stopped: still a member, but every message goes by TCP.
 *   RELEASED     out of the sockhash again, and a plain TCP socket for good.
 *
 * Invariants, each of them needed (measured: without one, hangs, reordering or loss):
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
 *      (the turn rule) before the next one is spliced. A reader that does not sleep in recv()
 *      would need but the former; yet without a turn bytes of both ways would soon lie mixed
 *      before it, and some edge-triggered readers take the end of the one for the end of all.
 *   5. What a reader holds unread is bounded by its own receive buffer; past that
 *      TCP, whose window makes the sender wait.
 *   6. Unread bytes die with the entry in the sockhash. So a member is deleted only when
 *      its pair is stopped, no send() that was decided before is under way at the other
 *      end, and all that was spliced to it has been read.
 */
#ifndef SIDESTEP_BPF_SPLICE_H
#define SIDESTEP_BPF_SPLICE_H

#include "lib/habit.h"
#include "lib/flow.h"

/*
 * Another socket: its address is all we have of it, so it is read like memory that may be
 * gone. That takes a helper's call for each field, but where bpf_rdonly_cast() (6.2)
 * makes loads of it: have_rdonly_cast, for the one file that is in a hurry and defines
 * SST_IN_A_HURRY (libbpf's linker before 1.5 refuses a kernel function that two files name).
 */
#ifdef SST_IN_A_HURRY
extern const volatile __u32 have_rdonly_cast;
void *bpf_rdonly_cast(const void *object, __u32 btf_id) __ksym __weak;
#define CAST(object, type) ((type *)bpf_rdonly_cast(object, bpf_core_type_id_kernel(type)))
#else
enum { have_rdonly_cast = 0 };
#define CAST(object, type) ((type *)0)
#endif

#define PEEK(object, type, field) \
	(have_rdonly_cast ? CAST(object, type)->field : BPF_CORE_READ(object, field))

/* The same for bit fields, and for fields whose size differs between kernels. */
#define PEEK_BITS(object, type, field)                                           \
	({                                                                       \
		type *_object = have_rdonly_cast ? CAST(object, type) : 0;       \
                                                                                 \
		have_rdonly_cast ? BPF_CORE_READ_BITFIELD(_object, field)        \
				 : BPF_CORE_READ_BITFIELD_PROBED(object, field); \
	})

#define PEEK_SOCK(sk, field) PEEK(sk, struct sock, field)
#define PEEK_TCP(tp, field)  PEEK(tp, struct tcp_sock, field)

static __always_inline int is_nonblocking(struct sock *sk)
{
	struct socket *socket = PEEK_SOCK(sk, sk_socket);
	struct file *file = PEEK(socket, struct socket, file);

	return PEEK(file, struct file, f_flags) & O_NONBLOCK;
}

static __always_inline int has_flag(unsigned long flags, enum sock_flags flag)
{
	return flags >> flag & 1;
}

#define SOCK_FLAG(name) bpf_core_enum_value(enum sock_flags, name)

/* What its program asked for that only TCP's own receive path gives; SPLICE_ADOPTED:
 * nothing. Such a socket is not adopted, and let go when it asks later. */
static __always_inline enum sst_counter socket_obstacle(struct tcp_sock *tp)
{
	struct sock *sk = (struct sock *)tp;
	unsigned long flags = PEEK_SOCK(sk, __sk_common.skc_flags);

	if (!is_nonblocking(sk))
		return SST_COUNTER_REFUSE_BLOCKING;
	if (PEEK_SOCK(sk, sk_rcvlowat) > 1)
		return SST_COUNTER_REFUSE_LOWAT;
	if (has_flag(flags, SOCK_FLAG(SOCK_ZEROCOPY)))
		return SST_COUNTER_REFUSE_ZEROCOPY;
	if (PEEK_BITS(tp, struct tcp_sock, recvmsg_inq))
		return SST_COUNTER_REFUSE_INQ;
	if (PEEK_SOCK(sk, sk_peek_off) >= 0)
		return SST_COUNTER_REFUSE_PEEK_OFF;
	if (PEEK_BITS(sk, struct sock, sk_tsflags) || has_flag(flags, SOCK_FLAG(SOCK_RCVTSTAMP)))
		return SST_COUNTER_REFUSE_TIMESTAMPS;
	if (PEEK_BITS(tp, struct tcp_sock, repair))
		return SST_COUNTER_REFUSE_REPAIR;
	return SST_COUNTER_SPLICE_ADOPTED;
}

/*
 * Where memory is short a member's send() says EAGAIN although nothing of it is queued, so
 * that no wake-up follows, and a redirect says ENOMEM; TCP always takes one message. That
 * is so when all of TCP is under pressure, and below the limit of a memory cgroup of v1.
 */
static __always_inline int memory_is_short(struct sock *sk)
{
	unsigned long *pressure = BPF_CORE_READ(sk, __sk_common.skc_prot, memory_pressure);
	unsigned long since = 0;

	return pressure && !bpf_probe_read_kernel(&since, sizeof(since), pressure) && since;
}

static __always_inline int memory_is_limited(struct sock *sk)
{
	struct mem_cgroup *group = 0;

	if (!bpf_core_field_exists(sk->sk_memcg) || !bpf_core_field_exists(group->tcpmem_active))
		return 0;
	group = BPF_CORE_READ(sk, sk_memcg);
	return group && BPF_CORE_READ(group, tcpmem_active);
}

/* And what a member cannot become. */
static __always_inline enum sst_counter adoption_obstacle(struct tcp_sock *tp)
{
	if (memory_is_short((struct sock *)tp) || memory_is_limited((struct sock *)tp))
		return SST_COUNTER_REFUSE_MEMORY;
	if (PEEK_TCP(tp, inet_conn.icsk_ulp_ops))
		return SST_COUNTER_REFUSE_ULP;
	if (bpf_core_field_exists(tp->is_mptcp) && PEEK_TCP(tp, is_mptcp))
		return SST_COUNTER_REFUSE_MPTCP;
	return socket_obstacle(tp);
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
	if (!splice_allowed(pair->service, &obstacle))
		return obstacle;
	obstacle = adoption_obstacle((struct tcp_sock *)pair->end[SST_ROLE_CLIENT].sock);
	if (obstacle != SST_COUNTER_SPLICE_ADOPTED)
		return obstacle;
	return adoption_obstacle((struct tcp_sock *)pair->end[SST_ROLE_SERVER].sock);
}

static __always_inline void errand(enum sst_errand_kind kind)
{
	struct sst_errand errand = { .kind = kind };

	if (bpf_ringbuf_output(&errands, &errand, sizeof(errand), BPF_RB_FORCE_WAKEUP))
		count(SST_COUNTER_EVENT_ERRAND_LOST);
}

/* Back to TCP for good; 1 for who did it. */
static __always_inline int pair_stop(struct sst_pair *pair)
{
	if (__sync_val_compare_and_swap(&pair->stopped, 0, 1))
		return 0;
	count(SST_COUNTER_SPLICE_STOPPED);
	return 1;
}

/* The same, and the daemon takes both ends out at once. */
static __always_inline int let_go(struct sst_pair *pair)
{
	if (!pair_stop(pair))
		return 0;
	errand(SST_ERRAND_RELEASE);
	return 1;
}

/* A message finds that the pair must be let go; why is counted once. */
static __always_inline enum sst_counter message_stops(struct sst_pair *pair, enum sst_counter why)
{
	if (let_go(pair))
		count(why);
	return SST_COUNTER_MESSAGE_STOPPED;
}

/* Messages between two looks at memory. */
#define MEMORY_TURNS 16

/*
 * May this message go past TCP? MESSAGE_SPLICED if so, else the reason why not.
 * me and peer are the halves of the pair, tp the sender; *behind: the reader holds bytes
 * it has not read.
 */
static __always_inline enum sst_counter guard(struct tcp_sock *tp, struct sst_pair *pair,
					      struct sst_pair_end *me,
					      const struct sst_pair_end *peer, int *behind)
{
	struct sock *self = &tp->inet_conn.icsk_inet.sk, *sk = (struct sock *)peer->sock;
	struct tcp_sock *reader = (struct tcp_sock *)peer->sock;
	struct sst_config *node = settings();
	enum sst_counter obstacle;
	__u32 copied_seq, limit;
	int unread;

	if (pair->stopped || !node)
		return SST_COUNTER_MESSAGE_STOPPED;
	if (node->splice == SST_SPLICE_OFF && pair->service < SST_SELFTEST_ID)
		return SST_COUNTER_MESSAGE_STOPPED;
	if (self->sk_shutdown & SEND_SHUTDOWN)
		return SST_COUNTER_MESSAGE_SHUTDOWN;
	if (peer->state < SST_STATE_ADOPTED)
		return SST_COUNTER_MESSAGE_NO_PEER;
	if (PEEK_SOCK(sk, __sk_common.skc_cookie.counter) != (__s64)peer->cookie ||
	    !PEEK_SOCK(sk, sk_socket)) /* closed by its program */
		return SST_COUNTER_MESSAGE_NO_PEER;
	obstacle = socket_obstacle(reader);
	if (obstacle != SST_COUNTER_SPLICE_ADOPTED)
		return message_stops(pair, obstacle);
	/* it comes slowly */
	if (!(me->turns % MEMORY_TURNS) && memory_is_short(self))
		return message_stops(pair, SST_COUNTER_REFUSE_MEMORY);
	/* its own completions would never come */
	if (has_flag(self->__sk_common.skc_flags, SOCK_FLAG(SOCK_ZEROCOPY)))
		return message_stops(pair, SST_COUNTER_REFUSE_ZEROCOPY);
	copied_seq = PEEK_TCP(reader, copied_seq);
	unread = PEEK_SOCK(sk, sk_backlog.rmem_alloc.counter);
	*behind = unread > 0;
	if (me->state != SST_STATE_REDIRECTING && (copied_seq == peer->copied_seq || !peer->turns))
		return SST_COUNTER_MESSAGE_UNPROVEN;
	if (copied_seq != tp->write_seq)
		return SST_COUNTER_MESSAGE_DRAIN;
	if (me->seen_turns == peer->turns)
		return SST_COUNTER_MESSAGE_TURN;
	limit = node->splice_limit ? node->splice_limit : PEEK_SOCK(sk, sk_rcvbuf) >> 1;
	if (unread >= (int)limit)
		return SST_COUNTER_MESSAGE_FULL;
	return SST_COUNTER_MESSAGE_SPLICED;
}

/*
 * What the splice is worth to one direction. A message that finds its reader waiting
 * gains some microseconds; one that goes by TCP, or finds the reader behind, is one of
 * those that TCP puts together and carries faster. So are many bytes by TCP in a row, however
 * few messages they are: a member's are copied into pieces of their own first.
 */
#define CREDIT_FIRST 64
#define CREDIT_MOST  512
#define CREDIT_GAIN  4
#define RUN_MOST     (4 << 20) /* bytes by TCP to a reader that says nothing */

static __always_inline int is_stream(struct sst_pair_end *me, const struct tcp_sock *tp, int gained)
{
	if (!gained)
		return --me->credit < 0 || tp->write_seq - me->run_seq > RUN_MOST;
	if (me->credit < CREDIT_MOST)
		me->credit += CREDIT_GAIN;
	return 0;
}

#endif
