/* SPDX-License-Identifier: Apache-2.0 */
#include "export/show.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/address.h"
#include "core/cleanup.h"
#include "core/table.h"
#include "export/format.h"
#include "export/json.h"
#include "export/show_policy.h"
#include "model/checks.h"

static uint64_t active(const struct sst_stats *stats)
{
	return stats->opened - stats->closed;
}

static uint64_t sent(const struct sst_stats *stats)
{
	return stats->sent_bytes + stats->spliced_sent_bytes;
}

static uint64_t received(const struct sst_stats *stats)
{
	return stats->received_bytes + stats->spliced_received_bytes;
}

static uint64_t spliced(const struct sst_stats *stats)
{
	return stats->spliced_sent_bytes + stats->spliced_received_bytes;
}

/* ---- what belongs to a service ---------------------------------------------- */

/*
 * The state's arrays in the order of their services, each ended by a NULL, and how
 * far a walk over all services has come in them.
 */
struct index {
	const struct state_frontend **frontends;
	const struct state_endpoint **endpoints;
	const struct state_frontend **frontend;
	const struct state_endpoint **endpoint;
};

static void index_release(struct index *index)
{
	free(index->frontends);
	free(index->endpoints);
}
#define _cleanup_index_ _cleanup_(index_release)

static int compare_frontends(const void *a, const void *b)
{
	const struct state_frontend *x = *(const struct state_frontend *const *)a;
	const struct state_frontend *y = *(const struct state_frontend *const *)b;

	if (x->service != y->service)
		return x->service < y->service ? -1 : 1;
	return memcmp(&x->key, &y->key, sizeof(x->key));
}

