/* SPDX-License-Identifier: Apache-2.0 */
/* model_validate() on models built by hand, as another source than YAML would build them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/address.h"
#include "core/cleanup.h"
#include "core/seen.h"
#include "core/text.h"
#include "model/model.h"

#define UNUSED __attribute__((unused))

/* Room for one more: *array has n elements. Returns the new one, zeroed. */
#define GROW(array, n)                                                    \
	({                                                                \
		(array) = reallocarray(array, (n) + 1, sizeof(*(array))); \
		assert_non_null(array);                                   \
		memset(&(array)[n], 0, sizeof(*(array)));                 \
		&(array)[(n)++];                                          \
	})

static struct sst_addr address(const char *text)
{
	struct sst_addr ret;

	assert_int_equal(address_parse(text, &ret), 0);
	return ret;
}

static struct model *new_model(void)
{
	struct model *model = model_new("test");

	assert_non_null(model);
	return model;
}

/* Places are invented: a service's line is its number. */
static struct model_service *add_service(struct model *model, const char *name)
{
	struct model_service *service = GROW(model->services, model->n_services);

	service->name = strdup(name);
	service->place = (struct place){ model->n_services, 1 };
	return service;
}

static void add_address(struct model_service *service, const char *text)
{
	struct place place = { service->place.line, 10 + service->n_addresses };
	size_t n_places = service->n_addresses;

	*GROW(service->addresses, service->n_addresses) = address(text);
	*GROW(service->address_places, n_places) = place;
}

static struct model_port *add_port(struct model_service *service, const char *name, uint16_t number,
				   uint8_t protocol)
{
	struct model_port *port = GROW(service->ports, service->n_ports);

	port->name = strdup(name);
	port->port = number;
	port->protocol = protocol;
	port->place = (struct place){ service->place.line, 20 + service->n_ports };
	return port;
}

static struct model_endpoint *add_endpoint(struct model_port *port, const char *text,
					   uint16_t number)
{
	struct model_endpoint *endpoint = GROW(port->endpoints, port->n_endpoints);

	endpoint->address = address(text);
	endpoint->port = number;
	endpoint->weight = 1;
	endpoint->ready = true;
	endpoint->place = (struct place){ port->place.line, 30 + port->n_endpoints };
	return endpoint;
}

/* A sound service with one unnamed port. */
static struct model_service *add_simple(struct model *model, const char *name, const char *text)
{
	struct model_service *service = add_service(model, name);

	add_address(service, text);
	add_endpoint(add_port(service, "", 80, IPPROTO_TCP), "10.1.0.1", 80);
	return service;
}

static struct model_cidr prefix(const char *text, struct place place)
{
	struct model_cidr ret = { .place = place };

	assert_int_equal(address_parse_prefix(text, &ret.address, &ret.bits), 0);
	return ret;
}

static void add_prefix(struct model_workload *workload, const char *text)
{
	struct place place = { workload->place.line, 10 + workload->n_addresses };

	*GROW(workload->addresses, workload->n_addresses) = prefix(text, place);
}

static struct model_workload *add_workload(struct model *model, const char *name,
					   const char *cgroup, const char *text)
{
	struct model_workload *workload = GROW(model->workloads, model->n_workloads);

	workload->name = strdup(name);
	workload->name_space = strdup(MODEL_DEFAULT_NAMESPACE);
	workload->cgroup = cgroup ? strdup(cgroup) : NULL;
	workload->place = (struct place){ model->n_workloads, 1 };
	if (text)
		add_prefix(workload, text);
	return workload;
}

/* expected: a line for each problem, "" for a sound model. */
static void check(const struct model *model, const char *expected)
{
	_cleanup_problems_ struct problems problems = { 0 };
	_cleanup_text_ struct text text = { 0 };
	int r = model_validate(model, &problems);

	for (unsigned i = 0; i < problems.count; i++)
		text_add(&text, "%s%s", i ? "\n" : "", problems.text[i]);
	assert_string_equal(text_string(&text), expected);
	assert_int_equal(r, *expected ? -EINVAL : 0);
}

