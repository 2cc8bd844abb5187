/* SPDX-License-Identifier: Apache-2.0 */
/* What a candidate changes: by all pairs of identities, and by recorded flows. */
#include "shop_fixture.h"

#include <errno.h>

#include "export/flowlog.h"
#include "export/json.h"
#include "export/show_change.h"
#include "policy/diff.h"
#include "policy/replay.h"

#define WORKLOADS                                                        \
	"node: { policy: { host: policy } }\n"                           \
	"workloads:\n"                                                   \
	"  - { name: web, labels: {app: web}, addresses: [10.1.0.2] }\n" \
	"  - { name: db, labels: {app: db}, addresses: [10.1.0.7], ports: {pg: 5432} }\n"

/* db is open to web, on these ports. */
#define OPEN_TO_WEB(ports)                                                                     \
	WORKLOADS "policies:\n"                                                                \
		  "  - { name: p, subject: {app: db},\n"                                       \
		  "      ingress: [ { name: r, from: [ {labels: {app: web}} ], ports: [" ports \
		  "] } ] }\n"

/* ---- diff ------------------------------------------------------------------------- */

/* Both sets on nodes that fail open. */
static struct policy_diff diff_sets(const struct policy_set *before, const struct policy_set *after)
{
	struct policy_diff diff = {};

	assert_int_equal(policy_diff(&(struct judge){ before }, &(struct judge){ after }, &diff),
			 0);
	return diff;
}

static struct text diff_text(const char *before, const char *after)
{
	_cleanup_policy_set_ struct policy_set a = shop_set(before, NULL), b = shop_set(after, &a);
	_cleanup_policy_diff_ struct policy_diff diff = diff_sets(&a, &b);
	struct text out = {};

	assert_int_equal(show_diff(&diff, &a, &b, &out), 0);
	return out;
}

static void assert_diff(const char *before, const char *after, const char *expected)
{
	_cleanup_text_ struct text out = diff_text(before, after);

	assert_string_equal(text_string(&out), expected);
}

static void test_no_change(void **unused UNUSED)
{
	assert_diff(SHOP, SHOP, "no verdict changes\n");
	assert_diff("{}\n", "{}\n", "no verdict changes\n");
	/* the same in other words */
	assert_diff(OPEN_TO_WEB("80, 81, 82"), OPEN_TO_WEB("\"80-82\""), "no verdict changes\n");
}

static void test_ports(void **unused UNUSED)
{
	assert_diff(
		OPEN_TO_WEB("pg, \"80-90\""), OPEN_TO_WEB("5432, 85, {port: 53, protocol: UDP}"),
		"SOURCE                        DESTINATION                  PORTS                NOW  "
		"    THEN     BECAUSE OF\n"
		"default{app=web} at 10.1.0.2  default{app=db} at 10.1.0.7  80-84/TCP,86-90/TCP  "
		"allowed  denied   ingress: default/p/isolated\n"
		"default{app=web} at 10.1.0.2  default{app=db} at 10.1.0.7  53/UDP               "
		"denied   allowed  no longer ingress: default/p/isolated\n"
		"\n"
		"verdicts that change, by pair and kind of port: 1 to denied, 1 to allowed\n");
}

/* Without a set everything is allowed: what the first policies close. */
static void test_first_and_last(void **unused UNUSED)
{
	_cleanup_policy_set_ struct policy_set none = {}, set = shop_set(OPEN_TO_WEB("80"), NULL);
	_cleanup_policy_diff_ struct policy_diff first = diff_sets(&none, &set),
						 last = diff_sets(&set, &none);

	assert_true(first.closed > 0);
	assert_int_equal(first.opened, 0);
	assert_int_equal(last.opened, first.closed);
	assert_int_equal(last.closed, 0);
	assert_int_equal(last.n_rows, first.n_rows);
}

/* World is one identity; what a network says of a part of it is told for that part. */
static void test_networks(void **unused UNUSED)
{
	static const char closed[] =
		WORKLOADS "policies:\n"
			  "  - { name: p, subject: {app: db}, isolate: [ingress] }\n";
	static const char opened[] =
		WORKLOADS "policies:\n"
			  "  - { name: p, subject: {app: db}, ingress:\n"
			  "      [ { from: [ {network: 192.0.2.0/24} ] } ] }\n";
	_cleanup_policy_set_ struct policy_set a = shop_set(closed, NULL), b = shop_set(opened, &a);
	_cleanup_policy_diff_ struct policy_diff diff = diff_sets(&a, &b);
	struct sst_addr address = fixture_address("192.0.2.0");

	assert_int_equal(diff.n_rows, 1);
	assert_int_equal(diff.rows[0].source.id, SST_IDENTITY_WORLD);
	assert_memory_equal(&diff.rows[0].source.after.address, &address, sizeof(address));
	assert_false(diff.rows[0].after.denied);
}

