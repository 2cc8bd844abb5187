/* SPDX-License-Identifier: Apache-2.0 */
/* Who is who and who may talk to whom: what the file says becomes, and what it must not say. */
#include "yaml_fixture.h"

#include <netinet/in.h>
#include <sys/stat.h>

static void assert_cidr(const struct model_cidr *cidr, const char *expected)
{
	char text[ADDRESS_TEXT_MAX];

	assert_string_equal(address_prefix_format(&cidr->address, cidr->bits, text), expected);
}

static void assert_place(struct place place, unsigned line, unsigned column)
{
	assert_int_equal(place.line, line);
	assert_int_equal(place.column, column);
}

/* ---- what is accepted -------------------------------------------------------------- */

static const char all_keys[] =
	"node:\n"
	"  policy:\n"
	"    default: deny\n"
	"    host: probes\n"
	"    probes: /system.slice/kubelet.service\n"
	"    nodes: [ 192.0.2.0/24, 'fd00:9::/64', 198.51.100.7 ]\n"
	"    denied: refused\n"
	"    remote: answer\n"
	"    revoke: off\n"
	"namespaces:\n"
	"  - { name: shop, labels: { team: a } }\n"
	"  - { name: empty, labels: { kubernetes.io/metadata.name: empty } }\n"
	"workloads:\n"
	"  - name: db\n"
	"    namespace: shop\n"
	"    labels: { app: db, example.org/tier_1: \"\" }\n"
	"    cgroup: /x.slice\n"
	"    cgroup-id: 18446744073709551614\n"
	"    netns: blue\n"
	"    addresses: [ 10.1.0.7, 10.1.0.0/24, '::ffff:10.2.0.0/112', '::/0' ]\n"
	"    ports: { pg: 5432, dns: 53/UDP, http: 80/TCP }\n"
	"  - { name: db, netns: /proc/1/ns/net }\n"
	"  - { name: far, namespace: else, addresses: [ 10.9.0.1 ], remote: true }\n"
	"policies:\n"
	"  - name: db/ingress-1.x\n"
	"    namespace: shop\n"
	"    subject: { app: db, tier: \"\" }\n"
	"    ingress:\n"
	"      - name: from-frontend\n"
	"        from:\n"
	"          - { labels: { app: frontend } }\n"
	"          - namespaces: { team: a }\n"
	"            labels: { app: x }\n"
	"            expressions:\n"
	"              - { key: a, operator: In, values: [ b, c ] }\n"
	"              - { key: d, operator: NotIn, values: [ e ] }\n"
	"              - { key: f, operator: Exists }\n"
	"              - { key: g, operator: DoesNotExist, values: [] }\n"
	"          - { network: 10.0.0.0/8, except: [ 10.1.0.0/16, 10.2.0.1 ] }\n"
	"          - { identity: nodes }\n"
	"          - { namespaces: {} }\n"
	"        ports: [ 5432, 8000-8010, pg, { port: 53, protocol: UDP },\n"
	"                 { port: dns-tcp, protocol: TCP }, { protocol: UDP }, 1-65535 ]\n"
	"        action: allow\n"
	"        mode: shadow\n"
	"      - {}\n"
	"    egress: []\n"
	"  - name: only\n"
	"    subject: { expressions: [ { key: a, operator: Exists } ] }\n"
	"    isolate: [ egress, ingress ]\n"
	"    mode: shadow\n"
	"    egress: [ { to: [ { labels: {} } ] } ]\n"
	"  - name: first\n"
	"    tier: admin\n"
	"    priority: 1000\n"
	"    subject: { namespaces: { labels: { team: a } }, labels: { app: db } }\n"
	"    ingress: [ { action: allow }, { action: deny }, { action: pass } ]\n"
	"    egress: [ { name: a, action: deny, to: [ { labels: { app: x } } ] } ]\n"
	"  - name: first\n"
	"    tier: baseline\n"
	"    subject: {}\n"
	"    egress: [ { name: a, action: deny } ]\n"
	"    ingress: [ { name: a } ]\n";

static void test_settings(void **unused UNUSED)
{
	_cleanup_model_ struct model *model = load_valid(all_keys);
	const struct model_policy_settings *settings = &model->node.policy;

	assert_true(settings->default_deny);
	assert_int_equal(settings->host, MODEL_HOST_PROBES);
	assert_string_equal(settings->probes_cgroup, "/system.slice/kubelet.service");
	assert_int_equal(settings->n_nodes, 3);
	assert_cidr(&settings->nodes[0], "192.0.2.0/24");
	assert_int_equal(settings->nodes[0].bits, 120);
	assert_cidr(&settings->nodes[1], "fd00:9::/64");
	assert_cidr(&settings->nodes[2], "198.51.100.7");
	assert_true(settings->refused);
	assert_true(settings->answer);
	assert_false(settings->revoke);
}

static void test_default_settings(void **unused UNUSED)
{
	_cleanup_model_ struct model *model = load_valid("node: { policy: {} }\n");
	const struct model_policy_settings *settings = &model->node.policy;

	assert_false(settings->default_deny);
	assert_int_equal(settings->host, MODEL_HOST_ALLOW);
	assert_null(settings->probes_cgroup);
	assert_int_equal(settings->n_nodes, 0);
	assert_false(settings->refused);
	assert_false(settings->answer);
	assert_true(settings->revoke);
	assert_int_equal(model->n_namespaces, 0);
}

/* Those that are listed, then those that are used, each with the label of its name. */
static void test_namespaces(void **unused UNUSED)
{
	_cleanup_model_ struct model *model = load_valid(all_keys);
	static const char *const names[] = { "shop", "empty", "default", "else" };

	assert_int_equal(model->n_namespaces, ARRAY_SIZE(names));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const struct model_namespace *namespace = &model->namespaces[i];

		assert_string_equal(namespace->name, names[i]);
		assert_string_equal(model_label_value(&namespace->labels, MODEL_NAMESPACE_LABEL),
				    names[i]);
		assert_int_equal(namespace->labels.n, i ? 1 : 2);
	}
	assert_string_equal(model_label_value(&model->namespaces[0].labels, "team"), "a");
	assert_place(model->namespaces[0].place, 11, 5);
	assert_place(model->namespaces[2].place, 0, 0);
}

