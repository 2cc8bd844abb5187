/* SPDX-License-Identifier: Apache-2.0 */
/* Lays model and state side by side: who is who, who comes, who leaves. */
#include "plan/internal.h"

#include <arpa/inet.h>
#include <string.h>

#include "core/address.h"
#include "core/cleanup.h"

/* The state's services and endpoints in the order in which the model is looked up. */
struct lookup {
	const struct state_service **services; /* by name, port, protocol, family */
	size_t n_services;
	const struct state_endpoint **endpoints; /* by service, address, port */
	bool *endpoint_known;                    /* parallel: the model has it */
	size_t n_endpoints;
};

/* Some of the endpoints of a lookup: those of one service. */
struct run {
	size_t first;
	size_t n;
};

static void lookup_release(struct lookup *lookup)
{
	free(lookup->services);
	free(lookup->endpoints);
	free(lookup->endpoint_known);
}
#define _cleanup_lookup_ __attribute__((cleanup(lookup_release)))

static void *allocate(size_t n, size_t size)
{
	return calloc(n ? n : 1, size);
}

static int compare_u32(uint32_t a, uint32_t b)
{
	return a < b ? -1 : a > b;
}

static int compare_services(const void *a, const void *b)
{
	const struct sst_service_info *x = &(*(const struct state_service *const *)a)->info;
	const struct sst_service_info *y = &(*(const struct state_service *const *)b)->info;
	int r = strncmp(x->name, y->name, sizeof(x->name));

	if (!r)
		r = compare_u32(ntohs(x->port), ntohs(y->port));
	if (!r)
		r = compare_u32(x->protocol, y->protocol);
	return r ? r : compare_u32(x->family, y->family);
}

static int compare_endpoints(const void *a, const void *b)
{
	const struct sst_endpoint *x = &(*(const struct state_endpoint *const *)a)->value;
	const struct sst_endpoint *y = &(*(const struct state_endpoint *const *)b)->value;
	int r = compare_u32(x->service, y->service);

	if (!r)
		r = address_compare(&x->address, &y->address);
	return r ? r : compare_u32(ntohs(x->port), ntohs(y->port));
}

static int compare_frontends(const void *key, const void *element)
{
	const struct state_frontend *frontend = element;

	return memcmp(key, &frontend->key, sizeof(frontend->key));
}

static int lookup_make(const struct state *state, struct lookup *ret)
{
	_cleanup_lookup_ struct lookup lookup = {
		.services = allocate(state->n_services, sizeof(*lookup.services)),
		.n_services = state->n_services,
		.endpoints = allocate(state->n_endpoints, sizeof(*lookup.endpoints)),
		.endpoint_known = allocate(state->n_endpoints, sizeof(*lookup.endpoint_known)),
		.n_endpoints = state->n_endpoints,
	};

	if (!lookup.services || !lookup.endpoints || !lookup.endpoint_known)
		return -ENOMEM;
	for (size_t i = 0; i < state->n_services; i++)
		lookup.services[i] = &state->services[i];
	for (size_t i = 0; i < state->n_endpoints; i++)
		lookup.endpoints[i] = &state->endpoints[i];
	qsort(lookup.services, lookup.n_services, sizeof(*lookup.services), compare_services);
	qsort(lookup.endpoints, lookup.n_endpoints, sizeof(*lookup.endpoints), compare_endpoints);
	*ret = lookup;
	lookup = (struct lookup){ 0 };
	return 0;
}

static const struct state_service *lookup_service(const struct lookup *lookup,
						  const struct sst_service_info *info)
{
	const struct state_service wanted = { .info = *info }, *key = &wanted;
	const struct state_service **found;

	found = bsearch(&key, lookup->services, lookup->n_services, sizeof(key), compare_services);
	return found ? *found : NULL;
}

/* The first endpoint at or behind `from` that belongs to a service of this id or a higher one. */
static size_t lower_bound(const struct lookup *lookup, size_t from, uint32_t service)
{
	size_t end = lookup->n_endpoints;

	while (from < end) {
		size_t middle = from + (end - from) / 2;

		if (lookup->endpoints[middle]->value.service < service)
			from = middle + 1;
		else
			end = middle;
	}
	return from;
}

