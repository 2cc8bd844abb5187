/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All rules of the planner together: thousands of random configurations follow each
 * other, flows open and close, plans are undone and cut short anywhere. The simulated
 * kernel asserts after every step what a connect() relies on.
 */
#include "plan_fixture.h"

#include <stdio.h>

#include "plan/known.h"

/* ---- chance ----------------------------------------------------------------- */

struct dice {
	uint64_t seed;
};

static uint32_t roll(struct dice *dice, uint32_t n)
{
	dice->seed = dice->seed * 6364136223846793005 + 1442695040888963407;
	return (dice->seed >> 33) % n;
}

static bool chance(struct dice *dice, uint32_t percent)
{
	return roll(dice, 100) < percent;
}

/* ---- a world that changes bit by bit ---------------------------------------- */

enum {
	NAMES = 6,
	ADDRESSES = 10, /* each belongs to one service or to none */
	PORTS = 3,
	PLACES = 6, /* where endpoints may run, half of them with IPv6 */
	RULES = 10,
	WORKLOADS = 4,
};

struct place_plan {
	bool used;
	bool ready;
	bool draining;
	uint16_t weight;
};

struct service_plan {
	bool used;
	bool port_used[PORTS];
	bool port_renamed[PORTS];
	struct place_plan places[PORTS][PLACES];
	enum sst_balance balance;
	enum sst_splice splice;
	enum sst_on_remove on_remove;
	uint32_t affinity_s;
};

struct world {
	struct service_plan services[NAMES];
	uint32_t owner[ADDRESSES]; /* NAMES: nobody */
	struct model_node node;
	bool rule_used[RULES];
	bool rule_denies[RULES];
	bool workload_used[WORKLOADS];
	bool workload_moved[WORKLOADS];
	bool netns_used[FIXTURE_NETNS];
	uint32_t flags;
};

static void world_init(struct world *world)
{
	memset(world, 0, sizeof(*world));
	world->node.splice = SST_SPLICE_AUTO;
	for (size_t i = 0; i < ADDRESSES; i++)
		world->owner[i] = NAMES;
}

static void change_place(struct place_plan *place, struct dice *dice)
{
	place->used = chance(dice, 70);
	place->ready = chance(dice, 80);
	place->draining = chance(dice, 15);
	place->weight = 1 + roll(dice, chance(dice, 50) ? 1 : 6);
}

static void change_settings(struct service_plan *service, struct dice *dice)
{
	service->balance = roll(dice, 2);
	service->splice = roll(dice, 4);
	service->on_remove = roll(dice, 2);
	service->affinity_s = roll(dice, 2) * 10;
}

static void change_policy(struct world *world, struct dice *dice)
{
	size_t rule = roll(dice, RULES), workload = roll(dice, WORKLOADS);
	size_t netns = roll(dice, FIXTURE_NETNS);

	switch (roll(dice, 6)) {
	case 0:
		world->rule_denies[rule] = !world->rule_denies[rule];
		break;
	case 1:
		world->workload_used[workload] = chance(dice, 50);
		break;
	case 2:
		world->workload_moved[workload] = chance(dice, 50);
		break;
	case 3:
		world->netns_used[netns] = chance(dice, 50);
		break;
	case 4:
		world->flags = roll(dice, 32) & ~SST_POLICY_RULES;
		break;
	default:
		world->rule_used[rule] = chance(dice, 50);
	}
	if (chance(dice, 5)) { /* now and then there is nothing to enforce */
		memset(world->rule_used, 0, sizeof(world->rule_used));
		memset(world->workload_used, 0, sizeof(world->workload_used));
	}
}

static void change_something(struct world *world, struct dice *dice)
{
	struct service_plan *service = &world->services[roll(dice, NAMES)];
	size_t port = roll(dice, PORTS);

	if (chance(dice, 25))
		change_policy(world, dice);
	switch (roll(dice, 10)) {
	case 0:
		service->used = !service->used;
		break;
	case 1:
		service->port_used[port] = !service->port_used[port];
		break;
	case 2:
		service->port_renamed[port] = !service->port_renamed[port];
		break;
	case 3:
	case 4:
		world->owner[roll(dice, ADDRESSES)] = roll(dice, NAMES + 1);
		break;
	case 5:
		change_settings(service, dice);
		break;
	case 6:
		world->node.splice = 1 + roll(dice, 3);
		world->node.fail_closed = roll(dice, 2);
		break;
	default:
		change_place(&service->places[port][roll(dice, PLACES)], dice);
	}
}

static void change_world(struct world *world, struct dice *dice)
{
	/* now and then everything at once, or nothing */
	uint32_t n = chance(dice, 10) ? 200 : roll(dice, 8);

	while (n--)
		change_something(world, dice);
}

/* ---- the world as a model --------------------------------------------------- */

