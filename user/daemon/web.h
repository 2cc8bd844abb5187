/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page of `run --web`: a server with one self-contained page, and what it shows.
 *
 *   /             the page
 *   /api/events   server-sent events: a snapshot every second, while somebody looks
 *   /api/state    one snapshot
 *   /api/explain  ?source=&destination=&port=, as `sidestep explain -o json`
 *   /healthz      "ok", without a token
 *
 * A snapshot takes at most a tenth of a thread's time: a large one comes less often.
 */
#ifndef SIDESTEP_DAEMON_WEB_H
#define SIDESTEP_DAEMON_WEB_H

#include "daemon/http.h"
#include "datapath/datapath.h"

struct web;

struct web_options {
	int fd; /* of http_listen(), taken over when web_open() returns 0 */
	struct http_address address;
	struct http_token token;
	struct datapath *datapath;
	const struct state *state; /* as it was read last, with policy, edges and rules */
	void (*want)(void *arg);   /* a reading for a snapshot; see below */
	void *arg;
};

int web_open(uv_loop_t *loop, const struct web_options *options, struct web **ret);

/* A reading: begin and end are the loop's, work may be another thread's, and is between the two. NULL:
 * the state could not be read. */
void web_begin(struct web *web);
void web_work(struct web *web, const struct state *state);
void web_end(struct web *web);

/* No reading is under way. Hangs up on everybody; memory goes once the loop has run. */
void web_close(struct web *web);

#endif
