// SPDX-License-Identifier: Apache-2.0
/*
 * A request/response pair of two event loops, for the demo and the benchmarks: how
 * long a round trip takes. Both ends are non-blocking epoll programs, the kind
 * that may be spliced. See usage().
 *
 * The client opens one connection a size and says the size first (4 bytes, network
 * order). From then on the server answers each whole request of that size with as
 * many bytes: the alphabet, again and again. Contents are not checked: spliceload does
 * that.
 */
#include <fcntl.h>
#include <getopt.h>
#include <sys/epoll.h>

#include "tool.h"

#define SIZES_MAX   32
#define MESSAGE_MAX (1u << 20)
#define EVENTS_MAX  64

static struct {
	struct address address;
	bool server;
	uint32_t sizes[SIZES_MAX];
	size_t n_sizes;
	uint64_t rounds;
	uint64_t warmup;
} opt = {
	.sizes = { 1, 64, 1024, 16384, 65536 },
	.n_sizes = 5,
	.rounds = 10000,
	.warmup = 1000,
};

static int epoll_fd;
static char buffer[MESSAGE_MAX]; /* what is sent, and where what comes is dropped */

/* One end: due_in bytes are awaited, due_out bytes wait for room. */
struct peer {
	int fd;
	uint32_t size; /* of messages; 0: the server has not been told yet */
	uint32_t due_in;
	uint32_t due_out;
	bool waits_for_room;
};

static struct peer *peer_new(int fd, uint32_t due_in)
{
	struct peer *peer = tool_alloc(1, sizeof(*peer));
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = peer };

	peer->fd = fd;
	peer->due_in = due_in;
	tool_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event))
		tool_die("epoll_ctl");
	return peer;
}

static void peer_free(struct peer *peer)
{
	close(peer->fd);
	free(peer);
}

static void watch(struct peer *peer)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = peer };

	if (peer->waits_for_room == (peer->due_out > 0))
		return;
	peer->waits_for_room = peer->due_out > 0;
	if (peer->waits_for_room)
		event.events |= EPOLLOUT;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, peer->fd, &event))
		tool_die("epoll_ctl");
}

/* Sends what is due, as far as there is room. False: the connection is over. */
static bool send_due(struct peer *peer)
{
	while (peer->due_out) {
		ssize_t n = send(peer->fd, buffer, peer->due_out, 0);

		if (n < 0 && errno != EAGAIN)
			return false;
		if (n < 0)
			break;
		peer->due_out -= (uint32_t)n;
	}
	watch(peer);
	return true;
}

/* One recv() towards what is due. False: the connection is over. */
static bool receive_due(struct peer *peer, void *buf)
{
	ssize_t n = recv(peer->fd, buf, peer->due_in, 0);

	if (n > 0)
		peer->due_in -= (uint32_t)n;
	return n > 0 || (n < 0 && errno == EAGAIN);
}

/* ---- server ------------------------------------------------------------------- */

/* The first word a client says. It comes in one piece: the connection is idle. */
static bool learn_size(struct peer *peer)
{
	uint32_t size = 0;

	if (!receive_due(peer, &size))
		return false;
	if (peer->due_in == sizeof(size))
		return true;
	peer->size = peer->due_in = ntohl(size);
	return peer->size >= 1 && peer->size <= MESSAGE_MAX;
}

static bool answer(struct peer *peer)
{
	if (!peer->size)
		return learn_size(peer);
	if (!peer->due_out && !receive_due(peer, buffer))
		return false;
	if (!peer->due_in) {
		peer->due_in = peer->size;
		peer->due_out = peer->size;
	}
	return send_due(peer);
}

static void accept_all(int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
		peer_new(fd, sizeof(uint32_t));
}

/* Nothing is worth saying at the end. */
static void quit(int number)
{
	(void)number;
	_exit(EXIT_SUCCESS);
}

__attribute__((noreturn)) static void run_server(void)
{
	int listener = tool_bind(&opt.address, SOCK_STREAM | SOCK_NONBLOCK, false);
	struct epoll_event events[EVENTS_MAX];
	struct epoll_event event = { .events = EPOLLIN }; /* no peer: the listener */

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event))
		tool_die("epoll_ctl");
	signal(SIGTERM, quit);
	tool_ready();
	for (;;) {
		int n = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);

		for (int i = 0; i < n; i++) {
			struct peer *peer = events[i].data.ptr;

			if (!peer)
				accept_all(listener);
			else if (!answer(peer))
				peer_free(peer);
		}
	}
}

/* ---- client ------------------------------------------------------------------- */