static struct run lookup_run(const struct lookup *lookup, uint32_t service)
{
	struct run run = { .first = lower_bound(lookup, 0, service) };
	size_t end = lookup->n_endpoints;

	if (service != UINT32_MAX)
		end = lower_bound(lookup, run.first, service + 1);
	run.n = end - run.first;
	return run;
}

/* Finds an endpoint by its service, address and port, and marks it as known. */
static const struct state_endpoint *lookup_endpoint(const struct lookup *lookup, struct run run,
						    const struct sst_endpoint *value)
{
	const struct state_endpoint wanted = { .value = *value }, *key = &wanted;
	const struct state_endpoint **found;

	found = bsearch(&key, lookup->endpoints + run.first, run.n, sizeof(key), compare_endpoints);
	if (!found)
		return NULL;
	lookup->endpoint_known[found - lookup->endpoints] = true;
	return *found;
}

/*
 * An id is in use as well when only endpoints tell of it: a plan was cut short before
 * it added the service. To take it would give the new service somebody else's endpoints.
 */
static bool has_service_id(const struct diff *diff, const struct lookup *lookup, uint32_t id)
{
	return state_service(diff->state, id) || lookup_run(lookup, id).n ||
	       (diff->known && known_has_service(diff->known, id));
}

static uint32_t free_service_id(const struct diff *diff, const struct lookup *lookup, uint32_t id)
{
	while (!id || has_service_id(diff, lookup, id))
		id++;
	return id;
}

static bool has_endpoint_id(const struct diff *diff, uint32_t id)
{
	return state_endpoint(diff->state, id) ||
	       (diff->known && known_has_endpoint(diff->known, id));
}

static uint32_t free_endpoint_id(const struct diff *diff, uint32_t id)
{
	while (!id || has_endpoint_id(diff, id))
		id++;
	return id;
}

static uint32_t take_service_id(struct diff *diff, const struct lookup *lookup)
{
	uint32_t id = diff->next_service;

	diff->next_service = free_service_id(diff, lookup, id + 1);
	return id;
}

static uint32_t take_endpoint_id(struct diff *diff)
{
	uint32_t id = diff->next_endpoint;

	diff->next_endpoint = free_endpoint_id(diff, id + 1);
	return id;
}

/* ---- what the model wants --------------------------------------------------- */

static enum sst_endpoint_state wanted_state(const struct model_endpoint *endpoint)
{
	if (endpoint->draining)
		return SST_ENDPOINT_DRAINING;
	return endpoint->ready ? SST_ENDPOINT_READY : SST_ENDPOINT_NOT_READY;
}

static void copy_name(char *to, size_t size, const char *from)
{
	memcpy(to, from, strnlen(from, size - 1));
}

static struct sst_service_info wanted_info(const struct model_service *service,
					   const struct model_port *port, int family)
{
	struct sst_service_info info = {
		.port = htons(port->port),
		.protocol = port->protocol,
		.family = family,
	};

	copy_name(info.name, sizeof(info.name), service->name);
	copy_name(info.port_name, sizeof(info.port_name), port->name);
	return info;
}

/* The schedule comes later; until then it is the old one. */
static struct sst_service wanted_value(const struct model_service *service,
				       const struct state_service *old)
{
	return (struct sst_service){
		.first = old ? old->value.first : 0,
		.slots = old ? old->value.slots : 0,
		.affinity_s = service->affinity_s,
		.balance = service->balance,
		.splice = service->splice,
		.on_remove = service->on_remove,
	};
}

static void add_member(struct diff *diff, struct unit *unit, const struct member *member)
{
	diff->members[diff->n_members++] = *member;
	unit->n_members++;
}

