/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the planner's tests: models built by hand, and a kernel that exists in memory.
 *
 * The simulated kernel applies steps one at a time. After every one it asserts what a
 * connect() at that moment relies on, and for every removal that nobody who looked since
 * the last GRACE can still hold what goes.
 */
#ifndef TESTS_UNIT_PLAN_FIXTURE_H
#define TESTS_UNIT_PLAN_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "core/address.h"
#include "core/cleanup.h"
#include "plan/plan.h"

/* ---- models ----------------------------------------------------------------- */

enum {
	FIXTURE_SERVICES = 16,
	FIXTURE_ADDRESSES = 8,
	FIXTURE_PORTS = 4,
	FIXTURE_ENDPOINTS = 16,
	FIXTURE_RULES = 12,
	FIXTURE_WORKLOADS = 8,
	FIXTURE_NETNS = 4,
};

/* A rule of a policy as the compiler tells of it; with a workload, all of a set that the
 * planner looks at. Names are literals. */
struct wish_rule {
	char *policy;
	char *rule;
	char *summary;
	enum sst_tier tier;
	enum sst_action action;
};

struct wish_workload {
	char *name;
	char *labels;
	char *how;
};

/* A model in one piece; names are literals. */
struct wish {
	struct model model;
	struct model_service services[FIXTURE_SERVICES];
	struct sst_addr addresses[FIXTURE_SERVICES][FIXTURE_ADDRESSES];
	struct model_port ports[FIXTURE_SERVICES][FIXTURE_PORTS];
	struct model_endpoint endpoints[FIXTURE_SERVICES][FIXTURE_PORTS][FIXTURE_ENDPOINTS];
	struct wish_rule rules[FIXTURE_RULES];
	size_t n_rules;
	struct wish_workload workloads[FIXTURE_WORKLOADS];
	size_t n_workloads;
	uint32_t flags;                /* enum sst_policy_flags */
	uint64_t netns[FIXTURE_NETNS]; /* sorted */
	size_t n_netns;
};

static inline void wish_init(struct wish *wish)
{
	memset(wish, 0, sizeof(*wish));
	wish->model = (struct model){
		.source = "test.yaml",
		.node = { .splice = SST_SPLICE_AUTO },
		.services = wish->services,
	};
	for (size_t i = 0; i < FIXTURE_SERVICES; i++) {
		wish->services[i].addresses = wish->addresses[i];
		wish->services[i].ports = wish->ports[i];
		for (size_t j = 0; j < FIXTURE_PORTS; j++)
			wish->ports[i][j].endpoints = wish->endpoints[i][j];
	}
}

static inline struct sst_addr address_of(const char *text)
{
	struct sst_addr address;

	assert_int_equal(address_parse(text, &address), 0);
	return address;
}

static inline struct model_service *wish_service(struct wish *wish, char *name)
{
	struct model_service *service = &wish->services[wish->model.n_services++];

	assert_true(wish->model.n_services <= FIXTURE_SERVICES);
	service->name = name;
	return service;
}

static inline void wish_address(struct model_service *service, const char *text)
{
	service->addresses[service->n_addresses++] = address_of(text);
	assert_true(service->n_addresses <= FIXTURE_ADDRESSES);
}

static inline struct model_port *wish_port(struct model_service *service, char *name, uint16_t port,
					   uint8_t protocol)
{
	struct model_port *added = &service->ports[service->n_ports++];

	assert_true(service->n_ports <= FIXTURE_PORTS);
	added->name = name;
	added->port = port;
	added->protocol = protocol;
	return added;
}

static inline struct model_endpoint *wish_endpoint(struct model_port *port, const char *address,
						   uint16_t number)
{
	struct model_endpoint *added = &port->endpoints[port->n_endpoints++];

	assert_true(port->n_endpoints <= FIXTURE_ENDPOINTS);
	*added = (struct model_endpoint){
		.address = address_of(address),
		.port = number,
		.weight = 1,
		.ready = true,
	};
	return added;
}

/* Service "web" at 10.96.0.10:80 with n endpoints 10.1.0.1:8080 ... Returns its port. */
static inline struct model_port *wish_web(struct wish *wish, unsigned n)
{
	struct model_service *service = wish_service(wish, "web");
	struct model_port *port;
	char text[32];

	wish_address(service, "10.96.0.10");
	port = wish_port(service, "http", 80, IPPROTO_TCP);
	for (unsigned i = 1; i <= n; i++) {
		snprintf(text, sizeof(text), "10.1.0.%u", i);
		wish_endpoint(port, text, 8080);
	}
	return port;
}

/* ---- policy sets -------------------------------------------------------------- */

