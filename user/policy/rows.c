/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From "whom is this bit about" to "which bits are about this one": a transposition, 64 by
 * 64 bits at a time. Who has the same bits in both directions is of one class and shares
 * a row.
 */
#include "policy/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"

#define WORD_BITS 64

/* ---- classes ----------------------------------------------------------------------------- */

static uint64_t hash_row(const uint64_t *row, size_t words)
{
	uint64_t hash = 0;

	for (size_t i = 0; i < words; i++)
		if (row[i])
			hash = sst_policy_mix(hash ^ row[i]) + i;
	return hash;
}

static int grow_slots(struct rows *rows)
{
	size_t n = rows->n_slots ? 2 * rows->n_slots : 256;
	uint32_t *slots = calloc(n, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < rows->n; i++) {
		size_t slot = rows->hashes[i] & (n - 1);

		while (slots[slot])
			slot = (slot + 1) & (n - 1);
		slots[slot] = i + 1;
	}
	free(rows->slots);
	rows->slots = slots;
	rows->n_slots = n;
	return 0;
}

static int reserve_row(const struct compile *compile, struct rows *rows)
{
	size_t size = rows->size ? 2 * rows->size : 16;
	void *grown;

	if (2 * rows->n >= rows->n_slots && grow_slots(rows))
		return -ENOMEM;
	if (rows->n < rows->size)
		return 0;
	grown = reallocarray(rows->hashes, size, sizeof(*rows->hashes));
	if (!grown)
		return -ENOMEM;
	rows->hashes = grown;
	if (rows->kept == rows->n) {
		grown = reallocarray(rows->words, size, compile->row_words * sizeof(uint64_t));
		if (!grown)
			return -ENOMEM;
		rows->words = grown;
	}
	rows->size = size;
	return 0;
}

/* Those that make the set too large are counted, and kept no longer. */
static int add_row(struct compile *compile, struct rows *rows, const uint64_t *row, uint64_t hash)
{
	int r = reserve_row(compile, rows);
	size_t slot;

	if (r)
		return r;
	slot = hash & (rows->n_slots - 1);
	while (rows->slots[slot])
		slot = (slot + 1) & (rows->n_slots - 1);
	rows->slots[slot] = rows->n + 1;
	rows->hashes[rows->n] = hash;
	compile->row_blocks += compile->row_words / SST_BLOCK_WORDS;
	if (rows->kept == rows->n && compile->row_blocks <= POLICY_SET_BLOCKS_MAX) {
		memcpy(rows->words + rows->n * compile->row_words, row,
		       compile->row_words * sizeof(*row));
		rows->kept++;
	}
	rows->n++;
	return 0;
}

/* The class of a row, a new one if need be. */
static int classify(struct compile *compile, struct rows *rows, const uint64_t *row, uint32_t *ret)
{
	uint64_t hash = hash_row(row, compile->row_words);
	size_t slot = hash & (rows->n_slots - 1);

	for (; rows->n_slots && rows->slots[slot]; slot = (slot + 1) & (rows->n_slots - 1)) {
		uint32_t class = rows->slots[slot] - 1;

		if (rows->hashes[class] != hash)
			continue;
		if (class < rows->kept && memcmp(rows->words + class * compile->row_words, row,
						 compile->row_words * sizeof(*row)))
			continue;
		*ret = class;
		return 0;
	}
	*ret = rows->n;
	return add_row(compile, rows, row, hash);
}

/* ---- transposition ------------------------------------------------------------------------- */

/* Bit j of word i becomes bit i of word j. */
static void transpose(uint64_t words[WORD_BITS])
{
	uint64_t mask = 0xffffffff;

	for (unsigned width = 32; width; width /= 2, mask ^= mask << width)
		for (unsigned i = 0; i < WORD_BITS; i = ((i | width) + 1) & ~width) {
			uint64_t swap = (words[i] >> width ^ words[i | width]) & mask;

			words[i] ^= swap << width;
			words[i | width] ^= swap;
		}
}

