/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cli/common.h"
#include "export/show.h"

static bool known(const struct state *state, const char *name)
{
	for (size_t i = 0; i < state->n_services; i++)
		if (!strcmp(state->services[i].info.name, name))
			return true;
	return false;
}

int cmd_services(const struct cli_options *options, int argc, char **argv)
{
	const char *name = argc ? argv[0] : NULL;
	_cleanup_state_ struct state state = {};
	_cleanup_text_ struct text out = {};
	int status = cli_dump(options, DUMP_TABLES, &state);

	if (status)
		return status;
	if (name && !known(&state, name)) {
		cli_error("there is no service '%s'", name);
		return CLI_FAILED;
	}
	if (options->json)
		return cli_print_json(show_services_json(&state, name));
	show_services(&state, name, &out);
	return cli_print(&out);
}
