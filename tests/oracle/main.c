/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a random cluster as a file for Sidestep, and questions about it with the answers
 * that the literal evaluator gives: to be tried with real connections.
 */
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/address.h"
#include "core/cleanup.h"
#include "oracle/literal.h"
#include "oracle/native.h"

#define EXIT_USAGE 2

static const char usage[] =
	"Usage: cluster [OPTION...] YAML QUESTIONS\n"
	"\n"
	"Writes a random cluster to file YAML, and questions about it to file QUESTIONS: one a\n"
	"line, with tabs between client, its address, server, its address, protocol, port, and\n"
	"what becomes of it: by the client's egress, by the server's ingress (allow or deny).\n"
	"Both addresses are taken for known: a client binds to its own before it connects.\n"
	"\n"
	"  --seed N            another cluster, and other questions (1)\n"
	"  --addresses A,B,... of the workloads; there are as many as addresses\n"
	"  --cgroup PATH       the workloads' cgroups are PATH/w0, PATH/w1, ... (/oracle)\n"
	"  --questions N       so many (1000)\n"
	"  --network-only      NetworkPolicies only: no tiers, no shadow\n";

enum { ADDRESSES_MAX = 256 };

struct options {
	struct cluster_wish wish;
	struct sst_addr addresses[ADDRESSES_MAX];
	unsigned long seed;
	unsigned long questions;
	const char *yaml;
	const char *list;
};

/* ---- options -------------------------------------------------------------------- */

__attribute__((noreturn)) static void usage_error(void)
{
	fputs(usage, stderr);
	exit(EXIT_USAGE);
}

static unsigned long parse_number(const char *string)
{
	char *end;
	unsigned long number = strtoul(string, &end, 10);

	if (!*string || *end)
		usage_error();
	return number;
}

static void parse_addresses(char *string, struct options *options)
{
	size_t n = 0;

	for (char *at = strtok(string, ","); at; at = strtok(NULL, ","))
		if (n == ADDRESSES_MAX || address_parse(at, &options->addresses[n++]))
			usage_error();
	options->wish.n_workloads = n;
	options->wish.addresses = options->addresses;
}

static void parse_options(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "addresses", required_argument, NULL, 'a' },
		{ "cgroup", required_argument, NULL, 'c' },
		{ "questions", required_argument, NULL, 'q' },
		{ "network-only", no_argument, NULL, 'n' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL },
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		switch (option) {
		case 's':
			options->seed = parse_number(optarg);
			break;
		case 'a':
			parse_addresses(optarg, options);
			break;
		case 'c':
			options->wish.cgroup = optarg;
			break;
		case 'q':
			options->questions = parse_number(optarg);
			break;
		case 'n':
			options->wish.tiers = false;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(EXIT_SUCCESS);
		default:
			usage_error();
		}
	}
	if (argc - optind != 2 || !options->wish.n_workloads)
		usage_error();
	options->yaml = argv[optind];
	options->list = argv[optind + 1];
}

/* ---- questions ------------------------------------------------------------------ */

static const char *verdict(const struct cluster *cluster, enum sst_direction direction,
			   size_t subject, size_t peer, struct query query)
{
	/* a workload reaches itself, whatever is ruled */
	if (subject == peer)
		return "allow";
	query.direction = direction;
	query.subject.workload = subject;
	query.peer.workload = peer;
	query.has_address = true;
	query.address = cluster->model.workloads[peer].addresses[0].address;
	return literal_decide(cluster, &query).denied ? "deny" : "allow";
}

static void print_question(const struct cluster *cluster, struct dice *dice, struct text *out)
{
	const struct model_workload *workloads = cluster->model.workloads;
	size_t client = roll(dice, cluster->model.n_workloads);
	size_t server = roll(dice, cluster->model.n_workloads);
	struct query query = {
		.port = random_port(dice),
		.protocol = roll(dice, 3) ? IPPROTO_TCP : IPPROTO_UDP,
	};
	char a[ADDRESS_TEXT_MAX], b[ADDRESS_TEXT_MAX];

	text_add(out, "%s\t%s\t%s\t%s\t%s\t%u\t", workloads[client].name,
		 address_format(&workloads[client].addresses[0].address, a), workloads[server].name,
		 address_format(&workloads[server].addresses[0].address, b),
		 protocol_name(query.protocol), query.port);
	text_add(out, "%s\t%s\n", verdict(cluster, SST_EGRESS, client, server, query),
		 verdict(cluster, SST_INGRESS, server, client, query));
}

/* ---- files ---------------------------------------------------------------------- */

static void write_file(const char *path, const struct text *text)
{
	FILE *file = fopen(path, "w");

	if (file && !text->error && fputs(text_string(text), file) != EOF && !fclose(file))
		return;
	fprintf(stderr, "%s: %s\n", path, strerror(text->error ? -text->error : errno));
	exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
	struct options options = {
		.wish = { .tiers = true, .cgroup = "/oracle" },
		.seed = 1,
		.questions = 1000,
	};
	_cleanup_cluster_ struct cluster cluster = { 0 };
	_cleanup_text_ struct text yaml = { 0 }, list = { 0 };
	struct dice dice;

	parse_options(argc, argv, &options);
	dice = dice_of(options.seed, 0);
	cluster_make(&options.wish, &dice, &cluster);
	native_print(&cluster, &yaml);
	for (unsigned long i = 0; i < options.questions; i++)
		print_question(&cluster, &dice, &list);
	write_file(options.yaml, &yaml);
	write_file(options.list, &list);
	return EXIT_SUCCESS;
}