static void test_workloads(void **unused UNUSED)
{
	_cleanup_model_ struct model *model = load_valid(all_keys);
	const struct model_workload *db = &model->workloads[0];

	assert_int_equal(model->n_workloads, 3);
	assert_string_equal(db->name, "db");
	assert_string_equal(db->name_space, "shop");
	assert_int_equal(db->labels.n, 2);
	assert_string_equal(model_label_value(&db->labels, "app"), "db");
	assert_string_equal(model_label_value(&db->labels, "example.org/tier_1"), "");
	assert_string_equal(db->cgroup, "/x.slice");
	assert_true(db->cgroup_id == UINT64_MAX - 1);
	assert_string_equal(db->netns, "blue");
	assert_int_equal(db->n_addresses, 4);
	assert_cidr(&db->addresses[0], "10.1.0.7");
	assert_cidr(&db->addresses[1], "10.1.0.0/24");
	assert_cidr(&db->addresses[2], "10.2.0.0/16");
	assert_cidr(&db->addresses[3], "::/0");
	assert_place(db->addresses[1].place, 20, 28);
	assert_int_equal(db->n_ports, 3);
	assert_string_equal(db->ports[1].name, "dns");
	assert_int_equal(db->ports[0].port, 5432);
	assert_int_equal(db->ports[0].protocol, IPPROTO_TCP);
	assert_int_equal(db->ports[1].port, 53);
	assert_int_equal(db->ports[1].protocol, IPPROTO_UDP);
	assert_int_equal(db->ports[2].protocol, IPPROTO_TCP);
	assert_false(db->remote);
	assert_string_equal(model->workloads[1].name_space, "default");
	assert_string_equal(model->workloads[1].netns, "/proc/1/ns/net");
	assert_true(model->workloads[2].remote);
}

static void assert_requirement(const struct model_selector *selector, size_t i, const char *key,
			       enum model_operator op, size_t n_values)
{
	assert_true(i < selector->n);
	assert_string_equal(selector->requirements[i].key, key);
	assert_int_equal(selector->requirements[i].op, op);
	assert_int_equal(selector->requirements[i].n_values, n_values);
}

static void test_policies(void **unused UNUSED)
{
	_cleanup_model_ struct model *model = load_valid(all_keys);
	const struct model_policy *db = &model->policies[0], *only = &model->policies[1];

	assert_int_equal(model->n_policies, 4);
	assert_string_equal(db->name, "db/ingress-1.x");
	assert_string_equal(db->name_space, "shop");
	assert_int_equal(db->tier, SST_TIER_NETWORK);
	assert_false(db->shadow);
	assert_true(db->isolates[SST_INGRESS]);
	assert_true(db->isolates[SST_EGRESS]);
	assert_null(db->subject_namespaces);
	assert_int_equal(db->subject.n, 2);
	assert_requirement(&db->subject, 1, "tier", MODEL_IN, 1);
	assert_string_equal(db->subject.requirements[1].values[0], "");
	assert_place(db->place, 25, 5);
	assert_int_equal(db->n_rules, 2);
	assert_string_equal(only->name_space, "default");
	assert_true(only->shadow);
	assert_true(only->isolates[SST_INGRESS]);
	assert_requirement(&only->subject, 0, "a", MODEL_EXISTS, 0);
	assert_int_equal(only->n_rules, 1);
	assert_int_equal(only->rules->direction, SST_EGRESS);
	assert_true(only->rules->shadow);
	assert_int_equal(only->rules->n_peers, 1);
	assert_int_equal(only->rules->peers->workloads.n, 0);
	assert_null(only->rules->peers->namespaces);
}

/* In the other tiers a selector that says nothing of namespaces selects of all of them. */
static void test_tiers(void **unused UNUSED)
{
	_cleanup_model_ struct model *model = load_valid(all_keys);
	const struct model_policy *admin = &model->policies[2], *baseline = &model->policies[3];

	assert_int_equal(admin->tier, SST_TIER_ADMIN);
	assert_int_equal(admin->priority, 1000);
	assert_string_equal(admin->name_space, "");
	assert_false(admin->isolates[SST_INGRESS]);
	assert_int_equal(admin->subject_namespaces->n, 1);
	assert_requirement(admin->subject_namespaces, 0, "team", MODEL_IN, 1);
	assert_requirement(&admin->subject, 0, "app", MODEL_IN, 1);
	assert_int_equal(admin->n_rules, 4);
	assert_int_equal(admin->rules[0].action, SST_ACTION_ALLOW);
	assert_int_equal(admin->rules[1].action, SST_ACTION_DENY);
	assert_int_equal(admin->rules[2].action, SST_ACTION_PASS);
	assert_int_equal(admin->rules[3].direction, SST_EGRESS);
	assert_non_null(admin->rules[3].peers->namespaces);
	assert_int_equal(admin->rules[3].peers->namespaces->n, 0);
	assert_int_equal(baseline->tier, SST_TIER_BASELINE);
	assert_int_equal(baseline->priority, 0);
	assert_non_null(baseline->subject_namespaces);
	assert_int_equal(baseline->subject_namespaces->n, 0);
	assert_int_equal(baseline->n_rules, 2);
	assert_int_equal(baseline->rules[0].direction, SST_INGRESS);
	assert_int_equal(baseline->rules[1].action, SST_ACTION_DENY);
}

static void test_peers(void **unused UNUSED)
{
	_cleanup_model_ struct model *model = load_valid(all_keys);
	const struct model_rule *rule = &model->policies[0].rules[0];
	const struct model_peer *peers = rule->peers;

	assert_int_equal(rule->direction, SST_INGRESS);
	assert_string_equal(rule->name, "from-frontend");
	assert_true(rule->shadow);
	assert_place(rule->place, 29, 9);
	assert_false(rule->any_peer);
	assert_int_equal(rule->n_peers, 5);
	assert_int_equal(peers[0].kind, MODEL_PEER_WORKLOADS);
	assert_null(peers[0].namespaces);
	assert_place(peers[0].place, 31, 13);
	assert_requirement(peers[1].namespaces, 0, "team", MODEL_IN, 1);
	assert_int_equal(peers[1].workloads.n, 5);
	assert_requirement(&peers[1].workloads, 0, "app", MODEL_IN, 1);
	assert_requirement(&peers[1].workloads, 1, "a", MODEL_IN, 2);
	assert_requirement(&peers[1].workloads, 2, "d", MODEL_NOT_IN, 1);
	assert_requirement(&peers[1].workloads, 3, "f", MODEL_EXISTS, 0);
	assert_requirement(&peers[1].workloads, 4, "g", MODEL_DOES_NOT_EXIST, 0);
	assert_int_equal(peers[2].kind, MODEL_PEER_NETWORK);
	assert_cidr(&peers[2].network, "10.0.0.0/8");
	assert_int_equal(peers[2].n_excepts, 2);
	assert_cidr(&peers[2].excepts[1], "10.2.0.1");
	assert_int_equal(peers[3].kind, MODEL_PEER_RESERVED);
	assert_int_equal(peers[3].identity, SST_IDENTITY_NODES);
	assert_non_null(peers[4].namespaces);
	assert_int_equal(peers[4].namespaces->n, 0);
	assert_int_equal(peers[4].workloads.n, 0);
	assert_true(rule[1].any_peer);
	assert_null(rule[1].name);
	assert_int_equal(rule[1].n_ports, 0);
}

