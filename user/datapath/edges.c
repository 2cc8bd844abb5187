/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/edges.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/array.h"
#include "core/text.h"
#include "datapath/entries.h"
#include "datapath/host.h"
#include "model/edge.h"

/* Idle edges are taken from one map to another: what was read is of one moment only when
 * nothing was taken meanwhile. */
#define READ_TRIES 4

/* All maps of edges as they were read. */
struct reading {
	struct entries closed; /* edges, read before the rest: see close_not_before_open() */
	struct entries edges;
	struct entries ids;
	struct entries info;
	struct entries expired;
};

static void reading_release(struct reading *reading)
{
	entries_release(&reading->closed);
	entries_release(&reading->edges);
	entries_release(&reading->ids);
	entries_release(&reading->info);
	entries_release(&reading->expired);
	memset(reading, 0, sizeof(*reading));
}
#define _cleanup_reading_ __attribute__((cleanup(reading_release)))

static bool is_same(const struct entries *a, const struct entries *b)
{
	return a->n == b->n && (!a->n || (!memcmp(a->keys, b->keys, a->n * a->key_size) &&
					  !memcmp(a->values, b->values, a->n * a->value_size)));
}

/* Keys after the edges: an edge that is new by then has one, and is told as itself. */
static int read_once(struct datapath *datapath, struct reading *reading, bool *whole)
{
	_cleanup_entries_ struct entries before = {};
	int err = entries_of_map(datapath->map[MAP_edges_expired], &before);

	if (!err)
		err = entries_of_map(datapath->map[MAP_edges], &reading->closed);
	if (!err)
		err = entries_of_map(datapath->map[MAP_edges], &reading->edges);
	if (!err)
		err = entries_of_map(datapath->map[MAP_edge_ids], &reading->ids);
	if (!err)
		err = entries_of_map(datapath->map[MAP_edge_info], &reading->info);
	if (!err)
		err = entries_of_map(datapath->map[MAP_edges_expired], &reading->expired);
	*whole = !err && is_same(&before, &reading->expired);
	return err;
}

static int read_all(struct datapath *datapath, struct reading *ret)
{
	bool whole = false;
	int err = 0;

	for (int i = 0; i < READ_TRIES && !err && !whole; i++) {
		reading_release(ret);
		err = read_once(datapath, ret, &whole);
	}
	return err;
}

static struct state_edge *find(struct state_edge *edges, size_t n, uint32_t id)
{
	return n ? bsearch(&id, edges, n, sizeof(*edges), compare_ids) : NULL;
}

static void take_info(const struct sst_edge_info *info, struct state_edge *edge)
{
	edge->key = info->key;
	edge->used_ns = info->used_ns;
	memcpy(edge->time, info->time, sizeof(edge->time));
}

/*
 * "closed" is of the first reading and the rest of the second, so that a flow that opens on
 * one CPU and closes on another while we read cannot be seen closed but not opened.
 */
static void close_not_before_open(const struct entries *closed, struct state_edge *edges, size_t n)
{
	for (size_t i = 0; i < n; i++)
		memset(edges[i].total.closed, 0, sizeof(edges[i].total.closed));
	for (size_t i = 0; i < closed->n; i++) {
		uint32_t id = *(const uint32_t *)entry_key(closed, i);
		struct state_edge *edge = find(edges, n, id);
		struct sst_edge sum;

		sum_cpus(entry_value(closed, i), &sum, sizeof(sum));
		if (edge)
			memcpy(edge->total.closed, sum.closed, sizeof(sum.closed));
	}
}

/* Every id with its totals, sorted. */
static int join(const struct reading *reading, struct state_edge **ret, size_t *n)
{
	struct state_edge *edges = calloc(reading->edges.n + 1, sizeof(*edges));

	if (!edges)
		return -ENOMEM;
	for (size_t i = 0; i < reading->edges.n; i++) {
		edges[i].id = *(const uint32_t *)entry_key(&reading->edges, i);
		sum_cpus(entry_value(&reading->edges, i), &edges[i].total, sizeof(edges[i].total));
	}
	qsort(edges, reading->edges.n, sizeof(*edges), compare_ids);
	for (size_t i = 0; i < reading->info.n; i++) {
		uint32_t id = *(const uint32_t *)entry_key(&reading->info, i);
		struct state_edge *edge = find(edges, reading->edges.n, id);

		if (edge)
			take_info(entry_value(&reading->info, i), edge);
	}
	close_not_before_open(&reading->closed, edges, reading->edges.n);
	*ret = edges;
	*n = reading->edges.n;
	return 0;
}

/* What of a service is on no edge of its own. */
struct others {
	struct state_edge *items; /* in no order; one for each service */
	size_t n, room;
};

static struct state_edge *other_of(struct others *others, uint32_t service)
{
	for (size_t i = 0; i < others->n; i++)
		if (others->items[i].key.service == service)
			return &others->items[i];
	if (array_reserve((void **)&others->items, &others->room, others->n,
			  sizeof(*others->items)))
		return NULL;
	others->items[others->n] =
		(struct state_edge){ .id = SST_EDGE_FOLDED | service, .key.service = service };
	return &others->items[others->n++];
}