static struct peer *dial(uint32_t size)
{
	int type = SOCK_STREAM | SOCK_CLOEXEC;
	int fd = socket(opt.address.sa.ss_family, type, 0);
	uint32_t word = htonl(size);
	struct peer *peer;

	if (fd < 0)
		tool_die("socket");
	if (connect(fd, (struct sockaddr *)&opt.address.sa, opt.address.len))
		tool_die("connect");
	if (fcntl(fd, F_SETFL, O_NONBLOCK))
		tool_die("fcntl");
	peer = peer_new(fd, 0);
	peer->size = size;
	if (send(fd, &word, sizeof(word), 0) != sizeof(word))
		tool_die("send");
	return peer;
}

static void round_trip(struct peer *peer)
{
	struct epoll_event event;
	bool alive;

	peer->due_out = peer->due_in = peer->size;
	alive = send_due(peer);
	while (alive && peer->due_in) {
		if (epoll_wait(epoll_fd, &event, 1, -1) < 1)
			continue;
		alive = send_due(peer);
		if (alive && event.events & ~EPOLLOUT)
			alive = receive_due(peer, buffer);
	}
	if (!alive)
		tool_exit(EXIT_FAILURE, "pair: the server has closed the connection");
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void measure(uint32_t size, const char *separator)
{
	uint64_t *samples = tool_alloc(opt.rounds, sizeof(*samples));
	struct peer *peer = dial(size);

	for (uint64_t i = 0; i < opt.warmup; i++)
		round_trip(peer);
	for (uint64_t i = 0; i < opt.rounds; i++) {
		uint64_t begun = tool_now_ns();

		round_trip(peer);
		samples[i] = tool_now_ns() - begun;
	}
	peer_free(peer);
	qsort(samples, opt.rounds, sizeof(*samples), compare_u64);
	printf("%s{\"size\":%u,\"rounds\":%llu,\"median_ns\":%llu,\"p99_ns\":%llu}", separator,
	       size, (unsigned long long)opt.rounds, (unsigned long long)samples[opt.rounds / 2],
	       (unsigned long long)samples[opt.rounds * 99 / 100]);
	fflush(stdout);
	free(samples);
}

static void run_client(void)
{
	printf("[");
	for (size_t i = 0; i < opt.n_sizes; i++)
		measure(opt.sizes[i], i ? "," : "");
	puts("]");
}

/* ---- options ------------------------------------------------------------------ */

__attribute__((noreturn)) static void usage(int code)
{
	fprintf(code ? stderr : stdout,
		"usage: pair server ADDRESS:PORT\n"
		"       pair client ADDRESS:PORT [OPTIONS]\n"
		"  --sizes LIST   of requests and answers, in bytes (default: 1,64,1024,16384,65536)\n"
		"  --rounds N     measured for each size (default: 10000)\n"
		"  --warmup N     before those, so that the splice can begin (default: 1000)\n"
		"Prints a JSON array with median and 99th percentile of each size.\n");
	exit(code);
}

static void parse_sizes(char *text)
{
	opt.n_sizes = 0;
	for (char *word = strtok(text, ","); word; word = strtok(NULL, ",")) {
		uint64_t size = tool_number("--sizes", word);

		if (size < 1 || size > MESSAGE_MAX || opt.n_sizes == SIZES_MAX)
			tool_exit(EXIT_USAGE, "--sizes: 1 to %u, at most %d", MESSAGE_MAX,
				  SIZES_MAX);
		opt.sizes[opt.n_sizes++] = (uint32_t)size;
	}
}

static void parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "sizes", required_argument, NULL, 's' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "warmup", required_argument, NULL, 'w' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 's')
			parse_sizes(optarg);
		else if (c == 'r')
			opt.rounds = tool_number("--rounds", optarg);
		else if (c == 'w')
			opt.warmup = tool_number("--warmup", optarg);
		else
			usage(c == 'h' ? EXIT_SUCCESS : EXIT_USAGE);
	}
	if (optind + 2 != argc || !opt.n_sizes || !opt.rounds)
		usage(EXIT_USAGE);
	opt.server = !strcmp(argv[optind], "server");
	if (!opt.server && strcmp(argv[optind], "client"))
		usage(EXIT_USAGE);
	opt.address = tool_address(argv[optind + 1]);
}

int main(int argc, char **argv)
{
	parse_options(argc, argv);
	for (size_t i = 0; i < sizeof(buffer); i++)
		buffer[i] = (char)('a' + i % 26);
	signal(SIGPIPE, SIG_IGN);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		tool_die("epoll_create1");
	if (opt.server)
		run_server();
	run_client();
	return EXIT_SUCCESS;
}
