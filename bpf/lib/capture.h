/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Telling of messages, for people who reach for tcpdump: it no longer sees those that
 * go past TCP. While no capture runs a message pays one look into an array.
 *
 * Payload is read where it lies: the helpers that would make all of a message readable
 * change it. So what can be recorded is its first piece, which is nearly always
 * all of a small message, and before 6.5 nothing of what sendfile() or splice() sends.
 */
#ifndef SIDESTEP_BPF_CAPTURE_H
#define SIDESTEP_BPF_CAPTURE_H

#include "lib/flow.h"

/* Readers poll, and are woken when this much waits. */
#define CAPTURE_WAKE_BYTES (256 * 1024)

static __always_inline struct sst_capture *capture_running(void)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&capture, &key);
}

static __always_inline int capture_wants(const struct sst_capture *capture,
					 const struct sst_pair *pair)
{
	__u32 service = pair->service;

	if (capture->flow)
		return capture->flow == pair->end[SST_ROLE_CLIENT].cookie ||
		       capture->flow == pair->end[SST_ROLE_SERVER].cookie;
	return bpf_map_lookup_elem(&captured, &service) != 0;
}

/* One more message, unless the capture's time or number is up: then it ends here. */
static __always_inline int capture_takes(struct sst_capture *capture, __u64 deadline, __u64 now)
{
	if (now < deadline && __sync_fetch_and_add(&capture->taken, 1) < capture->limit)
		return 1;
	/* unless the next capture has begun */
	__sync_val_compare_and_swap(&capture->deadline_ns, deadline, 0);
	return 0;
}

/* The verifier wants sizes that are constants, so records come in a few. */
static __always_inline struct sst_message *message_reserve(__u32 payload)
{
	const __u32 head = sizeof(struct sst_message);

	if (!payload)
		return bpf_ringbuf_reserve(&messages, head, 0);
	if (payload <= 256)
		return bpf_ringbuf_reserve(&messages, head + 256, 0);
	if (payload <= 1024)
		return bpf_ringbuf_reserve(&messages, head + 1024, 0);
	if (payload <= 4096)
		return bpf_ringbuf_reserve(&messages, head + 4096, 0);
	return bpf_ringbuf_reserve(&messages, head + SST_PAYLOAD_MAX, 0);
}

/* Sequence numbers are the lower half of a place in a stream; TCP's own counters give the
 * rest, but count a SYN or a FIN here and there. */
static __always_inline __u64 widen(__u64 about, __u32 exact)
{
	return about + (__s32)(exact - (__u32)about);
}

/* Before the message is counted in me->spliced_bytes. */
static __always_inline void message_tell(struct sst_message *message, struct tcp_sock *tp,
					 const struct sst_flow *flow, const struct sst_pair *pair)
{
	struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	const struct sst_pair_end *me = &pair->end[flow->role & 1];
	__u32 first = flow->role == SST_ROLE_CLIENT ? flow->pair.client_seq : flow->pair.server_seq;
	__u64 queued = tp->bytes_acked + (__u32)(tp->write_seq - tp->snd_una);

	message->flow = flow->cookie;
	message->peer_flow = pair->end[!flow->role].cookie;
	message->offset = widen(queued, tp->write_seq - first) + me->spliced_bytes;
	address_of_socket(sk, &message->local, &message->remote);
	message->asked = flow->asked;
	message->local_port = bpf_htons(sk->__sk_common.skc_num);
	message->remote_port = sk->__sk_common.skc_dport;
	message->asked_port = flow->asked_port;
	message->role = flow->role;
	message->pad = 0;
	message->first = flow->pair;
	message->service = pair->service;
}

/* Read before the record is reserved: what it covers was reserved earlier, so comes earlier. */
static __always_inline __u64 acknowledged(struct tcp_sock *tp, const struct sst_flow *flow,
					  const struct sst_pair *pair)
{
	const struct sst_pair_end *peer = &pair->end[!flow->role];
	__u32 first = flow->role == SST_ROLE_CLIENT ? flow->pair.server_seq : flow->pair.client_seq;

	return widen(tp->bytes_received, tp->rcv_nxt - first) +
	       *(volatile __u64 *)&peer->spliced_bytes;
}

/* A function of its own for the verifier, too, which would else walk through it once for
 * each decision; so it finds the flow anew. */
__noinline int capture_take(struct sk_msg_md *msg, __u32 decision)
{
	void *data = (void *)(long)msg->data, *end = (void *)(long)msg->data_end;
	__u64 now = bpf_ktime_get_boot_ns(), deadline, acked, payload = end - data;
	struct sst_capture *wanted = capture_running();
	struct bpf_sock *sk = msg->sk;
	struct sst_message *message;
	struct sst_flow *flow;
	struct sst_pair *pair;
	struct tcp_sock *tp;

	if (!sk || !wanted)
		return 0;
	flow = flow_of(sk);
	pair = flow ? pair_of(flow) : 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!pair || !tp || !capture_wants(wanted, pair))
		return 0;
	deadline = wanted->deadline_ns;
	if (!deadline || !capture_takes(wanted, deadline, now))
		return 0;
	if (payload > wanted->payload)
		payload = wanted->payload;
	if (payload > SST_PAYLOAD_MAX)
		payload = SST_PAYLOAD_MAX;
	acked = acknowledged(tp, flow, pair);
	message = message_reserve(payload);
	if (!message) {
		__sync_fetch_and_add(&wanted->lost, 1);
		count(SST_COUNTER_EVENT_MESSAGE_LOST);
		return 0;
	}
	message_tell(message, tp, flow, pair);
	message->time_ns = now;
	message->acked = acked;
	message->decision = decision;
	message->size = msg->size;
	message->captured = payload;
	if (payload && bpf_probe_read_kernel(message + 1, payload, data))
		message->captured = 0;
	now = bpf_ringbuf_query(&messages, BPF_RB_AVAIL_DATA);
	bpf_ringbuf_submit(message,
			   now >= CAPTURE_WAKE_BYTES ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
	return 0;
}

static __always_inline void capture_message(struct sk_msg_md *msg, enum sst_counter decision)
{
	struct sst_capture *running = capture_running();

	if (running && running->deadline_ns)
		capture_take(msg, decision);
}

#endif
