/* SPDX-License-Identifier: Apache-2.0 */
#include "shop_fixture.h"

#include <errno.h>

#include "export/json.h"
#include "export/show_explain.h"
#include "policy/explain.h"

/* A state with the services of the export fixture, and a policy set. */
struct shop {
	struct fixture f;
	struct policy_set set;
	struct explain explain;
	struct problems problems;
	uint32_t (*listener)(const struct policy_set *set, const struct sst_addr *address,
			     uint16_t port, uint8_t protocol);
};

static int set_up(void **state)
{
	struct shop *shop = calloc(1, sizeof(*shop));

	fixture_init(&shop->f);
	shop->set = shop_set(SHOP, NULL);
	*state = shop;
	return 0;
}

static void forget(struct shop *shop)
{
	explain_release(&shop->explain);
	problems_release(&shop->problems);
}

static int tear_down(void **state)
{
	struct shop *shop = *state;

	forget(shop);
	policy_set_release(&shop->set);
	free(shop);
	return 0;
}

static int ask(struct shop *shop, const char *source, const char *destination, const char *port)
{
	const struct explain_question question = { source, destination, port, shop->listener };

	forget(shop);
	return policy_explain(&shop->set, &shop->f.state, &question, &shop->problems,
			      &shop->explain);
}

/* "shop/db-ingress/from-web allow decides, ..." of the first pair. */
static struct text matches(const struct shop *shop, enum sst_direction direction)
{
	static const char *const parts[] = {
		[EXPLAIN_DECIDES] = "decides",
		[EXPLAIN_PASSES] = "passes",
		[EXPLAIN_SHADOW] = "shadow",
		[EXPLAIN_TOO_LATE] = "late",
	};
	const struct explain_direction *rules = &shop->explain.pairs[0].directions[direction];
	struct text out = {};

	for (size_t i = 0; i < rules->n_matches; i++) {
		const struct sst_policy_info *info =
			policy_info_by_id(&shop->set, rules->matches[i].rule.id);

		text_add(&out, "%s%s/%s %s", i ? ", " : "", policy_text(&shop->set, info->policy),
			 policy_text(&shop->set, info->rule), parts[rules->matches[i].part]);
	}
	return out;
}

#define assert_matches(shop, direction, expected)                            \
	do {                                                                 \
		_cleanup_text_ struct text _text = matches(shop, direction); \
		assert_string_equal(text_string(&_text), expected);          \
	} while (0)

/* Every rule that matches, with the part it plays, whoever decides. */
static void test_order(void **state)
{
	struct shop *shop = *state;

	assert_int_equal(ask(shop, "shop/web", "db@10.1.0.7", "5432"), 0);
	assert_false(shop->explain.denied);
	assert_matches(shop, SST_EGRESS, "default/ decides");
	assert_matches(shop, SST_INGRESS,
		       "db-ingress/from-web decides, db-ingress/isolated late, default/ late");
	assert_int_equal(ask(shop, "world", "db@10.1.0.7", "5432"), 0);
	assert_true(shop->explain.denied);
	assert_matches(shop, SST_EGRESS, "");
	assert_matches(shop, SST_INGRESS,
		       "guard/trust passes, guard/no-world shadow, db-ingress/isolated decides, "
		       "default/ late");
}

/* What a pass skips is too late, though nothing has decided. */
static void test_shadow(void **state)
{
	struct shop *shop = *state;
	const struct explain_pair *pair;

	assert_int_equal(ask(shop, "192.0.2.1", "shop/web", "80"), 0);
	pair = &shop->explain.pairs[0];
	assert_false(pair->denied);
	assert_true(pair->shadow_denied);
	assert_matches(shop, SST_INGRESS, "guard/no-world shadow, default/ decides");
	assert_string_equal(
		policy_text(
			&shop->set,
			policy_info_by_id(&shop->set, pair->directions[SST_INGRESS].decision.shadow)
				->rule),
		"no-world");
}

