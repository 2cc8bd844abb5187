/* SPDX-License-Identifier: Apache-2.0 */
#include "export/map_layout.h"

#include <errno.h>
#include <stdlib.h>

#include "core/cleanup.h"

/* Passes that put each node at the mean of its neighbours, forth and back. */
#define PASSES 6

/* A drawing with more of them leads nowhere. */
#define LAYERS_MAX 16

enum visit {
	VISIT_NONE,
	VISIT_OPEN, /* on the path that is walked: a line back to it closes a circle */
	VISIT_DONE,
};

struct layout {
	struct map *map;
	size_t *first;      /* by node: its edges in map->edges; one more at the end */
	uint32_t *callers;  /* by node */
	enum visit *visit;  /* by node */
	size_t *next;       /* by node: the edge to walk next */
	uint32_t *path;     /* nodes being walked */
	uint32_t *finished; /* in the order in which all behind them was done */
	size_t n_finished;
	bool *back;      /* by edge: it closes a circle, and does not count */
	uint32_t *order; /* nodes, layer by layer, row by row */
	uint32_t *layer; /* where a layer begins in `order`; one more at the end */
	double *wish;    /* by node: the row it would like */
};

static void layout_release(struct layout *layout)
{
	free(layout->first);
	free(layout->callers);
	free(layout->visit);
	free(layout->next);
	free(layout->path);
	free(layout->finished);
	free(layout->back);
	free(layout->order);
	free(layout->layer);
	free(layout->wish);
}

static int prepare(struct layout *layout)
{
	const struct map *map = layout->map;
	size_t n = map->n_nodes + 1;

	layout->first = calloc(n, sizeof(*layout->first));
	layout->callers = calloc(n, sizeof(*layout->callers));
	layout->visit = calloc(n, sizeof(*layout->visit));
	layout->next = calloc(n, sizeof(*layout->next));
	layout->path = calloc(n, sizeof(*layout->path));
	layout->finished = calloc(n, sizeof(*layout->finished));
	layout->back = calloc(map->n_edges + 1, sizeof(*layout->back));
	layout->order = calloc(n, sizeof(*layout->order));
	layout->layer = calloc(n + 2, sizeof(*layout->layer));
	layout->wish = calloc(n, sizeof(*layout->wish));
	if (!layout->first || !layout->callers || !layout->visit || !layout->next ||
	    !layout->path || !layout->finished || !layout->back || !layout->order ||
	    !layout->layer || !layout->wish)
		return -ENOMEM;
	for (size_t i = 0; i < map->n_edges; i++) {
		layout->first[map->edges[i].from + 1]++;
		layout->callers[map->edges[i].to]++;
	}
	for (size_t i = 0; i < map->n_nodes; i++)
		layout->first[i + 1] += layout->first[i];
	return 0;
}

/* ---- layers ------------------------------------------------------------------------ */

static void enter(struct layout *layout, uint32_t node, size_t *depth)
{
	layout->visit[node] = VISIT_OPEN;
	layout->next[node] = layout->first[node];
	layout->path[(*depth)++] = node;
}

/* In depth, without recursion: a chain may be as long as the map. */
static void walk(struct layout *layout, uint32_t start)
{
	size_t depth = 0;

	if (layout->visit[start] != VISIT_NONE)
		return;
	enter(layout, start, &depth);
	while (depth) {
		uint32_t node = layout->path[depth - 1], to;
		size_t edge = layout->next[node]++;

		if (edge == layout->first[node + 1]) {
			layout->visit[node] = VISIT_DONE;
			layout->finished[layout->n_finished++] = node;
			depth--;
			continue;
		}
		to = layout->map->edges[edge].to;
		layout->back[edge] = layout->visit[to] == VISIT_OPEN;
		if (layout->visit[to] == VISIT_NONE)
			enter(layout, to, &depth);
	}
}

/* A node lies behind all that call it. */
static void set_longest(struct layout *layout)
{
	struct map *map = layout->map;

	for (size_t i = 0; i < map->n_nodes; i++)
		map->nodes[i].layer = map->nodes[i].kind == MAP_SERVICE;
	for (size_t i = layout->n_finished; i-- > 0;) {
		uint32_t node = layout->finished[i];

		for (size_t e = layout->first[node]; e < layout->first[node + 1]; e++) {
			struct map_node *to = &map->nodes[map->edges[e].to];

			if (!layout->back[e] && to->layer <= map->nodes[node].layer)
				to->layer = map->nodes[node].layer + 1;
		}
	}
}

static void reach(struct layout *layout, uint32_t node, uint32_t layer, size_t *n)
{
	if (layout->visit[node] == VISIT_DONE)
		return;
	layout->visit[node] = VISIT_DONE;
	layout->map->nodes[node].layer = layer;
	layout->path[(*n)++] = node;
}

