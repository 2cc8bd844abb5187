/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flow events through the daemon's whole reader on one core: ring, filter, line of JSON, sink.
 * A BPF program writes them into a ring like the daemon's, from another core: at full speed,
 * so that the reader never rests and what it cannot take is lost and counted, or at a given
 * rate. Every run must account for each event: sent + lost = asked for, read = sent, and what
 * was read was written, unless the log says that it lost it.
 *
 * See usage(). The reader's rate is told twice: per second of the clock, and per second of its own
 * CPU time, which is what it would be on a machine that does nothing else.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/address.h"
#include "core/cleanup.h"
#include "core/clock.h"
#include "daemon/flow_log.h"
#include "datapath/ring.h"
#include "policy/compile.h"
#include "source/yaml.h"
#include "tests/bench/events.skel.h"

#define BATCH    4096 /* as the daemon reads */
#define BURST    1000
#define CPUS_MAX 1024

/* Between two rates that are tried; and of a rate that is asked for, what must have been reached. */
#define STEP    1.1
#define REACHED 0.95

enum mode { MODE_COUNT, MODE_FILTER, MODE_NULL, MODE_PIPE, MODE_FILE, MODE_MAX };

static const char *const mode_names[] = {
	[MODE_COUNT] = "count", [MODE_FILTER] = "filter", [MODE_NULL] = "null",
	[MODE_PIPE] = "pipe",   [MODE_FILE] = "file",
};

static struct {
	unsigned ms;
	unsigned ring_mib;
	unsigned writer_cpu, reader_cpu;
	const char *folder;
} opt = { .ms = 200, .ring_mib = 16, .writer_cpu = 1, .folder = "/dev/shm" };

static struct {
	struct events_bpf *skeleton;
	struct ring *ring;
	struct state state;
	struct state_service service;
	struct record_context context;
	struct flow_log log;
	enum mode mode;
	double rate; /* that is asked for, a second; 0: full speed */
	uint64_t read;
	atomic_bool stop;
	atomic_bool stopped;
	uint64_t asked;
	char path[MODE_MAX][300]; /* where the log goes */
} bench;

static void die(const char *what, int err)
{
	fprintf(stderr, "events: %s: %s\n", what, strerror(err < 0 ? -err : err));
	exit(1);
}

/* ---- what is written -------------------------------------------------------------------- */

/* A node with policy, since names are most of a line. */
static const char config[] =
	"workloads:\n"
	"  - { name: frontend-7d4b9c, namespace: shop, labels: { app: frontend, tier: web },\n"
	"      addresses: [10.1.0.2] }\n"
	"  - { name: cart-5f6d8b, namespace: shop, labels: { app: cart }, addresses: [10.1.0.7] }\n"
	"policies:\n"
	"  - { name: cart-ingress, namespace: shop, subject: { app: cart },\n"
	"      ingress: [ { name: from-frontend, from: [ { labels: { app: frontend } } ] } ] }\n";

static void make_names(void)
{
	_cleanup_problems_ struct problems problems = {};
	_cleanup_model_ struct model *model = NULL;
	struct policy_set none = {};
	struct model_host node = {};
	struct policy_host host = {};
	struct policy_ids ids = {};
	int err = yaml_load_text("bench", config, strlen(config), &node, &problems, &model);

	if (!err)
		err = policy_compile(model, &host, &none, &ids, &problems, &bench.state.policy);
	if (err)
		die("the policy set", err);
	bench.service = (struct state_service){ .id = 3,
						.info = { .name = "shop/cart",
							  .port_name = "http",
							  .port = htobe16(80),
							  .protocol = 6 } };
	bench.state.services = &bench.service;
	bench.state.n_services = 1;
}

/* The one with the label, as the kernel would know it. */
static const struct sst_policy_workload *workload_at(const char *address)
{
	struct sst_addr parsed;

	address_parse(address, &parsed);
	return policy_workload(&bench.state.policy,
			       policy_locate(&bench.state.policy, &parsed).workload);
}