/* Which of the 64 from base on are in the set. base never goes down. */
static uint64_t word_of(struct set *set, size_t base)
{
	uint64_t word = 0;

	if (!set)
		return 0;
	if (set->bits)
		return set->bits[base / WORD_BITS];
	while (set->passed < set->n_ranges && set->ranges[set->passed].last < base)
		set->passed++;
	for (size_t i = set->passed; i < set->n_ranges; i++) {
		struct range range = set->ranges[i];
		unsigned first = range.first < base ? 0 : range.first - base;
		unsigned last = range.last - base < WORD_BITS ? range.last - base : WORD_BITS - 1;

		if (range.first >= base + WORD_BITS)
			break;
		word |= ~0ULL << first & ~0ULL >> (WORD_BITS - 1 - last);
	}
	return word;
}

/* The rows of the 64 from base on. */
static void fill_rows(const struct compile *compile, enum sst_field field, size_t base,
		      uint64_t *rows)
{
	size_t column = 0;

	for (int d = 0; d < SST_DIRECTIONS; d++) {
		const struct direction *direction = &compile->direction[d];

		for (size_t first = 0; first < direction->n; first += WORD_BITS) {
			uint64_t words[WORD_BITS] = { 0 }, any = 0;

			for (size_t i = 0; i < WORD_BITS && first + i < direction->n; i++) {
				words[i] = word_of(direction->bits[first + i].about[field], base);
				any |= words[i];
			}
			if (any)
				transpose(words);
			for (size_t i = 0; i < WORD_BITS; i++)
				rows[i * compile->row_words + column + first / WORD_BITS] =
					words[i];
		}
		column += (size_t)direction->row_blocks * SST_BLOCK_WORDS;
	}
}

static int make_field(struct compile *compile, enum sst_field field, size_t n)
{
	_cleanup_free_ uint64_t *rows = calloc(WORD_BITS * compile->row_words, sizeof(*rows));
	uint32_t *classes = calloc(n, sizeof(*classes));
	int r = 0;

	compile->classes[field] = classes;
	if (!rows || !classes)
		return -ENOMEM;
	if (field == SST_FIELD_NETWORK) /* class 0: no rule's */
		r = classify(compile, &compile->rows[field], rows, classes);
	for (size_t base = 0; !r && base < n; base += WORD_BITS) {
		fill_rows(compile, field, base, rows);
		for (size_t i = 0; !r && i < WORD_BITS && base + i < n; i++)
			r = classify(compile, &compile->rows[field], rows + i * compile->row_words,
				     &classes[base + i]);
	}
	return r;
}

/* ---- all fields ------------------------------------------------------------------------------ */

static int close_spaces(struct compile *compile)
{
	int r = 0;

	for (size_t i = 0; !r && i < compile->n_owners; i++)
		r = policy_space_cut(&compile->address_space, compile->owners[i].range.first,
				     compile->owners[i].range.last, POLICY_ADDRESS_MAX);
	if (!r)
		r = policy_space_close(&compile->address_space, &compile->networks,
				       POLICY_ADDRESS_MAX);
	return r ?: policy_space_close(&compile->port_space, &compile->ports, POLICY_PORT_MAX);
}

int policy_make_rows(struct compile *compile)
{
	int r = close_spaces(compile);

	for (int d = 0; d < SST_DIRECTIONS; d++) {
		struct direction *direction = &compile->direction[d];

		direction->row_blocks = (direction->n + SST_BLOCK_BITS - 1) / SST_BLOCK_BITS;
		compile->row_words += (size_t)direction->row_blocks * SST_BLOCK_WORDS;
	}
	if (!r)
		r = make_field(compile, SST_FIELD_SUBJECT, compile->n_identities);
	if (!r)
		r = make_field(compile, SST_FIELD_PEER, compile->n_identities);
	if (!r)
		r = make_field(compile, SST_FIELD_NETWORK, compile->address_space.n);
	return r ?: make_field(compile, SST_FIELD_PORT, compile->port_space.n);
}
