/* SPDX-License-Identifier: Apache-2.0 */
/* From text to a tree that is safe to walk: parsing, and the survey of the whole. */
#include "source/yaml_tree.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/array.h"
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
	dictionary_release(&tree->anchors);
	tree->room = 0;
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
 * It recurses as deep as the text is nested, which make_below() has bounded: an
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

static void tell_twice(struct survey *survey, const yaml_node_t *key, struct place first)
{
	char text[TREE_QUOTE_MAX];

	tree_complain(survey->tree, key, "key %s is given twice, first at line %u",
		      tree_quote(key, text), first.line);
}

static bool is_text(const yaml_node_t *key)
{
	return key->type == YAML_SCALAR_NODE;
}

static bool are_equal(const yaml_node_t *a, const yaml_node_t *b)
{
	return is_text(a) && is_text(b) && a->data.scalar.length == b->data.scalar.length &&
	       !memcmp(a->data.scalar.value, b->data.scalar.value, a->data.scalar.length);
}

/* Most mappings have so few keys that each is sooner laid beside those before it. */
#define FEW_KEYS 8

/* The first that is like number i; NULL: none. */
static const yaml_node_t *find_first(const struct tree *tree, const yaml_node_pair_t *pairs,
				     size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (are_equal(tree_node(tree, pairs[i].key), tree_node(tree, pairs[j].key)))
			return tree_node(tree, pairs[j].key);
	return NULL;
}

static void check_few(struct survey *survey, const yaml_node_pair_t *pairs, size_t i)
{
	const yaml_node_t *first = find_first(survey->tree, pairs, i);

	if (first)
		tell_twice(survey, tree_node(survey->tree, pairs[i].key),
			   tree_place(survey->tree, first));
}

static void check_many(struct survey *survey, const yaml_node_t *key, struct seen *seen)
{
	struct seen_first who = { tree_place(survey->tree, key) }, first;
	int r = seen_add(seen, key->data.scalar.value, key->data.scalar.length, who, &first);

	if (r == -EEXIST)
		tell_twice(survey, key, first.place);
	else if (r)
		survey->error = r;
}

