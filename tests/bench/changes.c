/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a change costs, by how many services there are, of ten endpoints each: from the call to
 * the kernel's map, and what follows. Each size is a process, a data plane and a cgroup of its
 * own, so that memory can be told; no traffic flows.
 *
 * A change replaces one endpoint of one service, chosen at random. At the end a whole reconcile
 * must find nothing to do.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "core/cleanup.h"
#include "core/clock.h"
#include "datapath/host.h"
#include "datapath/reconcile.h"
#include "sidestep/policy.h"

#define ENDPOINTS   10
#define CHANGES_MAX 100000
#define SIZES_MAX   16

static struct {
	size_t sizes[SIZES_MAX];
	size_t n_sizes;
	unsigned changes;
} opt = { .sizes = { 100, 1000, 10000 }, .n_sizes = 3, .changes = 1000 };

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "changes: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	exit(1);
}

static void *allocate(size_t n, size_t size)
{
	void *memory = calloc(n, size);

	if (!memory)
		die("no memory");
	return memory;
}

static size_t random_below(size_t n)
{
	static uint64_t seed = 1;

	seed = sst_policy_mix(seed + 0x9e3779b97f4a7c15ULL);
	return seed % n;
}

/* ---- a model ------------------------------------------------------------------------------ */

static struct sst_addr address_v4(uint32_t address)
{
	return (struct sst_addr){ { 0, 0, htonl(0xffff), htonl(address) } };
}

/* Of number i; each endpoint is somewhere else for each version. */
static void make_service(struct model_service *service, size_t i)
{
	struct model_port *port = allocate(1, sizeof(*port));

	if (asprintf(&service->name, "shop-%zu/service-%zu", i % 50, i) < 0)
		die("no memory");
	service->addresses = allocate(1, sizeof(*service->addresses));
	service->addresses[0] = address_v4(0x0a600000 + i);
	service->address_places = allocate(1, sizeof(*service->address_places));
	service->n_addresses = 1;
	service->ports = port;
	service->n_ports = 1;
	*port = (struct model_port){ .name = strdup("http"), .port = 80, .protocol = IPPROTO_TCP };
	port->endpoints = allocate(ENDPOINTS, sizeof(*port->endpoints));
	port->n_endpoints = ENDPOINTS;
	for (size_t j = 0; j < ENDPOINTS; j++)
		port->endpoints[j] = (struct model_endpoint){
			.address = address_v4(0x0a800000 + i * ENDPOINTS + j),
			.port = 8080,
			.weight = 1,
			.ready = true,
		};
}

static struct model *make_model(size_t n)
{
	struct model *model = model_new("bench");

	if (!model)
		die("no memory");
	model->services = allocate(n, sizeof(*model->services));
	model->n_services = n;
	for (size_t i = 0; i < n; i++)
		make_service(&model->services[i], i);
	return model;
}

/* One endpoint moves to another port, which it has not had. */
static void change_service(struct model_service *service)
{
	struct model_port *port = service->ports;

	port->endpoints[random_below(ENDPOINTS)].port++;
}

/* ---- figures ------------------------------------------------------------------------------ */

struct samples {
	double *ms;
	size_t n;
};

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void tell_samples(const char *what, struct samples *samples)
{
	qsort(samples->ms, samples->n, sizeof(*samples->ms), compare_doubles);
	printf("  %-44s %9.3f %9.3f %9.3f %9.3f\n", what, samples->ms[0],
	       samples->ms[samples->n / 2], samples->ms[samples->n * 99 / 100],
	       samples->ms[samples->n - 1]);
	free(samples->ms);
}

static struct samples samples_of(size_t n)
{
	return (struct samples){ .ms = allocate(n, sizeof(double)) };
}

static double ms_since(uint64_t begin)
{
	return (clock_ns(CLOCK_MONOTONIC) - begin) / 1e6;
}

static void take(struct samples *samples, uint64_t begin)
{
	samples->ms[samples->n++] = ms_since(begin);
}

static double cpu_ms(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
	       (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}

/* "VmRSS:" in MiB. */
static double memory_mib(const char *what)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/self/status", "re");
	char line[256];
	unsigned long kib = 0;

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, what, strlen(what)))
			kib = strtoul(line + strlen(what), NULL, 10);
	return kib / 1024.0;
}

/* From now on VmHWM is what there was at most. */
static void reset_peak(void)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/self/clear_refs", "we");

	if (file)
		fputs("5", file);
}

/* ---- one size ----------------------------------------------------------------------------- */

