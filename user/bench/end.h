/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One end of a connection as an event loop has it: a non-blocking socket, the kind that may be
 * spliced, watched by epoll, level-triggered.
 *
 * Whatever the two ends say is the same endless pattern in either direction, so that what
 * arrives can be told from what should have. The first and the last byte of all that one
 * recv() brings are looked at; all bytes where the end is thorough, which takes time.
 *
 * Functions return 0 or more, or a negative errno: -EBADMSG when other bytes arrive than were sent.
 */
#ifndef SIDESTEP_BENCH_END_H
#define SIDESTEP_BENCH_END_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#define END_MESSAGE_MAX (1u << 20)

struct end_address {
	struct sockaddr_storage sa;
	socklen_t length;
};

/* text is an IP address. -EINVAL: it is none. */
int end_address_tcp(const char *text, unsigned port, struct end_address *ret);

/* An abstract one: it belongs to the network namespace and goes with the socket. */
struct end_address end_address_unix(const char *name);

/* What the ends of a process share. */
struct end_loop {
	bool nagle;
	int epoll;
	char *pattern; /* what is sent */
	char *arrived; /* where what comes is dropped */
};

struct end {
	const struct end_loop *loop;
	int fd;
	uint32_t watched;
	uint64_t sent, received;
	bool thorough;
};

/* Once a process, with nagle set. What it takes goes with the process. */
int end_loop_open(struct end_loop *loop);

int end_listen(const struct end_address *address);
int end_accept(const struct end_loop *loop, int listener, struct end *ret);
int end_dial(const struct end_loop *loop, const struct end_address *address, struct end *ret);
void end_close(struct end *end);

/* n is END_MESSAGE_MAX at most. _some: what one call takes, at least 1; it waits if it must. */
ssize_t end_send_some(struct end *end, size_t n);
int end_send(struct end *end, size_t n);

/* Waits, then reads, as event loops do. 0: the other end has ended the stream. */
ssize_t end_receive_some(struct end *end, size_t n);

/* All n; 0: the other end has ended the stream before the first. -ECONNRESET: within it. */
ssize_t end_receive(struct end *end, size_t n);

#endif