static uint64_t visit_mapping(struct survey *survey, const yaml_node_t *node)
{
	const yaml_node_pair_t *pairs = node->data.mapping.pairs.start;
	_cleanup_seen_ struct seen seen = { 0 };
	size_t n = tree_pairs(node);
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		const yaml_node_t *key = tree_node(survey->tree, pairs[i].key);

		if (!is_text(key))
			tree_expected(survey->tree, key, "text as a key");
		else if (n <= FEW_KEYS)
			check_few(survey, pairs, i);
		else
			check_many(survey, key, &seen);
		sum += visit(survey, pairs[i].key);
		sum += visit(survey, pairs[i].value);
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
	const yaml_node_t *node = tree_node(survey->tree, id);
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

/* ---- nodes ------------------------------------------------------------------------
 *
 * Made of libyaml's events one by one, in one pass. Each function takes its event over and
 * returns the id of a node, or -errno.
 */

static int add_node(struct tree *tree, yaml_node_type_t type, const yaml_event_t *event)
{
	yaml_document_t *document = &tree->document;
	size_t n = document->nodes.top - document->nodes.start;

	if (n == INT_MAX ||
	    array_reserve((void **)&document->nodes.start, &tree->room, n, sizeof(yaml_node_t)))
		return -ENOMEM;
	document->nodes.top = document->nodes.start + n + 1;
	document->nodes.end = document->nodes.start + tree->room;
	*tree_node(tree, n + 1) = (yaml_node_t){
		.type = type,
		.start_mark = event->start_mark,
		.end_mark = event->end_mark,
	};
	return n + 1;
}

/* Out of the event, unless it stands for any. */
static yaml_char_t *take_tag(yaml_char_t **tag)
{
	return *tag && strcmp((const char *)*tag, "!") ? TAKE_PTR(*tag) : NULL;
}

static int complain_anchor(struct tree *tree, const yaml_event_t *event, int first)
{
	problems_add(tree->problems, tree->source, place_of(&event->start_mark),
		     "not valid YAML: second occurrence "
		     "(found duplicate anchor; first occurrence at line %zu)",
		     tree_node(tree, first)->start_mark.line + 1);
	return -EINVAL;
}

/* 0: there is none, or it is known now. */
static int add_anchor(struct tree *tree, const yaml_event_t *event, const yaml_char_t *anchor,
		      int id)
{
	uint32_t number = id;
	int r;

	if (!anchor)
		return 0;
	if (++tree->n_anchors > ANCHORS_MAX) {
		problems_add(tree->problems, tree->source, place_of(&event->start_mark),
			     "found more than %d anchors", ANCHORS_MAX);
		return -EINVAL;
	}
	r = dictionary_add(&tree->anchors, anchor, strlen((const char *)anchor), &number);
	return r == -EEXIST ? complain_anchor(tree, event, number) : r;
}

static int find_alias(struct tree *tree, const yaml_event_t *event)
{
	const char *anchor = (const char *)event->data.alias.anchor;
	uint32_t id;

	if (dictionary_find(&tree->anchors, anchor, strlen(anchor), &id))
		return id;
	problems_add(tree->problems, tree->source, place_of(&event->start_mark),
		     "not valid YAML: found undefined alias");
	return -EINVAL;
}

static int make_scalar(struct tree *tree, yaml_event_t *event)
{
	int id = add_node(tree, YAML_SCALAR_NODE, event);
	yaml_node_t *node = id < 0 ? NULL : tree_node(tree, id);

	if (!node)
		return id;
	node->tag = take_tag(&event->data.scalar.tag);
	node->data.scalar.value = TAKE_PTR(event->data.scalar.value);
	node->data.scalar.length = event->data.scalar.length;
	node->data.scalar.style = event->data.scalar.style;
	return add_anchor(tree, event, event->data.scalar.anchor, id) ?: id;
}

static int make_node(struct tree *tree, yaml_event_t *event, int depth);

/* What is next in a mapping or a list; 0: its end. */
static int make_next(struct tree *tree, int depth)
{
	_cleanup_(yaml_event_delete) yaml_event_t event = { 0 };

	if (!yaml_parser_parse(&tree->parser, &event))
		return complain_syntax(tree, &tree->parser);
	if (event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT)
		return 0;
	return make_node(tree, &event, depth);
}

/* Most are small, and there may be very many. */
static int grow(void **start, size_t n, size_t size)
{
	void *grown;

	if (n & (n - 1) || n == 1)
		return 0; /* there is room up to the next power of two */
	grown = reallocarray(*start, n ? 2 * n : 2, size);
	if (!grown)
		return -ENOMEM;
	*start = grown;
	return 0;
}

static int make_list(struct tree *tree, int id, int depth)
{
	size_t n = 0;
	int item, r;

	while ((item = make_next(tree, depth)) > 0) {
		yaml_node_t *node = tree_node(tree, id);
		yaml_node_item_t **items = &node->data.sequence.items.start;

		r = grow((void **)items, n, sizeof(**items));
		if (r)
			return r;
		(*items)[n++] = item;
		node->data.sequence.items.top = node->data.sequence.items.end = *items + n;
	}
	return item ?: id;
}

static int make_mapping(struct tree *tree, int id, int depth)
{
	size_t n = 0;
	int key, r;

	while ((key = make_next(tree, depth)) > 0) {
		int value = make_next(tree, depth);
		yaml_node_t *node = tree_node(tree, id);
		yaml_node_pair_t **pairs = &node->data.mapping.pairs.start;

		if (value < 0)
			return value;
		r = grow((void **)pairs, n, sizeof(**pairs));
		if (r)
			return r;
		(*pairs)[n++] = (yaml_node_pair_t){ key, value };
		node->data.mapping.pairs.top = node->data.mapping.pairs.end = *pairs + n;
	}
	return key ?: id;
}

static int complain_depth(struct tree *tree, const yaml_event_t *event)
{
	problems_add(tree->problems, tree->source, place_of(&event->start_mark),
		     "found a value nested deeper than %d levels", DEPTH_MAX);
	return -EINVAL;
}

/* A mapping or a list; both events are alike. */
static int make_below(struct tree *tree, yaml_event_t *event, int depth)
{
	bool is_list = event->type == YAML_SEQUENCE_START_EVENT;
	int id, r;

	if (depth == DEPTH_MAX)
		return complain_depth(tree, event);
	id = add_node(tree, is_list ? YAML_SEQUENCE_NODE : YAML_MAPPING_NODE, event);
	if (id < 0)
		return id;
	tree_node(tree, id)->tag = take_tag(is_list ? &event->data.sequence_start.tag
						    : &event->data.mapping_start.tag);
	r = add_anchor(
		tree, event,
		is_list ? event->data.sequence_start.anchor : event->data.mapping_start.anchor, id);
	if (r)
		return r;
	return is_list ? make_list(tree, id, depth + 1) : make_mapping(tree, id, depth + 1);
}

static int make_node(struct tree *tree, yaml_event_t *event, int depth)
{
	switch (event->type) {
	case YAML_ALIAS_EVENT:
		return find_alias(tree, event);
	case YAML_SCALAR_EVENT:
		return make_scalar(tree, event);
	default:
		return make_below(tree, event, depth);
	}
}

/* ---- documents -------------------------------------------------------------------- */

static int open_parser(yaml_parser_t *parser, const char *text, size_t size)
{
	if (!yaml_parser_initialize(parser))
		return -ENOMEM;
	yaml_parser_set_input_string(parser, (const unsigned char *)text, size);
	return 0;
}

/* 0: there is none. */
static int make_document(struct tree *tree)
{
	yaml_event_type_t type;
	int id = 0;

	do {
		_cleanup_(yaml_event_delete) yaml_event_t event = { 0 };

		if (!yaml_parser_parse(&tree->parser, &event))
			return complain_syntax(tree, &tree->parser);
		type = event.type;
		if (type == YAML_SCALAR_EVENT || type == YAML_ALIAS_EVENT ||
		    type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT)
			id = make_node(tree, &event, 0);
	} while (id >= 0 && type != YAML_DOCUMENT_END_EVENT && type != YAML_STREAM_END_EVENT &&
		 type != YAML_NO_EVENT);
	return id;
}

int tree_open(struct tree *tree, const char *text, size_t size)
{
	int r = open_parser(&tree->parser, text, size);

	tree->text = text;
	tree->opened = !r;
	return r;
}

int tree_next(struct tree *tree)
{
	int r;

	do {
		drop_document(tree);
		tree->document = (yaml_document_t){ 0 };
		tree->loaded = true;
		r = make_document(tree);
		if (r <= 0)
			return r;
	} while (tree_is_null(tree_root(tree)));
	r = survey_tree(tree);
	return r ? r : 1;
}
