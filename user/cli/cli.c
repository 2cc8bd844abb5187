/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "sidestep/abi.h"

/* ---- what there is ----------------------------------------------------------- */

/* Options that not every command takes, as bits. */
enum {
	TAKES_FILE = 1 << 0, /* and needs it */
	TAKES_OUTPUT = 1 << 1,
	TAKES_DRY_RUN = 1 << 2,
	TAKES_FOLLOW = 1 << 3,
	TAKES_UNLOAD = 1 << 4,
	TAKES_FORCE = 1 << 5,
	TAKES_CAPTURE = 1 << 6,
	TAKES_STRICT = 1 << 7,
	TAKES_FLOWS = 1 << 8, /* and needs it */
	TAKES_TOP = 1 << 9,
	TAKES_FILTER = 1 << 10,
	TAKES_DRAWING = 1 << 11,
	TAKES_WEB = 1 << 12,
	TAKES_METRICS = 1 << 13,
	TAKES_COST = 1 << 14,
	TAKES_CLUSTER = 1 << 15, /* instead of TAKES_FILE, if it is wanted */
	TAKES_BENCH = 1 << 16,
};

struct command {
	const char *name;     /* one word or two */
	const char *argument; /* those it needs, and in [] may have; NULL: none */
	unsigned takes;
	const char *summary;
	int (*run)(const struct cli_options *options, int argc, char **argv);
};

static const struct command commands[] = {
	{ .name = "load",
	  .takes = TAKES_FILE,
	  .summary = "load the data plane, or upgrade it, and apply FILE",
	  .run = cmd_load },
	{ .name = "unload",
	  .takes = TAKES_FORCE,
	  .summary = "remove the data plane",
	  .run = cmd_unload },
	{ .name = "apply",
	  .takes = TAKES_FILE | TAKES_DRY_RUN,
	  .summary = "print how FILE differs from what is in force, and apply it",
	  .run = cmd_apply },
	{ .name = "run",
	  .takes = TAKES_FILE | TAKES_UNLOAD | TAKES_WEB | TAKES_METRICS | TAKES_CLUSTER,
	  .summary = "load, then follow FILE or an API server, and write the stats file",
	  .run = cmd_run },
	{ .name = "status",
	  .argument = "[SECONDS]",
	  .takes = TAKES_OUTPUT | TAKES_COST,
	  .summary = "show whether and how the data plane is loaded",
	  .run = cmd_status },
	{ .name = "services",
	  .argument = "[NAME]",
	  .takes = TAKES_OUTPUT,
	  .summary = "list services, or show one with its endpoints",
	  .run = cmd_services },
	{ .name = "endpoints",
	  .takes = TAKES_OUTPUT,
	  .summary = "list endpoints",
	  .run = cmd_endpoints },
	{ .name = "edges",
	  .takes = TAKES_OUTPUT,
	  .summary = "list who calls whom, with exact totals",
	  .run = cmd_edges },
	{ .name = "map",
	  .takes = TAKES_DRAWING,
	  .summary = "draw the map of services, for documents",
	  .run = cmd_map },
	{ .name = "flows",
	  .takes = TAKES_OUTPUT | TAKES_FOLLOW | TAKES_FILTER,
	  .summary = "list live flows, or print flows as they come and go",
	  .run = cmd_flows },
	{ .name = "top",
	  .takes = TAKES_OUTPUT | TAKES_TOP,
	  .summary = "watch services, edges and flows live",
	  .run = cmd_top },
	{ .name = "capture",
	  .argument = "FLOW|SERVICE",
	  .takes = TAKES_OUTPUT | TAKES_CAPTURE,
	  .summary = "follow the messages of spliced flows, as tcpdump would",
	  .run = cmd_capture },
	{ .name = "identities",
	  .takes = TAKES_OUTPUT,
	  .summary = "list identities: whom policies tell apart",
	  .run = cmd_identities },
	{ .name = "workloads",
	  .takes = TAKES_OUTPUT,
	  .summary = "list workloads, and how they are known",
	  .run = cmd_workloads },
	{ .name = "explain",
	  .argument = "SOURCE DESTINATION [PORT[/PROTOCOL]]",
	  .takes = TAKES_OUTPUT,
	  .summary = "tell why policy lets one talk to the other, or does not",
	  .run = cmd_explain },
	{ .name = "policy check",
	  .takes = TAKES_FILE | TAKES_STRICT | TAKES_OUTPUT,
	  .summary = "check FILE, and warn of what is probably not meant",
	  .run = cmd_policy_check },
	{ .name = "policy diff",
	  .takes = TAKES_FILE | TAKES_OUTPUT,
	  .summary = "tell whose verdicts FILE would change",
	  .run = cmd_policy_diff },
	{ .name = "policy replay",
	  .takes = TAKES_FILE | TAKES_FLOWS | TAKES_OUTPUT,
	  .summary = "tell which recorded flows FILE would deny or let in",
	  .run = cmd_policy_replay },
	{ .name = "policy stats",
	  .takes = TAKES_OUTPUT,
	  .summary = "list rules, how often they decided, and which never did",
	  .run = cmd_policy_stats },
	{ .name = "doctor",
	  .takes = TAKES_OUTPUT,
	  .summary = "try on this kernel all that Sidestep does, and tell what is wrong",
	  .run = cmd_doctor },
	{ .name = "bench",
	  .takes = TAKES_OUTPUT | TAKES_BENCH,
	  .summary = "measure what connections cost with and without Sidestep",
	  .run = cmd_bench },
	{ .name = "check",
	  .takes = TAKES_FILE,
	  .summary = "check that FILE is a valid configuration",
	  .run = cmd_check },
	{ .name = "version",
	  .summary = "print the versions of binary, ABI and libbpf",
	  .run = cmd_version },
};