static int compare_endpoints(const void *a, const void *b)
{
	const struct state_endpoint *x = *(const struct state_endpoint *const *)a;
	const struct state_endpoint *y = *(const struct state_endpoint *const *)b;

	if (x->value.service != y->value.service)
		return x->value.service < y->value.service ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static int index_make(const struct state *state, struct index *ret)
{
	ret->frontends = calloc(state->n_frontends + 1, sizeof(*ret->frontends));
	ret->endpoints = calloc(state->n_endpoints + 1, sizeof(*ret->endpoints));
	if (!ret->frontends || !ret->endpoints)
		return -ENOMEM;
	for (size_t i = 0; i < state->n_frontends; i++)
		ret->frontends[i] = &state->frontends[i];
	for (size_t i = 0; i < state->n_endpoints; i++)
		ret->endpoints[i] = &state->endpoints[i];
	qsort(ret->frontends, state->n_frontends, sizeof(*ret->frontends), compare_frontends);
	qsort(ret->endpoints, state->n_endpoints, sizeof(*ret->endpoints), compare_endpoints);
	ret->frontend = ret->frontends;
	ret->endpoint = ret->endpoints;
	return 0;
}

/* A service and what belongs to it. */
struct service_view {
	const struct state_service *service;
	const struct state_frontend **frontends;
	size_t n_frontends;
	const struct state_endpoint **endpoints;
	size_t n_endpoints;
};

/* To be called for every service in the order of the ids. */
static struct service_view index_next(struct index *index, const struct state_service *service)
{
	struct service_view view = { .service = service };

	while (*index->frontend && (*index->frontend)->service < service->id)
		index->frontend++;
	view.frontends = index->frontend;
	while (*index->frontend && (*index->frontend)->service == service->id)
		index->frontend++;
	view.n_frontends = index->frontend - view.frontends;

	while (*index->endpoint && (*index->endpoint)->value.service < service->id)
		index->endpoint++;
	view.endpoints = index->endpoint;
	while (*index->endpoint && (*index->endpoint)->value.service == service->id)
		index->endpoint++;
	view.n_endpoints = index->endpoint - view.endpoints;
	return view;
}

static bool is_named(const struct state_service *service, const char *name)
{
	return !name || !strcmp(service->info.name, name);
}

/* ---- services and endpoints, tables -------------------------------------------- */

static const struct table_column service_columns[] = {
	{ "SERVICE", TABLE_LEFT },    { "PROTOCOL", TABLE_LEFT }, { "ADDRESS", TABLE_LEFT },
	{ "ENDPOINTS", TABLE_RIGHT }, { "BALANCE", TABLE_LEFT },  { "AFFINITY", TABLE_RIGHT },
	{ "SPLICE", TABLE_LEFT },     { "ACTIVE", TABLE_RIGHT },  { "OPENED", TABLE_RIGHT },
	{ "FAILED", TABLE_RIGHT },    { "REFUSED", TABLE_RIGHT }, { "SENT", TABLE_RIGHT },
	{ "RECEIVED", TABLE_RIGHT },  { "SPLICED", TABLE_RIGHT }, { "DATAGRAMS", TABLE_RIGHT },
};

static const struct table_column endpoint_columns[] = {
	{ "SERVICE", TABLE_LEFT },   { "PROTOCOL", TABLE_LEFT }, { "ENDPOINT", TABLE_LEFT },
	{ "STATE", TABLE_LEFT },     { "WEIGHT", TABLE_RIGHT },  { "ACTIVE", TABLE_RIGHT },
	{ "OPENED", TABLE_RIGHT },   { "FAILED", TABLE_RIGHT },  { "SENT", TABLE_RIGHT },
	{ "RECEIVED", TABLE_RIGHT }, { "SPLICED", TABLE_RIGHT }, { "DATAGRAMS", TABLE_RIGHT },
	{ "LEARNED", TABLE_LEFT },
};

/* "10.96.0.10:80,10.96.0.11:80" */
static void add_addresses(struct table *table, const struct service_view *view)
{
	_cleanup_text_ struct text text = {};
	char buf[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < view->n_frontends; i++) {
		const struct sst_frontend_key *key = &view->frontends[i]->key;

		text_add(&text, "%s%s", i ? "," : "",
			 address_port_format(&key->address, key->port, buf));
	}
	table_add(table, "%s", view->n_frontends ? text_string(&text) : "-");
	if (text.error)
		table->error = text.error;
}

/* "2/3": usable ones of those that are configured */
static void add_endpoint_count(struct table *table, const struct service_view *view)
{
	size_t ready = 0, configured = 0;

	for (size_t i = 0; i < view->n_endpoints; i++) {
		ready += view->endpoints[i]->value.state == SST_ENDPOINT_READY;
		configured += view->endpoints[i]->value.state != SST_ENDPOINT_REMOVED;
	}
	table_add(table, "%zu/%zu", ready, configured);
}

static void add_bytes(struct table *table, const struct sst_stats *stats)
{
	char buf[FORMAT_MAX];

	table_add(table, "%s", format_size(sent(stats), buf));
	table_add(table, "%s", format_size(received(stats), buf));
	table_add(table, "%s", format_size(spliced(stats), buf));
}

static void add_count(struct table *table, uint64_t count)
{
	table_add(table, "%" PRIu64, count);
}

static void add_nothing(struct table *table, int cells)
{
	while (cells--)
		table_add(table, "-");
}

/* UDP has no connections to be active and its bytes are not counted: OPENED are
 * connected sockets, DATAGRAMS those of unconnected ones. */
static void add_traffic(struct table *table, uint8_t protocol, const struct sst_stats *stats,
			bool with_refused)
{
	bool udp = protocol == IPPROTO_UDP;

	if (udp)
		add_nothing(table, 1);
	else
		add_count(table, active(stats));
	add_count(table, udp ? stats->udp_connected : stats->opened);
	if (udp)
		add_nothing(table, 1);
	else
		add_count(table, stats->failed);
	if (with_refused)
		add_count(table, stats->refused);
	if (udp) {
		add_nothing(table, 3);
		add_count(table, stats->udp_datagrams);
	} else {
		add_bytes(table, stats);
		add_nothing(table, 1);
	}
}

static void add_service_row(struct table *table, const struct service_view *view)
{
	const struct state_service *service = view->service;
	char buf[SERVICE_LABEL_MAX];

	table_add(table, "%s", format_service(&service->info, buf));
	table_add(table, "%s", protocol_name(service->info.protocol));
	add_addresses(table, view);
	add_endpoint_count(table, view);
	table_add(table, "%s", balance_name(service->value.balance));
	if (service->value.affinity_s)
		table_add(table, "%us", service->value.affinity_s);
	else
		table_add(table, "-");
	table_add(table, "%s", splice_name(service->value.splice));
	add_traffic(table, service->info.protocol, &service->stats, true);
}

/* "streams, 8 s": what its connections turned into, and how long none will be adopted */
static void add_learned(struct table *table, const struct state_endpoint *endpoint)
{
	if (endpoint->left_alone_s)
		table_add(table, "streams, %u s", endpoint->left_alone_s);
	else
		table_add(table, "-");
}

static void add_endpoint_row(struct table *table, const struct state_service *service,
			     const struct state_endpoint *endpoint)
{
	char buf[SERVICE_LABEL_MAX];

	table_add(table, "%s", format_service(&service->info, buf));
	table_add(table, "%s", protocol_name(service->info.protocol));
	table_add(table, "%s",
		  address_port_format(&endpoint->value.address, endpoint->value.port, buf));
	table_add(table, "%s", endpoint_state_name(endpoint->value.state));
	table_add(table, "%u", endpoint->value.weight);
	add_traffic(table, service->info.protocol, &endpoint->stats, false);
	add_learned(table, endpoint);
}

static void add_endpoint_rows(struct table *table, const struct service_view *view)
{
	for (size_t i = 0; i < view->n_endpoints; i++)
		add_endpoint_row(table, view->service, view->endpoints[i]);
}

int show_services(const struct state *state, const char *name, struct text *out)
{
	_cleanup_table_ struct table services = TABLE_INIT(service_columns);
	_cleanup_table_ struct table endpoints = TABLE_INIT(endpoint_columns);
	_cleanup_index_ struct index index = {};
	int err;

	err = index_make(state, &index);
	if (err)
		return err;
	for (size_t i = 0; i < state->n_services; i++) {
		struct service_view view = index_next(&index, &state->services[i]);

		if (!is_named(view.service, name))
			continue;
		add_service_row(&services, &view);
		add_endpoint_rows(&endpoints, &view);
	}
	if (name && !services.n_cells)
		return -ENOENT;
	err = table_print(&services, out);
	if (err || !name)
		return err;
	text_add(out, "\n");
	return table_print(&endpoints, out);
}

int show_endpoints(const struct state *state, struct text *out)
{
	_cleanup_table_ struct table table = TABLE_INIT(endpoint_columns);
	_cleanup_index_ struct index index = {};
	int err;

	err = index_make(state, &index);
	if (err)
		return err;
	for (size_t i = 0; i < state->n_services; i++) {
		struct service_view view = index_next(&index, &state->services[i]);

		add_endpoint_rows(&table, &view);
	}
	return table_print(&table, out);
}

/* ---- services and endpoints, JSON ------------------------------------------------ */

static json_t *stats_to_json(const struct sst_stats *stats)
{
	json_t *object = json_object();

	json_set(&object, "active", json_integer(active(stats)));
	json_set(&object, "opened", json_integer(stats->opened));
	json_set(&object, "closed", json_integer(stats->closed));
	json_set(&object, "failed", json_integer(stats->failed));
	json_set(&object, "refused", json_integer(stats->refused));
	json_set(&object, "denied", json_integer(stats->denied));
	json_set(&object, "sent_bytes", json_integer(stats->sent_bytes));
	json_set(&object, "received_bytes", json_integer(stats->received_bytes));
	json_set(&object, "spliced_sent_bytes", json_integer(stats->spliced_sent_bytes));
	json_set(&object, "spliced_received_bytes", json_integer(stats->spliced_received_bytes));
	json_set(&object, "retransmits", json_integer(stats->retransmits));
	json_set(&object, "udp_connected", json_integer(stats->udp_connected));
	json_set(&object, "udp_datagrams", json_integer(stats->udp_datagrams));
	return object;
}

/* The members that an endpoint has in common with its service. */
static json_t *service_identity_to_json(const struct state_service *service)
{
	json_t *object = json_object();
	char port[SERVICE_PORT_MAX];

	json_set(&object, "service", json_string(service->info.name));
	json_set(&object, "service_port", json_string(format_service_port(&service->info, port)));
	json_set(&object, "protocol", json_string(protocol_name(service->info.protocol)));
	json_set(&object, "family", json_string(family_name(service->info.family)));
	return object;
}

static json_t *endpoint_to_json(const struct state_service *service,
				const struct state_endpoint *endpoint)
{
	const struct sst_endpoint *value = &endpoint->value;
	json_t *object = service_identity_to_json(service);

	json_set(&object, "id", json_integer(endpoint->id));
	json_set(&object, "endpoint", json_address_port(&value->address, value->port));
	json_set(&object, "state", json_string(endpoint_state_name(value->state)));
	json_set(&object, "weight", json_integer(value->weight));
	json_set(&object, "counters", stats_to_json(&endpoint->stats));
	if (endpoint->habit.until_ns)
		json_set(&object, "learned",
			 json_pack("{sssisi}", "kind", "streams", "strikes",
				   (int)endpoint->habit.strikes, "left_alone_s",
				   (int)endpoint->left_alone_s));
	return object;
}

static json_t *addresses_to_json(const struct service_view *view)
{
	json_t *array = json_array();

	for (size_t i = 0; i < view->n_frontends; i++) {
		const struct sst_frontend_key *key = &view->frontends[i]->key;

		json_add(&array, json_address_port(&key->address, key->port));
	}
	return array;
}

static void add_endpoints_json(json_t **array, const struct service_view *view)
{
	for (size_t i = 0; i < view->n_endpoints; i++)
		json_add(array, endpoint_to_json(view->service, view->endpoints[i]));
}

static json_t *service_to_json(const struct service_view *view)
{
	const struct state_service *service = view->service;
	json_t *object = service_identity_to_json(service);
	json_t *endpoints = json_array();

	add_endpoints_json(&endpoints, view);
	json_set(&object, "id", json_integer(service->id));
	json_set(&object, "addresses", addresses_to_json(view));
	json_set(&object, "balance", json_string(balance_name(service->value.balance)));
	json_set(&object, "affinity_seconds", json_integer(service->value.affinity_s));
	json_set(&object, "splice", json_string(splice_name(service->value.splice)));
	json_set(&object, "on_remove", json_string(on_remove_name(service->value.on_remove)));
	json_set(&object, "slots", json_integer(service->value.slots));
	json_set(&object, "counters", stats_to_json(&service->stats));
	json_set(&object, "endpoints", endpoints);
	return object;
}

json_t *show_services_json(const struct state *state, const char *name)
{
	_cleanup_index_ struct index index = {};
	json_t *array = json_array();

	if (index_make(state, &index)) {
		json_decref(array);
		return NULL;
	}
	for (size_t i = 0; i < state->n_services; i++) {
		struct service_view view = index_next(&index, &state->services[i]);

		if (is_named(view.service, name))
			json_add(&array, service_to_json(&view));
	}
	return array;
}

json_t *show_endpoints_json(const struct state *state)
{
	_cleanup_index_ struct index index = {};
	json_t *array = json_array();

	if (index_make(state, &index)) {
		json_decref(array);
		return NULL;
	}
	for (size_t i = 0; i < state->n_services; i++) {
		struct service_view view = index_next(&index, &state->services[i]);

		add_endpoints_json(&array, &view);
	}
	return array;
}

/* ---- status --------------------------------------------------------------------- */

static void add_summary(struct text *out, const struct state *state)
{
	const struct sst_meta *meta = &state->meta;
	char time[FORMAT_MAX];

	text_add(out, "version     %s, ABI %u\n", meta->version, meta->abi);
	text_add(out, "loaded      %s, %u time%s\n", format_time(meta->loaded_ns, time),
		 meta->loads, meta->loads == 1 ? "" : "s");
	text_add(out, "generation  %llu\n", meta->generation);
	text_add(out, "cgroup      %s, id %llu\n", meta->cgroup, meta->cgroup_id);
	text_add(out, "splice      %s\n", splice_name(state->config.splice));
	text_add(out, "fail        %s\n", state->config.fail_closed ? "closed" : "open");
	text_add(out, "services    %zu\n", state->n_services);
	text_add(out, "endpoints   %zu\n", state->n_endpoints);
	show_policy_summary(state, out);
	text_add(out, "\n");
}

static int add_feature_table(struct text *out, const struct sst_meta *meta)
{
	static const struct table_column columns[] = {
		{ "FEATURE", TABLE_LEFT },
		{ "STATE", TABLE_LEFT },
		{ "WHAT IT IS, OR WHY IT IS OFF", TABLE_LEFT },
	};
	_cleanup_table_ struct table table = TABLE_INIT(columns);

	for (size_t i = 0; i < SST_FEATURE_MAX; i++) {
		const char *reason = meta->feature_off[i];

		table_add(&table, "%s", feature_name(i));
		table_add(&table, "%s", *reason ? "off" : "on");
		table_add(&table, "%s", *reason ? reason : feature_help(i));
	}
	return table_print(&table, out);
}

static int add_map_table(struct text *out, const struct state *state)
{
	static const struct table_column columns[] = {
		{ "MAP", TABLE_LEFT },
		{ "ENTRIES", TABLE_RIGHT },
		{ "CAPACITY", TABLE_RIGHT },
		{ "FILL", TABLE_RIGHT },
	};
	_cleanup_table_ struct table table = TABLE_INIT(columns);

	for (size_t i = 0; i < STATE_MAP_MAX; i++) {
		const struct state_fill *fill = &state->fill[i];

		if (!fill->name)
			continue;
		table_add(&table, "%s", fill->name);
		add_count(&table, fill->used);
		add_count(&table, fill->capacity);
		table_add(&table, "%.1f%%",
			  fill->capacity ? 100.0 * fill->used / fill->capacity : 0.0);
	}
	return table_print(&table, out);
}

int show_status(const struct state *state, struct text *out)
{
	int err;

	add_summary(out, state);
	err = add_feature_table(out, &state->meta);
	if (err)
		return err;
	text_add(out, "\n");
	return add_map_table(out, state);
}

static json_t *features_to_json(const struct sst_meta *meta)
{
	json_t *array = json_array();

	for (size_t i = 0; i < SST_FEATURE_MAX; i++) {
		const char *reason = meta->feature_off[i];
		json_t *feature = json_object();

		json_set(&feature, "name", json_string(feature_name(i)));
		json_set(&feature, "enabled", json_boolean(!*reason));
		json_set(&feature, "reason", json_text(*reason ? reason : NULL));
		json_add(&array, feature);
	}
	return array;
}

static json_t *maps_to_json(const struct state *state)
{
	json_t *array = json_array();

	for (size_t i = 0; i < STATE_MAP_MAX; i++) {
		json_t *map;

		if (!state->fill[i].name)
			continue;
		map = json_object();
		json_set(&map, "name", json_string(state->fill[i].name));
		json_set(&map, "entries", json_integer(state->fill[i].used));
		json_set(&map, "capacity", json_integer(state->fill[i].capacity));
		json_add(&array, map);
	}
	return array;
}

json_t *show_status_json(const struct state *state)
{
	const struct sst_meta *meta = &state->meta;
	json_t *object = json_object();
	char time[FORMAT_MAX];

	json_set(&object, "version", json_string(meta->version));
	json_set(&object, "abi", json_integer(meta->abi));
	json_set(&object, "loaded", json_string(format_time(meta->loaded_ns, time)));
	json_set(&object, "loads", json_integer(meta->loads));
	json_set(&object, "generation", json_integer(meta->generation));
	json_set(&object, "cgroup", json_string(meta->cgroup));
	json_set(&object, "cgroup_id", json_id(meta->cgroup_id));
	json_set(&object, "splice", json_string(splice_name(state->config.splice)));
	json_set(&object, "fail", json_string(state->config.fail_closed ? "closed" : "open"));
	json_set(&object, "services", json_integer(state->n_services));
	json_set(&object, "endpoints", json_integer(state->n_endpoints));
	json_set(&object, "policy", show_policy_summary_json(state));
	json_set(&object, "features", features_to_json(meta));
	json_set(&object, "maps", maps_to_json(state));
	return object;
}
