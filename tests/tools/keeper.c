// SPDX-License-Identifier: Apache-2.0
/*
 * One connection that is kept until it ends, and how it ended: what an end may still read
 * then, and which error it is told. See usage().
 *
 * Both ends say the same number of bytes first. Then an end waits for nothing but the end
 * of the connection, which poll() tells of by POLLERR, POLLHUP or POLLRDHUP.
 */
#include <getopt.h>
#include <poll.h>

#include "tool.h"

static struct {
	struct address address;
	uint64_t say;
	bool listen;
	bool udp;
	bool unread;
} opt = { .say = 1000 };

static struct {
	uint64_t bytes;
	int error; /* 0: the end of the stream */
	bool kept; /* until SIGTERM */
} result;

static int open_client(void)
{
	int fd = socket(opt.address.sa.ss_family, opt.udp ? SOCK_DGRAM : SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&opt.address.sa, opt.address.len))
		tool_die("connect");
	return fd;
}

/* A server by UDP is connected to whoever speaks first, and answers. */
static int open_server(void)
{
	struct address from = { .len = sizeof(from.sa) };
	int fd = tool_bind(&opt.address, opt.udp ? SOCK_DGRAM : SOCK_STREAM, false);
	int connection = fd;

	tool_ready();
	if (!opt.udp)
		connection = accept(fd, NULL, NULL);
	else if (recvfrom(fd, NULL, 0, MSG_PEEK, (struct sockaddr *)&from.sa, &from.len) < 0 ||
		 connect(fd, (struct sockaddr *)&from.sa, from.len))
		connection = -1;
	if (connection < 0)
		tool_die("accept");
	return connection;
}

static void say(int fd)
{
	char *bytes = tool_alloc(opt.say, 1);

	if (send(fd, bytes, opt.say, 0) != (ssize_t)opt.say)
		tool_die("send");
	free(bytes);
}

/* All that the other end says, without taking it, or with. */
static void await(int fd)
{
	int flags = MSG_WAITALL | (opt.unread ? MSG_PEEK : 0);
	char *bytes = tool_alloc(opt.say, 1);
	ssize_t n = recv(fd, bytes, opt.say, flags);

	if (n != (ssize_t)opt.say)
		tool_exit(EXIT_FAILURE, "%zd of %llu bytes came", n, (unsigned long long)opt.say);
	free(bytes);
}

/* Until the connection ends, or SIGTERM. */
static void keep(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLRDHUP };

	while (!tool_stop && poll(&pollfd, 1, 20) <= 0)
		;
	result.kept = tool_stop;
}

static void read_rest(int fd)
{
	char bytes[4096];
	ssize_t n;

	while ((n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
		result.bytes += (uint64_t)n;
	result.error = n < 0 ? errno : 0;
}

static void report(void)
{
	const char *error = result.error ? strerrorname_np(result.error) : "EOF";

	printf("{\"kept\":%s,\"bytes\":%llu,\"end\":\"%s\"}\n", result.kept ? "true" : "false",
	       (unsigned long long)result.bytes, error);
}

__attribute__((noreturn)) static void usage(int code)
{
	fprintf(code ? stderr : stdout,
		"usage: keeper [OPTIONS] ADDRESS:PORT\n"
		"  --listen   take one connection there, instead of calling\n"
		"  --udp      connected sockets of UDP\n"
		"  --say N    bytes that each end says first (default: 1000)\n"
		"  --unread   leave what the other end has said unread until the end\n"
		"Prints \"ready\" when all has been said (--listen: also when it listens), and\n"
		"how the connection ended: SIGTERM asks whether it has not.\n");
	exit(code);
}

static void parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "listen", no_argument, NULL, 'l' },    { "udp", no_argument, NULL, 'u' },
		{ "say", required_argument, NULL, 's' }, { "unread", no_argument, NULL, 'n' },
		{ "help", no_argument, NULL, 'h' },      {},
	};
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'l')
			opt.listen = true;
		else if (c == 'u')
			opt.udp = true;
		else if (c == 's')
			opt.say = tool_number("--say", optarg);
		else if (c == 'n')
			opt.unread = true;
		else
			usage(c == 'h' ? EXIT_SUCCESS : EXIT_USAGE);
	}
	if (optind + 1 != argc || !opt.say)
		usage(EXIT_USAGE);
	opt.address = tool_address(argv[optind]);
}

int main(int argc, char **argv)
{
	int fd;

	parse_options(argc, argv);
	tool_init();
	fd = opt.listen ? open_server() : open_client();
	say(fd);
	await(fd);
	tool_ready();
	keep(fd);
	read_rest(fd);
	report();
	return EXIT_SUCCESS;
}
