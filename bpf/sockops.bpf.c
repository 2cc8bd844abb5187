/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The life of a TCP flow: connect, established, ended; and its nomination for the
 * splice once it has proved to be request/response.
 *
 * A connection is counted and told of once: by its client's end where that is on
 * this node, else by its server's end.
 */
#include "maps.h"
#include "lib/caller.h"
#include "lib/pair.h"
#include "lib/record.h"
#include "lib/splice.h"

/* Data segments each way before a flow counts as request/response, and how many of
 * one way only make it a stream that is not looked at again. One of so many large answers is
 * waited for longer. */
#define NOMINATE_SEGMENTS  8
#define NOMINATE_RATIO     4
#define ONE_WAY_SEGMENTS   256
#define LARGE_RATIO        64
#define LARGE_MESSAGE_BITS 14

/* Other programs on the same socket have their own callbacks: only ours change. */
static __always_inline void callbacks(struct bpf_sock_ops *ops, int add, int drop)
{
	bpf_sock_ops_cb_flags_set(ops, (ops->bpf_sock_ops_cb_flags | add) & ~drop);
}

static __always_inline struct tcp_sock *tcp_of(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;

	return sk ? bpf_skc_to_tcp_sock(sk) : 0;
}

/* The connect hook has made the record where there is a service or policy; else it is made
 * here. */
static __always_inline void connecting(struct bpf_sock_ops *ops)
{
	struct tcp_sock *tp = tcp_of(ops);
	struct bpf_sock *sk = ops->sk;
	struct sst_flow *flow;

	if (!sk || !tp)
		return;
	flow = flow_of(sk);
	if (!flow)
		flow = flow_start(sk, bpf_get_socket_cookie(ops), IPPROTO_TCP, SST_ROLE_CLIENT);
	if (!flow)
		return;
	callbacks(ops, BPF_SOCK_OPS_STATE_CB_FLAG, 0);
	if (flow->generation)
		caller_tell(flow, tp);
}

static __always_inline __u64 cgroup_id_of(const struct tcp_sock *tp)
{
	return tp->inet_conn.icsk_inet.sk.sk_cgrp_data.cgroup->kn->id;
}

/* Of who is called. */
static __always_inline __u32 port_called(const struct sst_flow *flow, const struct tcp_sock *tp)
{
	const struct sock_common *sk = &tp->inet_conn.icsk_inet.sk.__sk_common;

	return flow->role == SST_ROLE_CLIENT ? bpf_ntohs(sk->skc_dport) : sk->skc_num;
}

static __always_inline void opened(struct sst_flow *flow, struct tcp_sock *tp)
{
	sst_flow_opened(flow, cgroup_id_of(tp), port_called(flow, tp));
	event_send(tp, flow, 0, SST_RECORD_OPEN);
}

static __always_inline void client_established(struct bpf_sock_ops *ops)
{
	struct tcp_sock *tp = tcp_of(ops);
	struct bpf_sock *sk = ops->sk;
	struct sst_flow *flow;
	enum sst_permission allowed;
	enum sst_counter why;

	if (!sk || !tp)
		return;
	flow = flow_of(sk);
	if (!flow || flow->state != SST_FLOW_CONNECTING)
		return;
	flow->state = SST_FLOW_ESTABLISHED;
	flow->opened_ns = bpf_ktime_get_boot_ns();
	caller_forget(flow);
	/* not snd_nxt: a Fast Open SYN carried data. bytes_acked counts the SYN. */
	flow->pair.client_seq = tp->snd_una - (__u32)tp->bytes_acked + 1;
	flow->pair.server_seq = ops->rcv_nxt;
	allowed = splice_permitted(flow->service, flow->splice, &why);
	if (!allowed)
		count(why);
	pair_open(flow, tp, allowed);
	opened(flow, tp);
	if (allowed && flow->place)
		callbacks(ops, BPF_SOCK_OPS_RTT_CB_FLAG, 0);
}

static __always_inline void server_opened(struct sst_flow *flow)
{
	flow->state = SST_FLOW_ESTABLISHED;
	flow->opened_ns = flow->started_ns;
}

