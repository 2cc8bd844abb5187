/* SPDX-License-Identifier: Apache-2.0 */
#include "export_fixture.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>

#include "export/format.h"
#include "export/json.h"
#include "live/view.h"

/* ---- two looks ------------------------------------------------------------------------- */

#define EDGES_MAX 4

/* Two looks, two seconds apart, at the fixture's services. */
struct looks {
	struct fixture fixture[2];
	struct state_edge edges[2][EDGES_MAX];
	struct sst_record *flows[2];
	struct live_sample before, now;
};

static void set_look(struct looks *looks, int i, uint64_t time_ns, struct live_sample *sample)
{
	fixture_init(&looks->fixture[i]);
	looks->fixture[i].state.edges = looks->edges[i];
	*sample = (struct live_sample){ .time_ns = time_ns, .state = looks->fixture[i].state };
}

static void looks_init(struct looks *looks)
{
	memset(looks, 0, sizeof(*looks));
	set_look(looks, 0, 998 * S, &looks->before);
	set_look(looks, 1, 1000 * S, &looks->now);
}

static struct live_rows rows_of(enum live_view view, const struct looks *looks, const char *filter)
{
	struct live_rows rows = {};

	assert_int_equal(live_rows(view, &looks->before, &looks->now, filter, &rows), 0);
	return rows;
}

static const struct live_row *row_of(const struct live_rows *rows, uint64_t id)
{
	for (size_t i = 0; i < rows->n; i++)
		if (rows->items[i].id == id)
			return &rows->items[i];
	fail_msg("no row %u", (unsigned)id);
	return NULL;
}

static void assert_figure(const struct live_row *row, enum live_figure figure, double expected)
{
	double value = row->figure[figure];

	if (isnan(expected) ? !isnan(value) : !(fabs(value - expected) < 1e-9))
		fail_msg("figure %d is %f, expected %f", figure, value, expected);
}

/* ---- services ---------------------------------------------------------------------------- */

static void test_service_rates(void **unused UNUSED)
{
	struct looks looks;
	struct sst_stats *stats;

	looks_init(&looks);
	stats = &looks.fixture[1].services[0].stats;
	stats->opened += 10;
	stats->closed += 4;
	stats->failed += 2;
	stats->refused += 4;
	stats->sent_bytes += 100;
	stats->received_bytes += 300;
	stats->spliced_sent_bytes += 1000;
	stats->spliced_received_bytes += 600;
	stats->denied += 1;
	stats->retransmits += 8;
	looks.now.state.direct.opened += 6;
	_cleanup_live_rows_ struct live_rows rows = rows_of(LIVE_SERVICES, &looks, "");

	assert_int_equal(rows.n, 3);
	const struct live_row *web = row_of(&rows, 3), *none = row_of(&rows, 0);

	assert_string_equal(web->text[LIVE_SERVICE], "web/http");
	assert_figure(web, LIVE_CONNECTIONS, 5);
	assert_figure(web, LIVE_ACTIVE, 9);
	assert_figure(web, LIVE_BYTES, 1000);
	assert_figure(web, LIVE_SENT, 550);
	assert_figure(web, LIVE_RECEIVED, 450);
	assert_figure(web, LIVE_SPLICED, 0.8);
	assert_figure(web, LIVE_ERRORS, 3);
	assert_figure(web, LIVE_DENIED, 0.5);
	assert_figure(web, LIVE_RETRANSMITS, 4);
	assert_string_equal(none->text[LIVE_SERVICE], "-");
	assert_figure(none, LIVE_CONNECTIONS, 3);
	/* nothing flowed that could have been spliced */
	assert_figure(none, LIVE_SPLICED, NAN);
	assert_figure(row_of(&rows, 5), LIVE_BYTES, 0);
}

static void assert_no_rates(const struct looks *looks)
{
	_cleanup_live_rows_ struct live_rows rows = rows_of(LIVE_SERVICES, looks, "");

	for (int i = 0; i < LIVE_RATES; i++)
		assert_figure(row_of(&rows, 3), i, NAN);
	assert_figure(row_of(&rows, 3), LIVE_ACTIVE, 3);
}

