/* SPDX-License-Identifier: Apache-2.0 */
/* Both directions of one flow: what the kernel says of it, all in all. */
#ifndef SIDESTEP_POLICY_JUDGE_H
#define SIDESTEP_POLICY_JUDGE_H

#include "policy/party.h"

struct judged {
	bool denied;
	uint8_t direction; /* that decided: the one that denies, else ingress */
	uint8_t tier;
	uint32_t rule; /* 0: none */
};

/* The rules of each end that lives here, with local_only; of both ends, else. */
struct judged policy_judge(const struct policy_set *set, const struct party *source,
			   const struct party *destination, uint16_t port, uint8_t protocol,
			   bool local_only);

#endif