enum {
	LONG_CGROUP = 256, /* beyond every letter */
	LONG_PIN,
	LONG_SOCKET,
	LONG_STATS,
	LONG_CACHE,
	LONG_DRY_RUN,
	LONG_FOLLOW,
	LONG_UNLOAD,
	LONG_FORCE,
	LONG_PURGE,
	LONG_STAY,
	LONG_SECONDS,
	LONG_COUNT,
	LONG_PAYLOAD,
	LONG_STRICT,
	LONG_FLOWS,
	LONG_METRICS,
	LONG_ISTIO_NAMES,
	LONG_COST,
	LONG_ONCE,
	LONG_VIEW,
	LONG_SORT,
	LONG_TEXT,
	LONG_COLUMNS,
	LONG_WEB,
	LONG_WEB_TOKEN,
	LONG_KUBERNETES,
	LONG_KUBECONFIG,
	LONG_SERVER,
	LONG_NODE_NAME,
	LONG_QUICK,
	LONG_ROUNDS,
	LONG_FILTER, /* and behind it each enum flow_key */
};

struct option_row {
	int value; /* a letter, or LONG_* */
	const char *name;
	const char *argument; /* NULL: none */
	const char *help;
	unsigned takes; /* the bit of the commands that take it; 0: all of them */
};