/* In the order in which they lie in the set. */
enum { SET_HEAD, SET_IDENTITIES, SET_WORKLOADS, SET_INFOS, SET_TEXT, SET_BLOCKS = SET_TEXT + 4 };

struct set_draft {
	char *base;
	struct sst_policy_head *head;
};

static inline void *set_block(const struct set_draft *draft, uint32_t block)
{
	return draft->base + (size_t)block * SST_BLOCK_BYTES;
}

static inline uint32_t set_text(struct set_draft *draft, const char *text)
{
	struct sst_policy_head *head = draft->head;
	uint32_t at = head->text_bytes;

	assert_true(at + strlen(text) < (SET_BLOCKS - SET_TEXT) * SST_BLOCK_BYTES);
	strcpy((char *)set_block(draft, SET_TEXT) + at, text);
	head->text_bytes += strlen(text) + 1;
	return at;
}

/* Whoever was there keeps the id. */
static inline uint32_t set_workload_id(const struct policy_set *before, const char *name,
				       struct policy_ids *ids)
{
	for (uint32_t i = 1; !policy_set_is_empty(before) && i < policy_head(before)->n_workloads;
	     i++)
		if (!strcmp(policy_text(before, policy_workload(before, i)->name), name))
			return policy_workload(before, i)->id;
	return ids->workload++;
}

static inline uint32_t set_rule_id(const struct policy_set *before, const struct wish_rule *rule,
				   struct policy_ids *ids)
{
	for (uint32_t i = 0; !policy_set_is_empty(before) && i < policy_head(before)->n_infos;
	     i++) {
		const struct sst_policy_info *info = policy_info(before, i);

		if (!strcmp(policy_text(before, info->policy), rule->policy) &&
		    !strcmp(policy_text(before, info->rule), rule->rule))
			return info->id;
	}
	return ids->rule++;
}

static inline void set_add_workload(struct set_draft *draft, const struct wish_workload *workload,
				    uint32_t id)
{
	struct sst_policy_identity *identities = set_block(draft, SET_IDENTITIES);
	struct sst_policy_workload *workloads = set_block(draft, SET_WORKLOADS);
	uint32_t identity = draft->head->n_identities++;

	identities[identity] = (struct sst_policy_identity){
		.id = SST_IDENTITY_FIRST + id,
		.name_space = set_text(draft, "shop"),
		.labels = set_text(draft, workload->labels),
	};
	workloads[draft->head->n_workloads++] = (struct sst_policy_workload){
		.id = id,
		.identity = identity,
		.name = set_text(draft, workload->name),
		.how = set_text(draft, workload->how),
	};
}

