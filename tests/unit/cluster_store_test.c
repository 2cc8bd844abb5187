/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects as the API server sends them, one after the other, and what they come to: services,
 * workloads, policies, and what is told to have changed.
 */
#include "yaml_fixture.h"

#include <arpa/inet.h>

#include "cluster/store.h"

#define NODE "here"

/* ---- a cluster as a text ------------------------------------------------------------ */

struct cluster {
	struct store *store;
	struct problems problems;
	struct sst_addr own;
	struct model_host host;
};

static void open_cluster(struct cluster *cluster)
{
	struct store_options options = { .node = NODE, .host = &cluster->host };

	*cluster = (struct cluster){ 0 };
	assert_int_equal(address_parse("192.0.2.1", &cluster->own), 0);
	cluster->host = (struct model_host){ (char *)NODE, &cluster->own, 1, 77 };
	assert_int_equal(store_open(&options, &cluster->store), 0);
}

static void close_cluster(struct cluster *cluster)
{
	store_close(cluster->store);
	problems_release(&cluster->problems);
}

static json_t *parse(const char *text)
{
	json_error_t error;
	json_t *json = json_loads(text, 0, &error);

	if (!json)
		print_error("%s at %d in:\n%s\n", error.text, error.position, text);
	assert_non_null(json);
	return json;
}

static void put(struct cluster *cluster, enum store_kind kind, const char *text)
{
	json_t *json = parse(text);

	assert_int_equal(store_put(cluster->store, kind, json, &cluster->problems), 0);
	json_decref(json);
}

static void gone(struct cluster *cluster, enum store_kind kind, const char *text)
{
	json_t *json = parse(text);

	assert_int_equal(store_gone(cluster->store, kind, json), 0);
	json_decref(json);
}

/* ---- what is told -------------------------------------------------------------------- */

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "a/x b/y policy", sorted. */
static void assert_changed(struct cluster *cluster, const char *expected)
{
	_cleanup_store_changes_ struct store_changes changes = { 0 };
	_cleanup_text_ struct text text = { 0 };

	assert_int_equal(store_has_changes(cluster->store), *expected != '\0');
	assert_int_equal(store_take_changes(cluster->store, &changes), 0);
	qsort(changes.services, changes.n_services, sizeof(*changes.services), compare_texts);
	for (size_t i = 0; i < changes.n_services; i++)
		text_add(&text, "%s%s", text.length ? " " : "", changes.services[i]);
	if (changes.policy)
		text_add(&text, "%spolicy", text.length ? " " : "");
	assert_string_equal(text_string(&text), expected);
	assert_false(store_has_changes(cluster->store));
}

/* All since the last time, a line each. */
static void assert_problems(struct cluster *cluster, const char *expected)
{
	_cleanup_text_ struct text text = { 0 };

	for (unsigned i = 0; i < cluster->problems.count; i++)
		text_add(&text, "%s\n", cluster->problems.text[i]);
	assert_string_equal(text_string(&text), expected);
	problems_release(&cluster->problems);
}

static void tell_port(struct text *text, const struct model_service *service,
		      const struct model_port *port)
{
	char buf[ADDRESS_TEXT_MAX];
	struct model_front front;

	text_add(text, " %s", port->name);
	for (size_t i = 0; i < model_fronts(service); i++)
		if (model_front(service, port, i, &front))
			text_add(text, " %s",
				 address_port_format(&front.address, htons(front.port), buf));
	text_add(text, " ->");
	for (size_t i = 0; i < port->n_endpoints; i++)
		text_add(text, " %s%s",
			 address_port_format(&port->endpoints[i].address,
					     htons(port->endpoints[i].port), buf),
			 port->endpoints[i].ready ? "" : "-");
	text_add(text, "\n");
}

static void assert_service(struct cluster *cluster, const char *name, const char *expected)
{
	struct model_service made[KUBE_SERVICES_MAX];
	int n = store_service(cluster->store, name, made);
	_cleanup_text_ struct text text = { 0 };

	assert_true(n >= 0);
	for (int i = 0; i < n; i++) {
		text_add(&text, "%s\n", made[i].name);
		for (size_t j = 0; j < made[i].n_ports; j++)
			tell_port(&text, &made[i], &made[i].ports[j]);
		model_service_release(&made[i]);
	}
	assert_string_equal(text_string(&text), expected);
}

/* Whatever came, the whole is a valid model. */
static struct model *make_model(struct cluster *cluster)
{
	_cleanup_problems_ struct problems problems = { 0 };
	struct model *model = model_new("test");

	assert_non_null(model);
	assert_int_equal(store_add_services(cluster->store, model), 0);
	assert_int_equal(store_add_policy(cluster->store, model), 0);
	if (model_validate(model, &problems))
		print_error("%s\n", problems.text[0]);
	assert_int_equal(problems.count, 0);
	return model;
}

/* ---- services ------------------------------------------------------------------------- */

#define META(name)           "\"metadata\": { \"namespace\": \"shop\", \"name\": \"" name "\" }"
#define SERVICE(name, spec)  "{ " META(name) ", \"spec\": { " spec " } }"
#define CLUSTER(address)     "\"clusterIP\": \"" address "\", \"clusterIPs\": [ \"" address "\" ]"
#define PORT(number)         "{ \"name\": \"p" #number "\", \"port\": " #number " }"
#define PORTS(list)          "\"ports\": [ " list " ]"
#define SLICE(name, service, endpoints)                                           \
	"{ \"metadata\": { \"namespace\": \"shop\", \"name\": \"" name "\","      \
	"  \"labels\": { \"kubernetes.io/service-name\": \"" service "\" } },"   \
	"  \"addressType\": \"IPv4\", \"ports\": [ { \"name\": \"p80\", \"port\": 8080 } ]," \
	"  \"endpoints\": [ " endpoints " ] }"
#define ENDPOINT(address) "{ \"addresses\": [ \"" address "\" ] }"

#define WEB SERVICE("web", CLUSTER("10.96.0.10") ", " PORTS(PORT(80)))

static void test_service(void **unused UNUSED)
{
	__attribute__((cleanup(close_cluster))) struct cluster cluster;

	open_cluster(&cluster);
	put(&cluster, STORE_SLICES, SLICE("web-a", "web", ENDPOINT("10.1.0.1")));
	assert_changed(&cluster, "");
	put(&cluster, STORE_SERVICES, WEB);
	assert_changed(&cluster, "shop/web");
	assert_service(&cluster, "shop/web", "shop/web\n p80 10.96.0.10:80 -> 10.1.0.1:8080\n");
	put(&cluster, STORE_SLICES, SLICE("web-b", "web", ENDPOINT("10.1.0.2")));
	assert_changed(&cluster, "shop/web");
	assert_service(&cluster, "shop/web",
		       "shop/web\n p80 10.96.0.10:80 -> 10.1.0.1:8080 10.1.0.2:8080\n");
	gone(&cluster, STORE_SERVICES, WEB);
	assert_changed(&cluster, "shop/web");
	assert_service(&cluster, "shop/web", "");
	gone(&cluster, STORE_SLICES, SLICE("web-b", "web", ""));
	assert_changed(&cluster, "");
	model_free(make_model(&cluster));
	assert_problems(&cluster, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_service),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
