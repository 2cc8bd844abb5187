/* SPDX-License-Identifier: Apache-2.0 */
/* Who calls whom, and the times of it. */
#include "export/metrics_kinds.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/address.h"
#include "core/cleanup.h"
#include "export/edge.h"
#include "export/format.h"
#include "export/whois.h"
#include "model/edge.h"
#include "policy/label.h"

#define EDGE_OTHER                                                                   \
	"source=\"other\",source_namespace=\"other\",destination=\"other\","         \
	"destination_namespace=\"other\",service=\"other\",port=\"\",protocol=\"\"," \
	"reporter=\"\",verdict=\"\""
#define TIME_OTHER "service=\"other\",port=\"\",protocol=\"\",family=\"\""

/* ---- families of edges ------------------------------------------------------------------- */

/* Which edges a family is about: the others have no series of it. */
enum about {
	ABOUT_TCP = 1,
	ABOUT_CALLER = 2, /* TCP, told by the end that called connect() */
	ABOUT_UDP = 4,
	ABOUT_DENIED = 8,
};

struct edge_field {
	const char *label; /* after the row's own; "" for none */
	unsigned about;
	size_t offset;
};

#define EDGE_FIELDS_MAX 6

struct edge_family {
	const char *name;
	const char *help;
	struct edge_field fields[EDGE_FIELDS_MAX];
};

#define FIELD(member) offsetof(struct sst_edge, member)

_Static_assert(SST_ENDING_MAX <= EDGE_FIELDS_MAX && SST_FAILURE_MAX <= EDGE_FIELDS_MAX, "fields");

