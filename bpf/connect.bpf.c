/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Services at the socket: connect() and sendmsg() are given an endpoint instead of
 * the service's address, recvmsg() and getpeername() the service's instead of the
 * endpoint's. The application never learns, and no packet is ever rewritten.
 *
 * The v6 hooks also serve v4-mapped addresses of v6 sockets: in the one form of an
 * address they are the same as v4.
 */
#include "maps.h"
#include "lib/service.h"
#include "lib/flow.h"
#include "lib/udp.h"

extern const volatile __u32 have_set_retval;

enum { REFUSE = 0, PROCEED = 1 };

/* The one place where a reason becomes a verdict. */
static __always_inline int verdict(enum sst_counter reason, const struct choice *choice)
{
	struct sst_config *node;
	int proceed = PROCEED;
	struct books books;

	if (reason == SST_COUNTER_CONNECT_UNDECIDED) {
		node = settings();
		if (node && node->fail_closed) {
			reason = SST_COUNTER_CONNECT_UNDECIDED_CLOSED;
			proceed = REFUSE;
		}
	}
	if (reason == SST_COUNTER_CONNECT_NO_ENDPOINT) {
		books_begin(&books, choice->service, 0);
		books_add(&books, refused, 1);
		proceed = REFUSE;
	}
	count(reason);
	if (proceed == REFUSE && have_set_retval)
		bpf_set_retval(-ECONNREFUSED);
	return proceed;
}

/* MPTCP asks for TCP's services; its first subflow is TCP. 0: none of ours. */
static __always_inline __u8 protocol_of(const struct bpf_sock_addr *ctx)
{
	if (ctx->protocol == IPPROTO_TCP || ctx->protocol == IPPROTO_MPTCP)
		return IPPROTO_TCP;
	return ctx->protocol == IPPROTO_UDP ? IPPROTO_UDP : 0;
}

static __always_inline void destination_v4(struct bpf_sock_addr *ctx, struct sst_frontend_key *to)
{
	address_from_v4(&to->address, ctx->user_ip4);
	to->port = ctx->user_port;
	to->protocol = protocol_of(ctx);
	to->pad = 0;
}

static __always_inline void destination_v6(struct bpf_sock_addr *ctx, struct sst_frontend_key *to)
{
	to->address.w[0] = ctx->user_ip6[0];
	to->address.w[1] = ctx->user_ip6[1];
	to->address.w[2] = ctx->user_ip6[2];
	to->address.w[3] = ctx->user_ip6[3];
	to->port = ctx->user_port;
	to->protocol = protocol_of(ctx);
	to->pad = 0;
}

static __always_inline void rewrite_v4(struct bpf_sock_addr *ctx, const struct sst_addr *address,
				       __be16 port)
{
	ctx->user_ip4 = address->w[3];
	ctx->user_port = port;
}

static __always_inline void rewrite_v6(struct bpf_sock_addr *ctx, const struct sst_addr *address,
				       __be16 port)
{
	ctx->user_ip6[0] = address->w[0];
	ctx->user_ip6[1] = address->w[1];
	ctx->user_ip6[2] = address->w[2];
	ctx->user_ip6[3] = address->w[3];
	ctx->user_port = port;
}

/* A record of an earlier use of the socket must not speak for this one. */
static __always_inline void forget(struct bpf_sock_addr *ctx, __u8 protocol)
{
	struct bpf_sock *sk = ctx->sk;

	if (sk && flow_of(sk))
		flow_start(sk, bpf_get_socket_cookie(ctx), protocol, SST_ROLE_CLIENT);
}

static __always_inline enum sst_counter
do_connect(struct bpf_sock_addr *ctx, const struct sst_frontend_key *to, struct choice *choice)
{
	struct bpf_sock *sk = ctx->sk;
	enum sst_counter reason;
	struct sst_flow *flow;
	struct books books;

	if (!to->protocol)
		return SST_COUNTER_CONNECT_PROTOCOL;
	reason = service_choose(ctx, to, choice);
	if (reason != SST_COUNTER_CONNECT_TRANSLATED) {
		forget(ctx, to->protocol);
		return reason;
	}
	if (!sk)
		return SST_COUNTER_CONNECT_UNDECIDED;
	flow = flow_start(sk, bpf_get_socket_cookie(ctx), to->protocol, SST_ROLE_CLIENT);
	if (flow)
		flow_chose(flow, to, choice);
	if (to->protocol == IPPROTO_UDP) {
		books_begin(&books, choice->service, choice->endpoint);
		books_add(&books, udp_connected, 1);
	}
	return reason;
}

