/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/cli.h"
#include "datapath/datapath.h"
#include "sidestep/abi.h"

int cmd_version(const struct cli_options *options, int argc, char **argv)
{
	(void)options;
	(void)argc;
	(void)argv;
	printf("sidestep %s\nABI %d\nlibbpf %s\n", SIDESTEP_VERSION, SST_ABI_VERSION,
	       datapath_libbpf_version());
	return CLI_DONE;
}
