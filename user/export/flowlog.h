/* SPDX-License-Identifier: Apache-2.0 */
/* What a flow log or `flows --follow -o json` has written, read back for a replay. */
#ifndef SIDESTEP_EXPORT_FLOWLOG_H
#define SIDESTEP_EXPORT_FLOWLOG_H

#include "core/problems.h"
#include "core/seen.h"
#include "policy/replay.h"

/* Starts as { 0 }; release the set of flows with flowlog_release(). */
struct flowlog {
	struct seen flows; /* each is judged once: it opens, and it closes */
};

/*
 * One line. Returns 1 with *ret to be released; 0 for a flow that was there before, or
 * a word of lost ones; -EINVAL when
 * the line is no record, with the reason in problems; -ENOMEM.
 */
int flowlog_read(struct flowlog *log, const char *line, const char *source, unsigned number,
		 struct problems *problems, struct replay_flow *ret);

void flowlog_flow_release(struct replay_flow *flow);
void flowlog_release(struct flowlog *log);
#define _cleanup_flowlog_ __attribute__((cleanup(flowlog_release)))

#endif
