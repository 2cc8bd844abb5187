/* SPDX-License-Identifier: Apache-2.0 */
#include "export/flow_table.h"

#include <inttypes.h>
#include <string.h>

#include "core/address.h"
#include "export/edge.h"
#include "export/format.h"
#include "export/whois.h"
#include "model/flow_filter.h"

/* ---- cells --------------------------------------------------------------------------- */

typedef void (*cell_fn)(const struct flow_view *view, struct text *out);

static void add_or_dash(const char *text, struct text *out)
{
	text_add_string(out, text ?: "-");
}

static void add_flow(const struct flow_view *view, struct text *out)
{
	text_add(out, "%" PRIu64, (uint64_t)view->record->flow);
}

static void add_time(const struct flow_view *view, struct text *out)
{
	char time[FORMAT_MAX];

	text_add_string(out, flow_time(view, time));
}

static void add_event(const struct flow_view *view, struct text *out)
{
	text_add_string(out, record_type_name(view->record->type));
}

static void add_protocol(const struct flow_view *view, struct text *out)
{
	text_add_string(out, protocol_name(view->record->protocol));
}

static void add_source(const struct flow_view *view, struct text *out)
{
	flow_add_side(&view->source, out);
}

static void add_destination(const struct flow_view *view, struct text *out)
{
	flow_add_side(&view->destination, out);
}

static void add_from(const struct flow_view *view, struct text *out)
{
	flow_add_who(view, &view->source_who, out);
}

static void add_to(const struct flow_view *view, struct text *out)
{
	flow_add_who(view, &view->destination_who, out);
}

static void add_role(const struct flow_view *view, struct text *out)
{
	text_add_string(out, flow_role(view));
}

static void add_state(const struct flow_view *view, struct text *out)
{
	text_add_string(out, tcp_state_name(view->record->tcp_state));
}

static void add_splice(const struct flow_view *view, struct text *out)
{
	text_add_string(out, splice_state_name(view->record->splice));
}

static void add_size(uint64_t bytes, struct text *out)
{
	char size[FORMAT_MAX];

	text_add_string(out, format_size(bytes, size));
}

static void add_sent(const struct flow_view *view, struct text *out)
{
	add_size(view->sent_bytes + view->spliced_sent_bytes, out);
}

static void add_received(const struct flow_view *view, struct text *out)
{
	add_size(view->received_bytes + view->spliced_received_bytes, out);
}

static void add_spliced(const struct flow_view *view, struct text *out)
{
	add_size(view->spliced_sent_bytes + view->spliced_received_bytes, out);
}

static void add_age(const struct flow_view *view, struct text *out)
{
	char age[FORMAT_MAX];

	text_add_string(out, format_duration(view->duration_ns, age));
}

static void add_ms(uint32_t us, struct text *out)
{
	text_add(out, "%u.%03ums", us / 1000, us % 1000);
}

static void add_rtt(const struct flow_view *view, struct text *out)
{
	add_ms(view->record->srtt_us, out);
}

static void add_connect(const struct flow_view *view, struct text *out)
{
	if (view->record->connect_us)
		add_ms(view->record->connect_us, out);
	else
		text_add_string(out, "-");
}

static void add_retransmits(const struct flow_view *view, struct text *out)
{
	text_add(out, "%u", view->record->retransmits);
}

static void add_verdict(const struct flow_view *view, struct text *out)
{
	add_or_dash(view->ruling.asked ? ruling_name(view->ruling.denied) : NULL, out);
}

static void add_ending(const struct flow_view *view, struct text *out)
{
	add_or_dash(flow_ending(view) ?: flow_failure(view), out);
}

static void add_error(const struct flow_view *view, struct text *out)
{
	char error[FORMAT_MAX];

	add_or_dash(flow_error(view, error), out);
}

static void add_edge(const struct flow_view *view, struct text *out)
{
	if (view->record->edge)
		text_add(out, "%u", view->record->edge);
	else
		text_add_string(out, "-");
}