static struct sst_record make_record(void)
{
	const struct policy_set *set = &bench.state.policy;
	const struct sst_policy_workload *from = workload_at("10.1.0.2");
	const struct sst_policy_workload *to = workload_at("10.1.0.7");
	struct sst_record record = {
		.peer_flow = 4711,
		.opened_ns = clock_ns(CLOCK_BOOTTIME),
		.cgroup_id = 5000,
		.sent_bytes = 1234,
		.received_bytes = 56789,
		.spliced_sent_bytes = 10000,
		.spliced_received_bytes = 2000000,
		.local_port = htobe16(41000),
		.remote_port = htobe16(8080),
		.asked_port = htobe16(80),
		.protocol = 6,
		.tcp_state = 1,
		.service = 3,
		.srtt_us = 45,
		.netns_ino = 4026531840,
		.edge = 77,
		.connect_us = 120,
		.judgement = { .identity = policy_identity(set, from->identity)->id,
			       .workload = from->id,
			       .peer_identity = policy_identity(set, to->identity)->id,
			       .peer_workload = to->id,
			       .rule = { 0, policy_info(set, 0)->id },
			       .tier = { SST_TIER_DEFAULT, SST_TIER_NETWORK },
			       .asked = { 1, 1 } },
	};

	address_parse("10.1.0.2", &record.local);
	address_parse("10.1.0.7", &record.remote);
	address_parse("10.96.0.10", &record.asked);
	return record;
}

/* ---- the writer ------------------------------------------------------------------------- */

static bool is_wanted(const char *map)
{
	static const char *const names[] = { "events", "event_rates", "interest", "config",
					     "counters" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(map, names[i]))
			return true;
	return strchr(map, '.'); /* the program's own data */
}

static void load(void)
{
	struct sst_interest interest = { .events = 1 };
	struct bpf_map *map;
	__u32 key = 0;
	int err;

	bench.skeleton = events_bpf__open();
	if (!bench.skeleton)
		die("the program", errno);
	bpf_object__for_each_map(map, bench.skeleton->obj) if (!is_wanted(bpf_map__name(map)))
		bpf_map__set_autocreate(map, false);
	bpf_map__set_max_entries(bench.skeleton->maps.events, opt.ring_mib << 20);
	err = events_bpf__load(bench.skeleton);
	if (err)
		die("the program", err);
	bench.skeleton->bss->template = make_record();
	bpf_map_update_elem(bpf_map__fd(bench.skeleton->maps.interest), &key, &interest, 0);
}

static void pin_to(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* So that as many have been asked for as the rate says. */
static void pace(uint64_t started)
{
	while (!bench.stop &&
	       bench.asked > (clock_ns(CLOCK_MONOTONIC) - started) * bench.rate / 1e9)
		;
}

static void *write_events(void *arg)
{
	struct {
		__u64 first, n;
	} burst = { .n = BURST };
	LIBBPF_OPTS(bpf_test_run_opts, run, .ctx_in = &burst, .ctx_size_in = sizeof(burst));
	int program = bpf_program__fd(bench.skeleton->progs.send_events);
	uint64_t started = clock_ns(CLOCK_MONOTONIC);

	(void)arg;
	pin_to(opt.writer_cpu);
	for (; !bench.stop; bench.asked += BURST) {
		burst.first = bench.asked / 2 + 1;
		if (bpf_prog_test_run_opts(program, &run))
			die("writing", errno);
		if (bench.rate)
			pace(started);
	}
	bench.stopped = true;
	return NULL;
}

/* Who reads the pipe moves pages and copies nothing: it takes little of the writer's CPU, and that
 * at once, as if it had one of its own. */
static void *drain(void *arg)
{
	const struct sched_param first = { .sched_priority = 10 };
	int from = *(int *)arg, to = open("/dev/null", O_WRONLY | O_CLOEXEC);

	pin_to(opt.writer_cpu);
	if (sched_setscheduler(0, SCHED_FIFO, &first))
		die("a priority", errno);
	while (splice(from, NULL, to, NULL, 1 << 20, SPLICE_F_MOVE) > 0)
		;
	close(to);
	return NULL;
}

/* ---- the reader -------------------------------------------------------------------------- */

static void on_event(const void *data, size_t size, void *arg)
{
	(void)arg;
	(void)size;
	bench.read++;
	if (bench.mode != MODE_COUNT)
		flow_log_event(&bench.log, data, &bench.context);
}

/* As the daemon does; true: there may be more. */
static bool read_batch(void)
{
	int n;

	bench.context.realtime_offset_ns = clock_realtime_offset_ns();
	n = ring_consume_some(bench.ring, BATCH);
	flow_log_flush(&bench.log);
	return n >= BATCH;
}

static void read_events(uint64_t until)
{
	struct pollfd poll_fd = { .fd = ring_poll_fd(bench.ring), .events = POLLIN };

	while (clock_ns(CLOCK_MONOTONIC) < until)
		if (!read_batch())
			poll(&poll_fd, 1, 100);
}

/* ---- a run ------------------------------------------------------------------------------- */

struct figures {
	double asked_per_second;
	double per_second;
	double per_cpu_second;
	double lost; /* share of what was asked for, be it by the ring or by the log */
};

static uint64_t counter(enum sst_counter which)
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t values[CPUS_MAX], sum = 0;
	__u32 key = which;

	if (cpus > CPUS_MAX)
		die("more CPUs than expected", E2BIG);

	if (bpf_map_lookup_elem(bpf_map__fd(bench.skeleton->maps.counters), &key, values))
		die("counters", errno);
	for (int i = 0; i < cpus; i++)
		sum += values[i];
	return sum;
}

