/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP requests to one API server on a libuv loop: libcurl's multi interface. Its certificate is
 * always verified. Knows no Kubernetes but its way of saying who one is, and where any server
 * answers a question about its health.
 *
 * All of them share one connection where the server speaks HTTP/2. A server that is there and
 * says nothing for half a minute, not even when asked, is cut off: requests under way then end
 * with -EHOSTDOWN. Whoever uses this ignores SIGPIPE.
 */
#ifndef SIDESTEP_CLUSTER_CLIENT_H
#define SIDESTEP_CLUSTER_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "cluster/access.h"

struct client;
struct client_request;

struct client_result {
	int error;       /* 0: there was an answer, to its end; else -errno, or what data() said */
	unsigned status; /* of HTTP; 0 without an answer */
	unsigned retry_after_s;
	const char *reason; /* a sentence for people, when error; valid during the call */
};

struct client_calls {
	/* The answer begins. May be NULL. */
	void (*answered)(unsigned status, void *arg);
	/* Some bytes of the answer's body, whatever its status; -errno ends the request. */
	int (*data)(unsigned status, const char *bytes, size_t size, void *arg);
	/* Once, last; the request is gone after it. Not called for one that was cancelled. */
	void (*done)(const struct client_result *result, void *arg);
	void *arg;
};

struct client_ask {
	const char *method; /* "GET" */
	const char *path;   /* "/api/v1/services?limit=500" */
	const char *body;   /* JSON, copied; NULL: none */
	unsigned whole_ms;  /* after so long it ends with -ETIMEDOUT; 0: never */
};

/* Before all else: -ELIBACC, with what is missing in problems, where libcurl is not installed. */
int client_prepare(struct problems *problems);

/* access stays the caller's and outlives it. */
int client_open(uv_loop_t *loop, const struct access *access, struct client **ret);

/*
 * Both may be called at any time, by the calls above, too. What is begun is sent in the loop's
 * next round; of what is cancelled nothing is heard any more.
 */
int client_begin(struct client *client, const struct client_ask *ask,
		 const struct client_calls *calls, struct client_request **ret);
void client_cancel(struct client_request *request);

/*
 * The loop's time at which the server was there again, after there was no connection to it: who
 * waits since before that need not wait any longer. 0: it never was away.
 */
uint64_t client_reached_ms(const struct client *client);

/* CLOCK_MONOTONIC, when the server last said anything, or when it was first to. */
uint64_t client_heard_ns(const struct client *client);

/* Cancels all; memory goes once the loop has run. */
void client_close(struct client *client);

#endif
