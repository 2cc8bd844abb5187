/* SPDX-License-Identifier: Apache-2.0 */
/* Services, endpoints and rules of policy: what the configuration names. */
#include "export/metrics_kinds.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "core/address.h"
#include "core/cleanup.h"
#include "export/format.h"
#include "model/policy_set.h"

#define SERVICE_OTHER  "service=\"other\",port=\"\",protocol=\"\",family=\"\""
#define ENDPOINT_OTHER SERVICE_OTHER ",endpoint=\"other\""
#define RULE_OTHER                                                            \
	"tier=\"other\",namespace=\"other\",policy=\"other\",rule=\"other\"," \
	"direction=\"other\",action=\"other\""

/* ---- families of statistics ---------------------------------------------------------- */

struct stats_field {
	const char *label; /* after the row's own; NULL: no field */
	size_t offset;
};

struct stats_family {
	const char *name; /* behind "sidestep_", or "sidestep_endpoint_" */
	const char *help;
	bool not_of_endpoints;
	struct stats_field fields[2];
};

#define FIELD(member) offsetof(struct sst_stats, member)

static const struct stats_family stats_families[] = {
	{ .name = "connections_opened_total",
	  .help = "TCP connections established",
	  .fields = { { "", FIELD(opened) } } },
	{ .name = "connections_closed_total",
	  .help = "Established TCP connections that ended",
	  .fields = { { "", FIELD(closed) } } },
	{ .name = "connections_failed_total",
	  .help = "TCP connections that could not be established",
	  .fields = { { "", FIELD(failed) } } },
	{ .name = "connections_refused_total",
	  .help = "Calls of connect() and sendmsg() refused for want of a usable endpoint",
	  .not_of_endpoints = true, /* no endpoint was chosen */
	  .fields = { { "", FIELD(refused) } } },
	{ .name = "connections_denied_total",
	  .help = "Calls of connect() and sendmsg() denied by policy",
	  .fields = { { "", FIELD(denied) } } },
	{ .name = "sent_bytes_total",
	  .help = "Bytes from clients to the service, by TCP or spliced past it",
	  .fields = { { "path=\"tcp\"", FIELD(sent_bytes) },
		      { "path=\"spliced\"", FIELD(spliced_sent_bytes) } } },
	{ .name = "received_bytes_total",
	  .help = "Bytes from the service to clients, by TCP or spliced past it",
	  .fields = { { "path=\"tcp\"", FIELD(received_bytes) },
		      { "path=\"spliced\"", FIELD(spliced_received_bytes) } } },
	{ .name = "retransmitted_segments_total",
	  .help = "TCP segments sent again",
	  .fields = { { "", FIELD(retransmits) } } },
	{ .name = "udp_connected_total",
	  .help = "UDP sockets connected",
	  .fields = { { "", FIELD(udp_connected) } } },
	{ .name = "udp_datagrams_total",
	  .help = "Datagrams sent by unconnected UDP sockets",
	  .fields = { { "", FIELD(udp_datagrams) } } },
};

#define SERVICE_SERIES  13 /* fields, and connections_active */
#define ENDPOINT_SERIES 17 /* but one of them, and state and weight */
#define NAME_MAX_LENGTH 64

static void write_family(struct metrics_text *text, const struct stats_family *family,
			 const char *prefix, const struct series *series, const char *others)
{
	const struct series_row *row = NULL;
	char name[NAME_MAX_LENGTH];

	snprintf(name, sizeof(name), "%s%s", prefix, family->name);
	metrics_family(text, name, "counter", family->help);
	while ((row = next_row(series, row)))
		for (size_t i = 0; i < ARRAY_SIZE(family->fields) && family->fields[i].label; i++)
			metrics_sample(text, name, row_labels(row, others), family->fields[i].label,
				       row->values[family->fields[i].offset / sizeof(uint64_t)]);
}

static void write_active(struct metrics_text *text, const char *name, const struct series *series,
			 const char *others)
{
	const struct series_row *row = NULL;

	metrics_family(text, name, "gauge", "TCP connections established now");
	while ((row = next_row(series, row)))
		metrics_sample(text, name, row_labels(row, others), "", row->active);
}

/* ---- services ---------------------------------------------------------------------------- */

