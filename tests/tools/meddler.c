// SPDX-License-Identifier: Apache-2.0
/*
 * A TCP proxy that gets in the way when it is told to. Commands are lines in a FIFO; when one is
 * carried out, what has passed until then is printed as one line of JSON. See usage(). It prints
 * "ready" once it listens and ends on SIGTERM.
 */
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>

#include "tool.h"

#define BUFFER  (16 * 1024)
#define LOOK_MS 5 /* how often threads look at what they were told */

static struct {
	struct address listen;
	struct address server;
	int commands;
	int netns; /* in which the server is; -1: here */
} opt = { .netns = -1 };

/* What is in force: read by all threads, written by main. */
static atomic_bool silent;
static atomic_uint delay_ms;
static atomic_llong budget; /* bytes of the server for a connection of now or later; < 0: all */

static atomic_ullong accepted, up_bytes, down_bytes;
static atomic_int n_open;

struct conn {
	struct conn *next;
	int client, server;
	atomic_llong left; /* what the client still gets; < 0: all */
	atomic_int users;  /* its two threads, and a third for the list */
	atomic_bool ended;
};

static struct conn *conns; /* main's alone */

struct way {
	struct conn *conn;
	bool down; /* from the server to the client */
};

/* ---- one connection ------------------------------------------------------------ */

static void conn_drop(struct conn *conn)
{
	if (atomic_fetch_sub(&conn->users, 1) > 1)
		return;
	close(conn->client);
	close(conn->server);
	free(conn);
}