static __always_inline enum sst_counter
do_sendmsg(struct bpf_sock_addr *ctx, const struct sst_frontend_key *to, struct choice *choice)
{
	enum sst_counter reason;
	struct books books;

	if (!to->protocol)
		return SST_COUNTER_CONNECT_PROTOCOL;
	reason = udp_choose(ctx, to, choice);
	if (reason == SST_COUNTER_CONNECT_TRANSLATED) {
		books_begin(&books, choice->service, choice->endpoint);
		books_add(&books, udp_datagrams, 1);
	}
	return reason;
}

/* The service address behind from, where this very socket knows one. */
static __always_inline int reverse(struct bpf_sock_addr *ctx, struct sst_frontend_key *from)
{
	struct bpf_sock *sk = ctx->sk;
	struct sst_flow *flow;

	if (!sk)
		return 0;
	flow = flow_of(sk);
	/* a UDP socket may have been disconnected since, which no hook tells */
	if (flow && flow->service && sk->dst_port == flow->chosen_port &&
	    flow->chosen_port == from->port && address_equal(&flow->chosen, &from->address)) {
		from->address = flow->asked;
		from->port = flow->asked_port;
		return 1;
	}
	return udp_reverse(sk, from);
}

SEC("cgroup/connect4")
int sst_connect4(struct bpf_sock_addr *ctx)
{
	struct choice choice = {};
	struct sst_frontend_key to;
	enum sst_counter reason;

	destination_v4(ctx, &to);
	reason = do_connect(ctx, &to, &choice);
	if (reason == SST_COUNTER_CONNECT_TRANSLATED)
		rewrite_v4(ctx, &choice.address, choice.port);
	return verdict(reason, &choice);
}

SEC("cgroup/connect6")
int sst_connect6(struct bpf_sock_addr *ctx)
{
	struct choice choice = {};
	struct sst_frontend_key to;
	enum sst_counter reason;

	destination_v6(ctx, &to);
	reason = do_connect(ctx, &to, &choice);
	if (reason == SST_COUNTER_CONNECT_TRANSLATED)
		rewrite_v6(ctx, &choice.address, choice.port);
	return verdict(reason, &choice);
}

SEC("cgroup/sendmsg4")
int sst_sendmsg4(struct bpf_sock_addr *ctx)
{
	struct choice choice = {};
	struct sst_frontend_key to;
	enum sst_counter reason;

	destination_v4(ctx, &to);
	reason = do_sendmsg(ctx, &to, &choice);
	if (reason == SST_COUNTER_CONNECT_TRANSLATED)
		rewrite_v4(ctx, &choice.address, choice.port);
	return verdict(reason, &choice);
}

SEC("cgroup/sendmsg6")
int sst_sendmsg6(struct bpf_sock_addr *ctx)
{
	struct choice choice = {};
	struct sst_frontend_key to;
	enum sst_counter reason;

	destination_v6(ctx, &to);
	reason = do_sendmsg(ctx, &to, &choice);
	if (reason == SST_COUNTER_CONNECT_TRANSLATED)
		rewrite_v6(ctx, &choice.address, choice.port);
	return verdict(reason, &choice);
}

static __always_inline int reverse_v4(struct bpf_sock_addr *ctx)
{
	struct sst_frontend_key from;

	destination_v4(ctx, &from);
	if (!reverse(ctx, &from))
		return 0;
	rewrite_v4(ctx, &from.address, from.port);
	return 1;
}

static __always_inline int reverse_v6(struct bpf_sock_addr *ctx)
{
	struct sst_frontend_key from;

	destination_v6(ctx, &from);
	if (!reverse(ctx, &from))
		return 0;
	rewrite_v6(ctx, &from.address, from.port);
	return 1;
}

SEC("cgroup/recvmsg4")
int sst_recvmsg4(struct bpf_sock_addr *ctx)
{
	if (reverse_v4(ctx))
		count(SST_COUNTER_UDP_REVERSED);
	return PROCEED;
}

SEC("cgroup/recvmsg6")
int sst_recvmsg6(struct bpf_sock_addr *ctx)
{
	if (reverse_v6(ctx))
		count(SST_COUNTER_UDP_REVERSED);
	return PROCEED;
}

SEC("cgroup/getpeername4")
int sst_getpeername4(struct bpf_sock_addr *ctx)
{
	reverse_v4(ctx);
	return PROCEED;
}

SEC("cgroup/getpeername6")
int sst_getpeername6(struct bpf_sock_addr *ctx)
{
	reverse_v6(ctx);
	return PROCEED;
}
