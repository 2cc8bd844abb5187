/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel's maps hold, dumped: the other side of a model. The planner
 * compares it with a model; the CLI and the exports show it. It is never
 * remembered from an earlier apply, always read.
 */
#ifndef SIDESTEP_MODEL_STATE_H
#define SIDESTEP_MODEL_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/policy_set.h"
#include "sidestep/abi.h"

struct state_frontend {
	struct sst_frontend_key key;
	uint32_t service;
	uint64_t netns; /* cookie of the only network namespace it is for, 0: for all */
};

struct state_service {
	uint32_t id;
	struct sst_service value;
	struct sst_service_info info;
	struct sst_stats stats; /* summed over CPUs; opened >= closed */
};

struct state_endpoint {
	uint32_t id;
	struct sst_endpoint value;
	struct sst_stats stats;
	struct sst_habit habit; /* zero: nothing is known against it */
	uint32_t left_alone_s;  /* so long nothing of it will be adopted */
	bool left; /* the model, and shall be retired; no map tells, see plan/known.h */
};

struct state_rule {
	uint32_t id;
	struct sst_rule_stats stats; /* summed over CPUs */
};

/* An edge, or what of a service is on no edge of its own. */
struct state_edge {
	uint32_t id;             /* with SST_EDGE_FOLDED: a service's `other` */
	struct sst_edge_key key; /* of an `other` only the service */
	struct sst_edge total;   /* summed over CPUs; opened >= closed */
	struct sst_histogram time[SST_TIME_MAX];
	uint64_t used_ns; /* CLOCK_BOOTTIME */
	char *cgroup;     /* path of key.cgroup; NULL: none, or it has gone */
};

/* Hooks that are attached only while a policy needs them. */
enum state_hook_kind {
	STATE_HOOK_SOCKET, /* of new sockets */
	STATE_HOOK_LOOKUP, /* of a network namespace's listeners */
};

struct state_hook {
	enum state_hook_kind kind;
	uint64_t netns; /* LOOKUP: the namespace's inode */
	bool dead;      /* the namespace has gone: it is attached to nothing */
};

enum state_map {
	STATE_MAP_FRONTENDS,
	STATE_MAP_SERVICES,
	STATE_MAP_ENDPOINTS,
	STATE_MAP_SLOTS,
	STATE_MAP_PAIRS,
	STATE_MAP_SPLICED, /* the sockhash */
	STATE_MAP_AFFINITY,
	STATE_MAP_RULE_STATS,
	STATE_MAP_EDGES,
	STATE_MAP_MAX,
};

struct state_fill {
	const char *name; /* of the map, static */
	uint64_t used;
	uint64_t capacity;
};

struct state {
	struct sst_config config;
	struct sst_meta meta;
	struct state_frontend *frontends; /* sorted by key (memcmp) */
	size_t n_frontends;
	struct state_service *services; /* sorted by id; id 0 (no service) is not among them */
	size_t n_services;
	struct state_endpoint *endpoints; /* sorted by id; id 0 is not among them */
	size_t n_endpoints;
	uint32_t *slots; /* a copy of the whole map */
	size_t n_slots;
	struct policy_set policy; /* empty: there is none */
	struct state_rule *rules; /* sorted by id */
	size_t n_rules;
	struct state_hook *hooks; /* sorted by state_hook_compare() */
	size_t n_hooks;
	struct state_edge *edges; /* sorted by id */
	size_t n_edges;
	struct sst_stats direct; /* id 0: flows that went to no service */
	uint64_t counters[SST_COUNTER_MAX];
	struct state_fill fill[STATE_MAP_MAX];
};

/* Releases the arrays; the struct itself is the caller's. Usable as a cleanup. */
void state_release(struct state *state);
#define _cleanup_state_ __attribute__((cleanup(state_release)))

/* By id, in O(log n); NULL when absent. */
const struct state_service *state_service(const struct state *state, uint32_t id);
const struct state_endpoint *state_endpoint(const struct state *state, uint32_t id);
const struct state_rule *state_rule(const struct state *state, uint32_t id);
const struct state_edge *state_edge(const struct state *state, uint32_t id);

/* For qsort() and bsearch(); by kind and namespace, dead or not. */
int state_hook_compare(const void *a, const void *b);

#endif