/* Its SYN was let in, which is remembered; that the set has changed since ends it. */
static __always_inline void judge_arrived(struct sst_flow *flow, struct tcp_sock *tp)
{
	struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	struct policy_case c = {
		.end[SST_ROLE_SERVER].sk = (unsigned long)sk,
		.end[SST_ROLE_SERVER].cgroup = cgroup_id_of(tp),
		.port = sk->__sk_common.skc_num,
		.protocol = IPPROTO_TCP,
		.own = SST_ROLE_SERVER,
		.counts = COUNT_ALLOWED,
	};

	if (!policy_wanted())
		return;
	address_of_socket(sk, &c.end[SST_ROLE_SERVER].address, &c.end[SST_ROLE_CLIENT].address);
	judge(&c, sk->__sk_common.skc_net.net->net_cookie);
	flow->judgement = c.judgement;
	flow->generation = c.generation;
	if (!c.denied)
		return;
	count(SST_COUNTER_POLICY_REVOKED);
	flow->doomed = 1;
	errand(SST_ERRAND_END);
}

/* The end of a connection whose client is elsewhere: it alone can tell of it. */
static __always_inline void server_alone(struct sst_flow *flow, struct tcp_sock *tp)
{
	server_opened(flow);
	judge_arrived(flow, tp);
	opened(flow, tp);
}

/* With its client on this node it needs no record before it is nominated, if ever: the
 * client's end tells of the connection. */
static __always_inline void server_established(struct bpf_sock_ops *ops)
{
	struct sst_pair_key key = { .client_seq = ops->rcv_nxt, .server_seq = ops->snd_nxt };
	struct tcp_sock *tp = tcp_of(ops);
	struct bpf_sock *sk = ops->sk;
	struct sst_pair *pair = 0;
	struct sst_flow *flow;
	__u64 cookie;
	__u32 place;

	if (!sk || !tp)
		return;
	cookie = bpf_get_socket_cookie(ops);
	/* Fast Open: here with the SYN, before the client; its ACK is yet to come */
	if (!tp->fastopen_rsk)
		pair = pair_seat(&key, cookie, tp, &place);
	if (pair) {
		if (pair->allowed)
			callbacks(ops, BPF_SOCK_OPS_RTT_CB_FLAG, 0);
		return;
	}
	flow = flow_of(sk);
	if (flow) {
		/* it called, too: SYNs have crossed, or it called itself */
		client_established(ops);
		return;
	}
	flow = flow_start(sk, cookie, IPPROTO_TCP, SST_ROLE_SERVER);
	if (!flow)
		return;
	flow->pair = key;
	callbacks(ops, BPF_SOCK_OPS_STATE_CB_FLAG, 0);
	if (!tp->fastopen_rsk)
		server_alone(flow, tp);
}

/* The handshake's end of a Fast Open server, which may have answered and closed by then. */
static __always_inline void server_acknowledged(struct bpf_sock_ops *ops)
{
	struct tcp_sock *tp = tcp_of(ops);
	struct bpf_sock *sk = ops->sk;
	struct sst_pair_key key;
	struct sst_flow *flow;
	struct sst_pair *pair;
	__u32 place;

	if (!sk || !tp)
		return;
	flow = flow_of(sk);
	if (!flow || flow->role != SST_ROLE_SERVER || flow->state != SST_FLOW_CONNECTING ||
	    tp->fastopen_rsk)
		return;
	key = flow->pair;
	pair = pair_seat(&key, flow->cookie, tp, &place);
	if (!pair || !pair_join(flow, pair, place)) {
		server_alone(flow, tp);
		return;
	}
	server_opened(flow);
	if (pair->allowed)
		callbacks(ops, BPF_SOCK_OPS_RTT_CB_FLAG, 0);
}

/* A server's end gets the record it did not need so far; 0: its client has left. */
static __always_inline struct sst_flow *server_join(struct bpf_sock_ops *ops, struct bpf_sock *sk,
						    struct tcp_sock *tp)
{
	struct sst_pair_key key;
	struct sst_flow *flow;
	struct sst_pair *pair;
	__u32 place;

	pair = pair_of_seat(tp, &key, &place);
	if (!pair)
		return 0;
	flow = flow_start(sk, bpf_get_socket_cookie(ops), IPPROTO_TCP, SST_ROLE_SERVER);
	if (!flow)
		return 0;
	flow->pair = key;
	server_opened(flow);
	if (!pair_join(flow, pair, place)) {
		bpf_sk_storage_delete(&flows, sk);
		return 0;
	}
	callbacks(ops, BPF_SOCK_OPS_STATE_CB_FLAG, 0);
	return flow;
}

