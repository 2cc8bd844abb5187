/* SPDX-License-Identifier: Apache-2.0 */
#include "export/record.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/address.h"
#include "core/cleanup.h"
#include "export/format.h"
#include "export/json.h"
#include "export/whois.h"
#include "policy/label.h"

struct side {
	struct sst_addr address;
	__be16 port;
};

/* Who an end is, by the ids of the policy set. */
struct who {
	uint32_t identity;
	uint32_t workload;
};

/* What policy says of a flow, all in all. */
struct ruling {
	bool asked; /* false: policy has nothing to do with it */
	bool denied;
	uint8_t direction; /* that decided: the one that denies, else the last one asked */
	uint8_t tier;
	uint32_t rule;
	uint32_t shadow; /* a rule in shadow that would have a say, 0: none */
	bool shadow_denied;
};

/* A record as the client sees it. */
struct view {
	struct side source;
	struct side destination;
	struct side asked;
	uint64_t sent_bytes; /* by TCP */
	uint64_t received_bytes;
	uint64_t spliced_sent_bytes;
	uint64_t spliced_received_bytes;
	uint64_t duration_ns;
	const struct sst_service_info *service; /* NULL: none, or none that is known */
	const struct policy_set *policy;        /* maybe empty */
	struct who source_who;
	struct who destination_who;
	struct ruling ruling;
};

static const struct sst_service_info *service_of(const struct sst_record *record,
						 const struct record_context *context)
{
	const struct state_service *service;

	if (!record->service || !context->state || !context->state->n_services)
		return NULL;
	service = state_service(context->state, record->service);
	return service ? &service->info : NULL;
}

static const struct policy_set *policy_of(const struct record_context *context)
{
	static const struct policy_set none;

	return context->state ? &context->state->policy : &none;
}

static struct ruling ruling_of(const struct sst_judgement *judgement)
{
	struct ruling ruling = {};

	for (int i = 0; i < SST_DIRECTIONS; i++) {
		if (!judgement->asked[i])
			continue;
		if (judgement->shadow[i] && !ruling.shadow)
			ruling.shadow = judgement->shadow[i];
		ruling.shadow_denied |= judgement->shadow_denied[i];
		if (ruling.denied)
			continue;
		ruling.asked = true;
		ruling.denied = judgement->denied[i];
		ruling.direction = i;
		ruling.tier = judgement->tier[i];
		ruling.rule = judgement->rule[i];
	}
	return ruling;
}

static struct view view_of(const struct sst_record *record, const struct record_context *context)
{
	bool server = record->role == SST_ROLE_SERVER;
	struct side local = { record->local, record->local_port };
	struct side remote = { record->remote, record->remote_port };
	struct view view = {
		.source = server ? remote : local,
		.destination = server ? local : remote,
		.asked = { record->asked, record->asked_port },
		.sent_bytes = server ? record->received_bytes : record->sent_bytes,
		.received_bytes = server ? record->sent_bytes : record->received_bytes,
		.service = service_of(record, context),
		.policy = policy_of(context),
		.ruling = ruling_of(&record->judgement),
	};
	struct who end = { record->judgement.identity, record->judgement.workload };
	struct who peer = { record->judgement.peer_identity, record->judgement.peer_workload };

	view.source_who = server ? peer : end;
	view.destination_who = server ? end : peer;
	view.spliced_sent_bytes =
		server ? record->spliced_received_bytes : record->spliced_sent_bytes;
	view.spliced_received_bytes =
		server ? record->spliced_sent_bytes : record->spliced_received_bytes;
	/* the iterator may see a connection that is just being established */
	if (record->opened_ns && record->time_ns > record->opened_ns)
		view.duration_ns = record->time_ns - record->opened_ns;
	return view;
}

static bool was_asked(const struct view *view)
{
	static const struct sst_addr none;

	return address_compare(&view->asked.address, &none);
}

/* "ECONNREFUSED", or the number where libc has no name. buf holds FORMAT_MAX. */
static const char *error_name(uint32_t error, char *buf)
{
	const char *name = strerrorname_np(error);

	if (name)
		return name;
	snprintf(buf, FORMAT_MAX, "%u", error);
	return buf;
}

static const char *role_name(uint8_t role)
{
	return role == SST_ROLE_SERVER ? "server" : "client";
}

static char *time_text(const struct sst_record *record, const struct record_context *context,
		       char *buf)
{
	return format_time(record->time_ns + context->realtime_offset_ns, buf);
}

/* ---- JSON ------------------------------------------------------------------- */

static json_t *side_to_json(const struct side *side)
{
	return json_address_port(&side->address, side->port);
}