static void test_port_matches(void **unused UNUSED)
{
	_cleanup_model_ struct model *model = load_valid(all_keys);
	const struct model_rule *rule = &model->policies[0].rules[0];
	static const struct model_port_match expected[] = {
		{ .protocol = IPPROTO_TCP, .first = 5432, .last = 5432 },
		{ .protocol = IPPROTO_TCP, .first = 8000, .last = 8010 },
		{ .protocol = IPPROTO_TCP, .name = "pg" },
		{ .protocol = IPPROTO_UDP, .first = 53, .last = 53 },
		{ .protocol = IPPROTO_TCP, .name = "dns-tcp" },
		{ .protocol = IPPROTO_UDP, .first = 0, .last = 65535 },
		{ .protocol = IPPROTO_TCP, .first = 1, .last = 65535 },
	};

	assert_int_equal(rule->n_ports, ARRAY_SIZE(expected));
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		const struct model_port_match *port = &rule->ports[i];

		assert_int_equal(port->protocol, expected[i].protocol);
		assert_int_equal(port->first, expected[i].first);
		assert_int_equal(port->last, expected[i].last);
		if (expected[i].name)
			assert_string_equal(port->name, expected[i].name);
		else
			assert_null(port->name);
	}
}

static void test_identities(void **unused UNUSED)
{
	static const char *const names[] = {
		[SST_IDENTITY_UNKNOWN] = "unknown", [SST_IDENTITY_WORLD] = "world",
		[SST_IDENTITY_HOST] = "host",       [SST_IDENTITY_NODES] = "nodes",
		[SST_IDENTITY_PROBES] = "probes",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_text_ struct text yaml = { 0 };
		_cleanup_model_ struct model *model = NULL;

		text_add(&yaml, "policies: [ { name: a, subject: {}, ingress: [ ");
		text_add(&yaml, "{ from: [ { identity: %s } ] } ] } ]\n", names[i]);
		model = load_valid(text_string(&yaml));
		assert_int_equal(model->policies->rules->peers->identity, i);
	}
}

#define MANY 10000

static void test_10000_policies(void **unused UNUSED)
{
	_cleanup_text_ struct text yaml = { 0 };
	_cleanup_model_ struct model *model = NULL;

	text_add(&yaml, "workloads:\n");
	for (unsigned i = 0; i < MANY; i++)
		text_add(&yaml,
			 "- { name: w%u, namespace: n%u, labels: { app: a%u }, addresses: "
			 "[ 10.%u.%u.1 ] }\n",
			 i, i, i, i / 250, i % 250);
	text_add(&yaml, "policies:\n");
	for (unsigned i = 0; i < MANY; i++)
		text_add(&yaml,
			 "- { name: p%u, namespace: n%u, subject: { app: a%u }, ingress: [ { from: "
			 "[ { network: 10.0.0.0/8 } ], ports: [ %u ] } ] }\n",
			 i, i, i, i + 1);
	model = load_valid(text_string(&yaml));
	assert_int_equal(model->n_policies, MANY);
	assert_int_equal(model->n_namespaces, MANY);
	assert_int_equal(model->policies[MANY - 1].rules->ports->first, MANY);
}

/* ---- what is refused: who is who --------------------------------------------------- */

#define SETTINGS(settings) "node: { policy: { " settings " } }\n"

static void test_refused_settings(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ "node: { policy: deny }\n",
		  "1:17: found 'deny', expected a mapping (the node's policy)" },
		{ SETTINGS("defaults: deny"), "1:19: unknown key 'defaults' in the node's policy, "
					      "did you mean 'default'?" },
		{ SETTINGS("default: drop"), "1:28: found 'drop', expected allow or deny" },
		{ SETTINGS("host: deny"), "1:25: found 'deny', expected allow, probes or policy" },
		{ SETTINGS("host: probes"),
		  "1:25: found 'probes' as the host's traffic, expected the key 'probes' to tell "
		  "their cgroup" },
		{ SETTINGS("probes: kubelet"),
		  "1:27: found 'kubelet', expected a path below the cgroup2 root, like "
		  "/system.slice/x.service" },
		{ SETTINGS("nodes: 192.0.2.0/24"),
		  "1:26: found '192.0.2.0/24', expected a list of networks" },
		{ SETTINGS("nodes: []"), "1:26: found 0 networks, expected 1 to 10000" },
		{ SETTINGS("nodes: [ 192.0.2.0/24, 192.0.2.0/25, 192.0.2.0/24 ]"),
		  "1:56: 192.0.2.0/24 is listed twice among the nodes, first at line 1" },
		{ SETTINGS("denied: EPERM"), "1:27: found 'EPERM', expected eperm or refused" },
		{ SETTINGS("remote: reject"), "1:27: found 'reject', expected drop or answer" },
		{ SETTINGS("revoke: true"), "1:27: found 'true', expected on or off" },
	};

	CHECK_REFUSALS(refusals);
}

#define NAMESPACE_EXPECTED \
	"expected a namespace (1 to 63 characters of a-z 0-9 -, no hyphen at its ends)"

static void test_refused_namespaces(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ "namespaces: shop\n", "1:13: found 'shop', expected a list of namespaces" },
		{ "namespaces: [ shop ]\n",
		  "1:15: found 'shop', expected a mapping (a namespace)" },
		{ "namespaces: [ { labels: {} } ]\n",
		  "1:15: found a namespace without 'name', expected that key" },
		{ "namespaces: [ { name: a, label: {} } ]\n",
		  "1:26: unknown key 'label' in a namespace, did you mean 'labels'?" },
		{ "namespaces: [ { name: Shop }, { name: -a }, { name: a.b }, { name: '' } ]\n",
		  "1:23: found 'Shop', " NAMESPACE_EXPECTED "\n"
		  "1:39: found '-a', " NAMESPACE_EXPECTED "\n"
		  "1:53: found 'a.b', " NAMESPACE_EXPECTED "\n"
		  "1:68: found '', " NAMESPACE_EXPECTED },
		{ "namespaces: [ { name: " SIXTY "aaaa } ]\n",
		  "1:23: found '" TEN TEN TEN TEN "...', " NAMESPACE_EXPECTED },
		{ "namespaces: [ { name: } ]\n", "1:23: found nothing, expected a namespace" },
		{ "namespaces: [ { name: a }, { name: b }, { name: a } ]\n",
		  "1:41: namespace 'a' is listed twice, first at line 1" },
		{ "namespaces: [ { name: a, labels: { kubernetes.io/metadata.name: b } } ]\n",
		  "1:15: namespace 'a' has the label kubernetes.io/metadata.name 'b', expected its "
		  "name, or not to list that label" },
		{ "workloads: [ { name: a, namespace: a/b, cgroup: /a } ]\n",
		  "1:36: found 'a/b', " NAMESPACE_EXPECTED },
	};

	CHECK_REFUSALS(refusals);
}

