/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The self-test's child: it owns the sockets. Each phase tries some checks and writes
 * down what came of them; the parent, which owns the maps, changes what the next phase
 * needs and lets it go on.
 */
#include "datapath/selftest_child.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

#include "core/address.h"
#include "core/cleanup.h"

#define ROUND_TRIPS 32 /* of every pair: request/response enough to be nominated */

/* FIONREAD must tell of bytes that came past TCP, of some by TCP behind them, and of
 * bytes by TCP alone. */
#define SPLICED SELFTEST_SPLICED
#define THEN    2000
#define BY_TCP  5000

/* What is tried on a reader that never reads: small buffers, and an end to it. */
#define BUFFER   (64 * 1024)
#define MESSAGE  4096
#define TOO_MUCH (16 * 1024 * 1024)

#define MESSAGE_MAX 8192

/* Another instance that serves this cgroup, too, must not adopt the test's sockets: it looks
 * at them within milliseconds and finds them blocking, which is its last word. */
#define LOOK_MS 50

struct pair {
	int client, server;
	uint8_t sent_seq, read_seq; /* the pattern's next byte, either side */
};

struct child {
	struct selftest_child how;
	int listener, udp_server, udp6_server;
	int doomed; /* a connected UDP socket */
	struct pair main, brief, reader, refusals[REPORT_REFUSALS];
	struct report report;
};

/* ---- small things ----------------------------------------------------------------- */

static void pause_ms(int ms)
{
	const struct timespec time = { .tv_nsec = ms * 1000000L };

	nanosleep(&time, NULL);
}

static void pass(struct child *child, enum check check)
{
	check_pass(&child->report.checks, check);
}

/* Both return -1, for a handy return. */
static int wrong(struct child *child, enum check check, const char *format, ...)
{
	char text[SST_REASON_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	check_fail(&child->report.checks, check, "%s", text);
	return -1;
}

static int broken(struct child *child, const char *what)
{
	snprintf(child->report.error, sizeof(child->report.error), "%s: %s", what, strerror(errno));
	return -1;
}

/* Reports a phase and waits for leave to go on; -1: this was the last. */
static int sync_with_parent(struct child *child, enum phase phase)
{
	char word;

	child->report.phase = phase;
	if (send(child->how.talk, &child->report, sizeof(child->report), MSG_NOSIGNAL) < 0)
		return -1;
	return recv(child->how.talk, &word, 1, 0) == 1 && word == 'g' ? 0 : -1;
}

static bool is_ready(int fd, short events, int wait_ms)
{
	struct pollfd wait = { .fd = fd, .events = events };

	return poll(&wait, 1, wait_ms) == 1 && wait.revents & events;
}

static int set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

static int get_int(int fd, int level, int name)
{
	socklen_t size = sizeof(int);
	int value = 0;

	return getsockopt(fd, level, name, &value, &size) ? 0 : value;
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) ? 0 : cookie;
}

static void close_pair(struct pair *pair)
{
	cleanup_close(&pair->client);
	cleanup_close(&pair->server);
	pair->client = pair->server = -1;
}

/* ---- services, called ---------------------------------------------------------------- */

static int loopback_up(void)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };

	return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) ? -1 : 0;
}

static int bind_loopback(int family, int type, int *port)
{
	struct sockaddr_storage address;
	_cleanup_close_ int fd = socket(family, type | SOCK_CLOEXEC, 0);
	struct sst_addr loopback;
	socklen_t size;

	address_parse(family == AF_INET ? "127.0.0.1" : "::1", &loopback);
	size = address_to_sockaddr(&loopback, 0, &address);
	if (fd < 0 || bind(fd, (void *)&address, size) || (type == SOCK_STREAM && listen(fd, 16)) ||
	    getsockname(fd, (void *)&address, &size))
		return -1;
	/* it lies at the same place in v4 and v6 */
	*port = ntohs(((struct sockaddr_in *)&address)->sin_port);
	return TAKE_FD(fd);
}

static int phase_listen(struct child *child)
{
	/* apart from everybody else, where we may: it needs CAP_SYS_ADMIN */
	if (!unshare(CLONE_NEWNET) && loopback_up())
		return broken(child, "loopback");
	child->listener = bind_loopback(AF_INET, SOCK_STREAM, &child->report.tcp_port);
	child->udp_server = bind_loopback(AF_INET, SOCK_DGRAM, &child->report.udp_port);
	child->udp6_server = bind_loopback(AF_INET6, SOCK_DGRAM, &child->report.udp6_port);
	if (child->listener < 0 || child->udp_server < 0)
		return broken(child, "listen");
	return sync_with_parent(child, PHASE_LISTEN);
}