static inline int compare_infos(const void *a, const void *b)
{
	const struct sst_policy_info *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static inline void set_add_rules(struct set_draft *draft, const struct wish *wish,
				 const struct policy_set *before, struct policy_ids *ids)
{
	struct sst_policy_info *infos = set_block(draft, SET_INFOS);

	for (size_t i = 0; i < wish->n_rules; i++)
		infos[i] = (struct sst_policy_info){
			.id = set_rule_id(before, &wish->rules[i], ids),
			.action = wish->rules[i].action,
			.tier = wish->rules[i].tier,
			.policy = set_text(draft, wish->rules[i].policy),
			.name_space = wish->rules[i].tier == SST_TIER_NETWORK
					      ? set_text(draft, "shop")
					      : 0,
			.rule = set_text(draft, wish->rules[i].rule),
			.summary = set_text(draft, wish->rules[i].summary),
		};
	qsort(infos, wish->n_rules, sizeof(*infos), compare_infos);
	draft->head->n_infos = wish->n_rules;
}

static inline void wish_hooks(const struct wish *wish, struct plan_policy *policy)
{
	policy->hooks = calloc(FIXTURE_NETNS + 1, sizeof(*policy->hooks));
	assert_non_null(policy->hooks);
	if (wish->flags & SST_POLICY_RULES)
		policy->hooks[policy->n_hooks++] = (struct state_hook){ STATE_HOOK_SOCKET };
	for (size_t i = 0; wish->flags & SST_POLICY_ANSWER && i < wish->n_netns; i++)
		policy->hooks[policy->n_hooks++] =
			(struct state_hook){ STATE_HOOK_LOOKUP, wish->netns[i] };
}

/* As the compiler would; the planner looks neither at classes nor at rows. */
static inline struct plan_policy wish_compile(const struct wish *wish, const struct state *state)
{
	const struct sst_meta *meta = &state->meta;
	struct plan_policy policy = {
		.ids = { meta->next_identity, meta->next_workload, meta->next_rule },
	};
	struct set_draft draft = { calloc(SET_BLOCKS, SST_BLOCK_BYTES) };

	assert_non_null(draft.base);
	if (!wish->n_rules && !wish->n_workloads) {
		free(draft.base);
		return policy;
	}
	draft.head = set_block(&draft, SET_HEAD);
	*draft.head = (struct sst_policy_head){
		.format = SST_POLICY_FORMAT,
		.blocks = SET_BLOCKS,
		.flags = wish->flags,
		.identities = SET_IDENTITIES,
		.workloads = SET_WORKLOADS,
		.n_workloads = 1,
		.infos = SET_INFOS,
		.text = SET_TEXT,
		.text_bytes = 1,
	};
	for (size_t i = 0; i < wish->n_workloads; i++)
		set_add_workload(
			&draft, &wish->workloads[i],
			set_workload_id(&state->policy, wish->workloads[i].name, &policy.ids));
	set_add_rules(&draft, wish, &state->policy, &policy.ids);
	policy.set = (struct policy_set){ { (void *)draft.base, SET_BLOCKS }, draft.base };
	wish_hooks(wish, &policy);
	return policy;
}

static inline struct wish_rule *wish_rule(struct wish *wish, char *policy, char *rule)
{
	struct wish_rule *added = &wish->rules[wish->n_rules++];

	assert_true(wish->n_rules <= FIXTURE_RULES);
	*added = (struct wish_rule){ policy, rule, "all", SST_TIER_NETWORK, SST_ACTION_ALLOW };
	wish->flags |= SST_POLICY_RULES;
	return added;
}

static inline struct wish_workload *wish_workload(struct wish *wish, char *name)
{
	struct wish_workload *added = &wish->workloads[wish->n_workloads++];

	assert_true(wish->n_workloads <= FIXTURE_WORKLOADS);
	*added = (struct wish_workload){ name, "app=web", "10.1.0.7" };
	return added;
}

/* ---- sets of ids, sorted ---------------------------------------------------- */

struct ids {
	uint32_t *id;
	size_t n;
	size_t size;
};

static inline size_t ids_position(const struct ids *ids, uint32_t id)
{
	size_t from = 0, to = ids->n;

	while (from < to) {
		size_t middle = (from + to) / 2;

		if (ids->id[middle] < id)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

static inline bool ids_has(const struct ids *ids, uint32_t id)
{
	size_t at = ids_position(ids, id);

	return at < ids->n && ids->id[at] == id;
}

static inline void ids_add(struct ids *ids, uint32_t id)
{
	size_t at = ids_position(ids, id);

	if (ids_has(ids, id))
		return;
	if (ids->n == ids->size) {
		ids->size = ids->size ? ids->size * 2 : 64;
		ids->id = reallocarray(ids->id, ids->size, sizeof(*ids->id));
		assert_non_null(ids->id);
	}
	memmove(ids->id + at + 1, ids->id + at, (ids->n - at) * sizeof(*ids->id));
	ids->id[at] = id;
	ids->n++;
}

/* Returns whether it was there. */
static inline bool ids_remove(struct ids *ids, uint32_t id)
{
	size_t at = ids_position(ids, id);

	if (!ids_has(ids, id))
		return false;
	ids->n--;
	memmove(ids->id + at, ids->id + at + 1, (ids->n - at) * sizeof(*ids->id));
	return true;
}

static inline struct ids ids_copy(const struct ids *ids)
{
	struct ids copy = { 0 };

	for (size_t i = 0; i < ids->n; i++)
		ids_add(&copy, ids->id[i]);
	return copy;
}

/* ---- the simulated kernel --------------------------------------------------- */

struct sim {
	struct state state;
	struct ids service_stats;
	struct ids service_info;
	struct ids endpoint_stats;
	/* What a program that began since the last GRACE may still hold. */
	struct ids seen_services;
	struct ids seen_endpoints;
	bool *seen_slots;
	struct ids seen_rules;
	bool seen_enforced;           /* somebody was told that there is a set */
	struct policy_set old_policy; /* what FLIP_POLICY replaced */
	uint64_t generation;          /* of the last set that was in force */
	size_t revocations;
	bool careless;       /* large tests: without the checks after every step */
	bool cut_short;      /* the last plan was */
	bool takes_ids_last; /* and not before the first step: a plan cut short took none */
};

enum { SIM_RULES = 64, SIM_HOOKS = 16 };

/* Rooms as small as the test wants them. */
static inline void sim_init(struct sim *sim, size_t frontends, size_t services, size_t endpoints,
			    size_t slots)
{
	struct state *state = &sim->state;

	memset(sim, 0, sizeof(*sim));
	state->config.splice = SST_SPLICE_AUTO;
	state->frontends = calloc(frontends + 1, sizeof(*state->frontends));
	state->services = calloc(services + 1, sizeof(*state->services));
	state->endpoints = calloc(endpoints + 1, sizeof(*state->endpoints));
	state->slots = calloc(slots + 1, sizeof(*state->slots));
	sim->seen_slots = calloc(slots + 1, sizeof(*sim->seen_slots));
	state->n_slots = slots;
	state->meta.next_service = 1;
	state->meta.next_endpoint = 1;
	state->meta.next_identity = SST_IDENTITY_FIRST;
	state->meta.next_workload = 1;
	state->meta.next_rule = 1;
	state->meta.next_set = 1;
	state->rules = calloc(SIM_RULES, sizeof(*state->rules));
	state->hooks = calloc(SIM_HOOKS, sizeof(*state->hooks));
	state->fill[STATE_MAP_RULE_STATS].capacity = SIM_RULES;
	state->fill[STATE_MAP_FRONTENDS].capacity = frontends;
	state->fill[STATE_MAP_SERVICES].capacity = services;
	state->fill[STATE_MAP_ENDPOINTS].capacity = endpoints;
	state->fill[STATE_MAP_SLOTS].capacity = slots;
}

static inline void sim_release(struct sim *sim)
{
	state_release(&sim->state);
	free(sim->service_stats.id);
	free(sim->service_info.id);
	free(sim->endpoint_stats.id);
	free(sim->seen_services.id);
	free(sim->seen_endpoints.id);
	free(sim->seen_slots);
	free(sim->seen_rules.id);
	policy_set_release(&sim->old_policy);
}
#define _cleanup_sim_ __attribute__((cleanup(sim_release)))

static inline struct state_service *sim_service(struct sim *sim, uint32_t id)
{
	return (struct state_service *)state_service(&sim->state, id);
}

static inline struct state_endpoint *sim_endpoint(struct sim *sim, uint32_t id)
{
	return (struct state_endpoint *)state_endpoint(&sim->state, id);
}

static inline size_t frontend_position(const struct state *state,
				       const struct sst_frontend_key *key)
{
	size_t at = 0;

	while (at < state->n_frontends && memcmp(&state->frontends[at].key, key, sizeof(*key)) < 0)
		at++;
	return at;
}

static inline struct state_frontend *sim_frontend(struct sim *sim,
						  const struct sst_frontend_key *key)
{
	size_t at = frontend_position(&sim->state, key);

	if (at == sim->state.n_frontends ||
	    memcmp(&sim->state.frontends[at].key, key, sizeof(*key)))
		return NULL;
	return &sim->state.frontends[at];
}

/* Opens and closes a gap in a sorted array. */
#define sim_insert(array, n, at, ...)                                                         \
	do {                                                                                  \
		memmove((array) + (at) + 1, (array) + (at), ((n) - (at)) * sizeof(*(array))); \
		(array)[at] = (__VA_ARGS__);                                                  \
		(n)++;                                                                        \
	} while (0)

#define sim_erase(array, n, at)                                                               \
	do {                                                                                  \
		(n)--;                                                                        \
		memmove((array) + (at), (array) + (at) + 1, ((n) - (at)) * sizeof(*(array))); \
	} while (0)

static inline void sim_put_frontend(struct sim *sim, const struct state_frontend *frontend)
{
	struct state *state = &sim->state;
	size_t at = frontend_position(state, &frontend->key);

	assert_null(sim_frontend(sim, &frontend->key));
	assert_true(state->n_frontends < state->fill[STATE_MAP_FRONTENDS].capacity);
	sim_insert(state->frontends, state->n_frontends, at, *frontend);
}

static inline void sim_drop_frontend(struct sim *sim, const struct state_frontend *frontend)
{
	struct state *state = &sim->state;
	struct state_frontend *found = sim_frontend(sim, &frontend->key);

	assert_non_null(found);
	assert_int_equal(found->service, frontend->service);
	sim_erase(state->frontends, state->n_frontends, found - state->frontends);
}

static inline void sim_put_endpoint(struct sim *sim, uint32_t id, const struct sst_endpoint *value)
{
	struct state *state = &sim->state;
	size_t at = 0, to = state->n_endpoints;

	assert_int_not_equal(id, 0);
	assert_null(sim_endpoint(sim, id));
	assert_true(ids_has(&sim->endpoint_stats, id));
	assert_true(state->n_endpoints < state->fill[STATE_MAP_ENDPOINTS].capacity);
	while (at < to) {
		size_t middle = (at + to) / 2;

		if (state->endpoints[middle].id < id)
			at = middle + 1;
		else
			to = middle;
	}
	sim_insert(state->endpoints, state->n_endpoints, at,
		   (struct state_endpoint){ .id = id, .value = *value });
}

static inline void sim_erase_endpoint(struct sim *sim, uint32_t id)
{
	struct state_endpoint *endpoint = sim_endpoint(sim, id);

	assert_non_null(endpoint);
	sim_erase(sim->state.endpoints, sim->state.n_endpoints, endpoint - sim->state.endpoints);
}

static inline void sim_put_rule(struct sim *sim, uint32_t id)
{
	struct state *state = &sim->state;
	size_t at = 0;

	assert_null(state_rule(state, id));
	assert_true(state->n_rules < state->fill[STATE_MAP_RULE_STATS].capacity);
	while (at < state->n_rules && state->rules[at].id < id)
		at++;
	sim_insert(state->rules, state->n_rules, at, (struct state_rule){ .id = id });
}

static inline void sim_erase_rule(struct sim *sim, uint32_t id)
{
	struct state *state = &sim->state;
	const struct state_rule *rule = state_rule(state, id);

	assert_non_null(rule);
	sim_erase(state->rules, state->n_rules, rule - state->rules);
}

static inline struct state_hook *sim_hook(struct sim *sim, const struct state_hook *hook)
{
	return bsearch(hook, sim->state.hooks, sim->state.n_hooks, sizeof(*hook),
		       state_hook_compare);
}

/* One that is dead is replaced. */
static inline void sim_attach(struct sim *sim, const struct state_hook *hook)
{
	struct state *state = &sim->state;
	struct state_hook *there = sim_hook(sim, hook);

	assert_true(!there || there->dead);
	if (there) {
		there->dead = false;
		return;
	}
	assert_true(state->n_hooks < SIM_HOOKS);
	state->hooks[state->n_hooks++] = *hook;
	qsort(state->hooks, state->n_hooks, sizeof(*hook), state_hook_compare);
}

static inline void sim_detach(struct sim *sim, const struct state_hook *hook)
{
	struct state_hook *there = sim_hook(sim, hook);

	assert_non_null(there);
	sim_erase(sim->state.hooks, sim->state.n_hooks, there - sim->state.hooks);
}

/* The info was put aside under this id before. */
static inline void sim_put_service(struct sim *sim, uint32_t id, const struct sst_service *value,
				   const struct sst_service_info *info)
{
	struct state *state = &sim->state;
	size_t at = 0;

	assert_int_not_equal(id, 0);
	assert_null(sim_service(sim, id));
	assert_true(ids_has(&sim->service_stats, id));
	assert_true(ids_has(&sim->service_info, id));
	assert_true(state->n_services < state->fill[STATE_MAP_SERVICES].capacity);
	while (at < state->n_services && state->services[at].id < id)
		at++;
	sim_insert(state->services, state->n_services, at,
		   (struct state_service){ .id = id, .value = *value, .info = *info });
}

static inline void sim_erase_service(struct sim *sim, uint32_t id)
{
	struct state_service *service = sim_service(sim, id);

	if (service)
		sim_erase(sim->state.services, sim->state.n_services,
			  service - sim->state.services);
}

/* ---- what programs may have seen -------------------------------------------- */

static inline void sim_observe(struct sim *sim)
{
	const struct state *state = &sim->state;

	if (sim->careless)
		return;
	for (size_t i = 0; i < state->n_frontends; i++)
		ids_add(&sim->seen_services, state->frontends[i].service);
	sim->seen_enforced |= state->config.enforces;
	for (uint32_t i = 0;
	     !policy_set_is_empty(&state->policy) && i < policy_head(&state->policy)->n_infos; i++)
		ids_add(&sim->seen_rules, policy_info(&state->policy, i)->id);
	for (size_t i = 0; i < state->n_services; i++) {
		const struct sst_service *value = &state->services[i].value;

		for (uint32_t j = 0; j < value->slots; j++) {
			sim->seen_slots[value->first + j] = true;
			ids_add(&sim->seen_endpoints, state->slots[value->first + j]);
		}
	}
	for (size_t i = 0; i < state->n_endpoints; i++)
		if (state->endpoints[i].value.state == SST_ENDPOINT_READY &&
		    ids_has(&sim->seen_services, state->endpoints[i].value.service))
			ids_add(&sim->seen_endpoints, state->endpoints[i].id);
}

static inline void sim_grace(struct sim *sim)
{
	sim->seen_services.n = 0;
	sim->seen_endpoints.n = 0;
	sim->seen_rules.n = 0;
	sim->seen_enforced = false;
	memset(sim->seen_slots, 0, sim->state.n_slots * sizeof(*sim->seen_slots));
	sim_observe(sim);
}

/* ---- what a connect() relies on --------------------------------------------- */

static inline void sim_check_service(struct sim *sim, const struct state_service *service)
{
	const struct sst_service *value = &service->value;

	assert_true((uint64_t)value->first + value->slots <= sim->state.n_slots);
	for (uint32_t i = 0; i < value->slots; i++) {
		struct state_endpoint *endpoint =
			sim_endpoint(sim, sim->state.slots[value->first + i]);

		assert_non_null(endpoint);
		assert_int_equal(endpoint->value.service, service->id);
		assert_int_equal(endpoint->value.state, SST_ENDPOINT_READY);
	}
}

/* Who is told that there is a set finds it, each rule with its statistics, and the hooks
 * that it counts on. */
static inline void sim_check_policy(struct sim *sim)
{
	const struct policy_set *set = &sim->state.policy;
	uint32_t flags;

	if (policy_set_is_empty(set)) {
		assert_false(sim->state.config.enforces);
		return;
	}
	flags = policy_head(set)->flags;
	for (uint32_t i = 0; i < policy_head(set)->n_infos; i++)
		assert_non_null(state_rule(&sim->state, policy_info(set, i)->id));
	if (flags & SST_POLICY_RULES)
		assert_non_null(sim_hook(sim, &(struct state_hook){ STATE_HOOK_SOCKET }));
}

static inline void sim_check(struct sim *sim)
{
	const struct state *state = &sim->state;

	if (sim->careless)
		return;
	sim_check_policy(sim);
	for (size_t i = 0; i < state->n_frontends; i++)
		assert_non_null(sim_service(sim, state->frontends[i].service));
	for (size_t i = 0; i < state->n_services; i++)
		sim_check_service(sim, &state->services[i]);
}

/* ---- steps ------------------------------------------------------------------ */

static inline void sim_add_slots(struct sim *sim, const union step_value *value)
{
	uint32_t first = value->slots.first, n = value->slots.n;

	assert_true(n > 0);
	assert_true((uint64_t)first + n <= sim->state.n_slots);
	for (uint32_t i = 0; i < n; i++)
		assert_false(sim->seen_slots[first + i]);
	memcpy(sim->state.slots + first, value->slots.ids, n * sizeof(*value->slots.ids));
}

/* Info is kept with the service; that of a service to come waits in its step. */
static inline void sim_add(struct sim *sim, const struct step *step, const struct plan *plan)
{
	const struct sst_service_info *info = NULL;

	switch (step->kind) {
	case STEP_ADD_SERVICE_STATS:
		assert_null(sim_service(sim, step->id));
		ids_add(&sim->service_stats, step->id);
		break;
	case STEP_ADD_ENDPOINT_STATS:
		assert_null(sim_endpoint(sim, step->id));
		ids_add(&sim->endpoint_stats, step->id);
		break;
	case STEP_ADD_ENDPOINT:
		sim_put_endpoint(sim, step->id, &step->value.endpoint);
		break;
	case STEP_ADD_SLOTS:
		sim_add_slots(sim, &step->value);
		break;
	case STEP_ADD_SERVICE_INFO:
		assert_null(sim_service(sim, step->id));
		ids_add(&sim->service_info, step->id);
		break;
	case STEP_ADD_SERVICE:
		for (size_t i = 0; i < plan->n_steps; i++)
			if (plan->steps[i].kind == STEP_ADD_SERVICE_INFO &&
			    plan->steps[i].id == step->id)
				info = plan->steps[i].value.info;
		assert_non_null(info);
		sim_put_service(sim, step->id, &step->value.service, info);
		break;
	case STEP_ADD_RULE_STATS:
		sim_put_rule(sim, step->id);
		break;
	case STEP_ATTACH:
		sim_attach(sim, &step->value.hook);
		break;
	default:
		fail();
	}
}

/* Replaces *what, which must be what the step takes it for. */
#define sim_replace(what, before, after)                                 \
	do {                                                             \
		assert_memory_equal(what, before, sizeof(*(what)));      \
		assert_memory_not_equal(before, after, sizeof(*(what))); \
		*(what) = *(after);                                      \
	} while (0)

static inline void sim_flip_frontend(struct sim *sim, const struct step *step)
{
	if (step->replaces) {
		assert_memory_equal(&step->old.frontend.key, &step->value.frontend.key,
				    sizeof(struct sst_frontend_key));
		sim_drop_frontend(sim, &step->old.frontend);
	}
	sim_put_frontend(sim, &step->value.frontend);
}

static inline void sim_flip(struct sim *sim, const struct step *step,
			    const union step_value *before, const union step_value *after)
{
	switch (step->kind) {
	case STEP_FLIP_CONFIG:
		sim_replace(&sim->state.config, &before->config, &after->config);
		break;
	case STEP_FLIP_SERVICE_INFO:
		assert_non_null(sim_service(sim, step->id));
		sim_replace(&sim_service(sim, step->id)->info, before->info, after->info);
		break;
	case STEP_FLIP_SERVICE:
		assert_non_null(sim_service(sim, step->id));
		sim_replace(&sim_service(sim, step->id)->value, &before->service, &after->service);
		break;
	case STEP_FLIP_ENDPOINT:
	case STEP_RETIRE_ENDPOINT:
		assert_non_null(sim_endpoint(sim, step->id));
		sim_replace(&sim_endpoint(sim, step->id)->value, &before->endpoint,
			    &after->endpoint);
		break;
	default:
		fail();
	}
}

static inline void sim_delete_endpoint(struct sim *sim, uint32_t id)
{
	const struct state_endpoint *endpoint = sim_endpoint(sim, id);

	assert_non_null(endpoint);
	assert_int_equal(endpoint->value.state, SST_ENDPOINT_REMOVED);
	assert_int_equal(endpoint->stats.opened, endpoint->stats.closed);
	assert_false(ids_has(&sim->seen_endpoints, id));
	sim_erase_endpoint(sim, id);
	ids_remove(&sim->endpoint_stats, id);
}

static inline void sim_delete_service(struct sim *sim, uint32_t id)
{
	assert_false(ids_has(&sim->seen_services, id));
	for (size_t i = 0; i < sim->state.n_endpoints; i++)
		assert_int_not_equal(sim->state.endpoints[i].value.service, id);
	sim_erase_service(sim, id);
	ids_remove(&sim->service_stats, id);
	ids_remove(&sim->service_info, id);
}

static inline struct policy_set set_copy(const struct policy_set *set)
{
	size_t size = (size_t)set->memory.blocks * SST_BLOCK_BYTES;
	void *bytes = malloc(size + 1);

	assert_non_null(bytes);
	if (size)
		memcpy(bytes, set->memory.base, size);
	return (struct policy_set){ { bytes, set->memory.blocks }, bytes };
}

static inline void sim_flip_policy(struct sim *sim, const struct step *step,
				   const struct plan *plan)
{
	struct policy_set *set = &sim->state.policy;

	assert_false(policy_set_is_empty(&plan->policy));
	assert_int_equal(step->replaces, !policy_set_is_empty(set));
	/* nothing that was remembered of another set is taken for one of this */
	assert_true(policy_head(&plan->policy)->generation > sim->generation);
	sim->generation = policy_head(&plan->policy)->generation;
	policy_set_release(&sim->old_policy);
	sim->old_policy = *set;
	*set = set_copy(&plan->policy);
	sim_grace(sim); /* the kernel waits by itself */
}

static inline void sim_delete_policy(struct sim *sim)
{
	assert_false(policy_set_is_empty(&sim->state.policy));
	assert_false(sim->seen_enforced);
	policy_set_release(&sim->state.policy);
	sim_grace(sim); /* the kernel waits by itself */
}

static inline void sim_delete_rule(struct sim *sim, uint32_t id)
{
	assert_false(ids_has(&sim->seen_rules, id));
	sim_erase_rule(sim, id);
}

static inline void sim_apply(struct sim *sim, const struct step *step, const struct plan *plan)
{
	switch (step->kind) {
	case STEP_FLIP_CONFIG:
	case STEP_FLIP_SERVICE_INFO:
	case STEP_FLIP_SERVICE:
	case STEP_FLIP_ENDPOINT:
	case STEP_RETIRE_ENDPOINT:
		assert_true(step->replaces);
		sim_flip(sim, step, &step->old, &step->value);
		break;
	case STEP_FLIP_FRONTEND:
		sim_flip_frontend(sim, step);
		break;
	case STEP_DROP_FRONTEND:
		assert_true(step->replaces);
		sim_drop_frontend(sim, &step->old.frontend);
		break;
	case STEP_GRACE:
		sim_grace(sim);
		break;
	case STEP_FLIP_POLICY:
		sim_flip_policy(sim, step, plan);
		break;
	case STEP_REVOKE:
		assert_true(policy_head(&sim->state.policy)->flags & SST_POLICY_REVOKE);
		sim->revocations++;
		break;
	case STEP_DELETE_POLICY:
		sim_delete_policy(sim);
		break;
	case STEP_DELETE_RULE_STATS:
		sim_delete_rule(sim, step->id);
		break;
	case STEP_DETACH:
		sim_detach(sim, &step->value.hook);
		break;
	case STEP_DELETE_ENDPOINT:
		sim_delete_endpoint(sim, step->id);
		break;
	case STEP_DELETE_SERVICE:
		sim_delete_service(sim, step->id);
		break;
	case STEP_STOP_SPLICE:
		break;
	default:
		sim_add(sim, step, plan);
	}
	sim_check(sim);
	sim_observe(sim);
}

/* The way back over one step of ADD or FLIP, as plan.h promises it. */
static inline void sim_undo(struct sim *sim, const struct step *step)
{
	switch (step->kind) {
	case STEP_ADD_SERVICE_STATS:
		ids_remove(&sim->service_stats, step->id);
		break;
	case STEP_ADD_ENDPOINT_STATS:
		ids_remove(&sim->endpoint_stats, step->id);
		break;
	case STEP_ADD_ENDPOINT:
		sim_erase_endpoint(sim, step->id);
		break;
	case STEP_ADD_SLOTS:
		break;
	case STEP_ADD_SERVICE_INFO:
		ids_remove(&sim->service_info, step->id);
		break;
	case STEP_ADD_SERVICE:
		sim_erase_service(sim, step->id);
		break;
	case STEP_ADD_RULE_STATS:
		sim_erase_rule(sim, step->id);
		break;
	case STEP_ATTACH:
		sim_detach(sim, &step->value.hook);
		break;
	case STEP_FLIP_POLICY:
		policy_set_release(&sim->state.policy);
		sim->state.policy = sim->old_policy;
		sim->old_policy = (struct policy_set){ 0 };
		sim->generation--; /* the same plan may be run once more */
		break;
	case STEP_FLIP_FRONTEND:
		sim_drop_frontend(sim, &step->value.frontend);
		if (step->replaces)
			sim_put_frontend(sim, &step->old.frontend);
		break;
	case STEP_DROP_FRONTEND:
		sim_put_frontend(sim, &step->old.frontend);
		break;
	default:
		sim_flip(sim, step, &step->value, &step->old);
	}
	sim_check(sim);
}

/* ---- plans ------------------------------------------------------------------ */

enum phase { PHASE_ADD, PHASE_FLIP, PHASE_GRACE, PHASE_REMOVE };

static inline enum phase phase_of(enum step_kind kind)
{
	if (kind < STEP_FLIP_POLICY)
		return PHASE_ADD;
	if (kind < STEP_GRACE)
		return PHASE_FLIP;
	return kind == STEP_GRACE ? PHASE_GRACE : PHASE_REMOVE;
}

static inline size_t count_steps(const struct plan *plan, enum step_kind kind)
{
	size_t n = 0;

	for (size_t i = 0; i < plan->n_steps; i++)
		n += plan->steps[i].kind == kind;
	return n;
}

static inline void check_phases(const struct plan *plan)
{
	bool waits = false, waited = false;

	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct step *step = &plan->steps[i];

		if (i)
			assert_true(phase_of(step[-1].kind) <= phase_of(step->kind));
		if (step->kind == STEP_STOP_SPLICE)
			assert_int_equal(i, plan->n_steps - 1);
		waits |= step->replaces || phase_of(step->kind) == PHASE_REMOVE;
		if (phase_of(step->kind) == PHASE_FLIP)
			waited = step->kind == STEP_FLIP_POLICY;
	}
	assert_int_equal(count_steps(plan, STEP_GRACE), waits && !waited);
}

static inline void sim_take_ids(struct sim *sim, const struct plan *plan)
{
	sim->state.meta.next_service = plan->next_service;
	sim->state.meta.next_endpoint = plan->next_endpoint;
}

static inline void sim_take_policy_ids(struct sim *sim, const struct plan *plan)
{
	sim->state.meta.next_set = plan->next_set;
	sim->state.meta.next_identity = plan->next.identity;
	sim->state.meta.next_workload = plan->next.workload;
	sim->state.meta.next_rule = plan->next.rule;
}

/* The first n steps: a plan that was cut short, unless n is all of them. */
static inline void sim_run_some(struct sim *sim, const struct plan *plan, size_t n)
{
	check_phases(plan);
	sim_observe(sim);
	if (!sim->takes_ids_last && plan->n_steps)
		sim_take_ids(sim, plan);
	sim_take_policy_ids(sim, plan);
	for (size_t i = 0; i < n; i++)
		sim_apply(sim, &plan->steps[i], plan);
	if (n == plan->n_steps)
		sim_take_ids(sim, plan);
}

static inline void sim_run(struct sim *sim, const struct plan *plan)
{
	sim_run_some(sim, plan, plan->n_steps);
}

#endif