static uint64_t sent(void)
{
	return counter(SST_COUNTER_EVENT_OPEN) + counter(SST_COUNTER_EVENT_CLOSE);
}

static uint64_t lost(void)
{
	return counter(SST_COUNTER_EVENT_OPEN_LOST) + counter(SST_COUNTER_EVENT_CLOSE_LOST);
}

static void configure_log(struct model_flow_log *settings)
{
	enum flow_key key = FLOW_KEY_NAMESPACE;

	*settings = (struct model_flow_log){
		.file = bench.path[bench.mode], .max_size = 64 << 20, .keep = 1, .sample = 1
	};
	if (bench.mode == MODE_FILTER)
		flow_filter_add(&settings->only, key, "nobody");
	if (bench.mode != MODE_COUNT)
		flow_log_configure(&bench.log, settings);
}

static void account(uint64_t sent_before, uint64_t lost_before)
{
	uint64_t told = flow_log_written(&bench.log) + flow_log_lost(&bench.log);
	bool logs = bench.mode >= MODE_NULL;

	if (bench.read == sent() - sent_before &&
	    bench.asked == bench.read + lost() - lost_before && told == (logs ? bench.read : 0))
		return;
	fprintf(stderr,
		"events: asked for %" PRIu64 ", sent %" PRIu64 ", lost %" PRIu64 ", read %" PRIu64
		", logged %" PRIu64 "\n",
		bench.asked, sent() - sent_before, lost() - lost_before, bench.read, told);
	exit(1);
}

/* What is left in the ring, and what waits for the pipe's reader. */
static void read_rest(void)
{
	while (read_batch())
		;
	for (int i = 0; i < 1000 && bench.log.file.n_waits; i++) {
		usleep(1000);
		flow_log_flush(&bench.log);
	}
}

static struct figures run(enum mode mode, double rate)
{
	uint64_t sent_before = sent(), lost_before = lost(), begin, cpu, ns, read, asked;
	struct model_flow_log settings;
	struct figures figures;
	pthread_t writer;

	bench.mode = mode;
	bench.rate = rate;
	bench.read = bench.asked = 0;
	bench.stop = bench.stopped = false;
	configure_log(&settings);
	if (pthread_create(&writer, NULL, write_events, NULL))
		die("a thread", errno);
	begin = clock_ns(CLOCK_MONOTONIC);
	cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	read_events(begin + opt.ms * 1000000ull);
	ns = clock_ns(CLOCK_MONOTONIC) - begin;
	cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	read = bench.read - flow_log_lost(&bench.log);
	asked = bench.asked;
	bench.stop = true;
	while (!bench.stopped)
		read_batch();
	pthread_join(writer, NULL);
	read_rest();
	account(sent_before, lost_before);
	figures = (struct figures){
		.asked_per_second = asked * 1e9 / ns,
		.per_second = read * 1e9 / ns,
		.per_cpu_second = read * 1e9 / cpu,
		.lost = (double)(lost() - lost_before + flow_log_lost(&bench.log)) / bench.asked,
	};
	flow_log_close(&bench.log);
	bench.log = (struct flow_log){};
	flow_filter_release(&settings.only);
	return figures;
}

/* The highest rate at which nothing is lost, from half of what is taken at full speed on. */
static double rate_without_loss(enum mode mode, double full)
{
	double rate = full / 2, good = 0;

	for (;;) {
		struct figures figures = run(mode, rate);

		if (!figures.lost) {
			good = figures.asked_per_second;
			if (good < rate * REACHED)
				return good; /* the writer cannot write more */
			rate *= STEP;
		} else if (good || rate < full / 32) {
			return good;
		} else {
			rate /= STEP * STEP;
		}
	}
}

/* ---- all of them -------------------------------------------------------------------------- */

