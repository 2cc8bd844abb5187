/* SPDX-License-Identifier: Apache-2.0 */
/* From text to a tree that is safe to walk: parsing, and the survey of the whole. */
#include "source/yaml_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/seen.h"

/* Mappings and lists in one another. The schema needs a dozen. */
#define DEPTH_MAX   32
/* Places that aliases may refer to. */
#define ANCHORS_MAX 10000
/* Values of a file, with each alias counted as what it stands for. */
#define VALUES_MAX  10000000

struct place tree_place(const struct tree *tree, const yaml_node_t *node)
{
	if (tree->stored)
		return (struct place){ 0 };
	return (struct place){ node->start_mark.line + 1, node->start_mark.column + 1, tree->file };
}

unsigned tree_problems(const struct tree *tree)
{
	return tree->problems->count + tree->problems->more - tree->forgiven;
}

bool tree_forgive(struct tree *tree, unsigned before)
{
	unsigned n = tree_problems(tree) - before;

	if (tree->stored)
		tree->forgiven += n;
	return tree->stored && n;
}

yaml_node_t *tree_root(struct tree *tree)
{
	return yaml_document_get_root_node(&tree->document);
}

static void drop_document(struct tree *tree)
{
	if (tree->loaded)
		yaml_document_delete(&tree->document);
	tree->loaded = false;
}

void tree_release(struct tree *tree)
{
	drop_document(tree);
	if (tree->opened)
		yaml_parser_delete(&tree->parser);
	tree->opened = false;
}

/* ---- the survey ------------------------------------------------------------------
 *
 * Aliases make a graph of the tree: libyaml lets a node stand in several places,
 * even inside itself. The survey visits each node once, before any reader does.
 * It recurses as deep as the text is nested, which check_effort() has bounded: an
 * alias leads to a node that was visited before, or is being visited.
 */

#define SURVEY_OPEN UINT32_MAX

struct survey {
	struct tree *tree;
	uint32_t *sizes; /* by node: values in it; 0: not visited, SURVEY_OPEN: being visited */
	bool endless;    /* reading the tree might not end */
	int error;
};

static uint32_t visit(struct survey *survey, int id);

/* Explicit tags would ask for types that the readers do not look at. */
static void check_tag(struct survey *survey, const yaml_node_t *node)
{
	static const char *const plain[] = {
		[YAML_SCALAR_NODE] = YAML_DEFAULT_SCALAR_TAG,
		[YAML_SEQUENCE_NODE] = YAML_DEFAULT_SEQUENCE_TAG,
		[YAML_MAPPING_NODE] = YAML_DEFAULT_MAPPING_TAG,
	};

	if (node->tag && strcmp((const char *)node->tag, plain[node->type]))
		tree_complain(survey->tree, node, "found a tag, expected a value without");
}

static void check_scalar(struct survey *survey, const yaml_node_t *node)
{
	if (memchr(node->data.scalar.value, '\0', node->data.scalar.length))
		tree_complain(survey->tree, node, "found a NUL character, expected text");
}

static void check_key(struct survey *survey, const yaml_node_t *key, struct seen *seen)
{
	char text[TREE_QUOTE_MAX];
	struct seen_first first;
	int r;

	if (key->type != YAML_SCALAR_NODE) {
		tree_expected(survey->tree, key, "text as a key");
		return;
	}
	r = seen_add(seen, key->data.scalar.value, key->data.scalar.length,
		     (struct seen_first){ tree_place(survey->tree, key) }, &first);
	if (r == -EEXIST)
		tree_complain(survey->tree, key, "key %s is given twice, first at line %u",
			      tree_quote(key, text), first.place.line);
	else if (r)
		survey->error = r;
}

static uint64_t visit_mapping(struct survey *survey, const yaml_node_t *node)
{
	_cleanup_seen_ struct seen seen = { 0 };
	yaml_document_t *document = &survey->tree->document;
	uint64_t sum = 0;

	for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	     pair < node->data.mapping.pairs.top; pair++) {
		check_key(survey, yaml_document_get_node(document, pair->key), &seen);
		sum += visit(survey, pair->key);
		sum += visit(survey, pair->value);
	}
	return sum;
}

static uint64_t visit_list(struct survey *survey, const yaml_node_t *node)
{
	uint64_t sum = 0;

	for (yaml_node_item_t *item = node->data.sequence.items.start;
	     item < node->data.sequence.items.top; item++)
		sum += visit(survey, *item);
	return sum;
}

static uint64_t visit_below(struct survey *survey, const yaml_node_t *node)
{
	check_tag(survey, node);
	switch (node->type) {
	case YAML_MAPPING_NODE:
		return visit_mapping(survey, node);
	case YAML_SEQUENCE_NODE:
		return visit_list(survey, node);
	default:
		check_scalar(survey, node);
		return 0;
	}
}

