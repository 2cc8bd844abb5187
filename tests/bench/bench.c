// SPDX-License-Identifier: Apache-2.0
/*
 * Measures what connections cost, on several ways through the system in one
 * interleaved run. scripts/bench builds the surroundings and calls this program;
 * report.c makes the table of what it prints. See usage().
 *
 * A row is one thing to measure (a test, a size, one CPU or two, a layout); a variant
 * is a way from client to server in that layout: plain TCP, Sidestep's splice off, and
 * so on. Each round walks the rows in random order, and the variants of a row in random
 * order right after one another, so that what the machine does meanwhile hits all alike.
 *
 * Every measurement has a client and a server of its own, forked for it: nothing is
 * carried over from the one before, and CPU, cgroup and namespace are set once. Both
 * ends are event loops with non-blocking sockets, the kind that may be spliced.
 */
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <jansson.h>
#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "end.h"

#define LAYOUTS_MAX  4
#define VARIANTS_MAX 16
#define ROWS_MAX     100 /* as many ports does a variant take */
#define SIZES_MAX    8
#define SAMPLES_MAX  (1u << 20)

/*
 * What makes a connection fit for the splice: enough round trips to be nominated, time
 * for the daemon to adopt it, and some more for the proof. Plain TCP has them too.
 */
#define WARM_UP_ROUND_TRIPS 64
#define WARM_UP_PAUSE_MS    5
#define WARM_UP_SIZE        64 /* of a stream's first requests */

/* No measurement takes that much longer than it should: a connection hangs. */
#define STALL_MS 10000

enum { CLIENT, SERVER, ROLES };

struct layout {
	const char *name;
	int netns[ROLES];
	const char *server; /* the address it listens on */
};

struct variant {
	const char *name;
	const struct layout *layout;
	const char *cgroup;
	const char *address; /* what clients call; NULL: an AF_UNIX socket */
	uint16_t port;       /* the first row's */
};

struct test {
	const char *name;
	const char *unit;
	bool less_is_better;
	unsigned cpus_max;
	bool nagle;
	uint32_t sizes[SIZES_MAX]; /* of messages or writes; up to the first 0 */
	void (*serve)(struct end *end, uint32_t size);
	double (*measure)(const struct address *server, uint32_t size);
};

struct row {
	const struct test *test;
	const struct layout *layout;
	unsigned cpus;
	uint32_t size;
};

static struct {
	const char *what;
	uint64_t rounds;
	uint64_t milliseconds;  /* each measurement */
	const char *congestion; /* control of TCP; NULL: the machine's */
	const char *test;       /* the only one; NULL: all of them */
	struct layout layouts[LAYOUTS_MAX];
	unsigned n_layouts;
	struct variant variants[VARIANTS_MAX];
	unsigned n_variants;
} opt = {
	.rounds = 7,
	.milliseconds = 80,
};

static struct row rows[ROWS_MAX];
static unsigned n_rows;
static double *samples; /* by row, variant and round */

static pid_t bench_pid;
static int cpu_of[ROLES]; /* in the tests with two CPUs; with one, both are the client's */
static unsigned n_cpus;

/* ---- the tests -------------------------------------------------------------------- */

static void warm_up(struct end *end, uint32_t size)
{
	for (int i = 0; i < WARM_UP_ROUND_TRIPS / 2; i++)
		round_trip(end, size);
	tool_sleep_ms(WARM_UP_PAUSE_MS);
	for (int i = 0; i < WARM_UP_ROUND_TRIPS / 2; i++)
		round_trip(end, size);
}

