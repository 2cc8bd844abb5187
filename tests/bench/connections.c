// SPDX-License-Identifier: Apache-2.0
/*
 * What a short connection costs on several ways at once: connect, a request, its answer, close; or
 * with --messages a request and its answer on a connection that stays. tests/bench/connects.bash and
 * telemetry.bash start it; see usage().
 *
 * Each way has a client and a server of its own, forked here; one pair runs at a time, for a
 * slice of some milliseconds, then another one, in random order and many times over. So what the
 * machine does meanwhile hits all alike, and the median of many slices resolves what one
 * measurement of the same length would not.
 *
 * Both ends are as lean as programs can be, so that what is measured is the kernel's part:
 * blocking sockets, a single write of a request, no options. The server closes first: what is
 * left in TIME_WAIT is at its end, where a new SYN replaces it, and no client ever runs out of ports.
 */
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "../tools/tool.h"

#define VARIANTS_MAX 16
#define AT_ONCE_MAX  64
#define TIMES_MAX    (1u << 20)
#define MESSAGE_LEN  64
#define STALL_MS     10000 /* no slice takes that long: a connection hangs */
#define START_MS     60000 /* to join a cgroup, for which others may wait, too */

/* Of a slice's length its begin is not counted: it finds another one's state in the caches. */
#define LEAD_IN 8

enum { CLIENT, SERVER, ROLES };

/* What the driver tells a client to do. */
enum { WARM_UP = 'w', SLICE = 's', REPORT = 'r' };

struct variant {
	const char *name;
	const char *cgroup[ROLES];
	struct address called, listening;
	pid_t server;
	int command, answer; /* to its client, and from it */
};

static struct {
	const char *netns[ROLES];
	uint64_t cpu[ROLES];
	uint64_t milliseconds, slice_ms, at_once, calls;
	int messages; /* SOCK_STREAM, SOCK_DGRAM; 0: connections */
	struct variant variants[VARIANTS_MAX];
	size_t n_variants;
} opt = { .milliseconds = 300, .slice_ms = 20, .at_once = 1 };

static pid_t driver;

/* ---- figures ------------------------------------------------------------------------ */

/* In us. */
struct figures {
	float *values;
	size_t n;
};

static void add(struct figures *figures, double value)
{
	if (!figures->values)
		figures->values = tool_alloc(TIMES_MAX, sizeof(*figures->values));
	if (figures->n < TIMES_MAX)
		figures->values[figures->n++] = (float)value;
}

