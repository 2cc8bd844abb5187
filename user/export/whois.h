/* SPDX-License-Identifier: Apache-2.0 */
/* Who an end of a flow is, by the ids of a policy set: alike in every view. */
#ifndef SIDESTEP_EXPORT_WHOIS_H
#define SIDESTEP_EXPORT_WHOIS_H

#include <jansson.h>

#include "core/text.h"
#include "export/json_line.h"
#include "model/policy_set.h"

/* The workload's name, or the identity's where it is nobody in particular. */
void whois_text(const struct policy_set *set, uint32_t identity, uint32_t workload,
		struct text *out);

/* { "id": 256, "namespace": "shop", "labels": "app=db", "workload": "shop/db" } with null for
 * what is not known. */
json_t *whois_json(const struct policy_set *set, uint32_t identity, uint32_t workload);
void whois_line(const struct policy_set *set, uint32_t identity, uint32_t workload,
		struct json_line *line);

/* A rule's name as a JSON string, null for 0. */
json_t *rule_json(const struct policy_set *set, uint32_t rule);

/* "allowed" or "denied" */
const char *ruling_name(bool denied);

#endif
