/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which identities a selector selects. Not one by one: for each label there is a list of who
 * has it, and a selector is worked out on a bitmap of all at once.
 */
#include "policy/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"

static size_t words_for(size_t n)
{
	return (n + 63) / 64;
}

static void set_bit(uint64_t *bits, size_t n)
{
	bits[n / 64] |= 1ULL << n % 64;
}

static bool has_bit(const uint64_t *bits, size_t n)
{
	return bits[n / 64] >> n % 64 & 1;
}

/* ---- who has a label ---------------------------------------------------------------- */

/* value NULL: any. */
static void label_key(struct text *key, const char *name, const char *value)
{
	policy_key_add(key, name);
	if (value)
		policy_key_add(key, value);
}

static int post(struct posting *posting, uint32_t thing)
{
	int r = array_reserve((void **)&posting->things, &posting->size, posting->n,
			      sizeof(*posting->things));

	if (!r)
		posting->things[posting->n++] = thing;
	return r;
}

static int index_label(struct label_index *index, const char *name, const char *value,
		       uint32_t thing)
{
	_cleanup_text_ struct text key = { 0 };
	uint32_t number = index->n;
	int r;

	label_key(&key, name, value);
	r = key.error
		    ?: array_reserve((void **)&index->postings, &index->size, index->n,
				     sizeof(*index->postings));
	if (r)
		return r;
	r = dictionary_add(&index->numbers, key.data, key.length, &number);
	if (!r)
		index->postings[index->n++] = (struct posting){ 0 };
	return r == -ENOMEM ? r : post(&index->postings[number], thing);
}

static int index_labels(struct label_index *index, const struct model_labels *labels,
			uint32_t thing)
{
	int r = 0;

	for (size_t i = 0; !r && i < labels->n; i++) {
		r = index_label(index, labels->items[i].key, NULL, thing);
		if (!r)
			r = index_label(index, labels->items[i].key, labels->items[i].value, thing);
	}
	return r;
}

void policy_index_release(struct label_index *index)
{
	for (size_t i = 0; i < index->n; i++)
		free(index->postings[i].things);
	free(index->postings);
	dictionary_release(&index->numbers);
}

/* The list of those who have it, NULL: nobody has. -ENOMEM is an answer apart. */
static int find_posting(const struct label_index *index, const char *name, const char *value,
			const struct posting **ret)
{
	_cleanup_text_ struct text key = { 0 };
	uint32_t number;

	label_key(&key, name, value);
	if (key.error)
		return key.error;
	*ret = dictionary_find(&index->numbers, key.data, key.length, &number)
		       ? &index->postings[number]
		       : NULL;
	return 0;
}

/* ---- one selector ------------------------------------------------------------------- */

static int mark_label(const struct label_index *index, const char *name, const char *value,
		      uint64_t *bits)
{
	const struct posting *posting;
	int r = find_posting(index, name, value, &posting);

	for (size_t i = 0; !r && posting && i < posting->n; i++)
		set_bit(bits, posting->things[i]);
	return r;
}

/* Leaves in bits what meets the requirement; scratch is as large. */
static int require(const struct label_index *index, const struct model_requirement *requirement,
		   uint64_t *bits, uint64_t *scratch, size_t words)
{
	bool valued = requirement->op == MODEL_IN || requirement->op == MODEL_NOT_IN;
	bool negative = requirement->op == MODEL_NOT_IN || requirement->op == MODEL_DOES_NOT_EXIST;
	size_t n = valued ? requirement->n_values : 1;
	int r = 0;

	memset(scratch, 0, words * sizeof(*scratch));
	for (size_t i = 0; !r && i < n; i++)
		r = mark_label(index, requirement->key, valued ? requirement->values[i] : NULL,
			       scratch);
	for (size_t i = 0; i < words; i++)
		bits[i] &= negative ? ~scratch[i] : scratch[i];
	return r;
}

