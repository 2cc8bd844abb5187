/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a ring buffer: one of the kernel half's two streams of news. */
#ifndef SIDESTEP_DATAPATH_RING_H
#define SIDESTEP_DATAPATH_RING_H

#include <stddef.h>

struct ring;

typedef void (*ring_fn)(const void *record, size_t size, void *arg);

/* map_fd stays the caller's. 0 or -errno. */
int ring_open(int map_fd, ring_fn fn, void *arg, struct ring **ret);

/* Becomes readable when the kernel half says that reading is worth it. */
int ring_poll_fd(const struct ring *ring);

/* Calls fn for all that is there; returns how many, or -errno. */
int ring_consume(struct ring *ring);

/* The same for at most max: a reader slower than the writers comes up for air. */
int ring_consume_some(struct ring *ring, unsigned max);

/* Empties it: nobody hears of what is there. Its writers must have been stopped. */
void ring_discard(struct ring *ring);

void ring_close(struct ring *ring);

#endif
