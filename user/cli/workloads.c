/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/common.h"
#include "export/show_policy.h"

int cmd_workloads(const struct cli_options *options, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return cli_show(options, DUMP_POLICY, show_workloads, show_workloads_json);
}