struct bench {
	struct datapath *datapath;
	struct known *known;
	struct model *model;
	char pin[64];
	char cgroup[PATH_MAX + 64];
};

static void check(int err, const char *what, const struct problems *problems)
{
	if (!err)
		return;
	for (unsigned i = 0; i < problems->count; i++)
		fprintf(stderr, "%s\n", problems->text[i]);
	die("%s: %s", what, strerror(-err));
}

static void name_it(struct bench *bench, pid_t pid)
{
	const struct problems none = {};
	char root[PATH_MAX];

	check(host_cgroup_root(root), "cgroup2", &none);
	snprintf(bench->pin, sizeof(bench->pin), "/sys/fs/bpf/sidestep-changes-%d", pid);
	snprintf(bench->cgroup, sizeof(bench->cgroup), "%s/sidestep-changes-%d", root, pid);
}

static void load(struct bench *bench)
{
	_cleanup_problems_ struct problems problems = {};
	struct datapath_options options = { .pin = bench->pin, .cgroup = bench->cgroup };

	name_it(bench, getpid());
	if (mkdir(bench->cgroup, 0755))
		die("%s: %s", bench->cgroup, strerror(errno));
	check(datapath_load(&options, &problems, &bench->datapath), "load", &problems);
	datapath_unlock(bench->datapath);
	bench->known = known_new();
}

/* Whatever became of that process. */
static void unload(pid_t pid)
{
	_cleanup_problems_ struct problems problems = {};
	struct unload_options options = {};
	struct bench bench;

	name_it(&bench, pid);
	datapath_unload(bench.pin, &options, &problems);
	rmdir(bench.cgroup);
}

static size_t reconcile_whole(struct bench *bench, const char *what)
{
	_cleanup_problems_ struct problems problems = {};
	_cleanup_located_ struct located located = {};
	_cleanup_plan_ struct plan plan = {};
	uint64_t begin = clock_ns(CLOCK_MONOTONIC);

	check(datapath_lock(bench->datapath, 0), "lock", &problems);
	check(reconcile_located(bench->datapath, bench->known, bench->model, &located, false,
				&problems, &plan),
	      what, &problems);
	reconcile_unlock(bench->datapath, bench->known);
	printf("  %-44s %9s %9.1f\n", what, "", ms_since(begin));
	return plan.n_steps;
}

static void reconcile_some(struct bench *bench, const struct model_service *services, size_t n)
{
	_cleanup_free_ const char **names = allocate(n, sizeof(*names));
	_cleanup_problems_ struct problems problems = {};
	_cleanup_plan_ struct plan plan = {};

	for (size_t i = 0; i < n; i++)
		names[i] = services[i].name;
	check(reconcile_services(bench->datapath, bench->known, "bench", services, n, names, n,
				 &problems, &plan),
	      "change", &problems);
}

static void lock(struct bench *bench)
{
	const struct problems none = {};

	check(datapath_lock(bench->datapath, 0), "lock", &none);
}

static void settle(struct bench *bench, uint64_t mark)
{
	_cleanup_problems_ struct problems problems = {};

	check(reconcile_settle(bench->datapath, bench->known, mark, &problems), "rest", &problems);
}

static void change_one_by_one(struct bench *bench)
{
	struct samples flips = samples_of(opt.changes), graces = samples_of(opt.changes);
	struct samples rests = samples_of(opt.changes);
	double before = cpu_ms();

	for (unsigned i = 0; i < opt.changes; i++) {
		struct model_service *service =
			&bench->model->services[random_below(bench->model->n_services)];
		uint64_t begin, mark;

		change_service(service);
		begin = clock_ns(CLOCK_MONOTONIC);
		lock(bench);
		reconcile_some(bench, service, 1);
		take(&flips, begin);
		mark = known_owed(bench->known);
		begin = clock_ns(CLOCK_MONOTONIC);
		datapath_grace();
		take(&graces, begin);
		begin = clock_ns(CLOCK_MONOTONIC);
		settle(bench, mark);
		reconcile_unlock(bench->datapath, bench->known);
		take(&rests, begin);
	}
	tell_samples("one change, until it is in force", &flips);
	tell_samples("... GRACE, in a thread", &graces);
	tell_samples("... what is removed after it", &rests);
	printf("  %-44s %9s %9.3f\n", "... CPU of all three", "",
	       (cpu_ms() - before) / opt.changes);
}

