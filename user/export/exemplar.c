/* SPDX-License-Identifier: Apache-2.0 */
#include "export/exemplar.h"

#include <stddef.h>

uint32_t exemplar_bucket(uint64_t value)
{
	uint32_t bucket = 0;

	while (bucket < EXEMPLAR_BUCKETS - 1 && value >> (2 * (bucket + 2)))
		bucket++;
	return bucket;
}

/* Any good spread will do: who collides with a newer one is forgotten. */
static size_t place_of(uint32_t kind, uint32_t id, uint32_t which)
{
	uint32_t hash = (id * 0x9e3779b1U) ^ (kind * 0x85ebca6bU) ^ (which * 0xc2b2ae35U);

	return (hash ^ hash >> 15) % EXEMPLARS;
}

static void set(struct exemplars *exemplars, uint32_t kind, uint32_t id, uint32_t which,
		struct metrics_exemplar flow)
{
	exemplars->items[place_of(kind, id, which)] =
		(struct exemplar){ .kind = kind, .id = id, .which = which, .flow = flow };
}

static void set_time(struct exemplars *exemplars, const struct sst_record *record,
		     enum sst_time time, uint64_t value, double unit, struct metrics_exemplar flow)
{
	flow.value = (double)value * unit;
	if (value)
		set(exemplars, EXEMPLAR_TIME + time, record->service, exemplar_bucket(value), flow);
}

void exemplars_add(struct exemplars *exemplars, const struct sst_record *record,
		   int64_t realtime_offset_ns)
{
	struct metrics_exemplar flow = {
		.flow = record->flow,
		.value = 1,
		.time_ns = record->time_ns + realtime_offset_ns,
	};

	if (record->type == SST_RECORD_FAILED)
		set(exemplars, EXEMPLAR_FAILED, record->edge, record->ending, flow);
	else if (record->type == SST_RECORD_DENIED)
		set(exemplars, EXEMPLAR_DENIED, record->edge, 0, flow);
	else if (record->type == SST_RECORD_OPEN)
		set_time(exemplars, record, SST_TIME_CONNECT, record->connect_us, 1e-6, flow);
	if (record->type != SST_RECORD_CLOSE)
		return;
	set_time(exemplars, record, SST_TIME_RTT, record->srtt_us, 1e-6, flow);
	set_time(exemplars, record, SST_TIME_DURATION,
		 (record->time_ns - record->opened_ns) / 1000000, 1e-3, flow);
}

const struct metrics_exemplar *exemplars_find(const struct exemplars *exemplars, uint32_t kind,
					      uint32_t id, uint32_t which)
{
	const struct exemplar *found;

	if (!exemplars)
		return NULL;
	found = &exemplars->items[place_of(kind, id, which)];
	return found->flow.flow && found->kind == kind && found->id == id && found->which == which
		       ? &found->flow
		       : NULL;
}
