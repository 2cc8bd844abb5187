/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench.h"

#include <string.h>
#include <sys/signalfd.h>

#include "bench/instance.h"
#include "bench/rounds.h"
#include "cli/common.h"
#include "core/cleanup.h"
#include "core/clock.h"
#include "datapath/above.h"

#define MS         60 /* each measurement */
#define MS_QUICK   15
#define FIRST_PORT 8000
#define PORTS      100 /* of each way */
#define SERVER     "127.0.0.1"

/* The splice takes over within the warm-up; on a machine that is busy, later. */
#define SHARE_LEAST 0.2

static const struct {
	const char *name;
	const char *address; /* a service's, which no network has: no hook, no connection */
} ways[BY_MAX] = {
	[BY_PLAIN] = { "plain", NULL },      [BY_OFF] = { "off", "10.96.0.1" },
	[BY_AUTO] = { "auto", "10.96.0.2" }, [BY_ON] = { "on", "10.96.0.3" },
	[BY_UNIX] = { "unix", NULL },
};

struct run {
	struct bench *bench;
	struct instance instance;
	int stop;
	unsigned round;
};

const char *bench_by_name(enum bench_by by)
{
	return ways[by].name;
}

static int fail(struct run *run, int err, const char *what)
{
	problems_add(&run->bench->problems, "bench", (struct place){}, "%s", what);
	return err;
}

/* ---- what is measured ---------------------------------------------------------------- */

static void add_row(struct bench *bench, enum bench_test test, uint32_t size, unsigned cpus)
{
	bench->rows[bench->n_rows++] =
		(struct bench_row){ .test = test, .size = size, .cpus = cpus };
}

static void make_rows(struct bench *bench)
{
	static const uint32_t sizes[] = { 1, 1024, 16384, 65536 };

	for (unsigned cpus = 1; cpus <= (bench->quick ? 1 : bench->n_cpus); cpus++) {
		add_row(bench, BENCH_CONNECT, 1, cpus);
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
			if (!bench->quick || sizes[i] == 1024)
				add_row(bench, BENCH_ROUND_TRIP, sizes[i], cpus);
		add_row(bench, BENCH_STREAM, 65536, cpus);
	}
}

static void add_way(struct bench *bench, enum bench_by by, const char *off)
{
	snprintf(bench->off[by], sizeof(bench->off[by]), "%s", off);
	if (!*off)
		bench->by[bench->n_by++] = by;
}

static void make_ways(struct bench *bench, const struct sst_meta *meta)
{
	const char *splice = meta->feature_off[SST_FEATURE_SPLICE];
	const char *automatic = meta->feature_off[SST_FEATURE_SPLICE_AUTO];

	add_way(bench, BY_PLAIN, "");
	if (!bench->quick || *splice)
		add_way(bench, BY_OFF, "");
	add_way(bench, BY_AUTO, *splice ? splice : automatic);
	add_way(bench, BY_ON, splice);
	if (!bench->quick)
		add_way(bench, BY_UNIX, "");
}

/* A row has a port of its own in each way. */
static unsigned port_of(const struct bench *bench, const struct bench_row *row, enum bench_by by)
{
	return FIRST_PORT + PORTS * (unsigned)by + (unsigned)(row - bench->rows);
}

static void configure(const struct bench *bench, struct text *out)
{
	text_add(out, "services:\n");
	for (int by = 0; by < BY_MAX; by++) {
		const struct bench_service service = {
			.name = ways[by].name,
			.address = ways[by].address,
			.splice = ways[by].name,
			.server = SERVER,
			.port = port_of(bench, bench->rows, by),
			.n = bench->n_rows,
		};

		if (service.address)
			bench_configure(&service, out);
	}
}

/* ---- a measurement ---------------------------------------------------------------------- */

static struct bench_way way_of(const struct run *run, const struct bench_row *row, enum bench_by by)
{
	const struct bench *bench = run->bench;
	unsigned port = port_of(bench, row, by);
	struct bench_way way = {};

	for (int role = 0; role < BENCH_ROLES; role++)
		way.place[role] = (struct bench_place){
			.cgroup = ways[by].address ? run->instance.hooked : run->instance.plain,
			.netns = -1,
			.cpu = bench->cpus[row->cpus > 1 ? role : BENCH_CLIENT],
		};
	if (by == BY_UNIX) {
		way.called = way.bound = end_address_unix("bench");
	} else {
		end_address_tcp(ways[by].address ?: SERVER, port, &way.called);
		end_address_tcp(SERVER, port, &way.bound);
	}
	return way;
}

static int measure(unsigned r, unsigned w, void *arg)
{
	struct run *run = arg;
	struct bench *bench = run->bench;
	const struct bench_row *row = &bench->rows[r];
	enum bench_by by = bench->by[w];
	const struct bench_task task = {
		.test = row->test,
		.size = row->size,
		.nagle = row->test == BENCH_STREAM, /* TCP at its best */
		.ms = bench->ms,
	};
	const struct bench_way way = way_of(run, row, by);
	char what[64], name[32];
	int err = bench_measure(&task, &way, run->stop, &bench->problems,
				&bench->cells[r][by].results[run->round]);

	if (err == -ECANCELED)
		return err;
	snprintf(what, sizeof(what), "%s, %s: failed", bench_row_name(row, name), ways[by].name);
	if (err)
		return fail(run, err, what);
	return instance_lives(&run->instance) ? 0 : fail(run, -ECHILD, "the daemon has died");
}