#define LABELS(labels) "workloads: [ { name: a, cgroup: /a, labels: { " labels " } } ]\n"
#define KEY_EXPECTED                                                                       \
	"expected a label's key (1 to 63 characters of A-Z a-z 0-9 - _ . between letters " \
	"or digits, perhaps behind a DNS name and a slash)"
#define VALUE_EXPECTED                                                                          \
	"expected a label's value (0 to 63 characters of A-Z a-z 0-9 - _ . between letters or " \
	"digits)"

static void test_refused_labels(void **unused UNUSED)
{
	static const char *const good[] = {
		LABELS("a: b"),
		LABELS("a_B-c.9: A_b-C.9"),
		LABELS("a.b-c.9/X_y: ''"),
		LABELS(SIXTY "aaa: " SIXTY "aaa"),
		LABELS(SIXTY "aaa." SIXTY "aaa." SIXTY "aaa." SIXTY "a/" SIXTY "aaa: 0"),
	};
	static const struct refusal refusals[] = {
		{ LABELS("a b: c"), "1:47: found 'a b', " KEY_EXPECTED },
		{ LABELS("-a: c"), "1:47: found '-a', " KEY_EXPECTED },
		{ LABELS("a.: c"), "1:47: found 'a.', " KEY_EXPECTED },
		{ LABELS("'': c"), "1:47: found '', " KEY_EXPECTED },
		{ LABELS("a/: c"), "1:47: found 'a/', " KEY_EXPECTED },
		{ LABELS("/a: c"), "1:47: found '/a', " KEY_EXPECTED },
		{ LABELS("a/b/c: d"), "1:47: found 'a/b/c', " KEY_EXPECTED },
		{ LABELS("A/b: c"), "1:47: found 'A/b', " KEY_EXPECTED },
		{ LABELS("a..b/c: d"), "1:47: found 'a..b/c', " KEY_EXPECTED },
		{ LABELS("a_b/c: d"), "1:47: found 'a_b/c', " KEY_EXPECTED },
		{ LABELS(SIXTY "aaaa: c"), "1:47: found '" TEN TEN TEN TEN "...', " KEY_EXPECTED },
		{ LABELS(SIXTY "aaa." SIXTY "aaa." SIXTY "aaa." SIXTY "aa/b: c"),
		  "1:47: found '" TEN TEN TEN TEN "...', " KEY_EXPECTED },
		{ LABELS("a: b c"), "1:50: found 'b c', " VALUE_EXPECTED },
		{ LABELS("a: b/c"), "1:50: found 'b/c', " VALUE_EXPECTED },
		{ LABELS("a: .b"), "1:50: found '.b', " VALUE_EXPECTED },
		{ LABELS("a: " SIXTY "aaaa"),
		  "1:50: found '" TEN TEN TEN TEN "...', " VALUE_EXPECTED },
		{ LABELS("a: [ b ]"), "1:50: found a list, expected a label's value" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		model_free(load_valid(good[i]));
	CHECK_REFUSALS(refusals);
}

#define WORKLOAD(keys)      "workloads: [ { name: a, " keys " } ]\n"
#define WORKLOADS(one, two) "workloads:\n- { name: a, " one " }\n- { name: b, " two " }\n"
#define NUMBER_EXPECTED     "expected a port from 1 to 65535, or one with its protocol, like 53/UDP"
#define PORT_NAME_EXPECTED                                                                   \
	"expected a port's name (1 to 15 characters of a-z 0-9 -, with a letter, no hyphen " \
	"at its ends or beside another)"
#define NETNS_EXPECTED                                                                          \
	"expected a network namespace's name, as `ip netns` has it, or an absolute path, like " \
	"/proc/123/ns/net"

static void test_refused_workloads(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ WORKLOAD("cgroups: /a"),
		  "1:25: unknown key 'cgroups' in a workload, did you mean 'cgroup'?" },
		{ WORKLOAD("cgroup: /1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17"),
		  "1:33: found '/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/...', expected at most 16 "
		  "names in a path" },
		{ WORKLOAD("cgroup-id: 0"),
		  "1:36: found '0', expected a cgroup's id from 1 to 18446744073709551614" },
		{ WORKLOAD("cgroup-id: 18446744073709551616"),
		  "1:36: found '18446744073709551616', expected a cgroup's id from 1 to "
		  "18446744073709551614" },
		{ WORKLOAD("netns: .."), "1:32: found '..', " NETNS_EXPECTED },
		{ WORKLOAD("netns: a/b"), "1:32: found 'a/b', " NETNS_EXPECTED },
		{ WORKLOAD("netns: /a/../b"), "1:32: found '/a/../b', " NETNS_EXPECTED },
		{ WORKLOAD("netns: a b"),
		  "1:32: found 'a b', " NAME_EXPECTED("a network namespace's name", "1", "255") },
		{ WORKLOAD("cgroup: /a, ports: [ 80 ]"),
		  "1:44: found a list, expected a mapping (names and numbers of ports)" },
		{ WORKLOAD("cgroup: /a, ports: { a: 0, b: 65536, c: 1/udp, d: x, e: 080, f: 1- }"),
		  "1:49: found '0', " NUMBER_EXPECTED "\n"
		  "1:55: found '65536', " NUMBER_EXPECTED "\n"
		  "1:65: found '1/udp', " NUMBER_EXPECTED "\n"
		  "1:75: found 'x', " NUMBER_EXPECTED "\n"
		  "1:81: found '080', " NUMBER_EXPECTED "\n"
		  "1:89: found '1-', " NUMBER_EXPECTED },
		{ WORKLOAD("cgroup: /a, ports: { a: 36412/SCTP }"),
		  "1:49: SCTP is not decided by Sidestep, expected TCP or UDP" },
		{ WORKLOAD(
			  "cgroup: /a, ports: { A: 1, 80: 2, a--b: 3, -a: 4, abcdefghijklmnop: 5 }"),
		  "1:46: found 'A', " PORT_NAME_EXPECTED "\n"
		  "1:52: found '80', " PORT_NAME_EXPECTED "\n"
		  "1:59: found 'a--b', " PORT_NAME_EXPECTED "\n"
		  "1:68: found '-a', " PORT_NAME_EXPECTED "\n"
		  "1:75: found 'abcdefghijklmnop', " PORT_NAME_EXPECTED },
		{ WORKLOAD("addresses: [ 10.1.0.1 ], remote: yes"),
		  "1:58: found 'yes', expected true or false" },
		{ WORKLOAD("addresses: [ 10.1.0.1 ], remote: true, cgroup: /a"),
		  "1:14: workload 'a' is on another node, but told by a cgroup or network "
		  "namespace of this one, expected addresses only" },
	};

	CHECK_REFUSALS(refusals);
}

