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
#include "lib/datagram.h"
#include "lib/flow.h"
#include "lib/policy.h"
#include "lib/record.h"
#include "lib/service.h"
#include "lib/udp.h"

extern const volatile __u32 have_set_retval;

enum { REFUSE = 0, PROCEED = 1 };

/* Without another word the application is told EPERM. */
static __always_inline int deny(struct bpf_sock_addr *ctx, const struct policy_case *c,
				const struct choice *choice)
{
	struct books books;

	books_begin(&books, choice->service, choice->endpoint);
	books_add(&books, denied, 1);
	sst_call_denied(c, choice->service);
	sst_event_denied(c, bpf_get_socket_cookie(ctx), 0, choice->service, choice->endpoint);
	if (c->flags & SST_POLICY_REFUSED && have_set_retval)
		bpf_set_retval(-ECONNREFUSED);
	return REFUSE;
}

/* The one place where a reason becomes a verdict. */
static __always_inline int verdict(struct bpf_sock_addr *ctx, enum sst_counter reason,
				   const struct choice *choice, const struct policy_case *c)
{
	struct sst_config *node;
	int proceed = PROCEED;
	struct books books;

	if (c->denied) {
		count(reason);
		return deny(ctx, c, choice);
	}
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

/* Global, as in policy.bpf.c: what they need of the stack is free again when policy is
 * asked. Returns an enum sst_counter. */
int sst_choose(struct bpf_sock_addr *ctx, const struct sst_frontend_key *to, struct choice *choice)
{
	struct sst_frontend_key key; /* before 6.3 only one's own stack can be a key */

	if (!to || !choice)
		return SST_COUNTER_CONNECT_UNDECIDED;
	key = *to;
	return service_choose(ctx, &key, choice);
}

int sst_chosen_datagram(struct bpf_sock_addr *ctx, const struct sst_frontend_key *to,
			struct choice *choice)
{
	struct sst_frontend_key key;

	if (!to || !choice)
		return SST_COUNTER_CONNECT_UNDECIDED;
	key = *to;
	return udp_chosen(ctx, &key, choice);
}

int sst_keep_datagram(struct bpf_sock_addr *ctx, const struct sst_frontend_key *to,
		      const struct choice *choice)
{
	if (to && choice)
		udp_keep(ctx, to, choice);
	return 0;
}

/* 0.0.0.0 and :: stand for the namespace itself: what the kernel will call instead is loopback,
 * or by 0.0.0.0 the address the socket is bound to. */
static __always_inline void name_any(struct bpf_sock_addr *ctx, struct sst_addr *address)
{
	struct sst_addr bound = {};
	struct bpf_sock *sk = ctx->sk;

	if (address->w[0] | address->w[1] | address->w[3])
		return;
	if (sk)
		address_bound(sk, &bound);
	if (is_v4(address))
		address_from_v4(address,
				is_v4(&bound) && bound.w[3] ? bound.w[3] : bpf_htonl(0x7f000001));
	else if (is_v4(&bound))
		address_from_v4(address, bpf_htonl(0x7f000001));
	else if (!address->w[2])
		address->w[3] = bpf_htonl(1);
}

/* Where it goes without a service. */
static __always_inline void choose_asked(struct bpf_sock_addr *ctx,
					 const struct sst_frontend_key *to, struct choice *choice)
{
	choice->address = to->address;
	name_any(ctx, &choice->address);
	choice->port = to->port;
	choice->service = choice->endpoint = 0;
	choice->splice = SST_SPLICE_INHERIT;
}

/* Whether several workloads may have this address: the caller's loopback, and the node's own
 * addresses within its own namespace. */
static __always_inline int is_shared(struct bpf_sock_addr *ctx, const struct sst_addr *address)
{
	const struct sst_policy_head *head;

	if (is_loopback(address))
		return 1;
	head = policy_head(policy_set());
	return head && head->host_netns == bpf_get_netns_cookie(ctx) && sst_is_host(address);
}

/*
 * The socket that will be called, where it is in the caller's network namespace and shares its
 * addresses: who that is cannot be told by the address.
 */
int sst_called(struct bpf_sock_addr *ctx, const struct choice *to, struct policy_end *end)
{
	struct bpf_sock_tuple tuple = {};
	__u32 size = sizeof(tuple.ipv6);
	struct bpf_sock *called;

	if (!to || !end || !is_shared(ctx, &to->address))
		return 0;
	if (is_v4(&to->address)) {
		tuple.ipv4.daddr = to->address.w[3];
		tuple.ipv4.dport = to->port;
		size = sizeof(tuple.ipv4);
	} else {
		__builtin_memcpy(tuple.ipv6.daddr, to->address.w, sizeof(to->address.w));
		tuple.ipv6.dport = to->port;
	}
	if (ctx->protocol == IPPROTO_UDP)
		called = bpf_sk_lookup_udp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	else
		called = bpf_sk_lookup_tcp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!called)
		return 0;
	end->sk = (unsigned long)called;
	end->cgroup = cgroup_of_tcp(called);
	bpf_sk_release(called);
	return 0;
}

