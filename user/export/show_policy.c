/* SPDX-License-Identifier: Apache-2.0 */
#include "export/show_policy.h"

#include <inttypes.h>
#include <stdbool.h>

#include "core/table.h"
#include "export/format.h"
#include "export/json.h"
#include "policy/label.h"

/* How many of what there is; a set that is not there has none of it. */
#define COUNT(state, what) \
	(policy_set_is_empty(&(state)->policy) ? 0 : policy_head(&(state)->policy)->n_##what)

static const char *text_of(const struct state *state, uint32_t offset)
{
	return policy_text(&state->policy, offset);
}

/* "-" where a table would have a hole */
static void add_word(struct table *table, const char *word)
{
	table_add(table, "%s", *word ? word : "-");
}

/* ---- in short --------------------------------------------------------------------- */

struct summary {
	uint32_t workloads, identities, rules, shadow;
	const char *denied, *remote, *revoke; /* in the configuration's words */
};

static struct summary summarize(const struct state *state)
{
	const struct sst_policy_head *head = policy_head(&state->policy);
	struct summary summary = {
		.workloads = head->n_workloads - 1,
		.identities = head->n_identities - SST_IDENTITY_RESERVED,
		.rules = head->n_infos,
		.denied = head->flags & SST_POLICY_REFUSED ? "refused" : "eperm",
		.remote = head->flags & SST_POLICY_ANSWER ? "answer" : "drop",
		.revoke = head->flags & SST_POLICY_REVOKE ? "on" : "off",
	};

	for (uint32_t i = 0; i < head->n_infos; i++)
		summary.shadow += policy_info(&state->policy, i)->shadow;
	return summary;
}

void show_policy_summary(const struct state *state, struct text *out)
{
	struct summary summary;

	if (policy_set_is_empty(&state->policy)) {
		text_add(out, "policy      none\n");
		return;
	}
	summary = summarize(state);
	text_add(out, "workloads   %u, with %u identities\n", summary.workloads,
		 summary.identities);
	text_add(out, "policy      %u rules, %u in shadow; denied %s, remote %s, revoke %s\n",
		 summary.rules, summary.shadow, summary.denied, summary.remote, summary.revoke);
}

json_t *show_policy_summary_json(const struct state *state)
{
	struct summary summary;
	json_t *object;

	if (policy_set_is_empty(&state->policy))
		return json_null();
	summary = summarize(state);
	object = json_object();
	json_set(&object, "workloads", json_integer(summary.workloads));
	json_set(&object, "identities", json_integer(summary.identities));
	json_set(&object, "rules", json_integer(summary.rules));
	json_set(&object, "shadow_rules", json_integer(summary.shadow));
	json_set(&object, "denied", json_string(summary.denied));
	json_set(&object, "remote", json_string(summary.remote));
	json_set(&object, "revoke", json_string(summary.revoke));
	return object;
}

/* ---- identities ------------------------------------------------------------------ */

int show_identities(const struct state *state, struct text *out)
{
	static const struct table_column columns[] = {
		{ "IDENTITY", TABLE_RIGHT },  { "NAMESPACE", TABLE_LEFT }, { "LABELS", TABLE_LEFT },
		{ "WORKLOADS", TABLE_RIGHT }, { "PORTS", TABLE_LEFT },
	};
	_cleanup_table_ struct table table = TABLE_INIT(columns);

	for (uint32_t i = 0; i < COUNT(state, identities); i++) {
		const struct sst_policy_identity *identity = policy_identity(&state->policy, i);

		table_add(&table, "%u", identity->id);
		add_word(&table, text_of(state, identity->name_space));
		add_word(&table, text_of(state, identity->labels));
		table_add(&table, "%u", identity->n_workloads);
		add_word(&table, text_of(state, identity->ports));
	}
	return table_print(&table, out);
}

json_t *show_identities_json(const struct state *state)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < COUNT(state, identities); i++) {
		const struct sst_policy_identity *identity = policy_identity(&state->policy, i);
		json_t *object = json_object();

		json_set(&object, "id", json_integer(identity->id));
		json_set(&object, "reserved", json_boolean(i < SST_IDENTITY_RESERVED));
		json_set(&object, "namespace", json_string(text_of(state, identity->name_space)));
		json_set(&object, "labels", json_string(text_of(state, identity->labels)));
		json_set(&object, "workloads", json_integer(identity->n_workloads));
		json_set(&object, "ports", json_string(text_of(state, identity->ports)));
		json_add(&array, object);
	}
	return array;
}

/* ---- workloads --------------------------------------------------------------------- */

static const struct sst_policy_identity *identity_of(const struct state *state,
						     const struct sst_policy_workload *workload)
{
	return policy_identity(&state->policy, workload->identity);
}