static void test_identities_come_and_go(void **unused UNUSED)
{
	static const char before[] = "workloads:\n"
				     "  - { name: a, labels: {a: a}, addresses: [10.0.0.1] }\n"
				     "  - { name: b, labels: {b: b}, cgroup: /b }\n";
	static const char after[] = "workloads:\n"
				    "  - { name: a, labels: {a: a}, addresses: [10.0.0.1] }\n"
				    "  - { name: c, labels: {c: c}, cgroup: /c }\n"
				    "  - { name: d, labels: {d: d}, addresses: [10.0.0.4] }\n";

	assert_diff(before, after, "identities: 2 new, 1 gone: not compared\nno verdict changes\n");
}

static void test_diff_json(void **unused UNUSED)
{
	_cleanup_policy_set_ struct policy_set a = shop_set(OPEN_TO_WEB("80"), NULL),
					       b = shop_set(OPEN_TO_WEB("81"), &a);
	_cleanup_policy_diff_ struct policy_diff diff = diff_sets(&a, &b);
	_cleanup_json_ json_t *json = show_diff_json(&diff, &a, &b);
	const json_t *row = json_array_get(json_object_get(json, "changes"), 0);
	const json_t *ports = json_array_get(json_object_get(row, "ports"), 0);

	assert_int_equal(json_integer_value(json_object_get(json, "denied")), 1);
	assert_int_equal(json_integer_value(json_object_get(json, "opened")), 1);
	assert_int_equal(json_integer_value(json_object_get(ports, "first")), 80);
	assert_int_equal(json_integer_value(json_object_get(ports, "last")), 80);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(row, "before"), "rule")),
		"default/p/r");
}

/* The set is the same, and who cannot be told is denied from then on. */
static void test_fail(void **unused UNUSED)
{
	_cleanup_policy_set_ struct policy_set set = shop_set(OPEN_TO_WEB("80"), NULL);
	const struct judge open = { &set }, closed = { &set, true };
	_cleanup_policy_diff_ struct policy_diff same = {}, opens = {}, closes = {};
	_cleanup_text_ struct text out = {};

	assert_int_equal(policy_diff(&closed, &closed, &same), 0);
	assert_int_equal(policy_diff(&open, &closed, &closes), 0);
	assert_int_equal(policy_diff(&closed, &open, &opens), 0);
	assert_int_equal(same.opened + same.closed, 0);
	assert_int_equal(closes.opened, 0);
	assert_int_equal(opens.opened, closes.closed);
	assert_int_equal(show_diff(&closes, &set, &set, &out), 0);
	assert_non_null(strstr(text_string(&out),
			       "\nunknown                       default{app=web} at 10.1.0.2  all"
			       "    allowed  denied  egress: fails closed\n"));
	assert_non_null(strstr(text_string(&out), "  denied  ingress: fails closed\n"));
	for (size_t i = 0; i < closes.n_rows; i++)
		assert_true(closes.rows[i].after.undecided);
}

/* Without rules nobody is asked, so nothing fails. */
static void test_fail_without_rules(void **unused UNUSED)
{
	_cleanup_policy_set_ struct policy_set set = shop_set(WORKLOADS, NULL);
	_cleanup_policy_diff_ struct policy_diff diff = {};

	assert_int_equal(policy_diff(&(struct judge){ &set }, &(struct judge){ &set, true }, &diff),
			 0);
	assert_int_equal(diff.opened + diff.closed, 0);
}

/* ---- replay ------------------------------------------------------------------------- */

/* The members that a replay looks at; verdict as JSON. */
#define RECORD(flow, from, from_who, to, to_who, port, verdict)                              \
	"{\"event\":\"open\",\"flow\":\"" flow "\",\"protocol\":\"TCP\","                    \
	"\"source\":{\"address\":\"" from "\",\"port\":40000},\"source_identity\":" from_who \
	",\"destination\":{\"address\":\"" to "\",\"port\":" port                            \
	"},\"destination_identity\":" to_who ",\"verdict\":" verdict "}"

