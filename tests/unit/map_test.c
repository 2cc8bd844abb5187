/* SPDX-License-Identifier: Apache-2.0 */
/* The map of services: what is on it, where it stands, how it is drawn; the page's snapshot of it. */
#include "export_fixture.h"

#include <stdlib.h>

#include "export/map.h"
#include "export/page.h"

/* Cgroups stand for callers: they need no policy set. */
struct map_fixture {
	struct fixture base;
	struct state_edge edges[16];
	char names[16][64];
};

static struct state_edge *add_edge(struct map_fixture *f, const char *cgroup, uint32_t service,
				   enum sst_role role)
{
	struct state *state = &f->base.state;
	struct state_edge *edge = &f->edges[state->n_edges];

	snprintf(f->names[state->n_edges], sizeof(f->names[0]), "%s", cgroup);
	*edge = (struct state_edge){
		.id = ++state->n_edges,
		.key = { .service = service, .role = role, .cgroup = state->n_edges, .port = 80 },
		.cgroup = f->names[state->n_edges - 1],
	};
	edge->total.opened = 1;
	state->edges = f->edges;
	return edge;
}

/* /a and /b call web, /b was denied once; web is answered for by /w, which calls dns. */
static void map_fixture_init(struct map_fixture *f)
{
	struct state_edge *edge;

	memset(f, 0, sizeof(*f));
	fixture_init(&f->base);
	edge = add_edge(f, "/b", 3, SST_ROLE_CLIENT);
	edge->total.denied = 1;
	edge->total.opened = 0;
	edge->key.denied = 1;
	edge = add_edge(f, "/a", 3, SST_ROLE_CLIENT);
	edge->total.opened = 5;
	edge->total.closed[SST_ENDING_ORDERLY] = 2;
	edge->total.closed[SST_ENDING_RESET_BY_SERVER] = 1;
	edge->total.failed[SST_FAILURE_REFUSED] = 4;
	edge->total.sent_bytes = 1000;
	edge->total.spliced_received_bytes = 3000;
	edge->time[SST_TIME_RTT].count[sst_bucket(100)] = 2;
	edge = add_edge(f, "/a", 3, SST_ROLE_CLIENT);
	edge->total.udp_sent_bytes = 24;
	edge = add_edge(f, "/w", 3, SST_ROLE_SERVER);
	edge->total.opened = 7;
	add_edge(f, "/w", 5, SST_ROLE_CLIENT);
}

static const struct map_node *node(const struct map *map, const char *name)
{
	for (size_t i = 0; i < map->n_nodes; i++)
		if (!strcmp(map->nodes[i].name, name))
			return &map->nodes[i];
	fail_msg("no node %s", name);
	return NULL;
}

static const struct map_edge *line(const struct map *map, const char *from, const char *to)
{
	for (size_t i = 0; i < map->n_edges; i++)
		if (!strcmp(map->nodes[map->edges[i].from].name, from) &&
		    !strcmp(map->nodes[map->edges[i].to].name, to))
			return &map->edges[i];
	return NULL;
}

static void test_lines(void **unused UNUSED)
{
	_cleanup_map_ struct map map = {};
	const struct map_edge *edge;
	struct map_fixture f;

	map_fixture_init(&f);
	assert_int_equal(map_build(&f.base.state, &map), 0);
	assert_int_equal(map.n_nodes, 6); /* a, b, w, unknown, web, dns */
	edge = line(&map, "/a", "web/http");
	assert_non_null(edge);
	assert_int_equal(edge->opened, 6);
	assert_int_equal(edge->active, 3);
	assert_int_equal(edge->failed, 4);
	assert_int_equal(edge->broken, 1);
	assert_int_equal(edge->denied, 0);
	assert_int_equal(edge->sent_bytes, 1024);
	assert_int_equal(edge->received_bytes, 3000);
	assert_int_equal(edge->spliced_bytes, 3000);
	assert_int_equal(line(&map, "/b", "web/http")->denied, 1);
	assert_int_equal(line(&map, "web/http", "/w")->opened, 7);
	assert_int_equal(line(&map, "/w", "dns/53")->opened, 1);
	assert_null(line(&map, "web/http", "unknown"));
	assert_int_equal(map.n_edges, 5);
}

static void test_layers(void **unused UNUSED)
{
	_cleanup_map_ struct map map = {};
	struct map_fixture f;

	map_fixture_init(&f);
	assert_int_equal(map_build(&f.base.state, &map), 0);
	assert_int_equal(node(&map, "/a")->layer, 0);
	assert_int_equal(node(&map, "/b")->layer, 0);
	assert_int_equal(node(&map, "web/http")->layer, 1);
	assert_int_equal(node(&map, "/w")->layer, 2);
	assert_int_equal(node(&map, "dns/53")->layer, 3);
	assert_int_equal(map.n_layers, 4);
	assert_int_equal(map.n_rows, 3);
}

