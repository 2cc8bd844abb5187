/* SPDX-License-Identifier: Apache-2.0 */
/* A map for documents: an SVG of our own, or Graphviz' language. */
#include <inttypes.h>
#include <string.h>

#include "core/cleanup.h"
#include "export/format.h"
#include "export/map.h"
#include "model/edge.h"

/* Of the drawing, in pixels. */
#define LEFT         20
#define TOP          50 /* room for lines that bow */
#define NODE_WIDTH   190
#define NODE_HEIGHT  26
#define COLUMN       350 /* from one layer to the next */
#define ROW          44
#define LEGEND       60
#define NAME_MAX_SVG 24 /* characters that fit into a node */

/* With more lines than this, figures stand in their titles only: they would cover each other. */
#define LABELS_MAX 40

/* What a line looks like; colour is never the only sign of it. */
enum look {
	LOOK_PLAIN,
	LOOK_FAILING, /* dots */
	LOOK_DENIED,  /* dashes */
};

static const struct {
	const char *colour;
	const char *dashes; /* of SVG; NULL: none */
	const char *style;  /* of Graphviz */
} looks[] = {
	[LOOK_PLAIN] = { "#4a6785", NULL, "solid" },
	[LOOK_FAILING] = { "#a05a00", "2 4", "dotted" },
	[LOOK_DENIED] = { "#b3261e", "9 5", "dashed" },
};

static enum look look_of(const struct map_edge *edge)
{
	if (edge->denied)
		return LOOK_DENIED;
	return edge->failed || edge->broken ? LOOK_FAILING : LOOK_PLAIN;
}

static uint64_t bytes_of(const struct map_edge *edge)
{
	return edge->sent_bytes + edge->received_bytes;
}

/* A pixel for little, and one more for every 16 times as much: in tenths, 10 to 80. */
static unsigned width_of(const struct map_edge *edge)
{
	unsigned tenths = 10;

	for (uint64_t rest = bytes_of(edge) >> 10; rest; rest >>= 1)
		tenths += 3;
	return tenths < 80 ? tenths : 80;
}

static void add_label(const struct map_edge *edge, struct text *out)
{
	uint64_t bytes = bytes_of(edge);
	char size[FORMAT_MAX];

	text_add(out, "%s", format_size(bytes, size));
	if (edge->spliced_bytes)
		text_add(out, ", %" PRIu64 "%% spliced",
			 (uint64_t)(100.0 * edge->spliced_bytes / bytes));
	if (edge->failed + edge->broken)
		text_add(out, ", %" PRIu64 " failed", edge->failed + edge->broken);
	if (edge->denied)
		text_add(out, ", %" PRIu64 " denied", edge->denied);
}

static void add_long_label(const struct map *map, const struct map_edge *edge, struct text *out)
{
	text_add(out, "%s to %s: %" PRIu64 " connections, ", map->nodes[edge->from].name,
		 map->nodes[edge->to].name, edge->opened);
	add_label(edge, out);
	if (histogram_count(&edge->rtt))
		text_add(out, ", RTT %.0f us", histogram_quantile(&edge->rtt, 0.5));
}

/* ---- Graphviz ---------------------------------------------------------------------- */

static void add_dot_string(const char *string, struct text *out)
{
	text_add(out, "\"");
	for (; *string; string++)
		text_add(out, "%s%c", *string == '"' || *string == '\\' ? "\\" : "", *string);
	text_add(out, "\"");
}

static void add_dot_edge(const struct map_edge *edge, struct text *out)
{
	enum look look = look_of(edge);
	unsigned width = width_of(edge);

	/* a colour list draws lines beside each other: two of them stand for the splice */
	text_add(out, "\tn%u -> n%u [penwidth=%u.%u, style=%s, color=\"%s%s%s\", label=\"",
		 edge->from, edge->to, width / 10, width % 10, looks[look].style,
		 looks[look].colour, edge->spliced_bytes ? ":" : "",
		 edge->spliced_bytes ? looks[look].colour : "");
	add_label(edge, out);
	text_add(out, "\"];\n");
}

int map_to_dot(const struct map *map, struct text *out)
{
	text_add(out, "digraph sidestep {\n\trankdir=LR;\n\tnode [fontname=\"sans-serif\"];\n"
		      "\tedge [fontname=\"sans-serif\", fontsize=10];\n");
	for (size_t i = 0; i < map->n_nodes; i++) {
		text_add(out, "\tn%zu [shape=%s, label=", i,
			 map->nodes[i].kind == MAP_SERVICE ? "box, style=rounded" : "box");
		add_dot_string(map->nodes[i].name, out);
		text_add(out, "];\n");
	}
	for (size_t i = 0; i < map->n_edges; i++)
		add_dot_edge(&map->edges[i], out);
	text_add(out, "}\n");
	return out->error;
}

