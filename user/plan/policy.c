/* SPDX-License-Identifier: Apache-2.0 */
/* What the policy set adds to the way, and to what is told of it. */
#include "plan/internal.h"

#include <string.h>

#include "core/cleanup.h"
#include "policy/label.h"

/* ---- steps ------------------------------------------------------------------ */

static uint32_t count_infos(const struct policy_set *set)
{
	return policy_set_is_empty(set) ? 0 : policy_head(set)->n_infos;
}

/* Calls for each id of either side; both are sorted. */
typedef void (*rule_fn)(uint32_t id, bool old, bool wanted, void *arg);

static void each_rule(const struct diff *diff, rule_fn fn, void *arg)
{
	const struct policy_set *set = &diff->policy->set;
	const struct state *state = diff->state;
	uint32_t n = count_infos(set), i = 0;
	size_t j = 0;

	while (i < n || j < state->n_rules) {
		uint32_t wanted = i < n ? policy_info(set, i)->id : UINT32_MAX;
		uint32_t old = j < state->n_rules ? state->rules[j].id : UINT32_MAX;
		uint32_t id = wanted < old ? wanted : old;

		fn(id, old == id, wanted == id, arg);
		i += wanted == id;
		j += old == id;
	}
}

static void count_rule(uint32_t id, bool old, bool wanted, void *arg)
{
	struct demand *demand = arg;

	(void)id;
	(void)old;
	demand->peak++;
	demand->settled += wanted;
}

/* What counts of rules that go is freed after GRACE only. */
struct demand policy_demand(const struct diff *diff)
{
	struct demand demand = { .what = "rules of policies", .map = STATE_MAP_RULE_STATS };

	if (diff->policy)
		each_rule(diff, count_rule, &demand);
	return demand;
}

static void add_rule(uint32_t id, bool old, bool wanted, void *arg)
{
	if (wanted && !old)
		draft_step(arg, STEP_ADD_RULE_STATS, id);
}

static void delete_rule(uint32_t id, bool old, bool wanted, void *arg)
{
	if (old && !wanted)
		draft_step(arg, STEP_DELETE_RULE_STATS, id);
}

static const struct state_hook *find_hook(const struct state_hook *key,
					  const struct state_hook *hooks, size_t n)
{
	return n ? bsearch(key, hooks, n, sizeof(*hooks), state_hook_compare) : NULL;
}

/* One that is attached to nothing any more is attached anew in its place. */
static void attach_hooks(const struct diff *diff, struct draft *draft)
{
	const struct plan_policy *policy = diff->policy;
	const struct state *state = diff->state;

	for (size_t i = 0; i < policy->n_hooks; i++) {
		const struct state_hook *old =
			find_hook(&policy->hooks[i], state->hooks, state->n_hooks);

		if (!old || old->dead)
			draft_step(draft, STEP_ATTACH, 0)->value.hook = policy->hooks[i];
	}
}

static void detach_hooks(const struct diff *diff, struct draft *draft)
{
	const struct plan_policy *policy = diff->policy;
	const struct state *state = diff->state;

	for (size_t i = 0; i < state->n_hooks; i++)
		if (!find_hook(&state->hooks[i], policy->hooks, policy->n_hooks))
			draft_step(draft, STEP_DETACH, 0)->value.hook = state->hooks[i];
}

void policy_add(const struct diff *diff, struct draft *draft)
{
	if (!diff->policy)
		return;
	each_rule(diff, add_rule, draft);
	attach_hooks(diff, draft);
}

void policy_flip(const struct diff *diff, struct draft *draft)
{
	struct step *step;

	if (!diff->policy_changes || policy_set_is_empty(&diff->policy->set))
		return;
	step = draft_step(draft, STEP_FLIP_POLICY, 0);
	step->replaces = !policy_set_is_empty(&diff->state->policy);
}

void policy_revoke(const struct diff *diff, struct draft *draft)
{
	const struct policy_set *set = diff->policy_changes ? &diff->policy->set : NULL;

	if (set && !policy_set_is_empty(set) && policy_head(set)->flags & SST_POLICY_REVOKE)
		draft_step(draft, STEP_REVOKE, 0);
}

void policy_remove(const struct diff *diff, struct draft *draft)
{
	if (!diff->policy)
		return;
	if (diff->policy_changes && policy_set_is_empty(&diff->policy->set))
		draft_step(draft, STEP_DELETE_POLICY, 0);
	each_rule(diff, delete_rule, draft);
	detach_hooks(diff, draft);
}

