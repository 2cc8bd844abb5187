/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/reconcile.h"

#include <errno.h>
#include <string.h>

#include "datapath/internal.h"
#include "datapath/outside.h"

/* ---- the policy that a model means on this host --------------------------------------- */

/* Hooks that a set needs: one or more of these bits. */
static const uint32_t needed_for[] = {
	[STATE_HOOK_INGRESS] = SST_POLICY_INGRESS,
	[STATE_HOOK_EGRESS] = SST_POLICY_INGRESS,
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
	policy->hooks = calloc(located->n_netns + 3, sizeof(*policy->hooks));
	if (!policy->hooks)
		return -ENOMEM;
	add_hook(policy, STATE_HOOK_INGRESS, 0);
	add_hook(policy, STATE_HOOK_EGRESS, 0);
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

#define DUMP_ALL (DUMP_TABLES | DUMP_SLOTS | DUMP_POLICY)

int reconcile_located(struct datapath *datapath, const struct model *model,
		      const struct located *located, bool dry_run, struct problems *problems,
		      struct plan *ret)
{
	_cleanup_plan_policy_ struct plan_policy policy = {};
	_cleanup_state_ struct state state = {};
	_cleanup_plan_ struct plan plan = {};
	int err = datapath_dump(datapath, DUMP_ALL, &state);

	if (err)
		return fail(problems, err, "the maps cannot be read: %s", strerror(-err));
	outside_tell(model, state.meta.cgroup, problems);
	err = compile(model, located, &state, problems, &policy);
	if (!err)
		err = plan_make(model, &policy, &state, problems, &plan);
	if (!err && !dry_run)
		err = datapath_apply(datapath, &plan, problems);
	if (err)
		return err;
	/* whoever put the set in force may have been killed, or may not have been able to */
	if (!dry_run && !plan.n_steps)
		datapath_revoke(datapath, problems);
	*ret = plan;
	memset(&plan, 0, sizeof(plan));
	return 0;
}

int reconcile(struct datapath *datapath, const struct model *model, bool dry_run,
	      struct problems *problems, struct plan *ret)
{
	_cleanup_located_ struct located located = {};
	int err = locate(model, problems, &located);

	if (err)
		return fail(problems, err, "the host cannot be looked at: %s", strerror(-err));
	return reconcile_located(datapath, model, &located, dry_run, problems, ret);
}

int collect(struct datapath *datapath, struct problems *problems)
{
	_cleanup_state_ struct state state = {};
	_cleanup_plan_ struct plan plan = {};
	int err = datapath_lock(datapath, 0);

	if (err)
		return err;
	err = datapath_dump(datapath, DUMP_TABLES | DUMP_SLOTS, &state);
	if (!err)
		err = plan_collect(&state, &plan);
	if (!err)
		err = datapath_apply(datapath, &plan, problems);
	datapath_unlock(datapath);
	return err;
}
