/* SPDX-License-Identifier: Apache-2.0 */
#include "shop_fixture.h"

#include <errno.h>
#include <netinet/tcp.h>

#include "export/flow_table.h"
#include "export/json.h"
#include "export/record.h"
#include "policy/party.h"

/* What a reader makes of it. */
static json_t *parsed(const struct sst_record *record, const struct record_context *context)
{
	_cleanup_text_ struct text out = {};
	json_error_t error;
	json_t *json;

	record_to_json(record, context, &out);
	assert_int_equal(out.error, 0);
	json = json_loads(text_string(&out), JSON_REJECT_DUPLICATES, &error);
	if (!json)
		fail_msg("%s: %s", error.text, text_string(&out));
	return json;
}

static struct sst_record client_record(void)
{
	return (struct sst_record){
		.flow = UINT64_MAX,
		.peer_flow = 42,
		.time_ns = 1000 * S,
		.opened_ns = 998 * S + S / 2,
		.cgroup_id = 1234,
		.sent_bytes = 100,
		.received_bytes = 2000,
		.spliced_sent_bytes = 30000,
		.spliced_received_bytes = 400000,
		.local = fixture_address("10.1.0.9"),
		.local_port = htons(41000),
		.remote = fixture_address("10.1.0.2"),
		.remote_port = htons(8080),
		.asked = fixture_address("10.96.0.10"),
		.asked_port = htons(80),
		.type = SST_RECORD_CLOSE,
		.protocol = IPPROTO_TCP,
		.role = SST_ROLE_CLIENT,
		.splice = SST_STATE_REDIRECTING,
		.tcp_state = TCP_CLOSE,
		.service = 3,
		.error = ECONNRESET,
		.srtt_us = 45,
		.retransmits = 6,
		.netns_ino = 4026531840,
		.edge = 7,
		.connect_us = 1234,
		.ending = SST_ENDING_RESET_BY_SERVER,
	};
}

/* The other end of the same flow. */
static struct sst_record server_record(void)
{
	struct sst_record client = client_record(), server = client;

	server.flow = client.peer_flow;
	server.peer_flow = client.flow;
	server.role = SST_ROLE_SERVER;
	server.local = client.remote;
	server.local_port = client.remote_port;
	server.remote = client.local;
	server.remote_port = client.local_port;
	server.sent_bytes = client.received_bytes;
	server.received_bytes = client.sent_bytes;
	server.spliced_sent_bytes = client.spliced_received_bytes;
	server.spliced_received_bytes = client.spliced_sent_bytes;
	return server;
}

static void test_json(void **unused UNUSED)
{
	struct sst_record record = client_record();
	struct fixture f;

	fixture_init(&f);
	struct record_context context = { &f.state, OFFSET };
	_cleanup_json_ json_t *json = parsed(&record, &context);

	assert_json(json, "{\n"
			  " \"version\": 1,\n"
			  " \"time\": \"2026-01-02T03:04:05.006000000Z\",\n"
			  " \"event\": \"close\",\n"
			  " \"sample\": 1,\n"
			  " \"flow\": \"18446744073709551615\",\n"
			  " \"peer_flow\": \"42\",\n"
			  " \"edge\": 7,\n"
			  " \"role\": \"client\",\n"
			  " \"protocol\": \"TCP\",\n"
			  " \"source\": {\n"
			  "  \"address\": \"10.1.0.9\",\n"
			  "  \"port\": 41000\n"
			  " },\n"
			  " \"asked\": {\n"
			  "  \"address\": \"10.96.0.10\",\n"
			  "  \"port\": 80\n"
			  " },\n"
			  " \"destination\": {\n"
			  "  \"address\": \"10.1.0.2\",\n"
			  "  \"port\": 8080\n"
			  " },\n"
			  " \"service\": \"web\",\n"
			  " \"service_port\": \"http\",\n"
			  " \"cgroup_id\": \"1234\",\n"
			  " \"netns\": 4026531840,\n"
			  " \"source_identity\": null,\n"
			  " \"destination_identity\": null,\n"
			  " \"verdict\": null,\n"
			  " \"direction\": null,\n"
			  " \"tier\": null,\n"
			  " \"rule\": null,\n"
			  " \"shadow_verdict\": null,\n"
			  " \"shadow_rule\": null,\n"
			  " \"sent_bytes\": 100,\n"
			  " \"received_bytes\": 2000,\n"
			  " \"spliced_sent_bytes\": 30000,\n"
			  " \"spliced_received_bytes\": 400000,\n"
			  " \"duration_seconds\": 1.5,\n"
			  " \"connect_us\": 1234,\n"
			  " \"srtt_us\": 45,\n"
			  " \"retransmits\": 6,\n"
			  " \"splice_state\": \"redirecting\",\n"
			  " \"tcp_state\": \"close\",\n"
			  " \"ending\": \"reset-by-server\",\n"
			  " \"failure\": null,\n"
			  " \"error\": \"ECONNRESET\"\n"
			  "}");
}

