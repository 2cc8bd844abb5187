/* SPDX-License-Identifier: Apache-2.0 */
/* Options that only TCP's own receive path honours: set before all, and in the middle. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "semantics.h"

/* In <linux/tcp.h>, which cannot be had beside <netinet/tcp.h>. */
#ifndef TCP_INQ
#define TCP_INQ 36
#endif

/* recvmsg(), and the ancillary message of that kind: its value, or -ENOMSG. */
static ssize_t get_with_ancillary(struct end *to, int level, int type, int *value)
{
	char buf[100], control[256] __attribute__((aligned(8)));
	struct iovec part = { buf, sizeof(buf) };
	struct msghdr msg = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = negated(recvmsg(to->fd, &msg, 0));

	*value = -ENOMSG;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
		if (c->cmsg_level == level && c->cmsg_type == type)
			memcpy(value, CMSG_DATA(c), sizeof(*value));
	return n > 0 ? check_pattern(to, buf, (size_t)n) : n;
}

/* ---- SO_RCVLOWAT -------------------------------------------------------------- */

static bool set_lowat(struct pair *p)
{
	return !set_option(&p->rx, SOL_SOCKET, SO_RCVLOWAT, 10);
}

static void lowat(struct pair *p)
{
	set_lowat(p);
	deliver(&p->tx, 5);
	saw_events("poll, 5 of 10", poll_for(p->rx.fd, POLLIN, 0));
	deliver(&p->tx, 5);
	saw_events("poll, 10 of 10", poll_for(p->rx.fd, POLLIN, 0));
	saw("recv", get(&p->rx, 100, 0));
	saw_events("poll, read", poll_for(p->rx.fd, POLLIN, 0));
}

static void lowat_late(struct pair *p)
{
	deliver(&p->tx, 5);
	set_lowat(p);
	saw_events("poll, 5 of 10", poll_for(p->rx.fd, POLLIN, 0));
	saw("recv", get(&p->rx, 100, 0));
}

/* ---- SO_PEEK_OFF ---------------------------------------------------------------- */

static bool set_peek_off(struct pair *p)
{
	return !set_option(&p->rx, SOL_SOCKET, SO_PEEK_OFF, 0);
}

static void peek_off(struct pair *p)
{
	char buf[10];

	saw("SO_PEEK_OFF", set_option(&p->rx, SOL_SOCKET, SO_PEEK_OFF, 0));
	deliver(&p->tx, 10);
	saw("peek 4", negated(recv(p->rx.fd, buf, 4, MSG_PEEK)));
	saw("peek the rest", negated(recv(p->rx.fd, buf, 10, MSG_PEEK)));
	saw("recv", get(&p->rx, 10, 0));
}

/* ---- TCP_INQ ---------------------------------------------------------------------- */

static bool set_inq(struct pair *p)
{
	return !set_option(&p->rx, IPPROTO_TCP, TCP_INQ, 1);
}

static void inq(struct pair *p)
{
	int value;

	saw("TCP_INQ", set_option(&p->rx, IPPROTO_TCP, TCP_INQ, 1));
	deliver(&p->tx, 130);
	saw("recvmsg", get_with_ancillary(&p->rx, IPPROTO_TCP, TCP_INQ, &value));
	saw("left, it says", value);
	saw("read", take(&p->rx, 30));
}

/* ---- timestamps -------------------------------------------------------------------- */

static bool set_timestamp(struct pair *p)
{
	return !set_option(&p->rx, SOL_SOCKET, SO_TIMESTAMP, 1);
}

static void timestamp(struct pair *p)
{
	int value;

	saw("SO_TIMESTAMP", set_option(&p->rx, SOL_SOCKET, SO_TIMESTAMP, 1));
	deliver(&p->tx, 10);
	saw("recvmsg", get_with_ancillary(&p->rx, SOL_SOCKET, SO_TIMESTAMP, &value));
	saw_if("with a timestamp", value != -ENOMSG);
}

/* ---- the rest ------------------------------------------------------------------------- */

static void ulp(struct pair *p)
{
	saw("TCP_ULP tls", negated(setsockopt(p->tx.fd, IPPROTO_TCP, TCP_ULP, "tls", 4)));
}

static int option_of(const struct end *end, int level, int option)
{
	socklen_t len = sizeof(int);
	int value = -1;

	return getsockopt(end->fd, level, option, &value, &len) ? -errno : value;
}

static void identity(struct pair *p)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	struct stat st;

	deliver(&p->tx, 10);
	saw_if("getpeername is what was asked for", ends_peer_is_asked(p));
	saw("getsockname", negated(getsockname(p->rx.fd, (struct sockaddr *)&address, &len)));
	saw("SO_TYPE", option_of(&p->rx, SOL_SOCKET, SO_TYPE));
	saw("SO_PROTOCOL", option_of(&p->rx, SOL_SOCKET, SO_PROTOCOL));
	saw("SO_ERROR", option_of(&p->rx, SOL_SOCKET, SO_ERROR));
	saw("SO_ACCEPTCONN", option_of(&p->rx, SOL_SOCKET, SO_ACCEPTCONN));
	saw("SO_RCVLOWAT", option_of(&p->rx, SOL_SOCKET, SO_RCVLOWAT));
	saw("TCP_NODELAY", option_of(&p->rx, IPPROTO_TCP, TCP_NODELAY));
	saw_if("TCP_MAXSEG", option_of(&p->rx, IPPROTO_TCP, TCP_MAXSEG) > 0);
	saw_if("is a socket", !fstat(p->rx.fd, &st) && S_ISSOCK(st.st_mode));
	saw("lseek", negated(lseek(p->rx.fd, 0, SEEK_CUR)));
	saw("listen", negated(listen(p->rx.fd, 1)));
	saw("connect", negated(connect(p->rx.fd, (struct sockaddr *)&address, len)));
	saw("read", take(&p->rx, 10));
}

static void buffers(struct pair *p)
{
	saw("SO_RCVBUF", set_option(&p->rx, SOL_SOCKET, SO_RCVBUF, 20000));
	saw("is", option_of(&p->rx, SOL_SOCKET, SO_RCVBUF));
	saw("SO_SNDBUF", set_option(&p->tx, SOL_SOCKET, SO_SNDBUF, 20000));
	saw("is", option_of(&p->tx, SOL_SOCKET, SO_SNDBUF));
	saw_if("conversation", converse(p));
}

static const struct check checks[] = {
	{ "lowat-always", lowat, set_lowat },
	{ "lowat", lowat },
	{ "lowat-late", lowat_late },
	{ "peek-off-always", peek_off, set_peek_off },
	{ "peek-off", peek_off },
	{ "inq-always", inq, set_inq },
	{ "inq", inq },
	{ "timestamp-always", timestamp, set_timestamp },
	{ "timestamp", timestamp },
	{ "ulp", ulp },
	{ "identity", identity },
	{ "buffers", buffers },
};
const struct family family_socket_options = { checks, ARRAY_SIZE(checks) };
