/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/wanted.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/clock.h"
#include "daemon/log.h"
#include "daemon/wanted_internal.h"
#include "model/extend.h"
#include "source/yaml.h"

#define SETTLE_MS    50
/* Where network namespaces get their names. */
#define NETNS_FOLDER "/run/netns"
/* Changes in the log; of a cluster's first list there are thousands. */
#define TOLD_MAX     100

/* ---- putting it in force ------------------------------------------------------------- */

void wanted_tell_changes(const struct plan *plan)
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
void wanted_account_apply(struct wanted *wanted, uint64_t begin_ns)
{
	struct metrics_daemon *self = wanted->options->self;

	self->apply_ns = clock_ns(CLOCK_MONOTONIC) - begin_ns;
	if (self->apply_max_ns < self->apply_ns)
		self->apply_max_ns = self->apply_ns;
}

enum part { SERVICES = 1, POLICY = 2 };

static int apply(struct wanted *wanted, unsigned parts, const struct model *model,
		 const struct located *located, struct problems *problems)
{
	struct datapath *datapath = wanted->options->datapath;
	_cleanup_plan_ struct plan plan = {};
	int err = datapath_lock(datapath, 0);
	uint64_t begin = clock_ns(CLOCK_MONOTONIC);

	if (err)
		return err;
	if (parts & SERVICES)
		err = reconcile_located(datapath, wanted->known, model, located, false, problems,
					&plan);
	else
		err = reconcile_policy(datapath, wanted->known, model, located, problems, &plan);
	if (!err && parts & SERVICES)
		datapath_take_others(datapath); /* nothing is left of what they did */
	reconcile_unlock(datapath, wanted->known);
	wanted_account_apply(wanted, begin);
	if (!err)
		wanted_tell_changes(&plan);
	return err;
}

static void remember_located(struct wanted *wanted, struct located *located)
{
	located_release(&wanted->located);
	wanted->located = *located;
	*located = (struct located){};
}

/* Nothing of the kernel is changed before all is known once. */
bool wanted_waits(const struct wanted *wanted)
{
	return wanted->cluster && !cluster_is_synced(wanted->cluster);
}

/*
 * *model becomes one that has what is asked for of the API server's, too. Without a server it is
 * what it was.
 */
static int extend(const struct wanted *wanted, const struct model **model, unsigned parts,
		  struct problems *problems, struct extension *extension)
{
	struct store *store;
	int err;

	if (!wanted->cluster)
		return 0;
	store = cluster_store(wanted->cluster);
	err = extension_begin(*model, extension);
	if (!err) {
		extension->model.source = (char *)API_SERVER;
		*model = &extension->model;
	}
	if (!err && parts & SERVICES)
		err = store_add_services(store, &extension->model);
	if (!err && parts & POLICY)
		err = store_add_policy(store, &extension->model);
	return err ?: extension_finish(extension, problems);
}

/* What has changed until now is a part of the whole. */
int wanted_apply_whole(struct wanted *wanted, const struct model *model, struct problems *problems)
{
	_cleanup_store_changes_ struct store_changes seen = {};
	_cleanup_extension_ struct extension extension = {};
	_cleanup_located_ struct located located = {};
	int err = extend(wanted, &model, SERVICES | POLICY, problems, &extension);

	if (!err)
		err = locate(model, problems, &located);
	if (!err)
		err = apply(wanted, SERVICES | POLICY, model, &located, problems);
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
int wanted_take_host(struct wanted *wanted, struct problems *problems)
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
	err = wanted_take_host(wanted, problems);
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

/* The store goes by the files in force again, and what that and the host have changed is not left
 * lying there. */
static void keep_files(struct wanted *wanted)
{
	_cleanup_problems_ struct problems told = {};

	if (!wanted->cluster || !wanted->model)
		return;
	set_files(wanted, wanted->model, &told);
	wanted_cluster_changed(wanted);
}

static int reload(struct wanted *wanted, struct problems *problems)
{
	_cleanup_model_ struct model *model = NULL;
	int err = read_files(wanted, problems, &model);

	if (!err)
		err = set_files(wanted, model, problems);
	if (!err && !wanted_waits(wanted))
		err = wanted_apply_whole(wanted, model, problems);
	if (err) {
		keep_files(wanted);
		return err;
	}
	model_free(wanted->model);
	wanted->model = TAKE_PTR(model);
	wanted->options->configured(wanted->options->arg);
	return 0;
}

const char *wanted_first_message(const struct problems *problems)
{
	return problems->text[0] + problems->parts[0].message;
}

void wanted_tell_no_room(struct wanted *wanted, int err, const struct problems *problems)
{
	if (err == -E2BIG)
		wanted_tell(wanted, EVENT_CAPACITY_REFUSED,
			    problems->count ? wanted_first_message(problems) : strerror(E2BIG));
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
	wanted_tell_no_room(wanted, err, &problems);
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

/* Workloads and policies as they are wanted now, on the host as it is now. */
int wanted_follow_policy(struct wanted *wanted, bool changed, struct problems *problems)
{
	_cleanup_extension_ struct extension extension = {};
	_cleanup_located_ struct located located = {};
	const struct model *model = wanted->model;
	int err = extend(wanted, &model, POLICY, problems, &extension);

	if (!err)
		err = locate(model, problems, &located);
	if (!err && (changed || !located_equal(&located, &wanted->located))) {
		err = apply(wanted, POLICY, model, &located, problems);
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
	err = wanted_follow_policy(wanted, false, &problems);
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
		err = wanted_open_cluster(wanted);
	if (err)
		log_line("what is wanted cannot be followed: %s", strerror(-err));
	return err;
}

void wanted_look(struct wanted *wanted)
{
	if (!wanted->model || files_have_changed(wanted->files))
		wanted_reload(wanted);
	watch_netns(wanted);
	if (wanted->cluster)
		wanted_look_at_cluster(wanted);
	look_at_addresses(wanted);
	if (lives_matter(wanted))
		look_at_host(wanted);
}

const struct model *wanted_model(const struct wanted *wanted)
{
	return wanted->model;
}

bool wanted_is_ready(const struct wanted *wanted)
{
	return wanted->model && wanted->applied && !wanted->must_apply_all && !wanted_waits(wanted);
}

void wanted_close(struct wanted *wanted)
{
	_cleanup_problems_ struct problems problems = {};

	if (!wanted)
		return;
	wanted->closing = true;
	wanted_settle_now(wanted, &problems);
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
