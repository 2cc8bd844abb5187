/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Idle edges go, their totals stay. In steps, each of which may be the last one of a process
 * that is killed:
 *
 *   1. The key is deleted: whoever calls from now on makes a new edge.
 *   2. Once no program runs that has seen the key, and every connection of the edge has
 *      closed, nobody has its id any more: what it holds is final.
 *   3. That is added to what has expired of its service, together with the id: who finds
 *      the id there knows that it was added.
 *   4. The id is deleted.
 */
#include "datapath/edges.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/clock.h"
#include "datapath/entries.h"
#include "model/edge.h"

/* The rest waits for the next time: the daemon has more to do. */
#define AT_ONCE 4096

static int compare_ids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* ---- step 1 ----------------------------------------------------------------------------- */

static struct sst_edge_state *state_map(const struct datapath *datapath)
{
	void *state = mmap(NULL, sizeof(struct sst_edge_state), PROT_READ | PROT_WRITE, MAP_SHARED,
			   datapath->map[MAP_edge_state], 0);

	return state == MAP_FAILED ? NULL : state;
}

static int read_total(const struct datapath *datapath, uint32_t id, struct sst_edge *ret)
{
	_cleanup_free_ void *per_cpu = calloc(libbpf_num_possible_cpus(), sizeof(*ret));

	if (!per_cpu)
		return -ENOMEM;
	if (bpf_map_lookup_elem(datapath->map[MAP_edges], &id, per_cpu))
		return -errno;
	sum_cpus(per_cpu, ret, sizeof(*ret));
	return 0;
}

static bool is_idle(const struct datapath *datapath, uint32_t id, uint64_t since_ns)
{
	struct sst_edge_info info;
	struct sst_edge total;

	if (bpf_map_lookup_elem(datapath->map[MAP_edge_info], &id, &info) ||
	    info.used_ns >= since_ns)
		return false;
	return !read_total(datapath, id, &total) && !edge_active(&total);
}

static int delete_keys(struct datapath *datapath, const struct entries *ids, uint64_t since_ns,
		       unsigned *deleted)
{
	struct sst_edge_state *state = state_map(datapath);

	if (!state)
		return -errno;
	for (size_t i = 0; i < ids->n && *deleted < AT_ONCE; i++) {
		uint32_t id = *(const uint32_t *)entry_value(ids, i);

		if (!is_idle(datapath, id, since_ns) ||
		    bpf_map_delete_elem(datapath->map[MAP_edge_ids], entry_key(ids, i)))
			continue;
		__atomic_fetch_sub(&state->used, 1, __ATOMIC_RELAXED);
		(*deleted)++;
	}
	if (*deleted)
		__atomic_fetch_add(&state->generation, 1, __ATOMIC_RELEASE);
	munmap(state, sizeof(*state));
	return 0;
}

/* ---- steps 2 to 4 ------------------------------------------------------------------------ */

static bool is_served(const struct datapath *datapath, uint32_t service)
{
	struct sst_service value;

	return !bpf_map_lookup_elem(datapath->map[MAP_services], &service, &value);
}

/* Of a service that has gone there is nothing to be told. */
static uint32_t account_of(const struct datapath *datapath, uint32_t service)
{
	return service && is_served(datapath, service) ? service : 0;
}

static int add_expired(struct datapath *datapath, uint32_t service, uint64_t id,
		       const struct sst_edge *total, const struct sst_histogram *time)
{
	int fd = datapath->map[MAP_edges_expired];
	struct sst_edge_expired expired = {};

	if (bpf_map_lookup_elem(fd, &service, &expired) && errno != ENOENT)
		return -errno;
	if (expired.last == id)
		return 0;
	expired.last = id;
	edge_add(&expired.total, total);
	for (int i = 0; i < SST_TIME_MAX; i++)
		histogram_add(&expired.time[i], &time[i]);
	return bpf_map_update_elem(fd, &service, &expired, BPF_ANY) ? -errno : 0;
}

