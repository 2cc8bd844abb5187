/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `flows --follow` asks of the daemon: which flows, and in what form. As JSON on the
 * control socket:
 *
 *   {"command":"follow","output":"json"|"text","columns":"flow,service","colour":true,
 *    "filter":{"source":["shop/web"],"errors":["true"]}}
 *
 * All but the command may be missing.
 */
#ifndef SIDESTEP_EXPORT_FOLLOW_REQUEST_H
#define SIDESTEP_EXPORT_FOLLOW_REQUEST_H

#include <jansson.h>

#include "core/text.h"
#include "export/flow_table.h"
#include "model/flow_filter.h"

/* Starts as { 0 }. */
struct follow_request {
	bool json;
	bool colour;                 /* of text */
	struct flow_columns columns; /* of text; none: a sentence each */
	struct flow_filter filter;
};

/* NULL when memory is out. */
json_t *follow_request_to_json(const struct follow_request *request);

/* -EINVAL: wrong (then *ret_wrong says what), or -ENOMEM. */
int follow_request_parse(const json_t *json, struct follow_request *ret, struct text *ret_wrong);

void follow_request_release(struct follow_request *request);
#define _cleanup_follow_request_ __attribute__((cleanup(follow_request_release)))

/* Appends the event in the form that is wanted, with its newline. */
void follow_request_add(const struct follow_request *request, const struct sst_record *record,
			const struct record_context *context, struct text *out);

/* The same for events that it was too slow for. */
void follow_request_add_lost(const struct follow_request *request, uint64_t count,
			     struct text *out);

#endif
