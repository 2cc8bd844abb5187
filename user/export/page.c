/* SPDX-License-Identifier: Apache-2.0 */
#include "export/page.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/address.h"
#include "core/cleanup.h"
#include "export/format.h"
#include "export/map.h"
#include "export/record.h"
#include "model/edge.h"

/* ---- flows ------------------------------------------------------------------------ */

static uint64_t size_of(const struct sst_record *record)
{
	return record->sent_bytes + record->received_bytes + record->spliced_sent_bytes +
	       record->spliced_received_bytes;
}

static size_t least(const struct sst_record *records, bool by_size)
{
	size_t found = 0;

	for (size_t i = 1; i < PAGE_FLOWS_MAX; i++)
		if (by_size ? size_of(&records[i]) < size_of(&records[found])
			    : records[i].opened_ns < records[found].opened_ns)
			found = i;
	return found;
}

void page_add_flow(struct page_flows *flows, const struct sst_record *record)
{
	if (record->role == SST_ROLE_SERVER && record->peer_flow)
		return;
	flows->n++;
	if (flows->kept < PAGE_FLOWS_MAX) {
		flows->newest[flows->kept] = flows->largest[flows->kept] = *record;
		if (++flows->kept < PAGE_FLOWS_MAX)
			return;
	}
	if (record->opened_ns > flows->newest[flows->least_new].opened_ns) {
		flows->newest[flows->least_new] = *record;
		flows->least_new = least(flows->newest, false);
	}
	if (size_of(record) > size_of(&flows->largest[flows->least_large])) {
		flows->largest[flows->least_large] = *record;
		flows->least_large = least(flows->largest, true);
	}
}

/* ---- rows -------------------------------------------------------------------------- */

static void add_string(const char *string, struct text *out)
{
	_cleanup_text_ struct text clean = {};

	text_add_clean(&clean, string);
	if (clean.error)
		out->error = clean.error;
	text_add_bytes(out, "\"", 1);
	for (const char *s = text_string(&clean); *s; s++) {
		if (*s == '"' || *s == '\\')
			text_add_bytes(out, "\\", 1);
		text_add_bytes(out, s, 1);
	}
	text_add_bytes(out, "\"", 1);
}

static void add_number(uint64_t number, struct text *out)
{
	char digits[24], *digit = digits + sizeof(digits);

	do
		*--digit = '0' + number % 10;
	while (number /= 10);
	text_add_bytes(out, digit, digits + sizeof(digits) - digit);
}

/* ",1,2,3" */
static void add_numbers(const uint64_t *numbers, size_t n, struct text *out)
{
	for (size_t i = 0; i < n; i++) {
		text_add_bytes(out, ",", 1);
		add_number(numbers[i], out);
	}
}

static size_t at_most(size_t n)
{
	return n < PAGE_ROWS_MAX ? n : PAGE_ROWS_MAX;
}

/* `,"NAME":{"total":n,"rows":[` */
static void begin_table(const char *name, size_t n, struct text *out)
{
	text_add(out, ",\"%s\":{\"total\":%zu,\"rows\":[", name, n);
}

static void begin_row(size_t number, struct text *out)
{
	text_add_bytes(out, number ? ",[" : "[", number ? 2 : 1);
}

static void end_table(struct text *out)
{
	text_add(out, "]}");
}

/* ---- the map ----------------------------------------------------------------------- */

static void add_nodes(const struct map *map, struct text *out)
{
	begin_table("nodes", map->n_nodes, out);
	for (size_t i = 0; i < map->n_nodes; i++) {
		const struct map_node *node = &map->nodes[i];
		const uint64_t place[] = { node->kind == MAP_SERVICE, node->layer, node->row };

		begin_row(i, out);
		add_string(node->name, out);
		add_numbers(place, ARRAY_SIZE(place), out);
		text_add_bytes(out, "]", 1);
	}
	end_table(out);
}

