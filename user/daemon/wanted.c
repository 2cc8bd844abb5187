/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/wanted.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/clock.h"
#include "cluster/events.h"
#include "daemon/addresses.h"
#include "daemon/files.h"
#include "daemon/log.h"
#include "datapath/kubepods.h"
#include "datapath/reconcile.h"
#include "model/extend.h"
#include "source/yaml.h"

#define SETTLE_MS     50
/* After a refusal that may pass: somebody has the lock, no room yet for old beside new. */
#define RETRY_MS      1000
#define RETRY_MOST_MS 30000
/* Where what is not of a file comes from, for messages. */
#define API_SERVER    "the API server"
/* Where network namespaces get their names. */
#define NETNS_FOLDER  "/run/netns"

/* Changes in the log; of a cluster's first list there are thousands. */
#define TOLD_MAX 100

struct wanted {
	const struct wanted_options *options;
	uv_loop_t *loop;
	struct files *files;
	struct addresses *addresses;
	uv_timer_t host_timer;
	uv_fs_event_t netns_watch;
	struct known *known;    /* what the maps hold of services */
	struct model *model;    /* of the files, as last applied; NULL: not by us */
	struct located located; /* where workloads were then */
	bool too_large;         /* the model did not fit beside what is still there */
	bool lags;              /* told that the policy does not follow the host */
	struct problems told;   /* when policy was put in force last */
	bool applied;           /* the whole was in force once */
	struct model_host host; /* as it was when files were last read */

	/* With an API server. */
	struct cluster *cluster; /* NULL: there is none */
	struct events *events;   /* NULL: there is no cluster */
	struct store_options store_options;
	char attached[sizeof(((struct sst_meta *)0)->cgroup)];
	bool pods_found;
	bool nameless; /* told that no node of the cluster is called as we are */
	uv_timer_t services_timer, policy_timer, retry_timer;
	uint64_t opened_ns;  /* CLOCK_MONOTONIC */
	bool must_apply_all; /* a part could not be done: the whole brings it in order */
	unsigned retry_ms;   /* until that is tried again; 0: nothing has failed */
	uv_work_t grace;     /* a thread waits until nobody looks at what was replaced */
	bool grace_runs;
	uint64_t grace_mark;
	uint64_t locked_ns; /* CLOCK_MONOTONIC: since when we have the lock for what is put off */
	int grace_error;
	bool closing;
	uint64_t applied_changes, failed_changes;
	char trouble[sizeof(((struct watch_figures *)0)->problem)]; /* that was told */
	struct metrics_kubernetes figures;
};

/* ---- putting it in force ------------------------------------------------------------- */

static void tell_changes(const struct plan *plan)
{
	if (plan->n_changes > TOLD_MAX)
		log_line("%zu changes, the first are:", plan->n_changes);
	for (size_t i = 0; i < plan->n_changes && i < TOLD_MAX; i++) {
		_cleanup_text_ struct text line = {};

		change_tell(&plan->changes[i], &line);
		log_line("%s", text_string(&line));
	}
}

/* What was put in force, and how long that took. */
static void account_apply(struct wanted *wanted, uint64_t begin_ns)
{
	struct metrics_daemon *self = wanted->options->self;

	self->apply_ns = clock_ns(CLOCK_MONOTONIC) - begin_ns;
	if (self->apply_max_ns < self->apply_ns)
		self->apply_max_ns = self->apply_ns;
}

static int apply_model(struct wanted *wanted, const struct model *model,
		       const struct located *located, struct problems *problems)
{
	struct datapath *datapath = wanted->options->datapath;
	_cleanup_plan_ struct plan plan = {};
	int err = datapath_lock(datapath, 0);
	uint64_t begin = clock_ns(CLOCK_MONOTONIC);

	if (err)
		return err;
	err = reconcile_located(datapath, wanted->known, model, located, false, problems, &plan);
	if (!err)
		datapath_take_others(datapath); /* nothing is left of what they did */
	reconcile_unlock(datapath, wanted->known);
	account_apply(wanted, begin);
	if (!err)
		tell_changes(&plan);
	return err;
}

