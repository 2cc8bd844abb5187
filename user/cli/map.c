/* SPDX-License-Identifier: Apache-2.0 */
#include "export/map.h"
#include "cli/common.h"

int cmd_map(const struct cli_options *options, int argc, char **argv)
{
	_cleanup_state_ struct state state = {};
	_cleanup_text_ struct text out = {};
	_cleanup_map_ struct map map = {};
	int status = cli_dump(options, DUMP_TABLES | DUMP_POLICY | DUMP_EDGES, &state);
	int err;

	(void)argc;
	(void)argv;
	if (status)
		return status;
	err = map_build(&state, &map);
	if (options->json)
		return cli_print_json(err ? NULL : map_to_json(&map));
	if (!err)
		err = options->dot ? map_to_dot(&map, &out) : map_to_svg(&map, &out);
	out.error = err;
	return cli_print(&out);
}