static void test_shared_workloads(void **unused UNUSED)
{
	static const char *const good[] = {
		/* the longest prefix wins */
		WORKLOADS("addresses: [ 10.0.0.0/8 ]", "addresses: [ 10.0.0.0/9, 10.0.0.0 ]"),
		/* what is below belongs to the one further down */
		WORKLOADS("cgroup: /a", "cgroup: /a/b"),
		"workloads: [ { name: a, cgroup: /a }, { name: a, namespace: b, cgroup: /b } ]\n",
	};
	static const struct refusal refusals[] = {
		{ WORKLOADS("cgroup: /a", "namespace: x, cgroup: /a"),
		  "3:3: cgroup /a of workload 'b' is already that of workload 'a' at line 2" },
		{ WORKLOADS("cgroup-id: 7", "cgroup-id: 7"),
		  "3:3: cgroup-id 7 of workload 'b' is already that of workload 'a' at line 2" },
		{ WORKLOADS("netns: blue", "netns: blue"),
		  "3:3: netns blue of workload 'b' is already that of workload 'a' at line 2" },
		{ WORKLOADS("addresses: [ 10.1.0.0/24 ]", "addresses: [ '::ffff:10.1.0.0/120' ]"),
		  "3:27: address 10.1.0.0/24 of workload 'b' is already that of workload 'a' "
		  "at line 2" },
		{ "workloads:\n- { name: a, cgroup: /a }\n- { name: a, cgroup: /b }\n",
		  "3:3: workload name 'a' is used twice in namespace 'default', first at line 2" },
		{ "node: { policy: { nodes: [ 192.0.2.0/24 ], probes: /a } }\n"
		  "workloads: [ { name: a, cgroup: /a, addresses: [ 192.0.2.0/24 ] } ]\n",
		  "2:14: cgroup /a of workload 'a' is already named in the node's policy\n"
		  "2:50: address 192.0.2.0/24 of workload 'a' is already named in the node's "
		  "policy" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		model_free(load_valid(good[i]));
	CHECK_REFUSALS(refusals);
}

#define CIDR_EXPECTED "expected an address, or a network like 10.0.0.0/8"

static void test_refused_networks(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ WORKLOAD("addresses: [ db.example, 10.0.0.0/33, 10.0.0.0/, 10.0.0.0/08, "
			   "10.0.0/8, 10.0.0.0/8/8, '::/129', 'fe80::1%eth0' ]"),
		  "1:38: found 'db.example', " CIDR_EXPECTED "\n"
		  "1:50: found '10.0.0.0/33', " CIDR_EXPECTED "\n"
		  "1:63: found '10.0.0.0/', " CIDR_EXPECTED "\n"
		  "1:74: found '10.0.0.0/08', " CIDR_EXPECTED "\n"
		  "1:87: found '10.0.0/8', " CIDR_EXPECTED "\n"
		  "1:97: found '10.0.0.0/8/8', " CIDR_EXPECTED "\n"
		  "1:111: found '::/129', " CIDR_EXPECTED "\n"
		  "1:121: found 'fe80::1%eth0', " CIDR_EXPECTED " without zone id" },
		{ WORKLOAD("addresses: [ 10.0.0.1/8, 10.0.0.1/31, 'fd00::1/64', 10.0.0.0/0 ]"),
		  "1:38: found '10.0.0.1/8', expected 10.0.0.0/8, without bits behind the prefix\n"
		  "1:50: found '10.0.0.1/31', expected 10.0.0.0/31, without bits behind the "
		  "prefix\n"
		  "1:63: found 'fd00::1/64', expected fd00::/64, without bits behind the prefix\n"
		  "1:77: found '10.0.0.0/0', expected 0.0.0.0/0, without bits behind the prefix" },
		{ WORKLOAD("addresses: [ 0.0.0.0, 224.0.0.0/4, 255.255.255.255 ]"),
		  "1:38: workload address 0.0.0.0 is unspecified, expected a unicast address\n"
		  "1:47: workload address 224.0.0.0 is a multicast address, expected a unicast "
		  "address\n"
		  "1:60: workload address 255.255.255.255 is the broadcast address, expected a "
		  "unicast address" },
	};

	CHECK_REFUSALS(refusals);
}

/* ---- what is refused: policies ------------------------------------------------------ */

#define POLICY(keys) "policies: [ { name: a, subject: {}, " keys " } ]\n"
#define ADMIN(keys)  POLICY("tier: admin, priority: 1, " keys)

