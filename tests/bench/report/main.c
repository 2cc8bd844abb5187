// SPDX-License-Identifier: Apache-2.0
/* See usage(). What the report is made of is told in report.h. */
#include "bench/machine.h"
#include "report.h"

__attribute__((noreturn)) static void usage(int code)
{
	fprintf(code ? stderr : stdout,
		"usage: report machine ROUNDS\n"
		"       report tables SAMPLES GOALS OUTPUT\n"
		"machine prints the first of the lines of JSON that make SAMPLES: the machine's state.\n"
		"The parts of a benchmark append what they measure. tables makes tables of them, judges\n"
		"the goals of GOALS, and puts all of it as JSON into OUTPUT.\n");
	exit(code);
}

static int print_state(const char *rounds)
{
	struct machine machine;
	json_t *line;

	machine_look(&machine);
	line = json_pack("{s{ss ss ss ss si ss ss ss} sI}", "machine", "date", machine.date,
			 "kernel", machine.kernel, "architecture", machine.architecture, "cpu",
			 machine.cpu, "cpus", machine.cpus, "governor", machine.governor,
			 "congestion_control", machine.congestion, "load", machine.load, "rounds",
			 (json_int_t)tool_number("ROUNDS", rounds));
	if (!line || json_dumpf(line, stdout, JSON_COMPACT))
		tool_exit(EXIT_FAILURE, "report: cannot print the machine's state");
	puts("");
	json_decref(line);
	return EXIT_SUCCESS;
}

static void print_head(const json_t *root)
{
	const json_t *machine = json_object_get(root, "machine");
	const char *governor = text(machine, "governor");

	printf("%s: Linux %s, %s, %.0f CPUs, governor %s, %s. %.0f rounds. Load before: %s\n",
	       text(machine, "date"), text(machine, "kernel"), text(machine, "cpu"),
	       number(machine, "cpus"), *governor ? governor : "unknown",
	       text(machine, "congestion_control"), number(root, "rounds"), text(machine, "load"));
}

static int print_tables(const char *samples, const char *goals, const char *output)
{
	json_t *root = results_read(samples);

	results_work_out(root);
	growth_work_out(root);
	goals_judge(root, goals);
	print_head(root);
	tables_print(root);
	growth_print(root);
	goals_print(root);
	if (json_dump_file(root, output, JSON_INDENT(2) | JSON_REAL_PRECISION(6)))
		tool_exit(EXIT_FAILURE, "report: cannot write %s", output);
	json_decref(root);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--help"))
		usage(EXIT_SUCCESS);
	if (argc == 3 && !strcmp(argv[1], "machine"))
		return print_state(argv[2]);
	if (argc == 5 && !strcmp(argv[1], "tables"))
		return print_tables(argv[2], argv[3], argv[4]);
	usage(EXIT_USAGE);
}
