/* SPDX-License-Identifier: Apache-2.0 */
#include "yaml_fixture.h"

#include <netinet/in.h>

/* ---- what is accepted -------------------------------------------------------------- */

static void test_defaults(void **unused UNUSED)
{
	_cleanup_model_ struct model *model = load_valid("services:\n"
							 "  - name: web\n"
							 "    address: 10.0.0.1\n"
							 "    port: 80\n"
							 "    endpoints:\n"
							 "      - address: 10.1.0.2\n");
	const struct model_service *service = model->services;
	const struct model_port *port = service->ports;
	const struct model_endpoint *endpoint = port->endpoints;

	assert_string_equal(model->source, "t.yaml");
	assert_int_equal(model->node.splice, SST_SPLICE_AUTO);
	assert_int_equal(model->node.kube_proxy, KUBE_PROXY_UNSTATED);
	assert_false(model->node.fail_closed);
	assert_int_equal(model->n_workloads, 0);
	assert_int_equal(model->n_services, 1);
	assert_int_equal(service->place.line, 2);
	assert_int_equal(service->place.column, 5);
	assert_int_equal(service->balance, SST_BALANCE_RANDOM);
	assert_int_equal(service->splice, SST_SPLICE_INHERIT);
	assert_int_equal(service->on_remove, SST_ON_REMOVE_KEEP);
	assert_int_equal(service->affinity_s, 0);
	assert_int_equal(service->n_addresses, 1);
	assert_int_equal(service->n_ports, 1);
	assert_string_equal(port->name, "");
	assert_int_equal(port->port, 80);
	assert_int_equal(port->protocol, IPPROTO_TCP);
	assert_int_equal(port->n_endpoints, 1);
	assert_int_equal(endpoint->port, 80);
	assert_int_equal(endpoint->weight, 1);
	assert_true(endpoint->ready);
	assert_false(endpoint->draining);
	assert_null(endpoint->zone);
}

static const char all_keys[] =
	"node: { fail: closed, splice: 'on', kube-proxy: beside }\n"
	"workloads:\n"
	"  - name: frontend\n"
	"    labels: { app: frontend, example.org/tier: \"\" }\n"
	"    cgroup: /system.slice/a\\x2db.service\n"
	"  - { name: db, addresses: [ 10.1.0.7, 'fd00::7' ] }\n"
	"services:\n"
	"  - name: web/front_end-1.x\n"
	"    address: [ 10.96.0.10, 'fd00::10' ]\n"
	"    ports:\n"
	"      - { name: http, port: 80, target: 8080 }\n"
	"      - { name: dns, port: 53, protocol: UDP }\n"
	"    balance: round-robin\n"
	"    affinity: 3h\n"
	"    splice: off\n"
	"    on-remove: reset\n"
	"    endpoints:\n"
	"      - { address: 10.1.0.9, ready: false, draining: true }\n"
	"      - { address: 'fd00::2', zone: b, weight: 1000 }\n"
	"      - { address: 10.1.0.2, weight: \"3\", ports: { http: 8081, dns: 5353 } }\n"
	"  - { name: one, address: 10.96.0.11, port: 443, target: 8443, protocol: TCP,\n"
	"      endpoints: [ { address: 10.1.0.2, port: 1 }, { address: 10.1.0.2, port: 65535 } ] }\n"
	"  - { name: named, address: 10.96.0.12, ports: [ { name: p, port: 1 } ],\n"
	"      endpoints: [ { address: 10.1.0.2, port: 2 }, { address: 10.1.0.2, ports: { p: 3 } } ] }\n";

static void test_all_workload_keys(void **unused UNUSED)
{
	_cleanup_model_ struct model *model = load_valid(all_keys);
	const struct model_workload *frontend = &model->workloads[0], *db = &model->workloads[1];

	assert_true(model->node.fail_closed);
	assert_int_equal(model->node.splice, SST_SPLICE_ON);
	assert_int_equal(model->node.kube_proxy, KUBE_PROXY_BESIDE);
	assert_int_equal(model->n_workloads, 2);
	assert_string_equal(frontend->name, "frontend");
	assert_string_equal(frontend->cgroup, "/system.slice/a\\x2db.service");
	assert_int_equal(frontend->n_addresses, 0);
	assert_int_equal(frontend->labels.n, 2);
	assert_string_equal(frontend->labels.items[1].key, "example.org/tier");
	assert_string_equal(frontend->labels.items[1].value, "");
	assert_null(db->cgroup);
	assert_int_equal(db->n_addresses, 2);
	assert_address(&db->addresses[1].address, "fd00::7");
}

static void test_all_service_keys(void **unused UNUSED)
{
	_cleanup_model_ struct model *model = load_valid(all_keys);
	const struct model_service *web = &model->services[0];

	assert_int_equal(model->n_services, 3);
	assert_string_equal(web->name, "web/front_end-1.x");
	assert_int_equal(web->n_addresses, 2);
	assert_address(&web->addresses[0], "10.96.0.10");
	assert_address(&web->addresses[1], "fd00::10");
	assert_int_equal(web->address_places[1].line, 9);
	assert_int_equal(web->address_places[1].column, 28);
	assert_int_equal(web->balance, SST_BALANCE_ROUND_ROBIN);
	assert_int_equal(web->affinity_s, 3 * 3600);
	assert_int_equal(web->splice, SST_SPLICE_OFF);
	assert_int_equal(web->on_remove, SST_ON_REMOVE_RESET);
	assert_int_equal(web->n_ports, 2);
	assert_string_equal(web->ports[1].name, "dns");
	assert_int_equal(web->ports[1].protocol, IPPROTO_UDP);
}

