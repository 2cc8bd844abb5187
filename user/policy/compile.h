/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a model to a policy set. Pure: the same input gives the same set, byte for byte, but
 * for the generation and, in a first one, the seed.
 */
#ifndef SIDESTEP_POLICY_COMPILE_H
#define SIDESTEP_POLICY_COMPILE_H

#include "core/problems.h"
#include "model/model.h"
#include "model/policy_set.h"

/* Larger sets are refused. */
#define POLICY_SET_BLOCKS_MAX (512U << 10) /* 256 MiB */
/* Of addresses, that the networks of all rules come to: one for each, but with a named port of
 * egress one for each address in it of a workload that carries the port. A compilation with so
 * many takes some 400 MB. */
#define POLICY_RANGES_MAX     (4U << 20)

/* A workload that lives in a network namespace. */
struct policy_netns {
	size_t workload; /* number in the model */
	uint64_t cookie;
};

/* What of the host a set depends on, and no file tells. */
struct policy_host {
	struct sst_addr *addresses; /* of the node itself; loopback need not be among them */
	size_t n_addresses;
	uint64_t netns; /* cookie of its namespace, 0: not known */
	struct policy_netns *workloads;
	size_t n_workloads;
};

/* The next ones to give away; ids are never used twice. */
struct policy_ids {
	uint32_t identity; /* from SST_IDENTITY_FIRST on */
	uint32_t workload; /* from 1 on */
	uint32_t rule;     /* from 1 on */
};

/*
 * Whoever is in `before` (which may be empty) keeps the id: an identity by its namespace,
 * labels and named ports, a workload by its namespace and name, a rule by its tier, namespace,
 * policy, direction and name (its number where it has none).
 *
 * The network tier has no order; of its rules those that are enforced stand first, so that
 * one in shadow has no say where they decide alike. Who is built in as a workload: "probes".
 *
 * -E2BIG: it does not fit, problems tell what and both figures. -EINVAL: a cgroup's path
 * cannot be, or two workloads share a cgroup or a network namespace; problems tell which. On
 * failure *ids and *ret are untouched. A model without workloads and policies yields an
 * empty set.
 */
int policy_compile(const struct model *model, const struct policy_host *host,
		   const struct policy_set *before, struct policy_ids *ids,
		   struct problems *problems, struct policy_set *ret);

#endif
