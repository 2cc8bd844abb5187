/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/cleanup.h"
#include "export/json_line.h"

#define UNUSED __attribute__((unused))

#define LENGTH_MAX 26

/* What a reader makes of it. */
static void assert_reads_as(struct json_line *line, struct text *out, const char *expected)
{
	json_t *read;

	json_line_end(line);
	assert_int_equal(out->error, 0);
	assert_int_equal(strlen(out->data), out->length);
	read = json_loads(out->data, JSON_DECODE_ANY, NULL);
	assert_non_null(read);
	assert_string_equal(json_string_value(read), expected);
	json_decref(read);
	out->length = 0;
}

static void assert_string_survives(const char *string)
{
	_cleanup_text_ struct text out = {};
	struct json_line line;

	assert_true(json_line_begin(&line, &out));
	json_line_string(&line, string);
	assert_reads_as(&line, &out, string);
	assert_true(json_line_begin(&line, &out));
	text_add_string(json_line_open_string(&line), string);
	json_line_close_string(&line);
	assert_reads_as(&line, &out, string);
}

/* Each byte that is looked at by itself, at each place of strings of each length. */
static void test_each_byte_at_each_place(void **unused UNUSED)
{
	for (size_t n = 0; n <= LENGTH_MAX; n++)
		for (size_t i = 0; i < (n ?: 1); i++)
			for (int c = 1; c < 128; c++) {
				char string[LENGTH_MAX + 1] = {};

				memset(string, 'x', n);
				if (n)
					string[i] = c;
				assert_string_survives(string);
			}
}

/* A byte that is not ASCII stands for the character of its number. */
static void test_no_byte_breaks_the_line(void **unused UNUSED)
{
	for (int c = 128; c < 256; c++) {
		_cleanup_text_ struct text out = {};
		char string[] = { 'a', 'b', 'c', 'd', c, 'f', 'g', 'h', 'i', c, 0 };
		const char character[] = { 0xc0 | c >> 6, 0x80 | (c & 0x3f), 0 };
		struct json_line line;
		char expected[32];

		snprintf(expected, sizeof(expected), "abcd%sfghi%s", character, character);
		assert_true(json_line_begin(&line, &out));
		json_line_string(&line, string);
		assert_reads_as(&line, &out, expected);
	}
}

static void test_what_surrounds_an_opened_string_stays(void **unused UNUSED)
{
	_cleanup_text_ struct text out = {};
	struct json_line line;

	text_add_string(&out, "before ");
	assert_true(json_line_begin(&line, &out));
	json_line_literal(&line, "[");
	text_add_string(json_line_open_string(&line), "a \"name\"");
	json_line_close_string(&line);
	json_line_literal(&line, ",");
	for (int i = 0; i < 5000; i++) { /* more than there is room for at first */
		text_add_string(json_line_open_string(&line), i ? "" : "b");
		json_line_close_string(&line);
	}
	json_line_literal(&line, "]");
	json_line_end(&line);
	assert_memory_equal(out.data, "before [\"a \\\"name\\\"\",\"b\"\"\"", 25);
	assert_string_equal(out.data + out.length - 3, "\"\"]");
}

static void assert_decimal(uint64_t number)
{
	char expected[32], found[32];

	snprintf(expected, sizeof(expected), "%" PRIu64, number);
	*decimal(number, found) = '\0';
	assert_string_equal(found, expected);
	snprintf(expected, sizeof(expected), "%09" PRIu64, number % 1000000000);
	*decimal_padded(number, 9, found) = '\0';
	assert_string_equal(found, expected);
	snprintf(expected, sizeof(expected), "%04" PRIu64, number % 10000);
	*decimal_padded(number, 4, found) = '\0';
	assert_string_equal(found, expected);
}

static void test_numbers(void **unused UNUSED)
{
	uint64_t power = 1;

	for (int i = 0; i < DECIMAL_MAX; i++, power *= 10) {
		assert_decimal(power - 1);
		assert_decimal(power);
		assert_decimal(power + 1);
		assert_decimal(power * 7 + power / 3);
	}
	assert_decimal(UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_byte_at_each_place),
		cmocka_unit_test(test_no_byte_breaks_the_line),
		cmocka_unit_test(test_what_surrounds_an_opened_string_stays),
		cmocka_unit_test(test_numbers),
	};

	return cmocka_run_group_tests_name("json line", tests, NULL, NULL);
}