/* Who talks to whom. */
static void set_identity(json_t **object, const struct sst_record *record, const struct view *view)
{
	const struct sst_service_info *service = view->service;
	char port[SERVICE_PORT_MAX];

	json_set(object, "flow", json_id(record->flow));
	json_set(object, "peer_flow", json_id(record->peer_flow));
	json_set(object, "role", json_string(role_name(record->role)));
	json_set(object, "protocol", json_string(protocol_name(record->protocol)));
	json_set(object, "source", side_to_json(&view->source));
	json_set(object, "asked", was_asked(view) ? side_to_json(&view->asked) : json_null());
	json_set(object, "destination", side_to_json(&view->destination));
	json_set(object, "service", json_text(service ? service->name : NULL));
	json_set(object, "service_port",
		 json_text(service ? format_service_port(service, port) : NULL));
	json_set(object, "cgroup_id", json_id(record->cgroup_id));
	json_set(object, "netns", json_integer(record->netns_ino));
}

static json_t *who_to_json(const struct view *view, const struct who *who)
{
	return view->ruling.asked ? whois_json(view->policy, who->identity, who->workload)
				  : json_null();
}

/* What policy says of it. */
static void set_ruling(json_t **object, const struct view *view)
{
	const struct ruling *ruling = &view->ruling;
	bool asked = ruling->asked, shadow = ruling->shadow;

	json_set(object, "source_identity", who_to_json(view, &view->source_who));
	json_set(object, "destination_identity", who_to_json(view, &view->destination_who));
	json_set(object, "verdict", json_text(asked ? ruling_name(ruling->denied) : NULL));
	json_set(object, "direction", json_text(asked ? direction_name(ruling->direction) : NULL));
	json_set(object, "tier", json_text(asked ? tier_name(ruling->tier) : NULL));
	json_set(object, "rule", rule_json(view->policy, ruling->rule));
	json_set(object, "shadow_verdict",
		 json_text(shadow ? ruling_name(ruling->shadow_denied) : NULL));
	json_set(object, "shadow_rule", rule_json(view->policy, ruling->shadow));
}

/* How the flow fares. */
static void set_figures(json_t **object, const struct sst_record *record, const struct view *view)
{
	char error[FORMAT_MAX];

	json_set(object, "sent_bytes", json_integer(view->sent_bytes));
	json_set(object, "received_bytes", json_integer(view->received_bytes));
	json_set(object, "spliced_sent_bytes", json_integer(view->spliced_sent_bytes));
	json_set(object, "spliced_received_bytes", json_integer(view->spliced_received_bytes));
	json_set(object, "duration_seconds", json_real(view->duration_ns / 1e9));
	json_set(object, "srtt_us", json_integer(record->srtt_us));
	json_set(object, "retransmits", json_integer(record->retransmits));
	json_set(object, "splice_state", json_string(splice_state_name(record->splice)));
	json_set(object, "tcp_state", json_string(tcp_state_name(record->tcp_state)));
	json_set(object, "error",
		 json_text(record->error ? error_name(record->error, error) : NULL));
}

json_t *record_to_json(const struct sst_record *record, const struct record_context *context)
{
	struct view view = view_of(record, context);
	json_t *object = json_object();
	char time[FORMAT_MAX];

	json_set(&object, "time", json_string(time_text(record, context, time)));
	json_set(&object, "event", json_string(record_type_name(record->type)));
	set_identity(&object, record, &view);
	set_ruling(&object, &view);
	set_figures(&object, record, &view);
	return object;
}

/* ---- text ------------------------------------------------------------------- */

/* "web/http"; "#7" for one whose name is not known, "-" for none. buf: SERVICE_LABEL_MAX. */
static char *service_text(const struct sst_record *record, const struct view *view, char *buf)
{
	if (view->service)
		return format_service(view->service, buf);
	if (record->service)
		snprintf(buf, SERVICE_LABEL_MAX, "#%u", record->service);
	else
		strcpy(buf, "-");
	return buf;
}

static char *side_text(const struct side *side, char *buf)
{
	return address_port_format(&side->address, side->port, buf);
}

static char *asked_text(const struct view *view, char *buf)
{
	if (was_asked(view))
		return side_text(&view->asked, buf);
	return strcpy(buf, "-");
}

/* "shop/db", "world"; "-" where policy was not asked */
static void add_who(const struct view *view, const struct who *who, struct text *out)
{
	if (view->ruling.asked)
		whois_text(view->policy, who->identity, who->workload, out);
	else
		text_add(out, "-");
}

/* "ingress network shop/db-ingress/isolated", "egress default default", "ingress self" */
static void add_rule(const struct view *view, struct text *out)
{
	const struct ruling *ruling = &view->ruling;

	text_add(out, "%s %s", direction_name(ruling->direction), tier_name(ruling->tier));
	if (!ruling->rule)
		return;
	text_add(out, " ");
	policy_label_rule(view->policy, ruling->rule, out);
}

