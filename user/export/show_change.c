/* SPDX-License-Identifier: Apache-2.0 */
#include "export/show_change.h"

#include <inttypes.h>

#include "core/address.h"
#include "core/table.h"
#include "export/format.h"
#include "export/json.h"
#include "export/whois.h"
#include "policy/label.h"

/* Ranges of ports that a table tells; JSON has all. */
#define RANGES_MAX 6

/* "ingress: shop/db-ingress/isolated", "ingress: no rule", "egress: fails closed" */
static void add_rule(const struct policy_set *set, const struct judged *verdict, struct text *out)
{
	text_add(out, "%s: ", direction_name(verdict->direction));
	if (verdict->undecided)
		text_add(out, "fails %s", verdict->denied ? "closed" : "open");
	else if (verdict->rule)
		policy_label_rule(set, verdict->rule, out);
	else
		text_add(out, "no rule");
}

static json_t *verdict_json(const struct policy_set *set, const struct judged *verdict)
{
	json_t *object = json_object();

	json_set(&object, "verdict", json_string(ruling_name(verdict->denied)));
	json_set(&object, "undecided", json_boolean(verdict->undecided));
	json_set(&object, "direction", json_string(direction_name(verdict->direction)));
	json_set(&object, "rule", rule_json(set, verdict->rule));
	return object;
}

/* ---- check -------------------------------------------------------------------------- */

static json_t *problem_json(const char *text, const struct problem_parts *parts)
{
	json_t *object = json_object();

	json_set(&object, "kind", json_string(parts->is_warning ? "warning" : "error"));
	json_set(&object, "file", json_stringn(text, parts->source));
	json_set(&object, "line", parts->line ? json_integer(parts->line) : json_null());
	json_set(&object, "column", parts->line ? json_integer(parts->column) : json_null());
	json_set(&object, "text", json_string(text + parts->message));
	return object;
}

json_t *show_check_json(const struct model *model, const struct problems *problems)
{
	json_t *object = json_object(), *array = json_array();

	for (unsigned i = 0; i < problems->count; i++)
		json_add(&array, problem_json(problems->text[i], &problems->parts[i]));
	json_set(&object, "valid", json_boolean(model));
	json_set(&object, "workloads", model ? json_integer(model->n_workloads) : json_null());
	json_set(&object, "policies", model ? json_integer(model->n_policies) : json_null());
	json_set(&object, "problems", array);
	json_set(&object, "more", json_integer(problems->more));
	return object;
}

/* ---- diff --------------------------------------------------------------------------- */

/* Who is in a row is known to both sets, where there are both. */
static const struct policy_set *known_to(const struct policy_set *before,
					 const struct policy_set *after)
{
	return policy_set_is_empty(after) ? before : after;
}

/* "shop{app=db} at 10.1.0.7" */
static void add_party(struct table *table, const struct policy_set *set,
		      const struct diff_party *party)
{
	char address[ADDRESS_TEXT_MAX];
	struct text text = {};

	policy_label_identity(set, party->id, &text);
	if (party->after.has_address)
		text_add(&text, " at %s", address_format(&party->after.address, address));
	table_add_text(table, &text);
}

static void add_range(const struct diff_range *range, struct text *out)
{
	text_add(out, "%u", range->first);
	if (range->last != range->first)
		text_add(out, "-%u", range->last);
	text_add(out, "/%s", protocol_name(range->protocol));
}

static bool has_all_ports(const struct policy_diff *diff, const struct diff_row *row)
{
	for (uint32_t i = 0; i < diff->n_kinds; i++)
		if (!(row->kinds[i / 64] & 1ULL << i % 64))
			return false;
	return true;
}

/* "80/TCP,8000-8010/TCP", "80/TCP,... (12 more)", "all" */
static void add_ports(struct table *table, const struct policy_diff *diff,
		      const struct diff_row *row)
{
	struct diff_range range = {};
	struct text text = {};
	size_t n = 0;

	if (has_all_ports(diff, row)) {
		table_add(table, "all");
		return;
	}
	while (diff_next_range(diff, row, &range)) {
		if (n < RANGES_MAX) {
			text_add(&text, "%s", n ? "," : "");
			add_range(&range, &text);
		}
		n++;
	}
	if (n > RANGES_MAX)
		text_add(&text, ",... (%zu more)", n - RANGES_MAX);
	table_add_text(table, &text);
}

/* What denies it then, or denies it now and not any more. */
static void add_reason(struct table *table, const struct diff_row *row,
		       const struct policy_set *before, const struct policy_set *after)
{
	struct text text = {};

	if (row->after.denied) {
		add_rule(after, &row->after, &text);
	} else {
		text_add(&text, "no longer ");
		add_rule(before, &row->before, &text);
	}
	table_add_text(table, &text);
}

static int add_diff_table(const struct policy_diff *diff, const struct policy_set *before,
			  const struct policy_set *after, struct text *out)
{
	static const struct table_column columns[] = {
		{ "SOURCE", TABLE_LEFT }, { "DESTINATION", TABLE_LEFT },
		{ "PORTS", TABLE_LEFT },  { "NOW", TABLE_LEFT },
		{ "THEN", TABLE_LEFT },   { "BECAUSE OF", TABLE_LEFT },
	};
	const struct policy_set *known = known_to(before, after);
	_cleanup_table_ struct table table = TABLE_INIT(columns);

	for (size_t i = 0; i < diff->n_rows; i++) {
		const struct diff_row *row = &diff->rows[i];

		add_party(&table, known, &row->source);
		add_party(&table, known, &row->destination);
		add_ports(&table, diff, row);
		table_add(&table, "%s", ruling_name(row->before.denied));
		table_add(&table, "%s", ruling_name(row->after.denied));
		add_reason(&table, row, before, after);
	}
	return table_print(&table, out);
}

