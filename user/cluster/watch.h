/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All objects of one resource, as they are and as they change: list and watch, as client-go's
 * reflector does it. Streams the list where the server offers that, else reads it by pages.
 *
 * It never gives up: whatever fails is tried again, later and later, at random within bounds. What
 * was told stays true as far as is known; how old that is, is in the figures.
 */
#ifndef SIDESTEP_CLUSTER_WATCH_H
#define SIDESTEP_CLUSTER_WATCH_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "cluster/client.h"

struct watch;

struct watch_resource {
	const char *path;     /* "/api/v1/services" */
	const char *selector; /* "fieldSelector=...", encoded, without & ; NULL: all */
	bool optional;        /* a server that does not know it (404) has none of them */
};

/*
 * Objects are the watch's own, valid during the call. Those of a list that comes by pages have
 * neither kind nor apiVersion. Any string may have NUL characters in it. Any call may close the
 * watch, which calls no more then.
 */
struct watch_calls {
	/* A list begins: what is not told of until its end is no longer there. Again before its
	 * end: that one has failed, another one begins. */
	void (*begin)(void *arg);
	/* These return 0, or -errno: what was told could not be taken, and all is listed anew. */
	int (*put)(json_t *object, void *arg); /* it is there, new or changed */
	int (*gone)(json_t *object, void *arg);
	int (*end)(void *arg); /* the list is complete */
	void *arg;
};

enum watch_failure {
	WATCH_UNREACHABLE, /* no connection, or it broke */
	WATCH_SILENT,      /* nothing came for too long */
	WATCH_REFUSED,     /* 401, 403 */
	WATCH_THROTTLED,   /* 429 */
	WATCH_EXPIRED,     /* 410: what we knew is too old, all is listed anew */
	WATCH_ANSWERED,    /* any other status, or 500 in the stream */
	WATCH_GARBLED,     /* what came is not what it should be */
	WATCH_UNTAKEN,     /* we could not take it: memory is out */
	WATCH_FAILURE_MAX,
};

struct watch_figures {
	bool synced;  /* a list was complete once */
	bool absent;  /* the server does not know the resource */
	bool current; /* a watch is under way, nothing is known to be missed */
	/* CLOCK_MONOTONIC: until when all is known; 0: never. While it is current, that is when the
	 * server last said anything. */
	uint64_t heard_ns;
	uint64_t lists, events;
	uint64_t failures[WATCH_FAILURE_MAX];
	char problem[256]; /* the last failure, for people; "" while all is well */
};

extern const char *const watch_failure_names[WATCH_FAILURE_MAX]; /* as metrics call them */

/* resource and calls are copied, what they point to outlives it. */
int watch_open(uv_loop_t *loop, struct client *client, const struct watch_resource *resource,
	       const struct watch_calls *calls, struct watch **ret);
void watch_figures(const struct watch *watch, struct watch_figures *ret);
/* Before its client. Memory goes once the loop has run. */
void watch_close(struct watch *watch);

#endif