static void remember_located(struct wanted *wanted, struct located *located)
{
	located_release(&wanted->located);
	wanted->located = *located;
	*located = (struct located){};
}

/* Nothing of the kernel is changed before all is known once. */
static bool waits(const struct wanted *wanted)
{
	return wanted->cluster && !cluster_is_synced(wanted->cluster);
}

enum part { SERVICES = 1, POLICY = 2 };

/* The files' model, and of the API server's what is asked for. */
static int extend(const struct wanted *wanted, const struct model *model, unsigned parts,
		  struct problems *problems, struct extension *ret)
{
	struct store *store = wanted->cluster ? cluster_store(wanted->cluster) : NULL;
	int err = extension_begin(model, ret);

	if (!err && store)
		ret->model.source = (char *)API_SERVER;
	if (!err && store && parts & SERVICES)
		err = store_add_services(store, &ret->model);
	if (!err && store && parts & POLICY)
		err = store_add_policy(store, &ret->model);
	return err ?: extension_finish(ret, problems);
}

/* What has changed until now is a part of the whole. */
static int apply_whole(struct wanted *wanted, const struct model *model, struct problems *problems)
{
	_cleanup_store_changes_ struct store_changes seen = {};
	_cleanup_extension_ struct extension extension = {};
	_cleanup_located_ struct located located = {};
	int err = extend(wanted, model, SERVICES | POLICY, problems, &extension);

	if (!err)
		err = locate(&extension.model, problems, &located);
	if (!err)
		err = apply_model(wanted, &extension.model, &located, problems);
	if (!err && wanted->cluster)
		err = store_take_changes(cluster_store(wanted->cluster), &seen);
	if (err)
		return err;
	if (wanted->must_apply_all)
		log_line("all that is wanted is in force");
	wanted->applied = true;
	wanted->must_apply_all = false;
	wanted->retry_ms = 0;
	uv_timer_stop(&wanted->retry_timer);
	remember_located(wanted, &located);
	return 0;
}

/* ---- files ------------------------------------------------------------------------------ */

/* Remembered whether or not what follows succeeds: a change is looked at once. The store goes by
 * what it is told of. */
static int take_host(struct wanted *wanted, struct problems *problems)
{
	struct model_host host, before;
	int err = locate_self(&host);

	if (err)
		return err;
	if (model_host_equal(&host, &wanted->host)) {
		model_host_release(&host);
		return 0;
	}
	before = wanted->host;
	wanted->host = host;
	err = wanted->cluster ? store_move(cluster_store(wanted->cluster), problems) : 0;
	if (err)
		wanted->host = before;
	model_host_release(err ? &host : &before);
	return err;
}

static int read_files(struct wanted *wanted, struct problems *problems, struct model **ret)
{
	const struct wanted_options *options = wanted->options;
	int err;

	files_mark(wanted->files);
	err = take_host(wanted, problems);
	return err
		       ?: yaml_load_files(options->files, options->n_files, &wanted->host, problems,
					  ret);
}

/* What files serve is theirs, and no object's. */
static int set_files(struct wanted *wanted, const struct model *model, struct problems *problems)
{
	return wanted->cluster ? store_set_files(cluster_store(wanted->cluster), model, problems)
			       : 0;
}

static void on_cluster_changed(void *arg);

/* The store goes by the files in force again, and what that and the host have changed is not left
 * lying there. */
static void keep_files(struct wanted *wanted)
{
	_cleanup_problems_ struct problems told = {};

	if (!wanted->cluster || !wanted->model)
		return;
	set_files(wanted, wanted->model, &told);
	on_cluster_changed(wanted);
}

