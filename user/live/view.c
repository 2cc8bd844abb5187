/* SPDX-License-Identifier: Apache-2.0 */
#include "live/view.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "export/format.h"
#include "export/json.h"

/* ---- columns --------------------------------------------------------------------------- */

/* All of a struct live_column but its rank, and of words also but their least width. */
#define SOURCE      "SOURCE", "source", "who calls", LIVE_WORDS, LIVE_SOURCE
#define SERVICE     "SERVICE", "service", "what was asked for", LIVE_WORDS, LIVE_SERVICE
#define DESTINATION "DESTINATION", "destination", "who is called", LIVE_WORDS, LIVE_DESTINATION
#define FLOW        "FLOW", "flow", "its id in every view", LIVE_ID, LIVE_FLOW
#define SPLICE      "SPLICE", "splice", "whether its messages go past TCP", LIVE_WORDS, LIVE_SPLICE

#define CONNECTIONS "CONN/S", "connections", "opened a second", LIVE_NUMBER, LIVE_CONNECTIONS, 6
#define ACTIVE      "ACTIVE", "active", "connections that are open now", LIVE_NUMBER, LIVE_ACTIVE, 6
#define BYTES       "BYTES/S", "bytes", "both ways, by TCP, past it, and UDP's", LIVE_SIZE, LIVE_BYTES, 9
#define SENT        "SENT/S", "sent", "bytes from the caller", LIVE_SIZE, LIVE_SENT, 9
#define RECEIVED    "RECV/S", "received", "bytes to the caller", LIVE_SIZE, LIVE_RECEIVED, 9
#define SPLICED \
	"SPLICED", "spliced", "share of the bytes that went past TCP", LIVE_SHARE, LIVE_SPLICED, 7
#define P50    "RTT-P50", "p50", "round trip; half were quicker", LIVE_MICROSECONDS, LIVE_P50, 8
#define P99    "RTT-P99", "p99", "round trip; one of 100 took longer", LIVE_MICROSECONDS, LIVE_P99, 8
#define RTT    "RTT", "rtt", "smoothed round trip", LIVE_MICROSECONDS, LIVE_P50, 7
#define ERRORS "ERR/S", "errors", "connect() that did not succeed", LIVE_NUMBER, LIVE_ERRORS, 6
#define DENIED "DENY/S", "denied", "denied by policy", LIVE_NUMBER, LIVE_DENIED, 6
#define RESETS \
	"RST/S", "resets", "connections that were reset or timed out", LIVE_NUMBER, LIVE_RESETS, 6
#define RETRANSMITS "RETR/S", "retransmits", "segments sent again", LIVE_NUMBER, LIVE_RETRANSMITS, 6
#define DATAGRAMS   "DGRAM/S", "datagrams", "UDP's, both ways", LIVE_NUMBER, LIVE_DATAGRAMS, 7
#define AGE         "AGE", "age", "since it was opened", LIVE_SECONDS, LIVE_AGE, 6

static const struct {
	const char *name;
	struct live_column columns[LIVE_COLUMNS_MAX]; /* until one without a name */
} views[LIVE_VIEWS] = {
	[LIVE_SERVICES] = { "services",
			    { { SERVICE, 14, 0 },
			      { CONNECTIONS, 0 },
			      { ACTIVE, 2 },
			      { BYTES, 0 },
			      { P50, 3 },
			      { P99, 1 },
			      { ERRORS, 0 },
			      { DENIED, 0 },
			      { SPLICED, 4 },
			      { SENT, 7 },
			      { RECEIVED, 6 },
			      { RESETS, 5 },
			      { RETRANSMITS, 8 },
			      { DATAGRAMS, 9 } } },
	[LIVE_EDGES] = { "edges",
			 { { SOURCE, 11, 0 },
			   { SERVICE, 10, 1 },
			   { DESTINATION, 11, 0 },
			   { CONNECTIONS, 0 },
			   { ACTIVE, 4 },
			   { BYTES, 0 },
			   { P50, 5 },
			   { P99, 2 },
			   { ERRORS, 0 },
			   { DENIED, 0 },
			   { SPLICED, 3 },
			   { SENT, 8 },
			   { RECEIVED, 7 },
			   { RESETS, 6 },
			   { RETRANSMITS, 9 },
			   { DATAGRAMS, 10 } } },
	[LIVE_FLOWS] = { "flows",
			 { { FLOW, 6, 3 },
			   { SERVICE, 9, 1 },
			   { SOURCE, 14, 0 },
			   { DESTINATION, 14, 0 },
			   { BYTES, 0 },
			   { RTT, 2 },
			   { SPLICED, 5 },
			   { AGE, 4 },
			   { SPLICE, 11, 8 },
			   { SENT, 7 },
			   { RECEIVED, 6 },
			   { RETRANSMITS, 9 } } },
};

