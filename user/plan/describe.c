/* SPDX-License-Identifier: Apache-2.0 */
/* The difference as lines for people, in the order in which the configuration has it. */
#include "plan/internal.h"

#include <arpa/inet.h>
#include <string.h>

#include "core/address.h"
#include "core/cleanup.h"
#include "model/words.h"

static const char *const fail_names[] = { "open", "closed" };

static const char *const state_names[] = {
	[SST_ENDPOINT_READY] = "ready",
	[SST_ENDPOINT_NOT_READY] = "not ready",
	[SST_ENDPOINT_DRAINING] = "draining",
	[SST_ENDPOINT_REMOVED] = "removed",
};

/* A number that another version wrote may have no name here. */
#define name_of(names, number) ((number) < ARRAY_SIZE(names) ? (names)[number] : "?")

/* ---- words ------------------------------------------------------------------ */

/* Parts with something between them; the first has nothing before it. */
static struct text *next_part(struct text *text)
{
	if (text->length)
		text_add(text, ", ");
	return text;
}

static void add_count(struct text *text, uint64_t n, const char *what)
{
	text_add(next_part(text), "%llu %s%s", (unsigned long long)n, what, n == 1 ? "" : "s");
}

static void add_renaming(struct text *text, const char *what, const char *before, const char *after)
{
	if (strcmp(before, after))
		text_add(next_part(text), "%s %s -> %s", what, before, after);
}

static void add_number(struct text *text, const char *what, uint32_t before, uint32_t after,
		       const char *unit)
{
	if (before != after)
		text_add(next_part(text), "%s %u%s -> %u%s", what, before, unit, after, unit);
}

/* "web/http", "web" */
static void add_label(struct text *text, const struct sst_service_info *info)
{
	text_add(text, "%.*s", SST_NAME_MAX, info->name);
	if (info->port_name[0])
		text_add(text, "/%.*s", SST_PORT_NAME_MAX, info->port_name);
}

static void add_service_name(struct text *text, const struct sst_service_info *info,
			     const struct sst_frontend_key *at)
{
	char buf[ADDRESS_TEXT_MAX];

	add_label(text, info);
	if (at)
		text_add(text, " %s", address_port_format(&at->address, at->port, buf));
	else
		text_add(text, " port %u", ntohs(info->port));
	text_add(text, "/%s", protocol_name(info->protocol));
}

static void add_endpoint_name(struct text *text, const struct unit *unit,
			      const struct member *member)
{
	char buf[ADDRESS_TEXT_MAX];

	add_label(text, &unit->info);
	text_add(text, " %s", address_port_format(&member->value.address, member->value.port, buf));
}

/* ---- facts ------------------------------------------------------------------ */

/* It is there for applications: an address or a schedule is not taken back yet. */
static bool was_served(const struct unit *unit)
{
	return unit->old && (unit->old_address || unit->old->value.slots);
}

static bool was_configured(const struct member *member)
{
	return member->old && member->old->value.state != SST_ENDPOINT_REMOVED &&
	       !member->old->left;
}

/* What befalls the flows of those that leave. */
static void add_flows(struct text *text, uint64_t n, const struct unit *unit)
{
	bool reset = unit->value.on_remove == SST_ON_REMOVE_RESET;

	if (!n)
		return;
	add_count(text, n, "open flow");
	text_add(text, reset ? " reset" : " kept");
}

/* ---- lines ------------------------------------------------------------------ */

static void tell_node(const struct diff *diff, struct draft *draft)
{
	const struct sst_config *before = &diff->state->config, *after = &diff->config;
	struct text name = { 0 }, detail = { 0 };

	add_renaming(&detail, "splice", splice_name(before->splice), splice_name(after->splice));
	add_renaming(&detail, "fail", name_of(fail_names, before->fail_closed),
		     name_of(fail_names, after->fail_closed));
	if (before->edge_budget) { /* before the first apply there was none */
		add_number(&detail, "edges", before->edge_budget, after->edge_budget, "");
		add_number(&detail, "events", before->event_rate, after->event_rate, "");
	}
	if (detail.length)
		draft_change(draft, '~', "node", &name, &detail);
	text_release(&detail);
}

/* at is where it can be reached first, NULL: nowhere. */
static void tell_service(const struct unit *unit, const struct sst_frontend_key *at, char op,
			 struct text *detail, struct draft *draft)
{
	struct text name = { 0 };

	add_service_name(&name, &unit->info, at);
	draft_change(draft, op, "service", &name, detail);
}

static void tell_new_service(const struct unit *unit, const struct front *fronts, size_t addresses,
			     struct draft *draft)
{
	struct text detail = { 0 };
	size_t n = 0, ready = 0;

	for (size_t i = 0; i < unit->n_members; i++) {
		n += !unit->members[i].leaves;
		ready += unit->members[i].value.state == SST_ENDPOINT_READY;
	}
	if (addresses > 1)
		text_add(next_part(&detail), "%zu addresses", addresses);
	add_count(&detail, n, "endpoint");
	if (ready != n)
		text_add(next_part(&detail), "%zu ready", ready);
	text_add(next_part(&detail), "%s", balance_name(unit->value.balance));
	tell_service(unit, &fronts->key, '+', &detail, draft);
}

static void tell_gone_service(const struct unit *unit, struct draft *draft)
{
	struct text detail = { 0 };
	uint64_t flows = 0;
	size_t n = 0;

	for (size_t i = 0; i < unit->n_members; i++) {
		n += was_configured(&unit->members[i]);
		flows += unit->members[i].flows;
	}
	add_count(&detail, n, "endpoint");
	add_flows(&detail, flows, unit);
	tell_service(unit, unit->old_address ? &unit->old_address->key : NULL, '-', &detail, draft);
}

