/* SPDX-License-Identifier: Apache-2.0 */
/* The readers of yaml_tree.h: one typed value each, or a complaint. */
#include "source/yaml_tree.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/text.h"

static const char *scalar(const yaml_node_t *node)
{
	return (const char *)node->data.scalar.value;
}

/* ---- complaints ---------------------------------------------------------------- */

const char *tree_quote(const yaml_node_t *node, char buf[TREE_QUOTE_MAX])
{
	const char *s = scalar(node);
	size_t room = TREE_QUOTE_MAX - sizeof("''...");
	char *p = buf;

	*p++ = '\'';
	for (; *s && room; s++, room--)
		*p++ = *s >= ' ' && *s <= '~' ? *s : '?';
	strcpy(p, *s ? "...'" : "'");
	return buf;
}

bool tree_is_null(const yaml_node_t *node)
{
	static const char *const words[] = { "", "~", "null", "Null", "NULL" };

	if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (!strcmp(scalar(node), words[i]))
			return true;
	return false;
}

static const char *describe(const yaml_node_t *node, char *buf)
{
	switch (node->type) {
	case YAML_MAPPING_NODE:
		return "a mapping";
	case YAML_SEQUENCE_NODE:
		return "a list";
	default:
		return tree_is_null(node) ? "nothing" : tree_quote(node, buf);
	}
}

void tree_expected(struct tree *tree, const yaml_node_t *node, const char *format, ...)
{
	char found[TREE_QUOTE_MAX], expected[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(expected, sizeof(expected), format, ap);
	va_end(ap);
	tree_complain(tree, node, "found %s, expected %s", describe(node, found), expected);
}

/* ---- mappings ------------------------------------------------------------------ */

#define KEY_MAX 32

static char fold(char c)
{
	return tolower((unsigned char)c);
}

/* Letters to insert, delete or replace to make b of a (Levenshtein). Both below KEY_MAX. */
static size_t distance(const char *a, const char *b)
{
	size_t row[KEY_MAX + 1], n = strlen(b);

	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < n; j++) {
			size_t replaced = diagonal + (fold(a[i]) != fold(b[j]));
			size_t shorter = row[j] < row[j + 1] ? row[j] : row[j + 1];

			diagonal = row[j + 1];
			row[j + 1] = replaced <= shorter ? replaced : shorter + 1;
		}
	}
	return row[n];
}

/* The known key that was probably meant: at most two letters differ, and not most of them. */
static const char *nearest(const char *unknown, const struct tree_key *keys)
{
	size_t length = strlen(unknown), best = length < 4 ? length / 2 + 1 : 3;
	const char *ret = NULL;

	if (length >= KEY_MAX)
		return NULL;
	for (; keys->name; keys++) {
		/* names that a file gives its own ports may be longer */
		if (keys->refusal || strlen(keys->name) >= KEY_MAX ||
		    distance(unknown, keys->name) >= best)
			continue;
		best = distance(unknown, keys->name);
		ret = keys->name;
	}
	return ret;
}

static void complain_unknown(struct tree *tree, const yaml_node_t *key, const char *what,
			     const struct tree_key *keys)
{
	_cleanup_text_ struct text known = { 0 };
	const char *near = nearest(scalar(key), keys);
	char found[TREE_QUOTE_MAX];

	if (near) {
		tree_complain(tree, key, "unknown key %s in %s, did you mean '%s'?",
			      tree_quote(key, found), what, near);
		return;
	}
	for (; keys->name; keys++)
		if (!keys->refusal)
			text_add(&known, "%s%s", known.length ? ", " : "", keys->name);
	tree_complain(tree, key, "unknown key %s in %s, expected one of: %s",
		      tree_quote(key, found), what, text_string(&known));
}

static void check_key(struct tree *tree, const yaml_node_t *key, const char *what,
		      const struct tree_key *keys)
{
	/* The survey has told of keys that are no text. */
	if (key->type != YAML_SCALAR_NODE)
		return;
	for (const struct tree_key *known = keys; known->name; known++) {
		if (strcmp(scalar(key), known->name))
			continue;
		if (known->refusal)
			tree_complain(tree, key, "%s", known->refusal);
		return;
	}
	complain_unknown(tree, key, what, keys);
}

bool tree_mapping(struct tree *tree, const yaml_node_t *node, const char *what,
		  const struct tree_key *keys)
{
	if (!node)
		return false;
	if (node->type != YAML_MAPPING_NODE) {
		tree_expected(tree, node, "a mapping (%s)", what);
		return false;
	}
	for (size_t i = 0; i < tree_pairs(node); i++) {
		yaml_node_t *key, *value;

		tree_pair(tree, node, i, &key, &value);
		check_key(tree, key, what, keys);
	}
	return true;
}

yaml_node_t *tree_get(struct tree *tree, const yaml_node_t *node, const char *key)
{
	if (!node || node->type != YAML_MAPPING_NODE)
		return NULL;
	for (size_t i = 0; i < tree_pairs(node); i++) {
		yaml_node_t *name, *value;

		tree_pair(tree, node, i, &name, &value);
		if (name->type == YAML_SCALAR_NODE && !strcmp(scalar(name), key))
			return value;
	}
	return NULL;
}

yaml_node_t *tree_need(struct tree *tree, const yaml_node_t *node, const char *what,
		       const char *key)
{
	yaml_node_t *value = tree_get(tree, node, key);

	if (!value)
		tree_complain(tree, node, "found %s without '%s', expected that key", what, key);
	return value;
}

