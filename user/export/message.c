/* SPDX-License-Identifier: Apache-2.0 */
#include "export/message.h"

#include <stdbool.h>

#include "core/address.h"
#include "core/cleanup.h"
#include "export/format.h"
#include "export/json.h"

/* Why a message went by TCP, as the counters call it; NULL: it did not. */
static const char *reason(const struct sst_message *message)
{
#define X(symbol, group, name, help) name,
	static const char *const names[] = { SST_COUNTERS(X) };
#undef X

	if (message->decision == SST_COUNTER_MESSAGE_SPLICED)
		return NULL;
	return message->decision < ARRAY_SIZE(names) ? names[message->decision] : "?";
}

static const struct sst_service_info *service_of(const struct sst_message *message,
						 const struct record_context *context)
{
	const struct state_service *service = NULL;

	if (message->service && context->state && context->state->n_services)
		service = state_service(context->state, message->service);
	return service ? &service->info : NULL;
}

static char *time_text(const struct sst_message *message, const struct record_context *context,
		       char *buf)
{
	return format_time(message->time_ns + context->realtime_offset_ns, buf);
}

void message_to_line(const struct sst_message *message, const struct record_context *context,
		     struct text *out)
{
	const struct sst_service_info *service = service_of(message, context);
	char from[ADDRESS_TEXT_MAX], to[ADDRESS_TEXT_MAX], label[SERVICE_LABEL_MAX];
	const char *why = reason(message);
	char time[FORMAT_MAX];

	text_add(out, "%s %s > %s service %s flow %llu", time_text(message, context, time),
		 address_port_format(&message->local, message->local_port, from),
		 address_port_format(&message->remote, message->remote_port, to),
		 service ? format_service(service, label) : "-", message->flow);
	text_add(out, " seq %llu:%llu ack %llu length %u %s", message->offset,
		 message->offset + message->size, message->acked, message->size,
		 why ? "tcp " : "spliced");
	text_add(out, "%s\n", why ?: "");
}

json_t *message_to_json(const struct sst_message *message, const struct record_context *context)
{
	static const struct sst_addr none;
	const struct sst_service_info *service = service_of(message, context);
	bool asked = address_compare(&message->asked, &none);
	char time[FORMAT_MAX], port[SERVICE_PORT_MAX];
	const char *why = reason(message);
	json_t *object = json_object();

	json_set(&object, "time", json_string(time_text(message, context, time)));
	json_set(&object, "flow", json_id(message->flow));
	json_set(&object, "peer_flow", json_id(message->peer_flow));
	json_set(&object, "role",
		 json_string(message->role == SST_ROLE_SERVER ? "server" : "client"));
	json_set(&object, "sender", json_address_port(&message->local, message->local_port));
	json_set(&object, "receiver", json_address_port(&message->remote, message->remote_port));
	json_set(&object, "asked",
		 asked ? json_address_port(&message->asked, message->asked_port) : json_null());
	json_set(&object, "service", json_text(service ? service->name : NULL));
	json_set(&object, "service_port",
		 json_text(service ? format_service_port(service, port) : NULL));
	json_set(&object, "offset", json_integer(message->offset));
	json_set(&object, "acked", json_integer(message->acked));
	json_set(&object, "bytes", json_integer(message->size));
	json_set(&object, "path", json_string(why ? "tcp" : "spliced"));
	json_set(&object, "reason", json_text(why));
	return object;
}
