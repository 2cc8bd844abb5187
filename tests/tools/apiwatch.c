// SPDX-License-Identifier: Apache-2.0
/*
 * Watches resources of an API server as the daemon does, and tells what it is told. See usage().
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#include "cluster/access.h"
#include "cluster/client.h"
#include "cluster/watch.h"
#include "core/cleanup.h"
#include "core/clock.h"

#define EXIT_USAGE    2
#define RESOURCES_MAX 32

struct watched {
	const char *path;
	struct watch *watch;
	uint64_t objects; /* told since the list began */
};

static struct {
	struct access_options access;
	const char *selector;
	bool optional;
	bool quiet;
	unsigned untaken;
} opt;

static uv_loop_t loop;
static struct client *client;
static struct watched watched[RESOURCES_MAX];
static size_t n_watched;
static uv_signal_t on_usr1, on_term, on_int;

static void usage(FILE *out)
{
	fputs("Usage: apiwatch [OPTIONS] PATH...\n"
	      "\n"
	      "Lists and watches each PATH (/api/v1/services) of an API server until SIGTERM or\n"
	      "SIGINT. Prints a line of JSON for all that a watch tells; t is CLOCK_REALTIME in\n"
	      "seconds:\n"
	      "\n"
	      "  {\"t\":1.5,\"path\":\"/api/v1/pods\",\"call\":\"begin\"}\n"
	      "  {\"t\":1.5,\"path\":\"/api/v1/pods\",\"call\":\"put\",\"namespace\":\"a\",\"name\":\"b\","
	      "\"version\":\"7\"}\n"
	      "  {... \"call\":\"gone\", as put}\n"
	      "  {\"t\":1.5,\"path\":\"/api/v1/pods\",\"call\":\"end\",\"objects\":1}\n"
	      "\n"
	      "and on SIGUSR1, and at its end, the figures of each watch:\n"
	      "\n"
	      "  {\"t\":1.5,\"path\":\"/api/v1/pods\",\"call\":\"figures\",\"synced\":true,\"absent\":false,\n"
	      "   \"current\":true,\"heard\":0.3,\"lists\":1,\"events\":2,\"problem\":\"\",\n"
	      "   \"failures\":{\"unreachable\":0,...}}\n"
	      "\n"
	      "heard: seconds ago all was known, null: it never was. problem: the last failure, \"\"\n"
	      "while all is well.\n"
	      "\n"
	      "  --kubeconfig FILE       instead of $KUBECONFIG or what is in a pod\n"
	      "  --server URL            instead of what is found\n"
	      "  --service-account DIR   where a pod has ca.crt and token\n"
	      "  --selector QUERY        of all paths: \"fieldSelector=spec.nodeName%3Dn1\"\n"
	      "  --optional              404 means that there are none\n"
	      "  --quiet                 no line for put and gone\n"
	      "  --untaken COUNT         so many objects are taken, the next one is not\n"
	      "\n"
	      "Exits with 1 if there is no way to the API server: problems are on stderr.\n",
	      out);
}

/* ---- lines --------------------------------------------------------------------------- */

static double realtime(void)
{
	return clock_ns(CLOCK_REALTIME) / 1e9;
}

/* Takes the rest. */
static void print_line(const struct watched *of, const char *call, json_t *rest)
{
	json_t *line =
		json_pack("{s:f, s:s, s:s}", "t", realtime(), "path", of->path, "call", call);

	json_object_update_missing_new(line, rest);
	json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(16));
	putchar('\n');
	fflush(stdout);
	json_decref(line);
}

static void print_object(const struct watched *of, const char *call, json_t *object)
{
	static const struct {
		const char *name, *key;
	} parts[] = { { "namespace", "namespace" },
		      { "name", "name" },
		      { "version", "resourceVersion" } };
	json_t *metadata = json_object_get(object, "metadata"), *rest = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		json_t *value = json_object_get(metadata, parts[i].key);

		if (value)
			json_object_set(rest, parts[i].name, value);
	}
	print_line(of, call, rest);
}

static void on_begin(void *arg)
{
	struct watched *of = arg;

	of->objects = 0;
	print_line(of, "begin", json_object());
}

/* As if memory were out, once. */
static bool is_untaken(void)
{
	return opt.untaken && !--opt.untaken;
}

static int on_put(json_t *object, void *arg)
{
	struct watched *of = arg;

	if (is_untaken())
		return -ENOMEM;
	of->objects++;
	if (!opt.quiet)
		print_object(of, "put", object);
	return 0;
}

static int on_gone(json_t *object, void *arg)
{
	struct watched *of = arg;

	if (is_untaken())
		return -ENOMEM;
	if (!opt.quiet)
		print_object(of, "gone", object);
	return 0;
}

