/* SPDX-License-Identifier: Apache-2.0 */
/* Reading from a non-blocking socket: what recv() and its kin return. */
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "semantics.h"

/* The first message takes more than half of this buffer, which makes the second one take
 * the other way, where there are two; both fit. */
#define BUFFER 28000 /* doubled by the kernel */
#define FIRST  30000
#define SECOND 2000

static ssize_t unread(const struct end *end)
{
	int n = -1;

	return ioctl(end->fd, FIONREAD, &n) ? -errno : n;
}

/* FIRST bytes and then SECOND, which do not come the same way where there are two. */
static void deliver_both_ways(struct pair *p)
{
	set_option(&p->rx, SOL_SOCKET, SO_RCVBUF, BUFFER);
	deliver(&p->tx, FIRST);
	deliver(&p->tx, SECOND);
}

static void check_recv(struct pair *p)
{
	saw("recv when idle", get(&p->rx, 10, 0));
	deliver(&p->tx, 10);
	saw("recv 4 of 10", get(&p->rx, 4, 0));
	saw("recv 100 of 6", get(&p->rx, 100, 0));
	saw("recv when read", get(&p->rx, 100, 0));
	saw_if("conversation", converse(p));
}

static void check_peek(struct pair *p)
{
	saw("peek when idle", get(&p->rx, 10, MSG_PEEK));
	deliver(&p->tx, 5);
	deliver(&p->tx, 5);
	saw("peek 4 of 10", get(&p->rx, 4, MSG_PEEK));
	saw("peek 100 of 10", get(&p->rx, 100, MSG_PEEK));
	saw("read 3", get(&p->rx, 3, 0));
	saw("peek 100 of 7", get(&p->rx, 100, MSG_PEEK));
	saw("read 100 of 7", get(&p->rx, 100, 0));
	saw("peek when read", get(&p->rx, 10, MSG_PEEK));
	saw_if("conversation", converse(p));
}

static void check_two_messages(struct pair *p)
{
	deliver(&p->tx, 1000);
	deliver(&p->tx, 1000);
	saw("recv of both", get(&p->rx, 4000, 0));
	saw("recv when read", get(&p->rx, 100, 0));
	saw_if("conversation", converse(p));
}

static void check_both_ways(struct pair *p)
{
	deliver_both_ways(p);
	saw_events("poll", poll_for(p->rx.fd, POLLIN | POLLRDHUP, 0));
	saw("peek at all", get(&p->rx, FIRST + SECOND, MSG_PEEK));
	saw("read all", take(&p->rx, FIRST + SECOND));
	saw("recv when read", get(&p->rx, 100, 0));
	saw_events("poll when read", poll_for(p->rx.fd, POLLIN | POLLRDHUP, 0));
	saw_if("conversation", converse(p));
}

/* The reader speaks before it has read all: what is sent now must not overtake the rest. */
static void check_answer_unread(struct pair *p)
{
	deliver_both_ways(p);
	saw("read 30000", take(&p->rx, FIRST));
	saw("answer", put(&p->rx, 10));
	saw("which is", take(&p->tx, 10));
	deliver(&p->tx, 100);
	saw("read all", take(&p->rx, SECOND + 100));
	saw_if("conversation", converse(p));
}

/* One call reads what came both ways; MSG_WAITALL promises it, plain recv() does not. */
static void check_both_ways_at_once(struct pair *p)
{
	deliver_both_ways(p);
	saw("recv with room for all, MSG_WAITALL", get(&p->rx, FIRST + SECOND, MSG_WAITALL));
}

static void check_fionread(struct pair *p)
{
	saw("when idle", unread(&p->rx));
	deliver(&p->tx, 3000);
	saw("3000 sent", unread(&p->rx));
	deliver(&p->tx, 2000);
	saw("2000 more sent", unread(&p->rx));
	saw("read 1000", take(&p->rx, 1000));
	saw("1000 read", unread(&p->rx));
	saw("peek", get(&p->rx, 10, MSG_PEEK));
	saw("peeked", unread(&p->rx));
	saw("read 4000", take(&p->rx, 4000));
	saw("all read", unread(&p->rx));
	deliver(&p->tx, 10);
	shutdown(p->tx.fd, SHUT_WR);
	poll_for(p->rx.fd, POLLRDHUP, SURELY_MS);
	saw("10 sent and FIN", unread(&p->rx));
	saw("read 10", take(&p->rx, 10));
	saw("read to the end", unread(&p->rx));
}

