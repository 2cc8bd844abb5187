/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/json_tree.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Mappings and lists in one another. The kinds that are read need a dozen. */
#define DEPTH_MAX  32
/* Keys and values. etcd takes no object of more than 1.5 MB. */
#define VALUES_MAX 500000

struct build {
	struct tree *tree;
	unsigned values; /* so far */
	unsigned depth;
	int error; /* sticky */
};

static int refuse(struct build *build, const char *what)
{
	problems_add(build->tree->problems, build->tree->source, (struct place){ 0 },
		     "found an object %s", what);
	build->error = -EINVAL;
	return 0;
}

/* ---- nodes: each returns its id, 0 after an error ----------------------------------- */

static int add_scalar(struct build *build, const char *text, size_t length,
		      yaml_scalar_style_t style)
{
	int id;

	if (length != strlen(text))
		return refuse(build, "with a NUL character in a text");
	/* it takes as many bytes as an int tells; more than that no parser has let through */
	id = yaml_document_add_scalar(&build->tree->document, NULL, (const yaml_char_t *)text,
				      length, style);
	if (!id)
		build->error = -ENOMEM;
	return id;
}

static int add_number(struct build *build, const json_t *json)
{
	char text[64];

	if (json_is_integer(json))
		snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(json));
	else
		snprintf(text, sizeof(text), "%.17g", json_real_value(json));
	return add_scalar(build, text, strlen(text), YAML_PLAIN_SCALAR_STYLE);
}

static int add_word(struct build *build, const char *word)
{
	return add_scalar(build, word, strlen(word), YAML_PLAIN_SCALAR_STYLE);
}

static int add_value(struct build *build, json_t *json, const struct json_keep *keep);

static int add_list(struct build *build, json_t *json, const struct json_keep *keep)
{
	yaml_document_t *document = &build->tree->document;
	int id = yaml_document_add_sequence(document, NULL, YAML_FLOW_SEQUENCE_STYLE);
	json_t *item;
	size_t i;

	json_array_foreach (json, i, item) {
		int value = id ? add_value(build, item, keep) : 0;

		if (!value || !yaml_document_append_sequence_item(document, id, value))
			break;
	}
	if (!build->error && (!id || i < json_array_size(json)))
		build->error = -ENOMEM;
	return build->error ? 0 : id;
}

/* NULL: the key is not kept. */
static const struct json_keep *find_keep(const struct json_keep *keep, const char *key)
{
	for (; keep->key; keep++)
		if (!strcmp(keep->key, key))
			return keep;
	return NULL;
}

static bool add_pair(struct build *build, int mapping, const char *key, json_t *json,
		     const struct json_keep *keep)
{
	int name = add_scalar(build, key, strlen(key), YAML_DOUBLE_QUOTED_SCALAR_STYLE);
	int value = name ? add_value(build, json, keep) : 0;

	return value &&
	       yaml_document_append_mapping_pair(&build->tree->document, mapping, name, value);
}

static int add_mapping(struct build *build, json_t *json, const struct json_keep *keep)
{
	int id = yaml_document_add_mapping(&build->tree->document, NULL, YAML_FLOW_MAPPING_STYLE);
	bool whole = id;
	const char *key;
	json_t *value;

	json_object_foreach (json, key, value) {
		const struct json_keep *kept = keep ? find_keep(keep, key) : NULL;

		if (whole && (kept || !keep))
			whole = add_pair(build, id, key, value, kept ? kept->below : NULL);
	}
	if (!build->error && !whole)
		build->error = -ENOMEM;
	return build->error ? 0 : id;
}

static int add_below(struct build *build, json_t *json, const struct json_keep *keep)
{
	int id;

	if (build->depth == DEPTH_MAX)
		return refuse(build, "that is nested too deeply");
	build->depth++;
	id = json_is_object(json) ? add_mapping(build, json, keep) : add_list(build, json, keep);
	build->depth--;
	return id;
}

static int add_value(struct build *build, json_t *json, const struct json_keep *keep)
{
	if (build->values++ == VALUES_MAX)
		return refuse(build, "with too many values");
	switch (json_typeof(json)) {
	case JSON_OBJECT:
	case JSON_ARRAY:
		return add_below(build, json, keep);
	case JSON_STRING:
		return add_scalar(build, json_string_value(json), json_string_length(json),
				  YAML_DOUBLE_QUOTED_SCALAR_STYLE);
	case JSON_INTEGER:
	case JSON_REAL:
		return add_number(build, json);
	case JSON_TRUE:
		return add_word(build, "true");
	case JSON_FALSE:
		return add_word(build, "false");
	default:
		return add_word(build, "null");
	}
}

int json_tree_load(struct tree *tree, json_t *json, const struct json_keep *keep)
{
	struct build build = { .tree = tree };

	tree->stored = true;
	if (!yaml_document_initialize(&tree->document, NULL, NULL, NULL, 1, 1))
		return -ENOMEM;
	tree->loaded = true;
	add_value(&build, json, keep);
	return build.error;
}
