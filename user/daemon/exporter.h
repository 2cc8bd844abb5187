/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metrics' way out: the stats file, and /metrics over HTTP. Beside that are /livez, which says
 * that the loop turns, and /readyz, that what is wanted is in force. What must not be forgotten when
 * this daemon ends is kept in a file beside the stats file (see export/series.h).
 */
#ifndef SIDESTEP_DAEMON_EXPORTER_H
#define SIDESTEP_DAEMON_EXPORTER_H

#include <uv.h>

#include "core/http_rules.h"
#include "export/metrics.h"

struct exporter;

struct exporter_options {
	const char *stats;           /* the file */
	bool istio;                  /* Istio's names, too */
	int http;                    /* a socket that listens; -1: no /metrics */
	struct http_address address; /* its */
};

struct exporter_calls {
	/* A scrape waits for a reading of the kernel's figures; see below. */
	void (*want)(void *arg);
	uint32_t (*budget)(void *arg); /* of series */
	bool (*ready)(void *arg);      /* all that is wanted is known and in force */
	void *arg;
};

/* Takes options->http over when it returns 0. What options and calls point to outlives it. */
int exporter_open(uv_loop_t *loop, const struct exporter_options *options,
		  const struct exporter_calls *calls, struct exporter **ret);

/* The daemon's own values, for the caller to keep. */
struct metrics_daemon *exporter_self(struct exporter *exporter);

/* A flow that may serve as an example. */
void exporter_event(struct exporter *exporter, const struct sst_record *record,
		    int64_t realtime_offset_ns);

/*
 * A reading: begin and end are the loop's, work may be another thread's, and is between the two.
 * With many endpoints reading takes long, and so does writing of what was read: the loop waits for
 * neither. A scrape is answered from a reading that ends after it came.
 */

/* Copies what the thread needs of the loop's. accounts: the stats file is to be written, too. Returns
 * the daemon's own values as they will be told, for the thread to complete. */
struct metrics_daemon *exporter_begin(struct exporter *exporter, bool accounts);

/* Writes what is wanted: the stats file, texts of /metrics. NULL: the figures could not be read. */
void exporter_work(struct exporter *exporter, const struct state *state);

/* Answers scrapes. What has failed is counted, and told once. */
void exporter_end(struct exporter *exporter);

/* No reading is under way. */
void exporter_close(struct exporter *exporter);

#endif
