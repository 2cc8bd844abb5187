/* SPDX-License-Identifier: Apache-2.0 */
/* Carrying out a plan, and walking back when a step fails. See plan/plan.h. */
#include "datapath/internal.h"

#include <netinet/in.h>
#include <string.h>

#include "datapath/entries.h"
#include "datapath/ondemand.h"
#include "datapath/policy.h"
#include "plan/known.h"

struct apply {
	struct datapath *datapath;
	struct problems *problems;
	struct known *known; /* NULL: nobody wants to know */
	void *zero;          /* statistics of all CPUs, for new entries */
	bool retired;        /* endpoints have gone, their flows are to be looked at */
	bool kept;           /* this step left what was to go: flows have begun since */
	int old_set;         /* map of the policy set that was replaced, -1: there was none */
};

static int put(struct apply *apply, enum map_index map, const void *key, const void *value)
{
	return entry_put(apply->datapath->map[map], key, value);
}

/* What is not there need not be deleted. */
static int drop(struct apply *apply, enum map_index map, const void *key)
{
	if (bpf_map_delete_elem(apply->datapath->map[map], key) && errno != ENOENT)
		return -errno;
	return 0;
}

static struct sst_frontend frontend_value(const struct state_frontend *frontend)
{
	return (struct sst_frontend){
		.service = frontend->service,
		.netns = frontend->netns,
	};
}

static int put_frontend(struct apply *apply, const struct state_frontend *frontend)
{
	struct sst_frontend value = frontend_value(frontend);

	return put(apply, MAP_frontends, &frontend->key, &value);
}

static int put_info(struct apply *apply, __u32 id, const struct sst_service_info *info)
{
	__u64 start = 0;
	int err = put(apply, MAP_service_info, &id, info);

	if (!err &&
	    bpf_map_update_elem(apply->datapath->map[MAP_cursors], &id, &start, BPF_NOEXIST) &&
	    errno != EEXIST)
		err = -errno;
	return err;
}

static int put_slots(struct apply *apply, const struct step *step)
{
	uint32_t *slots =
		datapath_slots(apply->datapath, step->value.slots.first, step->value.slots.n);

	if (!slots)
		return -errno;
	memcpy(slots, step->value.slots.ids, step->value.slots.n * sizeof(*slots));
	/* the flip that follows must not be seen before these */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return 0;
}

/* The plan was made from a dump; flows may have begun since. Their statistics stay, and
 * the next plan deletes what this one leaves. */
static bool has_flows(struct apply *apply, enum map_index map, __u32 id)
{
	uint64_t open;
	int err = flows_open(apply->datapath, map, id, &open);

	return err ? err != -ENOENT : open;
}

static int delete_endpoint(struct apply *apply, __u32 id)
{
	apply->kept = has_flows(apply, MAP_endpoint_stats, id);
	if (apply->kept)
		return 0;
	return drop(apply, MAP_endpoints, &id) ?: drop(apply, MAP_endpoint_stats, &id);
}

static int delete_service(struct apply *apply, __u32 id)
{
	static const enum map_index maps[] = { MAP_services, MAP_service_info, MAP_cursors,
					       MAP_service_stats };
	int err = 0;

	apply->kept = has_flows(apply, MAP_service_stats, id);
	if (apply->kept)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(maps); i++)
		err = drop(apply, maps[i], &id) ?: err;
	return err;
}

static int step_do(struct apply *apply, const struct step *step, const struct policy_set *set)
{
	switch (step->kind) {
	case STEP_ADD_SERVICE_STATS:
		return put(apply, MAP_service_stats, &step->id, apply->zero);
	case STEP_ADD_ENDPOINT_STATS:
		return put(apply, MAP_endpoint_stats, &step->id, apply->zero);
	case STEP_ADD_ENDPOINT:
	case STEP_FLIP_ENDPOINT:
		return put(apply, MAP_endpoints, &step->id, &step->value.endpoint);
	case STEP_ADD_SLOTS:
		return put_slots(apply, step);
	case STEP_ADD_SERVICE_INFO:
	case STEP_FLIP_SERVICE_INFO:
		return put_info(apply, step->id, step->value.info);
	case STEP_ADD_SERVICE:
	case STEP_FLIP_SERVICE:
		return put(apply, MAP_services, &step->id, &step->value.service);
	case STEP_ADD_RULE_STATS:
		return put(apply, MAP_rule_stats, &step->id, apply->zero);
	case STEP_ATTACH:
		return ondemand_attach(apply->datapath, &step->value.hook);
	case STEP_FLIP_POLICY:
		return policy_replace(apply->datapath, set, &apply->old_set);
	case STEP_FLIP_CONFIG:
		return config_write(apply->datapath, &step->value.config);
	case STEP_FLIP_FRONTEND:
		return put_frontend(apply, &step->value.frontend);
	case STEP_DROP_FRONTEND:
		return drop(apply, MAP_frontends, &step->old.frontend.key);
	case STEP_GRACE:
		return grace_wait();
	case STEP_REVOKE:
		/* told in problems: the change itself is in force */
		datapath_revoke(apply->datapath, apply->problems);
		return 0;
	case STEP_DELETE_POLICY:
		return policy_delete(apply->datapath);
	case STEP_DELETE_RULE_STATS:
		return drop(apply, MAP_rule_stats, &step->id);
	case STEP_DETACH:
		return ondemand_detach(apply->datapath, &step->value.hook);
	case STEP_RETIRE_ENDPOINT:
		apply->retired = true;
		return put(apply, MAP_endpoints, &step->id, &step->value.endpoint);
	case STEP_DELETE_ENDPOINT:
		return delete_endpoint(apply, step->id);
	case STEP_DELETE_SERVICE:
		return delete_service(apply, step->id);
	case STEP_STOP_SPLICE:
		/* most are ready to be taken out at once; a daemon sees to the rest */
		return datapath_stop_splice(apply->datapath)
			       ?: datapath_release(apply->datapath, NULL, NULL);
	}
	return -EINVAL;
}

