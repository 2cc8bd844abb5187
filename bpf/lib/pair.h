/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Finding the other end. At ESTABLISHED both ends know the first sequence number
 * of either direction, and nobody else has the same two: that tells 127.0.0.1 in one
 * network namespace from 127.0.0.1 in another and survives address translation on
 * the way. The client is always first, since its ACK is what establishes the server.
 */
#ifndef SIDESTEP_BPF_PAIR_H
#define SIDESTEP_BPF_PAIR_H

#include "lib/flow.h"

static __always_inline void pair_open(struct sst_flow *flow, struct tcp_sock *tp, int allowed)
{
	struct sst_pair pair = {
		.end[SST_ROLE_CLIENT] = { .cookie = flow->cookie, .sock = (unsigned long)tp },
		.service = flow->service,
		.endpoint = flow->endpoint,
		.allowed = allowed,
	};
	struct sst_pair_key key = flow->pair;
	long err = bpf_map_update_elem(&pairs, &key, &pair, BPF_NOEXIST);

	if (!err)
		flow->paired = 1;
	else
		count(err == -17 /* EEXIST */ ? SST_COUNTER_PAIR_CLASH : SST_COUNTER_PAIR_FULL);
}

/*
 * The server's end joins; 0 when its client is not on this node. The client may close
 * at this very moment and its element be given to another connection: the seat is
 * taken by compare-and-swap, so nobody else's is overwritten, and given back when
 * the element turns out to be another's. Until then it does no harm, since a peer that
 * is not adopted gets nothing.
 */
static __always_inline struct sst_pair *pair_join(struct sst_flow *flow, struct tcp_sock *tp)
{
	struct sst_pair_key key = flow->pair;
	struct sst_pair *pair = bpf_map_lookup_elem(&pairs, &key);
	__u64 *seat;

	if (!pair)
		return 0;
	seat = &pair->end[SST_ROLE_SERVER].cookie;
	if (__sync_val_compare_and_swap(seat, 0, flow->cookie) != 0)
		return 0;
	if (bpf_map_lookup_elem(&pairs, &key) != pair) {
		__sync_val_compare_and_swap(seat, flow->cookie, 0);
		return 0;
	}
	pair->end[SST_ROLE_SERVER].sock = (unsigned long)tp;
	flow->service = pair->service;
	flow->endpoint = pair->endpoint;
	flow->paired = 1;
	count(SST_COUNTER_PAIR_MADE);
	return pair;
}

/* The last end deletes; a client whose server never came is the last. */
static __always_inline void pair_leave(struct sst_flow *flow, struct sst_pair *pair)
{
	__u32 mine = 1U << flow->role;
	__u32 before = __sync_fetch_and_or(&pair->ended, mine);
	struct sst_pair_key key = flow->pair;

	if ((before | mine) == 3 || !pair->end[SST_ROLE_SERVER].cookie)
		bpf_map_delete_elem(&pairs, &key);
}

#endif