#define WEB   "{\"id\":256,\"workload\":\"default/web\"}"
#define GONE  "{\"id\":300,\"workload\":\"default/gone\"}"
#define HOST  "{\"id\":2,\"workload\":null}"
#define WORLD "{\"id\":1,\"workload\":null}"

static const char *const records[] = {
	RECORD("1", "10.1.0.2", WEB, "10.1.0.7", "null", "80", "\"allowed\""),
	/* the same flow as it closes, and another one like it */
	RECORD("1", "10.1.0.2", WEB, "10.1.0.7", "null", "80", "\"allowed\""),
	RECORD("2", "10.1.0.2", WEB, "10.1.0.7", "null", "80", "\"allowed\""),
	/* by its name, wherever it was then */
	RECORD("3", "127.0.0.1", WEB, "10.1.0.7", "null", "81", "\"denied\""),
	/* nobody was asked, nobody is now */
	RECORD("4", "10.1.0.7", "null", "192.0.2.1", "null", "443", "null"),
	RECORD("5", "10.1.0.9", GONE, "10.1.0.7", "null", "81", "\"allowed\""),
	RECORD("6", "192.0.2.1", HOST, "10.1.0.7", "null", "22", "\"allowed\""),
	/* denied before it had an address */
	"{\"flow\":\"8\",\"protocol\":\"TCP\",\"source\":null,\"source_identity\":" WEB
	",\"destination\":{\"address\":\"10.1.0.7\",\"port\":81},\"verdict\":\"denied\"}",
	RECORD("7", "192.0.2.1", WORLD, "10.1.0.7", "null", "22", "\"denied\""),
};

static void replay_records(struct replay *replay, const struct policy_set *set)
{
	const struct judge judge = { set };
	_cleanup_problems_ struct problems problems = {};
	_cleanup_flowlog_ struct flowlog log = {};

	for (unsigned i = 0; i < ARRAY_SIZE(records); i++) {
		struct replay_flow flow = {};
		int r = flowlog_read(&log, records[i], "log", i + 1, &problems, &flow);

		assert_int_equal(r, i != 1);
		if (r)
			assert_int_equal(replay_add(replay, &judge, &flow), 0);
		flowlog_flow_release(&flow);
	}
	replay_group(replay);
}

static void test_replay(void **unused UNUSED)
{
	_cleanup_policy_set_ struct policy_set set = shop_set(OPEN_TO_WEB("81"), NULL);
	_cleanup_replay_ struct replay replay = {};
	_cleanup_text_ struct text out = {};

	replay_records(&replay, &set);
	assert_int_equal(show_replay(&replay, &set, &out), 0);
	assert_string_equal(
		text_string(&out),
		"WOULD BE  FLOWS  SOURCE       DESTINATION  PORT    BECAUSE OF\n"
		"denied        2  default/web  default/db   80/TCP  ingress: default/p/isolated\n"
		"denied        1  world        default/db   81/TCP  ingress: default/p/isolated\n"
		"denied        1  host         default/db   22/TCP  ingress: default/p/isolated\n"
		"opened        2  default/web  default/db   81/TCP  ingress: default/p/r\n"
		"\n"
		"8 flows: 4 would be denied, 2 would be opened\n"
		"1 flows are of workloads that are not known any more, judged by their addresses\n");
}

static void test_replay_without_policies(void **unused UNUSED)
{
	_cleanup_replay_ struct replay replay = {};
	struct policy_set none = {};

	replay_records(&replay, &none);
	assert_int_equal(replay.flows, 8);
	assert_int_equal(replay.denied, 0);
	assert_int_equal(replay.opened, 3);
}

static void test_replay_of_unknown(void **unused UNUSED)
{
	_cleanup_policy_set_ struct policy_set set = shop_set(OPEN_TO_WEB("80"), NULL);
	const struct judge open = { &set }, closed = { &set, true };
	const struct replay_flow flow = {
		.source = { .is_reserved = true, .reserved = SST_IDENTITY_UNKNOWN },
		.destination = { .address = fixture_address("10.1.0.2"), .has_address = true },
		.port = 80,
		.protocol = IPPROTO_TCP,
	};
	_cleanup_replay_ struct replay replay = {};
	_cleanup_text_ struct text out = {};

	assert_int_equal(replay_add(&replay, &open, &flow), 0);
	assert_int_equal(replay.n_changes, 0);
	assert_int_equal(replay_add(&replay, &closed, &flow), 0);
	replay_group(&replay);
	assert_int_equal(show_replay(&replay, &set, &out), 0);
	assert_string_equal(text_string(&out),
			    "WOULD BE  FLOWS  SOURCE   DESTINATION  PORT    BECAUSE OF\n"
			    "denied        1  unknown  default/web  80/TCP  egress: fails closed\n"
			    "\n"
			    "2 flows: 1 would be denied, 0 would be opened\n");
	_cleanup_json_ json_t *json = show_replay_json(&replay, &set);
	const json_t *change = json_array_get(json_object_get(json, "changes"), 0);

	assert_true(json_is_true(json_object_get(change, "undecided")));
	assert_true(json_is_null(json_object_get(change, "rule")));
}

