/* SPDX-License-Identifier: Apache-2.0 */
/* Where everything lies in the set, and the set. */
#include "policy/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/address.h"
#include "core/cleanup.h"

/* The head tells the places, and grows with each. */
static uint32_t place(struct sst_policy_head *head, uint64_t n, size_t size)
{
	uint32_t first = head->blocks;

	head->blocks += (n * size + SST_BLOCK_BYTES - 1) / SST_BLOCK_BYTES;
	return first;
}

static void place_direction(const struct compile *compile, struct sst_policy_head *head, int d)
{
	const struct direction *direction = &compile->direction[d];
	struct sst_policy_direction *at = &head->direction[d];

	at->n_rules = direction->n;
	at->row_blocks = direction->row_blocks;
	at->network_first = direction->network_first;
	at->has_shadow = direction->has_shadow;
	at->rules = place(head, direction->n, sizeof(struct sst_policy_rule));
	at->masks = place(head, SST_MASKS * direction->row_blocks, SST_BLOCK_BYTES);
	for (int field = 0; field < SST_FIELDS; field++)
		at->rows[field] = place(head, compile->rows[field].n * direction->row_blocks,
					SST_BLOCK_BYTES);
}

static void place_all(const struct compile *compile, struct sst_policy_head *head)
{
	head->blocks = 1;
	head->ports = place(head, 2, SST_BLOCK_BYTES);
	head->pages = place(head, compile->n_pages, SST_BLOCK_BYTES);
	head->intervals = place(head, compile->n_intervals, sizeof(*compile->intervals));
	head->keys = place(head, compile->n_keys, sizeof(*compile->keys));
	head->identities = place(head, compile->n_identities, sizeof(struct sst_policy_identity));
	head->workloads = place(head, compile->n_workloads, sizeof(struct sst_policy_workload));
	for (int d = 0; d < SST_DIRECTIONS; d++)
		place_direction(compile, head, d);
	head->infos = place(head, compile->n_infos, sizeof(*compile->infos));
	head->text = place(head, compile->text.length, 1);
}

/* Something is ruled that the built-in rules do not rule anyway. */
static bool has_rules(const struct compile *compile, enum sst_direction d)
{
	if (compile->model->node.policy.default_deny)
		return true;
	for (size_t i = 0; i < compile->n_infos; i++)
		if (compile->infos[i].direction == d && compile->infos[i].tier != SST_TIER_HOST &&
		    compile->infos[i].tier != SST_TIER_DEFAULT)
			return true;
	return false;
}

static bool asks_for_addresses(const struct direction *direction)
{
	for (size_t i = 0; i < direction->n; i++)
		if (direction->bits[i].about[SST_FIELD_NETWORK])
			return true;
	return false;
}

static uint32_t flags_of(const struct compile *compile)
{
	const struct model_policy_settings *settings = &compile->model->node.policy;
	uint32_t flags = 0;

	if (settings->refused)
		flags |= SST_POLICY_REFUSED;
	if (settings->answer)
		flags |= SST_POLICY_ANSWER;
	if (settings->revoke)
		flags |= SST_POLICY_REVOKE;
	if (has_rules(compile, SST_INGRESS))
		flags |= SST_POLICY_RULES | SST_POLICY_INGRESS;
	if (has_rules(compile, SST_EGRESS))
		flags |= SST_POLICY_RULES;
	if (asks_for_addresses(&compile->direction[SST_INGRESS]))
		flags |= SST_POLICY_INGRESS_NETWORKS;
	return flags;
}

static void fill_head(const struct compile *compile, struct sst_policy_head *head)
{
	const struct policy_set *before = compile->before;

	head->format = SST_POLICY_FORMAT;
	head->generation = policy_set_is_empty(before) ? 1 : policy_head(before)->generation + 1;
	head->seed = compile->seed;
	head->host_netns = compile->host->netns;
	head->flags = flags_of(compile);
	head->n_intervals = compile->n_intervals;
	head->key_mask = compile->n_keys - 1;
	head->n_identities = compile->n_identities;
	head->n_workloads = compile->n_workloads;
	head->n_infos = compile->n_infos;
	head->text_bytes = compile->text.length;
}

/* ---- writing ----------------------------------------------------------------------------- */

static void *block(unsigned char *set, uint32_t n)
{
	return set + (size_t)n * SST_BLOCK_BYTES;
}

/* Which rules select whom they are about: those of policies, where they are enforced. */
static uint64_t *selecting_rules(const struct compile *compile)
{
	uint64_t *mask = calloc(compile->row_words + 1, sizeof(*mask)), *words = mask;

	for (int d = 0; mask && d < SST_DIRECTIONS; d++) {
		const struct direction *direction = &compile->direction[d];

		for (size_t i = 0; i < direction->n; i++) {
			const struct sst_policy_rule *rule = &direction->bits[i].rule;

			if (!rule->shadow && rule->tier != SST_TIER_HOST &&
			    rule->tier != SST_TIER_DEFAULT)
				words[i / 64] |= 1ULL << i % 64;
		}
		words += (size_t)direction->row_blocks * SST_BLOCK_WORDS;
	}
	return mask;
}

static bool is_selected(const struct compile *compile, const uint64_t *mask, uint32_t class)
{
	const uint64_t *row =
		compile->rows[SST_FIELD_SUBJECT].words + (size_t) class * compile->row_words;

	for (size_t i = 0; i < compile->row_words; i++)
		if (row[i] & mask[i])
			return true;
	return false;
}

