/* SPDX-License-Identifier: Apache-2.0 */
/* Text and tables made of it, and the file that is written with both. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <time.h>

#include "core/atomic_file.h"
#include "core/table.h"
#include "core/text.h"
#include "export/format.h"

#define UNUSED __attribute__((unused))

/* ---- text --------------------------------------------------------------- */

static void test_text_grows(void **unused UNUSED)
{
	_cleanup_text_ struct text text = {};

	assert_string_equal(text_string(&text), "");
	for (unsigned i = 0; i < 1000; i++)
		text_add(&text, "%03u,", i);
	assert_int_equal(text.error, 0);
	assert_int_equal(text.length, 4000);
	assert_int_equal(strlen(text.data), 4000);
	assert_memory_equal(text.data, "000,001,", 8);
	assert_memory_equal(text.data + 3992, "998,999,", 8);
}

/* Each length around the doubling of the buffer, where a NUL could find no room. */
static void test_text_ends_with_nul(void **unused UNUSED)
{
	for (size_t n = 0; n < 300; n++) {
		_cleanup_text_ struct text text = {};

		text_add_repeated(&text, 'a', n);
		text_add_bytes(&text, "bc", 2);
		assert_int_equal(text.length, n + 2);
		assert_int_equal(strlen(text.data), n + 2);
		assert_string_equal(text.data + n, "bc");
	}
}

static void test_text_keeps_nul_bytes(void **unused UNUSED)
{
	_cleanup_text_ struct text text = {};

	text_add_bytes(&text, "a\0b", 3);
	assert_int_equal(text.length, 3);
	assert_memory_equal(text.data, "a\0b", 4);
}

static void test_text_error_sticks(void **unused UNUSED)
{
	_cleanup_text_ struct text text = {};

	text_add(&text, "before");
	text.error = -ENOMEM;
	text_add(&text, "after");
	text_add_bytes(&text, "after", 5);
	text_add_repeated(&text, 'x', 5);
	assert_string_equal(text.data, "before");
	assert_int_equal(text.error, -ENOMEM);
}

/* ---- tables ---------------------------------------------------------------- */

static const struct table_column columns[] = {
	{ "NAME", TABLE_LEFT },
	{ "BYTES", TABLE_RIGHT },
	{ "NOTE", TABLE_LEFT },
};

static void test_table_aligns(void **unused UNUSED)
{
	_cleanup_table_ struct table table = TABLE_INIT(columns);
	_cleanup_text_ struct text out = {};

	table_add(&table, "a");
	table_add(&table, "%d", 1234567);
	table_add(&table, "short");
	table_add(&table, "longer");
	table_add(&table, "1");
	table_add(&table, "much longer");
	assert_int_equal(table_print(&table, &out), 0);
	assert_string_equal(out.data, "NAME      BYTES  NOTE\n"
				      "a       1234567  short\n"
				      "longer        1  much longer\n");
}

static void test_table_without_rows(void **unused UNUSED)
{
	_cleanup_table_ struct table table = TABLE_INIT(columns);
	_cleanup_text_ struct text out = {};

	assert_int_equal(table_print(&table, &out), 0);
	assert_string_equal(out.data, "NAME  BYTES  NOTE\n");
}

/* Two bytes, one column. */
static void test_table_counts_characters(void **unused UNUSED)
{
	_cleanup_table_ struct table table = TABLE_INIT(columns);
	_cleanup_text_ struct text out = {};

	table_add(&table, "größe");
	table_add(&table, "1");
	table_add(&table, "x");
	assert_int_equal(table_print(&table, &out), 0);
	assert_string_equal(out.data, "NAME   BYTES  NOTE\n"
				      "größe      1  x\n");
}

static void test_table_grows(void **unused UNUSED)
{
	_cleanup_table_ struct table table = TABLE_INIT(columns);
	_cleanup_text_ struct text out = {};

	for (unsigned i = 0; i < 3 * 500; i++)
		table_add(&table, "%u", i);
	assert_int_equal(table_print(&table, &out), 0);
	assert_non_null(strstr(out.data, "\n1497   1498  1499\n"));
}

static void test_table_error_is_returned(void **unused UNUSED)
{
	_cleanup_table_ struct table table = TABLE_INIT(columns);
	_cleanup_text_ struct text out = {};

	table.error = -ENOMEM;
	table_add(&table, "a");
	assert_int_equal(table_print(&table, &out), -ENOMEM);
	assert_int_equal(out.error, -ENOMEM);
	assert_int_equal(out.length, 0);
}

