/* SPDX-License-Identifier: Apache-2.0 */
#include "export/metrics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>

#include "core/address.h"
#include "core/cleanup.h"
#include "export/format.h"
#include "model/policy_set.h"

#define PREFIX          "sidestep_"
#define ENDPOINT_PREFIX "sidestep_endpoint_"

static void add_family(struct text *out, const char *prefix, const char *name, const char *type,
		       const char *help)
{
	text_add(out, "# HELP %s%s %s\n# TYPE %s%s %s\n", prefix, name, help, prefix, name, type);
}

static void add_gauge(struct text *out, const char *name, const char *help, uint64_t value)
{
	add_family(out, PREFIX, name, "gauge", help);
	text_add(out, PREFIX "%s %" PRIu64 "\n", name, value);
}

static void add_timestamp(struct text *out, const char *name, const char *help, uint64_t ns)
{
	add_family(out, PREFIX, name, "gauge", help);
	text_add(out, PREFIX "%s %" PRIu64 ".%09" PRIu64 "\n", name, ns / 1000000000,
		 ns % 1000000000);
}

/* Appends name="value" with the three characters escaped that the format names. */
static void add_label(struct text *out, const char *name, const char *value)
{
	text_add(out, "%s%s=\"", out->length ? "," : "", name);
	for (; *value; value++) {
		if (*value == '\n')
			text_add_bytes(out, "\\n", 2);
		else if (*value == '\\' || *value == '"')
			text_add(out, "\\%c", *value);
		else
			text_add_bytes(out, value, 1);
	}
	text_add_bytes(out, "\"", 1);
}

/* ---- series --------------------------------------------------------------- */

/* A service or an endpoint under the labels it is told by. */
struct series {
	struct text labels;
	const struct sst_stats *stats;
	const struct sst_endpoint *endpoint; /* NULL: a service */
};

struct series_list {
	struct series *items;
	size_t n;
};

/* what they point to is the state's */
static void series_list_release(struct series_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		text_release(&list->items[i].labels);
	free(list->items);
}
#define _cleanup_series_list_ _cleanup_(series_list_release)

static int series_list_init(struct series_list *list, size_t capacity)
{
	list->n = 0;
	list->items = calloc(capacity, sizeof(*list->items));
	return list->items ? 0 : -ENOMEM;
}

static int series_list_error(const struct series_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->items[i].labels.error)
			return list->items[i].labels.error;
	return 0;
}

/*
 * What an id stands for as long as it lives, so that no two series bear the same
 * labels and none goes back. A port's name is not part of it: it may move to
 * another port while flows of the first one still run.
 */
static void label_service(struct text *labels, const struct sst_service_info *info)
{
	add_label(labels, "service", info->name);
	text_add(labels, ",port=\"%u\"", ntohs(info->port));
	add_label(labels, "protocol", protocol_name(info->protocol));
	add_label(labels, "family", family_name(info->family));
}

static void label_no_service(struct text *labels)
{
	add_label(labels, "service", "none");
	add_label(labels, "port", "");
	add_label(labels, "protocol", "");
	add_label(labels, "family", "");
}

static int list_services(const struct state *state, struct series_list *ret)
{
	int err;

	err = series_list_init(ret, state->n_services + 1);
	if (err)
		return err;
	for (size_t i = 0; i < state->n_services; i++) {
		struct series *series = &ret->items[ret->n++];

		label_service(&series->labels, &state->services[i].info);
		series->stats = &state->services[i].stats;
	}
	label_no_service(&ret->items[ret->n].labels);
	ret->items[ret->n++].stats = &state->direct;
	return series_list_error(ret);
}

/* All or none: a series that comes and goes with its neighbours is worse than none. */
static size_t endpoints_unlisted(const struct state *state)
{
	return state->n_endpoints > METRICS_ENDPOINTS_MAX ? state->n_endpoints : 0;
}

static int list_endpoints(const struct state *state, struct series_list *ret)
{
	char text[ADDRESS_TEXT_MAX];
	int err;

	err = series_list_init(ret, state->n_endpoints + 1);
	if (err)
		return err;
	if (endpoints_unlisted(state))
		return 0;
	for (size_t i = 0; i < state->n_endpoints; i++) {
		const struct sst_endpoint *endpoint = &state->endpoints[i].value;
		const struct state_service *service = state_service(state, endpoint->service);
		struct series *series;

		/* it left the map between two reads of this dump; the next dump is whole */
		if (!service)
			continue;
		address_port_format(&endpoint->address, endpoint->port, text);
		series = &ret->items[ret->n++];
		label_service(&series->labels, &service->info);
		add_label(&series->labels, "endpoint", text);
		series->stats = &state->endpoints[i].stats;
		series->endpoint = endpoint;
	}
	return series_list_error(ret);
}

