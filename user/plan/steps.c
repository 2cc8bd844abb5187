/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The difference as steps. Every function here is one stretch of the way, in the
 * order of plan.h; what each stretch may rely on is what the earlier ones did.
 */
#include "plan/internal.h"

#include <string.h>

#include "core/cleanup.h"

/* The caller fills old. */
static struct step *replacing_step(struct draft *draft, enum step_kind kind, uint32_t id)
{
	struct step *step = draft_step(draft, kind, id);

	step->replaces = true;
	return step;
}

static struct sst_service_info *copy_info(struct draft *draft, const struct sst_service_info *info)
{
	struct sst_service_info *copy = draft->error ? NULL : malloc(sizeof(*copy));

	if (copy)
		*copy = *info;
	else
		draft->error = -ENOMEM;
	return copy;
}

/* ---- ADD -------------------------------------------------------------------- */

static void add_service_stats(const struct diff *diff, struct draft *draft)
{
	for (size_t i = 0; i < diff->n_units; i++)
		if (unit_is_new(&diff->units[i]))
			draft_step(draft, STEP_ADD_SERVICE_STATS, diff->units[i].id);
}

static void add_endpoint_stats(const struct diff *diff, struct draft *draft)
{
	for (size_t i = 0; i < diff->n_members; i++)
		if (!diff->members[i].old)
			draft_step(draft, STEP_ADD_ENDPOINT_STATS, diff->members[i].id);
}

static void add_endpoints(const struct diff *diff, struct draft *draft)
{
	for (size_t i = 0; i < diff->n_members; i++) {
		const struct member *member = &diff->members[i];
		struct step *step;

		if (member->old)
			continue;
		step = draft_step(draft, STEP_ADD_ENDPOINT, member->id);
		step->value.endpoint = member->value;
	}
}

static void add_slots(struct diff *diff, struct draft *draft)
{
	for (size_t i = 0; i < diff->n_units; i++) {
		struct unit *unit = &diff->units[i];
		struct step *step;

		if (!unit->slots)
			continue;
		step = draft_step(draft, STEP_ADD_SLOTS, unit->id);
		step->value.slots.first = unit->value.first;
		step->value.slots.n = unit->value.slots;
		if (!draft->error)
			step->value.slots.ids = TAKE_PTR(unit->slots);
	}
}

static void add_services(const struct diff *diff, struct draft *draft)
{
	struct step *step;

	for (size_t i = 0; i < diff->n_units; i++) {
		if (!unit_is_new(&diff->units[i]))
			continue;
		step = draft_step(draft, STEP_ADD_SERVICE_INFO, diff->units[i].id);
		step->value.info = copy_info(draft, &diff->units[i].info);
	}
	for (size_t i = 0; i < diff->n_units; i++) {
		if (!unit_is_new(&diff->units[i]))
			continue;
		step = draft_step(draft, STEP_ADD_SERVICE, diff->units[i].id);
		step->value.service = diff->units[i].value;
	}
}

/* ---- FLIP ------------------------------------------------------------------- */

static void flip_config(const struct diff *diff, struct draft *draft)
{
	struct step *step;

	if (!memcmp(&diff->config, &diff->state->config, sizeof(diff->config)))
		return;
	step = replacing_step(draft, STEP_FLIP_CONFIG, 0);
	step->value.config = diff->config;
	step->old.config = diff->state->config;
}

static void flip_info(const struct unit *unit, struct draft *draft)
{
	struct step *step;

	if (!memcmp(&unit->info, &unit->old->info, sizeof(unit->info)))
		return;
	step = replacing_step(draft, STEP_FLIP_SERVICE_INFO, unit->id);
	step->value.info = copy_info(draft, &unit->info);
	step->old.info = copy_info(draft, &unit->old->info);
}

static void flip_value(const struct unit *unit, struct draft *draft)
{
	struct step *step;

	if (!memcmp(&unit->value, &unit->old->value, sizeof(unit->value)))
		return;
	step = replacing_step(draft, STEP_FLIP_SERVICE, unit->id);
	step->value.service = unit->value;
	step->old.service = unit->old->value;
}

