/* SPDX-License-Identifier: Apache-2.0 */
#include "live/rows.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/address.h"
#include "core/array.h"
#include "core/cleanup.h"
#include "export/edge.h"
#include "export/format.h"
#include "live/tally.h"
#include "model/edge.h"

/* What a row is made of. */
struct making {
	const struct live_sample *before; /* NULL: there is none to compare with */
	const struct live_sample *now;
	double seconds; /* between them */
	const char *filter;
	struct live_rows rows;
	size_t room;
};

/* ---- rows ------------------------------------------------------------------------------ */

static void row_release(struct live_row *row)
{
	for (int i = 0; i < LIVE_TEXTS; i++)
		free(row->text[i]);
}

void live_rows_release(struct live_rows *rows)
{
	for (size_t i = 0; i < rows->n; i++)
		row_release(&rows->items[i]);
	free(rows->items);
	memset(rows, 0, sizeof(*rows));
}

static void set_text(struct live_row *row, enum live_text which, struct text *text, int *err)
{
	row->text[which] = strdup(text_string(text));
	if (text->error || !row->text[which])
		*err = -ENOMEM;
	text_release(text);
}

static bool fits(const struct live_row *row, const char *filter)
{
	for (int i = 0; i < LIVE_TEXTS; i++)
		if (row->text[i] && strcasestr(row->text[i], filter))
			return true;
	return false;
}

/* Takes the row over, whatever comes of it; err is what became of its words. */
static int take(struct making *making, struct live_row *row, int err)
{
	struct live_rows *rows = &making->rows;

	if (!err && fits(row, making->filter)) {
		err = array_reserve((void **)&rows->items, &making->room, rows->n,
				    sizeof(*rows->items));
		if (!err) {
			rows->items[rows->n++] = *row;
			return 0;
		}
	}
	row_release(row);
	return err;
}

/* ---- figures ---------------------------------------------------------------------------- */

/* A counter that went back is of something else: it has done nothing that we know of. */
static double grown(uint64_t now, uint64_t before)
{
	return now > before ? (double)(now - before) : 0;
}

static void set_spliced(struct live_row *row)
{
	double bytes = row->figure[LIVE_BYTES], spliced = row->figure[LIVE_SPLICED_BYTES];

	/* they are not read at one moment */
	if (bytes > 0)
		row->figure[LIVE_SPLICED] = spliced < bytes ? spliced / bytes : 1;
}

/* "before" is NULL where it is not known what was there. */
static void set_rates(struct live_row *row, const uint64_t *now, const uint64_t *before,
		      double seconds)
{
	for (int i = 0; i < LIVE_FIGURES; i++)
		row->figure[i] = NAN;
	if (!before)
		return;
	for (int i = 0; i < LIVE_RATES; i++)
		row->figure[i] = grown(now[i], before[i]) / seconds;
	set_spliced(row);
}

/* Of the interval; where nothing was measured in it, of all time. */
static void set_round_trips(struct live_row *row, const struct sst_histogram *now,
			    const struct sst_histogram *before)
{
	struct sst_histogram meanwhile = {};

	for (int i = 0; before && i < SST_BUCKETS; i++)
		if (now->count[i] > before->count[i])
			meanwhile.count[i] = now->count[i] - before->count[i];
	row->old_rtt = !histogram_count(&meanwhile);
	if (row->old_rtt)
		meanwhile = *now;
	if (!histogram_count(&meanwhile))
		return;
	row->figure[LIVE_P50] = histogram_quantile(&meanwhile, 0.5);
	row->figure[LIVE_P99] = histogram_quantile(&meanwhile, 0.99);
}

/* What is new since the look before has done all of it since then. */
static void set_figures(const struct making *making, const struct tallies *before,
			const struct tally *now, struct live_row *row)
{
	static const struct tally nothing;
	const struct tally *was = making->before ? tally_find(before, now->id) ?: &nothing : NULL;

	set_rates(row, now->count, was ? was->count : NULL, making->seconds);
	set_round_trips(row, &now->rtt, was ? &was->rtt : NULL);
	row->figure[LIVE_ACTIVE] = (double)now->active;
}

/* ---- services ---------------------------------------------------------------------------- */

static void set_service(const struct state *state, uint32_t id, struct live_row *row, int *err)
{
	const struct state_edge any = { .key.service = id };
	struct text text = {};

	edge_service(state, &any, &text);
	set_text(row, LIVE_SERVICE, &text, err);
}

static int services(struct making *making)
{
	_cleanup_tallies_ struct tallies before = {}, now = {};
	int err = tally_services(&making->now->state, &now);

	if (!err && making->before)
		err = tally_services(&making->before->state, &before);
	for (size_t i = 0; i < now.n && !err; i++) {
		struct live_row row = { .id = now.items[i].id };
		int bad = 0;

		set_service(&making->now->state, now.items[i].id, &row, &bad);
		set_figures(making, &before, &now.items[i], &row);
		err = take(making, &row, bad);
	}
	return err;
}

/* ---- edges ------------------------------------------------------------------------------- */

static void set_ends(const struct state *state, const struct state_edge *edge, struct live_row *row,
		     int *err)
{
	struct text source = {}, service = {}, destination = {};

	edge_source(state, edge, &source);
	edge_service(state, edge, &service);
	edge_destination(state, edge, &destination);
	if (!edge_is_folded(edge->id))
		text_add(&destination, ":%u", edge->key.port);
	set_text(row, LIVE_SOURCE, &source, err);
	set_text(row, LIVE_SERVICE, &service, err);
	set_text(row, LIVE_DESTINATION, &destination, err);
}