/* Behind a pass, and behind who decides, nothing plays a part any more. */
static void test_what_comes_too_late(void **state)
{
	struct shop *shop = *state;

	policy_set_release(&shop->set);
	shop->set = shop_set("workloads:\n"
			     "  - { name: a, addresses: [10.1.0.1] }\n"
			     "policies:\n"
			     "  - { name: p, tier: admin, priority: 1, subject: {}, ingress: [\n"
			     "      { name: one, ports: [80], action: pass },\n"
			     "      { name: two, ports: [80], action: pass },\n"
			     "      { name: three, ports: [80], action: deny } ] }\n"
			     "  - { name: b, tier: baseline, subject: {}, ingress: [\n"
			     "      { name: one, ports: [80], action: deny },\n"
			     "      { name: two, action: allow } ] }\n",
			     NULL);
	assert_int_equal(ask(shop, "world", "a", "80"), 0);
	assert_matches(shop, SST_INGRESS,
		       "p/one passes, p/two late, p/three late, b/one decides, b/two late, "
		       "default/ late");
}

static void test_labels_are_all_identities(void **state)
{
	struct shop *shop = *state;

	assert_int_equal(ask(shop, "app=web", "10.1.0.7", "5432"), 0);
	assert_int_equal(shop->explain.n_pairs, 2);
	assert_false(shop->explain.pairs[0].denied);
	assert_true(shop->explain.pairs[1].denied);
	assert_true(shop->explain.denied);
	assert_false(shop->explain.pairs[1].source.has_address);
	assert_int_equal(ask(shop, "app=web,tier=x", "10.1.0.7", "5432"), -ENOENT);
}

static void test_self(void **state)
{
	struct shop *shop = *state;

	assert_int_equal(ask(shop, "db", "10.1.0.7", "1"), 0);
	assert_true(shop->explain.pairs[0].self);
	assert_false(shop->explain.denied);
	assert_int_equal(shop->explain.pairs[0].directions[SST_INGRESS].n_matches, 0);
}

/* By its name, its port's name, and its address: an answer for each endpoint. */
static void test_services(void **state)
{
	static const char *const questions[][2] = {
		{ "web", "80" },
		{ "web", "http" },
		{ "web:http", NULL },
		{ "10.96.0.10", "http" },
		{ "web", "http/TCP" },
		{ "web:80", NULL },
		{ "10.96.0.10", "80/TCP" },
		{ "web", "80/tcp" },
	};
	struct shop *shop = *state;

	/* a workload's name would be meant before the service's */
	policy_set_release(&shop->set);
	shop->set = shop_set("workloads:\n"
			     "  - { name: a, addresses: [10.1.0.2] }\n"
			     "  - { name: b, labels: {b: b}, addresses: [10.1.0.3] }\n"
			     "policies:\n"
			     "  - { name: p, subject: {b: b}, ingress: [ { ports: [8081] } ] }\n",
			     NULL);
	shop->f.endpoints[2].value.state = SST_ENDPOINT_DRAINING;
	for (size_t i = 0; i < ARRAY_SIZE(questions); i++) {
		assert_int_equal(ask(shop, "world", questions[i][0], questions[i][1]), 0);
		assert_int_equal(shop->explain.n_pairs, 2);
		assert_int_equal(shop->explain.service, 3);
		assert_int_equal(shop->explain.port, 80);
		assert_int_equal(shop->explain.pairs[0].endpoint, 2);
		assert_int_equal(shop->explain.pairs[0].port, 8080);
		assert_false(shop->explain.pairs[0].denied);
		assert_true(shop->explain.pairs[1].denied);
	}
	/* who has left the configuration is asked no more */
	shop->f.endpoints[2].value.state = SST_ENDPOINT_REMOVED;
	assert_int_equal(ask(shop, "world", "web", "80"), 0);
	assert_int_equal(shop->explain.n_pairs, 1);
}