/* The first look, one at another load, one at the same moment. */
static void test_no_rates_without_a_look_before(void **unused UNUSED)
{
	struct looks looks;

	looks_init(&looks);
	looks.before = (struct live_sample){};
	assert_no_rates(&looks);
	looks_init(&looks);
	looks.before.state.meta.loaded_ns--;
	assert_no_rates(&looks);
	looks_init(&looks);
	looks.before.time_ns = looks.now.time_ns;
	looks.fixture[1].services[0].stats.sent_bytes++;
	assert_no_rates(&looks);
}

static void test_rates_are_never_negative(void **unused UNUSED)
{
	struct looks looks;

	looks_init(&looks);
	looks.fixture[0].services[0].stats.opened = 1000;
	looks.fixture[0].services[0].stats.sent_bytes = 1000000;
	_cleanup_live_rows_ struct live_rows rows = rows_of(LIVE_SERVICES, &looks, "");

	assert_figure(row_of(&rows, 3), LIVE_CONNECTIONS, 0);
	assert_figure(row_of(&rows, 3), LIVE_BYTES, 0);
}

static void test_a_new_service_counts_from_nothing(void **unused UNUSED)
{
	struct looks looks;

	looks_init(&looks);
	looks.before.state.n_services = 0;
	_cleanup_live_rows_ struct live_rows rows = rows_of(LIVE_SERVICES, &looks, "");

	assert_figure(row_of(&rows, 3), LIVE_CONNECTIONS, 5);
}

/* What only edges tell is summed over those of the service. */
static void test_services_have_their_edges_round_trips(void **unused UNUSED)
{
	struct looks looks;

	looks_init(&looks);
	for (int i = 0; i < 2; i++) {
		looks.edges[1][i] = (struct state_edge){ .id = i + 1, .key.service = 3 };
		looks.edges[1][i].time[SST_TIME_RTT].count[sst_bucket(64)] = 10;
		looks.edges[1][i].total.closed[SST_ENDING_RESET_BY_SERVER] = 2;
		looks.edges[1][i].total.udp_sent_bytes = 50;
		looks.edges[1][i].total.udp_received_datagrams = 6;
	}
	looks.now.state.n_edges = 2;
	_cleanup_live_rows_ struct live_rows rows = rows_of(LIVE_SERVICES, &looks, "");
	const struct live_row *web = row_of(&rows, 3);

	assert_figure(web, LIVE_P50, 80); /* the middle of 64 to 96 */
	assert_false(web->old_rtt);
	assert_figure(web, LIVE_RESETS, 2);
	assert_figure(web, LIVE_BYTES, 50);
	assert_figure(web, LIVE_DATAGRAMS, 6);
}

/* ---- edges -------------------------------------------------------------------------------- */

static struct state_edge edge(uint32_t id, uint64_t opened)
{
	return (struct state_edge){ .id = id,
				    .key = { .service = 3, .port = 8080, .cgroup = id },
				    .total = { .opened = opened, .sent_bytes = 100 * opened } };
}

/* The idle edge 1 goes into `other`, which has flows of its own; edge 2 flows, 3 is new. */
static void test_an_expired_edge_is_no_traffic_of_other(void **unused UNUSED)
{
	struct looks looks;

	looks_init(&looks);
	looks.edges[0][0] = edge(1, 5000);
	looks.edges[0][1] = edge(2, 10);
	looks.edges[0][2] = edge(SST_EDGE_FOLDED | 3, 70);
	looks.edges[1][0] = edge(2, 16);
	looks.edges[1][1] = edge(3, 4);
	looks.edges[1][2] = edge(SST_EDGE_FOLDED | 3, 5000 + 70 + 2);
	looks.before.state.n_edges = looks.now.state.n_edges = 3;
	_cleanup_live_rows_ struct live_rows rows = rows_of(LIVE_EDGES, &looks, "");

	assert_int_equal(rows.n, 3);
	assert_figure(row_of(&rows, 2), LIVE_CONNECTIONS, 3);
	assert_figure(row_of(&rows, 3), LIVE_CONNECTIONS, 2);
	assert_figure(row_of(&rows, SST_EDGE_FOLDED | 3), LIVE_CONNECTIONS, 1);
	assert_figure(row_of(&rows, SST_EDGE_FOLDED | 3), LIVE_BYTES, 100);
	/* the same when there was no `other` before */
	looks.before.state.n_edges = 2;
	looks.edges[1][2].total.opened = 5002;
	_cleanup_live_rows_ struct live_rows first = rows_of(LIVE_EDGES, &looks, "");

	assert_figure(row_of(&first, SST_EDGE_FOLDED | 3), LIVE_CONNECTIONS, 1);
}

