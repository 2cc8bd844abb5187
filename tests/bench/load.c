// SPDX-License-Identifier: Apache-2.0
/*
 * Requests on connections that stay, each connection's next one as soon as it has the answer to
 * the last: how many a second, how long they take, and what they cost those who take part.
 * See usage().
 */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <strings.h>
#include <sys/epoll.h>

#include "../tools/tool.h"

#define HEAD_MAX        4096
#define EVENTS_MAX      64
#define TIMES_MAX       (1u << 22)
#define CONNECTIONS_MAX 1000
#define STALL_MS        10000

/*
 * What makes a connection fit for the splice: enough round trips to be nominated, time for the
 * daemon to adopt it, and some more for the proof.
 */
#define WARM_UP_REQUESTS 32
#define WARM_UP_PAUSE_MS 10

/* An answer is a head, a body of SIZE times 'x', which some have not, and a tail. */
struct protocol {
	const char *name;
	const char *request; /* has SIZE where %1$u is */
	bool sends_body, gets_body;
	size_t (*head)(const char *answer, size_t len); /* its length, or 0: more must come */
	const char *tail;
};

struct connection {
	int fd;
	size_t filled;
	uint64_t sent_ns;
	uint64_t requests; /* in this phase */
	char *answer;
};

static const struct protocol *protocol;
static uint32_t size;
static char *request, *body;
static size_t request_len;

static struct connection *connections;
static size_t n_connections, n_waiting;
static int epoll;

static uint32_t *times; /* of requests, in ns; NULL while it warms up */
static size_t n_times;

static char **cpu_files;
static int n_cpu_files;

/* ---- protocols --------------------------------------------------------------------- */

__attribute__((noreturn)) static void wrong_answer(const char *answer, size_t len)
{
	tool_exit(EXIT_FAILURE, "wrong answer: %.*s", (int)(len < 200 ? len : 200), answer);
}

/* The length it tells must be the one expected; proxies spell it in lower case. */
static size_t http_head(const char *answer, size_t len)
{
	static const char ok[] = "HTTP/1.1 200 ", length[] = "content-length: ";
	const char *end = memmem(answer, len, "\r\n\r\n", 4);
	const char *line = answer;

	if (!end)
		return 0;
	if (strncmp(answer, ok, sizeof(ok) - 1))
		wrong_answer(answer, len);
	while (line < end && strncasecmp(line, length, sizeof(length) - 1))
		line = (const char *)memchr(line, '\n', (size_t)(end + 4 - line)) + 1;
	if (line >= end || strtoull(line + sizeof(length) - 1, NULL, 10) != size)
		wrong_answer(answer, len);
	return (size_t)(end + 4 - answer);
}

static size_t line_head(const char *answer, size_t len, const char *expected)
{
	size_t expected_len = strlen(expected);

	if (len < expected_len)
		return 0;
	if (memcmp(answer, expected, expected_len))
		wrong_answer(answer, len);
	return expected_len;
}

static size_t get_head(const char *answer, size_t len)
{
	char expected[64];

	snprintf(expected, sizeof(expected), "VALUE bench-%u 0 %u\r\n", size, size);
	return line_head(answer, len, expected);
}

static size_t set_head(const char *answer, size_t len)
{
	return line_head(answer, len, "STORED\r\n");
}

static const struct protocol protocols[] = {
	{ .name = "http",
	  .request = "GET /%1$u HTTP/1.1\r\nHost: bench\r\n\r\n",
	  .gets_body = true,
	  .head = http_head,
	  .tail = "" },
	{ .name = "get",
	  .request = "get bench-%1$u\r\n",
	  .gets_body = true,
	  .head = get_head,
	  .tail = "\r\nEND\r\n" },
	{ .name = "set",
	  .request = "set bench-%1$u 0 0 %1$u\r\n",
	  .sends_body = true,
	  .head = set_head,
	  .tail = "" },
};

static void make_request(void)
{
	body = tool_alloc(size + 1, 1);
	memset(body, 'x', size);
	if (asprintf(&request, protocol->request, size) < 0)
		tool_die("asprintf");
	if (protocol->sends_body) {
		char *head = request;

		if (asprintf(&request, "%s%s\r\n", head, body) < 0)
			tool_die("asprintf");
		free(head);
	}
	request_len = strlen(request);
}

/* Whether it is there as a whole, and right. */
static bool answered(const struct connection *connection)
{
	size_t head = protocol->head(connection->answer, connection->filled);
	size_t tail = strlen(protocol->tail), body_len = protocol->gets_body ? size : 0;
	const char *after = connection->answer + head;

	if (!head || connection->filled < head + body_len + tail)
		return false;
	if (connection->filled > head + body_len + tail || memcmp(after, body, body_len) ||
	    memcmp(after + body_len, protocol->tail, tail))
		wrong_answer(connection->answer, connection->filled);
	return true;
}

/* ---- connections ------------------------------------------------------------------- */

static void dial(struct connection *connection, const struct address *server)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = connection };
	int fd = socket(server->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		tool_die("socket");
	if (connect(fd, (const struct sockaddr *)&server->sa, server->len))
		tool_die("connect");
	if (fcntl(fd, F_SETFL, O_NONBLOCK))
		tool_die("fcntl");
	tool_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		tool_die("epoll_ctl");
	connection->fd = fd;
	connection->answer = tool_alloc(HEAD_MAX + size, 1);
}