static const char *const address_texts[ADDRESSES] = {
	"10.96.0.1", "10.96.0.2", "10.96.0.3", "10.96.0.4", "10.96.0.5",
	"10.96.0.6", "fd00::1",   "fd00::2",   "fd00::3",   "fd00::4",
};

static const char *const place_texts[PLACES] = {
	"10.1.0.1", "10.1.0.2", "10.1.0.3", "fd01::1", "fd01::2", "fd01::3",
};

static void describe_port(const struct service_plan *plan, size_t i, struct model_service *service)
{
	static char *const names[PORTS][2] = { { "http", "web" }, { "dns", "" }, { "a", "b" } };
	static const uint16_t numbers[PORTS] = { 80, 53, 53 };
	static const uint8_t protocols[PORTS] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_TCP };
	struct model_port *port;

	port = wish_port(service, names[i][plan->port_renamed[i]], numbers[i], protocols[i]);
	for (size_t j = 0; j < PLACES; j++) {
		const struct place_plan *place = &plan->places[i][j];
		struct model_endpoint *endpoint;

		if (!place->used)
			continue;
		endpoint = wish_endpoint(port, place_texts[j], 8000 + i);
		endpoint->weight = place->weight;
		endpoint->ready = place->ready;
		endpoint->draining = place->draining;
	}
}

static void describe_service(const struct world *world, uint32_t i, struct wish *wish)
{
	static char *const names[NAMES] = { "ant", "bee", "cat", "dog", "eel", "fox" };
	const struct service_plan *plan = &world->services[i];
	struct model_service *service = wish_service(wish, names[i]);

	service->balance = plan->balance;
	service->splice = plan->splice;
	service->on_remove = plan->on_remove;
	service->affinity_s = plan->affinity_s;
	for (size_t j = 0; j < ADDRESSES; j++)
		if (world->owner[j] == i && service->n_addresses < FIXTURE_ADDRESSES)
			wish_address(service, address_texts[j]);
	for (size_t j = 0; j < PORTS; j++)
		if (plan->port_used[j])
			describe_port(plan, j, service);
}

static void describe_policy(const struct world *world, struct wish *wish)
{
	static char *const rules[RULES] = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9" };
	static char *const policies[] = { "a", "b", "c" };
	static char *const workloads[WORKLOADS] = { "w", "x", "y", "z" };

	for (size_t i = 0; i < RULES; i++)
		if (world->rule_used[i])
			wish_rule(wish, policies[i % 3], rules[i])->action =
				world->rule_denies[i] ? SST_ACTION_DENY : SST_ACTION_ALLOW;
	for (size_t i = 0; i < WORKLOADS; i++)
		if (world->workload_used[i])
			wish_workload(wish, workloads[i])->how =
				world->workload_moved[i] ? "10.1.0.8" : "10.1.0.7";
	for (size_t i = 0; i < FIXTURE_NETNS; i++)
		if (world->netns_used[i])
			wish->netns[wish->n_netns++] = 100 + i;
	wish->flags |= world->flags;
}

static void describe_world(const struct world *world, struct wish *wish)
{
	wish_init(wish);
	wish->model.node = world->node;
	for (uint32_t i = 0; i < NAMES; i++)
		if (world->services[i].used)
			describe_service(world, i, wish);
	describe_policy(world, wish);
}

/* ---- did it arrive? --------------------------------------------------------- */

static uint32_t turns_of(const struct state *state, const struct state_service *service,
			 uint32_t endpoint)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < service->value.slots; i++)
		n += state->slots[service->value.first + i] == endpoint;
	return n;
}

static const struct state_endpoint *find_endpoint(const struct state *state, uint32_t service,
						  const struct model_endpoint *wanted)
{
	for (size_t i = 0; i < state->n_endpoints; i++) {
		const struct sst_endpoint *value = &state->endpoints[i].value;

		if (value->service == service && value->port == htons(wanted->port) &&
		    !memcmp(&value->address, &wanted->address, sizeof(value->address)))
			return &state->endpoints[i];
	}
	return NULL;
}

static bool is_usable(const struct model_endpoint *endpoint)
{
	return endpoint->ready && !endpoint->draining;
}

/* Everybody's turns are in the proportion of the weights: n_a * w_b == n_b * w_a. */
static void check_endpoints(const struct state *state, const struct state_service *service,
			    const struct model_port *port)
{
	uint32_t first_turns = 0, first_weight = 0, turns = 0;

	for (size_t i = 0; i < port->n_endpoints; i++) {
		const struct model_endpoint *wanted = &port->endpoints[i];
		const struct state_endpoint *endpoint;
		uint32_t n;

		if (address_family(&wanted->address) != service->info.family)
			continue;
		endpoint = find_endpoint(state, service->id, wanted);
		assert_non_null(endpoint);
		assert_int_equal(endpoint->value.weight, wanted->weight);
		n = turns_of(state, service, endpoint->id);
		turns += n;
		assert_int_equal(n > 0, is_usable(wanted));
		assert_int_equal(endpoint->value.state == SST_ENDPOINT_READY, is_usable(wanted));
		if (!n)
			continue;
		if (!first_turns) {
			first_turns = n;
			first_weight = wanted->weight;
		}
		assert_int_equal(n * first_weight, first_turns * wanted->weight);
	}
	assert_int_equal(turns, service->value.slots);
}