static void assert_endpoint(const struct model_endpoint *endpoint, const char *address,
			    unsigned port, unsigned weight)
{
	assert_address(&endpoint->address, address);
	assert_int_equal(endpoint->port, port);
	assert_int_equal(endpoint->weight, weight);
}

/* Sorted by address and port, one copy for each port of the service. */
static void test_endpoints(void **unused UNUSED)
{
	_cleanup_model_ struct model *model = load_valid(all_keys);
	const struct model_port *http = &model->services[0].ports[0];
	const struct model_port *dns = &model->services[0].ports[1];
	const struct model_port *one = model->services[1].ports;
	const struct model_port *named = model->services[2].ports;

	assert_int_equal(http->n_endpoints, 3);
	assert_endpoint(&http->endpoints[0], "10.1.0.2", 8081, 3);
	assert_endpoint(&http->endpoints[1], "10.1.0.9", 8080, 1);
	assert_endpoint(&http->endpoints[2], "fd00::2", 8080, 1000);
	assert_false(http->endpoints[1].ready);
	assert_true(http->endpoints[1].draining);
	assert_string_equal(http->endpoints[2].zone, "b");
	assert_int_equal(http->endpoints[0].place.line, 20);
	assert_endpoint(&dns->endpoints[0], "10.1.0.2", 5353, 3);
	assert_endpoint(&dns->endpoints[2], "fd00::2", 53, 1000);
	assert_string_equal(dns->endpoints[2].zone, "b");
	assert_endpoint(&one->endpoints[0], "10.1.0.2", 1, 1);
	assert_endpoint(&one->endpoints[1], "10.1.0.2", 65535, 1);
	assert_endpoint(&named->endpoints[0], "10.1.0.2", 2, 1);
	assert_endpoint(&named->endpoints[1], "10.1.0.2", 3, 1);
}

#define SERVICE_WITH(option)                                                                    \
	"services:\n"                                                                           \
	"  - { name: web, address: 10.0.0.1, port: 80, endpoints: [ { address: 10.1.0.1 } ],\n" \
	"      " option " }\n"

static void test_affinity(void **unused UNUSED)
{
	static const struct {
		const char *yaml;
		uint32_t seconds;
	} cases[] = {
		{ SERVICE_WITH("affinity: 1"), 1 },
		{ SERVICE_WITH("affinity: 10800"), 10800 },
		{ SERVICE_WITH("affinity: 30s"), 30 },
		{ SERVICE_WITH("affinity: 10m"), 600 },
		{ SERVICE_WITH("affinity: 168h"), 604800 },
		{ SERVICE_WITH("affinity: 604800"), 604800 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_model_ struct model *model = load_valid(cases[i].yaml);

		assert_int_equal(model->services->affinity_s, cases[i].seconds);
	}
}

/* off and on are booleans in YAML 1.1; here they are words, quoted or not. */
static void test_splice_words(void **unused UNUSED)
{
	static const struct {
		const char *yaml;
		enum sst_splice splice;
	} cases[] = {
		{ SERVICE_WITH("splice: off"), SST_SPLICE_OFF },
		{ SERVICE_WITH("splice: 'off'"), SST_SPLICE_OFF },
		{ SERVICE_WITH("splice: auto"), SST_SPLICE_AUTO },
		{ SERVICE_WITH("splice: on"), SST_SPLICE_ON },
		{ SERVICE_WITH("splice: \"on\""), SST_SPLICE_ON },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_model_ struct model *model = load_valid(cases[i].yaml);

		assert_int_equal(model->services->splice, cases[i].splice);
	}
}

static void test_aliases(void **unused UNUSED)
{
	_cleanup_model_ struct model *model =
		load_valid("services:\n"
			   "  - name: a\n"
			   "    address: 10.0.0.1\n"
			   "    port: 80\n"
			   "    endpoints: &pool [ { address: 10.1.0.1 }, { address: 10.1.0.2 } ]\n"
			   "  - { name: b, address: 10.0.0.2, port: 81, endpoints: *pool }\n");

	assert_int_equal(model->services[1].ports->n_endpoints, 2);
	assert_endpoint(&model->services[1].ports->endpoints[1], "10.1.0.2", 81, 1);
}

/* To remove every service is a wish that can be told; an empty file is not that wish. */
static void test_nothing_to_serve(void **unused UNUSED)
{
	_cleanup_model_ struct model *none = load_valid("services: []\n");
	_cleanup_model_ struct model *node = load_valid("--- { node: { splice: auto } }\n...\n");

	assert_int_equal(none->n_services, 0);
	assert_int_equal(node->n_services, 0);
}

/* Not as a file: root takes none of another user, and the checkout may be one's. */
static struct model *load_example(const char *path)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	char text[1 << 14] = "";

	assert_non_null(file);
	assert_in_range(fread(text, 1, sizeof(text), file), 1, sizeof(text) - 1);
	return load_valid(text);
}