/* By the name that the called gives it: at each number, and nobody else is asked. */
static void test_named_ports(void **state)
{
	static const struct {
		const char *destination, *port;
		uint16_t numbers[2];
		uint8_t protocol;
	} rows[] = {
		{ "one", "http", { 80 }, IPPROTO_TCP },
		{ "app=a", "dns", { 53 }, IPPROTO_TCP },
		{ "app=a", "dns/UDP", { 54 }, IPPROTO_UDP },
		{ "10.1.0.2", "dns", { 54 }, IPPROTO_UDP },
		{ "one@127.0.0.1", "quic", { 443 }, IPPROTO_UDP },
		{ "app=a", "http", { 80, 8080 }, IPPROTO_TCP },
		{ "app=a", "metrics", { 9100 }, IPPROTO_TCP },
	};
	struct shop *shop = *state;

	policy_set_release(&shop->set);
	shop->set = shop_set(
		"workloads:\n"
		"  - { name: one, labels: {app: a}, addresses: [10.1.0.1],\n"
		"      ports: {ht: 1, http: 80, http2: 2, dns: 53, quic: 443/UDP} }\n"
		"  - { name: two, labels: {app: a}, addresses: [10.1.0.2],\n"
		"      ports: {http: 8080, metrics: 9100, dns: 54/UDP} }\n"
		"policies: [ { name: p, subject: {app: a}, ingress: [ { ports: [http] } ] } ]\n",
		NULL);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(ask(shop, "world", rows[i].destination, rows[i].port), 0);
		assert_int_equal(shop->explain.n_pairs, rows[i].numbers[1] ? 2 : 1);
		assert_int_equal(shop->explain.protocol, rows[i].protocol);
		for (size_t j = 0; j < shop->explain.n_pairs; j++)
			assert_int_equal(shop->explain.pairs[j].port, rows[i].numbers[j]);
		assert_int_equal(shop->explain.denied, !!strcmp(rows[i].port, "http"));
	}
}

/* db, on the node's own port 5432/TCP. */
static uint32_t listens(const struct policy_set *set, const struct sst_addr *address, uint16_t port,
			uint8_t protocol)
{
	assert_int_equal(policy_locate(set, address).identity, SST_IDENTITY_HOST);
	return port == 5432 && protocol == IPPROTO_TCP ? policy_find_workload(set, "db") : 0;
}

/* On 127.0.0.1 the address does not tell who is called; the socket does. */
static void test_listeners(void **state)
{
	struct shop *shop = *state;

	shop->listener = listens;
	assert_int_equal(ask(shop, "other/web", "127.0.0.1", "5432"), 0);
	assert_true(shop->explain.denied);
	assert_int_equal(shop->problems.count, 0);
	assert_int_equal(ask(shop, "other/web", "127.0.0.1", "5432/UDP"), 0);
	assert_false(shop->explain.denied);
	assert_int_equal(shop->explain.pairs[0].destination.identity, SST_IDENTITY_HOST);
	assert_string_equal(shop->problems.text[0],
			    "127.0.0.1: no workload listens there at port 5432 in this network "
			    "namespace: taken for the host itself");
	/* as an endpoint */
	shop->f.endpoints[1].value.address = fixture_address("127.0.0.1");
	shop->f.endpoints[1].value.port = htons(5432);
	shop->f.endpoints[2].value.address = fixture_address("127.0.0.1");
	shop->f.endpoints[2].value.state = SST_ENDPOINT_READY;
	assert_int_equal(ask(shop, "other/web", "web:80", NULL), 0);
	assert_true(shop->explain.pairs[0].denied);
	assert_false(shop->explain.pairs[1].denied);
	/* who has an address of its own is told by that */
	assert_int_equal(ask(shop, "other/web", "10.1.0.2", "5432"), 0);
	assert_false(shop->explain.denied);
}

#define OURS 77

