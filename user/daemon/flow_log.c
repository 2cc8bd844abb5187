/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/flow_log.h"

#include <errno.h>
#include <string.h>

#include "daemon/log.h"
#include "export/record.h"

/* ---- settings -------------------------------------------------------------------------- */

static void close_file(struct flow_log *log)
{
	if (!log->file.path)
		return;
	log_file_flush(&log->file);
	/* what still waits for a slow reader is lost with the file */
	log->written += log->file.written;
	log->lost += log->file.lost + log->file.n_waits;
	log_file_close(&log->file);
	log->file = (struct log_file){};
}

static bool is_same_file(const struct log_file *file, const struct model_flow_log *settings)
{
	return file->path && !strcmp(file->path, settings->file) &&
	       file->max_size == settings->max_size && file->keep == settings->keep;
}

/* Once when it begins to fail, whatever it fails with then. */
static void tell_failure(struct flow_log *log)
{
	const struct log_file *file = &log->file;
	int reason = file->error ?: file->reason;

	if (log->failing || (!file->error && file->lost == log->lost_before))
		return;
	log_line("flow log %s: %s; what it should hold is dropped, and counted", file->path,
		 reason == -EAGAIN ? "its reader is too slow" : strerror(-reason));
	log->failing = true;
}

void flow_log_configure(struct flow_log *log, const struct model_flow_log *settings)
{
	log->settings = settings->file ? settings : NULL;
	if (!log->settings) {
		close_file(log);
	} else if (!is_same_file(&log->file, settings)) {
		const struct log_file_options options = { settings->file, settings->max_size,
							  settings->keep };

		close_file(log);
		log->failing = false;
		log->lost_before = 0;
		if (log_file_open(&log->file, &options))
			log->settings = NULL; /* no memory for a path: there is worse to tell */
		else
			tell_failure(log);
	}
}

/* ---- events ------------------------------------------------------------------------------ */

/* By the flow's id, so that it is in the log from its begin to its end, or not at all. Ids of
 * one CPU follow each other: they are spread first. */
static bool is_sampled(const struct model_flow_log *settings, uint64_t flow)
{
	return settings->sample == 1 ||
	       (flow * 0x9e3779b97f4a7c15ull >> 32) % settings->sample == 0;
}

void flow_log_event(struct flow_log *log, const struct sst_record *record,
		    const struct record_context *context)
{
	struct record_context sampled = *context;
	struct text *out;
	uint64_t gap;

	if (!log->settings || !is_sampled(log->settings, record->flow) ||
	    !flow_filter_takes(&log->settings->only, record, context->state))
		return;
	out = log_file_begin(&log->file, &gap);
	if (!out)
		return;
	if (gap) {
		record_lost_to_json(gap, out);
		text_add_bytes(out, "\n", 1);
	}
	sampled.sample = log->settings->sample;
	record_to_json(record, &sampled, out);
	text_add_bytes(out, "\n", 1);
	log_file_end(&log->file);
}

void flow_log_flush(struct flow_log *log)
{
	if (!log->settings)
		return;
	log_file_flush(&log->file);
	tell_failure(log);
}

void flow_log_look(struct flow_log *log)
{
	if (!log->settings)
		return;
	log_file_look(&log->file);
	flow_log_flush(log);
	if (log->failing && !log->file.error && log->file.lost == log->lost_before) {
		log_line("flow log %s: is written again", log->file.path);
		log->failing = false;
	}
	log->lost_before = log->file.lost;
}

uint64_t flow_log_written(const struct flow_log *log)
{
	return log->written + log->file.written;
}

uint64_t flow_log_lost(const struct flow_log *log)
{
	return log->lost + log->file.lost;
}

void flow_log_close(struct flow_log *log)
{
	close_file(log);
	log->settings = NULL;
}
