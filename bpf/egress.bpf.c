/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What sockets of this node send: each datagram is counted, and told of while there are rules of
 * ingress, so that the end it arrives at knows who sent it. Nothing is decided here; connect() and
 * sendmsg() are asked before, the end it arrives at after. Of TCP there is nothing to do.
 */
#include "maps.h"
#include "lib/datagram.h"
#include "lib/packet.h"
#include "lib/sender.h"

enum { DROP = 0, PASS = 1 };

/* ---- what is told of senders ------------------------------------------------------------- */

/* Those below are global, as in policy.bpf.c; inlined, their keys would be on one stack. */
static __always_inline int is_under_way(const struct sst_sender *sender)
{
	return bpf_ktime_get_boot_ns() - sender->used_ns < SST_SENDER_NS;
}

int sst_sender_is(const struct packet *packet, __u32 identity, __u32 workload)
{
	struct sst_tuple key;
	struct sst_sender *sender;

	if (!packet)
		return 0;
	tuple_of(packet, &key);
	sender = bpf_map_lookup_elem(&senders, &key);
	if (sender && is_under_way(sender))
		return sender->identity == identity && sender->workload == workload;
	count(SST_COUNTER_POLICY_SENDER_LOST);
	return 0;
}

int sst_sender_recall(const struct packet *packet, struct policy_case *c)
{
	struct sst_tuple key;
	struct sst_sender sender;

	if (!packet || !c)
		return 0;
	tuple_of(packet, &key);
	if (!map_copy(&senders, &key, &sender) || !is_under_way(&sender))
		return 0;
	c->judged = sender.judged;
	c->judged_by = sender.generation;
	c->is_told = 1;
	c->told_identity = sender.identity;
	c->told_workload = sender.workload;
	return 0;
}

/* 1: it is told of as this socket's by this set; its time begins anew. */
__noinline int sst_sender_goes_on(const struct packet *packet, __u64 cookie, __u64 generation)
{
	struct sst_tuple key;
	struct sst_sender *sender;

	if (!packet)
		return 0;
	tuple_of(packet, &key);
	sender = bpf_map_lookup_elem(&senders, &key);
	if (!sender || sender->cookie != cookie || sender->generation != generation)
		return 0;
	sender->used_ns = bpf_ktime_get_boot_ns();
	return 1;
}

/* 0, or -1: it could not be told of. */
__noinline int sst_sender_tell(const struct packet *packet, __u64 cookie,
			       const struct policy_case *c)
{
	struct sst_sender sender = { .cookie = cookie, .used_ns = bpf_ktime_get_boot_ns() };
	struct sst_tuple key;

	if (!packet || !c)
		return -1;
	tuple_of(packet, &key);
	sender.generation = c->generation;
	sender.identity = c->judgement.identity;
	sender.workload = c->judgement.workload;
	sender.judged = c->judged_by == c->generation ? c->judged : 0;
	return bpf_map_update_elem(&senders, &key, &sender, BPF_ANY) ? -1 : 0;
}

/* ---- telling ------------------------------------------------------------------------------- */

/* Who it is, and what its connect() or sendmsg() was judged for. 0: the set is another one
 * each time it is looked at. */
static __always_inline int find_self(struct bpf_sock *sk, __u64 cookie, const struct packet *packet,
				     struct policy_case *c)
{
	int found = 0;

	c->end[SST_ROLE_CLIENT].sk = (unsigned long)sk;
	c->end[SST_ROLE_CLIENT].address = packet->source;
#pragma clang loop unroll(disable)
	for (int i = 0; i < POLICY_TRIES && !found; i++)
		found = !sst_find_workloads(c) && !sst_find_identities(c);
	/* of the node's own namespace it was without what networks say */
	if (c->end[SST_ROLE_CLIENT].is_home && c->flags & SST_POLICY_INGRESS_NETWORKS)
		return found;
	if (!judged_connected(sk, packet, c))
		sst_datagram_judged(cookie, &packet->target, packet->target_port, c);
	return found;
}

/* Global, as those above. 0: it must not leave. */
int sst_tell(struct __sk_buff *skb, const struct packet *packet, __u64 generation)
{
	struct policy_case c = { .own = SST_ROLE_CLIENT };
	__u64 cookie = bpf_get_socket_cookie(skb);
	struct bpf_sock *sk = skb->sk;

	sk = sk ? bpf_sk_fullsock(sk) : 0;
	if (!sk || !packet || stays_within(packet) ||
	    sst_sender_goes_on(packet, cookie, generation))
		return PASS;
	if (find_self(sk, cookie, packet, &c) && !sst_sender_tell(packet, cookie, &c))
		return PASS;
	/* at its address may be somebody else's workload, which is let in */
	count(SST_COUNTER_POLICY_SENDER_LOST);
	return DROP;
}

/* Of the set by which it is to be told of; 0: there are no rules of ingress. */
static __always_inline __u64 generation_to_tell(void)
{
	const struct sst_policy_head *head = policy_head(policy_set());

	return head && head->flags & SST_POLICY_INGRESS ? head->generation : 0;
}

static __always_inline int leaves(struct __sk_buff *skb)
{
	struct packet packet = { .protocol = IPPROTO_UDP };
	__u64 generation = generation_to_tell();
	int counts = edges_wanted();

	/* what cannot be read cannot be where it arrives either */
	if ((!generation && !counts) || sst_read_packet(skb, &packet))
		return PASS;
	if (counts)
		sst_account(skb, &packet, 1);
	return generation && !sst_tell(skb, &packet, generation) ? DROP : PASS;
}

SEC("cgroup_skb/egress")
int sst_egress(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	if (is_plain_tcp(skb) || !sk)
		return PASS;
	sk = bpf_sk_fullsock(sk);
	return sk && sk->protocol == IPPROTO_UDP ? leaves(skb) : PASS;
}
