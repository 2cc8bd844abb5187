/* SPDX-License-Identifier: Apache-2.0 */
/* Schedules, and the places in map `slots` where they lie. */
#include "plan/internal.h"

#include <string.h>

#include "core/array.h"
#include "core/cleanup.h"
#include "plan/schedule.h"

/* ---- schedules -------------------------------------------------------------- */

static size_t usable_members(const struct unit *unit, uint32_t *ids, uint32_t *weights)
{
	size_t n = 0;

	for (size_t i = 0; i < unit->n_members; i++) {
		const struct member *member = &unit->members[i];

		if (member->value.state != SST_ENDPOINT_READY)
			continue;
		ids[n] = member->id;
		weights[n++] = member->value.weight;
	}
	return n;
}

static int make_slots(const uint32_t *ids, const uint32_t *weights, size_t n, uint32_t **ret,
		      uint32_t *ret_n)
{
	uint64_t length = schedule_length(weights, n);
	_cleanup_free_ uint32_t *slots = NULL;
	int r;

	slots = calloc(length, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	r = schedule_fill(weights, n, slots);
	if (r)
		return r;
	for (uint64_t i = 0; i < length; i++)
		slots[i] = ids[slots[i]];
	*ret = TAKE_PTR(slots);
	*ret_n = length;
	return 0;
}

/* The run of slots that a service of the state uses, cut to what the map can hold. */
struct range {
	uint32_t first;
	uint32_t n;
};

static struct range old_range(const struct state *state, const struct state_service *service)
{
	struct range range = { service->value.first, service->value.slots };

	if (range.first >= state->n_slots)
		return (struct range){ 0 };
	if (range.n > state->n_slots - range.first)
		range.n = state->n_slots - range.first;
	return range;
}

static bool is_in_place(const struct state *state, const struct state_service *old,
			const uint32_t *slots, uint32_t n)
{
	struct range range;

	if (!old || old->value.slots != n)
		return false;
	range = old_range(state, old);
	return range.n == n && !memcmp(slots, state->slots + range.first, n * sizeof(*slots));
}

static int schedule_unit(const struct state *state, struct unit *unit)
{
	_cleanup_free_ uint32_t *ids = calloc(unit->n_members + 1, sizeof(*ids));
	_cleanup_free_ uint32_t *weights = calloc(unit->n_members + 1, sizeof(*weights));
	_cleanup_free_ uint32_t *slots = NULL;
	uint32_t n_slots = 0;
	size_t n;
	int r;

	if (!ids || !weights)
		return -ENOMEM;
	n = usable_members(unit, ids, weights);
	if (n) {
		r = make_slots(ids, weights, n, &slots, &n_slots);
		if (r)
			return r;
	}
	unit->value.slots = n_slots;
	if (slots && !is_in_place(state, unit->old, slots, n_slots))
		unit->slots = TAKE_PTR(slots);
	return 0;
}

int diff_schedule(struct diff *diff)
{
	for (size_t i = 0; i < diff->n_units; i++) {
		int r;

		if (diff->units[i].leaves)
			continue;
		r = schedule_unit(diff->state, &diff->units[i]);
		if (r)
			return r;
	}
	return 0;
}

/* ---- places ----------------------------------------------------------------- */

/*
 * The runs of slots that no service of the state refers to, and above them a tree of
 * maxima: node i is the longest of nodes 2i and 2i + 1, leaf n_leaves + i is hole i.
 * So the first hole that is long enough is found in O(log n).
 */
struct holes {
	struct range *hole; /* by position */
	size_t n;
	uint32_t *longest;
	size_t n_leaves; /* a power of two */
	uint64_t free;
};

static void holes_release(struct holes *holes)
{
	free(holes->hole);
	free(holes->longest);
}
#define _cleanup_holes_ __attribute__((cleanup(holes_release)))

uint64_t *slot_bits_new(uint64_t n)
{
	return calloc(n / 64 + 1, sizeof(uint64_t));
}

void slot_bits_set(uint64_t *bits, uint64_t n, uint32_t first, uint32_t count, bool used)
{
	uint64_t end = (uint64_t)first + count;

	for (uint64_t i = first; i < end && i < n; i++) {
		uint64_t bit = 1ULL << i % 64;

		bits[i / 64] = used ? bits[i / 64] | bit : bits[i / 64] & ~bit;
	}
}

/* The first slot at or behind `from` that is in use, or free; n: none is. */
static uint64_t next_slot(const uint64_t *bits, uint64_t n, uint64_t from, bool used)
{
	uint64_t flip = used ? 0 : UINT64_MAX, word, i = from / 64;

	if (from >= n)
		return n;
	for (word = (bits[i] ^ flip) & UINT64_MAX << from % 64; !word;) {
		if (++i * 64 >= n)
			return n;
		word = bits[i] ^ flip;
	}
	i = i * 64 + __builtin_ctzll(word);
	return i < n ? i : n;
}

static int find_holes(struct holes *holes, const uint64_t *bits, uint64_t n)
{
	uint64_t from, to = 0;
	size_t room = 0;

	while ((from = next_slot(bits, n, to, false)) < n) {
		to = next_slot(bits, n, from, true);
		if (array_reserve((void **)&holes->hole, &room, holes->n, sizeof(*holes->hole)))
			return -ENOMEM;
		holes->hole[holes->n++] = (struct range){ from, to - from };
		holes->free += to - from;
	}
	return 0;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static int grow_tree(struct holes *holes)
{
	for (holes->n_leaves = 1; holes->n_leaves < holes->n;)
		holes->n_leaves *= 2;
	holes->longest = calloc(holes->n_leaves * 2, sizeof(*holes->longest));
	if (!holes->longest)
		return -ENOMEM;
	for (size_t i = 0; i < holes->n; i++)
		holes->longest[holes->n_leaves + i] = holes->hole[i].n;
	for (size_t i = holes->n_leaves; --i > 0;)
		holes->longest[i] = larger(holes->longest[2 * i], holes->longest[2 * i + 1]);
	return 0;
}

static uint64_t *find_used(const struct state *state)
{
	uint64_t n = state->fill[STATE_MAP_SLOTS].capacity;
	uint64_t *bits = slot_bits_new(n);

	for (size_t i = 0; bits && i < state->n_services; i++) {
		struct range range = old_range(state, &state->services[i]);

		slot_bits_set(bits, n, range.first, range.n, true);
	}
	return bits;
}

static int holes_make(const struct diff *diff, struct holes *ret)
{
	uint64_t n = diff->state->fill[STATE_MAP_SLOTS].capacity;
	_cleanup_free_ uint64_t *found = diff->known ? NULL : find_used(diff->state);
	const uint64_t *bits = diff->known ? diff->beside.slots : found;
	_cleanup_holes_ struct holes holes = { 0 };
	int r;

	if (!bits)
		return -ENOMEM;
	r = find_holes(&holes, bits, n);
	if (!r)
		r = grow_tree(&holes);
	if (r)
		return r;
	*ret = holes;
	holes = (struct holes){ 0 };
	return 0;
}

/* First fit, from the hole's low end. Returns 0 or -ENOSPC. */
static int holes_take(struct holes *holes, uint32_t n, uint32_t *ret)
{
	struct range *hole;
	size_t node = 1;

	if (holes->longest[node] < n)
		return -ENOSPC;
	while (node < holes->n_leaves) {
		node *= 2;
		if (holes->longest[node] < n)
			node++;
	}
	hole = &holes->hole[node - holes->n_leaves];
	*ret = hole->first;
	hole->first += n;
	hole->n -= n;
	holes->longest[node] = hole->n;
	while (node /= 2)
		holes->longest[node] =
			larger(holes->longest[2 * node], holes->longest[2 * node + 1]);
	return 0;
}

static struct demand demand_for_slots(const struct diff *diff, const struct holes *holes)
{
	uint64_t capacity = diff->state->fill[STATE_MAP_SLOTS].capacity;
	struct demand demand = {
		.what = "slots",
		.map = STATE_MAP_SLOTS,
		.peak = capacity - holes->free,
		.settled = diff->beside.n_slots,
	};

	for (size_t i = 0; i < diff->n_units; i++) {
		const struct unit *unit = &diff->units[i];

		demand.settled += unit->value.slots;
		if (unit->slots)
			demand.peak += unit->value.slots;
	}
	return demand;
}

/* There is room enough, but none of the free runs is that long. */
static int refuse_fragmented(const struct diff *diff, const struct unit *unit,
			     const struct holes *holes, struct problems *problems)
{
	problems_add(problems, diff->model->source, unit->port->place,
		     "slots: %u in a row needed for service '%s', room for %u", unit->value.slots,
		     unit->info.name, holes->longest[1]);
	return -E2BIG;
}

int diff_place(struct diff *diff, struct problems *problems)
{
	_cleanup_holes_ struct holes holes = { 0 };
	struct demand demand;
	int r;

	r = holes_make(diff, &holes);
	if (r)
		return r;
	demand = demand_for_slots(diff, &holes);
	r = demand_check(&demand, diff, problems);
	for (size_t i = 0; !r && i < diff->n_units; i++) {
		struct unit *unit = &diff->units[i];

		if (unit->slots && holes_take(&holes, unit->value.slots, &unit->value.first))
			r = refuse_fragmented(diff, unit, &holes, problems);
	}
	return r;
}
