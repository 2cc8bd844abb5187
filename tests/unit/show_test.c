/* SPDX-License-Identifier: Apache-2.0 */
#include "export_fixture.h"

#include <errno.h>

#include "export/json.h"
#include "export/show.h"

static void test_services(void **unused UNUSED)
{
	_cleanup_text_ struct text out = {};
	struct fixture f;

	fixture_init(&f);
	assert_int_equal(show_services(&f.state, NULL, &out), 0);
	assert_string_equal(
		out.data,
		"SERVICE   PROTOCOL  ADDRESS                      ENDPOINTS  BALANCE      AFFINITY  "
		"SPLICE   ACTIVE  OPENED  FAILED  REFUSED    SENT  RECEIVED  SPLICED  DATAGRAMS\n"
		"web/http  TCP       10.96.0.10:80,10.96.0.11:80        1/1  round-robin      600s  "
		"inherit       3      10       2        1  1.0TiB    2.0KiB   1.0TiB          -\n"
		"dns/53    UDP       [fd00::53]:53                      0/1  random              -  "
		"off           -       8       -        0       -         -        -          9\n");
}

static void test_one_service(void **unused UNUSED)
{
	_cleanup_text_ struct text out = {};
	struct fixture f;

	fixture_init(&f);
	assert_int_equal(show_services(&f.state, "web", &out), 0);
	assert_contains(&out, "\nweb/http  TCP       10.96.0.10:80");
	assert_contains(&out, "\n\nSERVICE   PROTOCOL  ENDPOINT ");
	assert_contains(&out, "\nweb/http  TCP       10.1.0.3:8080  removed ");
	assert_null(strstr(out.data, "dns"));
}

/* Usable ones of those that are configured: what was removed is neither. */
static void test_endpoint_count(void **unused UNUSED)
{
	_cleanup_text_ struct text out = {};
	struct fixture f;

	fixture_init(&f);
	f.endpoints[0].value.service = 3;
	f.endpoints[0].value.state = SST_ENDPOINT_READY;
	assert_int_equal(show_services(&f.state, NULL, &out), 0);
	assert_contains(&out, " 2/2  round-robin ");
	assert_contains(&out, " 0/0  random ");
}

static void test_unknown_service(void **unused UNUSED)
{
	_cleanup_text_ struct text out = {};
	struct fixture f;

	fixture_init(&f);
	assert_int_equal(show_services(&f.state, "we", &out), -ENOENT);
	assert_int_equal(out.length, 0);
}

static void test_endpoints(void **unused UNUSED)
{
	_cleanup_text_ struct text out = {};
	struct fixture f;

	fixture_init(&f);
	f.endpoints[1].habit = (struct sst_habit){ .until_ns = 1, .strikes = 1 };
	f.endpoints[1].left_alone_s = 8;
	assert_int_equal(show_endpoints(&f.state, &out), 0);
	assert_string_equal(
		out.data,
		"SERVICE   PROTOCOL  ENDPOINT        STATE     WEIGHT  ACTIVE  OPENED  FAILED    SENT  "
		"RECEIVED  SPLICED  DATAGRAMS  LEARNED\n"
		"web/http  TCP       10.1.0.2:8080   ready          3       3      10       2  1.0TiB  "
		"  2.0KiB   1.0TiB          -  streams, 8 s\n"
		"web/http  TCP       10.1.0.3:8080   removed        1       0       0       0      0B  "
		"      0B       0B          -  -\n"
		"dns/53    UDP       [fd00::2]:5353  draining       1       -       0       -       -  "
		"       -        -          0  -\n");
}

static void test_status(void **unused UNUSED)
{
	_cleanup_text_ struct text out = {};
	struct fixture f;

	fixture_init(&f);
	assert_int_equal(show_status(&f.state, &out), 0);
	assert_contains(&out, "version     0.1.0, ABI 7\n");
	assert_contains(&out, "loaded      2026-01-02T03:04:05.006000000Z, 2 times\n");
	assert_contains(&out, "generation  7\n");
	assert_contains(&out, "\nsplice          on     two sockets of the node");
	assert_contains(&out, "\nsplice-auto     off    FIONREAD does not see messages\n");
	assert_contains(&out, "\npairs      512     65536  0.8%\n");
}

static void assert_member(const json_t *object, const char *name, const char *expected)
{
	assert_string_equal(json_string_value(json_object_get(object, name)), expected);
}

/* Exact where the tables round. */
static void test_services_json(void **unused UNUSED)
{
	struct fixture f;

	fixture_init(&f);
	_cleanup_json_ json_t *json = show_services_json(&f.state, "web");
	json_t *web = json_array_get(json, 0);
	json_t *address = json_array_get(json_object_get(web, "addresses"), 1);
	json_t *endpoint = json_array_get(json_object_get(web, "endpoints"), 1);
	json_t *counters = json_object_get(web, "counters");

	assert_int_equal(json_array_size(json), 1);
	assert_member(web, "service", "web");
	assert_member(web, "service_port", "http");
	assert_member(address, "address", "10.96.0.11");
	assert_member(endpoint, "state", "removed");
	assert_int_equal(json_integer_value(json_object_get(endpoint, "id")), 4);
	assert_true(json_integer_value(json_object_get(counters, "spliced_sent_bytes")) ==
		    1ll << 40);
}

static void test_status_json(void **unused UNUSED)
{
	struct fixture f;

	fixture_init(&f);
	_cleanup_json_ json_t *json = show_status_json(&f.state);
	json_t *feature =
		json_array_get(json_object_get(json, "features"), SST_FEATURE_SPLICE_AUTO);
	json_t *map = json_array_get(json_object_get(json, "maps"), 0);

	assert_true(json_is_false(json_object_get(feature, "enabled")));
	assert_member(feature, "reason", "FIONREAD does not see messages");
	assert_int_equal(json_integer_value(json_object_get(map, "capacity")), 65536);
}

/* Freshly loaded: nothing is configured yet. */
static void test_empty_state(void **unused UNUSED)
{
	_cleanup_text_ struct text out = {};
	struct state state = {};
	_cleanup_json_ json_t *services = show_services_json(&state, NULL);
	_cleanup_json_ json_t *endpoints = show_endpoints_json(&state);

	assert_int_equal(show_services(&state, NULL, &out), 0);
	assert_int_equal(show_endpoints(&state, &out), 0);
	assert_int_equal(show_status(&state, &out), 0);
	assert_int_equal(json_array_size(services), 0);
	assert_int_equal(json_array_size(endpoints), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_services),       cmocka_unit_test(test_one_service),
		cmocka_unit_test(test_endpoint_count), cmocka_unit_test(test_unknown_service),
		cmocka_unit_test(test_endpoints),      cmocka_unit_test(test_status),
		cmocka_unit_test(test_services_json),  cmocka_unit_test(test_status_json),
		cmocka_unit_test(test_empty_state),
	};

	return cmocka_run_group_tests_name("show", tests, NULL, NULL);
}