/* The service as a socket of this family asks for it: v6 by the v4-mapped address. */
static void service_sockaddr(int family, struct sockaddr_storage *ret, socklen_t *size)
{
	struct sockaddr_in6 *v6 = (void *)ret;
	struct sst_addr address;

	address_parse(SELFTEST_ADDRESS, &address);
	*size = address_to_sockaddr(&address, htons(SELFTEST_PORT), ret);
	if (family == AF_INET)
		return;
	memset(ret, 0, sizeof(*ret));
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(SELFTEST_PORT);
	memcpy(&v6->sin6_addr, &address, sizeof(address));
	*size = sizeof(*v6);
}

static bool is_same(const struct sockaddr_storage *got, const struct sockaddr_storage *want)
{
	const struct sockaddr_in6 *a6 = (const void *)got, *b6 = (const void *)want;
	const struct sockaddr_in *a = (const void *)got, *b = (const void *)want;

	if (got->ss_family != want->ss_family || a->sin_port != b->sin_port)
		return false;
	if (got->ss_family == AF_INET)
		return a->sin_addr.s_addr == b->sin_addr.s_addr;
	return !memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr));
}

static bool is_service(const struct sockaddr_storage *got, int family)
{
	struct sockaddr_storage want;
	socklen_t size;

	service_sockaddr(family, &want, &size);
	return is_same(got, &want);
}

static int call(int family, int type)
{
	_cleanup_close_ int fd = socket(family, type | SOCK_CLOEXEC, 0);
	struct sockaddr_storage address;
	socklen_t size;

	service_sockaddr(family, &address, &size);
	if (fd < 0 || connect(fd, (void *)&address, size))
		return -errno;
	return TAKE_FD(fd);
}

static int phase_refused(struct child *child)
{
	int fd = call(AF_INET, SOCK_STREAM);

	if (fd == -ECONNREFUSED)
		pass(child, CHECK_SET_RETVAL);
	else if (fd == -EPERM)
		wrong(child, CHECK_SET_RETVAL, "a refused connect() says EPERM");
	else
		wrong(child, CHECK_SET_RETVAL, "connect() was not refused: %s",
		      fd < 0 ? strerror(-fd) : "it went through");
	if (fd >= 0)
		close(fd);
	return sync_with_parent(child, PHASE_REFUSED);
}

/* The connection of this client: without a namespace of our own others may call too. */
static int accept_from(struct child *child, int client)
{
	struct sockaddr_storage ours, theirs;
	const struct sockaddr_in *a = (const void *)&ours, *b = (const void *)&theirs;

	while (is_ready(child->listener, POLLIN, SELFTEST_WAIT_MS)) {
		socklen_t size = sizeof(ours);
		_cleanup_close_ int fd = -1;

		if (getsockname(client, (void *)&ours, &size))
			return -1;
		size = sizeof(theirs);
		fd = accept4(child->listener, (void *)&theirs, &size, SOCK_CLOEXEC);
		/* the port lies at the same place in v4 and v6 */
		if (fd < 0 || a->sin_port == b->sin_port)
			return TAKE_FD(fd);
	}
	return -1;
}

/* Calls the service; check_ is of the family's connect(), and getpeername's follows it. */
static int open_pair(struct child *child, int family, enum check check, struct pair *ret)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	struct pair pair = { .server = -1 };

	pair.client = call(family, SOCK_STREAM);
	if (pair.client < 0)
		return wrong(child, check, "connect() did not reach the endpoint: %s",
			     strerror(-pair.client));
	child->report.opened++;
	pair.server = accept_from(child, pair.client);
	if (pair.server < 0) {
		close(pair.client);
		return wrong(child, check, "the connection did not arrive at the endpoint");
	}
	pass(child, check);
	if (getpeername(pair.client, (void *)&address, &size) || !is_service(&address, family))
		wrong(child, check + 1, "getpeername() does not show the service");
	pass(child, check + 1);
	set_int(pair.client, IPPROTO_TCP, TCP_NODELAY, 1);
	set_int(pair.server, IPPROTO_TCP, TCP_NODELAY, 1);
	*ret = pair;
	return 0;
}
static_assert(CHECK_GETPEERNAME4 == CHECK_CONNECT4 + 1, "see open_pair()");
static_assert(CHECK_GETPEERNAME6 == CHECK_CONNECT6 + 1, "see open_pair()");