static void check_address(struct sim *sim, const struct model_service *wanted,
			  const struct model_port *port, const struct sst_addr *address)
{
	struct sst_frontend_key key = {
		.address = *address,
		.port = htons(port->port),
		.protocol = port->protocol,
	};
	const struct state_frontend *frontend = sim_frontend(sim, &key);
	const struct state_service *service;

	assert_non_null(frontend);
	service = state_service(&sim->state, frontend->service);
	assert_non_null(service);
	assert_string_equal(service->info.name, wanted->name);
	assert_string_equal(service->info.port_name, port->name);
	assert_int_equal(service->info.family, address_family(address));
	assert_int_equal(service->value.balance, wanted->balance);
	assert_int_equal(service->value.affinity_s, wanted->affinity_s);
	assert_int_equal(service->value.on_remove, wanted->on_remove);
	assert_int_equal(service->value.splice, wanted->splice);
	check_endpoints(&sim->state, service, port);
}

/* The set that is wanted, statistics of its rules and of no others, and its hooks, alive. */
static void check_policy(const struct sim *sim, const struct wish *wish)
{
	_cleanup_plan_policy_ struct plan_policy policy = wish_compile(wish, &sim->state);
	const struct state *state = &sim->state;

	assert_true(policy_sets_are_equal(&policy.set, &state->policy));
	assert_int_equal(state->config.enforces, !policy_set_is_empty(&state->policy));
	assert_int_equal(state->n_rules, wish->n_rules);
	for (size_t i = 0; i < state->n_rules; i++)
		assert_non_null(policy_info_by_id(&state->policy, state->rules[i].id));
	assert_int_equal(state->n_hooks, policy.n_hooks);
	if (policy.n_hooks)
		assert_memory_equal(state->hooks, policy.hooks,
				    policy.n_hooks * sizeof(*policy.hooks));
}

static void check_arrival(struct sim *sim, const struct wish *wish)
{
	const struct model *model = &wish->model;
	size_t n_frontends = 0;

	for (size_t i = 0; i < model->n_services; i++) {
		const struct model_service *service = &model->services[i];

		for (size_t j = 0; j < service->n_ports; j++)
			for (size_t k = 0; k < service->n_addresses; k++)
				check_address(sim, service, &service->ports[j],
					      &service->addresses[k]);
		n_frontends += service->n_ports * service->n_addresses;
	}
	assert_int_equal(sim->state.n_frontends, n_frontends);
	assert_int_equal(sim->state.config.splice, model->node.splice);
	assert_int_equal(sim->state.config.fail_closed, model->node.fail_closed);
	check_policy(sim, wish);
}

/*
 * What a plan that was cut short has left under ids that nobody has: if it did not take
 * them, they come next, so that it is overwritten. Ids may wrap, hence the difference.
 */
static void check_leftovers(const struct sim *sim, const struct ids *ids, uint32_t next)
{
	for (size_t i = 0; sim->takes_ids_last && i < ids->n; i++)
		assert_true((int32_t)(ids->id[i] - next) >= 0);
}

/* Nothing is left but what the model has and what flows hold. */
static void check_remains(const struct sim *sim)
{
	struct ids service_stats = ids_copy(&sim->service_stats);
	struct ids service_info = ids_copy(&sim->service_info);
	struct ids endpoint_stats = ids_copy(&sim->endpoint_stats);
	const struct state *state = &sim->state;

	for (size_t i = 0; i < state->n_services; i++) {
		assert_true(ids_remove(&service_stats, state->services[i].id));
		assert_true(ids_remove(&service_info, state->services[i].id));
	}
	for (size_t i = 0; i < state->n_endpoints; i++) {
		const struct state_endpoint *endpoint = &state->endpoints[i];

		assert_true(ids_remove(&endpoint_stats, endpoint->id));
		if (endpoint->value.state == SST_ENDPOINT_REMOVED)
			assert_int_not_equal(endpoint->stats.opened, endpoint->stats.closed);
	}
	check_leftovers(sim, &service_stats, state->meta.next_service);
	check_leftovers(sim, &service_info, state->meta.next_service);
	check_leftovers(sim, &endpoint_stats, state->meta.next_endpoint);
	free(service_stats.id);
	free(service_info.id);
	free(endpoint_stats.id);
}

/* ---- an address meets the old service or the new one, nothing in between ---- */