/* Both threads wake up, and both peers see it end: by a reset, as when a machine is gone. */
static void conn_end(struct conn *conn)
{
	struct linger hard = { .l_onoff = 1 };

	if (atomic_exchange(&conn->ended, true))
		return;
	atomic_fetch_sub(&n_open, 1);
	setsockopt(conn->client, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	shutdown(conn->client, SHUT_RDWR);
	shutdown(conn->server, SHUT_RDWR);
}

static bool send_all(int fd, const char *data, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = send(fd, data + done, size - done, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

/* As many of size bytes as may pass. */
static size_t allowed(struct way *way, size_t size)
{
	long long left = atomic_load(&way->conn->left);

	if (!way->down || left < 0)
		return size;
	if ((long long)size > left)
		size = (size_t)left;
	atomic_store(&way->conn->left, left - (long long)size);
	return size;
}

static void wait_while_silent(const struct conn *conn)
{
	while (atomic_load(&silent) && !atomic_load(&conn->ended))
		tool_sleep_ms(LOOK_MS);
}

static void *way_run(void *arg)
{
	struct way *way = arg;
	struct conn *conn = way->conn;
	int from = way->down ? conn->server : conn->client;
	int to = way->down ? conn->client : conn->server;
	char buffer[BUFFER];

	for (;;) {
		ssize_t n = recv(from, buffer, sizeof(buffer), 0);
		size_t size;

		if (n < 0 && errno == EINTR)
			continue;
		wait_while_silent(conn);
		if (n <= 0)
			break;
		tool_sleep_ms(atomic_load(&delay_ms));
		size = allowed(way, (size_t)n);
		if (!send_all(to, buffer, size))
			break;
		atomic_fetch_add(way->down ? &down_bytes : &up_bytes, size);
		if (size < (size_t)n)
			break;
	}
	conn_end(conn);
	conn_drop(conn);
	free(way);
	return NULL;
}

static void way_start(struct conn *conn, bool down)
{
	struct way *way = tool_alloc(1, sizeof(*way));
	pthread_t thread;

	*way = (struct way){ .conn = conn, .down = down };
	if (pthread_create(&thread, NULL, way_run, way))
		tool_die("pthread_create");
	pthread_detach(thread);
}

static void conn_start(int client)
{
	int fd = socket(opt.server.sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct conn *conn;

	if (fd < 0)
		tool_die("socket");
	if (connect(fd, (struct sockaddr *)&opt.server.sa, opt.server.len)) {
		close(client);
		close(fd);
		return;
	}
	tool_set(client, IPPROTO_TCP, TCP_NODELAY, 1);
	tool_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	conn = tool_alloc(1, sizeof(*conn));
	conn->client = client;
	conn->server = fd;
	conn->left = atomic_load(&budget);
	conn->users = 3;
	conn->next = conns;
	conns = conn;
	atomic_fetch_add(&accepted, 1);
	atomic_fetch_add(&n_open, 1);
	way_start(conn, false);
	way_start(conn, true);
}

/* ---- commands -------------------------------------------------------------------- */

static void forget_ended(void)
{
	for (struct conn **at = &conns; *at;) {
		struct conn *conn = *at;

		if (!atomic_load(&conn->ended)) {
			at = &conn->next;
			continue;
		}
		*at = conn->next;
		conn_drop(conn);
	}
}

static void cut(void)
{
	for (struct conn *conn = conns; conn; conn = conn->next)
		conn_end(conn);
	forget_ended();
}

static void truncate_after(long long bytes)
{
	atomic_store(&budget, bytes);
	for (struct conn *conn = conns; conn; conn = conn->next)
		atomic_store(&conn->left, bytes);
}

/* All is as if nothing had been said; what waits goes on. */
static void pass(int *listener)
{
	atomic_store(&silent, false);
	atomic_store(&delay_ms, 0);
	truncate_after(-1);
	if (*listener < 0)
		*listener = tool_bind(&opt.listen, SOCK_STREAM, true);
}

static void carry_out(const char *line, int *listener)
{
	unsigned number = 0;

	if (!strcmp(line, "pass")) {
		pass(listener);
	} else if (!strcmp(line, "cut")) {
		cut();
	} else if (!strcmp(line, "silent")) {
		atomic_store(&silent, true);
	} else if (!strcmp(line, "refuse")) {
		if (*listener >= 0)
			close(*listener);
		*listener = -1;
		cut();
	} else if (sscanf(line, "delay %u", &number) == 1) {
		atomic_store(&delay_ms, number);
	} else if (sscanf(line, "truncate %u", &number) == 1) {
		truncate_after(number);
	} else if (strcmp(line, "count") != 0) {
		tool_exit(EXIT_USAGE, "\"%s\": not a command", line);
	}
	printf("{\"connections\": %llu, \"open\": %d, \"up\": %llu, \"down\": %llu}\n",
	       (unsigned long long)accepted, (int)n_open, (unsigned long long)up_bytes,
	       (unsigned long long)down_bytes);
	fflush(stdout);
}

/* Lines that are complete. */
static void read_commands(int *listener)
{
	static char text[256];
	static size_t size;
	ssize_t n = read(opt.commands, text + size, sizeof(text) - 1 - size);
	char *end;

	if (n <= 0)
		tool_die("commands");
	size += (size_t)n;
	text[size] = '\0';
	while ((end = strchr(text, '\n'))) {
		*end = '\0';
		carry_out(text, listener);
		size -= (size_t)(end + 1 - text);
		memmove(text, end + 1, size + 1);
	}
}

/* ---- the way through --------------------------------------------------------------- */

__attribute__((noreturn)) static void usage(int code)
{
	fprintf(code ? stderr : stdout,
		"Usage: meddler [--netns FILE] LISTEN SERVER FIFO\n"
		"\n"
		"Passes on what connects to address LISTEN to address SERVER, in network namespace\n"
		"FILE. Commands come through FIFO, one a line:\n"
		"  count         nothing; like all, prints what has passed\n"
		"  cut           all connections end\n"
		"  silent        connections are accepted and stay; nothing passes either way\n"
		"  delay MS      everything comes so much later, a chunk after the other\n"
		"  truncate N    of the server, N bytes more a connection, then it ends\n"
		"  refuse        all connections end, and there are no new ones\n"
		"  pass          none of this any more\n");
	exit(code);
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "netns", required_argument, NULL, 'n' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
		if (c == 'h')
			usage(EXIT_SUCCESS);
		if (c != 'n')
			usage(EXIT_USAGE);
		opt.netns = open(optarg, O_RDONLY | O_CLOEXEC);
		if (opt.netns < 0)
			tool_die(optarg);
	}
	if (argc - optind != 3)
		usage(EXIT_USAGE);
	opt.listen = tool_address(argv[optind]);
	opt.server = tool_address(argv[optind + 1]);
	/* both ways: it does not end when who writes to it does */
	opt.commands = open(argv[optind + 2], O_RDWR | O_CLOEXEC);
	if (opt.commands < 0)
		tool_die(argv[optind + 2]);
}

int main(int argc, char **argv)
{
	int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int listener;

	tool_init();
	atomic_store(&budget, -1);
	parse(argc, argv);
	listener = tool_bind(&opt.listen, SOCK_STREAM, true);
	tool_ready();
	while (!tool_stop) {
		struct pollfd fds[] = { { .fd = opt.commands, .events = POLLIN },
					{ .fd = listener, .events = POLLIN } };

		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			continue;
		forget_ended();
		if (fds[1].revents) {
			int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

			/* a socket belongs to the namespace it was made in */
			if (opt.netns >= 0 && setns(opt.netns, CLONE_NEWNET))
				tool_die("setns");
			if (client >= 0)
				conn_start(client);
			if (opt.netns >= 0 && setns(here, CLONE_NEWNET))
				tool_die("setns");
		}
		if (fds[0].revents)
			read_commands(&listener);
	}
	cut();
	return EXIT_SUCCESS;
}
