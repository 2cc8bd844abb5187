/* SPDX-License-Identifier: Apache-2.0 */
#include "oracle/compiled.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle/literal.h"

/* ---- asking --------------------------------------------------------------------- */

static uint32_t identity_of(const struct policy_set *set, const struct cluster *cluster,
			    struct actor actor)
{
	const struct model_workload *wanted;

	if (actor.workload == NOBODY)
		return actor.identity;
	wanted = &cluster->model.workloads[actor.workload];
	for (uint32_t i = 1; i < policy_head(set)->n_workloads; i++) {
		const struct sst_policy_workload *workload = policy_workload(set, i);
		const struct sst_policy_identity *identity =
			policy_identity(set, workload->identity);

		if (!strcmp(policy_text(set, workload->name), wanted->name) &&
		    !strcmp(policy_text(set, identity->name_space), wanted->name_space))
			return workload->identity;
	}
	fprintf(stderr, "the set knows no workload %s/%s\n", wanted->name_space, wanted->name);
	abort();
}

struct sst_policy_decision compiled_decide(const struct policy_set *set,
					   const struct cluster *cluster, const struct query *query)
{
	struct sst_policy_place place = { 0 };
	struct sst_policy_query compiled = {
		.subject = identity_of(set, cluster, query->subject),
		.port = query->port,
		.protocol = query->protocol,
		.direction = query->direction,
	};

	if (query->has_address)
		place = policy_locate(set, &query->address);
	compiled.peer = query->by_address ? place.identity : identity_of(set, cluster, query->peer);
	compiled.peer_network = place.network;
	return policy_decide(set, &compiled);
}

/* ---- who decided ---------------------------------------------------------------- */

static bool is_called(const struct model_policy *policy, size_t number, const char *name)
{
	const struct model_rule *rule = &policy->rules[number];
	char place[32];
	unsigned before = 0;

	if (rule->name)
		return !strcmp(rule->name, name);
	for (size_t i = 0; i < number; i++)
		before += policy->rules[i].direction == rule->direction;
	snprintf(place, sizeof(place), "%s[%u]",
		 rule->direction == SST_INGRESS ? "ingress" : "egress", before);
	return !strcmp(place, name);
}

/* The policy and, unless it is "isolated", the rule that an info is about. */
static bool find_rule(const struct policy_set *set, const struct model *model,
		      const struct sst_policy_info *info, const struct model_policy **ret_policy,
		      const struct model_rule **ret_rule)
{
	const char *name = policy_text(set, info->rule);

	for (size_t i = 0; i < model->n_policies; i++) {
		const struct model_policy *policy = &model->policies[i];

		if (policy->tier != info->tier ||
		    strcmp(policy->name, policy_text(set, info->policy)) != 0 ||
		    strcmp(policy->name_space, policy_text(set, info->name_space)) != 0)
			continue;
		*ret_policy = policy;
		*ret_rule = NULL;
		if (!strcmp(name, "isolated"))
			return true;
		for (size_t j = 0; j < policy->n_rules; j++)
			if (policy->rules[j].direction == info->direction &&
			    is_called(policy, j, name)) {
				*ret_rule = &policy->rules[j];
				return true;
			}
	}
	return false;
}

/* What is wrong with a rule having a say in this; NULL: nothing. */
static const char *wrong_rule(const struct policy_set *set, const struct cluster *cluster,
			      const struct query *query, const struct sst_policy_info *info)
{
	const struct model_policy *policy;
	const struct model_rule *rule;

	if (!info)
		return "no rule has this id";
	if (info->direction != query->direction)
		return "the rule is of the other direction";
	if (info->tier == SST_TIER_HOST || info->tier == SST_TIER_DEFAULT)
		return NULL;
	if (!find_rule(set, &cluster->model, info, &policy, &rule))
		return "the model has no such rule";
	if (!literal_selects(cluster, policy, query))
		return "the rule is not for this subject";
	if (info->shadow != (rule ? rule->shadow : policy->shadow))
		return "the rule is in shadow or is not, the other way round";
	if (rule)
		return literal_matches(cluster, policy, rule, query) ? NULL
								     : "the rule does not match";
	return policy->isolates[query->direction] ? NULL : "the policy does not isolate";
}