void policy_take(struct diff *diff, struct plan *plan)
{
	plan->next_set = diff->state->meta.next_set;
	if (!diff->policy_changes || policy_set_is_empty(&diff->policy->set))
		return;
	plan->policy = diff->policy->set;
	diff->policy->set = (struct policy_set){ 0 };
	/* which no set had before, so that nothing remembered of one is taken for another's */
	((struct sst_policy_head *)plan->policy.owned)->generation = plan->next_set++;
}

void plan_policy_release(struct plan_policy *policy)
{
	policy_set_release(&policy->set);
	free(policy->hooks);
}

/* ---- lines: workloads -------------------------------------------------------- */

/* A set and one of its workloads. */
struct resident {
	const struct policy_set *set;
	const struct sst_policy_workload *workload;
};

static const struct sst_policy_identity *identity_of(const struct resident *resident)
{
	return policy_identity(resident->set, resident->workload->identity);
}

static const char *labels_of(const struct resident *resident)
{
	return policy_text(resident->set, identity_of(resident)->labels);
}

static const char *how_of(const struct resident *resident)
{
	return policy_text(resident->set, resident->workload->how);
}

static void tell_workload(const struct resident *resident, char op, struct text *detail,
			  struct draft *draft)
{
	struct text name = { 0 };

	policy_label_workload(resident->set, resident->workload->id, &name);
	draft_change(draft, op, "workload", &name, detail);
}

static void tell_new_workload(const struct resident *new, struct draft *draft)
{
	struct text detail = { 0 };

	text_add(&detail, "%s", how_of(new));
	tell_workload(new, '+', &detail, draft);
}

static void add_difference(struct text *text, const char *what, const char *before,
			   const char *after)
{
	if (strcmp(before, after))
		text_add(text, "%s%s %s -> %s", text->length ? ", " : "", what,
			 *before ? before : "(none)", *after ? after : "(none)");
}

static void tell_changed_workload(const struct resident *old, const struct resident *new,
				  struct draft *draft)
{
	struct text detail = { 0 };

	add_difference(&detail, "labels", labels_of(old), labels_of(new));
	add_difference(&detail, "ports", policy_text(old->set, identity_of(old)->ports),
		       policy_text(new->set, identity_of(new)->ports));
	add_difference(&detail, "known by", how_of(old), how_of(new));
	if (detail.length)
		tell_workload(new, '~', &detail, draft);
	text_release(&detail);
}

/* Index 0 is nobody. */
static void tell_workloads(const struct policy_set *before, const struct policy_set *after,
			   struct draft *draft)
{
	uint32_t n_before = policy_set_is_empty(before) ? 0 : policy_head(before)->n_workloads;
	uint32_t n_after = policy_set_is_empty(after) ? 0 : policy_head(after)->n_workloads;

	for (uint32_t i = 1; i < n_after; i++) {
		struct resident new = { after, policy_workload(after, i) };
		struct resident old = { before, policy_workload_by_id(before, new.workload->id) };

		if (old.workload)
			tell_changed_workload(&old, &new, draft);
		else
			tell_new_workload(&new, draft);
	}
	for (uint32_t i = 1; i < n_before; i++) {
		struct resident old = { before, policy_workload(before, i) };
		struct text detail = { 0 };

		if (!policy_workload_by_id(after, old.workload->id))
			tell_workload(&old, '-', &detail, draft);
	}
}

/* ---- lines: policies ----------------------------------------------------------- */

/* A rule of either set, or of both. */
struct ruling {
	const struct policy_set *set; /* of info */
	const struct sst_policy_info *info;
	const struct sst_policy_info *old; /* what it replaces */
	bool leaves;
};

static const char *ruling_text(const struct ruling *ruling, uint32_t offset)
{
	return policy_text(ruling->set, offset);
}

static int compare_policies(const struct ruling *a, const struct ruling *b)
{
	int r = (int)a->info->tier - b->info->tier;

	if (!r)
		r = strcmp(ruling_text(a, a->info->name_space),
			   ruling_text(b, b->info->name_space));
	if (!r)
		r = strcmp(ruling_text(a, a->info->policy), ruling_text(b, b->info->policy));
	return r;
}

static int compare_rulings(const void *a, const void *b)
{
	const struct ruling *x = a, *y = b;
	int r = compare_policies(x, y);

	if (!r)
		r = x->info->id < y->info->id ? -1 : x->info->id > y->info->id;
	return r;
}

/* All rules of both, those that stay once. */
static size_t collect_rulings(const struct policy_set *before, const struct policy_set *after,
			      struct ruling *rulings)
{
	size_t n = 0;

