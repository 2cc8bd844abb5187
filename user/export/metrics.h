/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel's maps hold, in Prometheus' text format. Every family is
 * described in docs/metrics.md, and a unit test holds that table against the
 * output.
 *
 * Counters are the kernel's, so they go on across restarts of the daemon. What
 * the daemon alone knows is told in gauges.
 */
#ifndef SIDESTEP_EXPORT_METRICS_H
#define SIDESTEP_EXPORT_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/text.h"
#include "model/state.h"

/*
 * Some seventeen series an endpoint: a collector would choke on those of 100,000. With more
 * endpoints than this only services have series; the CLI shows endpoints all the same.
 */
#define METRICS_ENDPOINTS_MAX 1000

/* The same of rules: each has four series. */
#define METRICS_RULES_MAX 1000

/* The daemon's own values. Times are CLOCK_REALTIME. */
struct metrics_daemon {
	uint64_t started_ns;
	uint64_t reloaded_ns;  /* the last time the configuration was read, accepted or not */
	bool reload_succeeded; /* that time */
	unsigned problems;     /* found that time */
	uint64_t log_lines;    /* of the flow log, that were written .. */
	uint64_t log_lost;     /* .. and that could not be */
	uint64_t follow_lost;  /* events that followers read too slowly for */
};

/*
 * Appends all families to out; daemon may be NULL. Returns 0, or -ENOMEM, when
 * what was appended is incomplete and must not be shown.
 */
int metrics_write(const struct state *state, const struct metrics_daemon *daemon, struct text *out);

#endif
