/* SPDX-License-Identifier: Apache-2.0 */
#include "export/flowlog.h"

#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "core/address.h"
#include "core/cleanup.h"
#include "core/text.h"
#include "export/json.h"

static int read_end(const json_t *record, const char *side, const char *who, struct replay_end *ret,
		    uint16_t *port)
{
	const json_t *end = json_object_get(record, side);
	const json_t *identity = json_object_get(record, who);
	const char *address = json_string_value(json_object_get(end, "address"));
	const char *workload = json_string_value(json_object_get(identity, "workload"));
	json_int_t id = json_integer_value(json_object_get(identity, "id"));
	json_int_t number = json_integer_value(json_object_get(end, "port"));

	/* who was denied before it had an address */
	ret->has_address = !json_is_null(end);
	if (ret->has_address && (!address || address_parse(address, &ret->address)))
		return -EINVAL;
	if (number < 0 || number > 65535)
		return -EINVAL;
	ret->is_reserved =
		json_is_object(identity) && (id == SST_IDENTITY_UNKNOWN ||
					     id == SST_IDENTITY_HOST || id == SST_IDENTITY_PROBES);
	ret->reserved = ret->is_reserved ? id : 0;
	ret->workload = workload ? strdup(workload) : NULL;
	*port = number;
	return workload && !ret->workload ? -ENOMEM : 0;
}

static int read_protocol(const json_t *record, uint8_t *ret)
{
	const char *protocol = json_string_value(json_object_get(record, "protocol"));

	if (!protocol)
		return -EINVAL;
	*ret = strcmp(protocol, "UDP") ? IPPROTO_TCP : IPPROTO_UDP;
	return 0;
}

/* Events that the log, or its reader, was too slow for: they cannot be judged. */
static bool is_gap(const json_t *record)
{
	const char *event = json_string_value(json_object_get(record, "event"));

	return event && !strcmp(event, "lost");
}

static int read_record(const json_t *record, struct replay_flow *ret)
{
	const char *verdict = json_string_value(json_object_get(record, "verdict"));
	uint16_t source_port;
	int err = read_protocol(record, &ret->protocol);

	if (!err)
		err = read_end(record, "source", "source_identity", &ret->source, &source_port);
	if (!err)
		err = read_end(record, "destination", "destination_identity", &ret->destination,
			       &ret->port);
	if (!err && !ret->destination.has_address)
		err = -EINVAL;
	ret->denied = verdict && !strcmp(verdict, "denied");
	return err;
}

/* A UDP socket may be denied one destination after the other. */
static int add_flow(struct flowlog *log, const json_t *record)
{
	const char *flow = json_string_value(json_object_get(record, "flow"));
	const json_t *destination = json_object_get(record, "destination");
	const char *address = json_string_value(json_object_get(destination, "address"));
	_cleanup_text_ struct text key = {};
	struct seen_first first;
	int err;

	if (!flow)
		return 0;
	text_add(&key, "%s %s %" JSON_INTEGER_FORMAT, flow, address ?: "",
		 json_integer_value(json_object_get(destination, "port")));
	err = key.error
		      ?: seen_add(&log->flows, text_string(&key), key.length, (struct seen_first){},
				  &first);
	return err == -EEXIST ? 1 : err;
}

int flowlog_read(struct flowlog *log, const char *line, const char *source, unsigned number,
		 struct problems *problems, struct replay_flow *ret)
{
	struct place place = { .line = number, .column = 1 };
	struct replay_flow flow = {};
	json_error_t error;
	_cleanup_json_ json_t *record = json_loads(line, JSON_REJECT_DUPLICATES, &error);
	int err;

	if (!record) {
		place.column = error.column > 0 ? error.column : 1;
		problems_add(problems, source, place, "no JSON: %s", error.text);
		return -EINVAL;
	}
	if (is_gap(record))
		return 0;
	err = read_record(record, &flow);
	if (!err)
		err = add_flow(log, record);
	if (!err) {
		*ret = flow;
		return 1;
	}
	flowlog_flow_release(&flow);
	if (err == -EINVAL)
		problems_add(
			problems, source, place,
			"no record of a flow, expected a line of a flow log or of 'sidestep flows --follow -o json'");
	return err > 0 ? 0 : err;
}

void flowlog_flow_release(struct replay_flow *flow)
{
	free(flow->source.workload);
	free(flow->destination.workload);
	flow->source.workload = flow->destination.workload = NULL;
}

void flowlog_release(struct flowlog *log)
{
	seen_release(&log->flows);
}