static void test_empty(void **unused UNUSED)
{
	_cleanup_model_ struct model *model = new_model();

	assert_int_equal(model->node.splice, SST_SPLICE_AUTO);
	assert_false(model->node.fail_closed);
	assert_string_equal(model->source, "test");
	check(model, "");
	model_free(NULL);
}

static void test_sound(void **unused UNUSED)
{
	_cleanup_model_ struct model *model = new_model();
	struct model_service *web = add_service(model, "web");
	struct model_port *port;

	add_address(web, "10.96.0.10");
	/* No endpoint of this family: its connections are refused, which is allowed. */
	add_address(web, "fd00::10");
	port = add_port(web, "http", 80, IPPROTO_TCP);
	add_endpoint(port, "10.1.0.1", 80);
	add_endpoint(port, "10.1.0.1", 81);
	add_endpoint(port, "10.1.0.2", 80);
	/* The same number for another protocol, the same endpoint for another port. */
	add_endpoint(add_port(web, "quic", 80, IPPROTO_UDP), "10.1.0.1", 80);
	/* The same port elsewhere, the same endpoint for another service. */
	add_simple(model, "web2", "10.96.0.11");
	/* A name of both kinds. */
	add_workload(model, "web", "/web", "10.1.0.1");
	add_workload(model, "web2", "/web/2", NULL);
	check(model, "");
}

static void test_service_names(void **unused UNUSED)
{
	_cleanup_model_ struct model *model = new_model();

	add_simple(model, "web", "10.96.0.10");
	add_simple(model, "Web", "10.96.0.11");
	add_simple(model, "web", "10.96.0.12");
	check(model, "test:3:1: service name 'web' is used twice, first at line 1");
}

/* A source that knows no lines gets sentences without. */
static void test_no_places(void **unused UNUSED)
{
	_cleanup_model_ struct model *model = new_model();

	add_simple(model, "web", "10.96.0.10")->place = (struct place){ 0 };
	add_simple(model, "web", "10.96.0.11")->place = (struct place){ 0 };
	check(model, "test: service name 'web' is used twice, first");
}

static void test_service_addresses(void **unused UNUSED)
{
	_cleanup_model_ struct model *model = new_model();
	struct model_service *service = add_simple(model, "web", "10.96.0.10");

	add_address(service, "0.0.0.0");
	add_address(service, "224.0.0.1");
	add_address(service, "255.255.255.255");
	add_address(service, "::");
	add_address(service, "ff02::1");
	add_address(service, "10.96.0.10");
	check(model,
	      "test:1:11: service address 0.0.0.0 is unspecified, expected a unicast address\n"
	      "test:1:12: service address 224.0.0.1 is a multicast address, "
	      "expected a unicast address\n"
	      "test:1:13: service address 255.255.255.255 is the broadcast address, "
	      "expected a unicast address\n"
	      "test:1:14: service address :: is unspecified, expected a unicast address\n"
	      "test:1:15: service address ff02::1 is a multicast address, "
	      "expected a unicast address\n"
	      "test:1:16: address 10.96.0.10 is listed twice in service 'web'");
}

static void test_frontends(void **unused UNUSED)
{
	_cleanup_model_ struct model *model = new_model();
	struct model_service *b;

	add_simple(model, "a", "10.96.0.10");
	b = add_service(model, "b");
	add_address(b, "10.96.0.11");
	add_address(b, "10.96.0.10");
	add_endpoint(add_port(b, "x", 81, IPPROTO_TCP), "10.1.0.1", 80);
	add_endpoint(add_port(b, "y", 80, IPPROTO_UDP), "10.1.0.1", 80);
	add_endpoint(add_port(b, "z", 80, IPPROTO_TCP), "10.1.0.1", 80);
	check(model, "test:2:11: 10.96.0.10:80/TCP of service 'b' is already served by service 'a' "
		     "at line 1");
}

static void add_node_port(struct model_service *service, const char *text, uint16_t port)
{
	GROW(service->node_addresses, service->n_node_addresses)->address = address(text);
	service->ports->node_port = port;
}