static int edges(struct making *making)
{
	_cleanup_tallies_ struct tallies before = {}, now = {};
	const struct state *state = &making->now->state;
	int err = tally_edges(state, &now);

	if (!err && making->before)
		err = tally_edges_before(&making->before->state, state, &before);
	for (size_t i = 0; i < now.n && !err; i++) {
		struct live_row row = { .id = now.items[i].id };
		int bad = 0;

		set_ends(state, &state->edges[i], &row, &bad);
		set_figures(making, &before, &now.items[i], &row);
		err = take(making, &row, bad);
	}
	return err;
}

/* ---- flows ------------------------------------------------------------------------------- */

static void set_address(const struct sst_addr *address, __be16 port, enum live_text which,
			struct live_row *row, int *err)
{
	char buf[ADDRESS_TEXT_MAX];
	struct text text = {};

	text_add(&text, "%s", address_port_format(address, port, buf));
	set_text(row, which, &text, err);
}

static int set_flow_texts(const struct making *making, const struct sst_record *record,
			  struct live_row *row)
{
	bool server = record->role == SST_ROLE_SERVER;
	struct text id = {}, splice = {};
	int err = 0;

	text_add(&id, "%" PRIu64, (uint64_t)record->flow);
	text_add(&splice, "%s", splice_state_name(record->splice));
	set_text(row, LIVE_FLOW, &id, &err);
	set_text(row, LIVE_SPLICE, &splice, &err);
	set_service(&making->now->state, record->service, row, &err);
	set_address(&record->local, record->local_port, server ? LIVE_DESTINATION : LIVE_SOURCE,
		    row, &err);
	set_address(&record->remote, record->remote_port, server ? LIVE_SOURCE : LIVE_DESTINATION,
		    row, &err);
	return err;
}

/* A flow that is not in the look before was opened since, or that look has missed it. */
static void set_flow_rates(const struct making *making, const struct sst_record *record,
			   struct live_row *row)
{
	static const uint64_t nothing[LIVE_RATES];
	uint64_t now[LIVE_RATES], before[LIVE_RATES];
	const struct sst_record *was = NULL;
	const uint64_t *known = NULL;

	if (making->before)
		was = live_sample_flow(making->before, record->flow);
	if (was) {
		tally_flow(was, before);
		known = before;
	} else if (making->before && record->opened_ns >= making->before->time_ns) {
		known = nothing;
	}
	tally_flow(record, now);
	set_rates(row, now, known, making->seconds);
}

static void set_flow_figures(const struct sst_record *record, struct live_row *row)
{
	/* none is measured before the first answer */
	if (record->srtt_us)
		row->figure[LIVE_P50] = record->srtt_us;
	if (record->opened_ns)
		row->figure[LIVE_AGE] = grown(record->time_ns, record->opened_ns) / 1e9;
}

struct candidate {
	const struct sst_record *record;
	double bytes; /* a second; -1: not known */
};

static int compare_candidates(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return x->record->flow < y->record->flow ? -1 : 1;
}

static int filter_flow(const struct making *making, const struct sst_record *record, bool *ret)
{
	struct live_row row = {};
	int err = 0;

	*ret = true;
	if (*making->filter) {
		err = set_flow_texts(making, record, &row);
		*ret = !err && fits(&row, making->filter);
	}
	row_release(&row);
	return err;
}

/* The flows that fit the filter, those with the most bytes a second first. */
static int choose(const struct making *making, struct candidate *candidates, size_t *n)
{
	const struct live_sample *now = making->now;

	for (size_t i = 0; i < now->n_flows; i++) {
		struct live_row row = {};
		bool wanted;
		int err = filter_flow(making, &now->flows[i], &wanted);

		if (err)
			return err;
		if (!wanted)
			continue;
		set_flow_rates(making, &now->flows[i], &row);
		candidates[(*n)++] = (struct candidate){
			.record = &now->flows[i],
			.bytes = isnan(row.figure[LIVE_BYTES]) ? -1 : row.figure[LIVE_BYTES],
		};
	}
	if (*n)
		qsort(candidates, *n, sizeof(*candidates), compare_candidates);
	return 0;
}

/* How many the look did not take. */
static size_t beyond(const struct live_sample *now)
{
	uint64_t active = live_sample_active(now);

	return now->full && active > now->n_flows ? active - now->n_flows : 0;
}

static int flows(struct making *making)
{
	_cleanup_free_ struct candidate *candidates =
		calloc(making->now->n_flows + 1, sizeof(*candidates));
	size_t n = 0, listed;
	int err = candidates ? choose(making, candidates, &n) : -ENOMEM;

	listed = n < LIVE_ROWS_MAX ? n : LIVE_ROWS_MAX;
	for (size_t i = 0; i < listed && !err; i++) {
		const struct sst_record *record = candidates[i].record;
		struct live_row row = { .id = record->flow };

		err = set_flow_texts(making, record, &row);
		set_flow_rates(making, record, &row);
		set_flow_figures(record, &row);
		err = take(making, &row, err);
	}
	making->rows.left_out = n - listed + beyond(making->now);
	return err;
}

/* ---- all of it ---------------------------------------------------------------------------- */

int live_rows(enum live_view view, const struct live_sample *before, const struct live_sample *now,
	      const char *filter, struct live_rows *ret)
{
	static int (*const make[])(struct making * making) = { services, edges, flows };
	struct making making = { .now = now, .filter = filter };
	int err;

	if (live_sample_follows(now, before)) {
		making.before = before;
		making.seconds = (double)(now->time_ns - before->time_ns) / 1e9;
	}
	err = make[view](&making);
	if (err) {
		live_rows_release(&making.rows);
		return err;
	}
	*ret = making.rows;
	return 0;
}
