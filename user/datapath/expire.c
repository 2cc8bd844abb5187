/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Idle edges go, their totals stay. In steps, each of which may be the last one of a process
 * that is killed:
 *
 *   1. The key is deleted: whoever calls from now on makes a new edge.
 *   2. UDP's flows are told to find their edges anew. What no key leads to and nothing is open
 *      on is final when no program runs any more that was running then, and nothing has
 *      changed meanwhile: nobody has its id.
 *   3. That is added to what has expired of its service, together with the id: who finds
 *      the id there knows that it was added.
 *   4. The id is deleted. Whoever comes to step 3 does this first for the one before it.
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

/* An id that no key leads to, and what it held before the grace period. */
struct leaver {
	uint32_t id;
	struct sst_edge total;
};

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

/* Who was killed may have deleted a key and not counted it. An edge that is made just now may
 * count twice, until the next time. */
static int count_keys(struct datapath *datapath, struct sst_edge_state *state, struct entries *ids)
{
	uint32_t used = __atomic_load_n(&state->used, __ATOMIC_ACQUIRE);
	int err = entries_of_map(datapath->map[MAP_edge_ids], ids);

	if (!err && used != ids->n)
		__atomic_compare_exchange_n(&state->used, &used, (uint32_t)ids->n, false,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	return err;
}

static void delete_keys(struct datapath *datapath, struct sst_edge_state *state,
			const struct entries *ids, uint64_t since_ns, unsigned *deleted)
{
	for (size_t i = 0; i < ids->n && *deleted < AT_ONCE; i++) {
		uint32_t id = *(const uint32_t *)entry_value(ids, i);

		if (!is_idle(datapath, id, since_ns) ||
		    bpf_map_delete_elem(datapath->map[MAP_edge_ids], entry_key(ids, i)))
			continue;
		__atomic_fetch_sub(&state->used, 1, __ATOMIC_RELAXED);
		(*deleted)++;
	}
}

/* ---- step 2 -------------------------------------------------------------------------------- */

static int read_keyed(struct datapath *datapath, uint32_t **ret, size_t *n)
{
	_cleanup_entries_ struct entries ids = {};
	int err = entries_of_map(datapath->map[MAP_edge_ids], &ids);

	if (err)
		return err;
	*ret = sorted_ids(ids.values, ids.n);
	*n = ids.n;
	return *ret ? 0 : -ENOMEM;
}

static bool is_served(const struct datapath *datapath, uint32_t service)
{
	struct sst_service value;

	return !bpf_map_lookup_elem(datapath->map[MAP_services], &service, &value);
}

/* A service's `other` stays as long as the service. */
static bool may_leave(const struct datapath *datapath, uint32_t id, const uint32_t *keyed, size_t n)
{
	uint32_t service = id & ~SST_EDGE_FOLDED;

	if (edge_is_folded(id))
		return service && !is_served(datapath, service);
	return !is_among(keyed, n, id);
}

static int find_leavers(struct datapath *datapath, struct leaver **ret, size_t *n)
{
	_cleanup_entries_ struct entries edges = {};
	_cleanup_free_ uint32_t *keyed = NULL;
	struct leaver *leavers;
	size_t n_keyed = 0;
	int err = entries_of_map(datapath->map[MAP_edges], &edges);

	if (!err)
		err = read_keyed(datapath, &keyed, &n_keyed);
	if (err)
		return err;
	leavers = calloc(edges.n + 1, sizeof(*leavers));
	if (!leavers)
		return -ENOMEM;
	for (size_t i = 0; i < edges.n; i++) {
		struct leaver *leaver = &leavers[*n];

		leaver->id = *(const uint32_t *)entry_key(&edges, i);
		if (!may_leave(datapath, leaver->id, keyed, n_keyed))
			continue;
		sum_cpus(entry_value(&edges, i), &leaver->total, sizeof(leaver->total));
		*n += !edge_active(&leaver->total);
	}
	*ret = leavers;
	return 0;
}

/* ---- steps 3 and 4 ------------------------------------------------------------------------ */

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
	expired.last = id;
	edge_add(&expired.total, total);
	for (int i = 0; i < SST_TIME_MAX; i++)
		histogram_add(&expired.time[i], &time[i]);
	return bpf_map_update_elem(fd, &service, &expired, BPF_ANY) ? -errno : 0;
}

