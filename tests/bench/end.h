/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One end of a connection as an event loop has it: a non-blocking socket that is
 * watched by epoll, level-triggered. A process has one connection at a time.
 */
#ifndef TESTS_BENCH_END_H
#define TESTS_BENCH_END_H

#include <fcntl.h>
#include <sys/epoll.h>

#include "../tools/tool.h"

struct end {
	int fd;
	uint32_t watched;
};

static char buffer[1 << 20]; /* what is sent, and where what comes is dropped */

static int end_epoll;
static bool end_no_delay;
static const char *end_congestion; /* NULL: as it is */

/* Once a process, before its first end. An untouched buffer would be the one page of
 * zeroes many times over, which is cheaper to send than anything real. */
static inline void end_init(void)
{
	memset(buffer, 'x', sizeof(buffer));
	end_epoll = epoll_create1(EPOLL_CLOEXEC);
	if (end_epoll < 0)
		tool_die("epoll_create1");
}

/* The same for ends of TCP connections. */
static inline void end_init_tcp(bool nagle, const char *congestion)
{
	end_init();
	end_no_delay = !nagle;
	end_congestion = congestion;
}

/* A socket that will be connected or listens. */
static inline void end_prepare(int fd)
{
	if (end_congestion && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, end_congestion,
					 (socklen_t)strlen(end_congestion)))
		tool_die(end_congestion);
}

static inline struct end end_open(int fd)
{
	struct end end = { .fd = fd, .watched = EPOLLIN };
	struct epoll_event event = { .events = EPOLLIN };

	if (fcntl(fd, F_SETFL, O_NONBLOCK))
		tool_die("fcntl");
	if (end_no_delay)
		tool_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (epoll_ctl(end_epoll, EPOLL_CTL_ADD, fd, &event))
		tool_die("epoll_ctl");
	return end;
}

static inline struct end end_dial(const struct address *server)
{
	int fd = socket(server->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		tool_die("socket");
	end_prepare(fd);
	if (connect(fd, (const struct sockaddr *)&server->sa, server->len))
		tool_die("connect");
	return end_open(fd);
}

static inline void end_close(struct end *end)
{
	close(end->fd);
}

static inline void end_await(struct end *end, uint32_t events)
{
	struct epoll_event event = { .events = events };

	if (end->watched != events && epoll_ctl(end_epoll, EPOLL_CTL_MOD, end->fd, &event))
		tool_die("epoll_ctl");
	end->watched = events;
	if (epoll_wait(end_epoll, &event, 1, -1) < 0)
		tool_die("epoll_wait");
}

static inline void send_all(struct end *end, const void *data, size_t len)
{
	const char *next = data;

	while (len) {
		ssize_t n = send(end->fd, next, len, 0);

		if (n < 0 && errno != EAGAIN)
			tool_die("send");
		if (n < 0) {
			end_await(end, EPOLLOUT);
			continue;
		}
		next += n;
		len -= (size_t)n;
	}
}

/* Waits, then reads, as event loops do. Returns 0 at the end of the stream. */
static inline size_t receive(struct end *end, void *data, size_t len)
{
	ssize_t n;

	do {
		end_await(end, EPOLLIN);
		n = recv(end->fd, data, len, 0);
	} while (n < 0 && errno == EAGAIN);
	if (n < 0)
		tool_die("recv");
	return (size_t)n;
}

/* False: the stream ended instead. */
static inline bool receive_all(struct end *end, void *data, size_t len)
{
	for (char *next = data; len;) {
		size_t n = receive(end, next, len);

		if (!n)
			return false;
		next += n;
		len -= n;
	}
	return true;
}

/* The server's half of a round trip; false: there is no further request. */
static inline bool answer(struct end *end, uint32_t size)
{
	if (!receive_all(end, buffer, size))
		return false;
	send_all(end, buffer, size);
	return true;
}

static inline void round_trip(struct end *end, uint32_t size)
{
	send_all(end, buffer, size);
	if (!receive_all(end, buffer, size))
		tool_exit(EXIT_FAILURE, "bench: the server has closed the connection");
}

#endif
