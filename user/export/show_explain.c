/* SPDX-License-Identifier: Apache-2.0 */
#include "export/show_explain.h"

#include <arpa/inet.h>
#include <stdbool.h>

#include "core/address.h"
#include "core/table.h"
#include "export/format.h"
#include "export/json.h"
#include "export/whois.h"
#include "policy/label.h"

/* What all functions here need. */
struct view {
	const struct explain *explain;
	const struct policy_set *set;
	const struct state *state;
};

static uint32_t identity_id(const struct view *view, const struct party *party)
{
	return policy_identity(view->set, party->identity)->id;
}

static uint32_t workload_id(const struct view *view, const struct party *party)
{
	return party->workload ? policy_workload(view->set, party->workload)->id : 0;
}

/* Its rules are carried out on another node. */
static bool is_elsewhere(const struct view *view, const struct party *party)
{
	return party->workload &&
	       !(policy_workload(view->set, party->workload)->flags & SST_WORKLOAD_LOCAL);
}

static const struct party *subject_of(const struct explain_pair *pair, int direction)
{
	return direction == SST_EGRESS ? &pair->source : &pair->destination;
}

/* The direction that the pair's verdict comes from. */
static enum sst_direction deciding(const struct explain_pair *pair)
{
	return pair->directions[SST_EGRESS].decision.denied ? SST_EGRESS : SST_INGRESS;
}

static const char *part_name(enum explain_part part)
{
	static const char *const names[] = {
		[EXPLAIN_DECIDES] = "decides",
		[EXPLAIN_PASSES] = "passes on",
		[EXPLAIN_SHADOW] = "in shadow",
		[EXPLAIN_TOO_LATE] = "too late",
	};

	return names[part];
}

/* ---- texts ---------------------------------------------------------------------- */

static void add_party(const struct view *view, const struct party *party, struct text *out)
{
	whois_text(view->set, identity_id(view, party), workload_id(view, party), out);
}

/* "shop/db at 10.1.0.7" */
static void add_placed_party(const struct view *view, const struct party *party, struct text *out)
{
	char address[ADDRESS_TEXT_MAX];

	add_party(view, party, out);
	if (party->has_address)
		text_add(out, " at %s", address_format(&party->address, address));
}

/* "isolated by shop/db-ingress" */
static void add_isolation(const struct view *view, uint32_t rule, struct text *out)
{
	const struct sst_policy_info *info = policy_info_by_id(view->set, rule);

	text_add(out, "isolated by %s/%s, which does not allow it",
		 policy_text(view->set, info->name_space), policy_text(view->set, info->policy));
}

/* Why a direction was decided so. */
static void add_reason(const struct view *view, const struct explain_direction *direction,
		       struct text *out)
{
	const struct sst_policy_decision *decision = &direction->decision;

	if (direction->undecided) {
		text_add(out, "who it is cannot be told, and the node fails %s",
			 view->explain->fail_closed ? "closed" : "open");
		return;
	}
	switch (decision->tier) {
	case SST_TIER_NONE:
		text_add(out, "no rule is about it");
		return;
	case SST_TIER_HOST:
		text_add(out, "the host reaches its own workloads");
		return;
	case SST_TIER_DEFAULT:
		text_add(out, "by the node's default");
		return;
	}
	if (decision->tier == SST_TIER_NETWORK && decision->denied) {
		add_isolation(view, decision->rule, out);
		return;
	}
	text_add(out, "by ");
	policy_label_rule(view->set, decision->rule, out);
	text_add(out, " of the %s tier", tier_name(decision->tier));
}

static void add_pair_reason(const struct view *view, const struct explain_pair *pair,
			    struct text *out)
{
	enum sst_direction direction = deciding(pair);

	if (pair->self) {
		text_add(out, "a workload reaches itself");
		return;
	}
	text_add(out, "%s: ", direction_name(direction));
	add_reason(view, &pair->directions[direction], out);
}

/* ---- for people ------------------------------------------------------------------- */

