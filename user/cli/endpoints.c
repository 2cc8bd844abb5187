/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/common.h"
#include "export/show.h"

int cmd_endpoints(const struct cli_options *options, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return cli_show(options, DUMP_TABLES, show_endpoints, show_endpoints_json);
}
