/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Walks over live sockets, begun by userspace through a pinned link: list the flows,
 * bring their bytes into the statistics, adopt candidates for the splice, send pairs
 * back to TCP. All walk a socket storage map, so they see the sockets of every network
 * namespace, and no others than ours.
 */
#include "maps.h"
#include "lib/record.h"
#include "lib/splice.h"

extern const volatile __u32 can_release;

/* The flow a walk has come to; a walk ends with a call that has neither. */
static __always_inline struct sst_flow *flow_walked(struct sock *sk, const void *value)
{
	return sk && value ? bpf_sk_storage_get(&flows, sk, 0, 0) : 0;
}

static __always_inline void make_record(struct sst_record *record, struct sock *sk,
					struct sst_flow *flow)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	if (tp)
		record_tcp(record, tp, flow, pair_of(flow), SST_RECORD_LIVE);
	else
		record_common(record, sk, flow, SST_RECORD_LIVE);
}

static __always_inline void write_record(struct seq_file *seq, struct sock *sk,
					 struct sst_flow *flow)
{
	struct sst_record record;

	make_record(&record, sk, flow);
	bpf_seq_write(seq, &record, sizeof(record));
}

/* Not those that have ended, nor those whose connect() never came to a SYN, be it that they
 * listen since, nor UDP sockets that were disconnected. */
static __always_inline int is_live(const struct sst_flow *flow, struct sock *sk)
{
	if (flow->state == SST_FLOW_ENDED)
		return 0;
	if (flow->protocol == IPPROTO_UDP)
		return (flow->service || flow->generation) && flow_is_current(flow, sk);
	return sk->__sk_common.skc_state != BPF_TCP_CLOSE &&
	       sk->__sk_common.skc_state != BPF_TCP_LISTEN;
}

/*
 * All live flows. The kernel ends a read after 32 KiB of output, which is some 140 flows, and
 * resumes the walk by counting, since the map has a bucket a CPU and no more. So with many flows
 * most of the time would go into counting, and when flows come and go meanwhile, some are told
 * twice and some not at all. sst_list() stops more rarely: its output is a ring, for one reader at
 * a time. sst_list_slowly() is for who comes while another one reads. Where nothing may be missed
 * there is a walk that tells of few, below.
 */
SEC("iter/bpf_sk_storage_map")
int sst_list(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock *sk = ctx->sk;
	struct sst_record *record;
	struct sst_flow *flow;

	flow = flow_walked(sk, ctx->value);
	if (!flow || !is_live(flow, sk))
		return 0;
	record = bpf_ringbuf_reserve(&listed, sizeof(*record), 0);
	if (!record)
		return 1; /* ends this read with EAGAIN; the next one begins with this flow */
	make_record(record, sk, flow);
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}

SEC("iter/bpf_sk_storage_map")
int sst_list_slowly(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock *sk = ctx->sk;
	struct sst_flow *flow;

	flow = flow_walked(sk, ctx->value);
	if (flow && is_live(flow, sk))
		write_record(ctx->meta->seq, sk, flow);
	return 0;
}

/* Connected UDP never passes a hook again, so it would stay with an endpoint that has
 * gone. TCP finds out by itself; resetting it is the service's choice. */
static __always_inline int must_end(const struct sst_flow *flow, struct sock *sk)
{
	struct sst_endpoint *endpoint;
	struct sst_service *service;
	__u32 id = flow->endpoint;

	if (!is_live(flow, sk))
		return 0;
	if (flow->doomed)
		return 1;
	if (!id || flow->role != SST_ROLE_CLIENT)
		return 0;
	endpoint = bpf_map_lookup_elem(&endpoints, &id);
	if (endpoint && endpoint->state != SST_ENDPOINT_REMOVED)
		return 0;
	if (flow->protocol == IPPROTO_UDP)
		return 1;
	id = flow->service;
	service = bpf_map_lookup_elem(&services, &id);
	return service && service->on_remove == SST_ON_REMOVE_RESET;
}

/* Flows that must end: their endpoint has gone, or they were doomed. */
SEC("iter/bpf_sk_storage_map")
int sst_leavers(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock *sk = ctx->sk;
	struct sst_flow *flow;

	flow = flow_walked(sk, ctx->value);
	if (flow && must_end(flow, sk))
		write_record(ctx->meta->seq, sk, flow);
	return 0;
}