static void check_fionread_both_ways(struct pair *p)
{
	deliver_both_ways(p);
	saw("32000 sent", unread(&p->rx));
	saw("read 30000", take(&p->rx, FIRST));
	saw("30000 read", unread(&p->rx));
	saw("read 2000", take(&p->rx, SECOND));
	saw("all read", unread(&p->rx));
	/* not answered yet: this one goes by TCP, too */
	deliver(&p->tx, 500);
	saw("500 sent", unread(&p->rx));
	saw("read 500", take(&p->rx, 500));
	saw_if("conversation", converse(p));
}

static bool acknowledged(const struct end *from)
{
	int n = 1;

	for (int i = 0; i < SURELY_MS && n; i++) {
		if (ioctl(from->fd, SIOCOUTQ, &n))
			break;
		pause_ms(1);
	}
	return !n;
}

static void check_siocoutq(struct pair *p)
{
	int n = -1;
	ssize_t sent = 0, more;

	saw_if("0 when idle", acknowledged(&p->tx));
	deliver(&p->tx, 3000);
	saw_if("0 in the end, unread", acknowledged(&p->tx));
	saw("read", take(&p->rx, 3000));
	saw_if("0 in the end, read", acknowledged(&p->tx));
	while ((more = give(&p->tx, 65536, 0)) > 0)
		sent += more;
	ioctl(p->tx.fd, SIOCOUTQ, &n);
	saw_if("> 0 with no room at the reader", n > 0);
	ioctl(p->tx.fd, SIOCOUTQNSD, &n);
	saw_if("unsent > 0 with no room at the reader", n > 0);
	saw_if("read all", take(&p->rx, (size_t)sent) == sent);
	saw_if("0 in the end, all read", acknowledged(&p->tx));
}

static void check_tcp_info(struct pair *p)
{
	struct progress before, after;

	progress_of(p->tx.fd, &before);
	deliver(&p->tx, 3000);
	progress_of(p->tx.fd, &after);
	saw("TCP_INFO bytes sent", (ssize_t)(after.sent - before.sent));
	progress_of(p->rx.fd, &after);
	saw_if("TCP_INFO bytes received are those sent", after.received == p->tx.sent);
	saw("read", take(&p->rx, 3000));
}

static void check_trunc(struct pair *p)
{
	char buf[8] = "unseen!";

	deliver(&p->tx, 10);
	saw("recv 4 with MSG_TRUNC", negated(recv(p->rx.fd, buf, 4, MSG_TRUNC)));
	saw_if("buffer is untouched", !strcmp(buf, "unseen!"));
	deliver(&p->tx, 10);
	saw("recv 4 into nothing with MSG_TRUNC", negated(recv(p->rx.fd, NULL, 4, MSG_TRUNC)));
	saw("recv without", negated(recv(p->rx.fd, buf, 8, 0)));
}

static void check_empty_recv(struct pair *p)
{
	char byte;

	saw("recv 0 when idle", negated(recv(p->rx.fd, &byte, 0, 0)));
	deliver(&p->tx, 10);
	saw("recv 0 of 10", negated(recv(p->rx.fd, &byte, 0, 0)));
	saw("peek 0 of 10", negated(recv(p->rx.fd, &byte, 0, MSG_PEEK)));
	saw("read(0) of 10", negated(read(p->rx.fd, &byte, 0)));
	saw("recv 10", get(&p->rx, 10, 0));
	shutdown(p->tx.fd, SHUT_WR);
	poll_for(p->rx.fd, POLLRDHUP, SURELY_MS);
	saw("recv 0 at the end", negated(recv(p->rx.fd, &byte, 0, 0)));
}

static void check_waitall(struct pair *p)
{
	deliver(&p->tx, 5);
	saw("recv 10 of 5, MSG_WAITALL", get(&p->rx, 10, MSG_WAITALL));
	saw("recv when read, MSG_WAITALL", get(&p->rx, 10, MSG_WAITALL));
	deliver(&p->tx, 5);
	deliver(&p->tx, 5);
	saw("recv 10 of 10, MSG_WAITALL", get(&p->rx, 10, MSG_WAITALL));
	saw_if("conversation", converse(p));
}

static ssize_t check_parts(struct end *to, struct iovec *parts, ssize_t n)
{
	size_t left = n > 0 ? (size_t)n : 0;

	for (; left; parts++) {
		size_t part = left < parts->iov_len ? left : parts->iov_len;

		if (check_pattern(to, parts->iov_base, part) < 0)
			return -WRONG_BYTES;
		left -= part;
	}
	return n;
}

