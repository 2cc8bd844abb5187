/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of model_validate() share. Each check_*() that returns something returns 0
 * or -ENOMEM: what is wrong with the model goes to the problems, and the next rule is tried
 * all the same.
 */
#ifndef SIDESTEP_MODEL_VALIDATE_H
#define SIDESTEP_MODEL_VALIDATE_H

#include "core/seen.h"
#include "model/model.h"

/* What may be there once only. */
enum seen_kind {
	SEEN_SERVICE_NAMES,
	SEEN_FRONTENDS,
	SEEN_NAMESPACES,
	SEEN_WORKLOAD_NAMES,
	SEEN_PREFIXES,
	SEEN_CGROUPS,
	SEEN_CGROUP_IDS,
	SEEN_NETNS,
	SEEN_POLICY_NAMES,
	SEEN_KINDS,
};

struct check {
	const struct model *model;
	struct problems *problems;
	struct seen seen[SEEN_KINDS];
};

#define complain(check, place, ...) \
	problems_add((check)->problems, (check)->model->source, place, __VA_ARGS__)

#define WHERE_MAX 256

/* " at line 7", or nothing when a source knows no lines. With several files " at b.yaml:7".
 * Returns buf. */
const char *check_where(struct place place, char buf[WHERE_MAX]);

/* Complains of an address by which nobody can be reached. */
void check_reachable(struct check *check, const char *whose, const struct sst_addr *address,
		     struct place place);

int check_node(struct check *check);
int check_namespace(struct check *check, const struct model_namespace *namespace);
int check_workload(struct check *check, const struct model_workload *workload);
int check_policy(struct check *check, const struct model_policy *policy);

#endif