static uint64_t deadline_ns(void)
{
	return tool_now_ns() + opt.milliseconds * 1000000;
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void serve_requests(struct end *end, uint32_t size)
{
	while (answer(end, size))
		;
}

/* The median, in microseconds. */
static double measure_round_trips(const struct address *server, uint32_t size)
{
	uint64_t *times = tool_alloc(SAMPLES_MAX, sizeof(*times));
	struct end end = end_dial(server);
	uint64_t begun, now, deadline;
	size_t n = 0;

	warm_up(&end, size);
	deadline = deadline_ns();
	now = tool_now_ns();
	do {
		begun = now;
		round_trip(&end, size);
		now = tool_now_ns();
		times[n++] = now - begun;
	} while (now < deadline && n < SAMPLES_MAX);
	qsort(times, n, sizeof(*times), compare_u64);
	return (double)times[n / 2] / 1e3;
}

static void call_once(const struct address *server, uint32_t size)
{
	struct end end = end_dial(server);

	round_trip(&end, size);
	end_close(&end);
}

/* Connections a second, each with one request. */
static double measure_connects(const struct address *server, uint32_t size)
{
	uint64_t begun, now, deadline;
	unsigned n = 0;

	call_once(server, size); /* the first one finds everything cold */
	deadline = deadline_ns();
	begun = tool_now_ns();
	do {
		call_once(server, size);
		n++;
		now = tool_now_ns();
	} while (now < deadline);
	return n * 1e9 / (double)(now - begun);
}

static void serve_stream(struct end *end, uint32_t size)
{
	uint64_t total = 0;
	size_t n;

	(void)size;
	while ((n = receive(end, buffer, sizeof(buffer))))
		total += n;
	send_all(end, &total, sizeof(total));
}

/* Gigabytes a second, until the server has read the last of them. */
static double stream(struct end *end, uint32_t size)
{
	uint64_t begun = tool_now_ns(), deadline = deadline_ns();
	uint64_t total = 0, arrived;

	do {
		send_all(end, buffer, size);
		total += size;
	} while (tool_now_ns() < deadline);
	if (shutdown(end->fd, SHUT_WR))
		tool_die("shutdown");
	if (!receive_all(end, &arrived, sizeof(arrived)) || arrived != total)
		tool_exit(EXIT_FAILURE, "bench: not all bytes of a stream have arrived");
	return (double)total / (double)(tool_now_ns() - begun);
}

static double measure_stream(const struct address *server, uint32_t size)
{
	struct end end = end_dial(server);

	return stream(&end, size);
}

static void serve_late_stream(struct end *end, uint32_t size)
{
	for (int i = 0; i < WARM_UP_ROUND_TRIPS; i++)
		answer(end, WARM_UP_SIZE);
	serve_stream(end, size);
}

static double measure_late_stream(const struct address *server, uint32_t size)
{
	struct end end = end_dial(server);

	warm_up(&end, WARM_UP_SIZE);
	return stream(&end, size);
}

/*
 * Two streams: one is nothing but that from its first byte, which the splice leaves
 * alone; the other begins once its connection has been request/response for a while.
 * They leave Nagle's algorithm on, which is TCP at its best.
 */
static const struct test tests[] = {
	{ .name = "round-trip",
	  .unit = "us",
	  .less_is_better = true,
	  .cpus_max = 2,
	  .sizes = { 1, 64, 1024, 16384, 65536 },
	  .serve = serve_requests,
	  .measure = measure_round_trips },
	{ .name = "connect",
	  .unit = "1/s",
	  .cpus_max = 2,
	  .sizes = { 1 },
	  .serve = serve_requests,
	  .measure = measure_connects },
	{ .name = "stream",
	  .unit = "GB/s",
	  .cpus_max = 1,
	  .nagle = true,
	  .sizes = { 256, 4096, 65536, 262144 },
	  .serve = serve_stream,
	  .measure = measure_stream },
	{ .name = "late-stream",
	  .unit = "GB/s",
	  .cpus_max = 2,
	  .nagle = true,
	  .sizes = { 256, 4096, 65536, 262144 },
	  .serve = serve_late_stream,
	  .measure = measure_late_stream },
};

/* ---- rows and variants ------------------------------------------------------------- */

static void add_rows(const struct test *test, const struct layout *layout, unsigned cpus)
{
	for (unsigned i = 0; i < SIZES_MAX && test->sizes[i]; i++) {
		if (n_rows == ROWS_MAX)
			tool_exit(EXIT_FAILURE, "bench: more than %d rows", ROWS_MAX);
		rows[n_rows++] = (struct row){
			.test = test,
			.layout = layout,
			.cpus = cpus,
			.size = test->sizes[i],
		};
	}
}

static void make_rows(void)
{
	for (unsigned t = 0; t < ARRAY_SIZE(tests); t++) {
		if (opt.test && strcmp(opt.test, tests[t].name))
			continue;
		for (unsigned l = 0; l < opt.n_layouts; l++)
			for (unsigned cpus = 1; cpus <= tests[t].cpus_max && cpus <= n_cpus; cpus++)
				add_rows(&tests[t], &opt.layouts[l], cpus);
	}
	if (!n_rows)
		tool_exit(EXIT_USAGE, "--test: there is no \"%s\"", opt.test);
	samples = tool_alloc(n_rows * opt.n_variants * opt.rounds, sizeof(*samples));
}

/* A row has a port of its own in each variant, so that the counters tell them apart. */
static const char *row_port_name(const struct row *row)
{
	static char name[64];

	snprintf(name, sizeof(name), "%s-%u-%ucpu", row->test->name, row->size, row->cpus);
	return name;
}

static uint16_t row_port(const struct row *row, const struct variant *variant)
{
	return (uint16_t)(variant->port + (row - rows));
}

/* As a client calls it or, with the layout's own address, as the server binds it. */
static struct address row_address(const struct row *row, const struct variant *variant,
				  const char *host)
{
	struct sockaddr_un path = { .sun_family = AF_UNIX, .sun_path = "\0bench" };
	struct address ret = { .len = offsetof(struct sockaddr_un, sun_path) + sizeof("\0bench") };
	char text[ADDRESS_TEXT];

	if (!variant->address) {
		memcpy(&ret.sa, &path, sizeof(path));
		return ret;
	}
	snprintf(text, sizeof(text), "%s:%u", host, row_port(row, variant));
	return tool_address(text);
}

static double *row_samples(const struct row *row, const struct variant *variant)
{
	size_t r = (size_t)(row - rows), v = (size_t)(variant - opt.variants);

	return samples + (r * opt.n_variants + v) * opt.rounds;
}

/* ---- one measurement ------------------------------------------------------------------ */

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

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		tool_die("sched_setaffinity");
}

