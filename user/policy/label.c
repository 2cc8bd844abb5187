/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/label.h"

static bool is_built_in(const struct sst_policy_info *info)
{
	return info->tier == SST_TIER_HOST || info->tier == SST_TIER_DEFAULT;
}

void policy_label_rule(const struct policy_set *set, uint32_t id, struct text *out)
{
	const struct sst_policy_info *info = policy_info_by_id(set, id);

	if (!info) {
		text_add(out, "#%u", id);
		return;
	}
	if (info->name_space) {
		text_add_string(out, policy_text(set, info->name_space));
		text_add_string(out, "/");
	}
	text_add_string(out, policy_text(set, info->policy));
	if (!is_built_in(info)) {
		text_add_string(out, "/");
		text_add_string(out, policy_text(set, info->rule));
	}
}

void policy_label_workload(const struct policy_set *set, uint32_t id, struct text *out)
{
	const struct sst_policy_workload *workload = policy_workload_by_id(set, id);
	const struct sst_policy_identity *identity;

	if (!workload) {
		text_add(out, "#%u", id);
		return;
	}
	identity = policy_identity(set, workload->identity);
	if (identity->name_space) { /* the probes of the host have none */
		text_add_string(out, policy_text(set, identity->name_space));
		text_add_string(out, "/");
	}
	text_add_string(out, policy_text(set, workload->name));
}

void policy_label_identity(const struct policy_set *set, uint32_t id, struct text *out)
{
	const struct sst_policy_identity *identity = policy_identity_by_id(set, id);

	if (!identity)
		text_add(out, "#%u", id);
	else if (id < SST_IDENTITY_RESERVED)
		text_add(out, "%s", policy_text(set, identity->labels));
	else
		text_add(out, "%s{%s}", policy_text(set, identity->name_space),
			 policy_text(set, identity->labels));
}