static void check_vectors(struct pair *p)
{
	char a[7], b[100], name[64], control[64];
	struct iovec parts[] = { { a, sizeof(a) }, { b, sizeof(b) } };
	struct msghdr msg = {
		.msg_name = name,
		.msg_namelen = sizeof(name),
		.msg_iov = parts,
		.msg_iovlen = 2,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};

	deliver(&p->tx, 50);
	saw("readv", check_parts(&p->rx, parts, negated(readv(p->rx.fd, parts, 2))));
	deliver(&p->tx, 60);
	saw("recvmsg", check_parts(&p->rx, parts, negated(recvmsg(p->rx.fd, &msg, 0))));
	saw("its flags", msg.msg_flags);
	saw("its name's length", msg.msg_namelen);
	saw("its control length", (ssize_t)msg.msg_controllen);
}

static void check_many_messages(struct pair *p)
{
	char a[100], b[100];
	struct iovec parts[] = { { a, sizeof(a) }, { b, sizeof(b) } };
	struct mmsghdr messages[2] = {
		{ .msg_hdr = { .msg_iov = &parts[0], .msg_iovlen = 1 } },
		{ .msg_hdr = { .msg_iov = &parts[1], .msg_iovlen = 1 } },
	};
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);

	deliver(&p->tx, 150);
	saw("recvmmsg", negated(recvmmsg(p->rx.fd, messages, 2, 0, NULL)));
	saw("first", check_pattern(&p->rx, a, messages[0].msg_len));
	saw("second", check_pattern(&p->rx, b, messages[1].msg_len));
	deliver(&p->tx, 20);
	saw("recvfrom", negated(recvfrom(p->rx.fd, a, 100, 0, (struct sockaddr *)&from, &len)));
	saw("its name's length", len);
	saw("error queue", negated(recv(p->rx.fd, a, 100, MSG_ERRQUEUE)));
}

/* One page that can be written to and one behind it that cannot. */
static char *half_good(size_t good)
{
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED || mprotect(pages + 4096, 4096, PROT_NONE))
		broken("mmap");
	memset(pages, 'x', 4096);
	return pages + 4096 - good;
}

static void check_bad_buffer(struct pair *p)
{
	deliver(&p->tx, 100);
	saw("recv", negated(recv(p->rx.fd, half_good(0), 100, 0)));
	saw("recv of a good one", get(&p->rx, 100, 0));
	saw_if("conversation", converse(p));
}

static void check_half_bad_buffer(struct pair *p)
{
	deliver(&p->tx, 100);
	saw("recv", negated(recv(p->rx.fd, half_good(10), 100, 0)));
}

static void check_urgent(struct pair *p)
{
	char buf[16] = "";
	int mark = -1;

	deliver(&p->tx, 3);
	saw("send of 3 and a mark", negated(send(p->tx.fd, "abc!", 4, MSG_OOB)));
	settle(&p->tx);
	saw_events("poll", poll_for(p->rx.fd, POLLIN | POLLPRI, 0));
	saw("recv out of band", negated(recv(p->rx.fd, buf, 1, MSG_OOB)));
	saw_if("which is the marked one", *buf == '!');
	saw("SIOCATMARK", negated(ioctl(p->rx.fd, SIOCATMARK, &mark)));
	saw("at mark", mark);
	memset(buf, 0, sizeof(buf));
	saw("recv", negated(recv(p->rx.fd, buf, 15, 0)));
	saw_word("ends with", buf[0] ? buf + 3 : "nothing");
	saw("recv again", negated(recv(p->rx.fd, buf, 15, 0)));
}

static void check_urgent_inline(struct pair *p)
{
	char buf[16] = "";

	set_option(&p->rx, SOL_SOCKET, SO_OOBINLINE, 1);
	deliver(&p->tx, 3);
	send(p->tx.fd, "!", 1, MSG_OOB);
	settle(&p->tx);
	saw_events("poll", poll_for(p->rx.fd, POLLIN | POLLPRI, 0));
	saw("recv", negated(recv(p->rx.fd, buf, 15, 0)));
	saw("recv again", negated(recv(p->rx.fd, buf, 15, 0)));
}

static const struct check checks[] = {
	{ "recv", check_recv },
	{ "peek", check_peek },
	{ "two-messages", check_two_messages },
	{ "both-ways", check_both_ways },
	{ "answer-unread", check_answer_unread },
	{ "both-ways-at-once", check_both_ways_at_once },
	{ "fionread", check_fionread },
	{ "fionread-both-ways", check_fionread_both_ways },
	{ "siocoutq", check_siocoutq },
	{ "tcp-info", check_tcp_info },
	{ "trunc", check_trunc },
	{ "empty-recv", check_empty_recv },
	{ "waitall", check_waitall },
	{ "vectors", check_vectors },
	{ "many-messages", check_many_messages },
	{ "bad-buffer", check_bad_buffer },
	{ "half-bad-buffer", check_half_bad_buffer },
	{ "urgent", check_urgent },
	{ "urgent-inline", check_urgent_inline },
};
const struct family family_reading = { checks, ARRAY_SIZE(checks) };