static void test_node_ports(void **unused UNUSED)
{
	_cleanup_model_ struct model *model = new_model();
	struct model_service *b;

	add_node_port(add_simple(model, "a", "10.96.0.10"), "192.0.2.1", 30080);
	b = add_simple(model, "b", "10.96.0.11");
	add_node_port(b, "192.0.2.1", 30081);
	/* a family that only the node's address has */
	add_node_port(b, "2001:db8::1", 30081);
	add_endpoint(b->ports, "fd00::1", 80);
	check(model, "");
	b->ports->node_port = 80;
	add_address(b, "192.0.2.1");
	check(model, "test:2:21: node port 192.0.2.1:80/TCP of service 'b' is already another port "
		     "of it");
	b->ports->node_port = 30080;
	check(model, "test:2:21: 192.0.2.1:30080/TCP of service 'b' is already served by service "
		     "'a' at line 1");
}

static void test_ports(void **unused UNUSED)
{
	_cleanup_model_ struct model *model = new_model();
	struct model_service *service = add_service(model, "web");

	add_address(service, "10.96.0.10");
	add_endpoint(add_port(service, "a", 80, IPPROTO_TCP), "10.1.0.1", 80);
	add_endpoint(add_port(service, "a", 80, IPPROTO_UDP), "10.1.0.1", 80);
	add_endpoint(add_port(service, "b", 80, IPPROTO_TCP), "10.1.0.1", 80);
	add_endpoint(add_port(service, "", 81, IPPROTO_TCP), "10.1.0.1", 80);
	check(model, "test:1:22: port name 'a' is used twice in service 'web', first at line 1\n"
		     "test:1:23: port 80/TCP is listed twice in service 'web', first at line 1\n"
		     "test:1:24: port 81 of service 'web' has no name, "
		     "expected names when there are several ports");
}

static void test_endpoints(void **unused UNUSED)
{
	_cleanup_model_ struct model *model = new_model();
	struct model_port *port = add_simple(model, "web", "10.96.0.10")->ports;

	add_endpoint(port, "10.1.0.2", 80);
	add_endpoint(port, "10.1.0.1", 80);
	add_endpoint(port, "0.0.0.0", 80);
	add_endpoint(port, "fd00::1", 80);
	check(model,
	      "test:1:33: endpoint 10.1.0.1:80 is listed twice for port 80/TCP of service 'web', "
	      "first at line 1\n"
	      "test:1:34: endpoint 0.0.0.0 is unspecified, expected a unicast address\n"
	      "test:1:35: endpoint fd00::1 is IPv6, but service 'web' has no such address");
}

static void test_ipv6_service(void **unused UNUSED)
{
	_cleanup_model_ struct model *model = new_model();

	add_simple(model, "web", "fd00::1");
	check(model, "test:1:31: endpoint 10.1.0.1 is IPv4, but service 'web' has no such address");
}

/* Ports share their endpoints: one of them tells. */
static void test_shared_faults(void **unused UNUSED)
{
	_cleanup_model_ struct model *model = new_model();
	struct model_service *service = add_service(model, "web");

	add_address(service, "10.96.0.10");
	add_endpoint(add_port(service, "a", 80, IPPROTO_TCP), "10.1.0.1", 80);
	add_endpoint(add_port(service, "b", 81, IPPROTO_TCP), "fd00::1", 80);
	add_endpoint(add_port(service, "c", 82, IPPROTO_TCP), "fd00::1", 80);
	check(model, "test:1:31: endpoint fd00::1 is IPv6, but service 'web' has no such address");
}

/* n endpoints from 10.x.0.0 on. */
static void add_endpoints(struct model_port *port, unsigned x, unsigned n, uint16_t weight)
{
	for (unsigned i = 0; i < n; i++) {
		char text[ADDRESS_TEXT_MAX];

		snprintf(text, sizeof(text), "10.%u.%u.%u", x, i / 256, i % 256);
		add_endpoint(port, text, 80)->weight = weight;
	}
}

