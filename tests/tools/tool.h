/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the small test programs share. Each program is one .c file with no
 * library behind it, so these few helpers are inline and live here.
 *
 * Exit codes of all of them: 0 done, 1 failed, 2 usage, 3 stalled.
 */
#ifndef TESTS_TOOLS_TOOL_H
#define TESTS_TOOLS_TOOL_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EXIT_USAGE 2
#define EXIT_STALL 3

/* "[" v6 "]:65535" and a NUL */
#define ADDRESS_TEXT 56

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

struct address {
	struct sockaddr_storage sa;
	socklen_t len;
};

__attribute__((noreturn, format(printf, 2, 3))) static inline void
tool_exit(int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(code);
}

/* For what only a broken machine refuses: tells the call and its errno. */
__attribute__((noreturn)) static inline void tool_die(const char *what)
{
	tool_exit(EXIT_FAILURE, "%s: %s", what, strerror(errno));
}

static inline void *tool_alloc(size_t count, size_t size)
{
	void *p = calloc(count, size);

	if (!p)
		tool_die("calloc");
	return p;
}

static inline uint64_t tool_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static inline void tool_sleep_ms(uint64_t ms)
{
	struct timespec ts = { .tv_sec = (time_t)(ms / 1000),
			       .tv_nsec = (long)(ms % 1000) * 1000000 };

	/* A signal ends the sleep early: the caller looks at its stop flag next. */
	nanosleep(&ts, NULL);
}

/* A bijection of 64 bits without visible order (the finaliser of splitmix64). */
static inline uint64_t tool_mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ull;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

/* A decimal number of an option; anything else is a usage error. */
static inline uint64_t tool_number(const char *option, const char *text)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-')
		tool_exit(EXIT_USAGE, "%s: \"%s\" is not a number", option, text);
	return value;
}

/* ---- addresses ------------------------------------------------------------- */

/* "1.2.3.4:80" or "[fd00::1]:80"; anything else is a usage error. */
static inline struct address tool_address(const char *text)
{
	struct address ret = { 0 };
	struct sockaddr_in *in4 = (struct sockaddr_in *)&ret.sa;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ret.sa;
	char host[ADDRESS_TEXT];
	const char *colon = strrchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : 0;
	bool bracket = len > 2 && text[0] == '[' && text[len - 1] == ']';
	uint64_t port;

	if (!len || len >= sizeof(host))
		tool_exit(EXIT_USAGE, "\"%s\": expected ADDRESS:PORT or [ADDRESS]:PORT", text);
	memcpy(host, text + bracket, len - 2 * bracket);
	host[len - 2 * bracket] = '\0';
	port = tool_number(text, colon + 1);
	if (port > UINT16_MAX)
		tool_exit(EXIT_USAGE, "\"%s\": port out of range", text);

	if (!bracket && inet_pton(AF_INET, host, &in4->sin_addr) == 1) {
		in4->sin_family = AF_INET;
		in4->sin_port = htons((uint16_t)port);
		ret.len = sizeof(*in4);
	} else if (bracket && inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		ret.len = sizeof(*in6);
	} else {
		tool_exit(EXIT_USAGE, "\"%s\": not a numeric address", text);
	}
	return ret;
}

/* The same address as an AF_INET6 socket sees it: 1.2.3.4 is ::ffff:1.2.3.4. */
static inline struct address tool_mapped(const struct address *address)
{
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)&address->sa;
	struct address ret = { .len = sizeof(struct sockaddr_in6) };
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ret.sa;

	if (address->sa.ss_family != AF_INET)
		return *address;
	in6->sin6_family = AF_INET6;
	in6->sin6_port = in4->sin_port;
	in6->sin6_addr.s6_addr[10] = 0xff;
	in6->sin6_addr.s6_addr[11] = 0xff;
	memcpy(&in6->sin6_addr.s6_addr[12], &in4->sin_addr, sizeof(in4->sin_addr));
	return ret;
}

/* buf holds ADDRESS_TEXT; returns buf. */
static inline char *tool_address_text(const struct address *address, char *buf)
{
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)&address->sa;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->sa;
	char host[INET6_ADDRSTRLEN] = "";

	if (address->sa.ss_family == AF_INET) {
		inet_ntop(AF_INET, &in4->sin_addr, host, sizeof(host));
		snprintf(buf, ADDRESS_TEXT, "%s:%u", host, ntohs(in4->sin_port));
	} else if (address->sa.ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		snprintf(buf, ADDRESS_TEXT, "[%s]:%u", host, ntohs(in6->sin6_port));
	} else {
		buf[0] = '\0';
	}
	return buf;
}

static inline void tool_set(int fd, int level, int option, int value)
{
	if (setsockopt(fd, level, option, &value, sizeof(value)))
		tool_die("setsockopt");
}

/* A bound socket of this type, listening if it is a stream; v6 takes v4-mapped too. */
static inline int tool_bind(const struct address *address, int type, bool v6only)
{
	int fd = socket(address->sa.ss_family, type | SOCK_CLOEXEC, 0);
	bool stream = (type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) == SOCK_STREAM;
	char text[ADDRESS_TEXT];

	if (fd < 0)
		tool_die("socket");
	if (stream)
		tool_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (address->sa.ss_family == AF_INET6)
		tool_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, v6only);
	if (bind(fd, (const struct sockaddr *)&address->sa, address->len) ||
	    (stream && listen(fd, SOMAXCONN)))
		tool_exit(EXIT_FAILURE, "%s: %s", tool_address_text(address, text),
			  strerror(errno));
	return fd;
}

/* ---- the process ----------------------------------------------------------- */

static atomic_bool tool_stop;

static inline void tool_on_stop(int number)
{
	(void)number;
	atomic_store(&tool_stop, true);
}

/*
 * SIGTERM and SIGINT set tool_stop and interrupt what blocks; a peer that hangs
 * up is an errno, not a signal; as many descriptors as the machine allows.
 */
static inline void tool_init(void)
{
	struct sigaction stop = { .sa_handler = tool_on_stop };
	struct rlimit files;

	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGINT, &stop, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

/* Tells whoever started us that we can be called now. */
static inline void tool_ready(void)
{
	puts("ready");
	fflush(stdout);
}

#endif
