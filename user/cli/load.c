/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/common.h"
#include "model/checks.h"

/* Features that are off deserve a line: nobody should find out by surprise. */
static void print_features_off(const struct state *state)
{
	bool any = false;

	for (int i = 0; i < SST_FEATURE_MAX; i++) {
		const char *why = state->meta.feature_off[i];

		if (*why)
			printf("%s is off: %s\n", feature_name(i), why);
		any |= *why != '\0';
	}
	if (any)
		puts("'sidestep doctor' tells what helps");
}

int cmd_load(const struct cli_options *options, int argc, char **argv)
{
	_cleanup_datapath_ struct datapath *datapath = NULL;
	_cleanup_state_ struct state state = {};
	_cleanup_model_ struct model *model = NULL;
	_cleanup_plan_ struct plan plan = {};
	int status = cli_load_model(options, &model);

	(void)argc;
	(void)argv;
	if (!status)
		status = cli_load(options, model, false, &plan, &datapath);
	if (status)
		return status;
	if (datapath_dump(datapath, 0, &state))
		return CLI_FAILED;
	cli_print_changes(&plan);
	printf("%s on %s, generation %llu\n", state.meta.loads > 1 ? "upgraded" : "loaded",
	       state.meta.cgroup, (unsigned long long)state.meta.generation);
	print_features_off(&state);
	return CLI_DONE;
}
