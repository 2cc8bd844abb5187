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
	struct sst_config *node = settings();
	int proceed = PROCEED;

	if (reason == SST_COUNTER_CONNECT_UNDECIDED && node && node->fail_closed) {
		reason = SST_COUNTER_CONNECT_UNDECIDED_CLOSED;
		proceed = REFUSE;
	}
	if (reason == SST_COUNTER_CONNECT_NO_ENDPOINT) {
		statistics_add(choice->service, 0, refused, 1);
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

static __always_inline void destination_v4(struct bpf_sock_addr *ctx, struct destination *to)
{
	address_from_v4(&to->asked.address, ctx->user_ip4);
	to->asked.port = ctx->user_port;
	to->asked.protocol = protocol_of(ctx);
	to->asked.pad = 0;
	to->netns_cookie = bpf_get_netns_cookie(ctx);
}

static __always_inline void destination_v6(struct bpf_sock_addr *ctx, struct destination *to)
{
	to->asked.address.w[0] = ctx->user_ip6[0];
	to->asked.address.w[1] = ctx->user_ip6[1];
	to->asked.address.w[2] = ctx->user_ip6[2];
	to->asked.address.w[3] = ctx->user_ip6[3];
	to->asked.port = ctx->user_port;
	to->asked.protocol = protocol_of(ctx);
	to->asked.pad = 0;
	to->netns_cookie = bpf_get_netns_cookie(ctx);
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
do_connect(struct bpf_sock_addr *ctx, const struct destination *to, struct choice *choice)
{
	struct bpf_sock *sk = ctx->sk;
	enum sst_counter reason;
	struct sst_flow *flow;

	if (!to->asked.protocol)
		return SST_COUNTER_CONNECT_PROTOCOL;
	reason = service_choose(to, choice);
	if (reason != SST_COUNTER_CONNECT_TRANSLATED) {
		forget(ctx, to->asked.protocol);
		return reason;
	}
	if (!sk)
		return SST_COUNTER_CONNECT_UNDECIDED;
	flow = flow_start(sk, bpf_get_socket_cookie(ctx), to->asked.protocol, SST_ROLE_CLIENT);
	if (flow)
		flow_chose(flow, to, choice);
	if (to->asked.protocol == IPPROTO_UDP)
		statistics_add(choice->service, choice->endpoint, udp_connected, 1);
	return reason;
}

static __always_inline enum sst_counter
do_sendmsg(struct bpf_sock_addr *ctx, const struct destination *to, struct choice *choice)
{
	enum sst_counter reason;

	if (!to->asked.protocol)
		return SST_COUNTER_CONNECT_PROTOCOL;
	reason = udp_choose(ctx, to, choice);
	if (reason == SST_COUNTER_CONNECT_TRANSLATED)
		statistics_add(choice->service, choice->endpoint, udp_datagrams, 1);
	return reason;
}

/* The service address behind from, where this very socket knows one. */
static __always_inline int reverse(struct bpf_sock_addr *ctx, struct destination *from)
{
	struct bpf_sock *sk = ctx->sk;
	struct sst_flow *flow;

	if (!sk)
		return 0;
	flow = flow_of(sk);
	if (flow && flow->service && flow->chosen_port == from->asked.port &&
	    address_equal(&flow->chosen, &from->asked.address)) {
		from->asked.address = flow->asked;
		from->asked.port = flow->asked_port;
		return 1;
	}
	return udp_reverse(sk, &from->asked);
}

SEC("cgroup/connect4")
int sst_connect4(struct bpf_sock_addr *ctx)
{
	struct choice choice = {};
	struct destination to;
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
	struct destination to;
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
	struct destination to;
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
	struct destination to;
	enum sst_counter reason;

	destination_v6(ctx, &to);
	reason = do_sendmsg(ctx, &to, &choice);
	if (reason == SST_COUNTER_CONNECT_TRANSLATED)
		rewrite_v6(ctx, &choice.address, choice.port);
	return verdict(reason, &choice);
}

static __always_inline int reverse_v4(struct bpf_sock_addr *ctx)
{
	struct destination from;

	destination_v4(ctx, &from);
	if (!reverse(ctx, &from))
		return 0;
	rewrite_v4(ctx, &from.asked.address, from.asked.port);
	return 1;
}

static __always_inline int reverse_v6(struct bpf_sock_addr *ctx)
{
	struct destination from;

	destination_v6(ctx, &from);
	if (!reverse(ctx, &from))
		return 0;
	rewrite_v6(ctx, &from.asked.address, from.asked.port);
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
