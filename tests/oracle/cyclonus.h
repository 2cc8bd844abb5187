/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cyclonus, an independent judge of NetworkPolicies, as a helper process
 * (tests/oracle/cyclonus). Its matcher is asked; for the network tier only.
 *
 * Where it deviates from the specification, or knows less, and what is done about it:
 *
 * - `NotIn` does not select what lacks the label; in Kubernetes it does. Models for it have
 *   NotIn only of labels that everybody has: cyclonus_can() tells.
 * - `matchLabels` with an empty value selects what lacks the label. All selectors are handed
 *   over as matchExpressions, which it gets right.
 * - Traffic has one port name, while a workload may give a port several. It is asked once
 *   for each, and any one that allows is enough: rules only ever allow.
 * - Every peer needs an address, or an ipBlock makes it panic: it is asked of addresses.
 * - Its way to simplify policies is wrong for "all but" (its own comment says so): not used.
 * - Rules of a direction that is not among the policyTypes are ignored, as in Kubernetes.
 *   Native YAML refuses them, so clusters have none.
 * - It knows of no node, and of no pod that reaches itself; nor is it asked of those.
 */
#ifndef TESTS_ORACLE_CYCLONUS_H
#define TESTS_ORACLE_CYCLONUS_H

#include <stdio.h>
#include <sys/types.h>

#include "oracle/cluster.h"

struct cyclonus {
	pid_t pid; /* 0: it does not run */
	FILE *to;
	FILE *from;
};

/* -ENOENT: there is no such program. */
int cyclonus_start(const char *program, struct cyclonus *ret);
void cyclonus_stop(struct cyclonus *cyclonus);

bool cyclonus_can(const struct cluster *cluster);

/* ret[i] says whether queries[i] is denied. -EIO: the helper has died. */
int cyclonus_judge(struct cyclonus *cyclonus, const struct cluster *cluster,
		   const struct query *queries, size_t n, bool *ret);

#endif
