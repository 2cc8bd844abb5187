/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel's maps hold, into a struct state. */
#include "datapath/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/array.h"
#include "core/clock.h"
#include "datapath/edges.h"
#include "datapath/entries.h"
#include "datapath/ondemand.h"

/* ---- statistics -------------------------------------------------------------- */

/* Statistics of things that are sorted by id. */
struct stats_reading {
	void *things; /* each begins with its id */
	size_t n, size;
	size_t offset;            /* of its struct sst_stats */
	struct sst_stats *direct; /* of id 0; NULL: nobody wants to know */
	unsigned values;          /* of an element */
};

static struct sst_stats *stats_of(const struct stats_reading *reading, const void *id)
{
	char *thing;

	if (!*(const uint32_t *)id)
		return reading->direct;
	thing = find_by_id(reading->things, reading->n, reading->size, *(const uint32_t *)id);
	return thing ? (struct sst_stats *)(thing + reading->offset) : NULL;
}

/*
 * A flow that opens on one CPU and closes on another while we read may be seen closed but not
 * opened. Then neither is told yet. So both only grow, and what is open is never below 0.
 */
static int read_stats(const void *id, const void *values, void *arg)
{
	const struct stats_reading *reading = arg;
	struct sst_stats *stats = stats_of(reading, id);

	if (!stats)
		return 0;
	sum_values(values, reading->values, stats, sizeof(*stats));
	if (stats->closed > stats->opened)
		stats->closed = stats->opened;
	return 0;
}

static int dump_stats(struct datapath *datapath, enum map_index map, struct stats_reading *reading)
{
	int fd = datapath->map[map], values = map_values(fd);

	if (values < 0)
		return values;
	reading->values = values;
	return entries_each(fd, read_stats, reading);
}

static int dump_service_stats(struct datapath *datapath, struct state *state)
{
	struct stats_reading reading = {
		.things = state->services,
		.n = state->n_services,
		.size = sizeof(*state->services),
		.offset = offsetof(struct state_service, stats),
		.direct = &state->direct,
	};

	return dump_stats(datapath, MAP_service_stats, &reading);
}

static int dump_endpoint_stats(struct datapath *datapath, struct state *state)
{
	struct stats_reading reading = {
		.things = state->endpoints,
		.n = state->n_endpoints,
		.size = sizeof(*state->endpoints),
		.offset = offsetof(struct state_endpoint, stats),
	};

	return dump_stats(datapath, MAP_endpoint_stats, &reading);
}

/* Read twice, so that a flow that opens on one CPU and closes on another meanwhile may be counted
 * as open, but none that is open is missed. */
int flows_open(const struct datapath *datapath, enum map_index map, __u32 id, uint64_t *ret)
{
	int fd = datapath->map[map], n = map_values(fd);
	_cleanup_free_ struct sst_stats *values = n < 0 ? NULL : calloc(n, sizeof(*values));
	struct sst_stats before, after;

	if (!values)
		return n < 0 ? n : -ENOMEM;
	if (bpf_map_lookup_elem(fd, &id, values))
		return -errno;
	sum_values(values, n, &before, sizeof(before));
	if (bpf_map_lookup_elem(fd, &id, values))
		return -errno;
	sum_values(values, n, &after, sizeof(after));
	*ret = after.opened - before.closed;
	return 0;
}

/* ---- tables ------------------------------------------------------------------ */

/* A state that grows. */
struct growing {
	struct state *state;
	size_t room;
};

static int compare_frontends(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct sst_frontend_key));
}

static int add_frontend(const void *key, const void *value, void *arg)
{
	const struct sst_frontend *frontend = value;
	struct growing *growing = arg;
	struct state *state = growing->state;
	struct state_frontend *added;

	if (frontend->service >= SST_SELFTEST_ID)
		return 0;
	if (array_reserve((void **)&state->frontends, &growing->room, state->n_frontends,
			  sizeof(*state->frontends)))
		return -ENOMEM;
	added = &state->frontends[state->n_frontends++];
	memcpy(&added->key, key, sizeof(added->key));
	added->service = frontend->service;
	added->netns = frontend->netns;
	return 0;
}

