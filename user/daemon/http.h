/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTP server on the daemon's loop, for a few readers of one node: a browser, Prometheus.
 * It answers GET and HEAD, and streams: one text, published anew now and then, to all who follow.
 *
 * Nothing of it grows with what strangers do: connections, their memory and what waits in their
 * sockets are bounded. A request that is not complete, or an answer that is not read, after
 * HTTP_PATIENCE_MS ends the connection. Who reads a stream slowly gets the newest text when he has
 * read the one before; those between are dropped.
 */
#ifndef SIDESTEP_DAEMON_HTTP_H
#define SIDESTEP_DAEMON_HTTP_H

#include <stdbool.h>
#include <uv.h>

#include "core/http_rules.h"
#include "core/text.h"

#define HTTP_CONNECTIONS 64
#define HTTP_STREAMS     16 /* of these */
#define HTTP_PATIENCE_MS 20000

struct http;
struct http_request;

struct http_route {
	const char *path;
	bool open; /* asks for no token */
	/* Answers, or waits, by one of the calls below, before it returns. */
	void (*serve)(struct http_request *request, void *arg);
};

struct http_options {
	const char *name;            /* for the log, and of the cookie */
	struct http_address address; /* as http_listen() has it */
	struct http_token token;
	const struct http_route *routes;
	size_t n_routes;
	void (*followed)(bool followed, void *arg); /* the first stream comes, the last goes */
	void *arg;                                  /* of all these calls */
};

/* Since the start. What is told in the log is told of once. */
struct http_figures {
	unsigned connections, streams; /* now */
	uint64_t requests;
	uint64_t refused; /* no token, a Host that is not ours, what is not asked here */
	uint64_t full;    /* streams beyond HTTP_STREAMS */
	uint64_t dropped; /* texts that a slow reader did not get */
	uint64_t stalled; /* connections ended for want of patience */
};

/*
 * A socket that listens; an address's port 0 becomes the one that was found. -errno; -EADDRINUSE
 * when somebody else listens there, -ELIBACC, with a line in the log, without libmicrohttpd.
 */
int http_listen(struct http_address *address);

/* "127.0.0.1:9470"; buf holds ADDRESS_TEXT_MAX. Returns buf. */
char *http_address_format(const struct http_address *address, char *buf);

/* Takes fd over when it returns 0. What options point to outlives the server. */
int http_open(uv_loop_t *loop, int fd, const struct http_options *options, struct http **ret);

/* The argument or header of that name; NULL: none. Valid until the answer is given. */
const char *http_argument(struct http_request *request, const char *name);
const char *http_header(struct http_request *request, const char *name);

struct http_answer {
	unsigned status;
	const char *type;
	const char *policy; /* Content-Security-Policy; NULL: it may load nothing */
	struct text body;   /* taken over; one with an error becomes status 500 */
};

void http_reply(struct http_request *request, struct http_answer *answer);

/* One line of text/plain. */
void http_reply_line(struct http_request *request, unsigned status, const char *line);

/* There is no answer yet: the route is asked once more after http_wake(), of which each that waits
 * hears. */
void http_wait(struct http_request *request);
bool http_has_waited(const struct http_request *request);
void http_wake(struct http *http);

/* The answer are the texts to be published, beginning with the last one, until he hangs up. */
void http_follow(struct http_request *request, const char *type);

/* To all who follow. The text's data is taken over. */
void http_publish(struct http *http, struct text *text);

void http_figures(const struct http *http, struct http_figures *ret);

/* Hangs up on everybody; memory goes once the loop has run. */
void http_close(struct http *http);

#endif