static int reload(struct wanted *wanted, struct problems *problems)
{
	_cleanup_model_ struct model *model = NULL;
	int err = read_files(wanted, problems, &model);

	if (!err)
		err = set_files(wanted, model, problems);
	if (!err && !waits(wanted))
		err = apply_whole(wanted, model, problems);
	if (err) {
		keep_files(wanted);
		return err;
	}
	model_free(wanted->model);
	wanted->model = TAKE_PTR(model);
	wanted->options->configured(wanted->options->arg);
	return 0;
}

static const char *first_message(const struct problems *problems)
{
	return problems->text[0] + problems->parts[0].message;
}

static void tell_no_room(struct wanted *wanted, int err, const struct problems *problems)
{
	if (err == -E2BIG)
		wanted_tell(wanted, EVENT_CAPACITY_REFUSED,
			    problems->count ? first_message(problems) : strerror(E2BIG));
}

bool wanted_reload(struct wanted *wanted)
{
	_cleanup_problems_ struct problems problems = {};
	struct metrics_daemon *self = wanted->options->self;
	int err = reload(wanted, &problems);

	if (err == -EBUSY) { /* somebody changes it right now: it is only put off */
		files_call_after(wanted->files, RETRY_MS);
		return false;
	}
	self->reloaded_ns = clock_ns(CLOCK_REALTIME);
	self->reload_succeeded = !err;
	self->problems = problems_errors(&problems);
	if (!err)
		self->accepted_ns = self->reloaded_ns;
	log_problems(&problems);
	if (err)
		log_line("the new configuration is refused, the one in force stays: %s",
			 strerror(-err));
	tell_no_room(wanted, err, &problems);
	wanted->options->applied(wanted->options->arg);
	wanted->too_large = err == -E2BIG;
	return !err;
}

static void on_files_changed(void *arg)
{
	wanted_reload(arg);
}

void wanted_collect(struct wanted *wanted)
{
	_cleanup_problems_ struct problems problems = {};

	if (wanted->grace_runs)
		return; /* what comes after it does that, too */
	if (collect(wanted->options->datapath, wanted->known, &problems) > 0 && wanted->too_large)
		wanted_reload(wanted); /* there may be room now */
	log_problems(&problems);
}

/* ---- the host ----------------------------------------------------------------------------- */

static int apply_policy(struct wanted *wanted, const struct model *model,
			const struct located *located, struct problems *problems)
{
	struct datapath *datapath = wanted->options->datapath;
	_cleanup_plan_ struct plan plan = {};
	int err = datapath_lock(datapath, 0);
	uint64_t begin = clock_ns(CLOCK_MONOTONIC);

	if (err)
		return err;
	err = reconcile_policy(datapath, wanted->known, model, located, problems, &plan);
	reconcile_unlock(datapath, wanted->known);
	account_apply(wanted, begin);
	if (!err)
		tell_changes(&plan);
	return err;
}

/* Workloads and policies as they are wanted now, on the host as it is now. */
static int follow_policy(struct wanted *wanted, bool changed, struct problems *problems)
{
	_cleanup_extension_ struct extension extension = {};
	_cleanup_located_ struct located located = {};
	const struct model *model = wanted->model;
	int err = 0;

	if (wanted->cluster) {
		err = extend(wanted, model, POLICY, problems, &extension);
		model = &extension.model;
	}
	if (!err)
		err = locate(model, problems, &located);
	if (!err && (changed || !located_equal(&located, &wanted->located))) {
		err = apply_policy(wanted, model, &located, problems);
		if (!err)
			wanted->options->applied(wanted->options->arg);
	}
	if (!err)
		remember_located(wanted, &located);
	return err;
}

/*
 * Workloads move to other network namespaces, and the node's addresses change, without
 * anybody writing a file.
 */
static void look_at_host(struct wanted *wanted)
{
	_cleanup_problems_ struct problems problems = {};
	int err;

	if (!wanted->applied)
		return;
	err = follow_policy(wanted, false, &problems);
	if (err == -EBUSY)
		return; /* the next look finds the same */
	if (err && !wanted->lags)
		log_problems(&problems);
	if (err && !wanted->lags)
		log_line("the host has changed, the policy in force does not follow: %s",
			 strerror(-err));
	wanted->lags = err; /* tried again at the next look, told of once */
}