static void test_examples(void **unused UNUSED)
{
	_cleanup_model_ struct model *model = load_example("deploy/sidestep.yaml");
	_cleanup_model_ struct model *policy = load_example("deploy/policy.yaml");

	assert_true(model->n_services > 0);
	assert_true(model->n_workloads > 0);
	assert_true(model->n_namespaces > 0);
	assert_true(model->n_policies > 0);
	assert_int_equal(policy->n_workloads, 3);
	assert_int_equal(policy->n_policies, 5);
}

#define MANY_SERVICES  100
#define MANY_ENDPOINTS 1000

static void test_100000_endpoints(void **unused UNUSED)
{
	_cleanup_text_ struct text yaml = { 0 };
	_cleanup_model_ struct model *model = NULL;

	text_add(&yaml, "services:\n");
	for (unsigned i = 0; i < MANY_SERVICES; i++) {
		text_add(&yaml, "- name: s%u\n  address: 10.96.%u.1\n  port: 80\n  endpoints:\n", i,
			 i);
		for (unsigned j = 0; j < MANY_ENDPOINTS; j++)
			text_add(&yaml, "  - { address: 10.%u.%u.%u, weight: %u }\n", 1 + i,
				 j / 250, j % 250, 1 + j % 7);
	}
	model = load_valid(text_string(&yaml));
	assert_int_equal(model->n_services, MANY_SERVICES);
	assert_int_equal(model->services[99].ports->n_endpoints, MANY_ENDPOINTS);
}

/* ---- what is refused --------------------------------------------------------------- */

static void test_syntax(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ "", " found an empty file, expected a configuration" },
		{ "# only a comment\n", " found an empty file, expected a configuration" },
		{ "---\n", " found an empty file, expected a configuration" },
		{ "---\n[]\n", "2:1: found a list, expected a mapping (the configuration)" },
		{ "services: []\n---\nservices: []\n",
		  "3:1: found a second configuration of the node, the first is at line 1" },
		{ "services:\n  - { name: web\n",
		  "3:1: not valid YAML: did not find expected ',' or '}' "
		  "(while parsing a flow mapping at line 2)" },
		{ "services: []\n\tnode: {}\n",
		  "2:1: not valid YAML: found character that cannot start any token "
		  "(while scanning for the next token at line 2)" },
		{ "node: {}\nservices: []\n nodes: {}\n",
		  "3:2: not valid YAML: did not find expected key "
		  "(while parsing a block mapping at line 1)" },
		{ "node: *nobody\n", "1:7: not valid YAML: found undefined alias" },
		{ "node: &a {}\nservices: &a []\n",
		  "2:11: not valid YAML: second occurrence "
		  "(found duplicate anchor; first occurrence at line 1)" },
		{ "node: &a {}\n---\nservices: *a\n",
		  "3:11: not valid YAML: found undefined alias" },
		{ "node: {}\n# \xff\n", "2:3: not valid YAML: invalid leading UTF-8 octet" },
		{ "node: {}\n# \x01\n", "2:3: not valid YAML: control characters are not allowed" },
		{ "services: []\n---\n]\n",
		  "3:1: not valid YAML: did not find expected node content "
		  "(while parsing a block node at line 3)" },
	};

	CHECK_REFUSALS(refusals);
}

static void test_structure(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ "[]\n", "1:1: found a list, expected a mapping (the configuration)" },
		{ "node:\n", "1:6: found nothing, expected a mapping (the node)" },
		{ "node: auto\n", "1:7: found 'auto', expected a mapping (the node)" },
		{ "services: { web: {} }\n", "1:11: found a mapping, expected a list of services" },
		{ "services: ~\n", "1:11: found nothing, expected a list of services" },
		{ "services: [ web ]\n", "1:13: found 'web', expected a mapping (a service)" },
		{ "workloads: x\n", "1:12: found 'x', expected a list of workloads" },
		{ "workloads: [ [] ]\n", "1:14: found a list, expected a mapping (a workload)" },
		{ "node: {}\nservices: []\nnode: {}\n",
		  "3:1: key 'node' is given twice, first at line 1" },
		{ "workloads:\n- name: a\n  cgroup: /a\n"
		  "  labels: { a: x, b: x, c: x, d: x, e: x, f: x, g: x, h: x,\n    i: x, b: y }\n",
		  "5:11: key 'b' is given twice, first at line 4" },
		{ "node: { \"a\\e[1mb\": 1, \"a\\e[1mb\": 2 }\n",
		  "1:23: key 'a?[1mb' is given twice, first at line 1\n"
		  "1:9: unknown key 'a?[1mb' in the node, expected one of: name, fail, splice, "
		  "kube-proxy, policy, "
		  "telemetry\n"
		  "1:23: unknown key 'a?[1mb' in the node, expected one of: name, fail, splice, "
		  "kube-proxy, policy, "
		  "telemetry" },
		{ "? [ a ]\n: b\n", "1:3: found a list, expected text as a key" },
		{ "node: { fail: !!str open }\n", "" },
		{ "node: { fail: !word open }\n", "1:15: found a tag, expected a value without" },
		{ "node: !!set { fail: open }\n", "1:7: found a tag, expected a value without" },
		{ "node: { fail: \"open\\0\" }\n", "1:15: found a NUL character, expected text" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		if (*refusals[i].problems)
			check_refusals(&refusals[i], 1);
		else
			model_free(load_valid(refusals[i].yaml));
	}
}

