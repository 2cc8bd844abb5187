/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API server's changes: services one by one, and as soon as can be; identities and policies as
 * a whole, a little later. What fails is followed by a try of all there is.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/clock.h"
#include "daemon/log.h"
#include "daemon/wanted_internal.h"

#define RETRY_MOST_MS 30000

/* ---- what has changed ------------------------------------------------------- */

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
	wanted_tell_no_room(wanted, err, problems);
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

int wanted_apply_all(struct wanted *wanted)
{
	_cleanup_problems_ struct problems problems = {};
	int err = wanted_apply_whole(wanted, wanted->model, &problems);

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
	wanted_account_apply(wanted, begin);
	if (!err)
		wanted_tell_changes(&plan);
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

	if (!wanted->model || wanted_waits(wanted))
		return; /* the whole is applied when there is one */
	if (wanted->applied)
		follow_services(wanted);
	else if (!wanted->must_apply_all)
		wanted_apply_all(wanted);
}

/* What the whole cannot have must not keep policy back, nor what has waited for it. */
static void on_retry_due(uv_timer_t *timer)
{
	struct wanted *wanted = timer->data;

	if (!wanted_apply_all(wanted) || !wanted->applied)
		return;
	follow_policy_later(wanted);
	settle_later(wanted);
}

static void on_policy_due(uv_timer_t *timer)
{
	_cleanup_problems_ struct problems problems = {};
	struct wanted *wanted = timer->data;
	int err = wanted_follow_policy(wanted, true, &problems);

	if (err) {
		apply_all_later(wanted, err, &problems);
		return;
	}
	log_new_problems(&problems, &wanted->told);
	wanted->applied_changes++;
}

void wanted_cluster_changed(void *arg)
{
	struct wanted *wanted = arg;

	if (!uv_is_active((uv_handle_t *)&wanted->services_timer))
		uv_timer_start(&wanted->services_timer, on_services_due, SERVICES_MS, 0);
}

/* ---- what the change has replaced -------------------------------------------- */

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
		apply_all_later(wanted, err, &problems); /* which wanted_waits by itself */
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

int wanted_settle_now(struct wanted *wanted, struct problems *problems)
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
	err = wanted_settle_now(wanted, &problems);
	if (err)
		apply_all_later(wanted, err, &problems);
	uv_timer_start(&wanted->services_timer, on_services_due, OTHERS_MS, 0);
}
