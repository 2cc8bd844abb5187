/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who is calling: the caller's end says so while its SYN is under way, the called end finds
 * it by the SYN's sequence number and port.
 *
 * The two are its key, which tells where in an array it may be. That costs a fraction of a
 * hash map's insertion and deletion, which each connection would pay. An element has several
 * callers, and their keys side by side, in a line or two of the processor's cache: that nobody has
 * told of a SYN, as of each that another node sends, is told by them. A few elements are tried first, as
 * their memory is at hand, and count who found them full: only then others are looked at.
 */
#ifndef SIDESTEP_BPF_CALLER_H
#define SIDESTEP_BPF_CALLER_H

#include "lib/flow.h"
#include "lib/policy.h"

#define CALLER_TRIES 3 /* with 10,000 SYNs under way one in a million finds no place */

/* Keys have a bit that free places and claimed ones have not, whatever a packet says. */
#define CALLER_KEY     (1ULL << 48)
#define CALLER_CLAIMED 1 /* somebody is about to write there */

static __always_inline __u64 caller_key(__u32 sequence, __be16 port)
{
	return CALLER_KEY | (__u64)sequence << 16 | port;
}

static __always_inline __u32 caller_near(__u64 key)
{
	return sst_policy_mix(key) & (SST_CALLERS_NEAR - 1);
}

/* Other bits for each try, so that those who find one full do not all fill the next. */
static __always_inline __u32 caller_far(__u64 key, __u32 nth)
{
	return SST_CALLERS_NEAR + (sst_policy_mix(key) >> (5 + 12 * nth) & (SST_CALLERS_FAR - 1));
}

static __always_inline struct sst_callers *callers_at(__u32 index)
{
	return bpf_map_lookup_elem(&callers, &index);
}

/*
 * A place may be given to another caller any time. Its key goes first and the other's comes
 * last: what was copied is its own if the key still is there afterwards.
 */
static __always_inline int caller_copy(const struct sst_callers *from, __u64 key,
				       struct sst_caller *ret)
{
	for (__u32 i = 0; i < SST_CALLERS; i++) {
		if (from->key[i] != key)
			continue;
		*ret = from->caller[i];
		barrier();
		return from->key[i] == key;
	}
	return 0;
}

/* 0: nobody has told of this SYN. */
static __always_inline int caller_find(__u32 sequence, __be16 port, struct sst_caller *ret)
{
	__u64 key = caller_key(sequence, port);
	const struct sst_callers *near = callers_at(caller_near(key)), *far;

	if (!near)
		return 0;
	if (caller_copy(near, key, ret))
		return 1;
	if (!near->elsewhere)
		return 0;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < CALLER_TRIES; i++) {
		far = callers_at(caller_far(key, i));
		if (far && caller_copy(far, key, ret))
			return 1;
	}
	return 0;
}

/* Of the element's own places, SST_CALLERS: none is free. */
static __noinline __u32 caller_claim_in(__u32 index)
{
	struct sst_callers *in = callers_at(index);

	for (__u32 i = 0; in && i < SST_CALLERS; i++)
		if (!in->key[i] && !__sync_val_compare_and_swap(&in->key[i], 0, CALLER_CLAIMED))
			return i;
	return SST_CALLERS;
}

/* Where in `callers`, as index * (SST_CALLERS + 1) + place. */
static __always_inline __u32 caller_claim(__u64 key)
{
	__u32 index = caller_near(key), place = caller_claim_in(index);
	struct sst_callers *near;

	if (place < SST_CALLERS)
		return index * (SST_CALLERS + 1) + place;
	near = callers_at(index);
#pragma clang loop unroll(disable)
	for (__u32 i = 0; near && i < CALLER_TRIES; i++) {
		index = caller_far(key, i);
		place = caller_claim_in(index);
		if (place == SST_CALLERS)
			continue;
		__sync_fetch_and_add(&near->elsewhere, 1);
		return index * (SST_CALLERS + 1) + place;
	}
	return SST_CALLERS;
}

/* At TCP_CONNECT_CB the port and the sequence number of the SYN are chosen. */
static __always_inline void caller_tell(struct sst_flow *flow, struct tcp_sock *tp)
{
	const struct sst_policy_head *head = policy_head(policy_set());
	struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	__u64 key = caller_key(tp->write_seq, bpf_htons(sk->__sk_common.skc_num));
	struct sst_callers *in;
	struct sst_caller *caller;
	struct sst_addr remote;
	__u32 at, place;

	if (!head || !(head->flags & SST_POLICY_INGRESS))
		return;
	at = caller_claim(key);
	place = at % (SST_CALLERS + 1);
	in = callers_at(at / (SST_CALLERS + 1));
	if (!in || place >= SST_CALLERS) {
		count(SST_COUNTER_POLICY_CALLER_LOST);
		return;
	}
	flow->calling_as = at + 1;
	caller = &in->caller[place];
	caller->generation = flow->generation;
	address_of_socket(sk, &caller->address, &remote);
	caller->identity = flow->judgement.identity;
	caller->workload = flow->judgement.workload;
	caller->judged = judged_called(&flow->judgement);
	__sync_val_compare_and_swap(&in->key[place], CALLER_CLAIMED, key);
}

static __always_inline void caller_forget(struct sst_flow *flow)
{
	__u32 at = flow->calling_as - 1, place = at % (SST_CALLERS + 1);
	struct sst_callers *in, *near;

	if (!flow->calling_as)
		return;
	flow->calling_as = 0;
	in = callers_at(at / (SST_CALLERS + 1));
	if (!in || place >= SST_CALLERS)
		return;
	near = callers_at(caller_near(in->key[place]));
	in->key[place] = 0;
	if (near && near != in)
		__sync_fetch_and_sub(&near->elsewhere, 1);
}

#endif