/* Returns how many values the node holds, itself included; more than VALUES_MAX count as one more. */
static uint32_t visit(struct survey *survey, int id)
{
	yaml_node_t *node = yaml_document_get_node(&survey->tree->document, id);
	uint32_t *size = &survey->sizes[id - 1];
	uint64_t sum;

	if (*size == SURVEY_OPEN) {
		survey->endless = true;
		tree_complain(survey->tree, node, "found a value that holds an alias of itself");
		return 1;
	}
	if (*size)
		return *size;
	*size = SURVEY_OPEN;
	sum = 1 + visit_below(survey, node);
	*size = sum > VALUES_MAX ? VALUES_MAX + 1 : sum;
	return *size;
}

static int survey_tree(struct tree *tree)
{
	size_t n = tree->document.nodes.top - tree->document.nodes.start;
	_cleanup_free_ uint32_t *sizes = calloc(n, sizeof(*sizes));
	struct survey survey = { .tree = tree, .sizes = sizes };
	uint32_t size;

	if (!sizes)
		return -ENOMEM;
	size = visit(&survey, 1);
	if (survey.error)
		return survey.error;
	tree->values += size;
	if (tree->values > VALUES_MAX) {
		problems_add(tree->problems, tree->source, (struct place){ 0 },
			     "found more than %d values with aliases followed, "
			     "expected at most that many",
			     VALUES_MAX);
		return -EINVAL;
	}
	return survey.endless ? -EINVAL : 0;
}

/* ---- parsing --------------------------------------------------------------------- */

/* The reader of bytes knows an offset only. */
static struct place place_at(const char *text, size_t offset)
{
	struct place place = { 1, 1 };

	for (size_t i = 0; i < offset; i++) {
		place.column++;
		if (text[i] == '\n')
			place = (struct place){ place.line + 1, 1 };
	}
	return place;
}

static struct place place_of(const yaml_mark_t *mark)
{
	return (struct place){ mark->line + 1, mark->column + 1 };
}

static int complain_syntax(struct tree *tree, const yaml_parser_t *parser)
{
	if (parser->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (parser->error == YAML_READER_ERROR)
		problems_add(tree->problems, tree->source,
			     place_at(tree->text, parser->problem_offset), "not valid YAML: %s",
			     parser->problem);
	else if (parser->context)
		problems_add(tree->problems, tree->source, place_of(&parser->problem_mark),
			     "not valid YAML: %s (%s at line %zu)", parser->problem,
			     parser->context, parser->context_mark.line + 1);
	else
		problems_add(tree->problems, tree->source, place_of(&parser->problem_mark),
			     "not valid YAML: %s", parser->problem);
	return -EINVAL;
}

static int nesting(yaml_event_type_t type)
{
	switch (type) {
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		return 1;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return -1;
	default:
		return 0;
	}
}

static bool has_anchor(const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return event->data.scalar.anchor;
	case YAML_SEQUENCE_START_EVENT:
		return event->data.sequence_start.anchor;
	case YAML_MAPPING_START_EVENT:
		return event->data.mapping_start.anchor;
	default:
		return false;
	}
}

/*
 * Looks at the text event by event, as libyaml's loader takes time in the square of
 * the depth and of the anchors. What is no YAML is left to the loader, which tells.
 */
static int check_effort(struct tree *tree, yaml_parser_t *parser)
{
	int depth = 0, anchors = 0;
	struct place place = { 0 };
	yaml_event_t event;
	bool more = true;

	while (more && depth <= DEPTH_MAX && anchors <= ANCHORS_MAX &&
	       yaml_parser_parse(parser, &event)) {
		more = event.type != YAML_STREAM_END_EVENT;
		depth += nesting(event.type);
		anchors += has_anchor(&event);
		place = place_of(&event.start_mark);
		yaml_event_delete(&event);
	}
	if (depth <= DEPTH_MAX && anchors <= ANCHORS_MAX)
		return 0;
	if (depth > DEPTH_MAX)
		problems_add(tree->problems, tree->source, place,
			     "found a value nested deeper than %d levels", DEPTH_MAX);
	else
		problems_add(tree->problems, tree->source, place, "found more than %d anchors",
			     ANCHORS_MAX);
	return -EINVAL;
}

static int open_parser(yaml_parser_t *parser, const char *text, size_t size)
{
	if (!yaml_parser_initialize(parser))
		return -ENOMEM;
	yaml_parser_set_input_string(parser, (const unsigned char *)text, size);
	return 0;
}

static int check_text(struct tree *tree, const char *text, size_t size)
{
	__attribute__((cleanup(yaml_parser_delete))) yaml_parser_t parser = { 0 };
	int r = open_parser(&parser, text, size);

	return r ? r : check_effort(tree, &parser);
}

int tree_open(struct tree *tree, const char *text, size_t size)
{
	int r;

	tree->text = text;
	r = check_text(tree, text, size);
	if (!r)
		r = open_parser(&tree->parser, text, size);
	tree->opened = !r;
	return r;
}

int tree_next(struct tree *tree)
{
	int r;

	do {
		drop_document(tree);
		if (!yaml_parser_load(&tree->parser, &tree->document))
			return complain_syntax(tree, &tree->parser);
		tree->loaded = true;
		if (!tree_root(tree))
			return 0;
	} while (tree_is_null(tree_root(tree)));
	r = survey_tree(tree);
	return r ? r : 1;
}
