/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is counted of flows: by service and endpoint, and by edge.
 *
 * An edge is found by its key once in a flow's life; what follows finds it by its id, which
 * the flow remembers. So userspace can take an idle edge away without losing anything: it
 * deletes the key, waits until no program runs that has seen it, and once every flow has
 * closed nobody has the id any more.
 */
#include "maps.h"
#include "lib/edge.h"
#include "lib/flow.h"

/* What new entries are made from; never written. */
static const volatile struct {
	struct sst_edge total;
	struct sst_edge_info info;
} empty = {};

/* An edge's use is known to the second: a line of cache that all CPUs write is slow. */
#define USED_NS 1000000000ULL

static __always_inline void use(struct sst_edge_info *info, __u64 now)
{
	if ((__s64)(now - info->used_ns) > (__s64)USED_NS)
		info->used_ns = now;
}

static __always_inline void time_add(struct sst_edge_info *info, enum sst_time what, __u64 value)
{
	struct sst_histogram *histogram = &info->time[what];
	__u32 bucket = sst_bucket(value);

	asm volatile("" : "+r"(bucket)); /* the verifier is to see the check on what is used */
	if (bucket >= SST_BUCKETS)
		return;
	__sync_fetch_and_add(&histogram->sum, value);
	__sync_fetch_and_add(&histogram->count[bucket], 1);
}

static __always_inline int is_made(__u32 id)
{
	return bpf_map_lookup_elem(&edges, &id) && bpf_map_lookup_elem(&edge_info, &id);
}

/* Both entries of an id; another CPU may make them at the same time. 0: there is no memory. */
static __always_inline int entries_make(__u32 id)
{
	bpf_map_update_elem(&edges, &id, (const void *)&empty.total, BPF_NOEXIST);
	bpf_map_update_elem(&edge_info, &id, (const void *)&empty.info, BPF_NOEXIST);
	return is_made(id);
}

/* What is beyond the budget is still its service's. Of a service that has gone it is nobody's,
 * as its id goes, too; and so is what there is no memory for just now: nobody's is there from the
 * load on. */
static __always_inline __u32 folded(__u32 service)
{
	__u32 id = SST_EDGE_FOLDED | service;

	count(SST_COUNTER_EDGE_FOLDED);
	if (bpf_map_lookup_elem(&services, &service) && (is_made(id) || entries_make(id)))
		return id;
	if (is_made(SST_EDGE_FOLDED))
		return SST_EDGE_FOLDED;
	count(SST_COUNTER_EDGE_LOST);
	return 0;
}

/* A new edge; 0: there is no room. */
static __always_inline __u32 edge_make(struct sst_edge_key *key)
{
	struct sst_config *node = settings();
	struct sst_edge_state *state;
	struct sst_edge_info *info;
	__u32 zero = 0, id;

	state = bpf_map_lookup_elem(&edge_state, &zero);
	if (!state || !node || state->used >= node->edge_budget)
		return 0;
	id = __sync_fetch_and_add(&state->last, 1) + 1;
	if (!id || id & SST_EDGE_FOLDED)
		return 0;
	info = entries_make(id) ? bpf_map_lookup_elem(&edge_info, &id) : 0;
	if (info) {
		info->key = *key;
		use(info, bpf_ktime_get_boot_ns()); /* what was never used would be idle at once */
	}
	if (info && !bpf_map_update_elem(&edge_ids, key, &id, BPF_NOEXIST)) {
		__sync_fetch_and_add(&state->used, 1);
		return id;
	}
	bpf_map_delete_elem(&edges, &id);
	bpf_map_delete_elem(&edge_info, &id);
	return 0;
}

/* The id of an edge, which is made where there is none; 0: flows are on none. */
static __noinline __u32 edge_find(struct sst_edge_key *key)
{
	__u32 *known, id;

	if (!edges_wanted())
		return 0;
	known = bpf_map_lookup_elem(&edge_ids, key);
	if (known)
		return *known;
	if (key->service >= SST_SELFTEST_ID)
		return 0;
	id = edge_make(key);
	if (id)
		return id;
	/* another CPU may have been first */
	known = bpf_map_lookup_elem(&edge_ids, key);
	return known ? *known : folded(key->service);
}

static __always_inline void key_of_judgement(struct sst_edge_key *key,
					     const struct sst_judgement *judgement, __u8 role)
{
	key->role = role & 1;
	if (role == SST_ROLE_CLIENT) {
		key->source_identity = judgement->identity;
		key->source_workload = judgement->workload;
		key->destination_identity = judgement->peer_identity;
		key->destination_workload = judgement->peer_workload;
	} else {
		key->source_identity = judgement->peer_identity;
		key->source_workload = judgement->peer_workload;
		key->destination_identity = judgement->identity;
		key->destination_workload = judgement->workload;
	}
}

