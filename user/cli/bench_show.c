/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench.h"

#include <stddef.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/table.h"
#include "export/json.h"

/* ---- figures --------------------------------------------------------------------------- */

static const struct {
	const char *name, *key, *unit;
	bool less; /* is better */
} tests[] = {
	[BENCH_ROUND_TRIP] = { "round trip", "round-trip", "us", true },
	[BENCH_CONNECT] = { "connect", "connect", "1/s", false },
	[BENCH_STREAM] = { "stream", "stream", "GB/s", false },
};

const char *bench_row_name(const struct bench_row *row, char name[32])
{
	if (row->test == BENCH_CONNECT)
		snprintf(name, 32, "%s", tests[row->test].name);
	else if (row->size < 1024)
		snprintf(name, 32, "%s %u B", tests[row->test].name, row->size);
	else
		snprintf(name, 32, "%s %u KB", tests[row->test].name, row->size / 1024);
	return name;
}

static double value_of(const struct bench_row *row, const struct bench_result *result)
{
	return row->test == BENCH_ROUND_TRIP ? result->p50
	       : row->test == BENCH_CONNECT  ? result->per_second
					     : result->gigabytes;
}

struct cell_figures {
	struct figure value;
	struct figure ratio; /* how many times as good as plain, round by round */
	bool noisy;          /* too much for either to be told */
};

static int figures_of(const struct bench *bench, unsigned r, enum bench_by by,
		      struct cell_figures *ret)
{
	_cleanup_free_ double *values = calloc(bench->rounds, sizeof(*values));
	_cleanup_free_ double *ratios = calloc(bench->rounds, sizeof(*ratios));
	const struct bench_row *row = &bench->rows[r];

	if (!values || !ratios)
		return -ENOMEM;
	for (unsigned i = 0; i < bench->rounds; i++) {
		double value = value_of(row, &bench->cells[r][by].results[i]);
		double plain = value_of(row, &bench->cells[r][BY_PLAIN].results[i]);

		values[i] = value;
		ratios[i] = tests[row->test].less ? plain / value : value / plain;
	}
	ret->value = figure_of(values, bench->rounds);
	ret->ratio = figure_of(ratios, bench->rounds);
	ret->noisy = figure_is_noisy(by == BY_PLAIN ? &ret->value : &ret->ratio);
	return 0;
}

static bool works(const struct bench *bench)
{
	return !problems_errors(&bench->problems);
}

/* ---- text ---------------------------------------------------------------------------------- */

static void add_number(struct table *table, double value)
{
	table_add(table, value < 100 ? "%.2f" : "%.0f", value);
}

static void add_cell(const struct bench *bench, unsigned r, enum bench_by by, struct table *table)
{
	const struct bench_row *row = &bench->rows[r];
	const struct bench_cell *cell = &bench->cells[r][by];
	struct cell_figures figures = {};
	char name[32];

	if (figures_of(bench, r, by, &figures))
		table->error = -ENOMEM;
	table_add(table, "%s", bench_row_name(row, name));
	table_add(table, "%u", row->cpus);
	table_add(table, "%s", bench_by_name(by));
	if (figures.noisy)
		table_add(table, "noisy");
	else
		add_number(table, figures.value.median);
	add_number(table, figures.value.min);
	add_number(table, figures.value.max);
	table_add(table, "%s", tests[row->test].unit);
	if (by == BY_PLAIN || figures.noisy)
		table_add(table, "-");
	else
		table_add(table, "%.2f", figures.ratio.median);
	if (cell->traffic.bytes)
		table_add(table, "%.0f%%", 100 * bench_share(cell));
	else
		table_add(table, "-");
}

static void add_table(const struct bench *bench, struct text *out)
{
	static const struct table_column columns[] = {
		{ "TEST", TABLE_LEFT },    { "CPUS", TABLE_RIGHT },    { "BY", TABLE_LEFT },
		{ "MEDIAN", TABLE_RIGHT }, { "MIN", TABLE_RIGHT },     { "MAX", TABLE_RIGHT },
		{ "UNIT", TABLE_LEFT },    { "X PLAIN", TABLE_RIGHT }, { "SPLICED", TABLE_RIGHT },
	};
	_cleanup_table_ struct table table = TABLE_INIT(columns);

	for (unsigned r = 0; r < bench->n_rows; r++)
		for (unsigned w = 0; w < bench->n_by; w++)
			add_cell(bench, r, bench->by[w], &table);
	if (table_print(&table, out))
		out->error = -ENOMEM;
	text_add(out, "\n");
}

static const char *or_unknown(const char *text)
{
	return *text ? text : "unknown";
}

