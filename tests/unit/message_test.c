/* SPDX-License-Identifier: Apache-2.0 */
#include "export_fixture.h"

#include "export/json.h"
#include "export/message.h"

static struct sst_message client_message(void)
{
	return (struct sst_message){
		.time_ns = 1000 * S,
		.flow = UINT64_MAX,
		.peer_flow = 42,
		.offset = 1ull << 33,
		.acked = 30,
		.local = fixture_address("10.1.0.9"),
		.local_port = htons(41000),
		.remote = fixture_address("10.1.0.2"),
		.remote_port = htons(8080),
		.asked = fixture_address("10.96.0.10"),
		.asked_port = htons(80),
		.role = SST_ROLE_CLIENT,
		.service = 3,
		.decision = SST_COUNTER_MESSAGE_SPLICED,
		.size = 64,
	};
}

static void test_lines(void **unused UNUSED)
{
	struct sst_message message = client_message();
	_cleanup_text_ struct text out = {};
	struct fixture f;

	fixture_init(&f);
	struct record_context context = { &f.state, OFFSET };

	message_to_line(&message, &context, &out);
	message.decision = SST_COUNTER_MESSAGE_NO_PEER;
	message.service = 0;
	message_to_line(&message, &context, &out);
	message.decision = SST_COUNTER_MAX;
	message_to_line(&message, &context, &out);
	assert_string_equal(
		out.data,
		"2026-01-02T03:04:05.006000000Z 10.1.0.9:41000 > 10.1.0.2:8080 service web/http "
		"flow 18446744073709551615 seq 8589934592:8589934656 ack 30 length 64 spliced\n"
		"2026-01-02T03:04:05.006000000Z 10.1.0.9:41000 > 10.1.0.2:8080 service - "
		"flow 18446744073709551615 seq 8589934592:8589934656 ack 30 length 64 tcp no-peer\n"
		"2026-01-02T03:04:05.006000000Z 10.1.0.9:41000 > 10.1.0.2:8080 service - "
		"flow 18446744073709551615 seq 8589934592:8589934656 ack 30 length 64 tcp ?\n");
}

static void test_json(void **unused UNUSED)
{
	struct sst_message message = client_message();
	struct fixture f;

	fixture_init(&f);
	struct record_context context = { &f.state, OFFSET };
	_cleanup_json_ json_t *json = message_to_json(&message, &context);

	assert_json(json, "{\n"
			  " \"time\": \"2026-01-02T03:04:05.006000000Z\",\n"
			  " \"flow\": \"18446744073709551615\",\n"
			  " \"peer_flow\": \"42\",\n"
			  " \"role\": \"client\",\n"
			  " \"sender\": {\n"
			  "  \"address\": \"10.1.0.9\",\n"
			  "  \"port\": 41000\n"
			  " },\n"
			  " \"receiver\": {\n"
			  "  \"address\": \"10.1.0.2\",\n"
			  "  \"port\": 8080\n"
			  " },\n"
			  " \"asked\": {\n"
			  "  \"address\": \"10.96.0.10\",\n"
			  "  \"port\": 80\n"
			  " },\n"
			  " \"service\": \"web\",\n"
			  " \"service_port\": \"http\",\n"
			  " \"offset\": 8589934592,\n"
			  " \"acked\": 30,\n"
			  " \"bytes\": 64,\n"
			  " \"path\": \"spliced\",\n"
			  " \"reason\": null\n"
			  "}");
}

/* The server's end of a flow that went to no service, by TCP. */
static void test_json_of_a_server(void **unused UNUSED)
{
	static const char *const null[] = { "asked", "service", "service_port" };
	struct record_context context = { NULL, OFFSET };
	struct sst_message message = client_message();

	message.role = SST_ROLE_SERVER;
	message.asked = (struct sst_addr){};
	message.asked_port = 0;
	message.service = 0;
	message.decision = SST_COUNTER_MESSAGE_TURN;
	_cleanup_json_ json_t *json = message_to_json(&message, &context);

	assert_string_equal(json_string_value(json_object_get(json, "role")), "server");
	assert_string_equal(json_string_value(json_object_get(json, "path")), "tcp");
	assert_string_equal(json_string_value(json_object_get(json, "reason")), "turn");
	for (size_t i = 0; i < ARRAY_SIZE(null); i++)
		assert_true(json_is_null(json_object_get(json, null[i])));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_json_of_a_server),
	};

	return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}