/* A datagram to service, which arrives at server, and its reply. */
static int datagram(struct child *child, const struct sockaddr_storage *service, socklen_t size,
		    int server, enum check check)
{
	_cleanup_close_ int fd = socket(service->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_storage from;
	char byte = 'u';

	if (fd < 0 || sendto(fd, &byte, 1, 0, (void *)service, size) != 1)
		return wrong(child, check, "sendto() was refused: %s", strerror(errno));
	size = sizeof(from);
	if (!is_ready(server, POLLIN, SELFTEST_WAIT_MS) ||
	    recvfrom(server, &byte, 1, 0, (void *)&from, &size) != 1)
		return wrong(child, check, "the datagram did not arrive at the endpoint");
	pass(child, check);
	sendto(server, &byte, 1, 0, (void *)&from, size);
	size = sizeof(from);
	if (!is_ready(fd, POLLIN, SELFTEST_WAIT_MS) ||
	    recvfrom(fd, &byte, 1, 0, (void *)&from, &size) != 1 || !is_same(&from, service))
		return wrong(child, check + 1, "the reply does not come from the service");
	pass(child, check + 1);
	return 0;
}
static_assert(CHECK_RECVMSG4 == CHECK_SENDMSG4 + 1, "see datagram()");
static_assert(CHECK_RECVMSG6 == CHECK_SENDMSG6 + 1, "see datagram()");

static void connected_datagram(struct child *child)
{
	child->doomed = call(AF_INET, SOCK_DGRAM);
	if (child->doomed < 0)
		wrong(child, CHECK_CONNECT_UDP, "connect() was refused: %s",
		      strerror(-child->doomed));
	else if (send(child->doomed, "u", 1, 0) != 1 ||
		 !is_ready(child->udp_server, POLLIN, SELFTEST_WAIT_MS))
		wrong(child, CHECK_CONNECT_UDP, "the datagram did not arrive at the endpoint");
	pass(child, CHECK_CONNECT_UDP);
}

static int phase_hooks(struct child *child)
{
	struct sockaddr_storage service;
	struct pair v6 = { -1, -1 };
	socklen_t size;

	if (!open_pair(child, AF_INET, CHECK_CONNECT4, &child->main))
		child->report.main = (struct report_pair){ cookie_of(child->main.client),
							   cookie_of(child->main.server) };
	open_pair(child, AF_INET6, CHECK_CONNECT6, &v6);
	close_pair(&v6);
	service_sockaddr(AF_INET, &service, &size);
	datagram(child, &service, size, child->udp_server, CHECK_SENDMSG4);
	connected_datagram(child);
	return sync_with_parent(child, PHASE_HOOKS);
}

/* To an address of IPv6's own: the kernel treats a datagram to a v4-mapped one as IPv4's until
 * its reply is received. That must do where there is no IPv6. */
static int phase_v6(struct child *child)
{
	struct sockaddr_storage service;
	struct sst_addr address;
	socklen_t size;

	address_parse(SELFTEST_ADDRESS6, &address);
	size = address_to_sockaddr(&address, htons(SELFTEST_PORT), &service);
	if (!child->report.udp6_port)
		service_sockaddr(AF_INET6, &service, &size);
	datagram(child, &service, size,
		 child->report.udp6_port ? child->udp6_server : child->udp_server, CHECK_SENDMSG6);
	return sync_with_parent(child, PHASE_V6);
}

/* A socket that was ended has no peer any more. */
static int phase_ended(struct child *child)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);

	if (check_passed(&child->report.checks, CHECK_CONNECT_UDP)) {
		if (!getpeername(child->doomed, (void *)&address, &size))
			wrong(child, CHECK_DESTROY,
			      "neither SOCK_DESTROY (CONFIG_INET_DIAG_DESTROY) nor bpf_sock_destroy() "
			      "(6.5)");
		pass(child, CHECK_DESTROY);
	}
	return sync_with_parent(child, PHASE_ENDED);
}

