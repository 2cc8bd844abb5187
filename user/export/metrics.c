/* SPDX-License-Identifier: Apache-2.0 */
#include "export/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "export/json.h"
#include "export/metrics_kinds.h"
#include "export/metrics_text.h"
#include "model/policy_set.h"

/* ---- series: who has room -------------------------------------------------------------- */

#define WORDS(type) (sizeof(type) / sizeof(uint64_t))

static const struct series_kind stats_kind = { .n_values = WORDS(struct sst_stats) };
static const struct series_kind rule_kind = { .n_values = WORDS(struct sst_rule_stats) };
static const struct series_kind edge_kind = { .n_values = WORDS(struct sst_edge), .moves = true };

/*
 * Each may take so large a part of what those before have left: a hundredth each. Edges are many
 * where anything is, so they come last and have what nobody else wants.
 */
static const struct {
	const char *name;
	const struct series_kind *kind;
	int (*sources)(const struct state *state, struct sources *ret);
	unsigned part;
} kinds[METRICS_KIND_MAX] = {
	[METRICS_service] = { "service", &stats_kind, service_sources, 50 },
	[METRICS_rule] = { "rule", &rule_kind, rule_sources, 25 },
	[METRICS_endpoint] = { "endpoint", &stats_kind, endpoint_sources, 33 },
	[METRICS_time] = { "time", &metrics_time_kind, time_sources, 33 },
	[METRICS_istio] = { "istio", &metrics_istio_kind, istio_sources, 33 },
	[METRICS_edge] = { "edge", &edge_kind, edge_sources, 100 },
};

int sources_init(struct sources *sources, size_t n, series_label_fn label, uint32_t other_cost)
{
	*sources = (struct sources){ .label = label, .other_cost = other_cost };
	sources->items = calloc(n + 1, sizeof(*sources->items));
	return sources->items ? 0 : -ENOMEM;
}

void metrics_series_init(struct metrics_series *series, bool istio)
{
	*series = (struct metrics_series){ .istio = istio };
	for (int i = 0; i < METRICS_KIND_MAX; i++)
		series->kind[i].kind = kinds[i].kind;
}

void metrics_series_release(struct metrics_series *series)
{
	for (int i = 0; i < METRICS_KIND_MAX; i++)
		series_release(&series->kind[i]);
}

/* `other` has its room from the start, where there is something that it might hold. */
static int account_kind(struct metrics_series *series, const struct state *state,
			enum metrics_kind kind, uint32_t *left)
{
	_cleanup_sources_ struct sources sources = {};
	const struct label_context context = { state, &sources };
	uint32_t room = (uint64_t)*left * kinds[kind].part / 100;
	uint32_t other;
	int err = kinds[kind].sources(state, &sources);

	if (err)
		return err;
	other = sources.n ? sources.other_cost : 0;
	room = room > other ? room - other : 0;
	err = series_update(&series->kind[kind], sources.items, sources.n, room, sources.label,
			    &context);
	if (err)
		return err;
	*left -= series->kind[kind].used + other < *left ? series->kind[kind].used + other : *left;
	return 0;
}

int metrics_account(struct metrics_series *series, const struct state *state, uint32_t budget)
{
	uint32_t left = budget > METRICS_FIXED ? budget - METRICS_FIXED : 0;
	int err = 0;

	series->budget = budget;
	for (int i = 0; i < METRICS_KIND_MAX && !err; i++)
		if (i != METRICS_istio || series->istio)
			err = account_kind(series, state, i, &left);
	return err;
}

const struct series_row *next_row(const struct series *series, const struct series_row *row)
{
	size_t i = row ? row - series->rows + 1 : 1;

	if (row == series->rows)
		return NULL; /* `other` was the last */
	while (i < series->n_rows && !series->rows[i].values)
		i++;
	if (i < series->n_rows)
		return &series->rows[i];
	return series->n_rows && series_has_other(series) ? series->rows : NULL;
}

/* ---- series: from daemon to daemon --------------------------------------------------------- */

/* The data plane that ids and totals are of. */
static uint64_t load_of(const struct sst_meta *meta)
{
	return meta->loaded_ns;
}

char *metrics_series_save(struct metrics_series *series, const struct sst_meta *meta)
{
	_cleanup_json_ json_t *object = json_object();
	bool changed = false;
	char *text;

	for (int i = 0; i < METRICS_KIND_MAX; i++)
		changed |= series->kind[i].changed;
	if (!changed)
		return NULL;
	json_set(&object, "loaded", json_integer(load_of(meta)));
	for (int i = 0; i < METRICS_KIND_MAX; i++)
		json_set(&object, kinds[i].name, series_save(&series->kind[i]));
	text = object ? json_dumps(object, JSON_COMPACT) : NULL;
	for (int i = 0; i < METRICS_KIND_MAX && text; i++)
		series->kind[i].changed = false;
	return text;
}