/* Ingress of who lives elsewhere is decided there: this node let it go. */
static void test_remote_workloads(void **unused UNUSED)
{
	_cleanup_policy_set_ struct policy_set set = shop_set(
		"workloads:\n"
		"  - { name: web, labels: {app: web}, addresses: [10.1.0.2] }\n"
		"  - { name: db, labels: {app: db}, addresses: [10.1.0.7], remote: true }\n"
		"policies:\n"
		"  - { name: p, subject: {app: db}, isolate: [ingress] }\n",
		NULL);
	_cleanup_replay_ struct replay replay = {};
	struct replay_flow flow = {
		.source = { .address = fixture_address("10.1.0.2"), .has_address = true },
		.destination = { .address = fixture_address("10.1.0.7"), .has_address = true },
		.port = 80,
		.protocol = IPPROTO_TCP,
	};

	assert_int_equal(replay_add(&replay, &(struct judge){ &set }, &flow), 0);
	assert_int_equal(replay.n_changes, 0);
}

static void test_bad_lines(void **unused UNUSED)
{
	static const char *const lines[] = {
		"",
		"nonsense",
		"[]",
		"{}",
		"{\"protocol\":\"TCP\",\"source\":null,\"destination\":null}",
		"{\"protocol\":\"TCP\",\"source\":{\"address\":\"x\",\"port\":1},"
		"\"destination\":{\"address\":\"10.0.0.1\",\"port\":1}}",
		"{\"protocol\":\"TCP\",\"source\":{\"address\":\"10.0.0.1\",\"port\":1},"
		"\"destination\":{\"address\":\"10.0.0.1\",\"port\":65536}}",
	};
	_cleanup_flowlog_ struct flowlog log = {};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		_cleanup_problems_ struct problems problems = {};
		struct replay_flow flow = {};

		assert_int_equal(flowlog_read(&log, lines[i], "log", 7, &problems, &flow), -EINVAL);
		assert_int_equal(problems.count, 1);
		assert_int_equal(strncmp(problems.text[0], "log:7:", 6), 0);
		assert_null(flow.source.workload);
	}
}

/* What a log could not take was no flow. */
static void test_gap_in_a_log(void **unused UNUSED)
{
	static const char gap[] = "{\"version\":1,\"event\":\"lost\",\"count\":5}";
	_cleanup_problems_ struct problems problems = {};
	_cleanup_flowlog_ struct flowlog log = {};
	struct replay_flow flow;

	assert_int_equal(flowlog_read(&log, gap, "log", 1, &problems, &flow), 0);
	assert_int_equal(flowlog_read(&log, gap, "log", 2, &problems, &flow), 0);
	assert_int_equal(problems.count, 0);
}

/* A log may come from anywhere, and what is wrong with it is shown on a terminal. */
static void test_bad_line_is_told_harmlessly(void **unused UNUSED)
{
	_cleanup_problems_ struct problems problems = {};
	_cleanup_flowlog_ struct flowlog log = {};
	struct replay_flow flow;

	assert_int_equal(flowlog_read(&log, "\x1b[2J", "log", 1, &problems, &flow), -EINVAL);
	assert_string_equal(problems.text[0], "log:1:1: no JSON: '[' or '{' expected near '?'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_change),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_first_and_last),
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_identities_come_and_go),
		cmocka_unit_test(test_diff_json),
		cmocka_unit_test(test_fail),
		cmocka_unit_test(test_fail_without_rules),
		cmocka_unit_test(test_replay),
		cmocka_unit_test(test_replay_without_policies),
		cmocka_unit_test(test_replay_of_unknown),
		cmocka_unit_test(test_remote_workloads),
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_gap_in_a_log),
		cmocka_unit_test(test_bad_line_is_told_harmlessly),
	};

	return cmocka_run_group_tests_name("policy_change", tests, NULL, NULL);
}
