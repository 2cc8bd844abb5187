/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/match.h"

static uint64_t word_at(const struct policy_set *set, uint32_t row, uint32_t n)
{
	return *sst_policy_at(&set->memory, row, n, __u64);
}

uint64_t policy_match_word(const struct policy_set *set, const struct sst_policy_rows *rows,
			   uint32_t n)
{
	return word_at(set, rows->subject, n) &
	       (word_at(set, rows->peer, n) | word_at(set, rows->network, n)) &
	       word_at(set, rows->port, n) & word_at(set, rows->mask, n);
}

uint32_t policy_next_match(const struct policy_set *set, const struct sst_policy_rows *rows,
			   uint32_t from)
{
	for (uint32_t i = from / 64; i < rows->blocks * SST_BLOCK_WORDS; i++) {
		uint64_t match = policy_match_word(set, rows, i);

		if (i == from / 64)
			match &= ~0ULL << from % 64;
		if (match)
			return i * 64 + sst_first_bit(match);
	}
	return SST_POLICY_NO_BIT;
}

const struct sst_policy_rule *policy_rule_at(const struct policy_set *set,
					     enum sst_direction direction, uint32_t bit)
{
	return sst_policy_at(&set->memory, policy_head(set)->direction[direction].rules, bit,
			     struct sst_policy_rule);
}
