/* SPDX-License-Identifier: Apache-2.0 */
#include "export_fixture.h"

#include <errno.h>
#include <netinet/tcp.h>

#include "export/flow_table.h"

static struct sst_record a_record(void)
{
	return (struct sst_record){
		.flow = 123456,
		.time_ns = 1000 * S,
		.opened_ns = 998 * S + S / 2,
		.sent_bytes = 1023,
		.received_bytes = 1023ull << 20,
		.spliced_sent_bytes = 30000,
		.local = fixture_address("255.255.255.255"),
		.local_port = htons(65535),
		.remote = fixture_address("255.255.255.254"),
		.remote_port = htons(65535),
		.type = SST_RECORD_LIVE,
		.protocol = IPPROTO_TCP,
		.tcp_state = TCP_ESTABLISHED,
		.service = 3,
		.connect_us = 1234,
		.srtt_us = 45,
	};
}

static const struct record_context nothing_known = { NULL, OFFSET };

static struct text table_of(const struct sst_record *record, const char *names, bool colour)
{
	struct flow_columns columns;
	struct text out = {};
	const char *wrong;

	assert_int_equal(flow_columns_parse(names, &columns, &wrong), 0);
	assert_int_equal(flow_table(record, 1, &nothing_known, &columns, colour, &out), 0);
	return out;
}

static void test_columns(void **unused UNUSED)
{
	struct sst_record record = a_record();
	_cleanup_text_ struct text out = table_of(&record, "rtt,flow,connect,service", false);

	assert_string_equal(out.data, "    RTT  FLOW    CONNECT  SERVICE\n"
				      "0.045ms  123456  1.234ms  #3\n");
}

static void test_columns_that_are_none(void **unused UNUSED)
{
	static const struct {
		const char *names;
		size_t at;
	} cases[] = {
		{ "", 0 },      { "flow,", 5 },     { "flows", 0 },
		{ ",flow", 0 }, { "flow,,rtt", 5 }, { "flow,rt,rtt", 5 },
	};
	struct flow_columns columns = { .n = 7 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *wrong = NULL;

		assert_int_equal(flow_columns_parse(cases[i].names, &columns, &wrong), -EINVAL);
		assert_ptr_equal(wrong, cases[i].names + cases[i].at);
		assert_int_equal(columns.n, 7);
	}
}

static void test_too_many_columns(void **unused UNUSED)
{
	_cleanup_text_ struct text names = {};
	struct flow_columns columns;
	const char *wrong;

	for (int i = 0; i < FLOW_COLUMNS_MAX; i++)
		text_add_string(&names, i ? ",flow" : "flow");
	assert_int_equal(flow_columns_parse(names.data, &columns, &wrong), 0);
	text_add_string(&names, ",flow");
	assert_int_equal(flow_columns_parse(names.data, &columns, &wrong), -E2BIG);
}

/* With IPv4, a service of usual length, and figures as long as they get. */
static void test_default_width(void **unused UNUSED)
{
	struct flow_columns columns = flow_columns_default(false);
	struct sst_record record = a_record();
	_cleanup_text_ struct text out = {};
	struct fixture f;

	fixture_init(&f);
	struct record_context context = { &f.state, OFFSET };

	strcpy(f.services[0].info.name, "frontend");
	assert_int_equal(flow_table(&record, 1, &context, &columns, false, &out), 0);
	assert_in_range(strcspn(out.data, "\n"), 100, 120);
}

/* The text is the same but for the escapes. */
static void test_colour(void **unused UNUSED)
{
	struct sst_record record = a_record();
	_cleanup_text_ struct text plain = table_of(&record, "flow,state", true);

	assert_string_equal(plain.data, "\033[1mFLOW    STATE\033[0m\n123456  established\n");
	record.error = ETIMEDOUT;
	_cleanup_text_ struct text red = table_of(&record, "flow,error", true);
	assert_string_equal(red.data,
			    "\033[1mFLOW    ERROR\033[0m\n\033[31m123456  ETIMEDOUT\033[0m\n");
	record.error = 0;
	record.splice = SST_STATE_REDIRECTING;
	_cleanup_text_ struct text green = table_of(&record, "flow", true);
	assert_string_equal(green.data, "\033[1mFLOW\033[0m\n\033[32m123456\033[0m\n");
}

/* Rows that come one by one stand below each other all the same. */
static void test_rows(void **unused UNUSED)
{
	struct sst_record record = a_record();
	_cleanup_text_ struct text out = {};
	struct flow_columns columns;
	const char *wrong;

	record.type = SST_RECORD_CLOSE;
	record.ending = SST_ENDING_RESET_BY_CLIENT;
	flow_columns_parse("event,flow,ending,rtt", &columns, &wrong);
	flow_table_header(&columns, &out);
	flow_table_row(&record, &nothing_known, &columns, &out);
	assert_string_equal(out.data, "EVENT   FLOW    ENDING           RTT\n"
				      "close   123456  reset-by-client  0.045ms\n");
}

/* Each can be asked for by its name, and none is called twice. */
static void test_names(void **unused UNUSED)
{
	struct sst_record record = a_record();
	size_t n = 0;

	for (; flow_column_name(n); n++) {
		_cleanup_text_ struct text out = table_of(&record, flow_column_name(n), false);

		assert_true(out.length > 3);
		assert_true(*flow_column_help(n));
		for (size_t i = 0; i < n; i++)
			assert_string_not_equal(flow_column_name(i), flow_column_name(n));
	}
	assert_in_range(n, 20, FLOW_COLUMNS_MAX);
	assert_null(flow_column_help(n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_columns_that_are_none),
		cmocka_unit_test(test_too_many_columns),
		cmocka_unit_test(test_default_width),
		cmocka_unit_test(test_colour),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("flow_table", tests, NULL, NULL);
}
