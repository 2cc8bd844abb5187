/* SPDX-License-Identifier: Apache-2.0 */
/* One record of a flow: for programs (JSON), and as a sentence for `flows --follow`. Columns are
 * made by flow_table.h. */
#ifndef SIDESTEP_EXPORT_RECORD_H
#define SIDESTEP_EXPORT_RECORD_H

#include "export/flow_view.h"

/* Raised when a member goes or changes its meaning; new ones may come without. */
#define RECORD_VERSION 1

/*
 * Appends one object, compact and without a newline: the one form in which programs get a
 * record, whether of a listing, an event or a line of the flow log. The members are
 * documented in sidestep(8). Without memory nothing is appended and out->error is set.
 */
void record_to_json(const struct sst_record *record, const struct record_context *context,
		    struct text *out);

/* Appends one line, with its newline. */
void record_to_line(const struct sst_record *record, const struct record_context *context,
		    struct text *out);

/* The same two for events that did not reach a reader. */
void record_lost_to_json(uint64_t count, struct text *out);
void record_lost_to_line(uint64_t count, struct text *out);

#endif
