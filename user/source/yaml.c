/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file: reading it, and the schema of all but its services. */
#include "source/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/address.h"
#include "core/cleanup.h"
#include "core/text.h"
#include "source/yaml_schema.h"

#define CGROUP_MAX      4095
#define LABEL_KEY_MAX   317 /* as in Kubernetes: a DNS name, a slash, a name */
#define LABEL_VALUE_MAX 63

static const struct tree_key file_keys[] = {
	{ "node" },
	{ "workloads" },
	{ "services" },
	/* Ignoring them would let through what the operator forbids. */
	{ "policies", "policies are not supported by this version" },
	{ NULL },
};

static const struct tree_key node_keys[] = { { "fail" }, { "splice" }, { NULL } };

static const struct tree_key workload_keys[] = {
	{ "name" }, { "labels" }, { "cgroup" }, { "addresses" }, { NULL },
};

static const struct tree_word fail_words[] = { { "open", false }, { "closed", true }, { NULL } };

const struct tree_word yaml_splice_words[] = {
	{ "off", SST_SPLICE_OFF },
	{ "auto", SST_SPLICE_AUTO },
	{ "on", SST_SPLICE_ON },
	{ NULL },
};

/* ---- addresses ------------------------------------------------------------------ */

struct sst_addr yaml_read_address(struct tree *tree, const yaml_node_t *node)
{
	const char *text = tree_text(tree, node, "an IPv4 or IPv6 address");
	struct sst_addr address = { 0 };

	if (!text || !address_parse(text, &address))
		return address;
	if (strchr(text, '%'))
		tree_expected(tree, node, "an IPv4 or IPv6 address without zone id");
	else
		tree_expected(tree, node, "an IPv4 or IPv6 address");
	return address;
}

size_t yaml_count(struct tree *tree, const yaml_node_t *node, const char *what, size_t max)
{
	size_t n = tree_count(node);

	if (node && n >= 1 && n <= max)
		return n;
	if (node)
		tree_complain(tree, node, "found %zu %s, expected 1 to %zu", n, what, max);
	return 0;
}

struct sst_addr *yaml_read_addresses(struct tree *tree, yaml_node_t *node, size_t *ret_n)
{
	size_t n = yaml_count(tree, node, "addresses", YAML_ADDRESSES_MAX);
	struct sst_addr *addresses = tree_array(tree, n, sizeof(*addresses));

	*ret_n = addresses ? n : 0;
	for (size_t i = 0; i < *ret_n; i++)
		addresses[i] = yaml_read_address(tree, tree_item(tree, node, i));
	return addresses;
}

/* ---- workloads ------------------------------------------------------------------- */

static void read_labels(struct tree *tree, const yaml_node_t *node, struct model_labels *labels)
{
	size_t n;

	if (!node)
		return;
	if (node->type != YAML_MAPPING_NODE) {
		tree_expected(tree, node, "a mapping (labels)");
		return;
	}
	n = tree_pairs(node);
	labels->items = tree_array(tree, n, sizeof(*labels->items));
	labels->n = labels->items ? n : 0;
	for (size_t i = 0; i < labels->n; i++) {
		yaml_node_t *key, *value;

		tree_pair(tree, node, i, &key, &value);
		labels->items[i] = (struct model_label){
			.key = tree_name(tree, key, "a label", 1, LABEL_KEY_MAX),
			.value = tree_name(tree, value, "a label's value", 0, LABEL_VALUE_MAX),
		};
	}
}

/* "", "." and ".." in a path are other spellings of another path. */
static bool is_proper_name(const char *name)
{
	size_t length = strcspn(name, "/");

	return length > 2 || (length && strspn(name, ".") < length);
}

/* Absolute, printable and in one spelling only: paths are compared as texts. */
static bool is_cgroup_path(const char *path)
{
	if (*path != '/' || strlen(path) > CGROUP_MAX)
		return false;
	for (; *path; path++) {
		if (*path < ' ' || *path > '~')
			return false;
		if (*path == '/' && !is_proper_name(path + 1))
			return false;
	}
	return true;
}

static char *read_cgroup(struct tree *tree, const yaml_node_t *node)
{
	static const char expected[] =
		"a path below the cgroup2 root, like /system.slice/x.service";
	const char *path = tree_text(tree, node, expected);

	if (!path)
		return NULL;
	if (is_cgroup_path(path))
		return tree_copy(tree, path);
	tree_expected(tree, node, "%s", expected);
	return NULL;
}

