/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon has from the API server, and how well that goes. */
#include "core/cleanup.h"
#include "export/metrics.h"
#include "export/metrics_kinds.h"
#include "export/metrics_text.h"

static const struct {
	const char *name, *type, *help;
} families[] = {
	[METRICS_WATCHING] = { "sidestep_kubernetes_watching", "gauge",
			       "1: a watch is under way, nothing is known to be missed" },
	[METRICS_OBJECTS] = { "sidestep_kubernetes_objects", "gauge", "Objects that are kept" },
	[METRICS_SKIPPED] = { "sidestep_kubernetes_skipped_objects", "gauge",
			      "Objects that cannot be understood" },
	[METRICS_LISTS] = { "sidestep_kubernetes_lists_total", "counter",
			    "Times that all objects were listed" },
	[METRICS_EVENTS] = { "sidestep_kubernetes_events_total", "counter",
			     "Objects that the API server told of" },
};

static void add_resources(struct metrics_text *text, const struct metrics_kubernetes *kubernetes)
{
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		metrics_family(text, families[i].name, families[i].type, families[i].help);
		for (size_t j = 0; j < kubernetes->n_resources; j++) {
			const struct metrics_resource *resource = &kubernetes->resources[j];
			_cleanup_text_ struct text label = {};

			metrics_label(&label, "resource", resource->name);
			metrics_sample(text, families[i].name, "", text_string(&label),
				       resource->values[i]);
		}
	}
}

static void add_failures(struct metrics_text *text, const struct metrics_kubernetes *kubernetes)
{
	const char *name = "sidestep_kubernetes_failures_total";

	metrics_family(text, name, "counter", "Requests that failed, by what went wrong");
	for (size_t i = 0; i < kubernetes->n_failures; i++) {
		_cleanup_text_ struct text label = {};

		metrics_label(&label, "reason", kubernetes->failure_names[i]);
		metrics_sample(text, name, "", text_string(&label), kubernetes->failures[i]);
	}
}

static void add_changes(struct metrics_text *text, const struct metrics_kubernetes *kubernetes)
{
	const char *name = "sidestep_kubernetes_changes_total";

	metrics_family(text, name, "counter", "Changes put in force, and those that could not be");
	metrics_sample(text, name, "", "result=\"applied\"", kubernetes->applied);
	metrics_sample(text, name, "", "result=\"failed\"", kubernetes->apply_failed);
}

static void add_posts(struct metrics_text *text, const struct metrics_kubernetes *kubernetes)
{
	static const char *const labels[METRICS_POSTS] = {
		[METRICS_POSTED] = "result=\"posted\"",
		[METRICS_REPEATED] = "result=\"repeated\"",
		[METRICS_DROPPED] = "result=\"dropped\"",
		[METRICS_POST_FAILED] = "result=\"failed\"",
	};
	const char *name = "sidestep_kubernetes_posted_events_total";

	metrics_family(text, name, "counter", "Events for operators, by what became of them");
	for (int i = 0; i < METRICS_POSTS; i++)
		metrics_sample(text, name, "", labels[i], kubernetes->posted[i]);
}

void write_kubernetes(struct metrics_text *text, const struct metrics_kubernetes *kubernetes)
{
	metrics_gauge(text, "sidestep_kubernetes_synced",
		      "1: every resource was listed at least once", kubernetes->synced);
	metrics_family(text, "sidestep_kubernetes_state_age_seconds", "gauge",
		       "For how long the API server has not spoken of some resource");
	metrics_sample_fixed(text, "sidestep_kubernetes_state_age_seconds", "", "",
			     kubernetes->age_ns, 9);
	add_resources(text, kubernetes);
	add_failures(text, kubernetes);
	add_changes(text, kubernetes);
	add_posts(text, kubernetes);
	metrics_gauge(text, "sidestep_kubernetes_colliding_addresses",
		      "Addresses of services that another service has", kubernetes->colliding);
	metrics_gauge(text, "sidestep_kubernetes_sctp_ports", "Ports that are not served: SCTP",
		      kubernetes->sctp);
}