static void test_endless(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ "services: &a [ *a ]\n", "1:11: found a value that holds an alias of itself" },
		{ "&a node: &b { fail: { x: *b }, splice: *a }\n",
		  "1:10: found a value that holds an alias of itself" },
		{ "node: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n",
		  "1:38: found a value nested deeper than 32 levels" },
		/* Ten times ten times ... */
		{ "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
		  "b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
		  "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
		  "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
		  "e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n"
		  "f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n"
		  "g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f,*f]\n",
		  " found more than 10000000 values with aliases followed, "
		  "expected at most that many" },
	};

	CHECK_REFUSALS(refusals);
}

/* These take a moment; libyaml alone would take hours. */
static void test_abyss(void **unused UNUSED)
{
	_cleanup_text_ struct text yaml = { 0 };
	_cleanup_text_ struct text told = { 0 };

	text_add_repeated(&yaml, '[', 1 << 22);
	told = load_refused(text_string(&yaml));
	assert_string_equal(text_string(&told), "1:33: found a value nested deeper than 32 levels");
}

static void test_anchors(void **unused UNUSED)
{
	_cleanup_text_ struct text yaml = { 0 };
	_cleanup_text_ struct text told = { 0 };

	text_add(&yaml, "services:\n");
	for (unsigned i = 0; i < 1000000; i++)
		text_add(&yaml, "- &a%u x\n", i);
	told = load_refused(text_string(&yaml));
	assert_string_equal(text_string(&told), "10002:3: found more than 10000 anchors");
}

static void test_unknown_keys(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ "service: []\n",
		  "1:1: unknown key 'service' in the configuration, did you mean 'services'?" },
		{ "version: 1\n",
		  "1:1: unknown key 'version' in the configuration, "
		  "expected one of: node, namespaces, workloads, services, policies" },
		{ "node: { splices: auto }\n",
		  "1:9: unknown key 'splices' in the node, did you mean 'splice'?" },
		{ SERVICE_WITH("endpoint: []"),
		  "3:7: unknown key 'endpoint' in a service, did you mean 'endpoints'?" },
		{ SERVICE_WITH("onRemove: keep"),
		  "3:7: unknown key 'onRemove' in a service, did you mean 'on-remove'?" },
		{ SERVICE_WITH("sessionAffinity: ClientIP"),
		  "3:7: unknown key 'sessionAffinity' in a service, expected one of: name, "
		  "address, ports, port, target, protocol, balance, affinity, splice, "
		  "on-remove, endpoints" },
		{ SERVICE_WITH("<<: {}"),
		  "3:7: unknown key '<<' in a service, expected one of: name, "
		  "address, ports, port, target, protocol, balance, affinity, splice, "
		  "on-remove, endpoints" },
		{ "services: [ { name: a, address: 10.0.0.1, ports: [ { prot: 80, port: 80 } ],\n"
		  "endpoints: [ { address: 10.1.0.1, wieght: 1 } ] } ]\n",
		  "1:54: unknown key 'prot' in a port, did you mean 'port'?\n"
		  "2:35: unknown key 'wieght' in an endpoint, did you mean 'weight'?" },
		{ "workloads: [ { name: a, address: 10.0.0.1 } ]\n",
		  "1:25: unknown key 'address' in a workload, did you mean 'addresses'?" },
		{ "a-key-that-is-far-too-long-to-be-shown-as-a-whole: 1\n",
		  "1:1: unknown key 'a-key-that-is-far-too-long-to-be-shown-a...' in the "
		  "configuration, expected one of: node, namespaces, workloads, services, policies" },
	};

	CHECK_REFUSALS(refusals);
}

static void test_words(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ "node: { fail: Open }\n", "1:15: found 'Open', expected open or closed" },
		{ "node: { kube-proxy: off }\n", "1:21: found 'off', expected beside or replaced" },
		{ "node: { splice: true }\n", "1:17: found 'true', expected off, auto or on" },
		{ "node: { splice: }\n", "1:17: found nothing, expected off, auto or on" },
		{ SERVICE_WITH("splice: [ on ]"), "3:15: found a list, expected off, auto or on" },
		{ SERVICE_WITH("balance: least-connections"),
		  "3:16: found 'least-connections', expected random or round-robin" },
		{ SERVICE_WITH("on-remove: drop"), "3:18: found 'drop', expected keep or reset" },
		{ SERVICE_WITH("protocol: tcp"), "3:17: found 'tcp', expected TCP or UDP" },
		{ SERVICE_WITH("protocol: SCTP"), "3:17: found 'SCTP', expected TCP or UDP" },
	};

	CHECK_REFUSALS(refusals);
}

#define AFFINITY_EXPECTED "expected a duration from 1 to 604800 seconds, like 90, 30s, 10m or 3h"

