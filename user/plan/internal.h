/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the planner. The way of the data:
 *
 *   match.c     model and state are laid side by side: struct diff
 *   slots.c     every service that needs a new schedule gets one, and room for it
 *   steps.c     the difference as steps
 *   describe.c  the difference as lines
 *   policy.c    the policy set's part of both
 */
#ifndef SIDESTEP_PLAN_INTERNAL_H
#define SIDESTEP_PLAN_INTERNAL_H

#include "core/text.h"
#include "plan/known.h"
#include "plan/plan.h"

/* An endpoint as it is and as it shall be. */
struct member {
	const struct state_endpoint *old; /* NULL: new */
	bool leaves;
	uint32_t id;
	uint64_t flows;            /* open ones, of who leaves */
	struct sst_endpoint value; /* as it shall be; REMOVED when it leaves */
};

/*
 * A service of the kernel as it is and as it shall be: one port of a service in
 * one family. Units come in the model's order, then those that leave.
 */
struct unit {
	const struct model_service *service; /* NULL: not in the model */
	const struct model_port *port;
	const struct state_service *old;          /* NULL: new, or only endpoints are left of it */
	const struct state_frontend *old_address; /* the first that leads to old, or NULL */
	bool leaves;
	bool gains_addresses; /* from nobody, or from another unit */
	uint32_t id;
	struct sst_service value; /* as it shall be */
	struct sst_service_info info;
	struct member *members; /* in the model's order, then those that leave */
	size_t n_members;
	uint32_t *slots; /* value.slots ids of a new schedule; NULL: the old one stands */
};

/* A frontend as it shall be. */
struct front {
	struct sst_frontend_key key;
	uint64_t netns; /* cookie of the only network namespace it is for, 0: for all */
	const struct unit *unit;
	const struct state_frontend *old; /* NULL: new */
};

struct diff {
	const struct plan_input *input;
	const struct model *model; /* NULL: nothing changes but what flows have left */
	const struct state *state;
	const struct known *known; /* NULL: state is all there is */
	struct known_room beside;  /* what of it is not in the state; slots: of all */
	int error;                 /* 0, or what open_flows() returned */
	struct sst_config config;  /* as it shall be */
	struct unit *units;
	size_t n_units;
	struct member *members;
	size_t n_members;
	struct front *fronts;
	size_t n_fronts;
	bool *address_stays;        /* parallel to state->frontends */
	struct unit **unit_of;      /* parallel to state->services */
	struct plan_policy *policy; /* NULL: nothing of it changes */
	bool policy_changes;        /* another set */
	uint32_t next_service;
	uint32_t next_endpoint;
};

/* Returns 0 or -errno; model and policy of input may be NULL. On failure *ret is untouched. */
int diff_make(const struct plan_input *input, struct diff *ret);
void diff_release(struct diff *diff);
#define _cleanup_diff_ __attribute__((cleanup(diff_release)))

static inline bool unit_is_new(const struct unit *unit)
{
	return !unit->old && !unit->leaves;
}

/* The address is new, or led to another service, or others. */
static inline bool front_is_news(const struct front *front)
{
	return !front->old || front->old->service != front->unit->id ||
	       front->old->netns != front->netns;
}

/* A member that leaves can be deleted once its last flow has closed. */
static inline bool member_ends(const struct member *member)
{
	return member->leaves && !member->flows;
}

/* The unit leaves and nobody of it stays behind. */
static inline bool unit_ends(const struct unit *unit)
{
	for (size_t i = 0; i < unit->n_members; i++)
		if (!member_ends(&unit->members[i]))
			return false;
	return unit->leaves;
}

/* The unit whose service has this id in the state; NULL when there is none. */
struct unit *diff_unit(const struct diff *diff, uint32_t id);

/* Nobody else is reached where somebody of the part wants to be; 0, or -EINVAL. */
int diff_check_addresses(const struct diff *diff, struct problems *problems);

/* Slots, a bit each. NULL: no memory. */
uint64_t *slot_bits_new(uint64_t n);

/* What lies beyond n is left out. */
void slot_bits_set(uint64_t *bits, uint64_t n, uint32_t first, uint32_t count, bool used);

/* Computes schedules: sets value.slots, and slots where the old schedule does not do. */
int diff_schedule(struct diff *diff);

/*
 * Finds a place for every new schedule beside all the old ones: sets value.first.
 * Returns 0; -E2BIG with a problem added; -ENOMEM.
 */
int diff_place(struct diff *diff, struct problems *problems);

/* What a map has to hold: while old and new stand side by side, and after that. */
struct demand {
	const char *what;
	enum state_map map;
	uint64_t peak;
	uint64_t settled;
};

/* Returns 0, or -E2BIG with a problem added. */
int demand_check(const struct demand *demand, const struct diff *diff, struct problems *problems);

/*
 * A plan being written. A failure is remembered in `error`, so that whoever adds
 * steps needs to look once only, at the end.
 */
struct draft {
	struct plan plan;
	size_t steps_size;
	size_t changes_size;
	struct step scratch; /* handed out when there is no memory for a step */
	int error;           /* 0 or -ENOMEM */
};

/* Never NULL. */
struct step *draft_step(struct draft *draft, enum step_kind kind, uint32_t id);

/* Empties both texts. A detail without content is told as NULL. */
void draft_change(struct draft *draft, char op, const char *kind, struct text *name,
		  struct text *detail);

/* All the way from state to model. The steps take over the new schedules of diff. */
void steps_write(struct diff *diff, struct draft *draft);

/* The last part of that way only: what can be deleted. */
void steps_write_collect(const struct diff *diff, struct draft *draft);

void changes_write(const struct diff *diff, struct draft *draft);

/* ---- the policy set's part ---- */

struct demand policy_demand(const struct diff *diff);

void policy_add(const struct diff *diff, struct draft *draft);
void policy_flip(const struct diff *diff, struct draft *draft);
void policy_revoke(const struct diff *diff, struct draft *draft);
void policy_remove(const struct diff *diff, struct draft *draft);

void policy_tell(const struct diff *diff, struct draft *draft);

/* Last: what FLIP_POLICY needs goes over to the plan. */
void policy_take(struct diff *diff, struct plan *plan);

#endif
