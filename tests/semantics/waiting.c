/* SPDX-License-Identifier: Apache-2.0 */
/* Readiness: poll, select, epoll level and edge, SIGIO, and sleepers that are woken. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "semantics.h"

#define ALL (POLLIN | POLLOUT | POLLRDHUP)

static void send_ten(struct pair *p)
{
	put(&p->tx, 10);
}

static void shut(struct pair *p)
{
	shutdown(p->tx.fd, SHUT_WR);
}

static void reset(struct pair *p)
{
	end_reset(&p->tx);
}

static int epoll_with(const struct end *end, unsigned events)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = events };

	if (fd < 0 || epoll_ctl(fd, EPOLL_CTL_ADD, end->fd, &event))
		broken("epoll");
	return fd;
}

/* The events that epoll tells of now (or within that time), none if there are none. */
static unsigned told(int epoll_fd, int ms)
{
	struct epoll_event event = { 0 };

	return epoll_wait(epoll_fd, &event, 1, ms) == 1 ? event.events : 0;
}

static void check_poll(struct pair *p)
{
	saw_events("when idle", poll_for(p->rx.fd, ALL, 0));
	deliver(&p->tx, 10);
	saw_events("10 unread", poll_for(p->rx.fd, ALL, 0));
	saw("read 4", take(&p->rx, 4));
	saw_events("6 unread", poll_for(p->rx.fd, ALL, 0));
	saw("read 6", take(&p->rx, 6));
	saw_events("all read", poll_for(p->rx.fd, ALL, 0));
	deliver(&p->tx, 5);
	shut(p);
	poll_for(p->rx.fd, POLLRDHUP, SURELY_MS);
	saw_events("5 unread and FIN", poll_for(p->rx.fd, ALL, 0));
	saw("read 5", take(&p->rx, 5));
	saw_events("FIN", poll_for(p->rx.fd, ALL, 0));
	saw_events("its sender", poll_for(p->tx.fd, ALL, 0));
	shutdown(p->rx.fd, SHUT_WR);
	poll_for(p->tx.fd, POLLRDHUP, SURELY_MS);
	saw_events("both shut, first", poll_for(p->tx.fd, ALL, 0));
	saw_events("both shut, second", poll_for(p->rx.fd, ALL, 0));
}

static void check_poll_reset(struct pair *p)
{
	deliver(&p->tx, 10);
	reset(p);
	poll_for(p->rx.fd, POLLRDHUP, SURELY_MS);
	saw_events("10 unread and reset", poll_for(p->rx.fd, ALL, 0));
	saw("read", take(&p->rx, 10));
	saw("then", get(&p->rx, 1, 0));
	saw("and then", get(&p->rx, 1, 0));
	saw_events("in the end", poll_for(p->rx.fd, ALL, 0));
}

static int select_now(const struct end *end)
{
	struct timeval now = { 0 };
	fd_set reads, writes;

	FD_ZERO(&reads);
	FD_ZERO(&writes);
	FD_SET(end->fd, &reads);
	FD_SET(end->fd, &writes);
	select(end->fd + 1, &reads, &writes, NULL, &now);
	return (FD_ISSET(end->fd, &reads) ? 1 : 0) + (FD_ISSET(end->fd, &writes) ? 2 : 0);
}

static void check_select(struct pair *p)
{
	saw("when idle", select_now(&p->rx));
	deliver(&p->tx, 10);
	saw("10 unread", select_now(&p->rx));
	saw("read", take(&p->rx, 10));
	saw("all read", select_now(&p->rx));
}

static void check_epoll_level(struct pair *p)
{
	int fd = epoll_with(&p->rx, EPOLLIN | EPOLLRDHUP);

	saw_events("when idle", told(fd, 0));
	deliver(&p->tx, 10);
	saw_events("10 unread", told(fd, 0));
	saw_events("again", told(fd, 0));
	saw("read 4", take(&p->rx, 4));
	saw_events("6 unread", told(fd, 0));
	saw("read 6", take(&p->rx, 6));
	saw_events("all read", told(fd, 0));
	deliver(&p->tx, 10);
	shut(p);
	poll_for(p->rx.fd, POLLRDHUP, SURELY_MS);
	saw_events("10 unread and FIN", told(fd, 0));
}

static void check_epoll_edge(struct pair *p)
{
	int fd = epoll_with(&p->rx, EPOLLIN | EPOLLRDHUP | EPOLLET);

	saw_events("when idle", told(fd, 0));
	deliver(&p->tx, 10);
	saw_events("10 unread", told(fd, 0));
	saw_events("again", told(fd, 0));
	deliver(&p->tx, 10);
	saw_events("20 unread", told(fd, 0));
	saw("read 5", take(&p->rx, 5));
	saw_events("15 unread", told(fd, 0));
	saw("read 15", take(&p->rx, 15));
	saw("recv when read", get(&p->rx, 10, 0));
	saw_events("all read", told(fd, 0));
	deliver(&p->tx, 10);
	saw_events("10 more", told(fd, 0));
	shut(p);
	poll_for(p->rx.fd, POLLRDHUP, SURELY_MS);
	saw_events("FIN", told(fd, SURELY_MS));
}