/* ---- SVG --------------------------------------------------------------------------- */

struct drawing {
	const struct map *map;
	struct text *out;
	uint32_t *rows; /* by layer */
};

static void add_xml(const char *string, struct text *out)
{
	for (; *string; string++) {
		if (strchr("<>&\"", *string))
			text_add(out, "&#%d;", *string);
		else
			text_add_bytes(out, string, 1);
	}
}

static size_t count_characters(const char *string)
{
	size_t n = 0;

	for (; *string; string += text_character(string))
		n++;
	return n;
}

/* Its first characters, or of a cgroup's path the last ones, which tell more. */
static void add_short_name(const char *name, struct text *out)
{
	size_t n = count_characters(name);
	_cleanup_text_ struct text kept = {};

	if (n <= NAME_MAX_SVG) {
		add_xml(name, out);
		return;
	}
	if (*name == '/') {
		for (size_t left = n; left >= NAME_MAX_SVG; left--)
			name += text_character(name);
		text_add(out, "…");
		add_xml(name, out);
		return;
	}
	for (size_t i = 0; i < NAME_MAX_SVG - 1; i++, name += text_character(name))
		text_add_bytes(&kept, name, text_character(name));
	add_xml(text_string(&kept), out);
	text_add(out, "…");
}

static unsigned left_of(const struct map_node *node)
{
	return LEFT + node->layer * COLUMN;
}

/* Layers are centred. */
static unsigned middle_of(const struct drawing *drawing, const struct map_node *node)
{
	unsigned missing = drawing->map->n_rows - drawing->rows[node->layer];

	return TOP + node->row * ROW + missing * ROW / 2 + NODE_HEIGHT / 2;
}

/* A line that leads over other layers bows to the nearer rim, one that leads back goes below. */
static int bow_of(const struct drawing *drawing, const struct map_edge *edge)
{
	const struct map_node *from = &drawing->map->nodes[edge->from];
	const struct map_node *to = &drawing->map->nodes[edge->to];
	int over = (int)to->layer - (int)from->layer - 1;
	unsigned middle = TOP + (drawing->map->n_rows - 1) * ROW / 2 + NODE_HEIGHT / 2;

	if (over < 0)
		return ROW / 2;
	over = over < 3 ? over : 3;
	return middle_of(drawing, from) + middle_of(drawing, to) < 2 * middle ? -over * ROW / 2
									      : over * ROW / 2;
}

/* From the right side of one to the left of the other, whichever way that leads. */
static void add_path(const struct drawing *drawing, const struct map_edge *edge)
{
	const struct map_node *from = &drawing->map->nodes[edge->from];
	const struct map_node *to = &drawing->map->nodes[edge->to];
	int x1 = left_of(from) + NODE_WIDTH, y1 = middle_of(drawing, from);
	int x2 = left_of(to), y2 = middle_of(drawing, to);
	int bend = x2 > x1 ? (x2 - x1) / 2 : COLUMN / 2;
	int bow = bow_of(drawing, edge);

	text_add(drawing->out, "M%d %dC%d %d %d %d %d %d", x1, y1, x1 + bend, y1 + bow, x2 - bend,
		 y2 + bow, x2, y2);
}

static void add_edge_text(const struct drawing *drawing, const struct map_edge *edge)
{
	const struct map_node *from = &drawing->map->nodes[edge->from];
	const struct map_node *to = &drawing->map->nodes[edge->to];
	int x = (left_of(from) + NODE_WIDTH + left_of(to)) / 2;
	int y = ((int)middle_of(drawing, from) + (int)middle_of(drawing, to)) / 2;

	y += 3 * bow_of(drawing, edge) / 4 - 5;
	text_add(drawing->out, "<text class=\"figure\" x=\"%d\" y=\"%d\">", x, y);
	add_label(edge, drawing->out);
	text_add(drawing->out, "</text>\n");
}

static void add_line(const struct drawing *drawing, const struct map_edge *edge)
{
	enum look look = look_of(edge);
	unsigned width = width_of(edge) + (edge->spliced_bytes ? 20 : 0);
	_cleanup_text_ struct text title = {};

	add_long_label(drawing->map, edge, &title);
	text_add(drawing->out, "<g><title>");
	add_xml(text_string(&title), drawing->out);
	text_add(drawing->out, "</title><path d=\"");
	add_path(drawing, edge);
	text_add(drawing->out,
		 "\" stroke=\"%s\" stroke-width=\"%u.%u\"%s%s%s marker-end=\"url(#to)\"/>",
		 looks[look].colour, width / 10, width % 10,
		 looks[look].dashes ? " stroke-dasharray=\"" : "", looks[look].dashes ?: "",
		 looks[look].dashes ? "\"" : "");
	if (edge->spliced_bytes) {
		text_add(drawing->out, "<path d=\"");
		add_path(drawing, edge);
		text_add(drawing->out, "\" stroke=\"#fff\" stroke-width=\"1.4\"/>");
	}
	text_add(drawing->out, "</g>\n");
	if (drawing->map->n_edges <= LABELS_MAX)
		add_edge_text(drawing, edge);
}

