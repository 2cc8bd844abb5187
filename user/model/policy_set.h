/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A compiled policy set in memory, as sidestep/policy.h lays it out: made by the compiler
 * or read from the kernel. Sets that come from the kernel or a file are checked once, by
 * policy_set_adopt(); what reads them later relies on that.
 */
#ifndef SIDESTEP_MODEL_POLICY_SET_H
#define SIDESTEP_MODEL_POLICY_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sidestep/policy.h"

struct policy_set {
	struct sst_policy_memory
		memory; /* for the functions of sidestep/policy.h; blocks 0: no set */
	void *owned;    /* what memory.base points to */
};

/* Empty: the kernel holds none, or nothing was compiled. */
static inline bool policy_set_is_empty(const struct policy_set *set)
{
	return !set->memory.blocks;
}

/* Takes blocks * SST_BLOCK_BYTES bytes of malloc()ed memory. Checks all of it: every place within
 * the set, every class with its rows, texts NUL-terminated. -EINVAL: it is none of ours,
 * and stays the caller's. */
int policy_set_adopt(void *bytes, size_t size, struct policy_set *ret);

void policy_set_release(struct policy_set *set);
#define _cleanup_policy_set_ __attribute__((cleanup(policy_set_release)))

/* But for the generation. Two empty ones are the same. */
bool policy_sets_are_equal(const struct policy_set *a, const struct policy_set *b);

#define POLICY_PATH_NAME_MAX 255

/*
 * The key of a cgroup by its path below the cgroup2 root, as the kernel half computes it.
 * -EINVAL: no name in it, -ENAMETOOLONG: a name longer than that, -ELOOP: more than
 * SST_PATH_LEVELS names.
 */
int policy_path_hash(uint64_t seed, const char *path, uint64_t *ret);

/* ---- reading; the set is not empty ---------------------------------------------- */

static inline const struct sst_policy_head *policy_head(const struct policy_set *set)
{
	return (const void *)set->memory.base;
}

const char *policy_text(const struct policy_set *set, uint32_t offset);

/* By index, which must be below n_identities, n_workloads. */
const struct sst_policy_identity *policy_identity(const struct policy_set *set, uint32_t index);
const struct sst_policy_workload *policy_workload(const struct policy_set *set, uint32_t index);

/* By id; NULL: not in this set, or it is empty. */
const struct sst_policy_identity *policy_identity_by_id(const struct policy_set *set, uint32_t id);
const struct sst_policy_workload *policy_workload_by_id(const struct policy_set *set, uint32_t id);
const struct sst_policy_info *policy_info_by_id(const struct policy_set *set, uint32_t id);

/* Number n of n_infos, sorted by id. */
const struct sst_policy_info *policy_info(const struct policy_set *set, uint32_t n);

/* Cookie of the network namespace by which a workload (index) is known; 0: by none. */
uint64_t policy_workload_netns(const struct policy_set *set, uint32_t workload);

/* What an address says; v4 in the one form. */
struct sst_policy_place policy_locate(const struct policy_set *set, const struct sst_addr *address);

/* Decides; asserts that the set is sound. */
struct sst_policy_decision policy_decide(const struct policy_set *set,
					 const struct sst_policy_query *query);

#endif