/* In a new process: makes it the client or the server of this measurement. */
static void become(int role, const struct row *row, const struct variant *variant)
{
	/* nobody is left behind, not even one whose parent was killed just now */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != bench_pid)
		_exit(EXIT_FAILURE);
	join_cgroup(variant->cgroup);
	if (setns(row->layout->netns[role], CLONE_NEWNET))
		tool_die("setns");
	pin(cpu_of[row->cpus > 1 ? role : CLIENT]);
	if (variant->address)
		end_init_tcp(row->test->nagle, opt.congestion);
	else
		end_init();
}

/* What a process has to tell the one that forked it; write() cannot be short. */
static void tell(int fd, double value)
{
	if (write(fd, &value, sizeof(value)) != sizeof(value))
		tool_die("write");
}

__attribute__((noreturn)) static void be_server(const struct row *row,
						const struct variant *variant, int told)
{
	struct address address = row_address(row, variant, row->layout->server);
	int listener;

	become(SERVER, row, variant);
	listener = tool_bind(&address, SOCK_STREAM, false);
	end_prepare(listener); /* what is accepted inherits it */
	tell(told, 0);
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		struct end end;

		if (fd < 0)
			tool_die("accept");
		end = end_open(fd);
		row->test->serve(&end, row->size);
		end_close(&end);
	}
}

