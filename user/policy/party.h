/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is meant: from the names that people use to what the rules look at. One name may stand
 * for several identities, and one identity for addresses that the rules tell apart.
 */
#ifndef SIDESTEP_POLICY_PARTY_H
#define SIDESTEP_POLICY_PARTY_H

#include "core/problems.h"
#include "model/policy_set.h"

struct party {
	uint32_t identity; /* index */
	uint32_t workload; /* index, 0: nobody in particular */
	uint32_t network;  /* class of the address, 0: without one */
	bool has_address;
	struct sst_addr address; /* the first of those that are alike */
};

/* Starts as { 0 }. */
struct parties {
	struct party *items;
	size_t n, room;
};

/*
 * Adds whom text names; the set is not empty. Tried in this order:
 *
 *	10.1.0.7, fd00::7    an address
 *	app=web,tier=front   labels: all identities that have them
 *	shop/db, db          a workload; without a namespace the one of that name
 *	shop/db@10.1.0.7     a workload, at an address
 *	world, host, ...     a reserved identity
 *
 * 0; -ENOENT or -EINVAL, told in problems; -ENOMEM.
 */
int parties_find(const struct policy_set *set, const char *text, struct problems *problems,
		 struct parties *parties);

int parties_add(struct parties *parties, const struct party *party);
int parties_add_address(const struct policy_set *set, const struct sst_addr *address,
			struct parties *parties);

/* Index of the workload of this name, "shop/db" or "db"; 0: none, or several. */
uint32_t policy_find_workload(const struct policy_set *set, const char *name);

/* The first address of an interval. */
struct sst_addr policy_interval_address(const struct sst_policy_interval *interval);

/* By index, which must be below n_intervals. */
const struct sst_policy_interval *policy_interval(const struct policy_set *set, uint32_t index);

/* Usable as a cleanup. */
void parties_release(struct parties *parties);
#define _cleanup_parties_ __attribute__((cleanup(parties_release)))

#endif
