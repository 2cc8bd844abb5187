/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel's policy set holds, for people and for programs, as show.h does for
 * services. A state without a set makes tables without rows and empty arrays.
 */
#ifndef SIDESTEP_EXPORT_SHOW_POLICY_H
#define SIDESTEP_EXPORT_SHOW_POLICY_H

#include <jansson.h>

#include "core/text.h"
#include "model/state.h"

/* For status: lines of their own, and an object or null. */
void show_policy_summary(const struct state *state, struct text *out);
json_t *show_policy_summary_json(const struct state *state);

/* 0 or -ENOMEM. */
int show_identities(const struct state *state, struct text *out);
int show_workloads(const struct state *state, struct text *out);
int show_rules(const struct state *state, struct text *out); /* with their counters */

/* New references, NULL when memory is out. */
json_t *show_identities_json(const struct state *state);
json_t *show_workloads_json(const struct state *state);
json_t *show_rules_json(const struct state *state);

#endif
