/* SPDX-License-Identifier: Apache-2.0 */
#include "model/policy_set.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"

/* ---- reading ------------------------------------------------------------------- */

static const void *block_of(const struct policy_set *set, uint32_t n)
{
	return set->memory.base + (size_t)n * SST_BLOCK_BYTES;
}

const char *policy_text(const struct policy_set *set, uint32_t offset)
{
	return (const char *)block_of(set, policy_head(set)->text) + offset;
}

const struct sst_policy_identity *policy_identity(const struct policy_set *set, uint32_t index)
{
	const struct sst_policy_identity *all = block_of(set, policy_head(set)->identities);

	assert(index < policy_head(set)->n_identities);
	return &all[index];
}

const struct sst_policy_workload *policy_workload(const struct policy_set *set, uint32_t index)
{
	const struct sst_policy_workload *all = block_of(set, policy_head(set)->workloads);

	assert(index < policy_head(set)->n_workloads);
	return &all[index];
}

const struct sst_policy_info *policy_info(const struct policy_set *set, uint32_t n)
{
	const struct sst_policy_info *all = block_of(set, policy_head(set)->infos);

	assert(n < policy_head(set)->n_infos);
	return &all[n];
}

/* All three tables are sorted by it, and begin with it. */
static int compare_ids(const void *key, const void *element)
{
	const uint32_t *a = key, *b = element;

	return *a < *b ? -1 : *a > *b;
}

const struct sst_policy_identity *policy_identity_by_id(const struct policy_set *set, uint32_t id)
{
	if (policy_set_is_empty(set))
		return NULL;
	return bsearch(&id, policy_identity(set, 0), policy_head(set)->n_identities,
		       sizeof(struct sst_policy_identity), compare_ids);
}

const struct sst_policy_workload *policy_workload_by_id(const struct policy_set *set, uint32_t id)
{
	if (policy_set_is_empty(set) || !id)
		return NULL;
	return bsearch(&id, policy_workload(set, 0), policy_head(set)->n_workloads,
		       sizeof(struct sst_policy_workload), compare_ids);
}

const struct sst_policy_info *policy_info_by_id(const struct policy_set *set, uint32_t id)
{
	if (policy_set_is_empty(set))
		return NULL;
	return bsearch(&id, block_of(set, policy_head(set)->infos), policy_head(set)->n_infos,
		       sizeof(struct sst_policy_info), compare_ids);
}

static uint64_t word_of(const __be32 *w)
{
	return (uint64_t)ntohl(w[0]) << 32 | ntohl(w[1]);
}

uint64_t policy_workload_netns(const struct policy_set *set, uint32_t workload)
{
	const struct sst_policy_head *head = policy_head(set);

	for (uint64_t i = 0; i <= head->key_mask; i++) {
		const struct sst_policy_key *key =
			sst_policy_at(&set->memory, head->keys, i, struct sst_policy_key);

		if (key->kind == SST_KEY_NETNS && key->workload == workload)
			return key->key;
	}
	return 0;
}

struct sst_policy_place policy_locate(const struct policy_set *set, const struct sst_addr *address)
{
	struct sst_policy_place place;
	int r = sst_policy_locate(&set->memory, policy_head(set), word_of(address->w),
				  word_of(address->w + 2), &place);

	assert(!r);
	(void)r;
	return place;
}

struct sst_policy_decision policy_decide(const struct policy_set *set,
					 const struct sst_policy_query *query)
{
	struct sst_policy_decision decision;
	int r = sst_policy_decide(&set->memory, policy_head(set), query, &decision);

	assert(!r);
	(void)r;
	return decision;
}

/* ---- cgroups' paths -------------------------------------------------------------- */

static uint64_t hash_name(uint64_t hash, const char *name, size_t length)
{
	for (size_t at = 0; at <= length; at += SST_PATH_PIECE) {
		size_t n = length - at < SST_PATH_PIECE ? length - at : SST_PATH_PIECE;
		__u64 words[SST_PATH_WORDS] = { 0 };

		memcpy(words, name + at, n);
		hash = sst_path_piece(hash, words);
	}
	return sst_path_name_end(hash);
}

int policy_path_hash(uint64_t seed, const char *path, uint64_t *ret)
{
	uint64_t hash = seed;
	unsigned levels = 0;

	for (path += strspn(path, "/"); *path; path += strspn(path, "/")) {
		size_t length = strcspn(path, "/");

		if (length > POLICY_PATH_NAME_MAX)
			return -ENAMETOOLONG;
		if (++levels > SST_PATH_LEVELS)
			return -ELOOP;
		hash = hash_name(hash, path, length);
		path += length;
	}
	if (!levels)
		return -EINVAL;
	*ret = hash;
	return 0;
}

/* ---- checking --------------------------------------------------------------------- */

