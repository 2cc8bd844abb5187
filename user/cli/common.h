/* SPDX-License-Identifier: Apache-2.0 */
/* What several commands do alike. Functions return an enum cli_exit and have said why. */
#ifndef SIDESTEP_CLI_COMMON_H
#define SIDESTEP_CLI_COMMON_H

#include <signal.h>

#include "cli/cli.h"
#include "datapath/datapath.h"
#include "model/model.h"
#include "plan/plan.h"

/* What is wrong with the files is left in problems, or printed. */
int cli_read_model(const struct cli_options *options, struct problems *problems,
		   struct model **ret);
int cli_load_model(const struct cli_options *options, struct model **ret);

/* Of a file alone nobody knows where the programs will be attached, but for --cgroup. */
void cli_tell_outside(const struct cli_options *options, const struct model *model,
		      struct problems *problems);

/* What the daemon warns of is added to problems; no daemon, no warnings. */
void cli_add_warnings(const struct cli_options *options, struct problems *problems);

/* Finds the data plane under --pin. */
int cli_open(const struct cli_options *options, struct datapath **ret);

/* Opens, brings the bytes of live flows into the statistics, and dumps. */
int cli_dump(const struct cli_options *options, unsigned what, struct state *ret);

/* Dumps, and prints all that there is of one kind, as a table or as JSON. */
int cli_show(const struct cli_options *options, unsigned what,
	     int (*show)(const struct state *state, struct text *out),
	     json_t *(*show_json)(const struct state *state));

/* Loads or upgrades and applies; a first load that cannot apply is taken out again.
 * keep: what is loaded already is upgraded only, and holds what it held. The datapath returned
 * holds the lock. */
int cli_load(const struct cli_options *options, const struct model *model, bool keep,
	     struct plan *plan, struct datapath **ret);

/* Ctrl-C in the middle would leave a test process, half a load, or a load without what
 * its file says. It is delivered when all is in force, or rolled back: when *before is set again. */
void cli_block_signals(sigset_t *before);

/* Measures for so long what the programs cost, and prints it. */
int cli_cost(const struct cli_options *options, unsigned seconds_wanted);

void cli_print_changes(const struct plan *plan);

#endif