/* In breadth, all that can be reached from the first n of the path that were not looked at. */
static void spread(struct layout *layout, size_t *looked, size_t *n)
{
	for (; *looked < *n; ++*looked) {
		uint32_t node = layout->path[*looked];

		for (size_t e = layout->first[node]; e < layout->first[node + 1]; e++)
			reach(layout, layout->map->edges[e].to, layout->map->nodes[node].layer + 1,
			      n);
	}
}

/* Where nearly everybody calls everybody that would be one long row: then it is how many calls
 * lie between a node and the first callers. */
static void set_shortest(struct layout *layout)
{
	const struct map_node *nodes = layout->map->nodes;
	size_t looked = 0, n = 0;

	for (size_t i = 0; i < layout->n_finished; i++)
		layout->visit[i] = VISIT_NONE;
	for (size_t i = 0; i < layout->n_finished; i++)
		if (!layout->callers[i])
			reach(layout, i, nodes[i].kind == MAP_SERVICE, &n);
	spread(layout, &looked, &n);
	for (size_t i = layout->n_finished; i-- > 0;) {
		uint32_t node = layout->finished[i];

		reach(layout, node, nodes[node].kind == MAP_SERVICE, &n);
		spread(layout, &looked, &n);
	}
}

static uint32_t count_layers(const struct map *map)
{
	uint32_t n = 0;

	for (size_t i = 0; i < map->n_nodes; i++)
		if (n <= map->nodes[i].layer)
			n = map->nodes[i].layer + 1;
	return n;
}

/* One that nobody calls is a caller, or a lonely service. */
static void set_layers(struct layout *layout)
{
	struct map *map = layout->map;

	for (size_t i = 0; i < map->n_nodes; i++)
		if (!layout->callers[i])
			walk(layout, i);
	for (size_t i = 0; i < map->n_nodes; i++)
		walk(layout, i);
	set_longest(layout);
	if (count_layers(map) > LAYERS_MAX)
		set_shortest(layout);
	map->n_layers = count_layers(map);
}

/* ---- rows -------------------------------------------------------------------------- */

/* Counting sort by layer; within one by name, as the nodes are. */
static void set_first_rows(struct layout *layout)
{
	struct map *map = layout->map;

	for (size_t i = 0; i < map->n_nodes; i++)
		layout->layer[map->nodes[i].layer + 1]++;
	for (uint32_t l = 0; l < map->n_layers; l++) {
		if (map->n_rows < layout->layer[l + 1])
			map->n_rows = layout->layer[l + 1];
		layout->layer[l + 1] += layout->layer[l];
	}
	for (size_t i = 0; i < map->n_nodes; i++)
		layout->next[i] = 0; /* by layer, from here on: how many it has */
	for (size_t i = 0; i < map->n_nodes; i++) {
		struct map_node *node = &map->nodes[i];

		node->row = layout->next[node->layer]++;
		layout->order[layout->layer[node->layer] + node->row] = i;
	}
}

/* Layers are of different length, and drawn centred. */
static double height_of(const struct layout *layout, uint32_t number)
{
	const struct map_node *node = &layout->map->nodes[number];
	uint32_t rows = layout->layer[node->layer + 1] - layout->layer[node->layer];

	return node->row - rows / 2.0;
}

/* The mean of those who call it, or whom it calls. */
static void set_wishes(struct layout *layout, bool forth)
{
	struct map *map = layout->map;
	uint32_t *neighbours = layout->callers;

	for (size_t i = 0; i < map->n_nodes; i++) {
		layout->wish[i] = 0;
		neighbours[i] = 0;
	}
	for (size_t i = 0; i < map->n_edges; i++) {
		uint32_t from = map->edges[i].from, to = map->edges[i].to;

		layout->wish[forth ? to : from] += height_of(layout, forth ? from : to);
		neighbours[forth ? to : from]++;
	}
	for (size_t i = 0; i < map->n_nodes; i++)
		layout->wish[i] =
			neighbours[i] ? layout->wish[i] / neighbours[i] : height_of(layout, i);
}

static int compare_wishes(const void *a, const void *b, void *arg)
{
	const struct layout *layout = arg;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	if (layout->wish[x] != layout->wish[y])
		return layout->wish[x] < layout->wish[y] ? -1 : 1;
	return x < y ? -1 : x > y; /* by name: the outcome depends on nothing else */
}

static void set_rows(struct layout *layout)
{
	struct map *map = layout->map;

	set_first_rows(layout);
	for (int pass = 0; pass < PASSES; pass++) {
		set_wishes(layout, pass % 2 == 0);
		for (uint32_t l = 0; l < map->n_layers; l++) {
			uint32_t begin = layout->layer[l], n = layout->layer[l + 1] - begin;

			qsort_r(layout->order + begin, n, sizeof(*layout->order), compare_wishes,
				layout);
			for (uint32_t i = 0; i < n; i++)
				map->nodes[layout->order[begin + i]].row = i;
		}
	}
}

int map_layout(struct map *map)
{
	_cleanup_(layout_release) struct layout layout = { .map = map };

	if (prepare(&layout))
		return -ENOMEM;
	set_layers(&layout);
	set_rows(&layout);
	return 0;
}
