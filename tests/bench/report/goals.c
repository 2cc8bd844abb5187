// SPDX-License-Identifier: Apache-2.0
/*
 * Goals are a file: an array of objects. Each cell that a goal names is judged, and the worst of
 * them is told.
 *
 *   row, text      what it is
 *   test           whose results; "blocks", "columns", "variants": which of them, all if left out
 *   at_most or at_least
 *                  of the value, or of what "to" makes of it:
 *   to             how many times that variant's value it is, in the same round
 *   to_column      ... or that column's
 *   above          both less the value of this variant: what they add to it
 */
#include <math.h>

#include "report.h"

struct goal {
	const json_t *json;
	const json_t *test;
	double limit;
	bool at_most;
};

/* What a sample is set beside. */
struct beside {
	const json_t *to, *above; /* samples; NULL: nothing */
};

struct verdict {
	enum { UNKNOWN, MET, NOISY, MISSED } kind; /* the worse the higher */
	double badness;                            /* of its figure, to find the worst */
	struct figure figure;
	const char *block, *column, *variant;
};

static const char *const verdict_words[] = {
	[UNKNOWN] = "not measured",
	[MET] = "met",
	[NOISY] = "too noisy",
	[MISSED] = "MISSED",
};

static bool in_terms(const char *round, double value, const void *arg, double *out)
{
	const struct beside *beside = arg;
	double to, above = 0;

	if (beside->above) {
		if (!json_object_get(beside->above, round))
			return false;
		above = number(beside->above, round);
	}
	*out = value - above;
	if (!beside->to)
		return true;
	to = number(beside->to, round);
	*out /= to - above;
	return to > above;
}

static const json_t *samples_of(const json_t *result)
{
	return json_object_get(result, "samples");
}

/* False: something of it was not measured. */
static bool measure(const struct goal *goal, const char *block, const char *column,
		    const char *variant, struct figure *out)
{
	const json_t *result = result_of(goal->test, block, column, variant);
	const char *to = text(goal->json, "to"), *above = text(goal->json, "above");
	const char *to_column = text(goal->json, "to_column");
	struct beside beside = { 0 };

	if (*to)
		beside.to = samples_of(result_of(goal->test, block, column, to));
	else if (*to_column)
		beside.to = samples_of(result_of(goal->test, block, to_column, variant));
	if (*above)
		beside.above = samples_of(result_of(goal->test, block, column, above));
	if (((*to || *to_column) && !beside.to) || (*above && !beside.above))
		return false;
	return figure_of_samples(result, in_terms, &beside, out);
}

/* Noise matters where the limit lies within it. */
static struct verdict judge(const struct goal *goal, const struct figure *figure)
{
	struct verdict ret = { .figure = *figure };
	double worse = goal->at_most ? figure->q3 : figure->q1;
	double better = goal->at_most ? figure->q1 : figure->q3;
	double sign = goal->at_most ? 1 : -1;

	ret.badness = sign * (figure->median - goal->limit);
	ret.kind = ret.badness > 0 ? MISSED : MET;
	if (figure_is_noisy(figure) && sign * (worse - goal->limit) > 0 &&
	    sign * (better - goal->limit) <= 0)
		ret.kind = NOISY;
	return ret;
}

/* The names that a goal has chosen, or all of the test's. */
static const json_t *chosen(const struct goal *goal, const char *key)
{
	const json_t *ret = json_object_get(goal->json, key);

	return ret ? ret : json_object_get(goal->test, key);
}

static void consider(struct verdict *worst, const struct verdict *one)
{
	if (one->kind > worst->kind || (one->kind == worst->kind && one->badness > worst->badness))
		*worst = *one;
}

static struct verdict judge_all(const struct goal *goal)
{
	const json_t *blocks = chosen(goal, "blocks"), *columns = chosen(goal, "columns");
	const json_t *variants = chosen(goal, "variants");
	struct verdict worst = { .badness = -INFINITY };
	json_t *block, *column, *variant;
	size_t b, c, v;

	json_array_foreach (blocks, b, block) {
		json_array_foreach (columns, c, column) {
			json_array_foreach (variants, v, variant) {
				const char *names[] = { json_string_value(block),
							json_string_value(column),
							json_string_value(variant) };
				struct verdict one;
				struct figure figure;

				if (!measure(goal, names[0], names[1], names[2], &figure))
					continue;
				one = judge(goal, &figure);
				one.block = names[0];
				one.column = names[1];
				one.variant = names[2];
				consider(&worst, &one);
			}
		}
	}
	return worst;
}

static json_t *verdict_json(const struct verdict *verdict)
{
	json_t *ret = json_pack("{ss}", "verdict", verdict_words[verdict->kind]);

	if (verdict->kind != UNKNOWN)
		json_object_update_new(
			ret, json_pack("{ss ss ss sf sf sf}", "block", verdict->block, "column",
				       verdict->column, "variant", verdict->variant, "median",
				       verdict->figure.median, "q1", verdict->figure.q1, "q3",
				       verdict->figure.q3));
	return ret;
}

void goals_judge(json_t *root, const char *path)
{
	json_error_t error;
	json_t *goals = json_load_file(path, 0, &error), *one;
	size_t i;

	if (!json_is_array(goals))
		tool_exit(EXIT_FAILURE, "report: %s:%d: %s", path, error.line,
			  goals ? "not an array" : error.text);
	json_array_foreach (goals, i, one) {
		struct goal goal = {
			.json = one,
			.test = json_object_get(json_object_get(root, "tests"), text(one, "test")),
			.at_most = json_object_get(one, "at_most"),
		};
		struct verdict verdict = { 0 };

		goal.limit = number(one, goal.at_most ? "at_most" : "at_least");
		if (goal.test)
			verdict = judge_all(&goal);
		json_object_set_new(one, "worst", verdict_json(&verdict));
	}
	json_object_set_new(root, "goals", goals);
}

static void print_goal(const json_t *goal)
{
	const json_t *worst = json_object_get(goal, "worst");

	printf("  %-12s row %.0f: %s\n", text(worst, "verdict"), number(goal, "row"),
	       text(goal, "text"));
	if (!json_object_get(worst, "median"))
		return;
	printf("%22s%s (%s to %s) at the worst: %s, %s, %s\n", "",
	       short_number(number(worst, "median")), short_number(number(worst, "q1")),
	       short_number(number(worst, "q3")), text(worst, "block"), text(worst, "column"),
	       text(worst, "variant"));
}

void goals_print(const json_t *root)
{
	json_t *goal;
	size_t i;

	puts("\nGoals: the median of the worst cell, and its quartiles");
	json_array_foreach (json_object_get(root, "goals"), i, goal)
		if (json_object_get(json_object_get(root, "tests"), text(goal, "test")))
			print_goal(goal);
}
