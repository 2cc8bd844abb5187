/* SPDX-License-Identifier: Apache-2.0 */
#include "live/sample.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/array.h"

int live_sample_add(const struct sst_record *record, void *arg)
{
	struct live_sample *sample = arg;

	if (record->role == SST_ROLE_SERVER && record->peer_flow)
		return 0;
	sample->full = sample->n_flows == LIVE_FLOWS_MAX;
	if (sample->full)
		return -E2BIG;
	if (array_reserve((void **)&sample->flows, &sample->room, sample->n_flows,
			  sizeof(*sample->flows)))
		return -ENOMEM;
	sample->flows[sample->n_flows++] = *record;
	return 0;
}

static int compare_flow(const void *a, const void *b)
{
	const struct sst_record *x = a, *y = b;

	return x->flow < y->flow ? -1 : x->flow > y->flow;
}

void live_sample_sort(struct live_sample *sample)
{
	size_t kept = 0;

	if (sample->n_flows)
		qsort(sample->flows, sample->n_flows, sizeof(*sample->flows), compare_flow);
	for (size_t i = 0; i < sample->n_flows; i++)
		if (!i || sample->flows[i].flow != sample->flows[i - 1].flow)
			sample->flows[kept++] = sample->flows[i];
	sample->n_flows = kept;
}

uint64_t live_sample_active(const struct live_sample *sample)
{
	const struct state *state = &sample->state;
	uint64_t active = state->direct.opened - state->direct.closed;

	for (size_t i = 0; i < state->n_services; i++)
		active += state->services[i].stats.opened - state->services[i].stats.closed;
	return active;
}

const struct sst_record *live_sample_flow(const struct live_sample *sample, uint64_t flow)
{
	const struct sst_record key = { .flow = flow };

	if (!sample->n_flows)
		return NULL;
	return bsearch(&key, sample->flows, sample->n_flows, sizeof(*sample->flows), compare_flow);
}

bool live_sample_follows(const struct live_sample *now, const struct live_sample *before)
{
	return before->time_ns && before->time_ns < now->time_ns &&
	       before->state.meta.loaded_ns == now->state.meta.loaded_ns;
}

void live_sample_release(struct live_sample *sample)
{
	state_release(&sample->state);
	free(sample->flows);
	memset(sample, 0, sizeof(*sample));
}