static int compare(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

/* Sorts them. */
static double quantile(struct figures *figures, double q)
{
	qsort(figures->values, figures->n, sizeof(*figures->values), compare);
	return (double)figures->values[(size_t)(q * (double)(figures->n - 1))];
}

/* ---- the two ends ------------------------------------------------------------------- */

static void join_cgroup(const char *path)
{
	char procs[PATH_MAX];
	int fd;

	snprintf(procs, sizeof(procs), "%s/cgroup.procs", path);
	fd = open(procs, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		tool_die(procs);
	close(fd);
}

/* In a new process: makes it this end. */
static void become(int role, const struct variant *variant)
{
	int netns = open(opt.netns[role], O_RDONLY | O_CLOEXEC);
	cpu_set_t set;

	/* nobody is left behind, not even one whose parent was killed just now */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != driver)
		_exit(EXIT_FAILURE);
	CPU_ZERO(&set);
	CPU_SET(opt.cpu[role], &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		tool_die("sched_setaffinity");
	join_cgroup(variant->cgroup[role]);
	if (netns < 0 || setns(netns, CLONE_NEWNET))
		tool_die(opt.netns[role]);
	close(netns);
}

static void tell(int fd, char what)
{
	if (write(fd, &what, 1) != 1)
		tool_die("write");
}

static void transfer(ssize_t n, const char *what)
{
	if (n < 0)
		tool_die(what);
	if (n != MESSAGE_LEN)
		tool_exit(EXIT_FAILURE, "connections: %s: %zd bytes of %d", what, n, MESSAGE_LEN);
}

/* Until the stream ends, which messages do not. */
static void answer_all(int fd)
{
	char message[MESSAGE_LEN];
	struct address from;
	ssize_t n;

	for (;;) {
		from.len = sizeof(from.sa);
		n = recvfrom(fd, message, sizeof(message), 0, (struct sockaddr *)&from.sa,
			     &from.len);
		if (!n)
			break;
		transfer(n, "request");
		transfer(sendto(fd, message, sizeof(message), 0, (struct sockaddr *)&from.sa,
				from.len),
			 "answer");
	}
	close(fd);
}

__attribute__((noreturn)) static void serve_messages(const struct variant *variant, int ready)
{
	int fd = tool_bind(&variant->listening, opt.messages, false);

	tell(ready, 'r');
	for (;;)
		answer_all(opt.messages == SOCK_DGRAM ? fd : accept4(fd, NULL, NULL, SOCK_CLOEXEC));
}

__attribute__((noreturn)) static void serve(const struct variant *variant, int ready)
{
	int listener = tool_bind(&variant->listening, SOCK_STREAM, false);
	char message[MESSAGE_LEN];

	tell(ready, 'r');
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			tool_die("accept");
		transfer(recv(fd, message, sizeof(message), 0), "request");
		transfer(send(fd, message, sizeof(message), 0), "answer");
		close(fd);
	}
}

/* Of a client. */
static struct figures rates, cpu_times, connect_times, times;
static clockid_t server_clock;

static int dial(const struct variant *variant, double *ret_us)
{
	int type = opt.messages ?: SOCK_STREAM;
	int fd = socket(variant->called.sa.ss_family, type | SOCK_CLOEXEC, 0);
	uint64_t begun = tool_now_ns();

	if (fd < 0)
		tool_die("socket");
	if (connect(fd, (const struct sockaddr *)&variant->called.sa, variant->called.len))
		tool_die("connect");
	*ret_us = (double)(tool_now_ns() - begun) / 1e3;
	return fd;
}

static void await_answer(int fd)
{
	char message[MESSAGE_LEN];

	transfer(recv(fd, message, sizeof(message), 0), "answer");
	if (recv(fd, message, sizeof(message), 0))
		tool_exit(EXIT_FAILURE, "connections: the server did not close");
	close(fd);
}

static void exchange(const struct variant *variant, bool counted)
{
	static char message[MESSAGE_LEN] = "request";
	static int fd = -1;
	uint64_t begun;
	double us;

	if (fd < 0)
		fd = dial(variant, &us);
	begun = tool_now_ns();
	transfer(send(fd, message, sizeof(message), 0), "request");
	transfer(recv(fd, message, sizeof(message), 0), "answer");
	us = (double)(tool_now_ns() - begun) / 1e3;
	if (counted) {
		add(&times, us);
		add(&connect_times, 0);
	}
}

/* As many connections as are open at once. */
static void call(const struct variant *variant, bool counted)
{
	static const char message[MESSAGE_LEN] = "request";
	uint64_t begun[AT_ONCE_MAX];
	double us[AT_ONCE_MAX];
	int fds[AT_ONCE_MAX];

	if (opt.messages) {
		exchange(variant, counted);
		return;
	}
	for (uint64_t i = 0; i < opt.at_once; i++) {
		begun[i] = tool_now_ns();
		fds[i] = dial(variant, &us[i]);
	}
	for (uint64_t i = 0; i < opt.at_once; i++)
		transfer(send(fds[i], message, sizeof(message), 0), "request");
	for (uint64_t i = 0; i < opt.at_once; i++) {
		await_answer(fds[i]);
		if (!counted)
			continue;
		add(&connect_times, us[i]);
		add(&times, (double)(tool_now_ns() - begun[i]) / 1e3);
	}
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts))
		tool_die("clock_gettime");
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static uint64_t both_cpu_ns(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID) + clock_ns(server_clock);
}