static void test_circle(void **unused UNUSED)
{
	_cleanup_map_ struct map map = {};
	struct map_fixture f;

	map_fixture_init(&f);
	f.base.state.n_edges = 0;
	add_edge(&f, "/x", 3, SST_ROLE_CLIENT);
	add_edge(&f, "/y", 3, SST_ROLE_SERVER);
	add_edge(&f, "/y", 5, SST_ROLE_CLIENT);
	add_edge(&f, "/y", 5, SST_ROLE_SERVER); /* calls itself */
	add_edge(&f, "/x", 5, SST_ROLE_SERVER); /* and who has called it */
	assert_int_equal(map_build(&f.base.state, &map), 0);
	assert_int_equal(node(&map, "web/http")->layer, node(&map, "/x")->layer + 1);
	assert_int_equal(node(&map, "/y")->layer, node(&map, "web/http")->layer + 1);
	/* where nobody else begins it, it begins with who is called from outside */
	assert_int_equal(node(&map, "dns/53")->layer, 1);
}

/* No two at one place, no gaps. */
static void assert_places(const struct map *map)
{
	_cleanup_free_ char *taken = calloc((size_t)map->n_layers * map->n_rows + 1, 1);
	_cleanup_free_ uint32_t *rows = calloc(map->n_layers + 1, sizeof(*rows));

	for (size_t i = 0; i < map->n_nodes; i++) {
		const struct map_node *at = &map->nodes[i];

		assert_true(at->layer < map->n_layers && at->row < map->n_rows);
		assert_int_equal(taken[at->layer * map->n_rows + at->row]++, 0);
		rows[at->layer]++;
	}
	for (size_t i = 0; i < map->n_nodes; i++)
		assert_true(map->nodes[i].row < rows[map->nodes[i].layer]);
}

static void test_places(void **unused UNUSED)
{
	struct map_fixture f;

	for (unsigned seed = 0; seed < 200; seed++) {
		_cleanup_map_ struct map map = {};

		map_fixture_init(&f);
		f.base.state.n_edges = 0;
		srand(seed);
		for (int i = 0; i < 14; i++) {
			char name[8];

			snprintf(name, sizeof(name), "/%c", 'a' + rand() % 6);
			add_edge(&f, name, rand() % 2 ? 3 : 5,
				 rand() % 2 ? SST_ROLE_CLIENT : SST_ROLE_SERVER);
		}
		assert_int_equal(map_build(&f.base.state, &map), 0);
		assert_places(&map);
	}
}

static void reverse_edges(struct state *state)
{
	for (size_t i = 0, j = state->n_edges - 1; i < j; i++, j--) {
		struct state_edge edge = state->edges[i];

		state->edges[i] = state->edges[j];
		state->edges[j] = edge;
	}
}

/* In whichever order the kernel tells of edges. */
static void test_same_drawing(void **unused UNUSED)
{
	_cleanup_text_ struct text one = {}, other = {};
	_cleanup_map_ struct map map = {}, reversed = {};
	struct map_fixture f;

	map_fixture_init(&f);
	assert_int_equal(map_build(&f.base.state, &map), 0);
	assert_int_equal(map_to_svg(&map, &one), 0);
	reverse_edges(&f.base.state);
	assert_int_equal(map_build(&f.base.state, &reversed), 0);
	assert_int_equal(map_to_svg(&reversed, &other), 0);
	assert_string_equal(one.data, other.data);
}

static void test_dot(void **unused UNUSED)
{
	_cleanup_text_ struct text out = {};
	_cleanup_map_ struct map map = {};
	struct map_fixture f;

	map_fixture_init(&f);
	strcpy(f.names[1], "/a\"\\b");
	assert_int_equal(map_build(&f.base.state, &map), 0);
	assert_int_equal(map_to_dot(&map, &out), 0);
	assert_contains(&out, "n1 [shape=box, label=\"/a\\\"\\\\b\"];\n");
	assert_contains(&out, "[shape=box, style=rounded, label=\"web/http\"];\n");
	assert_contains(&out, "style=dotted, color=\"#a05a00:#a05a00\", "
			      "label=\"3.9KiB, 75% spliced, 5 failed\"];\n");
	assert_contains(&out, "style=dashed, color=\"#b3261e\", label=\"0B, 1 denied\"];\n");
}

/* Whatever a cgroup is called. */
static void test_svg(void **unused UNUSED)
{
	_cleanup_text_ struct text out = {};
	_cleanup_map_ struct map map = {};
	struct map_fixture f;

	map_fixture_init(&f);
	strcpy(f.names[1], "/<&\">\x01\xff\xc3\xa9");
	strcpy(f.names[2], "/a-path/that-is-much-too-long/for/its-box");
	assert_int_equal(map_build(&f.base.state, &map), 0);
	assert_int_equal(map_to_svg(&map, &out), 0);
	assert_contains(&out, "<title>party /&#60;&#38;&#34;&#62;??\xc3\xa9</title>");
	assert_contains(&out, ">\xe2\x80\xa6"
			      "ch-too-long/for/its-box<");

	assert_contains(&out, "stroke=\"#b3261e\" stroke-width=\"1.0\" stroke-dasharray=\"9 5\"");
	assert_contains(&out, "75% spliced");
	assert_string_equal(out.data + out.length - 7, "</svg>\n");
}