static bool has_node_ports(const struct model *model)
{
	for (size_t i = 0; i < model->n_services; i++)
		if (model->services[i].n_node_addresses)
			return true;
	return false;
}

/* Node ports are at the addresses that the node has. */
static void look_at_addresses(struct wanted *wanted)
{
	_cleanup_model_host_ struct model_host host = {};

	if (!wanted->model || locate_self(&host) || model_host_equal(&host, &wanted->host))
		return;
	if (wanted->cluster || has_node_ports(wanted->model))
		wanted_reload(wanted);
}

static void on_addresses_changed(void *arg)
{
	look_at_addresses(arg);
	look_at_host(arg);
}

/* Pods are known by their cgroups: without other workloads it does not matter where they live. */
static bool lives_matter(const struct wanted *wanted)
{
	return !wanted->cluster || !wanted->pods_found ||
	       (wanted->model && wanted->model->n_workloads);
}

static void on_host_settled(uv_timer_t *timer)
{
	look_at_host(timer->data);
}

static void on_netns_change(uv_fs_event_t *watch, const char *name, int events, int status)
{
	struct wanted *wanted = watch->data;

	(void)name;
	(void)events;
	if (!status && lives_matter(wanted) && !uv_is_active((uv_handle_t *)&wanted->host_timer))
		uv_timer_start(&wanted->host_timer, on_host_settled, SETTLE_MS, 0);
}

/* The folder is made by whoever needs it first. */
static void watch_netns(struct wanted *wanted)
{
	if (!uv_is_active((uv_handle_t *)&wanted->netns_watch))
		uv_fs_event_start(&wanted->netns_watch, on_netns_change, NETNS_FOLDER, 0);
}

/* ---- the API server: what has changed ------------------------------------------------------- */

/* At the next turn of the loop: what came in one packet is one change. */
#define SERVICES_MS 0
/* Identities and rules are compiled as a whole: what comes in a burst is one change. */
#define POLICY_MS   50
/* The lock is ours for so long, and then for so long anybody's: others try every 20 ms. */
#define LOCKED_NS   2000000000ULL
#define OTHERS_MS   50

static void on_services_due(uv_timer_t *timer);
static void on_policy_due(uv_timer_t *timer);
static void on_retry_due(uv_timer_t *timer);
static void settle_later(struct wanted *wanted);
static void go_on(struct wanted *wanted);

/*
 * A part could not be done, or there was no room: the whole is tried by and by, less and less
 * often, and what changes meanwhile is followed as ever. What is wrong is told once.
 */
static void apply_all_later(struct wanted *wanted, int err, const struct problems *problems)
{
	if (!wanted->must_apply_all) {
		log_problems(problems);
		log_line("not all that is wanted is in force, it is tried again: %s",
			 strerror(-err));
	}
	tell_no_room(wanted, err, problems);
	wanted->failed_changes++;
	wanted->must_apply_all = true;
	if (uv_is_active((uv_handle_t *)&wanted->retry_timer))
		return;
	wanted->retry_ms = wanted->retry_ms ? wanted->retry_ms * 2 : RETRY_MS;
	if (wanted->retry_ms > RETRY_MOST_MS)
		wanted->retry_ms = RETRY_MOST_MS;
	uv_timer_start(&wanted->retry_timer, on_retry_due, wanted->retry_ms, 0);
}

/* Not again while it runs: what comes in between is compiled with it. */
static void follow_policy_later(struct wanted *wanted)
{
	if (!uv_is_active((uv_handle_t *)&wanted->policy_timer))
		uv_timer_start(&wanted->policy_timer, on_policy_due, POLICY_MS, 0);
}

static int apply_all(struct wanted *wanted)
{
	_cleanup_problems_ struct problems problems = {};
	int err = apply_whole(wanted, wanted->model, &problems);

	if (err) {
		apply_all_later(wanted, err, &problems);
		return err;
	}
	log_problems(&problems);
	wanted->applied_changes++;
	wanted->options->applied(wanted->options->arg);
	return 0;
}