__attribute__((noreturn)) static void be_client(const struct row *row,
						const struct variant *variant, int told)
{
	struct address address = row_address(row, variant, variant->address);

	become(CLIENT, row, variant);
	tell(told, row->test->measure(&address, row->size));
	_exit(EXIT_SUCCESS);
}

/* Starts one end; told is where it can be heard. */
static pid_t start(int role, const struct row *row, const struct variant *variant, int *told)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		tool_die("pipe");
	pid = fork();
	if (pid < 0)
		tool_die("fork");
	if (!pid)
		(role == SERVER ? be_server : be_client)(row, variant, fds[1]);
	close(fds[1]);
	*told = fds[0];
	return pid;
}

static double hear(int fd, const struct row *row, const struct variant *variant)
{
	struct pollfd readable = { .fd = fd, .events = POLLIN };
	double value;

	if (poll(&readable, 1, STALL_MS + (int)opt.milliseconds) != 1)
		tool_exit(EXIT_STALL, "bench: %s %s %s: stalled", row->layout->name, variant->name,
			  row_port_name(row));
	if (read(fd, &value, sizeof(value)) != sizeof(value))
		tool_exit(EXIT_FAILURE, "bench: %s %s %s: failed", row->layout->name, variant->name,
			  row_port_name(row));
	close(fd);
	return value;
}

static double measure(const struct row *row, const struct variant *variant)
{
	pid_t server, client;
	double result;
	int told;

	server = start(SERVER, row, variant, &told);
	hear(told, row, variant);
	client = start(CLIENT, row, variant, &told);
	result = hear(told, row, variant);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	waitpid(client, NULL, 0);
	return result;
}

/* ---- the run -------------------------------------------------------------------------- */

/* order becomes the numbers below n, in random order. */
static void shuffle(unsigned *order, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned j = (unsigned)random() % (i + 1);

		order[i] = order[j];
		order[j] = i;
	}
}

static void measure_row(const struct row *row, uint64_t round)
{
	unsigned order[VARIANTS_MAX];

	shuffle(order, opt.n_variants);
	for (unsigned i = 0; i < opt.n_variants; i++) {
		const struct variant *variant = &opt.variants[order[i]];

		if (variant->layout == row->layout)
			row_samples(row, variant)[round] = measure(row, variant);
	}
}

static void measure_all(void)
{
	bool show = isatty(STDERR_FILENO);
	unsigned order[ROWS_MAX];

	srandom((unsigned)tool_now_ns());
	for (uint64_t round = 0; round < opt.rounds; round++) {
		shuffle(order, n_rows);
		for (unsigned i = 0; i < n_rows; i++) {
			if (show)
				fprintf(stderr, "\rround %u of %u: %3u%%", (unsigned)round + 1,
					(unsigned)opt.rounds, i * 100 / n_rows);
			measure_row(&rows[order[i]], round);
		}
	}
	if (show)
		fputs("\r\033[K", stderr);
}

/* ---- what is printed -------------------------------------------------------------------- */

/* One service a variant: what stands behind it, and how its connections are spliced. */
static void print_service(const struct variant *variant)
{
	printf("  - name: %s-%s\n", variant->layout->name, variant->name);
	printf("    address: %s\n    splice: %s\n    ports:\n", variant->address, variant->name);
	for (const struct row *row = rows; row < rows + n_rows; row++)
		if (row->layout == variant->layout)
			printf("      - { name: %s, port: %u }\n", row_port_name(row),
			       row_port(row, variant));
	printf("    endpoints: [{ address: %s }]\n", variant->layout->server);
}

/* A variant has a service if what its clients call is not the server itself. */
static void print_config(void)
{
	puts("services:");
	for (unsigned v = 0; v < opt.n_variants; v++) {
		const struct variant *variant = &opt.variants[v];

		if (variant->address && strcmp(variant->address, variant->layout->server))
			print_service(variant);
	}
}