static const struct edge_family families[] = {
	{ "sidestep_edge_connections_opened_total",
	  "TCP connections established",
	  { { "", ABOUT_TCP, FIELD(opened) } } },
	{ "sidestep_edge_connections_closed_total",
	  "Established TCP connections that ended, by how",
	  {
#define X(symbol, name, help) \
	{ "ending=\"" name "\"", ABOUT_TCP, FIELD(closed[SST_ENDING_##symbol]) },
		  SST_ENDINGS(X)
#undef X
	  } },
	{ "sidestep_edge_connections_failed_total",
	  "Calls of connect() that did not succeed, by why",
	  {
#define X(symbol, name, help) \
	{ "reason=\"" name "\"", ABOUT_CALLER, FIELD(failed[SST_FAILURE_##symbol]) },
		  SST_FAILURES(X)
#undef X
	  } },
	{ "sidestep_edge_denied_total",
	  "Calls of connect() and sendmsg() denied by policy",
	  { { "", ABOUT_DENIED, FIELD(denied) } } },
	{ "sidestep_edge_sent_bytes_total",
	  "Bytes from the source to the destination",
	  { { "path=\"tcp\"", ABOUT_TCP, FIELD(sent_bytes) },
	    { "path=\"spliced\"", ABOUT_TCP, FIELD(spliced_sent_bytes) },
	    { "path=\"udp\"", ABOUT_UDP, FIELD(udp_sent_bytes) } } },
	{ "sidestep_edge_received_bytes_total",
	  "Bytes from the destination to the source",
	  { { "path=\"tcp\"", ABOUT_TCP, FIELD(received_bytes) },
	    { "path=\"spliced\"", ABOUT_TCP, FIELD(spliced_received_bytes) },
	    { "path=\"udp\"", ABOUT_UDP, FIELD(udp_received_bytes) } } },
	{ "sidestep_edge_retransmitted_segments_total",
	  "TCP segments sent again",
	  { { "", ABOUT_TCP, FIELD(retransmits) } } },
	{ "sidestep_edge_udp_connected_total",
	  "UDP sockets connected",
	  { { "", ABOUT_UDP, FIELD(udp_connected) } } },
	{ "sidestep_edge_udp_datagrams_total",
	  "UDP datagrams, by direction from the source",
	  { { "direction=\"sent\"", ABOUT_UDP, FIELD(udp_sent_datagrams) },
	    { "direction=\"received\"", ABOUT_UDP, FIELD(udp_received_datagrams) } } },
};

static unsigned about_of(const struct sst_edge_key *key)
{
	if (key->denied)
		return ABOUT_DENIED;
	if (key->protocol == IPPROTO_UDP)
		return ABOUT_UDP;
	return ABOUT_TCP | (key->role == SST_ROLE_CLIENT ? ABOUT_CALLER : 0);
}

#define ABOUT_ALL (ABOUT_TCP | ABOUT_CALLER | ABOUT_UDP | ABOUT_DENIED)

/* With connections_active. */
static uint32_t cost_of(unsigned about)
{
	uint32_t cost = about & ABOUT_TCP ? 1 : 0;

	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		for (size_t f = 0; f < EDGE_FIELDS_MAX; f++)
			cost += (families[i].fields[f].about & about) != 0;
	return cost;
}

/* ---- edges ----------------------------------------------------------------------------------- */

static void label_text(struct text *out, const char *name, struct text *value)
{
	metrics_label(out, name, text_string(value));
	if (value->error)
		out->error = value->error;
	text_release(value);
}

static void label_ends(const struct state *state, const struct state_edge *edge, struct text *out)
{
	struct text name = {}, name_space = {};

	edge_end(state, edge, SST_ROLE_CLIENT, &name, &name_space);
	label_text(out, "source", &name);
	label_text(out, "source_namespace", &name_space);
	edge_end(state, edge, SST_ROLE_SERVER, &name, &name_space);
	label_text(out, "destination", &name);
	label_text(out, "destination_namespace", &name_space);
}

/* As the service's own series have it. */
void label_service_of(const struct state *state, uint32_t id, struct text *out)
{
	const struct state_service *service = state_service(state, id);
	char number[FORMAT_MAX];

	snprintf(number, sizeof(number), "#%u", id);
	metrics_label(out, "service", service ? service->info.name : id ? number : "none");
}

static void label_of_edge(size_t i, const void *arg, struct text *out)
{
	const struct state *state = ((const struct label_context *)arg)->state;
	const struct state_edge *edge = &state->edges[i];
	const struct sst_edge_key *key = &edge->key;
	struct text rule = {};

	label_ends(state, edge, out);
	label_service_of(state, key->service, out);
	text_add(out, ",port=\"%u\"", key->port);
	metrics_label(out, "protocol", protocol_name(key->protocol));
	metrics_label(out, "reporter", key->role == SST_ROLE_CLIENT ? "source" : "destination");
	metrics_label(out, "verdict", ruling_name(key->denied));
	if (!key->denied)
		return;
	if (key->rule)
		policy_label_rule(&state->policy, key->rule, &rule);
	label_text(out, "rule", &rule);
}

int edge_sources(const struct state *state, struct sources *ret)
{
	int err = sources_init(ret, state->n_edges, label_of_edge, cost_of(ABOUT_ALL));

	for (size_t i = 0; i < state->n_edges && !err; i++) {
		const struct state_edge *edge = &state->edges[i];

		ret->items[ret->n++] = (struct series_source){
			.id = edge->id,
			.values = (const uint64_t *)&edge->total,
			.active = edge_active(&edge->total),
			.cost = cost_of(about_of(&edge->key)),
			.nameless = edge_is_folded(edge->id),
		};
	}
	return err;
}

/* What a row is about is told by what it costs: no two kinds of edges cost the same. */
static unsigned about_row(const struct series_row *row)
{
	static const unsigned kinds[] = { ABOUT_TCP, ABOUT_TCP | ABOUT_CALLER, ABOUT_UDP,
					  ABOUT_DENIED };

	for (size_t i = 0; i < ARRAY_SIZE(kinds) && row->labels; i++)
		if (cost_of(kinds[i]) == row->cost)
			return kinds[i];
	return ABOUT_ALL;
}

/* The flow that was last denied, or failed for that reason. */
static const struct metrics_exemplar *exemplar_of(const struct metrics_view *view,
						  const struct series_row *row,
						  const struct edge_field *field)
{
	size_t failure = (field->offset - FIELD(failed)) / sizeof(uint64_t);

	if (field->about == ABOUT_DENIED)
		return exemplars_find(view->exemplars, EXEMPLAR_DENIED, row->id, 0);
	if (field->about == ABOUT_CALLER)
		return exemplars_find(view->exemplars, EXEMPLAR_FAILED, row->id, failure);
	return NULL;
}

/* `other` is of no rule, and the family's labels are the same in all its series. */
static const char *others_of(const struct edge_family *family)
{
	return family->fields[0].about == ABOUT_DENIED ? EDGE_OTHER ",rule=\"other\"" : EDGE_OTHER;
}

static void write_row(struct metrics_text *text, const struct metrics_view *view,
		      const struct edge_family *family, const struct series_row *row)
{
	unsigned about = about_row(row);

	for (size_t f = 0; f < EDGE_FIELDS_MAX; f++) {
		const struct edge_field *field = &family->fields[f];

		if (field->about & about)
			metrics_sample_with(text, family->name, row_labels(row, others_of(family)),
					    field->label,
					    row->values[field->offset / sizeof(uint64_t)],
					    exemplar_of(view, row, field));
	}
}

void write_edges(struct metrics_text *text, const struct metrics_view *view)
{
	const struct series *series = &view->series->kind[METRICS_edge];
	const struct series_row *row = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		metrics_family(text, families[i].name, "counter", families[i].help);
		while ((row = next_row(series, row)))
			write_row(text, view, &families[i], row);
	}
	metrics_family(text, "sidestep_edge_connections_active", "gauge",
		       "TCP connections established now");
	while ((row = next_row(series, row)))
		if (about_row(row) & ABOUT_TCP)
			metrics_sample(text, "sidestep_edge_connections_active",
				       row_labels(row, EDGE_OTHER), "", row->active);
}

/* ---- times, by service --------------------------------------------------------------------- */

/* Of one histogram: its sum, and how many there are in each bucket. */
#define TIME_VALUES (1 + EXEMPLAR_BUCKETS)
/* _bucket, _sum, _count, of each time */
#define TIME_SERIES (SST_TIME_MAX * (EXEMPLAR_BUCKETS + 2))

static const struct time_family {
	const char *name;
	const char *help;
	unsigned digits;                      /* of its unit, behind the point of a second */
	const char *bounds[EXEMPLAR_BUCKETS]; /* 4^2, 4^3 ... of the unit, in seconds */
} time_families[SST_TIME_MAX] = {
#define US                                                                                        \
	{                                                                                         \
		"1.6e-05", "6.4e-05", "0.000256", "0.001024", "0.004096", "0.016384", "0.065536", \
			"0.262144", "1.048576", "4.194304", "+Inf"                                \
	}
#define MS                                                                                  \
	{                                                                                   \
		"0.016", "0.064", "0.256", "1.024", "4.096", "16.384", "65.536", "262.144", \
			"1048.576", "4194.304", "+Inf"                                      \
	}
	[SST_TIME_CONNECT] = { "sidestep_connect_seconds",
			       "From connect() to the connection, by service", 6, US },
	[SST_TIME_RTT] = { "sidestep_rtt_seconds", "Smoothed round trips of TCP, by service", 6,
			   US },
	[SST_TIME_DURATION] = { "sidestep_connection_duration_seconds",
				"From the connection to its end, by service", 3, MS },
};

const struct series_kind metrics_time_kind = { .n_values = SST_TIME_MAX * TIME_VALUES };

static uint64_t time_count(const struct state_edge *edge)
{
	uint64_t count = 0;

	for (int i = 0; i < SST_TIME_MAX; i++)
		count += histogram_count(&edge->time[i]);
	return count;
}

static void add_times(uint64_t *values, const struct state_edge *edge)
{
	for (int i = 0; i < SST_TIME_MAX; i++, values += TIME_VALUES) {
		values[0] += edge->time[i].sum;
		for (uint32_t b = 0; b < SST_BUCKETS; b++)
			values[1 + exemplar_bucket(sst_bucket_begin(b))] += edge->time[i].count[b];
	}
}

static void label_of_time(size_t i, const void *arg, struct text *out)
{
	const struct label_context *context = arg;
	uint32_t id = context->sources->items[i].id;
	const struct state_service *service = state_service(context->state, id);

	if (service) {
		label_service(out, &service->info);
		return;
	}
	label_service_of(context->state, id, out);
	text_add(out, ",port=\"\",protocol=\"\",family=\"\"");
}

static int compare_ids(const void *a, const void *b)
{
	uint32_t x = ((const struct series_source *)a)->id,
		 y = ((const struct series_source *)b)->id;

	return x < y ? -1 : x > y;
}

/* One source for each service of the edges that have taken a time, sorted. */
static void find_services(const struct state *state, struct sources *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < state->n_edges; i++)
		if (time_count(&state->edges[i]))
			ret->items[ret->n++] =
				(struct series_source){ .id = state->edges[i].key.service,
							.cost = TIME_SERIES };
	qsort(ret->items, ret->n, sizeof(*ret->items), compare_ids);
	for (size_t i = 0; i < ret->n; i++)
		if (!n || ret->items[n - 1].id != ret->items[i].id)
			ret->items[n++] = ret->items[i];
	ret->n = n;
}

int time_sources(const struct state *state, struct sources *ret)
{
	int err = sources_init(ret, state->n_edges, label_of_time, TIME_SERIES);

	if (err)
		return err;
	find_services(state, ret);
	ret->values = calloc(ret->n + 1, SST_TIME_MAX * TIME_VALUES * sizeof(uint64_t));
	if (!ret->values)
		return -ENOMEM;
	for (size_t i = 0; i < ret->n; i++)
		ret->items[i].values = ret->values + i * SST_TIME_MAX * TIME_VALUES;
	for (size_t i = 0; i < state->n_edges; i++) {
		struct series_source key = { .id = state->edges[i].key.service };
		struct series_source *source =
			bsearch(&key, ret->items, ret->n, sizeof(key), compare_ids);

		if (source)
			add_times(ret->values + (source - ret->items) * SST_TIME_MAX * TIME_VALUES,
				  &state->edges[i]);
	}
	return 0;
}

static void write_histogram(struct metrics_text *text, const struct metrics_view *view,
			    enum sst_time time, const struct series_row *row)
{
	const struct time_family *family = &time_families[time];
	const uint64_t *values = row->values + time * TIME_VALUES;
	char name[64], bound[32];
	uint64_t below = 0;

	snprintf(name, sizeof(name), "%s_bucket", family->name);
	for (uint32_t i = 0; i < EXEMPLAR_BUCKETS; i++) {
		below += values[1 + i];
		snprintf(bound, sizeof(bound), "le=\"%s\"", family->bounds[i]);
		metrics_sample_with(text, name, row_labels(row, TIME_OTHER), bound, below,
				    row->labels ? exemplars_find(view->exemplars,
								 EXEMPLAR_TIME + time, row->id, i)
						: NULL);
	}
	snprintf(name, sizeof(name), "%s_sum", family->name);
	metrics_sample_fixed(text, name, row_labels(row, TIME_OTHER), "", values[0],
			     family->digits);
	snprintf(name, sizeof(name), "%s_count", family->name);
	metrics_sample(text, name, row_labels(row, TIME_OTHER), "", below);
}

void write_times(struct metrics_text *text, const struct metrics_view *view)
{
	const struct series *series = &view->series->kind[METRICS_time];
	const struct series_row *row = NULL;

	for (int i = 0; i < SST_TIME_MAX; i++) {
		metrics_family(text, time_families[i].name, "histogram", time_families[i].help);
		while ((row = next_row(series, row)))
			write_histogram(text, view, i, row);
	}
}
