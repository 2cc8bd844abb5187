// SPDX-License-Identifier: Apache-2.0
/*
 * Rows 1 and 2: round trips and streams on several ways from a client to a server.
 * sockets.bash builds the surroundings and calls this program, which prints lines of JSON
 * as common.bash has them. One measurement is user/bench/measure.h's. See usage().
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/measure.h"
#include "bench/rounds.h"
#include "bench/traffic.h"
#include "core/cleanup.h"

#define LAYOUTS_MAX  4
#define VARIANTS_MAX 8
#define ROWS_MAX     100 /* of a layout: as many ports does a variant take */
#define SIZES_MAX    8

/* So long each measurement. A stream is in its stride within a millisecond, percentiles
 * take some thousand round trips. */
#define ROUND_TRIP_MS 60
#define STREAM_MS     25

struct variant {
	const char *name;
	const char *cgroup[BENCH_ROLES];
	const char *address; /* what clients call; NULL: an AF_UNIX socket */
	unsigned port;       /* the first row's */
};

struct row {
	const struct test *test;
	unsigned cpus;
	bool nagle;
	uint32_t size;
	struct bench_traffic before[VARIANTS_MAX]; /* when last looked at */
};

struct layout {
	const char *name;
	int netns[BENCH_ROLES];
	const char *server; /* the address it listens on */
	bool brief;         /* fewer sizes and figures */
	struct variant variants[VARIANTS_MAX];
	unsigned n_variants;
	struct row rows[ROWS_MAX];
	unsigned n_rows;
};

/* A figure of a measurement is a test of the report. */
struct figure_told {
	const char *name;
	const char *title;
	const char *unit;
	const char *better;
	const char *percentile; /* part of the block's name; NULL: there is but one */
	bool brief;             /* told of a brief layout, too */
	size_t offset;          /* in struct bench_result */
	double scale;
};

struct test {
	enum bench_test what;
	const char *name;
	unsigned number; /* of the row in the sense */
	bool nagle;      /* with and without it */
	unsigned ms;
	uint32_t sizes[SIZES_MAX];     /* up to the first 0 */
	uint32_t brief[SIZES_MAX];     /* of brief layouts, if they have the first figure */
	struct figure_told figures[4]; /* up to the first without a name */
};

#define RESULT(member) offsetof(struct bench_result, member)
#define STREAM_SIZES                                          \
	{                                                     \
		64, 1024, 4096, 16384, 65536, 262144, 1048576 \
	}

static const struct test tests[] = {
	{ .what = BENCH_ROUND_TRIP,
	  .name = "round-trip",
	  .number = 1,
	  .ms = ROUND_TRIP_MS,
	  .sizes = { 1, 64, 1024, 16384, 65536, 262144, 1048576 },
	  .brief = { 1, 1024, 65536 },
	  .figures = { { "round-trip", "Round trip", "us", "less", "p50", true, RESULT(p50), 1 },
		       { "round-trip", "Round trip", "us", "less", "p99", false, RESULT(p99), 1 },
		       { "round-trip", "Round trip", "us", "less", "p99.9", false, RESULT(p999),
			 1 } } },
	{ .what = BENCH_STREAM,
	  .name = "stream",
	  .number = 2,
	  .nagle = true,
	  .ms = STREAM_MS,
	  .sizes = STREAM_SIZES,
	  .brief = { 4096, 65536 },
	  .figures = { { "stream", "Stream from the first byte", "GB/s", "more", NULL, true,
			 RESULT(gigabytes), 1 },
		       { "stream-held", "Stream from the first byte: held at most", "KB", "less",
			 NULL, false, RESULT(held), 1.0 / 1024 } } },
	{ .what = BENCH_LATE_STREAM,
	  .name = "late-stream",
	  .number = 2,
	  .nagle = true,
	  .ms = STREAM_MS,
	  .sizes = STREAM_SIZES,
	  .brief = { 4096, 65536 },
	  .figures = { { "late-stream", "Stream after 64 requests", "GB/s", "more", NULL, false,
			 RESULT(gigabytes), 1 },
		       { "late-stream-held", "Stream after 64 requests: held at most", "KB", "less",
			 NULL, false, RESULT(held), 1.0 / 1024 } } },
};