static const struct option_row option_rows[] = {
	{ 'f', "file", "FILE", "the configuration; may be given several times", TAKES_FILE },
	{ LONG_KUBERNETES, "kubernetes", NULL, "follow the API server of the pod that this runs in",
	  TAKES_CLUSTER },
	{ LONG_KUBECONFIG, "kubeconfig", "FILE", "follow the API server that this names",
	  TAKES_CLUSTER },
	{ LONG_SERVER, "server", "URL", "where the API server is, whatever is said elsewhere",
	  TAKES_CLUSTER },
	{ LONG_NODE_NAME, "node-name", "NAME", "how its cluster calls this node ($NODE_NAME)",
	  TAKES_CLUSTER },
	{ 'o', "output", "table|json", "how to print it (table)", TAKES_OUTPUT },
	{ 'o', "output", "svg|dot|json", "how to draw it (svg)", TAKES_DRAWING },
	{ LONG_WEB, "web", "ADDRESS", "serve a page of what happens there, 127.0.0.1:9470 say",
	  TAKES_WEB },
	{ LONG_WEB_TOKEN, "web-token", "FILE", "what the page asks for; others' addresses need it",
	  TAKES_WEB },
	{ LONG_DRY_RUN, "dry-run", NULL, "print the difference, change nothing", TAKES_DRY_RUN },
	{ LONG_FOLLOW, "follow", NULL, "print flows as they open, close and fail", TAKES_FOLLOW },
	{ LONG_UNLOAD, "unload-on-exit", NULL, "remove the data plane at the end", TAKES_UNLOAD },
	{ LONG_METRICS, "metrics", "ADDRESS", "serve /metrics at this address and port, too",
	  TAKES_METRICS },
	{ LONG_ISTIO_NAMES, "istio-names", NULL, "metrics by Istio's names, too", TAKES_METRICS },
	{ LONG_COST, "cost", NULL, "measure for SECONDS (1) what the programs cost", TAKES_COST },
	{ LONG_FORCE, "force", NULL, "lose spliced bytes that nobody reads", TAKES_FORCE },
	{ LONG_PURGE, "purge", NULL, "remove the daemon's files, too", TAKES_FORCE },
	{ LONG_STAY, "stay", NULL, "end at a signal only, as a DaemonSet's pod has to",
	  TAKES_FORCE },
	{ 'w', "write", "FILE", "write a pcap file, - for stdout", TAKES_CAPTURE },
	{ LONG_SECONDS, "seconds", "N", "end after so long (60)", TAKES_CAPTURE },
	{ LONG_COUNT, "count", "N", "end after so many messages (10000)", TAKES_CAPTURE },
	{ LONG_PAYLOAD, "payload", "BYTES", "write so much of what each message says (0)",
	  TAKES_CAPTURE },
	{ LONG_STRICT, "strict", NULL, "refuse what is warned of", TAKES_STRICT },
	{ LONG_FLOWS, "flows", "LOG", "lines of 'flows --follow -o json', - for stdin",
	  TAKES_FLOWS },
	{ 'd', "interval", "SECONDS", "look so often (1)", TAKES_TOP },
	{ 'n', "snapshots", "N", "print so many as text, on no terminal", TAKES_TOP },
	{ LONG_ONCE, "once", NULL, "the same as --snapshots 1", TAKES_TOP },
	{ LONG_VIEW, "view", "NAME", "services, edges or flows (services)", TAKES_TOP },
	{ LONG_SORT, "sort", "COLUMN", "what to sort by (bytes)", TAKES_TOP },
	{ LONG_TEXT, "filter", "TEXT", "only rows with this in a name or address", TAKES_TOP },
	{ LONG_COLUMNS, "columns", "NAME,...", "which columns to print", TAKES_FILTER },
	{ LONG_FILTER + FLOW_KEY_SOURCE, "source", "WHO",
	  "only of a workload, namespace/, label, address", TAKES_FILTER },
	{ LONG_FILTER + FLOW_KEY_DESTINATION, "destination", "WHO", "only to one, likewise",
	  TAKES_FILTER },
	{ LONG_FILTER + FLOW_KEY_NAMESPACE, "namespace", "NAME", "only with an end in it",
	  TAKES_FILTER },
	{ LONG_FILTER + FLOW_KEY_WORKLOAD, "workload", "NAME", "only with it as an end",
	  TAKES_FILTER },
	{ LONG_FILTER + FLOW_KEY_SERVICE, "service", "NAME",
	  "only to the service, or with NAME/PORT to its port", TAKES_FILTER },
	{ LONG_FILTER + FLOW_KEY_PORT, "port", "N", "only to the service's or endpoint's port",
	  TAKES_FILTER },
	{ LONG_FILTER + FLOW_KEY_PROTOCOL, "protocol", "tcp|udp", "only of the protocol",
	  TAKES_FILTER },
	{ LONG_FILTER + FLOW_KEY_VERDICT, "verdict", "VERDICT", "only those allowed or denied",
	  TAKES_FILTER },
	{ LONG_FILTER + FLOW_KEY_EVENT, "event", "EVENT", "only open, close, failed or denied",
	  TAKES_FILTER },
	{ LONG_FILTER + FLOW_KEY_ERRORS, "errors", NULL, "only what failed or broke",
	  TAKES_FILTER },
	{ LONG_FILTER + FLOW_KEY_MIN_BYTES, "min-bytes", "SIZE", "only with so many bytes (10MiB)",
	  TAKES_FILTER },
	{ LONG_FILTER + FLOW_KEY_SLOWER, "slower", "TIME", "only if connect() took longer (20ms)",
	  TAKES_FILTER },
	{ LONG_QUICK, "quick", NULL, "seconds: does it work, and what does it gain", TAKES_BENCH },
	{ LONG_ROUNDS, "rounds", "N", "measure all so often (7)", TAKES_BENCH },
	{ LONG_CGROUP, "cgroup", "PATH", "serve only this part of the cgroup tree (all of it)", 0 },
	{ LONG_PIN, "pin", "DIR", "where the data plane is pinned (" CLI_DEFAULT_PIN ")", 0 },
	{ LONG_SOCKET, "socket", "PATH", "the daemon's socket (" CLI_DEFAULT_SOCKET ")", 0 },
	{ LONG_STATS, "stats", "FILE", "the stats file (" CLI_DEFAULT_STATS ")", 0 },
	{ LONG_CACHE, "cache", "FILE", "what the self-test found (" CLI_DEFAULT_CACHE ")", 0 },
	{ 'v', "verbose", NULL, "print libbpf's messages, too", 0 },
	{ 'h', "help", NULL, "print this help", 0 },
};