/* What was learned that speaks against it; SPLICE_NOMINATED: nothing. */
static __always_inline enum sst_counter learned_obstacle(struct tcp_sock *tp,
							 const struct sst_pair *pair)
{
	if (is_splicers(&tp->inet_conn.icsk_inet.sk))
		return SST_COUNTER_REFUSE_SPLICE_READER;
	if (pair->allowed == SST_PERMITTED && habit_forbids(pair->endpoint))
		return SST_COUNTER_REFUSE_LEARNED;
	return SST_COUNTER_SPLICE_NOMINATED;
}

/* Both ends nominate themselves; the second one wakes the adopter. */
static __always_inline void nominate(struct bpf_sock_ops *ops)
{
	struct tcp_sock *tp = tcp_of(ops);
	struct bpf_sock *sk = ops->sk;
	enum sst_counter obstacle;
	struct sst_flow *flow;
	struct sst_pair *pair;
	__u64 cookie;

	if (!sk || !tp)
		return;
	flow = flow_of(sk);
	if (!flow)
		flow = server_join(ops, sk, tp);
	pair = flow ? pair_of(flow) : 0;
	if (!pair || !pair->end[!flow->role].cookie) {
		count(SST_COUNTER_REFUSE_REMOTE);
		return;
	}
	obstacle = learned_obstacle(tp, pair);
	if (obstacle != SST_COUNTER_SPLICE_NOMINATED) {
		pair->allowed = SST_FORBIDDEN;
		count(obstacle);
		return;
	}
	cookie = flow->cookie;
	/* before a walk can find it, which drops what is not nominated */
	pair->end[flow->role & 1].state = SST_STATE_NOMINATED;
	if (!bpf_sk_storage_get(&candidates, sk, &cookie, BPF_SK_STORAGE_GET_F_CREATE)) {
		pair->end[flow->role & 1].state = SST_STATE_TCP;
		count(SST_COUNTER_FLOW_NO_RECORD);
		return;
	}
	count(SST_COUNTER_SPLICE_NOMINATED);
	/* a walk may have the other end in its hands, and be past this one */
	if (pair->end[!flow->role].state >= SST_STATE_NOMINATED)
		errand(SST_ERRAND_ADOPT);
}

/* Segments that are mostly full are parts of larger messages, be it of 16 KB: an answer of 64 KB is
 * not as many messages as a stream of small ones that is answered now and then. */
static __always_inline __u32 messages_of(__u32 segments, __u64 bytes, __u32 mss)
{
	return 4 * bytes < 3 * (__u64)segments * mss ? segments : bytes >> LARGE_MESSAGE_BITS;
}

enum nature { NATURE_UNKNOWN, NATURE_REQUEST_RESPONSE, NATURE_STREAM };

/* By the data segments in and out. */
__noinline int sst_nature(__u32 in, __u32 out, __u64 received, __u64 acked, __u32 mss)
{
	__u32 less = in < out ? in : out, more = in < out ? out : in;
	__u64 bytes = in < out ? acked : received;

	if (less >= NOMINATE_SEGMENTS && messages_of(more, bytes, mss) <= NOMINATE_RATIO * less)
		return NATURE_REQUEST_RESPONSE;
	if (more >= ONE_WAY_SEGMENTS && (less >= NOMINATE_SEGMENTS || more > LARGE_RATIO * less))
		return NATURE_STREAM;
	return NATURE_UNKNOWN;
}

/* Runs for each round-trip sample, about 0.4 us, until the flow's nature is known. */
static __always_inline void round_trip(struct bpf_sock_ops *ops)
{
	int nature = sst_nature(ops->data_segs_in, ops->data_segs_out, ops->bytes_received,
				ops->bytes_acked, ops->mss_cache);

	if (nature == NATURE_UNKNOWN)
		return;
	callbacks(ops, 0, BPF_SOCK_OPS_RTT_CB_FLAG);
	if (nature == NATURE_REQUEST_RESPONSE)
		nominate(ops);
	else
		count(SST_COUNTER_REFUSE_ONE_WAY);
}

static __always_inline __u8 failure_of(int error)
{
	switch (error) {
	case 0:
		return SST_FAILURE_ABANDONED;
	case ECONNREFUSED:
		return SST_FAILURE_REFUSED;
	case ETIMEDOUT:
		return SST_FAILURE_TIMED_OUT;
	case EHOSTUNREACH:
	case ENETUNREACH:
		return SST_FAILURE_UNREACHABLE;
	}
	return SST_FAILURE_OTHER;
}