/* What a connect() to an address finds. */
struct answer {
	uint32_t service; /* 0: none */
	struct sst_service value;
};

struct watch {
	struct sst_frontend_key key;
	struct answer answers[8]; /* different ones, as they came */
	size_t n;
};

struct watches {
	struct watch watch[ADDRESSES * PORTS * 2];
	size_t n;
};

static struct answer ask(struct sim *sim, const struct sst_frontend_key *key)
{
	const struct state_frontend *frontend = sim_frontend(sim, key);
	struct answer answer = { 0 };

	if (frontend) {
		answer.service = frontend->service;
		answer.value = sim_service(sim, frontend->service)->value;
	}
	return answer;
}

static void watch_key(struct watches *watches, const struct sst_frontend_key *key)
{
	for (size_t i = 0; i < watches->n; i++)
		if (!memcmp(&watches->watch[i].key, key, sizeof(*key)))
			return;
	assert_true(watches->n < ARRAY_SIZE(watches->watch));
	watches->watch[watches->n++] = (struct watch){ .key = *key };
}

/* All addresses there are, and all there will be. */
static void watch_all(struct watches *watches, const struct sim *sim, const struct plan *plan)
{
	for (size_t i = 0; i < sim->state.n_frontends; i++)
		watch_key(watches, &sim->state.frontends[i].key);
	for (size_t i = 0; i < plan->n_steps; i++)
		if (plan->steps[i].kind == STEP_FLIP_FRONTEND)
			watch_key(watches, &plan->steps[i].value.frontend.key);
}

static void watches_note(struct watches *watches, struct sim *sim)
{
	for (size_t i = 0; i < watches->n; i++) {
		struct watch *watch = &watches->watch[i];
		struct answer answer = ask(sim, &watch->key);

		if (watch->n && !memcmp(&watch->answers[watch->n - 1], &answer, sizeof(answer)))
			continue;
		assert_true(watch->n < ARRAY_SIZE(watch->answers));
		watch->answers[watch->n++] = answer;
	}
}

static bool gains_addresses(const struct plan *plan, uint32_t service)
{
	for (size_t i = 0; i < plan->n_steps; i++)
		if (plan->steps[i].kind == STEP_FLIP_FRONTEND && plan->steps[i].id == service)
			return true;
	return false;
}

/* Returns how many have seen something in between: from services that gain and lose at once. */
static size_t watches_check(const struct watches *watches, const struct plan *plan)
{
	size_t exceptions = 0;

	for (size_t i = 0; i < watches->n; i++) {
		const struct watch *watch = &watches->watch[i];
		const struct answer *before = watch->answers, *after = before + watch->n - 1;

		if (watch->n <= 2)
			continue;
		assert_int_equal(watch->n, 3);
		assert_int_not_equal(before->service, after->service);
		assert_true(gains_addresses(plan, before->service));
		exceptions++;
	}
	return exceptions;
}

/* How much of the exception there is: it must stay the exception. */
static size_t moves_watched, moves_in_between;

/* The first n steps; known may be NULL. */
static void run_some_watched(struct sim *sim, const struct plan *plan, size_t n,
			     struct known *known)
{
	struct watches watches = { 0 };

	watch_all(&watches, sim, plan);
	watches_note(&watches, sim);
	sim_take_policy_ids(sim, plan);
	for (size_t i = 0; i < n; i++) {
		sim_apply(sim, &plan->steps[i], plan);
		if (known)
			known_note(known, &plan->steps[i]);
		watches_note(&watches, sim);
	}
	moves_in_between += watches_check(&watches, plan);
	moves_watched += count_steps(plan, STEP_FLIP_FRONTEND);
	sim_take_ids(sim, plan);
}

static void run_watched(struct sim *sim, const struct plan *plan)
{
	check_phases(plan);
	run_some_watched(sim, plan, plan->n_steps, NULL);
}

/* ---- undoing ---------------------------------------------------------------- */

/* Everything but the slots that nothing refers to. */
struct picture {
	struct sst_config config;
	struct policy_set policy;
	struct state_rule *rules;
	struct state_hook *hooks;
	size_t n_rules;
	size_t n_hooks;
	struct state_frontend *frontends;
	struct state_service *services;
	struct state_endpoint *endpoints;
	uint32_t *slots;
	size_t n_frontends;
	size_t n_services;
	size_t n_endpoints;
};

static void *copy(const void *from, size_t n, size_t size)
{
	void *to = calloc(n + 1, size);

	assert_non_null(to);
	memcpy(to, from, n * size);
	return to;
}