static bool takes(const struct command *command, const struct option_row *row)
{
	return !row->takes || command->takes & row->takes;
}

/* ---- messages ---------------------------------------------------------------- */

void cli_error(const char *format, ...)
{
	va_list ap;

	fflush(stdout); /* where both go to one terminal, keep the order */
	fputs("sidestep: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
}

void cli_print_problems(const struct problems *problems)
{
	fflush(stdout);
	for (unsigned i = 0; i < problems->count; i++)
		fprintf(stderr, "%s\n", problems->text[i]);
	if (problems->more)
		fprintf(stderr, "... and %u more\n", problems->more);
}

static int out_of_memory(void)
{
	cli_error("%s", strerror(ENOMEM));
	return CLI_FAILED;
}

int cli_print(const struct text *text)
{
	if (text->error)
		return out_of_memory();
	fwrite(text_string(text), 1, text->length, stdout);
	return CLI_DONE;
}

static int print_json(json_t *json, size_t flags)
{
	int err = json ? json_dumpf(json, stdout, flags) : 0;

	json_decref(json);
	if (err && ferror(stdout))
		return CLI_FAILED; /* close_output() tells why */
	if (!json || err)
		return out_of_memory();
	putchar('\n');
	return CLI_DONE;
}

int cli_print_json(json_t *json)
{
	return print_json(json, JSON_INDENT(2));
}

int cli_print_json_line(json_t *json)
{
	int status = print_json(json, JSON_COMPACT);

	fflush(stdout);
	return status;
}

static int usage_error(const struct command *command)
{
	fprintf(stderr, "Try 'sidestep%s%s --help'.\n", command ? " " : "",
		command ? command->name : "");
	return CLI_USAGE;
}

/* ---- help -------------------------------------------------------------------- */

static void print_help(void)
{
	puts("Usage: sidestep COMMAND [OPTION...]\n"
	     "\n"
	     "Service mesh data plane in the kernel.\n"
	     "\n"
	     "Commands:");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %-13s %s\n", commands[i].name, commands[i].summary);
	puts("\n"
	     "'sidestep COMMAND --help' tells of a command's options, sidestep(8) of the rest.");
}

static void print_option(const struct option_row *row)
{
	char name[40];

	snprintf(name, sizeof(name), "--%s%s%s", row->name, row->argument ? " " : "",
		 row->argument ? row->argument : "");
	if (row->value < LONG_CGROUP)
		printf("  -%c, %-20s  %s\n", row->value, name, row->help);
	else
		printf("      %-20s  %s\n", name, row->help);
}

static void print_command_help(const struct command *command)
{
	printf("Usage: sidestep %s%s%s [OPTION...]%s%s\n\n", command->name,
	       command->takes & TAKES_CLUSTER ? " -f FILE|--kubernetes"
	       : command->takes & TAKES_FILE  ? " -f FILE"
					      : "",
	       command->takes & TAKES_FLOWS ? " --flows LOG" : "", command->argument ? " " : "",
	       command->argument ? command->argument : "");
	printf("%s: %s.\n\nOptions, with defaults in parentheses:\n", command->name,
	       command->summary);
	for (size_t i = 0; i < ARRAY_SIZE(option_rows); i++)
		if (takes(command, &option_rows[i]))
			print_option(&option_rows[i]);
}

/* ---- options ------------------------------------------------------------------ */

/* getopt's two forms of the rows that a command takes. */
struct getopt_tables {
	struct option longs[ARRAY_SIZE(option_rows) + 1];
	char shorts[2 * ARRAY_SIZE(option_rows) + 2];
};

static void make_getopt_tables(const struct command *command, struct getopt_tables *ret)
{
	struct option *option = ret->longs;
	char *letter = ret->shorts;

	memset(ret, 0, sizeof(*ret));
	*letter++ = ':'; /* tell a missing argument from an unknown option */
	for (size_t i = 0; i < ARRAY_SIZE(option_rows); i++) {
		const struct option_row *row = &option_rows[i];

		if (!takes(command, row))
			continue;
		*option++ = (struct option){
			.name = row->name,
			.has_arg = row->argument ? required_argument : no_argument,
			.val = row->value,
		};
		if (row->value >= LONG_CGROUP)
			continue;
		*letter++ = row->value;
		if (row->argument)
			*letter++ = ':';
	}
}

static int set_output(struct cli_options *options, const char *format)
{
	if (strcmp(format, "table") && strcmp(format, "json")) {
		cli_error("unknown output '%s', expected table or json", format);
		return -EINVAL;
	}
	options->json = !strcmp(format, "json");
	return 0;
}

static int set_drawing(struct cli_options *options, const char *format)
{
	if (strcmp(format, "svg") && strcmp(format, "dot") && strcmp(format, "json")) {
		cli_error("unknown output '%s', expected svg, dot or json", format);
		return -EINVAL;
	}
	options->json = !strcmp(format, "json");
	options->dot = !strcmp(format, "dot");
	return 0;
}

int cli_number(const char *name, const char *text, unsigned min, unsigned max, unsigned *ret)
{
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(text, &end, 10);
	/* strtoul() takes signs and blanks, too */
	if (*text < '0' || *text > '9' || *end || errno || number < min || number > max) {
		cli_error("%s is '%s', expected a number from %u to %u", name, text, min, max);
		return -EINVAL;
	}
	*ret = number;
	return 0;
}

static int set_filter(struct cli_options *options, enum flow_key key, const char *value)
{
	int err = flow_filter_add(&options->filter, key, value ?: "true");

	if (err == -EINVAL)
		cli_error("--%s is '%s', expected %s", flow_key_name(key), value,
			  flow_key_expected(key));
	else if (err == -E2BIG)
		cli_error("a filter has at most %d values", FLOW_TERMS_MAX);
	else if (err)
		out_of_memory();
	return err;
}

static void complain_of_column(const char *name)
{
	_cleanup_text_ struct text known = {};

	for (size_t i = 0; flow_column_name(i); i++)
		text_add(&known, "%s%s", i ? ", " : "", flow_column_name(i));
	cli_error("unknown column '%.*s', expected some of: %s", (int)strcspn(name, ","), name,
		  text_string(&known));
}

static int set_columns(struct cli_options *options, const char *names)
{
	const char *wrong;
	int err = flow_columns_parse(names, &options->columns, &wrong);

	if (err == -EINVAL)
		complain_of_column(wrong);
	else if (err)
		cli_error("there can be at most %d columns", FLOW_COLUMNS_MAX);
	return err;
}

static int set_option(const struct command *command, struct cli_options *options, int value,
		      const char *argument)
{
	if (argument && !*argument) {
		cli_error("an option's argument is empty");
		return -EINVAL;
	}
	if (value >= LONG_FILTER)
		return set_filter(options, value - LONG_FILTER, argument);
	switch (value) {
	case 'f':
		options->files[options->n_files++] = argument;
		break;
	case 'o':
		return command->takes & TAKES_DRAWING ? set_drawing(options, argument)
						      : set_output(options, argument);
	case 'v':
		options->verbose = true;
		break;
	case LONG_CGROUP:
		options->cgroup = argument;
		break;
	case LONG_PIN:
		options->pin = argument;
		break;
	case LONG_SOCKET:
		options->socket = argument;
		break;
	case LONG_STATS:
		options->stats = argument;
		break;
	case LONG_CACHE:
		options->cache = argument;
		break;
	case LONG_DRY_RUN:
		options->dry_run = true;
		break;
	case LONG_FOLLOW:
		options->follow = true;
		break;
	case LONG_UNLOAD:
		options->unload_on_exit = true;
		break;
	case LONG_METRICS:
		options->metrics = argument;
		break;
	case LONG_ISTIO_NAMES:
		options->istio_names = true;
		break;
	case LONG_COST:
		options->cost = true;
		break;
	case LONG_FORCE:
		options->force = true;
		break;
	case LONG_PURGE:
		options->purge = true;
		break;
	case LONG_STAY:
		options->stay = true;
		break;
	case 'w':
		options->write = argument;
		break;
	case LONG_STRICT:
		options->strict = true;
		break;
	case LONG_FLOWS:
		options->flows = argument;
		break;
	case 'd':
		return cli_number("--interval", argument, 1, CLI_MAX_SECONDS, &options->interval);
	case 'n':
		return cli_number("--snapshots", argument, 1, CLI_MAX_COUNT, &options->snapshots);
	case LONG_ONCE:
		options->snapshots = 1;
		break;
	case LONG_VIEW:
		options->view = argument;
		break;
	case LONG_SORT:
		options->sort = argument;
		break;
	case LONG_TEXT:
		options->text = argument;
		break;
	case LONG_COLUMNS:
		return set_columns(options, argument);
	case LONG_WEB:
		options->web = argument;
		break;
	case LONG_WEB_TOKEN:
		options->web_token = argument;
		break;
	case LONG_KUBERNETES:
		options->kubernetes = true;
		break;
	case LONG_KUBECONFIG:
		options->kubernetes = true;
		options->kubeconfig = argument;
		break;
	case LONG_SERVER:
		options->server = argument;
		break;
	case LONG_NODE_NAME:
		options->node_name = argument;
		break;
	case LONG_QUICK:
		options->quick = true;
		break;
	case LONG_ROUNDS:
		return cli_number("--rounds", argument, 1, CLI_MAX_ROUNDS, &options->rounds);
	case LONG_SECONDS:
		return cli_number("--seconds", argument, 1, CLI_MAX_SECONDS, &options->seconds);
	case LONG_COUNT:
		return cli_number("--count", argument, 1, CLI_MAX_COUNT, &options->count);
	case LONG_PAYLOAD:
		return cli_number("--payload", argument, 0, SST_PAYLOAD_MAX, &options->payload);
	}
	return 0;
}

static const struct option_row *find_option(const struct command *command, int value)
{
	for (size_t i = 0; i < ARRAY_SIZE(option_rows); i++)
		if (option_rows[i].value == value && takes(command, &option_rows[i]))
			return &option_rows[i];
	return NULL;
}

/* Tells what getopt stumbled over: result is what it returned, ':' or '?'. */
static void complain_of_option(const struct command *command, int result, char **argv)
{
	const struct option_row *row = find_option(command, optopt);

	if (row && result == ':')
		cli_error("option '--%s' needs an argument", row->name);
	else if (row)
		cli_error("option '--%s' takes no argument", row->name);
	else if (optopt)
		cli_error("option '-%c' is not known here", optopt);
	else
		cli_error("option '%s' is not known here", argv[optind - 1]);
}

/* Returns 0 with optind at the first argument, 1 when only help was wanted, or -EINVAL. */
static int parse_options(const struct command *command, int argc, char **argv,
			 struct cli_options *options)
{
	struct getopt_tables tables;
	int value;

	make_getopt_tables(command, &tables);
	opterr = 0;
	while ((value = getopt_long(argc, argv, tables.shorts, tables.longs, NULL)) != -1) {
		if (value == 'h')
			return 1;
		if (value == '?' || value == ':') {
			complain_of_option(command, value, argv);
			return -EINVAL;
		}
		if (set_option(command, options, value, optarg))
			return -EINVAL;
	}
	return 0;
}

/* How many arguments it needs, and may have at most: the words of `argument`. */
static int count_arguments(const struct command *command, int *max)
{
	int needs = 0;

	*max = 0;
	for (const char *word = command->argument; word; word = strchr(word, ' ')) {
		word += *word == ' ';
		needs += *word != '[';
		++*max;
	}
	return needs;
}

static int check_usage(const struct command *command, const struct cli_options *options,
		       int n_arguments, char **arguments)
{
	int max, needs = count_arguments(command, &max);

	if (n_arguments > max) {
		cli_error("unexpected argument '%s'", arguments[max]);
		return -EINVAL;
	}
	if (n_arguments < needs) {
		cli_error("%s needs %s", command->name, command->argument);
		return -EINVAL;
	}
	if (command->takes & TAKES_FILE && !options->n_files && !options->kubernetes) {
		cli_error("%s needs -f FILE%s", command->name,
			  command->takes & TAKES_CLUSTER ? ", or --kubernetes" : "");
		return -EINVAL;
	}
	if ((options->server || options->node_name) && !options->kubernetes) {
		cli_error("--server and --node-name need --kubernetes");
		return -EINVAL;
	}
	if (options->web_token && !options->web) {
		cli_error("--web-token needs --web");
		return -EINVAL;
	}
	if (command->takes & TAKES_FLOWS && !options->flows) {
		cli_error("%s needs --flows LOG", command->name);
		return -EINVAL;
	}
	return 0;
}

/* ---- the way in and out ----------------------------------------------------------- */

static int run_command(const struct command *command, int argc, char **argv)
{
	_cleanup_free_ const char **files = calloc(argc, sizeof(*files)); /* more there are not */
	struct cli_options options = {
		.files = files,
		.pin = CLI_DEFAULT_PIN,
		.socket = CLI_DEFAULT_SOCKET,
		.stats = CLI_DEFAULT_STATS,
		.seconds = CLI_DEFAULT_SECONDS,
		.count = CLI_DEFAULT_COUNT,
		.interval = CLI_DEFAULT_INTERVAL,
		.rounds = CLI_DEFAULT_ROUNDS,
		.cache = CLI_DEFAULT_CACHE,
	};
	int r;

	if (!files)
		return out_of_memory();
	r = parse_options(command, argc, argv, &options);
	if (r > 0) {
		print_command_help(command);
		r = CLI_DONE;
	} else if (r < 0 || check_usage(command, &options, argc - optind, argv + optind)) {
		r = usage_error(command);
	} else {
		r = command->run(&options, argc - optind, argv + optind);
	}
	flow_filter_release(&options.filter);
	return r;
}

/* Whether the name, of one word or two, is what argv begins with. */
static bool is_called(const struct command *command, int argc, char **argv, int *words)
{
	const char *space = strchr(command->name, ' ');
	size_t n = space ? (size_t)(space - command->name) : strlen(command->name);

	*words = space ? 2 : 1;
	if (argc < *words || strncmp(command->name, argv[0], n) || argv[0][n])
		return false;
	return !space || !strcmp(space + 1, argv[1]);
}

/* *words: how many of argv's are its name. */
static const struct command *find_command(int argc, char **argv, int *words)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (is_called(&commands[i], argc, argv, words))
			return &commands[i];
	return NULL;
}