/* A socket elsewhere, to be probed; its place may become another one's any time. */
static __always_inline int is_socket(const struct sock *sk, __u64 cookie)
{
	return sk && (__u64)BPF_CORE_READ(sk, __sk_common.skc_cookie.counter) == cookie;
}

/* The called end of a pair; NULL: it is not here, or has gone just now. */
static __always_inline const struct sock *called_end(const struct sst_flow *flow, __u64 *cookie)
{
	struct sst_pair *pair = flow->role == SST_ROLE_CLIENT ? pair_of(flow) : 0;
	const struct sock *peer;

	if (!pair)
		return 0;
	*cookie = pair->end[SST_ROLE_SERVER].cookie;
	peer = (const struct sock *)pair->end[SST_ROLE_SERVER].sock;
	return is_socket(peer, *cookie) ? peer : 0;
}

/* A workload that was there when the flow was judged is not, or is another one. */
static __always_inline int is_gone(__u32 then, __u32 now)
{
	return then && then != now;
}

/* Whether the record is of who the socket is connected to, see may_be_revoked(). */
static __always_inline int knows_peer(const struct sst_flow *flow, struct sock *sk)
{
	return flow->protocol != IPPROTO_UDP || flow_is_current(flow, sk);
}

/* By the set in force: what it said of sockets that stay what they are does not change. */
static __always_inline int was_let_be(const struct sst_flow *flow, struct sock *sk)
{
	const struct sst_policy_head *head = policy_head(policy_set());

	return head && flow->generation == head->generation &&
	       flow->judgement.asked[flow->role & 1] && knows_peer(flow, sk) && !flow->doomed &&
	       !flow->judgement.denied[0] && !flow->judgement.denied[1];
}

/* Who is at the other end: its socket, where it can be seen, else what was told of it. */
static __always_inline void find_peer(const struct sst_flow *flow, const struct sock *called,
				      int knows, struct policy_case *c)
{
	c->end[!flow->role].sk = (unsigned long)called;
	if (called || !flow->peer_told || !knows)
		return;
	c->is_told = 1;
	c->told_identity = flow->judgement.peer_identity;
	c->told_workload = flow->judgement.peer_workload;
}

/* Whether the set as it is now would not let the flow be. */
static __always_inline int is_revoked(struct sst_flow *flow, struct sock *sk)
{
	struct policy_case c = { .protocol = flow->protocol, .own = flow->role };
	struct policy_end *own = &c.end[flow->role & 1], *peer = &c.end[!flow->role];
	int knows = knows_peer(flow, sk), comparable;
	__u64 cookie = 0;
	const struct sock *called = called_end(flow, &cookie);

	own->sk = (unsigned long)sk;
	find_peer(flow, called, knows, &c);
	/* its socket may tell of another one than its address did */
	comparable = knows && (flow->peer_told || !called);
	address_of_socket(sk, &own->address, &peer->address);
	c.port = c.own ? sk->__sk_common.skc_num : bpf_ntohs(sk->__sk_common.skc_dport);
	judge(&c, 0);
	/* another one was judged, perhaps; then the flow ends anyway */
	if (called && (flow->state == SST_FLOW_ENDED || !is_socket(called, cookie)))
		return 0;
	if (!c.denied && !is_gone(flow->judgement.workload, c.judgement.workload) &&
	    !(comparable && is_gone(flow->judgement.peer_workload, c.judgement.peer_workload))) {
		flow->peer_told = c.is_told || called;
		flow->judgement = c.judgement;
		flow->generation = c.generation;
		return 0;
	}
	/* what it was let in by stays to be told; that it ends is counted once */
	if (!flow->doomed)
		count(SST_COUNTER_POLICY_REVOKED);
	flow->doomed = 1;
	return 1;
}

/* A UDP socket whose connect() to another place was denied, or failed, stays connected to where
 * it was, and its record is of the other place: it must not get away by that. */
static __always_inline int may_be_revoked(const struct sst_flow *flow, struct sock *sk)
{
	if (flow->service >= SST_SELFTEST_ID)
		return 0;
	if (flow->protocol == IPPROTO_UDP)
		return sk->__sk_common.skc_dport != 0;
	/* of a pair the caller's end is asked, and takes the other with it */
	return is_live(flow, sk) && !(flow->role == SST_ROLE_SERVER && flow->place);
}

/* After the set has changed: flows that it does not let be. */
SEC("iter/bpf_sk_storage_map")
int sst_revoke(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock *sk = ctx->sk;
	struct sst_flow *flow;

	flow = flow_walked(sk, ctx->value);
	if (flow && may_be_revoked(flow, sk) && !was_let_be(flow, sk) && is_revoked(flow, sk))
		write_record(ctx->meta->seq, sk, flow);
	return 0;
}