static __always_inline __u32 edge_of_flow(const struct sst_flow *flow, __u64 cgroup, __u16 port)
{
	struct sst_edge_key key = {
		.cgroup = flow->judgement.workload ? 0 : cgroup,
		.service = flow->service,
		.port = port,
		.protocol = flow->protocol,
	};

	key_of_judgement(&key, &flow->judgement, flow->role);
	return edge_find(&key);
}

/* What an edge holds, as books are what a service does. */
struct ledger {
	struct sst_edge *total;
	struct sst_edge_info *info;
};

/* For what happens on the edge right now; 0: it has none, there was no room. */
static __always_inline int ledger_open(struct ledger *ledger, __u32 id, __u64 now)
{
	ledger->total = bpf_map_lookup_elem(&edges, &id);
	ledger->info = bpf_map_lookup_elem(&edge_info, &id);
	if (!ledger->total || !ledger->info)
		return 0;
	use(ledger->info, now);
	return 1;
}

/* ---- connections ---------------------------------------------------------------------- */

int sst_flow_opened(struct sst_flow *flow, __u64 cgroup, __u32 port)
{
	struct ledger edge;
	struct books books;

	if (!flow)
		return 0;
	flow->counted = SST_COUNTED_HERE;
	if (books_begin(&books, flow->service, flow->endpoint) != flow->service)
		flow->counted = SST_COUNTED_ELSEWHERE;
	books_add(&books, opened, 1);
	flow->edge = edge_of_flow(flow, cgroup, port);
	if (!ledger_open(&edge, flow->edge, flow->opened_ns))
		return 0;
	__sync_fetch_and_add(&edge.total->opened, 1);
	if (flow->role == SST_ROLE_CLIENT)
		time_add(edge.info, SST_TIME_CONNECT, (flow->opened_ns - flow->started_ns) / 1000);
	return 0;
}

int sst_flow_failed(struct sst_flow *flow, __u64 cgroup, __u32 port)
{
	struct ledger edge;
	struct books books;

	if (!flow)
		return 0;
	books_begin(&books, flow->service, flow->endpoint);
	books_add(&books, failed, 1);
	flow->edge = edge_of_flow(flow, cgroup, port);
	if (!ledger_open(&edge, flow->edge, bpf_ktime_get_boot_ns()))
		return 0;
	if (flow->ending < SST_FAILURE_MAX)
		__sync_fetch_and_add(&edge.total->failed[flow->ending], 1);
	return 0;
}

/*
 * What must be added to the statistics to have counted up to now. The end of a
 * flow and the sweep of the iterator may run at once: whoever moves the mark adds.
 */
static __always_inline __u64 advance(__u64 *counted, __u64 now)
{
	for (int i = 0; i < 4; i++) {
		__u64 before = *(volatile __u64 *)counted;

		if ((__s64)(now - before) <= 0)
			return 0;
		if (__sync_val_compare_and_swap(counted, before, now) == before)
			return now - before;
	}
	return 0;
}

/* A server's end speaks for the connection when its client is elsewhere: "sent" is always
 * what the client sent. Returns whether any byte moved. */
static __always_inline int moved_since(struct sst_flow *flow, const struct traffic *now,
				       struct traffic *moved)
{
	__u64 out = advance(&flow->counted_sent, now->sent);
	__u64 in = advance(&flow->counted_received, now->received);
	int server = flow->role == SST_ROLE_SERVER;

	moved->sent = server ? in : out;
	moved->received = server ? out : in;
	moved->spliced_sent = advance(&flow->counted_spliced_sent, now->spliced_sent);
	moved->spliced_received = advance(&flow->counted_spliced_received, now->spliced_received);
	moved->retransmits = advance(&flow->counted_retransmits, now->retransmits);
	return !!(moved->sent | moved->received | moved->spliced_sent | moved->spliced_received |
		  moved->retransmits);
}