/* "policy" alone is half a name. */
static void complain_of_command(int argc, char **argv)
{
	bool half = !strcmp(argv[0], "policy");

	if (half && argc > 1)
		cli_error("unknown command 'policy %s'", argv[1]);
	else if (half)
		cli_error("policy needs one of check, diff, replay, stats");
	else if (argv[0][0] == '-')
		cli_error("option '%s' belongs behind a command", argv[0]);
	else
		cli_error("unknown command '%s'", argv[0]);
}

static bool is_help(const char *word)
{
	return !strcmp(word, "--help") || !strcmp(word, "-h");
}

static int dispatch(int argc, char **argv)
{
	static char *version[] = { "version", NULL };
	const struct command *command;
	int words;

	if (argc < 2) {
		cli_error("which command?");
		return usage_error(NULL);
	}
	if (is_help(argv[1]) || (!strcmp(argv[1], "policy") && argc > 2 && is_help(argv[2]))) {
		print_help();
		return CLI_DONE;
	}
	if (!strcmp(argv[1], "--version"))
		return run_command(find_command(1, version, &words), 1, version);
	command = find_command(argc - 1, argv + 1, &words);
	if (command)
		return run_command(command, argc - words, argv + words);
	complain_of_command(argc - 1, argv + 1);
	return usage_error(NULL);
}

/* Output that was lost, on a full disk say, is a failure of any command. */
static int close_output(int status)
{
	bool lost = ferror(stdout);

	if (!fclose(stdout) && !lost)
		return status;
	cli_error("cannot write the output: %s", strerror(errno));
	return status == CLI_DONE ? CLI_FAILED : status;
}

int cli_main(int argc, char **argv)
{
	return close_output(dispatch(argc, argv));
}
