/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is valid and probably not meant: rules that can never decide, selectors that select
 * nothing or everything, names and networks that are not what they seem. Pure.
 */
#ifndef SIDESTEP_POLICY_LINT_H
#define SIDESTEP_POLICY_LINT_H

#include "core/problems.h"
#include "model/model.h"
#include "model/policy_set.h"

/* Words of rows to look at: some seconds. Of rules that take more it is told that they do. */
#define LINT_WORDS_MAX (1ULL << 29)

/* Adds "FILE:LINE:COLUMN: warning: ..." for each finding. The set is what the model was compiled
 * to. 0 or -ENOMEM. */
int policy_lint(const struct model *model, const struct policy_set *set, struct problems *warnings);

#endif