/* Asks policy about a call to what was chosen. */
static __always_inline void judge_call(struct bpf_sock_addr *ctx, const struct choice *to,
				       __u8 protocol, struct policy_case *c)
{
	struct bpf_sock *sk = ctx->sk;

	c->own = SST_ROLE_CLIENT;
	c->end[SST_ROLE_CLIENT].sk = (unsigned long)sk;
	c->end[SST_ROLE_SERVER].address = to->address;
	c->port = bpf_ntohs(to->port);
	c->protocol = protocol;
	c->counts = COUNT_ALLOWED | COUNT_DENIED;
	if (sk) {
		c->end[SST_ROLE_CLIENT].cgroup = cgroup_of_tcp(sk);
		address_bound(sk, &c->end[SST_ROLE_CLIENT].address);
	}
	sst_called(ctx, to, &c->end[SST_ROLE_SERVER]);
	judge(c, bpf_get_netns_cookie(ctx));
}

/* A record of an earlier use of the socket must not speak for this one. */
static __always_inline void forget(struct bpf_sock_addr *ctx, __u8 protocol)
{
	struct bpf_sock *sk = ctx->sk;

	if (sk && flow_of(sk))
		flow_start(sk, bpf_get_socket_cookie(ctx), protocol, SST_ROLE_CLIENT);
}

/* Writes down what was chosen and what was judged; NULL: nowhere. */
static __always_inline struct sst_flow *remember(struct bpf_sock_addr *ctx,
						 const struct sst_frontend_key *to,
						 const struct choice *choice,
						 const struct policy_case *c)
{
	struct bpf_sock *sk = ctx->sk;
	struct sst_flow *flow;

	if (!sk)
		return 0;
	flow = flow_start(sk, bpf_get_socket_cookie(ctx), to->protocol, SST_ROLE_CLIENT);
	if (!flow)
		return 0;
	flow_chose(flow, to, choice);
	flow->judgement = c->judgement;
	flow->generation = c->generation;
	flow->peer_told = !!c->end[SST_ROLE_SERVER].sk;
	return flow;
}

/* With whom a socket has exchanged datagrams it may go on, as long as the set is the same. */
static __always_inline void allow_datagrams(struct bpf_sock_addr *ctx, const struct choice *to,
					    const struct policy_case *c)
{
	if (c->flags & SST_POLICY_RULES)
		sst_datagram_remember(bpf_get_socket_cookie(ctx), &to->address, to->port, c);
}

static __always_inline enum sst_counter do_connect(struct bpf_sock_addr *ctx,
						   const struct sst_frontend_key *to,
						   struct choice *choice, struct policy_case *c)
{
	enum sst_counter reason;
	struct sst_flow *flow;
	struct books books;
	int wanted;

