/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What arrives at sockets of this node: the first packet of each flow is asked about, SYNs
 * at listeners and datagrams of peers that are not known yet. Attached only while there are
 * rules. Beside it sockets that would get around all hooks, and the answer to those who were
 * denied.
 */
#include "maps.h"
#include "lib/datagram.h"
#include "lib/record.h"

enum { DROP = 0, PASS = 1 };

/* ---- reading packets ----------------------------------------------------------------- */

struct packet {
	struct sst_addr source;
	struct sst_addr target;
	__u32 payload; /* where TCP's or UDP's header begins, from the network header on */
};

struct ports {
	__be16 source;
	__be16 target;
	__be32 sequence; /* TCP's */
};

#define IPV4_ADDRESSES 12
#define IPV6_NEXT      6
#define IPV6_ADDRESSES 8
#define IPV6_HEADER    40
#define TCP_FLAGS      13
#define TCP_SYN        0x02
#define TCP_ACK        0x10

#define load(skb, offset, to) \
	bpf_skb_load_bytes_relative(skb, offset, to, sizeof(*(to)), BPF_HDR_START_NET)

static __always_inline int read_v4(struct __sk_buff *skb, struct packet *packet)
{
	__be32 addresses[2];
	__u8 first;

	if (load(skb, 0, &first) || load(skb, IPV4_ADDRESSES, &addresses))
		return -1;
	address_from_v4(&packet->source, addresses[0]);
	address_from_v4(&packet->target, addresses[1]);
	packet->payload = (first & 15) * 4;
	return 0;
}

/* Extension headers that may stand before TCP or UDP: hop-by-hop, routing, destination. */
#define EXTENSIONS_MAX 6

static __always_inline int read_v6(struct __sk_buff *skb, __u8 protocol, struct packet *packet)
{
	struct {
		struct sst_addr source, target;
	} addresses;
	__u8 next;

	if (load(skb, IPV6_NEXT, &next) || load(skb, IPV6_ADDRESSES, &addresses))
		return -1;
	packet->source = addresses.source;
	packet->target = addresses.target;
	packet->payload = IPV6_HEADER;
	for (int i = 0; i < EXTENSIONS_MAX && next != protocol; i++) {
		__u8 header[2];

		if ((next != 0 && next != 43 && next != 60) || load(skb, packet->payload, &header))
			return -1;
		next = header[0];
		packet->payload += 8 + header[1] * 8;
	}
	return next == protocol ? 0 : -1;
}

static __always_inline int read_packet(struct __sk_buff *skb, __u8 protocol, struct packet *packet)
{
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return read_v4(skb, packet);
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return read_v6(skb, protocol, packet);
	return -1;
}

/* A packet that cannot be read: as what cannot be decided. */
static __always_inline int unreadable(void)
{
	struct sst_config *node = settings();
	int closed = node && node->fail_closed;

	count(closed ? SST_COUNTER_POLICY_PACKET_CLOSED : SST_COUNTER_POLICY_PACKET_OPEN);
	return closed ? DROP : PASS;
}

/* ---- deciding ------------------------------------------------------------------------- */

static __always_inline void ask(struct bpf_sock *sk, const struct packet *packet,
				const struct ports *ports, struct policy_case *c)
{
	c->own = SST_ROLE_SERVER;
	c->end[SST_ROLE_SERVER].sk = (unsigned long)sk;
	c->end[SST_ROLE_SERVER].address = packet->target;
	c->end[SST_ROLE_CLIENT].address = packet->source;
	c->port = bpf_ntohs(ports->target);
	c->protocol = sk->protocol;
	judge(c);
}

/* Where denied clients are answered, the next packet of this one is. Global as in
 * policy.bpf.c. */
