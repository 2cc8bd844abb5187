/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "plan/schedule.h"

#define LENGTH_MAX 4096

/* The rule word for word: everybody gains, the richest is taken and pays the sum. */
static void fill_by_the_book(const uint32_t *weights, size_t n, size_t length, uint32_t *slots)
{
	_cleanup_free_ int64_t *credit = calloc(n, sizeof(*credit));
	int64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += weights[i];
	for (size_t turn = 0; turn < length; turn++) {
		size_t richest = 0;

		for (size_t i = 0; i < n; i++) {
			credit[i] += weights[i];
			if (credit[i] > credit[richest])
				richest = i;
		}
		credit[richest] -= sum;
		slots[turn] = richest;
	}
}

static size_t count_of(const uint32_t *slots, size_t length, uint32_t index)
{
	size_t count = 0;

	for (size_t i = 0; i < length; i++)
		count += slots[i] == index;
	return count;
}

/* The longest run of one index, the schedule taken as a circle. */
static size_t longest_run(const uint32_t *slots, size_t length)
{
	size_t longest = 0, run = 0;

	for (size_t i = 0; i < 2 * length; i++) {
		run = i && slots[i % length] == slots[(i - 1) % length] ? run + 1 : 1;
		if (run > longest)
			longest = run;
	}
	return longest;
}

static void assert_schedule(const uint32_t *weights, size_t n, const char *expected)
{
	uint32_t slots[64];
	char text[65] = "";

	assert_int_equal(schedule_length(weights, n), strlen(expected));
	assert_int_equal(schedule_fill(weights, n, slots), 0);
	for (size_t i = 0; i < strlen(expected); i++)
		text[i] = 'a' + slots[i];
	assert_string_equal(text, expected);
}

static void test_length_is_reduced(void **state)
{
	(void)state;
	assert_int_equal(schedule_length(NULL, 0), 0);
	assert_int_equal(schedule_length((uint32_t[]){ 7 }, 1), 1);
	assert_int_equal(schedule_length((uint32_t[]){ 5, 5, 5 }, 3), 3);
	assert_int_equal(schedule_length((uint32_t[]){ 100, 300 }, 2), 4);
	assert_int_equal(schedule_length((uint32_t[]){ 6, 10, 15 }, 3), 31);
	assert_int_equal(schedule_length((uint32_t[]){ 12, 18 }, 2), 5);
	assert_int_equal(schedule_length((uint32_t[]){ UINT32_MAX, UINT32_MAX - 1 }, 2),
			 2ULL * UINT32_MAX - 1);
}

static void test_nobody_takes_no_slot(void **state)
{
	uint32_t untouched = 42;

	(void)state;
	assert_int_equal(schedule_fill(NULL, 0, &untouched), 0);
	assert_int_equal(untouched, 42);
}

static void test_known_orders(void **state)
{
	(void)state;
	assert_schedule((uint32_t[]){ 9 }, 1, "a");
	assert_schedule((uint32_t[]){ 4, 4, 4, 4 }, 4, "abcd");
	/* the classic: five turns of the heavy one are not in a row */
	assert_schedule((uint32_t[]){ 5, 1, 1 }, 3, "aabacaa");
	assert_schedule((uint32_t[]){ 10, 20 }, 2, "bab");
	assert_schedule((uint32_t[]){ 3, 1 }, 2, "aaba");
}

static void test_ties_go_to_the_lower_index(void **state)
{
	(void)state;
	assert_schedule((uint32_t[]){ 2, 1, 2, 1 }, 4, "acbdac");
	assert_schedule((uint32_t[]){ 1, 2, 1, 2 }, 4, "bdacbd");
}

static uint32_t random_below(uint64_t *seed, uint32_t n)
{
	*seed = *seed * 6364136223846793005 + 1442695040888963407;
	return (*seed >> 33) % n;
}

static void check_against_book(const uint32_t *weights, size_t n)
{
	uint32_t slots[LENGTH_MAX], expected[LENGTH_MAX];
	uint64_t length = schedule_length(weights, n), sum = 0, divisor;
	uint32_t heaviest = 0;

	for (size_t i = 0; i < n; i++) {
		sum += weights[i];
		heaviest = weights[i] > heaviest ? weights[i] : heaviest;
	}
	assert_true(length <= LENGTH_MAX);
	divisor = sum / length;
	assert_int_equal(schedule_fill(weights, n, slots), 0);
	fill_by_the_book(weights, n, length, expected);
	assert_memory_equal(slots, expected, length * sizeof(*slots));
	for (size_t i = 0; i < n; i++)
		assert_int_equal(count_of(slots, length, i), weights[i] / divisor);
	/* the heaviest cannot but run between two turns of others; at most twice as long as that */
	if (n > 1)
		assert_true(longest_run(slots, length) <= 2 * (1 + heaviest / (sum - heaviest)));
}

static void test_random_weights(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		uint32_t weights[24], range = 1 + random_below(&seed, 100);
		size_t n = 1 + random_below(&seed, ARRAY_SIZE(weights));

		for (size_t i = 0; i < n; i++)
			weights[i] = 1 + random_below(&seed, range);
		check_against_book(weights, n);
	}
}

/* Every stretch of the schedule gives everybody the share that is due, give or take a turn. */
static void test_shares_hold_at_every_moment(void **state)
{
	const uint32_t weights[] = { 50, 30, 13, 7 };
	uint32_t slots[100], had[4] = { 0 };

	(void)state;
	assert_int_equal(schedule_length(weights, 4), 100);
	assert_int_equal(schedule_fill(weights, 4, slots), 0);
	for (int turn = 0; turn < 100; turn++) {
		had[slots[turn]]++;
		for (int i = 0; i < 4; i++) {
			double due = weights[i] * (turn + 1) / 100.0;

			assert_true(had[i] > due - 1.5 && had[i] < due + 1.5);
		}
	}
}

/* As many different weights as a schedule of the maximal length can hold: still quick. */
static void test_many_different_weights(void **state)
{
	enum { N = 360, LENGTH = N * (N + 1) / 2 };
	_cleanup_free_ uint32_t *slots = calloc(LENGTH, sizeof(*slots));
	uint32_t weights[N];

	(void)state;
	for (size_t i = 0; i < N; i++)
		weights[i] = i + 1;
	assert_int_equal(schedule_length(weights, N), LENGTH);
	assert_int_equal(schedule_fill(weights, N, slots), 0);
	for (size_t i = 0; i < N; i++)
		assert_int_equal(count_of(slots, LENGTH, i), weights[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_length_is_reduced),
		cmocka_unit_test(test_nobody_takes_no_slot),
		cmocka_unit_test(test_known_orders),
		cmocka_unit_test(test_ties_go_to_the_lower_index),
		cmocka_unit_test(test_random_weights),
		cmocka_unit_test(test_shares_hold_at_every_moment),
		cmocka_unit_test(test_many_different_weights),
	};

	return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