/* A node port at the node's 127.0.0.1; workloads in other network namespaces, in ours, in any. */
static void make_node(struct shop *shop)
{
	static const char yaml[] = "workloads:\n"
				   "  - { name: pod, labels: {app: pod}, addresses: [10.1.0.2] }\n"
				   "  - { name: boxed, labels: {app: boxed}, netns: box }\n"
				   "  - { name: agent, labels: {app: agent}, netns: node }\n"
				   "  - { name: a, labels: {app: any}, cgroup: /a.slice }\n"
				   "  - { name: b, labels: {app: any}, addresses: [10.1.0.3] }\n"
				   "policies:\n"
				   "  - { name: pod, subject: {app: pod}, egress: [] }\n";
	static const struct policy_netns homes[] = { { 0, 5 }, { 1, 6 }, { 2, OURS } };
	const struct policy_host host = { .netns = OURS,
					  .workloads = (struct policy_netns *)homes,
					  .n_workloads = ARRAY_SIZE(homes) };
	_cleanup_model_ struct model *model = shop_model(yaml);
	_cleanup_problems_ struct problems problems = {};
	struct policy_ids ids = {};
	struct policy_set none = {};

	policy_set_release(&shop->set);
	assert_int_equal(policy_compile(model, &host, &none, &ids, &problems, &shop->set), 0);
	shop->f.frontends[0].key.address = fixture_address("127.0.0.1");
	shop->f.frontends[0].key.port = htons(30080);
	shop->f.frontends[0].netns = OURS;
}

static void test_loopback_is_the_caller_s(void **state)
{
	static const struct {
		const char *source, *destination, *port;
		bool service;
		size_t own; /* pairs in which somebody calls itself */
		size_t pairs;
	} rows[] = {
		{ "host", "127.0.0.1", "30080", true, 0, 1 },
		{ "agent", "127.0.0.1", "30080", true, 0, 1 },
		{ "a", "127.0.0.1", "30080", true, 0, 1 },
		{ "pod", "127.0.0.1", "30080", false, 1, 1 },
		{ "boxed", "127.0.0.1", "30080", false, 1, 1 },
		{ "10.1.0.2", "127.0.0.1", "30080", false, 1, 1 },
		{ "world", "127.0.0.1", "30080", false, 1, 1 },
		{ "b", "127.0.0.1", "30080", false, 1, 1 },
		/* told by an address, where there is one */
		{ "app=any", "127.0.0.1", "30080", false, 1, 1 },
		/* no service is there */
		{ "boxed", "127.0.0.1", "80", false, 1, 1 },
		{ "boxed", "::1", "80", false, 1, 1 },
		{ "agent", "127.0.0.1", "80", false, 0, 1 },
		/* at the node's other addresses all are alike */
		{ "boxed", "10.96.0.11", "80", true, 0, 1 },
	};
	struct shop *shop = *state;

	make_node(shop);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t own = 0;

		assert_int_equal(ask(shop, rows[i].source, rows[i].destination, rows[i].port), 0);
		for (size_t j = 0; j < shop->explain.n_pairs; j++)
			own += shop->explain.pairs[j].self;
		assert_int_equal(shop->explain.service != 0, rows[i].service);
		assert_int_equal(own, rows[i].own);
		assert_int_equal(shop->explain.n_pairs, rows[i].pairs);
		if (own)
			assert_false(shop->explain.denied);
	}
	ask(shop, "pod", "127.0.0.1", "30080");
	assert_string_equal(shop->problems.text[0],
			    "127.0.0.1: each network namespace has its own: taken for the "
			    "caller's, while service 'web' is at the node's");
}

/* What the kernel half cannot decide is not asked of the rules. */
static void test_fails_open_or_closed(void **state)
{
	struct shop *shop = *state;
	_cleanup_text_ struct text out = {};

	assert_int_equal(ask(shop, "unknown", "other/web", "80"), 0);
	assert_false(shop->explain.denied);
	shop->f.state.config.fail_closed = 1;
	assert_int_equal(ask(shop, "unknown", "other/web", "80"), 0);
	assert_true(shop->explain.denied);
	assert_false(shop->explain.pairs[0].directions[SST_INGRESS].decision.denied);
	assert_int_equal(show_explain(&shop->explain, &shop->set, &shop->f.state, &out), 0);
	assert_non_null(strstr(text_string(&out), "egress of unknown: denied, who it is cannot be "
						  "told, and the node fails closed\n"));
	assert_int_equal(ask(shop, "other/web", "unknown", "80"), 0);
	assert_true(shop->explain.pairs[0].directions[SST_INGRESS].decision.denied);
	/* whom the rules know is not concerned */
	assert_int_equal(ask(shop, "world", "other/web", "80"), 0);
	assert_false(shop->explain.denied);
	/* without a rule nobody is asked */
	policy_set_release(&shop->set);
	shop->set = shop_set(SHOP_WORKLOADS, NULL);
	assert_int_equal(ask(shop, "unknown", "other/web", "80"), 0);
	assert_false(shop->explain.denied);
}

