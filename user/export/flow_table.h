/* SPDX-License-Identifier: Apache-2.0 */
/* Flows as rows: the columns that there are, a table of what is live, rows of what happens. */
#ifndef SIDESTEP_EXPORT_FLOW_TABLE_H
#define SIDESTEP_EXPORT_FLOW_TABLE_H

#include "core/table.h"
#include "export/flow_view.h"

#define FLOW_COLUMNS_MAX 64

/* Columns, in the order in which they are shown. Starts as { 0 }. */
struct flow_columns {
	uint8_t column[FLOW_COLUMNS_MAX];
	size_t n;
};

/*
 * "flow,service,rtt". -EINVAL: *ret_wrong is where a name begins that is none (it ends with a
 * comma or the text); -E2BIG: there are more than FLOW_COLUMNS_MAX.
 */
int flow_columns_parse(const char *text, struct flow_columns *ret, const char **ret_wrong);

/* What is shown unless one asks for others: 120 characters with IPv4, and behind them what policy
 * says, where there is any. */
struct flow_columns flow_columns_default(bool with_policy);

/* Name and meaning of column i, NULL behind the last one. */
const char *flow_column_name(size_t i);
const char *flow_column_help(size_t i);

/* Appends a table; with colour what went wrong is red, what is spliced is green. -ENOMEM. */
int flow_table(const struct sst_record *records, size_t n, const struct record_context *context,
	       const struct flow_columns *columns, bool colour, struct text *out);

/* For what comes one by one: cells as wide as they usually are, a line each. */
void flow_table_header(const struct flow_columns *columns, struct text *out);
void flow_table_row(const struct sst_record *record, const struct record_context *context,
		    const struct flow_columns *columns, struct text *out);

/* The escape sequence in which to show it, "" for none; FLOW_COLOUR_END ends it. */
const char *flow_colour(const struct sst_record *record);
#define FLOW_COLOUR_END "\033[0m"

#endif