static __always_inline void failed(struct sst_flow *flow, struct tcp_sock *tp)
{
	caller_forget(flow);
	flow->ending = failure_of(tp->inet_conn.icsk_inet.sk.sk_err);
	sst_flow_failed(flow, cgroup_id_of(tp), port_called(flow, tp));
	event_send(tp, flow, 0, SST_RECORD_FAILED);
}

/* Fewer messages past TCP prove nothing. */
#define WORTHWHILE_MESSAGES 64

static __always_inline int was_worth_it(const struct sst_flow *flow, const struct sst_pair *pair)
{
	return !pair->stopped && pair->end[flow->role & 1].spliced_messages >= WORTHWHILE_MESSAGES;
}

/* Whether a socket that closes without an error sends a reset: one side had not closed yet. After
 * our FIN that is so unless the other's has come, or the program has let go of the socket and
 * the kernel waits for it elsewhere. */
static __always_inline int is_reset(const struct sock *sk, __u32 state)
{
	__u64 flags = sk->__sk_common.skc_flags;

	if (state == BPF_TCP_FIN_WAIT1 || state == BPF_TCP_FIN_WAIT2)
		return !has_flag(flags, SOCK_FLAG(SOCK_DONE)) &&
		       !has_flag(flags, SOCK_FLAG(SOCK_DEAD));
	return state == BPF_TCP_ESTABLISHED || state == BPF_TCP_CLOSE_WAIT;
}

/* What a socket that closes tells of why: a reset that came is an error. */
static __always_inline __u8 ending_of(const struct sst_flow *flow, const struct sock *sk,
				      __u32 state)
{
	int client = flow->role == SST_ROLE_CLIENT;

	switch (sk->sk_err) {
	case 0:
		if (!is_reset(sk, state))
			return SST_ENDING_ORDERLY;
		return client ? SST_ENDING_RESET_BY_CLIENT : SST_ENDING_RESET_BY_SERVER;
	case ECONNRESET:
	case EPIPE:
		return client ? SST_ENDING_RESET_BY_SERVER : SST_ENDING_RESET_BY_CLIENT;
	case ECONNABORTED:
		return SST_ENDING_ENDED;
	}
	return SST_ENDING_TIMED_OUT;
}

static __always_inline void closed(struct sst_flow *flow, struct tcp_sock *tp, __u32 before)
{
	struct sst_pair *pair = pair_of(flow);
	struct traffic traffic;

	traffic_of(tp, flow, pair, &traffic);
	flow->ending = ending_of(flow, &tp->inet_conn.icsk_inet.sk, before);
	sst_flow_moved(flow, &traffic, 1);
	if (flow->counted)
		event_send(tp, flow, pair, SST_RECORD_CLOSE);
	if (!pair)
		return;
	if (flow->counted && was_worth_it(flow, pair))
		habit_reward(pair->endpoint);
	pair_leave(flow, pair);
}

static __always_inline void ended(struct bpf_sock_ops *ops)
{
	struct tcp_sock *tp = tcp_of(ops);
	struct bpf_sock *sk = ops->sk;
	struct sst_flow *flow;
	__u8 state;

	if (!sk || !tp)
		return;
	flow = flow_of(sk);
	if (!flow || flow->state == SST_FLOW_ENDED)
		return;
	state = flow->state;
	flow->state = SST_FLOW_ENDED;
	if (state == SST_FLOW_ESTABLISHED)
		closed(flow, tp, ops->args[0]);
	else if (flow->role == SST_ROLE_CLIENT)
		failed(flow, tp);
}

SEC("sockops")
int sst_sockops(struct bpf_sock_ops *ops)
{
	switch (ops->op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		connecting(ops);
		break;
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		client_established(ops);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		server_established(ops);
		break;
	case BPF_SOCK_OPS_RTT_CB:
		round_trip(ops);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		if (ops->args[0] == BPF_TCP_SYN_RECV || ops->args[0] == BPF_TCP_FIN_WAIT1)
			server_acknowledged(ops);
		if (ops->args[1] == BPF_TCP_CLOSE)
			ended(ops);
		break;
	}
	return 1;
}
