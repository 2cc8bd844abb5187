/* SPDX-License-Identifier: Apache-2.0 */
/* What the compiled policy set says, held against the literal evaluator. */
#ifndef TESTS_ORACLE_COMPILED_H
#define TESTS_ORACLE_COMPILED_H

#include "core/text.h"
#include "oracle/cluster.h"
#include "model/policy_set.h"

struct sst_policy_decision compiled_decide(const struct policy_set *set,
					   const struct cluster *cluster,
					   const struct query *query);

/* True: verdict, tier, deciding rule and shadow are the literal evaluator's. Otherwise `why`
 * tells both answers. */
bool compiled_agrees(const struct policy_set *set, const struct cluster *cluster,
		     const struct query *query, struct text *why);

#endif
