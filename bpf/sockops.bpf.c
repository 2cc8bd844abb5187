/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The life of a TCP flow: connect, established, ended; and its nomination for the
 * splice once it has proved to be request/response.
 *
 * A connection is counted and told of once: by its client's end where that is on
 * this node, else by its server's end.
 */
#include "maps.h"
#include "lib/pair.h"
#include "lib/record.h"

/* Data segments each way before a flow counts as request/response, and how many of
 * one way only make it a stream that is not looked at again. */
#define NOMINATE_SEGMENTS 8
#define NOMINATE_RATIO    4
#define ONE_WAY_SEGMENTS  256

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

/* The connect hook has made the record where there is a service; else it is made here. */
static __always_inline void connecting(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;

	if (!sk)
		return;
	if (!flow_of(sk) &&
	    !flow_start(sk, bpf_get_socket_cookie(ops), IPPROTO_TCP, SST_ROLE_CLIENT))
		return;
	callbacks(ops, BPF_SOCK_OPS_STATE_CB_FLAG, 0);
}

static __always_inline void opened(struct sst_flow *flow, struct tcp_sock *tp)
{
	struct books books;

	flow->counted = 1;
	flow->booked = books_begin(&books, flow->service, flow->endpoint);
	books_add(&books, opened, 1);
	event_send(tp, flow, 0, SST_RECORD_OPEN, SST_COUNTER_EVENT_OPEN,
		   SST_COUNTER_EVENT_OPEN_LOST);
}

static __always_inline void client_established(struct bpf_sock_ops *ops)
{
	struct tcp_sock *tp = tcp_of(ops);
	struct bpf_sock *sk = ops->sk;
	struct sst_flow *flow;
	enum sst_counter why;
	int allowed;

	if (!sk || !tp)
		return;
	flow = flow_of(sk);
	if (!flow || flow->state != SST_FLOW_CONNECTING)
		return;
	flow->state = SST_FLOW_ESTABLISHED;
	flow->opened_ns = bpf_ktime_get_boot_ns();
	/* not snd_nxt: a Fast Open SYN carried data. bytes_acked counts the SYN. */
	flow->pair.client_seq = tp->snd_una - (__u32)tp->bytes_acked + 1;
	flow->pair.server_seq = ops->rcv_nxt;
	allowed = splice_allowed(flow->service, &why);
	if (!allowed)
		count(why);
	pair_open(flow, tp, allowed);
	opened(flow, tp);
	if (allowed && flow->paired)
		callbacks(ops, BPF_SOCK_OPS_RTT_CB_FLAG, 0);
}

static __always_inline void server_open(struct bpf_sock_ops *ops, struct sst_flow *flow,
					struct tcp_sock *tp)
{
	struct sst_pair *pair;

	flow->state = SST_FLOW_ESTABLISHED;
	flow->opened_ns = flow->started_ns;
	pair = pair_join(flow, tp);
	if (!pair)
		opened(flow, tp);
	else if (pair->allowed)
		callbacks(ops, BPF_SOCK_OPS_RTT_CB_FLAG, 0);
}

static __always_inline void server_established(struct bpf_sock_ops *ops)
{
	struct tcp_sock *tp = tcp_of(ops);
	struct bpf_sock *sk = ops->sk;
	struct sst_flow *flow;

	if (!sk || !tp)
		return;
	flow = flow_start(sk, bpf_get_socket_cookie(ops), IPPROTO_TCP, SST_ROLE_SERVER);
	if (!flow)
		return;
	flow->pair.client_seq = ops->rcv_nxt;
	flow->pair.server_seq = ops->snd_nxt;
	callbacks(ops, BPF_SOCK_OPS_STATE_CB_FLAG, 0);
	/* Fast Open: here with the SYN, before the client; its ACK is yet to come */
	if (!tp->fastopen_rsk)
		server_open(ops, flow, tp);
}

/* The handshake's end of a Fast Open server, which may have answered and closed by then. */
static __always_inline void server_acknowledged(struct bpf_sock_ops *ops)
{
	struct tcp_sock *tp = tcp_of(ops);
	struct bpf_sock *sk = ops->sk;
	struct sst_flow *flow;

	if (!sk || !tp)
		return;
	flow = flow_of(sk);
	if (flow && flow->role == SST_ROLE_SERVER && flow->state == SST_FLOW_CONNECTING &&
	    !tp->fastopen_rsk)
		server_open(ops, flow, tp);
}

static __always_inline void wake_adopter(__u64 cookie)
{
	struct sst_nomination nomination = { .flow = cookie };

	if (bpf_ringbuf_output(&nominations, &nomination, sizeof(nomination), BPF_RB_FORCE_WAKEUP))
		count(SST_COUNTER_EVENT_NOMINATION_LOST);
}

/* Both ends nominate themselves; the second one wakes the adopter. */
static __always_inline void nominate(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;
	struct sst_flow *flow;
	struct sst_pair *pair;
	__u64 cookie;

	if (!sk)
		return;
	flow = flow_of(sk);
	pair = flow ? pair_of(flow) : 0;
	if (!pair || !pair->end[!flow->role].cookie) {
		count(SST_COUNTER_REFUSE_REMOTE);
		return;
	}
	cookie = flow->cookie;
	if (!bpf_sk_storage_get(&candidates, sk, &cookie, BPF_SK_STORAGE_GET_F_CREATE)) {
		count(SST_COUNTER_FLOW_NO_RECORD);
		return;
	}
	pair->end[flow->role & 1].state = SST_STATE_NOMINATED;
	count(SST_COUNTER_SPLICE_NOMINATED);
	if (pair->end[!flow->role].state == SST_STATE_NOMINATED)
		wake_adopter(cookie);
}

/* Runs for each round-trip sample, about 0.4 us, until the flow's nature is known. */
static __always_inline void round_trip(struct bpf_sock_ops *ops)
{
	__u32 in = ops->data_segs_in, out = ops->data_segs_out;
	__u32 less = in < out ? in : out, more = in < out ? out : in;

	if (less >= NOMINATE_SEGMENTS && more <= NOMINATE_RATIO * less) {
		callbacks(ops, 0, BPF_SOCK_OPS_RTT_CB_FLAG);
		nominate(ops);
	} else if (more >= ONE_WAY_SEGMENTS) {
		callbacks(ops, 0, BPF_SOCK_OPS_RTT_CB_FLAG);
		count(SST_COUNTER_REFUSE_ONE_WAY);
	}
}

static __always_inline void failed(struct sst_flow *flow, struct tcp_sock *tp)
{
	struct books books;

	books_begin(&books, flow->service, flow->endpoint);
	books_add(&books, failed, 1);
	event_send(tp, flow, 0, SST_RECORD_FAILED, SST_COUNTER_EVENT_FAILED,
		   SST_COUNTER_EVENT_FAILED_LOST);
}

static __always_inline void closed(struct sst_flow *flow, struct tcp_sock *tp)
{
	struct sst_pair *pair = pair_of(flow);
	struct traffic traffic;

	traffic_of(tp, flow, pair, &traffic);
	account(flow, &traffic, 1);
	if (flow->counted)
		event_send(tp, flow, pair, SST_RECORD_CLOSE, SST_COUNTER_EVENT_CLOSE,
			   SST_COUNTER_EVENT_CLOSE_LOST);
	if (pair)
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
		closed(flow, tp);
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
