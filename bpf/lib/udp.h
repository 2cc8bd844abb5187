/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * UDP without connect(): a socket remembers which endpoint it was given for which
 * service, to stay with it and to show replies as the service's. Threads may send
 * on one socket at once, so the list has a lock.
 */
#ifndef SIDESTEP_BPF_UDP_H
#define SIDESTEP_BPF_UDP_H

#include "lib/service.h"

static __always_inline struct udp_peers *udp_peers_of(struct bpf_sock *sk, int create)
{
	return bpf_sk_storage_get(&udp_peers, sk, 0, create ? BPF_SK_STORAGE_GET_F_CREATE : 0);
}

/* The endpoint in use for what is asked, 0 if there is none or it has been idle too long. */
static __always_inline __u32 udp_recall(struct udp_peers *peers,
					const struct sst_frontend_key *asked, __u64 now)
{
	__u32 endpoint = 0;

	bpf_spin_lock(&peers->lock);
	for (int i = 0; i < SST_UDP_PEERS; i++) {
		struct sst_udp_peer *peer = &peers->peer[i];

		if (!peer->endpoint || peer->asked_port != asked->port ||
		    !address_equal(&peer->asked, &asked->address) ||
		    now - peer->used_ns > SST_UDP_STICKY_NS)
			continue;
		peer->used_ns = now;
		endpoint = peer->endpoint;
		break;
	}
	bpf_spin_unlock(&peers->lock);
	return endpoint;
}

/* Takes the entry of the same endpoint, a free one, or the least recently used. */
static __always_inline void udp_remember(struct udp_peers *peers, const struct sst_udp_peer *given)
{
	__u64 oldest = ~0ULL;
	int victim = 0, recycled = 0;

	bpf_spin_lock(&peers->lock);
	for (int i = 0; i < SST_UDP_PEERS; i++) {
		struct sst_udp_peer *peer = &peers->peer[i];

		if (peer->endpoint == given->endpoint) {
			victim = i;
			break;
		}
		if (peer->used_ns < oldest) {
			oldest = peer->used_ns;
			victim = i;
		}
	}
	/* always so; the verifier wants to see it */
	if (victim >= 0 && victim < SST_UDP_PEERS) {
		struct sst_udp_peer *peer = &peers->peer[victim];

		recycled = peer->endpoint && peer->endpoint != given->endpoint;
		*peer = *given;
	}
	bpf_spin_unlock(&peers->lock);
	if (recycled)
		count(SST_COUNTER_UDP_RECYCLED);
}

/* To be chosen: there is a service and no endpoint in use for it. */
#define UDP_CHOOSE SST_COUNTER_MAX

/* What the socket has for what is asked: the reason as of service_choose(), or UDP_CHOOSE. */
static __always_inline enum sst_counter
udp_chosen(struct bpf_sock_addr *ctx, const struct sst_frontend_key *asked, struct choice *choice)
{
	struct bpf_sock *sk = ctx->sk;
	struct sst_endpoint endpoint;
	struct sst_frontend frontend;
	struct udp_peers *peers;

	if (!frontend_find(ctx, asked, &frontend))
		return SST_COUNTER_CONNECT_NO_SERVICE;
	choice->service = frontend.service;
	peers = sk ? udp_peers_of(sk, 1) : 0;
	if (!peers) {
		count(SST_COUNTER_UDP_NO_RECORD);
		return SST_COUNTER_CONNECT_UNDECIDED;
	}
	choice->endpoint = udp_recall(peers, asked, bpf_ktime_get_boot_ns());
	if (!choice->endpoint || !endpoint_ready(choice->endpoint, frontend.service, &endpoint))
		return UDP_CHOOSE;
	choice->address = endpoint.address;
	choice->port = endpoint.port;
	return SST_COUNTER_CONNECT_TRANSLATED;
}

/* It stays with what was chosen. */
static __always_inline void udp_keep(struct bpf_sock_addr *ctx,
				     const struct sst_frontend_key *asked,
				     const struct choice *choice)
{
	struct sst_udp_peer given = {
		.asked = asked->address,
		.chosen = choice->address,
		.asked_port = asked->port,
		.chosen_port = choice->port,
		.endpoint = choice->endpoint,
		.used_ns = bpf_ktime_get_boot_ns(),
	};
	struct bpf_sock *sk = ctx->sk;
	struct udp_peers *peers = sk ? udp_peers_of(sk, 0) : 0;

	if (peers)
		udp_remember(peers, &given);
}

/* The endpoint that this socket knows by the address; 0: none. */
static __always_inline __u32 udp_endpoint(struct bpf_sock *sk, const struct sst_addr *address,
					  __be16 port)
{
	struct udp_peers *peers = udp_peers_of(sk, 0);
	__u32 found = 0;

	if (!peers)
		return 0;
	bpf_spin_lock(&peers->lock);
	for (int i = 0; i < SST_UDP_PEERS && !found; i++) {
		struct sst_udp_peer *peer = &peers->peer[i];

		if (peer->chosen_port == port && address_equal(&peer->chosen, address))
			found = peer->endpoint;
	}
	bpf_spin_unlock(&peers->lock);
	return found;
}

/* Turns an endpoint's address into the service's; 0 if this socket knows of none. */
static __always_inline int udp_reverse(struct bpf_sock *sk, struct sst_frontend_key *from)
{
	struct udp_peers *peers = udp_peers_of(sk, 0);
	int found = 0;

	if (!peers)
		return 0;
	bpf_spin_lock(&peers->lock);
	for (int i = 0; i < SST_UDP_PEERS; i++) {
		struct sst_udp_peer *peer = &peers->peer[i];

		if (!peer->endpoint || peer->chosen_port != from->port ||
		    !address_equal(&peer->chosen, &from->address))
			continue;
		from->address = peer->asked;
		from->port = peer->asked_port;
		found = 1;
		break;
	}
	bpf_spin_unlock(&peers->lock);
	return found;
}

#endif
