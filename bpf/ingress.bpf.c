/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What arrives at sockets of this node: while there are rules of ingress the first packet of each
 * flow is asked about, SYNs at listeners and datagrams of peers that are not known yet; and
 * datagrams are counted. Other packets of TCP leave at once. Beside it sockets that would get
 * around all hooks, and the answer to those who were denied.
 */
#include "maps.h"
#include "lib/caller.h"
#include "lib/datagram.h"
#include "lib/packet.h"
#include "lib/record.h"
#include "lib/sender.h"

enum { DROP = 0, PASS = 1 };

/* ---- reading packets ----------------------------------------------------------------- */

/* Headers as far as they are read, each by one call: it is the calls that take the time. */
struct ipv4_header {
	__u8 first;
	__u8 others[11];
	__be32 source;
	__be32 target;
};

struct ipv6_header {
	__u8 others[6];
	__u8 next;
	__u8 hops;
	struct sst_addr source;
	struct sst_addr target;
};

struct tcp_header {
	__be16 source;
	__be16 target;
	__be32 sequence;
	__be32 acknowledged;
	__u8 offset;
	__u8 flags;
	__be16 window;
};

#define load(skb, offset, to) \
	bpf_skb_load_bytes_relative(skb, offset, to, sizeof(*(to)), BPF_HDR_START_NET)

/* Returns where TCP's or UDP's header begins, from the network header on; 0: unreadable. */
static __always_inline __u32 read_v4(struct __sk_buff *skb, struct packet *packet)
{
	struct ipv4_header header;

	if (load(skb, 0, &header))
		return 0;
	address_from_v4(&packet->source, header.source);
	address_from_v4(&packet->target, header.target);
	return (header.first & 15) * 4;
}

/* Extension headers that may stand before TCP or UDP. */
#define HEADER_HOP_BY_HOP  0
#define HEADER_ROUTING     43
#define HEADER_FRAGMENT    44 /* of a whole packet: else it would have been put together */
#define HEADER_DESTINATION 60
#define EXTENSIONS_MAX     6

static __always_inline int is_extension(__u8 next)
{
	return next == HEADER_HOP_BY_HOP || next == HEADER_ROUTING || next == HEADER_FRAGMENT ||
	       next == HEADER_DESTINATION;
}

static __always_inline __u32 read_v6(struct __sk_buff *skb, struct packet *packet)
{
	__u32 offset = sizeof(struct ipv6_header);
	struct ipv6_header header;
	__u8 next;

	if (load(skb, 0, &header))
		return 0;
	packet->source = header.source;
	packet->target = header.target;
	next = header.next;
	for (int i = 0; i < EXTENSIONS_MAX && next != packet->protocol; i++) {
		__u8 extension[2];

		if (!is_extension(next) || load(skb, offset, &extension))
			return 0;
		offset += 8 + (next == HEADER_FRAGMENT ? 0 : extension[1] * 8);
		next = extension[0];
	}
	return next == packet->protocol ? offset : 0;
}

struct udp_header {
	__be16 source;
	__be16 target;
	__be16 length; /* of header and payload */
	__be16 checksum;
};

static __always_inline int read_tcp(struct __sk_buff *skb, __u32 offset, struct packet *packet)
{
	struct tcp_header header;

	if (load(skb, offset, &header))
		return -1;
	packet->source_port = header.source;
	packet->target_port = header.target;
	packet->sequence = header.sequence;
	packet->flags = header.flags;
	return 0;
}

static __always_inline int read_udp(struct __sk_buff *skb, __u32 offset, struct packet *packet)
{
	struct udp_header header;

	if (load(skb, offset, &header))
		return -1;
	packet->source_port = header.source;
	packet->target_port = header.target;
	packet->payload = bpf_ntohs(header.length) - sizeof(header);
	return 0;
}

/* Most are IPv4 without options, in one piece: read where they lie, which takes no call. 0: this
 * one is not. */
static __always_inline int read_plain(struct __sk_buff *skb, struct packet *packet)
{
	const struct {
		struct ipv4_header ip;
		union {
			struct udp_header udp;
			struct tcp_header tcp;
		};
	} *at = (const void *)(long)skb->data;
	const void *end = (const void *)(long)skb->data_end;

	if ((const void *)(&at->udp + 1) > end || at->ip.first != 0x45)
		return 0;
	if (packet->protocol == IPPROTO_TCP) {
		if ((const void *)(&at->tcp + 1) > end)
			return 0;
		packet->sequence = at->tcp.sequence;
		packet->flags = at->tcp.flags;
	} else {
		packet->payload = bpf_ntohs(at->udp.length) - sizeof(at->udp);
	}
	address_from_v4(&packet->source, at->ip.source);
	address_from_v4(&packet->target, at->ip.target);
	packet->source_port = at->udp.source;
	packet->target_port = at->udp.target;
	return 1;
}

