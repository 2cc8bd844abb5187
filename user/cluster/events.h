/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Posts Events to the API server: a few, one after the other, and not for ever. Nothing waits for
 * them, and what cannot be posted is counted.
 */
#ifndef SIDESTEP_CLUSTER_EVENTS_H
#define SIDESTEP_CLUSTER_EVENTS_H

#include <uv.h>

#include "cluster/client.h"
#include "cluster/event.h"

struct events;

struct events_options {
	struct event_source source;
	/* That events are not allowed: once. May be NULL. */
	void (*tell)(const char *sentence, void *arg);
	void *arg;
};

struct events_figures {
	uint64_t posted;
	uint64_t repeated; /* told of lately */
	uint64_t dropped;  /* too many wait */
	uint64_t failed;
};

/* client, and what options point to, outlives it. */
int events_open(uv_loop_t *loop, struct client *client, const struct events_options *options,
		struct events **ret);

/* about: NULL for this node. What is given is copied. */
void events_tell(struct events *events, enum event_reason reason, const struct event_object *about,
		 const char *note);

void events_figures(const struct events *events, struct events_figures *ret);

/* Before the client's; memory goes once the loop has run. NULL: nothing is done. */
void events_close(struct events *events);

#endif
