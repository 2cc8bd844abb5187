/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/common.h"
#include "daemon/client.h"

/* How long readers of spliced bytes may take. */
#define DRAIN_MS 10000

/* path + suffix, and the folder it was in if nothing else is there. What is not there is fine. */
static int remove_file(const char *path, const char *suffix)
{
	char whole[PATH_MAX];

	if (snprintf(whole, sizeof(whole), "%s%s", path, suffix) >= PATH_MAX)
		return 0;
	if (unlink(whole) && errno != ENOENT) {
		cli_error("%s: %s", whole, strerror(errno));
		return CLI_FAILED;
	}
	rmdir(dirname(whole));
	return CLI_DONE;
}

static int purge(const struct cli_options *options)
{
	const struct {
		const char *path, *suffix;
	} files[] = {
		{ options->socket, "" },       { options->socket, ".lock" }, { options->stats, "" },
		{ options->stats, ".series" }, { options->cache, "" },
	};
	int status = CLI_DONE;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		status = remove_file(files[i].path, files[i].suffix) ?: status;
	return status;
}

static void stay(void)
{
	sigset_t ends;
	int signal;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	sigwait(&ends, &signal);
}

static int unload(const struct cli_options *options)
{
	const struct unload_options how = { .drain_ms = DRAIN_MS, .force = options->force };
	_cleanup_problems_ struct problems problems = {};
	int err = datapath_unload(options->pin, &how, &problems);

	cli_print_problems(&problems);
	if (!err)
		return CLI_DONE;
	if (err == -EBUSY && problems.count)
		cli_error("these flows still hold spliced bytes: try again, or lose them "
			  "with --force");
	return CLI_FAILED;
}

int cmd_unload(const struct cli_options *options, int argc, char **argv)
{
	int status;

	(void)argc;
	(void)argv;
	if (options->purge && client_daemon_alive(options->socket)) {
		cli_error("the daemon of %s has not ended yet", options->socket);
		return CLI_FAILED;
	}
	status = unload(options);
	if (!status && options->purge)
		status = purge(options);
	if (!status && options->stay)
		stay();
	return status;
}
