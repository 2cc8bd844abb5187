/* SPDX-License-Identifier: Apache-2.0 */
#include "live/tally.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/edge.h"

static int compare_id(const void *key, const void *element)
{
	const uint32_t *a = key;
	const struct tally *b = element;

	return *a < b->id ? -1 : *a > b->id;
}

static int compare(const void *a, const void *b)
{
	const struct tally *x = a;

	return compare_id(&x->id, b);
}

static struct tally *find(struct tallies *tallies, uint32_t id)
{
	if (!tallies->n)
		return NULL;
	return bsearch(&id, tallies->items, tallies->n, sizeof(*tallies->items), compare_id);
}

const struct tally *tally_find(const struct tallies *tallies, uint32_t id)
{
	return find((struct tallies *)tallies, id);
}

void tallies_release(struct tallies *tallies)
{
	free(tallies->items);
	memset(tallies, 0, sizeof(*tallies));
}

static int reserve(struct tallies *tallies, size_t n)
{
	tallies->items = calloc(n + 1, sizeof(*tallies->items));
	return tallies->items ? 0 : -ENOMEM;
}

/* ---- edges ------------------------------------------------------------------------- */

static uint64_t edge_resets(const struct sst_edge *total)
{
	return total->closed[SST_ENDING_RESET_BY_CLIENT] +
	       total->closed[SST_ENDING_RESET_BY_SERVER] + total->closed[SST_ENDING_TIMED_OUT];
}

static void add_edge(const struct state_edge *edge, struct tally *tally)
{
	const struct sst_edge *total = &edge->total;
	uint64_t *count = tally->count;

	tally->active += edge_active(total);
	count[LIVE_CONNECTIONS] += total->opened;
	count[LIVE_BYTES] += edge_sent_bytes(total) + edge_received_bytes(total);
	count[LIVE_SENT] += edge_sent_bytes(total);
	count[LIVE_RECEIVED] += edge_received_bytes(total);
	count[LIVE_SPLICED_BYTES] += total->spliced_sent_bytes + total->spliced_received_bytes;
	count[LIVE_ERRORS] += edge_failed(total);
	count[LIVE_RESETS] += edge_resets(total);
	count[LIVE_DENIED] += total->denied;
	count[LIVE_RETRANSMITS] += total->retransmits;
	count[LIVE_DATAGRAMS] += total->udp_sent_datagrams + total->udp_received_datagrams;
	histogram_add(&tally->rtt, &edge->time[SST_TIME_RTT]);
}

int tally_edges(const struct state *now, struct tallies *ret)
{
	struct tallies tallies = {};

	if (reserve(&tallies, now->n_edges))
		return -ENOMEM;
	for (size_t i = 0; i < now->n_edges; i++) {
		struct tally *tally = &tallies.items[tallies.n++];

		tally->id = now->edges[i].id;
		add_edge(&now->edges[i], tally);
	}
	*ret = tallies;
	return 0;
}

/* Where it is counted now. */
static uint32_t id_in(const struct state *now, const struct state_edge *edge)
{
	if (edge_is_folded(edge->id) || state_edge(now, edge->id))
		return edge->id;
	return SST_EDGE_FOLDED | edge->key.service;
}

/* Those that are next to each other and have one id become one. */
static void unite(struct tallies *tallies)
{
	size_t kept = 0;

	for (size_t i = 0; i < tallies->n; i++) {
		struct tally *tally = &tallies->items[i];

		if (!kept || tallies->items[kept - 1].id != tally->id) {
			tallies->items[kept++] = *tally;
			continue;
		}
		for (int r = 0; r < LIVE_RATES; r++)
			tallies->items[kept - 1].count[r] += tally->count[r];
		histogram_add(&tallies->items[kept - 1].rtt, &tally->rtt);
	}
	tallies->n = kept;
}

int tally_edges_before(const struct state *before, const struct state *now, struct tallies *ret)
{
	int err = tally_edges(before, ret);

	if (err)
		return err;
	for (size_t i = 0; i < ret->n; i++)
		ret->items[i].id = id_in(now, &before->edges[i]);
	if (ret->n)
		qsort(ret->items, ret->n, sizeof(*ret->items), compare);
	unite(ret);
	return 0;
}

/* ---- services ------------------------------------------------------------------------- */

static void add_service(const struct sst_stats *stats, struct tally *tally)
{
	uint64_t *count = tally->count;

	tally->active = stats->opened - stats->closed;
	count[LIVE_CONNECTIONS] = stats->opened;
	count[LIVE_SENT] = stats->sent_bytes + stats->spliced_sent_bytes;
	count[LIVE_RECEIVED] = stats->received_bytes + stats->spliced_received_bytes;
	count[LIVE_SPLICED_BYTES] = stats->spliced_sent_bytes + stats->spliced_received_bytes;
	count[LIVE_ERRORS] = stats->failed + stats->refused;
	count[LIVE_DENIED] = stats->denied;
	count[LIVE_RETRANSMITS] = stats->retransmits;
}

/* What only edges tell of: endings, round trips, and datagrams with their bytes. */
static void add_edge_of_service(const struct state_edge *edge, struct tally *tally)
{
	const struct sst_edge *total = &edge->total;
	uint64_t *count = tally->count;

	count[LIVE_RESETS] += edge_resets(total);
	count[LIVE_DATAGRAMS] += total->udp_sent_datagrams + total->udp_received_datagrams;
	count[LIVE_SENT] += total->udp_sent_bytes;
	count[LIVE_RECEIVED] += total->udp_received_bytes;
	histogram_add(&tally->rtt, &edge->time[SST_TIME_RTT]);
}

int tally_services(const struct state *state, struct tallies *ret)
{
	struct tallies tallies = {};

	if (reserve(&tallies, state->n_services + 1))
		return -ENOMEM;
	add_service(&state->direct, &tallies.items[tallies.n++]);
	for (size_t i = 0; i < state->n_services; i++) {
		tallies.items[tallies.n].id = state->services[i].id;
		add_service(&state->services[i].stats, &tallies.items[tallies.n++]);
	}
	for (size_t i = 0; i < state->n_edges; i++) {
		struct tally *tally = find(&tallies, state->edges[i].key.service);

		if (tally)
			add_edge_of_service(&state->edges[i], tally);
	}
	for (size_t i = 0; i < tallies.n; i++) {
		uint64_t *count = tallies.items[i].count;

		count[LIVE_BYTES] = count[LIVE_SENT] + count[LIVE_RECEIVED];
	}
	*ret = tallies;
	return 0;
}

/* ---- flows ----------------------------------------------------------------------------- */

void tally_flow(const struct sst_record *record, uint64_t count[LIVE_RATES])
{
	bool server = record->role == SST_ROLE_SERVER;
	uint64_t sent = record->sent_bytes + record->spliced_sent_bytes;
	uint64_t received = record->received_bytes + record->spliced_received_bytes;

	memset(count, 0, LIVE_RATES * sizeof(*count));
	count[LIVE_BYTES] = sent + received;
	count[LIVE_SENT] = server ? received : sent;
	count[LIVE_RECEIVED] = server ? sent : received;
	count[LIVE_SPLICED_BYTES] = record->spliced_sent_bytes + record->spliced_received_bytes;
	count[LIVE_RETRANSMITS] = record->retransmits;
}
