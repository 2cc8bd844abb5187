/* SPDX-License-Identifier: Apache-2.0 */
/* Both directions of one flow: what the kernel says of it, all in all. */
#ifndef SIDESTEP_POLICY_JUDGE_H
#define SIDESTEP_POLICY_JUDGE_H

#include "policy/party.h"

/* What verdicts depend on. */
struct judge {
	const struct policy_set *set;
	bool fail_closed; /* the node's `fail`: what cannot be decided is denied */
};

struct judged {
	bool denied;
	bool undecided;    /* who it is in that direction cannot be told: no rule, but `fail` */
	uint8_t direction; /* that decided: the one that denies, else ingress */
	uint8_t tier;
	uint32_t rule; /* 0: none */
};
static_assert(sizeof(struct judged) == 8, "compared by its bytes, so it has no holes");

/* As the kernel half does: who cannot be told has no rules, once there are some. */
bool policy_is_undecided(const struct policy_set *set, const struct party *subject);

/* The rules of each end that lives here, with local_only; of both ends, else. */
struct judged policy_judge(const struct judge *judge, const struct party *source,
			   const struct party *destination, uint16_t port, uint8_t protocol,
			   bool local_only);

#endif