static void test_names_of_edges(void **unused UNUSED)
{
	struct looks looks;

	looks_init(&looks);
	looks.edges[1][0] = edge(1, 1);
	looks.edges[1][0].cgroup = (char *)"/cron.service";
	looks.edges[1][1] = edge(SST_EDGE_FOLDED | 3, 1);
	looks.now.state.n_edges = 2;
	_cleanup_live_rows_ struct live_rows rows = rows_of(LIVE_EDGES, &looks, "");
	const struct live_row *row = row_of(&rows, 1);

	assert_string_equal(row->text[LIVE_SOURCE], "/cron.service");
	assert_string_equal(row->text[LIVE_SERVICE], "web/http");
	assert_string_equal(row->text[LIVE_DESTINATION], "unknown:8080");
	row = row_of(&rows, SST_EDGE_FOLDED | 3);
	assert_string_equal(row->text[LIVE_SOURCE], "other");
	assert_string_equal(row->text[LIVE_DESTINATION], "other");
}

static void test_round_trips_of_the_interval(void **unused UNUSED)
{
	struct looks looks;

	looks_init(&looks);
	for (int i = 0; i < 2; i++) {
		looks.edges[i][0] = edge(1, 1);
		looks.edges[i][0].time[SST_TIME_RTT].count[sst_bucket(1024)] = 1000000;
	}
	looks.before.state.n_edges = looks.now.state.n_edges = 1;
	_cleanup_live_rows_ struct live_rows idle = rows_of(LIVE_EDGES, &looks, "");

	/* none since: of all */
	assert_true(idle.items[0].old_rtt);
	assert_figure(&idle.items[0], LIVE_P50, 1024 + 512 * 0.5);

	looks.edges[0][0].time[SST_TIME_RTT].count[sst_bucket(16)] = 300;
	looks.edges[1][0].time[SST_TIME_RTT].count[sst_bucket(16)] = 300 + 99;
	looks.edges[1][0].time[SST_TIME_RTT].count[sst_bucket(2048)] = 1;
	_cleanup_live_rows_ struct live_rows busy = rows_of(LIVE_EDGES, &looks, "");

	assert_false(busy.items[0].old_rtt);
	assert_figure(&busy.items[0], LIVE_P50, 16 + 8 * 50.0 / 99);
	assert_figure(&busy.items[0], LIVE_P99, 24);
}

/* ---- flows -------------------------------------------------------------------------------- */

static struct sst_record flow(uint64_t id, uint64_t bytes)
{
	return (struct sst_record){
		.flow = id,
		.time_ns = 1000 * S,
		.opened_ns = 900 * S,
		.sent_bytes = bytes,
		.local = fixture_address("10.1.0.9"),
		.local_port = htons(41000),
		.remote = fixture_address("10.1.0.2"),
		.remote_port = htons(8080),
		.service = 3,
		.srtt_us = 45,
	};
}

static void add(struct live_sample *sample, struct sst_record record)
{
	assert_int_equal(live_sample_add(&record, sample), 0);
}

static void free_flows(struct looks *looks)
{
	free(looks->before.flows);
	free(looks->now.flows);
}

