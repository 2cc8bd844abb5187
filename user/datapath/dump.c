/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel's maps hold, into a struct state. */
#include "datapath/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "datapath/edges.h"
#include "datapath/entries.h"
#include "datapath/ondemand.h"

static void stats_sum(const void *per_cpu, struct sst_stats *sum)
{
	sum_cpus(per_cpu, sum, sizeof(*sum));
}

struct stats_entry {
	uint32_t id;
	struct sst_stats stats;
};

/*
 * Statistics by id, sorted. Read twice: "closed" from the first reading and
 * "opened" from the second, so that a flow that opens on one CPU and closes on
 * another while we read cannot be seen closed but not opened.
 */
static int stats_read(int fd, struct stats_entry **ret, size_t *n)
{
	_cleanup_entries_ struct entries before = {}, after = {};
	struct stats_entry *stats;
	int err = entries_of_map(fd, &before);

	if (!err)
		err = entries_of_map(fd, &after);
	if (err)
		return err;
	stats = calloc(after.n + 1, sizeof(*stats));
	if (!stats)
		return -ENOMEM;
	for (size_t i = 0; i < after.n; i++) {
		memcpy(&stats[i].id, after.keys + i * after.key_size, sizeof(uint32_t));
		stats_sum(after.values + i * after.value_size, &stats[i].stats);
		stats[i].stats.closed = 0;
	}
	qsort(stats, after.n, sizeof(*stats), compare_ids);
	for (size_t i = 0; i < before.n; i++) {
		struct stats_entry *entry = bsearch(before.keys + i * before.key_size, stats,
						    after.n, sizeof(*stats), compare_ids);
		struct sst_stats sum;

		stats_sum(before.values + i * before.value_size, &sum);
		if (entry)
			entry->stats.closed = sum.closed;
	}
	*ret = stats;
	*n = after.n;
	return 0;
}

static struct sst_stats stats_of(const struct stats_entry *stats, size_t n, uint32_t id)
{
	const struct stats_entry *entry = bsearch(&id, stats, n, sizeof(*stats), compare_ids);

	return entry ? entry->stats : (struct sst_stats){};
}

static int compare_frontends(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct sst_frontend_key));
}

static int dump_frontends(struct datapath *datapath, struct state *state)
{
	_cleanup_entries_ struct entries entries = {};
	int err = entries_of_map(datapath->map[MAP_frontends], &entries);

	if (err)
		return err;
	state->frontends = calloc(entries.n + 1, sizeof(*state->frontends));
	if (!state->frontends)
		return -ENOMEM;
	for (size_t i = 0; i < entries.n; i++) {
		struct state_frontend *frontend = &state->frontends[state->n_frontends];
		struct sst_frontend value;

		memcpy(&frontend->key, entries.keys + i * entries.key_size, entries.key_size);
		memcpy(&value, entries.values + i * entries.value_size, sizeof(value));
		frontend->service = value.service;
		frontend->netns = value.netns;
		state->n_frontends += frontend->service < SST_SELFTEST_ID;
	}
	qsort(state->frontends, state->n_frontends, sizeof(*state->frontends), compare_frontends);
	return 0;
}

/* A service without a name is one that an apply was killed in the middle of adding:
 * the next plan removes it. */
static int read_info(struct datapath *datapath, struct state_service *service)
{
	if (!bpf_map_lookup_elem(datapath->map[MAP_service_info], &service->id, &service->info))
		return 0;
	return errno == ENOENT ? 0 : -errno;
}

