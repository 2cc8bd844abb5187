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

/*
 * Most connections of a node end soon, so most pairs have one of the places that their key
 * tells, whose memory is at hand: an element of the hash map is one of 40 MB, and has to be
 * allocated and to be freed by RCU. Pairs that find no place are in the hash map.
 */
#define PAIR_FIRST 256 /* places that are tried first */
#define PAIR_NEAR  2   /* tries there */
#define PAIR_TRIES 4   /* with those of all places */

static __always_inline __u32 pair_index(__u64 number, __u32 nth)
{
	__u32 places = nth < PAIR_NEAR ? PAIR_FIRST : SST_PAIR_PLACES;

	return (sst_policy_mix(number) + nth) & (places - 1);
}

/* Returns the place, 0: they are taken. */
static __always_inline __u32 pair_claim(const struct sst_pair_key *key, const struct sst_pair *pair)
{
	__u64 number = pair_number(key);

	for (__u32 i = 0; i < PAIR_TRIES; i++) {
		__u32 index = pair_index(number, i);
		struct sst_pair_place *place = bpf_map_lookup_elem(&pair_places, &index);

		/* nobody looks for it yet */
		if (place && !__sync_val_compare_and_swap(&place->key, 0, number)) {
			place->pair = *pair;
			return index + 1;
		}
	}
	return 0;
}

static __always_inline struct sst_pair *pair_find(const struct sst_pair_key *key, __u32 *place)
{
	__u64 number = pair_number(key);
	struct sst_pair_key own = *key;

	for (__u32 i = 0; i < PAIR_TRIES; i++) {
		__u32 index = pair_index(number, i);
		struct sst_pair_place *found = bpf_map_lookup_elem(&pair_places, &index);

		if (found && found->key == number) {
			*place = index + 1;
			return &found->pair;
		}
	}
	*place = SST_PAIR_ELSEWHERE;
	return bpf_map_lookup_elem(&pairs, &own);
}

/* By whoever comes second it is nobody's any more, or another's. */
static __always_inline void pair_delete(const struct sst_pair_key *key, __u32 place)
{
	struct sst_pair_key own = *key;
	struct sst_pair_place *found;
	__u32 index = place - 1;

	if (place == SST_PAIR_ELSEWHERE) {
		bpf_map_delete_elem(&pairs, &own);
		return;
	}
	found = bpf_map_lookup_elem(&pair_places, &index);
	if (found)
		__sync_val_compare_and_swap(&found->key, pair_number(&own), 0);
}

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
	long err;

	flow->place = pair_claim(&key, &pair);
	if (flow->place)
		return;
	err = bpf_map_update_elem(&pairs, &key, &pair, BPF_NOEXIST);
	if (!err)
		flow->place = SST_PAIR_ELSEWHERE;
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
static __always_inline struct sst_pair *pair_seat(const struct sst_pair_key *key, __u64 cookie,
						  struct tcp_sock *tp, __u32 *place)
{
	struct sst_pair *pair = pair_find(key, place);
	__u64 *seat;

	if (!pair)
		return 0;
	seat = &pair->end[SST_ROLE_SERVER].cookie;
	if (__sync_val_compare_and_swap(seat, 0, cookie) != 0)
		return 0;
	if (pair_at(key, *place) != pair) {
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
static __always_inline struct sst_pair *pair_of_seat(struct tcp_sock *tp, struct sst_pair_key *key,
						     __u32 *place)
{
	struct sst_pair *pair;

	key->client_seq = BPF_CORE_READ(tp, rcv_nxt) - (__u32)BPF_CORE_READ(tp, bytes_received);
	key->server_seq = BPF_CORE_READ(tp, snd_una) - (__u32)BPF_CORE_READ(tp, bytes_acked);
	pair = pair_find(key, place);
	return pair && pair->end[SST_ROLE_SERVER].sock == (unsigned long)tp ? pair : 0;
}

/* The server's record refers to the pair from now on, and it stays until both ends have
 * left. 0: the client has left already; then the last one to look deletes it. */
static __always_inline int pair_join(struct sst_flow *flow, struct sst_pair *pair, __u32 place)
{
	if (__sync_val_compare_and_swap(&pair->joined, 0, flow->cookie))
		return 0;
	if (pair_at(&flow->pair, place) != pair) {
		__sync_val_compare_and_swap(&pair->joined, flow->cookie, 0);
		return 0;
	}
	if (pair->ended) {
		pair_delete(&flow->pair, place);
		return 0;
	}
	flow->service = pair->service;
	flow->endpoint = pair->endpoint;
	flow->place = place;
	return 1;
}

/* The last end that refers to it deletes it. */
static __always_inline void pair_leave(struct sst_flow *flow, struct sst_pair *pair)
{
	__u32 mine = 1U << flow->role;
	__u32 ended = __sync_fetch_and_or(&pair->ended, mine) | mine;

	if (ended == 3 || !pair->joined)
		pair_delete(&flow->pair, flow->place);
}

#endif
