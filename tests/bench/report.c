// SPDX-License-Identifier: Apache-2.0
/*
 * Makes figures of the samples that bench has printed: medians with their range, the
 * ratio to plain TCP round by round, and how much of each row's bytes was spliced. A
 * table goes to stdout and everything to a JSON file. See usage().
 *
 * A ratio says how many times as fast as plain TCP a variant is, whatever the unit:
 * above 1 is better. Rows that lose are marked, not hidden, and so is a row where plain
 * TCP itself differs so much between rounds that its figures say little.
 */
#include <jansson.h>

#include "../tools/tool.h"

#define LOSES_BELOW 0.95
#define NOISY_ABOVE 0.5 /* (maximum - minimum) / median, of plain TCP */

struct figure {
	double median;
	double min;
	double max;
};

/* ---- arithmetic ------------------------------------------------------------------- */

static int compare_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts values, of which there is at least one. */
static struct figure figure_of(double *values, size_t n)
{
	qsort(values, n, sizeof(*values), compare_double);
	return (struct figure){
		.median = (values[(n - 1) / 2] + values[n / 2]) / 2,
		.min = values[0],
		.max = values[n - 1],
	};
}

static double sample(const json_t *array, size_t i)
{
	return json_number_value(json_array_get(array, i));
}

static struct figure figure_of_samples(const json_t *samples)
{
	size_t n = json_array_size(samples);
	double *values = tool_alloc(n, sizeof(*values));
	struct figure ret;

	for (size_t i = 0; i < n; i++)
		values[i] = sample(samples, i);
	ret = figure_of(values, n);
	free(values);
	return ret;
}

/* Sample by sample: what the machine did in a round is in both of its samples. */
static struct figure figure_of_ratios(const json_t *samples, const json_t *base,
				      bool less_is_better)
{
	size_t n = json_array_size(samples);
	double *values = tool_alloc(n, sizeof(*values));
	struct figure ret;

	for (size_t i = 0; i < n; i++)
		values[i] = less_is_better ? sample(base, i) / sample(samples, i)
					   : sample(samples, i) / sample(base, i);
	ret = figure_of(values, n);
	free(values);
	return ret;
}

/* ---- the figures, put into the JSON --------------------------------------------------- */

static const char *text(const json_t *object, const char *key)
{
	const char *ret = json_string_value(json_object_get(object, key));

	return ret ? ret : "";
}

static double number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

static void set_figure(json_t *object, const char *key, struct figure figure)
{
	json_object_set_new(object, key,
			    json_pack("{sf sf sf}", "median", figure.median, "min", figure.min,
				      "max", figure.max));
}

/* The share of a service's bytes that went past TCP; null where there is no service. */
static json_t *spliced_share(const json_t *services, const json_t *row, const char *variant)
{
	char name[128];
	json_t *service;
	size_t i;

	snprintf(name, sizeof(name), "%s-%s", text(row, "layout"), variant);
	json_array_foreach (services, i, service) {
		const json_t *counters = json_object_get(service, "counters");
		double spliced = number(counters, "spliced_sent_bytes") +
				 number(counters, "spliced_received_bytes");
		double tcp = number(counters, "sent_bytes") + number(counters, "received_bytes");

		if (!strcmp(text(service, "service"), name) &&
		    !strcmp(text(service, "service_port"), text(row, "service_port")))
			return spliced + tcp > 0 ? json_real(spliced / (spliced + tcp))
						 : json_null();
	}
	return json_null();
}

/* From {name: samples} to {name: {figures, samples}}. */
static void work_out_row(json_t *row, const json_t *services)
{
	json_t *variants = json_object_get(row, "variants"), *ret = json_object();
	bool less_is_better = json_is_true(json_object_get(row, "less_is_better"));
	const json_t *base = NULL;
	struct figure figure;
	const char *name;
	json_t *samples;

	json_object_foreach (variants, name, samples) {
		json_t *variant = json_object();

		figure = figure_of_samples(samples);
		set_figure(variant, "value", figure);
		if (!base) {
			base = samples;
			json_object_set_new(row, "noisy",
					    json_boolean(figure.max - figure.min >
							 NOISY_ABOVE * figure.median));
		}
		set_figure(variant, "ratio", figure_of_ratios(samples, base, less_is_better));
		json_object_set_new(variant, "spliced", spliced_share(services, row, name));
		json_object_set(variant, "samples", samples);
		json_object_set_new(ret, name, variant);
	}
	json_object_set_new(row, "variants", ret);
}

