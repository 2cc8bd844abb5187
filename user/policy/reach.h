/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each rule of a set comes to, over everything that can be asked of it: each kind of
 * subject, of peer with its address, and of port that it is about. Exact, and pure.
 */
#ifndef SIDESTEP_POLICY_REACH_H
#define SIDESTEP_POLICY_REACH_H

#include "model/policy_set.h"

/* A rule in shadow is looked at as if all rules were enforced. */
struct reach {
	bool unknown;       /* it is about too many to look at all of them */
	bool matches;       /* something */
	bool decides;       /* something, or passes it on */
	bool matters;       /* a pass: without it some verdict would be another */
	uint32_t hidden_by; /* id of the rule that decides, or passes, where it matched first */
};

/*
 * *ret has one for each of the set's infos, in their order, and is the caller's to free. When
 * so many words of rows have been looked at, the rest is unknown. Of built-in rules, isolation
 * among them, nothing is found out. 0 or -ENOMEM.
 */
int policy_reach(const struct policy_set *set, uint64_t words_max, struct reach **ret);

#endif