static void test_flow_rates(void **unused UNUSED)
{
	struct sst_record fresh = flow(30, 800), server = flow(40, 500);
	struct looks looks;

	looks_init(&looks);
	fresh.opened_ns = 999 * S;
	server.role = SST_ROLE_SERVER;
	server.spliced_received_bytes = 1500;
	add(&looks.before, flow(10, 1000));
	add(&looks.before, flow(40, 0));
	add(&looks.now, server);
	add(&looks.now, fresh);
	add(&looks.now, flow(20, 800));
	add(&looks.now, flow(10, 3000));
	live_sample_sort(&looks.before);
	live_sample_sort(&looks.now);
	_cleanup_live_rows_ struct live_rows rows = rows_of(LIVE_FLOWS, &looks, "");

	assert_int_equal(rows.n, 4);
	assert_figure(row_of(&rows, 10), LIVE_BYTES, 1000);
	assert_figure(row_of(&rows, 10), LIVE_P50, 45);
	assert_figure(row_of(&rows, 10), LIVE_AGE, 100);
	assert_string_equal(row_of(&rows, 10)->text[LIVE_FLOW], "10");
	assert_string_equal(row_of(&rows, 10)->text[LIVE_SOURCE], "10.1.0.9:41000");
	/* the look before has missed it: nobody knows what it did since */
	assert_figure(row_of(&rows, 20), LIVE_BYTES, NAN);
	assert_figure(row_of(&rows, 30), LIVE_BYTES, 400);
	/* told as its client sees it */
	assert_string_equal(row_of(&rows, 40)->text[LIVE_DESTINATION], "10.1.0.9:41000");
	assert_figure(row_of(&rows, 40), LIVE_SENT, 750);
	assert_figure(row_of(&rows, 40), LIVE_RECEIVED, 250);
	assert_figure(row_of(&rows, 40), LIVE_SPLICED, 0.75);
	free_flows(&looks);
}

static void test_a_look_takes_each_connection_once(void **unused UNUSED)
{
	struct sst_record other_end = flow(3, 1);
	struct looks looks;

	looks_init(&looks);
	other_end.role = SST_ROLE_SERVER;
	other_end.peer_flow = 1;
	add(&looks.now, flow(7, 1));
	add(&looks.now, flow(1, 1));
	add(&looks.now, other_end);
	add(&looks.now, flow(7, 2));
	live_sample_sort(&looks.now);
	assert_int_equal(looks.now.n_flows, 2);
	assert_int_equal(looks.now.flows[0].flow, 1);
	assert_int_equal(looks.now.flows[1].flow, 7);
	assert_null(live_sample_flow(&looks.now, 3));
	free_flows(&looks);
}

/* The largest are listed, the rest is told of; a filter looks at all of them. */
static void test_many_flows(void **unused UNUSED)
{
	struct sst_record more = flow(UINT64_MAX, 1);
	struct looks looks;

	looks_init(&looks);
	for (size_t i = 1; i <= LIVE_FLOWS_MAX; i++) {
		add(&looks.before, flow(i, 0));
		add(&looks.now, flow(i, 2 * i));
	}
	assert_int_equal(live_sample_add(&more, &looks.now), -E2BIG);
	/* 3 connections of a service, and these that went to none */
	looks.now.state.direct = (struct sst_stats){ .opened = LIVE_FLOWS_MAX + 2 };
	/* a walk may tell of one twice, which makes none less */
	looks.now.flows[0] = looks.now.flows[1];
	looks.now.flows[4].local = fixture_address("192.0.2.1");
	live_sample_sort(&looks.before);
	live_sample_sort(&looks.now);
	_cleanup_live_rows_ struct live_rows rows = rows_of(LIVE_FLOWS, &looks, "");

	assert_int_equal(looks.now.n_flows, LIVE_FLOWS_MAX - 1);
	assert_int_equal(rows.n, LIVE_ROWS_MAX);
	assert_int_equal(rows.left_out, LIVE_FLOWS_MAX + 5 - LIVE_ROWS_MAX);
	for (size_t i = 0; i < rows.n; i++)
		assert_true(rows.items[i].figure[LIVE_BYTES] > LIVE_FLOWS_MAX - LIVE_ROWS_MAX);

	_cleanup_live_rows_ struct live_rows filtered = rows_of(LIVE_FLOWS, &looks, "192.0.2.1");

	assert_int_equal(filtered.n, 1);
	assert_int_equal(filtered.items[0].id, 5);
	free_flows(&looks);
}

