/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "cli/common.h"

/* How long readers of spliced bytes may take. */
#define DRAIN_MS 10000

int cmd_unload(const struct cli_options *options, int argc, char **argv)
{
	const struct unload_options how = { .drain_ms = DRAIN_MS, .force = options->force };
	_cleanup_problems_ struct problems problems = {};
	int err = datapath_unload(options->pin, &how, &problems);

	(void)argc;
	(void)argv;
	cli_print_problems(&problems);
	if (!err)
		return CLI_DONE;
	if (err == -EBUSY && problems.count)
		cli_error("these flows still hold spliced bytes: try again, or lose them "
			  "with --force");
	return CLI_FAILED;
}