/* Looks for a socket that nobody is working on. */
#define STEADY_LOOKS 16

static __always_inline int is_locked(struct sock *sk)
{
	if (sk->sk_lock.owned)
		return 1;
	return bpf_core_field_exists(sk->sk_lock.slock.rlock.raw_lock.val.counter) &&
	       sk->sk_lock.slock.rlock.raw_lock.val.counter;
}

/*
 * What went through a socket at one moment: a FIN that comes in is counted as a byte before
 * its flag is set, bytes that are sent again are counted twice, one after the other. All happen under the socket's lock, so what was the same before and
 * after a moment without a lock is of that moment. 0: it is too busy, the next sweep
 * will do.
 */
static __always_inline int traffic_steady(struct tcp_sock *tp, const struct sst_flow *flow,
					  struct traffic *traffic)
{
	struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	struct sst_pair *pair = pair_of(flow);
	__u64 sent, received;

#pragma clang loop unroll(disable)
	for (int i = 0; i < STEADY_LOOKS; i++) {
		traffic_of(tp, flow, pair, traffic);
		sent = traffic->sent;
		received = traffic->received;
		barrier();
		if (is_locked(sk))
			continue;
		barrier();
		traffic_of(tp, flow, pair, traffic);
		if (sent == traffic->sent && received == traffic->received)
			return 1;
	}
	return 0;
}

/* Long-lived flows count while they run, not when they end. */
SEC("iter/bpf_sk_storage_map")
int sst_sweep(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock *sk = ctx->sk;
	struct traffic traffic;
	struct sst_flow *flow;
	struct tcp_sock *tp;

	flow = flow_walked(sk, ctx->value);
	if (!flow || flow->state != SST_FLOW_ESTABLISHED || flow->protocol != IPPROTO_TCP)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	if (traffic_steady(tp, flow, &traffic))
		sst_flow_moved(flow, &traffic, 0);
	return 0;
}

/* The list of members comes first: who is in the sockhash can always be found. */
static __always_inline enum sst_counter adopt(struct sock *sk, struct tcp_sock *tp, __u64 cookie,
					      struct sst_pair_end *me)
{
	me->credit = CREDIT_FIRST;
	me->run_seq = tp->write_seq;
	if (!bpf_sk_storage_get(&members, sk, &cookie, BPF_SK_STORAGE_GET_F_CREATE) ||
	    bpf_map_update_elem(&spliced, &cookie, sk, BPF_ANY)) {
		bpf_sk_storage_delete(&members, sk);
		return SST_COUNTER_REFUSE_MEMBER;
	}
	/* only now: what is recorded must have been read after the socket went in */
	me->copied_seq = *(volatile __u32 *)&tp->copied_seq;
	barrier();
	me->state = SST_STATE_ADOPTED;
	return SST_COUNTER_SPLICE_ADOPTED;
}

/* One end alone is of no use. */
static __always_inline void forgo(struct sst_pair *pair, struct sst_pair_end *me,
				  const struct sst_pair_end *peer)
{
	pair->allowed = SST_FORBIDDEN;
	me->state = SST_STATE_TCP;
	if (peer->state >= SST_STATE_ADOPTING)
		let_go(pair);
}

/* Over `candidates`: 1 when this one is done with, adopted or refused. No lock is held:
 * the flow may end, its element become another pair's, and two walks may run at once. */
static __always_inline int consider(struct sock *sk, struct tcp_sock *tp, struct sst_flow *flow)
{
	struct sst_pair *pair = pair_of(flow);
	struct sst_pair_end *me, *peer;
	enum sst_counter result;

	if (!pair || sk->__sk_common.skc_state != BPF_TCP_ESTABLISHED) {
		count(SST_COUNTER_REFUSE_STATE);
		return 1;
	}
	me = &pair->end[flow->role & 1];
	peer = &pair->end[!flow->role];
	if (me->cookie != flow->cookie)
		return 1;
	/* alone it is of no use; the other end may yet prove itself */
	if (pair->allowed && !pair->stopped && !pair->ended && peer->state < SST_STATE_NOMINATED &&
	    me->state == SST_STATE_NOMINATED)
		return 0;
	if (__sync_val_compare_and_swap(&me->state, SST_STATE_NOMINATED, SST_STATE_ADOPTING) !=
	    SST_STATE_NOMINATED)
		return 1;
	result = pair_obstacle(pair);
	if (result == SST_COUNTER_SPLICE_ADOPTED)
		result = adopt(sk, tp, flow->cookie, me);
	count(result);
	if (result != SST_COUNTER_SPLICE_ADOPTED)
		forgo(pair, me, peer);
	return 1;
}