static void check_epoll_once(struct pair *p)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT };
	int fd = epoll_with(&p->rx, EPOLLIN | EPOLLONESHOT);

	deliver(&p->tx, 10);
	saw_events("10 unread", told(fd, 0));
	deliver(&p->tx, 10);
	saw_events("20 unread, not rearmed", told(fd, 0));
	epoll_ctl(fd, EPOLL_CTL_MOD, p->rx.fd, &event);
	saw_events("rearmed", told(fd, 0));
	saw("read", take(&p->rx, 20));
	epoll_ctl(fd, EPOLL_CTL_MOD, p->rx.fd, &event);
	saw_events("all read, rearmed", told(fd, 0));
}

/* The reader of nginx, Go and asyncio: waits for an edge, reads until EAGAIN. */
static void check_edge_reader(struct pair *p)
{
	static const size_t sizes[] = { 1, 100, 1400, 5000, 40000 };
	int fd = epoll_with(&p->rx, EPOLLIN | EPOLLET);
	struct act act;
	size_t due = 0, come = 0;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		put(&p->tx, sizes[i]);
		due += sizes[i];
	}
	in_a_while(&act, send_ten, p);
	due += 10;
	while (come < due && told(fd, SURELY_MS)) {
		ssize_t n;

		while ((n = get(&p->rx, 3000, 0)) > 0)
			come += (size_t)n;
	}
	act_done(&act);
	saw("bytes", (ssize_t)come);
	saw_events("no more", told(fd, 0));
}

/* Room to write: told of once there is some again. */
static void check_writable(struct pair *p)
{
	int fd = epoll_with(&p->tx, EPOLLOUT | EPOLLET);
	ssize_t sent = 0, n;

	saw_events("when idle", told(fd, 0));
	while ((n = give(&p->tx, 50000, 0)) > 0)
		sent += n;
	saw("when full", n);
	saw_events("poll when full", poll_for(p->tx.fd, POLLOUT, 0));
	told(fd, 0);
	saw_if("read all", take(&p->rx, (size_t)sent) == sent);
	saw_events("room again", told(fd, SURELY_MS));
	saw_events("poll", poll_for(p->tx.fd, POLLOUT, SURELY_MS));
	saw_if("conversation", converse(p));
}

static void woken(struct pair *p, const char *what, act_fn *by)
{
	struct act act;

	in_a_while(&act, by, p);
	saw_events(what, poll_for(p->rx.fd, POLLIN | POLLRDHUP, SURELY_MS));
	act_done(&act);
}

static void check_sleeper_data(struct pair *p)
{
	woken(p, "poll", send_ten);
	saw("read", take(&p->rx, 10));
	saw_if("conversation", converse(p));
}

static void check_sleeper_fin(struct pair *p)
{
	woken(p, "poll", shut);
	saw("recv", get(&p->rx, 1, 0));
}

static void check_sleeper_reset(struct pair *p)
{
	woken(p, "poll", reset);
	saw("recv", get(&p->rx, 1, 0));
}

/* In epoll already when the connection is young, and woken all the way. */
static void check_epoll_sleeper(struct pair *p)
{
	int fd = epoll_with(&p->rx, EPOLLIN | EPOLLRDHUP | EPOLLET);
	struct act act;

	for (int i = 0; i < 3; i++) {
		in_a_while(&act, send_ten, p);
		saw_events("woken", told(fd, SURELY_MS));
		act_done(&act);
		saw("read", take(&p->rx, 10));
		saw("recv when read", get(&p->rx, 1, 0));
		saw("answer", put(&p->rx, 10));
		saw("which is", take(&p->tx, 10));
	}
	in_a_while(&act, shut, p);
	saw_events("woken by FIN", told(fd, SURELY_MS));
	act_done(&act);
}

/* Two epolls of one socket hear of it both. */
static void check_two_epolls(struct pair *p)
{
	int a = epoll_with(&p->rx, EPOLLIN | EPOLLET), b = epoll_with(&p->rx, EPOLLIN);

	deliver(&p->tx, 10);
	saw_events("edge", told(a, 0));
	saw_events("level", told(b, 0));
	saw("read", take(&p->rx, 10));
	saw_events("edge, read", told(a, 0));
	saw_events("level, read", told(b, 0));
}

static volatile sig_atomic_t signals;

static void on_signal(int number)
{
	(void)number;
	signals++;
}

static void check_sigio(struct pair *p)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	sigaction(SIGIO, &action, NULL);
	fcntl(p->rx.fd, F_SETOWN, getpid());
	fcntl(p->rx.fd, F_SETFL, fcntl(p->rx.fd, F_GETFL) | O_ASYNC);
	signals = 0;
	deliver(&p->tx, 10);
	for (int i = 0; i < SURELY_MS && !signals; i++)
		pause_ms(1);
	saw_if("SIGIO for 10 bytes", signals);
	saw("read", take(&p->rx, 10));
	signals = 0;
	shut(p);
	for (int i = 0; i < SURELY_MS && !signals; i++)
		pause_ms(1);
	saw_if("SIGIO for FIN", signals);
}

static const struct check checks[] = {
	{ "poll", check_poll },
	{ "poll-reset", check_poll_reset },
	{ "select", check_select },
	{ "epoll-level", check_epoll_level },
	{ "epoll-edge", check_epoll_edge },
	{ "epoll-once", check_epoll_once },
	{ "edge-reader", check_edge_reader },
	{ "writable", check_writable },
	{ "sleeper-data", check_sleeper_data },
	{ "sleeper-fin", check_sleeper_fin },
	{ "sleeper-reset", check_sleeper_reset },
	{ "epoll-sleeper", check_epoll_sleeper },
	{ "two-epolls", check_two_epolls },
	{ "sigio", check_sigio },
};
const struct family family_waiting = { checks, ARRAY_SIZE(checks) };
