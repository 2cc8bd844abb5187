/* SPDX-License-Identifier: Apache-2.0 */
#include "export_fixture.h"

#include <errno.h>

#include "export/edge.h"
#include "export/json.h"
#include "model/edge.h"

/* ---- buckets --------------------------------------------------------------------------- */

static void test_bucket_begins(void **unused UNUSED)
{
	static const uint64_t begins[] = { 0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48 };

	for (uint32_t i = 0; i < ARRAY_SIZE(begins); i++)
		assert_int_equal(sst_bucket_begin(i), begins[i]);
	assert_int_equal(sst_bucket_begin(SST_BUCKETS), 1ull << 28);
}

/* The bucket is the one that the value lies in, to the last one, which has no end. */
static void assert_bucket(uint64_t value)
{
	uint32_t bucket = sst_bucket(value);

	assert_in_range(bucket, 0, SST_BUCKETS - 1);
	assert_true(sst_bucket_begin(bucket) <= value);
	if (bucket < SST_BUCKETS - 1)
		assert_true(value < sst_bucket_begin(bucket + 1));
}

static void test_buckets(void **unused UNUSED)
{
	for (uint64_t value = 0; value < 100000; value++)
		assert_bucket(value);
	for (int log = 1; log < 64; log++) {
		assert_bucket((1ull << log) - 1);
		assert_bucket(1ull << log);
		assert_bucket((1ull << log) + 1);
		assert_bucket((1ull << log) + (1ull << (log - 1)) - 1);
		assert_bucket((1ull << log) + (1ull << (log - 1)));
	}
	assert_int_equal(sst_bucket(UINT64_MAX), SST_BUCKETS - 1);
	assert_int_equal(sst_bucket(1ull << 63), SST_BUCKETS - 1);
}

/* A value is told as its bucket's begin at worst: a third too little. */
static void test_buckets_are_narrow(void **unused UNUSED)
{
	for (uint32_t i = 2; i < SST_BUCKETS; i++) {
		uint64_t begin = sst_bucket_begin(i), last = sst_bucket_begin(i + 1) - 1;

		assert_true(last > begin || i < 4);
		assert_true((last - begin) * 3 <= last);
	}
}

/* ---- quantiles --------------------------------------------------------------------------- */

static void put(struct sst_histogram *histogram, uint64_t value, uint64_t times)
{
	histogram->sum += value * times;
	histogram->count[sst_bucket(value)] += times;
}

static void test_quantiles(void **unused UNUSED)
{
	struct sst_histogram histogram = {};

	assert_true(histogram_quantile(&histogram, 0.5) == 0);
	put(&histogram, 8, 4); /* 8 to 12 */
	assert_true(histogram_quantile(&histogram, 0) == 8);
	assert_true(histogram_quantile(&histogram, 0.25) == 9);
	assert_true(histogram_quantile(&histogram, 0.5) == 10);
	assert_true(histogram_quantile(&histogram, 1) == 12);
	put(&histogram, 100, 12); /* 96 to 128 */
	assert_int_equal(histogram_count(&histogram), 16);
	assert_true(histogram_quantile(&histogram, 0.25) == 12);
	assert_true(histogram_quantile(&histogram, 0.5) > 96);
	assert_true(histogram_quantile(&histogram, 1) == 128);
}

static void test_quantile_of_the_last_bucket(void **unused UNUSED)
{
	struct sst_histogram histogram = {};

	put(&histogram, UINT64_MAX, 1);
	assert_true(histogram_quantile(&histogram, 1) == (double)(1 << 28));
}

/* ---- sums -------------------------------------------------------------------------------- */

static struct sst_edge total(uint64_t first)
{
	struct sst_edge edge;

	for (size_t i = 0; i < sizeof(edge) / sizeof(__u64); i++)
		((__u64 *)&edge)[i] = first + i;
	return edge;
}

static void test_add(void **unused UNUSED)
{
	struct sst_edge sum = total(100), more = total(1000);
	struct sst_histogram times = {}, others = {};

	edge_add(&sum, &more);
	for (size_t i = 0; i < sizeof(sum) / sizeof(__u64); i++)
		assert_int_equal(((__u64 *)&sum)[i], 1100 + 2 * i);
	put(&times, 5, 2);
	put(&others, 5, 1);
	put(&others, UINT64_MAX, 1);
	histogram_add(&times, &others);
	assert_int_equal(times.count[sst_bucket(5)], 3);
	assert_int_equal(times.count[SST_BUCKETS - 1], 1);
	assert_int_equal(times.sum, 15 + UINT64_MAX);
}

static void test_totals(void **unused UNUSED)
{
	struct sst_edge edge = {
		.opened = 9,
		.closed = { 1, 1, 1, 1, 1 },
		.failed = { 1, 2, 3, 4, 5 },
		.sent_bytes = 1,
		.spliced_sent_bytes = 20,
		.udp_sent_bytes = 300,
		.received_bytes = 4,
		.spliced_received_bytes = 50,
		.udp_received_bytes = 600,
	};

	assert_int_equal(edge_closed(&edge), 5);
	assert_int_equal(edge_active(&edge), 4);
	assert_int_equal(edge_failed(&edge), 15);
	assert_int_equal(edge_sent_bytes(&edge), 321);
	assert_int_equal(edge_received_bytes(&edge), 654);
}