/* The class of the only address a workload has in a family. */
static uint32_t network_of(const struct compile *compile, const struct model_workload *workload,
			   int family)
{
	const struct model_cidr *only = NULL;
	size_t first = 0, n = compile->n_intervals;
	wide address;

	for (size_t i = 0; workload && i < workload->n_addresses; i++) {
		if (address_family(&workload->addresses[i].address) != family)
			continue;
		if (only || workload->addresses[i].bits != 128)
			return SST_NETWORK_UNKNOWN;
		only = &workload->addresses[i];
	}
	if (!only)
		return SST_NETWORK_UNKNOWN;
	address = policy_number(&only->address);
	while (n > 1) {
		const struct sst_policy_interval *at = &compile->intervals[first + n / 2];

		if (((wide)at->high << 64 | at->low) <= address) {
			first += n / 2;
			n -= n / 2;
		} else {
			n /= 2;
		}
	}
	return compile->intervals[first].network;
}

static int write_identities(const struct compile *compile, unsigned char *set,
			    const struct sst_policy_head *head)
{
	_cleanup_free_ uint64_t *selecting = selecting_rules(compile);
	struct sst_policy_identity *identities = block(set, head->identities);
	struct sst_policy_workload *workloads = block(set, head->workloads);

	if (!selecting)
		return -ENOMEM;
	for (size_t i = 0; i < compile->n_identities; i++) {
		identities[i] = compile->identities[i].value;
		identities[i].subject = compile->classes[SST_FIELD_SUBJECT][i];
		identities[i].peer = compile->classes[SST_FIELD_PEER][i];
		identities[i].is_selected = is_selected(compile, selecting, identities[i].subject);
	}
	for (size_t i = 0; i < compile->n_workloads; i++) {
		const struct model_workload *model = compile->workloads[i].model;

		workloads[i] = compile->workloads[i].value;
		workloads[i].network[0] = network_of(compile, model, AF_INET);
		workloads[i].network[1] = network_of(compile, model, AF_INET6);
	}
	return 0;
}

static void write_tables(const struct compile *compile, unsigned char *set,
			 const struct sst_policy_head *head)
{
	memcpy(block(set, head->ports), compile->page_of, sizeof(compile->page_of));
	memcpy(block(set, head->pages), compile->pages, compile->n_pages * SST_BLOCK_BYTES);
	memcpy(block(set, head->intervals), compile->intervals,
	       compile->n_intervals * sizeof(*compile->intervals));
	memcpy(block(set, head->keys), compile->keys, compile->n_keys * sizeof(*compile->keys));
	memcpy(block(set, head->infos), compile->infos, compile->n_infos * sizeof(*compile->infos));
	memcpy(block(set, head->text), compile->text.data, compile->text.length);
}

static void write_rules(const struct direction *direction, unsigned char *set,
			const struct sst_policy_direction *at)
{
	struct sst_policy_rule *rules = block(set, at->rules);
	uint64_t *masks = block(set, at->masks);
	size_t words = (size_t)at->row_blocks * SST_BLOCK_WORDS;

	for (size_t i = 0; i < direction->n; i++) {
		const struct sst_policy_rule *rule = &direction->bits[i].rule;

		rules[i] = *rule;
		for (unsigned mask = 0; mask < SST_MASKS; mask++)
			if ((mask & SST_MASK_ALL || !rule->shadow) &&
			    (!(mask & SST_MASK_PASSED) || i >= at->network_first))
				masks[mask * words + i / 64] |= 1ULL << i % 64;
	}
}

static void write_rows(const struct compile *compile, unsigned char *set,
		       const struct sst_policy_head *head)
{
	size_t column = 0;

	for (int d = 0; d < SST_DIRECTIONS; d++) {
		const struct sst_policy_direction *at = &head->direction[d];
		size_t words = (size_t)at->row_blocks * SST_BLOCK_WORDS;

		for (int field = 0; field < SST_FIELDS; field++) {
			const struct rows *rows = &compile->rows[field];
			uint64_t *to = block(set, at->rows[field]);

			for (size_t i = 0; i < rows->n; i++)
				memcpy(to + i * words,
				       rows->words + i * compile->row_words + column,
				       words * sizeof(*to));
		}
		column += words;
	}
}

int policy_lay_out(struct compile *compile, struct policy_set *ret)
{
	struct sst_policy_head head = { 0 };
	_cleanup_free_ unsigned char *set = NULL;

	fill_head(compile, &head);
	place_all(compile, &head);
	if (head.blocks > POLICY_SET_BLOCKS_MAX)
		return policy_refuse_size(compile, "blocks of 512 bytes", head.blocks,
					  POLICY_SET_BLOCKS_MAX);
	set = calloc(head.blocks, SST_BLOCK_BYTES);
	if (!set)
		return -ENOMEM;
	memcpy(set, &head, sizeof(head));
	if (write_identities(compile, set, &head))
		return -ENOMEM;
	write_tables(compile, set, &head);
	for (int d = 0; d < SST_DIRECTIONS; d++)
		write_rules(&compile->direction[d], set, &head.direction[d]);
	write_rows(compile, set, &head);
	*ret = (struct policy_set){ .memory = { set, head.blocks }, .owned = set };
	TAKE_PTR(set);
	return 0;
}