/* Leaves in bits, of n things, what is selected. */
static int narrow(const struct label_index *index, const struct model_selector *selector,
		  uint64_t *bits, size_t n)
{
	_cleanup_free_ uint64_t *scratch = calloc(words_for(n) + 1, sizeof(*scratch));
	int r = 0;

	if (!scratch)
		return -ENOMEM;
	for (size_t i = 0; !r && i < selector->n; i++)
		r = require(index, &selector->requirements[i], bits, scratch, words_for(n));
	return r;
}

/* ---- namespaces ----------------------------------------------------------------------- */

static void mark_residents(const struct compile *compile, uint32_t name_space, uint64_t *bits)
{
	const struct posting *residents = &compile->residents[name_space];

	for (size_t i = 0; i < residents->n; i++)
		set_bit(bits, residents->things[i]);
}

static void mark_workloads(const struct compile *compile, uint64_t *bits)
{
	for (size_t i = SST_IDENTITY_RESERVED; i < compile->n_identities; i++)
		set_bit(bits, i);
}

static int mark_namespaces(const struct compile *compile, const struct model_selector *selector,
			   uint64_t *bits)
{
	size_t n = compile->model->n_namespaces;
	_cleanup_free_ uint64_t *selected = calloc(words_for(n) + 1, sizeof(*selected));
	int r;

	if (!selected)
		return -ENOMEM;
	memset(selected, 0xff, words_for(n) * sizeof(*selected));
	r = narrow(&compile->namespaces, selector, selected, n);
	for (size_t i = 0; !r && i < n; i++)
		if (has_bit(selected, i))
			mark_residents(compile, i, bits);
	return r;
}

/* Those among whom the peer's labels select. */
static int mark_scope(const struct compile *compile, const char *name_space,
		      const struct model_selector *namespaces, uint64_t *bits)
{
	uint32_t number;

	if (namespaces)
		return mark_namespaces(compile, namespaces, bits);
	if (!*name_space)
		mark_workloads(compile, bits);
	else if (dictionary_find(&compile->namespace_numbers, name_space, strlen(name_space),
				 &number))
		mark_residents(compile, number, bits);
	return 0;
}

/* ---- groups ------------------------------------------------------------------------------ */

static int add_workload_peer(const struct compile *compile, const char *name_space,
			     const struct model_peer *peer, uint64_t *bits)
{
	size_t words = words_for(compile->n_identities);
	_cleanup_free_ uint64_t *selected = calloc(words, sizeof(*selected));
	int r;

	if (!selected)
		return -ENOMEM;
	r = mark_scope(compile, name_space, peer->namespaces, selected);
	if (!r)
		r = narrow(&compile->labels, &peer->workloads, selected, compile->n_identities);
	for (size_t i = 0; i < words; i++)
		bits[i] |= selected[i];
	return r;
}

static int add_peers(const struct compile *compile, const char *name_space,
		     const struct model_peer *peers, size_t n, uint64_t *bits)
{
	int r = 0;

	for (size_t i = 0; !r && i < n; i++)
		if (peers[i].kind == MODEL_PEER_WORKLOADS)
			r = add_workload_peer(compile, name_space, &peers[i], bits);
		else if (peers[i].kind == MODEL_PEER_RESERVED)
			set_bit(bits, peers[i].identity);
	return r;
}

static void mark_everybody(const struct compile *compile, uint64_t *bits)
{
	mark_workloads(compile, bits);
	for (size_t i = 0; i < SST_IDENTITY_RESERVED; i++)
		set_bit(bits, i);
}

/* They are sorted by identity. */
static void keep_givers(struct port_givers givers, size_t n_identities, uint64_t *bits)
{
	size_t at = 0;

	for (size_t i = 0; i < words_for(n_identities); i++) {
		uint64_t word = 0;

		for (; at < givers.n && givers.first[at].identity / 64 == i; at++)
			set_bit(&word, givers.first[at].identity % 64);
		bits[i] &= word;
	}
}

