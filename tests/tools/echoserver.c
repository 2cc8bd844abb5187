// SPDX-License-Identifier: Apache-2.0
/*
 * The servers of the tests: TCP and UDP, event loop or a thread a connection.
 * See usage() for what it does; it prints "ready" once everything listens and
 * ends on SIGTERM.
 */
#include <getopt.h>
#include <pthread.h>
#include <sys/epoll.h>

#include "tool.h"

#define BUFFER     (64 * 1024)
#define EVENTS_MAX 64

enum mode { MODE_ECHO, MODE_SINK };

static struct {
	const char *name;
	enum mode mode;
	bool greet;
	bool udp;
	bool v6only;
	bool blocking;
	bool fastopen;
} opt = { .name = "server" };

/* ---- one TCP connection, as the event loop sees it --------------------------- */

struct conn {
	int fd;
	bool listener;
	bool eof;       /* the client has sent all */
	uint64_t count; /* bytes read */
	size_t out;     /* buffer[out .. filled) waits to be sent */
	size_t filled;
	char buffer[BUFFER];
};

static int epoll_fd;

static struct conn *conn_new(int fd, bool listener)
{
	struct conn *conn = tool_alloc(1, sizeof(*conn));
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = conn };

	conn->fd = fd;
	conn->listener = listener;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event))
		tool_die("epoll_ctl");
	return conn;
}

static void conn_free(struct conn *conn)
{
	close(conn->fd);
	free(conn);
}

/* Prints into buf, cut to size; returns the length. */
__attribute__((format(printf, 3, 4))) static size_t line(char *buf, size_t size, const char *format,
							 ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(buf, size, format, args);
	va_end(args);
	return len < 0 ? 0 : (size_t)len < size ? (size_t)len : size - 1;
}

/* Returns 1 when all is sent, 0 when the socket is full, -1 when it is broken. */
static int conn_flush(struct conn *conn)
{
	while (conn->out < conn->filled) {
		ssize_t n = send(conn->fd, conn->buffer + conn->out, conn->filled - conn->out, 0);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -1;
		conn->out += (size_t)n;
	}
	conn->out = conn->filled = 0;
	return 1;
}

/* Takes what has come; the buffer is empty. Same results as conn_flush(). */
static int conn_fill(struct conn *conn)
{
	ssize_t n = recv(conn->fd, conn->buffer, sizeof(conn->buffer), 0);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	conn->eof = n == 0;
	conn->count += (uint64_t)n;
	if (opt.mode == MODE_ECHO)
		conn->filled = (size_t)n;
	else if (conn->eof)
		conn->filled = line(conn->buffer, sizeof(conn->buffer), "%llu\n",
				    (unsigned long long)conn->count);
	return 1;
}

/* Waits for room while something is to be sent, else for input: never for both. */
static void conn_watch(struct conn *conn)
{
	struct epoll_event event = { .events = conn->out < conn->filled ? EPOLLOUT : EPOLLIN,
				     .data.ptr = conn };

	if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, conn->fd, &event))
		tool_die("epoll_ctl");
}

static void conn_serve(struct conn *conn)
{
	int r = conn_flush(conn);

	while (r > 0 && !conn->eof) {
		r = conn_fill(conn);
		if (r > 0)
			r = conn_flush(conn);
	}
	if (r < 0 || (conn->eof && conn->out == conn->filled))
		conn_free(conn);
	else
		conn_watch(conn);
}

static void conn_accept(struct conn *listener)
{
	struct conn *conn;
	int fd;

	while ((fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		tool_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
		conn = conn_new(fd, false);
		if (opt.greet)
			conn->filled = line(conn->buffer, sizeof(conn->buffer), "%s\n", opt.name);
		conn_serve(conn);
	}
}

/* ---- the same with a thread a connection and blocking calls ------------------ */

static bool send_all(int fd, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = send(fd, buf, len, 0);

		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0) {
			buf += n;
			len -= (size_t)n;
		}
	}
	return true;
}

static void *blocking_connection(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[BUFFER];
	uint64_t count = 0;
	ssize_t n = 1;

	if (opt.greet && !send_all(fd, buf, line(buf, sizeof(buf), "%s\n", opt.name)))
		n = -1;
	while (n > 0 && (n = recv(fd, buf, sizeof(buf), 0)) > 0) {
		count += (uint64_t)n;
		if (opt.mode == MODE_ECHO && !send_all(fd, buf, (size_t)n))
			n = -1;
	}
	if (n == 0 && opt.mode == MODE_SINK)
		send_all(fd, buf, line(buf, sizeof(buf), "%llu\n", (unsigned long long)count));
	close(fd);
	return NULL;
}

