/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/end.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/address.h"
#include "core/cleanup.h"

/*
 * The pattern is lines of 64 bytes that differ, and repeats after an odd number of them: no
 * size of a message is a multiple, and messages of 64 bytes and more begin where a line does, as
 * a program's own buffers would.
 */
#define LINE   64
#define PERIOD (251 * LINE)

static void fill(char *pattern, size_t size)
{
	for (size_t i = 0; i < size; i++)
		pattern[i] = (char)(i % PERIOD + i % PERIOD / LINE);
}

/* Touched before anything is measured: no page is missing, and none is the one of zeroes, which
 * is cheaper to send than anything real. */
int end_loop_open(struct end_loop *loop)
{
	loop->pattern = malloc(PERIOD + END_MESSAGE_MAX);
	loop->arrived = malloc(END_MESSAGE_MAX);
	if (!loop->pattern || !loop->arrived)
		return -ENOMEM;
	fill(loop->pattern, PERIOD + END_MESSAGE_MAX);
	memset(loop->arrived, 'x', END_MESSAGE_MAX);
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	return loop->epoll < 0 ? -errno : 0;
}

int end_address_tcp(const char *text, unsigned port, struct end_address *ret)
{
	struct sst_addr address;
	int err = address_parse(text, &address);

	if (!err)
		ret->length = address_to_sockaddr(&address, htons((uint16_t)port), &ret->sa);
	return err;
}

struct end_address end_address_unix(const char *name)
{
	struct sockaddr_un path = { .sun_family = AF_UNIX };
	struct end_address ret = {};
	int n = snprintf(path.sun_path + 1, sizeof(path.sun_path) - 1, "%s", name);

	memcpy(&ret.sa, &path, sizeof(path));
	ret.length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
	return ret;
}

/* ---- a connection's begin and end --------------------------------------------------------- */

/* Takes the fd over. */
static int open_end(const struct end_loop *loop, int taken, int family, struct end *ret)
{
	struct epoll_event event = { .events = EPOLLIN };
	_cleanup_close_ int fd = taken;
	int on = 1;

	if (fcntl(fd, F_SETFL, O_NONBLOCK) ||
	    (family != AF_UNIX && !loop->nagle &&
	     setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on))) ||
	    epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event))
		return -errno;
	*ret = (struct end){ .loop = loop, .fd = TAKE_FD(fd), .watched = EPOLLIN };
	return 0;
}

int end_listen(const struct end_address *address)
{
	const struct sockaddr *sa = (const struct sockaddr *)&address->sa;
	_cleanup_close_ int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0)
		return -errno;
	/* the connections of the measurement before may still be in TIME_WAIT */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, sa, address->length) || listen(fd, SOMAXCONN))
		return -errno;
	return TAKE_FD(fd);
}

int end_accept(const struct end_loop *loop, int listener, struct end *ret)
{
	struct sockaddr_storage peer;
	socklen_t length = sizeof(peer);
	int fd = accept4(listener, (struct sockaddr *)&peer, &length, SOCK_CLOEXEC);

	return fd < 0 ? -errno : open_end(loop, fd, peer.ss_family, ret);
}

int end_dial(const struct end_loop *loop, const struct end_address *address, struct end *ret)
{
	const struct sockaddr *sa = (const struct sockaddr *)&address->sa;
	_cleanup_close_ int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, sa, address->length))
		return -errno;
	return open_end(loop, TAKE_FD(fd), sa->sa_family, ret);
}

void end_close(struct end *end)
{
	close(end->fd);
}

/* ---- what is said -------------------------------------------------------------------------- */

static int await(struct end *end, uint32_t events)
{
	struct epoll_event event = { .events = events };

	if (end->watched != events && epoll_ctl(end->loop->epoll, EPOLL_CTL_MOD, end->fd, &event))
		return -errno;
	end->watched = events;
	return epoll_wait(end->loop->epoll, &event, 1, -1) < 0 ? -errno : 0;
}

ssize_t end_send_some(struct end *end, size_t n)
{
	const char *next = end->loop->pattern + end->sent % PERIOD;
	ssize_t sent;

	while ((sent = send(end->fd, next, n, MSG_NOSIGNAL)) < 0) {
		int err = errno == EAGAIN ? await(end, EPOLLOUT) : -errno;

		if (err)
			return err;
	}
	end->sent += (uint64_t)sent;
	return sent;
}

int end_send(struct end *end, size_t n)
{
	while (n) {
		ssize_t sent = end_send_some(end, n);

		if (sent < 0)
			return (int)sent;
		n -= (size_t)sent;
	}
	return 0;
}

static bool is_right(const struct end *end, size_t n)
{
	const char *expected = end->loop->pattern + end->received % PERIOD;
	const char *arrived = end->loop->arrived;

	if (end->thorough)
		return !memcmp(arrived, expected, n);
	return arrived[0] == expected[0] && arrived[n - 1] == expected[n - 1];
}

ssize_t end_receive_some(struct end *end, size_t n)
{
	ssize_t received;

	do {
		int err = await(end, EPOLLIN);

		if (err)
			return err;
		received = recv(end->fd, end->loop->arrived, n, 0);
	} while (received < 0 && errno == EAGAIN);
	if (received < 0)
		return -errno;
	if (received && !is_right(end, (size_t)received))
		return -EBADMSG;
	end->received += (uint64_t)received;
	return received;
}

ssize_t end_receive(struct end *end, size_t n)
{
	size_t left = n;

	while (left) {
		ssize_t received = end_receive_some(end, left);

		if (received < 0)
			return received;
		if (!received)
			return left == n ? 0 : -ECONNRESET;
		left -= (size_t)received;
	}
	return (ssize_t)n;
}