static void add_cgroup(const struct flow_view *view, struct text *out)
{
	text_add(out, "%" PRIu64, (uint64_t)view->record->cgroup_id);
}

static void add_netns(const struct flow_view *view, struct text *out)
{
	text_add(out, "%u", view->record->netns_ino);
}

/* ---- columns -------------------------------------------------------------------------- */

static const struct column {
	const char *name;
	struct table_column head;
	unsigned width; /* of most cells, where rows come one by one */
	cell_fn add;
	const char *help;
} all[] = {
	{ "time", { "TIME", TABLE_LEFT }, 30, add_time, "when the record was made" },
	{ "event", { "EVENT", TABLE_LEFT }, 6, add_event, "live, open, close, failed or denied" },
	{ "flow", { "FLOW", TABLE_LEFT }, 6, add_flow, "its id in every view" },
	{ "edge", { "EDGE", TABLE_LEFT }, 5, add_edge, "the edge that it is of" },
	{ "protocol", { "PROTO", TABLE_LEFT }, 5, add_protocol, "TCP or UDP" },
	{ "service", { "SERVICE", TABLE_LEFT }, 14, flow_add_service, "what was asked for" },
	{ "source", { "SOURCE", TABLE_LEFT }, 21, add_source, "the client's address" },
	{ "asked", { "ASKED", TABLE_LEFT }, 21, flow_add_asked, "the service's address" },
	{ "destination",
	  { "DESTINATION", TABLE_LEFT },
	  21,
	  add_destination,
	  "the endpoint's address" },
	{ "from", { "FROM", TABLE_LEFT }, 16, add_from, "who calls" },
	{ "to", { "TO", TABLE_LEFT }, 16, add_to, "who is called" },
	{ "role", { "ROLE", TABLE_LEFT }, 6, add_role, "whose socket tells of it" },
	{ "state", { "STATE", TABLE_LEFT }, 11, add_state, "of TCP" },
	{ "splice", { "SPLICE", TABLE_LEFT }, 11, add_splice, "of the splice" },
	{ "sent", { "SENT", TABLE_RIGHT }, 8, add_sent, "bytes from the client" },
	{ "received", { "RECEIVED", TABLE_RIGHT }, 8, add_received, "bytes to the client" },
	{ "spliced", { "SPLICED", TABLE_RIGHT }, 8, add_spliced, "how many of both went past TCP" },
	{ "age", { "AGE", TABLE_RIGHT }, 6, add_age, "since it was established" },
	{ "connect", { "CONNECT", TABLE_RIGHT }, 9, add_connect, "what connect() took" },
	{ "rtt", { "RTT", TABLE_RIGHT }, 9, add_rtt, "smoothed round trip" },
	{ "retransmits", { "RETRANS", TABLE_RIGHT }, 7, add_retransmits, "segments sent again" },
	{ "verdict", { "VERDICT", TABLE_LEFT }, 7, add_verdict, "of policy" },
	{ "rule", { "RULE", TABLE_LEFT }, 24, flow_add_rule, "the rule that decided" },
	{ "ending", { "ENDING", TABLE_LEFT }, 15, add_ending, "how it closed, or failed" },
	{ "error", { "ERROR", TABLE_LEFT }, 12, add_error, "the socket's errno" },
	{ "cgroup", { "CGROUP", TABLE_LEFT }, 8, add_cgroup, "of the socket" },
	{ "netns", { "NETNS", TABLE_LEFT }, 10, add_netns, "of the socket" },
};

static_assert(ARRAY_SIZE(all) <= FLOW_COLUMNS_MAX, "each may be asked for");

const char *flow_column_name(size_t i)
{
	return i < ARRAY_SIZE(all) ? all[i].name : NULL;
}

const char *flow_column_help(size_t i)
{
	return i < ARRAY_SIZE(all) ? all[i].help : NULL;
}

static int find_column(const char *name, size_t n, uint8_t *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (strlen(all[i].name) == n && !memcmp(all[i].name, name, n)) {
			*ret = i;
			return 0;
		}
	return -EINVAL;
}