/* ---- figures ------------------------------------------------------------------ */

static void test_sizes(void **unused UNUSED)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{ 0, "0B" },
		{ 1023, "1023B" },
		{ 1024, "1.0KiB" },
		{ 1536, "1.5KiB" },
		{ (1 << 20) - 1, "1.0MiB" }, /* and not 1024.0KiB */
		{ 1ull << 40, "1.0TiB" },
		{ UINT64_MAX, "16.0EiB" },
	};
	char buf[FORMAT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(format_size(cases[i].bytes, buf), cases[i].text);
}

static void test_durations(void **unused UNUSED)
{
	static const struct {
		uint64_t ms;
		const char *text;
	} cases[] = {
		{ 0, "0.000s" },      { 9999, "9.999s" },     { 12345, "12.3s" },
		{ 59999, "59.9s" },   { 60000, "1m00s" },     { 3599000, "59m59s" },
		{ 3600000, "1h00m" }, { 86399000, "23h59m" }, { 86400000, "1d00h" },
	};
	char buf[FORMAT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(format_duration(cases[i].ms * 1000000, buf), cases[i].text);
}

/* As libc has it: every day of a time with leap years of all kinds. */
static void test_dates(void **unused UNUSED)
{
	char buf[FORMAT_MAX], expected[FORMAT_MAX];

	for (time_t s = 0; s < 16725225600; s += 86400 + 3599) { /* to 2500 */
		struct tm tm;

		gmtime_r(&s, &tm);
		strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.000000007Z", &tm);
		assert_string_equal(format_time(s * 1000000000ull + 7, buf), expected);
	}
}

static void test_times(void **unused UNUSED)
{
	char buf[FORMAT_MAX];

	assert_string_equal(format_time(0, buf), "1970-01-01T00:00:00.000000000Z");
	assert_string_equal(format_time(1767323045000000001ull, buf),
			    "2026-01-02T03:04:05.000000001Z");
}

/* ---- atomic files ---------------------------------------------------------------- */

/* A directory with a file "file" that says "old"; its path goes to *state. */
static int make_directory(void **state)
{
	static char path[64];

	strcpy(path, "/tmp/sidestep-test-XXXXXX");
	if (!mkdtemp(path) || chdir(path))
		return -1;
	*state = path;
	return atomic_file_write("file", "old", 3, 0644);
}

static int remove_directory(void **state)
{
	unlink("file");
	rmdir("directory");
	return chdir("/") || rmdir(*state);
}

static void assert_content(const char *path, const char *expected)
{
	_cleanup_fclose_ FILE *file = fopen(path, "r");
	char buf[64] = "";

	assert_non_null(file);
	fread(buf, 1, sizeof(buf) - 1, file);
	assert_string_equal(buf, expected);
}

static void test_file_is_replaced(void **unused UNUSED)
{
	_cleanup_fclose_ FILE *reader = fopen("file", "r");
	struct stat st;
	mode_t mask;
	char buf[4] = "";

	mask = umask(0077);
	assert_int_equal(atomic_file_write("file", "newer", 5, 0644), 0);
	umask(mask);
	assert_content("file", "newer");
	assert_int_equal(stat("file", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	/* who has it open still sees the old one, whole */
	assert_int_equal(fread(buf, 1, 3, reader), 3);
	assert_string_equal(buf, "old");
}

/* rename() onto a directory fails; remove_directory() would fail on what is left. */
static void test_failure_leaves_nothing(void **unused UNUSED)
{
	assert_int_equal(mkdir("directory", 0755), 0);
	assert_int_equal(atomic_file_write("directory", "x", 1, 0644), -EISDIR);
	assert_int_equal(atomic_file_write("missing/file", "x", 1, 0644), -ENOENT);
	assert_content("file", "old");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_text_grows),
		cmocka_unit_test(test_text_ends_with_nul),
		cmocka_unit_test(test_text_keeps_nul_bytes),
		cmocka_unit_test(test_text_error_sticks),
		cmocka_unit_test(test_table_aligns),
		cmocka_unit_test(test_table_without_rows),
		cmocka_unit_test(test_table_counts_characters),
		cmocka_unit_test(test_table_grows),
		cmocka_unit_test(test_table_error_is_returned),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_times),
		cmocka_unit_test_setup_teardown(test_file_is_replaced, make_directory,
						remove_directory),
		cmocka_unit_test_setup_teardown(test_failure_leaves_nothing, make_directory,
						remove_directory),
	};

	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
