/* SPDX-License-Identifier: Apache-2.0 */
#include "export/map.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/array.h"
#include "core/cleanup.h"
#include "core/dictionary.h"
#include "export/edge.h"
#include "export/format.h"
#include "export/json.h"
#include "export/map_layout.h"
#include "model/edge.h"

/* ---- building ----------------------------------------------------------------------- */

struct builder {
	const struct state *state;
	struct map map;
	struct dictionary nodes, edges; /* their numbers, by what makes them one */
	size_t nodes_room, edges_room;
};

static void builder_release(struct builder *builder)
{
	map_release(&builder->map);
	dictionary_release(&builder->nodes);
	dictionary_release(&builder->edges);
}

void map_release(struct map *map)
{
	for (size_t i = 0; i < map->n_nodes; i++)
		free(map->nodes[i].name);
	free(map->nodes);
	free(map->edges);
	memset(map, 0, sizeof(*map));
}

static int append_node(struct builder *builder, enum map_kind kind, const char *name)
{
	struct map *map = &builder->map;
	struct text clean = {}; /* a cgroup may be called anything */

	if (array_reserve((void **)&map->nodes, &builder->nodes_room, map->n_nodes,
			  sizeof(*map->nodes)))
		return -ENOMEM;
	text_add_clean(&clean, name);
	text_add(&clean, "%s", "");
	if (clean.error) {
		text_release(&clean);
		return -ENOMEM;
	}
	map->nodes[map->n_nodes++] = (struct map_node){ .kind = kind, .name = clean.data };
	return 0;
}

/* Takes the name over. */
static int add_node(struct builder *builder, enum map_kind kind, struct text *name, uint32_t *ret)
{
	_cleanup_text_ struct text key = {};
	uint32_t number = builder->map.n_nodes;
	int err;

	text_add(&key, "%c%s", kind == MAP_SERVICE ? 's' : 'p', text_string(name));
	err = name->error ?: key.error;
	if (!err)
		err = dictionary_add(&builder->nodes, key.data, key.length, &number);
	if (!err)
		err = append_node(builder, kind, text_string(name));
	text_release(name);
	if (err && err != -EEXIST)
		return err;
	*ret = number;
	return 0;
}

static void add_figures(struct map_edge *to, const struct state_edge *edge)
{
	const struct sst_edge *total = &edge->total;

	to->opened += total->opened;
	to->active += edge_active(total);
	to->failed += edge_failed(total);
	to->broken += edge_closed(total) - total->closed[SST_ENDING_ORDERLY];
	to->denied += total->denied;
	to->sent_bytes += edge_sent_bytes(total);
	to->received_bytes += edge_received_bytes(total);
	to->spliced_bytes += total->spliced_sent_bytes + total->spliced_received_bytes;
	histogram_add(&to->rtt, &edge->time[SST_TIME_RTT]);
}

static int add_line(struct builder *builder, uint32_t from, uint32_t to,
		    const struct state_edge *edge)
{
	const uint32_t key[] = { from, to };
	struct map *map = &builder->map;
	uint32_t number = map->n_edges;
	int err = dictionary_add(&builder->edges, key, sizeof(key), &number);

	if (err && err != -EEXIST)
		return err;
	if (!err) {
		if (array_reserve((void **)&map->edges, &builder->edges_room, map->n_edges,
				  sizeof(*map->edges)))
			return -ENOMEM;
		map->edges[map->n_edges++] = (struct map_edge){ .from = from, .to = to };
	}
	add_figures(&map->edges[number], edge);
	return 0;
}

/* Who answers, where anything tells; a call that was denied ends at the service. */
static bool has_destination(const struct sst_edge_key *key)
{
	return !key->denied && (key->destination_workload || key->destination_identity ||
				(key->role == SST_ROLE_SERVER && key->cgroup));
}

static int add_edge(struct builder *builder, const struct state_edge *edge)
{
	const struct state *state = builder->state;
	struct text source = {}, service = {}, destination = {};
	uint32_t from, to;
	int err;

	edge_source(state, edge, &source);
	err = add_node(builder, MAP_PARTY, &source, &from);
	if (!err && edge->key.service) {
		edge_service(state, edge, &service);
		err = add_node(builder, MAP_SERVICE, &service, &to);
		if (!err)
			err = add_line(builder, from, to, edge);
		from = to;
		if (err || !has_destination(&edge->key))
			return err;
	}
	if (err)
		return err;
	edge_destination(state, edge, &destination);
	err = add_node(builder, MAP_PARTY, &destination, &to);
	return err ?: add_line(builder, from, to, edge);
}

