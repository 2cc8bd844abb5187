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

static __always_inline void pair_open(struct sst_flow *flow, struct tcp_sock *tp,
				      enum sst_permission allowed)
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
 * The server's end takes its seat; 0 when its client is not on this node. The client may
 * close at this very moment and its element be given to another connection: the seat is
 * taken by compare-and-swap, so nobody else's is overwritten, and given back when
 * the element turns out to be another's. Until then it does no harm, since a peer that
 * is not adopted gets nothing.
 */
static __always_inline struct sst_pair *pair_seat(struct sst_pair_key *key, __u64 cookie,
						  struct tcp_sock *tp)
{
	struct sst_pair *pair = bpf_map_lookup_elem(&pairs, key);
	__u64 *seat;

	if (!pair)
		return 0;
	seat = &pair->end[SST_ROLE_SERVER].cookie;
	if (__sync_val_compare_and_swap(seat, 0, cookie) != 0)
		return 0;
	if (bpf_map_lookup_elem(&pairs, key) != pair) {
		__sync_val_compare_and_swap(seat, cookie, 0);
		return 0;
	}
	pair->end[SST_ROLE_SERVER].sock = (unsigned long)tp;
	count(SST_COUNTER_PAIR_MADE);
	return pair;
}

/*
 * The pair of a server's end that has its seat and no record yet, since most connections
 * end before they need one. Its key can still be told: the first sequence numbers are
 * what came and went since, taken off where the connection is now.
 */
static __always_inline struct sst_pair *pair_of_seat(struct tcp_sock *tp, struct sst_pair_key *key)
{
	struct sst_pair *pair;

	key->client_seq = BPF_CORE_READ(tp, rcv_nxt) - (__u32)BPF_CORE_READ(tp, bytes_received);
	key->server_seq = BPF_CORE_READ(tp, snd_una) - (__u32)BPF_CORE_READ(tp, bytes_acked);
	pair = bpf_map_lookup_elem(&pairs, key);
	return pair && pair->end[SST_ROLE_SERVER].sock == (unsigned long)tp ? pair : 0;
}

/* The server's record refers to the pair from now on, and it stays until both ends have
 * left. 0: the client has left already; then the last one to look deletes it. */
static __always_inline int pair_join(struct sst_flow *flow, struct sst_pair *pair)
{
	struct sst_pair_key key = flow->pair;

	if (__sync_val_compare_and_swap(&pair->joined, 0, flow->cookie))
		return 0;
	if (bpf_map_lookup_elem(&pairs, &key) != pair) {
		__sync_val_compare_and_swap(&pair->joined, flow->cookie, 0);
		return 0;
	}
	if (pair->ended) {
		bpf_map_delete_elem(&pairs, &key);
		return 0;
	}
	flow->service = pair->service;
	flow->endpoint = pair->endpoint;
	flow->paired = 1;
	return 1;
}

/* The last end that refers to it deletes it. */
static __always_inline void pair_leave(struct sst_flow *flow, struct sst_pair *pair)
{
	__u32 mine = 1U << flow->role;
	__u32 ended = __sync_fetch_and_or(&pair->ended, mine) | mine;
	struct sst_pair_key key = flow->pair;

	if (ended == 3 || !pair->joined)
		bpf_map_delete_elem(&pairs, &key);
}

#endif