/* The way back of one step before GRACE. Slots need none: nothing refers to them. */
static void step_undo(struct apply *apply, const struct step *step)
{
	switch (step->kind) {
	case STEP_ADD_SERVICE_STATS:
		drop(apply, MAP_service_stats, &step->id);
		break;
	case STEP_ADD_ENDPOINT_STATS:
		drop(apply, MAP_endpoint_stats, &step->id);
		break;
	case STEP_ADD_ENDPOINT:
		drop(apply, MAP_endpoints, &step->id);
		break;
	case STEP_ADD_SERVICE_INFO:
		drop(apply, MAP_service_info, &step->id);
		drop(apply, MAP_cursors, &step->id);
		break;
	case STEP_ADD_SERVICE:
		drop(apply, MAP_services, &step->id);
		break;
	case STEP_ADD_RULE_STATS:
		drop(apply, MAP_rule_stats, &step->id);
		break;
	case STEP_ATTACH:
		ondemand_detach(apply->datapath, &step->value.hook);
		break;
	case STEP_FLIP_POLICY:
		policy_put_back(apply->datapath, apply->old_set);
		break;
	case STEP_FLIP_CONFIG:
		config_write(apply->datapath, &step->old.config);
		break;
	case STEP_FLIP_SERVICE_INFO:
		put_info(apply, step->id, step->old.info);
		break;
	case STEP_FLIP_ENDPOINT:
		put(apply, MAP_endpoints, &step->id, &step->old.endpoint);
		break;
	case STEP_FLIP_SERVICE:
		put(apply, MAP_services, &step->id, &step->old.service);
		break;
	case STEP_FLIP_FRONTEND:
		if (step->replaces)
			put_frontend(apply, &step->old.frontend);
		else
			drop(apply, MAP_frontends, &step->value.frontend.key);
		break;
	case STEP_DROP_FRONTEND:
		put_frontend(apply, &step->old.frontend);
		break;
	default:
		break;
	}
}

/* ---- many alike ------------------------------------------------------------ */

/* What steps of this kind write, one element each; MAP_MAX: they do something else, too. */
static enum map_index written_by(enum step_kind kind)
{
	switch (kind) {
	case STEP_ADD_SERVICE_STATS:
		return MAP_service_stats;
	case STEP_ADD_ENDPOINT_STATS:
		return MAP_endpoint_stats;
	case STEP_ADD_ENDPOINT:
		return MAP_endpoints;
	case STEP_ADD_SERVICE_INFO:
		return MAP_service_info;
	case STEP_ADD_SERVICE:
		return MAP_services;
	case STEP_ADD_RULE_STATS:
		return MAP_rule_stats;
	case STEP_FLIP_FRONTEND:
		return MAP_frontends;
	default:
		return MAP_MAX;
	}
}

/* New statistics are 0. */
static void fill_element(size_t i, void *key, void *value, void *arg)
{
	const struct step *step = (const struct step *)arg + i;
	struct sst_frontend frontend;

	memcpy(key, &step->id, sizeof(step->id));
	switch (step->kind) {
	case STEP_ADD_ENDPOINT:
		memcpy(value, &step->value.endpoint, sizeof(step->value.endpoint));
		break;
	case STEP_ADD_SERVICE_INFO:
		memcpy(value, step->value.info, sizeof(*step->value.info));
		break;
	case STEP_ADD_SERVICE:
		memcpy(value, &step->value.service, sizeof(step->value.service));
		break;
	case STEP_FLIP_FRONTEND:
		frontend = frontend_value(&step->value.frontend);
		memcpy(key, &step->value.frontend.key, sizeof(step->value.frontend.key));
		memcpy(value, &frontend, sizeof(frontend));
		break;
	default:
		break;
	}
}

/* How many steps from this one on are of its kind, and can be done in one go. */
static size_t count_alike(const struct step *steps, size_t n)
{
	size_t alike = 1;

	while (alike < n && steps[alike].kind == steps->kind)
		alike++;
	return written_by(steps->kind) == MAP_MAX ? 1 : alike;
}