int show_workloads(const struct state *state, struct text *out)
{
	static const struct table_column columns[] = {
		{ "NAMESPACE", TABLE_LEFT }, { "WORKLOAD", TABLE_LEFT }, { "NODE", TABLE_LEFT },
		{ "IDENTITY", TABLE_RIGHT }, { "LABELS", TABLE_LEFT },   { "KNOWN BY", TABLE_LEFT },
	};
	_cleanup_table_ struct table table = TABLE_INIT(columns);

	for (uint32_t i = 1; i < COUNT(state, workloads); i++) {
		const struct sst_policy_workload *workload = policy_workload(&state->policy, i);
		const struct sst_policy_identity *identity = identity_of(state, workload);

		add_word(&table, text_of(state, identity->name_space));
		add_word(&table, text_of(state, workload->name));
		table_add(&table, "%s", workload->flags & SST_WORKLOAD_LOCAL ? "this" : "another");
		table_add(&table, "%u", identity->id);
		add_word(&table, text_of(state, identity->labels));
		add_word(&table, text_of(state, workload->how));
	}
	return table_print(&table, out);
}

json_t *show_workloads_json(const struct state *state)
{
	json_t *array = json_array();

	for (uint32_t i = 1; i < COUNT(state, workloads); i++) {
		const struct sst_policy_workload *workload = policy_workload(&state->policy, i);
		const struct sst_policy_identity *identity = identity_of(state, workload);
		json_t *object = json_object();

		json_set(&object, "id", json_integer(workload->id));
		json_set(&object, "namespace", json_string(text_of(state, identity->name_space)));
		json_set(&object, "workload", json_string(text_of(state, workload->name)));
		json_set(&object, "local", json_boolean(workload->flags & SST_WORKLOAD_LOCAL));
		json_set(&object, "identity", json_integer(identity->id));
		json_set(&object, "labels", json_string(text_of(state, identity->labels)));
		json_set(&object, "known_by", json_string(text_of(state, workload->how)));
		json_add(&array, object);
	}
	return array;
}

/* ---- rules --------------------------------------------------------------------------- */

static struct sst_rule_stats stats_of(const struct state *state, const struct sst_policy_info *info)
{
	const struct state_rule *rule = state_rule(state, info->id);

	return rule ? rule->stats : (struct sst_rule_stats){};
}

/* What passes decides nothing, so nobody counts it. */
static bool was_never_hit(const struct sst_policy_info *info, const struct sst_rule_stats *stats)
{
	return info->action != SST_ACTION_PASS && !stats->decided && !stats->shadow;
}

static const char *mode_name(const struct sst_policy_info *info)
{
	return info->shadow ? "shadow" : "enforce";
}

int show_rules(const struct state *state, struct text *out)
{
	static const struct table_column columns[] = {
		{ "TIER", TABLE_LEFT },        { "DIRECTION", TABLE_LEFT },
		{ "RULE", TABLE_LEFT },        { "ACTION", TABLE_LEFT },
		{ "MODE", TABLE_LEFT },        { "DECIDED", TABLE_RIGHT },
		{ "SHADOW", TABLE_RIGHT },     { "WOULD-ALLOW", TABLE_RIGHT },
		{ "WOULD-DENY", TABLE_RIGHT }, { "NOTE", TABLE_LEFT },
	};
	_cleanup_table_ struct table table = TABLE_INIT(columns);

	for (uint32_t i = 0; i < COUNT(state, infos); i++) {
		const struct sst_policy_info *info = policy_info(&state->policy, i);
		const struct sst_rule_stats stats = stats_of(state, info);
		struct text label = {};

		policy_label_rule(&state->policy, info->id, &label);
		table_add(&table, "%s", tier_name(info->tier));
		table_add(&table, "%s", direction_name(info->direction));
		table_add_text(&table, &label);
		table_add(&table, "%s", action_name(info->action));
		table_add(&table, "%s", mode_name(info));
		table_add(&table, "%" PRIu64, (uint64_t)stats.decided);
		table_add(&table, "%" PRIu64, (uint64_t)stats.shadow);
		table_add(&table, "%" PRIu64, (uint64_t)stats.would_allow);
		table_add(&table, "%" PRIu64, (uint64_t)stats.would_deny);
		table_add(&table, "%s", was_never_hit(info, &stats) ? "never hit" : "-");
	}
	return table_print(&table, out);
}

static json_t *rule_stats_json(const struct state *state, const struct sst_policy_info *info)
{
	const struct sst_rule_stats stats = stats_of(state, info);
	json_t *object = json_object();

	json_set(&object, "id", json_integer(info->id));
	json_set(&object, "tier", json_string(tier_name(info->tier)));
	json_set(&object, "direction", json_string(direction_name(info->direction)));
	json_set(&object, "namespace", json_string(text_of(state, info->name_space)));
	json_set(&object, "policy", json_string(text_of(state, info->policy)));
	json_set(&object, "rule", json_string(text_of(state, info->rule)));
	json_set(&object, "summary", json_string(text_of(state, info->summary)));
	json_set(&object, "line", info->line ? json_integer(info->line) : json_null());
	json_set(&object, "action", json_string(action_name(info->action)));
	json_set(&object, "mode", json_string(mode_name(info)));
	json_set(&object, "decided", json_integer(stats.decided));
	json_set(&object, "shadow", json_integer(stats.shadow));
	json_set(&object, "would_allow", json_integer(stats.would_allow));
	json_set(&object, "would_deny", json_integer(stats.would_deny));
	json_set(&object, "never_hit", json_boolean(was_never_hit(info, &stats)));
	return object;
}

json_t *show_rules_json(const struct state *state)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < COUNT(state, infos); i++)
		json_add(&array, rule_stats_json(state, policy_info(&state->policy, i)));
	return array;
}