/* Services that have changed, as they are now; and all names that each may have had, but for those
 * of files. */
struct batch {
	struct model_service *services;
	size_t n;
	char **names;
	size_t n_names;
};

static void batch_release(struct batch *batch)
{
	for (size_t i = 0; i < batch->n; i++)
		model_service_release(&batch->services[i]);
	for (size_t i = 0; i < batch->n_names; i++)
		free(batch->names[i]);
	free(batch->services);
	free(batch->names);
}
#define _cleanup_batch_ __attribute__((cleanup(batch_release)))

static int add_to_batch(const struct store *store, const char *name, struct batch *batch)
{
	int n = store_service(store, name, batch->services + batch->n);

	if (n < 0)
		return n;
	batch->n += n;
	for (int i = 0; i < KUBE_SERVICES_MAX; i++) {
		char *made;

		if (asprintf(&made, "%s%s", name, kube_service_suffixes[i]) < 0)
			return -ENOMEM;
		if (store_is_files_name(store, made))
			free(made);
		else
			batch->names[batch->n_names++] = made;
	}
	return 0;
}

static int make_batch(const struct store *store, char *const *names, size_t n, struct batch *batch)
{
	size_t most = KUBE_SERVICES_MAX * n;
	int err = 0;

	batch->services = calloc(most + 1, sizeof(*batch->services));
	batch->names = calloc(most + 1, sizeof(*batch->names));
	if (!batch->services || !batch->names)
		return -ENOMEM;
	for (size_t i = 0; !err && i < n; i++)
		err = add_to_batch(store, names[i], batch);
	return err;
}

static int apply_services(struct wanted *wanted, char *const *names, size_t n,
			  struct problems *problems)
{
	struct datapath *datapath = wanted->options->datapath;
	_cleanup_batch_ struct batch batch = {};
	_cleanup_plan_ struct plan plan = {};
	uint64_t begin = clock_ns(CLOCK_MONOTONIC);
	int err = make_batch(cluster_store(wanted->cluster), names, n, &batch);

	if (!known_owed(wanted->known))
		wanted->locked_ns = begin;

	if (!err)
		err = datapath_lock(datapath, 0);
	if (err)
		return err;
	err = reconcile_services(datapath, wanted->known, API_SERVER, batch.services, batch.n,
				 (const char *const *)batch.names, batch.n_names, problems, &plan);
	reconcile_unlock(datapath, wanted->known);
	settle_later(wanted);
	account_apply(wanted, begin);
	if (!err)
		tell_changes(&plan);
	return err;
}

/* One that is refused must not keep the others from what they are now. */
static void apply_each(struct wanted *wanted, const struct store_changes *changes)
{
	for (size_t i = 0; i < changes->n_services; i++) {
		_cleanup_problems_ struct problems told = {};

		if (!apply_services(wanted, changes->services + i, 1, &told))
			wanted->applied_changes++;
	}
}

static void follow_services(struct wanted *wanted)
{
	_cleanup_store_changes_ struct store_changes changes = {};
	_cleanup_problems_ struct problems problems = {};
	int err = store_take_changes(cluster_store(wanted->cluster), &changes);

	if (!err && changes.n_services)
		err = apply_services(wanted, changes.services, changes.n_services, &problems);
	if (changes.policy)
		follow_policy_later(wanted);
	if (err) {
		apply_all_later(wanted, err, &problems);
		if ((err == -E2BIG || err == -EINVAL) && changes.n_services > 1)
			apply_each(wanted, &changes);
		return;
	}
	log_problems(&problems);
	wanted->applied_changes += changes.n_services;
}

static void on_services_due(uv_timer_t *timer)
{
	struct wanted *wanted = timer->data;

	if (!wanted->model || waits(wanted))
		return; /* the whole is applied when there is one */
	if (wanted->applied)
		follow_services(wanted);
	else if (!wanted->must_apply_all)
		apply_all(wanted);
}

