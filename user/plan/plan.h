/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model and state in, ordered steps out. The order is such that the kernel half
 * sees a correct table after every single step:
 *
 *   1. ADD    endpoints, statistics, schedules that nothing refers to yet; hooks
 *   2. FLIP   values that make them visible: the config, services, frontends, the policy set
 *   3. GRACE  wait until no program still runs that saw the old values; the flip of a policy
 *             set does that by itself
 *   4. REMOVE what nothing refers to any more
 *
 * In FLIP an endpoint becomes READY before, and stops being READY after, the
 * service's value that makes the difference: a schedule names READY endpoints only.
 * One that leaves becomes DRAINING there, so that affinity forgets it before GRACE;
 * after that it is retired. Services that gain addresses flip before the frontends,
 * the others after: an address that moves meets no service halfway.
 *
 * A policy set decides from FLIP_POLICY on, to DELETE_POLICY, which waits by itself. It is
 * there before the config says that it must be (`enforces`), and goes when nobody is left
 * whom the config told so: nothing is undecided between.
 *
 * A step that fails in 1 or 2 is undone by walking back: every step holds what
 * it replaced. Slots have no old content worth keeping: nothing referred to them.
 * Removal cannot break anything, so 4 is never undone; a step of 4 that fails
 * leaves garbage that the next plan finds and removes. The same holds for a plan
 * that was cut short anywhere. Slots that only an earlier plan's readers may hold
 * count as free, so whoever has walked back, or does not know how the last plan
 * ended, waits as in GRACE before it applies the next.
 *
 * An endpoint that leaves the configuration becomes REMOVED and is deleted when
 * its last flow has closed, so that no counter is lost; a service follows its
 * last endpoint. An empty difference is an empty plan.
 */
#ifndef SIDESTEP_PLAN_PLAN_H
#define SIDESTEP_PLAN_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/problems.h"
#include "core/text.h"
#include "model/model.h"
#include "model/state.h"
#include "policy/compile.h"

enum step_kind {
	/* ADD; overwrites what a plan cut short may have left under the same id */
	STEP_ADD_SERVICE_STATS,  /* id */
	STEP_ADD_ENDPOINT_STATS, /* id */
	STEP_ADD_ENDPOINT,       /* id, endpoint */
	STEP_ADD_SLOTS,          /* slots.first, slots.n, slots.ids (owned by the plan) */
	STEP_ADD_SERVICE_INFO,   /* id, info; also the RR cursor */
	STEP_ADD_SERVICE,        /* id, service */
	STEP_ADD_RULE_STATS,     /* id */
	STEP_ATTACH,             /* hook */
	/* FLIP; replaces is always set but for FLIP_FRONTEND and FLIP_POLICY, where it tells */
	STEP_FLIP_POLICY,       /* the plan's set */
	STEP_FLIP_CONFIG,       /* config */
	STEP_FLIP_SERVICE_INFO, /* id, info */
	STEP_FLIP_ENDPOINT,     /* id, endpoint: weight, state (READY .. DRAINING) */
	STEP_FLIP_SERVICE,      /* id, service */
	STEP_FLIP_FRONTEND,     /* frontend */
	STEP_DROP_FRONTEND,     /* old.frontend: no new connection finds it */
	/* GRACE */
	STEP_GRACE,
	/* REMOVE */
	STEP_REVOKE,            /* flows that the set does not allow any more are ended */
	STEP_DELETE_POLICY,     /* the set in force */
	STEP_DELETE_RULE_STATS, /* id */
	STEP_DETACH,            /* hook */
	/* id, endpoint with state REMOVED; its service's on_remove says what befalls its flows */
	STEP_RETIRE_ENDPOINT,
	/* id: value and statistics */
	STEP_DELETE_ENDPOINT,
	/* id: value, info, cursor, statistics; a plan cut short may have left some of them only */
	STEP_DELETE_SERVICE,
	/* flows whose service or node no longer allows the splice go back to TCP */
	STEP_STOP_SPLICE,
};

union step_value {
	struct sst_config config;
	struct sst_service service;
	struct sst_service_info
		*info; /* owned by the plan: most steps have none, and it is large */
	struct sst_endpoint endpoint;
	struct state_frontend frontend;
	struct state_hook hook;
	struct {
		uint32_t first;
		uint32_t n;
		uint32_t *ids;
	} slots;
};

struct step {
	enum step_kind kind;
	uint32_t id;
	bool replaces; /* old holds what was there */
	union step_value value;
	union step_value old;
};

/*
 * One line of the difference, for people. op is '+', '~' or '-'. A service that
 * comes or goes is one line; its addresses and endpoints are told only when it stays.
 */
struct change {
	char op;
	const char *kind; /* "node", "service", "policy", ...; static */
	char *name;       /* "web/http 10.96.0.10:80/TCP", "web/http 10.1.0.2:8080"; node: "" */
	char *detail;     /* "weight 1 -> 3", NULL: nothing to add */
};

/* Appends "~ endpoint web/http 10.1.0.2:8080: weight 1 -> 3", without a newline. */
void change_tell(const struct change *change, struct text *out);

struct plan {
	struct step *steps;
	size_t n_steps;
	struct change *changes;
	size_t n_changes;
	struct policy_set policy; /* what FLIP_POLICY puts in force; without it, empty */
	/* for sst_meta, after this plan */
	uint32_t next_service;
	uint32_t next_endpoint;
	uint32_t next_set;
	struct policy_ids next;
};

/* The policy part of what is wanted, compiled. */
struct plan_policy {
	struct policy_set set;    /* empty: nothing is enforced */
	struct policy_ids ids;    /* after it was compiled */
	struct state_hook *hooks; /* that it needs, sorted by state_hook_compare() */
	size_t n_hooks;
};

void plan_policy_release(struct plan_policy *policy);
#define _cleanup_plan_policy_ __attribute__((cleanup(plan_policy_release)))

struct known;

/* What is planned from, and for. */
struct plan_input {
	const struct model *model;
	struct plan_policy *policy; /* NULL: nothing of it changes */
	const struct state *state;
	/* NULL: state is all there is. Else it is a part of this, and the model's services are
	 * all that shall be of that part; nothing else of the model is looked at. */
	const struct known *known;
	/* How many flows are open at an endpoint that leaves. NULL: as the state's statistics say. */
	int (*open_flows)(uint32_t endpoint, uint64_t *ret, void *arg);
	void *arg;
	bool has_waited;  /* plan_collect(): there was a GRACE since the state became so */
	bool stop_splice; /* plan_collect(): that was put off, too */
};

/*
 * Plans the way from state to model. Capacity is checked here, before anything
 * is touched: what does not fit is told in problems with both figures.
 * Returns 0; -E2BIG when it does not fit; -EINVAL when others than the part of the state have
 * an address that is wanted, told in problems; -ENOMEM; or what open_flows() returned. On failure
 * *ret is untouched; otherwise it may have taken policy's set over.
 */
int plan_make(const struct plan_input *input, struct problems *problems, struct plan *ret);

/* Only the deletions that closing flows have made possible since, whatever the model; never fails
 * for capacity. */
int plan_collect(const struct plan_input *input, struct plan *ret);

void plan_release(struct plan *plan);
#define _cleanup_plan_ __attribute__((cleanup(plan_release)))

#endif
