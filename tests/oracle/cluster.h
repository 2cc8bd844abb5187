/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random clusters and questions about them, for all who can answer: the compiled policy
 * set, the literal evaluator, cyclonus. The same seed gives the same cluster.
 *
 * The words, addresses and ports are few, so that they meet often: the same labels in
 * several namespaces, CIDRs within each other, workloads inside of CIDRs, port names that
 * only some have.
 */
#ifndef TESTS_ORACLE_CLUSTER_H
#define TESTS_ORACLE_CLUSTER_H

#include "model/model.h"
#include "policy/compile.h"

/* ---- chance --------------------------------------------------------------------- */

struct dice {
	uint64_t seed;
};

/* Dice of their own for each number of a run. */
struct dice dice_of(uint64_t seed, uint64_t number);

uint32_t roll(struct dice *dice, uint32_t n);
bool chance(struct dice *dice, uint32_t percent);

/* ---- clusters ------------------------------------------------------------------- */

/* Owns whatever a cluster is made of, so that the shrinker can leave parts out without
 * asking whose they are. Ends the program when memory is out. */
struct pool {
	void **items;
	size_t n;
	size_t size; /* of items[] */
};

struct cluster {
	struct pool pool;
	struct model model; /* its parts belong to the pool: not for model_free() */
	struct policy_host host;
};

struct cluster_wish {
	/* More than NetworkPolicies: the other tiers, shadow, settings of the node, reserved
	 * identities. Without, it is what cyclonus can judge: see cyclonus.h. */
	bool tiers;
	size_t n_workloads; /* 0: some */
	/* 0: some. Of many, nearly all are for nobody, so that those few that are not have
	 * their bits far from each other. */
	size_t n_policies;
	/* One each for the workloads, instead of invented ones, by which they are known; and
	 * the folder of their cgroups. */
	const struct sst_addr *addresses;
	const char *cgroup;
};

void cluster_make(const struct cluster_wish *wish, struct dice *dice, struct cluster *ret);
void cluster_release(struct cluster *cluster);
#define _cleanup_cluster_ __attribute__((cleanup(cluster_release)))

/* ---- questions ------------------------------------------------------------------ */

#define NOBODY SIZE_MAX

struct actor {
	size_t workload;                     /* number in the model, or NOBODY */
	enum sst_reserved_identity identity; /* of NOBODY */
};

struct query {
	enum sst_direction direction;
	struct actor subject;
	struct actor peer;
	bool by_address;  /* who the peer is, its address tells; the actor is not set */
	bool has_address; /* the peer's address tells something, in CIDRs at least */
	struct sst_addr address;
	uint16_t port;
	uint8_t protocol;
};

void query_make(const struct cluster_wish *wish, const struct cluster *cluster, struct dice *dice,
		struct query *ret);

/* A port that rules and workloads of clusters speak of, or one that they do not. */
uint16_t random_port(struct dice *dice);

#endif