/* n elements of this size lie within the set from this block on. */
static bool has_room(const struct policy_set *set, uint32_t first, uint64_t n, size_t size)
{
	uint64_t blocks = (n * size + SST_BLOCK_BYTES - 1) / SST_BLOCK_BYTES;

	return first + blocks <= set->memory.blocks;
}

static bool is_text(const struct policy_set *set, uint32_t offset)
{
	return offset < policy_head(set)->text_bytes;
}

/* Both directions have a row of this class. */
static bool has_row(const struct policy_set *set, enum sst_field field, uint32_t class)
{
	for (int d = 0; d < SST_DIRECTIONS; d++) {
		const struct sst_policy_direction *direction = &policy_head(set)->direction[d];
		uint64_t end =
			direction->rows[field] + ((uint64_t) class + 1) * direction->row_blocks;

		if (end > set->memory.blocks)
			return false;
	}
	return true;
}

static bool check_places(const struct policy_set *set)
{
	const struct sst_policy_head *head = policy_head(set);

	return head->format == SST_POLICY_FORMAT && head->generation &&
	       head->blocks == set->memory.blocks &&
	       has_room(set, head->ports, 2, SST_BLOCK_BYTES) && head->n_intervals &&
	       head->n_intervals <= SST_INTERVALS_MAX &&
	       has_room(set, head->intervals, head->n_intervals,
			sizeof(struct sst_policy_interval)) &&
	       !((head->key_mask + 1) & head->key_mask) &&
	       has_room(set, head->keys, head->key_mask + 1ULL, sizeof(struct sst_policy_key)) &&
	       head->n_identities >= SST_IDENTITY_RESERVED &&
	       has_room(set, head->identities, head->n_identities,
			sizeof(struct sst_policy_identity)) &&
	       head->n_workloads &&
	       has_room(set, head->workloads, head->n_workloads,
			sizeof(struct sst_policy_workload)) &&
	       has_room(set, head->infos, head->n_infos, sizeof(struct sst_policy_info)) &&
	       head->text_bytes && has_room(set, head->text, head->text_bytes, 1);
}

static bool check_text(const struct policy_set *set)
{
	return !*policy_text(set, 0) && !*policy_text(set, policy_head(set)->text_bytes - 1);
}

static bool check_rule(const struct policy_set *set, const struct sst_policy_rule *rule)
{
	return rule->action <= SST_ACTION_PASS && rule->tier <= SST_TIER_SELF &&
	       rule->shadow <= 1 && policy_info_by_id(set, rule->id);
}

static bool check_direction(const struct policy_set *set,
			    const struct sst_policy_direction *direction)
{
	uint32_t n = direction->n_rules;
	const struct sst_policy_rule *rules;

	if (n > SST_ROW_BLOCKS * SST_BLOCK_BITS || direction->network_first > n ||
	    direction->row_blocks != (n + SST_BLOCK_BITS - 1) / SST_BLOCK_BITS ||
	    !has_room(set, direction->rules, n, sizeof(*rules)) ||
	    !has_room(set, direction->masks, SST_MASKS * direction->row_blocks, SST_BLOCK_BYTES))
		return false;
	rules = block_of(set, direction->rules);
	for (uint32_t i = 0; i < n; i++)
		if (!check_rule(set, &rules[i]))
			return false;
	return true;
}

static bool check_infos(const struct policy_set *set)
{
	for (uint32_t i = 0; i < policy_head(set)->n_infos; i++) {
		const struct sst_policy_info *info = policy_info(set, i);
		bool sorted = i ? info->id > policy_info(set, i - 1)->id : info->id > 0;

		if (!sorted || info->direction >= SST_DIRECTIONS ||
		    info->action > SST_ACTION_PASS || info->tier > SST_TIER_SELF ||
		    info->shadow > 1 || !is_text(set, info->policy) ||
		    !is_text(set, info->name_space) || !is_text(set, info->rule) ||
		    !is_text(set, info->summary))
			return false;
	}
	return true;
}

/* No bit of a subject's row is beyond the last rule: so none of a match is. */
static bool check_tail(const struct policy_set *set, uint32_t class)
{
	for (int d = 0; d < SST_DIRECTIONS; d++) {
		const struct sst_policy_direction *direction = &policy_head(set)->direction[d];
		size_t words = (size_t)direction->row_blocks * SST_BLOCK_WORDS;
		const uint64_t *row = block_of(set, direction->rows[SST_FIELD_SUBJECT] +
							    class * direction->row_blocks);
		size_t at = direction->n_rules / 64;

		if (at < words && row[at] >> direction->n_rules % 64)
			return false;
		while (++at < words)
			if (row[at])
				return false;
	}
	return true;
}

