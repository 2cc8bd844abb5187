/* SPDX-License-Identifier: Apache-2.0 */
/* From text to a tree that is safe to walk: parsing, and the survey of the whole. */
#include "source/yaml_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/seen.h"

/* The schema needs six; what lies deeper is a mistake or an attack on the stack. */
#define DEPTH_MAX  32
/* Values of a file with each alias counted as what it stands for. */
#define VALUES_MAX 10000000

struct place tree_place(const yaml_node_t *node)
{
	return (struct place){ node->start_mark.line + 1, node->start_mark.column + 1 };
}

unsigned tree_problems(const struct tree *tree)
{
	return tree->problems->count + tree->problems->more;
}

yaml_node_t *tree_root(struct tree *tree)
{
	return yaml_document_get_root_node(&tree->document);
}

void tree_release(struct tree *tree)
{
	if (tree->loaded)
		yaml_document_delete(&tree->document);
	tree->loaded = false;
}

/* ---- the survey ------------------------------------------------------------------
 *
 * Aliases make a graph of the tree: libyaml lets a node stand in several places,
 * even inside itself. The survey visits each node once, before any reader does.
 */

#define SURVEY_OPEN UINT32_MAX

struct survey {
	struct tree *tree;
	uint32_t *sizes; /* by node: values in it; 0: not visited, SURVEY_OPEN: being visited */
	unsigned depth;
	bool refused; /* reading the tree might not end */
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
		     (struct seen_first){ tree_place(key) }, &first);
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

/* Tells why the tree cannot be read; returns a size for what is not looked at. */
static uint32_t refuse(struct survey *survey, const yaml_node_t *node, const char *why)
{
	survey->refused = true;
	tree_complain(survey->tree, node, "found %s, expected at most %d levels", why, DEPTH_MAX);
	return 1;
}

/* Returns how many values the node holds, itself included; more than VALUES_MAX count as one more. */
static uint32_t visit(struct survey *survey, int id)
{
	yaml_node_t *node = yaml_document_get_node(&survey->tree->document, id);
	uint32_t *size = &survey->sizes[id - 1];
	uint64_t sum;

	if (*size == SURVEY_OPEN)
		return refuse(survey, node, "a value that holds an alias of itself");
	if (*size)
		return *size;
	if (survey->depth == DEPTH_MAX)
		return refuse(survey, node, "a value nested too deeply");
	*size = SURVEY_OPEN;
	survey->depth++;
	sum = 1 + visit_below(survey, node);
	survey->depth--;
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
	if (size > VALUES_MAX) {
		problems_add(tree->problems, tree->source, (struct place){ 0 },
			     "found more than %d values with aliases followed, "
			     "expected at most that many",
			     VALUES_MAX);
		return -EINVAL;
	}
	return survey.refused ? -EINVAL : 0;
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

static int complain_syntax(struct tree *tree, const yaml_parser_t *parser, const char *text)
{
	if (parser->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (parser->error == YAML_READER_ERROR)
		problems_add(tree->problems, tree->source, place_at(text, parser->problem_offset),
			     "not valid YAML: %s", parser->problem);
	else if (parser->context)
		problems_add(tree->problems, tree->source, place_of(&parser->problem_mark),
			     "not valid YAML: %s (%s at line %zu)", parser->problem,
			     parser->context, parser->context_mark.line + 1);
	else
		problems_add(tree->problems, tree->source, place_of(&parser->problem_mark),
			     "not valid YAML: %s", parser->problem);
	return -EINVAL;
}

/* Another document would go unread. */
static int expect_end(struct tree *tree, yaml_parser_t *parser, const char *text)
{
	yaml_document_t next;
	yaml_node_t *root;

	if (!yaml_parser_load(parser, &next))
		return complain_syntax(tree, parser, text);
	root = yaml_document_get_root_node(&next);
	if (root)
		tree_complain(tree, root, "found a second document, expected exactly one");
	yaml_document_delete(&next);
	return root ? -EINVAL : 0;
}

static int parse(struct tree *tree, yaml_parser_t *parser, const char *text)
{
	if (!yaml_parser_load(parser, &tree->document))
		return complain_syntax(tree, parser, text);
	tree->loaded = true;
	if (!tree_root(tree)) {
		problems_add(tree->problems, tree->source, (struct place){ 0 },
			     "found an empty file, expected a configuration");
		return -EINVAL;
	}
	return expect_end(tree, parser, text);
}

int tree_load(struct tree *tree, const char *text, size_t size)
{
	__attribute__((cleanup(yaml_parser_delete))) yaml_parser_t parser = { 0 };
	int r;

	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
	r = parse(tree, &parser, text);
	if (!r)
		r = survey_tree(tree);
	return r;
}