static int fold(struct others *others, uint32_t service, const struct sst_edge *total,
		const struct sst_histogram *time, uint64_t used_ns)
{
	const struct sst_edge nothing = {};
	struct state_edge *other;

	if (!memcmp(total, &nothing, sizeof(nothing)))
		return 0;
	other = other_of(others, service);
	if (!other)
		return -ENOMEM;
	edge_add(&other->total, total);
	for (int i = 0; i < SST_TIME_MAX; i++)
		histogram_add(&other->time[i], &time[i]);
	if (other->used_ns < used_ns)
		other->used_ns = used_ns;
	return 0;
}

/* Ids that were added to what has expired and not deleted, perhaps; sorted, one for each
 * service. */
static uint32_t *added_ids(const struct entries *expired)
{
	_cleanup_free_ uint32_t *ids = calloc(expired->n + 1, sizeof(*ids));

	for (size_t i = 0; i < expired->n && ids; i++) {
		const struct sst_edge_expired *value = entry_value(expired, i);

		if (value->last < SST_EDGES_OF(0))
			ids[i] = (uint32_t)value->last;
	}
	return ids ? sorted_ids(ids, expired->n) : NULL;
}

/* The service of which the same is true of all that had expired; 0: none. */
static uint32_t added_service(const struct entries *expired)
{
	for (size_t i = 0; i < expired->n; i++) {
		const struct sst_edge_expired *value = entry_value(expired, i);

		if (value->last >= SST_EDGES_OF(0))
			return (uint32_t)value->last;
	}
	return 0;
}

static int fold_expired(const struct entries *expired, struct others *others)
{
	uint32_t added = added_service(expired);
	int err = 0;

	for (size_t i = 0; i < expired->n && !err; i++) {
		const struct sst_edge_expired *value = entry_value(expired, i);
		uint32_t service = *(const uint32_t *)entry_key(expired, i);

		if (!service || service != added)
			err = fold(others, service, &value->total, value->time, 0);
	}
	return err;
}

/* An edge that no key leads to gets no more flows: its last ones are told under `other`. */
static int part(const struct reading *reading, struct state_edge *edges, size_t n, size_t *kept,
		struct others *others)
{
	_cleanup_free_ uint32_t *ids = sorted_ids(reading->ids.values, reading->ids.n);
	_cleanup_free_ uint32_t *added = added_ids(&reading->expired);
	int err = 0;

	if (!ids || !added)
		return -ENOMEM;
	*kept = 0;
	for (size_t i = 0; i < n && !err; i++) {
		struct state_edge *edge = &edges[i];

		if (edge_is_folded(edge->id))
			edge->key = (struct sst_edge_key){ .service = edge->id & ~SST_EDGE_FOLDED };
		else if (is_among(ids, reading->ids.n, edge->id)) {
			edges[(*kept)++] = *edge;
			continue;
		}
		if (!is_among(added, reading->expired.n, edge->id))
			err = fold(others, edge->key.service, &edge->total, edge->time,
				   edge->used_ns);
	}
	return err ?: fold_expired(&reading->expired, others);
}

/* A cgroup may be called anything; what is told of it is text. NULL when memory is out. */
static char *clean_copy(const char *path)
{
	_cleanup_text_ struct text clean = {};

	text_add_clean(&clean, path);
	return clean.error ? NULL : strdup(text_string(&clean));
}

/* Paths by cgroup, the last of each place: many edges have few cgroups, and asking the kernel costs
 * more than all else of an edge. */
#define PATHS 512

struct known_path {
	uint64_t cgroup;
	const char *path; /* some edge's; NULL: it has none */
};

static void find_cgroup(struct known_path *known, int root_fd, const char *root,
			struct state_edge *edge)
{
	uint64_t cgroup = edge->key.cgroup;
	char path[PATH_MAX];

	known += cgroup % PATHS;
	if (known->cgroup == cgroup)
		edge->cgroup = known->path ? strdup(known->path) : NULL;
	else if (!host_cgroup_path(root_fd, root, cgroup, path))
		edge->cgroup = clean_copy(path);
	*known = (struct known_path){ cgroup, edge->cgroup };
}

static void find_cgroups(struct state_edge *edges, size_t n)
{
	struct known_path known[PATHS] = {};
	_cleanup_close_ int root_fd = -1;
	char root[PATH_MAX];

	if (host_cgroup_root(root))
		return;
	root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < n && root_fd >= 0; i++)
		if (edges[i].key.cgroup)
			find_cgroup(known, root_fd, root, &edges[i]);
}

int edges_dump(struct datapath *datapath, struct state *state)
{
	_cleanup_reading_ struct reading reading = {};
	_cleanup_free_ struct state_edge *edges = NULL;
	struct others others = {};
	size_t n = 0, kept = 0;
	int err = read_all(datapath, &reading);

	if (!err)
		err = join(&reading, &edges, &n);
	if (!err)
		err = part(&reading, edges, n, &kept, &others);
	if (!err) {
		void *all = realloc(edges, (kept + others.n + 1) * sizeof(*edges));

		if (all)
			edges = all;
		else
			err = -ENOMEM;
	}
	if (!err) {
		if (others.n)
			memcpy(edges + kept, others.items, others.n * sizeof(*edges));
		find_cgroups(edges, kept);
		state->n_edges = kept + others.n;
		state->edges = TAKE_PTR(edges);
		qsort(state->edges, state->n_edges, sizeof(*state->edges), compare_ids);
	}
	free(others.items);
	return err;
}