static bool check_identities(const struct policy_set *set)
{
	for (uint32_t i = 0; i < policy_head(set)->n_identities; i++) {
		const struct sst_policy_identity *identity = policy_identity(set, i);

		if (i < SST_IDENTITY_RESERVED ? identity->id != i
					      : identity->id < SST_IDENTITY_FIRST ||
							identity->id <= (identity - 1)->id)
			return false;
		if (!has_row(set, SST_FIELD_SUBJECT, identity->subject) ||
		    !has_row(set, SST_FIELD_PEER, identity->peer) ||
		    !check_tail(set, identity->subject) || !is_text(set, identity->name_space) ||
		    !is_text(set, identity->labels) || !is_text(set, identity->ports))
			return false;
	}
	return true;
}

static bool is_network(const struct policy_set *set, uint32_t class)
{
	return class == SST_NETWORK_UNKNOWN || has_row(set, SST_FIELD_NETWORK, class);
}

static bool check_workloads(const struct policy_set *set)
{
	for (uint32_t i = 0; i < policy_head(set)->n_workloads; i++) {
		const struct sst_policy_workload *workload = policy_workload(set, i);

		if ((i ? workload->id <= (workload - 1)->id : workload->id != 0) ||
		    workload->identity >= policy_head(set)->n_identities ||
		    !is_network(set, workload->network[0]) ||
		    !is_network(set, workload->network[1]) || !is_text(set, workload->name) ||
		    !is_text(set, workload->how))
			return false;
	}
	return true;
}

static bool is_above(const struct sst_policy_interval *a, const struct sst_policy_interval *b)
{
	return a->high > b->high || (a->high == b->high && a->low > b->low);
}

static bool check_intervals(const struct policy_set *set)
{
	const struct sst_policy_head *head = policy_head(set);
	const struct sst_policy_interval *all = block_of(set, head->intervals);

	for (uint32_t i = 0; i < head->n_intervals; i++) {
		if (i ? !is_above(&all[i], &all[i - 1]) : all->high || all->low)
			return false;
		if (all[i].identity >= head->n_identities || all[i].workload >= head->n_workloads ||
		    !has_row(set, SST_FIELD_NETWORK, all[i].network))
			return false;
	}
	return true;
}

static bool check_keys(const struct policy_set *set)
{
	const struct sst_policy_head *head = policy_head(set);
	const struct sst_policy_key *all = block_of(set, head->keys);

	for (uint64_t i = 0; i <= head->key_mask; i++)
		if (all[i].kind > SST_KEY_NETNS || all[i].workload >= head->n_workloads)
			return false;
	return true;
}

#define PORTS_A_PAGE (SST_BLOCK_BYTES / sizeof(uint16_t))

static bool check_ports(const struct policy_set *set)
{
	const struct sst_policy_head *head = policy_head(set);
	const uint16_t *pages = block_of(set, head->ports);

	for (size_t i = 0; i < 2 * PORTS_A_PAGE; i++) {
		const uint16_t *classes;

		if (i && pages[i] == pages[i - 1])
			continue;
		if (!has_room(set, head->pages, pages[i] + 1, SST_BLOCK_BYTES))
			return false;
		classes = block_of(set, head->pages + pages[i]);
		for (size_t j = 0; j < PORTS_A_PAGE; j++)
			if (!has_row(set, SST_FIELD_PORT, classes[j]))
				return false;
	}
	return true;
}

static bool is_sound(const struct policy_set *set)
{
	return check_places(set) && check_text(set) && check_infos(set) &&
	       check_direction(set, &policy_head(set)->direction[SST_EGRESS]) &&
	       check_direction(set, &policy_head(set)->direction[SST_INGRESS]) &&
	       check_identities(set) && check_workloads(set) && check_intervals(set) &&
	       check_keys(set) && check_ports(set);
}

int policy_set_adopt(void *bytes, size_t size, struct policy_set *ret)
{
	struct policy_set set = { .memory.base = bytes };

	if (!size || size % SST_BLOCK_BYTES || size / SST_BLOCK_BYTES > UINT32_MAX)
		return -EINVAL;
	set.memory.blocks = size / SST_BLOCK_BYTES;
	set.owned = bytes;
	if (!is_sound(&set))
		return -EINVAL;
	*ret = set;
	return 0;
}

void policy_set_release(struct policy_set *set)
{
	free(set->owned);
	*set = (struct policy_set){ 0 };
}

bool policy_sets_are_equal(const struct policy_set *a, const struct policy_set *b)
{
	struct sst_policy_head x, y;

	if (a->memory.blocks != b->memory.blocks)
		return false;
	if (policy_set_is_empty(a))
		return true;
	x = *policy_head(a);
	y = *policy_head(b);
	x.generation = y.generation = 0;
	return !memcmp(&x, &y, sizeof(x)) &&
	       !memcmp(a->memory.base + sizeof(x), b->memory.base + sizeof(y),
		       (size_t)(a->memory.blocks - 1) * SST_BLOCK_BYTES);
}
