/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Walks over live sockets, begun by userspace through a pinned link: list the flows,
 * bring their bytes into the statistics, adopt candidates for the splice, send pairs
 * back to TCP. All walk a socket storage map, so they see the sockets of every network
 * namespace, and no others than ours.
 */
#include "maps.h"
#include "lib/record.h"
#include "lib/splice.h"

SEC("iter/bpf_sk_storage_map")
int sst_list(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock *sk = ctx->sk;
	struct sst_record record;
	struct sst_flow *flow;
	struct tcp_sock *tp;

	if (!sk || !ctx->value)
		return 0;
	flow = bpf_sk_storage_get(&flows, sk, 0, 0);
	if (!flow || flow->state == SST_FLOW_ENDED)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp)
		record_tcp(&record, tp, flow, pair_of(flow), SST_RECORD_LIVE);
	else
		record_common(&record, sk, flow, SST_RECORD_LIVE);
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

/* Long-lived flows count while they run, not when they end. */
SEC("iter/bpf_sk_storage_map")
int sst_sweep(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock *sk = ctx->sk;
	struct traffic traffic;
	struct sst_flow *flow;
	struct tcp_sock *tp;

	if (!sk || !ctx->value)
		return 0;
	flow = bpf_sk_storage_get(&flows, sk, 0, 0);
	if (!flow || flow->state != SST_FLOW_ESTABLISHED || flow->protocol != IPPROTO_TCP)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	traffic_of(tp, flow, pair_of(flow), &traffic);
	account(flow, &traffic, 0);
	return 0;
}

static __always_inline void adopt(struct sock *sk, struct tcp_sock *tp, struct sst_pair_end *me)
{
	__u64 key = me->cookie;

	if (bpf_map_update_elem(&spliced, &key, sk, BPF_ANY)) {
		count(SST_COUNTER_REFUSE_MEMBER);
		me->state = SST_STATE_TCP;
		return;
	}
	/* only now: what is recorded must have been read after the socket went in */
	me->copied_seq = *(volatile __u32 *)&tp->copied_seq;
	barrier();
	me->state = SST_STATE_ADOPTED;
	count(SST_COUNTER_SPLICE_ADOPTED);
}

/* Over `candidates`: 1 when this one is done with, adopted or refused. */
static __always_inline int consider(struct sock *sk, struct tcp_sock *tp, struct sst_flow *flow)
{
	struct sst_pair *pair = pair_of(flow);
	struct sst_pair_end *me, *peer;
	enum sst_counter obstacle;

	if (!pair || sk->__sk_common.skc_state != BPF_TCP_ESTABLISHED) {
		count(SST_COUNTER_REFUSE_STATE);
		return 1;
	}
	me = &pair->end[flow->role & 1];
	peer = &pair->end[!flow->role];
	/* no lock is held: the flow may end, and its element become another pair's */
	if (me->cookie != flow->cookie || me->state != SST_STATE_NOMINATED)
		return 1;
	if (peer->state < SST_STATE_NOMINATED)
		return 0;
	obstacle = pair_obstacle(pair);
	if (obstacle != SST_COUNTER_SPLICE_ADOPTED) {
		count(obstacle);
		me->state = SST_STATE_TCP;
		peer->state = SST_STATE_TCP; /* no use without this one */
		return 1;
	}
	adopt(sk, tp, me);
	return 1;
}

SEC("iter/bpf_sk_storage_map")
int sst_adopt(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock *sk = ctx->sk;
	struct sst_flow *flow;
	struct tcp_sock *tp;

	if (!sk || !ctx->value)
		return 0;
	flow = bpf_sk_storage_get(&flows, sk, 0, 0);
	tp = bpf_skc_to_tcp_sock(sk);
	if (!flow || !tp || consider(sk, tp, flow))
		bpf_sk_storage_delete(&candidates, sk);
	return 0;
}

/* After the node's or a service's word has changed: pairs it no longer allows. */
SEC("iter/bpf_sk_storage_map")
int sst_stop(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock *sk = ctx->sk;
	enum sst_counter why;
	struct sst_flow *flow;
	struct sst_pair *pair;

	if (!sk || !ctx->value)
		return 0;
	flow = bpf_sk_storage_get(&flows, sk, 0, 0);
	pair = flow ? pair_of(flow) : 0;
	if (pair && pair->allowed && !splice_allowed(flow->service, &why))
		pair_stop(pair);
	return 0;
}