static struct {
	const char *what;
	const char *pin;
	unsigned rounds;
	bool quick;
	struct layout layouts[LAYOUTS_MAX];
	unsigned n_layouts;
} opt = { .rounds = 7 };

static int cpus[BENCH_ROLES];
static unsigned n_cpus;

__attribute__((noreturn, format(printf, 2, 3))) static void die(int code, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fputs("sockets: ", stderr);
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(code);
}

/* ---- rows ------------------------------------------------------------------------------ */

static void add_rows(struct layout *layout, const struct test *test, unsigned n, bool nagle)
{
	const uint32_t *sizes = layout->brief || opt.quick ? test->brief : test->sizes;

	for (unsigned i = 0; i < SIZES_MAX && sizes[i]; i++) {
		if (layout->n_rows == ROWS_MAX)
			die(1, "more than %d rows", ROWS_MAX);
		layout->rows[layout->n_rows++] =
			(struct row){ .test = test, .cpus = n, .nagle = nagle, .size = sizes[i] };
	}
}

static bool is_told(const struct layout *layout, const struct figure_told *figure)
{
	return figure->brief || !layout->brief;
}

static void make_rows(struct layout *layout)
{
	for (unsigned t = 0; t < ARRAY_SIZE(tests); t++)
		for (unsigned n = 1; n <= n_cpus && is_told(layout, &tests[t].figures[0]); n++) {
			add_rows(layout, &tests[t], n, tests[t].nagle);
			if (tests[t].nagle && !layout->brief)
				add_rows(layout, &tests[t], n, false);
		}
}

static const char *size_name(uint32_t size)
{
	static char name[16];

	if (size >= 1 << 20)
		snprintf(name, sizeof(name), "%u MB", size >> 20);
	else if (size >= 1 << 10)
		snprintf(name, sizeof(name), "%u KB", size >> 10);
	else
		snprintf(name, sizeof(name), "%u B", size);
	return name;
}

/* Of all sizes alike. */
static const char *block_name(const struct layout *layout, const struct row *row,
			      const char *percentile)
{
	static char name[80];

	snprintf(name, sizeof(name), "%s, %u CPU%s%s%s%s", layout->name, row->cpus,
		 row->cpus > 1 ? "s" : "",
		 !row->test->nagle ? ""
		 : row->nagle      ? ", Nagle"
				   : ", no delay",
		 percentile ? ", " : "", percentile ? percentile : "");
	return name;
}

/* ---- what is declared -------------------------------------------------------------------- */

static void print_variants(void)
{
	printf("\"variants\":[\"tcp\",\"off\",\"auto\",\"on\",\"unix\"]");
}

static void print_columns(const struct test *test)
{
	const uint32_t *sizes = opt.quick ? test->brief : test->sizes;

	printf("\"columns\":[");
	for (unsigned i = 0; i < SIZES_MAX && sizes[i]; i++)
		printf("%s\"%s\"", i ? "," : "", size_name(sizes[i]));
	printf("]");
}

/* By which growth is told. */
static void print_sizes(const struct test *test)
{
	const uint32_t *sizes = opt.quick ? test->brief : test->sizes;

	printf(",\"sizes\":[");
	for (unsigned i = 0; i < SIZES_MAX && sizes[i]; i++)
		printf("%s%u", i ? "," : "", sizes[i]);
	printf("]");
}

/* Rows of a block stand beside each other, and differ in size. */
static bool is_first_of_block(const struct layout *layout, const struct row *row)
{
	return row == layout->rows || row[-1].test != row->test || row[-1].cpus != row->cpus ||
	       row[-1].nagle != row->nagle;
}

static void print_blocks_of(const struct test *test, const struct figure_told *figure, bool *first)
{
	for (const struct layout *l = opt.layouts; l < opt.layouts + opt.n_layouts; l++)
		for (const struct row *row = l->rows; row < l->rows + l->n_rows; row++) {
			if (row->test != test || !is_first_of_block(l, row) || !is_told(l, figure))
				continue;
			printf("%s\"%s\"", *first ? "" : ",",
			       block_name(l, row, figure->percentile));
			*first = false;
		}
}