static int dump_services(struct datapath *datapath, struct state *state)
{
	_cleanup_entries_ struct entries entries = {};
	_cleanup_free_ struct stats_entry *stats = NULL;
	size_t n_stats = 0;
	int err = stats_read(datapath->map[MAP_service_stats], &stats, &n_stats);

	if (!err)
		err = entries_of_map(datapath->map[MAP_services], &entries);
	if (err)
		return err;
	state->direct = stats_of(stats, n_stats, 0);
	state->services = calloc(entries.n + 1, sizeof(*state->services));
	if (!state->services)
		return -ENOMEM;
	for (size_t i = 0; i < entries.n; i++) {
		struct state_service *service = &state->services[state->n_services];

		memcpy(&service->id, entries.keys + i * entries.key_size, sizeof(service->id));
		memcpy(&service->value, entries.values + i * entries.value_size,
		       sizeof(service->value));
		if (service->id >= SST_SELFTEST_ID)
			continue;
		err = read_info(datapath, service);
		if (err)
			return err;
		service->stats = stats_of(stats, n_stats, service->id);
		state->n_services++;
	}
	qsort(state->services, state->n_services, sizeof(*state->services), compare_ids);
	return 0;
}

static int dump_endpoints(struct datapath *datapath, struct state *state)
{
	_cleanup_entries_ struct entries entries = {};
	_cleanup_free_ struct stats_entry *stats = NULL;
	size_t n_stats = 0;
	int err = stats_read(datapath->map[MAP_endpoint_stats], &stats, &n_stats);

	if (!err)
		err = entries_of_map(datapath->map[MAP_endpoints], &entries);
	if (err)
		return err;
	state->endpoints = calloc(entries.n + 1, sizeof(*state->endpoints));
	if (!state->endpoints)
		return -ENOMEM;
	for (size_t i = 0; i < entries.n; i++) {
		struct state_endpoint *endpoint = &state->endpoints[state->n_endpoints];

		memcpy(&endpoint->id, entries.keys + i * entries.key_size, sizeof(endpoint->id));
		memcpy(&endpoint->value, entries.values + i * entries.value_size,
		       sizeof(endpoint->value));
		endpoint->stats = stats_of(stats, n_stats, endpoint->id);
		state->n_endpoints += endpoint->id < SST_SELFTEST_ID;
	}
	qsort(state->endpoints, state->n_endpoints, sizeof(*state->endpoints), compare_ids);
	return 0;
}

static struct state_endpoint *find_endpoint(struct state *state, const void *id)
{
	return bsearch(id, state->endpoints, state->n_endpoints, sizeof(*state->endpoints),
		       compare_ids);
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

/* Only runs that services refer to are copied; the rest stays zero pages. */
static int dump_slots(struct datapath *datapath, struct state *state)
{
	state->slots = calloc(datapath->n_slots, sizeof(*state->slots));
	if (!state->slots)
		return -ENOMEM;
	state->n_slots = datapath->n_slots;
	for (size_t i = 0; i < state->n_services; i++) {
		const struct sst_service *service = &state->services[i].value;

		for (uint32_t s = 0; s < service->slots; s++)
			state->slots[service->first + s] =
				(uint32_t)datapath->slots[service->first + s];
	}
	return 0;
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

static int count_entries(int fd, uint64_t *ret)
{
	_cleanup_entries_ struct entries entries = {};
	int err = entries_of_map(fd, &entries);

	if (!err)
		*ret = entries.n;
	return err;
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

	for (int i = 0; i < STATE_MAP_MAX; i++) {
		struct state_fill *fill = &state->fill[i];
		struct bpf_map_info info;
		int fd = datapath->map[maps[i]];
		int err = map_info(fd, &info);

		fill->name = map_names[maps[i]];
		fill->capacity = i == STATE_MAP_SLOTS   ? datapath->n_slots
				 : i == STATE_MAP_EDGES ? state->config.edge_budget
							: info.max_entries;
		if (err || !(what & DUMP_FILL))
			continue;
		if (i == STATE_MAP_SPLICED)
			err = count_keys(fd, &fill->used);
		else if (i != STATE_MAP_SLOTS)
			err = count_entries(fd, &fill->used);
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
	if (!err && what & DUMP_TABLES)
		err = dump_frontends(datapath, &state) ?: dump_services(datapath, &state) ?:
		      dump_endpoints(datapath, &state) ?: dump_habits(datapath, &state);
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