static void test_filter(void **unused UNUSED)
{
	static const struct {
		const char *filter;
		size_t n;
	} cases[] = { { "", 3 }, { "WEB", 1 }, { "b/ht", 1 }, { "d", 1 }, { "nothing", 0 } };
	struct looks looks;

	looks_init(&looks);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_live_rows_ struct live_rows rows =
			rows_of(LIVE_SERVICES, &looks, cases[i].filter);

		assert_int_equal(rows.n, cases[i].n);
	}
}

/* ---- order -------------------------------------------------------------------------------- */

/* Rows of so many bytes a second; each is named "n", its number, and "-" of 10.0.0.n */
static struct live_rows rows_with(const double *bytes, size_t n)
{
	struct live_rows rows = { .items = calloc(n, sizeof(*rows.items)), .n = n };

	for (size_t i = 0; i < n; i++) {
		rows.items[i].id = i;
		rows.items[i].figure[LIVE_BYTES] = bytes[i];
		assert_true(asprintf(&rows.items[i].text[LIVE_SOURCE], "10.0.0.%zu", n - i) > 0);
	}
	return rows;
}

static void assert_order(const struct live_rows *rows, const char *expected)
{
	_cleanup_text_ struct text order = {};

	for (size_t i = 0; i < rows->n; i++)
		text_add(&order, "%u", (unsigned)rows->items[i].id);
	assert_string_equal(text_string(&order), expected);
}

static const struct live_column *column_of(enum live_view view, const char *name)
{
	int column = live_column_by_name(view, name);
	size_t n;

	assert_true(column >= 0);
	return &live_columns(view, &n)[column];
}

static void test_sort(void **unused UNUSED)
{
	static const double bytes[] = { 5, NAN, 7, 5, 0, NAN };
	_cleanup_live_rows_ struct live_rows rows = rows_with(bytes, ARRAY_SIZE(bytes));

	/* equals by name, whichever way; what is not known comes last */
	live_sort(&rows, column_of(LIVE_EDGES, "bytes"), false);
	assert_order(&rows, "230451");
	live_sort(&rows, column_of(LIVE_EDGES, "bytes"), true);
	assert_order(&rows, "430251");
	live_sort(&rows, column_of(LIVE_EDGES, "source"), false);
	assert_order(&rows, "543210");
	live_sort(&rows, column_of(LIVE_EDGES, "source"), true);
	assert_order(&rows, "012345");
}

/* Numbers in names are numbers. */
static void test_sort_of_addresses(void **unused UNUSED)
{
	double bytes[12] = {};
	_cleanup_live_rows_ struct live_rows rows = rows_with(bytes, ARRAY_SIZE(bytes));

	live_sort(&rows, column_of(LIVE_EDGES, "source"), false);
	assert_string_equal(rows.items[1].text[LIVE_SOURCE], "10.0.0.2");
	assert_string_equal(rows.items[11].text[LIVE_SOURCE], "10.0.0.12");
}

static void test_names_of_views_and_columns(void **unused UNUSED)
{
	enum live_view view = LIVE_SERVICES;

	assert_int_equal(live_view_by_name("flows", &view), 0);
	assert_int_equal(view, LIVE_FLOWS);
	assert_int_equal(live_view_by_name("flow", &view), -ENOENT);
	assert_int_equal(view, LIVE_FLOWS);
	assert_int_equal(live_column_by_name(LIVE_SERVICES, "age"), -ENOENT);
	for (int i = 0; i < LIVE_VIEWS; i++)
		assert_true(live_column_by_name(i, "bytes") >= 0);
}

