/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names for what a set numbers, as all views tell them. An id that the set does not know, as
 * when the record is older than the set, is "#ID".
 */
#ifndef SIDESTEP_POLICY_LABEL_H
#define SIDESTEP_POLICY_LABEL_H

#include "core/text.h"
#include "model/policy_set.h"

/* "shop/db-ingress/from-frontend"; "guard/no-db" of the tiers without namespaces; "default". */
void policy_label_rule(const struct policy_set *set, uint32_t id, struct text *out);

/* "shop/db" */
void policy_label_workload(const struct policy_set *set, uint32_t id, struct text *out);

/* "shop{app=db,tier=back}"; "world" */
void policy_label_identity(const struct policy_set *set, uint32_t id, struct text *out);

#endif