/* The pipe has a reader all the time, as a log's has. */
static void measure(enum mode mode)
{
	int reader = -1, writer = -1;
	struct figures full;
	pthread_t drainer;

	if (mode == MODE_PIPE) {
		if (mkfifo(bench.path[mode], 0600))
			die("a pipe", errno);
		reader = open(bench.path[mode], O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		writer = open(bench.path[mode], O_WRONLY | O_CLOEXEC);
		fcntl(reader, F_SETFL, 0);
		if (reader < 0 || writer < 0 || pthread_create(&drainer, NULL, drain, &reader))
			die("a pipe", errno);
	}
	full = run(mode, 0);
	printf("%s %.4f %.4f %.2f %.4f\n", mode_names[mode], full.per_second / 1e6,
	       full.per_cpu_second / 1e6, 100 * full.lost,
	       rate_without_loss(mode, full.per_second) / 1e6);
	fflush(stdout);
	if (mode == MODE_PIPE) {
		close(writer); /* the drainer sees the end */
		pthread_join(drainer, NULL);
		close(reader);
	}
}

static void set_paths(const char *folder)
{
	for (enum mode mode = 0; mode < MODE_MAX; mode++)
		if (mode == MODE_PIPE || mode == MODE_FILE)
			snprintf(bench.path[mode], sizeof(*bench.path), "%s/%s", folder,
				 mode_names[mode]);
		else
			strcpy(bench.path[mode], "/dev/null");
}

static void remove_files(const char *folder)
{
	char rotated[310];

	snprintf(rotated, sizeof(rotated), "%s.1", bench.path[MODE_FILE]);
	unlink(bench.path[MODE_PIPE]);
	unlink(bench.path[MODE_FILE]);
	unlink(rotated);
	rmdir(folder);
}

__attribute__((noreturn)) static void usage(int code)
{
	fprintf(code ? stderr : stdout,
		"usage: events [OPTION...] SINK...\n"
		"  --ms N        how long each run is (200)\n"
		"  --ring MIB    (16)\n"
		"  --writer CPU  (1)\n"
		"  --reader CPU  (0)\n"
		"  --folder DIR  where a sink's file is made (/dev/shm)\n"
		"A sink is count: nothing but the ring is read; filter: that takes nothing; and the\n"
		"whole log to null, a pipe, or a file that rotates. For each a line: its name, M events\n"
		"a second that are read while more are written than that, the same a second of CPU\n"
		"time, how many per cent are lost then, and the highest rate without a loss.\n");
	exit(code);
}

static unsigned number(const char *name, const char *text, unsigned max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*text >= '0' && *text <= '9' && !*end && value <= max)
		return value;
	fprintf(stderr, "events: --%s is '%s', expected a number up to %u\n", name, text, max);
	exit(2);
}

static void parse_options(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "ms", required_argument, NULL, 'm' },
		{ "ring", required_argument, NULL, 'b' },
		{ "writer", required_argument, NULL, 'w' },
		{ "reader", required_argument, NULL, 'r' },
		{ "folder", required_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL },
	};
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1)
		switch (c) {
		case 'm':
			opt.ms = number("ms", optarg, 3600000);
			break;
		case 'b':
			opt.ring_mib = number("ring", optarg, 1024);
			break;
		case 'w':
			opt.writer_cpu = number("writer", optarg, CPUS_MAX);
			break;
		case 'r':
			opt.reader_cpu = number("reader", optarg, CPUS_MAX);
			break;
		case 'd':
			opt.folder = optarg;
			break;
		default:
			usage(c == 'h' ? 0 : 2);
		}
	if (optind == argc)
		usage(2);
}

static enum mode parse_sink(const char *name)
{
	for (enum mode mode = 0; mode < MODE_MAX; mode++)
		if (!strcmp(mode_names[mode], name))
			return mode;
	usage(2);
}

int main(int argc, char **argv)
{
	char folder[256];
	int err;

	parse_options(argc, argv);
	snprintf(folder, sizeof(folder), "%s/sidestep-events.XXXXXX", opt.folder);
	if (!mkdtemp(folder))
		die(opt.folder, errno);
	set_paths(folder);
	make_names();
	bench.context.state = &bench.state;
	load();
	err = ring_open(bpf_map__fd(bench.skeleton->maps.events), on_event, NULL, &bench.ring);
	if (err)
		die("the ring", err);
	pin_to(opt.reader_cpu);
	while (optind < argc)
		measure(parse_sink(argv[optind++]));
	ring_close(bench.ring);
	events_bpf__destroy(bench.skeleton);
	policy_set_release(&bench.state.policy);
	remove_files(folder);
	return 0;
}