/* The fixture has a service "web" at port 80. */
static void test_namesakes(void **state)
{
	struct shop *shop = *state;

	policy_set_release(&shop->set);
	shop->set = shop_set("workloads: [ { name: web, addresses: [10.1.0.1] } ]\n"
			     "policies: [ { name: p, subject: {}, isolate: [ingress] } ]\n",
			     NULL);
	assert_int_equal(ask(shop, "world", "web", "80"), 0);
	assert_int_equal(shop->explain.service, 0);
	assert_int_equal(shop->problems.count, 1);
	assert_string_equal(shop->problems.text[0],
			    "web: taken for the workload; the service of this name is 'web:80'");
	assert_int_equal(ask(shop, "world", "web", "8080"), 0);
	assert_int_equal(shop->problems.count, 0);
	assert_int_equal(ask(shop, "world", "web:80", NULL), 0);
	assert_int_equal(shop->problems.count, 0);
	assert_int_not_equal(shop->explain.service, 0);
}

static void test_probes_have_no_namespace(void **state)
{
	struct shop *shop = *state;
	_cleanup_text_ struct text out = {};

	policy_set_release(&shop->set);
	shop->set = shop_set("node: { policy: { probes: /probes } }\n" SHOP_WORKLOADS
			     "policies: [ { name: p, subject: {}, isolate: [ingress] } ]\n",
			     NULL);
	assert_int_equal(ask(shop, "probes", "other/web", "80"), 0);
	assert_int_equal(show_explain(&shop->explain, &shop->set, &shop->f.state, &out), 0);
	assert_non_null(strstr(text_string(&out), "probes -> other/web, port 80/TCP: "));
	assert_null(strstr(text_string(&out), "/probes"));
}

static void test_bad_questions(void **state)
{
	static const struct {
		const char *source, *destination, *port, *problem;
	} rows[] = {
		{ "nobody", "db", "80", "nobody: no such workload or identity" },
		{ "db", "nobody", "80", "nobody: no such workload, identity or service" },
		{ "web", "db", "80", "web: 2 workloads are called so, expected NAMESPACE/NAME" },
		{ "db", "shop/web", NULL, "shop/web: needs a port: PORT[/PROTOCOL] behind it" },
		{ "db", "shop/web", "0", "0: expected a port from 1 to 65535" },
		{ "db", "shop/web", "65536", "65536: expected a port from 1 to 65535" },
		{ "db", "shop/web", "80/SCTP", "80/SCTP: expected PORT, PORT/TCP or PORT/UDP" },
		{ "db", "shop/web", "http", "http: no port of 'shop/web' is called so" },
		{ "other/web", "db", "pg/UDP", "pg/UDP: no port of 'db' is called so" },
		{ "other/web", "db", "p", "p: no port of 'db' is called so" },
		{ "other/web", "127.0.0.1", "pg", "pg: no port of '127.0.0.1' is called so" },
		{ "other/web", "10.96.0.10", "nohttp",
		  "nohttp: no port of '10.96.0.10' is called so" },
		{ "db", "dns", "54", "dns: the service does not have this port" },
		{ "db", "dns:54", NULL, "dns:54: no service has this port" },
		{ "db@nowhere", "db", "1", "db@nowhere: expected WORKLOAD@ADDRESS" },
		{ "a=b", "db", "1", "a=b: no identity has these labels" },
	};
	struct shop *shop = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_true(ask(shop, rows[i].source, rows[i].destination, rows[i].port) < 0);
		assert_int_equal(shop->problems.count, 1);
		assert_string_equal(shop->problems.text[0], rows[i].problem);
		assert_int_equal(shop->explain.n_pairs, 0);
	}
}