static void match_endpoints(struct diff *diff, struct lookup *lookup, struct unit *unit)
{
	struct run run = lookup_run(lookup, unit->id);

	for (size_t i = 0; i < unit->port->n_endpoints; i++) {
		const struct model_endpoint *endpoint = &unit->port->endpoints[i];
		struct member member = { .value = {
						 .address = endpoint->address,
						 .port = htons(endpoint->port),
						 .state = wanted_state(endpoint),
						 .service = unit->id,
						 .weight = endpoint->weight,
					 } };

		if (address_family(&endpoint->address) != unit->info.family)
			continue;
		member.old = lookup_endpoint(lookup, run, &member.value);
		member.id = member.old ? member.old->id : take_endpoint_id(diff);
		add_member(diff, unit, &member);
	}
}

/* A failure is remembered. */
static uint64_t count_flows(struct diff *diff, const struct state_endpoint *old)
{
	const struct plan_input *input = diff->input;
	uint64_t flows = old->stats.opened - old->stats.closed;
	int r = input->open_flows ? input->open_flows(old->id, &flows, input->arg) : 0;

	if (r)
		diff->error = r;
	return flows;
}

/* Those of the state that the model does not have. */
static void match_rest(struct diff *diff, const struct lookup *lookup, struct unit *unit)
{
	struct run run = lookup_run(lookup, unit->id);

	for (size_t i = run.first; i < run.first + run.n; i++) {
		const struct state_endpoint *old = lookup->endpoints[i];
		struct member member = { .old = old, .id = old->id, .value = old->value };

		if (lookup->endpoint_known[i])
			continue;
		/* Without a model only those leave that have left before. */
		member.leaves =
			diff->model || old->left || old->value.state == SST_ENDPOINT_REMOVED;
		if (member.leaves) {
			member.value.state = SST_ENDPOINT_REMOVED;
			member.flows = count_flows(diff, old);
		}
		add_member(diff, unit, &member);
	}
}

static struct unit *add_unit(struct diff *diff, const struct state_service *old)
{
	struct unit *unit = &diff->units[diff->n_units++];

	unit->old = old;
	unit->members = diff->members + diff->n_members;
	if (old) {
		unit->id = old->id;
		diff->unit_of[old - diff->state->services] = unit;
	}
	return unit;
}

static void match_port(struct diff *diff, struct lookup *lookup,
		       const struct model_service *service, const struct model_port *port,
		       int family)
{
	struct sst_service_info info = wanted_info(service, port, family);
	struct unit *unit = add_unit(diff, lookup_service(lookup, &info));

	unit->service = service;
	unit->port = port;
	unit->info = info;
	unit->value = wanted_value(service, unit->old);
	if (!unit->old)
		unit->id = take_service_id(diff, lookup);
	match_endpoints(diff, lookup, unit);
	match_rest(diff, lookup, unit);
}

static void match_service(struct diff *diff, struct lookup *lookup,
			  const struct model_service *service)
{
	static const int families[] = { AF_INET, AF_INET6 };

	for (size_t i = 0; i < service->n_ports; i++)
		for (size_t j = 0; j < ARRAY_SIZE(families); j++)
			if (model_serves(service, &service->ports[i], families[j]))
				match_port(diff, lookup, service, &service->ports[i], families[j]);
}

/* ---- what the state has beyond that ----------------------------------------- */

/* Whether an unknown service leaves can be said when its addresses are known. */
static void match_unknown_services(struct diff *diff, const struct lookup *lookup)
{
	for (size_t i = 0; i < diff->state->n_services; i++) {
		const struct state_service *old = &diff->state->services[i];
		struct unit *unit;

		if (diff->unit_of[i])
			continue;
		unit = add_unit(diff, old);
		unit->value = old->value;
		unit->info = old->info;
		match_rest(diff, lookup, unit);
	}
}

/* The next service id at or behind *from that endpoints tell of, but no service has. */
static bool next_orphans(const struct state *state, const struct lookup *lookup, size_t *from,
			 uint32_t *ret)
{
	while (*from < lookup->n_endpoints) {
		uint32_t id = lookup->endpoints[*from]->value.service;
		struct run run = lookup_run(lookup, id);

		*from = run.first + run.n;
		if (!state_service(state, id)) {
			*ret = id;
			return true;
		}
	}
	return false;
}

