/* SPDX-License-Identifier: Apache-2.0 */
/* io_uring, where the machine lets it. */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "semantics.h"

static struct io_uring ring;

static bool ring_opened(void)
{
	int error = io_uring_queue_init(8, &ring, 0);

	if (error)
		saw("unsupported", error);
	return !error;
}

/* What one request comes to; the caller has prepared it. */
static int result(void)
{
	struct io_uring_cqe *cqe;
	int ret;

	ret = io_uring_wait_cqe(&ring, &cqe);
	if (ret)
		return ret;
	ret = cqe->res;
	io_uring_cqe_seen(&ring, cqe);
	return ret;
}

static void begin_recv(const struct end *to, void *buf, size_t size, int flags)
{
	io_uring_prep_recv(io_uring_get_sqe(&ring), to->fd, buf, size, flags);
	io_uring_submit(&ring);
}

static ssize_t checked(struct end *to, const void *buf, int n)
{
	return n > 0 ? check_pattern(to, buf, (size_t)n) : n;
}

static void send_ten(struct pair *p)
{
	put(&p->tx, 10);
}

static void send_five_twice(struct pair *p)
{
	put(&p->tx, 5);
	pause_ms(A_WHILE_MS);
	put(&p->tx, 5);
}

static void check_recv(struct pair *p)
{
	char buf[100];

	if (!ring_opened())
		return;
	deliver(&p->tx, 10);
	begin_recv(&p->rx, buf, sizeof(buf), 0);
	saw("recv of 10", checked(&p->rx, buf, result()));
	saw_if("conversation", converse(p));
}

static void check_poll(struct pair *p)
{
	struct act act;

	if (!ring_opened())
		return;
	io_uring_prep_poll_add(io_uring_get_sqe(&ring), p->rx.fd, POLLIN);
	io_uring_submit(&ring);
	in_a_while(&act, send_ten, p);
	saw_events("poll", (unsigned)result());
	act_done(&act);
	saw("read", take(&p->rx, 10));
	saw_if("conversation", converse(p));
}

static void check_send(struct pair *p)
{
	char buf[5000];

	if (!ring_opened())
		return;
	fill_pattern(&p->tx, buf, sizeof(buf));
	io_uring_prep_send(io_uring_get_sqe(&ring), p->tx.fd, buf, sizeof(buf), MSG_NOSIGNAL);
	io_uring_submit(&ring);
	saw("send", result());
	saw("read", take(&p->rx, sizeof(buf)));
	saw_if("conversation", converse(p));
}

/* A request that waits in the ring, on a socket that is non-blocking or not. */
static void recv_later(struct pair *p, int flags, act_fn *meanwhile)
{
	struct act act;
	char buf[10];

	if (!ring_opened())
		return;
	begin_recv(&p->rx, buf, sizeof(buf), flags);
	in_a_while(&act, meanwhile, p);
	saw("recv", checked(&p->rx, buf, result()));
	act_done(&act);
}

static void check_recv_later(struct pair *p)
{
	recv_later(p, 0, send_ten);
}

static void check_waitall(struct pair *p)
{
	recv_later(p, MSG_WAITALL, send_five_twice);
}

static void recv_blocking(struct pair *p)
{
	set_blocking(&p->rx, true);
	recv_later(p, 0, send_ten);
}

static void waitall_blocking(struct pair *p)
{
	set_blocking(&p->rx, true);
	recv_later(p, MSG_WAITALL, send_five_twice);
}

static const struct check checks[] = {
	{ "uring-recv", check_recv },
	{ "uring-poll", check_poll },
	{ "uring-send", check_send },
	{ "uring-recv-later", check_recv_later },
	{ "uring-waitall", check_waitall },
	{ "uring-blocking-always", recv_blocking, both_blocking },
	{ "uring-blocking", recv_blocking },
	{ "uring-blocking-waitall-always", waitall_blocking, both_blocking },
	{ "uring-blocking-waitall", waitall_blocking },
};
const struct family family_uring = { checks, ARRAY_SIZE(checks) };