static void test_refused_policies(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ "policies: a\n", "1:11: found 'a', expected a list of policies" },
		{ "policies: [ a ]\n", "1:13: found 'a', expected a mapping (a policy)" },
		{ "policies: [ {} ]\n",
		  "1:13: found a policy without 'name', expected that key\n"
		  "1:13: found a policy without 'subject', expected that key\n"
		  "1:13: found a policy without 'ingress', 'egress' and 'isolate', expected one "
		  "of them" },
		{ POLICY("to: {}, ingress: []"),
		  "1:37: unknown key 'to' in a policy, expected one of: name, namespace, tier, "
		  "priority, mode, subject, isolate, ingress, egress" },
		{ "policies: [ { name: " NAME_127 "a, subject: {}, ingress: [] } ]\n",
		  "1:21: found '" TEN TEN TEN TEN
		  "...', " NAME_EXPECTED("a policy name", "1", "127") },
		{ POLICY("tier: Admin, ingress: []"),
		  "1:43: found 'Admin', expected admin, network or baseline" },
		{ POLICY("mode: audit, ingress: []"),
		  "1:43: found 'audit', expected enforce or shadow" },
		{ POLICY("priority: 1, ingress: []"),
		  "1:47: found 'priority' in a policy of the network tier, expected none: "
		  "what any policy of this tier allows is allowed" },
		{ POLICY("tier: admin, ingress: []"),
		  "1:13: found a policy of the admin tier without 'priority', expected that key" },
		{ POLICY("tier: admin, priority: 1001, ingress: []"),
		  "1:60: found '1001', expected a priority from 0 to 1000" },
		{ ADMIN("namespace: a, isolate: [ ingress ]"),
		  "1:74: found 'namespace' in a policy of the admin tier, expected none: "
		  "'namespaces' of its subject select them\n"
		  "1:86: found 'isolate' in a policy of the admin tier, expected none: "
		  "here rules deny, by 'action: deny'\n"
		  "1:13: found a policy without 'ingress' and 'egress', expected one of them" },
		{ POLICY("tier: baseline, isolate: [], egress: []"),
		  "1:62: found 'isolate' in a policy of the baseline tier, expected none: "
		  "here rules deny, by 'action: deny'" },
		{ POLICY("isolate: ingress"),
		  "1:46: found 'ingress', expected a list of directions" },
		{ POLICY("isolate: []"), "1:46: found 0 directions, expected 1 to 2" },
		{ POLICY("isolate: [ Ingress ]"),
		  "1:48: found 'Ingress', expected ingress or egress" },
		{ POLICY("isolate: [ ingress ], ingress: [], egress: []"),
		  "1:80: found 'egress' in a policy whose 'isolate' leaves it out, expected it "
		  "there, too" },
		{ POLICY("ingress: {}"), "1:46: found a mapping, expected a list of rules" },
		{ POLICY("ingress: "), "1:47: found nothing, expected a list of rules" },
	};

	CHECK_REFUSALS(refusals);
}

#define SUBJECT(subject)       "policies: [ { name: a, ingress: [], subject: " subject " } ]\n"
#define ADMIN_SUBJECT(subject) SUBJECT(subject ", tier: admin, priority: 1")
#define EXPRESSION(keys)       SUBJECT("{ expressions: [ { " keys " } ] }")

static void test_refused_selectors(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ SUBJECT("db"), "1:46: found 'db', expected a mapping (labels)" },
		{ SUBJECT(""), "1:47: found nothing, expected a mapping (labels)" },
		{ SUBJECT("{ app: d b }"), "1:53: found 'd b', " VALUE_EXPECTED },
		{ SUBJECT("{ app: db, labels: {} }"),
		  "1:48: unknown key 'app' in a subject, expected one of: labels, expressions, "
		  "namespaces" },
		{ SUBJECT("{ labels: db }"), "1:56: found 'db', expected a mapping (labels)" },
		{ SUBJECT("{ namespaces: {} }"),
		  "1:60: found 'namespaces' in the subject of a policy of the network tier, which "
		  "is for its own namespace" },
		{ ADMIN_SUBJECT("{ namespaces: { labels: {}, namespaces: {} } }"),
		  "1:74: unknown key 'namespaces' in a selector, expected one of: labels, "
		  "expressions" },
		{ ADMIN_SUBJECT("{ namespaces: shop }"),
		  "1:60: found 'shop', expected a mapping (labels)" },
		{ SUBJECT("{ expressions: {} }"),
		  "1:61: found a mapping, expected a list of expressions" },
		{ SUBJECT("{ expressions: [ a ] }"),
		  "1:63: found 'a', expected a mapping (an expression)" },
		{ EXPRESSION("values: [ a ]"),
		  "1:63: found an expression without 'key', expected that key\n"
		  "1:63: found an expression without 'operator', expected that key" },
		{ EXPRESSION("key: a b, operator: in"),
		  "1:70: found 'a b', " KEY_EXPECTED "\n"
		  "1:85: found 'in', expected In, NotIn, Exists or DoesNotExist" },
		{ EXPRESSION("key: a, operator: In"),
		  "1:63: found an expression with In or NotIn without 'values', expected that key" },
		{ EXPRESSION("key: a, operator: NotIn, values: []"),
		  "1:98: found 0 values, expected 1 to 10000" },
		{ EXPRESSION("key: a, operator: In, values: b"),
		  "1:95: found 'b', expected a list of values" },
		{ EXPRESSION("key: a, operator: In, values: [ b c ]"),
		  "1:97: found 'b c', " VALUE_EXPECTED },
		{ EXPRESSION("key: a, operator: Exists, values: [ b ]"),
		  "1:99: found 'values' beside Exists or DoesNotExist, expected none" },
		{ EXPRESSION("key: a, operator: DoesNotExist, values: b"),
		  "1:105: found 'values' beside Exists or DoesNotExist, expected none" },
	};

	CHECK_REFUSALS(refusals);
}

#define RULE(keys)    "policies: [ { name: a, subject: {}, ingress: [ { " keys " } ] } ]\n"
#define PEER(peer)    RULE("from: [ " peer " ]")
#define EMPTY_LIST(a) "found an empty list, which is " a " to most readers, expected "

static void test_refused_rules(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ POLICY("egress: [ allow ]"),
		  "1:47: found 'allow', expected a mapping (an egress rule)" },
		{ RULE("to: []"),
		  "1:50: unknown key 'to' in an ingress rule, expected one of: name, "
		  "from, ports, action, mode" },
		{ POLICY("egress: [ { from: [] } ]"),
		  "1:49: unknown key 'from' in an egress rule, expected one of: name, to, ports, "
		  "action, mode" },
		{ RULE("name: a b"),
		  "1:56: found 'a b', " NAME_EXPECTED("a rule name", "1", "127") },
		{ RULE("action: deny"),
		  "1:58: found 'deny', expected allow: this tier denies what none of its rules "
		  "allows; rules that deny are of tier admin or baseline" },
		{ RULE("action: [ deny ]"), "1:58: found a list, expected allow" },
		{ POLICY("tier: baseline, ingress: [ { action: pass } ]"),
		  "1:74: found 'pass', expected allow or deny" },
		{ ADMIN("ingress: [ { action: reject } ]"),
		  "1:84: found 'reject', expected allow, deny or pass" },
		{ RULE("mode: off"), "1:56: found 'off', expected enforce or shadow" },
		{ POLICY("mode: shadow, ingress: [ { mode: enforce } ]"),
		  "1:70: found 'enforce' in a rule of a policy in shadow, expected shadow" },
		{ RULE("from: []"),
		  "1:56: " EMPTY_LIST(
			  "everybody to Kubernetes and nobody") "peers, or no 'from' for everybody" },
		{ POLICY("egress: [ { to: [] } ]"),
		  "1:53: " EMPTY_LIST(
			  "everybody to Kubernetes and nobody") "peers, or no 'to' for everybody" },
		{ RULE("from: { labels: {} }"), "1:56: found a mapping, expected a list of peers" },
		{ RULE("from: "), "1:57: found nothing, expected a list of peers" },
		{ POLICY("ingress: [ { name: x }, { name: y }, { name: x } ],\n"
			 "  egress: [ { name: x } ]"),
		  "1:74: rule name 'x' is used twice in the ingress of policy 'a', first at "
		  "line 1" },
	};

	CHECK_REFUSALS(refusals);
}