/* ---- cells -------------------------------------------------------------------------------- */

static void test_cells(void **unused UNUSED)
{
	static const struct {
		const char *column;
		enum live_figure figure;
		double value;
		bool old;
		const char *expected;
	} cases[] = {
		{ "connections", LIVE_CONNECTIONS, NAN, false, "-" },
		{ "connections", LIVE_CONNECTIONS, 0, false, "0" },
		{ "connections", LIVE_CONNECTIONS, 0.016, false, "0.02" },
		{ "connections", LIVE_CONNECTIONS, 9.94, false, "9.9" },
		{ "connections", LIVE_CONNECTIONS, 9.96, false, "10" },
		{ "connections", LIVE_CONNECTIONS, 9999, false, "9999" },
		{ "connections", LIVE_CONNECTIONS, 9999.6, false, "10.0k" },
		{ "connections", LIVE_CONNECTIONS, 1234567, false, "1.2M" },
		{ "active", LIVE_ACTIVE, 3, false, "3" },
		{ "active", LIVE_ACTIVE, 100000, false, "100.0k" },
		{ "bytes", LIVE_BYTES, 1536, false, "1.5KiB" },
		{ "spliced", LIVE_SPLICED, 0.996, false, "100%" },
		{ "p50", LIVE_P50, 45.4, false, "45us" },
		{ "p50", LIVE_P50, 999.6, false, "1.0ms" },
		{ "p99", LIVE_P99, 9960, true, "(10ms)" },
		{ "p99", LIVE_P99, 999400, true, "(999ms)" },
		{ "p99", LIVE_P99, 1500000, false, "1.5s" },
	};
	char buf[FORMAT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct live_row row = { .old_rtt = cases[i].old };
		const struct live_column *column = column_of(LIVE_SERVICES, cases[i].column);

		row.figure[cases[i].figure] = cases[i].value;
		assert_string_equal(live_cell(&row, column, buf), cases[i].expected);
		assert_true(strlen(cases[i].expected) <= column->width);
	}
}

static void test_alarms(void **unused UNUSED)
{
	struct live_row row = {};
	const struct live_column *errors = column_of(LIVE_EDGES, "errors");

	assert_false(live_is_alarm(&row, errors));
	row.figure[LIVE_ERRORS] = NAN;
	assert_false(live_is_alarm(&row, errors));
	row.figure[LIVE_ERRORS] = 0.1;
	assert_true(live_is_alarm(&row, errors));
	assert_false(live_is_alarm(&row, column_of(LIVE_EDGES, "denied")));
	row.figure[LIVE_BYTES] = 1;
	assert_false(live_is_alarm(&row, column_of(LIVE_EDGES, "bytes")));
}

static void test_what_fits(void **unused UNUSED)
{
	static const struct {
		const char *cell;
		unsigned width;
		enum table_align align;
		const char *expected;
	} cases[] = {
		{ "web", 5, TABLE_LEFT, "web  " },
		{ "web", 5, TABLE_RIGHT, "  web" },
		{ "web", 3, TABLE_LEFT, "web" },
		{ "frontend", 5, TABLE_LEFT, "fr~nd" },
		{ "frontend", 4, TABLE_RIGHT, "fr~d" },
		{ "frontend", 1, TABLE_LEFT, "~" },
		{ "frontend", 0, TABLE_LEFT, "" },
		{ "", 2, TABLE_LEFT, "  " },
		{ "café", 5, TABLE_LEFT, "café " },
		/* two columns each; half of one cannot be shown */
		{ "日本語", 6, TABLE_LEFT, "日本語" },
		{ "日本語", 7, TABLE_RIGHT, " 日本語" },
		{ "日本語", 5, TABLE_LEFT, "日~語" },
		{ "日本語", 4, TABLE_LEFT, "日~ " },
		{ "日本語", 2, TABLE_LEFT, "~ " },
		/* none: a combining accent */
		{ "e\xcc\x81t", 3, TABLE_LEFT, "e\xcc\x81t " },
		/* what would move the cursor, and bytes that are no character */
		{ "a\033[Hb\n", 7, TABLE_LEFT, "a?[Hb? " },
		{ "\xff\xe6\x97", 4, TABLE_LEFT, "??? " },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_text_ struct text out = {};

		live_fit(cases[i].cell, cases[i].width, cases[i].align, &out);
		assert_string_equal(text_string(&out), cases[i].expected);
		assert_int_equal(live_width(text_string(&out)), cases[i].width);
	}
}

