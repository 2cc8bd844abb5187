/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/common.h"
#include "export/diagnosis.h"

int cmd_doctor(const struct cli_options *options, int argc, char **argv)
{
	const struct datapath_options how = { .pin = options->pin,
					      .cgroup = options->cgroup,
					      .cache = options->cache };
	_cleanup_survey_ struct survey survey = {};
	_cleanup_text_ struct text out = {};
	sigset_t before;
	int status;

	(void)argc;
	(void)argv;
	cli_block_signals(&before);
	datapath_examine(&how, &survey);
	sigprocmask(SIG_SETMASK, &before, NULL);
	cli_add_warnings(options, &survey.problems);
	if (options->json) {
		status = cli_print_json(diagnosis_json(&survey));
	} else {
		diagnosis_show(&survey, options->verbose, &out);
		status = cli_print(&out);
	}
	return status ?: survey_is_sound(&survey) ? CLI_DONE : CLI_FAILED;
}
