/* SPDX-License-Identifier: Apache-2.0 */
/* Live flows from the kernel's own sockets; --follow asks the daemon, which reads
 * the ring buffer. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/common.h"
#include "core/array.h"
#include "core/clock.h"
#include "daemon/client.h"
#include "export/record.h"

struct listing {
	const struct flow_filter *filter;
	const struct state *state;
	struct sst_record *records;
	size_t n, room;
};

/* A connection is listed once: by its client's end where that is on this node. */
static int add(const struct sst_record *record, void *arg)
{
	struct listing *listing = arg;

	if (record->role == SST_ROLE_SERVER && record->peer_flow)
		return 0;
	if (!flow_filter_takes(listing->filter, record, listing->state))
		return 0;
	if (array_reserve((void **)&listing->records, &listing->room, listing->n,
			  sizeof(*listing->records)))
		return -ENOMEM;
	listing->records[listing->n++] = *record;
	return 0;
}

static int compare_flow(const void *a, const void *b)
{
	const struct sst_record *x = a, *y = b;

	return x->flow < y->flow ? -1 : x->flow > y->flow;
}

/* Each flow once, of several walks. */
static void unite(struct listing *listing)
{
	size_t kept = 0;

	if (listing->n)
		qsort(listing->records, listing->n, sizeof(*listing->records), compare_flow);
	for (size_t i = 0; i < listing->n; i++)
		if (!i || listing->records[i].flow != listing->records[i - 1].flow)
			listing->records[kept++] = listing->records[i];
	listing->n = kept;
}

static int compare_opened(const void *a, const void *b)
{
	const struct sst_record *x = a, *y = b;

	return x->opened_ns < y->opened_ns ? -1 : x->opened_ns > y->opened_ns;
}

/* Flows are many: objects are printed as they are made, a line each. */
static int print_json(const struct listing *listing, const struct record_context *context)
{
	_cleanup_text_ struct text out = {};

	for (size_t i = 0; i < listing->n && !out.error; i++) {
		out.length = 0;
		text_add_string(&out, i ? ",\n  " : "[\n  ");
		record_to_json(&listing->records[i], context, &out);
		cli_print(&out);
	}
	puts(listing->n ? "\n]" : "[]");
	return out.error ? CLI_FAILED : CLI_DONE;
}

/* https://no-color.org: any value but the empty one. */
static bool is_coloured(void)
{
	const char *refused = getenv("NO_COLOR");

	return isatty(STDOUT_FILENO) && !(refused && *refused);
}

static int print_table(const struct cli_options *options, const struct listing *listing,
		       const struct record_context *context)
{
	struct flow_columns columns =
		options->columns.n
			? options->columns
			: flow_columns_default(!policy_set_is_empty(&context->state->policy));
	_cleanup_text_ struct text out = {};

	flow_table(listing->records, listing->n, context, &columns, is_coloured(), &out);
	return cli_print(&out);
}

static int list(const struct cli_options *options, struct datapath *datapath)
{
	_cleanup_state_ struct state state = {};
	struct record_context context = { .state = &state,
					  .realtime_offset_ns = clock_realtime_offset_ns() };
	struct listing listing = { .filter = &options->filter, .state = &state };
	int status, err = datapath_dump(datapath, DUMP_TABLES | DUMP_POLICY, &state);

	/* one walk may miss a flow while others come and go */
	for (int i = 0; i < 2 && !err; i++)
		err = datapath_flows(datapath, add, &listing);
	unite(&listing);
	if (err) {
		free(listing.records);
		cli_error("flows cannot be listed: %s", strerror(-err));
		return CLI_FAILED;
	}
	if (listing.n)
		qsort(listing.records, listing.n, sizeof(*listing.records), compare_opened);
	status = options->json ? print_json(&listing, &context)
			       : print_table(options, &listing, &context);
	free(listing.records);
	return status;
}

static int follow(const struct cli_options *options)
{
	const struct follow_request request = { .json = options->json,
						.colour = is_coloured(),
						.columns = options->columns,
						.filter = options->filter };
	int err;

	if (request.columns.n && !request.json) {
		_cleanup_text_ struct text head = {};

		flow_table_header(&request.columns, &head);
		cli_print(&head);
		fflush(stdout);
	}
	err = client_follow(options->socket, &request, stdout);
	if (err == -EPIPE)
		return CLI_DONE; /* our reader has gone, like head(1) */
	if (!err)
		cli_error("the daemon has ended");
	else if (err == -ENOENT || err == -ECONNREFUSED)
		cli_error("the daemon is not running ('sidestep run'): nobody reads the events");
	else
		cli_error("%s: %s", options->socket, strerror(-err));
	return CLI_FAILED;
}

int cmd_flows(const struct cli_options *options, int argc, char **argv)
{
	_cleanup_datapath_ struct datapath *datapath = NULL;
	int status;

	(void)argc;
	(void)argv;
	if (options->filter.keys & 1u << FLOW_KEY_EVENT && !options->follow) {
		cli_error("--event needs --follow: what is listed is live");
		return CLI_USAGE;
	}
	status = cli_open(options, &datapath);
	if (status)
		return status;
	return options->follow ? follow(options) : list(options, datapath);
}
