/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/judge.h"

static bool is_elsewhere(const struct policy_set *set, const struct party *subject)
{
	return subject->workload &&
	       !(policy_workload(set, subject->workload)->flags & SST_WORKLOAD_LOCAL);
}

bool policy_is_undecided(const struct policy_set *set, const struct party *subject)
{
	return subject->identity == SST_IDENTITY_UNKNOWN &&
	       policy_head(set)->flags & SST_POLICY_RULES;
}

static struct judged judge_direction(const struct judge *judge, enum sst_direction direction,
				     const struct party *subject, const struct party *peer,
				     uint16_t port, uint8_t protocol)
{
	const struct sst_policy_query query = { .subject = subject->identity,
						.peer = peer->identity,
						.peer_network = peer->network,
						.port = port,
						.protocol = protocol,
						.direction = direction };
	struct judged verdict = { .direction = direction };
	struct sst_policy_decision decision;

	if (policy_is_undecided(judge->set, subject)) {
		verdict.undecided = true;
		verdict.denied = judge->fail_closed;
		return verdict;
	}
	decision = policy_decide(judge->set, &query);
	verdict.denied = decision.denied;
	verdict.tier = decision.tier;
	verdict.rule = decision.rule;
	return verdict;
}

struct judged policy_judge(const struct judge *judge, const struct party *source,
			   const struct party *destination, uint16_t port, uint8_t protocol,
			   bool local_only)
{
	const struct policy_set *set = judge->set;
	struct judged verdict = { .direction = SST_INGRESS };

	if (policy_set_is_empty(set))
		return verdict;
	if (source->workload && source->workload == destination->workload) {
		verdict.tier = SST_TIER_SELF;
		return verdict;
	}
	if (!local_only || !is_elsewhere(set, source))
		verdict = judge_direction(judge, SST_EGRESS, source, destination, port, protocol);
	if (verdict.denied || (local_only && is_elsewhere(set, destination)))
		return verdict;
	return judge_direction(judge, SST_INGRESS, destination, source, port, protocol);
}
