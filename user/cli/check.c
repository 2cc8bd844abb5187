/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/common.h"
#include "model/model.h"

/* "3 services", "1 workload" */
static void print_count(const char *before, size_t n, const char *what)
{
	printf("%s%zu %s%s", before, n, what, n == 1 ? "" : "s");
}

int cmd_check(const struct cli_options *options, int argc, char **argv)
{
	_cleanup_problems_ struct problems problems = {};
	_cleanup_model_ struct model *model = NULL;
	int status = cli_load_model(options, &model);

	(void)argc;
	(void)argv;
	if (status)
		return status;
	cli_tell_outside(options, model, &problems);
	cli_print_problems(&problems);
	print_count("", model->n_services, "service");
	print_count(", ", model->n_workloads, "workload");
	printf(", %zu %s", model->n_policies, model->n_policies == 1 ? "policy" : "policies");
	puts(", valid");
	return CLI_DONE;
}
