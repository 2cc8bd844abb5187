/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Datagrams are counted where they leave and where they arrive; nothing is decided here. A
 * flow is what goes between two addresses and ports, and its client is who sent first. As
 * with TCP it is counted by its client's end where that is on this node.
 */
#include "maps.h"
#include "lib/edge.h"
#include "lib/flow.h"
#include "lib/packet.h"
#include "lib/sender.h"
#include "lib/udp.h"

/* A datagram, as a socket here sees it. */
struct seen {
	__u64 cookie;
	__u32 datagrams;
	__u32 leaves; /* 1: the socket sends it */
	__u32 role;   /* out: enum sst_role of the socket */
	/* Of edges and of the policy set, before the edge is looked for: what changes meanwhile
	 * makes what was found old. */
	__u32 edges;
	__u64 generation;
};

static __always_inline __u32 edges_generation(void)
{
	__u32 zero = 0;
	struct sst_edge_state *state = bpf_map_lookup_elem(&edge_state, &zero);

	return state ? state->generation : 0;
}

static __always_inline __u64 set_generation(void)
{
	const struct sst_policy_head *head = policy_head(policy_set());

	return head ? head->generation : 0;
}

enum { FOREIGN = 0, KNOWN = 1, NEW = 2 };

static __always_inline int look_at(struct sst_udp_flow *flow, const struct packet *packet,
				   struct seen *seen)
{
	__u64 now = bpf_ktime_get_boot_ns();

	if (flow->role != seen->role && now - flow->used_ns < SST_UDP_FLOW_NS)
		return FOREIGN;
	if (flow->cookie != seen->cookie || flow->edges != seen->edges ||
	    flow->generation != seen->generation)
		return NEW;
	flow->used_ns = now;
	sst_edge_datagrams(flow->edge, seen->leaves == (seen->role == SST_ROLE_CLIENT),
			   seen->datagrams, packet->payload, now);
	return KNOWN;
}

/* FOREIGN: the other end tells of it. KNOWN: counted. NEW: its edge must be found. All tell
 * the socket's role and the generations. */
__noinline int sst_udp_known(const struct packet *packet, struct seen *seen)
{
	struct sst_udp_flow *flow;
	struct sst_tuple tuple;

	if (!packet || !seen)
		return FOREIGN;
	seen->edges = edges_generation();
	seen->generation = set_generation();
	tuple_of(packet, &tuple);
	seen->role = seen->leaves ? SST_ROLE_CLIENT : SST_ROLE_SERVER;
	flow = bpf_map_lookup_elem(&udp_flows, &tuple);
	if (flow)
		return look_at(flow, packet, seen);
	tuple_back(packet, &tuple);
	flow = bpf_map_lookup_elem(&udp_flows, &tuple);
	if (!flow)
		return NEW;
	seen->role = !seen->role;
	return look_at(flow, packet, seen);
}

__noinline int sst_udp_begin(const struct packet *packet, const struct seen *seen, __u32 edge)
{
	struct sst_udp_flow flow = { .used_ns = bpf_ktime_get_boot_ns(), .edge = edge };
	struct sst_tuple tuple;
	int is_sent;

	if (!packet || !seen)
		return 0;
	is_sent = seen->leaves == (seen->role == SST_ROLE_CLIENT);
	if (is_sent)
		tuple_of(packet, &tuple);
	else
		tuple_back(packet, &tuple);
	flow.cookie = seen->cookie;
	flow.role = seen->role;
	flow.edges = seen->edges;
	flow.generation = seen->generation;
	bpf_map_update_elem(&udp_flows, &tuple, &flow, BPF_ANY);
	return sst_edge_datagrams(edge, is_sent, seen->datagrams, packet->payload, flow.used_ns);
}

/* What the socket asked for to get to this address. */
static __always_inline __u32 service_of(struct bpf_sock *sk, const struct sst_addr *address,
					__be16 port)
{
	struct sst_flow *flow = flow_of(sk);
	struct sst_endpoint *endpoint;
	__u32 id;

	if (flow && flow->service && sk->dst_port && flow->chosen_port == port &&
	    address_equal(&flow->chosen, address))
		return flow->service;
	id = udp_endpoint(sk, address, port);
	endpoint = id ? bpf_map_lookup_elem(&endpoints, &id) : 0;
	return endpoint ? endpoint->service : 0;
}

/* Who they are; of what cannot be told, nobody. */
static __always_inline void find_ends(struct bpf_sock *sk, const struct packet *packet,
				      const struct seen *seen, struct policy_case *c)
{
	int is_sent = seen->leaves == (seen->role == SST_ROLE_CLIENT), found = 0;

	c->end[SST_ROLE_CLIENT].address = is_sent ? packet->source : packet->target;
	c->end[SST_ROLE_SERVER].address = is_sent ? packet->target : packet->source;
	c->port = bpf_ntohs(is_sent ? packet->target_port : packet->source_port);
	c->end[c->own & 1].sk = (unsigned long)sk;
	if (!policy_set())
		return;
	if (!seen->leaves)
		sst_sender_recall(packet, c);
#pragma clang loop unroll(disable)
	for (int i = 0; i < POLICY_TRIES && !found; i++)
		found = !sst_find_workloads(c) && !sst_find_identities(c);
}

/* Global, as in policy.bpf.c; the programs are in ingress.bpf.c and egress.bpf.c. */
int sst_account(struct __sk_buff *skb, const struct packet *packet, int leaves)
{
	struct policy_case c = { .protocol = IPPROTO_UDP };
	struct seen seen = { .leaves = leaves };
	struct bpf_sock *sk = skb->sk;
	__u32 service = 0;

	sk = sk ? bpf_sk_fullsock(sk) : 0;
	if (!sk || !packet)
		return 0;
	seen.cookie = bpf_get_socket_cookie(skb);
	seen.datagrams = skb->gso_segs ? skb->gso_segs : 1;
	if (sst_udp_known(packet, &seen) != NEW)
		return 0;
	c.own = seen.role;
	find_ends(sk, packet, &seen, &c);
	if (seen.role == SST_ROLE_CLIENT && leaves)
		service = service_of(sk, &packet->target, packet->target_port);
	else if (seen.role == SST_ROLE_CLIENT)
		service = service_of(sk, &packet->source, packet->source_port);
	sst_udp_begin(packet, &seen, sst_edge_of_case(&c, service));
	return 0;
}