/* ---- columns ------------------------------------------------------------------------------- */

static void layout_headers(enum live_view view, unsigned width, struct text *out)
{
	struct live_rows none = {};
	struct live_layout layout;
	size_t n;
	const struct live_column *columns = live_columns(view, &n);

	live_layout(view, &none, width, &layout);
	for (size_t i = 0; i < layout.n; i++)
		text_add(out, "%s%s", i ? " " : "", columns[layout.cells[i].column].header);
}

static void assert_headers(enum live_view view, unsigned width, const char *expected)
{
	_cleanup_text_ struct text headers = {};

	layout_headers(view, width, &headers);
	assert_string_equal(text_string(&headers), expected);
}

static void test_columns_that_fit(void **unused UNUSED)
{
	assert_headers(LIVE_SERVICES, 80,
		       "SERVICE CONN/S ACTIVE BYTES/S RTT-P50 RTT-P99 ERR/S DENY/S SPLICED");
	assert_headers(LIVE_SERVICES, 109,
		       "SERVICE CONN/S ACTIVE BYTES/S RTT-P50 RTT-P99 ERR/S DENY/S SPLICED "
		       "SENT/S RECV/S RST/S");
	assert_headers(LIVE_SERVICES, 120,
		       "SERVICE CONN/S ACTIVE BYTES/S RTT-P50 RTT-P99 ERR/S DENY/S SPLICED "
		       "SENT/S RECV/S RST/S RETR/S DGRAM/S");
	assert_headers(LIVE_EDGES, 80,
		       "SOURCE SERVICE DESTINATION CONN/S BYTES/S RTT-P99 ERR/S DENY/S");
	assert_headers(LIVE_FLOWS, 80, "FLOW SERVICE SOURCE DESTINATION BYTES/S RTT SPLICED AGE");
	assert_headers(LIVE_EDGES, LIVE_WIDTH_MIN, "SOURCE DESTINATION CONN/S BYTES/S");
}

static unsigned layout_width(const struct live_layout *layout)
{
	unsigned width = (unsigned)layout->n - 1;

	for (size_t i = 0; i < layout->n; i++)
		width += layout->cells[i].width;
	return width;
}

static void test_no_width_is_exceeded(void **unused UNUSED)
{
	double bytes[3] = {};
	_cleanup_live_rows_ struct live_rows rows = rows_with(bytes, ARRAY_SIZE(bytes));
	struct live_layout layout;
	size_t n;

	for (int view = 0; view < LIVE_VIEWS; view++) {
		const struct live_column *columns = live_columns(view, &n);

		for (unsigned width = LIVE_WIDTH_MIN; width < 300; width++) {
			live_layout(view, &rows, width, &layout);
			assert_true(layout_width(&layout) <= width);
			for (size_t i = 0; i < layout.n; i++)
				assert_true(layout.cells[i].width >=
					    strlen(columns[layout.cells[i].column].header));
		}
	}
}

/* Names take what figures leave, evenly; an id is there in full. */
static void test_names_take_the_rest(void **unused UNUSED)
{
	struct live_row row = { .text = { [LIVE_SOURCE] = (char *)"[2001:db8::1234:5678]:41000",
					  [LIVE_DESTINATION] = (char *)"10.1.0.2:8080",
					  [LIVE_SERVICE] = (char *)"web/http",
					  [LIVE_FLOW] = (char *)"18446744073709551615" } };
	struct live_rows rows = { &row, 1, 0 };
	struct live_layout layout;

	live_layout(LIVE_FLOWS, &rows, 200, &layout);
	assert_int_equal(layout.cells[0].width, 20);
	assert_int_equal(layout.cells[1].width, 9);
	assert_int_equal(layout.cells[2].width, 27);
	assert_int_equal(layout.cells[3].width, 14);
	live_layout(LIVE_FLOWS, &rows, 80, &layout);
	assert_int_equal(layout.cells[0].width, 20);
}

