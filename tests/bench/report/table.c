// SPDX-License-Identifier: Apache-2.0
#include "report.h"

/* A line of a table: what is put there is aligned by columns, without blanks at the end. */
static char line[512];

__attribute__((format(printf, 1, 2))) static void put(const char *format, ...)
{
	size_t used = strlen(line);
	va_list args;

	va_start(args, format);
	vsnprintf(line + used, sizeof(line) - used, format, args);
	va_end(args);
}

static void end_line(void)
{
	size_t used = strlen(line);

	while (used && line[used - 1] == ' ')
		used--;
	line[used] = '\0';
	puts(line);
	line[0] = '\0';
}

const char *short_number(double value)
{
	static char ret[4][16];
	static unsigned next;
	static const char units[] = { '\0', 'k', 'M', 'G' };
	char *buf = ret[next++ % 4];
	double size = value < 0 ? -value : value;
	unsigned unit = 0;
	int decimals;

	while (size >= 9999.5 && unit + 1 < sizeof(units)) {
		size /= 1000;
		value /= 1000;
		unit++;
	}
	decimals = size < 0.9995 ? 3 : size < 9.995 ? 2 : size < 99.95 ? 1 : 0;
	snprintf(buf, sizeof(ret[0]), "%.*f%.1s", decimals, value, &units[unit]);
	return buf;
}

/* A block of a test's table: a variant is a row, a size or the like is a column. */
struct block {
	const json_t *test;
	const char *name;
	int names_width;
};

#define COLUMN_WIDTH 15 /* and a blank */

static void put_cells(const struct block *block, const char *head, const char *variant,
		      void (*put_cell)(const json_t *result, char *cell, size_t size))
{
	json_t *column;
	size_t i;

	put("%-*s", block->names_width, head);
	json_array_foreach (json_object_get(block->test, "columns"), i, column) {
		const json_t *result =
			result_of(block->test, block->name, json_string_value(column), variant);
		char cell[64] = "-";

		if (result)
			put_cell(result, cell, sizeof(cell));
		put(" %*s", COLUMN_WIDTH, cell);
	}
	end_line();
}

static void median_cell(const json_t *result, char *cell, size_t size)
{
	const json_t *value = json_object_get(result, "value");
	const json_t *ratio = json_object_get(result, "ratio");
	double times = number(ratio, "median");
	const char *mark = times < LOSES_BELOW ? "!" : " ";

	if (json_is_true(json_object_get(ratio, "noisy")))
		snprintf(cell, size, "%s  noisy ", short_number(number(value, "median")));
	else if (ratio)
		snprintf(cell, size, "%s %5.2f%s", short_number(number(value, "median")), times,
			 mark);
	else
		snprintf(cell, size, "%s%7s", short_number(number(value, "median")),
			 json_is_true(json_object_get(value, "noisy")) ? "~ " : "");
}

static void range_cell(const json_t *result, char *cell, size_t size)
{
	const json_t *value = json_object_get(result, "value");

	snprintf(cell, size, "%s-%s ", short_number(number(value, "min")),
		 short_number(number(value, "max")));
}

static bool has_results(const struct block *block, const char *variant)
{
	json_t *column;
	size_t i;

	json_array_foreach (json_object_get(block->test, "columns"), i, column)
		if (result_of(block->test, block->name, json_string_value(column), variant))
			return true;
	return false;
}

static void print_block(const struct block *block)
{
	json_t *item;
	size_t i;

	printf("\n%s, %s, %s\n", text(block->test, "title"), block->name,
	       text(block->test, "unit"));
	put("%-*s", block->names_width, "");
	json_array_foreach (json_object_get(block->test, "columns"), i, item)
		put(" %*s ", COLUMN_WIDTH - 1, json_string_value(item));
	end_line();
	json_array_foreach (json_object_get(block->test, "variants"), i, item) {
		const char *variant = json_string_value(item);

		if (!has_results(block, variant))
			continue;
		put_cells(block, variant, variant, median_cell);
		put_cells(block, "", variant, range_cell);
	}
}

static int names_width(const json_t *test)
{
	size_t i, ret = 8;
	json_t *name;

	json_array_foreach (json_object_get(test, "variants"), i, name)
		if (json_string_length(name) > ret)
			ret = json_string_length(name);
	return (int)ret;
}

static void print_remarks(const json_t *test)
{
	json_t *item;
	size_t i;

	json_array_foreach (json_object_get(test, "skips"), i, item)
		printf("  not measured%s%s: %s\n", *text(item, "variant") ? ": " : "",
		       text(item, "variant"), text(item, "reason"));
	json_array_foreach (json_object_get(test, "notes"), i, item)
		printf("  %s\n", json_string_value(item));
}

static void print_test(const json_t *test)
{
	struct block block = { .test = test, .names_width = names_width(test) };
	json_t *name;
	size_t i;

	json_array_foreach (json_object_get(test, "blocks"), i, name) {
		block.name = json_string_value(name);
		if (json_object_get(json_object_get(test, "results"), block.name))
			print_block(&block);
	}
	print_remarks(test);
}

void tables_print(const json_t *root)
{
	const char *name;
	json_t *test;

	puts("\n"
	     "A cell is the median of the rounds and, round by round, how many times as good as the\n"
	     "first line that is: above 1 is better in every table. Below it the range.\n"
	     "!      worse than 0.95 times the first line\n"
	     "noisy  instead of a ratio whose quartiles are too far apart to be told\n"
	     "~      the same of a figure that is compared with none");
	json_object_foreach (json_object_get(root, "tests"), name, test)
		print_test(test);
}