static int on_end(void *arg)
{
	struct watched *of = arg;

	print_line(of, "end", json_pack("{s:I}", "objects", (json_int_t)of->objects));
	return 0;
}

static json_t *heard(const struct watch_figures *figures)
{
	return figures->heard_ns ? json_real((clock_ns(CLOCK_MONOTONIC) - figures->heard_ns) / 1e9)
				 : json_null();
}

static void print_figures(const struct watched *of)
{
	json_t *failures = json_object();
	struct watch_figures figures;

	watch_figures(of->watch, &figures);
	for (int i = 0; i < WATCH_FAILURE_MAX; i++)
		json_object_set_new(failures, watch_failure_names[i],
				    json_integer(figures.failures[i]));
	print_line(of, "figures",
		   json_pack("{s:b, s:b, s:b, s:o, s:I, s:I, s:s, s:o}", "synced", figures.synced,
			     "absent", figures.absent, "current", figures.current, "heard",
			     heard(&figures), "lists", (json_int_t)figures.lists, "events",
			     (json_int_t)figures.events, "problem", figures.problem, "failures",
			     failures));
}

static void print_all_figures(uv_signal_t *handle, int number)
{
	(void)handle;
	(void)number;
	for (size_t i = 0; i < n_watched; i++)
		print_figures(&watched[i]);
}

/* ---- begin and end ------------------------------------------------------------------- */

static void stop(uv_signal_t *handle, int number)
{
	print_all_figures(handle, number);
	for (size_t i = 0; i < n_watched; i++)
		watch_close(watched[i].watch);
	client_close(client);
	uv_close((uv_handle_t *)&on_usr1, NULL);
	uv_close((uv_handle_t *)&on_term, NULL);
	uv_close((uv_handle_t *)&on_int, NULL);
}

static void listen_to(uv_signal_t *handle, int number, uv_signal_cb call)
{
	uv_signal_init(&loop, handle);
	uv_signal_start(handle, call, number);
}

static int begin(const struct access *access, char *const *paths)
{
	int err = client_open(&loop, access, &client);

	for (; !err && *paths; paths++) {
		struct watched *of = &watched[n_watched++];
		const struct watch_resource resource = { *paths, opt.selector, opt.optional };
		const struct watch_calls calls = { on_begin, on_put, on_gone, on_end, of };

		of->path = *paths;
		err = watch_open(&loop, client, &resource, &calls, &of->watch);
	}
	return err;
}

static void parse_arguments(int argc, char **argv)
{
	static const struct option options[] = {
		{ "kubeconfig", required_argument, NULL, 'k' },
		{ "server", required_argument, NULL, 's' },
		{ "service-account", required_argument, NULL, 'a' },
		{ "selector", required_argument, NULL, 'f' },
		{ "optional", no_argument, NULL, 'o' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "untaken", required_argument, NULL, 'u' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case 'k':
			opt.access.kubeconfig = optarg;
			break;
		case 's':
			opt.access.server = optarg;
			break;
		case 'a':
			opt.access.service_account = optarg;
			break;
		case 'f':
			opt.selector = optarg;
			break;
		case 'o':
			opt.optional = true;
			break;
		case 'q':
			opt.quiet = true;
			break;
		case 'u':
			opt.untaken = strtoul(optarg, NULL, 10) + 1;
			break;
		default:
			usage(option == 'h' ? stdout : stderr);
			exit(option == 'h' ? EXIT_SUCCESS : EXIT_USAGE);
		}
	}
	if (optind < argc && argc - optind <= RESOURCES_MAX)
		return;
	usage(stderr);
	exit(EXIT_USAGE);
}

int main(int argc, char **argv)
{
	_cleanup_problems_ struct problems problems = {};
	_cleanup_access_ struct access access = {};
	int err;

	parse_arguments(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	err = client_prepare(&problems) ?: access_find(&opt.access, &problems, &access);
	for (unsigned i = 0; i < problems.count; i++)
		fprintf(stderr, "%s\n", problems.text[i]);
	if (err)
		return EXIT_FAILURE;
	uv_loop_init(&loop);
	listen_to(&on_usr1, SIGUSR1, print_all_figures);
	listen_to(&on_term, SIGTERM, stop);
	listen_to(&on_int, SIGINT, stop);
	err = begin(&access, argv + optind);
	if (err) {
		fprintf(stderr, "%s\n", strerror(-err));
		return EXIT_FAILURE;
	}
	uv_run(&loop, UV_RUN_DEFAULT);
	return uv_loop_close(&loop) ? EXIT_FAILURE : EXIT_SUCCESS;
}
