/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/replay.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/array.h"

/* Who has the address; UNKNOWN where there is none. */
static struct party party_at(const struct policy_set *set, const struct replay_end *end)
{
	struct party party = { .has_address = end->has_address, .address = end->address };
	struct sst_policy_place place;

	if (!end->has_address)
		return party;
	place = policy_locate(set, &end->address);
	party.identity = place.identity;
	party.workload = place.workload;
	party.network = place.network;
	return party;
}

/* Who it is now: by name, by what no address tells, by address. */
static struct party find_party(const struct policy_set *set, const struct replay_end *end,
			       bool *unknown)
{
	uint32_t workload = end->workload ? policy_find_workload(set, end->workload) : 0;
	struct party party = party_at(set, end);

	if (workload) {
		party.workload = workload;
		party.identity = policy_workload(set, workload)->identity;
	} else if (end->workload) {
		*unknown = true;
	} else if (end->is_reserved) {
		party.workload = 0;
		party.identity = end->reserved;
	}
	return party;
}

static int add_change(struct replay *replay, const struct replay_change *change)
{
	if (array_reserve((void **)&replay->changes, &replay->room, replay->n_changes,
			  sizeof(*replay->changes)))
		return -ENOMEM;
	replay->changes[replay->n_changes++] = *change;
	return 0;
}

static uint32_t workload_id(const struct policy_set *set, const struct party *party)
{
	return party->workload ? policy_workload(set, party->workload)->id : 0;
}

int replay_add(struct replay *replay, const struct judge *judge, const struct replay_flow *flow)
{
	const struct policy_set *set = judge->set;
	struct party source = {}, destination = {};
	struct replay_change change = { .port = flow->port, .protocol = flow->protocol };
	bool unknown = false;

	if (!policy_set_is_empty(set)) {
		source = find_party(set, &flow->source, &unknown);
		destination = find_party(set, &flow->destination, &unknown);
		change.source = policy_identity(set, source.identity)->id;
		change.source_workload = workload_id(set, &source);
		change.destination = policy_identity(set, destination.identity)->id;
		change.destination_workload = workload_id(set, &destination);
	}
	change.verdict =
		policy_judge(judge, &source, &destination, flow->port, flow->protocol, true);
	replay->flows++;
	replay->unknown += unknown;
	if (change.verdict.denied == flow->denied)
		return 0;
	replay->denied += change.verdict.denied;
	replay->opened += !change.verdict.denied;
	change.count = 1;
	return add_change(replay, &change);
}

/* All but the count; what is before it has no holes. */
static int compare_changes(const void *a, const void *b)
{
	return memcmp(a, b, offsetof(struct replay_change, protocol) + sizeof(uint8_t));
}

static int compare_counts(const void *a, const void *b)
{
	const struct replay_change *x = a, *y = b;

	if (x->verdict.denied != y->verdict.denied)
		return y->verdict.denied - x->verdict.denied;
	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return compare_changes(a, b);
}

void replay_group(struct replay *replay)
{
	size_t kept = 0;

	if (!replay->n_changes)
		return;
	qsort(replay->changes, replay->n_changes, sizeof(*replay->changes), compare_changes);
	for (size_t i = 0; i < replay->n_changes; i++) {
		struct replay_change *last = kept ? &replay->changes[kept - 1] : NULL;

		if (last && !compare_changes(last, &replay->changes[i]))
			last->count += replay->changes[i].count;
		else
			replay->changes[kept++] = replay->changes[i];
	}
	replay->n_changes = kept;
	qsort(replay->changes, kept, sizeof(*replay->changes), compare_counts);
}

void replay_release(struct replay *replay)
{
	free(replay->changes);
	memset(replay, 0, sizeof(*replay));
}