/* Figures of the same name are one test: percentiles. */
static void declare(const struct test *test, unsigned i)
{
	const struct figure_told *figure = &test->figures[i];
	bool first = true, is_main = !i;

	printf("{\"test\":\"%s\",\"row\":%u,\"unit\":\"%s\",\"better\":\"%s\",\"title\":\"%s\",",
	       figure->name, test->number, figure->unit, figure->better, figure->title);
	print_variants();
	printf(",\"blocks\":[");
	for (; i < ARRAY_SIZE(test->figures) && test->figures[i].name; i++)
		if (!strcmp(test->figures[i].name, figure->name))
			print_blocks_of(test, &test->figures[i], &first);
	printf("],");
	print_columns(test);
	if (is_main)
		print_sizes(test);
	puts("}");
}

static void declare_spliced(const struct test *test)
{
	bool first = true;

	printf("{\"test\":\"%s-spliced\",\"row\":%u,\"unit\":\"%%\",\"better\":\"more\","
	       "\"ratios\":false,\"title\":\"%s: bytes past TCP\",\"variants\":[\"auto\",\"on\"],"
	       "\"blocks\":[",
	       test->name, test->number, test->figures[0].title);
	print_blocks_of(test, &(struct figure_told){ .brief = true }, &first);
	printf("],");
	print_columns(test);
	puts("}");
}

static void declare_all(void)
{
	for (unsigned t = 0; t < ARRAY_SIZE(tests); t++) {
		const struct figure_told *figures = tests[t].figures;

		for (unsigned i = 0; i < ARRAY_SIZE(tests[t].figures) && figures[i].name; i++)
			if (!i || strcmp(figures[i].name, figures[i - 1].name))
				declare(&tests[t], i);
		declare_spliced(&tests[t]);
	}
}

static void note(const char *test, const char *text)
{
	printf("{\"note\":\"%s\",\"text\":\"%s\"}\n", test, text);
}

static void tell_how(void)
{
	char text[400];

	snprintf(
		text, sizeof(text),
		"Each cell is %d ms of round trips after %d that nobody times, with 5 ms of rest in "
		"their midst: for 1 MB that is some hundred, so that p99.9 is the slowest of them. "
		"One CPU: number %d; two: server on %d.",
		ROUND_TRIP_MS, BENCH_WARM_UP_ROUND_TRIPS, cpus[BENCH_CLIENT],
		cpus[n_cpus > 1 ? BENCH_SERVER : BENCH_CLIENT]);
	note("round-trip", text);
	snprintf(text, sizeof(text),
		 "Each cell is %d ms, until the last byte was read. The splice leaves such a "
		 "connection alone; what there is shows what hooks cost.",
		 STREAM_MS);
	note("stream", text);
	note("stream-held", "Bytes written and not yet read, seen after each write by a counter "
			    "that both ends share.");
	note("late-stream", "The connection was request/response for 64 messages of 64 B, and is "
			    "spliced when the stream begins.");
	if (n_cpus < BENCH_ROLES)
		note("round-trip", "This machine has one CPU: nothing is measured with two.");
}

/* ---- a measurement ------------------------------------------------------------------------ */

static struct end_address address_of(const char *text, unsigned port)
{
	struct end_address ret = {};

	if (!text)
		return end_address_unix("bench");
	if (end_address_tcp(text, port, &ret))
		die(2, "%s is no address", text);
	return ret;
}

/* AF_UNIX knows no bridge: both ends are where the client is. */
static struct bench_way way_of(const struct layout *layout, const struct row *row,
			       const struct variant *variant)
{
	unsigned port = variant->port + (unsigned)(row - layout->rows);
	struct bench_way way = {};

	for (int role = 0; role < BENCH_ROLES; role++)
		way.place[role] = (struct bench_place){
			.cgroup = variant->cgroup[role],
			.netns = layout->netns[variant->address ? role : BENCH_CLIENT],
			.cpu = cpus[row->cpus > 1 ? role : BENCH_CLIENT],
		};
	way.called = address_of(variant->address, port);
	way.bound = address_of(variant->address ? layout->server : NULL, port);
	return way;
}

static void print_sample(const char *test, const char *block, uint32_t size, const char *variant,
			 unsigned round, double value)
{
	printf("{\"sample\":\"%s\",\"block\":\"%s\",\"column\":\"%s\",\"variant\":\"%s\","
	       "\"round\":%u,\"value\":%.6g}\n",
	       test, block, size_name(size), variant, round, value);
}

