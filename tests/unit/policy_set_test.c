/* SPDX-License-Identifier: Apache-2.0 */
/* Sets from elsewhere: what is broken is refused, and what is not refused does no harm. */
#include "policy_fixture.h"

#include <errno.h>

/* One with something in each of its tables. */
static struct policy_set make_set(void)
{
	_cleanup_model_ struct model *model = make_model();
	struct model_policy *policy, *admin;

	add_workload(model, "shop", "db", "app=db", "10.1.0.7", "pg=5432/TCP");
	add_workload(model, "shop", "web", "app=web", "10.1.0.8,fd00::/64", "");
	model->workloads[0].cgroup = strdup("/db");
	policy = add_policy(model, SST_TIER_NETWORK, "shop", "p", "app=db");
	policy->isolates[SST_INGRESS] = policy->isolates[SST_EGRESS] = true;
	add_rule(policy, SST_INGRESS, SST_ACTION_ALLOW, "app=web;net 192.0.2.0/24", "pg,80-300");
	add_rule(policy, SST_EGRESS, SST_ACTION_ALLOW, NULL, "53/any")->shadow = true;
	admin = add_policy(model, SST_TIER_ADMIN, "", "admin", "");
	add_rule(admin, SST_INGRESS, SST_ACTION_PASS, "is world", NULL);
	return compile(model);
}

static size_t size_of(const struct policy_set *set)
{
	return (size_t)set->memory.blocks * SST_BLOCK_BYTES;
}

static void *copy_of(const struct policy_set *set)
{
	void *copy = malloc(size_of(set));

	assert_non_null(copy);
	return memcpy(copy, set->memory.base, size_of(set));
}

/* ---- the hash of paths ---------------------------------------------------------------------- */

/* As the kernel half does it: whole pieces, of a buffer that is NUL behind the name. */
static uint64_t hash_like_kernel(uint64_t hash, const char *names[], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		union {
			char bytes[SST_PATH_PIECES][SST_PATH_PIECE];
			__u64 words[SST_PATH_PIECES][SST_PATH_WORDS];
		} name = { 0 };
		size_t length = strlen(names[i]);

		memcpy(name.bytes, names[i], length);
		for (size_t piece = 0; piece < length / SST_PATH_PIECE + 1; piece++)
			hash = sst_path_piece(hash, name.words[piece]);
		hash = sst_path_name_end(hash);
	}
	return hash;
}

static void assert_path_hash(const char *names[], size_t n)
{
	char path[2000] = "";
	uint64_t hash;

	for (size_t i = 0; i < n; i++)
		sprintf(path + strlen(path), "/%s", names[i]);
	assert_int_equal(policy_path_hash(42, path, &hash), 0);
	assert_int_equal(hash, hash_like_kernel(42, names, n));
}

static void test_path_hash(void **state)
{
	char name[256] = "";
	uint64_t hash = 0, other = 0;

	(void)state;
	assert_path_hash((const char *[]){ "a" }, 1);
	assert_path_hash((const char *[]){ "system.slice", "a.service" }, 2);
	for (size_t length = 1; length <= 255; length++) {
		name[length - 1] = 'a' + length % 26;
		assert_path_hash((const char *[]){ "x", name }, 2);
	}
	/* where a name ends makes a difference, and where slashes are doubled does not */
	assert_int_equal(policy_path_hash(1, "/ab/c", &hash), 0);
	assert_int_equal(policy_path_hash(1, "/a/bc", &other), 0);
	assert_int_not_equal(hash, other);
	assert_int_equal(policy_path_hash(1, "ab//c/", &other), 0);
	assert_int_equal(hash, other);
	assert_int_equal(policy_path_hash(2, "/ab/c", &other), 0);
	assert_int_not_equal(hash, other);
}