/* ---- families of statistics ------------------------------------------------ */

struct stats_field {
	const char *label; /* after the series' own labels; NULL: no field */
	size_t offset;
};

struct stats_family {
	const char *name;
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
	  .fields = { { ",path=\"tcp\"", FIELD(sent_bytes) },
		      { ",path=\"spliced\"", FIELD(spliced_sent_bytes) } } },
	{ .name = "received_bytes_total",
	  .help = "Bytes from the service to clients, by TCP or spliced past it",
	  .fields = { { ",path=\"tcp\"", FIELD(received_bytes) },
		      { ",path=\"spliced\"", FIELD(spliced_received_bytes) } } },
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

static void add_series(struct text *out, const char *prefix, const struct stats_family *family,
		       const struct series *series)
{
	for (size_t i = 0; i < ARRAY_SIZE(family->fields) && family->fields[i].label; i++) {
		const struct stats_field *field = &family->fields[i];
		const char *value = (const char *)series->stats + field->offset;

		text_add(out, "%s%s{%s%s} %" PRIu64 "\n", prefix, family->name,
			 text_string(&series->labels), field->label, *(const uint64_t *)value);
	}
}

static void add_active(struct text *out, const char *prefix, const struct series_list *list)
{
	add_family(out, prefix, "connections_active", "gauge", "TCP connections established now");
	for (size_t i = 0; i < list->n; i++) {
		const struct series *series = &list->items[i];
		uint64_t active = series->stats->opened - series->stats->closed;

		text_add(out, "%sconnections_active{%s} %" PRIu64 "\n", prefix,
			 text_string(&series->labels), active);
	}
}

static void add_stats(struct text *out, const char *prefix, const struct series_list *list,
		      bool of_endpoints)
{
	for (size_t i = 0; i < ARRAY_SIZE(stats_families); i++) {
		const struct stats_family *family = &stats_families[i];

		if (of_endpoints && family->not_of_endpoints)
			continue;
		add_family(out, prefix, family->name, "counter", family->help);
		for (size_t j = 0; j < list->n; j++)
			add_series(out, prefix, family, &list->items[j]);
	}
	add_active(out, prefix, list);
}

static int add_services(struct text *out, const struct state *state)
{
	_cleanup_series_list_ struct series_list list = {};
	int err;

	err = list_services(state, &list);
	if (!err)
		add_stats(out, PREFIX, &list, false);
	return err;
}

static void add_endpoint_state(struct text *out, const struct series *series)
{
	for (uint8_t state = SST_ENDPOINT_READY; state <= SST_ENDPOINT_REMOVED; state++)
		text_add(out, ENDPOINT_PREFIX "state{%s,state=\"%s\"} %d\n",
			 text_string(&series->labels), endpoint_state_name(state),
			 series->endpoint->state == state);
}

static int add_endpoints(struct text *out, const struct state *state)
{
	_cleanup_series_list_ struct series_list list = {};
	int err;

	err = list_endpoints(state, &list);
	if (err)
		return err;
	add_family(out, "sidestep_", "endpoints_unlisted", "gauge",
		   "Endpoints without series of their own, since there are too many");
	text_add(out, "sidestep_endpoints_unlisted %zu\n", endpoints_unlisted(state));
	add_stats(out, ENDPOINT_PREFIX, &list, true);
	add_family(out, ENDPOINT_PREFIX, "state", "gauge", "1 for the state the endpoint is in");
	for (size_t i = 0; i < list.n; i++)
		add_endpoint_state(out, &list.items[i]);
	add_family(out, ENDPOINT_PREFIX, "weight", "gauge", "The endpoint's weight");
	for (size_t i = 0; i < list.n; i++)
		text_add(out, ENDPOINT_PREFIX "weight{%s} %u\n", text_string(&list.items[i].labels),
			 list.items[i].endpoint->weight);
	return 0;
}

/* ---- rules of policy ---------------------------------------------------------- */

