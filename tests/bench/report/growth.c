// SPDX-License-Identifier: Apache-2.0
/*
 * How a figure grows with the size it is measured at. A slope is that of the line through two
 * points in logarithms: 0 is flat, 1 grows as the size does, 2 as its square.
 */
#include <math.h>

#include "report.h"

/* What is within this factor of the first size's figure is flat. */
#define FLAT_WITHIN 1.25

struct point {
	const char *column;
	double size, value;
};

static size_t points_of(const json_t *test, const char *block, const char *variant,
			struct point *points)
{
	const json_t *columns = json_object_get(test, "columns");
	const json_t *sizes = json_object_get(test, "sizes");
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(columns); i++) {
		struct point point = { .column = text_at(columns, i) };
		const json_t *result = result_of(test, block, point.column, variant);

		point.size = json_number_value(json_array_get(sizes, i));
		point.value = number(json_object_get(result, "value"), "median");
		if (point.size > 0 && point.value > 0)
			points[n++] = point;
	}
	return n;
}

static double slope(const struct point *a, const struct point *b)
{
	return log(b->value / a->value) / log(b->size / a->size);
}

static bool is_flat(const json_t *test, const struct point *first, const struct point *point)
{
	double factor = point->value / first->value;

	return (less_is_better(test) ? factor : 1 / factor) <= FLAT_WITHIN;
}

/* What grows though more is better is called that, too: its slope is below 0 where it is lost. */
static json_t *growth_of(const json_t *test, const char *block, const char *variant)
{
	size_t max = json_array_size(json_object_get(test, "columns")), n, flat = 0, steepest = 1;
	struct point *points = tool_alloc(max, sizeof(*points));
	json_t *ret = NULL;

	n = points_of(test, block, variant, points);
	while (flat + 1 < n && is_flat(test, points, &points[flat + 1]))
		flat++;
	for (size_t i = 2; i < n; i++)
		if (fabs(slope(&points[i - 1], &points[i])) >
		    fabs(slope(&points[steepest - 1], &points[steepest])))
			steepest = i;
	if (n > 1)
		ret = json_pack("{ss ss sf sf ss ss sb}", "block", block, "variant", variant,
				"slope", slope(points, &points[n - 1]), "steepest",
				slope(&points[steepest - 1], &points[steepest]), "steepest_up_to",
				points[steepest].column, "flat_up_to", points[flat].column, "flat",
				flat + 1 == n);
	free(points);
	return ret;
}

void growth_work_out(json_t *root)
{
	json_t *test, *block, *variant, *growth;
	const char *name;
	size_t b, v;

	json_object_foreach (json_object_get(root, "tests"), name, test) {
		if (!json_object_get(test, "sizes"))
			continue;
		growth = json_array();
		json_array_foreach (json_object_get(test, "blocks"), b, block) {
			json_array_foreach (json_object_get(test, "variants"), v, variant) {
				json_t *one = growth_of(test, json_string_value(block),
							json_string_value(variant));

				if (one)
					json_array_append_new(growth, one);
			}
		}
		json_object_set_new(test, "growth", growth);
	}
}

void growth_print(const json_t *root)
{
	json_t *test, *one;
	const char *name;
	size_t i;

	printf("\nGrowth with the size of the columns, by their medians: the slope in logarithms from the\n"
	       "first to the last (0: flat, 1: as the size), and up to where it is flat (within %.2f)\n",
	       FLAT_WITHIN);
	json_object_foreach (json_object_get(root, "tests"), name, test) {
		if (!json_array_size(json_object_get(test, "growth")))
			continue;
		printf("\n%s\n", text(test, "title"));
		json_array_foreach (json_object_get(test, "growth"), i, one) {
			printf("  %-34s %-14s %6.2f  ", text(one, "block"), text(one, "variant"),
			       number(one, "slope"));
			if (json_is_true(json_object_get(one, "flat")))
				puts("flat");
			else
				printf("flat up to %s, steepest up to %s: %.2f\n",
				       text(one, "flat_up_to"), text(one, "steepest_up_to"),
				       number(one, "steepest"));
		}
	}
}