/* " denied from shop/web to shop/db by ingress ..., in shadow allowed by ..." */
static void add_ruling(const struct view *view, struct text *out)
{
	const struct ruling *ruling = &view->ruling;

	if (!ruling->asked)
		return;
	text_add(out, " %s from ", ruling_name(ruling->denied));
	add_who(view, &view->source_who, out);
	text_add(out, " to ");
	add_who(view, &view->destination_who, out);
	text_add(out, " by ");
	add_rule(view, out);
	if (!ruling->shadow)
		return;
	text_add(out, " in shadow %s by ", ruling_name(ruling->shadow_denied));
	policy_label_rule(view->policy, ruling->shadow, out);
}

/* "spliced" tells how much of "sent" and "received" went past TCP. */
static void add_figures(const struct sst_record *record, const struct view *view, struct text *out)
{
	char sent[FORMAT_MAX], received[FORMAT_MAX], spliced[FORMAT_MAX], duration[FORMAT_MAX];

	text_add(out, " sent %s received %s spliced %s duration %s rtt %.3fms retransmits %u",
		 format_size(view->sent_bytes + view->spliced_sent_bytes, sent),
		 format_size(view->received_bytes + view->spliced_received_bytes, received),
		 format_size(view->spliced_sent_bytes + view->spliced_received_bytes, spliced),
		 format_duration(view->duration_ns, duration), record->srtt_us / 1e3,
		 record->retransmits);
}

void record_to_line(const struct sst_record *record, const struct record_context *context,
		    struct text *out)
{
	char source[ADDRESS_TEXT_MAX], destination[ADDRESS_TEXT_MAX], asked[ADDRESS_TEXT_MAX];
	char time[FORMAT_MAX], service[SERVICE_LABEL_MAX];
	struct view view = view_of(record, context);

	text_add(out, "%s %-6s %s %s", time_text(record, context, time),
		 record_type_name(record->type), protocol_name(record->protocol),
		 side_text(&view.source, source));
	if (was_asked(&view))
		text_add(out, " -> %s", asked_text(&view, asked));
	text_add(out, " -> %s service %s", side_text(&view.destination, destination),
		 service_text(record, &view, service));
	add_ruling(&view, out);
	/* an opened flow has no figures yet, a denied one never will */
	if (record->type != SST_RECORD_OPEN && record->type != SST_RECORD_DENIED)
		add_figures(record, &view, out);
	if (record->error)
		text_add(out, " error %s", error_name(record->error, time));
	text_add(out, "\n");
}

struct table record_table(void)
{
	static const struct table_column columns[] = {
		{ "FLOW", TABLE_LEFT },        { "SERVICE", TABLE_LEFT },
		{ "SOURCE", TABLE_LEFT },      { "ASKED", TABLE_LEFT },
		{ "DESTINATION", TABLE_LEFT }, { "ROLE", TABLE_LEFT },
		{ "STATE", TABLE_LEFT },       { "SPLICE", TABLE_LEFT },
		{ "SENT", TABLE_RIGHT },       { "RECEIVED", TABLE_RIGHT },
		{ "SPLICED", TABLE_RIGHT },    { "AGE", TABLE_RIGHT },
		{ "RTT", TABLE_RIGHT },        { "RETRANS", TABLE_RIGHT },
		{ "FROM", TABLE_LEFT },        { "TO", TABLE_LEFT },
		{ "VERDICT", TABLE_LEFT },     { "BY", TABLE_LEFT },
	};

	return (struct table)TABLE_INIT(columns);
}

static void add_ruling_cells(const struct view *view, struct table *table)
{
	struct text from = {}, to = {}, by = {};

	add_who(view, &view->source_who, &from);
	add_who(view, &view->destination_who, &to);
	if (view->ruling.asked)
		add_rule(view, &by);
	else
		text_add(&by, "-");
	table_add_text(table, &from);
	table_add_text(table, &to);
	table_add(table, "%s", view->ruling.asked ? ruling_name(view->ruling.denied) : "-");
	table_add_text(table, &by);
}

void record_add_row(const struct sst_record *record, const struct record_context *context,
		    struct table *table)
{
	struct view view = view_of(record, context);
	char text[SERVICE_LABEL_MAX];

	table_add(table, "%" PRIu64, (uint64_t)record->flow);
	table_add(table, "%s", service_text(record, &view, text));
	table_add(table, "%s", side_text(&view.source, text));
	table_add(table, "%s", asked_text(&view, text));
	table_add(table, "%s", side_text(&view.destination, text));
	table_add(table, "%s", role_name(record->role));
	table_add(table, "%s", tcp_state_name(record->tcp_state));
	table_add(table, "%s", splice_state_name(record->splice));
	table_add(table, "%s", format_size(view.sent_bytes + view.spliced_sent_bytes, text));
	table_add(table, "%s",
		  format_size(view.received_bytes + view.spliced_received_bytes, text));
	table_add(table, "%s",
		  format_size(view.spliced_sent_bytes + view.spliced_received_bytes, text));
	table_add(table, "%s", format_duration(view.duration_ns, text));
	table_add(table, "%.3fms", record->srtt_us / 1e3);
	table_add(table, "%u", record->retransmits);
	add_ruling_cells(&view, table);
}