static void tell_changed_service(const struct unit *unit, const struct front *fronts,
				 struct draft *draft)
{
	const struct sst_service *before = &unit->old->value, *after = &unit->value;
	struct text detail = { 0 };

	if (strncmp(unit->old->info.port_name, unit->info.port_name, SST_PORT_NAME_MAX))
		text_add(next_part(&detail), "port name '%.*s' -> '%s'", SST_PORT_NAME_MAX,
			 unit->old->info.port_name, unit->info.port_name);
	add_renaming(&detail, "balance", balance_name(before->balance),
		     balance_name(after->balance));
	add_renaming(&detail, "splice", splice_name(before->splice), splice_name(after->splice));
	add_renaming(&detail, "on-remove", on_remove_name(before->on_remove),
		     on_remove_name(after->on_remove));
	add_number(&detail, "affinity", before->affinity_s, after->affinity_s, "s");
	if (detail.length)
		tell_service(unit, &fronts->key, '~', &detail, draft);
	text_release(&detail);
}

static void tell_address(const struct unit *unit, char op, const struct sst_frontend_key *at,
			 const struct unit *from, struct draft *draft)
{
	struct text name = { 0 }, detail = { 0 };

	add_service_name(&name, &unit->info, at);
	if (from) {
		text_add(&detail, "from ");
		add_label(&detail, &from->info);
	}
	draft_change(draft, op, "address", &name, &detail);
}

static void tell_endpoint(const struct unit *unit, const struct member *member, char op,
			  struct text *detail, struct draft *draft)
{
	struct text name = { 0 };

	add_endpoint_name(&name, unit, member);
	draft_change(draft, op, "endpoint", &name, detail);
}

static void tell_new_endpoint(const struct unit *unit, const struct member *member,
			      struct draft *draft)
{
	struct text detail = { 0 };

	if (member->value.weight != 1)
		text_add(next_part(&detail), "weight %u", member->value.weight);
	if (member->value.state != SST_ENDPOINT_READY)
		text_add(next_part(&detail), "%s", name_of(state_names, member->value.state));
	tell_endpoint(unit, member, '+', &detail, draft);
}

static void tell_gone_endpoint(const struct unit *unit, const struct member *member,
			       struct draft *draft)
{
	struct text detail = { 0 };

	add_flows(&detail, member->flows, unit);
	tell_endpoint(unit, member, '-', &detail, draft);
}

static void tell_changed_endpoint(const struct unit *unit, const struct member *member,
				  struct draft *draft)
{
	const struct sst_endpoint *before = &member->old->value, *after = &member->value;
	struct text detail = { 0 };

	add_number(&detail, "weight", before->weight, after->weight, "");
	if (before->state != after->state)
		text_add(next_part(&detail), "%s -> %s", name_of(state_names, before->state),
			 name_of(state_names, after->state));
	if (detail.length)
		tell_endpoint(unit, member, '~', &detail, draft);
	text_release(&detail);
}

static void tell_endpoints(const struct unit *unit, struct draft *draft)
{
	for (size_t i = 0; i < unit->n_members; i++) {
		const struct member *member = &unit->members[i];

		if (was_configured(member) && member->leaves)
			tell_gone_endpoint(unit, member, draft);
		else if (was_configured(member))
			tell_changed_endpoint(unit, member, draft);
		else if (!member->leaves)
			tell_new_endpoint(unit, member, draft);
	}
}

/* ---- all of it -------------------------------------------------------------- */

static void tell_new_address(const struct diff *diff, const struct front *front,
			     struct draft *draft)
{
	const struct unit *from = NULL;

	if (!front_is_news(front))
		return;
	if (front->old)
		from = diff_unit(diff, front->old->service);
	tell_address(front->unit, '+', &front->key, from, draft);
}

/* Addresses that a service which stays does not have any more. */
static void tell_gone_addresses(const struct diff *diff, struct draft *draft)
{
	for (size_t i = 0; i < diff->state->n_frontends; i++) {
		const struct state_frontend *old = &diff->state->frontends[i];
		const struct unit *unit = diff_unit(diff, old->service);

		if (unit && !unit->leaves && !diff->address_stays[i])
			tell_address(unit, '-', &old->key, NULL, draft);
	}
}

/* fronts are those of this unit: at least one, if it does not leave. */
static void tell_unit(const struct diff *diff, const struct unit *unit, const struct front *fronts,
		      size_t n_fronts, struct draft *draft)
{
	if (unit->leaves && was_served(unit)) {
		tell_gone_service(unit, draft);
	} else if (!unit->leaves && !was_served(unit)) {
		tell_new_service(unit, fronts, n_fronts, draft);
	} else if (!unit->leaves) {
		tell_changed_service(unit, fronts, draft);
		for (size_t i = 0; i < n_fronts; i++)
			tell_new_address(diff, &fronts[i], draft);
		tell_endpoints(unit, draft);
	}
}

static void tell_units(const struct diff *diff, struct draft *draft)
{
	size_t from = 0;

	for (size_t i = 0; i < diff->n_units; i++) {
		const struct unit *unit = &diff->units[i];
		size_t to = from;

		while (to < diff->n_fronts && diff->fronts[to].unit == unit)
			to++;
		tell_unit(diff, unit, diff->fronts + from, to - from, draft);
		from = to;
	}
}

void changes_write(const struct diff *diff, struct draft *draft)
{
	tell_node(diff, draft);
	tell_units(diff, draft);
	tell_gone_addresses(diff, draft);
	policy_tell(diff, draft);
}

void change_tell(const struct change *change, struct text *out)
{
	text_add(out, "%c %s", change->op, change->kind);
	if (change->name && *change->name)
		text_add(out, " %s", change->name);
	if (change->detail)
		text_add(out, ": %s", change->detail);
}