static int measure_all(struct run *run)
{
	bool tell = isatty(STDERR_FILENO);
	int err = 0;

	for (run->round = 0; !err && run->round < run->bench->rounds; run->round++) {
		if (tell)
			fprintf(stderr, "\rround %u of %u", run->round + 1, run->bench->rounds);
		err = bench_round(run->bench->n_rows, run->bench->n_by, measure, run);
	}
	if (tell)
		fputs("\r\033[K", stderr);
	return err;
}

/* ---- what came of it -------------------------------------------------------------------------- */

double bench_share(const struct bench_cell *cell)
{
	const struct bench_traffic *traffic = &cell->traffic;

	return traffic->bytes ? (double)traffic->spliced / (double)traffic->bytes : 0;
}

static void judge_cell(struct run *run, const struct bench_row *row, enum bench_by by,
		       const struct bench_cell *cell)
{
	char what[128], name[32];

	bench_row_name(row, name);
	if (cell->traffic.connections < run->bench->rounds) {
		snprintf(what, sizeof(what), "%s, %s: hooks have seen %llu of %u connections", name,
			 ways[by].name, (unsigned long long)cell->traffic.connections,
			 run->bench->rounds);
		fail(run, 0, what);
	} else if (row->test == BENCH_ROUND_TRIP && by != BY_OFF &&
		   bench_share(cell) < SHARE_LEAST) {
		snprintf(what, sizeof(what), "%s, %s: the splice took over %.0f%% of bytes only",
			 name, ways[by].name, 100 * bench_share(cell));
		fail(run, 0, what);
	}
}

static int judge(struct run *run)
{
	_cleanup_state_ struct state state = {};
	struct bench *bench = run->bench;
	int err = bench_traffic_look(run->instance.pin, &state);

	if (err)
		return fail(run, err, "the maps cannot be read");
	for (unsigned r = 0; r < bench->n_rows; r++)
		for (unsigned w = 0; w < bench->n_by; w++) {
			const struct bench_row *row = &bench->rows[r];
			enum bench_by by = bench->by[w];
			struct bench_cell *cell = &bench->cells[r][by];

			if (!ways[by].address)
				continue;
			cell->traffic =
				bench_traffic(&state, ways[by].name, port_of(bench, row, by));
			judge_cell(run, row, by, cell);
		}
	return 0;
}

/* ---- the way through ---------------------------------------------------------------------------- */

static int find_ways(struct run *run)
{
	_cleanup_state_ struct state state = {};
	int err = bench_traffic_look(run->instance.pin, &state);

	if (err)
		return fail(run, err, "the maps cannot be read");
	make_ways(run->bench, &state.meta);
	return 0;
}

static int allocate(struct bench *bench)
{
	for (unsigned r = 0; r < bench->n_rows; r++)
		for (int by = 0; by < BY_MAX; by++) {
			struct bench_cell *cell = &bench->cells[r][by];

			cell->results = calloc(bench->rounds, sizeof(*cell->results));
			if (!cell->results)
				return -ENOMEM;
		}
	return 0;
}

static void bench_release(struct bench *bench)
{
	for (unsigned r = 0; r < BENCH_ROWS_MAX; r++)
		for (int by = 0; by < BY_MAX; by++)
			free(bench->cells[r][by].results);
	problems_release(&bench->problems);
}

/* -ECANCELED, or what went wrong is among the problems. */
static int bench_run(struct run *run, const struct cli_options *options)
{
	const struct instance_options own = { .cgroup = options->cgroup,
					      .pin = options->pin,
					      .cache = options->cache };
	struct bench *bench = run->bench;
	uint64_t begin = clock_ns(CLOCK_MONOTONIC);
	_cleanup_text_ struct text config = {};
	int err;

	machine_look(&bench->machine);
	configure(bench, &config);
	err = instance_prepare(&run->instance, &own, &bench->problems);
	if (!err)
		above_tell(run->instance.plain, &bench->problems);
	err = err ?: instance_start(&run->instance, &own, &config, run->stop, &bench->problems);
	err = err ?: find_ways(run);
	err = err ?: measure_all(run);
	err = err ?: judge(run);
	instance_end(&run->instance, &bench->problems);
	bench->seconds = (double)(clock_ns(CLOCK_MONOTONIC) - begin) / 1e9;
	if (err && !problems_errors(&bench->problems))
		fail(run, err, strerror(-err));
	return err;
}

/* Readable when a signal has come that shall end us; they are blocked. */
static int open_stop(void)
{
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGHUP);
	return signalfd(-1, &ends, SFD_CLOEXEC);
}

static int prepare(struct bench *bench, const struct cli_options *options)
{
	*bench = (struct bench){
		.quick = options->quick,
		.rounds = options->rounds,
		.ms = options->quick ? MS_QUICK : MS,
	};
	bench->n_cpus = bench_cpus(bench->cpus);
	make_rows(bench);
	return bench->n_cpus ? allocate(bench) : -ENODEV;
}

int cmd_bench(const struct cli_options *options, int argc, char **argv)
{
	__attribute__((cleanup(bench_release))) struct bench bench;
	_cleanup_close_ int stop = -1;
	struct run run = { .bench = &bench, .instance = INSTANCE_INIT };
	sigset_t before;
	int err = prepare(&bench, options);

	(void)argc;
	(void)argv;
	if (err) {
		cli_error("%s", strerror(-err));
		return CLI_FAILED;
	}
	cli_block_signals(&before);
	run.stop = stop = open_stop();
	err = bench_run(&run, options);
	sigprocmask(SIG_SETMASK, &before, NULL); /* one that has come ends us here */
	if (err == -ECANCELED)
		return CLI_FAILED;
	return options->json ? bench_show_json(&bench) : bench_show(&bench);
}