/*
 * What an id stands for as long as it lives. A port's name is not part of it: it may move to
 * another port while flows of the first one still run.
 */
void label_service(struct text *labels, const struct sst_service_info *info)
{
	metrics_label(labels, "service", info->name);
	text_add(labels, ",port=\"%u\"", ntohs(info->port));
	metrics_label(labels, "protocol", protocol_name(info->protocol));
	metrics_label(labels, "family", family_name(info->family));
}

/* The first source is what went to no service. */
static void label_of_service(size_t i, const void *arg, struct text *out)
{
	const struct state *state = ((const struct label_context *)arg)->state;

	if (i)
		label_service(out, &state->services[i - 1].info);
	else
		text_add(out, "service=\"none\",port=\"\",protocol=\"\",family=\"\"");
}

static struct series_source source_of_stats(uint32_t id, const struct sst_stats *stats,
					    uint32_t cost)
{
	return (struct series_source){ .id = id,
				       .values = (const uint64_t *)stats,
				       .active = stats->opened - stats->closed,
				       .cost = cost };
}

/* It, or its name, left a map between two reads of this dump; the next dump is whole. */
static bool is_nameless(const struct state_service *service)
{
	return !service || !service->info.name[0];
}

int service_sources(const struct state *state, struct sources *ret)
{
	int err = sources_init(ret, state->n_services + 1, label_of_service, SERVICE_SERIES);

	if (err)
		return err;
	ret->items[ret->n++] = source_of_stats(0, &state->direct, SERVICE_SERIES);
	for (size_t i = 0; i < state->n_services; i++) {
		const struct state_service *service = &state->services[i];
		struct series_source *source = &ret->items[ret->n++];

		*source = source_of_stats(service->id, &service->stats, SERVICE_SERIES);
		source->nameless = is_nameless(service);
	}
	return 0;
}

void write_services(struct metrics_text *text, const struct metrics_view *view)
{
	const struct series *series = &view->series->kind[METRICS_service];

	for (size_t i = 0; i < ARRAY_SIZE(stats_families); i++)
		write_family(text, &stats_families[i], "sidestep_", series, SERVICE_OTHER);
	write_active(text, "sidestep_connections_active", series, SERVICE_OTHER);
}

/* ---- endpoints --------------------------------------------------------------------------- */

static void label_of_endpoint(size_t i, const void *arg, struct text *out)
{
	const struct state *state = ((const struct label_context *)arg)->state;
	const struct sst_endpoint *endpoint = &state->endpoints[i].value;
	const struct state_service *service = state_service(state, endpoint->service);
	char address[ADDRESS_TEXT_MAX];

	if (service)
		label_service(out, &service->info);
	address_port_format(&endpoint->address, endpoint->port, address);
	metrics_label(out, "endpoint", address);
}

int endpoint_sources(const struct state *state, struct sources *ret)
{
	int err = sources_init(ret, state->n_endpoints, label_of_endpoint, ENDPOINT_SERIES);

	for (size_t i = 0; i < state->n_endpoints && !err; i++) {
		const struct state_endpoint *endpoint = &state->endpoints[i];
		struct series_source *source = &ret->items[ret->n++];

		*source = source_of_stats(endpoint->id, &endpoint->stats, ENDPOINT_SERIES);
		source->nameless = is_nameless(state_service(state, endpoint->value.service));
	}
	return err;
}

/* The row of its own of an endpoint; NULL: it has none. */
static const struct series_row *endpoint_row(const struct metrics_view *view, size_t i)
{
	const struct series *series = &view->series->kind[METRICS_endpoint];
	uint32_t row = series_row_of(series, view->state->endpoints[i].id);

	return row == SERIES_OTHER ? NULL : &series->rows[row];
}

static void write_endpoint_state(struct metrics_text *text, const struct series_row *row,
				 uint8_t state)
{
	for (uint8_t s = SST_ENDPOINT_READY; s <= SST_ENDPOINT_REMOVED; s++) {
		char label[NAME_MAX_LENGTH];

		snprintf(label, sizeof(label), "state=\"%s\"", endpoint_state_name(s));
		metrics_sample(text, "sidestep_endpoint_state", row->labels, label, s == state);
	}
}

