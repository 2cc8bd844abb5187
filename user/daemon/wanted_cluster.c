/* SPDX-License-Identifier: Apache-2.0 */
/* The API server beside its changes: begin, what is told of it, figures. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/clock.h"
#include "daemon/log.h"
#include "daemon/wanted_internal.h"
#include "datapath/kubepods.h"

/* ---- what is told of ------------------------------------------------------------------------ */

static void on_skipped(enum store_kind kind, const struct event_object *object,
		       const struct problems *problems, void *arg)
{
	struct wanted *wanted = arg;

	log_problems(problems);
	if (!wanted->events)
		return;
	if (kind == STORE_SERVICES || kind == STORE_SLICES)
		events_tell(wanted->events, EVENT_SERVICE_SKIPPED, object,
			    wanted_first_message(problems));
	else if (kind >= STORE_NETWORK_POLICIES)
		events_tell(wanted->events, EVENT_POLICY_SKIPPED, object,
			    wanted_first_message(problems));
}

static void on_events_refused(const char *sentence, void *arg)
{
	(void)arg;
	log_line("%s", sentence);
}

static int open_events(struct wanted *wanted)
{
	const char *node = wanted->options->node;
	const struct events_options options = {
		.source = { .node = node, .instance = getenv("POD_NAME") ?: node },
		.tell = on_events_refused,
	};

	return events_open(wanted->loop, cluster_client(wanted->cluster), &options,
			   &wanted->events);
}

void wanted_tell(struct wanted *wanted, enum event_reason reason, const char *note)
{
	if (wanted->events)
		events_tell(wanted->events, reason, NULL, note);
}

/* Once: nine watches of one server that has gone say the same. */
static void tell_trouble(struct wanted *wanted)
{
	struct cluster_figures cluster;
	int i = 0;

	cluster_figures(wanted->cluster, &cluster);
	while (i < STORE_KINDS && !*cluster.watch[i].problem)
		i++;
	if (i == STORE_KINDS && *wanted->trouble)
		log_line("the API server is followed again");
	else if (i < STORE_KINDS && !*wanted->trouble)
		log_line("the API server: %s: %s; what is in force stays, it is asked again",
			 cluster_kind_name(i), cluster.watch[i].problem);
	snprintf(wanted->trouble, sizeof(wanted->trouble), "%s",
		 i < STORE_KINDS ? cluster.watch[i].problem : "");
}

/* By a name that is wrong no pod is here, and no policy is enforced for any. */
static void tell_nameless(struct wanted *wanted)
{
	struct cluster_figures cluster;
	bool nameless;

	if (wanted_waits(wanted))
		return;
	cluster_figures(wanted->cluster, &cluster);
	nameless = !cluster.store.has_node;
	if (nameless && !wanted->nameless)
		log_line("the cluster has no node %s: if it calls this one otherwise "
			 "(--node-name), no pod is known to be here",
			 wanted->options->node);
	if (!nameless && wanted->nameless)
		log_line("the cluster has a node %s", wanted->options->node);
	wanted->nameless = nameless;
}

/* The maps are what the API server says, and nothing of that is said again. */
static void look_at_maps(struct wanted *wanted)
{
	if (!wanted->applied || !datapath_take_others(wanted->options->datapath))
		return;
	log_line(
		"somebody else has changed what is in force: what is wanted is put in force again");
	wanted_apply_all(wanted);
}

/* kubelet makes the folder of pods when it starts; after us, maybe. */
static void look_for_pods(struct wanted *wanted)
{
	struct kubepods found;
	int err;

	if (wanted->pods_found || kubepods_find(wanted->attached, &found))
		return;
	err = store_set_pods(cluster_store(wanted->cluster), found.root, found.systemd);
	wanted->pods_found = err != -ENOMEM;
	if (!err)
		wanted_cluster_changed(wanted);
	else if (wanted->pods_found)
		log_line("%s: cgroups of pods are too deep there, pods are known by address only",
			 found.root);
}

