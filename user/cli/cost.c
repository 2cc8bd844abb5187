/* SPDX-License-Identifier: Apache-2.0 */
/* status --cost */
#include "datapath/cost.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cli/common.h"
#include "core/cleanup.h"
#include "core/table.h"
#include "export/json.h"

static const struct table_column columns[] = {
	{ "PROGRAM", TABLE_LEFT }, { "RUNS", TABLE_RIGHT }, { "RUNS/S", TABLE_RIGHT },
	{ "NS/RUN", TABLE_RIGHT }, { "CPU", TABLE_RIGHT },
};

static double seconds(const struct cost *cost)
{
	return (double)cost->measured_ns / 1e9;
}

/* Less what measuring put into it. */
static double ns_per_run(const struct cost *cost, const struct cost_program *program)
{
	double ns = program->runs ? (double)program->ns / (double)program->runs : 0;

	return ns > cost->included_ns ? ns - cost->included_ns : 0;
}

/* Of one processor. */
static double share(const struct cost *cost, const struct cost_program *program)
{
	return ns_per_run(cost, program) * (double)program->runs / (double)cost->measured_ns;
}

static int print_table(const struct cost *cost)
{
	_cleanup_table_ struct table table = TABLE_INIT(columns);
	_cleanup_text_ struct text out = {};

	for (size_t i = 0; i < cost->n; i++) {
		const struct cost_program *program = &cost->programs[i];

		table_add(&table, "%s", program->name);
		table_add(&table, "%" PRIu64, program->runs);
		table_add(&table, "%.0f", (double)program->runs / seconds(cost));
		if (program->runs)
			table_add(&table, "%.0f", ns_per_run(cost, program));
		else
			table_add(&table, "-");
		table_add(&table, "%.2f%%", 100 * share(cost, program));
	}
	if (table_print(&table, &out))
		out.error = -ENOMEM;
	text_add(&out,
		 "\nmeasured for %.1f s; an empty program shows %.0f ns, which are taken off\n",
		 seconds(cost), cost->included_ns);
	if (cost->was_on)
		text_add(&out, "statistics were on before: what they add is not known\n");
	else
		text_add(
			&out,
			"measuring added about %.0f ns to each run of every program of this host\n",
			cost->added_ns);
	return cli_print(&out);
}

static json_t *program_to_json(const struct cost *cost, const struct cost_program *program)
{
	json_t *object = json_object();

	json_set(&object, "program", json_string(program->name));
	json_set(&object, "runs", json_integer(program->runs));
	json_set(&object, "run_time_ns", json_integer(program->ns));
	json_set(&object, "ns_per_run",
		 program->runs ? json_real(ns_per_run(cost, program)) : json_null());
	json_set(&object, "cpu", json_real(share(cost, program)));
	return object;
}

static json_t *cost_to_json(const struct cost *cost)
{
	json_t *object = json_object(), *programs = json_array();

	for (size_t i = 0; i < cost->n; i++)
		json_add(&programs, program_to_json(cost, &cost->programs[i]));
	json_set(&object, "seconds", json_real(seconds(cost)));
	json_set(&object, "included_ns", json_real(cost->included_ns));
	json_set(&object, "added_ns", cost->was_on ? json_null() : json_real(cost->added_ns));
	json_set(&object, "programs", programs);
	return object;
}

int cli_cost(const struct cli_options *options, unsigned seconds_wanted)
{
	_cleanup_datapath_ struct datapath *datapath = NULL;
	struct cost cost;
	int err, status = cli_open(options, &datapath);

	if (status)
		return status;
	err = datapath_cost(datapath, seconds_wanted * 1000, &cost);
	if (err) {
		cli_error("the kernel does not measure its programs: %s", strerror(-err));
		return CLI_FAILED;
	}
	return options->json ? cli_print_json(cost_to_json(&cost)) : print_table(&cost);
}
