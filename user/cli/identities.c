/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/common.h"
#include "export/show_policy.h"

int cmd_identities(const struct cli_options *options, int argc, char **argv)
{
	_cleanup_state_ struct state state = {};
	_cleanup_text_ struct text out = {};
	int status = cli_dump(options, DUMP_POLICY, &state);

	(void)argc;
	(void)argv;
	if (status)
		return status;
	if (options->json)
		return cli_print_json(show_identities_json(&state));
	show_identities(&state, &out);
	return cli_print(&out);
}
