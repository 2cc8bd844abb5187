// SPDX-License-Identifier: Apache-2.0
/*
 * What a call costs its caller, for tests/bench/policy.bash: one test of one address, the
 * median in nanoseconds on stdout. See usage().
 */
#include <sched.h>
#include <sys/epoll.h>

#include "../tools/tool.h"

#define EVENTS_MAX 256
#define STALL_MS   10000

static uint64_t n_calls;
static uint64_t *times;

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void tell_median(const char *what)
{
	qsort(times, n_calls, sizeof(*times), compare_u64);
	printf("%s %llu\n", what, (unsigned long long)times[n_calls / 2]);
}

static int socket_of(const struct address *server, int type)
{
	struct timeval stall = { .tv_sec = STALL_MS / 1000 };
	int fd = socket(server->sa.ss_family, type | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &stall, sizeof(stall)))
		tool_die("socket");
	return fd;
}

static bool dial(int fd, const struct address *server)
{
	if (!connect(fd, (const struct sockaddr *)&server->sa, server->len))
		return true;
	if (errno != EPERM)
		tool_die("connect");
	return false;
}

/* ---- connections ----------------------------------------------------------------- */

/* connect() and close(). No port stays in TIME_WAIT, and the server gets its turn. */
static void measure_connects(const struct address *server)
{
	struct linger reset = { .l_onoff = 1 };
	bool allowed = false;

	for (uint64_t i = 0; i < n_calls; i++) {
		int fd = socket_of(server, SOCK_STREAM);
		uint64_t begun;

		if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)))
			tool_die("SO_LINGER");
		begun = tool_now_ns();
		allowed = dial(fd, server);
		close(fd);
		times[i] = tool_now_ns() - begun;
		sched_yield();
	}
	tell_median(allowed ? "allowed" : "denied");
}

/* ---- round trips ------------------------------------------------------------------- */

/* To the server itself, or to whom the socket is connected. */
static void measure_round_trips(int fd, const struct sockaddr *to, socklen_t len)
{
	char byte = 1;

	for (uint64_t i = 0; i < n_calls; i++) {
		uint64_t begun = tool_now_ns();

		if (sendto(fd, &byte, 1, 0, to, len) != 1 || recv(fd, &byte, 1, 0) != 1)
			tool_die("round trip");
		times[i] = tool_now_ns() - begun;
	}
	tell_median("round-trip");
}

static void measure_tcp(const struct address *server)
{
	int fd = socket_of(server, SOCK_STREAM);

	tool_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (!dial(fd, server))
		tool_die("connect");
	measure_round_trips(fd, NULL, 0);
}

static void measure_udp(const struct address *server)
{
	measure_round_trips(socket_of(server, SOCK_DGRAM), (const struct sockaddr *)&server->sa,
			    server->len);
}

static void measure_connected_udp(const struct address *server)
{
	int fd = socket_of(server, SOCK_DGRAM);

	if (!dial(fd, server))
		tool_die("connect");
	measure_round_trips(fd, NULL, 0);
}

/* ---- revocation ---------------------------------------------------------------------- */

static void open_flows(const struct address *server, int epoll)
{
	for (uint64_t i = 0; i < n_calls; i++) {
		int fd = socket_of(server, SOCK_STREAM);
		struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
		char byte = 1;

		if (!dial(fd, server) || send(fd, &byte, 1, 0) != 1 || recv(fd, &byte, 1, 0) != 1)
			tool_die("flow");
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
			tool_die("epoll_ctl");
	}
}

/* The new set is in force not before the last connect() that was let in began; that the first
 * one is denied may be noticed late, when others have the processors. */
static uint64_t await_denial(const struct address *server)
{
	struct linger reset = { .l_onoff = 1 };
	uint64_t begun = tool_now_ns(), last;
	bool allowed;

	do {
		struct timespec pause = { .tv_nsec = 100000 };
		int fd = socket_of(server, SOCK_STREAM);

		last = begun;
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		begun = tool_now_ns();
		/* one that was let in may be ended with the others */
		allowed = !connect(fd, (const struct sockaddr *)&server->sa, server->len) ||
			  errno != EPERM;
		close(fd);
		nanosleep(&pause, NULL);
	} while (allowed && !tool_stop);
	return last;
}

/* Whoever waits for a flow is told of its end; here one waits for all. */
static void measure_ends(const struct address *server)
{
	struct epoll_event events[EVENTS_MAX];
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	uint64_t begun, first = 0, left = n_calls;

	open_flows(server, epoll);
	tool_ready();
	begun = await_denial(server);
	while (left && !tool_stop) {
		int n = epoll_wait(epoll, events, EVENTS_MAX, STALL_MS);

		if (n <= 0)
			tool_exit(EXIT_STALL, "%llu flows go on", (unsigned long long)left);
		if (!first)
			first = tool_now_ns();
		/* away from the list; its socket is closed at the end, as a busy program's */
		for (int i = 0; i < n; i++)
			epoll_ctl(epoll, EPOLL_CTL_DEL, events[i].data.fd, NULL);
		left -= (uint64_t)n;
	}
	printf("ended %llu %llu\n", (unsigned long long)(first > begun ? first - begun : 0),
	       (unsigned long long)(tool_now_ns() - begun));
}

/* ---- options --------------------------------------------------------------------------- */

static const struct test {
	const char *name;
	void (*measure)(const struct address *server);
} tests[] = {
	{ "connect", measure_connects }, { "tcp", measure_tcp },
	{ "udp", measure_udp },          { "connected-udp", measure_connected_udp },
	{ "revoke", measure_ends },
};

__attribute__((noreturn)) static void usage(void)
{
	tool_exit(EXIT_USAGE,
		  "usage: calls TEST N ADDRESS:PORT\n"
		  "  connect        connect() and close(), allowed or denied\n"
		  "  tcp, udp, connected-udp\n"
		  "                 a byte there and back\n"
		  "  revoke         keeps N flows, prints \"ready\", and when they are ended\n"
		  "                 \"ended FIRST LAST\" since the last allowed connect()\n"
		  "Prints the median of N calls in ns.");
}

int main(int argc, char **argv)
{
	struct address server;

	if (argc != 4)
		usage();
	tool_init();
	n_calls = tool_number("N", argv[2]);
	if (!n_calls)
		usage();
	server = tool_address(argv[3]);
	times = tool_alloc(n_calls, sizeof(*times));
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++) {
		if (strcmp(tests[i].name, argv[1]))
			continue;
		tests[i].measure(&server);
		return EXIT_SUCCESS;
	}
	usage();
}