/* One line a pair. */
static int add_summary(const struct view *view, struct text *out)
{
	static const struct table_column columns[] = {
		{ "SOURCE", TABLE_LEFT },   { "DESTINATION", TABLE_LEFT }, { "PORT", TABLE_RIGHT },
		{ "ENDPOINT", TABLE_LEFT }, { "VERDICT", TABLE_LEFT },     { "WHY", TABLE_LEFT },
	};
	_cleanup_table_ struct table table = TABLE_INIT(columns);

	for (size_t i = 0; i < view->explain->n_pairs; i++) {
		const struct explain_pair *pair = &view->explain->pairs[i];
		const struct state_endpoint *endpoint =
			pair->endpoint ? state_endpoint(view->state, pair->endpoint) : NULL;
		struct text source = {}, destination = {}, reason = {};

		add_placed_party(view, &pair->source, &source);
		add_placed_party(view, &pair->destination, &destination);
		add_pair_reason(view, pair, &reason);
		table_add_text(&table, &source);
		table_add_text(&table, &destination);
		table_add(&table, "%u", pair->port);
		table_add(&table, "%s",
			  endpoint ? endpoint_state_name(endpoint->value.state) : "-");
		table_add(&table, "%s", ruling_name(pair->denied));
		table_add_text(&table, &reason);
	}
	return table_print(&table, out);
}

static void add_match_row(const struct view *view, int direction, uint8_t tier,
			  const struct explain_match *match, struct table *table)
{
	struct text rule = {};

	table_add(table, "%s", direction_name(direction));
	table_add(table, "%s", tier_name(tier));
	if (match)
		policy_label_rule(view->set, match->rule.id, &rule);
	else
		text_add(&rule, "-");
	table_add_text(table, &rule);
	table_add(table, "%s", match ? action_name(match->rule.action) : "-");
	table_add(table, "%s", match ? part_name(match->part) : "-");
}

/* A row for each rule that matches, and one for each tier that has none. */
static void add_direction_rows(const struct view *view, const struct explain_pair *pair,
			       int direction, struct table *table)
{
	static const uint8_t tiers[] = { SST_TIER_ADMIN, SST_TIER_HOST, SST_TIER_NETWORK,
					 SST_TIER_BASELINE, SST_TIER_DEFAULT };
	const struct explain_direction *rules = &pair->directions[direction];

	for (size_t i = 0; i < ARRAY_SIZE(tiers); i++) {
		size_t found = 0;

		for (size_t j = 0; j < rules->n_matches; j++)
			if (rules->matches[j].rule.tier == tiers[i]) {
				add_match_row(view, direction, tiers[i], &rules->matches[j], table);
				found++;
			}
		if (!found && tiers[i] != SST_TIER_HOST)
			add_match_row(view, direction, tiers[i], NULL, table);
	}
}

/* "ingress of shop/db: denied, isolated by shop/db-ingress, ..." */
static void add_direction_line(const struct view *view, const struct explain_pair *pair,
			       int direction, struct text *out)
{
	const struct sst_policy_decision *decision = &pair->directions[direction].decision;
	const struct party *subject = subject_of(pair, direction);

	text_add(out, "%s of ", direction_name(direction));
	add_party(view, subject, out);
	text_add(out, ": %s, ", ruling_name(decision->denied));
	add_reason(view, &pair->directions[direction], out);
	if (is_elsewhere(view, subject))
		text_add(out, " (decided on its own node)");
	text_add(out, "\n");
	if (!decision->shadow)
		return;
	text_add(out, "%s in shadow: would be %s, ", direction_name(direction),
		 ruling_name(decision->shadow_denied));
	policy_label_rule(view->set, decision->shadow, out);
	text_add(out, " has a say\n");
}

static void add_headline(const struct view *view, const struct explain_pair *pair, struct text *out)
{
	add_placed_party(view, &pair->source, out);
	text_add(out, " -> ");
	add_placed_party(view, &pair->destination, out);
	text_add(out, ", port %u/%s: %s\n", pair->port, protocol_name(view->explain->protocol),
		 ruling_name(pair->denied));
}

static int add_pair(const struct view *view, const struct explain_pair *pair, struct text *out)
{
	static const struct table_column columns[] = {
		{ "DIRECTION", TABLE_LEFT }, { "TIER", TABLE_LEFT }, { "RULE", TABLE_LEFT },
		{ "ACTION", TABLE_LEFT },    { "PART", TABLE_LEFT },
	};
	_cleanup_table_ struct table table = TABLE_INIT(columns);

	add_headline(view, pair, out);
	if (pair->self) {
		text_add(out, "a workload reaches itself: no rule is asked\n");
		return out->error;
	}
	for (int i = 0; i < SST_DIRECTIONS; i++)
		add_direction_line(view, pair, i, out);
	text_add(out, "\n");
	for (int i = 0; i < SST_DIRECTIONS; i++)
		add_direction_rows(view, pair, i, &table);
	return table_print(&table, out);
}