/* Slots: 65 * 1000 + 535 * 1 = 65535. */
static struct model_port *add_widest(struct model *model)
{
	struct model_service *service = add_service(model, "web");
	struct model_port *port;

	add_address(service, "10.96.0.10");
	add_address(service, "fd00::10");
	port = add_port(service, "", 80, IPPROTO_TCP);
	add_endpoints(port, 1, 65, 1000);
	add_endpoints(port, 2, 535, 1);
	return port;
}

static void test_schedule_limit(void **unused UNUSED)
{
	_cleanup_model_ struct model *model = new_model();
	struct model_port *port = add_widest(model);

	check(model, "");
	/* These take no slot of this schedule. */
	add_endpoint(port, "10.3.0.1", 80)->ready = false;
	add_endpoint(port, "10.3.0.2", 80)->draining = true;
	add_endpoint(port, "fd00::1", 80);
	check(model, "");
	add_endpoint(port, "10.3.0.3", 80);
	check(model,
	      "test:1:21: the weights behind port 80/TCP of service 'web' add up to 65536 turns "
	      "(IPv4, common divisor taken out), expected at most 65535");
}

/* 1000 * 1000 would not fit, a thousand equal turns do. */
static void test_schedule_divisor(void **unused UNUSED)
{
	_cleanup_model_ struct model *model = new_model();
	struct model_port *port = add_simple(model, "web", "10.96.0.10")->ports;

	port->endpoints->weight = 500;
	add_endpoints(port, 2, 1000, 1000);
	check(model, "");
	port->endpoints->weight = 999;
	check(model,
	      "test:1:21: the weights behind port 80/TCP of service 'web' add up to 1000999 turns "
	      "(IPv4, common divisor taken out), expected at most 65535");
	port->endpoints->draining = true;
	check(model, "");
}

static void test_workloads(void **unused UNUSED)
{
	_cleanup_model_ struct model *model = new_model();
	struct model_workload *e;

	add_workload(model, "a", "/a", "10.1.0.1");
	add_workload(model, "a", "/b", NULL);
	add_workload(model, "c", NULL, NULL);
	add_workload(model, "d", "/a", "10.1.0.1");
	e = add_workload(model, "e", NULL, "10.1.0.5");
	add_prefix(e, "10.1.0.5");
	add_prefix(e, "::");
	check(model,
	      "test:2:1: workload name 'a' is used twice in namespace 'default', first at line 1\n"
	      "test:3:1: workload 'c' has none of 'cgroup', 'cgroup-id', 'netns' and 'addresses', "
	      "expected at least one of them\n"
	      "test:4:1: cgroup /a of workload 'd' is already that of workload 'a' at line 1\n"
	      "test:4:10: address 10.1.0.1 of workload 'd' is already that of workload 'a' "
	      "at line 1\n"
	      "test:5:11: address 10.1.0.5 is listed twice in workload 'e'\n"
	      "test:5:12: workload address :: is unspecified, expected a unicast address");
}

static void add_policy(struct model *model, const char *name, const char *name_space,
		       enum sst_tier tier)
{
	struct model_policy *policy = GROW(model->policies, model->n_policies);

	policy->name = strdup(name);
	policy->name_space = strdup(name_space);
	policy->tier = tier;
	policy->place = (struct place){ model->n_policies, 1 };
}

/* Completed twice is completed once. */
static void test_namespaces(void **unused UNUSED)
{
	_cleanup_model_ struct model *model = new_model();
	static const char *const names[] = { "default", "shop" };

	add_workload(model, "a", "/a", NULL);
	add_workload(model, "b", "/b", NULL);
	add_policy(model, "p", "shop", SST_TIER_NETWORK);
	add_policy(model, "p", "", SST_TIER_ADMIN);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(model_complete_namespaces(model), 0);
		assert_int_equal(model->n_namespaces, 2);
		for (size_t j = 0; j < ARRAY_SIZE(names); j++) {
			const struct model_namespace *namespace = &model->namespaces[j];

			assert_string_equal(namespace->name, names[j]);
			assert_int_equal(namespace->labels.n, 1);
			assert_string_equal(namespace->labels.items->key, MODEL_NAMESPACE_LABEL);
			assert_string_equal(namespace->labels.items->value, names[j]);
		}
		check(model, "");
	}
}