static const struct {
	const char *name;
	const char *help;
	size_t offset;
} rule_families[] = {
	{ "policy_rule_decisions_total", "Flows and calls that the rule decided",
	  offsetof(struct sst_rule_stats, decided) },
	{ "policy_rule_shadow_total", "Those in which the rule, in shadow, would have had a say",
	  offsetof(struct sst_rule_stats, shadow) },
	{ "policy_rule_would_allow_total", "Of these, those that were denied",
	  offsetof(struct sst_rule_stats, would_allow) },
	{ "policy_rule_would_deny_total", "Of these, those that were allowed",
	  offsetof(struct sst_rule_stats, would_deny) },
};

static void label_rule(struct text *labels, const struct policy_set *set,
		       const struct sst_policy_info *info)
{
	add_label(labels, "tier", tier_name(info->tier));
	add_label(labels, "namespace", policy_text(set, info->name_space));
	add_label(labels, "policy", policy_text(set, info->policy));
	add_label(labels, "rule", policy_text(set, info->rule));
	add_label(labels, "direction", direction_name(info->direction));
	add_label(labels, "action", action_name(info->action));
}

static void add_rule(struct text *out, const struct state *state, size_t family,
		     const struct sst_policy_info *info)
{
	const struct state_rule *rule = state_rule(state, info->id);
	const char *value = rule ? (const char *)&rule->stats + rule_families[family].offset : NULL;
	_cleanup_text_ struct text labels = {};

	label_rule(&labels, &state->policy, info);
	text_add(out, PREFIX "%s{%s} %" PRIu64 "\n", rule_families[family].name,
		 text_string(&labels), value ? *(const uint64_t *)value : 0);
	if (labels.error)
		out->error = labels.error;
}

/* All or none, as with endpoints. */
static void add_rules(struct text *out, const struct state *state, uint32_t n)
{
	uint32_t unlisted = n > METRICS_RULES_MAX ? n : 0;

	add_gauge(out, "policy_rules", "Rules in force or in shadow, built-in ones included", n);
	add_gauge(out, "policy_rules_unlisted",
		  "Rules without series of their own, since there are too many", unlisted);
	for (size_t i = 0; i < ARRAY_SIZE(rule_families); i++) {
		add_family(out, PREFIX, rule_families[i].name, "counter", rule_families[i].help);
		for (uint32_t j = 0; j < n && !unlisted; j++)
			add_rule(out, state, i, policy_info(&state->policy, j));
	}
}

static void add_policy(struct text *out, const struct state *state)
{
	static const struct sst_policy_head none = { .n_identities = SST_IDENTITY_RESERVED,
						     .n_workloads = 1 };
	const struct sst_policy_head *head =
		policy_set_is_empty(&state->policy) ? &none : policy_head(&state->policy);

	add_gauge(out, "policy_identities", "Identities, the reserved ones not counted",
		  head->n_identities - SST_IDENTITY_RESERVED);
	add_gauge(out, "policy_workloads", "Workloads, here and elsewhere", head->n_workloads - 1);
	add_rules(out, state, head->n_infos);
}

/* ---- counters by reason ------------------------------------------------------ */

/* A group that abi.h has and this list lacks does not compile. */
#define COUNTER_GROUPS(X)                                                                 \
	X(connect, "Destinations of connect() and sendmsg(), by what was decided")        \
	X(affinity, "Remembered endpoints of clients, by what became of them")            \
	X(udp, "Replies to unconnected UDP sockets")                                      \
	X(policy, "Decisions of policy, once per flow and direction, by tier")            \
	X(policy_undecided, "What policy could not decide, by what was missing")          \
	X(policy_flow, "What became of flows and datagrams that policy is about")         \
	X(policy_socket, "Sockets refused since they would get around policy")            \
	X(edge, "Flows whose edge could not be told apart")                               \
	X(flow, "Flows that could not be counted where they belong")                      \
	X(pair, "Attempts to find both ends of a connection on this node")                \
	X(event, "Records of flows sent to userspace")                                    \
	X(event_withheld, "Records of flows that were not made since nobody follows")     \
	X(event_limited, "Records of flows that were not made since there were too many") \
	X(event_lost, "Records of flows that userspace missed")                           \
	X(splice_flow, "Steps of flows on their way into the splice and out of it")       \
	X(splice_refused, "Ends that were not spliced")                                   \
	X(splice_message, "Messages of spliced flows, by the way they took")

#define X(group, help) GROUP_##group,
enum counter_group { COUNTER_GROUPS(X) GROUP_MAX };
#undef X

static const struct {
	const char *name; /* of the metric, without the prefix */
	const char *help;
} counter_groups[] = {
#define X(group, help) [GROUP_##group] = { #group "_total", help },
	COUNTER_GROUPS(X)
#undef X
};

