/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a change of a service costs among so many, of ten endpoints each, by the functions that the
 * daemon calls: 100 a second for a second, as many times as there are rounds, each change one
 * endpoint of one service, chosen at random; then a reading of all statistics. Lines of samples on
 * stdout. The data plane is loaded already; no traffic flows.
 *
 * At the end a whole reconcile must find nothing to do.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/cleanup.h"
#include "core/clock.h"
#include "datapath/reconcile.h"
#include "sidestep/policy.h"

#define ENDPOINTS 10
#define CHANGES   100  /* a second */
#define AT_ONCE   1000 /* services, one change each, at most */

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

struct bench {
	struct datapath *datapath;
	struct known *known;
	struct model *model;
	const char *pin;
	const char *column;
	unsigned round;
};

static void tell(const struct bench *bench, const char *test, const char *block, double value)
{
	printf("{\"sample\":\"%s\",\"block\":\"%s\",\"column\":\"%s\",\"variant\":\"sidestep\","
	       "\"round\":%u,\"value\":%.4f}\n",
	       test, block, bench->column, bench->round, value);
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double ms_since(uint64_t begin)
{
	return (clock_ns(CLOCK_MONOTONIC) - begin) / 1e6;
}

static double cpu_ms(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID) / 1e6;
}

static void check(int err, const char *what, const struct problems *problems)
{
	if (!err)
		return;
	for (unsigned i = 0; problems && i < problems->count; i++)
		fprintf(stderr, "%s\n", problems->text[i]);
	die("%s: %s", what, strerror(-err));
}

/* ---- changes ------------------------------------------------------------------------------ */

/* How many steps it took. */
static size_t reconcile_whole(struct bench *bench)
{
	_cleanup_problems_ struct problems problems = {};
	_cleanup_located_ struct located located = {};
	_cleanup_plan_ struct plan plan = {};

	check(datapath_lock(bench->datapath, DATAPATH_LOCK_MS), "lock", NULL);
	check(reconcile_located(bench->datapath, bench->known, bench->model, &located, false,
				&problems, &plan),
	      "the whole", &problems);
	reconcile_unlock(bench->datapath, bench->known);
	return plan.n_steps;
}

/* Until they are in force: those from the service on, each of which has changed. */
static void put_in_force(struct bench *bench, const struct model_service *services, size_t n)
{
	_cleanup_problems_ struct problems problems = {};
	_cleanup_plan_ struct plan plan = {};
	const char **names = allocate(n, sizeof(*names));

	for (size_t i = 0; i < n; i++)
		names[i] = services[i].name;
	check(datapath_lock(bench->datapath, 0), "lock", NULL);
	check(reconcile_services(bench->datapath, bench->known, "bench", services, n, names, n,
				 &problems, &plan),
	      "change", &problems);
	free(names);
}

static void change_one(struct bench *bench)
{
	struct model_service *service =
		&bench->model->services[random_below(bench->model->n_services)];

	change_service(service);
	put_in_force(bench, service, 1);
}

/* What changes have put off, by a thread that waits for GRACE, as the daemon's does. */
struct rest {
	pthread_t thread;
	bool runs;
	bool waited; /* the thread's */
	uint64_t mark;
};

static void *wait_for_grace(void *arg)
{
	struct rest *rest = arg;

	datapath_grace();
	__atomic_store_n(&rest->waited, true, __ATOMIC_RELEASE);
	return NULL;
}

static void begin_rest(struct bench *bench, struct rest *rest)
{
	if (rest->runs || !known_owed(bench->known))
		return;
	rest->mark = known_owed(bench->known);
	rest->waited = false;
	rest->runs = true;
	if (pthread_create(&rest->thread, NULL, wait_for_grace, rest))
		die("no thread");
}

static void end_rest(struct bench *bench, struct rest *rest)
{
	_cleanup_problems_ struct problems problems = {};

	if (!rest->runs || !__atomic_load_n(&rest->waited, __ATOMIC_ACQUIRE))
		return;
	pthread_join(rest->thread, NULL);
	rest->runs = false;
	check(reconcile_settle(bench->datapath, bench->known, rest->mark, &problems), "rest",
	      &problems);
	reconcile_unlock(bench->datapath, bench->known);
}