int sst_announce(const struct policy_case *c)
{
	struct sst_answer_key key = {};
	__u64 generation;

	if (!c)
		return 0;
	key.remote = c->end[SST_ROLE_CLIENT].address;
	key.local = c->end[SST_ROLE_SERVER].address;
	key.port = bpf_htons(c->port);
	key.protocol = c->protocol;
	generation = c->generation;

	bpf_map_update_elem(&answers, &key, &generation, BPF_ANY);
	return 0;
}

static __always_inline int drop(struct __sk_buff *skb, const struct policy_case *c,
				const struct ports *ports)
{
	count(c->protocol == IPPROTO_TCP ? SST_COUNTER_POLICY_SYN_DROPPED
					 : SST_COUNTER_POLICY_DATAGRAM_DROPPED);
	sst_event_denied(c, bpf_get_socket_cookie(skb), ports->source, 0, 0);
	if (c->flags & SST_POLICY_ANSWER)
		sst_announce(c);
	return DROP;
}

/* A caller of this node has said who it is, and may have been judged already. */
static __always_inline int syn(struct __sk_buff *skb, struct bpf_sock *sk,
			       const struct packet *packet, const struct ports *ports,
			       struct policy_case *c)
{
	struct sst_caller_key key = { .sequence = bpf_ntohl(ports->sequence),
				      .port = ports->source };
	const struct sst_policy_head *head = policy_head(policy_set());
	struct sst_caller *caller = bpf_map_lookup_elem(&callers, &key);

	c->counts = COUNT_DENIED;
	if (caller && head && caller->judged && caller->generation == head->generation)
		return PASS;
	if (caller) {
		c->is_told = 1;
		c->caller_identity = caller->identity;
		c->caller_workload = caller->workload;
		c->counts |= COUNT_ALLOWED; /* its own end tells of it nowhere */
	}
	ask(sk, packet, ports, c);
	return c->denied ? drop(skb, c, ports) : PASS;
}

static __always_inline int listener(struct __sk_buff *skb, struct bpf_sock *sk,
				    struct policy_case *c)
{
	struct packet packet;
	struct ports ports;
	__u8 flags;

	if (read_packet(skb, IPPROTO_TCP, &packet) || load(skb, packet.payload, &ports) ||
	    load(skb, packet.payload + TCP_FLAGS, &flags))
		return unreadable();
	if ((flags & (TCP_SYN | TCP_ACK)) != TCP_SYN)
		return PASS;
	return syn(skb, sk, &packet, &ports, c);
}

/* Who sends from this node's own addresses is told by the socket that does. Global, as in
 * policy.bpf.c. */
__u64 sst_sender(struct __sk_buff *skb, const struct packet *packet, const struct ports *ports)
{
	struct bpf_sock_tuple tuple = {};
	__u32 size = sizeof(tuple.ipv6);
	struct bpf_sock *found;
	__u64 sk;

	if (!packet || !ports)
		return 0;
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		tuple.ipv4.saddr = packet->target.w[3];
		tuple.ipv4.daddr = packet->source.w[3];
		tuple.ipv4.sport = ports->target;
		tuple.ipv4.dport = ports->source;
		size = sizeof(tuple.ipv4);
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, packet->target.w, sizeof(packet->target));
		__builtin_memcpy(tuple.ipv6.daddr, packet->source.w, sizeof(packet->source));
		tuple.ipv6.sport = ports->target;
		tuple.ipv6.dport = ports->source;
	}
	found = bpf_sk_lookup_udp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!found)
		return 0;
	sk = (unsigned long)found;
	bpf_sk_release(found);
	return sk;
}

/* Its connect() was judged, and what it is connected to is all that reaches it. */
static __always_inline int was_judged(struct bpf_sock *sk)
{
	struct sst_flow *flow;

	if (!sk->dst_port)
		return 0;
	flow = flow_of(sk);
	return flow && flow->generation;
}

static __always_inline int datagram(struct __sk_buff *skb, struct bpf_sock *sk,
				    struct policy_case *c)
{
	__u64 cookie = bpf_get_socket_cookie(skb);
	struct packet packet;
	struct ports ports;