static __always_inline void book(struct sst_flow *flow, const struct traffic *moved, int closing)
{
	struct books books;

	books_open(&books, flow->counted == SST_COUNTED_HERE ? flow->service : 0, flow->endpoint);
	if (moved->sent | moved->received) {
		books_add(&books, sent_bytes, moved->sent);
		books_add(&books, received_bytes, moved->received);
	}
	if (moved->spliced_sent | moved->spliced_received) {
		books_add(&books, spliced_sent_bytes, moved->spliced_sent);
		books_add(&books, spliced_received_bytes, moved->spliced_received);
	}
	if (moved->retransmits)
		books_add(&books, retransmits, moved->retransmits);
	if (closing)
		books_add(&books, closed, 1);
}

static __always_inline void edge_add(struct sst_edge *total, const struct traffic *moved)
{
	if (moved->sent | moved->received) {
		__sync_fetch_and_add(&total->sent_bytes, moved->sent);
		__sync_fetch_and_add(&total->received_bytes, moved->received);
	}
	if (moved->spliced_sent | moved->spliced_received) {
		__sync_fetch_and_add(&total->spliced_sent_bytes, moved->spliced_sent);
		__sync_fetch_and_add(&total->spliced_received_bytes, moved->spliced_received);
	}
	if (moved->retransmits)
		__sync_fetch_and_add(&total->retransmits, moved->retransmits);
}

int sst_flow_moved(struct sst_flow *flow, const struct traffic *now, int closing)
{
	struct traffic moved = {};
	struct ledger edge;
	__u64 time;

	if (!flow || !now || !flow->counted)
		return 0;
	if (!moved_since(flow, now, &moved) && !closing)
		return 0;
	book(flow, &moved, closing);
	time = bpf_ktime_get_boot_ns();
	if (!ledger_open(&edge, flow->edge, time))
		return 0;
	edge_add(edge.total, &moved);
	if (now->srtt_us)
		time_add(edge.info, SST_TIME_RTT, now->srtt_us);
	if (!closing)
		return 0;
	time_add(edge.info, SST_TIME_DURATION, (time - flow->opened_ns) / 1000000);
	if (flow->ending < SST_ENDING_MAX)
		__sync_fetch_and_add(&edge.total->closed[flow->ending], 1);
	return 0;
}

/* ---- datagrams, and what policy denied ----------------------------------------------------- */

static __always_inline __u64 cgroup_at(__u64 sk)
{
	return sk ? BPF_CORE_READ((struct sock *)sk, sk_cgrp_data.cgroup, kn, id) : 0;
}

int sst_flow_connected(struct sst_flow *flow, const struct policy_case *c)
{
	struct ledger edge;

	if (!flow || !c)
		return 0;
	flow->edge = edge_of_flow(flow, cgroup_at(c->end[SST_ROLE_CLIENT].sk),
				  bpf_ntohs(flow->chosen_port));
	if (!ledger_open(&edge, flow->edge, flow->started_ns))
		return 0;
	__sync_fetch_and_add(&edge.total->udp_connected, 1);
	return 0;
}

static __always_inline void key_of_case(struct sst_edge_key *key, const struct policy_case *c)
{
	key->port = c->port;
	key->protocol = c->protocol;
	key_of_judgement(key, &c->judgement, c->own);
	if (!c->judgement.workload)
		key->cgroup = cgroup_at(c->end[c->own & 1].sk);
}

__u32 sst_edge_of_case(const struct policy_case *c, __u32 service)
{
	struct sst_edge_key key = { .service = service };

	if (!c)
		return 0;
	key_of_case(&key, c);
	return edge_find(&key);
}

int sst_edge_datagrams(__u32 edge, int is_sent, __u32 datagrams, __u64 bytes, __u64 now)
{
	struct ledger ledger;

	if (!ledger_open(&ledger, edge, now))
		return 0;
	if (is_sent) {
		__sync_fetch_and_add(&ledger.total->udp_sent_datagrams, datagrams);
		__sync_fetch_and_add(&ledger.total->udp_sent_bytes, bytes);
	} else {
		__sync_fetch_and_add(&ledger.total->udp_received_datagrams, datagrams);
		__sync_fetch_and_add(&ledger.total->udp_received_bytes, bytes);
	}
	return 0;
}

int sst_call_denied(const struct policy_case *c, __u32 service)
{
	struct sst_edge_key key = { .service = service, .denied = 1 };
	struct ledger edge;

	if (!c)
		return 0;
	key_of_case(&key, c);
	key.rule = c->judgement.denied[SST_EGRESS] ? c->judgement.rule[SST_EGRESS]
						   : c->judgement.rule[SST_INGRESS];
	if (!ledger_open(&edge, edge_find(&key), bpf_ktime_get_boot_ns()))
		return 0;
	__sync_fetch_and_add(&edge.total->denied, 1);
	return 0;
}