const char *live_view_name(enum live_view view)
{
	return views[view].name;
}

int live_view_by_name(const char *name, enum live_view *ret)
{
	for (int i = 0; i < LIVE_VIEWS; i++)
		if (!strcmp(views[i].name, name)) {
			*ret = i;
			return 0;
		}
	return -ENOENT;
}

const struct live_column *live_columns(enum live_view view, size_t *n)
{
	const struct live_column *columns = views[view].columns;

	for (*n = 0; *n < LIVE_COLUMNS_MAX && columns[*n].name; ++*n)
		;
	return columns;
}

int live_column_by_name(enum live_view view, const char *name)
{
	size_t n;
	const struct live_column *columns = live_columns(view, &n);

	for (size_t i = 0; i < n; i++)
		if (!strcmp(columns[i].name, name))
			return (int)i;
	return -ENOENT;
}

/* ---- order ----------------------------------------------------------------------------- */

struct order {
	const struct live_column *column;
	bool reverse;
};

static int compare_words(const char *a, const char *b)
{
	return strverscmp(a ?: "", b ?: ""); /* numbers in names and addresses by their value */
}

/* What they are called, so that rows with the same figures stay where they are. */
static int compare_names(const struct live_row *a, const struct live_row *b)
{
	int order = 0;

	for (int i = 0; i < LIVE_TEXTS && !order; i++)
		order = compare_words(a->text[i], b->text[i]);
	return order ?: a->id < b->id ? -1 : a->id > b->id;
}

static int compare_rows(const void *a, const void *b, void *arg)
{
	const struct live_row *x = a, *y = b;
	const struct order *order = arg;
	unsigned cell = order->column->cell;
	int result;

	if (live_is_words(order->column)) {
		result = compare_words(x->text[cell], y->text[cell]);
	} else {
		double p = x->figure[cell], q = y->figure[cell];

		if (isnan(p) || isnan(q))
			return isnan(p) != isnan(q) ? (isnan(p) ? 1 : -1) : compare_names(x, y);
		result = p > q ? -1 : p < q;
	}
	if (!result)
		return compare_names(x, y);
	return order->reverse ? -result : result;
}

void live_sort(struct live_rows *rows, const struct live_column *column, bool reverse)
{
	struct order order = { column, reverse };

	if (rows->n)
		qsort_r(rows->items, rows->n, sizeof(*rows->items), compare_rows, &order);
}

/* ---- cells ------------------------------------------------------------------------------ */

static void format_number(double value, char *buf)
{
	if (value >= 999950)
		snprintf(buf, FORMAT_MAX, "%.1fM", value / 1e6);
	else if (value >= 9999.5)
		snprintf(buf, FORMAT_MAX, "%.1fk", value / 1e3);
	else if (value >= 9.95 || value == 0)
		snprintf(buf, FORMAT_MAX, "%.0f", value);
	else if (value >= 0.095)
		snprintf(buf, FORMAT_MAX, "%.1f", value);
	else
		snprintf(buf, FORMAT_MAX, "%.2f", value);
}