static size_t count_orphans(const struct state *state, const struct lookup *lookup)
{
	size_t from = 0, count = 0;
	uint32_t id;

	while (next_orphans(state, lookup, &from, &id))
		count++;
	return count;
}

/* A plan was cut short after it had added endpoints, before it added their service. */
static void match_orphans(struct diff *diff, const struct lookup *lookup)
{
	size_t from = 0;
	uint32_t id;

	while (next_orphans(diff->state, lookup, &from, &id)) {
		struct unit *unit = add_unit(diff, NULL);

		unit->id = id;
		unit->leaves = true;
		match_rest(diff, lookup, unit);
	}
}

/* ---- frontends -------------------------------------------------------------- */

static void match_address(struct diff *diff, struct unit *unit, const struct model_front *at)
{
	const struct state *state = diff->state;
	struct front front = {
		.key = { .address = at->address,
			 .port = htons(at->port),
			 .protocol = unit->info.protocol },
		.netns = at->netns,
		.unit = unit,
	};

	front.old = bsearch(&front.key, state->frontends, state->n_frontends,
			    sizeof(*state->frontends), compare_frontends);
	if (front.old)
		diff->address_stays[front.old - state->frontends] = true;
	if (front_is_news(&front))
		unit->gains_addresses = true;
	diff->fronts[diff->n_fronts++] = front;
}

static void match_addresses(struct diff *diff)
{
	struct model_front at;

	for (size_t i = 0; i < diff->n_units; i++) {
		struct unit *unit = &diff->units[i];

		for (size_t j = 0; unit->service && j < model_fronts(unit->service); j++)
			if (model_front(unit->service, unit->port, j, &at) &&
			    address_family(&at.address) == unit->info.family)
				match_address(diff, unit, &at);
	}
}

static void link_old_addresses(struct diff *diff)
{
	for (size_t i = 0; i < diff->state->n_frontends; i++) {
		const struct state_frontend *frontend = &diff->state->frontends[i];
		struct unit *unit = diff_unit(diff, frontend->service);

		if (unit && !unit->old_address)
			unit->old_address = frontend;
	}
}

/*
 * With a model, what it does not have leaves, and takes its schedule along. Without
 * one, a service has left when neither an address nor a schedule is there any more.
 */
static void decide_who_leaves(struct diff *diff)
{
	for (size_t i = 0; i < diff->n_units; i++) {
		struct unit *unit = &diff->units[i];

		if (unit->service || !unit->old)
			continue;
		unit->leaves = diff->model || (!unit->old_address && !unit->value.slots);
		if (unit->leaves)
			unit->value.slots = 0;
	}
}

/* ---- all of it -------------------------------------------------------------- */

/* What a model can ask for at most. */
struct size {
	size_t units;
	size_t members;
	size_t fronts;
};

static struct size size_of_model(const struct model *model)
{
	struct size size = { 0 };

	for (size_t i = 0; model && i < model->n_services; i++) {
		const struct model_service *service = &model->services[i];

		size.units += service->n_ports * 2;
		size.fronts += service->n_ports * model_fronts(service);
		for (size_t j = 0; j < service->n_ports; j++)
			size.members += service->ports[j].n_endpoints;
	}
	return size;
}

/* Room for everything at once: pointers into the arrays stay good. */
static int diff_allocate(struct diff *diff, const struct lookup *lookup)
{
	const struct state *state = diff->state;
	struct size size = size_of_model(diff->model);

	size.units += state->n_services + count_orphans(state, lookup);
	size.members += state->n_endpoints;
	diff->units = allocate(size.units, sizeof(*diff->units));
	diff->members = allocate(size.members, sizeof(*diff->members));
	diff->fronts = allocate(size.fronts, sizeof(*diff->fronts));
	diff->address_stays = allocate(state->n_frontends, sizeof(*diff->address_stays));
	diff->unit_of = allocate(state->n_services, sizeof(*diff->unit_of));
	if (!diff->units || !diff->members || !diff->fronts || !diff->address_stays ||
	    !diff->unit_of)
		return -ENOMEM;
	return 0;
}

