// SPDX-License-Identifier: Apache-2.0
/*
 * Plays both ends of connections, one step at a time: a hazard is a certain order of
 * sends, reads and events, and here it is that order, not the luck of a load. See
 * usage().
 *
 * Every byte is checked against a pattern. Nothing waits longer than WAIT_MS: what
 * has not happened by then never will, and is told as "stuck".
 */
#include <fcntl.h>
#include <getopt.h>
#include <linux/net_tstamp.h>
#include <poll.h>
#include <pthread.h>

#include "tool.h"

#define WAIT_MS         10000
#define ADOPTION_MS     20000
#define CONNECTIONS_MAX 1024
#define CHUNK           65536u
#define ROUND_PAUSE_MS  1

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef SO_PEEK_OFF
#define SO_PEEK_OFF 42
#endif
#ifndef TCP_INQ
#define TCP_INQ 36
#endif

/* The C library's struct tcp_info ends before these; offsets in the kernel's. */
#define TCPI_NOTSENT_BYTES 144
#define TCPI_BYTES_SENT    200
#define TCPI_BYTES_RETRANS 208

/* One end: sent and received count the bytes of its two streams. */
struct end {
	int fd;
	bool client;
	uint64_t sent;
	uint64_t received;
	pthread_t sleeper; /* in a blocking recv(), with this many bytes to come */
	size_t awaited;
	int recv_flags;
	atomic_int asleep;
	struct end *peer;
};

struct connection {
	struct end client;
	struct end server;
};

static struct {
	struct address service;
	struct address listen;
	uint64_t connections;
	uint64_t source_port;
	int protocol;
} opt = { .connections = 1 };

static struct connection *connections;
static const char *step; /* being taken, for complaints */

/* ---- complaints -------------------------------------------------------------------- */

__attribute__((noreturn, format(printf, 2, 3))) static void give_up(int code, const char *format,
								    ...)
{
	va_list args;

	fprintf(stderr, "step %s: ", step);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	_exit(code);
}

#define wrong(...) give_up(EXIT_FAILURE, __VA_ARGS__)
#define stuck(...) give_up(EXIT_STALL, __VA_ARGS__)

/* ---- bytes ------------------------------------------------------------------------- */

/* The two directions of a connection have different patterns. */
static uint8_t pattern(bool from_client, uint64_t offset)
{
	return (uint8_t)(offset * 37 + offset / 251 + (from_client ? 0 : 101));
}

static void check_bytes(struct end *end, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++, end->received++) {
		uint8_t expected = pattern(!end->client, end->received);

		if (bytes[i] != expected)
			wrong("wrong byte at offset %llu: expected %02x, found %02x",
			      (unsigned long long)end->received, expected, bytes[i]);
	}
}

