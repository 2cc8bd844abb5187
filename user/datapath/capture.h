/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Following the messages of adopted sockets: a capture is of one flow, or of all flows
 * of some services. There is one at a time. The kernel half ends it at its deadline or
 * with its last message, so one whose process was killed is over as well.
 */
#ifndef SIDESTEP_DATAPATH_CAPTURE_H
#define SIDESTEP_DATAPATH_CAPTURE_H

#include "datapath/datapath.h"

struct capture_options {
	uint64_t flow;            /* the cookie of either end; 0: by service */
	const uint32_t *services; /* ids */
	size_t n_services;
	unsigned seconds;
	uint64_t messages;
	uint32_t payload; /* bytes of each message, at most SST_PAYLOAD_MAX; 0: none */
};

/* The message's first message->captured bytes lie behind it. */
typedef void (*capture_fn)(const struct sst_message *message, void *arg);

struct capture;

/* -EBUSY: another process, capture_owner(), has one running. */
int capture_start(struct datapath *datapath, const struct capture_options *options, capture_fn fn,
		  void *arg, struct capture **ret);
int capture_owner(struct datapath *datapath, uint32_t *ret_pid);

/* Becomes readable when much waits to be read; look every now and then all the same. */
int capture_poll_fd(const struct capture *capture);

/* Calls fn for some hundred messages at most. */
enum capture_state {
	CAPTURE_ENDED, /* at its deadline or limit; there may be more to read */
	CAPTURE_GOES_ON,
	CAPTURE_HAS_MORE, /* to read at once */
};
int capture_read(struct capture *capture); /* or -errno */

/* Ends it and calls fn for all the rest. *ret_lost: messages that were not told of. */
int capture_stop(struct capture *capture, uint64_t *ret_lost);

/* Ends it if need be. Usable as a cleanup. */
void capture_free(struct capture *capture);
static inline void cleanup_capture(struct capture **capture)
{
	capture_free(*capture);
}
#define _cleanup_capture_ __attribute__((cleanup(cleanup_capture)))

#endif
