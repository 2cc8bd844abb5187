/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame of the command line. A command is one function in a file of its own and
 * one row of the table in cli.c; options are parsed here, once for all of them.
 */
#ifndef SIDESTEP_CLI_CLI_H
#define SIDESTEP_CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>

#include "core/problems.h"
#include "core/text.h"
#include "export/flow_table.h"
#include "model/flow_filter.h"

/* Documented in sidestep(8). */
enum cli_exit {
	CLI_DONE = 0,
	CLI_FAILED = 1,     /* something the system refused; nothing was left half done */
	CLI_USAGE = 2,      /* the command line is wrong */
	CLI_NOT_LOADED = 3, /* there is no data plane under --pin */
	CLI_REFUSED = 4,    /* the configuration is wrong; the one in force stays */
	CLI_DENIED = 5,     /* explain: policy denies it */
	CLI_DIFFERS = 6,    /* policy diff, replay: verdicts would change */
};

#define CLI_DEFAULT_PIN    "/sys/fs/bpf/sidestep"
#define CLI_DEFAULT_SOCKET "/run/sidestep/sidestep.sock"
#define CLI_DEFAULT_STATS  "/run/sidestep/sidestep.prom"
#define CLI_DEFAULT_CACHE  "/run/sidestep/selftest"

/* Of a capture. */
#define CLI_DEFAULT_SECONDS 60
#define CLI_MAX_SECONDS     3600
#define CLI_DEFAULT_COUNT   10000
#define CLI_MAX_COUNT       10000000

/* Of top, in seconds. */
#define CLI_DEFAULT_INTERVAL 1

/* Of bench. */
#define CLI_DEFAULT_ROUNDS 7
#define CLI_MAX_ROUNDS     1000

struct cli_options {
	const char *cgroup; /* NULL: the root of cgroup v2 */
	const char *pin;
	const char *socket;
	const char *stats;
	const char *cache;
	const char **files; /* of -f; at least one for every command that takes it */
	size_t n_files;
	bool json;
	bool dot; /* map; neither of the two: SVG */
	bool verbose;
	bool dry_run;           /* apply */
	bool follow;            /* flows */
	bool unload_on_exit;    /* run */
	bool kubernetes;        /* run: follow an API server */
	const char *kubeconfig; /* NULL: $KUBECONFIG, or a pod's */
	const char *server;
	const char *node_name; /* NULL: $NODE_NAME, or as the files or the host say */
	const char *web;       /* run: where the page is; NULL: nowhere */
	const char *web_token;
	bool istio_names;    /* run */
	const char *metrics; /* run: where to serve them; NULL: nowhere */
	bool cost;           /* status */
	bool force;          /* unload */
	bool purge;          /* unload */
	bool stay;           /* unload */
	const char *write;   /* capture: the pcap file, "-" for stdout; NULL: print lines */
	unsigned seconds;
	unsigned count;
	unsigned payload;            /* bytes of each message */
	bool strict;                 /* policy check */
	const char *flows;           /* policy replay: the log, "-" for stdin */
	struct flow_filter filter;   /* flows */
	struct flow_columns columns; /* flows; none: the usual ones */
	unsigned interval;           /* top, in seconds */
	unsigned snapshots;
	const char *view;
	const char *sort;
	const char *text; /* NULL: none, as of the two above */
	bool quick;       /* bench */
	unsigned rounds;  /* bench */
};

/*
 * Commands get what stands behind the options, of a number that fits the table, and
 * return an enum cli_exit.
 */
int cmd_apply(const struct cli_options *options, int argc, char **argv);
int cmd_bench(const struct cli_options *options, int argc, char **argv);
int cmd_capture(const struct cli_options *options, int argc, char **argv);
int cmd_check(const struct cli_options *options, int argc, char **argv);
int cmd_doctor(const struct cli_options *options, int argc, char **argv);
int cmd_edges(const struct cli_options *options, int argc, char **argv);
int cmd_endpoints(const struct cli_options *options, int argc, char **argv);
int cmd_explain(const struct cli_options *options, int argc, char **argv);
int cmd_flows(const struct cli_options *options, int argc, char **argv);
int cmd_identities(const struct cli_options *options, int argc, char **argv);
int cmd_load(const struct cli_options *options, int argc, char **argv);
int cmd_map(const struct cli_options *options, int argc, char **argv);
int cmd_policy_check(const struct cli_options *options, int argc, char **argv);
int cmd_policy_diff(const struct cli_options *options, int argc, char **argv);
int cmd_policy_replay(const struct cli_options *options, int argc, char **argv);
int cmd_policy_stats(const struct cli_options *options, int argc, char **argv);
int cmd_run(const struct cli_options *options, int argc, char **argv);
int cmd_services(const struct cli_options *options, int argc, char **argv);
int cmd_status(const struct cli_options *options, int argc, char **argv);
int cmd_top(const struct cli_options *options, int argc, char **argv);
int cmd_unload(const struct cli_options *options, int argc, char **argv);
int cmd_version(const struct cli_options *options, int argc, char **argv);
int cmd_workloads(const struct cli_options *options, int argc, char **argv);

/* Runs the program; the value is main()'s. */
int cli_main(int argc, char **argv);

/* Prints "sidestep: message" and a newline to stderr. */
void cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The number that an option or argument of that name is. -EINVAL when it is none, which is told. */
int cli_number(const char *name, const char *text, unsigned min, unsigned max, unsigned *ret);

/* Prints one problem a line to stderr, as compilers do, so that editors can follow. */
void cli_print_problems(const struct problems *problems);

/*
 * Print to stdout; return CLI_DONE, or CLI_FAILED with a message when memory was
 * out (json is NULL then). The JSON printers take the reference over. A line is
 * for streams: compact, and seen by the reader at once. That stdout could be
 * written is looked at once, when the command has ended.
 */
int cli_print(const struct text *text);
int cli_print_json(json_t *json);
int cli_print_json_line(json_t *json);

#endif
