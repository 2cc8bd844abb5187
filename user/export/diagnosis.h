/* SPDX-License-Identifier: Apache-2.0 */
/* What doctor found, for people and for programs. The JSON's members are documented in
 * sidestep(8). */
#ifndef SIDESTEP_EXPORT_DIAGNOSIS_H
#define SIDESTEP_EXPORT_DIAGNOSIS_H

#include <jansson.h>

#include "core/text.h"
#include "model/survey.h"

/* With checks: also a row for each of them. 0 or -ENOMEM. */
int diagnosis_show(const struct survey *survey, bool checks, struct text *out);

/* A new reference, NULL when memory is out. */
json_t *diagnosis_json(const struct survey *survey);

#endif
