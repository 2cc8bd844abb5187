/* SPDX-License-Identifier: Apache-2.0 */
/* Every rule of the planner by itself. plan_property_test.c has them all together. */
#include "plan_fixture.h"

#include <stdio.h>
#include <time.h>

#include "plan/known.h"

/* A wish, a kernel and what stands between them. */
struct bench {
	struct wish wish;
	struct sim sim;
	struct plan plan;
	struct problems problems;
};

static int setup(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	assert_non_null(bench);
	wish_init(&bench->wish);
	sim_init(&bench->sim, 64, 64, 64, 256);
	*state = bench;
	return 0;
}

static int teardown(void **state)
{
	struct bench *bench = *state;

	plan_release(&bench->plan);
	problems_release(&bench->problems);
	sim_release(&bench->sim);
	free(bench);
	return 0;
}

static int make(struct bench *bench)
{
	_cleanup_plan_policy_ struct plan_policy policy =
		wish_compile(&bench->wish, &bench->sim.state);

	problems_release(&bench->problems);
	plan_release(&bench->plan);
	return plan_make(&(struct plan_input){ .model = &bench->wish.model,
					       .policy = &policy,
					       .state = &bench->sim.state },
			 &bench->problems, &bench->plan);
}

static void make_and_run(struct bench *bench)
{
	assert_int_equal(make(bench), 0);
	sim_run(&bench->sim, &bench->plan);
}

static void assert_nothing_to_do(struct bench *bench)
{
	assert_int_equal(make(bench), 0);
	assert_int_equal(bench->plan.n_steps, 0);
	assert_int_equal(bench->plan.n_changes, 0);
}

static void collect_and_run(struct bench *bench)
{
	plan_release(&bench->plan);
	assert_int_equal(
		plan_collect(&(struct plan_input){ .state = &bench->sim.state }, &bench->plan), 0);
	sim_run(&bench->sim, &bench->plan);
}

static void assert_nothing_to_collect(struct bench *bench)
{
	plan_release(&bench->plan);
	assert_int_equal(
		plan_collect(&(struct plan_input){ .state = &bench->sim.state }, &bench->plan), 0);
	assert_int_equal(bench->plan.n_steps, 0);
}

