/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map of services: who calls which service, and who answers for it. One map for the page and
 * for documents, with a place for each node, so that all drawings are alike: layers from
 * left to right along the calls, rows ordered so that few lines cross.
 */
#ifndef SIDESTEP_EXPORT_MAP_H
#define SIDESTEP_EXPORT_MAP_H

#include <jansson.h>

#include "core/text.h"
#include "model/state.h"

enum map_kind {
	MAP_PARTY, /* a workload, a cgroup, an identity: edge_source() names it */
	MAP_SERVICE,
};

struct map_node {
	enum map_kind kind;
	char *name;
	uint32_t layer, row; /* from 0; rows of a layer have no gaps */
};

/* A line: the sum over all edges that lie on it. */
struct map_edge {
	uint32_t from, to; /* nodes */
	uint64_t opened;
	uint64_t active;
	uint64_t failed; /* connect() that did not succeed */
	uint64_t broken; /* connections that did not end orderly */
	uint64_t denied;
	uint64_t sent_bytes; /* UDP's too, what was spliced too */
	uint64_t received_bytes;
	uint64_t spliced_bytes; /* of these, both ways */
	struct sst_histogram rtt;
};

struct map {
	struct map_node *nodes; /* sorted by name, parties before services */
	size_t n_nodes;
	struct map_edge *edges; /* sorted by from, to */
	size_t n_edges;
	uint32_t n_layers;
	uint32_t n_rows; /* of the longest layer */
};

/* All services are on it, called or not. -ENOMEM. */
int map_build(const struct state *state, struct map *ret);

/* Frees what it holds; the struct itself is the caller's. Usable as a cleanup. */
void map_release(struct map *map);
#define _cleanup_map_ __attribute__((cleanup(map_release)))

/* Append to out; -ENOMEM. */
int map_to_dot(const struct map *map, struct text *out);
int map_to_svg(const struct map *map, struct text *out);

/* Members are documented in sidestep(8). NULL when memory is out. */
json_t *map_to_json(const struct map *map);

#endif
