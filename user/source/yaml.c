/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file: reading it, and the schema of its top and of the node. */
#include "source/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/cleanup.h"
#include "source/yaml_schema.h"

static const struct tree_key file_keys[] = {
	{ "node" }, { "namespaces" }, { "workloads" }, { "services" }, { "policies" }, { NULL },
};

static const struct tree_key node_keys[] = { { "fail" }, { "splice" }, { "policy" }, { NULL } };

static const struct tree_key settings_keys[] = {
	{ "default" }, { "host" },   { "probes" }, { "nodes" },
	{ "denied" },  { "remote" }, { "revoke" }, { NULL },
};

static const struct tree_word fail_words[] = { { "open", false }, { "closed", true }, { NULL } };

/* ---- the node -------------------------------------------------------------------- */

static void read_host(struct tree *tree, const yaml_node_t *node, struct model_policy_settings *ret)
{
	static const struct tree_word words[] = {
		{ "allow", MODEL_HOST_ALLOW },
		{ "probes", MODEL_HOST_PROBES },
		{ "policy", MODEL_HOST_POLICY },
		{ NULL },
	};
	const yaml_node_t *host = tree_get(tree, node, "host");
	const yaml_node_t *probes = tree_get(tree, node, "probes");

	ret->host = tree_word(tree, host, words, ret->host);
	ret->probes_cgroup = yaml_read_cgroup(tree, probes);
	if (ret->host == MODEL_HOST_PROBES && !probes)
		tree_complain(tree, host,
			      "found 'probes' as the host's traffic, expected the key "
			      "'probes' to tell their cgroup");
}

static void read_settings(struct tree *tree, const yaml_node_t *node,
			  struct model_policy_settings *ret)
{
	static const struct tree_word defaults[] = { { "allow", false },
						     { "deny", true },
						     { NULL } };
	static const struct tree_word denied[] = { { "eperm", false },
						   { "refused", true },
						   { NULL } };
	static const struct tree_word remote[] = { { "drop", false },
						   { "answer", true },
						   { NULL } };
	static const struct tree_word revoke[] = { { "on", true }, { "off", false }, { NULL } };

	if (!tree_mapping(tree, node, "the node's policy", settings_keys))
		return;
	ret->default_deny =
		tree_word(tree, tree_get(tree, node, "default"), defaults, ret->default_deny);
	read_host(tree, node, ret);
	ret->nodes = yaml_read_cidrs(tree, tree_get(tree, node, "nodes"), "networks",
				     YAML_ENTRIES_MAX, &ret->n_nodes);
	ret->refused = tree_word(tree, tree_get(tree, node, "denied"), denied, ret->refused);
	ret->answer = tree_word(tree, tree_get(tree, node, "remote"), remote, ret->answer);
	ret->revoke = tree_word(tree, tree_get(tree, node, "revoke"), revoke, ret->revoke);
}

static void read_node(struct tree *tree, const yaml_node_t *node, struct model_node *ret)
{
	if (!tree_mapping(tree, node, "the node", node_keys))
		return;
	ret->fail_closed =
		tree_word(tree, tree_get(tree, node, "fail"), fail_words, ret->fail_closed);
	ret->splice =
		tree_word(tree, tree_get(tree, node, "splice"), yaml_splice_words, ret->splice);
	read_settings(tree, tree_get(tree, node, "policy"), &ret->policy);
}

/* ---- the file -------------------------------------------------------------------- */

static void read_configuration(struct reader *reader)
{
	struct tree *tree = reader->tree;
	yaml_node_t *root = tree_root(tree);

	if (!tree_mapping(tree, root, "the configuration", file_keys))
		return;
	read_node(tree, tree_get(tree, root, "node"), &reader->model->node);
	yaml_read_namespaces(reader, tree_get(tree, root, "namespaces"));
	yaml_read_workloads(reader, tree_get(tree, root, "workloads"));
	yaml_read_services(reader, tree_get(tree, root, "services"));
	yaml_read_policies(reader, tree_get(tree, root, "policies"));
}

static int refuse_size(const char *name, struct problems *problems)
{
	problems_add(problems, name, (struct place){ 0 },
		     "found more than %d MiB, expected at most that much", YAML_SIZE_MAX >> 20);
	return -EINVAL;
}

int yaml_load_text(const char *name, const char *text, size_t size, struct problems *problems,
		   struct model **ret)
{
	_cleanup_model_ struct model *model = model_new(name);
	_cleanup_model_ struct model *scraps = model_new(name);
	_cleanup_tree_ struct tree tree = { .source = name, .problems = problems };
	struct reader reader = { .tree = &tree, .model = model, .scraps = scraps };
	unsigned before = tree_problems(&tree);
	int r;

	if (!model || !scraps)
		return -ENOMEM;
	if (size > YAML_SIZE_MAX)
		return refuse_size(name, problems);
	r = tree_load(&tree, text, size);
	if (r)
		return r;
	read_configuration(&reader);
	if (tree.no_memory)
		return -ENOMEM;
	r = model_complete_namespaces(model);
	if (!r)
		r = model_validate(model, problems);
	if (r)
		return r;
	if (tree_problems(&tree) != before)
		return -EINVAL;
	*ret = TAKE_PTR(model);
	return 0;
}

/*
 * Whoever may write the file rules the node, so root takes no file that others may write. What
 * others run for themselves (`check`) is their own affair, and a pipe is its maker's.
 */
static int check_trust(const char *path, FILE *file, struct problems *problems)
{
	struct stat about;

	if (geteuid() != 0)
		return 0;
	if (fstat(fileno(file), &about))
		return -errno;
	if (!S_ISREG(about.st_mode))
		return 0;
	if (about.st_uid != 0)
		problems_add(problems, path, (struct place){ 0 },
			     "belongs to user %u, who could change what root makes of it, "
			     "expected root's: chown root %s",
			     about.st_uid, path);
	if (about.st_mode & (S_IWGRP | S_IWOTH))
		problems_add(problems, path, (struct place){ 0 },
			     "may be written by others (mode %04o), who could change what root "
			     "makes of it, expected a file of root's alone: chmod go-w %s",
			     about.st_mode & 07777, path);
	return about.st_uid != 0 || about.st_mode & (S_IWGRP | S_IWOTH) ? -EINVAL : 0;
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

static int read_file(const char *path, struct problems *problems, char **ret, size_t *ret_size)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	int r = file ? check_trust(path, file, problems) : -errno;

	return r ? r : read_all(file, ret, ret_size);
}

int yaml_load_file(const char *path, struct problems *problems, struct model **ret)
{
	_cleanup_free_ char *text = NULL;
	unsigned before = problems->count + problems->more;
	size_t size = 0;
	int r = read_file(path, problems, &text, &size);

	if (!r)
		return yaml_load_text(path, text, size, problems, ret);
	if (problems->count + problems->more == before)
		problems_add(problems, path, (struct place){ 0 }, "cannot read: %s", strerror(-r));
	return r;
}