static void assert_kinds(const struct plan *plan, const enum step_kind *kinds, size_t n)
{
	assert_int_equal(plan->n_steps, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(plan->steps[i].kind, kinds[i]);
}
#define assert_steps(plan, ...)                               \
	assert_kinds(plan, (enum step_kind[]){ __VA_ARGS__ }, \
		     ARRAY_SIZE(((enum step_kind[]){ __VA_ARGS__ })))

static const struct step *find_step(const struct plan *plan, enum step_kind kind)
{
	for (size_t i = 0; i < plan->n_steps; i++)
		if (plan->steps[i].kind == kind)
			return &plan->steps[i];
	fail_msg("no step of kind %d", kind);
	return NULL;
}

static void assert_change(const struct plan *plan, size_t i, char op, const char *kind,
			  const char *name, const char *detail)
{
	const struct change *change = &plan->changes[i];

	assert_true(i < plan->n_changes);
	assert_int_equal(change->op, op);
	assert_string_equal(change->kind, kind);
	assert_string_equal(change->name, name);
	if (detail)
		assert_string_equal(change->detail ? change->detail : "(none)", detail);
	else
		assert_null(change->detail);
}

static void assert_schedule(struct bench *bench, uint32_t service, const char *ids)
{
	const struct sst_service *value = &sim_service(&bench->sim, service)->value;
	char text[128] = "";

	for (uint32_t i = 0; i < value->slots; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%u", i ? " " : "",
			 bench->sim.state.slots[value->first + i]);
	assert_string_equal(text, ids);
}

/* Flows open at an endpoint. */
static void open_flows(struct bench *bench, uint32_t endpoint, unsigned n)
{
	sim_endpoint(&bench->sim, endpoint)->stats.opened += n;
}

static void close_flows(struct bench *bench, uint32_t endpoint)
{
	struct sst_stats *stats = &sim_endpoint(&bench->sim, endpoint)->stats;

	stats->closed = stats->opened;
}

/* ---- building up ------------------------------------------------------------ */

static void test_nothing_wanted_nothing_there(void **state)
{
	assert_nothing_to_do(*state);
	assert_nothing_to_collect(*state);
}

static void test_first_plan(void **state)
{
	struct bench *bench = *state;
	struct model_service *web = bench->wish.services;
	const struct state_service *service;

	wish_web(&bench->wish, 2);
	web->balance = SST_BALANCE_ROUND_ROBIN;
	web->affinity_s = 30;
	web->splice = SST_SPLICE_ON;
	web->on_remove = SST_ON_REMOVE_RESET;
	make_and_run(bench);
	/* nobody has seen anything else: no GRACE */
	assert_steps(&bench->plan, STEP_ADD_SERVICE_STATS, STEP_ADD_ENDPOINT_STATS,
		     STEP_ADD_ENDPOINT_STATS, STEP_ADD_ENDPOINT, STEP_ADD_ENDPOINT, STEP_ADD_SLOTS,
		     STEP_ADD_SERVICE_INFO, STEP_ADD_SERVICE, STEP_FLIP_FRONTEND);
	service = sim_service(&bench->sim, 1);
	assert_string_equal(service->info.name, "web");
	assert_string_equal(service->info.port_name, "http");
	assert_int_equal(service->info.port, htons(80));
	assert_int_equal(service->info.protocol, IPPROTO_TCP);
	assert_int_equal(service->info.family, AF_INET);
	assert_int_equal(service->value.balance, SST_BALANCE_ROUND_ROBIN);
	assert_int_equal(service->value.affinity_s, 30);
	assert_int_equal(service->value.splice, SST_SPLICE_ON);
	assert_int_equal(service->value.on_remove, SST_ON_REMOVE_RESET);
	assert_int_equal(sim_endpoint(&bench->sim, 2)->value.port, htons(8080));
	assert_schedule(bench, 1, "1 2");
	assert_int_equal(bench->plan.next_service, 2);
	assert_int_equal(bench->plan.next_endpoint, 3);
	assert_nothing_to_do(bench);
	assert_int_equal(bench->plan.next_endpoint, 3);
}

static void test_dual_stack_is_two_services(void **state)
{
	struct bench *bench = *state;
	struct model_service *dns = wish_service(&bench->wish, "dns");
	struct model_port *port = wish_port(dns, "", 53, IPPROTO_UDP);

	wish_address(dns, "10.96.0.2");
	wish_address(dns, "fd00::2");
	wish_address(dns, "fd00::3");
	wish_endpoint(port, "10.1.0.1", 53);
	wish_endpoint(port, "fd01::1", 53);
	wish_endpoint(port, "fd01::2", 53);
	make_and_run(bench);
	assert_int_equal(bench->sim.state.n_services, 2);
	assert_int_equal(bench->sim.state.n_frontends, 3);
	assert_int_equal(sim_service(&bench->sim, 1)->info.family, AF_INET);
	assert_int_equal(sim_service(&bench->sim, 2)->info.family, AF_INET6);
	assert_schedule(bench, 1, "1");
	assert_schedule(bench, 2, "2 3");
	assert_change(&bench->plan, 0, '+', "service", "dns 10.96.0.2:53/UDP",
		      "1 endpoint, random");
	assert_change(&bench->plan, 1, '+', "service", "dns [fd00::2]:53/UDP",
		      "2 addresses, 2 endpoints, random");
	assert_nothing_to_do(bench);
}

static void test_service_without_usable_endpoint(void **state)
{
	struct bench *bench = *state;
	struct model_port *port = wish_web(&bench->wish, 1);

	port->endpoints[0].ready = false;
	make_and_run(bench);
	assert_int_equal(count_steps(&bench->plan, STEP_ADD_SLOTS), 0);
	assert_int_equal(sim_service(&bench->sim, 1)->value.slots, 0);
	assert_int_equal(bench->sim.state.n_frontends, 1);
	assert_change(&bench->plan, 0, '+', "service", "web/http 10.96.0.10:80/TCP",
		      "1 endpoint, 0 ready, random");
	assert_nothing_to_do(bench);
}

static void test_ids_wrap_around(void **state)
{
	struct bench *bench = *state;
	struct model_service *second;

	wish_web(&bench->wish, 2);
	make_and_run(bench);
	bench->sim.state.meta.next_service = UINT32_MAX;
	bench->sim.state.meta.next_endpoint = UINT32_MAX;
	second = wish_service(&bench->wish, "api");
	wish_address(second, "10.96.0.11");
	wish_endpoint(wish_port(second, "a", 80, IPPROTO_TCP), "10.1.0.1", 8080);
	wish_endpoint(wish_port(second, "b", 81, IPPROTO_TCP), "10.1.0.1", 8081);
	make_and_run(bench);
	/* 0 is nobody, 1 and 2 are taken */
	assert_non_null(sim_service(&bench->sim, UINT32_MAX));
	assert_non_null(sim_service(&bench->sim, 2));
	assert_non_null(sim_endpoint(&bench->sim, UINT32_MAX));
	assert_non_null(sim_endpoint(&bench->sim, 3));
	assert_int_equal(bench->plan.next_service, 3);
	assert_int_equal(bench->plan.next_endpoint, 4);
	assert_nothing_to_do(bench);
}

/* ---- changing --------------------------------------------------------------- */

static void test_port_name_changes(void **state)
{
	struct bench *bench = *state;
	struct model_port *port = wish_web(&bench->wish, 1);

	make_and_run(bench);
	port->name = "https";
	make_and_run(bench);
	assert_steps(&bench->plan, STEP_FLIP_SERVICE_INFO, STEP_GRACE);
	assert_string_equal(sim_service(&bench->sim, 1)->info.port_name, "https");
	assert_change(&bench->plan, 0, '~', "service", "web/https 10.96.0.10:80/TCP",
		      "port name 'http' -> 'https'");
	assert_nothing_to_do(bench);
}

static void test_service_settings_change(void **state)
{
	struct bench *bench = *state;
	struct model_service *web = bench->wish.services;

	wish_web(&bench->wish, 1);
	make_and_run(bench);
	web->balance = SST_BALANCE_ROUND_ROBIN;
	web->affinity_s = 60;
	web->on_remove = SST_ON_REMOVE_RESET;
	web->splice = SST_SPLICE_ON;
	make_and_run(bench);
	assert_steps(&bench->plan, STEP_FLIP_SERVICE, STEP_GRACE);
	assert_int_equal(bench->plan.n_changes, 1);
	assert_change(&bench->plan, 0, '~', "service", "web/http 10.96.0.10:80/TCP",
		      "balance random -> round-robin, splice inherit -> on, "
		      "on-remove keep -> reset, affinity 0s -> 60s");
	assert_nothing_to_do(bench);
}

static void test_weight_changes(void **state)
{
	struct bench *bench = *state;
	struct model_port *port = wish_web(&bench->wish, 2);

	make_and_run(bench);
	port->endpoints[0].weight = 3;
	make_and_run(bench);
	/* the old schedule stays untouched beside the new one */
	assert_steps(&bench->plan, STEP_ADD_SLOTS, STEP_FLIP_ENDPOINT, STEP_FLIP_SERVICE,
		     STEP_GRACE);
	assert_int_equal(bench->plan.steps[0].value.slots.first, 2);
	assert_schedule(bench, 1, "1 1 2 1");
	assert_int_equal(bench->plan.n_changes, 1);
	assert_change(&bench->plan, 0, '~', "endpoint", "web/http 10.1.0.1:8080", "weight 1 -> 3");
	assert_nothing_to_do(bench);
	/* and its place is free again afterwards */
	port->endpoints[0].weight = 1;
	make_and_run(bench);
	assert_int_equal(bench->plan.steps[0].value.slots.first, 0);
}

static void test_equal_schedule_stays_in_place(void **state)
{
	struct bench *bench = *state;
	struct model_port *port = wish_web(&bench->wish, 2);

	make_and_run(bench);
	port->endpoints[0].weight = 5;
	port->endpoints[1].weight = 5;
	make_and_run(bench);
	assert_steps(&bench->plan, STEP_FLIP_ENDPOINT, STEP_FLIP_ENDPOINT, STEP_GRACE);
	assert_nothing_to_do(bench);
}

static void test_damaged_schedule_is_written_anew(void **state)
{
	struct bench *bench = *state;

	wish_web(&bench->wish, 2);
	make_and_run(bench);
	bench->sim.state.slots[1] = 1;
	make_and_run(bench);
	assert_steps(&bench->plan, STEP_ADD_SLOTS, STEP_FLIP_SERVICE, STEP_GRACE);
	sim_service(&bench->sim, 1)->value.first = UINT32_MAX - 1;
	assert_int_equal(make(bench), 0);
	assert_steps(&bench->plan, STEP_ADD_SLOTS, STEP_FLIP_SERVICE, STEP_GRACE);
}

static void test_draining_follows_the_schedule(void **state)
{
	struct bench *bench = *state;
	struct model_port *port = wish_web(&bench->wish, 2);

	make_and_run(bench);
	port->endpoints[0].draining = true;
	make_and_run(bench);
	assert_steps(&bench->plan, STEP_ADD_SLOTS, STEP_FLIP_SERVICE, STEP_FLIP_ENDPOINT,
		     STEP_GRACE);
	assert_int_equal(sim_endpoint(&bench->sim, 1)->value.state, SST_ENDPOINT_DRAINING);
	assert_schedule(bench, 1, "2");
	assert_change(&bench->plan, 0, '~', "endpoint", "web/http 10.1.0.1:8080",
		      "ready -> draining");
	assert_nothing_to_do(bench);
}

static void test_ready_precedes_the_schedule(void **state)
{
	struct bench *bench = *state;
	struct model_port *port = wish_web(&bench->wish, 2);

	port->endpoints[0].ready = false;
	make_and_run(bench);
	assert_int_equal(sim_endpoint(&bench->sim, 1)->value.state, SST_ENDPOINT_NOT_READY);
	port->endpoints[0].ready = true;
	port->endpoints[0].weight = 2;
	make_and_run(bench);
	assert_steps(&bench->plan, STEP_ADD_SLOTS, STEP_FLIP_ENDPOINT, STEP_FLIP_SERVICE,
		     STEP_GRACE);
	assert_schedule(bench, 1, "1 2 1");
	assert_change(&bench->plan, 0, '~', "endpoint", "web/http 10.1.0.1:8080",
		      "weight 1 -> 2, not ready -> ready");
}

static void test_last_usable_endpoint_drains(void **state)
{
	struct bench *bench = *state;
	struct model_port *port = wish_web(&bench->wish, 1);

	make_and_run(bench);
	port->endpoints[0].draining = true;
	make_and_run(bench);
	assert_steps(&bench->plan, STEP_FLIP_SERVICE, STEP_FLIP_ENDPOINT, STEP_GRACE);
	assert_int_equal(sim_service(&bench->sim, 1)->value.slots, 0);
	assert_nothing_to_do(bench);
}

static void test_endpoint_joins(void **state)
{
	struct bench *bench = *state;
	struct model_port *port = wish_web(&bench->wish, 1);

	make_and_run(bench);
	wish_endpoint(port, "10.1.0.2", 8080)->weight = 2;
	make_and_run(bench);
	assert_steps(&bench->plan, STEP_ADD_ENDPOINT_STATS, STEP_ADD_ENDPOINT, STEP_ADD_SLOTS,
		     STEP_FLIP_SERVICE, STEP_GRACE);
	assert_change(&bench->plan, 0, '+', "endpoint", "web/http 10.1.0.2:8080", "weight 2");
	assert_nothing_to_do(bench);
}

static void test_config(void **state)
{
	struct bench *bench = *state;
	struct sst_config *config = &bench->sim.state.config;

	config->splice_auto = 1;
	config->splice_limit = 4711;
	bench->wish.model.node.fail_closed = true;
	bench->wish.model.node.splice = SST_SPLICE_ON;
	make_and_run(bench);
	assert_steps(&bench->plan, STEP_FLIP_CONFIG, STEP_GRACE);
	assert_int_equal(config->fail_closed, 1);
	assert_int_equal(config->splice, SST_SPLICE_ON);
	assert_int_equal(config->splice_auto, 1);
	assert_int_equal(config->splice_limit, 4711);
	assert_int_equal(bench->plan.n_changes, 1);
	assert_change(&bench->plan, 0, '~', "node", "", "splice auto -> on, fail open -> closed");
	assert_nothing_to_do(bench);
}

/* ---- addresses -------------------------------------------------------------- */

static void test_addresses_come_and_go(void **state)
{
	struct bench *bench = *state;
	struct model_service *web = bench->wish.services;

	wish_web(&bench->wish, 1);
	make_and_run(bench);
	wish_address(web, "10.96.0.11");
	make_and_run(bench);
	/* nothing was there before: no GRACE */
	assert_steps(&bench->plan, STEP_FLIP_FRONTEND);
	assert_false(bench->plan.steps[0].replaces);
	assert_change(&bench->plan, 0, '+', "address", "web/http 10.96.0.11:80/TCP", NULL);
	web->n_addresses = 1;
	make_and_run(bench);
	assert_steps(&bench->plan, STEP_DROP_FRONTEND, STEP_GRACE);
	assert_change(&bench->plan, 0, '-', "address", "web/http 10.96.0.11:80/TCP", NULL);
	assert_nothing_to_do(bench);
}

static void test_address_moves_in_one_step(void **state)
{
	struct bench *bench = *state;
	struct model_service *web = bench->wish.services, *api;

	wish_web(&bench->wish, 1);
	wish_address(web, "10.96.0.11");
	api = wish_service(&bench->wish, "api");
	wish_address(api, "10.96.0.20");
	wish_endpoint(wish_port(api, "", 80, IPPROTO_TCP), "10.2.0.1", 80);
	make_and_run(bench);
	web->n_addresses = 1;
	wish_address(api, "10.96.0.11");
	make_and_run(bench);
	assert_steps(&bench->plan, STEP_FLIP_FRONTEND, STEP_GRACE);
	assert_true(bench->plan.steps[0].replaces);
	assert_int_equal(bench->plan.steps[0].old.frontend.service, 1);
	assert_int_equal(bench->plan.steps[0].value.frontend.service, 2);
	assert_int_equal(bench->plan.n_changes, 1);
	assert_change(&bench->plan, 0, '+', "address", "api 10.96.0.11:80/TCP", "from web/http");
	assert_nothing_to_do(bench);
}

static void test_node_ports(void **state)
{
	struct bench *bench = *state;
	struct model_service *web = bench->wish.services;
	struct model_port *port = wish_web(&bench->wish, 1);
	struct model_node_address own[] = {
		{ address_of("192.0.2.1"), 0 },
		{ address_of("127.0.0.1"), 77 },
	};
	const struct state_frontend *frontend;

	make_and_run(bench);
	port->node_port = 30080;
	web->node_addresses = own;
	web->n_node_addresses = 2;
	make_and_run(bench);
	/* the same service, so affinity and turns are one */
	assert_steps(&bench->plan, STEP_FLIP_FRONTEND, STEP_FLIP_FRONTEND);
	assert_change(&bench->plan, 0, '+', "address", "web/http 192.0.2.1:30080/TCP", NULL);
	assert_change(&bench->plan, 1, '+', "address", "web/http 127.0.0.1:30080/TCP", NULL);
	frontend = &bench->plan.steps[1].value.frontend;
	assert_int_equal(frontend->service, 1);
	assert_int_equal(frontend->netns, 77);
	assert_nothing_to_do(bench);
	/* loaded from another namespace */
	own[1].netns = 78;
	make_and_run(bench);
	assert_steps(&bench->plan, STEP_FLIP_FRONTEND, STEP_GRACE);
	assert_int_equal(bench->plan.steps[0].old.frontend.netns, 77);
	assert_nothing_to_do(bench);
	/* at the node's addresses only */
	web->n_addresses = 0;
	make_and_run(bench);
	assert_steps(&bench->plan, STEP_DROP_FRONTEND, STEP_GRACE);
	assert_nothing_to_do(bench);
}

/* ---- leaving ---------------------------------------------------------------- */

static void test_idle_endpoint_leaves(void **state)
{
	struct bench *bench = *state;
	struct model_port *port = wish_web(&bench->wish, 2);
	const struct step *retire;

	make_and_run(bench);
	port->n_endpoints = 1;
	bench->wish.services->on_remove = SST_ON_REMOVE_RESET;
	make_and_run(bench);
	/* DRAINING before GRACE: affinity must not lead to it any more */
	assert_steps(&bench->plan, STEP_ADD_SLOTS, STEP_FLIP_SERVICE, STEP_FLIP_ENDPOINT,
		     STEP_GRACE, STEP_RETIRE_ENDPOINT, STEP_DELETE_ENDPOINT);
	retire = find_step(&bench->plan, STEP_RETIRE_ENDPOINT);
	assert_int_equal(retire->id, 2);
	assert_int_equal(retire->value.endpoint.state, SST_ENDPOINT_REMOVED);
	assert_null(sim_endpoint(&bench->sim, 2));
	assert_false(ids_has(&bench->sim.endpoint_stats, 2));
	assert_change(&bench->plan, 1, '-', "endpoint", "web/http 10.1.0.2:8080", NULL);
	assert_nothing_to_do(bench);
}

static void test_busy_endpoint_leaves(void **state)
{
	struct bench *bench = *state;
	struct model_port *port = wish_web(&bench->wish, 2);

	make_and_run(bench);
	open_flows(bench, 2, 3);
	port->n_endpoints = 1;
	make_and_run(bench);
	assert_int_equal(count_steps(&bench->plan, STEP_DELETE_ENDPOINT), 0);
	assert_int_equal(sim_endpoint(&bench->sim, 2)->value.state, SST_ENDPOINT_REMOVED);
	assert_change(&bench->plan, 0, '-', "endpoint", "web/http 10.1.0.2:8080",
		      "3 open flows kept");
	assert_nothing_to_do(bench);
	assert_nothing_to_collect(bench);
	close_flows(bench, 2);
	assert_int_equal(make(bench), 0);
	assert_steps(&bench->plan, STEP_GRACE, STEP_DELETE_ENDPOINT);
	assert_int_equal(bench->plan.n_changes, 0);
	collect_and_run(bench);
	assert_steps(&bench->plan, STEP_GRACE, STEP_DELETE_ENDPOINT);
	assert_nothing_to_do(bench);
	assert_nothing_to_collect(bench);
}

static void test_removed_endpoint_returns(void **state)
{
	struct bench *bench = *state;
	struct model_port *port = wish_web(&bench->wish, 2);

	make_and_run(bench);
	open_flows(bench, 2, 1);
	port->n_endpoints = 1;
	make_and_run(bench);
	port->n_endpoints = 2;
	make_and_run(bench);
	assert_steps(&bench->plan, STEP_ADD_SLOTS, STEP_FLIP_ENDPOINT, STEP_FLIP_SERVICE,
		     STEP_GRACE);
	assert_int_equal(find_step(&bench->plan, STEP_FLIP_ENDPOINT)->old.endpoint.state,
			 SST_ENDPOINT_REMOVED);
	assert_change(&bench->plan, 0, '+', "endpoint", "web/http 10.1.0.2:8080", NULL);
	assert_schedule(bench, 1, "1 2");
	assert_nothing_to_do(bench);
}

static void test_idle_service_leaves(void **state)
{
	struct bench *bench = *state;

	wish_web(&bench->wish, 1);
	wish_address(bench->wish.services, "10.96.0.11");
	make_and_run(bench);
	bench->wish.model.n_services = 0;
	make_and_run(bench);
	assert_steps(&bench->plan, STEP_DROP_FRONTEND, STEP_DROP_FRONTEND, STEP_FLIP_SERVICE,
		     STEP_FLIP_ENDPOINT, STEP_GRACE, STEP_RETIRE_ENDPOINT, STEP_DELETE_ENDPOINT,
		     STEP_DELETE_SERVICE);
	assert_int_equal(find_step(&bench->plan, STEP_FLIP_SERVICE)->value.service.slots, 0);
	assert_int_equal(bench->plan.n_changes, 1);
	assert_change(&bench->plan, 0, '-', "service", "web/http 10.96.0.10:80/TCP", "1 endpoint");
	assert_int_equal(bench->sim.state.n_services, 0);
	assert_int_equal(bench->sim.service_stats.n + bench->sim.service_info.n, 0);
	assert_nothing_to_do(bench);
}

static void test_busy_service_leaves(void **state)
{
	struct bench *bench = *state;

	wish_web(&bench->wish, 2);
	bench->wish.services->on_remove = SST_ON_REMOVE_RESET;
	make_and_run(bench);
	open_flows(bench, 2, 1);
	bench->wish.model.n_services = 0;
	make_and_run(bench);
	assert_int_equal(count_steps(&bench->plan, STEP_RETIRE_ENDPOINT), 2);
	assert_int_equal(count_steps(&bench->plan, STEP_DELETE_ENDPOINT), 1);
	assert_int_equal(count_steps(&bench->plan, STEP_DELETE_SERVICE), 0);
	/* nobody is there to say otherwise: the old word counts */
	assert_int_equal(bench->sim.state.services[0].value.on_remove, SST_ON_REMOVE_RESET);
	assert_change(&bench->plan, 0, '-', "service", "web/http 10.96.0.10:80/TCP",
		      "2 endpoints, 1 open flow reset");
	assert_nothing_to_do(bench);
	assert_nothing_to_collect(bench);
	close_flows(bench, 2);
	collect_and_run(bench);
	assert_steps(&bench->plan, STEP_GRACE, STEP_DELETE_ENDPOINT, STEP_DELETE_SERVICE);
	assert_int_equal(bench->sim.state.n_services, 0);
	assert_nothing_to_do(bench);
}

static void test_service_returns(void **state)
{
	struct bench *bench = *state;

	wish_web(&bench->wish, 1);
	make_and_run(bench);
	open_flows(bench, 1, 1);
	bench->wish.model.n_services = 0;
	make_and_run(bench);
	bench->wish.model.n_services = 1;
	make_and_run(bench);
	assert_steps(&bench->plan, STEP_ADD_SLOTS, STEP_FLIP_ENDPOINT, STEP_FLIP_SERVICE,
		     STEP_FLIP_FRONTEND, STEP_GRACE);
	assert_int_equal(bench->plan.n_changes, 1);
	assert_change(&bench->plan, 0, '+', "service", "web/http 10.96.0.10:80/TCP",
		      "1 endpoint, random");
	assert_schedule(bench, 1, "1");
	assert_nothing_to_do(bench);
}

static void test_collect_leaves_living_services_alone(void **state)
{
	struct bench *bench = *state;
	struct model_port *port = wish_web(&bench->wish, 1);

	port->endpoints[0].draining = true;
	make_and_run(bench);
	assert_nothing_to_collect(bench);
	port->n_endpoints = 0;
	make_and_run(bench);
	assert_int_equal(bench->sim.state.n_endpoints, 0);
	assert_nothing_to_collect(bench);
}

static void test_service_changes_its_name(void **state)
{
	struct bench *bench = *state;

	wish_web(&bench->wish, 1);
	make_and_run(bench);
	bench->wish.services->name = "shop";
	make_and_run(bench);
	/* a new service takes over the address in one step, then the old one goes */
	assert_int_equal(count_steps(&bench->plan, STEP_DROP_FRONTEND), 0);
	assert_true(find_step(&bench->plan, STEP_FLIP_FRONTEND)->replaces);
	assert_null(sim_service(&bench->sim, 1));
	assert_schedule(bench, 2, "2");
	assert_int_equal(bench->plan.n_changes, 2);
	assert_change(&bench->plan, 0, '+', "service", "shop/http 10.96.0.10:80/TCP",
		      "1 endpoint, random");
	assert_change(&bench->plan, 1, '-', "service", "web/http 10.96.0.10:80/TCP", "1 endpoint");
	assert_nothing_to_do(bench);
}

/* ---- after a plan that was cut short ---------------------------------------- */

static void test_endpoints_without_service_are_removed(void **state)
{
	struct bench *bench = *state;

	bench->sim.takes_ids_last = true;
	wish_web(&bench->wish, 2);
	assert_int_equal(make(bench), 0);
	assert_int_equal(bench->plan.steps[4].kind, STEP_ADD_ENDPOINT);
	sim_run_some(&bench->sim, &bench->plan, 5);
	make_and_run(bench);
	/* id 1 is never given to anybody who would adopt its endpoints */
	assert_null(sim_service(&bench->sim, 1));
	assert_schedule(bench, 2, "3 4");
	assert_int_equal(bench->sim.state.n_endpoints, 2);
	assert_false(ids_has(&bench->sim.service_stats, 1));
	assert_int_equal(bench->plan.next_service, 3);
	assert_nothing_to_do(bench);
}

static void test_ids_not_written_down_are_skipped(void **state)
{
	struct bench *bench = *state;

	wish_web(&bench->wish, 2);
	make_and_run(bench);
	bench->sim.state.meta.next_service = 1;
	bench->sim.state.meta.next_endpoint = 1;
	assert_nothing_to_do(bench);
	assert_int_equal(bench->plan.next_service, 2);
	assert_int_equal(bench->plan.next_endpoint, 3);
}

/* ---- splice ----------------------------------------------------------------- */

struct splice_case {
	enum sst_splice node[2];    /* before, after */
	enum sst_splice service[2]; /* before, after */
	bool stops;
};

#define INHERIT SST_SPLICE_INHERIT
#define OFF     SST_SPLICE_OFF
#define AUTO    SST_SPLICE_AUTO
#define ON      SST_SPLICE_ON

static void check_splice_case(const struct splice_case *c)
{
	struct bench *bench;
	void *state;

	setup(&state);
	bench = state;
	wish_web(&bench->wish, 1);
	bench->wish.model.node.splice = c->node[0];
	bench->wish.services->splice = c->service[0];
	make_and_run(bench);
	bench->wish.model.node.splice = c->node[1];
	bench->wish.services->splice = c->service[1];
	make_and_run(bench);
	assert_int_equal(count_steps(&bench->plan, STEP_STOP_SPLICE), c->stops);
	assert_nothing_to_do(bench);
	teardown(&state);
}

static void test_splice_is_stopped(void **state)
{
	static const struct splice_case cases[] = {
		{ { AUTO, OFF }, { INHERIT, INHERIT }, true },
		{ { ON, AUTO }, { INHERIT, INHERIT }, true },
		{ { ON, OFF }, { INHERIT, INHERIT }, true },
		{ { OFF, AUTO }, { INHERIT, INHERIT }, false },
		{ { AUTO, ON }, { INHERIT, INHERIT }, false },
		{ { AUTO, AUTO }, { ON, AUTO }, true },
		{ { AUTO, AUTO }, { ON, INHERIT }, true },
		{ { AUTO, AUTO }, { AUTO, OFF }, true },
		{ { AUTO, AUTO }, { INHERIT, OFF }, true },
		{ { AUTO, AUTO }, { INHERIT, AUTO }, false },
		{ { AUTO, AUTO }, { AUTO, INHERIT }, false },
		{ { AUTO, AUTO }, { OFF, ON }, false },
		{ { ON, ON }, { INHERIT, AUTO }, true },
		{ { OFF, OFF }, { ON, OFF }, false }, /* off at the node: never was on */
		{ { OFF, ON }, { ON, OFF }, false },
		{ { AUTO, ON }, { INHERIT, OFF }, true },
		{ { ON, AUTO }, { AUTO, ON }, true }, /* flows without a service */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check_splice_case(&cases[i]);
}

/* ---- capacity --------------------------------------------------------------- */

static void set_capacity(struct bench *bench, enum state_map map, uint64_t capacity)
{
	bench->sim.state.fill[map].capacity = capacity;
}

static void assert_refused(struct bench *bench, const char *problem)
{
	_cleanup_plan_policy_ struct plan_policy policy =
		wish_compile(&bench->wish, &bench->sim.state);
	const struct plan_input input = { &bench->wish.model, &policy, &bench->sim.state };
	struct plan untouched;

	plan_release(&bench->plan);
	memset(&bench->plan, 0x5a, sizeof(bench->plan));
	memset(&untouched, 0x5a, sizeof(untouched));
	problems_release(&bench->problems);
	assert_int_equal(plan_make(&input, &bench->problems, &bench->plan), -E2BIG);
	assert_memory_equal(&bench->plan, &untouched, sizeof(untouched));
	memset(&bench->plan, 0, sizeof(bench->plan));
	assert_int_equal(bench->problems.count, 1);
	assert_string_equal(bench->problems.text[0], problem);
}

static void test_maps_too_small(void **state)
{
	static const struct {
		enum state_map map;
		const char *problem;
	} cases[] = {
		{ STATE_MAP_FRONTENDS, "test.yaml: frontends: 2 needed, room for 1" },
		{ STATE_MAP_SERVICES, "test.yaml: services: 2 needed, room for 1" },
		{ STATE_MAP_ENDPOINTS, "test.yaml: endpoints: 2 needed, room for 1" },
		{ STATE_MAP_SLOTS, "test.yaml: slots: 2 needed, room for 1" },
	};
	struct bench *bench = *state;
	struct model_service *web = bench->wish.services;

	wish_web(&bench->wish, 1);
	wish_endpoint(wish_port(web, "https", 443, IPPROTO_TCP), "10.1.0.1", 8443);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		set_capacity(bench, cases[i].map, 1);
		assert_refused(bench, cases[i].problem);
		set_capacity(bench, cases[i].map, 2);
	}
	make_and_run(bench);
	assert_nothing_to_do(bench);
}

static void test_all_that_does_not_fit_is_told(void **state)
{
	struct bench *bench = *state;

	wish_web(&bench->wish, 1);
	for (int map = STATE_MAP_FRONTENDS; map <= STATE_MAP_SLOTS; map++)
		set_capacity(bench, map, 0);
	assert_int_equal(make(bench), -E2BIG);
	assert_int_equal(bench->problems.count, 4);
}

static void test_old_and_new_stand_side_by_side(void **state)
{
	struct bench *bench = *state;
	struct model_port *port = wish_web(&bench->wish, 2);

	make_and_run(bench);
	set_capacity(bench, STATE_MAP_ENDPOINTS, 3);
	for (size_t i = 0; i < 2; i++)
		port->endpoints[i].port = 9090;
	assert_refused(bench, "test.yaml: endpoints: 4 needed until the old ones are gone, "
			      "room for 3");
	set_capacity(bench, STATE_MAP_ENDPOINTS, 4);
	set_capacity(bench, STATE_MAP_SLOTS, 3);
	assert_refused(bench, "test.yaml: slots: 4 needed until the old ones are gone, "
			      "room for 3");
	set_capacity(bench, STATE_MAP_SLOTS, 4);
	make_and_run(bench);
}

static void test_busy_endpoints_take_room(void **state)
{
	struct bench *bench = *state;
	struct model_port *port = wish_web(&bench->wish, 2);

	make_and_run(bench);
	open_flows(bench, 1, 1);
	open_flows(bench, 2, 1);
	port->n_endpoints = 0;
	make_and_run(bench);
	set_capacity(bench, STATE_MAP_ENDPOINTS, 2);
	wish_endpoint(port, "10.1.0.9", 8080);
	assert_refused(bench, "test.yaml: endpoints: 3 needed, room for 2");
}

/* Six services of one slot each; every second one gives it up: holes that are too short. */
static void test_fragmented_slots(void **state)
{
	static char *const names[] = { "a", "b", "c", "d", "e", "f" };
	struct bench *bench = *state;
	struct wish *wish = &bench->wish;
	char text[32];

	set_capacity(bench, STATE_MAP_SLOTS, 6);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct model_service *service = wish_service(wish, names[i]);

		snprintf(text, sizeof(text), "10.96.0.%zu", i);
		wish_address(service, text);
		wish_endpoint(wish_port(service, "", 80, IPPROTO_TCP), "10.1.0.1", 80);
	}
	make_and_run(bench);
	for (size_t i = 0; i < ARRAY_SIZE(names); i += 2)
		wish->ports[i][0].n_endpoints = 0;
	make_and_run(bench);
	wish_endpoint(&wish->ports[0][0], "10.1.0.1", 80);
	wish_endpoint(&wish->ports[0][0], "10.1.0.2", 80);
	assert_refused(bench, "test.yaml: slots: 2 in a row needed for service 'a', room for 1");
	wish->ports[0][0].n_endpoints = 1;
	make_and_run(bench);
	assert_int_equal(sim_service(&bench->sim, 1)->value.first, 0);
}