static int dump_frontends(struct datapath *datapath, struct state *state)
{
	int err = entries_each(datapath->map[MAP_frontends], add_frontend,
			       &(struct growing){ state });

	if (!err && state->n_frontends)
		qsort(state->frontends, state->n_frontends, sizeof(*state->frontends),
		      compare_frontends);
	return err;
}

static int add_service(const void *key, const void *value, void *arg)
{
	struct growing *growing = arg;
	struct state *state = growing->state;
	struct state_service *added;

	if (*(const uint32_t *)key >= SST_SELFTEST_ID)
		return 0;
	if (array_reserve((void **)&state->services, &growing->room, state->n_services,
			  sizeof(*state->services)))
		return -ENOMEM;
	added = &state->services[state->n_services++];
	memset(added, 0, sizeof(*added));
	memcpy(&added->id, key, sizeof(added->id));
	memcpy(&added->value, value, sizeof(added->value));
	return 0;
}

/* A service without a name is one that an apply was killed in the middle of adding:
 * the next plan removes it. */
static int read_info(const void *key, const void *value, void *arg)
{
	struct state *state = arg;
	struct state_service *service =
		find_by_id(state->services, state->n_services, sizeof(*state->services),
			   *(const uint32_t *)key);

	if (service)
		memcpy(&service->info, value, sizeof(service->info));
	return 0;
}

static int dump_services(struct datapath *datapath, struct state *state)
{
	int err =
		entries_each(datapath->map[MAP_services], add_service, &(struct growing){ state });

	if (err || !state->n_services)
		return err;
	qsort(state->services, state->n_services, sizeof(*state->services), compare_ids);
	return entries_each(datapath->map[MAP_service_info], read_info, state);
}

static int add_endpoint(const void *key, const void *value, void *arg)
{
	struct growing *growing = arg;
	struct state *state = growing->state;
	struct state_endpoint *added;

	if (*(const uint32_t *)key >= SST_SELFTEST_ID)
		return 0;
	if (array_reserve((void **)&state->endpoints, &growing->room, state->n_endpoints,
			  sizeof(*state->endpoints)))
		return -ENOMEM;
	added = &state->endpoints[state->n_endpoints++];
	memset(added, 0, sizeof(*added));
	memcpy(&added->id, key, sizeof(added->id));
	memcpy(&added->value, value, sizeof(added->value));
	return 0;
}

static int dump_endpoints(struct datapath *datapath, struct state *state)
{
	int err = entries_each(datapath->map[MAP_endpoints], add_endpoint,
			       &(struct growing){ state });

	if (!err && state->n_endpoints)
		qsort(state->endpoints, state->n_endpoints, sizeof(*state->endpoints), compare_ids);
	return err;
}

static struct state_endpoint *find_endpoint(struct state *state, const void *id)
{
	return find_by_id(state->endpoints, state->n_endpoints, sizeof(*state->endpoints),
			  *(const uint32_t *)id);
}

/* What the kernel half has learned of endpoints; few have anything. */
static int dump_habits(struct datapath *datapath, struct state *state)
{
	_cleanup_entries_ struct entries entries = {};
	int err = entries_of_map(datapath->map[MAP_habits], &entries);
	uint64_t now = clock_ns(CLOCK_BOOTTIME);

	for (size_t i = 0; i < entries.n && !err; i++) {
		struct state_endpoint *endpoint =
			find_endpoint(state, entries.keys + i * entries.key_size);

		if (!endpoint)
			continue;
		memcpy(&endpoint->habit, entries.values + i * entries.value_size,
		       sizeof(endpoint->habit));
		if (endpoint->habit.until_ns > now)
			endpoint->left_alone_s = (endpoint->habit.until_ns - now) / 1000000000 + 1;
	}
	return err;
}

