/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From what an application asks for to the endpoint it gets:
 * frontend -> service -> (affinity | balance) -> slot -> endpoint. */
#ifndef SIDESTEP_BPF_SERVICE_H
#define SIDESTEP_BPF_SERVICE_H

#include "lib/address.h"
#include "lib/count.h"

struct choice {
	__u32 service;
	__u32 endpoint;
	struct sst_addr address;
	__be16 port;
	__u8 splice; /* enum sst_splice, the service's */
};

/* What is asked for, if it is a service to this caller: the node's loopback address is another
 * one to others. */
static __always_inline int frontend_find(struct bpf_sock_addr *ctx,
					 const struct sst_frontend_key *asked,
					 struct sst_frontend *frontend)
{
	return map_copy(&frontends, asked, frontend) &&
	       (!frontend->netns || frontend->netns == bpf_get_netns_cookie(ctx));
}

/* The endpoint, if it is this service's and may get new connections. */
static __always_inline int endpoint_ready(__u32 id, __u32 service, struct sst_endpoint *endpoint)
{
	return map_copy(&endpoints, &id, endpoint) && endpoint->service == service &&
	       endpoint->state == SST_ENDPOINT_READY;
}

static __always_inline __u32 balance(__u32 id, const struct sst_service *service)
{
	__u64 *cursor;

	if (service->balance == SST_BALANCE_ROUND_ROBIN) {
		cursor = bpf_map_lookup_elem(&cursors, &id);
		if (cursor)
			return __sync_fetch_and_add(cursor, 1) % service->slots;
	}
	return ((__u64)bpf_get_prandom_u32() * service->slots) >> 32;
}

/* The endpoint this namespace was given last, if it may still have it; else 0. */
static __always_inline __u32 affinity_recall(const struct sst_affinity_key *key,
					     const struct sst_service *service,
					     struct sst_endpoint *endpoint)
{
	struct sst_affinity *last = bpf_map_lookup_elem(&affinity, key);
	__u64 now = bpf_ktime_get_boot_ns();
	__u32 id;

	if (!last || now - last->used_ns > service->affinity_s * 1000000000ULL)
		return 0;
	id = last->endpoint;
	if (!endpoint_ready(id, key->service, endpoint)) {
		count(SST_COUNTER_AFFINITY_GONE);
		return 0;
	}
	last->used_ns = now;
	count(SST_COUNTER_AFFINITY_HIT);
	return id;
}

static __always_inline void affinity_remember(const struct sst_affinity_key *key, __u32 endpoint)
{
	struct sst_affinity given = { .used_ns = bpf_ktime_get_boot_ns(), .endpoint = endpoint };

	if (bpf_map_update_elem(&affinity, key, &given, BPF_ANY))
		count(SST_COUNTER_AFFINITY_FULL);
}

/* The id of the endpoint whose turn it is, 0 if the tables contradict themselves. */
static __always_inline __u32 endpoint_pick(__u32 id, const struct sst_service *service,
					   struct sst_endpoint *endpoint)
{
	__u32 slot = service->first + balance(id, service), index = slot / SST_RUN;
	struct sst_run *run = bpf_map_lookup_elem(&slots, &index);
	__u32 picked = run ? run->slot[slot % SST_RUN] : 0;

	return picked && endpoint_ready(picked, id, endpoint) ? picked : 0;
}

static __always_inline __u32 endpoint_choose(struct bpf_sock_addr *ctx, __u32 id,
					     const struct sst_service *service,
					     struct sst_endpoint *endpoint)
{
	struct sst_affinity_key key = { .service = id };
	__u32 chosen;

	if (!service->affinity_s)
		return endpoint_pick(id, service, endpoint);
	key.netns_cookie = bpf_get_netns_cookie(ctx);
	chosen = affinity_recall(&key, service, endpoint);
	if (chosen)
		return chosen;
	chosen = endpoint_pick(id, service, endpoint);
	if (chosen)
		affinity_remember(&key, chosen);
	return chosen;
}

/*
 * Returns the counter that tells what came of it: CONNECT_TRANSLATED with *choice
 * filled, NO_SERVICE, NO_ENDPOINT (choice->service is set), or UNDECIDED when the
 * tables contradict themselves. The planner's order of writes rules that out but for
 * a reader that was held up between two of its lookups while the service flipped:
 * it looks again.
 */
static __always_inline enum sst_counter service_choose(struct bpf_sock_addr *ctx,
						       const struct sst_frontend_key *asked,
						       struct choice *choice)
{
	struct sst_endpoint endpoint;
	struct sst_frontend frontend;
	struct sst_service service;
	__u32 id;

	for (int i = 0; i < 3; i++) {
		if (!frontend_find(ctx, asked, &frontend))
			return SST_COUNTER_CONNECT_NO_SERVICE;
		choice->service = id = frontend.service;
		if (!map_copy(&services, &id, &service))
			continue;
		if (!service.slots)
			return SST_COUNTER_CONNECT_NO_ENDPOINT;
		choice->endpoint = endpoint_choose(ctx, id, &service, &endpoint);
		if (!choice->endpoint)
			continue;
		choice->address = endpoint.address;
		choice->port = endpoint.port;
		choice->splice = service.splice;
		return SST_COUNTER_CONNECT_TRANSLATED;
	}
	return SST_COUNTER_CONNECT_UNDECIDED;
}

/* Whether flows of a service (0: none) with this word may be spliced; if not, *why. */
static __always_inline enum sst_permission splice_permitted(__u32 id, __u8 mode,
							    enum sst_counter *why)
{
	struct sst_config *node = settings();

	*why = SST_COUNTER_REFUSE_OFF;
	if (id >= SST_SELFTEST_ID)
		return mode == SST_SPLICE_ON ? SST_INSISTED : SST_FORBIDDEN;
	if (!node || node->splice == SST_SPLICE_OFF)
		return SST_FORBIDDEN;
	if (mode == SST_SPLICE_INHERIT)
		mode = node->splice;
	if (mode == SST_SPLICE_OFF)
		return SST_FORBIDDEN;
	*why = SST_COUNTER_REFUSE_KERNEL;
	if (node->splice_broken)
		return SST_FORBIDDEN;
	if (mode == SST_SPLICE_ON)
		return SST_INSISTED;
	return node->splice_auto ? SST_PERMITTED : SST_FORBIDDEN;
}

/* The same, asked of the service as it is now. */
static __always_inline enum sst_permission splice_allowed(__u32 id, enum sst_counter *why)
{
	struct sst_service *service = bpf_map_lookup_elem(&services, &id);

	return splice_permitted(id, service ? service->splice : SST_SPLICE_INHERIT, why);
}

#endif
