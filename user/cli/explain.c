/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "cli/common.h"
#include "datapath/listener.h"
#include "export/show_explain.h"

static int print(const struct cli_options *options, const struct explain *explain,
		 const struct state *state)
{
	_cleanup_text_ struct text out = {};

	if (options->json)
		return cli_print_json(show_explain_json(explain, &state->policy, state));
	show_explain(explain, &state->policy, state, &out);
	return cli_print(&out);
}

static int answer(const struct cli_options *options, const struct explain_question *question,
		  const struct state *state)
{
	_cleanup_problems_ struct problems problems = {};
	_cleanup_explain_ struct explain explain = {};
	int err = policy_explain(&state->policy, state, question, &problems, &explain);
	int status;

	cli_print_problems(&problems);
	if (err) {
		if (!problems.count)
			cli_error("cannot explain: %s", strerror(-err));
		return CLI_FAILED;
	}
	status = print(options, &explain, state);
	return status ?: explain.denied ? CLI_DENIED : CLI_DONE;
}

int cmd_explain(const struct cli_options *options, int argc, char **argv)
{
	const struct explain_question question = {
		.source = argv[0],
		.destination = argv[1],
		.port = argc > 2 ? argv[2] : NULL,
		.listener = listener_find,
	};
	_cleanup_state_ struct state state = {};
	int status = cli_dump(options, DUMP_PLAIN | DUMP_POLICY, &state);

	if (status)
		return status;
	if (!policy_set_is_empty(&state.policy))
		return answer(options, &question, &state);
	if (options->json)
		return cli_print_json(
			json_pack("{s:n,s:s,s:[]}", "service", "verdict", "allowed", "pairs"));
	puts("no policy is in force: everything is allowed");
	return CLI_DONE;
}
