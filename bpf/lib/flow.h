/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The record of one end of a flow in its socket's storage, and the way its bytes
 * get into the statistics while it lives and when it ends. */
#ifndef SIDESTEP_BPF_FLOW_H
#define SIDESTEP_BPF_FLOW_H

#include "lib/address.h"
#include "lib/count.h"
#include "lib/edge.h"
#include "lib/service.h"

#define flow_of(sk) ((struct sst_flow *)bpf_sk_storage_get(&flows, sk, 0, 0))

/* A fresh record; a socket may be used again after a failed connect() or a disconnect. */
static __always_inline struct sst_flow *flow_start(struct bpf_sock *sk, __u64 cookie, __u8 protocol,
						   enum sst_role role)
{
	struct sst_flow *flow = bpf_sk_storage_get(&flows, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (!flow) {
		count(SST_COUNTER_FLOW_NO_RECORD);
		return 0;
	}
	if (flow->cookie)
		__builtin_memset(flow, 0, sizeof(*flow));
	flow->cookie = cookie;
	flow->started_ns = bpf_ktime_get_boot_ns();
	flow->protocol = protocol;
	flow->role = role;
	return flow;
}

static __always_inline void flow_chose(struct sst_flow *flow, const struct sst_frontend_key *asked,
				       const struct choice *choice)
{
	if (choice->service) {
		flow->asked = asked->address;
		flow->asked_port = asked->port;
	}
	flow->chosen = choice->address;
	flow->chosen_port = choice->port;
	flow->service = choice->service;
	flow->endpoint = choice->endpoint;
	flow->splice = choice->splice;
}

/* Whether the socket still is where the connect hook sent it: a UDP socket may have
 * been disconnected since, which no hook tells. */
static __always_inline int flow_is_current(const struct sst_flow *flow, struct sock *sk)
{
	struct sst_addr local, remote;

	address_of_socket(sk, &local, &remote);
	return sk->__sk_common.skc_dport == flow->chosen_port &&
	       address_equal(&remote, &flow->chosen);
}

static __always_inline __u64 pair_number(const struct sst_pair_key *key)
{
	return (__u64)key->client_seq << 32 | key->server_seq;
}

/* What lies at a place, if it is this pair. */
static __always_inline struct sst_pair *pair_at(const struct sst_pair_key *key, __u32 place)
{
	struct sst_pair_key own = *key;
	struct sst_pair_place *found;
	__u32 index = place - 1;

	if (place == SST_PAIR_ELSEWHERE)
		return bpf_map_lookup_elem(&pairs, &own);
	found = bpf_map_lookup_elem(&pair_places, &index);
	return found && found->key == pair_number(&own) ? &found->pair : 0;
}

static __always_inline struct sst_pair *pair_of(const struct sst_flow *flow)
{
	return flow->place ? pair_at(&flow->pair, flow->place) : 0;
}

static __always_inline void traffic_of(struct tcp_sock *tp, const struct sst_flow *flow,
				       const struct sst_pair *pair, struct traffic *traffic)
{
	__u64 flags = tp->inet_conn.icsk_inet.sk.__sk_common.skc_flags;
	__u64 fin = flags >> bpf_core_enum_value(enum sock_flags, SOCK_DONE) & 1;

	traffic->sent = tp->bytes_sent - tp->bytes_retrans;
	/* the kernel counts a received FIN as a byte */
	traffic->received = tp->bytes_received - fin;
	traffic->retransmits = tp->total_retrans;
	traffic->srtt_us = tp->srtt_us >> 3;
	traffic->spliced_sent = flow->counted_spliced_sent;
	traffic->spliced_received = flow->counted_spliced_received;
	if (!pair)
		return;
	traffic->spliced_sent = pair->end[flow->role & 1].spliced_bytes;
	traffic->spliced_received = pair->end[!flow->role].spliced_bytes;
}

#endif
