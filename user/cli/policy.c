/* SPDX-License-Identifier: Apache-2.0 */
/* Policies before they are in force: checked, compared with what is, tried on recorded flows.
 * And after: how often each rule decided. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/common.h"
#include "core/cleanup.h"
#include "datapath/locate.h"
#include "datapath/outside.h"
#include "export/flowlog.h"
#include "export/show_change.h"
#include "export/show_policy.h"
#include "policy/lint.h"

/* What the file would be in force, on this host, after what the state holds. */
static int compile(const struct model *model, const struct policy_host *host,
		   const struct state *state, struct problems *problems, struct policy_set *ret)
{
	const struct sst_meta *meta = &state->meta;
	struct policy_ids ids = { meta->next_identity, meta->next_workload, meta->next_rule };
	int err = policy_compile(model, host, &state->policy, &ids, problems, ret);

	if (!err)
		return CLI_DONE;
	if (!problems->count)
		cli_error("cannot compile: %s", strerror(-err));
	return err == -E2BIG ? CLI_REFUSED : CLI_FAILED;
}

static int compile_here(const struct model *model, const struct state *state,
			struct policy_set *ret)
{
	_cleanup_problems_ struct problems problems = {};
	_cleanup_located_ struct located located = {};
	int err = locate(model, &problems, &located), status = CLI_FAILED;

	if (state->meta.abi)
		outside_tell(model, state->meta.cgroup, &problems);
	if (err)
		cli_error("the host cannot be looked at: %s", strerror(-err));
	else
		status = compile(model, &located.host, state, &problems, ret);
	cli_print_problems(&problems);
	return status;
}

/* ---- check ------------------------------------------------------------------------ */

/* Of the file alone: the same answer on every machine, but for --cgroup. */
static int check(const struct cli_options *options, struct problems *problems, struct model **ret)
{
	static const struct policy_host nowhere;
	static const struct state nothing;
	_cleanup_policy_set_ struct policy_set set = {};
	int status = cli_read_model(options, problems, ret);

	if (!status)
		status = compile(*ret, &nowhere, &nothing, problems, &set);
	if (status)
		return status;
	cli_tell_outside(options, *ret, problems);
	if (policy_lint(*ret, &set, problems)) {
		cli_error("%s", strerror(ENOMEM));
		return CLI_FAILED;
	}
	return CLI_DONE;
}

static void print_summary(const struct model *model, unsigned warnings)
{
	printf("%zu workload%s, %zu %s, valid, %u warning%s\n", model->n_workloads,
	       model->n_workloads == 1 ? "" : "s", model->n_policies,
	       model->n_policies == 1 ? "policy" : "policies", warnings, warnings == 1 ? "" : "s");
}

int cmd_policy_check(const struct cli_options *options, int argc, char **argv)
{
	_cleanup_problems_ struct problems problems = {};
	_cleanup_model_ struct model *model = NULL;
	int refused = check(options, &problems, &model), status;

	(void)argc;
	(void)argv;
	if (options->json) {
		status = cli_print_json(show_check_json(refused ? NULL : model, &problems));
		if (status)
			return status;
	} else {
		cli_print_problems(&problems);
		if (!refused)
			print_summary(model, problems.count + problems.more);
	}
	return refused ?: options->strict && problems.count ? CLI_REFUSED : CLI_DONE;
}

/* ---- diff -------------------------------------------------------------------------- */

static int compare(const struct cli_options *options, const struct judge *before,
		   const struct judge *after)
{
	_cleanup_policy_diff_ struct policy_diff diff = {};
	_cleanup_text_ struct text out = {};
	int err = policy_diff(before, after, &diff), status;

	if (err) {
		cli_error(err == -E2BIG ? "too many pairs of identities to compare all of them"
					: "cannot compare: %s",
			  strerror(-err));
		return CLI_FAILED;
	}
	if (options->json) {
		status = cli_print_json(show_diff_json(&diff, before->set, after->set));
	} else {
		show_diff(&diff, before->set, after->set, &out);
		status = cli_print(&out);
	}
	return status ?: diff.opened || diff.closed ? CLI_DIFFERS : CLI_DONE;
}

int cmd_policy_diff(const struct cli_options *options, int argc, char **argv)
{
	_cleanup_policy_set_ struct policy_set set = {};
	_cleanup_model_ struct model *model = NULL;
	_cleanup_state_ struct state state = {};
	int status = cli_load_model(options, &model);

	(void)argc;
	(void)argv;
	if (!status)
		status = cli_dump(options, DUMP_POLICY, &state);
	if (!status)
		status = compile_here(model, &state, &set);
	if (status)
		return status;
	return compare(options, &(struct judge){ &state.policy, state.config.fail_closed },
		       &(struct judge){ &set, model->node.fail_closed });
}

/* ---- replay ------------------------------------------------------------------------- */

/* Lines that are no records are told, and the others judged all the same. */
static int replay_lines(FILE *file, const char *name, const struct judge *judge,
			struct problems *problems, struct replay *replay)
{
	_cleanup_flowlog_ struct flowlog log = {};
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	int err = 0;

	for (unsigned n = 1; getline(&line, &size, file) > 0 && err != -ENOMEM; n++) {
		struct replay_flow flow = {};

		err = flowlog_read(&log, line, name, n, problems, &flow);
		if (err > 0)
			err = replay_add(replay, judge, &flow);
		flowlog_flow_release(&flow);
	}
	if (ferror(file))
		return -EIO;
	return err == -ENOMEM ? err : 0;
}

static int replay_log(const char *path, const struct judge *judge, struct problems *problems,
		      struct replay *replay)
{
	bool is_stdin = !strcmp(path, "-");
	_cleanup_fclose_ FILE *file = is_stdin ? stdin : fopen(path, "re");

	return file ? replay_lines(file, path, judge, problems, replay) : -errno;
}

static int print_replay(const struct cli_options *options, const struct replay *replay,
			const struct policy_set *set)
{
	_cleanup_text_ struct text out = {};

	if (options->json)
		return cli_print_json(show_replay_json(replay, set));
	show_replay(replay, set, &out);
	return cli_print(&out);
}

static int replay(const struct cli_options *options, const struct judge *judge)
{
	_cleanup_problems_ struct problems problems = {};
	_cleanup_replay_ struct replay replay = {};
	int err = replay_log(options->flows, judge, &problems, &replay);
	int status;

	cli_print_problems(&problems);
	if (err) {
		cli_error("%s: %s", options->flows, strerror(-err));
		return CLI_FAILED;
	}
	replay_group(&replay);
	status = print_replay(options, &replay, judge->set);
	if (!status && problems.count)
		return CLI_FAILED;
	if (!status && !replay.flows) {
		cli_error("%s: no flows to judge, so nothing is known", options->flows);
		return CLI_FAILED;
	}
	return status ?: replay.n_changes ? CLI_DIFFERS : CLI_DONE;
}

int cmd_policy_replay(const struct cli_options *options, int argc, char **argv)
{
	static const struct state nothing;
	_cleanup_policy_set_ struct policy_set set = {};
	_cleanup_model_ struct model *model = NULL;
	int status = cli_load_model(options, &model);

	(void)argc;
	(void)argv;
	if (!status)
		status = compile_here(model, &nothing, &set);
	if (status)
		return status;
	return replay(options, &(struct judge){ &set, model->node.fail_closed });
}

/* ---- stats -------------------------------------------------------------------------- */

int cmd_policy_stats(const struct cli_options *options, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return cli_show(options, DUMP_POLICY, show_rules, show_rules_json);
}