/* One send() that does not wait. Bytes taken, or -errno. */
static ssize_t push(struct end *end, size_t n)
{
	static uint8_t buf[CHUNK];
	ssize_t taken;

	for (size_t i = 0; i < n; i++)
		buf[i] = pattern(end->client, end->sent + i);
	taken = send(end->fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (taken < 0)
		return -errno;
	end->sent += (uint64_t)taken;
	return taken;
}

static bool is_readable(struct end *end)
{
	struct pollfd pollfd = { .fd = end->fd, .events = POLLIN };

	return poll(&pollfd, 1, WAIT_MS) == 1;
}

/* One recv() of up to n bytes, checked: how many, 0 at the end of the stream. */
static size_t pull(struct end *end, size_t n)
{
	uint8_t buf[CHUNK];
	ssize_t got;

	do {
		if (!is_readable(end))
			stuck("nothing to read");
		got = recv(end->fd, buf, n < CHUNK ? n : CHUNK, MSG_DONTWAIT);
	} while (got < 0 && errno == EAGAIN);
	if (got < 0)
		wrong("recv: %s", strerror(errno));
	check_bytes(end, buf, (size_t)got);
	return (size_t)got;
}

static void read_all(struct end *end, uint64_t n)
{
	while (n) {
		size_t got = pull(end, n < CHUNK ? (size_t)n : CHUNK);

		if (!got)
			wrong("an orderly end, %llu bytes early", (unsigned long long)n);
		n -= got;
	}
}

static void send_all(struct end *end, uint64_t n)
{
	ssize_t taken = push(end, n);

	if (taken < 0)
		wrong("send: %s", strerror((int)-taken));
	if ((uint64_t)taken != n)
		wrong("send() took %zd bytes", taken);
}

/* What TCP was given to carry so far; spliced bytes are not among it. */
static uint64_t by_tcp(const struct end *end)
{
	uint64_t sent, retransmitted;
	uint8_t info[256] = { 0 };
	socklen_t len = sizeof(info);
	uint32_t waiting;

	if (getsockopt(end->fd, IPPROTO_TCP, TCP_INFO, info, &len))
		tool_die("TCP_INFO");
	memcpy(&waiting, info + TCPI_NOTSENT_BYTES, sizeof(waiting));
	memcpy(&sent, info + TCPI_BYTES_SENT, sizeof(sent));
	memcpy(&retransmitted, info + TCPI_BYTES_RETRANS, sizeof(retransmitted));
	return sent - retransmitted + waiting;
}

/* ---- connections ------------------------------------------------------------------- */

static void prepare(struct end *end, int fd, bool client, struct end *peer)
{
	*end = (struct end){ .fd = fd, .client = client, .peer = peer };
	if (fcntl(fd, F_SETFL, O_NONBLOCK))
		tool_die("fcntl");
	tool_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

static int dial(const struct address *to)
{
	struct address from = { .len = sizeof(struct sockaddr_in) };
	struct sockaddr_in *in4 = (struct sockaddr_in *)&from.sa;
	int fd = socket(to->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, opt.protocol);

	if (fd < 0)
		tool_die("socket");
	if (opt.source_port) {
		in4->sin_family = AF_INET;
		in4->sin_port = htons((uint16_t)opt.source_port);
		tool_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
		if (bind(fd, (struct sockaddr *)&from.sa, from.len))
			tool_die("bind");
	}
	if (connect(fd, (const struct sockaddr *)&to->sa, to->len))
		tool_die("connect");
	return fd;
}

static int listen_at(const struct address *address)
{
	int fd = socket(address->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, opt.protocol);

	if (fd < 0)
		tool_die("socket");
	tool_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (bind(fd, (const struct sockaddr *)&address->sa, address->len) || listen(fd, SOMAXCONN))
		tool_die("listen");
	return fd;
}

static void connect_pair(struct connection *connection, int listener)
{
	int fd = dial(&opt.service);

	prepare(&connection->client, fd, true, &connection->server);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		tool_die("accept");
	prepare(&connection->server, fd, false, &connection->client);
}

static int listener;

static void connect_all(void)
{
	connections = tool_alloc(opt.connections, sizeof(*connections));
	listener = listen_at(&opt.listen);
	for (size_t i = 0; i < opt.connections; i++)
		connect_pair(&connections[i], listener);
}

/* ---- steps of a whole connection --------------------------------------------------- */

static void round_trip(struct connection *connection)
{
	send_all(&connection->client, 1);
	read_all(&connection->server, 1);
	send_all(&connection->server, 1);
	read_all(&connection->client, 1);
}

static void step_exchange(struct connection *connection, uint64_t rounds)
{
	for (uint64_t i = 0; i < rounds; i++)
		round_trip(connection);
}

/* Round trips until a whole one goes past TCP. */
static void step_adopted(struct connection *connection)
{
	uint64_t end = tool_now_ns() + ADOPTION_MS * 1000000ull;
	uint64_t before;

	do {
		if (tool_now_ns() > end)
			stuck("still by TCP");
		before = by_tcp(&connection->client) + by_tcp(&connection->server);
		round_trip(connection);
		tool_sleep_ms(ROUND_PAUSE_MS);
	} while (by_tcp(&connection->client) + by_tcp(&connection->server) != before);
}

/* ---- steps of one end -------------------------------------------------------------- */

static void step_send(struct end *end, uint64_t n, const char *path)
{
	uint64_t before = by_tcp(end), tcp;

	if (n > CHUNK)
		tool_exit(EXIT_USAGE, "%s: at most %u bytes", step, CHUNK);
	send_all(end, n);
	tcp = by_tcp(end) - before;
	if (path && tcp != (strcmp(path, "tcp") ? 0 : n))
		wrong("%llu of %llu bytes went by TCP", (unsigned long long)tcp,
		      (unsigned long long)n);
}

/* Sends until the kernel takes no more, as it must before so many bytes. */
static void step_fill(struct end *end, uint64_t max)
{
	uint64_t begun = end->sent;
	ssize_t n = 0;

	while (n >= 0 && end->sent - begun < max)
		n = push(end, CHUNK);
	if (n >= 0)
		wrong("%llu bytes taken, and nobody reads", (unsigned long long)max);
	if (n != -EAGAIN)
		wrong("send: %s", strerror((int)-n));
}

/* Sends messages until one goes by TCP, as one must before so many bytes. */
static void step_until_tcp(struct end *end, uint64_t max)
{
	uint64_t begun = end->sent, before = by_tcp(end);

	while (by_tcp(end) == before) {
		if (end->sent - begun >= max)
			wrong("%llu bytes spliced, and nobody reads", (unsigned long long)max);
		send_all(end, 1000);
	}
}

/* Everything the other end has sent so far but for the last bytes. */
static void step_catch_up(struct end *end, uint64_t but)
{
	read_all(end, end->peer->sent - end->received - but);
}

static void step_eof(struct end *end)
{
	if (pull(end, 1))
		wrong("a byte came where the stream should end");
}

static void step_refused(struct end *end, uint64_t expected)
{
	ssize_t n = push(end, 1);

	if (n != -(ssize_t)expected)
		wrong("send() said %zd, expected %lld", n, -(long long)expected);
}

static void step_reset(struct end *end)
{
	static const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(end->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(end->fd);
}

static void *sleep_in_recv(void *arg)
{
	struct end *end = arg;
	uint8_t *buf = tool_alloc(1, end->awaited);
	size_t got = 0;

	while (got < end->awaited) {
		ssize_t n = recv(end->fd, buf + got, end->awaited - got, end->recv_flags);

		/* a blocking member may say EAGAIN for nothing: a known difference */
		if (n < 0 && errno == EAGAIN)
			continue;
		if (n <= 0)
			wrong("a blocked recv() said %zd: %s", n, strerror(errno));
		check_bytes(end, buf + got, (size_t)n);
		got += (size_t)n;
	}
	free(buf);
	atomic_store(&end->asleep, 0);
	return NULL;
}

/* A reader that waits in recv(), and is given time to fall asleep. */
static void step_sleep(struct end *end, uint64_t n, const char *waitall)
{
	end->awaited = (size_t)n;
	end->recv_flags = waitall ? MSG_WAITALL : 0;
	atomic_store(&end->asleep, 1);
	errno = pthread_create(&end->sleeper, NULL, sleep_in_recv, end);
	if (errno)
		tool_die("pthread_create");
	tool_sleep_ms(50);
}

static void step_woken(struct end *end)
{
	for (int i = 0; i < WAIT_MS && atomic_load(&end->asleep); i++)
		tool_sleep_ms(1);
	if (atomic_load(&end->asleep))
		stuck("recv() still sleeps");
	pthread_join(end->sleeper, NULL);
}

struct socket_option {
	const char *name;
	int level;
	int option;
	int value;
};

static const struct socket_option socket_options[] = {
	{ "lowat", SOL_SOCKET, SO_RCVLOWAT, 2 },
	{ "zerocopy", SOL_SOCKET, SO_ZEROCOPY, 1 },
	{ "inq", IPPROTO_TCP, TCP_INQ, 1 },
	{ "peek-off", SOL_SOCKET, SO_PEEK_OFF, 0 },
	{ "timestamp", SOL_SOCKET, SO_TIMESTAMP, 1 },
	{ "timestamping", SOL_SOCKET, SO_TIMESTAMPING,
	  SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE },
	{ "repair", IPPROTO_TCP, TCP_REPAIR, 1 },
	{ "repair-off", IPPROTO_TCP, TCP_REPAIR, 0 },
};

static void step_set(struct end *end, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(socket_options); i++) {
		const struct socket_option *set = &socket_options[i];

		if (strcmp(set->name, name))
			continue;
		if (setsockopt(end->fd, set->level, set->option, &set->value, sizeof(set->value)))
			wrong("%s", strerror(errno));
		return;
	}
	tool_exit(EXIT_USAGE, "%s: no such option", step);
}

static void step_mode(struct end *end, int flags)
{
	if (fcntl(end->fd, F_SETFL, flags))
		tool_die("fcntl");
}

/* ---- steps of the program ---------------------------------------------------------- */

/* Tells that it waits, and does so until SIGUSR1. */
static void step_pause(void)
{
	sigset_t signals;
	int number;

	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	printf("paused\n");
	fflush(stdout);
	sigwait(&signals, &number);
	printf("resumed\n");
	fflush(stdout);
}

/* Other connections, which may be given the memory of closed ones. */
static void step_others(uint64_t n)
{
	struct connection *others = tool_alloc(n, sizeof(*others));

	for (uint64_t i = 0; i < n; i++)
		connect_pair(&others[i], listener);
	/* kept until the program ends */
}

/* ---- taking them ------------------------------------------------------------------- */

/* "client:send:100:tcp", in words. */
struct words {
	const char *word[4];
	uint64_t number; /* of the one behind the action, 0 without */
};

static bool take_end_step(struct end *end, const char *action, const char *text, uint64_t n,
			  const char *more)
{
	if (!strcmp(action, "send"))
		step_send(end, n, more);
	else if (!strcmp(action, "recv"))
		read_all(end, n);
	else if (!strcmp(action, "fill"))
		step_fill(end, n);
	else if (!strcmp(action, "until-tcp"))
		step_until_tcp(end, n);
	else if (!strcmp(action, "catch-up"))
		step_catch_up(end, n);
	else if (!strcmp(action, "eof"))
		step_eof(end);
	else if (!strcmp(action, "refused"))
		step_refused(end, n);
	else if (!strcmp(action, "shutdown"))
		shutdown(end->fd, SHUT_WR);
	else if (!strcmp(action, "close"))
		close(end->fd);
	else if (!strcmp(action, "reset"))
		step_reset(end);
	else if (!strcmp(action, "blocking"))
		step_mode(end, 0);
	else if (!strcmp(action, "nonblocking"))
		step_mode(end, O_NONBLOCK);
	else if (!strcmp(action, "set"))
		step_set(end, text);
	else if (!strcmp(action, "sleep"))
		step_sleep(end, n, more);
	else if (!strcmp(action, "woken"))
		step_woken(end);
	else
		return false;
	return true;
}

static bool take_connection_step(struct connection *connection, const struct words *words)
{
	const char *who = words->word[0];
	bool both = !strcmp(who, "both");

	if (!strcmp(who, "exchange"))
		step_exchange(connection, words->number);
	else if (!strcmp(who, "adopted"))
		step_adopted(connection);
	else if (!words->word[1])
		return false;
	else if (!both && strcmp(who, "client") && strcmp(who, "server"))
		return false;
	else if ((both || !strcmp(who, "client")) &&
		 !take_end_step(&connection->client, words->word[1], words->word[2], words->number,
				words->word[3]))
		return false;
	else if ((both || !strcmp(who, "server")) &&
		 !take_end_step(&connection->server, words->word[1], words->word[2], words->number,
				words->word[3]))
		return false;
	return true;
}

static void take_step(char *text)
{
	struct words words = { 0 };
	const char *number;
	char *rest = text;

	step = strdup(text);
	for (size_t i = 0; i < ARRAY_SIZE(words.word) && rest; i++)
		words.word[i] = strsep(&rest, ":");
	number = words.word[words.word[2] ? 2 : 1];
	if (number && *number >= '0' && *number <= '9')
		words.number = tool_number(step, number);
	if (!strcmp(words.word[0], "pause")) {
		step_pause();
	} else if (!strcmp(words.word[0], "wait")) {
		tool_sleep_ms(words.number);
	} else if (!strcmp(words.word[0], "others")) {
		step_others(words.number);
	} else {
		for (size_t i = 0; i < opt.connections; i++)
			if (!take_connection_step(&connections[i], &words))
				tool_exit(EXIT_USAGE, "%s: no such step", step);
	}
}

/* ---- options ----------------------------------------------------------------------- */

__attribute__((noreturn)) static void usage(int code)
{
	fprintf(code ? stderr : stdout,
		"usage: steps [OPTIONS] SERVICE:PORT LISTEN:PORT STEP...\n"
		"  --connections N       at once, each takes every step (default: 1)\n"
		"  --source-port PORT    of the client (IPv4)\n"
		"  --mptcp               sockets of MPTCP\n"
		"Both ends begin non-blocking. Steps, where END is client, server or both:\n"
		"  exchange:N            N round trips of one byte\n"
		"  adopted               round trips until one goes past TCP\n"
		"  END:send:N[:PATH]     in one send(); by this path, tcp or spliced\n"
		"  END:recv:N            exactly so many bytes\n"
		"  END:catch-up:N        all bytes sent so far, but for the last N\n"
		"  END:until-tcp:MAX     sends until something goes by TCP\n"
		"  END:fill:MAX          sends until EAGAIN\n"
		"  END:refused:ERRNO     send() must fail with it\n"
		"  END:eof               the stream must end here\n"
		"  END:sleep:N[:waitall] a thread waits in a blocking recv() for N bytes\n"
		"  END:woken             that thread must have got them\n"
		"  END:blocking, nonblocking, shutdown, close, reset\n"
		"  END:set:OPTION        lowat, zerocopy, inq, peek-off, timestamp,\n"
		"                        timestamping, repair, repair-off\n"
		"  others:N              N more connections, which do nothing\n"
		"  wait:MS\n"
		"  pause                 prints \"paused\" and waits for SIGUSR1\n");
	exit(code);
}

static void parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "connections", required_argument, NULL, 'n' },
		{ "source-port", required_argument, NULL, 's' },
		{ "mptcp", no_argument, NULL, 'm' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	int c;

	while ((c = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		if (c == 'n')
			opt.connections = tool_number("--connections", optarg);
		else if (c == 's')
			opt.source_port = tool_number("--source-port", optarg);
		else if (c == 'm')
			opt.protocol = IPPROTO_MPTCP;
		else
			usage(c == 'h' ? EXIT_SUCCESS : EXIT_USAGE);
	}
	if (optind + 3 > argc || !opt.connections || opt.connections > CONNECTIONS_MAX)
		usage(EXIT_USAGE);
	opt.service = tool_address(argv[optind]);
	opt.listen = tool_address(argv[optind + 1]);
}

int main(int argc, char **argv)
{
	sigset_t signals;

	parse_options(argc, argv);
	tool_init();
	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	connect_all();
	for (int i = optind + 2; i < argc; i++)
		take_step(argv[i]);
	return EXIT_SUCCESS;
}
