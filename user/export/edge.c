/* SPDX-License-Identifier: Apache-2.0 */
#include "export/edge.h"

#include <inttypes.h>

#include "core/address.h"
#include "core/cleanup.h"
#include "core/clock.h"
#include "core/table.h"
#include "export/format.h"
#include "export/json.h"
#include "export/whois.h"
#include "model/edge.h"

/* ---- names ------------------------------------------------------------------------- */

static const char *const ending_names[] = {
#define X(symbol, name, help) name,
	SST_ENDINGS(X)
#undef X
};

static const char *const failure_names[] = {
#define X(symbol, name, help) name,
	SST_FAILURES(X)
#undef X
};

static const char *const time_names[] = {
#define X(symbol, name, help) name,
	SST_TIMES(X)
#undef X
};

const char *ending_name(uint8_t ending)
{
	return ending < SST_ENDING_MAX ? ending_names[ending] : "?";
}

const char *failure_name(uint8_t failure)
{
	return failure < SST_FAILURE_MAX ? failure_names[failure] : "?";
}

const char *time_name(uint8_t time)
{
	return time < SST_TIME_MAX ? time_names[time] : "?";
}

/* A cgroup tells of the end that the edge is of. */
static void end_text(const struct state *state, const struct state_edge *edge, enum sst_role role,
		     uint32_t identity, uint32_t workload, struct text *out)
{
	if (edge_is_folded(edge->id))
		text_add(out, "other");
	else if (workload)
		whois_text(&state->policy, identity, workload, out);
	else if (edge->key.role == role && edge->cgroup)
		text_add(out, "%s", edge->cgroup);
	else if (identity)
		whois_text(&state->policy, identity, 0, out);
	else if (edge->key.role == role && edge->key.cgroup)
		text_add(out, "cgroup:%" PRIu64, (uint64_t)edge->key.cgroup);
	else
		text_add(out, "unknown");
}

void edge_source(const struct state *state, const struct state_edge *edge, struct text *out)
{
	end_text(state, edge, SST_ROLE_CLIENT, edge->key.source_identity, edge->key.source_workload,
		 out);
}

void edge_destination(const struct state *state, const struct state_edge *edge, struct text *out)
{
	end_text(state, edge, SST_ROLE_SERVER, edge->key.destination_identity,
		 edge->key.destination_workload, out);
}

/* Its identity's; NULL: it has none, or is nobody in particular. */
static const char *namespace_of(const struct state *state, uint32_t identity, uint32_t workload)
{
	const struct sst_policy_workload *who = policy_workload_by_id(&state->policy, workload);
	const struct sst_policy_identity *whose =
		who ? policy_identity(&state->policy, who->identity)
		    : policy_identity_by_id(&state->policy, identity);

	return whose && whose->name_space ? policy_text(&state->policy, whose->name_space) : NULL;
}

void edge_end(const struct state *state, const struct state_edge *edge, enum sst_role role,
	      struct text *name, struct text *name_space)
{
	const struct sst_edge_key *key = &edge->key;
	bool is_source = role == SST_ROLE_CLIENT;
	uint32_t identity = is_source ? key->source_identity : key->destination_identity;
	uint32_t workload = is_source ? key->source_workload : key->destination_workload;
	const struct sst_policy_workload *who = policy_workload_by_id(&state->policy, workload);
	bool by_cgroup = key->role == role && edge->cgroup;
	const char *where = by_cgroup && !workload ? NULL : namespace_of(state, identity, workload);

	if (who && !edge_is_folded(edge->id))
		text_add(name, "%s", policy_text(&state->policy, who->name));
	else
		end_text(state, edge, role, identity, workload, name);
	if (where && !edge_is_folded(edge->id))
		text_add(name_space, "%s", where);
}

void edge_service(const struct state *state, const struct state_edge *edge, struct text *out)
{
	const struct state_service *service = state_service(state, edge->key.service);
	char label[SERVICE_LABEL_MAX];

	if (service)
		text_add(out, "%s", format_service(&service->info, label));
	else if (edge->key.service)
		text_add(out, "#%u", edge->key.service);
	else
		text_add(out, "-");
}

