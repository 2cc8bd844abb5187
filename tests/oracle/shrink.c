/* SPDX-License-Identifier: Apache-2.0 */
#include "oracle/shrink.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/cleanup.h"

struct shrinker {
	struct cluster *cluster;
	struct query *query;
	shrink_fails fails;
	void *arg;
	time_t end;
	bool progress; /* something was left out in this round */
};

enum { SECONDS = 60 };

static bool still_fails(struct shrinker *shrinker)
{
	bool fails = time(NULL) < shrinker->end &&
		     shrinker->fails(shrinker->cluster, shrinker->query, shrinker->arg);

	shrinker->progress |= fails;
	return fails;
}

/* ---- leaving out ---------------------------------------------------------------- */

/* Elements first to first + n of an array of *total; true: they are gone. */
static bool drop_some(struct shrinker *shrinker, void *items, size_t *total, size_t size,
		      size_t first, size_t n)
{
	size_t bytes = n * size, rest = (*total - first - n) * size;
	unsigned char *at = (unsigned char *)items + first * size;
	_cleanup_free_ void *kept = malloc(bytes);

	assert(kept);
	memcpy(kept, at, bytes);
	memmove(at, at + bytes, rest);
	*total -= n;
	if (still_fails(shrinker))
		return true;
	memmove(at + bytes, at, rest);
	memcpy(at, kept, bytes);
	*total += n;
	return false;
}

/* Whatever can be missed, but for `least`: large parts first, there may be thousands. */
static void drop_each(struct shrinker *shrinker, void *items, size_t *n, size_t size, size_t least)
{
	for (size_t part = *n > 8 ? *n / 2 : 1; part; part /= 2)
		for (size_t i = 0; i + part <= *n;)
			if (*n - part < least || !drop_some(shrinker, items, n, size, i, part))
				i += part;
}

#define DROP_EACH(shrinker, array, count, least) \
	drop_each(shrinker, array, &(count), sizeof((array)[0]), least)

/* Gives a field its plainest value. */
#define PLAIN(shrinker, field, value)               \
	({                                          \
		__typeof__(field) _kept = (field);  \
		bool _plain = _kept == (value);     \
		if (!_plain) {                      \
			(field) = (value);          \
			if (!still_fails(shrinker)) \
				(field) = _kept;    \
		}                                   \
	})

/* ---- policies ------------------------------------------------------------------- */

static void shrink_selector(struct shrinker *shrinker, struct model_selector *selector)
{
	if (!selector)
		return;
	DROP_EACH(shrinker, selector->requirements, selector->n, 0);
	for (size_t i = 0; i < selector->n; i++) {
		struct model_requirement *requirement = &selector->requirements[i];

		DROP_EACH(shrinker, requirement->values, requirement->n_values, 1);
	}
}

static void shrink_peers(struct shrinker *shrinker, struct model_rule *rule)
{
	size_t n = rule->n_peers;

	if (rule->any_peer)
		return;
	rule->any_peer = true;
	rule->n_peers = 0;
	if (still_fails(shrinker))
		return;
	rule->any_peer = false;
	rule->n_peers = n;
	/* none would be nobody: no file can say that */
	DROP_EACH(shrinker, rule->peers, rule->n_peers, 1);
	for (size_t i = 0; i < rule->n_peers; i++) {
		DROP_EACH(shrinker, rule->peers[i].excepts, rule->peers[i].n_excepts, 0);
		shrink_selector(shrinker, rule->peers[i].namespaces);
		shrink_selector(shrinker, &rule->peers[i].workloads);
	}
}

static bool has_rules(const struct model_policy *policy, enum sst_direction direction)
{
	for (size_t i = 0; i < policy->n_rules; i++)
		if (policy->rules[i].direction == direction)
			return true;
	return false;
}

/* One direction of two is enough, if the other has no rules. */
static void shrink_isolates(struct shrinker *shrinker, struct model_policy *policy)
{
	for (int i = 0; i < SST_DIRECTIONS; i++)
		if (policy->isolates[!i] && !has_rules(policy, i))
			PLAIN(shrinker, policy->isolates[i], false);
}