static void ask(struct connection *connection)
{
	struct pollfd wait = { .fd = connection->fd, .events = POLLOUT };

	connection->filled = 0;
	connection->sent_ns = tool_now_ns();
	for (size_t done = 0; done < request_len;) {
		ssize_t n = send(connection->fd, request + done, request_len - done, 0);

		if (n < 0 && errno != EAGAIN)
			tool_die("send");
		if (n >= 0)
			done += (size_t)n;
		else if (poll(&wait, 1, STALL_MS) <= 0)
			tool_exit(EXIT_STALL, "a server does not read");
	}
}

/* Whether it has the whole answer now. */
static bool receive(struct connection *connection)
{
	ssize_t n = recv(connection->fd, connection->answer + connection->filled,
			 HEAD_MAX + size - connection->filled, 0);

	if (n < 0 && errno == EAGAIN)
		return false;
	if (n < 0)
		tool_die("recv");
	if (!n)
		tool_exit(EXIT_FAILURE, "a server has closed the connection");
	connection->filled += (size_t)n;
	return answered(connection);
}

/* ---- phases ------------------------------------------------------------------------ */

static void take_time(uint64_t ns)
{
	if (!times)
		return;
	if (n_times == TIMES_MAX)
		tool_exit(EXIT_FAILURE, "more than %u requests", TIMES_MAX);
	times[n_times++] = (uint32_t)ns;
}

/* With the next request, unless this phase is over. */
static void go_on(struct connection *connection, uint64_t until_ns, uint64_t each)
{
	uint64_t now = tool_now_ns();

	take_time(now - connection->sent_ns);
	if (now < until_ns && ++connection->requests < each)
		ask(connection);
	else
		n_waiting--;
}

/* Until then, or until each connection had so many, and then until all have their answers. */
static void run(uint64_t until_ns, uint64_t each)
{
	struct epoll_event events[EVENTS_MAX];

	n_waiting = n_connections;
	for (size_t i = 0; i < n_connections; i++) {
		connections[i].requests = 0;
		ask(&connections[i]);
	}
	while (n_waiting) {
		int n = epoll_wait(epoll, events, EVENTS_MAX, STALL_MS);

		if (n <= 0)
			tool_exit(EXIT_STALL, "%zu requests have no answer", n_waiting);
		for (int i = 0; i < n; i++)
			if (receive(events[i].data.ptr))
				go_on(events[i].data.ptr, until_ns, each);
	}
}

/* ---- what it costs ----------------------------------------------------------------- */

/* Of a cgroup's cpu.stat, or a process' schedstat. */
static uint64_t cpu_ns_of(const char *path)
{
	unsigned long long value;
	FILE *file = fopen(path, "re");
	bool microseconds;

	if (!file)
		tool_die(path);
	microseconds = fscanf(file, "usage_usec %llu", &value) == 1;
	if (!microseconds && fscanf(file, "%llu", &value) != 1)
		tool_exit(EXIT_FAILURE, "%s tells no time", path);
	fclose(file);
	return microseconds ? value * 1000 : value;
}

static uint64_t cpu_ns(void)
{
	uint64_t ret = 0;

	sched_yield(); /* what this process has had is charged when it is switched */
	for (int i = 0; i < n_cpu_files; i++)
		ret += cpu_ns_of(cpu_files[i]);
	return ret;
}

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void measure(uint64_t milliseconds)
{
	uint64_t begun, took, cpu;

	run(UINT64_MAX, WARM_UP_REQUESTS);
	tool_sleep_ms(WARM_UP_PAUSE_MS);
	run(UINT64_MAX, WARM_UP_REQUESTS);

	times = tool_alloc(TIMES_MAX, sizeof(*times));
	cpu = cpu_ns();
	begun = tool_now_ns();
	run(begun + milliseconds * 1000000, UINT64_MAX);
	took = tool_now_ns() - begun;
	cpu = cpu_ns() - cpu;

	qsort(times, n_times, sizeof(*times), compare_u32);
	printf("%.1f %.3f %.3f %.3f\n", (double)n_times * 1e9 / (double)took,
	       times[n_times / 2] / 1e3, times[n_times - 1 - n_times / 100] / 1e3,
	       (double)cpu / 1e3 / (double)n_times);
}

/* ---- options ----------------------------------------------------------------------- */

__attribute__((noreturn)) static void usage(void)
{
	tool_exit(
		EXIT_USAGE,
		"usage: load PROTOCOL ADDRESS:PORT SIZE CONNECTIONS MILLISECONDS [FILE...]\n"
		"  http       GET /SIZE, answered by SIZE times \"x\"\n"
		"  get, set   memcached's key bench-SIZE, SIZE times \"x\"\n"
		"FILES tell the CPU time of those that take part: cpu.stat of a cgroup, schedstat\n"
		"of a process. Prints requests a second, the 50th and the 99th percentile of how\n"
		"long they took in us, and the CPU time of one in us.");
}

static void take_protocol(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
		if (!strcmp(name, protocols[i].name))
			protocol = &protocols[i];
	if (!protocol)
		usage();
}

int main(int argc, char **argv)
{
	struct address server;

	if (argc < 6)
		usage();
	tool_init();
	take_protocol(argv[1]);
	server = tool_address(argv[2]);
	size = (uint32_t)tool_number("SIZE", argv[3]);
	n_connections = tool_number("CONNECTIONS", argv[4]);
	if (!n_connections || n_connections > CONNECTIONS_MAX)
		usage();
	cpu_files = argv + 6;
	n_cpu_files = argc - 6;

	make_request();
	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (epoll < 0)
		tool_die("epoll_create1");
	connections = tool_alloc(n_connections, sizeof(*connections));
	for (size_t i = 0; i < n_connections; i++)
		dial(&connections[i], &server);
	measure(tool_number("MILLISECONDS", argv[5]));
	return EXIT_SUCCESS;
}
