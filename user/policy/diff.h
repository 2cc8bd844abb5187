/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose verdicts change from one policy set to the next, with the `fail` of each: for each two
 * identities that both sets know (by id; their reserved ones, too), at all of their addresses,
 * on all ports.
 * Exact, and pure. An address that changes hands is not looked at.
 */
#ifndef SIDESTEP_POLICY_DIFF_H
#define SIDESTEP_POLICY_DIFF_H

#include "policy/judge.h"

#define DIFF_ROWS_MAX  1000         /* that are kept; all are counted */
#define DIFF_PAIRS_MAX (1ULL << 27) /* of parties: 11,000 of them, some minutes */

/* An identity, at addresses that neither set tells apart. */
struct diff_party {
	uint32_t id;
	struct party before;
	struct party after;
};

/* What changes alike, on some ports, between two of them. */
struct diff_row {
	struct diff_party source;
	struct diff_party destination;
	struct judged before;
	struct judged after;
	uint64_t *kinds; /* of ports, as bits */
};

struct policy_diff {
	struct diff_row *rows;
	size_t n_rows;
	uint64_t opened; /* all changes, also those beyond DIFF_ROWS_MAX */
	uint64_t closed;
	uint32_t identities_added; /* only the second set has them */
	uint32_t identities_removed;
	uint32_t *kinds; /* of each TCP port, then of each UDP port */
	uint32_t n_kinds;
};

/* -E2BIG: more than DIFF_PAIRS_MAX pairs are to be looked at; -ENOMEM. */
int policy_diff(const struct judge *before, const struct judge *after, struct policy_diff *ret);

/* Ports of one protocol that follow each other. */
struct diff_range {
	uint8_t protocol; /* 0: before the first */
	uint16_t first;
	uint16_t last;
};

/* From one range of a row's ports to the next; false: that was the last. */
bool diff_next_range(const struct policy_diff *diff, const struct diff_row *row,
		     struct diff_range *range);

/* Usable as a cleanup. */
void policy_diff_release(struct policy_diff *diff);
#define _cleanup_policy_diff_ __attribute__((cleanup(policy_diff_release)))

#endif