static void test_ends_agree(void **unused UNUSED)
{
	static const char *const of_the_end[] = { "flow", "peer_flow", "role" };
	struct sst_record client = client_record(), server = server_record();
	struct record_context context = { NULL, OFFSET };
	_cleanup_json_ json_t *a = parsed(&client, &context);
	_cleanup_json_ json_t *b = parsed(&server, &context);

	assert_string_equal(json_string_value(json_object_get(b, "role")), "server");
	for (size_t i = 0; i < ARRAY_SIZE(of_the_end); i++) {
		json_object_del(a, of_the_end[i]);
		json_object_del(b, of_the_end[i]);
	}
	assert_true(json_equal(a, b));
}

static void assert_null_member(const json_t *json, const char *name)
{
	if (!json_is_null(json_object_get(json, name)))
		fail_msg("%s is not null", name);
}

/* A flow to no service, whose other end is elsewhere, that goes well. */
static void test_what_is_not_there_is_null(void **unused UNUSED)
{
	static const char *const names[] = { "peer_flow", "asked", "service", "service_port",
					     "error" };
	struct record_context context = { NULL, OFFSET };
	struct sst_record record = client_record();

	record.peer_flow = 0;
	record.asked = (struct sst_addr){};
	record.asked_port = 0;
	record.service = 0;
	record.error = 0;
	_cleanup_json_ json_t *json = parsed(&record, &context);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_null_member(json, names[i]);
}

/* The names come from another dump than the record: any of them may be missing. */
static void test_unknown_service(void **unused UNUSED)
{
	struct sst_record record = client_record();
	_cleanup_text_ struct text line = {};
	struct state empty = {};
	struct fixture f;

	fixture_init(&f);
	record.service = 4;
	const struct state *states[] = { NULL, &empty, &f.state };

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		struct record_context context = { states[i], OFFSET };
		_cleanup_json_ json_t *json = parsed(&record, &context);

		assert_null_member(json, "service");
		record_to_line(&record, &context, &line);
		assert_contains(&line, " service #4 ");
	}
}

static void test_values_without_name(void **unused UNUSED)
{
	struct record_context context = { NULL, OFFSET };
	struct sst_record record = client_record();

	record.type = record.splice = record.tcp_state = 200;
	record.error = 9999;
	_cleanup_json_ json_t *json = parsed(&record, &context);

	assert_string_equal(json_string_value(json_object_get(json, "event")), "?");
	assert_string_equal(json_string_value(json_object_get(json, "splice_state")), "?");
	assert_string_equal(json_string_value(json_object_get(json, "tcp_state")), "?");
	assert_string_equal(json_string_value(json_object_get(json, "error")), "9999");
}

/* Opened after it was looked at, or not at all: no age below zero. */
static void test_age_is_never_negative(void **unused UNUSED)
{
	struct record_context context = { NULL, OFFSET };
	struct sst_record record = client_record();

	record.opened_ns = record.time_ns + 1;
	_cleanup_json_ json_t *later = parsed(&record, &context);
	assert_true(json_real_value(json_object_get(later, "duration_seconds")) == 0);

	record.opened_ns = 0;
	_cleanup_json_ json_t *never = parsed(&record, &context);
	assert_true(json_real_value(json_object_get(never, "duration_seconds")) == 0);
}

static void test_lines(void **unused UNUSED)
{
	struct sst_record record = client_record();
	_cleanup_text_ struct text out = {};
	struct fixture f;

	fixture_init(&f);
	struct record_context context = { &f.state, OFFSET };

	record_to_line(&record, &context, &out);
	record.type = SST_RECORD_OPEN;
	record.error = 0;
	record.service = 0;
	record.asked = (struct sst_addr){};
	record_to_line(&record, &context, &out);
	assert_string_equal(
		out.data,
		"2026-01-02T03:04:05.006000000Z close  TCP 10.1.0.9:41000 -> 10.96.0.10:80 -> "
		"10.1.0.2:8080 service web/http sent 29.4KiB received 392.6KiB spliced 419.9KiB "
		"duration 1.500s rtt 0.045ms retransmits 6 reset-by-server error "
		"ECONNRESET\n"
		"2026-01-02T03:04:05.006000000Z open   TCP 10.1.0.9:41000 -> 10.1.0.2:8080 "
		"service -\n");
}