/* ---- the table --------------------------------------------------------------------------- */

/* A line of it: what is put there is aligned by columns, without blanks at the end. */
static char line[256];

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

/* Three digits say all that such figures can. */
static const char *short_number(double value)
{
	static char ret[4][16];
	static unsigned next;
	char *buf = ret[next++ % 4];
	bool thousands = value >= 9999.5;
	int decimals;

	if (thousands)
		value /= 1000;
	decimals = value < 0.9995 ? 3 : value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
	snprintf(buf, sizeof(ret[0]), "%.*f%s", decimals, value, thousands ? "k" : "");
	return buf;
}

static void put_size(const json_t *row)
{
	unsigned size = (unsigned)number(row, "size");
	bool kilobytes = size >= 1024;
	char cell[16];

	snprintf(cell, sizeof(cell), "%s%u %s",
		 json_is_true(json_object_get(row, "noisy")) ? "~" : "",
		 kilobytes ? size / 1024 : size, kilobytes ? "KB" : "B");
	put("%8s%6s", cell, "");
}

/* Compared with itself plain TCP needs no ratio. */
static void put_value(const json_t *variant, bool base)
{
	double value = number(json_object_get(variant, "value"), "median");
	double ratio = number(json_object_get(variant, "ratio"), "median");

	put("%8s", short_number(value));
	if (base)
		put("%6s", "");
	else
		put("%5.2f%s", ratio, ratio < LOSES_BELOW ? "!" : " ");
}

static void put_range(const json_t *variant)
{
	const json_t *value = json_object_get(variant, "value");
	char cell[40];

	snprintf(cell, sizeof(cell), "%s-%s", short_number(number(value, "min")),
		 short_number(number(value, "max")));
	put("%12s  ", cell);
}

static void put_spliced(const json_t *variant)
{
	put("%8.1f%%%5s", 100 * number(variant, "spliced"), "");
}

/* A block of the table: rows[first, end) differ only in their size, each is a column. */
struct block {
	const json_t *rows;
	size_t first, end;
};

static const json_t *block_variant(const struct block *block, size_t row, const char *name)
{
	return json_object_get(json_object_get(json_array_get(block->rows, row), "variants"), name);
}

static bool any_spliced(const struct block *block, const char *name)
{
	for (size_t i = block->first; i < block->end; i++)
		if (number(block_variant(block, i, name), "spliced") > 0)
			return true;
	return false;
}

static void print_variant(const struct block *block, const char *name, bool base)
{
	put("%-8s", name);
	for (size_t i = block->first; i < block->end; i++)
		put_value(block_variant(block, i, name), base);
	end_line();
	put("%8s", "");
	for (size_t i = block->first; i < block->end; i++)
		put_range(block_variant(block, i, name));
	end_line();
	if (!any_spliced(block, name))
		return;
	put("%-8s", " spliced");
	for (size_t i = block->first; i < block->end; i++)
		put_spliced(block_variant(block, i, name));
	end_line();
}

static void print_block(const struct block *block)
{
	const json_t *row = json_array_get(block->rows, block->first);
	json_t *variants = json_object_get(row, "variants"), *variant;
	int cpus = (int)number(row, "cpus");
	bool base = true;
	const char *name;

	printf("\n%s, %s, %d CPU%s, %s\n", text(row, "test"), text(row, "layout"), cpus,
	       cpus > 1 ? "s" : "", text(row, "unit"));
	put("%8s", "");
	for (size_t i = block->first; i < block->end; i++)
		put_size(json_array_get(block->rows, i));
	end_line();
	json_object_foreach (variants, name, variant) {
		print_variant(block, name, base);
		base = false;
	}
}

