/* SPDX-License-Identifier: Apache-2.0 */
/* Ends of a connection: half-close, reset, linger, shutdown, a process that is killed. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "semantics.h"

static void saw_end(struct end *to, const char *bytes, const char *how)
{
	int end_errno;

	saw(bytes, (ssize_t)drain(to, &end_errno));
	saw(how, -end_errno);
}

static int socket_error(const struct end *end)
{
	int error = -1;
	socklen_t len = sizeof(error);

	getsockopt(end->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	return error;
}

static void half_close(struct pair *p, struct end *first, struct end *second)
{
	(void)p;
	deliver(first, 5000);
	shutdown(first->fd, SHUT_WR);
	saw_end(second, "bytes", "then");
	deliver(second, 3000);
	saw("the other way", take(first, 3000));
	deliver(second, 20000);
	end_close(second);
	saw_end(first, "the other way's rest", "then");
	end_close(first);
}

static void check_half_close(struct pair *p)
{
	half_close(p, &p->tx, &p->rx);
}

static void check_half_close_back(struct pair *p)
{
	half_close(p, &p->rx, &p->tx);
}

static void check_close_both(struct pair *p)
{
	deliver(&p->tx, 100);
	end_close(&p->tx);
	saw_end(&p->rx, "bytes", "then");
	saw("again", get(&p->rx, 1, 0));
	end_close(&p->rx);
}

/* TCP answers bytes that nobody will read with a reset. */
static void check_close_unread(struct pair *p)
{
	deliver(&p->tx, 100);
	end_close(&p->rx);
	poll_for(p->tx.fd, POLLRDHUP, SURELY_MS);
	saw_events("poll", poll_for(p->tx.fd, POLLIN | POLLRDHUP, 0));
	saw("recv", get(&p->tx, 1, 0));
}

static void check_close_unread_answered(struct pair *p)
{
	deliver(&p->tx, 100);
	deliver(&p->rx, 50);
	end_close(&p->rx);
	poll_for(p->tx.fd, POLLRDHUP, SURELY_MS);
	saw_end(&p->tx, "bytes", "then");
}

static void reset(struct pair *p, struct end *by, struct end *of)
{
	(void)p;
	deliver(by, 5000);
	end_reset(by);
	saw_events("poll", poll_for(of->fd, POLLRDHUP, SURELY_MS));
	saw_end(of, "bytes", "then");
	saw("SO_ERROR after it was told", -socket_error(of));
	saw("send", give(of, 10, 0));
	saw("recv", get(of, 10, 0));
}

static void check_reset(struct pair *p)
{
	reset(p, &p->tx, &p->rx);
}

static void check_reset_back(struct pair *p)
{
	reset(p, &p->rx, &p->tx);
}

static void check_reset_error(struct pair *p)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);

	end_reset(&p->tx);
	poll_for(p->rx.fd, POLLRDHUP, SURELY_MS);
	saw("SO_ERROR", -socket_error(&p->rx));
	saw("SO_ERROR again", -socket_error(&p->rx));
	saw("recv", get(&p->rx, 1, 0));
	saw("getpeername", negated(getpeername(p->rx.fd, (struct sockaddr *)&address, &len)));
}

static void check_reset_unread(struct pair *p)
{
	deliver(&p->tx, 5000);
	deliver(&p->rx, 5000);
	end_reset(&p->tx);
	poll_for(p->rx.fd, POLLRDHUP, SURELY_MS);
	saw_end(&p->rx, "bytes", "then");
}

static void check_linger(struct pair *p)
{
	struct linger wait = { .l_onoff = 1, .l_linger = 5 };

	setsockopt(p->tx.fd, SOL_SOCKET, SO_LINGER, &wait, sizeof(wait));
	saw("send", put(&p->tx, 100000));
	saw("close", negated(close(p->tx.fd)));
	saw_end(&p->rx, "bytes", "then");
}

static void check_shut_reading(struct pair *p)
{
	deliver(&p->tx, 100);
	saw("shutdown", negated(shutdown(p->rx.fd, SHUT_RD)));
	saw_events("poll", poll_for(p->rx.fd, POLLIN | POLLRDHUP, 0));
	saw("recv", get(&p->rx, 1000, 0));
	saw("recv again", get(&p->rx, 1000, 0));
	deliver(&p->tx, 100);
	saw("recv of what came after", get(&p->rx, 1000, 0));
	saw("recv in the end", get(&p->rx, 1000, 0));
	deliver(&p->rx, 100);
	saw("the other way", take(&p->tx, 100));
}