/* ---- without a screen ----------------------------------------------------------------------- */

static void test_print(void **unused UNUSED)
{
	_cleanup_text_ struct text out = {};
	struct looks looks;

	looks_init(&looks);
	looks.fixture[1].services[0].stats.opened += 2;
	_cleanup_live_rows_ struct live_rows rows = rows_of(LIVE_SERVICES, &looks, "web");

	assert_int_equal(live_print(LIVE_SERVICES, &rows, &out), 0);
	assert_string_equal(text_string(&out),
			    "SERVICE   CONN/S  ACTIVE  BYTES/S  RTT-P50  RTT-P99  ERR/S  DENY/S  "
			    "SPLICED  SENT/S  RECV/S  RST/S  RETR/S  DGRAM/S\n"
			    "web/http     1.0       5       0B        -        -      0       0  "
			    "      -      0B      0B      0       0        0\n");
}

static void test_json(void **unused UNUSED)
{
	struct looks looks;

	looks_init(&looks);
	looks.edges[1][0] = edge(1, 4);
	looks.edges[1][0].cgroup = (char *)"/no\xff.utf8";
	looks.now.state.n_edges = 1;
	_cleanup_live_rows_ struct live_rows rows = rows_of(LIVE_EDGES, &looks, "");

	_cleanup_json_ json_t *json = live_to_json(LIVE_EDGES, &rows);
	assert_json(json, "[\n"
			  " {\n"
			  "  \"id\": 1,\n"
			  "  \"source\": \"?\",\n"
			  "  \"service\": \"web/http\",\n"
			  "  \"destination\": \"unknown:8080\",\n"
			  "  \"connections\": 2.0,\n"
			  "  \"active\": 4.0,\n"
			  "  \"bytes\": 200.0,\n"
			  "  \"p50\": null,\n"
			  "  \"p99\": null,\n"
			  "  \"errors\": 0.0,\n"
			  "  \"denied\": 0.0,\n"
			  "  \"spliced\": 0.0,\n"
			  "  \"sent\": 200.0,\n"
			  "  \"received\": 0.0,\n"
			  "  \"resets\": 0.0,\n"
			  "  \"retransmits\": 0.0,\n"
			  "  \"datagrams\": 0.0,\n"
			  "  \"rtt_of_interval\": false\n"
			  " }\n"
			  "]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_service_rates),
		cmocka_unit_test(test_no_rates_without_a_look_before),
		cmocka_unit_test(test_rates_are_never_negative),
		cmocka_unit_test(test_a_new_service_counts_from_nothing),
		cmocka_unit_test(test_services_have_their_edges_round_trips),
		cmocka_unit_test(test_an_expired_edge_is_no_traffic_of_other),
		cmocka_unit_test(test_names_of_edges),
		cmocka_unit_test(test_round_trips_of_the_interval),
		cmocka_unit_test(test_flow_rates),
		cmocka_unit_test(test_a_look_takes_each_connection_once),
		cmocka_unit_test(test_many_flows),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_sort),
		cmocka_unit_test(test_sort_of_addresses),
		cmocka_unit_test(test_names_of_views_and_columns),
		cmocka_unit_test(test_cells),
		cmocka_unit_test(test_alarms),
		cmocka_unit_test(test_what_fits),
		cmocka_unit_test(test_columns_that_fit),
		cmocka_unit_test(test_no_width_is_exceeded),
		cmocka_unit_test(test_names_take_the_rest),
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_json),
	};

	assert_non_null(setlocale(LC_CTYPE, "C.UTF-8"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
