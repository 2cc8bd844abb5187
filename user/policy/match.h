/* SPDX-License-Identifier: Apache-2.0 */
/* All the rules that match, where sst_policy_first() finds the first one. */
#ifndef SIDESTEP_POLICY_MATCH_H
#define SIDESTEP_POLICY_MATCH_H

#include "model/policy_set.h"

/* The lowest bit that is set in all rows, not below from; SST_POLICY_NO_BIT: none. */
uint32_t policy_next_match(const struct policy_set *set, const struct sst_policy_rows *rows,
			   uint32_t from);

/* Word n of what matches. */
uint64_t policy_match_word(const struct policy_set *set, const struct sst_policy_rows *rows,
			   uint32_t n);

/* The rule of a bit. */
const struct sst_policy_rule *policy_rule_at(const struct policy_set *set,
					     enum sst_direction direction, uint32_t bit);

#endif
