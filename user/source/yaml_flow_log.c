/* SPDX-License-Identifier: Apache-2.0 */
/* The schema of `node.telemetry.flow-log`. */
#include <errno.h>
#include <string.h>

#include "source/yaml.h"
#include "source/yaml_schema.h"

/* A file that is smaller would be rotated all the time. */
#define SIZE_MIN   (64 * 1024)
#define SIZE_MAX_  (1ull << 40)
#define KEEP_MAX   1000
#define SAMPLE_MAX 1000000

static char *read_file(struct tree *tree, const yaml_node_t *node)
{
	static const char expected[] = "an absolute path, or - for standard output";
	const char *text = tree_text(tree, node, expected);

	if (!text)
		return NULL;
	if (!strcmp(text, "-") || (text[0] == '/' && text[1] && text[strlen(text) - 1] != '/'))
		return tree_copy(tree, text);
	tree_expected(tree, node, "%s", expected);
	return NULL;
}

static uint64_t read_size(struct tree *tree, const yaml_node_t *node, uint64_t fallback)
{
	static const char expected[] = "a size from 64KiB to 1024GiB";
	const char *text = tree_text(tree, node, expected);
	uint64_t size;

	if (!text)
		return fallback;
	if (!flow_bytes_parse(text, &size) && size >= SIZE_MIN && size <= SIZE_MAX_)
		return size;
	tree_expected(tree, node, "%s", expected);
	return fallback;
}

static void read_term(struct tree *tree, const yaml_node_t *node, enum flow_key key,
		      struct flow_filter *only)
{
	const char *expected = flow_key_expected(key);
	const char *text = tree_text(tree, node, expected);
	int err = text ? flow_filter_add(only, key, text) : 0;

	if (err == -EINVAL)
		tree_expected(tree, node, "%s", expected);
	else if (err == -E2BIG)
		tree_complain(tree, node, "found more than %d values, expected at most that many",
			      FLOW_TERMS_MAX);
	else if (err)
		tree->no_memory = true;
}

/* Each key of a filter, with one value or a list of alternatives. */
static void read_only(struct tree *tree, const yaml_node_t *node, struct flow_filter *only)
{
	struct tree_key keys[FLOW_KEY_MAX + 1] = {};

	for (enum flow_key key = 0; key < FLOW_KEY_MAX; key++)
		keys[key].name = flow_key_name(key);
	if (!tree_mapping(tree, node, "the flow log's filter", keys))
		return;
	for (enum flow_key key = 0; key < FLOW_KEY_MAX; key++) {
		yaml_node_t *values = tree_get(tree, node, flow_key_name(key));
		size_t n = yaml_count(tree, values, "values", FLOW_TERMS_MAX);

		for (size_t i = 0; i < n; i++)
			read_term(tree, tree_item(tree, values, i), key, only);
	}
}

void yaml_read_flow_log(struct tree *tree, const yaml_node_t *node, struct model_flow_log *ret)
{
	static const struct tree_key keys[] = { { "file" },   { "size" }, { "keep" },
						{ "sample" }, { "only" }, { NULL } };

	if (!tree_mapping(tree, node, "the flow log", keys))
		return;
	ret->file = read_file(tree, tree_need(tree, node, "the flow log", "file"));
	ret->max_size = read_size(tree, tree_get(tree, node, "size"), ret->max_size);
	ret->keep = tree_number(tree, tree_get(tree, node, "keep"), "a number of files", 1,
				KEEP_MAX, ret->keep);
	ret->sample = tree_number(tree, tree_get(tree, node, "sample"), "a number of flows", 1,
				  SAMPLE_MAX, ret->sample);
	read_only(tree, tree_get(tree, node, "only"), &ret->only);
}
