/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects for a real API server, and how long one change of them takes to the kernel's maps.
 *
 *   cluster fill SERVICES ENDPOINTS PODS   endpoints are of all services together
 *   cluster change TIMES META SERVICES FIRST
 *                                          changes one slice after the other, and waits until the
 *                                          pinned map META says that maps have changed
 *
 * The server is in $API_SERVER, its CA's file in $API_CA, the token in $API_TOKEN.
 */
#include <bpf/bpf.h>
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sidestep/abi.h"

#define THREADS     8
#define PATIENCE_NS 10000000000ULL
#define NAMESPACE   "bench"

static unsigned n_services, n_per_service, n_pods;

__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *format, ...)
{
	va_list ap;

	fputs("cluster: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

static const char *need(const char *name)
{
	return getenv(name) ?: (die("%s is not set", name), NULL);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* ---- requests ------------------------------------------------------------------------------- */

struct caller {
	CURL *easy;
	char problem[CURL_ERROR_SIZE];
};

static size_t ignore(char *bytes, size_t one, size_t size, void *arg)
{
	(void)bytes;
	(void)arg;
	return one * size;
}

static struct caller *new_caller(void)
{
	struct caller *caller = calloc(1, sizeof(*caller));

	if (!caller || !(caller->easy = curl_easy_init()))
		die("no memory");
	curl_easy_setopt(caller->easy, CURLOPT_CAINFO, need("API_CA"));
	curl_easy_setopt(caller->easy, CURLOPT_WRITEFUNCTION, ignore);
	curl_easy_setopt(caller->easy, CURLOPT_ERRORBUFFER, caller->problem);
	curl_easy_setopt(caller->easy, CURLOPT_TCP_NODELAY, 1L);
	curl_easy_setopt(caller->easy, CURLOPT_TIMEOUT, 60L);
	return caller;
}

/* What is there already (409) may stay. */
static void call(struct caller *caller, const char *method, const char *path, const char *type,
		 const char *body)
{
	struct curl_slist *headers = NULL;
	char url[512], line[2048];
	long status;

	snprintf(url, sizeof(url), "%s%s", need("API_SERVER"), path);
	snprintf(line, sizeof(line), "Authorization: Bearer %s", need("API_TOKEN"));
	headers = curl_slist_append(headers, line);
	snprintf(line, sizeof(line), "Content-Type: %s", type);
	headers = curl_slist_append(headers, line);
	curl_easy_setopt(caller->easy, CURLOPT_URL, url);
	curl_easy_setopt(caller->easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(caller->easy, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(caller->easy, CURLOPT_POSTFIELDS, body);
	if (curl_easy_perform(caller->easy))
		die("%s %s: %s", method, path, caller->problem);
	curl_easy_getinfo(caller->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 300 && status != 409)
		die("%s %s: HTTP %ld", method, path, status);
	curl_slist_free_all(headers);
}

/* ---- objects ---------------------------------------------------------------------------------- */

static void add_namespace(struct caller *caller)
{
	call(caller, "POST", "/api/v1/namespaces", "application/json",
	     "{\"metadata\":{\"name\":\"" NAMESPACE "\"}}");
}

static void add_service(struct caller *caller, unsigned i)
{
	char body[512];

	snprintf(body, sizeof(body),
		 "{\"metadata\":{\"name\":\"s%u\"},\"spec\":{\"ports\":[{\"name\":\"http\","
		 "\"port\":80,\"targetPort\":8080}],\"selector\":{\"app\":\"a%u\"}}}",
		 i, i);
	call(caller, "POST", "/api/v1/namespaces/" NAMESPACE "/services", "application/json", body);
}

static void add_endpoint(FILE *body, unsigned n)
{
	fprintf(body,
		"%s{\"addresses\":[\"10.%u.%u.%u\"],\"conditions\":{\"ready\":true,"
		"\"serving\":true,\"terminating\":false},\"nodeName\":\"node-%u\",\"targetRef\":"
		"{\"kind\":\"Pod\",\"namespace\":\"" NAMESPACE "\",\"name\":\"p%u\",\"uid\":"
		"\"00000000-0000-4000-8000-%012u\"},\"zone\":\"zone-%u\"}",
		n % n_per_service ? "," : "", 128 + (n >> 16), n >> 8 & 255, n & 255, n % 500, n, n,
		n % 3);
}

static void add_slice(struct caller *caller, unsigned i)
{
	char *text = NULL;
	size_t size;
	FILE *body = open_memstream(&text, &size);

	if (!body)
		die("no memory");
	fprintf(body,
		"{\"metadata\":{\"name\":\"s%u\",\"labels\":{\"kubernetes.io/service-name\":"
		"\"s%u\"}},\"addressType\":\"IPv4\",\"ports\":[{\"name\":\"http\",\"port\":8080}],"
		"\"endpoints\":[",
		i, i);
	for (unsigned j = 0; j < n_per_service; j++)
		add_endpoint(body, i * n_per_service + j);
	fputs("]}", body);
	fclose(body);
	call(caller, "POST", "/apis/discovery.k8s.io/v1/namespaces/" NAMESPACE "/endpointslices",
	     "application/json", text);
	free(text);
}

/* Running, with an address, on one of 500 nodes. */
static void add_pod(struct caller *caller, unsigned i)
{
	char path[256], body[1024];

	snprintf(body, sizeof(body),
		 "{\"metadata\":{\"name\":\"p%u\",\"labels\":{\"app\":\"a%u\",\"tier\":\"t%u\","
		 "\"pod-template-hash\":\"%x\"}},\"spec\":{\"nodeName\":\"node-%u\","
		 "\"automountServiceAccountToken\":false,\"containers\":[{\"name\":\"c\",\"image\":"
		 "\"example/app:1\",\"ports\":[{\"name\":\"http\",\"containerPort\":8080}]}]}}",
		 i, i / 10, i % 7, i / 10 * 2654435761U, i % 500);
	call(caller, "POST", "/api/v1/namespaces/" NAMESPACE "/pods", "application/json", body);
	snprintf(path, sizeof(path), "/api/v1/namespaces/" NAMESPACE "/pods/p%u/status", i);
	snprintf(body, sizeof(body),
		 "{\"status\":{\"phase\":\"Running\",\"podIP\":\"10.%u.%u.%u\",\"podIPs\":[{\"ip\":"
		 "\"10.%u.%u.%u\"}]}}",
		 128 + (i >> 16), i >> 8 & 255, i & 255, 128 + (i >> 16), i >> 8 & 255, i & 255);
	call(caller, "PATCH", path, "application/merge-patch+json", body);
}

/* ---- many ----------------------------------------------------------------------------------- */

static struct work {
	void (*add)(struct caller *caller, unsigned i);
	unsigned n, next;
} work;

static void *add_some(void *arg)
{
	struct caller *caller = new_caller();
	unsigned i;

	(void)arg;
	while ((i = __atomic_fetch_add(&work.next, 1, __ATOMIC_RELAXED)) < work.n)
		work.add(caller, i);
	curl_easy_cleanup(caller->easy);
	free(caller);
	return NULL;
}

static void add_all(const char *what, void (*add)(struct caller *caller, unsigned i), unsigned n)
{
	pthread_t threads[THREADS];
	uint64_t begin = now_ns();

	work = (struct work){ add, n, 0 };
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, add_some, NULL))
			die("no thread");
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	printf("# %u %s in %.1f s\n", n, what, (now_ns() - begin) / 1e9);
	fflush(stdout);
}

static void fill(void)
{
	add_namespace(new_caller());
	add_all("services", add_service, n_services);
	add_all("slices", add_slice, n_services);
	add_all("pods", add_pod, n_pods);
}

/* ---- one change ------------------------------------------------------------------------------- */

static uint64_t generation_of(int meta)
{
	struct sst_meta value;
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(meta, &zero, &value))
		die("the map: %s", strerror(errno));
	return value.generation;
}

static void await_change(int meta, uint64_t before, unsigned service)
{
	uint64_t begin = now_ns();

	while (generation_of(meta) == before) {
		if (now_ns() - begin > PATIENCE_NS)
			die("the change of s%u does not arrive", service);
		usleep(100);
	}
}

/* From before the request is sent; from when the server's answer is here, which may be later than
 * what the change brings about. */
static void change_one(struct caller *caller, int meta, unsigned service, bool ready)
{
	uint64_t before = generation_of(meta), begin = now_ns(), answered, arrived;
	char path[256], body[256];

	snprintf(path, sizeof(path),
		 "/apis/discovery.k8s.io/v1/namespaces/" NAMESPACE "/endpointslices/s%u", service);
	snprintf(body, sizeof(body),
		 "[{\"op\":\"replace\",\"path\":\"/endpoints/0/conditions/ready\",\"value\":%s}]",
		 ready ? "true" : "false");
	call(caller, "PATCH", path, "application/json-patch+json", body);
	answered = now_ns();
	await_change(meta, before, service);
	arrived = now_ns();
	printf("%.3f %.3f\n", (arrived - begin) / 1e6, (answered - begin) / 1e6);
}

/* Beginning with number first of all changes that there can be. */
static void change(unsigned times, const char *path, unsigned first)
{
	struct caller *caller = new_caller();
	int meta = bpf_obj_get(path);

	if (meta < 0)
		die("%s: %s", path, strerror(errno));
	for (unsigned i = first; i < first + times; i++) {
		change_one(caller, meta, i * 7919 % n_services, i / n_services % 2);
		usleep(20000 + i * 7919 % 30000); /* so that the daemon's own times are hit, too */
	}
}

int main(int argc, char **argv)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
	if (argc == 5 && !strcmp(argv[1], "fill")) {
		n_services = atoi(argv[2]);
		n_per_service = atoi(argv[3]) / n_services;
		n_pods = atoi(argv[4]);
		fill();
	} else if (argc == 6 && !strcmp(argv[1], "change")) {
		n_services = atoi(argv[4]);
		change(atoi(argv[2]), argv[3], atoi(argv[5]));
	} else {
		die("see the top of %s", __FILE__);
	}
	return 0;
}
