/* SPDX-License-Identifier: Apache-2.0 */
#include "export/record.h"

#include <arpa/inet.h>
#include <inttypes.h>

#include "core/address.h"
#include "export/edge.h"
#include "export/format.h"
#include "export/json_line.h"
#include "export/whois.h"
#include "policy/label.h"

/* ---- JSON ------------------------------------------------------------------- */

#define STRINGIFY_(x) #x
#define STRINGIFY(x)  STRINGIFY_(x)

/* The next member, a comma before it. */
#define KEY(line, name) json_line_literal(line, ",\"" name "\":")

#define NUMBER(line, name, value) (KEY(line, name), json_line_number(line, value))
#define ID(line, name, value)     (KEY(line, name), json_line_id(line, value))
#define WORD(line, name, value)   (KEY(line, name), json_line_word(line, value))
#define STRING(line, name, value) (KEY(line, name), json_line_string(line, value))

/* null for 0, which stands for "none". */
static void put_some(struct json_line *line, uint64_t number)
{
	if (number)
		json_line_number(line, number);
	else
		json_line_literal(line, "null");
}

static void put_side(struct json_line *line, const struct flow_side *side)
{
	char address[ADDRESS_TEXT_MAX];

	if (!flow_side_is_known(side)) {
		json_line_literal(line, "null");
		return;
	}
	json_line_literal(line, "{\"address\":");
	json_line_word(line, address_format(&side->address, address));
	NUMBER(line, "port", ntohs(side->port));
	json_line_literal(line, "}");
}

static void put_service(struct json_line *line, const struct sst_service_info *service)
{
	char port[SERVICE_PORT_MAX];

	STRING(line, "service", service ? service->name : NULL);
	STRING(line, "service_port", service ? format_service_port(service, port) : NULL);
}

/* Who talks to whom. */
static void put_flow(struct json_line *line, const struct flow_view *view)
{
	const struct sst_record *record = view->record;

	ID(line, "flow", record->flow);
	ID(line, "peer_flow", record->peer_flow);
	KEY(line, "edge");
	put_some(line, record->edge);
	WORD(line, "role", flow_role(view));
	WORD(line, "protocol", protocol_name(record->protocol));
	KEY(line, "source");
	put_side(line, &view->source);
	KEY(line, "asked");
	if (flow_was_asked(view))
		put_side(line, &view->asked);
	else
		json_line_literal(line, "null");
	KEY(line, "destination");
	put_side(line, &view->destination);
	put_service(line, view->service);
	ID(line, "cgroup_id", record->cgroup_id);
	NUMBER(line, "netns", record->netns_ino);
}

static void put_who(struct json_line *line, const struct flow_view *view,
		    const struct flow_who *who)
{
	if (view->ruling.asked)
		whois_line(view->policy, who->identity, who->workload, line);
	else
		json_line_literal(line, "null");
}

static void put_rule(struct json_line *line, const struct flow_view *view, uint32_t rule)
{
	if (!rule) {
		json_line_literal(line, "null");
		return;
	}
	policy_label_rule(view->policy, rule, json_line_open_string(line));
	json_line_close_string(line);
}

/* What policy says of it. */
static void put_ruling(struct json_line *line, const struct flow_view *view)
{
	const struct flow_ruling *ruling = &view->ruling;
	bool asked = ruling->asked, shadow = ruling->shadow;

	KEY(line, "source_identity");
	put_who(line, view, &view->source_who);
	KEY(line, "destination_identity");
	put_who(line, view, &view->destination_who);
	WORD(line, "verdict", asked ? ruling_name(ruling->denied) : NULL);
	WORD(line, "direction", asked ? direction_name(ruling->direction) : NULL);
	WORD(line, "tier", asked ? tier_name(ruling->tier) : NULL);
	KEY(line, "rule");
	put_rule(line, view, ruling->rule);
	WORD(line, "shadow_verdict", shadow ? ruling_name(ruling->shadow_denied) : NULL);
	KEY(line, "shadow_rule");
	put_rule(line, view, ruling->shadow);
}

/* Exact, and with a point: readers that tell integers from others find it so always. */
static void put_seconds(struct json_line *line, uint64_t ns)
{
	json_line_number(line, ns / 1000000000);
	json_line_literal(line, ".");
	line->at = decimal_padded(ns % 1000000000, 9, line->at);
}

