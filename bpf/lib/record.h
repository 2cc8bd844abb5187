/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Telling of a flow: one record for the iterator and for events. */
#ifndef SIDESTEP_BPF_RECORD_H
#define SIDESTEP_BPF_RECORD_H

#include "lib/event.h"
#include "lib/flow.h"
#include "lib/policy.h"
#include "lib/psock.h"

static __always_inline __u8 spliced_unread(struct sock *sk)
{
	struct sk_psock *psock = psock_of(sk);

	return psock && psock_unread(psock);
}

static __always_inline void record_pair(struct sst_record *record, struct sock *sk,
					const struct sst_flow *flow, const struct sst_pair *pair)
{
	const struct sst_pair_end *me, *peer;

	if (!pair)
		return;
	me = &pair->end[flow->role & 1];
	peer = &pair->end[!flow->role];
	record->peer_flow = peer->cookie;
	record->splice = me->state;
	if (me->state != SST_STATE_ADOPTED && me->state != SST_STATE_REDIRECTING)
		return;
	record->unread = spliced_unread(sk);
	if (pair->stopped)
		record->splice = SST_STATE_STICKY;
}

/* What every flow has, TCP or UDP. No byte of the record stays as it was. */
static __always_inline void record_common(struct sst_record *record, struct sock *sk,
					  const struct sst_flow *flow, enum sst_record_type type)
{
	__builtin_memset(record, 0, sizeof(*record));
	record->flow = flow->cookie;
	record->time_ns = bpf_ktime_get_boot_ns();
	record->opened_ns = flow->opened_ns ? flow->opened_ns : flow->started_ns;
	record->cgroup_id = sk->sk_cgrp_data.cgroup->kn->id;
	record->netns_ino = sk->__sk_common.skc_net.net->ns.inum;
	address_of_socket(sk, &record->local, &record->remote);
	record->local_port = bpf_htons(sk->__sk_common.skc_num);
	record->remote_port = sk->__sk_common.skc_dport;
	record->asked = flow->asked;
	record->asked_port = flow->asked_port;
	record->type = type;
	record->protocol = flow->protocol;
	record->role = flow->role;
	record->tcp_state = sk->__sk_common.skc_state;
	record->service = flow->service;
	record->endpoint = flow->endpoint;
	record->error = sk->sk_err;
	record->judgement = flow->judgement;
	record->edge = flow->edge;
	record->ending = flow->ending;
}

static __always_inline void record_tcp(struct sst_record *record, struct tcp_sock *tp,
				       const struct sst_flow *flow, const struct sst_pair *pair,
				       enum sst_record_type type)
{
	struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	struct traffic traffic;

	record_common(record, sk, flow, type);
	traffic_of(tp, flow, pair, &traffic);
	record->sent_bytes = traffic.sent;
	record->received_bytes = traffic.received;
	record->spliced_sent_bytes = traffic.spliced_sent;
	record->spliced_received_bytes = traffic.spliced_received;
	record->srtt_us = traffic.srtt_us;
	if (flow->role == SST_ROLE_CLIENT && flow->opened_ns)
		record->connect_us = (flow->opened_ns - flow->started_ns) / 1000;
	record->retransmits = traffic.retransmits;
	record_pair(record, sk, flow, pair);
}

static __always_inline void event_send(struct tcp_sock *tp, const struct sst_flow *flow,
				       const struct sst_pair *pair, enum sst_record_type type)
{
	struct sst_record *record = event_begin(type);

	if (!record)
		return;
	record_tcp(record, tp, flow, pair, type);
	event_end(record, type);
}

/* Of what policy denied; in policy.bpf.c. `caller` is the calling socket's port, 0: none yet. */
int sst_event_denied(const struct policy_case *c, __u64 cookie, __u32 caller, __u32 service,
		     __u32 endpoint);

#endif