/* ---- speed ------------------------------------------------------------------ */

enum { BIG_SERVICES = 1000, BIG_ENDPOINTS = 100 };

static void make_big_service(struct model_service *service, uint32_t number)
{
	char name[16];

	snprintf(name, sizeof(name), "s%u", number);
	service->name = strdup(name);
	service->n_addresses = service->n_ports = 1;
	service->addresses = calloc(1, sizeof(*service->addresses));
	service->addresses[0] = address_of("10.0.0.0");
	service->addresses[0].w[3] |= htonl(number);
	service->ports = calloc(1, sizeof(*service->ports));
	service->ports[0] = (struct model_port){
		.name = "",
		.port = 80,
		.protocol = IPPROTO_TCP,
		.endpoints = calloc(BIG_ENDPOINTS, sizeof(*service->ports->endpoints)),
		.n_endpoints = BIG_ENDPOINTS,
	};
	for (size_t i = 0; i < BIG_ENDPOINTS; i++) {
		struct model_endpoint *endpoint = &service->ports[0].endpoints[i];

		endpoint->address = address_of("172.16.0.0");
		endpoint->address.w[3] |= htonl(number * BIG_ENDPOINTS + i);
		endpoint->port = 80;
		endpoint->weight = 1 + i % 3;
		endpoint->ready = true;
	}
}

