/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/schedule.h"

#include <stdbool.h>

#include "core/cleanup.h"
#include "core/divisor.h"

struct ticket {
	uint32_t weight;
	uint32_t index;
};

/*
 * Endpoints of one weight take turns in a circle: they gain alike, so the richest
 * of them is the first that was not taken in this round. It is enough to keep the
 * credit of that one.
 */
struct group {
	const struct ticket *tickets;
	size_t n;
	size_t next; /* the one whose turn it is */
	int64_t credit;
};

static uint64_t sum_of(const uint32_t *weights, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += weights[i];
	return sum;
}

uint64_t schedule_length(const uint32_t *weights, size_t n)
{
	uint32_t divisor = 0;

	for (size_t i = 0; i < n; i++)
		divisor = greatest_common_divisor(weights[i], divisor);
	return divisor ? sum_of(weights, n) / divisor : 0;
}

static int compare_tickets(const void *a, const void *b)
{
	const struct ticket *x = a, *y = b;

	if (x->weight != y->weight)
		return x->weight < y->weight ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

static void sort_tickets(const uint32_t *weights, size_t n, struct ticket *ret)
{
	for (size_t i = 0; i < n; i++)
		ret[i] = (struct ticket){ .weight = weights[i], .index = i };
	qsort(ret, n, sizeof(*ret), compare_tickets);
}

/* groups holds n. Returns how many there are. */
static size_t group_tickets(const struct ticket *tickets, size_t n, struct group *groups)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		if (!i || tickets[i].weight != tickets[i - 1].weight)
			groups[count++] = (struct group){ .tickets = tickets + i };
		groups[count - 1].n++;
	}
	return count;
}

static const struct ticket *turn_of(const struct group *group)
{
	return &group->tickets[group->next];
}

static bool is_richer(const struct group *a, const struct group *b)
{
	if (a->credit != b->credit)
		return a->credit > b->credit;
	return turn_of(a)->index < turn_of(b)->index;
}

/* Everybody gains; the richest group is returned. */
static struct group *play_turn(struct group *groups, size_t n)
{
	struct group *richest = groups;

	for (size_t i = 0; i < n; i++) {
		groups[i].credit += groups[i].tickets->weight;
		if (is_richer(&groups[i], richest))
			richest = &groups[i];
	}
	return richest;
}

/* Who comes next in the circle has paid as often as this one had, until the circle closes. */
static void pay(struct group *group, uint64_t price)
{
	if (++group->next < group->n)
		return;
	group->next = 0;
	group->credit -= price;
}

int schedule_fill(const uint32_t *weights, size_t n, uint32_t *slots)
{
	uint64_t length = schedule_length(weights, n), price = sum_of(weights, n);
	_cleanup_free_ struct ticket *tickets = NULL;
	_cleanup_free_ struct group *groups = NULL;
	size_t n_groups;

	if (!n)
		return 0;
	tickets = calloc(n, sizeof(*tickets));
	groups = calloc(n, sizeof(*groups));
	if (!tickets || !groups)
		return -ENOMEM;
	sort_tickets(weights, n, tickets);
	n_groups = group_tickets(tickets, n, groups);
	for (uint64_t i = 0; i < length; i++) {
		struct group *group = play_turn(groups, n_groups);

		slots[i] = turn_of(group)->index;
		pay(group, price);
	}
	return 0;
}