static void test_refused_peers(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ PEER("world"), "1:58: found 'world', expected a mapping (a peer)" },
		{ PEER("{}"),
		  "1:58: found an empty peer, expected 'labels: {}' if all workloads are "
		  "meant" },
		{ PEER("{ app: db }"),
		  "1:60: unknown key 'app' in a peer, expected one of: labels, expressions, "
		  "namespaces, network, identity" },
		{ PEER("{ identity: World }"),
		  "1:70: found 'World', expected world, host, nodes, probes or unknown" },
		{ PEER("{ identity: world, labels: {} }"),
		  "1:77: unknown key 'labels' in a peer with 'identity', expected one of: "
		  "identity" },
		{ PEER("{ network: 10.0.0.0/8, namespaces: {} }"),
		  "1:81: unknown key 'namespaces' in a peer with 'network', expected one of: "
		  "network, except" },
		{ PEER("{ except: [ 10.0.0.0/8 ] }"),
		  "1:60: found 'except' without 'network', expected both" },
		{ PEER("{ network: [ 10.0.0.0/8 ] }"), "1:69: found a list, " CIDR_EXPECTED },
		{ PEER("{ network: 10.1.0.0/8 }"),
		  "1:69: found '10.1.0.0/8', expected 10.0.0.0/8, without bits behind the prefix" },
		{ PEER("{ network: 10.0.0.0/8, except: 10.1.0.0/16 }"),
		  "1:89: found '10.1.0.0/16', expected a list of networks" },
		{ PEER("{ network: 10.0.0.0/8, except: [ 10.0.0.0/8, 11.0.0.0/16, 0.0.0.0/0 ] }"),
		  "1:91: found 10.0.0.0/8 as an exception of 10.0.0.0/8, expected a part of that\n"
		  "1:103: found 11.0.0.0/16 as an exception of 10.0.0.0/8, expected a part of "
		  "that\n"
		  "1:116: found 0.0.0.0/0 as an exception of 10.0.0.0/8, expected a part of "
		  "that" },
		/* IPv4 is no part of IPv6, though its addresses can be written so */
		{ PEER("{ network: '::/0', except: [ 10.0.0.0/8, 'fd00::/8' ] }"),
		  "1:87: found 10.0.0.0/8 as an exception of ::/0, expected a part of that" },
	};

	CHECK_REFUSALS(refusals);
}

#define PORTS(ports)   RULE("ports: [ " ports " ]")
#define RANGE_EXPECTED "expected a port from 1 to 65535, or a range of them like 8000-8010"

static void test_refused_ports(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ RULE("ports: 80"), "1:57: found '80', expected a list of ports" },
		{ RULE("ports: []"),
		  "1:57: " EMPTY_LIST(
			  "every port to Kubernetes and none") "ports, or no 'ports' for every port" },
		{ PORTS("0, 65536, 080, -1, 1-, 0-9, 1-65536, 1-2-3, 99999999999999999999"),
		  "1:59: found '0', " RANGE_EXPECTED "\n"
		  "1:62: found '65536', " RANGE_EXPECTED "\n"
		  "1:69: found '080', " RANGE_EXPECTED "\n"
		  "1:74: found '-1', " RANGE_EXPECTED "\n"
		  "1:78: found '1-', " RANGE_EXPECTED "\n"
		  "1:82: found '0-9', " RANGE_EXPECTED "\n"
		  "1:87: found '1-65536', " RANGE_EXPECTED "\n"
		  "1:96: found '1-2-3', " RANGE_EXPECTED "\n"
		  "1:103: found '99999999999999999999', " RANGE_EXPECTED },
		{ PORTS("80-79"),
		  "1:59: found '80-79', expected a range that does not end before it begins" },
		{ PORTS("HTTP"), "1:59: found 'HTTP', " PORT_NAME_EXPECTED },
		{ PORTS("53/UDP"), "1:59: found '53/UDP', " PORT_NAME_EXPECTED },
		{ PORTS("[ 80 ]"),
		  "1:59: found a list, expected a port, a range of ports or a port's name" },
		{ PORTS("{}"),
		  "1:59: found a rule's port without 'port' and 'protocol', expected one "
		  "of them" },
		{ PORTS("{ port: 80, endPort: 90 }"),
		  "1:71: unknown key 'endPort' in a rule's port, expected one of: port, protocol" },
		{ PORTS("{ port: 53, protocol: udp }"), "1:81: found 'udp', expected TCP or UDP" },
		{ PORTS("{ port: 53, protocol: }"), "1:81: found nothing, expected TCP or UDP" },
		{ PORTS("{ protocol: SCTP }"),
		  "1:71: SCTP is not decided by Sidestep, expected TCP or UDP" },
	};

	CHECK_REFUSALS(refusals);
}

static void test_shared_names(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ "policies:\n"
		  "- { name: a, subject: {}, ingress: [] }\n"
		  "- { name: a, subject: {}, namespace: x, ingress: [] }\n"
		  "- { name: a, subject: {}, namespace: default, egress: [] }\n"
		  "- { name: a, subject: {}, tier: admin, priority: 1, ingress: [] }\n"
		  "- { name: b, subject: {}, tier: admin, priority: 1, ingress: [] }\n"
		  "- { name: a, subject: {}, tier: admin, priority: 2, ingress: [] }\n"
		  "- { name: a, subject: {}, tier: baseline, ingress: [] }\n",
		  "4:3: policy name 'a' is used twice in namespace 'default', first at line 2\n"
		  "7:3: policy name 'a' is used twice in the admin tier, first at line 5" },
	};

	CHECK_REFUSALS(refusals);
}

