/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reader by splice(2), as proxies are: a service that answers requests with recv() and
 * send() for a while, long enough to be adopted, and then moves what comes into a pipe
 * with splice(). Says what became of the bytes.
 *
 *   splicereader SERVICE:PORT LISTEN:PORT [--from-start | --behind]
 *
 * --behind: some bytes wait when it begins to read so, the others come one by one.
 *
 * Prints {"result":R} with R "whole", "whole, by recv" (splice() was declined), "reset",
 * "wrong" or "stuck"; exits with 0 but for the last two.
 */
#include "tool.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>

#define ROUNDS   96
#define TOTAL    200000
#define CHUNK    20000
#define WAIT_MS  5000
#define PAUSE_MS 100

#define SMALL_CHUNK 400

static bool from_start;
static bool behind;

struct server {
	int listener;
	const char *result;
};

static uint8_t pattern(size_t offset)
{
	return (uint8_t)(offset * 31 + offset / 251);
}

static bool wait_for(int fd, short events)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };

	return poll(&poll_fd, 1, WAIT_MS) == 1;
}

static int nonblocking(int fd)
{
	int one = 1;

	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
		tool_die("socket");
	return fd;
}

static bool exchange(int fd, bool speak_first)
{
	char byte = 'x';

	if (speak_first && send(fd, &byte, 1, MSG_NOSIGNAL) != 1)
		return false;
	if (!wait_for(fd, POLLIN) || recv(fd, &byte, 1, 0) != 1)
		return false;
	return speak_first || send(fd, &byte, 1, MSG_NOSIGNAL) == 1;
}

/* Empties the pipe and holds it against the pattern. */
static bool check_pipe(int fd, size_t n, size_t *offset)
{
	uint8_t buf[4096];

	while (n) {
		ssize_t got = read(fd, buf, n < sizeof(buf) ? n : sizeof(buf));

		if (got <= 0)
			return false;
		for (ssize_t i = 0; i < got; i++)
			if (buf[i] != pattern((*offset)++))
				return false;
		n -= (size_t)got;
	}
	return true;
}

/* What programs do where splice() answers EINVAL. */
static const char *read_by_recv(int fd, size_t offset)
{
	uint8_t buf[65536];

	while (offset < TOTAL) {
		ssize_t n = wait_for(fd, POLLIN) ? recv(fd, buf, sizeof(buf), 0) : -1;

		if (n < 0)
			return errno == ECONNRESET || errno == ECONNABORTED ? "reset" : "stuck";
		if (n == 0)
			return "wrong";
		for (ssize_t i = 0; i < n; i++)
			if (buf[i] != pattern(offset++))
				return "wrong";
	}
	return "whole, by recv";
}

/* Reads all by splice(); EAGAIN although poll() says there is something, for as long as
 * we are willing to wait, is what "stuck" means. */
static const char *read_by_splice(int fd)
{
	uint64_t end = tool_now_ns() + WAIT_MS * 1000000ull;
	size_t offset = 0;
	int ends[2];

	if (pipe2(ends, O_NONBLOCK))
		tool_die("pipe2");
	while (offset < TOTAL) {
		ssize_t n = splice(fd, NULL, ends[1], NULL, 65536, SPLICE_F_NONBLOCK);

		if (n > 0 && !check_pipe(ends[0], (size_t)n, &offset))
			return "wrong";
		if (n == 0)
			return "wrong"; /* an orderly end before the last byte */
		if (n < 0 && errno == EINVAL)
			return read_by_recv(fd, offset);
		if (n < 0 && errno != EAGAIN)
			return "reset";
		if (tool_now_ns() > end)
			return "stuck";
		if (n < 0)
			tool_sleep_ms(1);
	}
	return "whole";
}

static void *serve(void *arg)
{
	struct server *server = arg;
	int fd;

	if (!wait_for(server->listener, POLLIN))
		return NULL;
	fd = nonblocking(accept(server->listener, NULL, NULL));
	server->result = "stuck";
	for (int i = 0; i < ROUNDS && !from_start; i++)
		if (!exchange(fd, false))
			return NULL;
	if (behind)
		tool_sleep_ms(PAUSE_MS);
	server->result = read_by_splice(fd);
	send(fd, "d", 1, MSG_NOSIGNAL);
	return NULL;
}

/* Chunk by chunk, each its own message; a reset ends it. */
static void pour(int fd)
{
	size_t chunk = behind ? SMALL_CHUNK : CHUNK;
	uint8_t buf[CHUNK];

	for (size_t sent = 0; sent < TOTAL;) {
		size_t want = TOTAL - sent < chunk ? TOTAL - sent : chunk;
		ssize_t n;

		for (size_t i = 0; i < want; i++)
			buf[i] = pattern(sent + i);
		n = send(fd, buf, want, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			return;
		if (n < 0 && !wait_for(fd, POLLOUT))
			return;
		sent += n > 0 ? (size_t)n : 0;
		if (behind)
			tool_sleep_ms(1);
	}
}

static void call(const struct address *service)
{
	int fd = socket(service->sa.ss_family, SOCK_STREAM, 0);
	char byte;

	if (fd < 0 || connect(fd, (const void *)&service->sa, service->len))
		tool_die("connect");
	nonblocking(fd);
	for (int i = 0; i < ROUNDS && !from_start; i++) {
		if (i == ROUNDS / 2)
			tool_sleep_ms(PAUSE_MS); /* to be adopted */
		if (!exchange(fd, true))
			return;
	}
	pour(fd);
	wait_for(fd, POLLIN);
	if (recv(fd, &byte, 1, 0) < 0)
		return;
	close(fd);
}

int main(int argc, char **argv)
{
	struct server server = { .result = "stuck" };
	struct address service, listen_at;
	pthread_t thread;

	if (argc < 3)
		tool_exit(EXIT_USAGE,
			  "usage: splicereader SERVICE:PORT LISTEN:PORT [--from-start | --behind]");
	from_start = argc > 3 && !strcmp(argv[3], "--from-start");
	behind = argc > 3 && !strcmp(argv[3], "--behind");
	alarm(4 * WAIT_MS / 1000);
	service = tool_address(argv[1]);
	listen_at = tool_address(argv[2]);
	server.listener = tool_bind(&listen_at, SOCK_STREAM, false);
	if (pthread_create(&thread, NULL, serve, &server))
		tool_die("pthread_create");
	call(&service);
	pthread_join(thread, NULL);
	printf("{\"result\":\"%s\"}\n", server.result);
	return !strcmp(server.result, "wrong") || !strcmp(server.result, "stuck");
}