/* ---- bytes ---------------------------------------------------------------------------- */

/* Sends up to n bytes of a pattern that counts on; how many, or -1 with errno. */
static ssize_t send_some(struct child *child, struct pair *pair, size_t n)
{
	uint8_t buf[MESSAGE_MAX];
	ssize_t sent;

	for (size_t i = 0; i < n; i++)
		buf[i] = pair->sent_seq + i;
	sent = send(pair->client, buf, n, MSG_NOSIGNAL);
	if (sent < 0)
		return -1;
	pair->sent_seq += sent;
	child->report.sent += sent;
	return sent;
}

static int send_pattern(struct child *child, struct pair *pair, size_t n)
{
	return send_some(child, pair, n) == (ssize_t)n ? 0 : -1;
}

/* Reads n bytes and holds them against the pattern; returns what is wrong, NULL: nothing. */
static const char *read_pattern(struct pair *pair, size_t n)
{
	uint8_t buf[MESSAGE_MAX];

	while (n) {
		ssize_t got;

		if (!is_ready(pair->server, POLLIN, SELFTEST_WAIT_MS))
			return "a reader was not woken";
		got = recv(pair->server, buf, n < sizeof(buf) ? n : sizeof(buf), 0);
		if (got <= 0)
			return "bytes were lost";
		for (ssize_t i = 0; i < got; i++)
			if (buf[i] != pair->read_seq++)
				return "bytes arrived out of order";
		n -= got;
	}
	return NULL;
}

/* One byte back. */
static const char *answer(struct pair *pair)
{
	char byte;

	if (send(pair->server, "r", 1, MSG_NOSIGNAL) != 1)
		return "send() failed";
	if (!is_ready(pair->client, POLLIN, SELFTEST_WAIT_MS))
		return "a reader was not woken";
	return recv(pair->client, &byte, 1, 0) == 1 && byte == 'r' ? NULL : "bytes were lost";
}

/* Two bytes there, for SO_RCVLOWAT's sake, one back, as often as rounds says; what is wrong,
 * NULL: nothing. */
static const char *talk(struct child *child, struct pair *pair, int rounds)
{
	const char *what = NULL;

	while (rounds-- && !what) {
		if (send_pattern(child, pair, 2))
			return "send() failed";
		what = read_pattern(pair, 2) ?: answer(pair);
	}
	return what;
}

static uint64_t received_by_tcp(const struct pair *pair)
{
	struct tcp_info info = {};
	socklen_t size = sizeof(info);

	getsockopt(pair->server, IPPROTO_TCP, TCP_INFO, &info, &size);
	return info.tcpi_bytes_received;
}

/* Sends and waits until TCP has brought all of it. */
static int send_by_tcp(struct child *child, struct pair *pair, size_t n)
{
	uint64_t before = received_by_tcp(pair);

	if (send_pattern(child, pair, n))
		return -1;
	for (int i = 0; i < SELFTEST_WAIT_MS; i++) {
		if (received_by_tcp(pair) - before >= n)
			return 0;
		pause_ms(1);
	}
	return -1;
}

static void fionread(struct child *child, enum check check, int want, const char *how)
{
	int got = -1;

	ioctl(child->main.server, FIONREAD, &got);
	if (got != want)
		wrong(child, check, "FIONREAD says %d of %d bytes sent %s", got, want, how);
	pass(child, check);
}

/* ---- pairs to be adopted, and pairs that must not be ------------------------------------- */