static int add_service(struct builder *builder, const struct state_service *service)
{
	char label[SERVICE_LABEL_MAX];
	struct text name = {};
	uint32_t number;

	text_add(&name, "%s", format_service(&service->info, label));
	return add_node(builder, MAP_SERVICE, &name, &number);
}

/* ---- order: the same map makes the same drawing --------------------------------------- */

static int compare_nodes(const void *a, const void *b, void *arg)
{
	const struct map *map = arg;
	const struct map_node *x = &map->nodes[*(const uint32_t *)a];
	const struct map_node *y = &map->nodes[*(const uint32_t *)b];

	return x->kind != y->kind ? (int)x->kind - (int)y->kind : strcmp(x->name, y->name);
}

static int compare_edges(const void *a, const void *b)
{
	const struct map_edge *x = a, *y = b;

	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	return x->to < y->to ? -1 : x->to > y->to;
}

static int sort(struct map *map)
{
	_cleanup_free_ struct map_node *nodes = calloc(map->n_nodes + 1, sizeof(*nodes));
	_cleanup_free_ uint32_t *order = calloc(map->n_nodes + 1, sizeof(*order));
	_cleanup_free_ uint32_t *place = calloc(map->n_nodes + 1, sizeof(*place));

	if (!nodes || !order || !place)
		return -ENOMEM;
	for (size_t i = 0; i < map->n_nodes; i++)
		order[i] = i;
	qsort_r(order, map->n_nodes, sizeof(*order), compare_nodes, map);
	for (size_t i = 0; i < map->n_nodes; i++) {
		nodes[i] = map->nodes[order[i]];
		place[order[i]] = i;
	}
	free(map->nodes);
	map->nodes = TAKE_PTR(nodes);
	for (size_t i = 0; i < map->n_edges; i++) {
		map->edges[i].from = place[map->edges[i].from];
		map->edges[i].to = place[map->edges[i].to];
	}
	if (map->n_edges)
		qsort(map->edges, map->n_edges, sizeof(*map->edges), compare_edges);
	return 0;
}

int map_build(const struct state *state, struct map *ret)
{
	_cleanup_(builder_release) struct builder builder = { .state = state };
	int err = 0;

	for (size_t i = 0; i < state->n_services && !err; i++)
		err = add_service(&builder, &state->services[i]);
	for (size_t i = 0; i < state->n_edges && !err; i++)
		err = add_edge(&builder, &state->edges[i]);
	if (!err)
		err = sort(&builder.map);
	if (!err)
		err = map_layout(&builder.map);
	if (err)
		return err;
	*ret = builder.map;
	builder.map = (struct map){};
	return 0;
}

/* ---- JSON ----------------------------------------------------------------------------- */

static json_t *node_to_json(const struct map_node *node)
{
	json_t *object = json_object();

	json_set(&object, "kind", json_string(node->kind == MAP_SERVICE ? "service" : "party"));
	json_set(&object, "name", json_string(node->name));
	json_set(&object, "layer", json_integer(node->layer));
	json_set(&object, "row", json_integer(node->row));
	return object;
}

static json_t *line_to_json(const struct map_edge *edge)
{
	json_t *object = json_object();

	json_set(&object, "from", json_integer(edge->from));
	json_set(&object, "to", json_integer(edge->to));
	json_set(&object, "opened", json_integer(edge->opened));
	json_set(&object, "active", json_integer(edge->active));
	json_set(&object, "failed", json_integer(edge->failed));
	json_set(&object, "broken", json_integer(edge->broken));
	json_set(&object, "denied", json_integer(edge->denied));
	json_set(&object, "sent_bytes", json_integer(edge->sent_bytes));
	json_set(&object, "received_bytes", json_integer(edge->received_bytes));
	json_set(&object, "spliced_bytes", json_integer(edge->spliced_bytes));
	json_set(&object, "rtt_p50_us", json_real(histogram_quantile(&edge->rtt, 0.5)));
	json_set(&object, "rtt_p99_us", json_real(histogram_quantile(&edge->rtt, 0.99)));
	return object;
}

json_t *map_to_json(const struct map *map)
{
	json_t *object = json_object(), *nodes = json_array(), *edges = json_array();

	for (size_t i = 0; i < map->n_nodes; i++)
		json_add(&nodes, node_to_json(&map->nodes[i]));
	for (size_t i = 0; i < map->n_edges; i++)
		json_add(&edges, line_to_json(&map->edges[i]));
	json_set(&object, "nodes", nodes);
	json_set(&object, "edges", edges);
	return object;
}