static void test_policy_names(void **unused UNUSED)
{
	_cleanup_model_ struct model *model = new_model();

	add_policy(model, "p", "shop", SST_TIER_NETWORK);
	add_policy(model, "p", "default", SST_TIER_NETWORK);
	add_policy(model, "p", "", SST_TIER_ADMIN);
	add_policy(model, "p", "", SST_TIER_BASELINE);
	check(model, "");
	add_policy(model, "p", "shop", SST_TIER_NETWORK);
	add_policy(model, "p", "", SST_TIER_BASELINE);
	check(model,
	      "test:5:1: policy name 'p' is used twice in namespace 'shop', first at line 1\n"
	      "test:6:1: policy name 'p' is used twice in the baseline tier, first at line 4");
}

static void test_cidrs(void **unused UNUSED)
{
	static const struct {
		const char *cidr;
		const char *address;
		bool held;
	} cases[] = {
		{ "10.0.0.0/8", "10.255.0.1", true },
		{ "10.0.0.0/8", "11.0.0.0", false },
		{ "10.1.2.2/31", "10.1.2.3", true },
		{ "10.1.2.2/31", "10.1.2.4", false },
		{ "10.1.2.3", "10.1.2.3", true },
		{ "10.1.2.3", "10.1.2.2", false },
		{ "0.0.0.0/0", "255.0.0.1", true },
		{ "0.0.0.0/0", "fd00::1", false },
		{ "::/0", "fd00::1", true },
		{ "::/0", "::1", true },
		{ "fd00:8000::/17", "fd00:ffff::", true },
		{ "fd00:8000::/17", "fd00:7fff::", false },
		/* IPv4 is in none of IPv6, though it is written as a part of it */
		{ "::/0", "10.0.0.1", false },
		{ "::/80", "0.0.0.0", false },
		{ "::/80", "::fffe:0:0", true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct model_cidr cidr = prefix(cases[i].cidr, (struct place){ 0 });
		struct sst_addr held = address(cases[i].address);

		assert_int_equal(model_cidr_holds(&cidr, &held), cases[i].held);
	}
}

static void test_seen(void **unused UNUSED)
{
	_cleanup_seen_ struct seen seen = { 0 };
	struct seen_first first = { 0 };

	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(seen_add(&seen, &i, sizeof(i),
					  (struct seen_first){ { i, 0 }, &seen }, &first),
				 0);
	assert_null(first.owner);
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(seen_add(&seen, &i, sizeof(i), (struct seen_first){ 0 }, &first),
				 -EEXIST);
		assert_int_equal(first.place.line, i);
		assert_ptr_equal(first.owner, &seen);
	}
	assert_int_equal(seen_add(&seen, "", 0, (struct seen_first){ 0 }, &first), 0);
	assert_int_equal(seen_add(&seen, "", 0, (struct seen_first){ 0 }, &first), -EEXIST);
	seen_release(&seen);
	assert_int_equal(seen_add(&seen, "", 0, (struct seen_first){ 0 }, &first), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_sound),
		cmocka_unit_test(test_service_names),
		cmocka_unit_test(test_no_places),
		cmocka_unit_test(test_service_addresses),
		cmocka_unit_test(test_frontends),
		cmocka_unit_test(test_node_ports),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_endpoints),
		cmocka_unit_test(test_ipv6_service),
		cmocka_unit_test(test_shared_faults),
		cmocka_unit_test(test_schedule_limit),
		cmocka_unit_test(test_schedule_divisor),
		cmocka_unit_test(test_workloads),
		cmocka_unit_test(test_namespaces),
		cmocka_unit_test(test_policy_names),
		cmocka_unit_test(test_cidrs),
		cmocka_unit_test(test_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