static const struct {
	const char *name;
	int level, option, value;
} refusals[REPORT_REFUSALS] = {
	{ "a blocking end", 0, 0, 0 },
	{ "SO_RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT, 2 },
	{ "SO_ZEROCOPY", SOL_SOCKET, SO_ZEROCOPY, 1 },
	{ "SO_TIMESTAMP", SOL_SOCKET, SO_TIMESTAMP, 1 },
	{ "SO_PEEK_OFF", SOL_SOCKET, SO_PEEK_OFF, 0 },
	{ "TCP_INQ", IPPROTO_TCP, TCP_INQ, 1 },
};

static int open_another(struct child *child, struct pair *pair, struct report_pair *report)
{
	if (open_pair(child, AF_INET, CHECK_CONNECT4, pair))
		return broken(child, "another connection");
	*report = (struct report_pair){ cookie_of(pair->client), cookie_of(pair->server) };
	return 0;
}

static int open_pairs(struct child *child)
{
	struct report *report = &child->report;

	if (open_another(child, &child->brief, &report->brief) ||
	    open_another(child, &child->reader, &report->reader))
		return -1;
	for (int i = 0; i < REPORT_REFUSALS; i++) {
		if (open_another(child, &child->refusals[i], &report->refusals[i]))
			return -1;
		/* an option that the kernel does not have for TCP needs no refusal */
		if (!refusals[i].option || !set_int(child->refusals[i].server, refusals[i].level,
						    refusals[i].option, refusals[i].value))
			strcpy(report->refusal_names[i], refusals[i].name);
	}
	return 0;
}

static void unblock(const struct pair *pair)
{
	fcntl(pair->client, F_SETFL, O_NONBLOCK);
	fcntl(pair->server, F_SETFL, O_NONBLOCK);
}

static void unblock_all(struct child *child)
{
	unblock(&child->main);
	unblock(&child->brief);
	unblock(&child->reader);
	for (int i = 0; i < REPORT_REFUSALS; i++)
		if (refusals[i].option)
			unblock(&child->refusals[i]);
}

/* One byte there, read by splice(2). */
static int read_by_splice(struct child *child)
{
	struct pair *pair = &child->reader;
	ssize_t n;
	int ends[2];

	if (send_pattern(child, pair, 1) || pipe2(ends, O_CLOEXEC))
		return broken(child, "splice(2)");
	is_ready(pair->server, POLLIN, SELFTEST_WAIT_MS);
	n = splice(pair->server, NULL, ends[1], NULL, 1, SPLICE_F_NONBLOCK);
	close(ends[0]);
	close(ends[1]);
	pair->read_seq++;
	return n == 1 ? 0 : broken(child, "splice(2)");
}

static int talk_on_all(struct child *child)
{
	struct pair *pairs[3 + REPORT_REFUSALS] = { &child->main, &child->brief, &child->reader };

	for (int i = 0; i < REPORT_REFUSALS; i++)
		pairs[3 + i] = &child->refusals[i];
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		const char *what = talk(child, pairs[i], ROUND_TRIPS);

		if (what)
			return wrong(child, CHECK_ADOPT, "by TCP, before: %s", what);
	}
	return 0;
}

static int phase_talk(struct child *child)
{
	if (open_pairs(child) || (child->how.readers && read_by_splice(child)))
		return -1;
	set_int(child->main.client, SOL_SOCKET, SO_SNDBUF, BUFFER);
	set_int(child->main.server, SOL_SOCKET, SO_RCVBUF, BUFFER);
	if (!child->how.alone)
		unblock_all(child);
	if (talk_on_all(child))
		return -1;
	if (child->how.alone) {
		pause_ms(LOOK_MS);
		unblock_all(child);
	}
	return sync_with_parent(child, PHASE_TALK);
}

/* ---- the splice -------------------------------------------------------------------------- */

static int phase_proven(struct child *child)
{
	const char *what = talk(child, &child->main, 8) ?: talk(child, &child->brief, 8);

	if (what)
		return wrong(child, CHECK_REDIRECT, "after they were adopted: %s", what);
	return sync_with_parent(child, PHASE_PROVEN);
}

static int watch(int fd, uint32_t events)
{
	struct epoll_event event = { .events = events };
	_cleanup_close_ int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		return -1;
	epoll_wait(epoll, &event, 1, 0); /* what was ready before */
	return TAKE_FD(epoll);
}

static bool tells(int epoll, int wait_ms)
{
	struct epoll_event event;

	return epoll_wait(epoll, &event, 1, wait_ms) == 1;
}

/* Bytes charged to the reader's receive buffer: what bounds the splice. */
static int memory_of(int fd)
{
	__u32 memory[SK_MEMINFO_VARS] = {};
	socklen_t size = sizeof(memory);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &size))
		return -1;
	return memory[SK_MEMINFO_RMEM_ALLOC];
}