/* One that is broken by itself is told of once, and not held against others. */
static void test_broken_policy(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ "namespaces: [ { name: a }, { name: A } ]\n"
		  "policies:\n"
		  "- { name: a, subject: {}, tier: x, ingress: [] }\n"
		  "- { name: a, subject: {}, ingress: [] }\n",
		  "1:36: found 'A', " NAMESPACE_EXPECTED "\n"
		  "3:33: found 'x', expected admin, network or baseline" },
	};

	CHECK_REFUSALS(refusals);
}

/* ---- limits -------------------------------------------------------------------------- */

/* n times the text, a comma between. */
static void repeat(struct text *text, const char *what, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		text_add(text, "%s%s", i ? "," : "", what);
}

/* Too many of what stands between the two. */
static void check_limit(const char *before, const char *what, unsigned n, const char *after,
			const char *expected)
{
	_cleanup_text_ struct text most = { 0 };
	_cleanup_text_ struct text more = { 0 };
	_cleanup_text_ struct text told = { 0 };

	text_add(&most, "%s", before);
	repeat(&most, what, n);
	text_add(&most, "%s", after);
	model_free(load_valid(text_string(&most)));
	text_add(&more, "%s", before);
	repeat(&more, what, n + 1);
	text_add(&more, "%s", after);
	told = load_refused(text_string(&more));
	assert_string_equal(text_string(&told), expected);
}

static void test_limits(void **unused UNUSED)
{
	static const struct {
		const char *before, *what, *after, *expected;
		unsigned n;
	} cases[] = {
		{ "policies: [{name: a, subject: {}, ingress: [", "{}", "]}]\n",
		  "1:44: found 10001 rules, expected 1 to 10000", 10000 },
		{ "policies: [{name: a, subject: {}, ingress: [{from: [", "{labels: {}}", "]}]}]\n",
		  "1:52: found 10001 peers, expected 1 to 10000", 10000 },
		{ "policies: [{name: a, subject: {}, ingress: [{ports: [", "80", "]}]}]\n",
		  "1:53: found 10001 ports, expected 1 to 10000", 10000 },
		{ "policies: [{name: a, subject: {}, ingress: [{from: [{network: 10.0.0.0/8, except: [",
		  "10.0.0.1", "]}]}]}]\n", "1:83: found 10001 networks, expected 1 to 10000",
		  10000 },
		{ "policies: [{name: a, ingress: [], subject: {expressions: [{key: a, operator: In, "
		  "values: [",
		  "b", "]}]}}]\n", "1:90: found 10001 values, expected 1 to 10000", 10000 },
		{ "policies: [{name: a, ingress: [], subject: {expressions: [",
		  "{key: a, operator: Exists}", "]}}]\n",
		  "1:58: found 257 expressions, expected at most 256", 256 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check_limit(cases[i].before, cases[i].what, cases[i].n, cases[i].after,
			    cases[i].expected);
}

/* Keys of a mapping have to differ. */
static void test_mapping_limits(void **unused UNUSED)
{
	static const struct {
		const char *key, *value, *expected;
	} cases[] = {
		{ "labels", "x", "1:45: found 257 labels, expected at most 256" },
		{ "ports", "1", "1:44: found 257 ports, expected at most 256" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_text_ struct text yaml = { 0 };
		_cleanup_text_ struct text told = { 0 };

		text_add(&yaml, "workloads: [ { name: a, cgroup: /a, %s: {", cases[i].key);
		for (unsigned j = 0; j < 257; j++)
			text_add(&yaml, "%sa%u: %s", j ? ", " : "", j, cases[i].value);
		text_add(&yaml, "} } ]\n");
		told = load_refused(text_string(&yaml));
		assert_string_equal(text_string(&told), cases[i].expected);
	}
}

/* ---- whose file it is ------------------------------------------------------------------ */

/* What is told of a file with that owner and mode, without its name; "" when it is taken. */
static struct text load_as(uid_t owner, mode_t mode)
{
	_cleanup_problems_ struct problems problems = { 0 };
	_cleanup_model_ struct model *model = NULL;
	char path[] = "/tmp/sidestep-yaml-XXXXXX";
	_cleanup_close_ int fd = mkstemp(path);
	struct text told = { 0 };
	int r;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "services: []\n", 13), 13);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(fchown(fd, owner, -1), 0);
	r = yaml_load_file(path, &problems, &model);
	unlink(path);
	assert_int_equal(r, problems.count ? -EINVAL : 0);
	for (unsigned i = 0; i < problems.count; i++)
		text_add(&told, "%s%.*s", i ? "\n" : "",
			 (int)(strrchr(problems.text[i], ' ') - problems.text[i]) -
				 (int)sizeof(path),
			 problems.text[i] + sizeof(path));
	return told;
}

static void test_trust(void **unused UNUSED)
{
#define OTHERS(mode)                                                                            \
	" found a file that others may write (mode " mode "), and they could change what root " \
	"applies, expected that they may not: chmod go-w"
#define FOREIGN                                                                                    \
	" found a file of user 65534, and who owns it could change what root applies, expected a " \
	"file of root: chown root"
	static const struct {
		uid_t owner;
		mode_t mode;
		const char *told;
	} cases[] = {
		{ 0, 0600, "" },
		{ 0, 0755, "" },
		{ 0, 0620, OTHERS("0620") },
		{ 0, 0646, OTHERS("0646") },
		{ 65534, 0600, FOREIGN },
		{ 65534, 0666, FOREIGN "\n" OTHERS("0666") },
	};

	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_text_ struct text told = load_as(cases[i].owner, cases[i].mode);

		assert_string_equal(text_string(&told), cases[i].told);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_default_settings),
		cmocka_unit_test(test_namespaces),
		cmocka_unit_test(test_workloads),
		cmocka_unit_test(test_policies),
		cmocka_unit_test(test_tiers),
		cmocka_unit_test(test_peers),
		cmocka_unit_test(test_port_matches),
		cmocka_unit_test(test_identities),
		cmocka_unit_test(test_10000_policies),
		cmocka_unit_test(test_refused_settings),
		cmocka_unit_test(test_refused_namespaces),
		cmocka_unit_test(test_refused_labels),
		cmocka_unit_test(test_refused_workloads),
		cmocka_unit_test(test_shared_workloads),
		cmocka_unit_test(test_refused_networks),
		cmocka_unit_test(test_refused_policies),
		cmocka_unit_test(test_refused_selectors),
		cmocka_unit_test(test_refused_rules),
		cmocka_unit_test(test_refused_peers),
		cmocka_unit_test(test_refused_ports),
		cmocka_unit_test(test_shared_names),
		cmocka_unit_test(test_broken_policy),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_mapping_limits),
		cmocka_unit_test(test_trust),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
