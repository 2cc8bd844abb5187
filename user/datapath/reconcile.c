/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/reconcile.h"

#include <errno.h>
#include <string.h>

#include "datapath/internal.h"
#include "datapath/outside.h"

/* ---- the policy that a model means on this host --------------------------------------- */

/* Hooks that a set needs: one or more of these bits. */
static const uint32_t needed_for[] = {
	[STATE_HOOK_SOCKET] = SST_POLICY_RULES,
	[STATE_HOOK_LOOKUP] = SST_POLICY_ANSWER,
};

static void add_hook(struct plan_policy *policy, enum state_hook_kind kind, uint64_t netns)
{
	if (policy_head(&policy->set)->flags & needed_for[kind])
		policy->hooks[policy->n_hooks++] =
			(struct state_hook){ .kind = kind, .netns = netns };
}

/* In the order of state_hook_compare(). */
static int find_hooks(const struct located *located, struct plan_policy *policy)
{
	if (policy_set_is_empty(&policy->set))
		return 0;
	policy->hooks = calloc(located->n_netns + 1, sizeof(*policy->hooks));
	if (!policy->hooks)
		return -ENOMEM;
	add_hook(policy, STATE_HOOK_SOCKET, 0);
	for (size_t i = 0; i < located->n_netns; i++)
		add_hook(policy, STATE_HOOK_LOOKUP, located->netns[i]);
	return 0;
}

/* Whoever has an id in the set in force keeps it. */
static int compile(const struct model *model, const struct located *located,
		   const struct state *state, struct problems *problems, struct plan_policy *ret)
{
	const struct sst_meta *meta = &state->meta;
	int err;

	ret->ids = (struct policy_ids){ meta->next_identity, meta->next_workload, meta->next_rule };
	err = policy_compile(model, &located->host, &state->policy, &ret->ids, problems, &ret->set);
	return err ?: find_hooks(located, ret);
}

/* ---- all of it --------------------------------------------------------------------------- */

/* Who has no statistics has no flows. */
static int open_flows(uint32_t endpoint, uint64_t *ret, void *arg)
{
	int err = flows_open(arg, MAP_endpoint_stats, endpoint, ret);

	if (err == -ENOENT)
		*ret = 0;
	return err == -ENOENT ? 0 : err;
}

/* What a reconcile is about. */
struct task {
	struct datapath *datapath;
	struct known *known;
	const struct model *model;
	const struct located *located;
	bool dry_run;
	struct problems *problems;
};

static int plan_task(const struct task *task, struct plan_policy *policy, struct state *state,
		     struct plan *ret)
{
	const struct plan_input input = { .model = task->model,
					  .policy = policy,
					  .state = state,
					  .open_flows = open_flows,
					  .arg = task->datapath };
	int err = compile(task->model, task->located, state, task->problems, policy);

	return err ?: plan_make(&input, task->problems, ret);
}

/* With what the maps hold, but for services if state is without. */
static int carry_out(const struct task *task, struct state *state, struct plan *ret)
{
	_cleanup_plan_policy_ struct plan_policy policy = {};
	_cleanup_plan_ struct plan plan = {};
	int err;

	outside_tell(task->model, state->meta.cgroup, task->problems);
	err = plan_task(task, &policy, state, &plan);
	if (!err && !task->dry_run)
		err = datapath_apply(task->datapath, &plan, APPLY_ALL, task->known, task->problems);
	if (err)
		return err;
	/* whoever put the set in force may have been killed, or may not have been able to */
	if (!task->dry_run && !plan.n_steps)
		datapath_revoke(task->datapath, task->problems);
	*ret = plan;
	memset(&plan, 0, sizeof(plan));
	return 0;
}

/* Of who has not been told how the last plan ended; see plan.h. */
static int wait_for_others(struct datapath *datapath, const struct known *known)
{
	struct sst_meta meta;
	int err = meta_read(datapath, &meta);

	if (!err && !known_is_current(known, meta.generation))
		err = grace_wait();
	return err;
}

/* All of services, with statistics of nothing. */
static int read_all(const struct task *task, struct state *ret)
{
	struct known *known = task->known;
	int err = 0;

	if (known && known_owed(known))
		err = reconcile_settle_all(task->datapath, known, task->problems);
	if (!err && known)
		err = wait_for_others(task->datapath, known);
	if (!err)
		err = datapath_dump(task->datapath, DUMP_PLAIN | DUMP_SLOTS | DUMP_POLICY, ret);
	if (!err && known)
		err = known_renew(known, ret);
	return err;
}

static int tell_unread(struct problems *problems, int err)
{
	return fail(problems, err, "the maps cannot be read: %s", strerror(-err));
}

int reconcile_located(struct datapath *datapath, struct known *known, const struct model *model,
		      const struct located *located, bool dry_run, struct problems *problems,
		      struct plan *ret)
{
	const struct task task = { datapath, known, model, located, dry_run, problems };
	_cleanup_state_ struct state state = {};
	int err = read_all(&task, &state);

	return err ? tell_unread(problems, err) : carry_out(&task, &state, ret);
}

int reconcile(struct datapath *datapath, const struct model *model, bool dry_run,
	      struct problems *problems, struct plan *ret)
{
	_cleanup_located_ struct located located = {};
	int err = locate(model, problems, &located);