/* While SPLICED bytes wait, and as they are read. */
static void try_level(struct child *child, int level)
{
	struct pair *pair = &child->main;
	const char *what;

	if (!is_ready(pair->server, POLLIN, SELFTEST_WAIT_MS) || !tells(level, SELFTEST_WAIT_MS))
		wrong(child, CHECK_LEVEL, "not told of spliced bytes");
	what = read_pattern(pair, SPLICED / 3);
	if (!is_ready(pair->server, POLLIN, 0) || !tells(level, 0))
		wrong(child, CHECK_LEVEL, "not told of spliced bytes once some are read");
	what = what ?: read_pattern(pair, SPLICED - SPLICED / 3);
	if (what)
		wrong(child, CHECK_LEVEL, "%s", what);
	if (is_ready(pair->server, POLLIN, 0) || tells(level, 0))
		wrong(child, CHECK_LEVEL, "told of bytes when all are read");
	pass(child, CHECK_LEVEL);
}

/* Sends SPLICED bytes past TCP and looks at them from the reader's side. */
static int try_unread(struct child *child, int edge)
{
	struct pair *pair = &child->main;
	int charged;

	if (send_pattern(child, pair, SPLICED))
		return wrong(child, CHECK_ORDER, "send() past TCP failed: %s", strerror(errno));
	if (!tells(edge, SELFTEST_WAIT_MS))
		wrong(child, CHECK_EDGE, "not told of spliced bytes");
	fionread(child, CHECK_FIONREAD_SPLICED, SPLICED, "past TCP");
	charged = memory_of(pair->server);
	if (charged < SPLICED)
		wrong(child, CHECK_CHARGED,
		      "%d of %d unread bytes are charged: nothing bounds them", charged, SPLICED);
	pass(child, CHECK_CHARGED);
	return sync_with_parent(child, PHASE_UNREAD);
}

static int phase_unread(struct child *child)
{
	struct pair *pair = &child->main;
	_cleanup_close_ int edge = watch(pair->server, EPOLLIN | EPOLLET);
	_cleanup_close_ int level = watch(pair->server, EPOLLIN);
	const char *what;

	if (edge < 0 || level < 0)
		return broken(child, "epoll");
	if (try_unread(child, edge))
		return -1;
	try_level(child, level);
	if (send_pattern(child, pair, 1))
		return wrong(child, CHECK_ORDER, "send() past TCP failed: %s", strerror(errno));
	if (!tells(edge, SELFTEST_WAIT_MS))
		wrong(child, CHECK_EDGE, "not told of the second arrival");
	pass(child, CHECK_EDGE);
	what = read_pattern(pair, 1);
	return what ? wrong(child, CHECK_ORDER, "past TCP: %s", what) : 0;
}

/* Sends until EAGAIN comes and stays, or it is far too much; returns how much. */
static size_t fill(struct child *child)
{
	size_t sent = 0;

	while (sent < TOO_MUCH) {
		ssize_t n = send_some(child, &child->main, MESSAGE);

		if (n >= 0)
			sent += n;
		else if (errno != EAGAIN || !is_ready(child->main.client, POLLOUT, 20))
			break;
	}
	return sent;
}

static int phase_full(struct child *child)
{
	struct pair *pair = &child->main;
	size_t bound = 4 * (get_int(pair->server, SOL_SOCKET, SO_RCVBUF) +
			    get_int(pair->client, SOL_SOCKET, SO_SNDBUF));
	size_t sent = fill(child);
	const char *what;

	if (sent > bound)
		wrong(child, CHECK_BOUNDS,
		      "%zu bytes were taken from a sender, expected at most %zu", sent, bound);
	pass(child, CHECK_BOUNDS);
	/* an answer while bytes by TCP are unread: what is sent now must not overtake them */
	what = sent < BY_TCP ? "nothing to read" : read_pattern(pair, sent - BY_TCP);
	what = what ?: answer(pair);
	if (!what && send_pattern(child, pair, 1))
		what = "send() failed";
	what = what ?: read_pattern(pair, BY_TCP + 1);
	if (what)
		return wrong(child, CHECK_ORDER, "past TCP and by TCP: %s", what);
	return sync_with_parent(child, PHASE_FULL);
}

/* Of a socket where spliced bytes wait: any other answer means that the call went through. */
static void try_splice(struct child *child, int fd)
{
	int ends[2];
	ssize_t n;

	if (!child->how.readers || pipe2(ends, O_CLOEXEC))
		return;
	n = splice(fd, NULL, ends[1], NULL, 1, SPLICE_F_NONBLOCK);
	if (n >= 0 || errno != EINVAL)
		wrong(child, CHECK_READER_DECLINED, "splice(2) on an adopted socket goes through");
	pass(child, CHECK_READER_DECLINED);
	close(ends[0]);
	close(ends[1]);
}