	if (!to->protocol)
		return SST_COUNTER_CONNECT_PROTOCOL;
	reason = sst_choose(ctx, to, choice);
	if (reason == SST_COUNTER_CONNECT_NO_SERVICE)
		choose_asked(ctx, to, choice);
	else if (reason != SST_COUNTER_CONNECT_TRANSLATED || !ctx->sk)
		goto forget;
	wanted = policy_wanted();
	if (reason == SST_COUNTER_CONNECT_NO_SERVICE && !wanted)
		goto forget;
	if (wanted)
		judge_call(ctx, choice, to->protocol, c);
	flow = remember(ctx, to, choice, c);
	if (to->protocol != IPPROTO_UDP || c->denied)
		return reason;
	/* a v6 socket connected to a mapped address passes sendmsg4 with each datagram */
	allow_datagrams(ctx, choice, c);
	if (flow) {
		c->end[SST_ROLE_CLIENT].sk = (unsigned long)ctx->sk;
		sst_flow_connected(flow, c);
	}
	if (choice->service) {
		books_begin(&books, choice->service, choice->endpoint);
		books_add(&books, udp_connected, 1);
	}
	return reason;
forget:
	forget(ctx, to->protocol);
	return reason == SST_COUNTER_CONNECT_TRANSLATED ? SST_COUNTER_CONNECT_UNDECIDED : reason;
}

static __always_inline void judge_datagram(struct bpf_sock_addr *ctx, const struct choice *to,
					   struct policy_case *c)
{
	if (!policy_rules() ||
	    sst_datagram_is_known(bpf_get_socket_cookie(ctx), &to->address, to->port))
		return;
	judge_call(ctx, to, IPPROTO_UDP, c);
	if (!c->denied)
		allow_datagrams(ctx, to, c);
}

static __always_inline enum sst_counter do_sendmsg(struct bpf_sock_addr *ctx,
						   const struct sst_frontend_key *to,
						   struct choice *choice, struct policy_case *c)
{
	enum sst_counter reason;
	struct books books;

	if (!to->protocol)
		return SST_COUNTER_CONNECT_PROTOCOL;
	reason = sst_chosen_datagram(ctx, to, choice);
	if (reason == UDP_CHOOSE) {
		reason = sst_choose(ctx, to, choice);
		if (reason == SST_COUNTER_CONNECT_TRANSLATED)
			sst_keep_datagram(ctx, to, choice);
	}
	if (reason == SST_COUNTER_CONNECT_NO_SERVICE)
		choose_asked(ctx, to, choice);
	else if (reason != SST_COUNTER_CONNECT_TRANSLATED)
		return reason;
	judge_datagram(ctx, choice, c);
	if (choice->service && !c->denied) {
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
	struct policy_case c = {};
	struct sst_frontend_key to;
	enum sst_counter reason;

	destination_v4(ctx, &to);
	reason = do_connect(ctx, &to, &choice, &c);
	if (reason == SST_COUNTER_CONNECT_TRANSLATED)
		rewrite_v4(ctx, &choice.address, choice.port);
	return verdict(ctx, reason, &choice, &c);
}

SEC("cgroup/connect6")
int sst_connect6(struct bpf_sock_addr *ctx)
{
	struct choice choice = {};
	struct policy_case c = {};
	struct sst_frontend_key to;
	enum sst_counter reason;

	destination_v6(ctx, &to);
	reason = do_connect(ctx, &to, &choice, &c);
	if (reason == SST_COUNTER_CONNECT_TRANSLATED)
		rewrite_v6(ctx, &choice.address, choice.port);
	return verdict(ctx, reason, &choice, &c);
}

SEC("cgroup/sendmsg4")
int sst_sendmsg4(struct bpf_sock_addr *ctx)
{
	struct choice choice = {};
	struct policy_case c = {};
	struct sst_frontend_key to;
	enum sst_counter reason;

	destination_v4(ctx, &to);
	reason = do_sendmsg(ctx, &to, &choice, &c);
	if (reason == SST_COUNTER_CONNECT_TRANSLATED)
		rewrite_v4(ctx, &choice.address, choice.port);
	return verdict(ctx, reason, &choice, &c);
}

SEC("cgroup/sendmsg6")
int sst_sendmsg6(struct bpf_sock_addr *ctx)
{
	struct choice choice = {};
	struct policy_case c = {};
	struct sst_frontend_key to;
	enum sst_counter reason;

	destination_v6(ctx, &to);
	reason = do_sendmsg(ctx, &to, &choice, &c);
	if (reason == SST_COUNTER_CONNECT_TRANSLATED)
		rewrite_v6(ctx, &choice.address, choice.port);
	return verdict(ctx, reason, &choice, &c);
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