static void test_numbers(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ SERVICE_WITH("target: 0"), "3:15: found '0', expected a port from 1 to 65535" },
		{ SERVICE_WITH("target: 65536"),
		  "3:15: found '65536', expected a port from 1 to 65535" },
		{ SERVICE_WITH("target: 18446744073709551696"),
		  "3:15: found '18446744073709551696', expected a port from 1 to 65535" },
		{ SERVICE_WITH("target: -1"), "3:15: found '-1', expected a port from 1 to 65535" },
		{ SERVICE_WITH("target: +80"),
		  "3:15: found '+80', expected a port from 1 to 65535" },
		{ SERVICE_WITH("target: 0x50"),
		  "3:15: found '0x50', expected a port from 1 to 65535" },
		{ SERVICE_WITH("target: 080"),
		  "3:15: found '080', expected a port from 1 to 65535" },
		{ SERVICE_WITH("target: ' 80'"),
		  "3:15: found ' 80', expected a port from 1 to 65535" },
		{ SERVICE_WITH("target: 80tcp"),
		  "3:15: found '80tcp', expected a port from 1 to 65535" },
		{ SERVICE_WITH("target: http"),
		  "3:15: found 'http', expected a port from 1 to 65535" },
		{ SERVICE_WITH("target: null"), "3:15: found nothing, expected a port" },
		{ SERVICE_WITH("target: ''"), "3:15: found '', expected a port from 1 to 65535" },
		{ SERVICE_WITH("affinity: 0"), "3:17: found '0', " AFFINITY_EXPECTED },
		{ SERVICE_WITH("affinity: 604801"), "3:17: found '604801', " AFFINITY_EXPECTED },
		{ SERVICE_WITH("affinity: 169h"), "3:17: found '169h', " AFFINITY_EXPECTED },
		{ SERVICE_WITH("affinity: 99999999999999999999h"),
		  "3:17: found '99999999999999999999h', " AFFINITY_EXPECTED },
		{ SERVICE_WITH("affinity: 1d"), "3:17: found '1d', " AFFINITY_EXPECTED },
		{ SERVICE_WITH("affinity: 1.5h"), "3:17: found '1.5h', " AFFINITY_EXPECTED },
		{ SERVICE_WITH("affinity: h"), "3:17: found 'h', " AFFINITY_EXPECTED },
	};

	CHECK_REFUSALS(refusals);
}

#define NAMED(name)                                                                          \
	"services: [ { address: 10.0.0.1, port: 80, endpoints: [ { address: 10.1.0.1 } ],\n" \
	"  name: " name " } ]\n"

static void test_names(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ NAMED("we b"),
		  "2:9: found 'we b', " NAME_EXPECTED("a service name", "1", "127") },
		{ NAMED("''"), "2:9: found '', " NAME_EXPECTED("a service name", "1", "127") },
		{ NAMED("~"), "2:9: found nothing, expected a service name" },
		{ NAMED("b\xc3\xa4r"),
		  "2:9: found 'b??r', " NAME_EXPECTED("a service name", "1", "127") },
		{ NAMED(NAME_127 "a"), "2:9: found '" TEN TEN TEN TEN
				       "...', " NAME_EXPECTED("a service name", "1", "127") },
		{ "workloads: [ { name: {}, cgroup: /a } ]\n",
		  "1:22: found a mapping, expected a workload name" },
		{ "workloads: [ { name: a, cgroup: /a, labels: [ x ] } ]\n",
		  "1:45: found a list, expected a mapping (labels)" },
		{ "workloads: [ { name: a, cgroup: /a, labels: { x: , y: 1 } } ]\n",
		  "1:50: found nothing, expected a label's value" },
	};
	_cleanup_model_ struct model *longest = load_valid(NAMED(NAME_127));

	assert_string_equal(longest->services->name, NAME_127);
	CHECK_REFUSALS(refusals);
}

#define CGROUP(path) "workloads: [ { name: a, cgroup: " path " } ]\n"
#define CGROUP_REFUSED(path) \
	"1:33: found " path ", expected a path below the cgroup2 root, like /system.slice/x.service"