	for (uint32_t i = 0; i < count_infos(after); i++) {
		const struct sst_policy_info *info = policy_info(after, i);

		rulings[n++] = (struct ruling){
			.set = after,
			.info = info,
			.old = policy_info_by_id(before, info->id),
		};
	}
	for (uint32_t i = 0; i < count_infos(before); i++) {
		const struct sst_policy_info *info = policy_info(before, i);

		if (!policy_info_by_id(after, info->id))
			rulings[n++] = (struct ruling){ before, info, NULL, true };
	}
	qsort(rulings, n, sizeof(*rulings), compare_rulings);
	return n;
}

static bool ruling_changes(const struct ruling *ruling, const struct policy_set *before)
{
	const struct sst_policy_info *old = ruling->old, *new = ruling->info;

	return old &&
	       (old->action != new->action || old->shadow != new->shadow ||
		strcmp(policy_text(before, old->summary), ruling_text(ruling, new->summary)));
}

static void add_count(struct text *text, size_t n, const char *what)
{
	if (n)
		text_add(text, "%s%zu rule%s%s", text->length ? ", " : "", n, n == 1 ? "" : "s",
			 what);
}

static void tell_policy(const struct ruling *ruling, char op, struct text *detail,
			struct draft *draft)
{
	const char *name_space = ruling_text(ruling, ruling->info->name_space);
	struct text name = { 0 };

	text_add(&name, "%s%s%s", name_space, *name_space ? "/" : "",
		 ruling_text(ruling, ruling->info->policy));
	draft_change(draft, op, "policy", &name, detail);
}

/* All rules of one policy. */
static void tell_rulings(const struct ruling *rulings, size_t n, const struct policy_set *before,
			 struct draft *draft)
{
	size_t added = 0, removed = 0, changed = 0;
	struct text detail = { 0 };
	char op = '~';

	for (size_t i = 0; i < n; i++) {
		removed += rulings[i].leaves;
		added += !rulings[i].leaves && !rulings[i].old;
		changed += ruling_changes(&rulings[i], before);
	}
	if (!added && !removed && !changed)
		return;
	if (added == n)
		op = '+';
	else if (removed == n)
		op = '-';
	add_count(&detail, added, op == '+' ? "" : " added");
	add_count(&detail, removed, op == '-' ? "" : " removed");
	add_count(&detail, changed, " changed");
	tell_policy(rulings, op, &detail, draft);
}

static void tell_policies(const struct policy_set *before, const struct policy_set *after,
			  struct draft *draft)
{
	size_t room = (size_t)count_infos(before) + count_infos(after), end;
	_cleanup_free_ struct ruling *rulings = calloc(room + 1, sizeof(*rulings));
	size_t n;

	if (!rulings) {
		draft->error = -ENOMEM;
		return;
	}
	n = collect_rulings(before, after, rulings);
	for (size_t i = 0; i < n; i = end) {
		for (end = i + 1; end < n && !compare_policies(&rulings[i], &rulings[end]); end++)
			;
		tell_rulings(rulings + i, end - i, before, draft);
	}
}

/* ---- lines: the rest -------------------------------------------------------------- */

static void add_flag(struct text *text, const char *what, uint32_t before, uint32_t after,
		     uint32_t flag, const char *off, const char *on)
{
	add_difference(text, what, before & flag ? on : off, after & flag ? on : off);
}

/* A set that differs in nothing that people wrote follows the host: its addresses, its
 * network namespaces. */
static void tell_set(const struct policy_set *before, const struct policy_set *after, bool told,
		     struct draft *draft)
{
	struct text name = { 0 }, detail = { 0 };
	uint32_t old, new;

	if (policy_set_is_empty(before) || policy_set_is_empty(after))
		return;
	old = policy_head(before)->flags;
	new = policy_head(after)->flags;
	add_flag(&detail, "denied", old, new, SST_POLICY_REFUSED, "eperm", "refused");
	add_flag(&detail, "remote", old, new, SST_POLICY_ANSWER, "drop", "answer");
	add_flag(&detail, "revoke", old, new, SST_POLICY_REVOKE, "off", "on");
	if (!detail.length && !told)
		text_add(&detail, "follows the host");
	if (detail.length)
		draft_change(draft, '~', "policy set", &name, &detail);
	text_release(&detail);
}

void policy_tell(const struct diff *diff, struct draft *draft)
{
	const struct policy_set *before = &diff->state->policy;
	size_t n = draft->plan.n_changes;

	if (!diff->policy_changes)
		return;
	tell_workloads(before, &diff->policy->set, draft);
	tell_policies(before, &diff->policy->set, draft);
	tell_set(before, &diff->policy->set, draft->plan.n_changes > n, draft);
}
