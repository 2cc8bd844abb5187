/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The YAML documents of a text, one after the other, as trees of typed values with a
 * place for each complaint. Nothing here knows what a document means: that is yaml.c.
 *
 * The readers do not return errors. A value that is not what it should be is
 * told in the tree's problems and the reader yields its fallback, so that one
 * pass finds all there is to find; the caller looks once, at the end, whether
 * there were problems or whether memory ran out. Every reader takes NULL for a
 * key that is absent, and then yields the fallback silently.
 */
#ifndef SIDESTEP_SOURCE_YAML_TREE_H
#define SIDESTEP_SOURCE_YAML_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <yaml.h>

#include "core/dictionary.h"
#include "core/problems.h"

struct tree {
	const char *source; /* the file's name, for messages */
	const char *file;   /* the same where there are several files: goes into each place */
	struct problems *problems;
	const char *text; /* what is parsed, the caller's */
	yaml_parser_t parser;
	yaml_document_t document;  /* made here: libyaml's own loader is slow and large */
	size_t room;               /* for nodes of it */
	struct dictionary anchors; /* of it: ids of nodes */
	unsigned n_anchors;        /* of all documents so far */
	uint64_t values;           /* likewise, with aliases followed */
	bool opened;               /* parser is to be deleted */
	bool loaded;               /* document is to be deleted */
	bool no_memory;            /* some reader ran out of it: what was read is incomplete */
	/*
	 * It is an object that an API server has, and no text: there are no places in it, and who
	 * wrote it is not there to mend it.
	 */
	bool stored;
	unsigned forgiven; /* problems that are none to who reads it */
};

/* Begins with a text; source, file and problems are set. Returns 0, -EINVAL or -ENOMEM. */
int tree_open(struct tree *tree, const char *text, size_t size);

/*
 * Goes on to the next document that has something in it; the one before is gone. Refuses
 * what no reader should have to think of: tags, duplicate keys, aliases into themselves,
 * aliases that multiply without bound. Returns 1 when the tree can be read (there may be
 * problems all the same), 0 at the end, -EINVAL with problems, or -ENOMEM.
 */
int tree_next(struct tree *tree);
void tree_release(struct tree *tree);
#define _cleanup_tree_ __attribute__((cleanup(tree_release)))

yaml_node_t *tree_root(struct tree *tree);

/* Ids of nodes are numbers from 1 on. */
static inline yaml_node_t *tree_node(const struct tree *tree, int id)
{
	return &tree->document.nodes.start[id - 1];
}

/* ---- complaints ---------------------------------------------------------------- */

struct place tree_place(const struct tree *tree, const yaml_node_t *node);

/* Problems so far: a part of the tree is sound when reading it added none. */
unsigned tree_problems(const struct tree *tree);

/*
 * Of a stored object: the problems since there were `before` do not count. They are told, and
 * what they are about is left out where that is safe. True: there were some.
 */
bool tree_forgive(struct tree *tree, unsigned before);

/* A scalar in quotes, shortened, and harmless to a terminal. Returns buf. */
#define TREE_QUOTE_MAX 46
const char *tree_quote(const yaml_node_t *node, char buf[TREE_QUOTE_MAX]);

#define tree_complain(tree, node, ...) \
	problems_add((tree)->problems, (tree)->source, tree_place(tree, node), __VA_ARGS__)

/* "found 'x', expected ..." */
void tree_expected(struct tree *tree, const yaml_node_t *node, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- mappings ------------------------------------------------------------------ */

/* An array of them ends with a NULL name. */
struct tree_key {
	const char *name;
	const char *refusal; /* set: the key is refused with this sentence */
};

/* Is this a mapping, and are its keys among these? what is "a service". */
bool tree_mapping(struct tree *tree, const yaml_node_t *node, const char *what,
		  const struct tree_key *keys);

/* The value of a key, NULL when it is absent or node is no mapping. */
yaml_node_t *tree_get(struct tree *tree, const yaml_node_t *node, const char *key);

/* The same, but complains when it is absent. */
yaml_node_t *tree_need(struct tree *tree, const yaml_node_t *node, const char *what,
		       const char *key);

/* For mappings with keys of the operator's choice: pair i of tree_pairs(). */
size_t tree_pairs(const yaml_node_t *node);
void tree_pair(struct tree *tree, const yaml_node_t *node, size_t i, yaml_node_t **ret_key,
	       yaml_node_t **ret_value);

/* Nothing behind the colon, or one of YAML's words for that. */
bool tree_is_null(const yaml_node_t *node);

/* ---- lists --------------------------------------------------------------------- */

/* Is this a list? what is "services". */
bool tree_list(struct tree *tree, const yaml_node_t *node, const char *what);

/* Anything but a list counts as a list of itself. */
size_t tree_count(const yaml_node_t *node);
yaml_node_t *tree_item(struct tree *tree, yaml_node_t *node, size_t i);

/* A zeroed array, NULL when n is 0 or memory is out. */
void *tree_array(struct tree *tree, size_t n, size_t size);

/* ---- scalars: quotes never change what a text means ------------------------------ */

/* The text, NULL for anything else. expected is "an address". */
const char *tree_text(struct tree *tree, const yaml_node_t *node, const char *expected);

/* A copy (the caller's) of a text of min to max characters A-Z a-z 0-9 . _ / -, or NULL. */
char *tree_name(struct tree *tree, const yaml_node_t *node, const char *what, size_t min,
		size_t max);

/* A copy of s, or NULL with no_memory set. */
char *tree_copy(struct tree *tree, const char *s);

/* what is "a port": "expected a port from 1 to 65535". max is below UINT64_MAX. */
uint64_t tree_number(struct tree *tree, const yaml_node_t *node, const char *what, uint64_t min,
		     uint64_t max, uint64_t fallback);

/* Seconds, or a number with one of the units s, m, h. */
uint32_t tree_duration(struct tree *tree, const yaml_node_t *node, uint32_t min, uint32_t max,
		       uint32_t fallback);

/* An array of them ends with a NULL text. */
struct tree_word {
	const char *text;
	int value;
};

int tree_word(struct tree *tree, const yaml_node_t *node, const struct tree_word *words,
	      int fallback);

bool tree_bool(struct tree *tree, const yaml_node_t *node, bool fallback);

#endif