static void test_paths_without_hash(void **state)
{
	char name[258] = "";
	uint64_t untouched = 7;

	(void)state;
	memset(name, 'x', 256);
	assert_int_equal(policy_path_hash(1, "", &untouched), -EINVAL);
	assert_int_equal(policy_path_hash(1, "//", &untouched), -EINVAL);
	assert_int_equal(policy_path_hash(1, name, &untouched), -ENAMETOOLONG);
	assert_int_equal(
		policy_path_hash(1, "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", &untouched),
		-ELOOP);
	assert_int_equal(untouched, 7);
	assert_int_equal(policy_path_hash(1, "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16", &untouched),
			 0);
}

/* ---- what is refused --------------------------------------------------------------------------- */

static void test_sizes(void **state)
{
	_cleanup_policy_set_ struct policy_set set = make_set(), untouched = { 0 };
	_cleanup_free_ void *copy = copy_of(&set);

	(void)state;
	assert_int_equal(policy_set_adopt(copy, 0, &untouched), -EINVAL);
	assert_int_equal(policy_set_adopt(copy, 1, &untouched), -EINVAL);
	assert_int_equal(policy_set_adopt(copy, size_of(&set) - 1, &untouched), -EINVAL);
	for (size_t blocks = 1; blocks < set.memory.blocks; blocks++)
		assert_int_equal(policy_set_adopt(copy, blocks * SST_BLOCK_BYTES, &untouched),
				 -EINVAL);
	assert_true(policy_set_is_empty(&untouched));
	assert_int_equal(policy_set_adopt(copy, size_of(&set), &untouched), 0);
	untouched = (struct policy_set){ 0 };
}

/* Statements that break a sound set, with what they break. */
#define BREAKS(X)                                                                        \
	X(head->format++)                                                                \
	X(head->generation = 0)                                                          \
	X(head->blocks--)                                                                \
	X(head->ports = head->blocks - 1)                                                \
	X(head->pages = head->blocks)                                                    \
	X(head->intervals = ~0U)                                                         \
	X(head->n_intervals = 0)                                                         \
	X(head->n_intervals = ~0U)                                                       \
	X(head->keys = head->blocks)                                                     \
	X(head->key_mask = 30)                                                           \
	X(head->key_mask = ~0U)                                                          \
	X(head->identities = head->blocks)                                               \
	X(head->n_identities = SST_IDENTITY_RESERVED - 1)                                \
	X(head->n_identities = ~0U)                                                      \
	X(head->workloads = head->blocks)                                                \
	X(head->n_workloads = 0)                                                         \
	X(head->infos = head->blocks)                                                    \
	X(head->n_infos--)                                                               \
	X(head->text_bytes = 0)                                                          \
	X(head->text_bytes--)                                                            \
	X(head->text_bytes = ~0U)                                                        \
	X(((char *)block(head, head->text))[0] = 'x')                                    \
	X(((char *)block(head, head->text))[head->text_bytes - 1] = 'x')                 \
	X(head->direction[0].n_rules = 0)                                                \
	X(head->direction[0].n_rules = ~0U)                                              \
	X(head->direction[1].n_rules--)                                                  \
	X(head->direction[1].row_blocks = 2)                                             \
	X(head->direction[1].network_first = head->direction[1].n_rules + 1)             \
	X(head->direction[1].rules = head->blocks)                                       \
	X(head->direction[1].masks = head->blocks - 3)                                   \
	X(head->direction[0].rows[SST_FIELD_SUBJECT] = head->blocks - 1)                 \
	X(head->direction[0].rows[SST_FIELD_PEER] = head->blocks)                        \
	X(head->direction[1].rows[SST_FIELD_NETWORK] = head->blocks)                     \
	X(head->direction[1].rows[SST_FIELD_PORT] = ~0U)                                 \
	X(((struct sst_policy_rule *)block(head, head->direction[1].rules))->action = 3) \
	X(((struct sst_policy_rule *)block(head, head->direction[1].rules))->tier = 7)   \
	X(((struct sst_policy_rule *)block(head, head->direction[1].rules))->shadow = 2) \
	X(((struct sst_policy_rule *)block(head, head->direction[1].rules))->id = 0)     \
	X(intervals[0].low = 1)                                                          \
	X(intervals[2] = intervals[1])                                                   \
	X(intervals[1].identity = head->n_identities)                                    \
	X(intervals[1].workload = head->n_workloads)                                     \
	X(intervals[1].network = head->blocks)                                           \
	X(keys[find_key(keys)].workload = head->n_workloads)                             \
	X(keys[0].kind = SST_KEY_NETNS + 1)                                              \
	X(identities[0].id = 1)                                                          \
	X(identities[5].id = 255)                                                        \
	X(identities[6].id = identities[5].id)                                           \
	X(identities[5].subject = head->blocks)                                          \
	X(identities[5].subject = ~0U)                                                   \
	X(identities[1].peer = head->blocks)                                             \
	X(identities[1].labels = head->text_bytes)                                       \
	X(identities[1].ports = ~0U)                                                     \
	X(identities[6].name_space = ~0U)                                                \
	X(workloads[0].id = 1)                                                           \
	X(workloads[2].id = workloads[1].id)                                             \
	X(workloads[1].identity = head->n_identities)                                    \
	X(workloads[1].name = head->text_bytes)                                          \
	X(workloads[1].how = head->text_bytes)                                           \
	X(workloads[1].network[0] = head->blocks)                                        \
	X(workloads[1].network[1] = ~0U - 1)                                             \
	X(infos[1].id = infos[0].id)                                                     \
	X(infos[0].id = 0)                                                               \
	X(infos[0].direction = 2)                                                        \
	X(infos[0].action = 3)                                                           \
	X(infos[0].tier = 7)                                                             \
	X(infos[0].shadow = 2)                                                           \
	X(infos[0].policy = head->text_bytes)                                            \
	X(infos[0].name_space = head->text_bytes)                                        \
	X(infos[0].rule = head->text_bytes)                                              \
	X(infos[0].summary = head->text_bytes)                                           \
	X(((uint16_t *)block(head, head->ports))[511] = 0xffff)                          \
	X(((uint16_t *)block(head, head->pages))[255] = 0xffff)                          \
	X(((uint64_t *)block(head, head->direction[1].rows[SST_FIELD_SUBJECT]))[63] = 1) \
	X(((uint64_t *)block(head, head->direction[1].rows[SST_FIELD_SUBJECT]))[0] = ~0ULL)