/* The kernel's figures as they are, and what has none as null. */
static void test_endings(void **unused UNUSED)
{
	struct record_context context = { NULL, OFFSET };
	struct sst_record record = client_record();

	record.type = SST_RECORD_FAILED;
	record.ending = SST_FAILURE_TIMED_OUT;
	record.edge = record.connect_us = 0;
	_cleanup_json_ json_t *failed = parsed(&record, &context);

	assert_string_equal(json_string_value(json_object_get(failed, "failure")), "timed-out");
	assert_null_member(failed, "ending");
	assert_null_member(failed, "edge");
	assert_null_member(failed, "connect_us");
	record.type = SST_RECORD_LIVE;
	_cleanup_json_ json_t *live = parsed(&record, &context);
	assert_null_member(live, "ending");
	assert_null_member(live, "failure");
}

static void test_extremes(void **unused UNUSED)
{
	struct record_context context = { NULL, OFFSET, 1000000 };
	struct sst_record record;
	_cleanup_text_ struct text out = {};

	memset(&record, 0xff, sizeof(record));
	record.role = SST_ROLE_CLIENT;
	record.sent_bytes = record.received_bytes = INT64_MAX; /* all that jansson reads */
	record.spliced_sent_bytes = record.spliced_received_bytes = INT64_MAX;
	_cleanup_json_ json_t *json = parsed(&record, &context);

	assert_int_equal(json_integer_value(json_object_get(json, "sample")), 1000000);
	assert_int_equal(json_integer_value(json_object_get(json, "srtt_us")), UINT32_MAX);
	record.sent_bytes = 12345678901234567890ull;
	record_to_json(&record, &context, &out);
	assert_contains(&out, "\"sent_bytes\":12345678901234567890,");
}

/* Somebody else has written the map. */
static void test_names_are_escaped(void **unused UNUSED)
{
	struct sst_record record = client_record();
	struct fixture f;

	fixture_init(&f);
	struct record_context context = { &f.state, OFFSET };

	strcpy(f.services[0].info.name, "a\"b\\c\nd\x7f\xff");
	_cleanup_json_ json_t *json = parsed(&record, &context);

	assert_string_equal(json_string_value(json_object_get(json, "service")),
			    "a\"b\\c\nd\x7f\xc3\xbf");
	memset(f.services[0].info.name, '\x01', SST_NAME_MAX - 1);
	_cleanup_json_ json_t *longest = parsed(&record, &context);
	assert_int_equal(json_string_length(json_object_get(longest, "service")), SST_NAME_MAX - 1);
}

static void test_lost(void **unused UNUSED)
{
	_cleanup_text_ struct text json = {}, line = {};

	record_lost_to_json(5, &json);
	record_lost_to_line(5, &line);
	assert_string_equal(json.data, "{\"version\":1,\"event\":\"lost\",\"count\":5}");
	assert_string_equal(line.data, "... 5 events lost: reading too slowly\n");
}

/* ---- what policy says of it ------------------------------------------------------- */

/* Of the shop: ids by the names of workloads and rules, so that no number is told twice. */
static struct sst_judgement judgement_of(const struct policy_set *set, const char *source,
					 const char *destination)
{
	_cleanup_parties_ struct parties parties = {};
	_cleanup_problems_ struct problems problems = {};
	const struct party *from, *to;

	assert_int_equal(parties_find(set, source, &problems, &parties), 0);
	assert_int_equal(parties_find(set, destination, &problems, &parties), 0);
	from = &parties.items[0];
	to = &parties.items[parties.n - 1];
	return (struct sst_judgement){
		.identity = policy_identity(set, from->identity)->id,
		.workload = policy_workload(set, from->workload)->id,
		.peer_identity = policy_identity(set, to->identity)->id,
		.peer_workload = policy_workload(set, to->workload)->id,
	};
}

static uint32_t rule_id(const struct policy_set *set, const char *name)
{
	for (uint32_t i = 0; i < policy_head(set)->n_infos; i++)
		if (!strcmp(policy_text(set, policy_info(set, i)->rule), name))
			return policy_info(set, i)->id;
	fail_msg("no rule %s", name);
	return 0;
}

static struct sst_record denied_record(const struct policy_set *set)
{
	struct sst_record record = client_record();

	record.type = SST_RECORD_DENIED;
	record.error = EPERM;
	record.service = 0;
	record.asked = (struct sst_addr){};
	record.local = (struct sst_addr){}; /* it was not bound */
	record.local_port = 0;
	record.judgement = judgement_of(set, "other/web", "db");
	record.judgement.asked[SST_EGRESS] = record.judgement.asked[SST_INGRESS] = 1;
	record.judgement.tier[SST_EGRESS] = SST_TIER_DEFAULT;
	record.judgement.denied[SST_INGRESS] = record.judgement.shadow_denied[SST_INGRESS] = 1;
	record.judgement.tier[SST_INGRESS] = SST_TIER_NETWORK;
	record.judgement.rule[SST_INGRESS] = rule_id(set, "isolated");
	return record;
}