/* ---- how they are told --------------------------------------------------------------------- */

static struct state_edge edge_of_app(void)
{
	struct state_edge edge = {
		.id = 7,
		.key = { .cgroup = 42, .service = 3, .port = 8080, .protocol = IPPROTO_TCP },
		.total = { .opened = 5,
			   .closed = { [SST_ENDING_RESET_BY_SERVER] = 2 },
			   .failed = { [SST_FAILURE_REFUSED] = 1 },
			   .sent_bytes = 100,
			   .received_bytes = 2048,
			   .spliced_sent_bytes = 1024 },
		.cgroup = "/app",
	};

	put(&edge.time[SST_TIME_RTT], 8, 4);
	return edge;
}

static struct state_edge edge_of_others(void)
{
	return (struct state_edge){
		.id = SST_EDGE_FOLDED | 9,
		.key = { .service = 9 },
		.total = { .udp_sent_datagrams = 3, .udp_sent_bytes = 30, .denied = 2 },
	};
}

static void test_table(void **unused UNUSED)
{
	_cleanup_text_ struct text out = {};
	struct state_edge edges[3] = { edge_of_app(), edge_of_app(), edge_of_others() };
	struct fixture f;

	fixture_init(&f);
	/* its cgroup has gone; the other end tells */
	edges[1].cgroup = NULL;
	edges[1].key.role = SST_ROLE_SERVER;
	edges[1].key.service = 0;
	memset(edges[1].time, 0, sizeof(edges[1].time));
	f.state.edges = edges;
	f.state.n_edges = ARRAY_SIZE(edges);
	assert_int_equal(show_edges(&f.state, &out), 0);
	assert_string_equal(
		out.data,
		"SOURCE   SERVICE   DESTINATION  PORT      TOLD-BY      OPENED  ACTIVE  FAILED  "
		"DENIED    SENT  RECEIVED  SPLICED  RTT-P50\n"
		"/app     web/http  unknown      8080/TCP  source            5       3       1  "
		"     0  1.1KiB    2.0KiB   1.0KiB     10us\n"
		"unknown  -         cgroup:42    8080/TCP  destination       5       3       1  "
		"     0  1.1KiB    2.0KiB   1.0KiB        -\n"
		"other    #9        other        -         -                 0       0       0  "
		"     2     30B        0B       0B        -\n");
}

static json_t *member(json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);

	assert_non_null(value);
	return value;
}

static void test_json(void **unused UNUSED)
{
	struct state_edge edge = edge_of_app();
	struct fixture f;
	json_t *json;

	fixture_init(&f);
	json = edge_to_json(&f.state, &edge);
	assert_int_equal(json_integer_value(member(json, "id")), 7);
	assert_string_equal(json_string_value(member(member(json, "source"), "name")), "/app");
	assert_string_equal(json_string_value(member(member(json, "service"), "name")), "web");
	assert_string_equal(json_string_value(member(json, "reporter")), "source");
	assert_string_equal(json_string_value(member(json, "verdict")), "allowed");
	assert_true(json_is_null(member(json, "rule")));
	assert_int_equal(json_integer_value(member(json, "active")), 3);
	assert_int_equal(json_integer_value(member(member(json, "closed"), "reset-by-server")), 2);
	assert_int_equal(json_integer_value(member(member(json, "failed"), "refused")), 1);
	assert_int_equal(json_integer_value(member(member(json, "rtt_us"), "count")), 4);
	assert_true(json_real_value(member(member(json, "rtt_us"), "p50")) == 10);
	assert_true(json_is_null(member(json, "idle_s")));
	json_decref(json);
}

static void test_json_of_others(void **unused UNUSED)
{
	static const char *const unknown[] = { "port", "protocol", "reporter", "verdict", "rule" };
	struct state_edge edge = edge_of_others();
	struct fixture f;
	json_t *json;

	fixture_init(&f);
	json = edge_to_json(&f.state, &edge);
	assert_true(json_is_true(member(json, "folded")));
	assert_string_equal(json_string_value(member(member(json, "source"), "name")), "other");
	/* one that has gone: its id is all there is */
	assert_int_equal(json_integer_value(member(member(json, "service"), "id")), 9);
	assert_true(json_is_null(member(member(json, "service"), "name")));
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++)
		assert_true(json_is_null(member(json, unknown[i])));
	json_decref(json);
}

static void test_names(void **unused UNUSED)
{
	assert_string_equal(ending_name(SST_ENDING_ORDERLY), "orderly");
	assert_string_equal(ending_name(SST_ENDING_MAX), "?");
	assert_string_equal(failure_name(SST_FAILURE_OTHER), "other");
	assert_string_equal(failure_name(SST_FAILURE_MAX), "?");
	assert_string_equal(time_name(SST_TIME_DURATION), "duration");
	assert_string_equal(time_name(SST_TIME_MAX), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bucket_begins),
		cmocka_unit_test(test_buckets),
		cmocka_unit_test(test_buckets_are_narrow),
		cmocka_unit_test(test_quantiles),
		cmocka_unit_test(test_quantile_of_the_last_bucket),
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_totals),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_json_of_others),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