	if (was_judged(sk))
		return PASS;
	if (read_packet(skb, IPPROTO_UDP, &packet) || load(skb, packet.payload, &ports))
		return unreadable();
	if (sst_datagram_is_known(cookie, &packet.source, ports.source))
		return PASS;
	c->counts = COUNT_ALLOWED | COUNT_DENIED;
	if (is_loopback(&packet.source) || address_equal(&packet.source, &packet.target))
		c->end[SST_ROLE_CLIENT].sk = sst_sender(skb, &packet, &ports);
	ask(sk, &packet, &ports, c);
	if (c->denied)
		return drop(skb, c, &ports);
	if (c->flags & SST_POLICY_RULES)
		sst_datagram_remember(cookie, &packet.source, ports.source, c->generation);
	return PASS;
}

SEC("cgroup_skb/ingress")
int sst_ingress(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	struct policy_case c = {};

	if (!sk)
		return PASS;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return PASS;
	if (sk->protocol == IPPROTO_TCP && sk->state == BPF_TCP_LISTEN)
		return listener(skb, sk, &c);
	if (sk->protocol == IPPROTO_UDP)
		return datagram(skb, sk, &c);
	return PASS;
}

/* ---- answering ------------------------------------------------------------------------- */

/* Both families' fields are read before it is asked which: the compiler would make one
 * computed access of two, which the verifier refuses. */
static __always_inline void answer_key(const struct bpf_sk_lookup *ctx, struct sst_answer_key *key)
{
	__be32 remote_v4 = ctx->remote_ip4, local_v4 = ctx->local_ip4;

	for (int i = 0; i < 4; i++) {
		key->remote.w[i] = ctx->remote_ip6[i];
		key->local.w[i] = ctx->local_ip6[i];
	}
	if (ctx->family == AF_INET) {
		address_from_v4(&key->remote, remote_v4);
		address_from_v4(&key->local, local_v4);
	}
	key->port = bpf_htons(ctx->local_port);
	key->protocol = ctx->protocol;
}

/* No socket: the kernel answers as if nobody listened. Who was not denied yet is not known
 * here, where no listener has been found; the packet after the one that was dropped is. */
SEC("sk_lookup")
int sst_lookup(struct bpf_sk_lookup *ctx)
{
	const struct sst_policy_head *head = policy_head(policy_set());
	struct sst_answer_key key = {};
	__u64 *generation;

	if (!head || !(head->flags & SST_POLICY_ANSWER))
		return SK_PASS;
	answer_key(ctx, &key);
	generation = bpf_map_lookup_elem(&answers, &key);
	if (!generation || *generation != head->generation)
		return SK_PASS;
	count(SST_COUNTER_POLICY_ANSWERED);
	return SK_DROP;
}

/* ---- sockets that no hook sees ------------------------------------------------------------ */

static __always_inline enum sst_counter way_around(const struct bpf_sock *ctx)
{
	if (ctx->type == SOCK_RAW)
		return SST_COUNTER_POLICY_SOCKET_RAW;
	if (ctx->protocol == IPPROTO_UDPLITE)
		return SST_COUNTER_POLICY_SOCKET_UDPLITE;
	if (ctx->protocol == IPPROTO_SCTP || ctx->protocol == IPPROTO_DCCP)
		return SST_COUNTER_POLICY_SOCKET_OTHER;
	return SST_COUNTER_MAX;
}

SEC("cgroup/sock_create")
int sst_socket(struct bpf_sock *ctx)
{
	enum sst_counter way = way_around(ctx);
	struct policy_case c = { .end[SST_ROLE_CLIENT].sk = (unsigned long)ctx };

	if (way == SST_COUNTER_MAX)
		return PASS;
	if (sst_find_workloads(&c) || sst_find_identities(&c) || !c.selected)
		return PASS;
	count(way);
	return DROP;
}