static struct picture take_picture(const struct state *state)
{
	return (struct picture){
		.config = state->config,
		.policy = set_copy(&state->policy),
		.rules = copy(state->rules, state->n_rules, sizeof(*state->rules)),
		.hooks = copy(state->hooks, state->n_hooks, sizeof(*state->hooks)),
		.n_rules = state->n_rules,
		.n_hooks = state->n_hooks,
		.frontends = copy(state->frontends, state->n_frontends, sizeof(*state->frontends)),
		.services = copy(state->services, state->n_services, sizeof(*state->services)),
		.endpoints = copy(state->endpoints, state->n_endpoints, sizeof(*state->endpoints)),
		.slots = copy(state->slots, state->n_slots, sizeof(*state->slots)),
		.n_frontends = state->n_frontends,
		.n_services = state->n_services,
		.n_endpoints = state->n_endpoints,
	};
}

static void picture_release(struct picture *picture)
{
	policy_set_release(&picture->policy);
	free(picture->rules);
	free(picture->hooks);
	free(picture->frontends);
	free(picture->services);
	free(picture->endpoints);
	free(picture->slots);
}

static void assert_same(const struct picture *picture, const struct state *state)
{
	assert_memory_equal(&picture->config, &state->config, sizeof(state->config));
	assert_true(policy_sets_are_equal(&picture->policy, &state->policy));
	assert_int_equal(picture->n_rules, state->n_rules);
	assert_memory_equal(picture->rules, state->rules, state->n_rules * sizeof(*state->rules));
	assert_int_equal(picture->n_hooks, state->n_hooks);
	assert_memory_equal(picture->hooks, state->hooks, state->n_hooks * sizeof(*state->hooks));
	assert_int_equal(picture->n_frontends, state->n_frontends);
	assert_int_equal(picture->n_services, state->n_services);
	assert_int_equal(picture->n_endpoints, state->n_endpoints);
	assert_memory_equal(picture->frontends, state->frontends,
			    state->n_frontends * sizeof(*state->frontends));
	assert_memory_equal(picture->services, state->services,
			    state->n_services * sizeof(*state->services));
	assert_memory_equal(picture->endpoints, state->endpoints,
			    state->n_endpoints * sizeof(*state->endpoints));
	for (size_t i = 0; i < state->n_services; i++) {
		const struct sst_service *value = &state->services[i].value;

		assert_memory_equal(picture->slots + value->first, state->slots + value->first,
				    value->slots * sizeof(*state->slots));
	}
}

/* Steps that can be walked back. */
static size_t undoable(const struct plan *plan)
{
	size_t n = 0;

	while (n < plan->n_steps && phase_of(plan->steps[n].kind) <= PHASE_FLIP)
		n++;
	return n;
}

static void run_and_undo(struct sim *sim, const struct plan *plan, struct dice *dice)
{
	struct picture before __attribute__((cleanup(picture_release))) = take_picture(&sim->state);
	size_t n = roll(dice, undoable(plan) + 1);

	for (size_t i = 0; i < n; i++)
		sim_apply(sim, &plan->steps[i], plan);
	while (n--)
		sim_undo(sim, &plan->steps[n]);
	assert_same(&before, &sim->state);
	sim_grace(sim);
}

/* ---- life goes on ----------------------------------------------------------- */

/* Flows open at ready endpoints and close anywhere. */
static void play_flows(struct sim *sim, struct dice *dice)
{
	for (size_t i = 0; i < sim->state.n_endpoints; i++) {
		struct state_endpoint *endpoint = &sim->state.endpoints[i];

		if (endpoint->value.state == SST_ENDPOINT_READY && chance(dice, 20))
			endpoint->stats.opened += 1 + roll(dice, 3);
		if (chance(dice, 30))
			endpoint->stats.closed = endpoint->stats.opened;
	}
}

static void close_all_flows(struct sim *sim)
{
	for (size_t i = 0; i < sim->state.n_endpoints; i++)
		sim->state.endpoints[i].stats.closed = sim->state.endpoints[i].stats.opened;
}

static void make_plan(const struct wish *wish, const struct sim *sim, struct plan *ret)
{
	_cleanup_plan_policy_ struct plan_policy policy = wish_compile(wish, &sim->state);
	_cleanup_problems_ struct problems problems = { 0 };

	const struct plan_input input = { &wish->model, &policy, &sim->state };

	assert_int_equal(plan_make(&input, &problems, ret), 0);
}

static void assert_nothing_to_do(const struct wish *wish, const struct sim *sim)
{
	_cleanup_plan_ struct plan again = { 0 }, collect = { 0 };

	make_plan(wish, sim, &again);
	assert_int_equal(again.n_steps, 0);
	assert_int_equal(again.n_changes, 0);
	assert_int_equal(plan_collect(&(struct plan_input){ .state = &sim->state }, &collect), 0);
	assert_int_equal(collect.n_steps, 0);
}

static void collect(struct sim *sim)
{
	_cleanup_plan_ struct plan plan = { 0 };

	assert_int_equal(plan_collect(&(struct plan_input){ .state = &sim->state }, &plan), 0);
	run_watched(sim, &plan);
}