static void add_service_line(const struct view *view, struct text *out)
{
	const struct state_service *service = state_service(view->state, view->explain->service);
	char label[SERVICE_LABEL_MAX];

	text_add(out, "service %s, port %u/%s\n", format_service(&service->info, label),
		 view->explain->port, protocol_name(view->explain->protocol));
}

int show_explain(const struct explain *explain, const struct policy_set *set,
		 const struct state *state, struct text *out)
{
	const struct view view = { explain, set, state };
	int err = 0;

	if (explain->service)
		add_service_line(&view, out);
	if (explain->n_pairs > 1)
		err = add_summary(&view, out);
	for (size_t i = 0; i < explain->n_pairs && !err; i++) {
		if (out->length)
			text_add(out, "\n");
		err = add_pair(&view, &explain->pairs[i], out);
	}
	return err ?: out->error;
}

/* ---- for programs ------------------------------------------------------------------ */

static json_t *reason_json(const struct view *view, const struct explain_direction *direction)
{
	struct text text = {};
	json_t *json;

	add_reason(view, direction, &text);
	json = text.error ? NULL : json_string(text_string(&text));
	text_release(&text);
	return json;
}

static json_t *matches_json(const struct view *view, const struct explain_direction *direction)
{
	json_t *array = json_array();

	for (size_t i = 0; i < direction->n_matches; i++) {
		const struct explain_match *match = &direction->matches[i];
		json_t *object = json_object();

		json_set(&object, "tier", json_string(tier_name(match->rule.tier)));
		json_set(&object, "rule", rule_json(view->set, match->rule.id));
		json_set(&object, "action", json_string(action_name(match->rule.action)));
		json_set(&object, "part", json_string(part_name(match->part)));
		json_add(&array, object);
	}
	return array;
}

static json_t *direction_json(const struct view *view, const struct explain_pair *pair, int number)
{
	const struct explain_direction *direction = &pair->directions[number];
	const struct sst_policy_decision *decision = &direction->decision;
	json_t *object = json_object();

	json_set(&object, "verdict", json_string(ruling_name(decision->denied)));
	json_set(&object, "tier", json_string(tier_name(decision->tier)));
	json_set(&object, "rule", rule_json(view->set, decision->rule));
	json_set(&object, "reason", reason_json(view, direction));
	json_set(&object, "here", json_boolean(!is_elsewhere(view, subject_of(pair, number))));
	json_set(&object, "shadow_verdict",
		 json_text(decision->shadow ? ruling_name(decision->shadow_denied) : NULL));
	json_set(&object, "shadow_rule", rule_json(view->set, decision->shadow));
	json_set(&object, "matches", matches_json(view, direction));
	return object;
}

static json_t *party_json(const struct view *view, const struct party *party)
{
	json_t *object = whois_json(view->set, identity_id(view, party), workload_id(view, party));
	char address[ADDRESS_TEXT_MAX];

	json_set(&object, "address",
		 json_text(party->has_address ? address_format(&party->address, address) : NULL));
	return object;
}

static json_t *pair_json(const struct view *view, const struct explain_pair *pair)
{
	json_t *object = json_object();

	json_set(&object, "source", party_json(view, &pair->source));
	json_set(&object, "destination", party_json(view, &pair->destination));
	json_set(&object, "endpoint", pair->endpoint ? json_integer(pair->endpoint) : json_null());
	json_set(&object, "port", json_integer(pair->port));
	json_set(&object, "verdict", json_string(ruling_name(pair->denied)));
	json_set(&object, "shadow_verdict", json_string(ruling_name(pair->shadow_denied)));
	json_set(&object, "self", json_boolean(pair->self));
	for (int i = 0; i < SST_DIRECTIONS; i++)
		json_set(&object, direction_name(i),
			 pair->self ? json_null() : direction_json(view, pair, i));
	return object;
}

json_t *show_explain_json(const struct explain *explain, const struct policy_set *set,
			  const struct state *state)
{
	const struct view view = { explain, set, state };
	const struct state_service *service =
		explain->service ? state_service(state, explain->service) : NULL;
	json_t *object = json_object(), *pairs = json_array();

	for (size_t i = 0; i < explain->n_pairs; i++)
		json_add(&pairs, pair_json(&view, &explain->pairs[i]));
	json_set(&object, "service", json_text(service ? service->info.name : NULL));
	json_set(&object, "port", explain->port ? json_integer(explain->port) : json_null());
	json_set(&object, "protocol", json_string(protocol_name(explain->protocol)));
	json_set(&object, "verdict", json_string(ruling_name(explain->denied)));
	json_set(&object, "pairs", pairs);
	return object;
}
