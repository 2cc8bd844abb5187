// SPDX-License-Identifier: Apache-2.0
#include "report.h"

/* ---- reading the tree ------------------------------------------------------------- */

const char *text(const json_t *object, const char *key)
{
	const char *ret = json_string_value(json_object_get(object, key));

	return ret ? ret : "";
}

double number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

const char *text_at(const json_t *array, size_t i)
{
	const char *ret = json_string_value(json_array_get(array, i));

	return ret ? ret : "";
}

json_t *result_of(const json_t *test, const char *block, const char *column, const char *variant)
{
	const json_t *results = json_object_get(test, "results");

	return json_object_get(json_object_get(json_object_get(results, block), column), variant);
}

const char *base_of(const json_t *test)
{
	if (json_is_false(json_object_get(test, "ratios")))
		return NULL;
	return text_at(json_object_get(test, "variants"), 0);
}

bool less_is_better(const json_t *test)
{
	return !strcmp(text(test, "better"), "less");
}

/* ---- lines ------------------------------------------------------------------------ */

struct line {
	const char *path;
	unsigned number;
	json_t *value;
};

__attribute__((noreturn, format(printf, 2, 3))) static void refuse(const struct line *line,
								   const char *format, ...)
{
	char what[256];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	tool_exit(EXIT_FAILURE, "report: %s:%u: %s", line->path, line->number, what);
}

static json_t *test_of(json_t *root, const struct line *line, const char *key)
{
	json_t *ret = json_object_get(json_object_get(root, "tests"), text(line->value, key));

	if (!ret)
		refuse(line, "of a test that is not declared");
	return ret;
}

/* The list must know the name, or the table would not show it. */
static const char *known(const struct line *line, const json_t *test, const char *key,
			 const char *list)
{
	const char *name = text(line->value, key);
	json_t *item;
	size_t i;

	json_array_foreach (json_object_get(test, list), i, item)
		if (!strcmp(json_string_value(item), name))
			return name;
	refuse(line, "the test has no %s \"%s\"", key, name);
}

/* A member of an object, which is made if need be. */
static json_t *member(json_t *object, const char *key)
{
	json_t *ret = json_object_get(object, key);

	if (ret)
		return ret;
	ret = json_object();
	json_object_set_new(object, key, ret);
	return ret;
}

static void take_test(json_t *root, const struct line *line)
{
	json_t *test = json_copy(line->value);

	if (!json_array_size(json_object_get(test, "variants")) ||
	    !json_array_size(json_object_get(test, "blocks")) ||
	    !json_array_size(json_object_get(test, "columns")))
		refuse(line, "a test without variants, blocks or columns");
	json_object_set_new(test, "results", json_object());
	json_object_set_new(test, "skips", json_array());
	json_object_set_new(test, "notes", json_array());
	json_object_set_new(member(root, "tests"), text(test, "test"), test);
}

static void take_sample(json_t *root, const struct line *line)
{
	json_t *test = test_of(root, line, "sample"), *block, *column, *result;
	const json_t *value = json_object_get(line->value, "value");
	char round[32];

	if (!json_is_number(value))
		refuse(line, "a sample without a value");
	block = member(json_object_get(test, "results"), known(line, test, "block", "blocks"));
	column = member(block, known(line, test, "column", "columns"));
	result = member(column, known(line, test, "variant", "variants"));
	snprintf(round, sizeof(round), "%.0f", number(line->value, "round"));
	json_object_set(member(result, "samples"), round, json_object_get(line->value, "value"));
}

static void take_line(json_t *root, const struct line *line)
{
	if (json_object_get(line->value, "machine"))
		json_object_update(root, line->value);
	else if (json_object_get(line->value, "test"))
		take_test(root, line);
	else if (json_object_get(line->value, "sample"))
		take_sample(root, line);
	else if (json_object_get(line->value, "skip"))
		json_array_append(json_object_get(test_of(root, line, "skip"), "skips"),
				  line->value);
	else if (json_object_get(line->value, "note"))
		json_array_append(json_object_get(test_of(root, line, "note"), "notes"),
				  json_object_get(line->value, "text"));
	else
		refuse(line, "neither machine, test, sample, skip nor note");
}

json_t *results_read(const char *path)
{
	struct line line = { .path = path };
	FILE *file = fopen(path, "re");
	json_t *root = json_object();
	json_error_t error;
	char *buf = NULL;
	size_t size = 0;

	if (!file)
		tool_die(path);
	while (getline(&buf, &size, file) > 0) {
		line.number++;
		line.value = json_loads(buf, 0, &error);
		if (!line.value)
			refuse(&line, "%s", error.text);
		take_line(root, &line);
		json_decref(line.value);
	}
	free(buf);
	fclose(file);
	return root;
}

/* ---- figures ---------------------------------------------------------------------- */

bool figure_of_samples(const json_t *result, sample_fn *fn, const void *arg, struct figure *out)
{
	json_t *samples = json_object_get(result, "samples"), *value;
	double *values;
	const char *round;
	size_t n = 0;

	if (!samples)
		return false;
	values = tool_alloc(json_object_size(samples), sizeof(*values));
	json_object_foreach (samples, round, value)
		n += fn(round, json_number_value(value), arg, &values[n]);
	if (n)
		*out = figure_of(values, n);
	free(values);
	return n > 0;
}

static bool as_it_is(const char *round, double value, const void *arg, double *out)
{
	(void)round;
	(void)arg;
	*out = value;
	return true;
}

struct base {
	const json_t *samples;
	bool less_is_better;
};

static bool beside_base(const char *round, double value, const void *arg, double *out)
{
	const struct base *base = arg;
	double other = number(base->samples, round);

	if (!other || !value)
		return false;
	*out = base->less_is_better ? other / value : value / other;
	return true;
}

static void set_figure(json_t *result, const char *key, const struct figure *figure)
{
	json_object_set_new(result, key,
			    json_pack("{sf sf sf sf sf sb}", "median", figure->median, "min",
				      figure->min, "max", figure->max, "q1", figure->q1, "q3",
				      figure->q3, "noisy", figure_is_noisy(figure)));
}

static void work_out_cell(const json_t *test, json_t *column)
{
	const char *variant, *base_name = base_of(test);
	struct base base = { .less_is_better = less_is_better(test) };
	struct figure figure;
	json_t *result;

	if (base_name)
		base.samples = json_object_get(json_object_get(column, base_name), "samples");
	json_object_foreach (column, variant, result) {
		if (figure_of_samples(result, as_it_is, NULL, &figure))
			set_figure(result, "value", &figure);
		if (base.samples && strcmp(variant, base_name) &&
		    figure_of_samples(result, beside_base, &base, &figure))
			set_figure(result, "ratio", &figure);
	}
}

void results_work_out(json_t *root)
{
	const char *test_name, *block_name, *column_name;
	json_t *test, *block, *column;

	json_object_foreach (json_object_get(root, "tests"), test_name, test)
		json_object_foreach (json_object_get(test, "results"), block_name, block)
			json_object_foreach (block, column_name, column)
				work_out_cell(test, column);
}