/* A plan ends anywhere, as if the power went; whoever comes next waits, then plans anew. */
static void cut_short(struct sim *sim, const struct plan *plan, struct dice *dice)
{
	sim_run_some(sim, plan, roll(dice, plan->n_steps + 1));
	sim->cut_short = true;
	sim_grace(sim);
	if (chance(dice, 50))
		collect(sim);
}

static void live_one_day(struct world *world, struct sim *sim, struct wish *wish, struct dice *dice)
{
	_cleanup_plan_ struct plan plan = { 0 };

	change_world(world, dice);
	describe_world(world, wish);
	make_plan(wish, sim, &plan);
	run_and_undo(sim, &plan, dice);
	/* two that took no ids in a row leave what nobody can know of */
	if (chance(dice, 20) && !(sim->takes_ids_last && sim->cut_short)) {
		cut_short(sim, &plan, dice);
		return;
	}
	run_watched(sim, &plan);
	sim->cut_short = false;
	check_arrival(sim, wish);
	check_remains(sim);
	assert_nothing_to_do(wish, sim);
	play_flows(sim, dice);
	if (chance(dice, 30))
		collect(sim);
}

/* The last configuration is empty, and the last flow closes. */
static void end_of_days(struct sim *sim, struct wish *wish)
{
	_cleanup_plan_ struct plan plan = { 0 };

	wish_init(wish);
	make_plan(wish, sim, &plan);
	run_watched(sim, &plan);
	close_all_flows(sim);
	collect(sim);
	assert_int_equal(sim->state.n_frontends, 0);
	assert_int_equal(sim->state.n_services, 0);
	assert_int_equal(sim->state.n_endpoints, 0);
	assert_nothing_to_do(wish, sim);
}

static void live(uint64_t seed, unsigned days, uint32_t first_id)
{
	_cleanup_free_ struct wish *wish = calloc(1, sizeof(*wish));
	_cleanup_sim_ struct sim sim = { 0 };
	struct dice dice = { seed };
	struct world world;

	assert_non_null(wish);
	world_init(&world);
	sim_init(&sim, 128, 256, 1024, 4096);
	sim.takes_ids_last = seed % 2;
	sim.state.meta.next_service = first_id;
	sim.state.meta.next_endpoint = first_id;
	while (days--)
		live_one_day(&world, &sim, wish, &dice);
	end_of_days(&sim, wish);
}

/* ---- life in parts ------------------------------------------------------------ */

/* A life of which every day changes some services only. */
struct parts {
	struct sim sim;
	struct world world;   /* as it is wanted */
	struct world applied; /* as it is */
	struct known *known;
	uint64_t mark; /* there was a GRACE for it; what was put off is still to be done */
	struct wish wish;
	struct dice dice;
};

static size_t parts_planned, parts_refused, parts_settled;

/* What is known is what there is, and slots that are in use are known to be. */
static void check_known(const struct parts *parts)
{
	const char *const names[NAMES] = { "ant", "bee", "cat", "dog", "eel", "fox" };
	const struct known_room *room = known_room(parts->known);
	const struct state *state = &parts->sim.state;
	const struct model nothing = { 0 };
	_cleanup_state_ struct state part = { 0 };
	uint64_t n_slots = 0, n_bits = 0;

	assert_int_equal(known_part(parts->known, &nothing, names, NAMES, &part), 0);
	assert_int_equal(part.n_services, state->n_services);
	assert_int_equal(part.n_endpoints, state->n_endpoints);
	assert_int_equal(part.n_frontends, state->n_frontends);
	assert_int_equal(room->n_services, state->n_services);
	assert_int_equal(room->n_endpoints, state->n_endpoints);
	assert_int_equal(room->n_frontends, state->n_frontends);
	assert_memory_equal(part.frontends, state->frontends,
			    part.n_frontends * sizeof(*part.frontends));
	for (size_t i = 0; i < part.n_endpoints; i++) {
		assert_int_equal(part.endpoints[i].id, state->endpoints[i].id);
		assert_memory_equal(&part.endpoints[i].value, &state->endpoints[i].value,
				    sizeof(struct sst_endpoint));
	}
	for (size_t i = 0; i < part.n_services; i++) {
		const struct sst_service *value = &part.services[i].value;

		assert_int_equal(part.services[i].id, state->services[i].id);
		assert_memory_equal(value, &state->services[i].value, sizeof(*value));
		n_slots += value->slots;
		for (uint32_t j = value->first; j < value->first + value->slots; j++)
			assert_true(room->slots[j / 64] >> j % 64 & 1);
	}
	assert_int_equal(room->n_slots, n_slots);
	for (size_t i = 0; i <= state->n_slots / 64; i++)
		n_bits += __builtin_popcountll(room->slots[i]);
	assert_true(known_owed(parts->known) ? n_bits >= n_slots : n_bits == n_slots);
}