struct measuring {
	unsigned round;
	struct layout *layout;
};

static int measure(unsigned r, unsigned v, void *arg)
{
	const struct measuring *it = arg;
	const struct layout *layout = it->layout;
	const struct row *row = &layout->rows[r];
	const struct variant *variant = &layout->variants[v];
	const struct bench_task task = {
		.test = row->test->what, .size = row->size, .nagle = row->nagle, .ms = row->test->ms
	};
	const struct bench_way way = way_of(layout, row, variant);
	_cleanup_problems_ struct problems problems = {};
	struct bench_result result;

	if (bench_measure(&task, &way, -1, &problems, &result))
		die(1, "%s, %s, %s, %s: %s", row->test->name, block_name(layout, row, NULL),
		    size_name(row->size), variant->name,
		    problems.count ? problems.text[0] : "failed");
	for (const struct figure_told *figure = row->test->figures; figure->name; figure++)
		if (is_told(layout, figure))
			print_sample(figure->name, block_name(layout, row, figure->percentile),
				     row->size, variant->name, it->round,
				     *(double *)((char *)&result + figure->offset) * figure->scale);
	return 0;
}

/* ---- what was spliced ---------------------------------------------------------------------- */

static const char *service_name(const struct layout *layout, const struct variant *variant)
{
	static char name[64];

	snprintf(name, sizeof(name), "%s-%s", layout->name, variant->name);
	return name;
}

static bool may_splice(const struct variant *variant)
{
	return !strcmp(variant->name, "auto") || !strcmp(variant->name, "on");
}

static void tell_share(const struct state *state, const struct layout *layout, struct row *row,
		       const struct variant *variant, unsigned round)
{
	unsigned port = variant->port + (unsigned)(row - layout->rows);
	struct bench_traffic *before = &row->before[variant - layout->variants];
	struct bench_traffic now = bench_traffic(state, service_name(layout, variant), port);
	char test[64];

	if (now.bytes == before->bytes)
		die(1, "%s, port %u: no byte was counted", service_name(layout, variant), port);
	snprintf(test, sizeof(test), "%s-spliced", row->test->name);
	print_sample(test, block_name(layout, row, NULL), row->size, variant->name, round,
		     100.0 * (double)(now.spliced - before->spliced) /
			     (double)(now.bytes - before->bytes));
	*before = now;
}

static void tell_shares(unsigned round)
{
	_cleanup_state_ struct state state = {};
	int err = bench_traffic_look(opt.pin, &state);

	if (err)
		die(1, "%s: %s", opt.pin, strerror(-err));
	for (struct layout *l = opt.layouts; l < opt.layouts + opt.n_layouts; l++)
		for (unsigned v = 0; v < l->n_variants; v++)
			for (unsigned r = 0; may_splice(&l->variants[v]) && r < l->n_rows; r++)
				tell_share(&state, l, &l->rows[r], &l->variants[v], round);
}

/* ---- the run ---------------------------------------------------------------------------------- */

static void run(void)
{
	declare_all();
	tell_how();
	for (unsigned round = 0; round < opt.rounds; round++) {
		fprintf(stderr, "sockets: round %u of %u\n", round + 1, opt.rounds);
		for (unsigned l = 0; l < opt.n_layouts; l++) {
			struct measuring it = { .round = round, .layout = &opt.layouts[l] };

			if (bench_round(it.layout->n_rows, it.layout->n_variants, measure, &it))
				die(1, "out of memory");
		}
		tell_shares(round);
		fflush(stdout);
	}
}

/* Services are the variants whose clients call another address than the server's. */
static void print_config(void)
{
	_cleanup_text_ struct text out = {};

	text_add(&out, "services:\n");
	for (const struct layout *l = opt.layouts; l < opt.layouts + opt.n_layouts; l++)
		for (unsigned v = 0; v < l->n_variants; v++) {
			const struct variant *variant = &l->variants[v];
			const struct bench_service service = { .name = service_name(l, variant),
							       .address = variant->address,
							       .splice = variant->name,
							       .server = l->server,
							       .port = variant->port,
							       .n = l->n_rows };

			if (variant->address && strcmp(variant->address, l->server))
				bench_configure(&service, &out);
		}
	fputs(text_string(&out), stdout);
}

/* ---- options ------------------------------------------------------------------------------------ */

