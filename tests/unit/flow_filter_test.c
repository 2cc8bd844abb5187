/* SPDX-License-Identifier: Apache-2.0 */
#include "shop_fixture.h"

#include <errno.h>

#include "export/follow_request.h"
#include "model/flow_filter.h"
#include "policy/party.h"

/* ---- values ---------------------------------------------------------------------------- */

static int add(struct flow_filter *filter, const char *key, const char *value)
{
	enum flow_key number;

	assert_int_equal(flow_key_parse(key, &number), 0);
	return flow_filter_add(filter, number, value);
}

static void test_values(void **unused UNUSED)
{
	static const struct {
		const char *key, *taken[12], *refused[12];
	} cases[] = {
		{ "source",
		  { "10.0.0.1", "10.0.0.0/8", "fd00::/16", "shop/db", "db", "shop/", "world",
		    "app=db", "app=db,tier=", "app.kubernetes.io/name=db" },
		  { "", "/", "/db", "a/b/c", "=db", "app=db,", "app=db,tier", ",app=db" } },
		{ "destination", { "shop/db" }, { "a//b" } },
		{ "namespace", { "shop" }, { "", "shop/", "a/b" } },
		{ "workload", { "db", "shop/db" }, { "", "shop/", "/db", "a/b/c" } },
		{ "service", { "web", "web/http", "web/80", "shop/web/80" }, { "" } },
		{ "port", { "1", "80", "65535" }, { "", "0", "65536", "-1", "+1", "80 ", "http" } },
		{ "protocol", { "tcp", "udp", "TCP", "UDP" }, { "", "Tcp", "sctp" } },
		{ "verdict", { "allowed", "denied" }, { "", "allow" } },
		{ "event", { "open", "close", "failed", "denied" }, { "", "live", "opened" } },
		{ "errors", { "true" }, { "", "false", "yes" } },
		{ "min-bytes",
		  { "0", "1", "1000B", "1K", "64KiB", "1M", "1MiB", "1G", "8GiB" },
		  { "", "KiB", "-1", "1k", "1 K", "1.5M", "99999999999999999999",
		    "9999999999999999G" } },
		{ "slower", { "0us", "500us", "20ms", "3s" }, { "", "1", "1m", "s", "-1s" } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_flow_filter_ struct flow_filter filter = {};
		size_t n = 0;

		for (size_t j = 0; cases[i].taken[j]; j++, n++)
			if (add(&filter, cases[i].key, cases[i].taken[j]))
				fail_msg("%s '%s' is refused", cases[i].key, cases[i].taken[j]);
		for (size_t j = 0; cases[i].refused[j]; j++)
			if (add(&filter, cases[i].key, cases[i].refused[j]) != -EINVAL)
				fail_msg("%s '%s' is taken", cases[i].key, cases[i].refused[j]);
		assert_int_equal(filter.n, n);
	}
}

static void test_sizes(void **unused UNUSED)
{
	uint64_t bytes = 7;

	assert_int_equal(flow_bytes_parse("64KiB", &bytes), 0);
	assert_int_equal(bytes, 65536);
	assert_int_equal(flow_bytes_parse("2G", &bytes), 0);
	assert_int_equal(bytes, 2ull << 30);
	assert_int_equal(flow_bytes_parse("2T", &bytes), -EINVAL);
	assert_int_equal(bytes, 2ull << 30);
}

static void test_keys(void **unused UNUSED)
{
	enum flow_key key;

	assert_int_equal(flow_key_parse("min-byte", &key), -EINVAL);
	assert_int_equal(flow_key_parse("", &key), -EINVAL);
	for (enum flow_key i = 0; i < FLOW_KEY_MAX; i++) {
		assert_int_equal(flow_key_parse(flow_key_name(i), &key), 0);
		assert_int_equal(key, i);
	}
}

static void test_bound(void **unused UNUSED)
{
	_cleanup_flow_filter_ struct flow_filter filter = {};

	for (int i = 0; i < FLOW_TERMS_MAX; i++)
		assert_int_equal(add(&filter, "service", "web"), 0);
	assert_int_equal(add(&filter, "service", "web"), -E2BIG);
	assert_int_equal(filter.n, FLOW_TERMS_MAX);
}

/* ---- what is taken ------------------------------------------------------------------------ */

/* other/web, by no address, calls shop/db through service 3, web/http at 80. */
struct world {
	struct fixture f;
	struct policy_set set;
	struct sst_record record;
};

static uint32_t workload_id(const struct policy_set *set, const char *name, uint32_t *ret_identity)
{
	_cleanup_parties_ struct parties parties = {};
	_cleanup_problems_ struct problems problems = {};

	assert_int_equal(parties_find(set, name, &problems, &parties), 0);
	*ret_identity = policy_identity(set, parties.items[0].identity)->id;
	return policy_workload(set, parties.items[0].workload)->id;
}

static void world_init(struct world *w)
{
	struct sst_judgement *judgement = &w->record.judgement;

	memset(w, 0, sizeof(*w));
	fixture_init(&w->f);
	w->set = shop_set(SHOP, NULL);
	w->f.state.policy = w->set;
	w->record = (struct sst_record){
		.flow = 1,
		.time_ns = 2000 * S,
		.opened_ns = 1000 * S,
		.local = fixture_address("10.9.0.1"),
		.local_port = htons(41000),
		.remote = fixture_address("10.1.0.7"),
		.remote_port = htons(5432),
		.asked = fixture_address("10.96.0.10"),
		.asked_port = htons(80),
		.type = SST_RECORD_CLOSE,
		.protocol = IPPROTO_TCP,
		.service = 3,
		.sent_bytes = 100,
		.received_bytes = 200,
		.spliced_sent_bytes = 300,
		.spliced_received_bytes = 424,
		.connect_us = 500,
	};
	judgement->workload = workload_id(&w->set, "other/web", &judgement->identity);
	judgement->peer_workload = workload_id(&w->set, "shop/db", &judgement->peer_identity);
	judgement->asked[SST_EGRESS] = 1;
}

/* The same flow, told by its server's end. */
static struct sst_record other_end(const struct sst_record *record)
{
	struct sst_record other = *record;

	other.role = !record->role;
	other.local = record->remote;
	other.local_port = record->remote_port;
	other.remote = record->local;
	other.remote_port = record->local_port;
	other.judgement.identity = record->judgement.peer_identity;
	other.judgement.workload = record->judgement.peer_workload;
	other.judgement.peer_identity = record->judgement.identity;
	other.judgement.peer_workload = record->judgement.workload;
	return other;
}

static bool takes(const struct world *w, const char *key, const char *value)
{
	_cleanup_flow_filter_ struct flow_filter filter = {};
	struct sst_record other = other_end(&w->record);
	bool taken;

	assert_int_equal(add(&filter, key, value), 0);
	taken = flow_filter_takes(&filter, &w->record, &w->f.state);
	if (flow_filter_takes(&filter, &other, &w->f.state) != taken)
		fail_msg("%s %s: both ends do not agree", key, value);
	return taken;
}

static void assert_takes(const struct world *w, const char *key, const char *value)
{
	if (!takes(w, key, value))
		fail_msg("%s %s does not take it", key, value);
}

static void assert_leaves(const struct world *w, const char *key, const char *value)
{
	if (takes(w, key, value))
		fail_msg("%s %s takes it", key, value);
}

static void test_who(void **unused UNUSED)
{
	static const struct {
		const char *key, *value;
		bool taken;
	} cases[] = {
		{ "source", "10.9.0.1", true },
		{ "source", "10.9.0.0/24", true },
		{ "source", "0.0.0.0/0", true },
		{ "source", "::/0", true },
		{ "source", "10.9.0.2", false },
		{ "source", "fd00::/8", false },
		{ "source", "10.1.0.7", false },
		{ "source", "web", true },
		{ "source", "other/web", true },
		{ "source", "shop/web", false },
		{ "source", "db", false },
		{ "source", "other/", true },
		{ "source", "othe/", false },
		{ "source", "shop/", false },
		{ "source", "app=web", true },
		{ "source", "app=we", false },
		{ "source", "app=web,x=y", false },
		{ "source", "world", false },
		{ "destination", "shop/db", true },
		{ "destination", "app=db", true },
		{ "destination", "10.1.0.7", true },
		{ "destination", "10.9.0.1", false },
		{ "destination", "other/", false },
		{ "namespace", "shop", true },
		{ "namespace", "other", true },
		{ "namespace", "sho", false },
		{ "workload", "db", true },
		{ "workload", "other/web", true },
		{ "workload", "shop/web", false },
		{ "service", "web", true },
		{ "service", "web/http", true },
		{ "service", "web/80", true },
		{ "service", "web/8", false },
		{ "service", "web/", false },
		{ "service", "we", false },
		{ "service", "webs", false },
		{ "service", "dns", false },
		{ "port", "80", true },
		{ "port", "5432", true },
		{ "port", "41000", false },
		{ "protocol", "tcp", true },
		{ "protocol", "udp", false },
		{ "verdict", "allowed", true },
		{ "verdict", "denied", false },
		{ "event", "close", true },
		{ "event", "open", false },
		{ "min-bytes", "1KiB", true },
		{ "min-bytes", "1025", false },
		{ "slower", "499us", true },
		{ "slower", "500us", false },
		{ "errors", "true", false },
	};
	struct world w;

	world_init(&w);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		(cases[i].taken ? assert_takes : assert_leaves)(&w, cases[i].key, cases[i].value);
	policy_set_release(&w.set);
}

/* A reserved identity is called by its name, and is in no namespace; a workload of that name
 * is not it. */
static void test_reserved(void **unused UNUSED)
{
	struct world w;

	world_init(&w);
	w.record.judgement.workload = 0;
	w.record.judgement.identity = SST_IDENTITY_WORLD;
	assert_takes(&w, "source", "world");
	assert_leaves(&w, "source", "host");
	assert_leaves(&w, "source", "shop/world");
	assert_leaves(&w, "source", "world/");
	assert_leaves(&w, "source", "app=web");
	w.record.judgement.identity = 9999; /* of an older set */
	assert_leaves(&w, "source", "world");
	policy_set_release(&w.set);
	w.f.state.policy = (struct policy_set){};
	assert_leaves(&w, "source", "world");
	assert_leaves(&w, "namespace", "shop");
	assert_takes(&w, "source", "10.9.0.1");
}

static void test_unknown_service(void **unused UNUSED)
{
	struct world w;

	world_init(&w);
	w.record.service = 99;
	assert_leaves(&w, "service", "web");
	w.record.service = 0;
	assert_leaves(&w, "service", "web");
	policy_set_release(&w.set);
}

static void test_errors(void **unused UNUSED)
{
	struct sst_record record = { .type = SST_RECORD_CLOSE };

	assert_false(flow_is_error(&record));
	record.ending = SST_ENDING_RESET_BY_CLIENT;
	assert_true(flow_is_error(&record));
	record = (struct sst_record){ .type = SST_RECORD_FAILED };
	assert_true(flow_is_error(&record));
	record = (struct sst_record){ .type = SST_RECORD_OPEN, .ending = SST_ENDING_ENDED };
	assert_false(flow_is_error(&record)); /* it has no end yet */
	record = (struct sst_record){ .type = SST_RECORD_LIVE, .error = ETIMEDOUT };
	assert_true(flow_is_error(&record));
	record = (struct sst_record){ .type = SST_RECORD_DENIED };
	assert_true(flow_is_error(&record));
}

/* One that failed took until it failed. */
static void test_slow_failure(void **unused UNUSED)
{
	struct world w;

	world_init(&w);
	w.record.type = SST_RECORD_FAILED;
	w.record.connect_us = 0;
	assert_takes(&w, "slower", "999s");
	assert_leaves(&w, "slower", "1000s");
	policy_set_release(&w.set);
}

/* Alternatives of one key, and all of several keys. */
static void test_terms_together(void **unused UNUSED)
{
	_cleanup_flow_filter_ struct flow_filter filter = {};
	struct world w;

	world_init(&w);
	assert_true(flow_filter_takes(&filter, &w.record, &w.f.state));
	add(&filter, "port", "443");
	assert_false(flow_filter_takes(&filter, &w.record, &w.f.state));
	add(&filter, "port", "80");
	assert_true(flow_filter_takes(&filter, &w.record, &w.f.state));
	add(&filter, "source", "shop/");
	assert_false(flow_filter_takes(&filter, &w.record, &w.f.state));
	add(&filter, "source", "other/");
	assert_true(flow_filter_takes(&filter, &w.record, &w.f.state));
	add(&filter, "protocol", "udp");
	assert_false(flow_filter_takes(&filter, &w.record, &w.f.state));
	policy_set_release(&w.set);
}

/* ---- as a request --------------------------------------------------------------------------- */

static void test_request(void **unused UNUSED)
{
	_cleanup_follow_request_ struct follow_request request = { .colour = true }, read = {};
	_cleanup_text_ struct text wrong = {};
	const char *at;

	add(&request.filter, "source", "shop/web");
	add(&request.filter, "source", "10.0.0.0/8");
	add(&request.filter, "min-bytes", "64KiB");
	assert_int_equal(flow_columns_parse("flow,rtt", &request.columns, &at), 0);
	json_t *json = follow_request_to_json(&request);

	assert_int_equal(follow_request_parse(json, &read, &wrong), 0);
	json_decref(json);
	assert_true(read.colour);
	assert_false(read.json);
	assert_int_equal(read.columns.n, 2);
	assert_memory_equal(read.columns.column, request.columns.column, 2);
	assert_int_equal(read.filter.n, 3);
	assert_int_equal(read.filter.keys, request.filter.keys);
	assert_string_equal(read.filter.terms[0].scope, "shop");
	assert_int_equal(read.filter.terms[2].number, 65536);
}

static void test_requests_that_are_refused(void **unused UNUSED)
{
	static const struct {
		const char *json, *why;
	} cases[] = {
		{ "{\"filter\":{\"sorce\":[\"a\"]}}", "filter: there is no 'sorce'" },
		{ "{\"filter\":{\"port\":[\"0\"]}}", "filter port: expected a port from 1" },
		{ "{\"filter\":{\"port\":[80]}}", "filter port: expected a port from 1" },
		{ "{\"columns\":\"flow,,rtt\"}", "columns: what is 'flow,,rtt'?" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_t *json = json_loads(cases[i].json, 0, NULL);
		_cleanup_text_ struct text wrong = {};
		struct follow_request request;

		assert_int_equal(follow_request_parse(json, &request, &wrong), -EINVAL);
		assert_contains(&wrong, cases[i].why);
		json_decref(json);
	}
}

/* As those who are not of this version ask. */
static void test_bare_request(void **unused UNUSED)
{
	json_t *json =
		json_loads("{\"command\":\"follow\",\"output\":\"json\",\"new\":1}", 0, NULL);
	_cleanup_text_ struct text wrong = {};
	struct follow_request request;

	assert_int_equal(follow_request_parse(json, &request, &wrong), 0);
	assert_true(request.json);
	assert_int_equal(request.filter.n + request.columns.n, 0);
	json_decref(json);
}

static void test_colour_of_a_line(void **unused UNUSED)
{
	struct follow_request request = { .colour = true };
	struct record_context context = { NULL, OFFSET };
	_cleanup_text_ struct text out = {};
	struct world w;

	world_init(&w);
	w.record.error = ECONNRESET;
	follow_request_add(&request, &w.record, &context, &out);
	assert_int_equal(strncmp(out.data, "\033[31m2026-", 10), 0);
	assert_contains(&out, " error ECONNRESET\033[0m\n");
	out.length = 0;
	request.colour = false;
	follow_request_add(&request, &w.record, &context, &out);
	assert_null(strchr(out.data, '\033'));
	policy_set_release(&w.set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_who),
		cmocka_unit_test(test_reserved),
		cmocka_unit_test(test_unknown_service),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_slow_failure),
		cmocka_unit_test(test_terms_together),
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_requests_that_are_refused),
		cmocka_unit_test(test_bare_request),
		cmocka_unit_test(test_colour_of_a_line),
	};

	return cmocka_run_group_tests_name("flow_filter", tests, NULL, NULL);
}