/* How the flow fares. */
static void put_figures(struct json_line *line, const struct flow_view *view)
{
	const struct sst_record *record = view->record;
	char error[FORMAT_MAX];

	NUMBER(line, "sent_bytes", view->sent_bytes);
	NUMBER(line, "received_bytes", view->received_bytes);
	NUMBER(line, "spliced_sent_bytes", view->spliced_sent_bytes);
	NUMBER(line, "spliced_received_bytes", view->spliced_received_bytes);
	KEY(line, "duration_seconds");
	put_seconds(line, view->duration_ns);
	KEY(line, "connect_us");
	put_some(line, record->connect_us);
	NUMBER(line, "srtt_us", record->srtt_us);
	NUMBER(line, "retransmits", record->retransmits);
	WORD(line, "splice_state", splice_state_name(record->splice));
	WORD(line, "tcp_state", tcp_state_name(record->tcp_state));
	WORD(line, "ending", flow_ending(view));
	WORD(line, "failure", flow_failure(view));
	WORD(line, "error", flow_error(view, error));
}

void record_to_json(const struct sst_record *record, const struct record_context *context,
		    struct text *out)
{
	struct flow_view view = flow_view(record, context);
	struct json_line line;
	char time[FORMAT_MAX];

	if (!json_line_begin(&line, out))
		return;
	json_line_literal(&line, "{\"version\":" STRINGIFY(RECORD_VERSION));
	WORD(&line, "time", flow_time(&view, time));
	WORD(&line, "event", record_type_name(record->type));
	NUMBER(&line, "sample", context->sample ?: 1);
	put_flow(&line, &view);
	put_ruling(&line, &view);
	put_figures(&line, &view);
	json_line_literal(&line, "}");
	json_line_end(&line);
}

void record_lost_to_json(uint64_t count, struct text *out)
{
	text_add(out,
		 "{\"version\":" STRINGIFY(RECORD_VERSION) ",\"event\":\"lost\",\"count\":%" PRIu64
							   "}",
		 count);
}

/* ---- text ------------------------------------------------------------------- */

/* " denied from shop/web to shop/db by ingress ..., in shadow allowed by ..." */
static void add_ruling(const struct flow_view *view, struct text *out)
{
	const struct flow_ruling *ruling = &view->ruling;

	if (!ruling->asked)
		return;
	text_add(out, " %s from ", ruling_name(ruling->denied));
	flow_add_who(view, &view->source_who, out);
	text_add_string(out, " to ");
	flow_add_who(view, &view->destination_who, out);
	text_add_string(out, " by ");
	flow_add_rule(view, out);
	if (!ruling->shadow)
		return;
	text_add(out, " in shadow %s by ", ruling_name(ruling->shadow_denied));
	policy_label_rule(view->policy, ruling->shadow, out);
}

/* "spliced" tells how much of "sent" and "received" went past TCP. */
static void add_figures(const struct flow_view *view, struct text *out)
{
	char sent[FORMAT_MAX], received[FORMAT_MAX], spliced[FORMAT_MAX], duration[FORMAT_MAX];

	text_add(out, " sent %s received %s spliced %s duration %s rtt %.3fms retransmits %u",
		 format_size(view->sent_bytes + view->spliced_sent_bytes, sent),
		 format_size(view->received_bytes + view->spliced_received_bytes, received),
		 format_size(view->spliced_sent_bytes + view->spliced_received_bytes, spliced),
		 format_duration(view->duration_ns, duration), view->record->srtt_us / 1e3,
		 view->record->retransmits);
}

/* What is not as it should be; an orderly end goes without saying. */
static void add_ending(const struct flow_view *view, struct text *out)
{
	char buf[FORMAT_MAX];
	const char *failure = flow_failure(view), *error = flow_error(view, buf);

	if (view->record->type == SST_RECORD_CLOSE && view->record->ending != SST_ENDING_ORDERLY)
		text_add(out, " %s", flow_ending(view));
	if (failure)
		text_add(out, " %s", failure);
	if (error)
		text_add(out, " error %s", error);
}

void record_to_line(const struct sst_record *record, const struct record_context *context,
		    struct text *out)
{
	struct flow_view view = flow_view(record, context);
	char time[FORMAT_MAX];

	text_add(out, "%s %-6s %s ", flow_time(&view, time), record_type_name(record->type),
		 protocol_name(record->protocol));
	flow_add_side(&view.source, out);
	if (flow_was_asked(&view)) {
		text_add_string(out, " -> ");
		flow_add_asked(&view, out);
	}
	text_add_string(out, " -> ");
	flow_add_side(&view.destination, out);
	text_add_string(out, " service ");
	flow_add_service(&view, out);
	add_ruling(&view, out);
	/* an opened flow has no figures yet, a denied one never will */
	if (record->type != SST_RECORD_OPEN && record->type != SST_RECORD_DENIED)
		add_figures(&view, out);
	add_ending(&view, out);
	text_add_string(out, "\n");
}

void record_lost_to_line(uint64_t count, struct text *out)
{
	text_add(out, "... %" PRIu64 " events lost: reading too slowly\n", count);
}