__attribute__((noreturn)) static void usage(int code)
{
	fprintf(code ? stderr : stdout,
		"usage: sockets run|config OPTIONS\n"
		"  --layout NAME,CLIENT_NETNS,SERVER_NETNS,ADDRESS[,brief]\n"
		"                 where clients and servers live, and what servers bind;\n"
		"                 brief: fewer sizes and figures\n"
		"  --variant LAYOUT,NAME,CLIENT_CGROUP,SERVER_CGROUP,ADDRESS:PORT\n"
		"                 a way to the server: the address that clients call, and the\n"
		"                 first of 100 ports; \"unix\" for an AF_UNIX socket\n"
		"  --pin DIR      of the instance that has the services\n"
		"  --rounds N     (default: 7)\n"
		"  --quick        fewer sizes\n"
		"config prints a configuration of Sidestep with the variants whose address is not\n"
		"the server's as services, spliced as their name says. run prints samples.\n");
	exit(code);
}

/* The next of a list of words; text is eaten. */
static const char *word(const char *option, char **text)
{
	const char *ret = strsep(text, ",");

	if (!ret || !*ret)
		die(2, "%s: a word is missing", option);
	return ret;
}

static int netns_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die(1, "%s: %s", path, strerror(errno));
	return fd;
}

static void add_layout(char *text)
{
	struct layout *layout = &opt.layouts[opt.n_layouts];

	if (opt.n_layouts++ == LAYOUTS_MAX)
		die(2, "--layout: at most %d", LAYOUTS_MAX);
	layout->name = word("--layout", &text);
	layout->netns[BENCH_CLIENT] = netns_open(word("--layout", &text));
	layout->netns[BENCH_SERVER] = netns_open(word("--layout", &text));
	layout->server = word("--layout", &text);
	layout->brief = text;
}

static struct layout *find_layout(const char *name)
{
	for (unsigned i = 0; i < opt.n_layouts; i++)
		if (!strcmp(opt.layouts[i].name, name))
			return &opt.layouts[i];
	die(2, "--variant: no --layout \"%s\" before it", name);
}

static void add_variant(char *text)
{
	struct layout *layout = find_layout(word("--variant", &text));
	struct variant *variant = &layout->variants[layout->n_variants];
	char *colon;

	if (layout->n_variants++ == VARIANTS_MAX)
		die(2, "--variant: at most %d", VARIANTS_MAX);
	variant->name = word("--variant", &text);
	variant->cgroup[BENCH_CLIENT] = word("--variant", &text);
	variant->cgroup[BENCH_SERVER] = word("--variant", &text);
	if (text && !strcmp(text, "unix"))
		return;
	colon = text ? strchr(text, ':') : NULL;
	if (!colon)
		die(2, "--variant: expected ADDRESS:PORT or unix at its end");
	*colon = '\0';
	variant->address = text;
	variant->port = (unsigned)atoi(colon + 1);
}

static void parse_options(int argc, char **argv)
{
	static const struct option options[] = { { "layout", required_argument, NULL, 'l' },
						 { "variant", required_argument, NULL, 'v' },
						 { "pin", required_argument, NULL, 'p' },
						 { "rounds", required_argument, NULL, 'r' },
						 { "quick", no_argument, NULL, 'q' },
						 { "help", no_argument, NULL, 'h' },
						 {} };
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'l')
			add_layout(optarg);
		else if (c == 'v')
			add_variant(optarg);
		else if (c == 'p')
			opt.pin = optarg;
		else if (c == 'r')
			opt.rounds = (unsigned)atoi(optarg);
		else if (c == 'q')
			opt.quick = true;
		else
			usage(c == 'h' ? EXIT_SUCCESS : 2);
	}
	if (optind + 1 != argc || !opt.n_layouts || !opt.rounds)
		usage(2);
	opt.what = argv[optind];
	if (strcmp(opt.what, "config") && (strcmp(opt.what, "run") || !opt.pin))
		usage(2);
}

int main(int argc, char **argv)
{
	parse_options(argc, argv);
	n_cpus = bench_cpus(cpus);
	for (unsigned l = 0; l < opt.n_layouts; l++)
		make_rows(&opt.layouts[l]);
	if (!strcmp(opt.what, "config"))
		print_config();
	else
		run();
	return fclose(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
