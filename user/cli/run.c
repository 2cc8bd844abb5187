/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "cli/common.h"
#include "daemon/daemon.h"

static int unload(const struct cli_options *options)
{
	return cmd_unload(options, 0, NULL);
}

int cmd_run(const struct cli_options *options, int argc, char **argv)
{
	const struct daemon_options how = { .file = options->file,
					    .socket = options->socket,
					    .stats = options->stats };
	_cleanup_datapath_ struct datapath *datapath = NULL;
	_cleanup_model_ struct model *model = NULL;
	_cleanup_plan_ struct plan plan = {};
	int status = cli_load_model(options, &model);
	int err;

	(void)argc;
	(void)argv;
	if (!status)
		status = cli_load(options, model, &plan, &datapath);
	if (status)
		return status;
	cli_print_changes(&plan);
	fflush(stdout);
	datapath_unlock(datapath);
	err = daemon_run(datapath, &how);
	if (err == -ENOENT)
		return CLI_NOT_LOADED;
	if (err)
		return CLI_FAILED;
	return options->unload_on_exit ? unload(options) : CLI_DONE;
}