/* In parentheses: nothing was measured since the last look. */
static void format_microseconds(double value, bool old, char *buf)
{
	const char *begin = old ? "(" : "", *end = old ? ")" : "";

	if (value < 999.5)
		snprintf(buf, FORMAT_MAX, "%s%.0fus%s", begin, value, end);
	else if (value < 9950)
		snprintf(buf, FORMAT_MAX, "%s%.1fms%s", begin, value / 1e3, end);
	else if (value < 999500)
		snprintf(buf, FORMAT_MAX, "%s%.0fms%s", begin, value / 1e3, end);
	else
		snprintf(buf, FORMAT_MAX, "%s%.1fs%s", begin, value / 1e6, end);
}

static const char *format_figure(const struct live_row *row, const struct live_column *column,
				 char *buf)
{
	double value = row->figure[column->cell];

	if (isnan(value))
		return "-";
	switch (column->unit) {
	case LIVE_SIZE:
		return format_size((uint64_t)value, buf);
	case LIVE_SECONDS:
		return format_duration((uint64_t)(value * 1e9), buf);
	case LIVE_SHARE:
		snprintf(buf, FORMAT_MAX, "%.0f%%", 100 * value);
		break;
	case LIVE_MICROSECONDS:
		format_microseconds(value, row->old_rtt, buf);
		break;
	default:
		/* a connection is there or not */
		if (column->cell == LIVE_ACTIVE && value < 9999.5)
			snprintf(buf, FORMAT_MAX, "%.0f", value);
		else
			format_number(value, buf);
	}
	return buf;
}

const char *live_cell(const struct live_row *row, const struct live_column *column, char *buf)
{
	if (live_is_words(column))
		return row->text[column->cell] ?: "-";
	return format_figure(row, column, buf);
}

bool live_is_alarm(const struct live_row *row, const struct live_column *column)
{
	if (live_is_words(column))
		return false;
	return (column->cell == LIVE_ERRORS || column->cell == LIVE_DENIED ||
		column->cell == LIVE_RESETS) &&
	       row->figure[column->cell] > 0;
}

/* ---- without a screen ------------------------------------------------------------------- */

int live_print(enum live_view view, const struct live_rows *rows, struct text *out)
{
	struct table_column headers[LIVE_COLUMNS_MAX];
	_cleanup_table_ struct table table = { .columns = headers };
	const struct live_column *columns = live_columns(view, &table.n_columns);
	char buf[FORMAT_MAX];

	for (size_t i = 0; i < table.n_columns; i++)
		headers[i] = (struct table_column){ columns[i].header, live_is_words(&columns[i])
									       ? TABLE_LEFT
									       : TABLE_RIGHT };
	for (size_t r = 0; r < rows->n; r++)
		for (size_t i = 0; i < table.n_columns; i++)
			table_add(&table, "%s", live_cell(&rows->items[r], &columns[i], buf));
	return table_print(&table, out);
}

static json_t *figure_to_json(double value)
{
	return isnan(value) ? json_null() : json_real(value);
}

/* The path of a cgroup may be no UTF-8. */
static json_t *words_to_json(const char *words)
{
	return words ? json_string(words) ?: json_string("?") : json_null();
}

static json_t *row_to_json(enum live_view view, const struct live_row *row)
{
	size_t n;
	const struct live_column *columns = live_columns(view, &n);
	json_t *object = json_object();

	if (view != LIVE_FLOWS)
		json_set(&object, "id", json_integer((json_int_t)row->id));
	for (size_t i = 0; i < n; i++)
		json_set(&object, columns[i].name,
			 live_is_words(&columns[i]) ? words_to_json(row->text[columns[i].cell])
						    : figure_to_json(row->figure[columns[i].cell]));
	if (view != LIVE_FLOWS)
		json_set(&object, "rtt_of_interval", json_boolean(!row->old_rtt));
	return object;
}

json_t *live_to_json(enum live_view view, const struct live_rows *rows)
{
	json_t *array = json_array();

	for (size_t i = 0; i < rows->n; i++)
		json_add(&array, row_to_json(view, &rows->items[i]));
	return array;
}