static void blocking_accept(struct conn *listener)
{
	int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
	pthread_attr_t attr;
	pthread_t thread;

	if (fd < 0)
		return;
	tool_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 4 * BUFFER);
	errno = pthread_create(&thread, &attr, blocking_connection, (void *)(intptr_t)fd);
	if (errno)
		tool_die("pthread_create");
	pthread_attr_destroy(&attr);
}

/* ---- UDP --------------------------------------------------------------------- */

static void datagram_serve(int fd)
{
	char buf[BUFFER];
	size_t prefix = line(buf, sizeof(buf), "%s ", opt.name);
	struct address from = { .len = sizeof(from.sa) };
	ssize_t n;

	while ((n = recvfrom(fd, buf + prefix, sizeof(buf) - prefix, 0, (struct sockaddr *)&from.sa,
			     &from.len)) >= 0) {
		/* Lost like any datagram when it does not go out. */
		sendto(fd, buf, prefix + (size_t)n, 0, (struct sockaddr *)&from.sa, from.len);
		from.len = sizeof(from.sa);
	}
}

/* ---- main --------------------------------------------------------------------- */

static void serve(struct conn *conn)
{
	if (opt.udp)
		datagram_serve(conn->fd);
	else if (!conn->listener)
		conn_serve(conn);
	else if (opt.blocking)
		blocking_accept(conn);
	else
		conn_accept(conn);
}

/* Nothing is worth saying at the end, so there is no flag to race with. */
static void quit(int number)
{
	(void)number;
	_exit(EXIT_SUCCESS);
}

__attribute__((noreturn)) static void loop(void)
{
	struct epoll_event events[EVENTS_MAX];

	for (;;) {
		int n = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);

		if (n < 0 && errno != EINTR)
			tool_die("epoll_wait");
		for (int i = 0; i < n; i++)
			serve(events[i].data.ptr);
	}
}

__attribute__((noreturn)) static void usage(int code)
{
	fprintf(code ? stderr : stdout,
		"usage: echoserver [OPTIONS] ADDRESS:PORT...\n"
		"  -u, --udp        UDP: answer each datagram with \"NAME datagram\"\n"
		"  -6, --v6only     a v6 socket takes no v4-mapped clients\n"
		"  --name NAME      who answers (default: server)\n"
		"  --mode MODE      echo: send back what came (default)\n"
		"                   name: the same, after --greet\n"
		"                   sink: read, answer with the count of bytes at the end\n"
		"  --greet          send NAME and a newline at accept\n"
		"  --blocking       a thread a connection, blocking calls (default: epoll)\n"
		"  --fastopen       TCP: take data with the SYN (sysctl net.ipv4.tcp_fastopen)\n");
	exit(code);
}

static void parse_mode(const char *text)
{
	if (!strcmp(text, "sink"))
		opt.mode = MODE_SINK;
	else if (!strcmp(text, "name"))
		opt.greet = true;
	else if (strcmp(text, "echo"))
		usage(EXIT_USAGE);
}

static void parse_options(int argc, char **argv)
{
	enum { NAME = 256, MODE, GREET, BLOCKING, FASTOPEN };
	static const struct option options[] = {
		{ "udp", no_argument, NULL, 'u' },
		{ "v6only", no_argument, NULL, '6' },
		{ "name", required_argument, NULL, NAME },
		{ "mode", required_argument, NULL, MODE },
		{ "greet", no_argument, NULL, GREET },
		{ "blocking", no_argument, NULL, BLOCKING },
		{ "fastopen", no_argument, NULL, FASTOPEN },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	int c;

	while ((c = getopt_long(argc, argv, "u6h", options, NULL)) != -1) {
		switch (c) {
		case 'u':
			opt.udp = true;
			break;
		case '6':
			opt.v6only = true;
			break;
		case NAME:
			opt.name = optarg;
			break;
		case MODE:
			parse_mode(optarg);
			break;
		case GREET:
			opt.greet = true;
			break;
		case BLOCKING:
			opt.blocking = true;
			break;
		case FASTOPEN:
			opt.fastopen = true;
			break;
		default:
			usage(c == 'h' ? EXIT_SUCCESS : EXIT_USAGE);
		}
	}
	if (optind == argc)
		usage(EXIT_USAGE);
}

int main(int argc, char **argv)
{
	int type;

	parse_options(argc, argv);
	tool_init();
	signal(SIGTERM, quit);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		tool_die("epoll_create1");
	type = (opt.udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK;
	for (int i = optind; i < argc; i++) {
		struct address address = tool_address(argv[i]);
		int fd = tool_bind(&address, type, opt.v6only);

		if (opt.fastopen)
			tool_set(fd, IPPROTO_TCP, TCP_FASTOPEN, SOMAXCONN);
		conn_new(fd, true);
	}
	tool_ready();
	loop();
}
