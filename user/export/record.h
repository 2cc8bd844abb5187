/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One record of a flow, for programs (JSON), for `flows --follow` (a line) and for
 * `flows` (a row).
 *
 * All of them tell the flow from the client's point of view, whichever end the
 * record is of: the source is the client, "sent" goes from it to the service.
 * So the two ends of a flow on one node agree, but for what belongs to an end
 * alone: its role, state, RTT and retransmissions, cgroup and namespace.
 */
#ifndef SIDESTEP_EXPORT_RECORD_H
#define SIDESTEP_EXPORT_RECORD_H

#include <jansson.h>
#include <stdint.h>

#include "core/table.h"
#include "core/text.h"
#include "model/state.h"

/* What a record does not say itself. */
struct record_context {
	const struct state *state;  /* for the names of services and of policy; NULL: not known */
	int64_t realtime_offset_ns; /* CLOCK_REALTIME - CLOCK_BOOTTIME */
};

/*
 * The members are documented in sidestep(8); new ones may come, none goes or changes
 * its meaning. Returns a new reference, NULL when memory is out.
 */
json_t *record_to_json(const struct sst_record *record, const struct record_context *context);

/* Appends one line, with its newline. */
void record_to_line(const struct sst_record *record, const struct record_context *context,
		    struct text *out);

/* A table for record_add_row(), without rows; table_release() it. */
struct table record_table(void);
void record_add_row(const struct sst_record *record, const struct record_context *context,
		    struct table *table);

#endif
