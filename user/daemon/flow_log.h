/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flow log: events that the configuration wants kept, a line of JSON each, to a file or
 * standard output. What cannot be written is dropped and counted; the log itself tells of the
 * gap as soon as it is written again, and standard error once.
 */
#ifndef SIDESTEP_DAEMON_FLOW_LOG_H
#define SIDESTEP_DAEMON_FLOW_LOG_H

#include "core/log_file.h"
#include "export/flow_view.h"
#include "model/model.h"

/* Starts as { 0 }. */
struct flow_log {
	const struct model_flow_log *settings; /* NULL: there is none */
	struct log_file file;
	uint64_t written, lost; /* by those before this file */
	uint64_t lost_before;   /* at the last look */
	bool failing;           /* that was told */
};

/* The settings stay the caller's, and there until the next call. One that says the same as
 * before goes on with its file. */
void flow_log_configure(struct flow_log *log, const struct model_flow_log *settings);

static inline bool flow_log_is_on(const struct flow_log *log)
{
	return log->settings;
}

/* Keeps the event, if it is wanted; flow_log_flush() writes those of a batch. */
void flow_log_event(struct flow_log *log, const struct sst_record *record,
		    const struct record_context *context);
void flow_log_flush(struct flow_log *log);

/* Every few seconds: tries again, and tells when it goes on. */
void flow_log_look(struct flow_log *log);

/* Lines so far. */
uint64_t flow_log_written(const struct flow_log *log);
uint64_t flow_log_lost(const struct flow_log *log);

void flow_log_close(struct flow_log *log);

#endif