/* ---- JSON --------------------------------------------------------------------------- */

static json_t *text_to_json(struct text *text)
{
	json_t *json = text->error ? NULL : json_string(text_string(text));

	text_release(text);
	return json;
}

static json_t *end_to_json(const struct state *state, const struct state_edge *edge,
			   enum sst_role role)
{
	const struct sst_edge_key *key = &edge->key;
	bool is_source = role == SST_ROLE_CLIENT;
	struct text name = {};
	json_t *object;

	object = whois_json(&state->policy,
			    is_source ? key->source_identity : key->destination_identity,
			    is_source ? key->source_workload : key->destination_workload);
	(is_source ? edge_source : edge_destination)(state, edge, &name);
	json_set(&object, "name", text_to_json(&name));
	json_set(&object, "cgroup", json_text(key->role == role ? edge->cgroup : NULL));
	return object;
}

static json_t *service_to_json(const struct state *state, uint32_t id)
{
	const struct state_service *service = state_service(state, id);
	json_t *object = json_object();
	char port[SERVICE_PORT_MAX];

	if (!id) {
		json_decref(object);
		return json_null();
	}
	json_set(&object, "id", json_integer(id));
	json_set(&object, "name", json_text(service ? service->info.name : NULL));
	json_set(&object, "port",
		 json_text(service ? format_service_port(&service->info, port) : NULL));
	json_set(&object, "family", json_text(service ? family_name(service->info.family) : NULL));
	return object;
}

static json_t *numbers_to_json(const __u64 *numbers, size_t n, const char *(*name)(uint8_t))
{
	json_t *object = json_object();

	for (size_t i = 0; i < n; i++)
		json_set(&object, name(i), json_integer(numbers[i]));
	return object;
}

static json_t *times_to_json(const struct sst_histogram *time)
{
	json_t *object = json_object();

	json_set(&object, "count", json_integer(histogram_count(time)));
	json_set(&object, "sum", json_integer(time->sum));
	json_set(&object, "p50", json_real(histogram_quantile(time, 0.5)));
	json_set(&object, "p90", json_real(histogram_quantile(time, 0.9)));
	json_set(&object, "p99", json_real(histogram_quantile(time, 0.99)));
	return object;
}

static void set_who(json_t **object, const struct state *state, const struct state_edge *edge)
{
	const struct sst_edge_key *key = &edge->key;
	bool folded = edge_is_folded(edge->id);

	json_set(object, "id", json_integer(edge->id));
	json_set(object, "folded", json_boolean(folded));
	json_set(object, "source", end_to_json(state, edge, SST_ROLE_CLIENT));
	json_set(object, "service", service_to_json(state, key->service));
	json_set(object, "destination", end_to_json(state, edge, SST_ROLE_SERVER));
	json_set(object, "port", folded ? json_null() : json_integer(key->port));
	json_set(object, "protocol", json_text(folded ? NULL : protocol_name(key->protocol)));
	json_set(object, "reporter",
		 json_text(folded                         ? NULL
			   : key->role == SST_ROLE_CLIENT ? "source"
							  : "destination"));
	json_set(object, "verdict", json_text(folded ? NULL : ruling_name(key->denied)));
	json_set(object, "rule", rule_json(&state->policy, key->rule));
}

static void set_totals(json_t **object, const struct sst_edge *total)
{
	json_set(object, "active", json_integer(edge_active(total)));
	json_set(object, "opened", json_integer(total->opened));
	json_set(object, "closed", numbers_to_json(total->closed, SST_ENDING_MAX, ending_name));
	json_set(object, "failed", numbers_to_json(total->failed, SST_FAILURE_MAX, failure_name));
	json_set(object, "denied", json_integer(total->denied));
	json_set(object, "sent_bytes", json_integer(total->sent_bytes));
	json_set(object, "received_bytes", json_integer(total->received_bytes));
	json_set(object, "spliced_sent_bytes", json_integer(total->spliced_sent_bytes));
	json_set(object, "spliced_received_bytes", json_integer(total->spliced_received_bytes));
	json_set(object, "retransmits", json_integer(total->retransmits));
	json_set(object, "udp_connected", json_integer(total->udp_connected));
	json_set(object, "udp_sent_datagrams", json_integer(total->udp_sent_datagrams));
	json_set(object, "udp_received_datagrams", json_integer(total->udp_received_datagrams));
	json_set(object, "udp_sent_bytes", json_integer(total->udp_sent_bytes));
	json_set(object, "udp_received_bytes", json_integer(total->udp_received_bytes));
}