static void *block(struct sst_policy_head *head, uint32_t n)
{
	return (char *)head + (size_t)n * SST_BLOCK_BYTES;
}

static size_t find_key(const struct sst_policy_key *keys)
{
	size_t i = 0;

	while (keys[i].kind == SST_KEY_NONE)
		i++;
	return i;
}

#define UNUSED __attribute__((unused))

#define X(statement)                                                                           \
	{                                                                                      \
		_cleanup_free_ struct sst_policy_head *head = copy_of(&set);                   \
		UNUSED struct sst_policy_interval *intervals = block(head, head->intervals);   \
		UNUSED struct sst_policy_identity *identities = block(head, head->identities); \
		UNUSED struct sst_policy_workload *workloads = block(head, head->workloads);   \
		UNUSED struct sst_policy_info *infos = block(head, head->infos);               \
		UNUSED struct sst_policy_key *keys = block(head, head->keys);                  \
                                                                                               \
		statement;                                                                     \
		if (policy_set_adopt(head, size_of(&set), &untouched) != -EINVAL)              \
			fail_msg("taken: " #statement);                                        \
	}
static void test_broken_sets(void **state)
{
	_cleanup_policy_set_ struct policy_set set = make_set();
	struct policy_set untouched;

	(void)state;
	BREAKS(X)
}
#undef X

/* ---- what is not ------------------------------------------------------------------------------- */

static uint64_t seed = 1;

static uint32_t random_below(uint32_t n)
{
	seed = seed * 6364136223846793005 + 1442695040888963407;
	return (seed >> 33) % n;
}

static size_t sum_of_texts(const struct policy_set *set)
{
	const struct sst_policy_head *head = policy_head(set);
	size_t sum = 0;

	for (uint32_t i = 0; i < head->n_identities; i++)
		sum += strlen(policy_text(set, policy_identity(set, i)->labels));
	for (uint32_t i = 0; i < head->n_workloads; i++)
		sum += strlen(policy_text(set, policy_workload(set, i)->how));
	for (uint32_t i = 0; i < head->n_infos; i++)
		sum += strlen(policy_text(set, policy_info(set, i)->summary));
	return sum;
}

/* All that a reader may do. */
static void use(const struct policy_set *set)
{
	const struct sst_policy_head *head = policy_head(set);

	for (int i = 0; i < 200; i++) {
		struct sst_addr address = { { 0, 0, htonl(0xffff), random_below(1U << 31) } };
		struct sst_policy_place place;
		struct sst_policy_query query;
		struct sst_policy_decision decision;

		if (i % 4 == 0)
			address.w[0] = htonl(0xfd000000);
		else if (i % 4 == 1)
			address.w[3] = htonl(0x0a010000 + random_below(16));
		place = policy_locate(set, &address);
		assert_in_range(place.identity, 0, head->n_identities - 1);
		query = (struct sst_policy_query){
			.subject = random_below(head->n_identities),
			.peer = place.identity,
			.peer_network = place.network,
			.port = random_below(65536),
			.protocol = i % 2 ? IPPROTO_TCP : IPPROTO_UDP,
			.direction = random_below(2),
		};
		decision = policy_decide(set, &query);
		if (decision.rule)
			assert_non_null(policy_info_by_id(set, decision.rule));
		if (decision.shadow)
			assert_non_null(policy_info_by_id(set, decision.shadow));
		assert_in_range(sst_policy_find(&set->memory, head, i % 4, seed), 0,
				head->n_workloads - 1);
	}
	sum_of_texts(set);
}

/* Flips some bits of a sound set, mostly where its structure is. Returns whether it was taken. */
static bool flip_and_use(const struct policy_set *set, unsigned flips)
{
	unsigned char *copy = copy_of(set);
	struct policy_set flipped = { 0 };

	while (flips--) {
		uint32_t byte = random_below(random_below(2) ? 300 : size_of(set));

		copy[byte] ^= 1 << random_below(8);
	}
	if (policy_set_adopt(copy, size_of(set), &flipped)) {
		free(copy);
		return false;
	}
	use(&flipped);
	policy_set_release(&flipped);
	return true;
}

static void test_flipped_bits_do_no_harm(void **state)
{
	_cleanup_policy_set_ struct policy_set set = make_set();
	unsigned taken = 0;

	(void)state;
	use(&set);
	for (int i = 0; i < 10000; i++)
		taken += flip_and_use(&set, 1 + i % 3);
	/* both happen, or nothing was tried */
	assert_in_range(taken, 1000, 9000);
}

/* ---- reading ------------------------------------------------------------------------------------ */

static void test_by_id(void **state)
{
	_cleanup_policy_set_ struct policy_set set = make_set();
	struct policy_set nothing = { 0 };

	(void)state;
	for (uint32_t i = 0; i < policy_head(&set)->n_identities; i++)
		assert_ptr_equal(policy_identity_by_id(&set, policy_identity(&set, i)->id),
				 policy_identity(&set, i));
	for (uint32_t i = 1; i < policy_head(&set)->n_workloads; i++)
		assert_ptr_equal(policy_workload_by_id(&set, policy_workload(&set, i)->id),
				 policy_workload(&set, i));
	for (uint32_t i = 0; i < policy_head(&set)->n_infos; i++)
		assert_ptr_equal(policy_info_by_id(&set, policy_info(&set, i)->id),
				 policy_info(&set, i));
	assert_null(policy_identity_by_id(&set, 100));
	assert_null(policy_workload_by_id(&set, 0));
	assert_null(policy_workload_by_id(&set, 100));
	assert_null(policy_info_by_id(&set, 0));
	assert_null(policy_identity_by_id(&nothing, 1));
	assert_null(policy_workload_by_id(&nothing, 1));
	assert_null(policy_info_by_id(&nothing, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_path_hash),
		cmocka_unit_test(test_paths_without_hash),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_broken_sets),
		cmocka_unit_test(test_flipped_bits_do_no_harm),
		cmocka_unit_test(test_by_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