static void read_prefixes(struct tree *tree, yaml_node_t *node, struct model_workload *workload)
{
	size_t n;
	_cleanup_free_ struct sst_addr *addresses = yaml_read_addresses(tree, node, &n);

	workload->addresses = tree_array(tree, n, sizeof(*workload->addresses));
	workload->n_addresses = workload->addresses ? n : 0;
	for (size_t i = 0; i < workload->n_addresses; i++)
		workload->addresses[i] =
			(struct model_cidr){ .address = addresses[i], .bits = 128 };
}

static void read_workload(struct tree *tree, const yaml_node_t *node,
			  struct model_workload *workload)
{
	yaml_node_t *addresses = tree_get(tree, node, "addresses");

	workload->place = tree_place(tree, node);
	if (!tree_mapping(tree, node, "a workload", workload_keys))
		return;
	workload->name = tree_name(tree, tree_need(tree, node, "a workload", "name"),
				   "a workload name", 1, SST_NAME_MAX - 1);
	read_labels(tree, tree_get(tree, node, "labels"), &workload->labels);
	workload->name_space = tree_copy(tree, MODEL_DEFAULT_NAMESPACE);
	workload->cgroup = read_cgroup(tree, tree_get(tree, node, "cgroup"));
	if (tree_list(tree, addresses, "addresses"))
		read_prefixes(tree, addresses, workload);
}

static void read_workloads(struct reader *reader, yaml_node_t *list)
{
	struct model *model = reader->model, *scraps = reader->scraps;
	struct tree *tree = reader->tree;
	size_t n = tree_list(tree, list, "workloads") ? tree_count(list) : 0;

	model->workloads = tree_array(tree, n, sizeof(*model->workloads));
	scraps->workloads = tree_array(tree, n, sizeof(*scraps->workloads));
	for (size_t i = 0; !tree->no_memory && i < n; i++) {
		unsigned before = tree_problems(tree);
		struct model_workload workload = { 0 };

		read_workload(tree, tree_item(tree, list, i), &workload);
		if (tree_problems(tree) == before)
			model->workloads[model->n_workloads++] = workload;
		else
			scraps->workloads[scraps->n_workloads++] = workload;
	}
}

/* ---- the file -------------------------------------------------------------------- */

static void read_node(struct tree *tree, const yaml_node_t *node, struct model_node *ret)
{
	if (!tree_mapping(tree, node, "the node", node_keys))
		return;
	ret->fail_closed =
		tree_word(tree, tree_get(tree, node, "fail"), fail_words, ret->fail_closed);
	ret->splice =
		tree_word(tree, tree_get(tree, node, "splice"), yaml_splice_words, ret->splice);
}

/* There is one node, so there is one of these in all files. */
static void read_configuration(struct reader *reader)
{
	struct tree *tree = reader->tree;
	yaml_node_t *root = tree_root(tree);
	const struct place *first = &reader->configuration;

	if (first->line) {
		tree_complain(tree, root,
			      "found a second configuration of the node, the first is at %s%s%u",
			      first->file ? first->file : "line ", first->file ? ":" : "",
			      first->line);
		return;
	}
	reader->configuration = tree_place(tree, root);
	if (!tree_mapping(tree, root, "the configuration", file_keys))
		return;
	read_node(tree, tree_get(tree, root, "node"), &reader->model->node);
	read_workloads(reader, tree_get(tree, root, "workloads"));
	yaml_read_services(reader, tree_get(tree, root, "services"));
}

/* ---- documents and files ----------------------------------------------------------- */

static void read_document(struct reader *reader)
{
	read_configuration(reader);
}

static int read_documents(struct reader *reader, const char *text, size_t size)
{
	struct tree *tree = reader->tree;
	int r = tree_open(tree, text, size);
	bool any = false;

	while (!r && (r = tree_next(tree)) > 0) {
		any = true;
		read_document(reader);
		r = tree->no_memory ? -ENOMEM : 0;
	}
	if (r || any)
		return r;
	problems_add(reader->problems, tree->source, (struct place){ 0 },
		     "found an empty file, expected a configuration");
	return -EINVAL;
}

static int refuse_size(const char *name, struct problems *problems)
{
	problems_add(problems, name, (struct place){ 0 },
		     "found more than %d MiB, expected at most that much", YAML_SIZE_MAX >> 20);
	return -EINVAL;
}