SEC("iter/bpf_sk_storage_map")
int sst_adopt(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock *sk = ctx->sk;
	struct sst_flow *flow;
	struct tcp_sock *tp;

	if (!sk || !ctx->value)
		return 0;
	flow = bpf_sk_storage_get(&flows, sk, 0, 0);
	tp = bpf_skc_to_tcp_sock(sk);
	if (!flow || !tp || consider(sk, tp, flow))
		bpf_sk_storage_delete(&candidates, sk);
	return 0;
}

/* After the node's or a service's word has changed: pairs it no longer allows. Those not
 * adopted yet are asked when it comes to it. */
SEC("iter/bpf_sk_storage_map")
int sst_stop(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock *sk = ctx->sk;
	enum sst_counter why;
	struct sst_flow *flow;
	struct sst_pair *pair;

	flow = flow_walked(sk, ctx->value);
	pair = flow ? pair_of(flow) : 0;
	if (pair && !splice_allowed(pair->service, &why))
		pair_stop(pair);
	return 0;
}

/* A busy socket is between two calls sooner or later: looks some microseconds for it. */
#define IDLE_LOOKS 64

/*
 * Whether no message of this end can still be on its way past TCP: the pair is stopped, and
 * after that there was a moment without a send(). A send() that began later finds
 * it stopped.
 */
static __always_inline void find_quiet(const struct sk_psock *psock, __u8 *quiet)
{
	for (int i = 0; i < IDLE_LOOKS && !*quiet; i++)
		if (psock_idle(psock))
			*quiet = 1;
}

/* The other end may sleep in recv() whenever we look, and is released nevertheless: what the
 * kernel keeps of it goes with the last call that was under way. */
static __always_inline int is_quiet(const struct sst_pair *pair, __u32 role)
{
	const struct sst_pair_end *end = &pair->end[role & 1];

	/* it never was a member, nor will be: the pair is stopped */
	return pair->quiet[role & 1] || end->state < SST_STATE_ADOPTING ||
	       (end->state == SST_STATE_RELEASED && !psock_of((struct sock *)end->sock));
}

/* 1: this member is done with, taken out or about to close anyway. */
static __always_inline int release(struct sst_flow *flow, struct sst_pair *pair,
				   const struct sk_psock *psock)
{
	struct sst_pair_end *me = &pair->end[flow->role & 1];
	__u64 key = flow->cookie;

	if (me->cookie != key)
		return 1;
	if (pair->ended)
		return !psock_unread(psock);
	find_quiet(psock, &pair->quiet[flow->role & 1]);
	if (!is_quiet(pair, !flow->role) || psock_unread(psock) || !can_release)
		return 0;
	/* of two walks at once one deletes it */
	if (!bpf_map_delete_elem(&spliced, &key))
		count(SST_COUNTER_SPLICE_RELEASED);
	me->state = SST_STATE_RELEASED;
	return 1;
}

/* The self-test's pairs are its own as long as its service is there: no daemon's walk takes
 * a socket from it before. */
static __always_inline int may_release(const struct sst_pair *pair)
{
	__u32 service = pair->service;

	return pair->stopped &&
	       (service < SST_SELFTEST_ID || !bpf_map_lookup_elem(&services, &service));
}

/*
 * Over `members`: takes the ends of stopped pairs out of the sockhash, which makes
 * them plain TCP sockets again. Tells of those for which it is too early, since a call
 * was under way, and of all whose reader holds spliced bytes. It may pass some over when it
 * tells of more than some 140, as sst_list_slowly does: the next walk finds them.
 */
SEC("iter/bpf_sk_storage_map")
int sst_release(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock *sk = ctx->sk;
	struct sk_psock *psock;
	struct sst_flow *flow;
	struct sst_pair *pair;

	flow = flow_walked(sk, ctx->value);
	pair = flow ? pair_of(flow) : 0;
	psock = pair ? psock_of(sk) : 0;
	if (!psock)
		return 0;
	if (may_release(pair) && release(flow, pair, psock))
		bpf_sk_storage_delete(&members, sk);
	else if (pair->stopped || psock_unread(psock))
		write_record(ctx->meta->seq, sk, flow);
	return 0;
}