static void add_machine(const struct bench *bench, struct text *out)
{
	const struct machine *machine = &bench->machine;

	text_add(out,
		 "kernel %s, %d CPUs (%s), governor %s, %s, load %s\n"
		 "%u rounds of %u ms; clients on CPU %d, servers there or on %d; %.1f s\n",
		 machine->kernel, machine->cpus, or_unknown(machine->cpu),
		 or_unknown(machine->governor), or_unknown(machine->congestion),
		 or_unknown(machine->load), bench->rounds, bench->ms, bench->cpus[BENCH_CLIENT],
		 bench->cpus[bench->n_cpus > 1 ? BENCH_SERVER : BENCH_CLIENT], bench->seconds);
}

/* "connect: 0.93x of plain", by what a service has that is not told otherwise. */
static void add_gain(const struct bench *bench, enum bench_test test, uint32_t size,
		     enum bench_by by, struct text *out)
{
	for (unsigned r = 0; r < bench->n_rows; r++) {
		const struct bench_row *row = &bench->rows[r];
		struct cell_figures figures = {};
		char name[32];

		if (row->test != test || row->size != size || row->cpus != 1)
			continue;
		if (figures_of(bench, r, by, &figures))
			out->error = -ENOMEM;
		text_add(out, ", %s ", bench_row_name(row, name));
		if (figures.noisy)
			text_add(out, "too noisy to tell");
		else
			text_add(out, "%.2f times as fast", figures.ratio.median);
	}
}

/* What is spliced where it can be; auto is what most services have. */
static enum bench_by best_way(const struct bench *bench)
{
	return !*bench->off[BY_AUTO] ? BY_AUTO : !*bench->off[BY_ON] ? BY_ON : BY_OFF;
}

static void add_share(const struct bench *bench, enum bench_by by, struct text *out)
{
	for (unsigned r = 0; r < bench->n_rows; r++)
		if (bench->rows[r].test == BENCH_ROUND_TRIP && bench->rows[r].size == 1024 &&
		    bench->rows[r].cpus == 1)
			text_add(out, ", the splice takes over (%.0f%% of bytes)",
				 100 * bench_share(&bench->cells[r][by]));
}

static void add_verdict(const struct bench *bench, struct text *out)
{
	enum bench_by by = best_way(bench);

	if (!works(bench)) {
		text_add(out, "does not work: %s\n", bench->problems.text[0]);
		return;
	}
	text_add(out, "works: hooks attach, all bytes arrive whole");
	if (by != BY_OFF)
		add_share(bench, by, out);
	text_add(out, "\nwith splice %s, beside plain TCP", bench_by_name(by));
	add_gain(bench, BENCH_CONNECT, 1, by, out);
	add_gain(bench, BENCH_ROUND_TRIP, 1024, by, out);
	text_add(out, "\n");
}

static void add_off(const struct bench *bench, struct text *out)
{
	for (int by = 0; by < BY_MAX; by++)
		if (*bench->off[by])
			text_add(out, "%s is off on this kernel: %s\n", bench_by_name(by),
				 bench->off[by]);
}

int bench_show(const struct bench *bench)
{
	_cleanup_text_ struct text out = {};
	int status;

	if (bench->n_by && works(bench))
		add_table(bench, &out);
	add_machine(bench, &out);
	add_off(bench, &out);
	add_verdict(bench, &out);
	status = cli_print(&out);
	cli_print_problems(&bench->problems);
	return status ?: works(bench) ? CLI_DONE : CLI_FAILED;
}

/* ---- JSON -------------------------------------------------------------------------------------- */

static json_t *text_or_null(const char *text)
{
	return json_text(*text ? text : NULL);
}

static json_t *machine_json(const struct machine *machine)
{
	json_t *object = json_object();

	json_set(&object, "date", json_string(machine->date));
	json_set(&object, "kernel", json_string(machine->kernel));
	json_set(&object, "architecture", json_string(machine->architecture));
	json_set(&object, "cpu", text_or_null(machine->cpu));
	json_set(&object, "cpus", json_integer(machine->cpus));
	json_set(&object, "governor", text_or_null(machine->governor));
	json_set(&object, "congestion_control", text_or_null(machine->congestion));
	json_set(&object, "load", text_or_null(machine->load));
	return object;
}

static json_t *method_json(const struct bench *bench)
{
	json_t *object = json_object(), *cpus = json_array();

	for (unsigned i = 0; i < bench->n_cpus; i++)
		json_add(&cpus, json_integer(bench->cpus[i]));
	json_set(&object, "rounds", json_integer(bench->rounds));
	json_set(&object, "milliseconds", json_integer(bench->ms));
	json_set(&object, "warm_up_round_trips", json_integer(BENCH_WARM_UP_ROUND_TRIPS));
	json_set(&object, "pinned_to", cpus);
	json_set(&object, "seconds", json_real(bench->seconds));
	return object;
}