static bool same_block(const json_t *a, const json_t *b)
{
	return !strcmp(text(a, "test"), text(b, "test")) &&
	       !strcmp(text(a, "layout"), text(b, "layout")) &&
	       number(a, "cpus") == number(b, "cpus");
}

static void print_blocks(const json_t *rows)
{
	struct block block = { .rows = rows };

	while (block.first < json_array_size(rows)) {
		block.end = block.first + 1;
		while (block.end < json_array_size(rows) &&
		       same_block(json_array_get(rows, block.first),
				  json_array_get(rows, block.end)))
			block.end++;
		print_block(&block);
		block.first = block.end;
	}
}

static void print_head(const json_t *root)
{
	const json_t *machine = json_object_get(root, "machine");
	const json_t *method = json_object_get(root, "method");

	printf("%s: Linux %s, %s, %.0f CPUs, governor %s, %s\n", text(machine, "date"),
	       text(machine, "kernel"), text(machine, "cpu"), number(machine, "cpus"),
	       *text(machine, "governor") ? text(machine, "governor") : "unknown",
	       text(machine, "congestion_control"));
	printf("%.0f rounds of %.0f ms in random order, %.0f s. Load before: %s\n",
	       number(method, "rounds"), number(method, "milliseconds"), number(method, "seconds"),
	       text(machine, "load_before"));
	puts("\n"
	     "A column is a size of messages or writes. A cell is the median of all rounds and\n"
	     "how many times as fast as tcp that is, round by round; below it the range.\n"
	     "!  slower than 0.95 times tcp\n"
	     "~  noisy: tcp itself differs by more than half from round to round");
}

static void print_features(const json_t *features)
{
	json_t *feature;
	size_t i;

	json_array_foreach (features, i, feature)
		if (!json_is_true(json_object_get(feature, "enabled")))
			printf("   here %s is off: %s\n", text(feature, "name"),
			       text(feature, "reason"));
}

static void print_noise(const json_t *rows)
{
	size_t i, noisy = 0;
	json_t *row;

	json_array_foreach (rows, i, row)
		noisy += json_is_true(json_object_get(row, "noisy"));
	if (noisy)
		printf("\n~ %zu of %zu rows are noisy: read them with care, or run again on a machine at rest\n",
		       noisy, json_array_size(rows));
}

/* ---- the way in ------------------------------------------------------------------------- */

__attribute__((noreturn)) static void usage(int code)
{
	fprintf(code ? stderr : stdout,
		"usage: report SAMPLES SERVICES STATUS OUTPUT\n"
		"Prints a table of what \"bench run\" has written to SAMPLES, with what \"sidestep\n"
		"services\" and \"sidestep status\" have said afterwards, all in JSON, and puts\n"
		"the figures into OUTPUT.\n");
	exit(code);
}

static json_t *load(const char *path)
{
	json_error_t error;
	json_t *ret = json_load_file(path, 0, &error);

	if (!ret)
		tool_exit(EXIT_FAILURE, "report: %s:%d: %s", path, error.line, error.text);
	return ret;
}

int main(int argc, char **argv)
{
	json_t *root, *services, *status, *rows, *row;
	size_t i;

	if (argc != 5)
		usage(argc == 2 && !strcmp(argv[1], "--help") ? EXIT_SUCCESS : EXIT_USAGE);
	root = load(argv[1]);
	services = load(argv[2]);
	status = load(argv[3]);
	rows = json_object_get(root, "rows");

	json_array_foreach (rows, i, row)
		work_out_row(row, services);
	json_object_set(root, "sidestep", json_object_get(status, "version"));
	json_object_set(root, "features", json_object_get(status, "features"));

	print_head(root);
	print_features(json_object_get(root, "features"));
	print_blocks(rows);
	print_noise(rows);
	if (json_dump_file(root, argv[4], JSON_INDENT(2) | JSON_REAL_PRECISION(5)))
		tool_exit(EXIT_FAILURE, "report: cannot write %s", argv[4]);

	json_decref(root);
	json_decref(services);
	json_decref(status);
	return EXIT_SUCCESS;
}
