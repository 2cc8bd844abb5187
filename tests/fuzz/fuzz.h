/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fuzzers share. Each takes bytes that libFuzzer makes up and asserts what has to
 * hold whatever they are. To be included by one file of a program.
 */
#ifndef SIDESTEP_TESTS_FUZZ_H
#define SIDESTEP_TESTS_FUZZ_H

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/cleanup.h"
#include "model/model.h"
#include "policy/compile.h"
#include "source/yaml.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The seed of a first policy set: the same bytes have to do the same each time. */
ssize_t getrandom(void *buffer, size_t size, unsigned flags)
{
	(void)flags;
	memset(buffer, 1, size);
	return size;
}

/* Whoever writes the file does not rule the terminal. */
static inline void check_harmless(const struct problems *problems)
{
	for (unsigned i = 0; i < problems->count; i++)
		for (const char *c = problems->text[i]; *c; c++)
			assert((unsigned char)*c >= ' ' && *c != 127);
}

/* What is refused is told, and nothing else is. */
static inline void check_told(int r, const struct problems *problems)
{
	assert(!r || r == -EINVAL || r == -E2BIG);
	assert(!r == !problems_errors(problems));
	check_harmless(problems);
}

/* ---- numbers that follow from the input -------------------------------------------- */

struct dice {
	uint64_t state;
};

static inline struct dice dice_of(const void *data, size_t size)
{
	const uint8_t *bytes = data;
	struct dice dice = { size };

	for (size_t i = 0; i < size; i++)
		dice.state = sst_policy_mix(dice.state ^ bytes[i]) + i;
	return dice;
}

static inline uint64_t throw_any(struct dice *dice)
{
	return sst_policy_mix(dice->state += 0x9e3779b97f4a7c15);
}

static inline uint32_t throw_below(struct dice *dice, uint32_t n)
{
	return throw_any(dice) % n;
}

/* ---- policy sets ------------------------------------------------------------------- */

static inline struct model *load_model(const char *yaml)
{
	_cleanup_problems_ struct problems problems = {};
	struct model *model = NULL;

	assert(!yaml_load_text("fuzz.yaml", yaml, strlen(yaml), NULL, &problems, &model));
	return model;
}

/* The class of an address of the set, or none. */
static inline uint32_t throw_network(const struct policy_set *set, struct dice *dice)
{
	const struct sst_policy_head *head = policy_head(set);
	const struct sst_policy_interval *intervals =
		(const void *)(set->memory.base + (size_t)head->intervals * SST_BLOCK_BYTES);
	const struct sst_policy_workload *workload =
		policy_workload(set, throw_below(dice, head->n_workloads));
	uint32_t class;

	switch (throw_below(dice, 3)) {
	case 0:
		return intervals[throw_below(dice, head->n_intervals)].network;
	case 1:
		class = workload->network[throw_below(dice, 2)];
		return class == SST_NETWORK_UNKNOWN ? 0 : class;
	default:
		return 0;
	}
}

static inline uint16_t throw_port(struct dice *dice)
{
	static const uint16_t known[] = { 0, 1, 53, 80, 81, 443, 5432, 8000, 8005, 8010, 65535 };
	uint32_t n = throw_below(dice, 2 * ARRAY_SIZE(known));

	return n < ARRAY_SIZE(known) ? known[n] : throw_any(dice);
}

/* Any question has an answer, and who decides is known by name. */
static inline void ask(const struct policy_set *set, struct dice *dice)
{
	const struct sst_policy_head *head = policy_head(set);
	const struct sst_policy_query query = {
		.subject = throw_below(dice, head->n_identities),
		.peer = throw_below(dice, head->n_identities),
		.peer_network = throw_network(set, dice),
		.port = throw_port(dice),
		.protocol = throw_below(dice, 2) ? 6 /* TCP */ : 17 /* UDP */,
		.direction = throw_below(dice, SST_DIRECTIONS),
	};
	struct sst_policy_decision decision = policy_decide(set, &query);

	assert(!decision.rule || policy_info_by_id(set, decision.rule));
	assert(!decision.shadow || policy_info_by_id(set, decision.shadow));
	assert(decision.rule || !decision.denied);
}

#define QUESTIONS 32

static inline void ask_all(const struct policy_set *set, struct dice *dice)
{
	if (policy_set_is_empty(set))
		return;
	for (int i = 0; i < QUESTIONS; i++)
		ask(set, dice);
}

static inline size_t size_of(const struct policy_set *set)
{
	return (size_t)set->memory.blocks * SST_BLOCK_BYTES;
}

/* Takes the bytes, as from the kernel; empty when they are none of ours. */
static inline struct policy_set adopt(const void *bytes, size_t size)
{
	void *copy = malloc(size ?: 1);
	struct policy_set set = {};

	assert(copy);
	if (size) /* of none, bytes may be NULL */
		memcpy(copy, bytes, size);
	if (policy_set_adopt(copy, size, &set))
		free(copy);
	return set;
}

#endif