static void flip_endpoint(const struct member *member, const struct sst_endpoint *value,
			  struct draft *draft)
{
	struct step *step;

	if (!memcmp(value, &member->old->value, sizeof(*value)))
		return;
	step = replacing_step(draft, STEP_FLIP_ENDPOINT, member->id);
	step->value.endpoint = *value;
	step->old.endpoint = member->old->value;
}

/*
 * What an endpoint becomes before GRACE. One that leaves may still be remembered by
 * affinity, which looks at its state; from now on that finds it no longer usable, and
 * after GRACE nobody is left who found it so.
 */
static struct sst_endpoint flipped_value(const struct member *member)
{
	struct sst_endpoint value = member->leaves ? member->old->value : member->value;

	if (member->leaves && value.state == SST_ENDPOINT_READY)
		value.state = SST_ENDPOINT_DRAINING;
	return value;
}

/* Of the endpoints that were there: those that shall be ready, or the others. */
static void flip_endpoints(const struct unit *unit, bool ready, struct draft *draft)
{
	for (size_t i = 0; i < unit->n_members; i++) {
		const struct member *member = &unit->members[i];
		struct sst_endpoint value;

		if (!member->old)
			continue;
		value = flipped_value(member);
		if ((value.state == SST_ENDPOINT_READY) == ready)
			flip_endpoint(member, &value, draft);
	}
}

/* Of the services that stay: those that gain addresses, or the others. */
static void flip_services(const struct diff *diff, bool gaining, struct draft *draft)
{
	for (size_t i = 0; i < diff->n_units; i++) {
		const struct unit *unit = &diff->units[i];

		if (!unit->old || unit->leaves || unit->gains_addresses != gaining)
			continue;
		flip_info(unit, draft);
		flip_endpoints(unit, true, draft);
		flip_value(unit, draft);
		flip_endpoints(unit, false, draft);
	}
}

static void flip_frontends(const struct diff *diff, struct draft *draft)
{
	for (size_t i = 0; i < diff->n_fronts; i++) {
		const struct front *front = &diff->fronts[i];
		struct step *step;

		if (!front_is_news(front))
			continue;
		step = draft_step(draft, STEP_FLIP_FRONTEND, front->unit->id);
		step->value.frontend.key = front->key;
		step->value.frontend.service = front->unit->id;
		step->value.frontend.netns = front->netns;
		step->replaces = front->old;
		if (front->old)
			step->old.frontend = *front->old;
	}
}

static void drop_frontends(const struct diff *diff, struct draft *draft)
{
	for (size_t i = 0; i < diff->state->n_frontends; i++) {
		const struct state_frontend *frontend = &diff->state->frontends[i];

		struct step *step;

		if (diff->address_stays[i])
			continue;
		step = replacing_step(draft, STEP_DROP_FRONTEND, frontend->service);
		step->old.frontend = *frontend;
	}
}

/* A connect() that found the address just before it was dropped is refused. */
static void close_services(const struct diff *diff, struct draft *draft)
{
	for (size_t i = 0; i < diff->n_units; i++) {
		const struct unit *unit = &diff->units[i];

		if (!unit->leaves)
			continue;
		if (unit->old)
			flip_value(unit, draft);
		flip_endpoints(unit, false, draft);
	}
}

/* ---- REMOVE ----------------------------------------------------------------- */

static void retire_members(const struct unit *unit, struct draft *draft)
{
	for (size_t i = 0; i < unit->n_members; i++) {
		const struct member *member = &unit->members[i];
		struct step *step;

		if (!member->leaves || member->old->value.state == SST_ENDPOINT_REMOVED)
			continue;
		step = replacing_step(draft, STEP_RETIRE_ENDPOINT, member->id);
		step->value.endpoint = member->value;
		step->old.endpoint = flipped_value(member);
	}
}

static void retire_endpoints(const struct diff *diff, struct draft *draft)
{
	for (size_t i = 0; i < diff->n_units; i++)
		retire_members(&diff->units[i], draft);
}