int show_diff(const struct policy_diff *diff, const struct policy_set *before,
	      const struct policy_set *after, struct text *out)
{
	int err = 0;

	if (diff->identities_added || diff->identities_removed)
		text_add(out, "identities: %u new, %u gone: not compared\n", diff->identities_added,
			 diff->identities_removed);
	if (!diff->opened && !diff->closed) {
		text_add(out, "no verdict changes\n");
		return out->error;
	}
	err = add_diff_table(diff, before, after, out);
	if (diff->n_rows >= DIFF_ROWS_MAX)
		text_add(out, "... and more\n");
	text_add(out,
		 "\nverdicts that change, by pair and kind of port: %" PRIu64 " to denied, %" PRIu64
		 " to allowed\n",
		 diff->closed, diff->opened);
	return err ?: out->error;
}

static json_t *diff_party_json(const struct policy_set *set, const struct diff_party *party)
{
	json_t *object = whois_json(set, party->id, 0);
	char address[ADDRESS_TEXT_MAX];

	json_set(&object, "address",
		 json_text(party->after.has_address ? address_format(&party->after.address, address)
						    : NULL));
	return object;
}

static json_t *ports_json(const struct policy_diff *diff, const struct diff_row *row)
{
	struct diff_range range = {};
	json_t *array = json_array();

	while (diff_next_range(diff, row, &range)) {
		json_t *object = json_object();

		json_set(&object, "protocol", json_string(protocol_name(range.protocol)));
		json_set(&object, "first", json_integer(range.first));
		json_set(&object, "last", json_integer(range.last));
		json_add(&array, object);
	}
	return array;
}

json_t *show_diff_json(const struct policy_diff *diff, const struct policy_set *before,
		       const struct policy_set *after)
{
	const struct policy_set *known = known_to(before, after);
	json_t *object = json_object(), *rows = json_array();

	for (size_t i = 0; i < diff->n_rows; i++) {
		const struct diff_row *row = &diff->rows[i];
		json_t *one = json_object();

		json_set(&one, "source", diff_party_json(known, &row->source));
		json_set(&one, "destination", diff_party_json(known, &row->destination));
		json_set(&one, "ports", ports_json(diff, row));
		json_set(&one, "before", verdict_json(before, &row->before));
		json_set(&one, "after", verdict_json(after, &row->after));
		json_add(&rows, one);
	}
	json_set(&object, "denied", json_integer(diff->closed));
	json_set(&object, "opened", json_integer(diff->opened));
	json_set(&object, "identities_added", json_integer(diff->identities_added));
	json_set(&object, "identities_removed", json_integer(diff->identities_removed));
	json_set(&object, "complete", json_boolean(diff->n_rows < DIFF_ROWS_MAX));
	json_set(&object, "changes", rows);
	return object;
}

/* ---- replay --------------------------------------------------------------------------- */

static void add_change_row(const struct replay_change *change, const struct policy_set *set,
			   struct table *table)
{
	struct text source = {}, destination = {}, rule = {};

	whois_text(set, change->source, change->source_workload, &source);
	whois_text(set, change->destination, change->destination_workload, &destination);
	table_add(table, "%s", change->verdict.denied ? "denied" : "opened");
	table_add(table, "%" PRIu64, change->count);
	table_add_text(table, &source);
	table_add_text(table, &destination);
	table_add(table, "%u/%s", change->port, protocol_name(change->protocol));
	add_rule(set, &change->verdict, &rule);
	table_add_text(table, &rule);
}

int show_replay(const struct replay *replay, const struct policy_set *set, struct text *out)
{
	static const struct table_column columns[] = {
		{ "WOULD BE", TABLE_LEFT }, { "FLOWS", TABLE_RIGHT },
		{ "SOURCE", TABLE_LEFT },   { "DESTINATION", TABLE_LEFT },
		{ "PORT", TABLE_LEFT },     { "BECAUSE OF", TABLE_LEFT },
	};
	_cleanup_table_ struct table table = TABLE_INIT(columns);
	int err = 0;

	for (size_t i = 0; i < replay->n_changes; i++)
		add_change_row(&replay->changes[i], set, &table);
	if (replay->n_changes) {
		err = table_print(&table, out);
		text_add(out, "\n");
	}
	text_add(out,
		 "%" PRIu64 " flows: %" PRIu64 " would be denied, %" PRIu64 " would be opened\n",
		 replay->flows, replay->denied, replay->opened);
	if (replay->unknown)
		text_add(out,
			 "%" PRIu64
			 " flows are of workloads that are not known any more, judged by "
			 "their addresses\n",
			 replay->unknown);
	return err ?: out->error;
}

static json_t *change_json(const struct replay_change *change, const struct policy_set *set)
{
	json_t *object = verdict_json(set, &change->verdict);

	json_set(&object, "flows", json_integer(change->count));
	json_set(&object, "source", whois_json(set, change->source, change->source_workload));
	json_set(&object, "destination",
		 whois_json(set, change->destination, change->destination_workload));
	json_set(&object, "port", json_integer(change->port));
	json_set(&object, "protocol", json_string(protocol_name(change->protocol)));
	return object;
}

json_t *show_replay_json(const struct replay *replay, const struct policy_set *set)
{
	json_t *object = json_object(), *changes = json_array();

	for (size_t i = 0; i < replay->n_changes; i++)
		json_add(&changes, change_json(&replay->changes[i], set));
	json_set(&object, "flows", json_integer(replay->flows));
	json_set(&object, "denied", json_integer(replay->denied));
	json_set(&object, "opened", json_integer(replay->opened));
	json_set(&object, "unknown", json_integer(replay->unknown));
	json_set(&object, "changes", changes);
	return object;
}