static const struct {
	enum counter_group group;
	const char *reason;
} counters[] = {
#define X(symbol, group, name, help) [SST_COUNTER_##symbol] = { GROUP_##group, name },
	SST_COUNTERS(X)
#undef X
};

static void add_counters(struct text *out, const struct state *state)
{
	for (size_t group = 0; group < GROUP_MAX; group++) {
		const char *name = counter_groups[group].name;

		add_family(out, PREFIX, name, "counter", counter_groups[group].help);
		for (size_t i = 0; i < SST_COUNTER_MAX; i++)
			if (counters[i].group == group)
				text_add(out, PREFIX "%s{reason=\"%s\"} %" PRIu64 "\n", name,
					 counters[i].reason, state->counters[i]);
	}
}

/* ---- the data plane and the daemon -------------------------------------------- */

static void add_build(struct text *out, const struct sst_meta *meta)
{
	struct text labels = {};

	add_label(&labels, "version", meta->version);
	text_add(&labels, ",abi=\"%u\"", meta->abi);
	add_family(out, PREFIX, "build_info", "gauge", "What is loaded; always 1");
	text_add(out, PREFIX "build_info{%s} 1\n", text_string(&labels));
	if (labels.error)
		out->error = labels.error;
	text_release(&labels);
}

static void add_features(struct text *out, const struct sst_meta *meta)
{
	static const char *const names[] = {
#define X(symbol, name, help) [SST_FEATURE_##symbol] = name,
		SST_FEATURES(X)
#undef X
	};

	add_family(out, PREFIX, "feature_enabled", "gauge", "1: on, 0: this kernel lacks it");
	for (size_t i = 0; i < SST_FEATURE_MAX; i++)
		text_add(out, PREFIX "feature_enabled{feature=\"%s\"} %d\n", names[i],
			 !meta->feature_off[i][0]);
}

static void add_maps(struct text *out, const struct state *state)
{
	add_family(out, PREFIX, "map_entries", "gauge", "Entries in use of a kernel map");
	for (size_t i = 0; i < STATE_MAP_MAX; i++)
		if (state->fill[i].name)
			text_add(out, PREFIX "map_entries{map=\"%s\"} %" PRIu64 "\n",
				 state->fill[i].name, state->fill[i].used);
	add_family(out, PREFIX, "map_capacity", "gauge", "Entries that fit in a kernel map");
	for (size_t i = 0; i < STATE_MAP_MAX; i++)
		if (state->fill[i].name)
			text_add(out, PREFIX "map_capacity{map=\"%s\"} %" PRIu64 "\n",
				 state->fill[i].name, state->fill[i].capacity);
}

static void add_total(struct text *out, const char *name, const char *help, uint64_t total)
{
	add_family(out, PREFIX, name, "counter", help);
	text_add(out, PREFIX "%s %" PRIu64 "\n", name, total);
}

static void add_daemon(struct text *out, const struct metrics_daemon *daemon)
{
	add_timestamp(out, "daemon_started_timestamp_seconds", "When the daemon started",
		      daemon->started_ns);
	add_timestamp(out, "config_last_reload_timestamp_seconds",
		      "When the configuration was last read", daemon->reloaded_ns);
	add_gauge(out, "config_last_reload_successful",
		  "1: the configuration last read is in force", daemon->reload_succeeded);
	add_gauge(out, "config_problems", "Problems found in the configuration last read",
		  daemon->problems);
	add_total(out, "flow_log_lines_total", "Lines written to the flow log", daemon->log_lines);
	add_total(out, "flow_log_lost_total", "Lines that the flow log could not take",
		  daemon->log_lost);
	add_total(out, "follow_lost_total", "Events that followers read too slowly for",
		  daemon->follow_lost);
}

int metrics_write(const struct state *state, const struct metrics_daemon *daemon, struct text *out)
{
	int err;

	add_build(out, &state->meta);
	add_timestamp(out, "loaded_timestamp_seconds", "When the data plane was first loaded",
		      state->meta.loaded_ns);
	add_gauge(out, "generation", "Raised by each configuration that changed something",
		  state->meta.generation);
	add_features(out, &state->meta);
	add_maps(out, state);
	add_counters(out, state);
	err = add_services(out, state);
	if (err)
		return err;
	err = add_endpoints(out, state);
	if (err)
		return err;
	add_policy(out, state);
	if (daemon)
		add_daemon(out, daemon);
	return out->error;
}