static void delete_endpoints(const struct diff *diff, struct draft *draft)
{
	for (size_t i = 0; i < diff->n_members; i++) {
		const struct member *member = &diff->members[i];
		struct step *step;

		if (!member_ends(member))
			continue;
		step = replacing_step(draft, STEP_DELETE_ENDPOINT, member->id);
		step->old.endpoint = member->value;
	}
}

static void delete_services(const struct diff *diff, struct draft *draft)
{
	for (size_t i = 0; i < diff->n_units; i++) {
		const struct unit *unit = &diff->units[i];
		struct step *step;

		if (!unit_ends(unit))
			continue;
		step = draft_step(draft, STEP_DELETE_SERVICE, unit->id);
		step->replaces = unit->old;
		step->old.service = unit->value;
	}
}

static enum sst_splice effective_splice(enum sst_splice node, enum sst_splice service)
{
	if (node == SST_SPLICE_OFF || service == SST_SPLICE_INHERIT)
		return node;
	return service;
}

/* OFF, AUTO and ON are numbered from the strict to the lax. */
static bool splice_tightens(const struct diff *diff)
{
	enum sst_splice before = diff->state->config.splice, after = diff->config.splice;

	if (after < before)
		return true;
	for (size_t i = 0; i < diff->n_units; i++) {
		const struct unit *unit = &diff->units[i];

		if (unit->old && effective_splice(after, unit->value.splice) <
					 effective_splice(before, unit->old->value.splice))
			return true;
	}
	return false;
}

/* ---- all of it -------------------------------------------------------------- */

static bool anything_replaced(const struct draft *draft)
{
	for (size_t i = 0; i < draft->plan.n_steps; i++)
		if (draft->plan.steps[i].replaces)
			return true;
	return false;
}

/* A policy set that is put in force is waited for by the kernel itself. */
static bool has_waited(const struct plan *plan)
{
	return plan->n_steps && plan->steps[plan->n_steps - 1].kind == STEP_FLIP_POLICY;
}

/* Waiting is for nothing when nobody can have seen anything else, and nothing is removed. */
static void remove_after_grace(const struct diff *diff, struct draft *draft)
{
	bool waited = diff->input->has_waited || has_waited(&draft->plan);
	bool replaced = anything_replaced(draft);
	size_t grace = draft->plan.n_steps;

	if (!waited)
		draft_step(draft, STEP_GRACE, 0);
	policy_revoke(diff, draft);
	policy_remove(diff, draft);
	retire_endpoints(diff, draft);
	delete_endpoints(diff, draft);
	delete_services(diff, draft);
	if (diff->input->stop_splice || splice_tightens(diff))
		draft_step(draft, STEP_STOP_SPLICE, 0);
	if (!waited && !replaced && draft->plan.n_steps == grace + 1)
		draft->plan.n_steps = grace;
}

static void add(struct diff *diff, struct draft *draft)
{
	add_service_stats(diff, draft);
	add_endpoint_stats(diff, draft);
	add_endpoints(diff, draft);
	add_slots(diff, draft);
	add_services(diff, draft);
	policy_add(diff, draft);
}

/*
 * An address comes to a service that has changed already, and leaves one that has not
 * changed yet: whoever asks for it meets the old service or the new one, as they were
 * and will be. Only services that gain and lose addresses at once are in between.
 * A policy set comes last, since it waits; but the first one before the config tells of it.
 */
static void flip_all(const struct diff *diff, struct draft *draft)
{
	bool first_set = !diff->state->config.enforces;

	if (first_set)
		policy_flip(diff, draft);
	flip_config(diff, draft);
	flip_services(diff, true, draft);
	flip_frontends(diff, draft);
	drop_frontends(diff, draft);
	flip_services(diff, false, draft);
	close_services(diff, draft);
	if (!first_set)
		policy_flip(diff, draft);
}

void steps_write(struct diff *diff, struct draft *draft)
{
	add(diff, draft);
	flip_all(diff, draft);
	remove_after_grace(diff, draft);
}

void steps_write_collect(const struct diff *diff, struct draft *draft)
{
	remove_after_grace(diff, draft);
}