/* The server reads what a client sent that is gone. */
static void try_close(struct child *child)
{
	struct pair *pair = &child->brief;
	const char *what;
	char byte;

	if (send_pattern(child, pair, SPLICED)) {
		wrong(child, CHECK_CLOSE, "send() past TCP failed: %s", strerror(errno));
		return;
	}
	close(pair->client);
	pair->client = -1;
	try_splice(child, pair->server);
	what = read_pattern(pair, SPLICED);
	if (!what && (!is_ready(pair->server, POLLIN, SELFTEST_WAIT_MS) ||
		      recv(pair->server, &byte, 1, 0) != 0))
		what = "no end of file";
	if (what)
		wrong(child, CHECK_CLOSE, "%s", what);
	pass(child, CHECK_CLOSE);
}

static int phase_split(struct child *child)
{
	const char *what = talk(child, &child->main, 8);

	if (what)
		return wrong(child, CHECK_ORDER, "past TCP again: %s", what);
	try_close(child);
	if (send_pattern(child, &child->main, SPLICED))
		return wrong(child, CHECK_ORDER, "send() past TCP failed: %s", strerror(errno));
	return sync_with_parent(child, PHASE_SPLIT);
}

static int phase_stopped(struct child *child)
{
	struct pair *pair = &child->main;
	const char *what;

	if (send_by_tcp(child, pair, THEN))
		return wrong(child, CHECK_STOP, "bytes by TCP did not arrive");
	fionread(child, CHECK_FIONREAD_BOTH, SPLICED + THEN, "past TCP and by TCP");
	what = read_pattern(pair, SPLICED + THEN);
	if (what)
		return wrong(child, CHECK_STOP, "%s", what);
	if (send_by_tcp(child, pair, BY_TCP))
		return wrong(child, CHECK_STOP, "bytes by TCP did not arrive");
	fionread(child, CHECK_FIONREAD_TCP, BY_TCP, "by TCP");
	what = read_pattern(pair, BY_TCP);
	if (what)
		return wrong(child, CHECK_STOP, "%s", what);
	return sync_with_parent(child, PHASE_STOPPED);
}

static int phase_released(struct child *child)
{
	const char *what;

	what = talk(child, &child->main, 8);
	if (what)
		wrong(child, CHECK_RELEASE, "%s", what);
	pass(child, CHECK_RELEASE);
	return 0;
}

static void close_all(struct child *child)
{
	close_pair(&child->main);
	close_pair(&child->brief);
	close_pair(&child->reader);
	for (int i = 0; i < REPORT_REFUSALS; i++)
		close_pair(&child->refusals[i]);
}

/* ---- the way through ------------------------------------------------------------------------ */

static int phases(struct child *child)
{
	static int (*const all[])(struct child * child) = {
		phase_listen, phase_refused, phase_hooks,   phase_v6,
		phase_ended,  phase_talk,    phase_proven,  phase_unread,
		phase_full,   phase_split,   phase_stopped, phase_released,
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i](child))
			return -1;
	return 0;
}

/*
 * A container may be in a cgroup namespace of its own, which nobody leaves where cgroup2 is
 * mounted with nsdelegate, as systemd does. The host's is that of its first process, if we see that.
 */
static int open_procs(int cgroup)
{
	_cleanup_close_ int host = open("/proc/1/ns/cgroup", O_RDONLY | O_CLOEXEC);

	if (host >= 0)
		setns(host, CLONE_NEWCGROUP);
	return openat(cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC);
}

void selftest_child(const struct selftest_child *how)
{
	struct child child = {
		.how = *how, .main = { -1, -1 }, .brief = { -1, -1 }, .reader = { -1, -1 }
	};
	_cleanup_close_ int procs = open_procs(how->cgroup);

	for (int i = 0; i < REPORT_REFUSALS; i++)
		child.refusals[i] = (struct pair){ -1, -1 };
	alarm(SELFTEST_SECONDS);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* it has its parent's locks */
	if (procs < 0 || write(procs, "0", 1) != 1)
		broken(&child, "cgroup.procs");
	else
		phases(&child);
	close_all(&child);
	sync_with_parent(&child, PHASE_DONE);
	_exit(0);
}