/* file is what places are to name, NULL when there is only one. */
static int read_text(struct reader *reader, const char *name, const char *file, const char *text,
		     size_t size)
{
	_cleanup_tree_ struct tree tree = {
		.source = name,
		.file = file,
		.problems = reader->problems,
	};
	int r;

	if (size > YAML_SIZE_MAX)
		return refuse_size(name, reader->problems);
	reader->tree = &tree;
	r = read_documents(reader, text, size);
	reader->tree = NULL;
	return r;
}

/* Reads to the end, also from a pipe, or until it is more than a file may have. */
static int read_all(const char *path, char **ret, size_t *ret_size)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	_cleanup_free_ char *text = NULL;
	size_t size = 0, room = 0;

	if (!file)
		return -errno;
	do {
		char *more;

		room = room ? 2 * room : 1 << 16;
		more = realloc(text, room);
		if (!more)
			return -ENOMEM;
		text = more;
		size += fread(text + size, 1, room - size, file);
		if (ferror(file))
			return -errno;
	} while (size == room && size <= YAML_SIZE_MAX);
	*ret = TAKE_PTR(text);
	*ret_size = size;
	return 0;
}

static int read_file(struct reader *reader, const char *path, const char *file)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	int r = read_all(path, &text, &size);

	if (!r)
		return read_text(reader, path, file, text, size);
	problems_add(reader->problems, path, (struct place){ 0 }, "cannot read: %s", strerror(-r));
	return r;
}

/* ---- the whole --------------------------------------------------------------------- */

static unsigned count_problems(const struct reader *reader)
{
	return reader->problems->count + reader->problems->more;
}

static int begin(struct reader *reader, const char *source, struct problems *problems)
{
	reader->problems = problems;
	reader->n_before = count_problems(reader);
	reader->model = model_new(source);
	reader->scraps = model_new(source);
	return reader->model && reader->scraps ? 0 : -ENOMEM;
}

static void end(struct reader *reader)
{
	model_free(reader->model);
	model_free(reader->scraps);
}

static int finish(struct reader *reader, struct model **ret)
{
	int r = model_validate(reader->model, reader->problems);

	if (r)
		return r;
	if (count_problems(reader) != reader->n_before)
		return -EINVAL;
	*ret = TAKE_PTR(reader->model);
	return 0;
}

int yaml_load_text(const char *name, const char *text, size_t size, struct problems *problems,
		   struct model **ret)
{
	_cleanup_(end) struct reader reader = { 0 };
	int r = begin(&reader, name, problems);

	if (!r)
		r = read_text(&reader, name, NULL, text, size);
	return r ? r : finish(&reader, ret);
}

/* Places refer to the names for as long as there is the model. */
static int name_files(struct model *model, const char *const *paths, size_t n)
{
	model->files = calloc(n, sizeof(*model->files));
	if (!model->files)
		return -ENOMEM;
	for (; model->n_files < n; model->n_files++) {
		model->files[model->n_files] = strdup(paths[model->n_files]);
		if (!model->files[model->n_files])
			return -ENOMEM;
	}
	return 0;
}

/* All of them, so that all there is to tell is told at once. */
static int read_files(struct reader *reader, const char *const *paths, size_t n)
{
	int ret = 0;

	for (size_t i = 0; i < n; i++) {
		const char *file = n > 1 ? reader->model->files[i] : NULL;
		int r = read_file(reader, paths[i], file);

		if (r == -ENOMEM)
			return r;
		if (!ret)
			ret = r;
	}
	return ret;
}

int yaml_load_files(const char *const *paths, size_t n, struct problems *problems,
		    struct model **ret)
{
	_cleanup_(end) struct reader reader = { 0 };
	_cleanup_text_ struct text source = { 0 };
	int r;

	for (size_t i = 0; i < n; i++)
		text_add(&source, "%s%s", i ? ", " : "", paths[i]);
	if (source.error)
		return source.error;
	r = begin(&reader, text_string(&source), problems);
	if (!r && n > 1)
		r = name_files(reader.model, paths, n);
	if (!r)
		r = read_files(&reader, paths, n);
	return r ? r : finish(&reader, ret);
}

int yaml_load_file(const char *path, struct problems *problems, struct model **ret)
{
	return yaml_load_files(&path, 1, problems, ret);
}
