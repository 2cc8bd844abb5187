/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets of a node at 192.0.2.1 and 2001:db8::1, whose services are those of a node port. */
#include "export_fixture.h"

#include <stdlib.h>

#include "model/shadow.h"

#define OURS  77
#define OTHER 78

static const struct {
	const char *address;
	uint16_t port;
	uint8_t protocol;
	uint32_t service;
	uint64_t netns;
} fronts[] = {
	{ "10.96.0.1", 80, IPPROTO_TCP, 3, 0 },       { "192.0.2.1", 30080, IPPROTO_TCP, 3, 0 },
	{ "127.0.0.1", 30080, IPPROTO_TCP, 3, OURS }, { "127.0.0.1", 30081, IPPROTO_TCP, 3, OTHER },
	{ "2001:db8::1", 30080, IPPROTO_TCP, 4, 0 },  { "192.0.2.1", 53, IPPROTO_UDP, 5, 0 },
};

static int compare_keys(const void *a, const void *b)
{
	return memcmp(&((const struct state_frontend *)a)->key,
		      &((const struct state_frontend *)b)->key, sizeof(struct sst_frontend_key));
}

struct node {
	struct state_frontend frontends[ARRAY_SIZE(fronts)];
	struct state_service services[3];
	struct sst_addr addresses[2];
	struct state state;
	struct model_host host;
};

static void make_node(struct node *node)
{
	*node = (struct node){
		.services = { { .id = 3, .info.name = "shop/web" },
			      { .id = 4, .info.name = "shop/web6" },
			      { .id = 5, .info.name = "dns" } },
		.addresses = { fixture_address("192.0.2.1"), fixture_address("2001:db8::1") },
	};
	for (size_t i = 0; i < ARRAY_SIZE(fronts); i++) {
		node->frontends[i] = fixture_frontend(fronts[i].address, fronts[i].port,
						      fronts[i].protocol, fronts[i].service);
		node->frontends[i].netns = fronts[i].netns;
	}
	qsort(node->frontends, ARRAY_SIZE(fronts), sizeof(*node->frontends), compare_keys);
	node->state = (struct state){ .frontends = node->frontends,
				      .n_frontends = ARRAY_SIZE(fronts),
				      .services = node->services,
				      .n_services = ARRAY_SIZE(node->services) };
	node->host = (struct model_host){ .addresses = node->addresses,
					  .n_addresses = ARRAY_SIZE(node->addresses),
					  .netns = OURS };
}

struct row {
	const char *address;
	uint16_t port;
	uint8_t protocol;
	bool v6_only;
	size_t count;
	unsigned told;
};

static size_t find(const struct node *node, const struct row *row, struct problems *problems)
{
	_cleanup_shadow_sockets_ struct shadow_sockets sockets = {};
	const struct shadow_socket socket = { .address = fixture_address(row->address),
					      .port = row->port,
					      .protocol = row->protocol,
					      .v6_only = row->v6_only };
	size_t count = 99;

	/* two that share their port */
	assert_int_equal(shadow_sockets_add(&sockets, &socket), 0);
	assert_int_equal(shadow_sockets_add(&sockets, &socket), 0);
	assert_int_equal(shadow_find(&node->state, &node->host, &sockets, problems, &count), 0);
	return count;
}

static void test_who_is_in_the_shadow(void **unused UNUSED)
{
	static const struct row rows[] = {
		{ "192.0.2.1", 30080, IPPROTO_TCP, false, 1, 1 },
		{ "127.0.0.1", 30080, IPPROTO_TCP, false, 1, 1 },
		{ "0.0.0.0", 30080, IPPROTO_TCP, false, 2, 1 },
		{ "::", 30080, IPPROTO_TCP, false, 3, 2 },
		{ "::", 30080, IPPROTO_TCP, true, 1, 1 },
		{ "0.0.0.0", 53, IPPROTO_UDP, false, 1, 1 },
		{ "0.0.0.0", 53, IPPROTO_TCP, false, 0, 0 },
		{ "0.0.0.0", 30082, IPPROTO_TCP, false, 0, 0 },
		/* the port of a cluster IP is not the node's, unless somebody binds to just that */
		{ "0.0.0.0", 80, IPPROTO_TCP, false, 0, 0 },
		{ "10.96.0.1", 80, IPPROTO_TCP, false, 1, 1 },
		/* of another namespace's loopback */
		{ "127.0.0.1", 30081, IPPROTO_TCP, false, 0, 0 },
		{ "127.0.0.2", 30080, IPPROTO_TCP, false, 0, 0 },
	};
	struct node node;

	make_node(&node);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_problems_ struct problems problems = {};

		assert_int_equal(find(&node, &rows[i], &problems), rows[i].count);
		assert_int_equal(problems.count, rows[i].told);
	}
}

static void test_what_is_told(void **unused UNUSED)
{
	static const struct row row = { "0.0.0.0", 30080, IPPROTO_TCP };
	_cleanup_problems_ struct problems problems = {};
	struct node node;

	make_node(&node);
	find(&node, &row, &problems);
	assert_string_equal(
		problems.text[0],
		"sidestep: warning: a socket of this node listens at 0.0.0.0:30080/TCP, "
		"where service 'shop/web' is reached: who connects to 127.0.0.1:30080 on "
		"this node gets the service");
}

static void test_nothing_there(void **unused UNUSED)
{
	static const struct row row = { "0.0.0.0", 30080, IPPROTO_TCP };
	_cleanup_problems_ struct problems problems = {};
	struct node node;

	make_node(&node);
	node.state = (struct state){};
	assert_int_equal(find(&node, &row, &problems), 0);
	assert_int_equal(problems.count, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_is_in_the_shadow),
		cmocka_unit_test(test_what_is_told),
		cmocka_unit_test(test_nothing_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
