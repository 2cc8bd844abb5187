// SPDX-License-Identifier: Apache-2.0
/*
 * Thousands of flows in one event loop, to an echoserver: each sends a request, checks
 * every byte of the answer, and does so again. See usage().
 *
 * The bytes depend on the flow and on their place in it, so that one that is lost, doubled
 * or of another flow is found.
 */
#include <endian.h>
#include <fcntl.h>
#include <getopt.h>
#include <sys/epoll.h>

#include "tool.h"

#define SIZE_MAX_BYTES (64u * 1024)
#define EVENTS_MAX     256
#define CONNECTING_MAX 256 /* at once, so that no accept queue overflows */
#define TICK_MS        5

static struct {
	struct address server;
	uint64_t flows;
	uint64_t rounds;
	uint64_t size;
	uint64_t rate;
	uint64_t seconds;
	uint64_t pause_ms;
	uint64_t stall_s;
	bool hold;
	bool vary;
} opt = { .flows = 100, .rounds = 20, .size = 64, .stall_s = 20 };

enum flow_state {
	FLOW_NONE, /* its place is free */
	FLOW_CONNECTING,
	FLOW_ASKING,
	FLOW_RESTING,
};

struct flow {
	int fd;
	enum flow_state state;
	uint64_t seed;
	uint64_t sent;
	uint64_t received;
	uint64_t asked; /* bytes of all requests so far, the one under way included */
	uint64_t rounds;
	uint64_t wanted; /* rounds */
	bool waits_to_send;
};

static struct {
	uint64_t opened, closed, refused, broken, corrupt;
	uint64_t sent, received, rounds;
	int first_error; /* of a broken or refused flow */
} result;

static struct {
	int epoll;
	struct flow *flows;
	size_t alive, connecting, resting;
	uint64_t started; /* connections begun */
	uint64_t begun_ns, moved_ns;
	bool told;
	size_t cursor; /* where the next resting flow is looked for */
	uint64_t woken;
} crowd;

static unsigned char buffer[SIZE_MAX_BYTES], expected[SIZE_MAX_BYTES];

/* ---- the pattern ------------------------------------------------------------------- */

static void fill(const struct flow *flow, uint64_t offset, unsigned char *to, size_t len)
{
	for (size_t i = 0; i < len; i++, offset++)
		to[i] = (unsigned char)(tool_mix(flow->seed + offset / 8) >> offset % 8 * 8);
}

/* ---- one flow ---------------------------------------------------------------------- */

static void set_state(struct flow *flow, enum flow_state state)
{
	crowd.connecting -= flow->state == FLOW_CONNECTING;
	crowd.resting -= flow->state == FLOW_RESTING;
	crowd.alive -= flow->state != FLOW_NONE;
	flow->state = state;
	crowd.connecting += state == FLOW_CONNECTING;
	crowd.resting += state == FLOW_RESTING;
	crowd.alive += state != FLOW_NONE;
}

static void watch(struct flow *flow, bool send)
{
	struct epoll_event event = { .events = send ? EPOLLIN | EPOLLOUT : EPOLLIN,
				     .data.ptr = flow };

	if (flow->waits_to_send == send)
		return;
	flow->waits_to_send = send;
	if (epoll_ctl(crowd.epoll, EPOLL_CTL_MOD, flow->fd, &event))
		tool_die("epoll_ctl");
}

static void flow_close(struct flow *flow)
{
	close(flow->fd);
	result.closed += flow->state != FLOW_CONNECTING;
	set_state(flow, FLOW_NONE);
}

static void flow_break(struct flow *flow, int error)
{
	if (!result.first_error)
		result.first_error = error;
	if (flow->state == FLOW_CONNECTING)
		result.refused++;
	else
		result.broken++;
	flow_close(flow);
}

