/* SPDX-License-Identifier: Apache-2.0 */
/* What policy_explain() found, for people and for programs. */
#ifndef SIDESTEP_EXPORT_SHOW_EXPLAIN_H
#define SIDESTEP_EXPORT_SHOW_EXPLAIN_H

#include <jansson.h>

#include "core/text.h"
#include "policy/explain.h"

/* Set and state are those that it was asked of. 0 or -ENOMEM. */
int show_explain(const struct explain *explain, const struct policy_set *set,
		 const struct state *state, struct text *out);

/* The members are documented in sidestep(8). A new reference, NULL when memory is out. */
json_t *show_explain_json(const struct explain *explain, const struct policy_set *set,
			  const struct state *state);

#endif
