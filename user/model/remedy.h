/* SPDX-License-Identifier: Apache-2.0 */
/* What to do about a check that does not pass, from the running kernel's release and
 * what is known of its bugs. */
#ifndef SIDESTEP_MODEL_REMEDY_H
#define SIDESTEP_MODEL_REMEDY_H

#include "core/text.h"
#include "model/checks.h"

/* Adds a sentence; nothing when the feature is ok. release is uname(2)'s. */
void remedy_add(const struct feature_verdict *verdict, const char *release, struct text *out);

#endif