/* The first line of a file, without a prefix that ends with ':'; null if there is none. */
static json_t *line_of(const char *path, const char *prefix)
{
	FILE *file = fopen(path, "re");
	json_t *ret = NULL;
	char line[256];

	while (file && !ret && fgets(line, sizeof(line), file)) {
		size_t skip = *prefix ? strcspn(line, ":") + 1 : 0;

		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, prefix, strlen(prefix)) && skip <= strlen(line))
			ret = json_string(line + skip + strspn(line + skip, " "));
	}
	if (file)
		fclose(file);
	return ret ? ret : json_null();
}

static json_t *machine(void)
{
	time_t now = time(NULL);
	struct utsname name;
	char date[32];

	uname(&name);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
	return json_pack("{ss ss ss so si so so so}", "date", date, "kernel", name.release, "arch",
			 name.machine, "cpu", line_of("/proc/cpuinfo", "model name"), "cpus",
			 (int)sysconf(_SC_NPROCESSORS_ONLN), "governor",
			 line_of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", ""),
			 "congestion_control",
			 opt.congestion ? json_string(opt.congestion)
					: line_of("/proc/sys/net/ipv4/tcp_congestion_control", ""),
			 "load_before", line_of("/proc/loadavg", ""));
}

static json_t *method(double seconds)
{
	return json_pack("{sI sI si si s[ii] sf}", "rounds", (json_int_t)opt.rounds, "milliseconds",
			 (json_int_t)opt.milliseconds, "warm_up_round_trips", WARM_UP_ROUND_TRIPS,
			 "warm_up_pause_ms", WARM_UP_PAUSE_MS, "pinned_to", cpu_of[CLIENT],
			 cpu_of[SERVER], "seconds", seconds);
}

static json_t *row_json(const struct row *row)
{
	json_t *variants = json_object();

	for (unsigned v = 0; v < opt.n_variants; v++) {
		const struct variant *variant = &opt.variants[v];
		json_t *array = json_array();

		if (variant->layout == row->layout)
			json_object_set(variants, variant->name, array);
		for (uint64_t i = 0; i < opt.rounds; i++)
			json_array_append_new(array, json_real(row_samples(row, variant)[i]));
		json_decref(array);
	}
	return json_pack("{ss ss si si ss sb ss so}", "test", row->test->name, "layout",
			 row->layout->name, "cpus", (int)row->cpus, "size", (int)row->size, "unit",
			 row->test->unit, "less_is_better", row->test->less_is_better,
			 "service_port", row_port_name(row), "variants", variants);
}

static void run(void)
{
	json_t *before = machine(), *array = json_array(), *root;
	uint64_t begun = tool_now_ns();
	double seconds;

	measure_all();
	seconds = (double)(tool_now_ns() - begun) / 1e9;
	for (unsigned i = 0; i < n_rows; i++)
		json_array_append_new(array, row_json(&rows[i]));
	root = json_pack("{so so so}", "machine", before, "method", method(seconds), "rows", array);
	if (!root || json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6)))
		tool_exit(EXIT_FAILURE, "bench: cannot print the result");
	puts("");
	json_decref(root);
}

/* ---- options ------------------------------------------------------------------------------ */

__attribute__((noreturn)) static void usage(int code)
{
	fprintf(code ? stderr : stdout,
		"usage: bench run|config OPTIONS\n"
		"  --layout NAME,CLIENT_NETNS,SERVER_NETNS,ADDRESS\n"
		"                 where clients and servers live, and what servers bind\n"
		"  --variant LAYOUT,NAME,CGROUP,ADDRESS:PORT\n"
		"                 a way to the server: the address that clients call, and the\n"
		"                 first of 100 ports; \"unix\" for an AF_UNIX socket. The first\n"
		"                 of a layout is what the others are compared with\n"
		"  --rounds N     (default: 7)\n"
		"  --ms N         that each measurement takes (default: 80)\n"
		"  --congestion NAME\n"
		"                 control of TCP (default: the machine's)\n"
		"  --test NAME    run this one only, like connect\n"
		"config prints a configuration of Sidestep with the variants whose address is not\n"
		"the server's as services, spliced as their name says. run prints all samples as\n"
		"JSON.\n");
	exit(code);
}