static void test_cgroups(void **unused UNUSED)
{
	static const char *const good[] = {
		CGROUP("/a"),
		CGROUP("/.a/..b/..."),
		CGROUP("/sys/fs/cgroups/a"),
		CGROUP("/user.slice/user@1000.service/x y"),
	};
	static const struct refusal refusals[] = {
		{ CGROUP("/"), CGROUP_REFUSED("'/'") },
		{ CGROUP("a/b"), CGROUP_REFUSED("'a/b'") },
		{ CGROUP("/a/"), CGROUP_REFUSED("'/a/'") },
		{ CGROUP("/a//b"), CGROUP_REFUSED("'/a//b'") },
		{ CGROUP("/a/./b"), CGROUP_REFUSED("'/a/./b'") },
		{ CGROUP("/../a"), CGROUP_REFUSED("'/../a'") },
		{ CGROUP("/a/.."), CGROUP_REFUSED("'/a/..'") },
		{ CGROUP("\"/a\\n\""), CGROUP_REFUSED("'/a?'") },
		{ CGROUP("''"), CGROUP_REFUSED("''") },
		{ CGROUP("[]"), CGROUP_REFUSED("a list") },
		{ CGROUP("/sys/fs/cgroup/a"),
		  CGROUP_REFUSED("'/sys/fs/cgroup/a'") ": without what it is mounted at, as in "
						       "/proc/PID/cgroup" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		model_free(load_valid(good[i]));
	CHECK_REFUSALS(refusals);
}

#define ADDRESS(text)                           \
	"services: [ { name: a, address: " text \
	", port: 80, endpoints: [ { address: 10.1.0.1 } ] } ]\n"

static void test_addresses(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ ADDRESS("web.example"),
		  "1:33: found 'web.example', expected an IPv4 or IPv6 address" },
		{ ADDRESS("10.0.0.1/24"),
		  "1:33: found '10.0.0.1/24', expected an IPv4 or IPv6 address" },
		{ ADDRESS("10.0.0.01"),
		  "1:33: found '10.0.0.01', expected an IPv4 or IPv6 address" },
		{ ADDRESS("'fe80::1%eth0'"),
		  "1:33: found 'fe80::1%eth0', expected an IPv4 or IPv6 address without zone id" },
		{ ADDRESS("[ 10.0.0.1, [ 10.0.0.2 ] ]"),
		  "1:45: found a list, expected an IPv4 or IPv6 address" },
		{ ADDRESS("[]"), "1:33: found 0 addresses, expected 1 to 256" },
		{ ADDRESS(""), "1:33: found nothing, expected an IPv4 or IPv6 address" },
		{ ADDRESS("{}"), "1:33: found a mapping, expected an IPv4 or IPv6 address" },
		{ "workloads: [ { name: a, addresses: 10.0.0.1 } ]\n",
		  "1:36: found '10.0.0.1', expected a list of addresses" },
		{ "workloads: [ { name: a, addresses: [] } ]\n",
		  "1:36: found 0 addresses, expected 1 to 256" },
	};

	CHECK_REFUSALS(refusals);
}

#define PORTS(ports)                                                                              \
	"services: [ { name: a, address: 10.0.0.1, endpoints: [ { address: 10.1.0.1 } ],\n" ports \
	" } ]\n"

static void test_ports(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ PORTS("balance: random"),
		  "1:13: found a service without 'port' and 'ports', expected one of them" },
		{ PORTS("port: 1, ports: []"),
		  "2:7: found 'port' and 'ports' in a service, expected one of them" },
		{ PORTS("ports: []"), "2:8: found 0 ports, expected 1 to 256" },
		{ PORTS("ports: 80"), "2:8: found '80', expected a list of ports" },
		{ PORTS("ports: [ 80 ]"), "2:10: found '80', expected a mapping (a port)" },
		{ PORTS("ports: [ { name: a } ]"),
		  "2:10: found a port without 'port', expected that key" },
		{ PORTS("ports: [ { port: 1 } ], target: 2, protocol: TCP"),
		  "2:33: found 'target' beside 'ports', expected it in the entries\n"
		  "2:46: found 'protocol' beside 'ports', expected it in the entries" },
		{ PORTS("ports: [ { port: 1, name: a b } ]"),
		  "2:27: found 'a b', " NAME_EXPECTED("a port name", "1", "63") },
		{ PORTS("ports: [ { port: 1, name: a }, { port: 2 } ]"),
		  "2:32: port 2 of service 'a' has no name, "
		  "expected names when there are several ports" },
	};

	CHECK_REFUSALS(refusals);
}

#define ENDPOINTS(list) \
	"services: [ { name: a, address: 10.0.0.1, port: 80, endpoints:\n" list " } ]\n"
#define NAMED_PORTS(list)                                                              \
	"services: [ { name: a, address: 10.0.0.1, ports: [ { name: http, port: 80 }," \
	" { name: admin, port: 81 } ], endpoints:\n" list " } ]\n"