static void free_big_service(struct model_service *service)
{
	free(service->ports[0].endpoints);
	free(service->ports);
	free(service->addresses);
	free(service->name);
}

static void test_hundred_thousand_endpoints(void **state)
{
	struct bench *bench = *state;
	struct model *model = &bench->wish.model;
	clock_t start = clock();

	sim_release(&bench->sim);
	sim_init(&bench->sim, BIG_SERVICES, BIG_SERVICES, BIG_SERVICES * BIG_ENDPOINTS * 2,
		 BIG_SERVICES * BIG_ENDPOINTS * 4);
	bench->sim.careless = true;
	model->services = calloc(BIG_SERVICES, sizeof(*model->services));
	model->n_services = BIG_SERVICES;
	for (size_t i = 0; i < BIG_SERVICES; i++)
		make_big_service(&model->services[i], i);
	assert_int_equal(make(bench), 0);
	assert_int_equal(count_steps(&bench->plan, STEP_ADD_ENDPOINT),
			 BIG_SERVICES * BIG_ENDPOINTS);
	sim_run(&bench->sim, &bench->plan);
	sim_check(&bench->sim);
	assert_nothing_to_do(bench);
	for (size_t i = 0; i < BIG_SERVICES; i++)
		free_big_service(&model->services[i]);
	free(model->services);
	/* a fraction of a second; what is quadratic somewhere takes minutes under a sanitizer */
	assert_true(clock() - start < 30 * CLOCKS_PER_SEC);
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* ---- policy ------------------------------------------------------------------- */

static void test_first_policy(void **state)
{
	struct bench *bench = *state;
	struct wish *wish = &bench->wish;

	wish_workload(wish, "db");
	wish_rule(wish, "db-ingress", "from-web");
	wish->flags |= SST_POLICY_INGRESS | SST_POLICY_REVOKE;
	make_and_run(bench);
	/* the set before the config says that there is one */
	assert_steps(&bench->plan, STEP_ADD_RULE_STATS, STEP_ATTACH, STEP_FLIP_POLICY,
		     STEP_FLIP_CONFIG, STEP_GRACE, STEP_REVOKE);
	assert_int_equal(bench->plan.n_changes, 2);
	assert_change(&bench->plan, 0, '+', "workload", "shop/db", "10.1.0.7");
	assert_change(&bench->plan, 1, '+', "policy", "shop/db-ingress", "1 rule");
	assert_int_equal(bench->sim.state.config.enforces, 1);
	assert_int_equal(bench->plan.next_set, 2);
	assert_int_equal(bench->plan.next.workload, 2);
	assert_int_equal(bench->plan.next.rule, 2);
	assert_nothing_to_do(bench);
	assert_int_equal(bench->plan.next_set, 2);
	assert_nothing_to_collect(bench);
}

static void test_changed_policy(void **state)
{
	struct bench *bench = *state;
	struct wish *wish = &bench->wish;

	wish_workload(wish, "db");
	wish_rule(wish, "db-ingress", "from-web");
	wish_rule(wish, "db-ingress", "from-job")->tier = SST_TIER_NETWORK;
	wish_rule(wish, "no-metadata", "all")->tier = SST_TIER_ADMIN;
	make_and_run(bench);
	wish->rules[0].summary = "app=web on 5432/TCP";
	wish->rules[1].rule = "from-cron";
	wish->workloads[0].labels = "app=db";
	make_and_run(bench);
	assert_steps(&bench->plan, STEP_ADD_RULE_STATS, STEP_FLIP_POLICY, STEP_DELETE_RULE_STATS);
	assert_int_equal(find_step(&bench->plan, STEP_ADD_RULE_STATS)->id, 4);
	assert_int_equal(find_step(&bench->plan, STEP_DELETE_RULE_STATS)->id, 2);
	assert_int_equal(bench->plan.n_changes, 2);
	assert_change(&bench->plan, 0, '~', "workload", "shop/db", "labels app=web -> app=db");
	assert_change(&bench->plan, 1, '~', "policy", "shop/db-ingress",
		      "1 rule added, 1 rule removed, 1 rule changed");
	assert_nothing_to_do(bench);
}

static void test_last_policy_goes(void **state)
{
	struct bench *bench = *state;
	struct wish *wish = &bench->wish;

	wish_workload(wish, "db");
	wish_rule(wish, "no-metadata", "all")->tier = SST_TIER_ADMIN;
	wish->flags |= SST_POLICY_REVOKE;
	make_and_run(bench);
	wish->n_workloads = wish->n_rules = wish->flags = 0;
	make_and_run(bench);
	/* whoever was told that there is a set still finds it */
	assert_steps(&bench->plan, STEP_FLIP_CONFIG, STEP_GRACE, STEP_DELETE_POLICY,
		     STEP_DELETE_RULE_STATS, STEP_DETACH);
	assert_change(&bench->plan, 0, '-', "workload", "shop/db", NULL);
	assert_change(&bench->plan, 1, '-', "policy", "no-metadata", "1 rule");
	assert_int_equal(bench->sim.state.config.enforces, 0);
	assert_int_equal(bench->sim.state.n_rules, 0);
	assert_nothing_to_do(bench);
	/* another one gets another number */
	wish_workload(wish, "db");
	make_and_run(bench);
	assert_int_equal(policy_head(&bench->sim.state.policy)->generation, 2);
	assert_int_equal(policy_workload(&bench->sim.state.policy, 1)->id, 2);
}

static void test_policy_settings_are_told(void **state)
{
	struct bench *bench = *state;
	struct wish *wish = &bench->wish;

	wish_workload(wish, "db");
	make_and_run(bench);
	wish->flags |= SST_POLICY_REFUSED | SST_POLICY_REVOKE;
	make_and_run(bench);
	assert_steps(&bench->plan, STEP_FLIP_POLICY, STEP_REVOKE);
	assert_int_equal(bench->plan.n_changes, 1);
	assert_change(&bench->plan, 0, '~', "policy set", "",
		      "denied eperm -> refused, revoke off -> on");
	wish->workloads[0].how = "10.1.0.7, netns 4026531840";
	make_and_run(bench);
	assert_change(&bench->plan, 0, '~', "workload", "shop/db",
		      "known by 10.1.0.7 -> 10.1.0.7, netns 4026531840");
}

static void test_hooks_follow_the_namespaces(void **state)
{
	struct bench *bench = *state;
	struct wish *wish = &bench->wish;

	wish_workload(wish, "db");
	wish->flags |= SST_POLICY_ANSWER;
	wish->netns[0] = 100;
	wish->netns[1] = 101;
	wish->n_netns = 2;
	make_and_run(bench);
	assert_int_equal(count_steps(&bench->plan, STEP_ATTACH), 2);
	/* one has gone and another has its number; one has gone for good */
	bench->sim.state.hooks[0].dead = bench->sim.state.hooks[1].dead = true;
	wish->n_netns = 1;
	make_and_run(bench);
	assert_steps(&bench->plan, STEP_ATTACH, STEP_GRACE, STEP_DETACH);
	assert_int_equal(find_step(&bench->plan, STEP_ATTACH)->value.hook.netns, 100);
	assert_int_equal(find_step(&bench->plan, STEP_DETACH)->value.hook.netns, 101);
	assert_int_equal(bench->plan.n_changes, 0);
	assert_nothing_to_do(bench);
}

static void test_too_many_rules(void **state)
{
	struct bench *bench = *state;
	struct wish *wish = &bench->wish;

	wish_rule(wish, "a", "1");
	wish_rule(wish, "a", "2");
	set_capacity(bench, STATE_MAP_RULE_STATS, 1);
	assert_refused(bench, "test.yaml: rules of policies: 2 needed, room for 1");
	set_capacity(bench, STATE_MAP_RULE_STATS, 2);
	make_and_run(bench);
	wish->rules[0].rule = "3";
	assert_refused(bench, "test.yaml: rules of policies: 3 needed until the old ones are gone, "
			      "room for 2");
}

/* Statistics that a plan cut short has left. */
static void test_rules_left_over(void **state)
{
	struct bench *bench = *state;

	wish_rule(&bench->wish, "a", "1");
	assert_int_equal(make(bench), 0);
	sim_run_some(&bench->sim, &bench->plan, 1);
	make_and_run(bench);
	/* ids are not used twice, so it is another rule's */
	assert_int_equal(find_step(&bench->plan, STEP_ADD_RULE_STATS)->id, 2);
	assert_int_equal(find_step(&bench->plan, STEP_DELETE_RULE_STATS)->id, 1);
	assert_nothing_to_do(bench);
}

/* ---- a part of the whole ----------------------------------------------------- */

/* What was dumped without services is enough, and nothing of them is touched. */
static void test_policy_alone(void **state)
{
	struct bench *bench = *state;
	struct model settings = { .source = "test.yaml", .node = { .splice = SST_SPLICE_AUTO } };
	struct state plain;

	wish_web(&bench->wish, 2);
	make_and_run(bench);
	wish_rule(&bench->wish, "a", "1");
	plain = bench->sim.state;
	plain.n_frontends = plain.n_services = plain.n_endpoints = plain.n_slots = 0;

	_cleanup_plan_policy_ struct plan_policy policy =
		wish_compile(&bench->wish, &bench->sim.state);
	const struct plan_input input = { &settings, &policy, &plain };

	plan_release(&bench->plan);
	assert_int_equal(plan_make(&input, &bench->problems, &bench->plan), 0);
	assert_steps(&bench->plan, STEP_ADD_RULE_STATS, STEP_ATTACH, STEP_FLIP_POLICY,
		     STEP_FLIP_CONFIG, STEP_GRACE);
	sim_run(&bench->sim, &bench->plan);
	assert_int_equal(bench->sim.state.n_services, 1);
	assert_nothing_to_do(bench);
}

static int plan_part(struct bench *bench, const struct known *known, const struct model *model)
{
	_cleanup_state_ struct state part = { 0 };
	const struct plan_input input = { .model = model, .state = &part, .known = known };

	problems_release(&bench->problems);
	plan_release(&bench->plan);
	assert_int_equal(known_part(known, model, NULL, 0, &part), 0);
	part.config = bench->sim.state.config;
	part.meta = bench->sim.state.meta;
	return plan_make(&input, &bench->problems, &bench->plan);
}

/* Service "web" is there; another one asks for the same, or for more than there is beside it. */
static void test_part_beside_others(void **state)
{
	_cleanup_free_ struct wish *wish = calloc(1, sizeof(*wish));
	_cleanup_known_ struct known *known = known_new();
	struct bench *bench = *state;
	struct model_service *service;

	wish_web(&bench->wish, 2);
	make_and_run(bench);
	set_capacity(bench, STATE_MAP_ENDPOINTS, 3);
	assert_int_equal(known_renew(known, &bench->sim.state), 0);
	wish_init(wish);
	wish_web(wish, 2);
	service = &wish->services[0];
	service->name = "api";
	assert_int_equal(plan_part(bench, known, &wish->model), -EINVAL);
	assert_string_equal(bench->problems.text[0],
			    "test.yaml: 10.96.0.10:80/TCP of service 'api' is already served by "
			    "service 'web'");
	service->addresses[0] = address_of("10.96.0.11");
	assert_int_equal(plan_part(bench, known, &wish->model), -E2BIG);
	assert_string_equal(bench->problems.text[0], "test.yaml: endpoints: 4 needed, room for 3");
	service->ports[0].n_endpoints = 1;
	assert_int_equal(plan_part(bench, known, &wish->model), 0);
	assert_steps(&bench->plan, STEP_ADD_SERVICE_STATS, STEP_ADD_ENDPOINT_STATS,
		     STEP_ADD_ENDPOINT, STEP_ADD_SLOTS, STEP_ADD_SERVICE_INFO, STEP_ADD_SERVICE,
		     STEP_FLIP_FRONTEND);
	assert_int_equal(bench->plan.steps[3].value.slots.first, 2);
}

static void test_known_for_one_generation(void **state)
{
	_cleanup_known_ struct known *known = known_new();
	struct bench *bench = *state;

	assert_false(known_is_current(known, 0));
	bench->sim.state.meta.generation = 7;
	assert_int_equal(known_renew(known, &bench->sim.state), 0);
	assert_true(known_is_current(known, 7));
	assert_false(known_is_current(known, 8));
	known_raise(known, 8);
	assert_true(known_is_current(known, 8));
	known_forget(known);
	assert_false(known_is_current(known, 8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(test_nothing_wanted_nothing_there),
		test(test_first_plan),
		test(test_dual_stack_is_two_services),
		test(test_service_without_usable_endpoint),
		test(test_ids_wrap_around),
		test(test_port_name_changes),
		test(test_service_settings_change),
		test(test_weight_changes),
		test(test_equal_schedule_stays_in_place),
		test(test_damaged_schedule_is_written_anew),
		test(test_draining_follows_the_schedule),
		test(test_ready_precedes_the_schedule),
		test(test_last_usable_endpoint_drains),
		test(test_endpoint_joins),
		test(test_config),
		test(test_addresses_come_and_go),
		test(test_address_moves_in_one_step),
		test(test_node_ports),
		test(test_idle_endpoint_leaves),
		test(test_busy_endpoint_leaves),
		test(test_removed_endpoint_returns),
		test(test_idle_service_leaves),
		test(test_busy_service_leaves),
		test(test_service_returns),
		test(test_collect_leaves_living_services_alone),
		test(test_service_changes_its_name),
		test(test_endpoints_without_service_are_removed),
		test(test_ids_not_written_down_are_skipped),
		test(test_splice_is_stopped),
		test(test_maps_too_small),
		test(test_all_that_does_not_fit_is_told),
		test(test_old_and_new_stand_side_by_side),
		test(test_busy_endpoints_take_room),
		test(test_fragmented_slots),
		test(test_hundred_thousand_endpoints),
		test(test_first_policy),
		test(test_changed_policy),
		test(test_last_policy_goes),
		test(test_policy_settings_are_told),
		test(test_hooks_follow_the_namespaces),
		test(test_too_many_rules),
		test(test_rules_left_over),
		test(test_policy_alone),
		test(test_part_beside_others),
		test(test_known_for_one_generation),
	};

	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