size_t tree_pairs(const yaml_node_t *node)
{
	return node->data.mapping.pairs.top - node->data.mapping.pairs.start;
}

void tree_pair(struct tree *tree, const yaml_node_t *node, size_t i, yaml_node_t **ret_key,
	       yaml_node_t **ret_value)
{
	const yaml_node_pair_t *pair = &node->data.mapping.pairs.start[i];

	*ret_key = tree_node(tree, pair->key);
	*ret_value = tree_node(tree, pair->value);
}

/* ---- lists --------------------------------------------------------------------- */

bool tree_list(struct tree *tree, const yaml_node_t *node, const char *what)
{
	if (!node)
		return false;
	if (node->type == YAML_SEQUENCE_NODE)
		return true;
	tree_expected(tree, node, "a list of %s", what);
	return false;
}

size_t tree_count(const yaml_node_t *node)
{
	if (!node)
		return 0;
	if (node->type != YAML_SEQUENCE_NODE)
		return 1;
	return node->data.sequence.items.top - node->data.sequence.items.start;
}

yaml_node_t *tree_item(struct tree *tree, yaml_node_t *node, size_t i)
{
	if (node->type != YAML_SEQUENCE_NODE)
		return node;
	return tree_node(tree, node->data.sequence.items.start[i]);
}

void *tree_array(struct tree *tree, size_t n, size_t size)
{
	void *array = n ? calloc(n, size) : NULL;

	if (n && !array)
		tree->no_memory = true;
	return array;
}

/* ---- scalars --------------------------------------------------------------------- */

const char *tree_text(struct tree *tree, const yaml_node_t *node, const char *expected)
{
	if (!node)
		return NULL;
	if (node->type == YAML_SCALAR_NODE && !tree_is_null(node))
		return scalar(node);
	tree_expected(tree, node, "%s", expected);
	return NULL;
}

char *tree_copy(struct tree *tree, const char *s)
{
	char *copy = strdup(s);

	if (!copy)
		tree->no_memory = true;
	return copy;
}

#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._/-"

char *tree_name(struct tree *tree, const yaml_node_t *node, const char *what, size_t min,
		size_t max)
{
	const char *text = tree_text(tree, node, what);
	size_t length = text ? strlen(text) : 0;

	if (!text)
		return NULL;
	if (length >= min && length <= max && !text[strspn(text, NAME_CHARACTERS)])
		return tree_copy(tree, text);
	tree_expected(tree, node, "%s (%zu to %zu characters of A-Z a-z 0-9 . _ / -)", what, min,
		      max);
	return NULL;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/*
 * Reads decimal digits and moves *s behind them; what does not fit is UINT64_MAX.
 * A leading zero is refused: YAML 1.1 would call it octal, people would not.
 */
static bool digits(const char **s, uint64_t *ret)
{
	const char *p = *s;
	uint64_t n = 0;

	if (!is_digit(*p) || (p[0] == '0' && is_digit(p[1])))
		return false;
	for (; is_digit(*p); p++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *p - '0', &n))
			n = UINT64_MAX;
	*s = p;
	*ret = n;
	return true;
}

uint64_t tree_number(struct tree *tree, const yaml_node_t *node, const char *what, uint64_t min,
		     uint64_t max, uint64_t fallback)
{
	const char *s = tree_text(tree, node, what);
	uint64_t n;

	if (!s)
		return fallback;
	if (digits(&s, &n) && !*s && n >= min && n <= max)
		return n;
	tree_expected(tree, node, "%s from %" PRIu64 " to %" PRIu64, what, min, max);
	return fallback;
}

/* The seconds in the unit at s, 0 when it is none. */
static unsigned unit_seconds(const char *s)
{
	static const struct tree_word units[] = {
		{ "", 1 }, { "s", 1 }, { "m", 60 }, { "h", 3600 }, { NULL },
	};

	for (const struct tree_word *unit = units; unit->text; unit++)
		if (!strcmp(s, unit->text))
			return unit->value;
	return 0;
}

uint32_t tree_duration(struct tree *tree, const yaml_node_t *node, uint32_t min, uint32_t max,
		       uint32_t fallback)
{
	const char *s = tree_text(tree, node, "a duration");
	uint64_t n;

	if (!s)
		return fallback;
	if (digits(&s, &n) && unit_seconds(s) && n <= max / unit_seconds(s) &&
	    n * unit_seconds(s) >= min)
		return n * unit_seconds(s);
	tree_expected(tree, node, "a duration from %u to %u seconds, like 90, 30s, 10m or 3h", min,
		      max);
	return fallback;
}

int tree_word(struct tree *tree, const yaml_node_t *node, const struct tree_word *words,
	      int fallback)
{
	_cleanup_text_ struct text known = { 0 };

	if (!node)
		return fallback;
	for (const struct tree_word *word = words; word->text; word++) {
		if (node->type == YAML_SCALAR_NODE && !strcmp(scalar(node), word->text))
			return word->value;
		text_add(&known, "%s%s",
			 word == words  ? ""
			 : word[1].text ? ", "
					: " or ",
			 word->text);
	}
	tree_expected(tree, node, "%s", text_string(&known));
	return fallback;
}

bool tree_bool(struct tree *tree, const yaml_node_t *node, bool fallback)
{
	static const struct tree_word words[] = { { "true", true }, { "false", false }, { NULL } };

	return tree_word(tree, node, words, fallback);
}