/* Global, as in policy.bpf.c. */
int sst_read_packet(struct __sk_buff *skb, struct packet *packet)
{
	__u32 offset = 0;

	if (!packet)
		return -1;
	if (read_plain(skb, packet))
		return 0;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		offset = read_v4(skb, packet);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		offset = read_v6(skb, packet);
	if (!offset)
		return -1;
	return packet->protocol == IPPROTO_TCP ? read_tcp(skb, offset, packet)
					       : read_udp(skb, offset, packet);
}

/* ---- who sends ------------------------------------------------------------------------- */

/*
 * A caller of this node has said who it is. The one it calls sees the SYN, too, and may send
 * its like: it is the caller's when it comes from the caller's address, or from one of the
 * node's, as which the caller's may have been translated.
 */
int sst_find_caller(const struct packet *packet, struct policy_case *c)
{
	struct sst_caller caller;

	if (!packet || !c)
		return 0;
	c->counts = COUNT_DENIED;
	if (!caller_find(bpf_ntohl(packet->sequence), packet->source_port, &caller))
		return 0;
	if (!address_equal(&caller.address, &packet->source) && !sst_is_host(&packet->source))
		return 0;
	c->judged = caller.judged;
	c->judged_by = caller.generation;
	c->is_told = 1;
	c->told_identity = caller.identity;
	c->told_workload = caller.workload;
	c->counts |= COUNT_ALLOWED; /* its own end tells of it nowhere */
	return 0;
}

/* Who sends a datagram from this node's own addresses is told by the socket that does, which
 * may have been judged already. */
int sst_find_sender(struct __sk_buff *skb, const struct packet *packet, struct policy_case *c)
{
	struct bpf_sock_tuple tuple = {};
	__u32 size = sizeof(tuple.ipv6);
	struct bpf_sock *found;
	struct sock *sk;
	int judged;

	if (!packet || !c)
		return 0;
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		tuple.ipv4.saddr = packet->target.w[3];
		tuple.ipv4.daddr = packet->source.w[3];
		tuple.ipv4.sport = packet->target_port;
		tuple.ipv4.dport = packet->source_port;
		size = sizeof(tuple.ipv4);
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, packet->target.w, sizeof(packet->target));
		__builtin_memcpy(tuple.ipv6.daddr, packet->source.w, sizeof(packet->source));
		tuple.ipv6.sport = packet->target_port;
		tuple.ipv6.dport = packet->source_port;
	}
	found = bpf_sk_lookup_udp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!found)
		return 0;
	judged = judged_connected(found, packet, c);
	sk = (struct sock *)(unsigned long)found;
	bpf_sk_release(found);
	if (!judged)
		sst_datagram_judged(BPF_CORE_READ(sk, __sk_common.skc_cookie.counter),
				    &packet->target, packet->target_port, c);
	c->end[SST_ROLE_CLIENT].sk = (unsigned long)sk;
	return 0;
}

/* A connected socket was judged, and what it is connected to is all that reaches it. */
static __always_inline int was_judged(struct bpf_sock *sk)
{
	struct sst_flow *flow;

	if (!sk->dst_port)
		return 0;
	flow = flow_of(sk);
	return flow && flow->generation;
}

/* ---- deciding ------------------------------------------------------------------------- */

/* Where denied clients are answered, the next packet of this one is. */
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

/* An address of this node may be several callers', of whom others are let in. */
static __always_inline int is_remote(const struct policy_case *c)
{
	const struct policy_end *caller = &c->end[SST_ROLE_CLIENT];

	return !c->is_told && !caller->sk && !caller->is_local &&
	       caller->identity != SST_IDENTITY_HOST;
}

int sst_keep_out(struct __sk_buff *skb, const struct policy_case *c, const struct packet *packet)
{
	if (!c || !packet)
		return DROP;
	count(c->protocol == IPPROTO_TCP ? SST_COUNTER_POLICY_SYN_DROPPED
					 : SST_COUNTER_POLICY_DATAGRAM_DROPPED);
	sst_call_denied(c, 0);
	sst_event_denied(c, bpf_get_socket_cookie(skb), packet->source_port, 0, 0);
	if (c->flags & SST_POLICY_ANSWER && is_remote(c))
		sst_announce(c);
	return DROP;
}

/* Whoever may send may be answered. */
static __always_inline void let_in(struct __sk_buff *skb, const struct packet *packet,
				   const struct policy_case *c)
{
	if (packet->protocol == IPPROTO_UDP && c->generation)
		sst_datagram_remember(bpf_get_socket_cookie(skb), &packet->source,
				      packet->source_port, c);
}