static json_t *figure_json(const struct figure *figure)
{
	json_t *object = json_object();

	json_set(&object, "median", json_real(figure->median));
	json_set(&object, "min", json_real(figure->min));
	json_set(&object, "max", json_real(figure->max));
	json_set(&object, "q1", json_real(figure->q1));
	json_set(&object, "q3", json_real(figure->q3));
	return object;
}

static json_t *samples_json(const struct bench *bench, const struct bench_row *row,
			    const struct bench_cell *cell)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < bench->rounds; i++)
		json_add(&array, json_real(value_of(row, &cell->results[i])));
	return array;
}

/* Of another figure of each result. */
static json_t *median_json(const struct bench *bench, const struct bench_cell *cell, size_t offset)
{
	_cleanup_free_ double *values = calloc(bench->rounds, sizeof(*values));

	for (unsigned i = 0; values && i < bench->rounds; i++)
		values[i] = *(const double *)((const char *)&cell->results[i] + offset);
	return values ? json_real(figure_of(values, bench->rounds).median) : NULL;
}

static void set_more(const struct bench *bench, const struct bench_row *row,
		     const struct bench_cell *cell, json_t **object)
{
	if (row->test == BENCH_ROUND_TRIP) {
		json_set(object, "p99",
			 median_json(bench, cell, offsetof(struct bench_result, p99)));
		json_set(object, "p99_9",
			 median_json(bench, cell, offsetof(struct bench_result, p999)));
	} else if (row->test == BENCH_STREAM) {
		json_set(object, "held_bytes",
			 median_json(bench, cell, offsetof(struct bench_result, held)));
	}
}

static json_t *cell_json(const struct bench *bench, unsigned r, enum bench_by by)
{
	const struct bench_cell *cell = &bench->cells[r][by];
	struct cell_figures figures;
	json_t *object = json_object();

	if (figures_of(bench, r, by, &figures)) {
		json_decref(object);
		return NULL;
	}
	json_set(&object, "by", json_string(bench_by_name(by)));
	json_set(&object, "value", figure_json(&figures.value));
	json_set(&object, "ratio", by == BY_PLAIN ? json_null() : figure_json(&figures.ratio));
	json_set(&object, "noisy", json_boolean(figures.noisy));
	json_set(&object, "spliced",
		 cell->traffic.bytes ? json_real(bench_share(cell)) : json_null());
	set_more(bench, &bench->rows[r], cell, &object);
	json_set(&object, "samples", samples_json(bench, &bench->rows[r], cell));
	return object;
}

static json_t *row_json(const struct bench *bench, unsigned r)
{
	const struct bench_row *row = &bench->rows[r];
	json_t *object = json_object(), *cells = json_array();

	for (unsigned w = 0; w < bench->n_by; w++)
		json_add(&cells, cell_json(bench, r, bench->by[w]));
	json_set(&object, "test", json_string(tests[row->test].key));
	json_set(&object, "size", json_integer(row->size));
	json_set(&object, "cpus", json_integer(row->cpus));
	json_set(&object, "unit", json_string(tests[row->test].unit));
	json_set(&object, "less_is_better", json_boolean(tests[row->test].less));
	json_set(&object, "cells", cells);
	return object;
}

static json_t *rows_json(const struct bench *bench)
{
	json_t *array = json_array();

	for (unsigned r = 0; bench->n_by && works(bench) && r < bench->n_rows; r++)
		json_add(&array, row_json(bench, r));
	return array;
}

static json_t *off_json(const struct bench *bench)
{
	json_t *object = json_object();

	for (int by = 0; by < BY_MAX; by++)
		if (*bench->off[by])
			json_set(&object, bench_by_name(by), json_string(bench->off[by]));
	return object;
}

static json_t *problems_json(const struct problems *problems)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < problems->count; i++)
		json_add(&array, json_text(problems->text[i]));
	return array;
}

int bench_show_json(const struct bench *bench)
{
	json_t *object = json_object();
	int status;

	json_set(&object, "works", json_boolean(works(bench)));
	json_set(&object, "machine", machine_json(&bench->machine));
	json_set(&object, "method", method_json(bench));
	json_set(&object, "off", off_json(bench));
	json_set(&object, "problems", problems_json(&bench->problems));
	json_set(&object, "rows", rows_json(bench));
	status = cli_print_json(object);
	return status ?: works(bench) ? CLI_DONE : CLI_FAILED;
}