static void check_shut_both(struct pair *p)
{
	deliver(&p->tx, 100);
	saw("shutdown", negated(shutdown(p->tx.fd, SHUT_RDWR)));
	saw_end(&p->rx, "bytes", "then");
	saw("own recv", get(&p->tx, 10, 0));
	saw("own send", give(&p->tx, 10, 0));
	saw("shutdown again", negated(shutdown(p->tx.fd, SHUT_RDWR)));
}

static void check_bulk_then_close(struct pair *p)
{
	ssize_t n, sent = 0;

	while ((n = give(&p->tx, 30000, 0)) > 0)
		sent += n;
	end_close(&p->tx);
	saw_if("all comes", take(&p->rx, (size_t)sent) == sent);
	saw("then", get(&p->rx, 1, 0));
}

/* A child holds the sending end and is killed while it sends. */
static void check_kill(struct pair *p)
{
	uint64_t before = p->rx.received, bytes;
	int end_errno;
	pid_t child = fork();

	if (!child) {
		end_close(&p->rx);
		for (;;)
			put(&p->tx, 1000);
	}
	end_close(&p->tx);
	saw("first bytes", take(&p->rx, 50000));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	bytes = drain(&p->rx, &end_errno);
	saw_if("an unbroken prefix", before + 50000 + bytes == p->rx.received);
	saw("then", -end_errno);
}

/* A child holds the reading end and is killed with bytes unread. */
static void check_kill_reader(struct pair *p)
{
	int ready[2];
	char byte;
	pid_t child;

	if (pipe(ready))
		broken("pipe");
	child = fork();
	if (!child) {
		end_close(&p->tx);
		take(&p->rx, 1000);
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	deliver(&p->tx, 1000);
	end_close(&p->rx);
	if (read(ready[0], &byte, 1) != 1)
		broken("read");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	poll_for(p->tx.fd, POLLRDHUP, SURELY_MS);
	saw("recv", get(&p->tx, 1, 0));
}

/* The socket starts a second life. */
static void check_disconnect(struct pair *p)
{
	struct sockaddr nobody = { .sa_family = AF_UNSPEC };
	int old = p->rx.fd;

	saw("connect to nobody", negated(connect(p->tx.fd, &nobody, sizeof(nobody))));
	poll_for(p->rx.fd, POLLRDHUP, SURELY_MS);
	saw("the other end", get(&p->rx, 1, 0));
	saw("send", give(&p->tx, 1, 0));
	saw("recv", get(&p->tx, 1, 0));
	close(old);
}

static void check_disconnect_reuse(struct pair *p)
{
	struct sockaddr nobody = { .sa_family = AF_UNSPEC };
	int accepted;

	connect(p->tx.fd, &nobody, sizeof(nobody));
	close(p->rx.fd);
	set_blocking(&p->tx, true);
	if (!ends_reconnect(p->tx.fd, &accepted)) {
		saw("connect again", -errno);
		return;
	}
	p->rx.fd = accepted;
	set_blocking(&p->tx, false);
	set_blocking(&p->rx, false);
	saw_if("conversation", converse(p));
	end_close(&p->tx);
	saw("end", get(&p->rx, 1, 0));
}

static const struct check checks[] = {
	{ "half-close", check_half_close },
	{ "half-close-back", check_half_close_back },
	{ "close", check_close_both },
	{ "close-unread", check_close_unread },
	{ "close-unread-answered", check_close_unread_answered },
	{ "reset", check_reset },
	{ "reset-back", check_reset_back },
	{ "reset-error", check_reset_error },
	{ "reset-unread", check_reset_unread },
	{ "linger", check_linger },
	{ "shut-reading", check_shut_reading },
	{ "shut-both", check_shut_both },
	{ "bulk-then-close", check_bulk_then_close },
	{ "kill", check_kill },
	{ "kill-reader", check_kill_reader },
	{ "disconnect", check_disconnect },
	{ "disconnect-reuse", check_disconnect_reuse },
};
const struct family family_closing = { checks, ARRAY_SIZE(checks) };