/* 1: it is the first of its flow, as far as can be told without asking who sends it. */
static __always_inline int is_first(struct __sk_buff *skb, const struct packet *packet)
{
	if (packet->protocol == IPPROTO_TCP)
		return (packet->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	return !sst_datagram_arrives(bpf_get_socket_cookie(skb), packet);
}

static __always_inline void find_peer(struct __sk_buff *skb, const struct packet *packet,
				      struct policy_case *c)
{
	if (packet->protocol == IPPROTO_TCP) {
		sst_find_caller(packet, c);
		return;
	}
	c->counts = COUNT_ALLOWED | COUNT_DENIED;
	if (stays_within(packet))
		sst_find_sender(skb, packet, c);
	else
		sst_sender_recall(packet, c);
}

static __always_inline int judge_first(struct __sk_buff *skb, struct bpf_sock *sk,
				       const struct packet *packet)
{
	struct policy_case c = { .own = SST_ROLE_SERVER };

	find_peer(skb, packet, &c);
	c.end[SST_ROLE_SERVER].sk = (unsigned long)sk;
	c.end[SST_ROLE_SERVER].cgroup = cgroup_of_tcp(sk);
	c.end[SST_ROLE_SERVER].address = packet->target;
	c.end[SST_ROLE_CLIENT].address = packet->source;
	c.port = bpf_ntohs(packet->target_port);
	c.protocol = packet->protocol;
	judge(&c, netns_of_tcp(sk));
	if (c.denied)
		return sst_keep_out(skb, &c, packet) ? PASS : DROP;
	if (c.flags & SST_POLICY_RULES)
		let_in(skb, packet, &c);
	return PASS;
}

/* Global, as in policy.bpf.c: what it needs of the stack sst_account() had before. 0: kept out. */
int sst_admit(struct __sk_buff *skb, const struct packet *packet)
{
	struct bpf_sock *sk = skb->sk;

	sk = sk ? bpf_sk_fullsock(sk) : 0;
	if (!sk || !packet || !is_first(skb, packet))
		return PASS;
	return judge_first(skb, sk, packet);
}

/* Whether rules are to be asked of what arrives: also when a set should be there and is not. */
static __always_inline int is_ruled(void)
{
	const struct sst_policy_head *head = policy_head(policy_set());

	return head ? !!(head->flags & SST_POLICY_INGRESS) : policy_wanted();
}

static __always_inline int arrives(struct __sk_buff *skb, struct bpf_sock *sk)
{
	struct packet packet = { .protocol = sk->protocol };
	int is_datagram = sk->protocol == IPPROTO_UDP;
	int counts = is_datagram && edges_wanted();
	int ruled = is_ruled() && !(is_datagram && was_judged(sk));

	if (!counts && !ruled)
		return PASS;
	if (sst_read_packet(skb, &packet)) {
		if (!ruled)
			return PASS;
		/* nothing of ours has failed: its sender piles up headers, and must not get in by that */
		count(SST_COUNTER_POLICY_PACKET_UNREADABLE);
		return DROP;
	}
	if (counts)
		sst_account(skb, &packet, 0);
	return ruled && !sst_admit(skb, &packet) ? DROP : PASS;
}

SEC("cgroup_skb/ingress")
int sst_ingress(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	if (!sk)
		return PASS;
	if (is_plain_tcp(skb) && (sk->state != BPF_TCP_LISTEN || is_plain_reply(skb)))
		return PASS;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return PASS;
	if (sk->protocol == IPPROTO_TCP ? sk->state != BPF_TCP_LISTEN : sk->protocol != IPPROTO_UDP)
		return PASS;
	return arrives(skb, sk);
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

/* 1: some policy is about it, or nobody can tell and the node fails closed. */
static __always_inline int judge_socket(struct policy_case *c)
{
	int found = 0;

#pragma clang loop unroll(disable)
	for (int i = 0; i < POLICY_TRIES && !found; i++)
		found = !sst_find_workloads(c) && !sst_find_identities(c);
	if (found)
		return c->selected;
	c->counts = COUNT_ALLOWED | COUNT_DENIED;
	sst_close(c, 0);
	return c->denied;
}

SEC("cgroup/sock_create")
int sst_socket(struct bpf_sock *ctx)
{
	enum sst_counter way = way_around(ctx);
	struct policy_case c = { .end[SST_ROLE_CLIENT].sk = (unsigned long)ctx };

	if (way == SST_COUNTER_MAX || !policy_wanted())
		return PASS;
	if (!judge_socket(&c))
		return PASS;
	count(way);
	return DROP;
}