static int make_group(struct compile *compile, const char *name_space,
		      const struct model_peer *peers, size_t n, struct port_givers givers,
		      struct set *group)
{
	int r = 0;

	group->bits = calloc(words_for(compile->n_identities), sizeof(*group->bits));
	if (!group->bits)
		return -ENOMEM;
	if (peers)
		r = add_peers(compile, name_space, peers, n, group->bits);
	else
		mark_everybody(compile, group->bits);
	if (givers.n)
		keep_givers(givers, compile->n_identities, group->bits);
	return r;
}

static void selector_key(struct text *key, const struct model_selector *selector)
{
	text_add(key, "%zu", selector->n);
	for (size_t i = 0; i < selector->n; i++) {
		const struct model_requirement *requirement = &selector->requirements[i];

		text_add(key, " %d %zu ", requirement->op, requirement->n_values);
		policy_key_add(key, requirement->key);
		for (size_t j = 0; j < requirement->n_values; j++)
			policy_key_add(key, requirement->values[j]);
	}
}

static void peer_key(struct text *key, const char *name_space, const struct model_peer *peer)
{
	if (peer->kind == MODEL_PEER_NETWORK)
		return;
	if (peer->kind == MODEL_PEER_RESERVED) {
		text_add(key, "r%d ", peer->identity);
		return;
	}
	text_add(key, peer->namespaces ? "s" : "n");
	if (peer->namespaces)
		selector_key(key, peer->namespaces);
	else
		policy_key_add(key, name_space);
	text_add(key, "/");
	selector_key(key, &peer->workloads);
}

int policy_group(struct compile *compile, const char *name_space, const struct model_peer *peers,
		 size_t n, struct port_givers givers, struct set **ret)
{
	_cleanup_text_ struct text key = { 0 };
	struct set *group;
	int r;

	text_add(&key, peers ? "+" : "*");
	for (size_t i = 0; i < n; i++)
		peer_key(&key, name_space, &peers[i]);
	policy_givers_key(&key, givers);
	r = policy_find_set(&compile->groups, &key, &group);
	if (r == -ENOENT) {
		r = policy_add_set(&compile->groups, &key, &group);
		if (!r)
			r = make_group(compile, name_space, peers, n, givers, group);
	}
	if (!r)
		*ret = group;
	return r;
}

int policy_group_of_workloads(struct compile *compile, struct set **ret)
{
	static const struct model_peer all = { .kind = MODEL_PEER_WORKLOADS };

	return policy_group(compile, "", &all, 1, (struct port_givers){ 0 }, ret);
}

/* ---- the indexes -------------------------------------------------------------------------- */

static int index_namespaces(struct compile *compile)
{
	const struct model *model = compile->model;
	int r = 0;

	compile->residents = calloc(model->n_namespaces + 1, sizeof(*compile->residents));
	if (!compile->residents)
		return -ENOMEM;
	for (uint32_t i = 0; !r && i < model->n_namespaces; i++) {
		const struct model_namespace *name_space = &model->namespaces[i];
		uint32_t number = i;

		r = dictionary_add(&compile->namespace_numbers, name_space->name,
				   strlen(name_space->name), &number);
		if (!r)
			r = index_labels(&compile->namespaces, &name_space->labels, i);
	}
	return r;
}

static int index_identity(struct compile *compile, uint32_t index)
{
	const struct model_workload *example = compile->identities[index].example;
	uint32_t number;
	int r = 0;

	if (dictionary_find(&compile->namespace_numbers, example->name_space,
			    strlen(example->name_space), &number))
		r = post(&compile->residents[number], index);
	return r ?: index_labels(&compile->labels, &example->labels, index);
}

int policy_make_indexes(struct compile *compile)
{
	int r = index_namespaces(compile);

	for (uint32_t i = SST_IDENTITY_RESERVED; !r && i < compile->n_identities; i++)
		r = index_identity(compile, i);
	return r;
}
