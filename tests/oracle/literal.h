/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The slow, literal evaluator: reads a model and answers one question, sentence by
 * sentence as the specifications are written. It shares no code with the compiler, the
 * decision, or the model's matching, and keeps nothing from question to question.
 *
 * The texts: NetworkPolicySpec and its parts in the API of Kubernetes
 * (networking.k8s.io/v1), ClusterNetworkPolicySpec and its parts in the API of SIG Network
 * (policy.networking.k8s.io/v1alpha2), label selectors (apimachinery, meta/v1). The comments
 * of literal.c say which sentence a piece of code is.
 */
#ifndef TESTS_ORACLE_LITERAL_H
#define TESTS_ORACLE_LITERAL_H

#include "oracle/cluster.h"

struct literal_answer {
	bool denied;
	enum sst_tier tier;
	/* If whatever is in shadow were enforced: the verdict, and whether something in shadow had
	 * a say in it. What is enforced and decides the same is asked first. */
	bool shadow_denied;
	bool shadow;
	/* ADMIN and BASELINE: who decided, and the first in shadow that had a say. In the other
	 * tiers several may have. */
	const struct model_policy *policy;
	const struct model_rule *rule;
	const struct model_rule *shadow_rule;
};

struct literal_answer literal_decide(const struct cluster *cluster, const struct query *query);

/* Whose this address is. */
struct actor literal_owner(const struct cluster *cluster, const struct sst_addr *address);

/* Whether the policy is for the question's subject; whether the rule is about the question. */
bool literal_selects(const struct cluster *cluster, const struct model_policy *policy,
		     const struct query *query);
bool literal_matches(const struct cluster *cluster, const struct model_policy *policy,
		     const struct model_rule *rule, const struct query *query);

#endif
