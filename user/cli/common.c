/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/common.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/cleanup.h"
#include "daemon/client.h"
#include "datapath/host.h"
#include "datapath/locate.h"
#include "datapath/outside.h"
#include "datapath/reconcile.h"
#include "export/json.h"
#include "source/yaml.h"

int cli_read_model(const struct cli_options *options, struct problems *problems, struct model **ret)
{
	_cleanup_model_host_ struct model_host host = {};
	int err = locate_self(&host);

	if (!err)
		err = yaml_load_files(options->files, options->n_files, &host, problems, ret);

	if (!err)
		return CLI_DONE;
	if (!problems->count)
		cli_error("cannot read the configuration: %s", strerror(-err));
	return CLI_REFUSED;
}

void cli_tell_outside(const struct cli_options *options, const struct model *model,
		      struct problems *problems)
{
	_cleanup_problems_ struct problems ignored = {};
	char attached[PATH_MAX];

	if (options->cgroup && !host_cgroup_resolve(options->cgroup, attached, &ignored))
		outside_tell(model, attached, problems);
}

void cli_add_warnings(const struct cli_options *options, struct problems *problems)
{
	_cleanup_json_ json_t *warnings = client_warnings(options->socket);
	json_t *warning;
	size_t i;

	json_array_foreach (warnings, i, warning)
		problems_warn(problems, "sidestep", (struct place){}, "%s",
			      json_string_value(warning) ?: "");
}

int cli_load_model(const struct cli_options *options, struct model **ret)
{
	_cleanup_problems_ struct problems problems = {};
	int status = cli_read_model(options, &problems, ret);

	cli_print_problems(&problems);
	return status;
}

int cli_open(const struct cli_options *options, struct datapath **ret)
{
	int err = datapath_open(options->pin, ret);

	if (!err)
		return CLI_DONE;
	if (err == -ENOENT) {
		cli_error("not loaded (nothing is pinned at %s)", options->pin);
		return CLI_NOT_LOADED;
	}
	if (err == -EPROTO)
		cli_error("%s holds the maps of a version with another ABI: 'sidestep unload' "
			  "removes them",
			  options->pin);
	else
		cli_error("%s: %s", options->pin, strerror(-err));
	return CLI_FAILED;
}

int cli_dump(const struct cli_options *options, unsigned what, struct state *ret)
{
	_cleanup_datapath_ struct datapath *datapath = NULL;
	int status = cli_open(options, &datapath);
	int err;

	if (status)
		return status;
	err = datapath_sweep(datapath);
	if (!err)
		err = datapath_dump(datapath, what, ret);
	if (!err)
		return CLI_DONE;
	cli_error("the maps cannot be read: %s", strerror(-err));
	return CLI_FAILED;
}

int cli_show(const struct cli_options *options, unsigned what,
	     int (*show)(const struct state *state, struct text *out),
	     json_t *(*show_json)(const struct state *state))
{
	_cleanup_state_ struct state state = {};
	_cleanup_text_ struct text out = {};
	int status = cli_dump(options, what, &state);

	if (status)
		return status;
	if (options->json)
		return cli_print_json(show_json(&state));
	show(&state, &out);
	return cli_print(&out);
}

static int load_and_apply(const struct cli_options *options, const struct model *model, bool keep,
			  struct plan *plan, struct datapath **ret)
{
	const struct datapath_options how = { .pin = options->pin,
					      .cgroup = options->cgroup,
					      .cache = options->cache,
					      .verbose = options->verbose };
	const struct unload_options at_once = { .force = true };
	_cleanup_problems_ struct problems problems = {};
	_cleanup_datapath_ struct datapath *datapath = NULL, *before = NULL;
	bool first = datapath_open(options->pin, &before) == -ENOENT;
	int err = datapath_load(&how, &problems, &datapath);

	if (!err && (first || !keep)) {
		err = reconcile(datapath, model, false, &problems, plan);
		if (err && first) {
			datapath_unlock(datapath);
			datapath_unload(options->pin, &at_once, &problems);
		}
	}
	cli_print_problems(&problems);
	if (err) {
		if (!problems_errors(&problems))
			cli_error("cannot load: %s", strerror(-err));
		return err == -E2BIG ? CLI_REFUSED : CLI_FAILED;
	}
	*ret = TAKE_PTR(datapath);
	return CLI_DONE;
}

void cli_block_signals(sigset_t *before)
{
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGHUP);
	sigprocmask(SIG_BLOCK, &ends, before);
}

int cli_load(const struct cli_options *options, const struct model *model, bool keep,
	     struct plan *plan, struct datapath **ret)
{
	sigset_t before;
	int status;

	cli_block_signals(&before);
	status = load_and_apply(options, model, keep, plan, ret);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return status;
}

void cli_print_changes(const struct plan *plan)
{
	for (size_t i = 0; i < plan->n_changes; i++) {
		_cleanup_text_ struct text line = {};

		change_tell(&plan->changes[i], &line);
		puts(text_string(&line));
	}
	if (!plan->n_changes)
		puts("no difference");
}
