/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with a candidate policy, and what it changes, by policy_diff() and by a replay; for
 * people and for programs. */
#ifndef SIDESTEP_EXPORT_SHOW_CHANGE_H
#define SIDESTEP_EXPORT_SHOW_CHANGE_H

#include <jansson.h>

#include "core/problems.h"
#include "core/text.h"
#include "model/model.h"
#include "policy/diff.h"
#include "policy/replay.h"

/* Either set may be empty. 0 or -ENOMEM. */
int show_diff(const struct policy_diff *diff, const struct policy_set *before,
	      const struct policy_set *after, struct text *out);
int show_replay(const struct replay *replay, const struct policy_set *set, struct text *out);

/* The members are documented in sidestep(8). New references, NULL when memory is out. */
json_t *show_check_json(const struct model *model, /* NULL: it is refused */
			const struct problems *problems);
json_t *show_diff_json(const struct policy_diff *diff, const struct policy_set *before,
		       const struct policy_set *after);
json_t *show_replay_json(const struct replay *replay, const struct policy_set *set);

#endif
