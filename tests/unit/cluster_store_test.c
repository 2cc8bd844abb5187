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

/* With single quotes, so that it can be read here. */
static json_t *parse(const char *text)
{
	_cleanup_free_ char *quoted = strdup(text);
	json_error_t error;
	json_t *json;

	assert_non_null(quoted);
	for (char *c = quoted; *c; c++)
		if (*c == '\'')
			*c = '"';
	json = json_loads(quoted, 0, &error);
	if (!json)
		print_error("%s at %d in:\n%s\n", error.text, error.position, quoted);
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
static struct model *add_to_model(struct cluster *cluster, struct model *model)
{
	_cleanup_problems_ struct problems problems = { 0 };

	assert_non_null(model);
	assert_int_equal(store_add_services(cluster->store, model), 0);
	assert_int_equal(store_add_policy(cluster->store, model), 0);
	if (model_validate(model, &problems))
		print_error("%s\n", problems.text[0]);
	assert_int_equal(problems.count, 0);
	return model;
}

static struct model *make_model(struct cluster *cluster)
{
	return add_to_model(cluster, model_new("test"));
}

static void tell_workload(struct text *text, const struct model_workload *workload)
{
	char buf[ADDRESS_TEXT_MAX];

	text_add(text, "%s/%s%s", workload->name_space, workload->name,
		 workload->remote ? " remote" : "");
	for (size_t i = 0; i < workload->labels.n; i++)
		text_add(text, " %s=%s", workload->labels.items[i].key,
			 workload->labels.items[i].value);
	for (size_t i = 0; i < workload->n_addresses; i++)
		text_add(text, " %s", address_format(&workload->addresses[i].address, buf));
	if (workload->cgroup)
		text_add(text, " %s", workload->cgroup);
	for (size_t i = 0; i < workload->n_ports; i++)
		text_add(text, " %s:%u/%s", workload->ports[i].name, workload->ports[i].port,
			 protocol_name(workload->ports[i].protocol));
	text_add(text, "\n");
}

static void assert_workloads(struct cluster *cluster, const char *expected)
{
	_cleanup_model_ struct model *model = make_model(cluster);
	_cleanup_text_ struct text text = { 0 };

	for (size_t i = 0; i < model->n_workloads; i++)
		tell_workload(&text, &model->workloads[i]);
	assert_string_equal(text_string(&text), expected);
}

static struct store_figures figures_of(const struct cluster *cluster)
{
	struct store_figures figures;

	store_figures(cluster->store, &figures);
	return figures;
}

#define CLUSTER_TEST(name)                                                      \
	static void name##_in(struct cluster *cluster);                         \
	static void name(void **unused UNUSED)                                  \
	{                                                                       \
		__attribute__((cleanup(close_cluster))) struct cluster cluster; \
                                                                                \
		open_cluster(&cluster);                                         \
		name##_in(&cluster);                                            \
		model_free(make_model(&cluster));                               \
		assert_problems(&cluster, "");                                  \
	}                                                                       \
	static void name##_in(struct cluster *cluster)

/* ---- services ------------------------------------------------------------------------- */

#define META(namespace, name) \
	"'metadata': { 'namespace': '" namespace "', 'name': '" name "', 'resourceVersion': '7' }"
#define SERVICE(name, spec) "{ " META("shop", name) ", 'spec': { " spec " } }"
#define CLUSTER_IP(address) "'clusterIP': '" address "', 'clusterIPs': [ '" address "' ], "
#define PORT(number)        "{ 'name': 'p" #number "', 'port': " #number " }"
#define PORTS(list)         "'ports': [ " list " ]"
#define WEB                 SERVICE("web", CLUSTER_IP("10.96.0.10") PORTS(PORT(80)))
#define API                 SERVICE("api", CLUSTER_IP("10.96.0.11") PORTS(PORT(80)))

#define SLICE_AT(name, service, port, endpoints)                                     \
	"{ 'metadata': { 'namespace': 'shop', 'name': '" name "',"                   \
	"  'labels': { 'kubernetes.io/service-name': '" service "' } },"             \
	"  'addressType': 'IPv4', 'ports': [ { 'name': 'p80', 'port': " port " } ]," \
	"  'endpoints': [ " endpoints " ] }"
#define SLICE(name, service, endpoints) SLICE_AT(name, service, "8080", endpoints)
#define ENDPOINT(address)               "{ 'addresses': [ '" address "' ] }"

CLUSTER_TEST(test_service)
{
	put(cluster, STORE_SLICES, SLICE("web-a", "web", ENDPOINT("10.1.0.1")));
	assert_changed(cluster, "");
	put(cluster, STORE_SERVICES, WEB);
	assert_changed(cluster, "shop/web");
	assert_service(cluster, "shop/web", "shop/web\n p80 10.96.0.10:80 -> 10.1.0.1:8080\n");
	put(cluster, STORE_SLICES, SLICE("web-b", "web", ENDPOINT("10.1.0.2")));
	assert_changed(cluster, "shop/web");
	assert_service(cluster, "shop/web",
		       "shop/web\n p80 10.96.0.10:80 -> 10.1.0.1:8080 10.1.0.2:8080\n");
	gone(cluster, STORE_SERVICES, WEB);
	assert_changed(cluster, "shop/web");
	assert_service(cluster, "shop/web", "");
	gone(cluster, STORE_SLICES, SLICE("web-b", "web", ""));
	assert_changed(cluster, "");
	put(cluster, STORE_SERVICES, WEB);
	assert_service(cluster, "shop/web", "shop/web\n p80 10.96.0.10:80 -> 10.1.0.1:8080\n");
	assert_service(cluster, "shop/we", "");
	assert_int_equal(figures_of(cluster).objects[STORE_SERVICES], 1);
	assert_int_equal(figures_of(cluster).objects[STORE_SLICES], 1);
}

/* What nobody uses may change as it likes. */
CLUSTER_TEST(test_no_change)
{
	put(cluster, STORE_SERVICES, WEB);
	put(cluster, STORE_SLICES, SLICE("web-a", "web", ENDPOINT("10.1.0.1")));
	assert_changed(cluster, "shop/web");
	put(cluster, STORE_SERVICES,
	    "{ 'metadata': { 'namespace': 'shop', 'name': 'web', 'resourceVersion': '8',"
	    "    'annotations': { 'a': 'b' }, 'labels': { 'c': 'd' } },"
	    "  'spec': { 'type': 'ClusterIP', 'clusterIP': '10.96.0.10',"
	    "    'clusterIPs': [ '10.96.0.10' ], 'selector': { 'app': 'web' },"
	    "    'ports': [ { 'port': 80, 'name': 'p80', 'protocol': 'TCP', 'targetPort': 'x' } ] },"
	    "  'status': { 'loadBalancer': {}, 'conditions': [] } }");
	put(cluster, STORE_SLICES,
	    SLICE("web-a", "web",
		  "{ 'addresses': [ '10.1.0.1' ], 'targetRef': { 'kind': 'Pod' },"
		  "  'conditions': { 'ready': true, 'serving': true, 'terminating': false } }"));
	assert_changed(cluster, "");
	put(cluster, STORE_SLICES,
	    SLICE("web-a", "web",
		  "{ 'addresses': [ '10.1.0.1' ], 'conditions': { 'ready': false } }"));
	assert_changed(cluster, "shop/web");
	gone(cluster, STORE_PODS, "{ " META("shop", "never") " }");
	assert_changed(cluster, "");
}

/* Both services are asked for again, and between two slices there is no gap. */
CLUSTER_TEST(test_moving)
{
	put(cluster, STORE_SERVICES, WEB);
	put(cluster, STORE_SERVICES, API);
	put(cluster, STORE_SLICES, SLICE("a", "web", ENDPOINT("10.1.0.1")));
	assert_changed(cluster, "shop/api shop/web");
	put(cluster, STORE_SLICES, SLICE("b", "web", ENDPOINT("10.1.0.1")));
	assert_service(cluster, "shop/web", "shop/web\n p80 10.96.0.10:80 -> 10.1.0.1:8080\n");
	put(cluster, STORE_SLICES, SLICE("a", "web", ""));
	assert_service(cluster, "shop/web", "shop/web\n p80 10.96.0.10:80 -> 10.1.0.1:8080\n");
	assert_changed(cluster, "shop/web");
	put(cluster, STORE_SLICES, SLICE("b", "api", ENDPOINT("10.1.0.1")));
	assert_changed(cluster, "shop/api shop/web");
	assert_service(cluster, "shop/web", "shop/web\n p80 10.96.0.10:80 ->\n");
	assert_service(cluster, "shop/api", "shop/api\n p80 10.96.0.11:80 -> 10.1.0.1:8080\n");
	put(cluster, STORE_SLICES, "{ " META("shop", "b") ", 'addressType': 'IPv4' }");
	assert_changed(cluster, "shop/api");
	assert_int_equal(figures_of(cluster).objects[STORE_SLICES], 1);
}

/* What a list does not tell of is there no longer; one that was broken off says nothing. */
CLUSTER_TEST(test_lists)
{
	store_begin(cluster->store, STORE_SERVICES);
	put(cluster, STORE_SERVICES, WEB);
	put(cluster, STORE_SERVICES, API);
	assert_int_equal(store_end(cluster->store, STORE_SERVICES), 0);
	assert_changed(cluster, "shop/api shop/web");
	store_begin(cluster->store, STORE_SERVICES);
	put(cluster, STORE_SERVICES, API);
	assert_changed(cluster, "");
	store_begin(cluster->store, STORE_SERVICES);
	put(cluster, STORE_SERVICES, WEB);
	put(cluster, STORE_SERVICES, API);
	assert_int_equal(store_end(cluster->store, STORE_SERVICES), 0);
	assert_changed(cluster, "");
	store_begin(cluster->store, STORE_SERVICES);
	put(cluster, STORE_SERVICES, WEB);
	assert_int_equal(store_end(cluster->store, STORE_SERVICES), 0);
	assert_changed(cluster, "shop/api");
	assert_service(cluster, "shop/api", "");
	store_change_all(cluster->store);
	assert_changed(cluster, "shop/web policy");
}

#define NODE_OBJECT(name, labels, address)                                            \
	"{ 'metadata': { 'name': '" name "', 'labels': { " labels " } }, 'status': {" \
	"  'addresses': [ { 'type': 'InternalIP', 'address': '" address "' } ] } }"
#define ZONE(zone) "'topology.kubernetes.io/zone': '" zone "'"
#define NODE_PORT  "{ 'name': 'p80', 'port': 80, 'nodePort': 30080 }"

CLUSTER_TEST(test_node)
{
	put(cluster, STORE_SERVICES, SERVICE("web", CLUSTER_IP("10.96.0.10") PORTS(NODE_PORT)));
	assert_service(cluster, "shop/web",
		       "shop/web\n p80 10.96.0.10:80 192.0.2.1:30080 127.0.0.1:30080 ->\n");
	assert_changed(cluster, "shop/web");
	put(cluster, STORE_NODES, NODE_OBJECT("there", "", "192.0.2.8"));
	assert_changed(cluster, "policy");
	assert_false(figures_of(cluster).has_node);
	put(cluster, STORE_NODES, NODE_OBJECT(NODE, ZONE("a"), "192.0.2.7"));
	assert_changed(cluster, "shop/web");
	assert_service(cluster, "shop/web",
		       "shop/web\n p80 10.96.0.10:80 192.0.2.7:30080 127.0.0.1:30080 ->\n");
	assert_true(figures_of(cluster).has_node);
	put(cluster, STORE_NODES, NODE_OBJECT(NODE, ZONE("a") ", 'other': 'label'", "192.0.2.7"));
	assert_changed(cluster, "");
	put(cluster, STORE_NODES, NODE_OBJECT(NODE, ZONE("b"), "192.0.2.7"));
	assert_changed(cluster, "shop/web");
	gone(cluster, STORE_NODES, NODE_OBJECT(NODE, "", "192.0.2.7"));
	assert_changed(cluster, "shop/web");
	assert_service(cluster, "shop/web",
		       "shop/web\n p80 10.96.0.10:80 192.0.2.1:30080 127.0.0.1:30080 ->\n");
}

/* Other nodes are known to policies, beside those that files name. */
CLUSTER_TEST(test_other_nodes)
{
	_cleanup_model_ struct model *model =
		load_valid("node: { policy: { nodes: [ 192.0.2.9 ] } }");
	char buf[ADDRESS_TEXT_MAX];

	put(cluster, STORE_NODES, NODE_OBJECT(NODE, "", "192.0.2.1"));
	put(cluster, STORE_NODES, NODE_OBJECT("there", "", "192.0.2.8"));
	put(cluster, STORE_NODES, NODE_OBJECT("yonder", "", "192.0.2.9"));
	add_to_model(cluster, model);
	assert_int_equal(model->node.policy.n_nodes, 2);
	assert_string_equal(address_format(&model->node.policy.nodes[1].address, buf), "192.0.2.8");
}

/* ---- addresses of several services -------------------------------------------------------- */

#define EXTERNAL(address) "'externalIPs': [ '" address "' ], "
#define AT(name, cluster, external, ports) \
	SERVICE(name, CLUSTER_IP(cluster) EXTERNAL(external) PORTS(ports))

CLUSTER_TEST(test_collision)
{
	put(cluster, STORE_SERVICES, AT("b", "10.96.0.2", "198.51.100.1", PORT(80) ", " PORT(81)));
	assert_service(cluster, "shop/b",
		       "shop/b\n p80 10.96.0.2:80 198.51.100.1:80 ->\n"
		       " p81 10.96.0.2:81 198.51.100.1:81 ->\n");
	put(cluster, STORE_SERVICES, AT("c", "10.96.0.3", "198.51.100.1", PORT(82)));
	assert_problems(cluster, "");
	assert_changed(cluster, "shop/b shop/c");
	put(cluster, STORE_SERVICES, AT("a", "10.96.0.1", "198.51.100.1", PORT(80)));
	assert_changed(cluster, "shop/a shop/b");
	assert_problems(cluster, "Service shop/b: warning: 198.51.100.1:80/TCP is that of Service "
				 "shop/a, too, which goes first: it is not reached there\n");
	assert_service(cluster, "shop/a", "shop/a\n p80 10.96.0.1:80 198.51.100.1:80 ->\n");
	assert_service(cluster, "shop/b", "shop/b\n p80 10.96.0.2:80 ->\n p81 10.96.0.2:81 ->\n");
	assert_service(cluster, "shop/c", "shop/c\n p82 10.96.0.3:82 198.51.100.1:82 ->\n");
	assert_int_equal(figures_of(cluster).colliding, 1);
	model_free(make_model(cluster));

	/* it is told once */
	put(cluster, STORE_SERVICES, AT("b", "10.96.0.2", "198.51.100.1", PORT(80)));
	assert_changed(cluster, "shop/a shop/b");
	assert_problems(cluster, "");
	gone(cluster, STORE_SERVICES, "{ " META("shop", "a") " }");
	assert_changed(cluster, "shop/a shop/b");
	assert_service(cluster, "shop/b", "shop/b\n p80 10.96.0.2:80 198.51.100.1:80 ->\n");
	assert_int_equal(figures_of(cluster).colliding, 0);

	/* and anew when it happens anew */
	put(cluster, STORE_SERVICES, AT("a", "10.96.0.1", "198.51.100.1", PORT(80)));
	assert_int_equal(cluster->problems.count, 1);
	problems_release(&cluster->problems);
}

/* A cluster IP goes before what a user calls an external one, which goes before node ports. */
CLUSTER_TEST(test_precedence)
{
	put(cluster, STORE_SERVICES, AT("a", "10.96.0.1", "10.96.0.2", PORT(80)));
	put(cluster, STORE_SERVICES, AT("b", "10.96.0.2", "192.0.2.1", PORT(30080)));
	put(cluster, STORE_SERVICES,
	    SERVICE("c", CLUSTER_IP("10.96.0.3") PORTS(
				 NODE_PORT ", { 'name': 'x', 'port': 1, 'nodePort': 30001 }")));
	put(cluster, STORE_SERVICES, SERVICE("d", CLUSTER_IP("10.96.0.2") PORTS(PORT(80))));
	assert_service(cluster, "shop/a", "shop/a\n p80 10.96.0.1:80 ->\n");
	assert_service(cluster, "shop/b", "shop/b\n p30080 10.96.0.2:30080 192.0.2.1:30080 ->\n");
	assert_service(cluster, "shop/c",
		       "shop/c\n p80 10.96.0.3:80 ->\n"
		       " x 10.96.0.3:1 192.0.2.1:30001 127.0.0.1:30001 ->\n");
	assert_service(cluster, "shop/d", "shop/d\n p80 10.96.0.2:80 ->\n");
	assert_problems(cluster,
			"Service shop/c: warning: 192.0.2.1:30080/TCP is that of Service shop/b, "
			"too, which goes first: it is not reached there\n"
			"Service shop/a: warning: 10.96.0.2:80/TCP is that of Service shop/d, too, "
			"which goes first: it is not reached there\n");
	/* when the node moves, its port is free */
	put(cluster, STORE_NODES, NODE_OBJECT(NODE, "", "192.0.2.2"));
	assert_service(cluster, "shop/c",
		       "shop/c\n p80 10.96.0.3:80 192.0.2.2:30080 127.0.0.1:30080 ->\n"
		       " x 10.96.0.3:1 192.0.2.2:30001 127.0.0.1:30001 ->\n");
	assert_int_equal(figures_of(cluster).colliding, 1);
}

/* One service may call a place by several names. */
CLUSTER_TEST(test_own_collision)
{
	put(cluster, STORE_SERVICES,
	    SERVICE("a",
		    CLUSTER_IP(
			    "10.96.0.1") "'internalTrafficPolicy': 'Local', "
					 "'externalIPs': [ '10.96.0.1', '192.0.2.1', '192.0.2.1' ], " PORTS(
						 "{ 'name': 'p', 'port': 30080, 'nodePort': 30080 }")));
	assert_service(cluster, "shop/a",
		       "shop/a\n p 10.96.0.1:30080 ->\nshop/a/external\n p 192.0.2.1:30080 ->\n");
}

/* What files serve is theirs: their places, and their names. */
CLUSTER_TEST(test_files)
{
	_cleanup_model_ struct model *files = load_valid(
		"services:\n"
		"  - { name: mine, address: 198.51.100.1, ports: [ { port: 80 } ], endpoints: [ { address: 10.1.0.9 } ] }\n"
		"  - { name: shop/web, address: 10.0.0.9, ports: [ { port: 1 } ], endpoints: [ { address: 10.1.0.9 } ] }\n");
	_cleanup_model_ struct model *none = model_new("none"), *all;

	put(cluster, STORE_SERVICES, AT("a", "10.96.0.1", "198.51.100.1", PORT(80)));
	assert_int_equal(store_set_files(cluster->store, files, &cluster->problems), 0);
	put(cluster, STORE_SERVICES, WEB);
	assert_problems(cluster,
			"Service shop/a: warning: 198.51.100.1:80/TCP is that of a service of the "
			"configuration, too, which goes first: it is not reached there\n"
			"Service shop/web: warning: a service of the configuration is called so, "
			"too, and goes first: it is skipped\n");
	assert_changed(cluster, "shop/a shop/web");
	assert_true(store_is_files_name(cluster->store, "shop/web"));
	assert_false(store_is_files_name(cluster->store, "shop/a"));
	assert_service(cluster, "shop/a", "shop/a\n p80 10.96.0.1:80 ->\n");
	assert_service(cluster, "shop/web", "");
	all = add_to_model(cluster, TAKE_PTR(files));
	assert_int_equal(all->n_services, 3);
	assert_int_equal(store_set_files(cluster->store, none, &cluster->problems), 0);
	assert_changed(cluster, "shop/a shop/web");
	assert_service(cluster, "shop/a", "shop/a\n p80 10.96.0.1:80 198.51.100.1:80 ->\n");
	assert_service(cluster, "shop/web", "shop/web\n p80 10.96.0.10:80 ->\n");
}

/* ---- what is of no use ------------------------------------------------------------------- */

CLUSTER_TEST(test_useless)
{
	static const char *const services[] = {
		SERVICE("a", "'clusterIP': 'None', " PORTS(PORT(80))),
		SERVICE("a", "'type': 'ExternalName', 'externalName': 'example.org'"),
		"{ 'metadata': { 'namespace': 'shop', 'name': 'a', 'labels': {"
		"    'service.kubernetes.io/service-proxy-name': 'x' } }, 'spec': {"
		"  'clusterIP': '10.96.0.1', " PORTS(PORT(80)) " } }",
	};

	for (size_t i = 0; i < ARRAY_SIZE(services); i++) {
		put(cluster, STORE_SERVICES, services[i]);
		assert_changed(cluster, "");
		assert_int_equal(figures_of(cluster).objects[STORE_SERVICES], 0);
		assert_int_equal(figures_of(cluster).skipped[STORE_SERVICES], 0);
	}
	/* one that becomes so is gone */
	put(cluster, STORE_SERVICES, SERVICE("a", CLUSTER_IP("10.96.0.1") PORTS(PORT(80))));
	assert_changed(cluster, "shop/a");
	put(cluster, STORE_SERVICES, services[0]);
	assert_changed(cluster, "shop/a");
	assert_service(cluster, "shop/a", "");
	put(cluster, STORE_SERVICES,
	    SERVICE("s", CLUSTER_IP("10.96.0.1") PORTS(
				 "{ 'name': 'a', 'port': 80, 'protocol': 'SCTP' }, " PORT(80))));
	assert_int_equal(figures_of(cluster).sctp, 1);
	gone(cluster, STORE_SERVICES, SERVICE("s", ""));
	assert_int_equal(figures_of(cluster).sctp, 0);
}

/* ---- what is not understood --------------------------------------------------------------- */

struct skipped {
	enum store_kind kind;
	const char *object;
	const char *told;
};

static void test_skipped(void **unused UNUSED)
{
	static const struct skipped rows[] = {
		{ STORE_SERVICES, SERVICE("a", CLUSTER_IP("10.96.0.300") PORTS(PORT(80))),
		  "Service shop/a: warning: found '10.96.0.300', expected an IPv4 or IPv6 address "
		  "(it is skipped)\n" },
		{ STORE_SERVICES, SERVICE("a", CLUSTER_IP("224.0.0.1") PORTS(PORT(80))),
		  "Service shop/a: warning: service address 224.0.0.1 is a multicast address, "
		  "expected a unicast address (it is skipped)\n" },
		{ STORE_SERVICES,
		  "{ " META(SIXTY, SIXTY) ", 'spec': { 'internalTrafficPolicy': 'Local', "
					  "'externalIPs': [ '198.51.100.1' ], " CLUSTER_IP(
						  "10.96.0.1") PORTS(PORT(80)) " } }",
		  "Service " SIXTY "/" SIXTY ": warning: found '" SIXTY "/" SIXTY
		  "/external', expected "
		  "at most 127 characters (it is skipped)\n" },
		{ STORE_SERVICES, "{ 'metadata': 7 }",
		  "Service default/: warning: found a Service without 'spec', expected that key "
		  "(it is skipped)\n" },
		{ STORE_SLICES, SLICE("a", "web", "{ 'addresses': [ 'x' ] }"),
		  "EndpointSlice shop/a: warning: found 'x', expected an IPv4 or IPv6 address "
		  "(it is skipped)\n" },
		{ STORE_PODS, "{ " META("shop", "p") ", 'status': { 'podIP': '10.1.0' } }",
		  "Pod shop/p: warning: found '10.1.0', expected an IPv4 or IPv6 address "
		  "(it is skipped)\n" },
		{ STORE_PODS,
		  "{ 'metadata': { 'namespace': 'shop', 'name': 'p', 'uid': '../..' } }",
		  "Pod shop/p: warning: found '../..', expected a UID (1 to 64 letters, digits and "
		  "hyphens) (it is skipped)\n" },
		{ STORE_NODES, "[]",
		  "Node : warning: found a Node without 'metadata', expected that key "
		  "(it is skipped)\n" },
		{ STORE_NAMESPACES, "{ 'metadata': { 'name': 'A' } }",
		  "Namespace A: warning: found 'A', expected a namespace (1 to 63 characters of "
		  "a-z 0-9 -, no hyphen at its ends) (it is skipped)\n" },
		{ STORE_NETWORK_POLICIES, "{ " META("shop", "p") " }",
		  "NetworkPolicy shop/p: warning: found a NetworkPolicy without 'spec', expected "
		  "that key (it is skipped)\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		__attribute__((cleanup(close_cluster))) struct cluster cluster;

		open_cluster(&cluster);
		put(&cluster, rows[i].kind, rows[i].object);
		assert_problems(&cluster, rows[i].told);
		put(&cluster, rows[i].kind, rows[i].object);
		assert_problems(&cluster, "");
		assert_changed(&cluster, "");
		assert_int_equal(figures_of(&cluster).skipped[rows[i].kind], 1);
		assert_int_equal(figures_of(&cluster).objects[rows[i].kind], 0);
		gone(&cluster, rows[i].kind, rows[i].object);
		assert_int_equal(figures_of(&cluster).skipped[rows[i].kind], 0);
	}
}

/* What it was stays, also through a list in which it is not understood. */
CLUSTER_TEST(test_skipped_stays)
{
	put(cluster, STORE_SERVICES, WEB);
	assert_changed(cluster, "shop/web");
	store_begin(cluster->store, STORE_SERVICES);
	put(cluster, STORE_SERVICES, SERVICE("web", "'clusterIP': 'x'"));
	assert_int_equal(store_end(cluster->store, STORE_SERVICES), 0);
	assert_problems(cluster, "Service shop/web: warning: found 'x', expected an IPv4 or IPv6 "
				 "address (what it was before stays in force)\n");
	assert_changed(cluster, "");
	assert_service(cluster, "shop/web", "shop/web\n p80 10.96.0.10:80 ->\n");
	put(cluster, STORE_SERVICES, WEB);
	assert_changed(cluster, "");
	assert_int_equal(figures_of(cluster).skipped[STORE_SERVICES], 0);
	put(cluster, STORE_SERVICES, SERVICE("web", "'clusterIP': 'x'"));
	assert_int_equal(cluster->problems.count, 1);
	problems_release(&cluster->problems);
}

CLUSTER_TEST(test_bad_endpoint)
{
	put(cluster, STORE_SERVICES, WEB);
	put(cluster, STORE_SLICES,
	    SLICE("a", "web",
		  ENDPOINT("10.1.0.1") ", " ENDPOINT("255.255.255.255") ", " ENDPOINT("10.1.0.2")));
	assert_problems(cluster,
			"EndpointSlice shop/a: warning: endpoint 255.255.255.255 is the broadcast "
			"address, expected a unicast address (this part of it is left out)\n");
	assert_service(cluster, "shop/web",
		       "shop/web\n p80 10.96.0.10:80 -> 10.1.0.1:8080 10.1.0.2:8080\n");
	assert_int_equal(figures_of(cluster).skipped[STORE_SLICES], 1);
	assert_int_equal(figures_of(cluster).objects[STORE_SLICES], 1);
}

CLUSTER_TEST(test_bad_external)
{
	put(cluster, STORE_SERVICES, AT("a", "10.96.0.1", "255.255.255.255", PORT(80)));
	assert_problems(cluster,
			"Service shop/a: warning: address 255.255.255.255 is the broadcast "
			"address, expected a unicast address (this part of it is left out)\n");
	assert_service(cluster, "shop/a", "shop/a\n p80 10.96.0.1:80 ->\n");
}

/* ---- pods ------------------------------------------------------------------------------- */

#define POD_OF(name, uid, node, created, spec, status)                                      \
	"{ 'metadata': { 'namespace': 'shop', 'name': '" name "', 'uid': '" uid "',"        \
	"    'labels': { 'app': '" name "' }, 'creationTimestamp': '" created "' },"        \
	"  'spec': { 'nodeName': '" node "', 'containers': [ { 'name': 'c' } ] " spec " }," \
	"  'status': { 'phase': 'Running', 'qosClass': 'Burstable' " status " } }"
#define DAY1                     "2026-11-23T10:00:00Z"
#define DAY2                     "2026-11-24T10:00:00Z"
#define POD(name, node, address) POD_OF(name, "u-" name, node, DAY1, "", ", 'podIP': '" address "'")

struct pod_row {
	const char *what;
	const char *pod;
	const char *expected;
};

static void test_pods(void **unused UNUSED)
{
	static const struct pod_row rows[] = {
		{ "here", POD("a", NODE, "10.1.0.1"),
		  "shop/a app=a 10.1.0.1 /kubepods/burstable/podu-a\n" },
		{ "both families",
		  POD_OF("a", "u", "there", DAY1, "",
			 ", 'podIP': '10.1.0.1', 'podIPs': [ { 'ip': '10.1.0.1' }, { 'ip': 'fd00::1' } ]"),
		  "shop/a remote app=a 10.1.0.1 fd00::1\n" },
		{ "here, its address is not told yet", POD_OF("a", "u", NODE, DAY1, "", ""),
		  "shop/a app=a /kubepods/burstable/podu\n" },
		{ "elsewhere without address", POD_OF("a", "u", "there", DAY1, "", ""), "" },
		{ "nowhere yet",
		  "{ " META("shop", "a") ", 'spec': {}, 'status': { 'phase': 'Pending',"
					 " 'qosClass': 'BestEffort' } }",
		  "" },
		{ "host's network, here",
		  POD_OF("a", "u", NODE, DAY1, ", 'hostNetwork': true", ", 'podIP': '192.0.2.1'"),
		  "shop/a app=a /kubepods/burstable/podu\n" },
		{ "host's network, elsewhere",
		  POD_OF("a", "u", "there", DAY1, ", 'hostNetwork': true",
			 ", 'podIP': '192.0.2.8'"),
		  "" },
		{ "ended",
		  "{ " META("shop", "a") ", 'status': { 'phase': 'Failed', 'podIP': '10.1.0.1' } }",
		  "" },
		{ "ports, a native sidecar's among them",
		  POD_OF("a", "u", "there", DAY1,
			 ", 'containers': [ { 'ports': ["
			 "    { 'name': 'web', 'containerPort': 80, 'protocol': 'TCP' },"
			 "    { 'name': 'old', 'containerPort': 1, 'protocol': 'SCTP' },"
			 "    { 'containerPort': 5 } ] } ],"
			 "  'initContainers': ["
			 "    { 'ports': [ { 'name': 'never', 'containerPort': 81 } ] },"
			 "    { 'restartPolicy': 'Always', 'ports': ["
			 "      { 'name': 'mesh', 'containerPort': 82, 'protocol': 'UDP' },"
			 "      { 'name': 'web', 'containerPort': 83 } ] } ]",
			 ", 'podIP': '10.1.0.1'"),
		  "shop/a remote app=a 10.1.0.1 web:80/TCP mesh:82/UDP\n" },
		{ "a stand-in for one that kubelet has from a file",
		  "{ 'metadata': { 'namespace': 'kube-system', 'name': 'etcd', 'uid': 'u', 'annotations':"
		  "    { 'kubernetes.io/config.hash': 'abc', 'kubernetes.io/config.mirror': 'abc' } },"
		  "  'spec': { 'nodeName': '" NODE "', 'hostNetwork': true },"
		  "  'status': { 'qosClass': 'BestEffort' } }",
		  "kube-system/etcd /kubepods/besteffort/podabc\n" },
		{ "one that only says so",
		  "{ 'metadata': { 'namespace': 'shop', 'name': 'a', 'uid': 'u', 'annotations':"
		  "    { 'kubernetes.io/config.hash': 'abc' } }, 'spec': { 'nodeName': '" NODE
		  "' },"
		  "  'status': { 'qosClass': 'Guaranteed' } }",
		  "shop/a /kubepods/podu\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		__attribute__((cleanup(close_cluster))) struct cluster cluster;

		open_cluster(&cluster);
		assert_int_equal(store_set_pods(cluster.store, "", false), 0);
		put(&cluster, STORE_PODS, rows[i].pod);
		print_message("  %s\n", rows[i].what);
		assert_workloads(&cluster, rows[i].expected);
		assert_problems(&cluster, "");
	}
}

struct cgroup_row {
	const char *root;
	bool systemd;
	const char *qos;
	const char *expected;
};

static void test_cgroups(void **unused UNUSED)
{
	static const struct cgroup_row rows[] = {
		{ "", false, "Guaranteed", "/kubepods/pod4f5e-1a" },
		{ "", false, "Burstable", "/kubepods/burstable/pod4f5e-1a" },
		{ "/node/n1", false, "BestEffort", "/node/n1/kubepods/besteffort/pod4f5e-1a" },
		{ "", true, "Guaranteed", "/kubepods.slice/kubepods-pod4f5e_1a.slice" },
		{ "", true, "Burstable",
		  "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod4f5e_1a.slice" },
		{ "/kubelet.slice", true, "BestEffort",
		  "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/"
		  "kubelet-kubepods-besteffort-pod4f5e_1a.slice" },
		{ "/docker/7", true, "Guaranteed",
		  "/docker/7/kubepods.slice/kubepods-pod4f5e_1a.slice" },
	};
	char pod[512], expected[256];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		__attribute__((cleanup(close_cluster))) struct cluster cluster;

		open_cluster(&cluster);
		snprintf(pod, sizeof(pod),
			 "{ 'metadata': { 'namespace': 'shop', 'name': 'a', 'uid': '4f5e-1a' },"
			 "  'spec': { 'nodeName': '" NODE "' }, 'status': { 'qosClass': '%s' } }",
			 rows[i].qos);
		snprintf(expected, sizeof(expected), "shop/a %s\n", rows[i].expected);
		put(&cluster, STORE_PODS, pod);
		/* before kubelet has made the place nothing tells of it */
		assert_workloads(&cluster, "");
		assert_changed(&cluster, "policy");
		assert_int_equal(store_set_pods(cluster.store, rows[i].root, rows[i].systemd), 0);
		assert_changed(&cluster, "policy");
		assert_workloads(&cluster, expected);
	}
}

/* Nobody could tell what is that far below. */
CLUSTER_TEST(test_deep_cgroups)
{
	assert_int_equal(store_set_pods(cluster->store, "/1/2/3/4/5/6/7/8/9/a/b/c/d", false), 0);
	assert_int_equal(store_set_pods(cluster->store, "/1/2/3/4/5/6/7/8/9/a/b/c/d/e", false),
			 -EINVAL);
}

CLUSTER_TEST(test_reused_address)
{
	put(cluster, STORE_PODS, POD_OF("old", "u1", "there", DAY1, "", ", 'podIP': '10.1.0.1'"));
	put(cluster, STORE_PODS, POD_OF("new", "u2", "there", DAY2, "", ", 'podIP': '10.1.0.1'"));
	assert_workloads(cluster, "shop/new remote app=new 10.1.0.1\n");
	assert_int_equal(figures_of(cluster).reused, 1);
	gone(cluster, STORE_PODS, "{ " META("shop", "new") " }");
	assert_workloads(cluster, "shop/old remote app=old 10.1.0.1\n");
	assert_int_equal(figures_of(cluster).reused, 0);
}

/* Annotations are anybody's word: nobody gets another pod's cgroup by one. */
CLUSTER_TEST(test_forged_uid)
{
	assert_int_equal(store_set_pods(cluster->store, "", false), 0);
	put(cluster, STORE_PODS, POD_OF("victim", "u1", NODE, DAY1, "", ""));
	put(cluster, STORE_PODS,
	    "{ 'metadata': { 'namespace': 'shop', 'name': 'thief', 'uid': 'u2', 'annotations':"
	    "    { 'kubernetes.io/config.hash': 'u1', 'kubernetes.io/config.mirror': 'u1' },"
	    "    'creationTimestamp': '2000-01-01T00:00:00Z' },"
	    "  'spec': { 'nodeName': '" NODE "' }, 'status': { 'qosClass': 'Burstable' } }");
	assert_workloads(cluster, "shop/victim app=victim /kubepods/burstable/podu1\n");
	assert_int_equal(figures_of(cluster).reused, 1);
}

/* Nothing of what nobody uses is told as a change. */
CLUSTER_TEST(test_pod_changes)
{
	put(cluster, STORE_PODS, POD("a", "there", "10.1.0.1"));
	assert_changed(cluster, "policy");
	put(cluster, STORE_PODS,
	    POD_OF("a", "u-a", "there", DAY1, ", 'volumes': [ 1 ]",
		   ", 'podIP': '10.1.0.1', 'conditions': [ { 'type': 'Ready' } ]"));
	assert_changed(cluster, "");
	put(cluster, STORE_PODS, POD("a", "there", "10.1.0.2"));
	assert_changed(cluster, "policy");
	put(cluster, STORE_NAMESPACES,
	    "{ 'metadata': { 'name': 'shop', 'labels': { 'a': 'b' } } }");
	assert_changed(cluster, "policy");
	put(cluster, STORE_NAMESPACES,
	    "{ 'metadata': { 'name': 'shop', 'labels': { 'a': 'b' }, 'annotations': { 'c': 'd' } },"
	    "  'status': { 'phase': 'Active' } }");
	assert_changed(cluster, "");
}

/* ---- policies ---------------------------------------------------------------------------- */

#define POLICY(name, spec) "{ " META("shop", name) ", 'spec': { 'podSelector': {}, " spec " } }"
#define CLUSTER_POLICY(name, rules)                                                       \
	"{ 'metadata': { 'name': '" name "' }, 'spec': { 'tier': 'Admin', 'priority': 1," \
	"  'subject': { 'namespaces': {} }, " rules " } }"
#define ADMIN_POLICY(name, rules)                                        \
	"{ 'metadata': { 'name': '" name "' }, 'spec': { 'priority': 1," \
	"  'subject': { 'namespaces': {} }, " rules " } }"

static void tell_rule(struct text *text, const struct model_rule *rule)
{
	static const char *const actions[] = { "allow", "deny", "pass" };

	text_add(text, " [%s%s", actions[rule->action], rule->any_peer ? " any" : "");
	for (size_t i = 0; i < rule->n_peers; i++)
		text_add(text, " peer");
	for (size_t i = 0; i < rule->n_ports; i++)
		text_add(text, " %s%u", rule->ports[i].protocol == 17 ? "udp" : "",
			 rule->ports[i].first);
	text_add(text, "]");
}

struct policy_row {
	enum store_kind kind;
	const char *policy;
	const char *expected; /* its rules */
	const char *told;
};

/* What a rule allows may be left out, what one denies may not. */
static void test_policies(void **unused UNUSED)
{
	static const char sctp[] = "SCTP is not decided by Sidestep, expected TCP or UDP "
				   "(this part of it is left out)";
	static const struct policy_row rows[] = {
		{ STORE_NETWORK_POLICIES,
		  POLICY("p", "'ingress': [ { 'ports': [ { 'port': 80, 'protocol': 'TCP' } ] } ]"),
		  "p [allow any 80]\n", NULL },
		{ STORE_NETWORK_POLICIES,
		  POLICY("p", "'ingress': [ { 'ports': [ { 'port': 9, 'protocol': 'SCTP' },"
			      "  { 'port': 80 } ] } ]"),
		  "p [allow any 80]\n", sctp },
		{ STORE_NETWORK_POLICIES,
		  POLICY("p", "'ingress': [ { 'ports': [ { 'port': 9, 'protocol': 'SCTP' } ] },"
			      "  { 'ports': [ { 'port': 80 } ] } ]"),
		  "p [allow] [allow any 80]\n", sctp },
		{ STORE_NETWORK_POLICIES,
		  POLICY("p", "'ingress': [ { 'from': [ { 'futureSelector': {} } ] },"
			      "  { 'from': [ { 'podSelector': {} } ] } ]"),
		  "p [allow] [allow peer]\n",
		  "unknown key 'futureSelector' in a peer, expected one of: podSelector, "
		  "namespaceSelector, ipBlock (this part of it is left out)" },
		{ STORE_NETWORK_POLICIES,
		  POLICY("p", "'egress': [ { 'to': [ { 'ipBlock': { 'cidr': '10.0.0.1/8',"
			      "  'except': [ '10.1.2.3/16' ] } } ] } ]"),
		  "p [allow peer]\n", NULL },
		{ STORE_NETWORK_POLICIES, POLICY("p", "'ingress': [], 'futureField': 1"), "",
		  "unknown key 'futureField' in the spec of a NetworkPolicy, expected one of: "
		  "podSelector, policyTypes, ingress, egress (it is skipped)" },
		{ STORE_NETWORK_POLICIES,
		  "{ 'metadata': { 'namespace': 'shop', 'name': 'p', 'annotations':"
		  "    { 'sidestep.io/mode': 'Shadow' } }, 'spec': { 'podSelector': {} } }",
		  "p\n",
		  "found 'Shadow', expected enforce or shadow (this part of it is left out)" },
		{ STORE_CLUSTER_POLICIES,
		  CLUSTER_POLICY(
			  "c", "'ingress': [ { 'action': 'Deny', 'from': [ { 'namespaces': {} } ],"
			       "  'protocols': [ { 'sctp': {} }, { 'tcp': {"
			       "    'destinationPort': { 'number': 80 } } } ] } ]"),
		  "c [deny peer 80]\n",
		  "SCTP is not decided by Sidestep, expected tcp or udp (this part of it is left out)" },
		{ STORE_CLUSTER_POLICIES,
		  CLUSTER_POLICY(
			  "c", "'ingress': [ { 'action': 'Deny', 'from': [ { 'namespaces': {} } ],"
			       "  'protocols': [ { 'sctp': {} } ] } ]"),
		  "c [deny]\n",
		  "SCTP is not decided by Sidestep, expected tcp or udp (this part of it is left out)" },
		{ STORE_CLUSTER_POLICIES,
		  CLUSTER_POLICY(
			  "c",
			  "'egress': [ { 'action': 'Accept', 'name': 'names',"
			  "  'to': [ { 'domainNames': [ 'a.example' ] } ] },"
			  "  { 'action': 'Deny', 'to': [ { 'networks': [ '0.0.0.0/0' ] } ] } ]"),
		  "c [allow] [deny peer]\n",
		  "domainNames is not supported: Sidestep decides by addresses, and knows no names "
		  "of domains (this part of it is left out)" },
		{ STORE_CLUSTER_POLICIES,
		  CLUSTER_POLICY("c", "'egress': [ { 'action': 'Deny',"
				      "  'to': [ { 'domainNames': [ 'a.example' ] } ] } ]"),
		  "",
		  "domainNames is not supported: Sidestep decides by addresses, and knows no "
		  "names of domains (it is skipped)" },
		{ STORE_CLUSTER_POLICIES,
		  CLUSTER_POLICY("c", "'egress': [ { 'action': 'Allow',"
				      "  'to': [ { 'networks': [ '0.0.0.0/0' ] } ] } ]"),
		  "", "found 'Allow', expected Accept, Deny or Pass (it is skipped)" },
		{ STORE_CLUSTER_POLICIES, CLUSTER_POLICY("c", "'ingress': [ 7 ]"), "",
		  "found '7', expected a mapping (an ingress rule) (it is skipped)" },
		{ STORE_ADMIN_POLICIES,
		  ADMIN_POLICY("c",
			       "'ingress': [ { 'action': 'Pass', 'from': [ { 'namespaces': {} } ],"
			       "  'ports': [ { 'portNumber': { 'protocol': 'SCTP', 'port': 1 } },"
			       "    { 'portNumber': { 'protocol': 'UDP', 'port': 53 } } ] } ]"),
		  "c [pass peer udp53]\n", sctp },
		{ STORE_BASELINE_POLICIES,
		  "{ 'metadata': { 'name': 'default' }, 'spec': { 'subject': { 'namespaces': {} },"
		  "  'ingress': [ { 'action': 'Deny', 'from': [ { 'namespaces': {} } ] } ] } }",
		  "default [deny peer]\n", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		__attribute__((cleanup(close_cluster))) struct cluster cluster;
		_cleanup_text_ struct text text = { 0 };
		struct model *model;

		open_cluster(&cluster);
		put(&cluster, rows[i].kind, rows[i].policy);
		model = make_model(&cluster);
		for (size_t j = 0; j < model->n_policies; j++) {
			text_add(&text, "%s", model->policies[j].name);
			for (size_t k = 0; k < model->policies[j].n_rules; k++)
				tell_rule(&text, &model->policies[j].rules[k]);
			text_add(&text, "\n");
		}
		model_free(model);
		assert_string_equal(text_string(&text), rows[i].expected);
		assert_int_equal(cluster.problems.count, rows[i].told != NULL);
		if (rows[i].told)
			assert_string_equal(strstr(cluster.problems.text[0], "warning: ") + 9,
					    rows[i].told);
		assert_int_equal(figures_of(&cluster).skipped[rows[i].kind], rows[i].told != NULL);
		put(&cluster, rows[i].kind, rows[i].policy);
		assert_int_equal(cluster.problems.count, rows[i].told != NULL);
	}
}

/* A policy of a name that another kind of the same tier has, or a file. */
CLUSTER_TEST(test_names_of_policies)
{
	_cleanup_model_ struct model *model =
		load_valid("{ node: { policy: { default: allow } }, policies: [ "
			   "{ name: p, namespace: shop, subject: {}, isolate: [ ingress ] } ] }");

	put(cluster, STORE_CLUSTER_POLICIES, CLUSTER_POLICY("x", "'ingress': []"));
	put(cluster, STORE_ADMIN_POLICIES, ADMIN_POLICY("x", "'ingress': []"));
	put(cluster, STORE_NETWORK_POLICIES, POLICY("p", "'ingress': []"));
	put(cluster, STORE_NAMESPACES,
	    "{ 'metadata': { 'name': 'shop', 'labels': { 'a': 'b' } } }");
	add_to_model(cluster, model);
	assert_int_equal(model->n_policies, 4);
	assert_string_equal(model->policies[1].name, "networkpolicy/p");
	assert_string_equal(model->policies[2].name, "x");
	assert_string_equal(model->policies[3].name, "adminnetworkpolicy/x");
	assert_int_equal(model->n_namespaces, 1);
	assert_string_equal(model_label_value(&model->namespaces[0].labels, "a"), "b");
}

/* What files say of the node's own workloads goes before. */
CLUSTER_TEST(test_beside_files)
{
	_cleanup_model_ struct model *model = load_valid(
		"{ node: { policy: { default: allow, probes: /kubepods/burstable/podu-d } },\n"
		"  workloads: [ { name: a, namespace: shop, addresses: [ 10.1.0.1 ] },\n"
		"    { name: x, cgroup: /kubepods/burstable/podu-b } ] }");
	_cleanup_text_ struct text text = { 0 };

	assert_int_equal(store_set_pods(cluster->store, "", false), 0);
	put(cluster, STORE_PODS, POD("a", NODE, "10.1.0.2"));
	put(cluster, STORE_PODS, POD("b", NODE, "10.1.0.3"));
	put(cluster, STORE_PODS, POD("c", NODE, "10.1.0.1"));
	add_to_model(cluster, model);
	for (size_t i = 2; i < model->n_workloads; i++)
		tell_workload(&text, &model->workloads[i]);
	assert_string_equal(text_string(&text), "shop/c app=c /kubepods/burstable/podu-c\n");
}

/* ---- objects that are none ---------------------------------------------------------------- */

static void test_bounds(void **unused UNUSED)
{
	__attribute__((cleanup(close_cluster))) struct cluster cluster;
	_cleanup_text_ struct text deep = { 0 };
	json_t *many = json_array(), *object;

	open_cluster(&cluster);
	text_add(&deep, "{ " META("shop", "deep") ", 'spec': ");
	text_add_repeated(&deep, '[', 40);
	text_add_repeated(&deep, ']', 40);
	text_add(&deep, " }");
	put(&cluster, STORE_NETWORK_POLICIES, deep.data);
	assert_problems(&cluster,
			"NetworkPolicy shop/deep: warning: found an object that is nested "
			"too deeply (it is skipped)\n");
	for (int i = 0; i < 500001; i++)
		json_array_append_new(many, json_null());
	object = json_pack("{s{ss ss} so}", "metadata", "name", "many", "namespace", "shop", "spec",
			   many);
	assert_int_equal(
		store_put(cluster.store, STORE_NETWORK_POLICIES, object, &cluster.problems), 0);
	json_decref(object);
	assert_problems(&cluster, "NetworkPolicy shop/many: warning: found an object with too many "
				  "values (it is skipped)\n");
	object = json_pack("{s{ss ss} ss%}", "metadata", "name", "nul", "namespace", "shop", "spec",
			   "a\0b", (size_t)3);
	assert_int_equal(
		store_put(cluster.store, STORE_NETWORK_POLICIES, object, &cluster.problems), 0);
	json_decref(object);
	assert_problems(&cluster, "NetworkPolicy shop/nul: warning: found an object with a NUL "
				  "character in a text (it is skipped)\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_service),
		cmocka_unit_test(test_no_change),
		cmocka_unit_test(test_moving),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_node),
		cmocka_unit_test(test_other_nodes),
		cmocka_unit_test(test_collision),
		cmocka_unit_test(test_precedence),
		cmocka_unit_test(test_own_collision),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_deep_cgroups),
		cmocka_unit_test(test_useless),
		cmocka_unit_test(test_skipped),
		cmocka_unit_test(test_skipped_stays),
		cmocka_unit_test(test_bad_endpoint),
		cmocka_unit_test(test_bad_external),
		cmocka_unit_test(test_pods),
		cmocka_unit_test(test_cgroups),
		cmocka_unit_test(test_reused_address),
		cmocka_unit_test(test_forged_uid),
		cmocka_unit_test(test_pod_changes),
		cmocka_unit_test(test_policies),
		cmocka_unit_test(test_names_of_policies),
		cmocka_unit_test(test_beside_files),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
