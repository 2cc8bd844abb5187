/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects of the API server, beside a file, one after the other: a line is a digit that tells the kind, a sign
 * ('+' there, '-' gone, '*' a list of this one alone), and JSON. Whatever they are, the whole is a
 * valid model at all times, only what differs has changed, and nothing is left of what has gone.
 */
#include "fuzz.h"

#include <arpa/inet.h>

#include "cluster/store.h"
#include "model/extend.h"

#define LINES_MAX 32

static const char files[] =
	"node: { policy: { default: allow, nodes: [ 192.0.2.2 ] } }\n"
	"namespaces: [ { name: shop, labels: { team: b } } ]\n"
	"workloads: [ { name: etcd, namespace: kube-system, addresses: [ 10.1.0.1 ] } ]\n"
	"services:\n"
	"  - { name: own, address: 198.51.100.1, ports: [ { port: 80 } ],\n"
	"      endpoints: [ { address: 10.1.0.1 } ] }\n"
	"  - { name: shop/api, address: 198.51.100.2, ports: [ { port: 80 } ],\n"
	"      endpoints: [ { address: 10.1.0.1 } ] }\n"
	"policies: [ { name: p, namespace: shop, subject: {}, isolate: [ ingress ] } ]\n";

static void forget_changes(struct store *store)
{
	_cleanup_store_changes_ struct store_changes changes = {};

	assert(!store_take_changes(store, &changes));
	assert(!store_has_changes(store));
}

static void put(struct store *store, enum store_kind kind, json_t *object)
{
	_cleanup_problems_ struct problems problems = {};

	assert(!store_put(store, kind, object, &problems));
	assert(!problems_errors(&problems));
	check_harmless(&problems);
}

/* The same once more is no change and nothing to tell. */
static void put_twice(struct store *store, enum store_kind kind, json_t *object)
{
	_cleanup_problems_ struct problems problems = {};

	put(store, kind, object);
	forget_changes(store);
	assert(!store_put(store, kind, object, &problems));
	assert(!problems.count && !store_has_changes(store));
}

static void list(struct store *store, enum store_kind kind, json_t *object)
{
	struct store_figures figures;

	store_begin(store, kind);
	if (object)
		put(store, kind, object);
	assert(!store_end(store, kind));
	store_figures(store, &figures);
	assert(figures.objects[kind] + figures.skipped[kind] <= 2 * !!object);
}

static void do_line(struct store *store, const char *line, size_t size)
{
	json_t *object;

	if (size < 2 || line[0] < '0' || line[0] >= '0' + STORE_KINDS)
		return;
	object = json_loadb(line + 2, size - 2, 0, NULL);
	if (object && line[1] == '+')
		put_twice(store, line[0] - '0', object);
	else if (object && line[1] == '-')
		assert(!store_gone(store, line[0] - '0', object));
	else if (object && line[1] == '*')
		list(store, line[0] - '0', object);
	json_decref(object);
}

static void do_lines(struct store *store, const char *text, size_t size)
{
	for (int i = 0; i < LINES_MAX && size; i++) {
		const char *end = memchr(text, '\n', size);
		size_t length = end ? (size_t)(end - text) : size;

		do_line(store, text, length);
		length += end != NULL;
		text += length;
		size -= length;
	}
}

/* A service that is asked for alone is there, as it is among all. */
static void check_service(struct store *store, const char *name)
{
	struct model_service made[KUBE_SERVICES_MAX];
	int n = store_service(store, name, made);

	assert(n > 0 || strlen(name) > strlen("/external"));
	while (n > 0)
		model_service_release(&made[--n]);
}

static void check_model(struct store *store, const struct model *base)
{
	_cleanup_problems_ struct problems problems = {};
	_cleanup_extension_ struct extension extension = {};
	struct model *model = &extension.model;

	assert(!extension_begin(base, &extension));
	assert(!store_add_services(store, model));
	for (size_t i = base->n_services; i < model->n_services; i++)
		check_service(store, model->services[i].name);
	assert(!store_add_policy(store, model));
	assert(!extension_finish(&extension, &problems));
}

static void check_nothing_left(struct store *store, const struct model *base)
{
	struct store_figures figures, none = {};

	for (int kind = 0; kind < STORE_KINDS; kind++)
		list(store, kind, NULL);
	store_figures(store, &figures);
	figures.reused = 0; /* as of the last time it was asked */
	assert(!memcmp(&figures, &none, sizeof(none)));
	forget_changes(store);
	store_change_all(store);
	check_model(store, base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sst_addr own = { { 0, 0, htonl(0xffff), htonl(0xc0000201) } };
	const struct model_host host = { (char *)"n1", &own, 1, 77 };
	const struct store_options options = { .host = &host };
	_cleanup_problems_ struct problems problems = {};
	static struct model *base; /* as files, read once */
	struct store *store;

	if (!base)
		base = load_model(files);
	assert(!store_open(&options, &store));
	assert(!store_set_pods(store, "/kubelet.slice", size & 1));
	assert(!store_set_files(store, base, &problems) && !problems.count);
	do_lines(store, (const char *)data, size);
	check_model(store, base);
	check_nothing_left(store, base);
	store_close(store);
	return 0;
}