/* An identity whose addresses the rules tell apart has an answer for each of them. */
static void test_addresses_that_rules_tell_apart(void **state)
{
	struct shop *shop = *state;

	policy_set_release(&shop->set);
	shop->set = shop_set("workloads:\n"
			     "  - { name: a, addresses: [10.1.0.0/24] }\n"
			     "  - { name: b, labels: {b: b}, addresses: [10.2.0.1] }\n"
			     "policies:\n"
			     "  - { name: p, subject: {b: b}, ingress:\n"
			     "      [ { from: [ { network: 10.1.0.128/25 } ] } ] }\n",
			     NULL);
	assert_int_equal(ask(shop, "a", "b", "80"), 0);
	assert_int_equal(shop->explain.n_pairs, 2);
	assert_true(shop->explain.pairs[0].denied);
	assert_false(shop->explain.pairs[1].denied);
	assert_int_equal(ask(shop, "a@10.1.0.200", "b", "80"), 0);
	assert_int_equal(shop->explain.n_pairs, 1);
	assert_false(shop->explain.denied);
}

static void test_text(void **state)
{
	struct shop *shop = *state;
	_cleanup_text_ struct text out = {};

	assert_int_equal(ask(shop, "192.0.2.1", "far", "80"), 0);
	assert_int_equal(show_explain(&shop->explain, &shop->set, &shop->f.state, &out), 0);
	assert_string_equal(text_string(&out),
			    "world at 192.0.2.1 -> shop/far at 10.1.0.9, port 80/TCP: allowed\n"
			    "egress of world: allowed, no rule is about it\n"
			    "ingress of shop/far: allowed, by the node's default (decided "
			    "on its own node)\n"
			    "ingress in shadow: would be denied, guard/no-world has a say\n"
			    "\n"
			    "DIRECTION  TIER      RULE            ACTION  PART\n"
			    "egress     admin     -               -       -\n"
			    "egress     network   -               -       -\n"
			    "egress     baseline  -               -       -\n"
			    "egress     default   -               -       -\n"
			    "ingress    admin     guard/no-world  deny    in shadow\n"
			    "ingress    network   -               -       -\n"
			    "ingress    baseline  -               -       -\n"
			    "ingress    default   default         allow   decides\n");
}

static void test_json(void **state)
{
	struct shop *shop = *state;

	assert_int_equal(ask(shop, "other/web", "db@10.1.0.7", "53/UDP"), 0);
	_cleanup_json_ json_t *json = show_explain_json(&shop->explain, &shop->set, &shop->f.state);
	const json_t *pair = json_array_get(json_object_get(json, "pairs"), 0);
	const json_t *ingress = json_object_get(pair, "ingress");

	assert_string_equal(json_string_value(json_object_get(json, "verdict")), "denied");
	assert_string_equal(json_string_value(json_object_get(json, "protocol")), "UDP");
	assert_string_equal(json_string_value(json_object_get(ingress, "rule")),
			    "shop/db-ingress/isolated");
	assert_string_equal(json_string_value(json_object_get(ingress, "tier")), "network");
	assert_int_equal(json_array_size(json_object_get(ingress, "matches")), 2);
	assert_true(json_is_null(json_object_get(json_object_get(pair, "source"), "address")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_order),
		TEST(test_shadow),
		TEST(test_what_comes_too_late),
		TEST(test_labels_are_all_identities),
		TEST(test_self),
		TEST(test_services),
		TEST(test_named_ports),
		TEST(test_listeners),
		TEST(test_loopback_is_the_caller_s),
		TEST(test_fails_open_or_closed),
		TEST(test_namesakes),
		TEST(test_probes_have_no_namespace),
		TEST(test_bad_questions),
		TEST(test_addresses_that_rules_tell_apart),
		TEST(test_text),
		TEST(test_json),
	};

	return cmocka_run_group_tests_name("policy_explain", tests, NULL, NULL);
}