/* The next of a list of words; text is eaten. */
static const char *word(const char *option, char **text)
{
	const char *ret = strsep(text, ",");

	if (!ret || !*ret)
		tool_exit(EXIT_USAGE, "%s: a word is missing", option);
	return ret;
}

static int netns_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		tool_die(path);
	return fd;
}

static void add_layout(char *text)
{
	struct layout *layout = &opt.layouts[opt.n_layouts++];

	if (opt.n_layouts > LAYOUTS_MAX)
		tool_exit(EXIT_USAGE, "--layout: at most %d", LAYOUTS_MAX);
	layout->name = word("--layout", &text);
	layout->netns[CLIENT] = netns_open(word("--layout", &text));
	layout->netns[SERVER] = netns_open(word("--layout", &text));
	layout->server = word("--layout", &text);
}

static const struct layout *find_layout(const char *name)
{
	for (unsigned i = 0; i < opt.n_layouts; i++)
		if (!strcmp(opt.layouts[i].name, name))
			return &opt.layouts[i];
	tool_exit(EXIT_USAGE, "--variant: no --layout \"%s\" before it", name);
}

static void add_variant(char *text)
{
	struct variant *variant = &opt.variants[opt.n_variants++];
	char *colon;

	if (opt.n_variants > VARIANTS_MAX)
		tool_exit(EXIT_USAGE, "--variant: at most %d", VARIANTS_MAX);
	variant->layout = find_layout(word("--variant", &text));
	variant->name = word("--variant", &text);
	variant->cgroup = word("--variant", &text);
	if (text && !strcmp(text, "unix"))
		return;
	colon = text ? strchr(text, ':') : NULL;
	if (!colon)
		tool_exit(EXIT_USAGE, "--variant: expected ADDRESS:PORT or unix at its end");
	*colon = '\0';
	variant->address = text;
	variant->port = (uint16_t)tool_number("--variant", colon + 1);
}

static void parse_options(int argc, char **argv)
{
	static const struct option options[] = { { "layout", required_argument, NULL, 'l' },
						 { "variant", required_argument, NULL, 'v' },
						 { "rounds", required_argument, NULL, 'r' },
						 { "ms", required_argument, NULL, 'm' },
						 { "congestion", required_argument, NULL, 'c' },
						 { "test", required_argument, NULL, 't' },
						 { "help", no_argument, NULL, 'h' },
						 {} };
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'l')
			add_layout(optarg);
		else if (c == 'v')
			add_variant(optarg);
		else if (c == 'r')
			opt.rounds = tool_number("--rounds", optarg);
		else if (c == 'm')
			opt.milliseconds = tool_number("--ms", optarg);
		else if (c == 'c')
			opt.congestion = optarg;
		else if (c == 't')
			opt.test = optarg;
		else
			usage(c == 'h' ? EXIT_SUCCESS : EXIT_USAGE);
	}
	if (optind + 1 != argc || !opt.n_variants || !opt.rounds || !opt.milliseconds)
		usage(EXIT_USAGE);
	opt.what = argv[optind];
	if (strcmp(opt.what, "run") && strcmp(opt.what, "config"))
		usage(EXIT_USAGE);
}

/* The highest CPUs that we may use: the lowest has more of the machine's own work. */
static void choose_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		tool_die("sched_getaffinity");
	for (int cpu = CPU_SETSIZE - 1; cpu >= 0 && n_cpus < ROLES; cpu--)
		if (CPU_ISSET(cpu, &set))
			cpu_of[n_cpus++] = cpu;
}

int main(int argc, char **argv)
{
	parse_options(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	bench_pid = getpid();
	choose_cpus();
	make_rows();
	if (!strcmp(opt.what, "config"))
		print_config();
	else
		run();
	return EXIT_SUCCESS;
}