	if (err)
		return fail(problems, err, "the host cannot be looked at: %s", strerror(-err));
	return reconcile_located(datapath, NULL, model, &located, dry_run, problems, ret);
}

/* ---- a part of it ------------------------------------------------------------------------ */

/* What the maps hold is known when this returns 0. *ret: their meta. */
static int need_known(struct datapath *datapath, struct known *known, struct sst_meta *ret)
{
	_cleanup_state_ struct state state = {};
	int err = meta_read(datapath, ret);

	if (err || known_is_current(known, ret->generation))
		return err;
	err = grace_wait(); /* as in wait_for_others() */
	if (!err)
		err = datapath_dump(datapath, DUMP_PLAIN, &state);
	return err ?: known_renew(known, &state);
}

/* A step that failed, or want of memory, has made what was put off unknown. */
static int still_known(struct datapath *datapath, const struct known *known)
{
	struct sst_meta meta;
	int err = meta_read(datapath, &meta);

	return err ?: known_is_current(known, meta.generation) ? 0 : -ESTALE;
}

/* What no part has: the schedules, and what binds the whole. */
static int complete_part(struct datapath *datapath, const struct sst_meta *meta, struct state *part)
{
	part->meta = *meta;
	return config_read(datapath, &part->config) ?: dump_slots(datapath, part);
}

static int plan_services(struct datapath *datapath, struct known *known, const struct model *model,
			 const struct state *part, struct problems *problems, struct plan *ret)
{
	const struct plan_input input = { .model = model,
					  .state = part,
					  .known = known,
					  .open_flows = open_flows,
					  .arg = datapath };
	int err = model_validate(model, problems);

	return err ?: plan_make(&input, problems, ret);
}

int reconcile_services(struct datapath *datapath, struct known *known, const char *source,
		       const struct model_service *services, size_t n_services,
		       const char *const *names, size_t n_names, struct problems *problems,
		       struct plan *ret)
{
	const struct model model = { .source = (char *)source,
				     .services = (struct model_service *)services,
				     .n_services = n_services };
	_cleanup_state_ struct state part = {};
	_cleanup_plan_ struct plan plan = {};
	struct sst_meta meta;
	int err = need_known(datapath, known, &meta);

	if (!err)
		err = known_part(known, &model, names, n_names, &part);
	if (!err)
		err = complete_part(datapath, &meta, &part);
	if (err)
		return tell_unread(problems, err);
	err = plan_services(datapath, known, &model, &part, problems, &plan);
	if (!err)
		err = datapath_apply(datapath, &plan, APPLY_FLIP, known, problems)
			      ?: still_known(datapath, known);
	if (err)
		return err;
	known_owe(known, &plan, &part);
	*ret = plan;
	memset(&plan, 0, sizeof(plan));
	return 0;
}

int reconcile_policy(struct datapath *datapath, struct known *known, const struct model *model,
		     const struct located *located, struct problems *problems, struct plan *ret)
{
	_cleanup_state_ struct state state = {};
	struct model settings = *model;
	const struct task task = { datapath, known, &settings, located, false, problems };
	int err = datapath_dump(datapath, DUMP_POLICY, &state);

	settings.services = NULL;
	settings.n_services = 0;
	return err ? tell_unread(problems, err) : carry_out(&task, &state, ret);
}

/* ---- what is put off --------------------------------------------------------------------- */

static int settle(struct datapath *datapath, struct known *known, uint64_t mark, bool *removes,
		  struct problems *problems)
{
	_cleanup_state_ struct state part = {};
	_cleanup_plan_ struct plan plan = {};
	struct plan_input input = { .state = &part,
				    .known = known,
				    .open_flows = open_flows,
				    .arg = datapath,
				    .has_waited = true };
	struct sst_meta meta;
	int err = need_known(datapath, known, &meta);

	if (err)
		return err;
	known_settle(known, mark);
	err = known_remains(known, &part, &input.stop_splice);
	if (!err)
		err = complete_part(datapath, &meta, &part);
	if (!err)
		err = plan_collect(&input, &plan);
	if (!err)
		err = datapath_apply(datapath, &plan, APPLY_ALL, known, problems)
			      ?: still_known(datapath, known);
	*removes = plan.n_steps;
	return err;
}

int reconcile_settle(struct datapath *datapath, struct known *known, uint64_t mark,
		     struct problems *problems)
{
	bool removes;

	/* done meanwhile, and the lock given away */
	if (!known_owed(known))
		return 0;
	return settle(datapath, known, mark, &removes, problems);
}

int reconcile_settle_all(struct datapath *datapath, struct known *known, struct problems *problems)
{
	uint64_t mark = known_owed(known);
	int err = grace_wait();

	return err ?: reconcile_settle(datapath, known, mark, problems);
}

void reconcile_unlock(struct datapath *datapath, const struct known *known)
{
	if (!known_owed(known))
		datapath_unlock(datapath);
}

int collect(struct datapath *datapath, struct known *known, struct problems *problems)
{
	int err = datapath_lock(datapath, 0);
	bool removes = false;

	if (err)
		return err;
	err = settle(datapath, known, 0, &removes, problems);
	reconcile_unlock(datapath, known);
	return err ?: removes;
}
