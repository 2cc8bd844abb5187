/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why may SOURCE talk to DESTINATION, or why not: every rule that matches, in the order in
 * which they are asked, and what comes of it. Pure. Who decides is told by
 * sst_policy_decide(), which is what the kernel runs.
 */
#ifndef SIDESTEP_POLICY_EXPLAIN_H
#define SIDESTEP_POLICY_EXPLAIN_H

#include "core/problems.h"
#include "model/state.h"
#include "policy/party.h"

/* More of them are refused: labels may select many. */
#define EXPLAIN_PAIRS_MAX 10000

/*
 * Ends are named as party.h says. A destination may also be a service: "web:80", "web:http",
 * or "web", or one of its addresses, with the port beside it. A port's name is the service's,
 * or what those who are called give it: each of them that does is asked, at its own number.
 */
struct explain_question {
	const char *source;
	const char *destination;
	const char *port; /* "80", "53/UDP", "http"; NULL: destination tells */
	/* Whose socket is called at one of the node's own addresses: a workload's index, 0:
	 * nobody's. The kernel half looks; no table tells. NULL: nobody can be asked. */
	uint32_t (*listener)(const struct policy_set *set, const struct sst_addr *address,
			     uint16_t port, uint8_t protocol);
};

enum explain_part {
	EXPLAIN_DECIDES,
	EXPLAIN_PASSES,  /* goes on behind the admin tier */
	EXPLAIN_SHADOW,  /* is left out */
	EXPLAIN_TOO_LATE /* it was decided, or passed, before */
};

struct explain_match {
	struct sst_policy_rule rule;
	enum explain_part part;
};

struct explain_direction {
	struct sst_policy_query query;
	struct sst_policy_decision decision;
	bool undecided; /* the subject cannot be told: no rule is asked, the node's `fail` is */
	struct explain_match *matches; /* in order; each rule once */
	size_t n_matches;
};

struct explain_pair {
	struct party source;
	struct party destination;
	uint32_t endpoint; /* id, 0: it is not called through a service */
	uint16_t port;     /* host order; the endpoint's */
	bool self;         /* one workload: allowed before any rule is asked */
	bool denied;
	bool shadow_denied; /* what it would be, were all rules enforced */
	struct explain_direction directions[SST_DIRECTIONS];
};

struct explain {
	uint32_t service; /* id, 0: none */
	uint16_t port;    /* host order, as asked for; 0: by a name that workloads give */
	uint8_t protocol;
	bool fail_closed; /* what cannot be decided is denied */
	bool denied;      /* one of the pairs, at least */
	struct explain_pair *pairs;
	size_t n_pairs;
};

/*
 * Answers from a set that is not empty; the state tells of services and endpoints. Returns
 * 0, with what was taken for granted in problems; -EINVAL or -ENOENT, told in problems, for an end or a port that is nothing; -E2BIG,
 * told, for too many pairs; -ENOMEM.
 */
int policy_explain(const struct policy_set *set, const struct state *state,
		   const struct explain_question *question, struct problems *problems,
		   struct explain *ret);

/* Usable as a cleanup. */
void explain_release(struct explain *explain);
#define _cleanup_explain_ __attribute__((cleanup(explain_release)))

#endif