/* No key leads to it. */
static int finish(struct datapath *datapath, uint32_t id)
{
	struct sst_edge_info info;
	struct sst_edge total;
	uint32_t service;
	int err = read_total(datapath, id, &total);

	if (err || edge_active(&total))
		return err == -ENOENT ? 0 : err;
	if (bpf_map_lookup_elem(datapath->map[MAP_edge_info], &id, &info))
		memset(&info, 0, sizeof(info));
	service = edge_is_folded(id) ? id & ~SST_EDGE_FOLDED : info.key.service;
	err = add_expired(datapath, account_of(datapath, service), id, &total, info.time);
	if (err)
		return err;
	bpf_map_delete_elem(datapath->map[MAP_edges], &id);
	bpf_map_delete_elem(datapath->map[MAP_edge_info], &id);
	return 0;
}

/* A service's `other` stays as long as the service. */
static bool may_finish(const struct datapath *datapath, uint32_t id, const uint32_t *keyed,
		       size_t n)
{
	uint32_t service = id & ~SST_EDGE_FOLDED;

	if (edge_is_folded(id))
		return service && !is_served(datapath, service);
	return !bsearch(&id, keyed, n, sizeof(*keyed), compare_ids);
}

/* All ids were read before the keys, and a grace period lies between: an id without a key is
 * not one that is being made. */
static int finish_keyless(struct datapath *datapath, const struct entries *edges)
{
	_cleanup_entries_ struct entries ids = {};
	int err = entries_of_map(datapath->map[MAP_edge_ids], &ids);
	uint32_t *keyed;

	if (err)
		return err;
	keyed = calloc(ids.n + 1, sizeof(*keyed));
	if (!keyed)
		return -ENOMEM;
	for (size_t i = 0; i < ids.n; i++)
		keyed[i] = *(const uint32_t *)entry_value(&ids, i);
	qsort(keyed, ids.n, sizeof(*keyed), compare_ids);
	for (size_t i = 0; i < edges->n && !err; i++) {
		uint32_t id = *(const uint32_t *)entry_key(edges, i);

		if (may_finish(datapath, id, keyed, ids.n))
			err = finish(datapath, id);
	}
	free(keyed);
	return err;
}

/* What had expired of a service goes by this id when it joins the rest. */
#define EXPIRED_ID(service) (1ULL << 32 | (service))

/* Of services that have gone since. */
static int join_expired(struct datapath *datapath)
{
	_cleanup_entries_ struct entries expired = {};
	int fd = datapath->map[MAP_edges_expired];
	int err = entries_of_map(fd, &expired);

	for (size_t i = 0; i < expired.n && !err; i++) {
		uint32_t service = *(const uint32_t *)entry_key(&expired, i);
		const struct sst_edge_expired *value = entry_value(&expired, i);

		if (!service || is_served(datapath, service))
			continue;
		err = add_expired(datapath, 0, EXPIRED_ID(service), &value->total, value->time);
		if (!err)
			bpf_map_delete_elem(fd, &service);
	}
	return err;
}

int edges_expire(struct datapath *datapath, uint64_t ttl_ns, unsigned *gone)
{
	_cleanup_entries_ struct entries ids = {}, edges = {};
	uint64_t now = clock_ns(CLOCK_BOOTTIME);
	unsigned deleted = 0;
	int err = entries_of_map(datapath->map[MAP_edge_ids], &ids);

	if (!err && now > ttl_ns)
		err = delete_keys(datapath, &ids, now - ttl_ns, &deleted);
	if (!err)
		err = entries_of_map(datapath->map[MAP_edges], &edges);
	if (!err && edges.n > ids.n - deleted)
		err = grace_wait() ?: finish_keyless(datapath, &edges) ?: join_expired(datapath);
	*gone = deleted;
	return err;
}