static int copy_slots(struct datapath *datapath, const struct sst_service *service, uint32_t *ret)
{
	const uint32_t *slots;

	if (!service->slots)
		return 0;
	slots = datapath_slots(datapath, service->first, service->slots);
	if (!slots)
		return -errno;
	memcpy(ret + service->first, slots, service->slots * sizeof(*slots));
	return 0;
}

/* So many services may be anywhere: all slots are mapped for a moment. */
#define MANY_SERVICES 16

int dump_slots(struct datapath *datapath, struct state *state)
{
	bool many = state->n_services > MANY_SERVICES;
	int err = 0;

	state->slots = calloc(datapath->n_slots, sizeof(*state->slots));
	if (!state->slots)
		return -ENOMEM;
	state->n_slots = datapath->n_slots;
	if (many && !datapath_slots(datapath, 0, datapath->n_slots))
		return -errno;
	for (size_t i = 0; i < state->n_services && !err; i++)
		err = copy_slots(datapath, &state->services[i].value, state->slots);
	if (many)
		datapath_close_slots(datapath);
	return err;
}

static int dump_rules(struct datapath *datapath, struct state *state)
{
	_cleanup_entries_ struct entries entries = {};
	int err = entries_of_map(datapath->map[MAP_rule_stats], &entries);

	if (err)
		return err;
	state->rules = calloc(entries.n + 1, sizeof(*state->rules));
	if (!state->rules)
		return -ENOMEM;
	for (size_t i = 0; i < entries.n; i++) {
		struct state_rule *rule = &state->rules[i];

		memcpy(&rule->id, entries.keys + i * entries.key_size, sizeof(rule->id));
		sum_cpus(entries.values + i * entries.value_size, &rule->stats,
			 sizeof(rule->stats));
	}
	state->n_rules = entries.n;
	qsort(state->rules, state->n_rules, sizeof(*state->rules), compare_ids);
	return 0;
}

static int dump_counters(struct datapath *datapath, struct state *state)
{
	int cpus = libbpf_num_possible_cpus();
	_cleanup_free_ __u64 *values = NULL;

	if (cpus < 0)
		return cpus;
	values = calloc(cpus, sizeof(*values));
	if (!values)
		return -ENOMEM;
	for (__u32 i = 0; i < SST_COUNTER_MAX; i++) {
		if (bpf_map_lookup_elem(datapath->map[MAP_counters], &i, values))
			return -errno;
		for (int cpu = 0; cpu < cpus; cpu++)
			state->counters[i] += values[cpu];
	}
	return 0;
}

/* The sockhash knows no batches, its members' values no reading: walk its keys. */
static int count_keys(int fd, uint64_t *ret)
{
	__u64 key, *last = NULL;
	uint64_t n = 0;

	while (!bpf_map_get_next_key(fd, last, &key)) {
		last = &key;
		n++;
	}
	if (errno != ENOENT)
		return -errno;
	*ret = n;
	return 0;
}

static int count_entry(const void *key, const void *value, void *arg)
{
	(void)key;
	(void)value;
	++*(uint64_t *)arg;
	return 0;
}

static int count_place(const void *key, const void *value, void *arg)
{
	const struct sst_pair_place *place = value;

	(void)key;
	*(uint64_t *)arg += place->key != 0;
	return 0;
}

/* What fits into a map with so many entries. */
static uint64_t capacity_of(const struct datapath *datapath, const struct state *state,
			    enum state_map map, uint32_t entries)
{
	switch (map) {
	case STATE_MAP_FRONTENDS:
	case STATE_MAP_SERVICES:
	case STATE_MAP_ENDPOINTS:
		return entries - SELFTEST_ENTRIES;
	case STATE_MAP_SLOTS:
		return datapath->n_slots;
	case STATE_MAP_EDGES:
		return state->config.edge_budget;
	case STATE_MAP_PAIRS:
		return entries + SST_PAIR_PLACES;
	default:
		return entries;
	}
}

