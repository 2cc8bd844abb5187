/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/judge.h"

static bool is_elsewhere(const struct policy_set *set, const struct party *subject)
{
	return subject->workload &&
	       !(policy_workload(set, subject->workload)->flags & SST_WORKLOAD_LOCAL);
}

static struct judged judge_direction(const struct policy_set *set, enum sst_direction direction,
				     const struct party *subject, const struct party *peer,
				     uint16_t port, uint8_t protocol)
{
	const struct sst_policy_query query = { .subject = subject->identity,
						.peer = peer->identity,
						.peer_network = peer->network,
						.port = port,
						.protocol = protocol,
						.direction = direction };
	struct sst_policy_decision decision = policy_decide(set, &query);

	return (struct judged){ decision.denied, direction, decision.tier, decision.rule };
}

struct judged policy_judge(const struct policy_set *set, const struct party *source,
			   const struct party *destination, uint16_t port, uint8_t protocol,
			   bool local_only)
{
	struct judged verdict = { .direction = SST_INGRESS };

	if (policy_set_is_empty(set))
		return verdict;
	if (source->workload && source->workload == destination->workload) {
		verdict.tier = SST_TIER_SELF;
		return verdict;
	}
	if (!local_only || !is_elsewhere(set, source))
		verdict = judge_direction(set, SST_EGRESS, source, destination, port, protocol);
	if (verdict.denied || (local_only && is_elsewhere(set, destination)))
		return verdict;
	return judge_direction(set, SST_INGRESS, destination, source, port, protocol);
}