static int sim_flows(uint32_t endpoint, uint64_t *ret, void *arg)
{
	const struct state_endpoint *found = sim_endpoint(arg, endpoint);

	assert_non_null(found);
	*ret = found->stats.opened - found->stats.closed;
	return 0;
}

static void complete_part(const struct sim *sim, struct state *part)
{
	part->config = sim->state.config;
	part->meta = sim->state.meta;
	part->slots = copy(sim->state.slots, sim->state.n_slots, sizeof(*part->slots));
	part->n_slots = sim->state.n_slots;
}

/* GRACE and REMOVE of all plans up to the mark; what flows have left in any case. */
static void settle(struct parts *parts, uint64_t mark)
{
	struct sim *sim = &parts->sim;
	_cleanup_state_ struct state part = { 0 };
	_cleanup_plan_ struct plan plan = { 0 };
	struct plan_input input = { .state = &part,
				    .known = parts->known,
				    .open_flows = sim_flows,
				    .arg = sim,
				    .has_waited = true };

	known_settle(parts->known, mark);
	assert_int_equal(known_remains(parts->known, &part, &input.stop_splice), 0);
	complete_part(sim, &part);
	assert_int_equal(plan_collect(&input, &plan), 0);
	assert_int_equal(count_steps(&plan, STEP_GRACE), 0);
	for (size_t i = 0; i < plan.n_steps; i++) {
		assert_int_equal(phase_of(plan.steps[i].kind), PHASE_REMOVE);
		sim_apply(sim, &plan.steps[i], &plan);
		known_note(parts->known, &plan.steps[i]);
		parts_settled++;
	}
	check_known(parts);
}

/* As a plan for the whole would have left it. */
static void settle_all(struct parts *parts)
{
	uint64_t mark = known_owed(parts->known);

	sim_grace(&parts->sim);
	settle(parts, mark);
	assert_int_equal(known_owed(parts->known), 0);
	describe_world(&parts->applied, &parts->wish);
	check_arrival(&parts->sim, &parts->wish);
	check_remains(&parts->sim);
	assert_nothing_to_do(&parts->wish, &parts->sim);
}

/* Nobody who changes asks for what somebody else has. */
static bool collides(struct parts *parts, uint32_t chosen)
{
	static const struct {
		uint16_t port;
		uint8_t protocol;
	} ports[PORTS] = { { 80, IPPROTO_TCP }, { 53, IPPROTO_UDP }, { 53, IPPROTO_TCP } };
	static const char *const names[NAMES] = { "ant", "bee", "cat", "dog", "eel", "fox" };

	for (size_t i = 0; i < ADDRESSES * PORTS; i++) {
		uint32_t wants = parts->world.owner[i / PORTS];
		struct sst_frontend_key key = { address_of(address_texts[i / PORTS]),
						htons(ports[i % PORTS].port),
						ports[i % PORTS].protocol };
		const struct state_frontend *has = sim_frontend(&parts->sim, &key);

		if (!has || wants == NAMES || !(chosen >> wants & 1) ||
		    !parts->world.services[wants].used ||
		    !parts->world.services[wants].port_used[i % PORTS])
			continue;
		for (size_t j = 0; j < NAMES; j++)
			if (!(chosen >> j & 1) &&
			    !strcmp(sim_service(&parts->sim, has->service)->info.name, names[j]))
				return true;
	}
	return false;
}

/* The chosen ones have become what is wanted of them. */
static void note_applied(struct parts *parts, uint32_t chosen)
{
	struct world *applied = &parts->applied;

	for (size_t i = 0; i < ADDRESSES; i++) {
		uint32_t before = applied->owner[i], after = parts->world.owner[i];

		if (after < NAMES && chosen >> after & 1)
			applied->owner[i] = after;
		else if (before < NAMES && chosen >> before & 1)
			applied->owner[i] = NAMES;
	}
	for (size_t i = 0; i < NAMES; i++)
		if (chosen >> i & 1)
			applied->services[i] = parts->world.services[i];
}

/* Whoever does not change keeps the addresses that it has, also at ports that it does not use. */
static void leave_to_owners(struct parts *parts, uint32_t chosen)
{
	for (size_t i = 0; i < ADDRESSES; i++) {
		uint32_t has = parts->applied.owner[i], wants = parts->world.owner[i];

		if (has < NAMES && !(chosen >> has & 1) && wants < NAMES && chosen >> wants & 1)
			parts->world.owner[i] = has;
	}
}

static size_t steps_until_grace(const struct plan *plan)
{
	size_t n = 0;

	while (n < plan->n_steps && plan->steps[n].kind != STEP_GRACE)
		n++;
	return n;
}