static void change_many(struct bench *bench)
{
	size_t n = bench->model->n_services < 1000 ? bench->model->n_services : 1000;
	uint64_t begin, mark;
	char what[64];

	for (size_t i = 0; i < n; i++)
		change_service(&bench->model->services[i]);
	begin = clock_ns(CLOCK_MONOTONIC);
	lock(bench);
	reconcile_some(bench, bench->model->services, n);
	snprintf(what, sizeof(what), "%zu changes at once, until in force", n);
	printf("  %-44s %9s %9.1f\n", what, "", ms_since(begin));
	mark = known_owed(bench->known);
	datapath_grace();
	begin = clock_ns(CLOCK_MONOTONIC);
	settle(bench, mark);
	reconcile_unlock(bench->datapath, bench->known);
	printf("  %-44s %9s %9.1f\n", "... what is removed after GRACE", "", ms_since(begin));
}

/* Another process would do it by its own data plane, too. */
static void change_elsewhere(struct bench *bench)
{
	_cleanup_problems_ struct problems problems = {};
	_cleanup_datapath_ struct datapath *other = NULL;
	_cleanup_located_ struct located located = {};
	_cleanup_plan_ struct plan plan = {};

	change_service(&bench->model->services[0]);
	check(datapath_open(bench->pin, &other), "open", &problems);
	check(datapath_lock(other, 0), "lock", &problems);
	check(reconcile_located(other, NULL, bench->model, &located, false, &problems, &plan),
	      "another's change", &problems);
}

static void change_after_another(struct bench *bench)
{
	uint64_t begin;

	change_elsewhere(bench);
	change_service(&bench->model->services[0]);
	change_service(&bench->model->services[1]);
	begin = clock_ns(CLOCK_MONOTONIC);
	lock(bench);
	reconcile_some(bench, bench->model->services, 2);
	printf("  %-44s %9s %9.1f\n", "two changes when another process has written", "",
	       ms_since(begin));
}

static void read_all(struct bench *bench)
{
	_cleanup_state_ struct state state = {};
	uint64_t begin;

	reset_peak();
	begin = clock_ns(CLOCK_MONOTONIC);
	datapath_dump(bench->datapath, DUMP_TABLES | DUMP_FILL, &state);
	printf("  %-44s %9s %9.1f\n", "all read, with statistics", "", ms_since(begin));
	printf("  %-44s %9s %9.1f\n", "... memory at most, MiB", "", memory_mib("VmHWM:"));
}

static void run(size_t n)
{
	struct bench bench = {};

	mallopt(M_MMAP_THRESHOLD, 256 << 10); /* as the daemon */
	printf("%zu services, %zu endpoints; ms: %22s %9s %9s %9s\n", n, n * ENDPOINTS, "min",
	       "median", "p99", "max");
	fflush(stdout);
	load(&bench);
	bench.model = make_model(n);
	reconcile_whole(&bench, "all from nothing");
	reconcile_whole(&bench, "all, nothing changes");
	change_one_by_one(&bench);
	change_many(&bench);
	change_after_another(&bench);
	if (reconcile_whole(&bench, "all, nothing changes"))
		die("what came of the changes is not what was wanted");
	printf("  %-44s %9s %9.1f\n", "memory at rest, MiB", "", memory_mib("VmRSS:"));
	read_all(&bench);
	known_free(bench.known);
	datapath_close(bench.datapath);
	model_free(bench.model);
	fflush(stdout);
}

/* ---- options ------------------------------------------------------------------------------ */

static void parse_sizes(char *list)
{
	opt.n_sizes = 0;
	for (char *size = strtok(list, ","); size && opt.n_sizes < SIZES_MAX;
	     size = strtok(NULL, ","))
		opt.sizes[opt.n_sizes++] = strtoul(size, NULL, 10);
}

static void parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "services", required_argument, NULL, 's' },
		{ "changes", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 's') {
			parse_sizes(optarg);
		} else if (c == 'c') {
			opt.changes = strtoul(optarg, NULL, 10);
		} else {
			printf("usage: changes [--services N,...] [--changes N]\n");
			exit(c == 'h' ? 0 : 2);
		}
	}
	if (!opt.changes || opt.changes > CHANGES_MAX || !opt.n_sizes)
		die("1 to %d changes, of one size or more", CHANGES_MAX);
}

int main(int argc, char **argv)
{
	int failed = 0;

	parse_options(argc, argv);
	for (size_t i = 0; i < opt.n_sizes; i++) {
		int status;
		pid_t pid = fork();

		if (!pid) {
			run(opt.sizes[i]);
			exit(0);
		}
		if (pid < 0 || waitpid(pid, &status, 0) < 0 || status)
			failed = 1;
		if (pid > 0)
			unload(pid);
	}
	return failed;
}
