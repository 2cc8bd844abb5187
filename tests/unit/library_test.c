/* SPDX-License-Identifier: Apache-2.0 */
/* Libraries that are loaded when they are needed. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/cleanup.h"
#include "core/library.h"

#define UNUSED __attribute__((unused))

struct table {
	__typeof__(sqrt) *sqrt;
	__typeof__(hypot) *hypot;
};

static int load(const char *soname, const char *second, struct table *table,
		struct problems *problems)
{
	const char *const names[] = { "sqrt", second };
	const struct library library = { soname, "--roots", "libc6", names, ARRAY_SIZE(names) };

	return library_load(&library, table, problems);
}

static void test_table_is_in_order(void **unused UNUSED)
{
	_cleanup_problems_ struct problems problems = {};
	struct table table = {};

	assert_int_equal(load("libm.so.6", "hypot", &table, &problems), 0);
	assert_int_equal(problems.count, 0);
	assert_true(table.sqrt(9) == 3);
	assert_true(table.hypot(3, 4) == 5);
}

/* Told is what was wanted, what for, and what to install; the table is as it was. */
static void check_refused(const char *soname, const char *second, const char *missing)
{
	_cleanup_problems_ struct problems problems = {};
	struct table table = { .sqrt = fabs };

	assert_int_equal(load(soname, second, &table, &problems), -ELIBACC);
	assert_ptr_equal(table.sqrt, fabs);
	assert_null(table.hypot);
	assert_int_equal(problems.count, 1);
	assert_ptr_equal(strstr(problems.text[0], soname), problems.text[0]);
	assert_non_null(strstr(problems.text[0], missing));
	assert_non_null(strstr(problems.text[0], "--roots"));
	assert_non_null(strstr(problems.text[0], "libc6"));
}

static void test_library_is_missing(void **unused UNUSED)
{
	check_refused("libroots.so.1", "hypot", "No such file or directory");
}

/* As in an older one. */
static void test_function_is_missing(void **unused UNUSED)
{
	check_refused("libm.so.6", "hypotenuse", "undefined symbol: hypotenuse");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_is_in_order),
		cmocka_unit_test(test_library_is_missing),
		cmocka_unit_test(test_function_is_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
