/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of the host a policy set depends on: the node's own addresses, and in which network
 * namespaces its workloads live. It changes without anybody writing a file.
 */
#ifndef SIDESTEP_DATAPATH_LOCATE_H
#define SIDESTEP_DATAPATH_LOCATE_H

#include "core/problems.h"
#include "model/model.h"
#include "policy/compile.h"

struct located {
	struct policy_host host;
	uint64_t *netns; /* inodes: ours and those of workloads, sorted */
	size_t n_netns;
};

/* What no model tells of the node. 0 or -errno. */
int locate_self(struct model_host *ret);

/*
 * Looks at the host; for a model without workloads and policies there is nothing to see.
 * What could not be found is told in problems and is no failure: a workload whose
 * namespace is not there yet is nobody's until it is.
 */
int locate(const struct model *model, struct problems *problems, struct located *ret);

bool located_equal(const struct located *a, const struct located *b);

void located_release(struct located *located);
#define _cleanup_located_ __attribute__((cleanup(located_release)))

#endif