int metrics_series_load(struct metrics_series *series, const struct sst_meta *meta,
			const char *text, size_t length)
{
	_cleanup_json_ json_t *object = json_loadb(text, length, 0, NULL);
	int err = json_is_object(object) ? 0 : -EINVAL;

	if (!err &&
	    (uint64_t)json_integer_value(json_object_get(object, "loaded")) != load_of(meta))
		err = -ESTALE;
	for (int i = 0; i < METRICS_KIND_MAX && !err; i++) {
		const json_t *kind = json_object_get(object, kinds[i].name);

		if (json_array_size(kind))
			err = series_load(&series->kind[i], kind);
	}
	if (err)
		metrics_series_release(series);
	return err;
}

static void add_export(struct metrics_text *text, const struct metrics_view *view)
{
	const struct metrics_series *series = view->series;

	metrics_family(text, "sidestep_export_series_folded", "gauge",
		       "Series that are part of others, since there is no room for them");
	for (int i = 0; i < METRICS_KIND_MAX; i++) {
		char label[32];

		snprintf(label, sizeof(label), "kind=\"%s\"", kinds[i].name);
		metrics_sample(text, "sidestep_export_series_folded", "", label,
			       series->kind[i].folded);
	}
	metrics_gauge(text, "sidestep_export_series_budget", "Series that there may be",
		      series->budget);
	metrics_gauge(text, "sidestep_export_series", "Series that there are", text->series + 1);
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
	const char *name; /* of the metric */
	const char *help;
} counter_groups[] = {
#define X(group, help) [GROUP_##group] = { "sidestep_" #group "_total", help },
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

static void add_counters(struct metrics_text *text, const struct state *state)
{
	for (size_t group = 0; group < GROUP_MAX; group++) {
		const char *name = counter_groups[group].name;

		metrics_family(text, name, "counter", counter_groups[group].help);
		for (size_t i = 0; i < SST_COUNTER_MAX; i++) {
			char reason[64];

			if (counters[i].group != group)
				continue;
			snprintf(reason, sizeof(reason), "reason=\"%s\"", counters[i].reason);
			metrics_sample(text, name, "", reason, state->counters[i]);
		}
	}
}

/* ---- the data plane ------------------------------------------------------------ */

static void add_build(struct metrics_text *text, const struct sst_meta *meta)
{
	_cleanup_text_ struct text labels = {};

	metrics_label(&labels, "version", meta->version);
	text_add(&labels, ",abi=\"%u\"", meta->abi);
	metrics_family(text, "sidestep_build_info", "gauge", "What is loaded; always 1");
	metrics_sample(text, "sidestep_build_info", text_string(&labels), "", 1);
	if (labels.error)
		text->out->error = labels.error;
}

static void add_features(struct metrics_text *text, const struct sst_meta *meta)
{
	static const char *const labels[] = {
#define X(symbol, name, help) [SST_FEATURE_##symbol] = "feature=\"" name "\"",
		SST_FEATURES(X)
#undef X
	};

	metrics_family(text, "sidestep_feature_enabled", "gauge", "1: on, 0: this kernel lacks it");
	for (size_t i = 0; i < SST_FEATURE_MAX; i++)
		metrics_sample(text, "sidestep_feature_enabled", "", labels[i],
			       !meta->feature_off[i][0]);
}

static void add_map_values(struct metrics_text *text, const struct state *state, const char *name,
			   bool used)
{
	for (size_t i = 0; i < STATE_MAP_MAX; i++) {
		const struct state_fill *fill = &state->fill[i];
		char label[64];

		if (!fill->name)
			continue;
		snprintf(label, sizeof(label), "map=\"%s\"", fill->name);
		metrics_sample(text, name, "", label, used ? fill->used : fill->capacity);
	}
}

static void add_maps(struct metrics_text *text, const struct state *state)
{
	metrics_family(text, "sidestep_map_entries", "gauge", "Entries in use of a kernel map");
	add_map_values(text, state, "sidestep_map_entries", true);
	metrics_family(text, "sidestep_map_capacity", "gauge", "Entries that fit in a kernel map");
	add_map_values(text, state, "sidestep_map_capacity", false);
}

static void add_policy(struct metrics_text *text, const struct state *state)
{
	static const struct sst_policy_head none = { .n_identities = SST_IDENTITY_RESERVED,
						     .n_workloads = 1 };
	const struct sst_policy_head *head =
		policy_set_is_empty(&state->policy) ? &none : policy_head(&state->policy);

	metrics_gauge(text, "sidestep_policy_identities",
		      "Identities, the reserved ones not counted",
		      head->n_identities - SST_IDENTITY_RESERVED);
	metrics_gauge(text, "sidestep_policy_workloads", "Workloads, here and elsewhere",
		      head->n_workloads - 1);
	metrics_gauge(text, "sidestep_policy_rules",
		      "Rules in force or in shadow, built-in ones included", head->n_infos);
}

/* ---- the daemon ----------------------------------------------------------------------------- */

static void add_seconds(struct metrics_text *text, const char *name, const char *type,
			const char *help, uint64_t ns)
{
	metrics_family(text, name, type, help);
	metrics_sample_fixed(text, name, "", "", ns, 9);
}

static void add_configuration(struct metrics_text *text, const struct metrics_daemon *daemon)
{
	metrics_timestamp(text, "sidestep_daemon_started_timestamp_seconds",
			  "When the daemon started", daemon->started_ns);
	metrics_timestamp(text, "sidestep_config_last_reload_timestamp_seconds",
			  "When the configuration was last read", daemon->reloaded_ns);
	metrics_gauge(text, "sidestep_config_last_reload_successful",
		      "1: the configuration last read is in force", daemon->reload_succeeded);
	metrics_gauge(text, "sidestep_config_problems",
		      "Problems found in the configuration last read", daemon->problems);
	metrics_timestamp(text, "sidestep_config_accepted_timestamp_seconds",
			  "When the configuration in force was taken", daemon->accepted_ns);
	add_seconds(text, "sidestep_apply_last_seconds", "gauge",
		    "How long the last configuration took to be put in force", daemon->apply_ns);
	add_seconds(text, "sidestep_apply_max_seconds", "gauge",
		    "How long that took at most since the daemon started", daemon->apply_max_ns);
}

static void add_total(struct metrics_text *text, const char *name, const char *help, uint64_t total)
{
	metrics_family(text, name, "counter", help);
	metrics_sample(text, name, "", "", total);
}

static void add_surroundings(struct metrics_text *text, const struct metrics_daemon *daemon)
{
	const char *name = "sidestep_kube_proxy_rules";

	metrics_family(text, name, "gauge", "1: rules of kube-proxy are there, by its mode");
	for (int i = 0; i < KUBE_PROXY_MODE_MAX; i++) {
		char label[32];

		snprintf(label, sizeof(label), "mode=\"%s\"", kube_proxy_mode_name(i));
		metrics_sample(text, name, "", label, daemon->kube_proxy.rules[i]);
	}
	metrics_gauge(text, "sidestep_kube_proxy_mismatch",
		      "1: that is not as the configuration says, or nobody serves what needs it",
		      daemon->kube_proxy_differs);
	metrics_gauge(text, "sidestep_services_unserved_outside",
		      "Services that callers from outside of the node do not reach",
		      daemon->unserved);
	metrics_gauge(text, "sidestep_service_ports_shadowing",
		      "Addresses and ports of services where a socket of the node listens, too",
		      daemon->shadowed);
}

static void add_daemon(struct metrics_text *text, const struct metrics_daemon *daemon)
{
	add_configuration(text, daemon);
	add_total(text, "sidestep_flow_log_lines_total", "Lines written to the flow log",
		  daemon->log_lines);
	add_total(text, "sidestep_flow_log_lost_total", "Lines that the flow log could not take",
		  daemon->log_lost);
	add_total(text, "sidestep_follow_lost_total", "Events that followers read too slowly for",
		  daemon->follow_lost);
	metrics_timestamp(text, "sidestep_state_read_timestamp_seconds",
			  "When the kernel's maps were last read", daemon->read_ns);
	add_seconds(text, "sidestep_state_read_seconds", "gauge", "How long that took",
		    daemon->read_took_ns);
	add_total(text, "sidestep_state_read_failures_total",
		  "Times that the kernel's maps could not be read", daemon->reads_failed);
	add_total(text, "sidestep_stats_file_failures_total",
		  "Times that the stats file could not be written", daemon->stats_failed);
	metrics_family(text, "sidestep_scrapes_total", "counter", "Answers of /metrics");
	metrics_sample(text, "sidestep_scrapes_total", "", "text=\"new\"", daemon->scrapes);
	metrics_sample(text, "sidestep_scrapes_total", "", "text=\"again\"", daemon->scrapes_again);
	metrics_gauge(text, "sidestep_daemon_memory_bytes", "Resident memory of the daemon",
		      daemon->memory_bytes);
	add_seconds(text, "sidestep_daemon_cpu_seconds_total", "counter",
		    "Processor time of the daemon", daemon->cpu_ns);
	metrics_gauge(text, "sidestep_maps_memory_bytes", "Memory of the kernel's maps",
		      daemon->maps_bytes);
	add_surroundings(text, daemon);
}

int metrics_write(const struct metrics_view *view, struct text *out)
{
	struct metrics_text text = { .out = out, .open_metrics = view->open_metrics };
	const struct state *state = view->state;

	add_build(&text, &state->meta);
	metrics_timestamp(&text, "sidestep_loaded_timestamp_seconds",
			  "When the data plane was first loaded", state->meta.loaded_ns);
	metrics_gauge(&text, "sidestep_generation",
		      "Raised by each configuration that changed something",
		      state->meta.generation);
	add_features(&text, &state->meta);
	add_maps(&text, state);
	add_counters(&text, state);
	write_services(&text, view);
	write_endpoints(&text, view);
	add_policy(&text, state);
	write_rules(&text, view);
	write_edges(&text, view);
	write_times(&text, view);
	if (view->series->istio)
		write_istio(&text, view);
	if (view->daemon)
		add_daemon(&text, view->daemon);
	if (view->daemon && view->daemon->kubernetes)
		write_kubernetes(&text, view->daemon->kubernetes);
	add_export(&text, view);
	if (view->open_metrics)
		text_add(out, "# EOF\n");
	return out->error;
}
