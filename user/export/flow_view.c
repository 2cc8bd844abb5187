/* SPDX-License-Identifier: Apache-2.0 */
#include "export/flow_view.h"

#include <stdio.h>
#include <string.h>

#include "core/address.h"
#include "export/edge.h"
#include "export/format.h"
#include "export/whois.h"
#include "policy/label.h"

static const struct sst_service_info *service_of(const struct sst_record *record,
						 const struct record_context *context)
{
	const struct state_service *service;

	if (!record->service || !context->state)
		return NULL;
	service = state_service(context->state, record->service);
	return service ? &service->info : NULL;
}

static const struct policy_set *policy_of(const struct record_context *context)
{
	static const struct policy_set none;

	return context->state ? &context->state->policy : &none;
}

static struct flow_ruling ruling_of(const struct sst_judgement *judgement)
{
	struct flow_ruling ruling = {};

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

struct flow_view flow_view(const struct sst_record *record, const struct record_context *context)
{
	bool server = record->role == SST_ROLE_SERVER;
	struct flow_side local = { record->local, record->local_port };
	struct flow_side remote = { record->remote, record->remote_port };
	struct flow_who end = { record->judgement.identity, record->judgement.workload };
	struct flow_who peer = { record->judgement.peer_identity, record->judgement.peer_workload };
	struct flow_view view = {
		.record = record,
		.context = context,
		.source = server ? remote : local,
		.destination = server ? local : remote,
		.asked = { record->asked, record->asked_port },
		.sent_bytes = server ? record->received_bytes : record->sent_bytes,
		.received_bytes = server ? record->sent_bytes : record->received_bytes,
		.service = service_of(record, context),
		.policy = policy_of(context),
		.source_who = server ? peer : end,
		.destination_who = server ? end : peer,
		.ruling = ruling_of(&record->judgement),
	};

	view.spliced_sent_bytes =
		server ? record->spliced_received_bytes : record->spliced_sent_bytes;
	view.spliced_received_bytes =
		server ? record->spliced_sent_bytes : record->spliced_received_bytes;
	/* the iterator may see a connection that is just being established */
	if (record->opened_ns && record->time_ns > record->opened_ns)
		view.duration_ns = record->time_ns - record->opened_ns;
	return view;
}

bool flow_side_is_known(const struct flow_side *side)
{
	return side->port || !address_is_unspecified(&side->address);
}

bool flow_was_asked(const struct flow_view *view)
{
	static const struct sst_addr none;

	return address_compare(&view->asked.address, &none);
}

const char *flow_role(const struct flow_view *view)
{
	return view->record->role == SST_ROLE_SERVER ? "server" : "client";
}

const char *flow_ending(const struct flow_view *view)
{
	return view->record->type == SST_RECORD_CLOSE ? ending_name(view->record->ending) : NULL;
}

const char *flow_failure(const struct flow_view *view)
{
	return view->record->type == SST_RECORD_FAILED ? failure_name(view->record->ending) : NULL;
}

const char *flow_error(const struct flow_view *view, char *buf)
{
	const char *name = strerrorname_np(view->record->error);

	if (!view->record->error)
		return NULL;
	if (name)
		return name;
	snprintf(buf, FORMAT_MAX, "%u", view->record->error);
	return buf;
}

char *flow_time(const struct flow_view *view, char *buf)
{
	return format_time(view->record->time_ns + view->context->realtime_offset_ns, buf);
}

/* ---- for people ---------------------------------------------------------------------- */

void flow_add_service(const struct flow_view *view, struct text *out)
{
	char label[SERVICE_LABEL_MAX];

	if (view->service)
		text_add_string(out, format_service(view->service, label));
	else if (view->record->service)
		text_add(out, "#%u", view->record->service);
	else
		text_add_string(out, "-");
}

void flow_add_side(const struct flow_side *side, struct text *out)
{
	char address[ADDRESS_TEXT_MAX];

	text_add_string(out, flow_side_is_known(side)
				     ? address_port_format(&side->address, side->port, address)
				     : "-");
}

void flow_add_asked(const struct flow_view *view, struct text *out)
{
	if (flow_was_asked(view))
		flow_add_side(&view->asked, out);
	else
		text_add_string(out, "-");
}

void flow_add_who(const struct flow_view *view, const struct flow_who *who, struct text *out)
{
	if (view->ruling.asked)
		whois_text(view->policy, who->identity, who->workload, out);
	else
		text_add_string(out, "-");
}

void flow_add_rule(const struct flow_view *view, struct text *out)
{
	const struct flow_ruling *ruling = &view->ruling;

	if (!ruling->asked) {
		text_add_string(out, "-");
		return;
	}
	text_add(out, "%s %s", direction_name(ruling->direction), tier_name(ruling->tier));
	if (!ruling->rule)
		return;
	text_add_string(out, " ");
	policy_label_rule(view->policy, ruling->rule, out);
}
