/* SPDX-License-Identifier: Apache-2.0 */
/* Objects out of bytes: each input is cut in two at every place, and comes byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/stream.h"
#include "core/cleanup.h"

#define MAX 100

/* One object a line. */
static int collect(const char *json, size_t size, void *arg)
{
	struct text *found = arg;

	text_add_bytes(found, json, size);
	text_add(found, "\n");
	return found->error;
}

struct reading {
	int r;
	bool whole;
	struct text found, rest;
};

static void release(struct reading *reading)
{
	text_release(&reading->found);
	text_release(&reading->rest);
}

#define _cleanup_reading_ __attribute__((cleanup(release)))

/* In pieces: the first one, and then so many bytes at once. Each is a copy of its own, so that
 * ASan sees who reads past it. */
static struct reading read_pieces(bool is_list, const char *text, size_t first, size_t step)
{
	_cleanup_stream_ struct stream stream = { .is_list = is_list, .max = MAX };
	struct reading reading = {};
	size_t left = strlen(text), n = first;

	for (; left && !reading.r; left -= n, text += n, n = step) {
		_cleanup_free_ char *piece = NULL;

		n = n < left ? n : left;
		piece = n ? memcpy(malloc(n), text, n) : NULL;
		reading.r = stream_add(&stream, piece, n, collect, &reading.found);
	}
	reading.whole = stream_is_whole(&stream);
	text_add_string(&reading.rest, text_string(&stream.rest));
	return reading;
}

static void assert_read(bool is_list, const char *text, size_t first, size_t step,
			const char *found, const char *rest)
{
	_cleanup_reading_ struct reading reading = read_pieces(is_list, text, first, step);

	assert_int_equal(reading.r, 0);
	assert_true(reading.whole);
	assert_string_equal(text_string(&reading.found), found);
	assert_string_equal(text_string(&reading.rest), rest);
}

static void assert_reads(bool is_list, const char *text, const char *found, const char *rest)
{
	size_t size = strlen(text);

	assert_read(is_list, text, 1, 1, found, rest);
	for (size_t first = 0; first <= size; first++)
		assert_read(is_list, text, first, size, found, rest);
}

static void assert_fails(bool is_list, const char *text, int expected)
{
	for (size_t step = 1; step <= strlen(text); step++) {
		_cleanup_reading_ struct reading reading = read_pieces(is_list, text, step, step);

		assert_int_equal(reading.r, expected);
	}
}

static bool is_whole(bool is_list, const char *text)
{
	_cleanup_reading_ struct reading reading = read_pieces(is_list, text, 1, 1);

	assert_int_equal(reading.r, 0);
	return reading.whole;
}

/* ---- events ---------------------------------------------------------------------------- */

static void test_objects(void **state)
{
	(void)state;
	assert_reads(false, "", "", "");
	assert_reads(false, "{}", "{}\n", "");
	assert_reads(false, "{\"a\":1}\n{\"b\":[{},[{}]]}\n", "{\"a\":1}\n{\"b\":[{},[{}]]}\n", "");
	assert_reads(false, " \r\n\t{}{}  {}", "{}\n{}\n{}\n", "");
}

/* Brackets and quotes in texts end nothing. */
static void test_strings(void **state)
{
	(void)state;
	assert_reads(false, "{\"}\":\"]}{[\"}{}", "{\"}\":\"]}{[\"}\n{}\n", "");
	assert_reads(false, "{\"a\":\"\\\"}\"}{}", "{\"a\":\"\\\"}\"}\n{}\n", "");
	assert_reads(false, "{\"a\":\"\\\\\"}{}", "{\"a\":\"\\\\\"}\n{}\n", "");
	assert_reads(false, "{\"a\\\"\":\"\\\\\\\"}\"}{}", "{\"a\\\"\":\"\\\\\\\"}\"}\n{}\n", "");
}

static void test_truncated(void **state)
{
	static const char text[] = "{\"a\":[\"}\\\"\"]}";
	char part[sizeof(text)];

	(void)state;
	for (size_t n = 0; n < sizeof(text); n++) {
		strcpy(part, text);
		part[n] = '\0';
		assert_int_equal(is_whole(false, part), n == 0 || n == sizeof(text) - 1);
	}
}

static void test_what_is_none(void **state)
{
	(void)state;
	assert_fails(false, "[{}]", -EPROTO);
	assert_fails(false, "{}x", -EPROTO);
	assert_fails(false, "\"a\"", -EPROTO);
	assert_fails(false, "{},{}", -EPROTO);
	assert_fails(false, "{}}", -EPROTO);
	assert_fails(false, "<html>", -EPROTO);
}

