/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/plan.h"

#include <string.h>

#include "core/array.h"
#include "core/cleanup.h"
#include "plan/internal.h"

/* ---- drafts ----------------------------------------------------------------- */

struct step *draft_step(struct draft *draft, enum step_kind kind, uint32_t id)
{
	struct plan *plan = &draft->plan;
	struct step *step = &draft->scratch;

	if (array_reserve((void **)&plan->steps, &draft->steps_size, plan->n_steps, sizeof(*step)))
		draft->error = -ENOMEM;
	else
		step = &plan->steps[plan->n_steps++];
	memset(step, 0, sizeof(*step));
	step->kind = kind;
	step->id = id;
	return step;
}

void draft_change(struct draft *draft, char op, const char *kind, struct text *name,
		  struct text *detail)
{
	struct plan *plan = &draft->plan;

	text_add(name, "%s", ""); /* a name is never NULL */
	if (name->error || detail->error ||
	    array_reserve((void **)&plan->changes, &draft->changes_size, plan->n_changes,
			  sizeof(*plan->changes))) {
		draft->error = -ENOMEM;
	} else {
		plan->changes[plan->n_changes++] = (struct change){
			.op = op,
			.kind = kind,
			.name = TAKE_PTR(name->data),
			.detail = TAKE_PTR(detail->data),
		};
	}
	text_release(name);
	text_release(detail);
}

static void draft_release(struct draft *draft)
{
	plan_release(&draft->plan);
}
#define _cleanup_draft_ __attribute__((cleanup(draft_release)))

static struct policy_ids ids_of(const struct sst_meta *meta)
{
	return (struct policy_ids){ meta->next_identity, meta->next_workload, meta->next_rule };
}

static int draft_finish(struct draft *draft, struct diff *diff, struct plan *ret)
{
	if (draft->error)
		return draft->error;
	draft->plan.next_service = diff->next_service;
	draft->plan.next_endpoint = diff->next_endpoint;
	draft->plan.next = diff->policy ? diff->policy->ids : ids_of(&diff->state->meta);
	policy_take(diff, &draft->plan);
	*ret = draft->plan;
	draft->plan = (struct plan){ 0 };
	return 0;
}

/* ---- capacity --------------------------------------------------------------- */

int demand_check(const struct demand *demand, const struct diff *diff, struct problems *problems)
{
	uint64_t capacity = diff->state->fill[demand->map].capacity;
	bool settles = demand->settled <= capacity;

	if (demand->peak <= capacity)
		return 0;
	problems_add(problems, diff->model->source, (struct place){ 0 },
		     "%s: %llu needed%s, room for %llu", demand->what,
		     (unsigned long long)(settles ? demand->peak : demand->settled),
		     settles ? " until the old ones are gone" : "", (unsigned long long)capacity);
	return -E2BIG;
}

static struct demand demand_for_frontends(const struct diff *diff)
{
	struct demand demand = {
		.what = "frontends",
		.map = STATE_MAP_FRONTENDS,
		.peak = diff->beside.n_frontends + diff->state->n_frontends,
		.settled = diff->beside.n_frontends + diff->n_fronts,
	};

	for (size_t i = 0; i < diff->n_fronts; i++)
		demand.peak += !diff->fronts[i].old;
	return demand;
}

static struct demand demand_for_services(const struct diff *diff)
{
	struct demand demand = {
		.what = "services",
		.map = STATE_MAP_SERVICES,
		.peak = diff->beside.n_services,
		.settled = diff->beside.n_services,
	};

	for (size_t i = 0; i < diff->n_units; i++) {
		const struct unit *unit = &diff->units[i];

		demand.peak += unit->old || unit_is_new(unit);
		demand.settled += (unit->old || unit_is_new(unit)) && !unit_ends(unit);
	}
	return demand;
}

static struct demand demand_for_endpoints(const struct diff *diff)
{
	struct demand demand = {
		.what = "endpoints",
		.map = STATE_MAP_ENDPOINTS,
		.peak = diff->beside.n_endpoints + diff->n_members,
		.settled = diff->beside.n_endpoints,
	};

	for (size_t i = 0; i < diff->n_members; i++)
		demand.settled += !member_ends(&diff->members[i]);
	return demand;
}

/*
 * What leaves is freed after GRACE only, so it stands beside what comes. All that does
 * not fit is told, not the first alone.
 */
static int check_demands(const struct diff *diff, struct problems *problems)
{
	const struct demand demands[] = {
		demand_for_frontends(diff),
		demand_for_services(diff),
		demand_for_endpoints(diff),
		policy_demand(diff),
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(demands); i++)
		if (demand_check(&demands[i], diff, problems))
			r = -E2BIG;
	return r;
}

static int fit(struct diff *diff, struct problems *problems)
{
	int r = check_demands(diff, problems);
	int placed = diff_place(diff, problems);

	return r ? r : placed;
}

/* ---- plans ------------------------------------------------------------------ */

int plan_make(const struct plan_input *input, struct problems *problems, struct plan *ret)
{
	_cleanup_draft_ struct draft draft = { 0 };
	_cleanup_diff_ struct diff diff = { 0 };
	int r;

	r = diff_make(input, &diff);
	if (r)
		return r;
	r = diff_check_addresses(&diff, problems);
	if (r)
		return r;
	r = diff_schedule(&diff);
	if (r)
		return r;
	r = fit(&diff, problems);
	if (r)
		return r;
	steps_write(&diff, &draft);
	changes_write(&diff, &draft);
	return draft_finish(&draft, &diff, ret);
}

int plan_collect(const struct plan_input *input, struct plan *ret)
{
	const struct plan_input remains = {
		.state = input->state,
		.known = input->known,
		.open_flows = input->open_flows,
		.arg = input->arg,
		.has_waited = input->has_waited,
		.stop_splice = input->stop_splice,
	};
	_cleanup_draft_ struct draft draft = { 0 };
	_cleanup_diff_ struct diff diff = { 0 };
	int r;

	r = diff_make(&remains, &diff);
	if (r)
		return r;
	steps_write_collect(&diff, &draft);
	return draft_finish(&draft, &diff, ret);
}

static void step_release(struct step *step)
{
	switch (step->kind) {
	case STEP_ADD_SLOTS:
		free(step->value.slots.ids);
		break;
	case STEP_ADD_SERVICE_INFO:
	case STEP_FLIP_SERVICE_INFO:
		free(step->value.info);
		free(step->old.info);
		break;
	default:
		break;
	}
}

void plan_release(struct plan *plan)
{
	for (size_t i = 0; i < plan->n_steps; i++)
		step_release(&plan->steps[i]);
	for (size_t i = 0; i < plan->n_changes; i++) {
		free(plan->changes[i].name);
		free(plan->changes[i].detail);
	}
	free(plan->steps);
	free(plan->changes);
	policy_set_release(&plan->policy);
	memset(plan, 0, sizeof(*plan));
}