static void add_lines(const struct map *map, struct text *out)
{
	begin_table("edges", map->n_edges, out);
	for (size_t i = 0; i < map->n_edges; i++) {
		const struct map_edge *edge = &map->edges[i];
		const uint64_t figures[] = {
			edge->to,
			edge->opened,
			edge->active,
			edge->failed,
			edge->broken,
			edge->denied,
			edge->sent_bytes,
			edge->received_bytes,
			edge->spliced_bytes,
			histogram_quantile(&edge->rtt, 0.5),
			histogram_quantile(&edge->rtt, 0.99),
		};

		begin_row(i, out);
		add_number(edge->from, out);
		add_numbers(figures, ARRAY_SIZE(figures), out);
		text_add_bytes(out, "]", 1);
	}
	end_table(out);
}

static int add_map(const struct state *state, struct text *out)
{
	_cleanup_map_ struct map map = {};
	int err = map_build(state, &map);

	if (err)
		return err;
	add_nodes(&map, out);
	add_lines(&map, out);
	return 0;
}

/* ---- services and endpoints -------------------------------------------------------- */

/* What of a service stands in other tables; by its place in state->services. */
struct belongings {
	uint64_t ready, configured;
	const struct state_frontend *frontend; /* one of them */
	uint64_t n_frontends;
};

static struct belongings *gather(const struct state *state)
{
	struct belongings *all = calloc(state->n_services + 1, sizeof(*all));

	for (size_t i = 0; all && i < state->n_endpoints; i++) {
		const struct sst_endpoint *endpoint = &state->endpoints[i].value;
		const struct state_service *service = state_service(state, endpoint->service);

		if (!service)
			continue;
		all[service - state->services].ready += endpoint->state == SST_ENDPOINT_READY;
		all[service - state->services].configured +=
			endpoint->state != SST_ENDPOINT_REMOVED;
	}
	for (size_t i = 0; all && i < state->n_frontends; i++) {
		const struct state_service *service =
			state_service(state, state->frontends[i].service);

		if (!service)
			continue;
		if (!all[service - state->services].n_frontends++)
			all[service - state->services].frontend = &state->frontends[i];
	}
	return all;
}

static void add_stats(const struct sst_stats *stats, struct text *out)
{
	const uint64_t figures[] = {
		stats->opened,
		stats->opened - stats->closed,
		stats->failed,
		stats->refused,
		stats->denied,
		stats->sent_bytes + stats->spliced_sent_bytes,
		stats->received_bytes + stats->spliced_received_bytes,
		stats->spliced_sent_bytes + stats->spliced_received_bytes,
		stats->udp_connected,
		stats->udp_datagrams,
	};

	add_numbers(figures, ARRAY_SIZE(figures), out);
}

static void add_label(const struct state_service *service, struct text *out)
{
	char label[SERVICE_LABEL_MAX];

	add_string(format_service(&service->info, label), out);
	text_add(out, ",\"%s\",\"%s\"", protocol_name(service->info.protocol),
		 family_name(service->info.family));
}

static void add_service(const struct state_service *service, const struct belongings *its,
			struct text *out)
{
	char address[ADDRESS_TEXT_MAX];

	add_label(service, out);
	text_add(out, ",%u,\"", service->id);
	if (its->frontend)
		text_add(out, "%s",
			 address_port_format(&its->frontend->key.address, its->frontend->key.port,
					     address));
	text_add(out, "\",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",\"%s\",\"%s\"", its->n_frontends,
		 its->ready, its->configured, balance_name(service->value.balance),
		 splice_name(service->value.splice));
	add_stats(&service->stats, out);
}

static int add_services(const struct state *state, struct text *out)
{
	_cleanup_free_ struct belongings *all = gather(state);

	if (!all)
		return -ENOMEM;
	begin_table("services", state->n_services, out);
	for (size_t i = 0; i < at_most(state->n_services); i++) {
		begin_row(i, out);
		add_service(&state->services[i], &all[i], out);
		text_add_bytes(out, "]", 1);
	}
	end_table(out);
	return 0;
}