static void test_endpoint_refusals(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ "services: [ { name: a, address: 10.0.0.1, port: 80 } ]\n",
		  "1:13: found a service without 'endpoints', expected that key" },
		{ ENDPOINTS("[]"), "2:1: found an empty service, expected at least one endpoint" },
		{ ENDPOINTS("10.1.0.1"), "2:1: found '10.1.0.1', expected a list of endpoints" },
		{ ENDPOINTS("[ 10.1.0.1 ]"),
		  "2:3: found '10.1.0.1', expected a mapping (an endpoint)" },
		{ ENDPOINTS("[ {} ]"),
		  "2:3: found an endpoint without 'address', expected that key" },
		{ ENDPOINTS("[ { address: 10.1.0.1, weight: 1001 } ]"),
		  "2:32: found '1001', expected a weight from 1 to 1000" },
		{ ENDPOINTS("[ { address: 10.1.0.1, weight: 0, ready: yes, draining: 1 } ]"),
		  "2:32: found '0', expected a weight from 1 to 1000\n"
		  "2:42: found 'yes', expected true or false\n"
		  "2:57: found '1', expected true or false" },
		{ ENDPOINTS("[ { address: 10.1.0.1, zone: a b } ]"),
		  "2:30: found 'a b', " NAME_EXPECTED("a zone", "1", "63") },
		{ ENDPOINTS("[ { address: 10.1.0.1, ports: { http: 1 } } ]"),
		  "2:31: found 'ports' in an endpoint, but the service's port has no name, "
		  "expected 'port'" },
		{ NAMED_PORTS("[ { address: 10.1.0.1, port: 1 } ]"),
		  "2:30: found 'port' in an endpoint of a service with several ports, "
		  "expected 'ports'" },
		{ NAMED_PORTS("[ { address: 10.1.0.1, port: 1, ports: { http: 1 } } ]"),
		  "2:30: found 'port' and 'ports' in an endpoint, expected one of them" },
		{ NAMED_PORTS("[ { address: 10.1.0.1, ports: { htp: 1, x: 2 } } ]"),
		  "2:33: unknown key 'htp' in the ports of an endpoint, did you mean 'http'?\n"
		  "2:41: unknown key 'x' in the ports of an endpoint, "
		  "expected one of: http, admin" },
		{ NAMED_PORTS("[ { address: 10.1.0.1, ports: { http: 0 } } ]"),
		  "2:39: found '0', expected a port from 1 to 65535" },
		{ NAMED_PORTS("[ { address: 10.1.0.1, ports: 1 } ]"),
		  "2:31: found '1', expected a mapping (the ports of an endpoint)" },
		{ NAMED_PORTS("[ { address: 10.1.0.1 }, { address: 10.1.0.1 } ]"),
		  "2:26: endpoint 10.1.0.1:80 is listed twice for port 80/TCP of service 'a', "
		  "first at line 2" },
	};

	CHECK_REFUSALS(refusals);
}

static void test_missing_keys(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ "services:\n  - {}\n",
		  "2:5: found a service without 'name', expected that key\n"
		  "2:5: found a service without 'address', expected that key\n"
		  "2:5: found a service without 'port' and 'ports', expected one of them\n"
		  "2:5: found a service without 'endpoints', expected that key" },
		{ "workloads:\n  -\n    cgroup: /a\n",
		  "3:5: found a workload without 'name', expected that key" },
		{ "workloads:\n  - name: a\n",
		  "2:5: workload 'a' has none of 'cgroup', 'cgroup-id', 'netns' and "
		  "'addresses', expected at least one of them" },
	};

	CHECK_REFUSALS(refusals);
}

/* ---- the flow log ---------------------------------------------------------------------- */

#define FLOW_LOG(rest) "node: { telemetry: { flow-log: { " rest " } } }\n"

static void test_flow_log(void **unused UNUSED)
{
	_cleanup_model_ struct model *model =
		load_valid(FLOW_LOG("file: /var/log/x, size: 1MiB, keep: 9, sample: 100,\n"
				    " only: { namespace: [ shop, bar ], port: 80, errors: true }"));
	_cleanup_model_ struct model *plain = load_valid(FLOW_LOG("file: \"-\""));
	_cleanup_model_ struct model *none = load_valid("node: { telemetry: { edges: 5 } }\n");
	const struct model_flow_log *log = &model->node.telemetry.flow_log;

	assert_string_equal(log->file, "/var/log/x");
	assert_int_equal(log->max_size, 1 << 20);
	assert_int_equal(log->keep, 9);
	assert_int_equal(log->sample, 100);
	assert_int_equal(log->only.n, 4);
	assert_int_equal(log->only.keys,
			 1 << FLOW_KEY_NAMESPACE | 1 << FLOW_KEY_PORT | 1 << FLOW_KEY_ERRORS);
	log = &plain->node.telemetry.flow_log;
	assert_string_equal(log->file, "-");
	assert_int_equal(log->max_size, 64 << 20);
	assert_int_equal(log->keep, 4);
	assert_int_equal(log->sample, 1);
	assert_int_equal(log->only.n, 0);
	assert_null(none->node.telemetry.flow_log.file);
}

static void test_flow_log_refused(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ FLOW_LOG("size: 1MiB"),
		  "1:32: found the flow log without 'file', expected that key" },
		{ FLOW_LOG("file: x"),
		  "1:40: found 'x', expected an absolute path, or - for standard output" },
		{ FLOW_LOG("file: /x/"),
		  "1:40: found '/x/', expected an absolute path, or - for standard output" },
		{ FLOW_LOG("file: /x, size: 1KiB"),
		  "1:50: found '1KiB', expected a size from 64KiB to 1024GiB" },
		{ FLOW_LOG("file: /x, size: 2000GiB"),
		  "1:50: found '2000GiB', expected a size from 64KiB to 1024GiB" },
		{ FLOW_LOG("file: /x, keep: 0"),
		  "1:50: found '0', expected a number of files from 1 to 1000" },
		{ FLOW_LOG("file: /x, sample: 0"),
		  "1:52: found '0', expected a number of flows from 1 to 1000000" },
		{ FLOW_LOG("file: /x, only: { port: 0 }"),
		  "1:58: found '0', expected a port from 1 to 65535" },
		{ FLOW_LOG("file: /x, only: { verdict: [ denied, no ] }"),
		  "1:71: found 'no', expected allowed or denied" },
		{ FLOW_LOG("file: /x, only: { errors: false }"),
		  "1:60: found 'false', expected true" },
		{ FLOW_LOG("file: /x, only: { port: [] }"),
		  "1:58: found 0 values, expected 1 to 64" },
		{ FLOW_LOG("file: /x, only: { ports: 1 }"),
		  "1:52: unknown key 'ports' in the flow log's filter, did you mean 'port'?" },
	};

	CHECK_REFUSALS(refusals);
}

