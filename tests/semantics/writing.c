/* SPDX-License-Identifier: Apache-2.0 */
/* Writing: every call that sends, hold-back, and errors. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "semantics.h"

/* Counts what a call has sent of the pattern that was laid out for it. */
static void sent(struct end *from, const char *what, ssize_t n, size_t laid_out)
{
	saw(what, n);
	from->sent -= laid_out - (n > 0 ? (size_t)n : 0);
}

static void check_calls(struct pair *p)
{
	struct end *tx = &p->tx;
	char a[50], b[70];
	struct iovec parts[] = { { a, sizeof(a) }, { b, sizeof(b) } };
	struct msghdr msg = { .msg_iov = parts, .msg_iovlen = 2 };
	struct mmsghdr two[] = {
		{ .msg_hdr = { .msg_iov = &parts[0], .msg_iovlen = 1 } },
		{ .msg_hdr = { .msg_iov = &parts[1], .msg_iovlen = 1 } },
	};

	fill_pattern(tx, a, 50);
	sent(tx, "write", negated(write(tx->fd, a, 50)), 50);
	fill_pattern(tx, a, 50);
	fill_pattern(tx, b, 70);
	sent(tx, "writev", negated(writev(tx->fd, parts, 2)), 120);
	fill_pattern(tx, a, 50);
	fill_pattern(tx, b, 70);
	sent(tx, "sendmsg", negated(sendmsg(tx->fd, &msg, 0)), 120);
	fill_pattern(tx, a, 50);
	fill_pattern(tx, b, 70);
	saw("sendmmsg", negated(sendmmsg(tx->fd, two, 2, 0)));
	saw("MSG_EOR", give(tx, 10, MSG_EOR));
	saw("MSG_DONTROUTE", give(tx, 10, MSG_DONTROUTE));
	saw("read all", take(&p->rx, 50 + 120 + 120 + 120 + 20));
	saw_if("conversation", converse(p));
}

static void check_send_to(struct pair *p)
{
	struct sockaddr_in nowhere = { .sin_family = AF_INET, .sin_port = htons(9) };
	char byte[] = "x";

	saw("sendto elsewhere",
	    negated(sendto(p->tx.fd, byte, 1, 0, (struct sockaddr *)&nowhere, sizeof(nowhere))));
	settle(&p->tx);
	saw("comes", negated(recv(p->rx.fd, byte, 1, 0)));
}

static void check_empty_send(struct pair *p)
{
	saw("send 0", give(&p->tx, 0, 0));
	saw("write 0", negated(write(p->tx.fd, "", 0)));
	settle(&p->tx);
	saw_events("poll", poll_for(p->rx.fd, POLLIN | POLLRDHUP, 0));
	saw("recv", get(&p->rx, 10, 0));
	saw_if("conversation", converse(p));
}

/* Looks at once: TCP holds an incomplete segment back for 200 ms. */
static void check_more(struct pair *p)
{
	saw("send, MSG_MORE", give(&p->tx, 10, MSG_MORE));
	saw_events("comes at once", poll_for(p->rx.fd, POLLIN, 0));
	saw("send", give(&p->tx, 10, 0));
	saw("read", take(&p->rx, 20));
	saw("send, MSG_MORE", give(&p->tx, 10, MSG_MORE));
	saw("comes in the end", take(&p->rx, 10));
	saw_if("conversation", converse(p));
}

static void check_cork(struct pair *p)
{
	set_option(&p->tx, IPPROTO_TCP, TCP_CORK, 1);
	saw("send", give(&p->tx, 10, 0));
	saw("send", give(&p->tx, 10, 0));
	saw_events("comes at once", poll_for(p->rx.fd, POLLIN, 0));
	set_option(&p->tx, IPPROTO_TCP, TCP_CORK, 0);
	saw("read", take(&p->rx, 20));
	saw_if("conversation", converse(p));
}

static void check_cork_close(struct pair *p)
{
	int end_errno;

	set_option(&p->tx, IPPROTO_TCP, TCP_CORK, 1);
	saw("send", give(&p->tx, 10, 0));
	end_close(&p->tx);
	saw("comes", (ssize_t)drain(&p->rx, &end_errno));
	saw("then", -end_errno);
}

static void check_nagle(struct pair *p)
{
	set_option(&p->tx, IPPROTO_TCP, TCP_NODELAY, 0);
	for (int i = 0; i < 100; i++)
		put(&p->tx, 3);
	saw("read", take(&p->rx, 300));
	saw_if("conversation", converse(p));
}

static void check_bad_buffer(struct pair *p)
{
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mprotect(pages + 4096, 4096, PROT_NONE);
	saw("send", negated(send(p->tx.fd, pages + 4096, 100, MSG_NOSIGNAL)));
	settle(&p->tx);
	saw_events("comes", poll_for(p->rx.fd, POLLIN, 0));
	saw_if("conversation", converse(p));
}

static void check_half_bad_buffer(struct pair *p)
{
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char buf[100];
	ssize_t n;

	mprotect(pages + 4096, 4096, PROT_NONE);
	memset(pages, 'x', 4096);
	n = negated(send(p->tx.fd, pages + 4086, 100, MSG_NOSIGNAL));
	saw("send", n);
	settle(&p->tx);
	saw("comes", negated(recv(p->rx.fd, buf, sizeof(buf), 0)));
}

static volatile sig_atomic_t pipes;

static void on_pipe(int number)
{
	(void)number;
	pipes++;
}

static void check_own_shutdown(struct pair *p)
{
	signal(SIGPIPE, on_pipe);
	deliver(&p->tx, 10);
	shutdown(p->tx.fd, SHUT_WR);
	saw("send after it", give(&p->tx, 10, 0));
	saw("SIGPIPE with MSG_NOSIGNAL", pipes);
	saw("write after it", negated(write(p->tx.fd, "x", 1)));
	saw("SIGPIPE", pipes);
	poll_for(p->rx.fd, POLLRDHUP, SURELY_MS);
	saw("read 10", take(&p->rx, 10));
	saw("then", get(&p->rx, 10, 0));
	saw("the other way", put(&p->rx, 5000));
	saw("read", take(&p->tx, 5000));
}

static void check_peer_closed(struct pair *p)
{
	signal(SIGPIPE, on_pipe);
	end_close(&p->rx);
	poll_for(p->tx.fd, POLLRDHUP, SURELY_MS);
	saw("send", give(&p->tx, 10, 0));
	poll_for(p->tx.fd, POLLHUP, SURELY_MS);
	saw("send again", give(&p->tx, 10, 0));
	saw("write", negated(write(p->tx.fd, "x", 1)));
	saw("SIGPIPE", pipes);
	saw("recv", get(&p->tx, 10, 0));
}

static void check_one_byte_each(struct pair *p)
{
	for (int i = 0; i < 2000; i++)
		if (put(&p->tx, 1) != 1)
			break;
	saw("read", take(&p->rx, 2000));
	saw_if("conversation", converse(p));
}

static const struct check checks[] = {
	{ "send-calls", check_calls },
	{ "send-to", check_send_to },
	{ "empty-send", check_empty_send },
	{ "more", check_more },
	{ "cork", check_cork },
	{ "cork-close", check_cork_close },
	{ "nagle", check_nagle },
	{ "send-bad-buffer", check_bad_buffer },
	{ "send-half-bad-buffer", check_half_bad_buffer },
	{ "own-shutdown", check_own_shutdown },
	{ "peer-closed", check_peer_closed },
	{ "one-byte-each", check_one_byte_each },
};
const struct family family_writing = { checks, ARRAY_SIZE(checks) };