json_t *edge_to_json(const struct state *state, const struct state_edge *edge)
{
	uint64_t idle = clock_ns(CLOCK_BOOTTIME) - edge->used_ns;
	json_t *object = json_object();

	set_who(&object, state, edge);
	set_totals(&object, &edge->total);
	json_set(&object, "connect_us", times_to_json(&edge->time[SST_TIME_CONNECT]));
	json_set(&object, "rtt_us", times_to_json(&edge->time[SST_TIME_RTT]));
	json_set(&object, "duration_ms", times_to_json(&edge->time[SST_TIME_DURATION]));
	json_set(&object, "idle_s", edge->used_ns ? json_integer(idle / 1000000000) : json_null());
	return object;
}

json_t *show_edges_json(const struct state *state)
{
	json_t *array = json_array();

	for (size_t i = 0; i < state->n_edges; i++)
		json_add(&array, edge_to_json(state, &state->edges[i]));
	return array;
}

/* ---- table ---------------------------------------------------------------------------- */

static const struct table_column columns[] = {
	{ "SOURCE", TABLE_LEFT },   { "SERVICE", TABLE_LEFT },   { "DESTINATION", TABLE_LEFT },
	{ "PORT", TABLE_LEFT },     { "TOLD-BY", TABLE_LEFT },   { "OPENED", TABLE_RIGHT },
	{ "ACTIVE", TABLE_RIGHT },  { "FAILED", TABLE_RIGHT },   { "DENIED", TABLE_RIGHT },
	{ "SENT", TABLE_RIGHT },    { "RECEIVED", TABLE_RIGHT }, { "SPLICED", TABLE_RIGHT },
	{ "RTT-P50", TABLE_RIGHT },
};

static void add_port(const struct state_edge *edge, struct table *table)
{
	if (edge_is_folded(edge->id))
		table_add(table, "-");
	else
		table_add(table, "%u/%s", edge->key.port, protocol_name(edge->key.protocol));
}

static void add_figures(const struct state_edge *edge, struct table *table)
{
	const struct sst_edge *total = &edge->total;
	char buf[FORMAT_MAX];

	table_add(table, "%" PRIu64, (uint64_t)total->opened);
	table_add(table, "%" PRIu64, edge_active(total));
	table_add(table, "%" PRIu64, edge_failed(total));
	table_add(table, "%" PRIu64, (uint64_t)total->denied);
	table_add(table, "%s", format_size(edge_sent_bytes(total), buf));
	table_add(table, "%s", format_size(edge_received_bytes(total), buf));
	table_add(table, "%s",
		  format_size(total->spliced_sent_bytes + total->spliced_received_bytes, buf));
	if (histogram_count(&edge->time[SST_TIME_RTT]))
		table_add(table, "%.0fus", histogram_quantile(&edge->time[SST_TIME_RTT], 0.5));
	else
		table_add(table, "-");
}

int show_edges(const struct state *state, struct text *out)
{
	_cleanup_table_ struct table table = TABLE_INIT(columns);

	for (size_t i = 0; i < state->n_edges; i++) {
		const struct state_edge *edge = &state->edges[i];
		struct text source = {}, service = {}, destination = {};

		edge_source(state, edge, &source);
		edge_service(state, edge, &service);
		edge_destination(state, edge, &destination);
		table_add_text(&table, &source);
		table_add_text(&table, &service);
		table_add_text(&table, &destination);
		add_port(edge, &table);
		table_add(&table, "%s",
			  edge_is_folded(edge->id)            ? "-"
			  : edge->key.role == SST_ROLE_CLIENT ? "source"
							      : "destination");
		add_figures(edge, &table);
	}
	return table_print(&table, out);
}
