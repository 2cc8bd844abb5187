/* SPDX-License-Identifier: Apache-2.0 */
/* Reading files and their documents, and the schema of the configuration's top. */
#include "source/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/cleanup.h"
#include "core/text.h"
#include "core/trust.h"
#include "kube/combine.h"
#include "source/manifest.h"
#include "source/yaml_schema.h"

static const struct tree_key file_keys[] = {
	{ "node" }, { "namespaces" }, { "workloads" }, { "services" }, { "policies" }, { NULL },
};

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
	yaml_read_node(tree, tree_get(tree, root, "node"), &reader->model->node);
	yaml_read_namespaces(reader, tree_get(tree, root, "namespaces"));
	yaml_read_workloads(reader, tree_get(tree, root, "workloads"));
	yaml_read_services(reader, tree_get(tree, root, "services"));
	yaml_read_policies(reader, tree_get(tree, root, "policies"));
}

/* ---- documents and files ----------------------------------------------------------- */

static void read_document(struct reader *reader)
{
	yaml_node_t *root = tree_root(reader->tree);

	if (manifest_is(reader->tree, root))
		manifest_read(reader, root);
	else
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
static int read_all(FILE *file, char **ret, size_t *ret_size)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0, room = 0;

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
	_cleanup_fclose_ FILE *stream = fopen(path, "re");
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	struct stat about;
	int r = stream && !fstat(fileno(stream), &about) ? read_all(stream, &text, &size) : -errno;

	if (r)
		problems_add(reader->problems, path, (struct place){ 0 }, "cannot read: %s",
			     strerror(-r));
	else if (!trust_file(path, &about, reader->problems))
		r = -EINVAL;
	return r ? r : read_text(reader, path, file, text, size);
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
	kube_objects_release(&reader->objects);
}

/* Of all manifests together: what one says is about what others say. */
static int combine(struct reader *reader, const struct model_host *host)
{
	static const struct model_host unknown = { 0 };
	struct kube_here here =
		kube_find_here(&reader->objects, reader->model->node.name, host ?: &unknown);

	return kube_combine(&reader->objects, &here, reader->problems, reader->model);
}

static int finish(struct reader *reader, const struct model_host *host, struct model **ret)
{
	int r = model_complete_namespaces(reader->model);

	if (!r)
		r = combine(reader, host);
	if (!r)
		r = model_validate(reader->model, reader->problems);
	if (r)
		return r;
	if (count_problems(reader) != reader->n_before)
		return -EINVAL;
	kube_tell_skipped(&reader->objects, reader->model->source, reader->problems);
	*ret = TAKE_PTR(reader->model);
	return 0;
}

int yaml_load_text(const char *name, const char *text, size_t size, const struct model_host *host,
		   struct problems *problems, struct model **ret)
{
	_cleanup_(end) struct reader reader = { 0 };
	int r = begin(&reader, name, problems);

	if (!r)
		r = read_text(&reader, name, NULL, text, size);
	return r ? r : finish(&reader, host, ret);
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

int yaml_load_files(const char *const *paths, size_t n, const struct model_host *host,
		    struct problems *problems, struct model **ret)
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
	return r ? r : finish(&reader, host, ret);
}

int yaml_load_file(const char *path, struct problems *problems, struct model **ret)
{
	return yaml_load_files(&path, 1, NULL, problems, ret);
}