/* Of services that change now and go, the names; of the others all that they shall be. */
static void describe_part(struct parts *parts, uint32_t chosen, const char **names, size_t *n)
{
	static const char *const all[NAMES] = { "ant", "bee", "cat", "dog", "eel", "fox" };

	wish_init(&parts->wish);
	for (uint32_t i = 0; i < NAMES; i++) {
		if (!(chosen >> i & 1))
			continue;
		names[(*n)++] = all[i];
		if (parts->world.services[i].used)
			describe_service(&parts->world, i, &parts->wish);
	}
}

static void change_part(struct parts *parts, uint32_t chosen)
{
	struct sim *sim = &parts->sim;
	_cleanup_state_ struct state part = { 0 };
	_cleanup_plan_ struct plan plan = { 0 };
	_cleanup_problems_ struct problems problems = { 0 };
	const struct plan_input input = { .model = &parts->wish.model,
					  .state = &part,
					  .known = parts->known,
					  .open_flows = sim_flows,
					  .arg = sim };
	const char *names[NAMES];
	size_t n_names = 0;

	if (!collides(parts, chosen) || chance(&parts->dice, 50))
		leave_to_owners(parts, chosen);
	describe_part(parts, chosen, names, &n_names);
	assert_int_equal(known_part(parts->known, &parts->wish.model, names, n_names, &part), 0);
	complete_part(sim, &part);
	if (collides(parts, chosen)) {
		assert_int_equal(plan_make(&input, &problems, &plan), -EINVAL);
		parts_refused++;
		return;
	}
	assert_int_equal(plan_make(&input, &problems, &plan), 0);
	check_phases(&plan);
	if (chance(&parts->dice, 10))
		run_and_undo(sim, &plan, &parts->dice);
	run_some_watched(sim, &plan, steps_until_grace(&plan), parts->known);
	known_owe(parts->known, &plan, &part);
	note_applied(parts, chosen);
	parts_planned++;
}

static void change_whole(struct parts *parts)
{
	_cleanup_plan_ struct plan plan = { 0 };

	settle_all(parts);
	parts->applied = parts->world;
	describe_world(&parts->applied, &parts->wish);
	make_plan(&parts->wish, &parts->sim, &plan);
	assert_int_equal(known_renew(parts->known, &parts->sim.state), 0);
	run_some_watched(&parts->sim, &plan, plan.n_steps, parts->known);
	check_known(parts);
	settle_all(parts);
}

static void live_part_of_a_day(struct parts *parts)
{
	struct dice *dice = &parts->dice;

	change_world(&parts->world, dice);
	if (chance(dice, 10))
		change_whole(parts);
	else
		change_part(parts, roll(dice, 1 << NAMES) & roll(dice, 1 << NAMES));
	check_known(parts);
	describe_world(&parts->applied, &parts->wish);
	check_arrival(&parts->sim, &parts->wish);
	if (chance(dice, 30)) {
		settle(parts, parts->mark);
		parts->mark = known_owed(parts->known);
		sim_grace(&parts->sim);
	}
	if (chance(dice, 20))
		settle_all(parts);
	play_flows(&parts->sim, dice);
}

static void live_in_parts(uint64_t seed, unsigned days, uint32_t first_id)
{
	_cleanup_free_ struct parts *parts = calloc(1, sizeof(*parts));

	assert_non_null(parts);
	parts->dice.seed = seed;
	parts->known = known_new();
	assert_non_null(parts->known);
	world_init(&parts->world);
	sim_init(&parts->sim, 128, 256, 1024, 4096);
	parts->sim.state.meta.next_service = first_id;
	parts->sim.state.meta.next_endpoint = first_id;
	assert_int_equal(known_renew(parts->known, &parts->sim.state), 0);
	parts->applied = parts->world;
	while (days--)
		live_part_of_a_day(parts);
	known_free(parts->known);
	end_of_days(&parts->sim, &parts->wish);
	sim_release(&parts->sim);
}

static void test_lives_in_parts(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++)
		live_in_parts(seed, 100, seed % 2 ? 1 : UINT32_MAX - 20);
	assert_true(parts_planned > 3000);
	assert_true(parts_refused > 50);
	assert_true(parts_settled > 3000);
}

static void test_many_lives(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++)
		live(seed, 50, 1);
	assert_true(moves_watched > 1000);
	assert_true(moves_in_between * 10 < moves_watched);
}

static void test_a_long_life(void **state)
{
	(void)state;
	live(4711, 1500, 1);
}

static void test_ids_wrap_around(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 10; seed++)
		live(seed, 50, UINT32_MAX - 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_lives),
		cmocka_unit_test(test_lives_in_parts),
		cmocka_unit_test(test_a_long_life),
		cmocka_unit_test(test_ids_wrap_around),
	};

	return cmocka_run_group_tests_name("plan_property", tests, NULL, NULL);
}