static int dump_fill(struct datapath *datapath, unsigned what, struct state *state)
{
	static const enum map_index maps[STATE_MAP_MAX] = {
		[STATE_MAP_FRONTENDS] = MAP_frontends, [STATE_MAP_SERVICES] = MAP_services,
		[STATE_MAP_ENDPOINTS] = MAP_endpoints, [STATE_MAP_SLOTS] = MAP_slots,
		[STATE_MAP_PAIRS] = MAP_pairs,         [STATE_MAP_SPLICED] = MAP_spliced,
		[STATE_MAP_AFFINITY] = MAP_affinity,   [STATE_MAP_RULE_STATS] = MAP_rule_stats,
		[STATE_MAP_EDGES] = MAP_edge_ids,
	};

	const size_t counts[STATE_MAP_MAX] = {
		[STATE_MAP_FRONTENDS] = state->n_frontends,
		[STATE_MAP_SERVICES] = state->n_services,
		[STATE_MAP_ENDPOINTS] = state->n_endpoints,
	}; /* of tables that have been read already */

	for (int i = 0; i < STATE_MAP_MAX; i++) {
		struct state_fill *fill = &state->fill[i];
		struct bpf_map_info info;
		int fd = datapath->map[maps[i]];
		int err = map_info(fd, &info);

		fill->name = map_names[maps[i]];
		fill->capacity = capacity_of(datapath, state, i, info.max_entries);
		if (err || !(what & DUMP_FILL))
			continue;
		if (what & DUMP_TABLES && counts[i])
			fill->used = counts[i];
		else if (i == STATE_MAP_SPLICED)
			err = count_keys(fd, &fill->used);
		else if (i != STATE_MAP_SLOTS)
			err = entries_each(fd, count_entry, &fill->used);
		if (!err && i == STATE_MAP_PAIRS)
			err = entries_each(datapath->map[MAP_pair_places], count_place,
					   &fill->used);
		if (err)
			return err;
	}
	for (size_t i = 0; i < state->n_services; i++)
		state->fill[STATE_MAP_SLOTS].used += state->services[i].value.slots;
	return 0;
}

/* The kernel tells it of an open map only. */
static uint64_t map_memory(int fd)
{
	_cleanup_fclose_ FILE *file = NULL;
	uint64_t bytes = 0;
	char path[64], line[128];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "memlock: %" SCNu64, &bytes) == 1)
			break;
	return bytes;
}

uint64_t datapath_memory(const struct datapath *datapath)
{
	uint64_t bytes = 0;

	for (int i = 0; i < MAP_MAX; i++)
		bytes += datapath->map[i] < 0 ? 0 : map_memory(datapath->map[i]);
	return bytes;
}

int datapath_dump(struct datapath *datapath, unsigned what, struct state *ret)
{
	_cleanup_state_ struct state state = {};
	int err = config_read(datapath, &state.config);

	if (!err)
		err = meta_read(datapath, &state.meta);
	if (!err)
		err = dump_counters(datapath, &state);
	if (!err && what & (DUMP_TABLES | DUMP_PLAIN))
		err = dump_frontends(datapath, &state) ?: dump_services(datapath, &state) ?:
		      dump_endpoints(datapath, &state);
	if (!err && what & DUMP_TABLES)
		err = dump_service_stats(datapath, &state) ?:
		      dump_endpoint_stats(datapath, &state) ?: dump_habits(datapath, &state);
	if (!err && what & (DUMP_RULES | DUMP_POLICY))
		err = dump_rules(datapath, &state)
			      ?: ondemand_dump(datapath, &state.hooks, &state.n_hooks);
	if (!err && what & DUMP_POLICY)
		err = datapath_policy(datapath, &state.policy);
	if (!err && what & DUMP_EDGES)
		err = edges_dump(datapath, &state);
	if (!err && what & DUMP_SLOTS)
		err = dump_slots(datapath, &state);
	if (!err)
		err = dump_fill(datapath, what, &state);
	if (err)
		return err;
	*ret = state;
	memset(&state, 0, sizeof(state));
	return 0;
}