static void fill_cursor(size_t i, void *key, void *value, void *arg)
{
	const struct step *step = (const struct step *)arg + i;

	(void)value; /* they begin at 0 */
	memcpy(key, &step->id, sizeof(step->id));
}

static int steps_do(struct apply *apply, const struct step *steps, size_t n)
{
	const int *map = apply->datapath->map;
	int err = entries_put(map[written_by(steps->kind)], n, fill_element, (void *)steps);

	if (!err && steps->kind == STEP_ADD_SERVICE_INFO)
		err = entries_put(map[MAP_cursors], n, fill_cursor, (void *)steps);
	return err;
}

/* ---- the plan -------------------------------------------------------------- */

/* Back to where it was; what the steps wrote may still be looked at for a moment. */
static void walk_back(struct apply *apply, const struct plan *plan, size_t done)
{
	while (done--)
		step_undo(apply, &plan->steps[done]);
	grace_wait();
}

static void note(struct apply *apply, const struct step *step)
{
	if (apply->known && !apply->kept)
		known_note(apply->known, step);
	apply->kept = false;
}

/* Step i, or from it on n that go together. */
static int run_some(struct apply *apply, const struct plan *plan, size_t i, size_t n)
{
	const struct step *steps = &plan->steps[i];
	int err = n > 1 ? steps_do(apply, steps, n) : step_do(apply, steps, &plan->policy);

	for (size_t j = 0; j < n && !err; j++)
		note(apply, &steps[j]);
	return err;
}

/* The first n steps. */
static int run(struct apply *apply, const struct plan *plan, size_t n)
{
	for (size_t i = 0, alike; i < n; i += alike) {
		enum step_kind kind = plan->steps[i].kind;
		int err;

		alike = count_alike(&plan->steps[i], n - i);
		err = run_some(apply, plan, i, alike);
		if (!err)
			continue;
		if (apply->known)
			known_forget(apply->known);
		if (kind < STEP_GRACE) {
			/* of many some are done; to undo the others changes nothing */
			walk_back(apply, plan, alike > 1 ? i + alike : i);
			return fail(apply->problems, err,
				    "the kernel refused a change, all is as it was: %s",
				    strerror(-err));
		}
		fail(apply->problems, err,
		     "in force, but what it replaced could not be removed (step %zu of %zu), "
		     "the next change tries again: %s",
		     i + 1, plan->n_steps, strerror(-err));
		if (kind == STEP_GRACE)
			return 0; /* what may still be looked at must stay */
	}
	if (apply->retired)
		/* told in problems: the change itself is in force */
		datapath_end_leavers(apply->datapath, apply->problems);
	return 0;
}

/* The ids are taken before the first step: an id never names two things, whatever
 * happens to this plan. */
static int reserve_ids(struct apply *apply, const struct plan *plan)
{
	struct sst_meta meta;
	int err = meta_read(apply->datapath, &meta);

	if (err)
		return err;
	meta.next_service = plan->next_service;
	meta.next_endpoint = plan->next_endpoint;
	meta.next_set = plan->next_set;
	meta.next_identity = plan->next.identity;
	meta.next_workload = plan->next.workload;
	meta.next_rule = plan->next.rule;
	return meta_write(apply->datapath, &meta);
}

/* What was known of the maps before is known of them now. */
static int raise_generation(struct apply *apply)
{
	struct sst_meta meta;
	int err = meta_read(apply->datapath, &meta);
	bool is_known;

	if (err)
		return err;
	is_known = apply->known && known_is_current(apply->known, meta.generation);
	apply->datapath->others |= meta.generation != apply->datapath->generation;
	apply->datapath->generation = ++meta.generation;
	err = meta_write(apply->datapath, &meta);
	if (!err && is_known)
		known_raise(apply->known, meta.generation);
	return err;
}

bool datapath_take_others(struct datapath *datapath)
{
	struct sst_meta meta;
	bool others;

	if (meta_read(datapath, &meta))
		return false;
	others = datapath->others || meta.generation != datapath->generation;
	datapath->generation = meta.generation;
	datapath->others = false;
	return others;
}

static size_t steps_until_grace(const struct plan *plan)
{
	size_t n = 0;

	while (n < plan->n_steps && plan->steps[n].kind != STEP_GRACE)
		n++;
	return n;
}

int datapath_apply(struct datapath *datapath, const struct plan *plan, enum apply_extent extent,
		   struct known *known, struct problems *problems)
{
	_cleanup_free_ void *zero = calloc(libbpf_num_possible_cpus(), sizeof(struct sst_stats));
	size_t n = extent == APPLY_FLIP ? steps_until_grace(plan) : plan->n_steps;
	struct apply apply = { .datapath = datapath,
			       .problems = problems,
			       .known = known,
			       .zero = zero,
			       .old_set = -1 };
	int err;

	if (!n)
		return 0;
	if (!zero)
		return -ENOMEM;
	if (!datapath->locked)
		return -ENOLCK;
	err = reserve_ids(&apply, plan);
	if (!err)
		err = run(&apply, plan, n);
	cleanup_close(&apply.old_set);
	if (!err)
		err = raise_generation(&apply);
	return err;
}
