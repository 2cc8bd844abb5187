/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "cli/common.h"
#include "core/cleanup.h"
#include "daemon/daemon.h"

static int run(const struct cli_options *options, const struct model *model)
{
	const struct daemon_options how = { .file = options->file,
					    .socket = options->socket,
					    .stats = options->stats };
	_cleanup_datapath_ struct datapath *datapath = NULL;
	_cleanup_plan_ struct plan plan = {};
	int status = cli_load(options, model, &plan, &datapath);
	int err;

	if (status)
		return status;
	cli_print_changes(&plan);
	fflush(stdout);
	datapath_unlock(datapath);
	err = daemon_run(datapath, &how);
	if (err == -ENOENT)
		return CLI_NOT_LOADED;
	status = err ? CLI_FAILED : CLI_DONE;
	if (options->unload_on_exit)
		status = cmd_unload(options, 0, NULL) ?: status;
	return status;
}

int cmd_run(const struct cli_options *options, int argc, char **argv)
{
	_cleanup_model_ struct model *model = NULL;
	_cleanup_close_ int claim = -1;
	int status = cli_load_model(options, &model);

	(void)argc;
	(void)argv;
	if (status)
		return status;
	claim = daemon_claim(options->socket);
	return claim < 0 ? CLI_FAILED : run(options, model);
}