static void test_json(void **unused UNUSED)
{
	_cleanup_map_ struct map map = {};
	struct map_fixture f;
	json_t *json;

	map_fixture_init(&f);
	strcpy(f.names[1], "/\xff");
	assert_int_equal(map_build(&f.base.state, &map), 0);
	json = map_to_json(&map);
	assert_non_null(json);
	assert_int_equal(json_array_size(json_object_get(json, "nodes")), map.n_nodes);
	assert_int_equal(json_array_size(json_object_get(json, "edges")), map.n_edges);
	json_decref(json);
}

static void test_nothing(void **unused UNUSED)
{
	_cleanup_text_ struct text out = {};
	_cleanup_map_ struct map map = {};
	struct state none = {};

	assert_int_equal(map_build(&none, &map), 0);
	assert_int_equal(map_to_svg(&map, &out), 0);
	assert_int_equal(map_to_dot(&map, &out), 0);
	assert_contains(&out, "digraph sidestep {");
}

/* ---- the page's snapshot ---------------------------------------------------------------- */

static json_t *rows(json_t *snapshot, const char *table)
{
	return json_object_get(json_object_get(snapshot, table), "rows");
}

static void test_snapshot(void **unused UNUSED)
{
	_cleanup_free_ struct page_flows *flows = calloc(1, sizeof(*flows));
	struct sst_record record = { .flow = 77, .protocol = IPPROTO_TCP, .service = 3 };
	_cleanup_text_ struct text out = {};
	struct page_view view = { .flows = flows, .host = "a \"node\"\n", .time_ns = 5000000 };
	struct map_fixture f;
	json_t *json;

	map_fixture_init(&f);
	strcpy(f.names[1], "/\"\\\x02\xff");
	view.state = &f.base.state;
	page_add_flow(flows, &record);
	assert_int_equal(page_snapshot(&view, &out), 0);
	assert_null(strchr(out.data, '\n')); /* an event's data is one line */
	json = json_loads(out.data, 0, NULL);
	assert_non_null(json);
	assert_string_equal(json_string_value(json_object_get(json, "host")), "a \"node\"?");
	assert_int_equal(json_integer_value(json_object_get(json, "time_ms")), 5);
	assert_string_equal(
		json_string_value(json_array_get(json_array_get(rows(json, "nodes"), 0), 0)),
		"/\"\\??");
	assert_int_equal(json_array_size(rows(json, "nodes")), 7);
	assert_int_equal(json_array_size(rows(json, "edges")), 6);
	assert_int_equal(json_array_size(rows(json, "services")), 2);
	assert_int_equal(json_array_size(json_array_get(rows(json, "services"), 0)), 20);
	assert_int_equal(json_array_size(rows(json, "endpoints")), 3);
	assert_int_equal(json_array_size(json_array_get(rows(json, "endpoints"), 0)), 18);
	assert_int_equal(json_array_size(rows(json, "newest")), 1);
	assert_int_equal(json_array_size(rows(json, "rules")), 0);
	json_decref(json);
}

/* Of many flows the newest and the largest are kept, each connection once. */
static void test_flows_kept(void **unused UNUSED)
{
	_cleanup_free_ struct page_flows *flows = calloc(1, sizeof(*flows));
	unsigned n = 0;

	for (unsigned i = 0; i < 10000; i++) {
		/* both orders mixed, and unlike each other */
		struct sst_record record = { .flow = i + 1,
					     .opened_ns = i * 7919 % 10000,
					     .sent_bytes = i * 4801 % 10000 };

		page_add_flow(flows, &record);
		record.role = SST_ROLE_SERVER;
		record.peer_flow = i + 1;
		page_add_flow(flows, &record);
	}
	assert_int_equal(flows->n, 10000);
	assert_int_equal(flows->kept, PAGE_FLOWS_MAX);
	for (size_t i = 0; i < PAGE_FLOWS_MAX; i++)
		n += (flows->newest[i].opened_ns >= 10000 - PAGE_FLOWS_MAX) +
		     (flows->largest[i].sent_bytes >= 10000 - PAGE_FLOWS_MAX);
	assert_int_equal(n, 2 * PAGE_FLOWS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),        cmocka_unit_test(test_layers),
		cmocka_unit_test(test_circle),       cmocka_unit_test(test_places),
		cmocka_unit_test(test_same_drawing), cmocka_unit_test(test_dot),
		cmocka_unit_test(test_svg),          cmocka_unit_test(test_json),
		cmocka_unit_test(test_nothing),      cmocka_unit_test(test_snapshot),
		cmocka_unit_test(test_flows_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