/* What the whole cannot have must not keep policy back, nor what has waited for it. */
static void on_retry_due(uv_timer_t *timer)
{
	struct wanted *wanted = timer->data;

	if (!apply_all(wanted) || !wanted->applied)
		return;
	follow_policy_later(wanted);
	settle_later(wanted);
}

static void on_policy_due(uv_timer_t *timer)
{
	_cleanup_problems_ struct problems problems = {};
	struct wanted *wanted = timer->data;
	int err = follow_policy(wanted, true, &problems);

	if (err) {
		apply_all_later(wanted, err, &problems);
		return;
	}
	log_new_problems(&problems, &wanted->told);
	wanted->applied_changes++;
}

static void on_cluster_changed(void *arg)
{
	struct wanted *wanted = arg;

	if (!uv_is_active((uv_handle_t *)&wanted->services_timer))
		uv_timer_start(&wanted->services_timer, on_services_due, SERVICES_MS, 0);
}

/* ---- the API server: what the change has replaced -------------------------------------------- */

static void on_grace(uv_work_t *work)
{
	struct wanted *wanted = work->data;

	wanted->grace_error = datapath_grace();
}

static void on_grace_over(uv_work_t *work, int status)
{
	_cleanup_problems_ struct problems problems = {};
	struct wanted *wanted = work->data;
	struct datapath *datapath = wanted->options->datapath;
	int err;

	wanted->grace_runs = false;
	if (status || wanted->closing)
		return;
	err = wanted->grace_error; /* what may still be looked at must stay */
	if (!err)
		err = reconcile_settle(datapath, wanted->known, wanted->grace_mark, &problems);
	reconcile_unlock(datapath, wanted->known);
	if (err)
		apply_all_later(wanted, err, &problems); /* which waits by itself */
	else
		go_on(wanted);
}

/* Some 16 ms, in which others have their turn: a burst of changes is one wait. */
static void settle_later(struct wanted *wanted)
{
	uint64_t mark = known_owed(wanted->known);

	if (!mark || wanted->grace_runs)
		return;
	wanted->grace_mark = mark;
	wanted->grace.data = wanted;
	wanted->grace_runs = !uv_queue_work(wanted->loop, &wanted->grace, on_grace, on_grace_over);
}

static int settle_now(struct wanted *wanted, struct problems *problems)
{
	struct datapath *datapath = wanted->options->datapath;
	int err = 0;

	if (known_owed(wanted->known))
		err = reconcile_settle_all(datapath, wanted->known, problems);
	reconcile_unlock(datapath, wanted->known);
	return err;
}

/* While changes keep coming, the lock is never given away by itself: who else wants it, has some
 * moments. */
static void go_on(struct wanted *wanted)
{
	_cleanup_problems_ struct problems problems = {};
	int err;

	if (!known_owed(wanted->known) ||
	    clock_ns(CLOCK_MONOTONIC) - wanted->locked_ns < LOCKED_NS) {
		settle_later(wanted);
		return;
	}
	err = settle_now(wanted, &problems);
	if (err)
		apply_all_later(wanted, err, &problems);
	uv_timer_start(&wanted->services_timer, on_services_due, OTHERS_MS, 0);
}

/* ---- the API server: beside that ------------------------------------------------------------- */

static void on_skipped(enum store_kind kind, const struct event_object *object,
		       const struct problems *problems, void *arg)
{
	struct wanted *wanted = arg;

	log_problems(problems);
	if (!wanted->events)
		return;
	if (kind == STORE_SERVICES || kind == STORE_SLICES)
		events_tell(wanted->events, EVENT_SERVICE_SKIPPED, object, first_message(problems));
	else if (kind >= STORE_NETWORK_POLICIES)
		events_tell(wanted->events, EVENT_POLICY_SKIPPED, object, first_message(problems));
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

	if (!wanted->cluster)
		return;
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

	if (!wanted->cluster || waits(wanted))
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
	if (!wanted->cluster || !wanted->applied ||
	    !datapath_take_others(wanted->options->datapath))
		return;
	log_line(
		"somebody else has changed what is in force: what is wanted is put in force again");
	apply_all(wanted);
}

