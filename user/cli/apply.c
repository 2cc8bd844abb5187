/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "cli/common.h"
#include "datapath/reconcile.h"

int cmd_apply(const struct cli_options *options, int argc, char **argv)
{
	_cleanup_datapath_ struct datapath *datapath = NULL;
	_cleanup_problems_ struct problems problems = {};
	_cleanup_model_ struct model *model = NULL;
	_cleanup_plan_ struct plan plan = {};
	int status = cli_load_model(options, &model), err;

	(void)argc;
	(void)argv;
	if (!status)
		status = cli_open(options, &datapath);
	if (status)
		return status;
	err = datapath_lock(datapath, DATAPATH_LOCK_MS);
	if (err) {
		cli_error(err == -EBUSY ? "another sidestep is changing %s" : "%s cannot be locked",
			  options->pin);
		return CLI_FAILED;
	}
	err = reconcile(datapath, model, options->dry_run, &problems, &plan);
	cli_print_problems(&problems);
	if (err == -E2BIG)
		return CLI_REFUSED;
	if (err) {
		if (!problems_errors(&problems))
			cli_error("cannot apply: %s", strerror(-err));
		return CLI_FAILED;
	}
	cli_print_changes(&plan);
	return CLI_DONE;
}