static void assert_member(const json_t *json, const char *name, const char *expected)
{
	assert_string_equal(json_string_value(json_object_get(json, name)), expected);
}

static void test_denied(void **unused UNUSED)
{
	_cleanup_policy_set_ struct policy_set set = shop_set(SHOP, NULL);
	struct sst_record record = denied_record(&set);
	struct state state = { .policy = set };
	struct record_context context = { &state, OFFSET };
	_cleanup_json_ json_t *json = parsed(&record, &context);
	const json_t *source = json_object_get(json, "source_identity");
	_cleanup_text_ struct text line = {};

	assert_member(json, "event", "denied");
	assert_member(json, "verdict", "denied");
	assert_member(json, "direction", "ingress");
	assert_member(json, "tier", "network");
	assert_member(json, "rule", "shop/db-ingress/isolated");
	assert_member(source, "workload", "other/web");
	assert_member(source, "namespace", "other");
	assert_member(source, "labels", "app=web");
	assert_null_member(json, "shadow_verdict");
	assert_null_member(json, "source");
	record_to_line(&record, &context, &line);
	assert_string_equal(line.data,
			    "2026-01-02T03:04:05.006000000Z denied TCP - -> "
			    "10.1.0.2:8080 service - denied from other/web to shop/db by ingress "
			    "network shop/db-ingress/isolated error EPERM\n");
}

/* The server's end knows itself as the one that is called. */
static void test_server_of_a_judged_flow(void **unused UNUSED)
{
	_cleanup_policy_set_ struct policy_set set = shop_set(SHOP, NULL);
	struct sst_record record = server_record();
	struct state state = { .policy = set };
	struct record_context context = { &state, OFFSET };
	struct flow_columns columns;
	_cleanup_text_ struct text out = {};
	const char *wrong;

	record.service = 0;
	record.judgement = judgement_of(&set, "db", "shop/web");
	record.judgement.asked[SST_INGRESS] = 1;
	record.judgement.tier[SST_INGRESS] = SST_TIER_NETWORK;
	record.judgement.rule[SST_INGRESS] = rule_id(&set, "from-web");
	record.judgement.shadow[SST_INGRESS] = rule_id(&set, "no-world");
	record.judgement.shadow_denied[SST_INGRESS] = 1;
	_cleanup_json_ json_t *json = parsed(&record, &context);

	assert_member(json_object_get(json, "destination_identity"), "workload", "shop/db");
	assert_member(json, "verdict", "allowed");
	assert_member(json, "shadow_verdict", "denied");
	assert_member(json, "shadow_rule", "guard/no-world");
	assert_int_equal(flow_columns_parse("role,from,to,verdict,rule", &columns, &wrong), 0);
	assert_int_equal(flow_table(&record, 1, &context, &columns, false, &out), 0);
	assert_contains(&out, "server  shop/web  shop/db  allowed  ingress network "
			      "shop/db-ingress/from-web\n");
}

/* The record is older than the set, or there is none any more. */
static void test_unknown_ids(void **unused UNUSED)
{
	_cleanup_policy_set_ struct policy_set set = shop_set(SHOP, NULL);
	struct record_context context = { NULL, OFFSET };
	struct sst_record record = denied_record(&set);
	_cleanup_text_ struct text line = {};

	record.judgement = (struct sst_judgement){ .identity = 999,
						   .workload = 7,
						   .peer_identity = 998,
						   .rule = { 0, 5 },
						   .asked = { 1, 1 },
						   .denied = { 0, 1 },
						   .tier = { 5, 3 } };
	_cleanup_json_ json_t *json = parsed(&record, &context);
	const json_t *source = json_object_get(json, "source_identity");

	assert_int_equal(json_integer_value(json_object_get(source, "id")), 999);
	assert_null_member(source, "labels");
	assert_member(source, "workload", "#7");
	assert_member(json, "rule", "#5");
	record_to_line(&record, &context, &line);
	assert_contains(&line, " denied from #7 to #998 by ingress network #5 ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_ends_agree),
		cmocka_unit_test(test_what_is_not_there_is_null),
		cmocka_unit_test(test_unknown_service),
		cmocka_unit_test(test_values_without_name),
		cmocka_unit_test(test_age_is_never_negative),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_endings),
		cmocka_unit_test(test_extremes),
		cmocka_unit_test(test_names_are_escaped),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_denied),
		cmocka_unit_test(test_server_of_a_judged_flow),
		cmocka_unit_test(test_unknown_ids),
	};

	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