/* Two may have the same labels while one of them goes: the newer one is told of. */
static bool is_told(const struct metrics_view *view, size_t i, const struct series_row *row)
{
	return row && row->id == view->state->endpoints[i].id;
}

void write_endpoints(struct metrics_text *text, const struct metrics_view *view)
{
	const struct series *series = &view->series->kind[METRICS_endpoint];
	const struct state *state = view->state;

	for (size_t i = 0; i < ARRAY_SIZE(stats_families); i++)
		if (!stats_families[i].not_of_endpoints)
			write_family(text, &stats_families[i], "sidestep_endpoint_", series,
				     ENDPOINT_OTHER);
	write_active(text, "sidestep_endpoint_connections_active", series, ENDPOINT_OTHER);
	metrics_family(text, "sidestep_endpoint_state", "gauge",
		       "1 for the state the endpoint is in");
	for (size_t i = 0; i < state->n_endpoints; i++)
		if (is_told(view, i, endpoint_row(view, i)))
			write_endpoint_state(text, endpoint_row(view, i),
					     state->endpoints[i].value.state);
	metrics_family(text, "sidestep_endpoint_weight", "gauge", "The endpoint's weight");
	for (size_t i = 0; i < state->n_endpoints; i++)
		if (is_told(view, i, endpoint_row(view, i)))
			metrics_sample(text, "sidestep_endpoint_weight",
				       endpoint_row(view, i)->labels, "",
				       state->endpoints[i].value.weight);
}

/* ---- rules of policy ------------------------------------------------------------------------ */

static const struct {
	const char *name;
	const char *help;
	size_t offset;
} rule_families[] = {
	{ "sidestep_policy_rule_decisions_total", "Flows and calls that the rule decided",
	  offsetof(struct sst_rule_stats, decided) },
	{ "sidestep_policy_rule_shadow_total",
	  "Those in which the rule, in shadow, would have had a say",
	  offsetof(struct sst_rule_stats, shadow) },
	{ "sidestep_policy_rule_would_allow_total", "Of these, those that were denied",
	  offsetof(struct sst_rule_stats, would_allow) },
	{ "sidestep_policy_rule_would_deny_total", "Of these, those that were allowed",
	  offsetof(struct sst_rule_stats, would_deny) },
};

static uint32_t n_rules(const struct state *state)
{
	return policy_set_is_empty(&state->policy) ? 0 : policy_head(&state->policy)->n_infos;
}

static void label_of_rule(size_t i, const void *arg, struct text *out)
{
	const struct policy_set *set = &((const struct label_context *)arg)->state->policy;
	const struct sst_policy_info *info = policy_info(set, i);

	metrics_label(out, "tier", tier_name(info->tier));
	metrics_label(out, "namespace", policy_text(set, info->name_space));
	metrics_label(out, "policy", policy_text(set, info->policy));
	metrics_label(out, "rule", policy_text(set, info->rule));
	metrics_label(out, "direction", direction_name(info->direction));
	metrics_label(out, "action", action_name(info->action));
}

int rule_sources(const struct state *state, struct sources *ret)
{
	static const struct sst_rule_stats none;
	uint32_t n = n_rules(state);
	int err = sources_init(ret, n, label_of_rule, ARRAY_SIZE(rule_families));

	for (uint32_t i = 0; i < n && !err; i++) {
		uint32_t id = policy_info(&state->policy, i)->id;
		const struct state_rule *rule = state_rule(state, id);

		ret->items[ret->n++] = (struct series_source){
			.id = id,
			.values = (const uint64_t *)(rule ? &rule->stats : &none),
			.cost = ARRAY_SIZE(rule_families),
		};
	}
	return err;
}

void write_rules(struct metrics_text *text, const struct metrics_view *view)
{
	const struct series *series = &view->series->kind[METRICS_rule];

	for (size_t i = 0; i < ARRAY_SIZE(rule_families); i++) {
		const struct series_row *row = NULL;

		metrics_family(text, rule_families[i].name, "counter", rule_families[i].help);
		while ((row = next_row(series, row)))
			metrics_sample(text, rule_families[i].name, row_labels(row, RULE_OTHER), "",
				       row->values[rule_families[i].offset / sizeof(uint64_t)]);
	}
}