static void run_for(const struct variant *variant, uint64_t ns)
{
	uint64_t begun = tool_now_ns();

	while (tool_now_ns() - begun < ns)
		call(variant, false);
}

static void run_slice(const struct variant *variant)
{
	uint64_t slice = opt.slice_ms * 1000000, begun, now, cpu;
	double n = 0;

	run_for(variant, slice / LEAD_IN);
	cpu = both_cpu_ns();
	begun = tool_now_ns();
	do {
		call(variant, true);
		n += (double)opt.at_once;
		now = tool_now_ns();
	} while (now - begun < slice);
	add(&rates, n * 1e9 / (double)(now - begun));
	add(&cpu_times, (double)(both_cpu_ns() - cpu) / 1e3 / n);
}

static void report(const struct variant *variant)
{
	printf("%s %.0f %.3f %.3f %.3f %.3f %.3f\n", variant->name, quantile(&rates, 0.5),
	       quantile(&times, 0.5), quantile(&times, 0.99), quantile(&connect_times, 0.5),
	       quantile(&connect_times, 0.99), quantile(&cpu_times, 0.5));
	fflush(stdout);
}

/* As it is told; each answer says that it is done. */
__attribute__((noreturn)) static void be_client(const struct variant *variant, int commands,
						int done)
{
	char command;

	if (clock_getcpuclockid(variant->server, &server_clock))
		tool_die("clock_getcpuclockid");
	tell(done, 'd');
	while (read(commands, &command, 1) == 1) {
		if (command == REPORT)
			report(variant);
		else if (command == WARM_UP)
			run_for(variant, opt.slice_ms * 1000000);
		else if (opt.calls)
			for (uint64_t i = 0; i < opt.calls; i += opt.at_once)
				call(variant, false);
		else
			run_slice(variant);
		tell(done, 'd');
	}
	tool_die("read");
}

/* ---- the driver ------------------------------------------------------------------------ */

static void await(int fd, int ms, const struct variant *variant)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	char byte;

	if (poll(&poll_fd, 1, ms) != 1)
		tool_exit(EXIT_STALL, "connections: %s: nothing for %d ms", variant->name, ms);
	if (read(fd, &byte, 1) != 1)
		tool_exit(EXIT_FAILURE, "connections: %s has failed", variant->name);
}

static void open_pipe(int ret[2])
{
	if (pipe2(ret, O_CLOEXEC))
		tool_die("pipe");
}

static pid_t fork_here(void)
{
	pid_t pid = fork();

	if (pid < 0)
		tool_die("fork");
	return pid;
}

static void start_server(struct variant *variant)
{
	int ready[2];

	open_pipe(ready);
	variant->server = fork_here();
	if (!variant->server) {
		become(SERVER, variant);
		if (opt.messages)
			serve_messages(variant, ready[1]);
		serve(variant, ready[1]);
	}
	close(ready[1]);
	await(ready[0], START_MS, variant);
	close(ready[0]);
}

static void start_client(struct variant *variant)
{
	int commands[2], done[2];

	open_pipe(commands);
	open_pipe(done);
	if (!fork_here()) {
		become(CLIENT, variant);
		be_client(variant, commands[0], done[1]);
	}
	close(commands[0]);
	close(done[1]);
	variant->command = commands[1];
	variant->answer = done[0];
	await(variant->answer, START_MS, variant);
}

static void order(const struct variant *variant, char command)
{
	tell(variant->command, command);
	await(variant->answer, STALL_MS, variant);
}

/* All of them once, in random order. */
static void walk(char command)
{
	size_t shuffled[VARIANTS_MAX];

	for (size_t i = 0; i < opt.n_variants; i++) {
		size_t j = (size_t)random() % (i + 1);

		shuffled[i] = shuffled[j];
		shuffled[j] = i;
	}
	for (size_t i = 0; i < opt.n_variants; i++)
		order(&opt.variants[shuffled[i]], command);
}