static void sleep_until(uint64_t at)
{
	const struct timespec until = { at / 1000000000, at % 1000000000 };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static void finish_rest(struct bench *bench, struct rest *rest)
{
	while (rest->runs || known_owed(bench->known)) {
		sleep_until(clock_ns(CLOCK_MONOTONIC) + 1000000);
		end_rest(bench, rest);
		begin_rest(bench, rest);
	}
}

/* For a second. */
static void change_some(struct bench *bench)
{
	uint64_t start = clock_ns(CLOCK_MONOTONIC);
	double before = cpu_ms(), ms[CHANGES];
	struct rest rest = {};

	for (unsigned i = 0; i < CHANGES; i++) {
		uint64_t begin;

		sleep_until(start + i * (1000000000ULL / CHANGES));
		end_rest(bench, &rest);
		begin = clock_ns(CLOCK_MONOTONIC);
		change_one(bench);
		ms[i] = ms_since(begin);
		begin_rest(bench, &rest);
	}
	finish_rest(bench, &rest);
	tell(bench, "control-cpu", "100 changes a second", cpu_ms() - before);
	qsort(ms, CHANGES, sizeof(*ms), compare_doubles);
	tell(bench, "control-change", "p50", ms[CHANGES / 2]);
	tell(bench, "control-change", "p99", ms[CHANGES * 99 / 100 - 1]);
}

/* As after a list of the API server. */
static void change_many(struct bench *bench)
{
	size_t n = bench->model->n_services < AT_ONCE ? bench->model->n_services : AT_ONCE;
	struct rest rest = {};
	uint64_t begin;

	for (size_t i = 0; i < n; i++)
		change_service(&bench->model->services[i]);
	begin = clock_ns(CLOCK_MONOTONIC);
	put_in_force(bench, bench->model->services, n);
	tell(bench, "control-change", "up to 1,000 at once", ms_since(begin));
	finish_rest(bench, &rest);
}

/* By a data plane of its own, as another process has. */
static void change_elsewhere(struct bench *bench)
{
	_cleanup_problems_ struct problems problems = {};
	_cleanup_datapath_ struct datapath *other = NULL;
	_cleanup_located_ struct located located = {};
	_cleanup_plan_ struct plan plan = {};

	change_service(&bench->model->services[0]);
	check(datapath_open(bench->pin, &other), "open", NULL);
	check(datapath_lock(other, DATAPATH_LOCK_MS), "lock", NULL);
	check(reconcile_located(other, NULL, bench->model, &located, false, &problems, &plan),
	      "another's change", &problems);
}

/* For which the maps are read anew. */
static void change_after_another(struct bench *bench)
{
	struct rest rest = {};
	uint64_t begin;

	change_elsewhere(bench);
	change_service(&bench->model->services[1]);
	begin = clock_ns(CLOCK_MONOTONIC);
	put_in_force(bench, bench->model->services, 2);
	tell(bench, "control-change", "one after another process's", ms_since(begin));
	finish_rest(bench, &rest);
}

static void read_all(struct bench *bench)
{
	_cleanup_state_ struct state state = {};
	uint64_t begin = clock_ns(CLOCK_MONOTONIC);

	check(datapath_dump(bench->datapath, DUMP_TABLES | DUMP_FILL, &state), "read", NULL);
	tell(bench, "control-read", "all of it", ms_since(begin));
	if (state.n_endpoints < bench->model->n_services * ENDPOINTS)
		die("%zu endpoints are there", state.n_endpoints);
}

static unsigned number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || !n || n > 1000000)
		die("'%s' is not a number from 1 to 1000000", text);
	return n;
}

int main(int argc, char **argv)
{
	struct bench bench = {};
	unsigned rounds;

	if (argc != 5) {
		fprintf(stderr, "usage: changes PIN SERVICES ROUNDS COLUMN\n");
		return 2;
	}
	mallopt(M_MMAP_THRESHOLD, 256 << 10); /* as the daemon */
	bench.model = make_model(number(argv[2]));
	bench.known = known_new();
	bench.column = argv[4];
	rounds = number(argv[3]);
	bench.pin = argv[1];
	check(datapath_open(bench.pin, &bench.datapath), bench.pin, NULL);
	reconcile_whole(&bench);
	for (; bench.round < rounds; bench.round++) {
		change_some(&bench);
		change_many(&bench);
		change_after_another(&bench);
		read_all(&bench);
	}
	if (reconcile_whole(&bench))
		die("what came of the changes is not what was wanted");
	known_free(bench.known);
	datapath_close(bench.datapath);
	model_free(bench.model);
	return 0;
}