static void add_endpoint(const struct state *state, const struct state_endpoint *endpoint,
			 struct text *out)
{
	const struct state_service *service = state_service(state, endpoint->value.service);
	char address[ADDRESS_TEXT_MAX];

	if (service)
		add_label(service, out);
	else
		text_add(out, "\"#%u\",\"\",\"\"", endpoint->value.service);
	text_add(out, ",%u,\"%s\",\"%s\",%u,%u", endpoint->id,
		 address_port_format(&endpoint->value.address, endpoint->value.port, address),
		 endpoint_state_name(endpoint->value.state), endpoint->value.weight,
		 endpoint->left_alone_s);
	add_stats(&endpoint->stats, out);
}

static void add_endpoints(const struct state *state, struct text *out)
{
	begin_table("endpoints", state->n_endpoints, out);
	for (size_t i = 0; i < at_most(state->n_endpoints); i++) {
		begin_row(i, out);
		add_endpoint(state, &state->endpoints[i], out);
		text_add_bytes(out, "]", 1);
	}
	end_table(out);
}

/* ---- flows, policy ----------------------------------------------------------------- */

static void add_flow_list(const struct page_view *view, const char *name,
			  const struct sst_record *records, struct text *out)
{
	const struct record_context context = { .state = view->state,
						.realtime_offset_ns = view->realtime_offset_ns };

	begin_table(name, view->flows->n, out);
	for (size_t i = 0; i < view->flows->kept; i++) {
		text_add_string(out, i ? "," : "");
		record_to_json(&records[i], &context, out);
	}
	end_table(out);
}

static void add_flows(const struct page_view *view, struct text *out)
{
	add_flow_list(view, "newest", view->flows->newest, out);
	add_flow_list(view, "largest", view->flows->largest, out);
}

static void add_rule(const struct state *state, const struct sst_policy_info *info,
		     struct text *out)
{
	const struct policy_set *set = &state->policy;
	const struct state_rule *rule = state_rule(state, info->id);
	const struct sst_rule_stats none = {}, *stats = rule ? &rule->stats : &none;
	const uint64_t figures[] = { stats->decided, stats->shadow, stats->would_allow,
				     stats->would_deny };

	add_number(info->id, out);
	text_add_bytes(out, ",", 1);
	add_string(policy_text(set, info->name_space), out);
	text_add_bytes(out, ",", 1);
	add_string(policy_text(set, info->policy), out);
	text_add_bytes(out, ",", 1);
	add_string(policy_text(set, info->rule), out);
	text_add(out, ",\"%s\",\"%s\",\"%s\",%d,", tier_name(info->tier),
		 direction_name(info->direction), action_name(info->action), info->shadow != 0);
	add_string(policy_text(set, info->summary), out);
	add_numbers(figures, ARRAY_SIZE(figures), out);
}

static void add_rules(const struct state *state, struct text *out)
{
	size_t n = policy_set_is_empty(&state->policy) ? 0 : policy_head(&state->policy)->n_infos;

	begin_table("rules", n, out);
	for (size_t i = 0; i < at_most(n); i++) {
		begin_row(i, out);
		add_rule(state, policy_info(&state->policy, i), out);
		text_add_bytes(out, "]", 1);
	}
	end_table(out);
}

int page_snapshot(const struct page_view *view, struct text *out)
{
	const struct state *state = view->state;
	int err;

	text_add(out,
		 "{\"time_ms\":%" PRIu64 ",\"version\":\"%s\",\"generation\":%" PRIu64
		 ",\"policy\":%s,\"host\":",
		 view->time_ns / 1000000, SIDESTEP_VERSION, (uint64_t)state->meta.generation,
		 policy_set_is_empty(&state->policy) ? "false" : "true");
	add_string(view->host, out);
	err = add_map(state, out) ?: add_services(state, out);
	if (err)
		return err;
	add_endpoints(state, out);
	add_flows(view, out);
	add_rules(state, out);
	text_add(out, "}");
	return out->error;
}