int flow_columns_parse(const char *text, struct flow_columns *ret, const char **ret_wrong)
{
	struct flow_columns columns = {};

	for (const char *name = text; name; name = strchr(name, ',')) {
		name += name != text;
		if (columns.n == FLOW_COLUMNS_MAX)
			return -E2BIG;
		if (find_column(name, strcspn(name, ","), &columns.column[columns.n++])) {
			*ret_wrong = name;
			return -EINVAL;
		}
	}
	*ret = columns;
	return 0;
}

#define USUAL "flow,service,source,destination,state,sent,received,spliced,age"

struct flow_columns flow_columns_default(bool with_policy)
{
	const char *names = with_policy ? USUAL ",from,to,verdict,rule" : USUAL;
	struct flow_columns columns;
	const char *wrong;

	flow_columns_parse(names, &columns, &wrong);
	return columns;
}

/* ---- a table ---------------------------------------------------------------------------- */

const char *flow_colour(const struct sst_record *record)
{
	if (flow_is_error(record))
		return "\033[31m";
	if (record->splice == SST_STATE_REDIRECTING)
		return "\033[32m";
	return "";
}

static void add_row(const struct sst_record *record, const struct record_context *context,
		    const struct flow_columns *columns, struct table *table)
{
	struct flow_view view = flow_view(record, context);

	for (size_t i = 0; i < columns->n; i++) {
		struct text cell = {};

		all[columns->column[i]].add(&view, &cell);
		table_add_text(table, &cell);
	}
}

/* A table counts an escape sequence as text: rows get their colour when it has been laid out. */
static void colour_rows(const struct sst_record *records, size_t n, const char *plain,
			struct text *out)
{
	for (size_t i = 0; i <= n && *plain; i++) {
		const char *colour = i ? flow_colour(&records[i - 1]) : "\033[1m";
		size_t length = strcspn(plain, "\n");

		text_add_string(out, colour);
		text_add_bytes(out, plain, length);
		text_add_string(out, *colour ? FLOW_COLOUR_END "\n" : "\n");
		plain += length + 1;
	}
}

int flow_table(const struct sst_record *records, size_t n, const struct record_context *context,
	       const struct flow_columns *columns, bool colour, struct text *out)
{
	struct table_column heads[FLOW_COLUMNS_MAX];
	_cleanup_table_ struct table table = { .columns = heads, .n_columns = columns->n };
	_cleanup_text_ struct text plain = {};

	for (size_t i = 0; i < columns->n; i++)
		heads[i] = all[columns->column[i]].head;
	for (size_t i = 0; i < n; i++)
		add_row(&records[i], context, columns, &table);
	if (!colour)
		return table_print(&table, out);
	if (!table_print(&table, &plain))
		colour_rows(records, n, text_string(&plain), out);
	else
		out->error = plain.error;
	return out->error;
}

/* ---- rows ------------------------------------------------------------------------------- */

/* The cell is what was added since `begin`. */
static void pad_cell(const struct flow_columns *columns, size_t i, size_t begin, struct text *out)
{
	const struct column *column = &all[columns->column[i]];
	size_t length = out->length - begin;

	if (i + 1 == columns->n)
		text_add_string(out, "\n");
	else
		text_add_repeated(out, ' ',
				  (length < column->width ? column->width - length : 0) + 2);
}

void flow_table_header(const struct flow_columns *columns, struct text *out)
{
	for (size_t i = 0; i < columns->n; i++) {
		size_t begin = out->length;

		text_add_string(out, all[columns->column[i]].head.header);
		pad_cell(columns, i, begin, out);
	}
}

void flow_table_row(const struct sst_record *record, const struct record_context *context,
		    const struct flow_columns *columns, struct text *out)
{
	struct flow_view view = flow_view(record, context);

	for (size_t i = 0; i < columns->n; i++) {
		size_t begin = out->length;

		all[columns->column[i]].add(&view, out);
		pad_cell(columns, i, begin, out);
	}
}
