/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/common.h"
#include "export/edge.h"

int cmd_edges(const struct cli_options *options, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return cli_show(options, DUMP_TABLES | DUMP_POLICY | DUMP_EDGES, show_edges,
			show_edges_json);
}
