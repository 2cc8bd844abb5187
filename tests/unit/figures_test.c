/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/figures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NEAR 1e-6

static void test_odd(void **state)
{
	double values[] = { 5, 1, 4, 2, 3 };
	struct figure figure = figure_of(values, 5);

	(void)state;
	assert_float_equal(figure.median, 3, NEAR);
	assert_float_equal(figure.min, 1, NEAR);
	assert_float_equal(figure.max, 5, NEAR);
	assert_float_equal(figure.q1, 2, NEAR);
	assert_float_equal(figure.q3, 4, NEAR);
}

static void test_between_two(void **state)
{
	double values[] = { 40, 10, 30, 20 };
	struct figure figure = figure_of(values, 4);

	(void)state;
	assert_float_equal(figure.median, 25, NEAR);
	assert_float_equal(figure.q1, 17.5, NEAR);
	assert_float_equal(figure.q3, 32.5, NEAR);
}

static void test_single(void **state)
{
	double value = 7;
	struct figure figure = figure_of(&value, 1);

	(void)state;
	assert_float_equal(figure.median, 7, NEAR);
	assert_float_equal(figure.min, 7, NEAR);
	assert_float_equal(figure.max, 7, NEAR);
	assert_float_equal(figure.q1, 7, NEAR);
	assert_float_equal(figure.q3, 7, NEAR);
	assert_false(figure_is_noisy(&figure));
}

static void test_quantiles(void **state)
{
	double values[1001];

	(void)state;
	for (int i = 0; i <= 1000; i++)
		values[i] = i;
	assert_float_equal(figure_quantile(values, 1001, 0.99), 990, NEAR);
	assert_float_equal(figure_quantile(values, 1001, 0.999), 999, NEAR);
	assert_float_equal(figure_quantile(values, 1001, 1), 1000, NEAR);
	assert_float_equal(figure_quantile(values, 1001, 0), 0, NEAR);
}

/* Values that stray are no noise as long as the middle half lies together. */
static void test_noise(void **state)
{
	double quiet[] = { 10, 10, 10.5, 11, 11, 11, 90 };
	double noisy[] = { 8, 9, 9, 10, 11, 12, 13 };
	double limit[] = { 9, 9, 10, 11, 11 };
	struct figure figure = figure_of(quiet, 7);

	(void)state;
	assert_false(figure_is_noisy(&figure));
	figure = figure_of(noisy, 7);
	assert_true(figure_is_noisy(&figure));
	figure = figure_of(limit, 5);
	assert_false(figure_is_noisy(&figure));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_odd),    cmocka_unit_test(test_between_two),
		cmocka_unit_test(test_single), cmocka_unit_test(test_quantiles),
		cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
