/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the store of the API server's objects costs: its memory with a cluster in it, whose objects
 * have the shape in which the server sends them, and the time of one change. Usage: see usage().
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cluster/store.h"
#include "core/cleanup.h"
#include "core/table.h"

#define NODES   200
#define CHANGES 2000 /* timed */

static void usage(void)
{
	fprintf(stderr, "usage: store [SERVICES [ENDPOINTS [PODS]]]\n");
	exit(2);
}

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static size_t in_use(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

/* ---- objects ---------------------------------------------------------------------------- */

#define MANAGED                                                                                 \
	"\"managedFields\":[{\"manager\":\"kube-controller-manager\",\"operation\":\"Update\"," \
	"\"apiVersion\":\"v1\",\"time\":\"2026-11-23T10:00:00Z\",\"fieldsType\":\"FieldsV1\","  \
	"\"fieldsV1\":{\"f:metadata\":{\"f:labels\":{\".\":{},\"f:app\":{},\"f:tier\":{}}},"    \
	"\"f:spec\":{\"f:containers\":{},\"f:dnsPolicy\":{},\"f:restartPolicy\":{}}}}]"

static json_t *make(const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	json_error_t error;
	json_t *json;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		abort();
	va_end(ap);
	json = json_loads(text, 0, &error);
	if (!json) {
		fprintf(stderr, "%s in %s\n", error.text, text);
		abort();
	}
	return json;
}

static json_t *make_service(unsigned i)
{
	return make(
		"{\"metadata\":{\"name\":\"service-%u\",\"namespace\":\"team-%u\","
		"\"uid\":\"7f3f2a6e-1111-4222-8333-%012u\",\"resourceVersion\":\"%u\","
		"\"creationTimestamp\":\"2026-11-23T10:00:00Z\",\"labels\":{\"app\":\"a%u\","
		"\"tier\":\"backend\"}," MANAGED "},\"spec\":{\"ports\":["
		"{\"name\":\"http\",\"protocol\":\"TCP\",\"port\":80,\"targetPort\":8080},"
		"{\"name\":\"metrics\",\"protocol\":\"TCP\",\"port\":9090,\"targetPort\":9090}],"
		"\"selector\":{\"app\":\"a%u\"},\"clusterIP\":\"10.%u.%u.%u\","
		"\"clusterIPs\":[\"10.%u.%u.%u\"],\"type\":\"ClusterIP\","
		"\"sessionAffinity\":\"None\",\"ipFamilies\":[\"IPv4\"],"
		"\"ipFamilyPolicy\":\"SingleStack\",\"internalTrafficPolicy\":\"Cluster\"},"
		"\"status\":{\"loadBalancer\":{}}}",
		i, i % 100, i, i, i, i, 96 + i / 65000, i / 250 % 250, i % 250 + 1, 96 + i / 65000,
		i / 250 % 250, i % 250 + 1);
}

#define ENDPOINT                                                                              \
	"{\"addresses\":[\"10.%u.%u.%u\"],\"conditions\":{\"ready\":%s,\"serving\":true,"     \
	"\"terminating\":false},\"targetRef\":{\"kind\":\"Pod\",\"namespace\":\"team-%u\","   \
	"\"name\":\"service-%u-5d9c7b8f6d-%05u\",\"uid\":\"7f3f2a6e-1111-4222-8333-%012u\"}," \
	"\"nodeName\":\"worker-%u.cluster.example\",\"zone\":\"region-1%c\","                 \
	"\"hints\":{\"forZones\":[{\"name\":\"region-1%c\"}]}}"

static json_t *make_slice(unsigned i, unsigned n, bool ready)
{
	json_t *slice = make(
		"{\"metadata\":{\"name\":\"service-%u-x7k2p\",\"generateName\":\"service-%u-\","
		"\"namespace\":\"team-%u\",\"uid\":\"7f3f2a6e-1111-4222-8333-%012u\","
		"\"labels\":{\"app\":\"a%u\",\"kubernetes.io/service-name\":\"service-%u\","
		"\"endpointslice.kubernetes.io/managed-by\":\"endpointslice-controller.k8s.io\"},"
		"\"annotations\":{\"endpoints.kubernetes.io/last-change-trigger-time\":"
		"\"2026-11-23T10:00:00Z\"}," MANAGED "},\"addressType\":\"IPv4\","
		"\"ports\":[{\"name\":\"http\",\"protocol\":\"TCP\",\"port\":8080},"
		"{\"name\":\"metrics\",\"protocol\":\"TCP\",\"port\":9090}],\"endpoints\":[]}",
		i, i, i % 100, i, i, i);
	json_t *list = json_object_get(slice, "endpoints");

	for (unsigned j = 0; j < n; j++) {
		unsigned pod = i * n + j;

		json_array_append_new(list,
				      make(ENDPOINT, 128 + pod / 62500, pod / 250 % 250,
					   pod % 250 + 1, ready ? "true" : "false", i % 100, i, j,
					   pod, pod % NODES, 'a' + pod % 3, 'a' + pod % 3));
	}
	return slice;
}

static json_t *make_pod(unsigned i)
{
	return make(
		"{\"metadata\":{\"name\":\"service-%u-5d9c7b8f6d-%05u\",\"namespace\":\"team-%u\","
		"\"generateName\":\"service-%u-5d9c7b8f6d-\","
		"\"uid\":\"7f3f2a6e-1111-4222-8333-%012u\",\"resourceVersion\":\"%u\","
		"\"creationTimestamp\":\"2026-11-23T10:00:00Z\",\"labels\":{\"app\":\"a%u\","
		"\"tier\":\"backend\",\"pod-template-hash\":\"5d9c7b8f6d\","
		"\"app.kubernetes.io/managed-by\":\"Helm\",\"version\":\"v1.2.3\"}," MANAGED "},"
		"\"spec\":{\"nodeName\":\"worker-%u.cluster.example\",\"containers\":["
		"{\"name\":\"main\",\"image\":\"registry.example/app:v1.2.3\",\"ports\":["
		"{\"name\":\"http\",\"containerPort\":8080,\"protocol\":\"TCP\"},"
		"{\"name\":\"metrics\",\"containerPort\":9090,\"protocol\":\"TCP\"}],"
		"\"env\":[{\"name\":\"A\",\"value\":\"b\"}],\"resources\":{}}],"
		"\"serviceAccountName\":\"default\",\"tolerations\":[]},"
		"\"status\":{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\","
		"\"status\":\"True\"}],\"hostIP\":\"192.168.0.1\",\"podIP\":\"10.%u.%u.%u\","
		"\"podIPs\":[{\"ip\":\"10.%u.%u.%u\"}],\"qosClass\":\"Burstable\"}}",
		i / 4, i % 4, i / 4 % 100, i / 4, i, i, i / 4, i % NODES, 128 + i / 62500,
		i / 250 % 250, i % 250 + 1, 128 + i / 62500, i / 250 % 250, i % 250 + 1);
}

/* ---- measuring ---------------------------------------------------------------------------- */

static void put(struct store *store, enum store_kind kind, json_t *object)
{
	_cleanup_problems_ struct problems problems = { 0 };

	if (store_put(store, kind, object, &problems) || problems.count)
		abort();
	json_decref(object);
}

static void row(struct table *table, const char *what, double figure, const char *unit)
{
	table_add(table, "%s", what);
	table_add(table, "%.1f", figure);
	table_add(table, "%s", unit);
}

static void fill(struct store *store, unsigned services, unsigned per_service, unsigned pods,
		 struct table *table)
{
	size_t before = in_use();
	double begin = now_us();

	for (unsigned i = 0; i < services; i++)
		put(store, STORE_SERVICES, make_service(i));
	row(table, "services", (in_use() - before) / 1e6, "MB");
	before = in_use();
	for (unsigned i = 0; i < services; i++)
		put(store, STORE_SLICES, make_slice(i, per_service, true));
	row(table, "slices", (in_use() - before) / 1e6, "MB");
	before = in_use();
	for (unsigned i = 0; i < pods; i++)
		put(store, STORE_PODS, make_pod(i));
	row(table, "pods", (in_use() - before) / 1e6, "MB");
	row(table, "objects parsed and put", (now_us() - begin) / 1e3, "ms");
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* From a slice, parsed, to its service. */
static void change(struct store *store, unsigned services, unsigned per_service,
		   struct table *table)
{
	static double times[CHANGES];

	for (unsigned i = 0; i < CHANGES; i++) {
		json_t *slice = make_slice(i % services, per_service, i / services % 2);
		struct model_service made[KUBE_SERVICES_MAX];
		struct store_changes changes = { 0 };
		double begin = now_us();
		int n;

		put(store, STORE_SLICES, slice);
		if (store_take_changes(store, &changes) || changes.n_services != 1)
			abort();
		n = store_service(store, changes.services[0], made);
		times[i] = now_us() - begin;
		store_changes_release(&changes);
		while (n > 0)
			model_service_release(&made[--n]);
	}
	qsort(times, CHANGES, sizeof(*times), compare);
	row(table, "slice put, changes taken, service made: median", times[CHANGES / 2], "us");
	row(table, "... of 100 the slowest", times[CHANGES * 99 / 100], "us");
	row(table, "... of all", times[CHANGES - 1], "us");
}

static void make_models(struct store *store, struct table *table)
{
	_cleanup_model_ struct model *services = model_new("services"),
				     *policy = model_new("policy");
	double begin = now_us();
	size_t before;

	if (store_add_services(store, services))
		abort();
	row(table, "all services made", (now_us() - begin) / 1e3, "ms");
	before = in_use();
	begin = now_us();
	if (store_add_policy(store, policy))
		abort();
	row(table, "all workloads made", (now_us() - begin) / 1e3, "ms");
	row(table, "their memory, meanwhile", (in_use() - before) / 1e6, "MB");
}

static unsigned number(int argc, char **argv, int i, unsigned fallback)
{
	char *end;
	unsigned long n = i < argc ? strtoul(argv[i], &end, 10) : fallback;

	if (i < argc && (*end || !n || n > 1000000))
		usage();
	return n;
}

int main(int argc, char **argv)
{
	static const struct table_column columns[] = { { "what", TABLE_LEFT },
						       { "figure", TABLE_RIGHT },
						       { "unit", TABLE_LEFT } };
	_cleanup_table_ struct table table = TABLE_INIT(columns);
	_cleanup_text_ struct text text = { 0 };
	unsigned services = number(argc, argv, 1, 5000);
	unsigned endpoints = number(argc, argv, 2, 50000);
	unsigned pods = number(argc, argv, 3, 20000);
	const struct model_host host = { .name = (char *)"worker-1.cluster.example" };
	const struct store_options options = { .host = &host };
	struct store_changes changes;
	struct store *store;
	size_t before = in_use();

	if (argc > 4)
		usage();
	if (store_open(&options, &store) || store_set_pods(store, "", true))
		return 1;
	fill(store, services, endpoints / services, pods, &table);
	if (store_take_changes(store, &changes))
		return 1;
	store_changes_release(&changes);
	row(&table, "all of it", (in_use() - before) / 1e6, "MB");
	change(store, services, endpoints / services, &table);
	make_models(store, &table);
	store_close(store);
	table_print(&table, &text);
	fputs(text_string(&text), stdout);
	return 0;
}