static void measure(void)
{
	uint64_t slices = opt.calls ? 1 : opt.milliseconds / opt.slice_ms;

	if (!opt.calls)
		walk(WARM_UP);
	for (uint64_t i = 0; i < slices; i++)
		walk(SLICE);
	if (!opt.calls)
		walk(REPORT);
}

/* ---- options --------------------------------------------------------------------------- */

__attribute__((noreturn)) static void usage(void)
{
	tool_exit(
		EXIT_USAGE,
		"usage: connections [OPTION...] VARIANT...\n"
		"  --client NETNS,CPU  where all clients are\n"
		"  --server NETNS,CPU  and all servers\n"
		"  --ms N              how long each variant is measured in all (300)\n"
		"  --slice N           and in one go (20)\n"
		"  --at-once N         open connections of a client (1)\n"
		"  --messages tcp|udp  round trips on one connection instead, of 64 bytes\n"
		"  --calls N           so many connections of each, and no figures\n"
		"A variant is NAME,CLIENT_CGROUP,SERVER_CGROUP,CALLED,LISTENING: the last two\n"
		"ADDRESS:PORT. For each one a line: NAME, connections a second, then in us the 50th\n"
		"and 99th percentile of a whole connection and of connect() alone, and CPU time a\n"
		"connection of both ends; or the same of round trips.");
}

static char *next_word(char **text)
{
	char *word = strsep(text, ",");

	if (!word || !*word)
		usage();
	return word;
}

static void parse_role(int role, char *text)
{
	opt.netns[role] = next_word(&text);
	opt.cpu[role] = tool_number("CPU", next_word(&text));
}

static void parse_variant(char *text)
{
	struct variant *variant = &opt.variants[opt.n_variants++];

	if (opt.n_variants == VARIANTS_MAX)
		tool_exit(EXIT_USAGE, "connections: more than %d variants", VARIANTS_MAX - 1);
	variant->name = next_word(&text);
	variant->cgroup[CLIENT] = next_word(&text);
	variant->cgroup[SERVER] = next_word(&text);
	variant->called = tool_address(next_word(&text));
	variant->listening = tool_address(next_word(&text));
}

static int parse_messages(const char *text)
{
	if (!strcmp(text, "tcp"))
		return SOCK_STREAM;
	if (!strcmp(text, "udp"))
		return SOCK_DGRAM;
	usage();
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "client", required_argument, NULL, 'c' },
		{ "server", required_argument, NULL, 's' },
		{ "ms", required_argument, NULL, 'm' },
		{ "slice", required_argument, NULL, 'l' },
		{ "at-once", required_argument, NULL, 'a' },
		{ "calls", required_argument, NULL, 'n' },
		{ "messages", required_argument, NULL, 'u' },
		{ 0 },
	};
	int which;

	while ((which = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (which) {
		case 'c':
			parse_role(CLIENT, optarg);
			break;
		case 's':
			parse_role(SERVER, optarg);
			break;
		case 'm':
			opt.milliseconds = tool_number("--ms", optarg);
			break;
		case 'l':
			opt.slice_ms = tool_number("--slice", optarg);
			break;
		case 'a':
			opt.at_once = tool_number("--at-once", optarg);
			break;
		case 'n':
			opt.calls = tool_number("--calls", optarg);
			break;
		case 'u':
			opt.messages = parse_messages(optarg);
			break;
		default:
			usage();
		}
	}
	while (optind < argc)
		parse_variant(argv[optind++]);
	if (!opt.netns[CLIENT] || !opt.netns[SERVER] || !opt.n_variants || !opt.slice_ms ||
	    opt.milliseconds < opt.slice_ms || !opt.at_once || opt.at_once > AT_ONCE_MAX ||
	    (opt.messages && opt.at_once > 1))
		usage();
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	driver = getpid();
	srandom((unsigned)tool_now_ns());
	for (size_t i = 0; i < opt.n_variants; i++) {
		start_server(&opt.variants[i]);
		start_client(&opt.variants[i]);
	}
	measure();
	return EXIT_SUCCESS;
}
