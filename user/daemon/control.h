/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket: a Unix stream, mode 0600, served to root and to the daemon's
 * own user only (peer credentials are checked). A client sends one JSON object on a
 * line; lines come back.
 *
 *   {"command":"ping"}                            "pong"
 *   {"command":"reload"}                          "reloaded" or "refused"
 *   {"command":"warnings"}                        an array of sentences: what is not as it should
 *                                                 be around the node (daemon/surroundings.h)
 *   {"command":"follow", ...}                     a line an event, until it hangs up; what
 *                                                 else it may hold: export/follow_request.h
 *
 * A request that is none is answered with a sentence and hung up on.
 *
 * A follower that does not read loses lines, never anybody else's time: what waits
 * for it is bounded, and it is told how many it lost.
 */
#ifndef SIDESTEP_DAEMON_CONTROL_H
#define SIDESTEP_DAEMON_CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

#include "export/flow_view.h"

struct control;

struct control_calls {
	bool (*reload)(void *arg);                  /* whether the configuration was accepted */
	json_t *(*warnings)(void *arg);             /* NULL: memory is out */
	void (*followed)(bool followed, void *arg); /* the first follower comes, the last goes */
	void *arg;
};

/*
 * Listens on path; the caller has made sure that no other daemon does
 * (daemon_claim()). A socket file that is there is replaced.
 */
int control_open(uv_loop_t *loop, const char *path, const struct control_calls *calls,
		 struct control **ret);

/* For all followers whose filter takes it: kept until control_flush(). */
void control_event(struct control *control, const struct sst_record *record,
		   const struct record_context *context);

/* Sends what was kept, all of it to a follower at once: once for a batch of events. */
void control_flush(struct control *control);

/* Events that followers have lost so far, since they read too slowly. */
uint64_t control_lost(const struct control *control);

/* Hangs up on everybody and removes the socket; memory goes once the loop has run. */
void control_close(struct control *control);

#endif