static void add_node(const struct drawing *drawing, const struct map_node *node)
{
	bool is_service = node->kind == MAP_SERVICE;
	unsigned x = left_of(node), y = middle_of(drawing, node);

	text_add(drawing->out, "<g><title>%s ", is_service ? "service" : "party");
	add_xml(node->name, drawing->out);
	text_add(drawing->out,
		 "</title><rect class=\"%s\" x=\"%u\" y=\"%u\" width=\"%d\" height=\"%d\" "
		 "rx=\"%d\"/><text x=\"%u\" y=\"%u\">",
		 is_service ? "service" : "party", x, y - NODE_HEIGHT / 2, NODE_WIDTH, NODE_HEIGHT,
		 is_service ? NODE_HEIGHT / 2 : 3, x + 12, y + 4);
	add_short_name(node->name, drawing->out);
	text_add(drawing->out, "</text></g>\n");
}

static void add_legend(const struct drawing *drawing, unsigned y)
{
	static const char *const words[] = { "carries traffic", "failed or broken", "denied" };
	unsigned x = LEFT;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++, x += 170) {
		text_add(drawing->out, "<path d=\"M%u %uh30\" stroke=\"%s\" stroke-width=\"3\"", x,
			 y, looks[i].colour);
		if (looks[i].dashes)
			text_add(drawing->out, " stroke-dasharray=\"%s\"", looks[i].dashes);
		text_add(drawing->out, "/><text x=\"%u\" y=\"%u\">%s</text>\n", x + 38, y + 4,
			 words[i]);
	}
	text_add(drawing->out,
		 "<path d=\"M%u %uh30\" stroke=\"%s\" stroke-width=\"5\"/>"
		 "<path d=\"M%u %uh30\" stroke=\"#fff\" stroke-width=\"1.4\"/>"
		 "<text x=\"%u\" y=\"%u\">spliced; round: a service</text>\n",
		 x, y, looks[LOOK_PLAIN].colour, x, y, x + 38, y + 4);
}

static void add_head(const struct drawing *drawing, unsigned width, unsigned height)
{
	text_add(
		drawing->out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" aria-label=\"Map of "
		"services: %zu nodes, %zu lines\" width=\"%u\" height=\"%u\" viewBox=\"0 0 %u %u\">\n"
		"<style>text{font:13px sans-serif;fill:#1d2733}path{fill:none}"
		".figure{font-size:11px;text-anchor:middle;paint-order:stroke;stroke:#fff;"
		"stroke-width:3px}rect{stroke:#4a6785}.service{fill:#e3edf7}.party{fill:#f6f3e8}"
		"</style>\n"
		"<marker id=\"to\" markerUnits=\"userSpaceOnUse\" markerWidth=\"10\" "
		"markerHeight=\"10\" refX=\"9\" refY=\"5\" orient=\"auto\">"
		"<path d=\"M0 0L10 5L0 10z\" style=\"fill:#4a6785\"/></marker>\n"
		"<rect width=\"%u\" height=\"%u\" style=\"fill:#fff;stroke:none\"/>\n",
		drawing->map->n_nodes, drawing->map->n_edges, width, height, width, height, width,
		height);
}

int map_to_svg(const struct map *map, struct text *out)
{
	_cleanup_free_ uint32_t *rows = calloc(map->n_layers + 1, sizeof(*rows));
	const struct drawing drawing = { map, out, rows };
	unsigned layers = map->n_layers ?: 1, height = 2 * TOP + map->n_rows * ROW;
	unsigned width = 2 * LEFT + (layers - 1) * COLUMN + NODE_WIDTH;

	if (!rows)
		return -ENOMEM;
	for (size_t i = 0; i < map->n_nodes; i++)
		rows[map->nodes[i].layer]++;
	add_head(&drawing, width < 720 ? 720 : width, height + LEGEND);
	for (size_t i = 0; i < map->n_edges; i++)
		add_line(&drawing, &map->edges[i]);
	for (size_t i = 0; i < map->n_nodes; i++)
		add_node(&drawing, &map->nodes[i]);
	add_legend(&drawing, height + LEGEND / 2);
	text_add(out, "</svg>\n");
	return out->error;
}