/* ---- lists ------------------------------------------------------------------------------- */

static void test_items(void **state)
{
	(void)state;
	assert_reads(true, "{\"kind\":\"L\",\"items\":[{\"a\":[{}]},{\"b\":\"}\"} , {}]}\n",
		     "{\"a\":[{}]}\n{\"b\":\"}\"}\n{}\n", "{\"kind\":\"L\",\"items\":[]}");
	assert_reads(true, "{\"items\" :\n[ {} ],\"metadata\":{\"continue\":\"x\"}}", "{}\n",
		     "{\"items\" :\n[],\"metadata\":{\"continue\":\"x\"}}");
	assert_reads(true, "{\"items\":[]}", "", "{\"items\":[]}");
	assert_reads(true, "{\"items\":null}", "", "{\"items\":null}");
	assert_reads(true, "{}", "", "{}");
}

/* Only a key of the list itself is meant. */
static void test_other_items(void **state)
{
	static const char *const lists[] = {
		"{\"metadata\":{\"items\":[{}]}}", "{\"a\":[\"items\",[{}]]}",
		"{\"x\\\"items\":[{}]}",           "{\"xitems\":[{}]}",
		"{\"a\":\"items\",\"b\":[{}]}",    "{\"items\":{\"items\":[{}]}}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		assert_reads(true, lists[i], "", lists[i]);
}

static void test_truncated_list(void **state)
{
	static const char text[] = "{\"items\":[{},{\"a\":\"]}\"}],\"b\":{}}";
	char part[sizeof(text)];

	(void)state;
	for (size_t n = 0; n < sizeof(text); n++) {
		strcpy(part, text);
		part[n] = '\0';
		assert_int_equal(is_whole(true, part), n == sizeof(text) - 1);
	}
}

static void test_what_is_no_list(void **state)
{
	(void)state;
	assert_fails(true, "{\"items\":[1]}", -EPROTO);
	assert_fails(true, "{\"items\":[null]}", -EPROTO);
	assert_fails(true, "{\"items\":[[]]}", -EPROTO);
	assert_fails(true, "{\"items\":[{}}", -EPROTO);
	assert_fails(true, "{}{}", -EPROTO);
	assert_fails(true, "[]", -EPROTO);
}

/* ---- bounds --------------------------------------------------------------------------------- */

static char *object_of(size_t size)
{
	char *text = malloc(size + 1);

	memset(text, 'x', size);
	memcpy(text, "{\"", 2);
	memcpy(text + size - 2, "\"}", 3);
	return text;
}

static void test_size(void **state)
{
	_cleanup_free_ char *largest = object_of(MAX), *larger = object_of(MAX + 1);
	_cleanup_text_ struct text found = {}, rest = {};

	(void)state;
	text_add(&found, "%s\n", largest);
	assert_reads(false, largest, found.data, "");
	assert_fails(false, larger, -EMSGSIZE);
	text_add(&rest, "{\"a\":%s}", largest);
	assert_fails(true, rest.data, -EMSGSIZE);
}

/* One of many may be larger than what is kept of memory. */
static void test_memory(void **state)
{
	_cleanup_stream_ struct stream stream = { .max = 1 << 20 };
	_cleanup_free_ char *large = object_of(1 << 20);
	_cleanup_text_ struct text found = {};

	(void)state;
	assert_int_equal(stream_add(&stream, large, 1 << 19, collect, &found), 0);
	assert_int_equal(stream_add(&stream, large + (1 << 19), 1 << 19, collect, &found), 0);
	assert_int_equal(found.length, (1 << 20) + 1);
	assert_null(stream.object.data);
}

static int refuse(const char *json, size_t size, void *arg)
{
	(void)json;
	(void)size;
	++*(int *)arg;
	return -ECANCELED;
}

static void test_reader_ends_it(void **state)
{
	_cleanup_stream_ struct stream stream = { .max = MAX };
	int calls = 0;

	(void)state;
	assert_int_equal(stream_add(&stream, "{}{}", 4, refuse, &calls), -ECANCELED);
	assert_int_equal(calls, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_objects),        cmocka_unit_test(test_strings),
		cmocka_unit_test(test_truncated),      cmocka_unit_test(test_what_is_none),
		cmocka_unit_test(test_items),          cmocka_unit_test(test_other_items),
		cmocka_unit_test(test_truncated_list), cmocka_unit_test(test_what_is_no_list),
		cmocka_unit_test(test_size),           cmocka_unit_test(test_memory),
		cmocka_unit_test(test_reader_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