static struct sst_config wanted_config(const struct plan_input *input)
{
	const struct plan_policy *policy = input->policy;
	struct sst_config config = input->state->config;
	const struct model *model = input->model;

	if (model && !input->known) {
		config.splice = model->node.splice;
		config.fail_closed = model->node.fail_closed;
		config.edge_budget = model->node.telemetry.edges;
		config.event_rate = model->node.telemetry.events;
	}
	if (policy)
		config.enforces = !policy_set_is_empty(&policy->set);
	return config;
}

/* What is known without what is in the state. */
static struct known_room room_beside(const struct plan_input *input)
{
	const struct state *state = input->state;
	struct known_room room = { 0 };

	if (!input->known)
		return room;
	room = *known_room(input->known);
	room.n_frontends -= state->n_frontends;
	room.n_services -= state->n_services;
	room.n_endpoints -= state->n_endpoints;
	for (size_t i = 0; i < state->n_services; i++)
		room.n_slots -= state->services[i].value.slots;
	return room;
}

int diff_make(const struct plan_input *input, struct diff *ret)
{
	const struct state *state = input->state;
	const struct model *model = input->model;
	struct plan_policy *policy = input->policy;
	_cleanup_lookup_ struct lookup lookup = { 0 };
	_cleanup_diff_ struct diff diff = {
		.input = input,
		.model = model,
		.state = state,
		.known = input->known,
		.beside = room_beside(input),
		.config = wanted_config(input),
		.policy = policy,
		.policy_changes = policy && !policy_sets_are_equal(&policy->set, &state->policy),
	};
	int r;

	r = lookup_make(state, &lookup);
	if (r)
		return r;
	r = diff_allocate(&diff, &lookup);
	if (r)
		return r;
	diff.next_service = free_service_id(&diff, &lookup, state->meta.next_service);
	diff.next_endpoint = free_endpoint_id(&diff, state->meta.next_endpoint);
	for (size_t i = 0; model && i < model->n_services; i++)
		match_service(&diff, &lookup, &model->services[i]);
	match_unknown_services(&diff, &lookup);
	match_orphans(&diff, &lookup);
	match_addresses(&diff);
	link_old_addresses(&diff);
	decide_who_leaves(&diff);
	if (diff.error)
		return diff.error;
	*ret = diff;
	diff = (struct diff){ 0 };
	return 0;
}

static void tell_served(const struct diff *diff, const struct front *front,
			const struct sst_service_info *other, struct problems *problems)
{
	char text[ADDRESS_TEXT_MAX];

	problems_add(problems, diff->model->source, front->unit->port->place,
		     "%s/%s of service '%s' is already served by service '%.*s'",
		     address_port_format(&front->key.address, front->key.port, text),
		     protocol_name(front->key.protocol), front->unit->service->name, SST_NAME_MAX,
		     other->name);
}

int diff_check_addresses(const struct diff *diff, struct problems *problems)
{
	int r = 0;

	for (size_t i = 0; diff->known && i < diff->n_fronts; i++) {
		const struct front *front = &diff->fronts[i];
		const struct sst_service_info *other =
			front->old ? NULL : known_at(diff->known, &front->key);

		if (!other)
			continue;
		tell_served(diff, front, other, problems);
		r = -EINVAL;
	}
	return r;
}

void diff_release(struct diff *diff)
{
	for (size_t i = 0; i < diff->n_units; i++)
		free(diff->units[i].slots);
	free(diff->units);
	free(diff->members);
	free(diff->fronts);
	free(diff->address_stays);
	free(diff->unit_of);
}

struct unit *diff_unit(const struct diff *diff, uint32_t id)
{
	const struct state_service *service = state_service(diff->state, id);

	return service ? diff->unit_of[service - diff->state->services] : NULL;
}