/* A service that is broken by itself is not held against others; sound ones are compared. */
static void test_all_at_once(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ "node: { fail: x }\n"
		  "services:\n"
		  "  - { name: a, address: 10.0.0.1, port: 80, endpoints: [ { address: 10.1.0.1 } ] }\n"
		  "  - { name: a, address: x, port: 80, endpoints: [ { address: 10.1.0.1 } ] }\n"
		  "  - { name: c, address: 10.0.0.1, port: 80, endpoints: [ { address: 10.1.0.1 } ] }\n",
		  "1:15: found 'x', expected open or closed\n"
		  "4:25: found 'x', expected an IPv4 or IPv6 address\n"
		  "5:25: 10.0.0.1:80/TCP of service 'c' is already served by service 'a' "
		  "at line 3" },
	};

	CHECK_REFUSALS(refusals);
}

static void test_25_errors(void **unused UNUSED)
{
	_cleanup_problems_ struct problems problems = { 0 };
	_cleanup_text_ struct text yaml = { 0 };
	struct model *model = NULL;

	text_add(&yaml, "node:\n");
	for (int i = 0; i < 25; i++)
		text_add(&yaml, "  wrong-%c: 1\n", 'a' + i);
	assert_int_equal(load(text_string(&yaml), &problems, &model), -EINVAL);
	assert_null(model);
	assert_int_equal(problems.count, 20);
	assert_int_equal(problems.more, 5);
	assert_string_equal(problems.text[19],
			    "t.yaml:21:3: unknown key 'wrong-t' in the node, "
			    "expected one of: name, fail, splice, kube-proxy, policy, telemetry");
}

/* The second would not fit, though the text is short: aliases are counted as what they are. */
static void test_too_many_endpoints(void **unused UNUSED)
{
	_cleanup_text_ struct text yaml = { 0 };
	_cleanup_text_ struct text told = { 0 };

	text_add(&yaml, "services:\n- name: a\n  address: 10.0.0.1\n  ports:\n");
	for (int i = 1; i <= 200; i++)
		text_add(&yaml, "  - { name: p%d, port: %d }\n", i, i);
	text_add(&yaml, "  endpoints:\n");
	for (int i = 0; i < 5001; i++)
		text_add(&yaml, "  - { address: 10.1.%d.%d }\n", i / 250, i % 250);
	told = load_refused(text_string(&yaml));
	assert_string_equal(text_string(&told),
			    "206:3: found more than 1000000 endpoints (counted for each port) "
			    "in the file, expected at most that many");
}

/* ---- files --------------------------------------------------------------------------- */

static void test_missing_file(void **unused UNUSED)
{
	_cleanup_problems_ struct problems problems = { 0 };
	struct model *model = NULL;

	assert_int_equal(yaml_load_file("no/such.yaml", &problems, &model), -ENOENT);
	assert_null(model);
	assert_int_equal(problems.count, 1);
	assert_string_equal(problems.text[0],
			    "no/such.yaml: cannot read: No such file or directory");
}

static void test_directory(void **unused UNUSED)
{
	_cleanup_problems_ struct problems problems = { 0 };
	struct model *model = NULL;

	assert_int_equal(yaml_load_file("/", &problems, &model), -EISDIR);
	assert_string_equal(problems.text[0], "/: cannot read: Is a directory");
}

static void test_huge_file(void **unused UNUSED)
{
	_cleanup_problems_ struct problems problems = { 0 };
	struct model *model = NULL;

	assert_int_equal(yaml_load_file("/dev/zero", &problems, &model), -EINVAL);
	assert_null(model);
	assert_string_equal(problems.text[0],
			    "/dev/zero: found more than 64 MiB, expected at most that much");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_all_workload_keys),
		cmocka_unit_test(test_all_service_keys),
		cmocka_unit_test(test_endpoints),
		cmocka_unit_test(test_affinity),
		cmocka_unit_test(test_splice_words),
		cmocka_unit_test(test_aliases),
		cmocka_unit_test(test_nothing_to_serve),
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_100000_endpoints),
		cmocka_unit_test(test_syntax),
		cmocka_unit_test(test_structure),
		cmocka_unit_test(test_endless),
		cmocka_unit_test(test_abyss),
		cmocka_unit_test(test_anchors),
		cmocka_unit_test(test_unknown_keys),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_cgroups),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_endpoint_refusals),
		cmocka_unit_test(test_missing_keys),
		cmocka_unit_test(test_flow_log),
		cmocka_unit_test(test_flow_log_refused),
		cmocka_unit_test(test_all_at_once),
		cmocka_unit_test(test_25_errors),
		cmocka_unit_test(test_too_many_endpoints),
		cmocka_unit_test(test_missing_file),
		cmocka_unit_test(test_directory),
		cmocka_unit_test(test_huge_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