int wanted_open_cluster(struct wanted *wanted)
{
	const struct wanted_options *options = wanted->options;
	const struct cluster_calls calls = { wanted_cluster_changed, on_skipped, wanted };
	_cleanup_state_ struct state state = {};
	_cleanup_problems_ struct problems ignored = {};
	int err = datapath_dump(options->datapath, 0, &state) ?: wanted_take_host(wanted, &ignored);

	if (err)
		return err;
	memcpy(wanted->attached, state.meta.cgroup, sizeof(wanted->attached));
	wanted->opened_ns = clock_ns(CLOCK_MONOTONIC);
	wanted->store_options =
		(struct store_options){ .node = options->node, .host = &wanted->host };
	err = cluster_open(wanted->loop, options->access, &wanted->store_options, &calls,
			   &wanted->cluster);
	if (!err)
		err = open_events(wanted);
	if (!err)
		look_for_pods(wanted);
	return err;
}

void wanted_look_at_cluster(struct wanted *wanted)
{
	look_for_pods(wanted);
	tell_trouble(wanted);
	tell_nameless(wanted);
	look_at_maps(wanted);
}

/* ---- figures -------------------------------------------------------------------------------- */

static void account_resource(const struct cluster_figures *cluster, int kind,
			     struct metrics_kubernetes *ret)
{
	const struct watch_figures *watch = &cluster->watch[kind];

	ret->resources[ret->n_resources++] = (struct metrics_resource){
		cluster_kind_name(kind),
		{ [METRICS_WATCHING] = watch->current,
		  [METRICS_OBJECTS] = cluster->store.objects[kind],
		  [METRICS_SKIPPED] = cluster->store.skipped[kind],
		  [METRICS_LISTS] = watch->lists,
		  [METRICS_EVENTS] = watch->events },
	};
	for (int i = 0; i < WATCH_FAILURE_MAX; i++)
		ret->failures[i] += watch->failures[i];
}

static void account_events(const struct wanted *wanted, struct metrics_kubernetes *ret)
{
	struct events_figures events;

	events_figures(wanted->events, &events);
	ret->posted[METRICS_POSTED] = events.posted;
	ret->posted[METRICS_REPEATED] = events.repeated;
	ret->posted[METRICS_DROPPED] = events.dropped;
	ret->posted[METRICS_POST_FAILED] = events.failed;
}

void wanted_account(struct wanted *wanted)
{
	static_assert(STORE_KINDS <= METRICS_RESOURCES_MAX, "each has a place");
	static_assert(WATCH_FAILURE_MAX <= METRICS_FAILURES_MAX, "each has a place");
	struct cluster_figures cluster;

	if (!wanted->cluster)
		return;
	cluster_figures(wanted->cluster, &cluster);
	wanted->figures = (struct metrics_kubernetes){
		.synced = cluster_is_synced(wanted->cluster),
		.age_ns = clock_ns(CLOCK_MONOTONIC) - (cluster.heard_ns ?: wanted->opened_ns),
		.failure_names = watch_failure_names,
		.n_failures = WATCH_FAILURE_MAX,
		.applied = wanted->applied_changes,
		.apply_failed = wanted->failed_changes,
		.colliding = cluster.store.colliding,
		.sctp = cluster.store.sctp,
	};
	account_events(wanted, &wanted->figures);
	for (int i = 0; i < STORE_KINDS; i++)
		account_resource(&cluster, i, &wanted->figures);
	wanted->options->self->kubernetes = &wanted->figures;
}

size_t wanted_exposed(const struct wanted *wanted)
{
	size_t n = wanted->model ? model_exposed(wanted->model) : 0;
	struct cluster_figures cluster;

	if (!wanted->cluster)
		return n;
	cluster_figures(wanted->cluster, &cluster);
	return n + cluster.store.exposed;
}