/* What of the request has not been sent yet. */
static void flow_send(struct flow *flow)
{
	while (flow->sent < flow->asked) {
		size_t len = flow->asked - flow->sent;
		ssize_t n;

		fill(flow, flow->sent, buffer, len);
		n = send(flow->fd, buffer, len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return flow_break(flow, errno);
		flow->sent += (uint64_t)n;
		result.sent += (uint64_t)n;
	}
	watch(flow, flow->sent < flow->asked);
}

/* Up to n, with --vary as the flow's seed and what it has done so far will have it. */
static uint64_t some_of(const struct flow *flow, uint64_t n)
{
	return opt.vary ? 1 + tool_mix(flow->seed ^ flow->rounds) % n : n;
}

static void flow_ask(struct flow *flow)
{
	set_state(flow, FLOW_ASKING);
	flow->asked += some_of(flow, opt.size);
	flow_send(flow);
}

static void flow_answered(struct flow *flow)
{
	flow->rounds++;
	result.rounds++;
	if (!tool_stop && flow->rounds < flow->wanted)
		flow_ask(flow);
	else if (!tool_stop && opt.hold)
		set_state(flow, FLOW_RESTING);
	else
		flow_close(flow);
}

static void flow_receive(struct flow *flow)
{
	ssize_t n = recv(flow->fd, buffer, sizeof(buffer), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		return flow_break(flow, n ? errno : ENODATA);
	fill(flow, flow->received, expected, (size_t)n);
	if (flow->received + (uint64_t)n > flow->sent || memcmp(buffer, expected, (size_t)n)) {
		result.corrupt++;
		return flow_break(flow, EBADMSG);
	}
	flow->received += (uint64_t)n;
	result.received += (uint64_t)n;
	if (flow->received == flow->asked)
		flow_answered(flow);
}

static void flow_connected(struct flow *flow)
{
	socklen_t len = sizeof(int);
	int error = 0;

	getsockopt(flow->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error)
		return flow_break(flow, error);
	result.opened++;
	flow_ask(flow);
}

static void flow_open(struct flow *flow)
{
	int type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT, .data.ptr = flow };

	*flow = (struct flow){ .waits_to_send = true };
	flow->fd = socket(opt.server.sa.ss_family, type, 0);
	if (flow->fd < 0)
		tool_die("socket");
	tool_set(flow->fd, IPPROTO_TCP, TCP_NODELAY, 1);
	flow->seed = tool_mix(crowd.begun_ns + ++crowd.started);
	flow->wanted = some_of(flow, opt.rounds);
	set_state(flow, FLOW_CONNECTING);
	if (epoll_ctl(crowd.epoll, EPOLL_CTL_ADD, flow->fd, &event))
		tool_die("epoll_ctl");
	if (connect(flow->fd, (struct sockaddr *)&opt.server.sa, opt.server.len) &&
	    errno != EINPROGRESS)
		flow_break(flow, errno);
}

static void flow_serve(struct flow *flow, uint32_t events)
{
	if (flow->state == FLOW_CONNECTING && events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
		flow_connected(flow);
	else if (flow->state != FLOW_NONE && events & EPOLLOUT)
		flow_send(flow);
	if (flow->state != FLOW_NONE && events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		flow_receive(flow);
}

/* ---- all of them ------------------------------------------------------------------- */

static double elapsed_s(void)
{
	return (double)(tool_now_ns() - crowd.begun_ns) / 1e9;
}

/* Whether connections are still to be begun. */
static bool is_opening(void)
{
	if (tool_stop)
		return false;
	return opt.seconds ? elapsed_s() < (double)opt.seconds : crowd.started < opt.flows;
}

static void open_more(void)
{
	uint64_t due = opt.rate ? (uint64_t)((double)opt.rate * elapsed_s()) + 1 : UINT64_MAX;

	for (size_t i = 0; i < opt.flows && is_opening() && crowd.started < due &&
			   crowd.connecting < CONNECTING_MAX && crowd.alive < opt.flows;
	     i++)
		if (crowd.flows[i].state == FLOW_NONE)
			flow_open(&crowd.flows[i]);
}

/* So many that each flow speaks once in pause_ms. */
static void wake_some(void)
{
	uint64_t now_ms = (tool_now_ns() - crowd.begun_ns) / 1000000;
	uint64_t due = opt.pause_ms ? now_ms * opt.flows / opt.pause_ms : 0;

	if (due - crowd.woken > opt.flows) /* while the crowd was still on its way */
		crowd.woken = due - (due ? 1 : 0);
	for (; crowd.woken < due; crowd.woken++) {
		struct flow *flow = &crowd.flows[crowd.cursor++ % opt.flows];

		if (flow->state == FLOW_RESTING)
			flow_ask(flow);
	}
}

/* Flows that rest close at the end; those that wait for an answer do when it has come. */
static void close_resting(void)
{
	for (size_t i = 0; i < opt.flows; i++)
		if (crowd.flows[i].state == FLOW_RESTING)
			flow_close(&crowd.flows[i]);
}

static void report(const char *stall)
{
	bool ok = !stall && !result.broken && !result.refused && !result.corrupt;

	printf("{\"ok\":%s,\"opened\":%llu,\"closed\":%llu,\"refused\":%llu,\"broken\":%llu,"
	       "\"corrupt\":%llu,\"sent\":%llu,\"received\":%llu,\"rounds\":%llu,"
	       "\"seconds\":%.2f",
	       ok ? "true" : "false", (unsigned long long)result.opened,
	       (unsigned long long)result.closed, (unsigned long long)result.refused,
	       (unsigned long long)result.broken, (unsigned long long)result.corrupt,
	       (unsigned long long)result.sent, (unsigned long long)result.received,
	       (unsigned long long)result.rounds, elapsed_s());
	if (result.first_error)
		printf(",\"error\":\"%s\"", strerrorname_np(result.first_error));
	if (stall)
		printf(",\"stall\":\"%s\"", stall);
	puts("}");
	fflush(stdout);
}

/* Flows wait for something, and none of them has moved for too long. */
static void look_for_stall(size_t events)
{
	uint64_t now = tool_now_ns();
	size_t waiting = crowd.alive - crowd.resting;
	char text[64];

	if (events || !waiting)
		crowd.moved_ns = now;
	if (now - crowd.moved_ns < opt.stall_s * 1000000000)
		return;
	snprintf(text, sizeof(text), "%zu of %zu flows wait", waiting, crowd.alive);
	report(text);
	exit(EXIT_STALL);
}

static void tell_ready(void)
{
	if (crowd.told || !opt.hold || is_opening() || crowd.connecting)
		return;
	for (size_t i = 0; i < opt.flows; i++)
		if (crowd.flows[i].state != FLOW_NONE &&
		    crowd.flows[i].rounds < crowd.flows[i].wanted)
			return;
	crowd.told = true;
	tool_ready();
}

static void run(void)
{
	struct epoll_event events[EVENTS_MAX];

	crowd.begun_ns = crowd.moved_ns = tool_now_ns();
	while (is_opening() || crowd.alive) {
		int n = epoll_wait(crowd.epoll, events, EVENTS_MAX, TICK_MS);

		if (n < 0 && errno != EINTR)
			tool_die("epoll_wait");
		for (int i = 0; i < n; i++)
			flow_serve(events[i].data.ptr, events[i].events);
		if (tool_stop)
			close_resting();
		open_more();
		wake_some();
		tell_ready();
		look_for_stall(n > 0 ? (size_t)n : 0);
	}
}

/* ---- options ----------------------------------------------------------------------- */

__attribute__((noreturn)) static void usage(int code)
{
	fprintf(code ? stderr : stdout,
		"usage: crowd [OPTIONS] ADDRESS:PORT\n"
		"  --flows N      at once (default: 100)\n"
		"  --rounds N     requests and answers a flow (default: 20)\n"
		"  --size BYTES   of a request, up to 65536 (default: 64)\n"
		"  --vary         rounds and sizes are at random, up to those\n"
		"  --hold         keep flows after their rounds, until SIGTERM; \"ready\" is\n"
		"                 printed when all have done theirs\n"
		"  --pause-ms MS  flows that are kept go on with a round in so many ms\n"
		"  --seconds S    replace flows that have ended, for so long\n"
		"  --rate N       connections a second, at most\n"
		"  --stall-s S    this long without an event is a stall (default: 20)\n");
	exit(code);
}

/* Where a number goes, by option. */
static uint64_t *number_option(const char *name)
{
	const struct {
		const char *name;
		uint64_t *value;
	} numbers[] = {
		{ "flows", &opt.flows },       { "rounds", &opt.rounds },   { "size", &opt.size },
		{ "pause-ms", &opt.pause_ms }, { "seconds", &opt.seconds }, { "rate", &opt.rate },
		{ "stall-s", &opt.stall_s },
	};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (!strcmp(numbers[i].name, name))
			return numbers[i].value;
	return NULL;
}

static void parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "flows", required_argument, NULL, 0 },
		{ "rounds", required_argument, NULL, 0 },
		{ "size", required_argument, NULL, 0 },
		{ "hold", no_argument, NULL, 'H' },
		{ "vary", no_argument, NULL, 'v' },
		{ "pause-ms", required_argument, NULL, 0 },
		{ "seconds", required_argument, NULL, 0 },
		{ "rate", required_argument, NULL, 0 },
		{ "stall-s", required_argument, NULL, 0 },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	int c, index = 0;

	while ((c = getopt_long(argc, argv, "h", options, &index)) != -1) {
		if (c == 'H')
			opt.hold = true;
		else if (c == 'v')
			opt.vary = true;
		else if (c)
			usage(c == 'h' ? EXIT_SUCCESS : EXIT_USAGE);
		else
			*number_option(options[index].name) =
				tool_number(options[index].name, optarg);
	}
	if (optind + 1 != argc || !opt.flows || !opt.rounds || !opt.size ||
	    opt.size > SIZE_MAX_BYTES)
		usage(EXIT_USAGE);
	opt.server = tool_address(argv[optind]);
}

int main(int argc, char **argv)
{
	parse_options(argc, argv);
	tool_init();
	crowd.flows = tool_alloc(opt.flows, sizeof(*crowd.flows));
	crowd.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (crowd.epoll < 0)
		tool_die("epoll_create1");
	run();
	report(NULL);
	return result.broken || result.refused || result.corrupt ? EXIT_FAILURE : EXIT_SUCCESS;
}