static void forget(struct datapath *datapath, uint64_t id)
{
	uint32_t key = (uint32_t)id;

	if (id >= SST_EDGES_OF(0)) {
		bpf_map_delete_elem(datapath->map[MAP_edges_expired], &key);
		return;
	}
	bpf_map_delete_elem(datapath->map[MAP_edges], &key);
	bpf_map_delete_elem(datapath->map[MAP_edge_info], &key);
}

/* What was added must not be added again. */
static int forget_added(struct datapath *datapath)
{
	_cleanup_entries_ struct entries expired = {};
	int err = entries_of_map(datapath->map[MAP_edges_expired], &expired);

	for (size_t i = 0; i < expired.n && !err; i++) {
		const struct sst_edge_expired *value = entry_value(&expired, i);

		forget(datapath, value->last);
	}
	return err;
}

static int finish(struct datapath *datapath, const struct leaver *leaver)
{
	uint32_t id = leaver->id, service;
	struct sst_edge_info info;
	struct sst_edge total;
	int err = read_total(datapath, id, &total);

	if (err || memcmp(&total, &leaver->total, sizeof(total)))
		return err == -ENOENT ? 0 : err;
	if (bpf_map_lookup_elem(datapath->map[MAP_edge_info], &id, &info))
		memset(&info, 0, sizeof(info));
	service = edge_is_folded(id) ? id & ~SST_EDGE_FOLDED : info.key.service;
	err = add_expired(datapath, account_of(datapath, service), id, &total, info.time);
	if (!err)
		forget(datapath, id);
	return err;
}

/* An id that has a key now was being made. */
static int finish_all(struct datapath *datapath, const struct leaver *leavers, size_t n)
{
	_cleanup_free_ uint32_t *keyed = NULL;
	size_t n_keyed = 0;
	int err = read_keyed(datapath, &keyed, &n_keyed);

	for (size_t i = 0; i < n && !err; i++)
		if (!is_among(keyed, n_keyed, leavers[i].id))
			err = finish(datapath, &leavers[i]);
	return err;
}

/* Of services that have gone since. */
static int join_expired(struct datapath *datapath)
{
	_cleanup_entries_ struct entries expired = {};
	int err = entries_of_map(datapath->map[MAP_edges_expired], &expired);

	for (size_t i = 0; i < expired.n && !err; i++) {
		uint32_t service = *(const uint32_t *)entry_key(&expired, i);
		const struct sst_edge_expired *value = entry_value(&expired, i);

		if (!service || is_served(datapath, service))
			continue;
		err = add_expired(datapath, 0, SST_EDGES_OF(service), &value->total, value->time);
		if (!err)
			forget(datapath, SST_EDGES_OF(service));
	}
	return err;
}

static int expire(struct datapath *datapath, struct sst_edge_state *state, uint64_t ttl_ns,
		  unsigned *gone)
{
	_cleanup_entries_ struct entries ids = {};
	_cleanup_free_ struct leaver *leavers = NULL;
	uint64_t now = clock_ns(CLOCK_BOOTTIME);
	size_t n = 0;
	int err = count_keys(datapath, state, &ids);

	if (!err && now > ttl_ns)
		delete_keys(datapath, state, &ids, now - ttl_ns, gone);
	if (!err)
		err = find_leavers(datapath, &leavers, &n);
	if (err || !n)
		return err;
	__atomic_fetch_add(&state->generation, 1, __ATOMIC_RELEASE);
	return grace_wait()
		       ?: forget_added(datapath)
				  ?: finish_all(datapath, leavers, n) ?: join_expired(datapath);
}

int edges_expire(struct datapath *datapath, uint64_t ttl_ns, unsigned *gone)
{
	struct sst_edge_state *state = state_map(datapath);
	int err;

	*gone = 0;
	if (!state)
		return -errno;
	err = expire(datapath, state, ttl_ns, gone);
	munmap(state, sizeof(*state));
	return err;
}