/* kubelet makes the folder of pods when it starts; after us, maybe. */
static void look_for_pods(struct wanted *wanted)
{
	struct kubepods found;
	int err;

	if (!wanted->cluster || wanted->pods_found || kubepods_find(wanted->attached, &found))
		return;
	err = store_set_pods(cluster_store(wanted->cluster), found.root, found.systemd);
	wanted->pods_found = err != -ENOMEM;
	if (!err)
		on_cluster_changed(wanted);
	else if (wanted->pods_found)
		log_line("%s: cgroups of pods are too deep there, pods are known by address only",
			 found.root);
}

static int open_cluster(struct wanted *wanted)
{
	const struct wanted_options *options = wanted->options;
	const struct cluster_calls calls = { on_cluster_changed, on_skipped, wanted };
	_cleanup_state_ struct state state = {};
	_cleanup_problems_ struct problems ignored = {};
	int err = datapath_dump(options->datapath, 0, &state) ?: take_host(wanted, &ignored);

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

/* ---- begin and end ---------------------------------------------------------------------------- */

int wanted_open(uv_loop_t *loop, const struct wanted_options *options, struct wanted **ret)
{
	struct wanted *wanted = calloc(1, sizeof(*wanted));
	int err;

	if (!wanted)
		return -ENOMEM;
	wanted->options = options;
	wanted->loop = loop;
	wanted->known = known_new();
	uv_timer_init(loop, &wanted->host_timer);
	uv_timer_init(loop, &wanted->services_timer);
	uv_timer_init(loop, &wanted->policy_timer);
	uv_timer_init(loop, &wanted->retry_timer);
	uv_fs_event_init(loop, &wanted->netns_watch);
	wanted->host_timer.data = wanted->netns_watch.data = wanted;
	wanted->services_timer.data = wanted->policy_timer.data = wanted;
	wanted->retry_timer.data = wanted;
	*ret = wanted; /* also when it fails: the loop has its handles */
	err = wanted->known ? 0 : -ENOMEM;
	if (!err)
		err = files_open(loop, options->files, options->n_files, on_files_changed, wanted,
				 &wanted->files);
	if (!err)
		err = addresses_follow(loop, on_addresses_changed, wanted, &wanted->addresses);
	if (!err && options->access)
		err = open_cluster(wanted);
	if (err)
		log_line("what is wanted cannot be followed: %s", strerror(-err));
	return err;
}

void wanted_look(struct wanted *wanted)
{
	if (!wanted->model || files_have_changed(wanted->files))
		wanted_reload(wanted);
	watch_netns(wanted);
	look_for_pods(wanted);
	tell_trouble(wanted);
	tell_nameless(wanted);
	look_at_maps(wanted);
	look_at_addresses(wanted);
	if (lives_matter(wanted))
		look_at_host(wanted);
}

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

const struct model *wanted_model(const struct wanted *wanted)
{
	return wanted->model;
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

bool wanted_is_ready(const struct wanted *wanted)
{
	return wanted->model && wanted->applied && !wanted->must_apply_all && !waits(wanted);
}

void wanted_close(struct wanted *wanted)
{
	_cleanup_problems_ struct problems problems = {};

	if (!wanted)
		return;
	wanted->closing = true;
	settle_now(wanted, &problems);
	log_problems(&problems);
	events_close(wanted->events);
	cluster_close(wanted->cluster);
}

void wanted_free(struct wanted *wanted)
{
	if (!wanted)
		return;
	files_free(wanted->files);
	known_free(wanted->known);
	addresses_free(wanted->addresses);
	model_free(wanted->model);
	model_host_release(&wanted->host);
	located_release(&wanted->located);
	problems_release(&wanted->told);
	free(wanted);
}