static void shrink_policy(struct shrinker *shrinker, struct model_policy *policy)
{
	DROP_EACH(shrinker, policy->rules, policy->n_rules, 0);
	shrink_isolates(shrinker, policy);
	shrink_selector(shrinker, policy->subject_namespaces);
	shrink_selector(shrinker, &policy->subject);
	PLAIN(shrinker, policy->shadow, false);
	for (size_t i = 0; i < policy->n_rules; i++) {
		struct model_rule *rule = &policy->rules[i];

		shrink_peers(shrinker, rule);
		DROP_EACH(shrinker, rule->ports, rule->n_ports, 0);
		if (!policy->shadow)
			PLAIN(shrinker, rule->shadow, false);
	}
}

/* ---- who is who ----------------------------------------------------------------- */

static void renumber(struct actor *actor, size_t dropped)
{
	if (actor->workload != NOBODY && actor->workload > dropped)
		actor->workload--;
}

static void drop_workload(struct shrinker *shrinker, size_t i)
{
	struct model *model = &shrinker->cluster->model;
	struct query *query = shrinker->query, before = *query;

	if (query->subject.workload == i || (!query->by_address && query->peer.workload == i))
		return;
	renumber(&query->subject, i);
	renumber(&query->peer, i);
	if (!drop_some(shrinker, model->workloads, &model->n_workloads, sizeof(*model->workloads),
		       i, 1))
		*query = before;
}

static void shrink_workloads(struct shrinker *shrinker)
{
	struct model *model = &shrinker->cluster->model;

	for (size_t i = model->n_workloads; i-- > 0;)
		drop_workload(shrinker, i);
	for (size_t i = 0; i < model->n_workloads; i++) {
		struct model_workload *workload = &model->workloads[i];

		DROP_EACH(shrinker, workload->labels.items, workload->labels.n, 0);
		DROP_EACH(shrinker, workload->ports, workload->n_ports, 0);
		/* it must be known by something */
		DROP_EACH(shrinker, workload->addresses, workload->n_addresses, !workload->cgroup);
	}
}

static bool is_used(const struct model *model, const char *name_space)
{
	for (size_t i = 0; i < model->n_workloads; i++)
		if (!strcmp(model->workloads[i].name_space, name_space))
			return true;
	for (size_t i = 0; i < model->n_policies; i++)
		if (!strcmp(model->policies[i].name_space, name_space))
			return true;
	return false;
}

static void shrink_namespaces(struct shrinker *shrinker)
{
	struct model *model = &shrinker->cluster->model;

	for (size_t i = model->n_namespaces; i-- > 0;)
		if (!is_used(model, model->namespaces[i].name))
			drop_some(shrinker, model->namespaces, &model->n_namespaces,
				  sizeof(*model->namespaces), i, 1);
	for (size_t i = 0; i < model->n_namespaces; i++) {
		struct model_labels *labels = &model->namespaces[i].labels;

		for (size_t j = labels->n; j-- > 0;)
			if (strcmp(labels->items[j].key, MODEL_NAMESPACE_LABEL) != 0)
				drop_some(shrinker, labels->items, &labels->n,
					  sizeof(*labels->items), j, 1);
	}
}

static void shrink_settings(struct shrinker *shrinker)
{
	struct model_policy_settings *settings = &shrinker->cluster->model.node.policy;
	struct policy_host *host = &shrinker->cluster->host;

	DROP_EACH(shrinker, settings->nodes, settings->n_nodes, 0);
	DROP_EACH(shrinker, host->addresses, host->n_addresses, 0);
	PLAIN(shrinker, settings->default_deny, false);
	PLAIN(shrinker, settings->host, MODEL_HOST_ALLOW);
	if (settings->host != MODEL_HOST_PROBES)
		PLAIN(shrinker, settings->probes_cgroup, NULL);
}

/* ---- all of it ------------------------------------------------------------------ */

void shrink(struct cluster *cluster, struct query *query, shrink_fails fails, void *arg)
{
	struct shrinker shrinker = { cluster, query, fails, arg, time(NULL) + SECONDS };
	struct model *model = &cluster->model;

	do {
		shrinker.progress = false;
		DROP_EACH(&shrinker, model->policies, model->n_policies, 0);
		for (size_t i = 0; i < model->n_policies; i++)
			shrink_policy(&shrinker, &model->policies[i]);
		shrink_workloads(&shrinker);
		shrink_namespaces(&shrinker);
		shrink_settings(&shrinker);
	} while (shrinker.progress);
}