/* ADMIN, BASELINE: it must be the very rule that is first. */
static bool is_rule(const struct policy_set *set, const struct cluster *cluster,
		    const struct sst_policy_info *info, const struct model_rule *wanted)
{
	const struct model_policy *policy;
	const struct model_rule *rule;

	return !wanted || (find_rule(set, &cluster->model, info, &policy, &rule) && rule == wanted);
}

static const char *wrong_rules(const struct policy_set *set, const struct cluster *cluster,
			       const struct query *query, const struct literal_answer *answer,
			       const struct sst_policy_decision *decision)
{
	const struct sst_policy_info *info = policy_info_by_id(set, decision->rule);
	const struct sst_policy_info *shadow = policy_info_by_id(set, decision->shadow);
	const char *wrong = NULL;

	if (decision->rule)
		wrong = wrong_rule(set, cluster, query, info);
	if (!wrong && decision->rule && !is_rule(set, cluster, info, answer->rule))
		wrong = "another rule is first";
	if (!wrong && !decision->rule && answer->tier != SST_TIER_NONE)
		wrong = "no rule decided";
	if (!wrong && decision->rule && info->shadow)
		wrong = "a rule in shadow decided";
	if (!wrong && !decision->shadow != !answer->shadow)
		wrong = "a rule in shadow had a say, or had none";
	if (!wrong && decision->shadow)
		wrong = wrong_rule(set, cluster, query, shadow);
	if (!wrong && decision->shadow && !is_rule(set, cluster, shadow, answer->shadow_rule))
		wrong = "another rule in shadow is first";
	if (!wrong && decision->shadow && !shadow->shadow)
		wrong = "a rule that is enforced was told as one in shadow";
	return wrong;
}

/* ---- comparing ------------------------------------------------------------------ */

static void print_rule(const struct policy_set *set, uint32_t id, struct text *out)
{
	const struct sst_policy_info *info = policy_info_by_id(set, id);

	if (info)
		text_add(out, " (%s %s)", policy_text(set, info->policy),
			 policy_text(set, info->rule));
}

static void print_answers(const struct policy_set *set, const struct sst_policy_decision *decision,
			  const struct literal_answer *answer, const char *wrong, struct text *out)
{
	static const char *const verdicts[] = { "allowed", "denied" };
	static const char *const tiers[] = { "none",    "admin",    "host",
					     "network", "baseline", "default" };

	text_add(out, "compiled: %s, tier %s", verdicts[decision->denied], tiers[decision->tier]);
	print_rule(set, decision->rule, out);
	text_add(out, ", with shadow %s", verdicts[decision->shadow_denied]);
	print_rule(set, decision->shadow, out);
	text_add(out, "\nliteral:  %s, tier %s", verdicts[answer->denied], tiers[answer->tier]);
	if (answer->rule)
		text_add(out, " (%s, rule %zu)", answer->policy->name,
			 answer->rule - answer->policy->rules);
	text_add(out, ", with shadow %s\n", verdicts[answer->shadow_denied]);
	if (wrong)
		text_add(out, "%s\n", wrong);
}

bool compiled_agrees(const struct policy_set *set, const struct cluster *cluster,
		     const struct query *query, struct text *why)
{
	struct sst_policy_decision decision = compiled_decide(set, cluster, query);
	struct literal_answer answer = literal_decide(cluster, query);
	const char *wrong = wrong_rules(set, cluster, query, &answer, &decision);

	if (!wrong && decision.denied == answer.denied && decision.tier == answer.tier &&
	    decision.shadow_denied == answer.shadow_denied)
		return true;
	print_answers(set, &decision, &answer, wrong, why);
	return false;
}
