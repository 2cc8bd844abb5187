/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As client-go reads it: what it does not know of is not looked at, data goes before files, files
 * are relative to the kubeconfig. What would change who we are or whom we speak to, and is not
 * done here, is refused.
 */
#include "cluster/kubeconfig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/secret.h"
#include "core/cleanup.h"
#include "core/text.h"
#include "core/trust.h"
#include "source/yaml_tree.h"

struct reader {
	struct tree tree;
	const char *path;
	struct access *access;
};

/* ---- values ---------------------------------------------------------------------------- */

/* What is null counts as absent, and so does what is empty. */
static yaml_node_t *get(struct reader *reader, const yaml_node_t *node, const char *key)
{
	yaml_node_t *value = tree_get(&reader->tree, node, key);

	if (!value || tree_is_null(value) ||
	    (value->type == YAML_SCALAR_NODE && !value->data.scalar.length))
		return NULL;
	return value;
}

static const char *get_text(struct reader *reader, const yaml_node_t *node, const char *key,
			    const char *expected)
{
	return tree_text(&reader->tree, get(reader, node, key), expected);
}

/* Complains by the place of the key's value, never with the value. */
static void refuse(struct reader *reader, const yaml_node_t *node, const struct tree_key *refusals)
{
	for (; refusals->name; refusals++) {
		yaml_node_t *value = get(reader, node, refusals->name);

		if (value)
			tree_complain(&reader->tree, value, "%s: %s", refusals->name,
				      refusals->refusal);
	}
}

static char *copy(struct reader *reader, const char *text)
{
	return text ? tree_copy(&reader->tree, text) : NULL;
}

/* The path of a file beside the kubeconfig, or an absolute one. */
static char *resolve(struct reader *reader, const char *name)
{
	const char *slash = strrchr(reader->path, '/');
	_cleanup_text_ struct text path = {};

	if (*name != '/' && slash)
		text_add_bytes(&path, reader->path, slash + 1 - reader->path);
	text_add_string(&path, name);
	if (path.error)
		reader->tree.no_memory = true;
	return path.error ? NULL : TAKE_PTR(path.data);
}

/* ---- PEM, in the kubeconfig or in a file beside it ---------------------------------------- */

struct pem {
	const char *data; /* "client-key-data" */
	const char *file; /* "client-key" */
	const char *kind; /* it has to begin so */
};

static void check_pem(struct reader *reader, const yaml_node_t *node, const char *key,
		      const struct pem *pem, const char *text)
{
	if (!strstr(text, pem->kind) || !strstr(text, "-----END"))
		tree_complain(&reader->tree, node, "%s: found no PEM, expected '%s...'", key,
			      pem->kind);
}

static char *decode_pem(struct reader *reader, const yaml_node_t *node, const struct pem *pem)
{
	const char *base64 = tree_text(&reader->tree, node, "Base64");
	char *text = NULL;
	int r = base64 ? secret_decode(base64, &text) : 0;

	if (r == -ENOMEM)
		reader->tree.no_memory = true;
	else if (r)
		tree_complain(&reader->tree, node, "%s: found what is not Base64 of a text",
			      pem->data);
	if (text)
		check_pem(reader, node, pem->data, pem, text);
	return text;
}

static char *read_pem(struct reader *reader, const yaml_node_t *node, const struct pem *pem)
{
	const char *name = tree_text(&reader->tree, node, "a file's path");
	_cleanup_free_ char *path = name ? resolve(reader, name) : NULL;
	char *text = NULL;
	int r = path ? secret_read(path, NULL, &text) : 0;

	if (r)
		tree_complain(&reader->tree, node, "%s: %s cannot be read: %s", pem->file, path,
			      strerror(-r));
	if (text)
		check_pem(reader, node, pem->file, pem, text);
	return text;
}

static char *get_pem(struct reader *reader, const yaml_node_t *node, const struct pem *pem)
{
	yaml_node_t *data = get(reader, node, pem->data);

	if (data)
		return decode_pem(reader, data, pem);
	return read_pem(reader, get(reader, node, pem->file), pem);
}

/* ---- the parts of it -------------------------------------------------------------------- */

static bool is_true(const char *text)
{
	return text && (!strcmp(text, "true") || !strcmp(text, "True") || !strcmp(text, "TRUE"));
}

static void read_cluster(struct reader *reader, const yaml_node_t *cluster, const char *server)
{
	static const struct pem ca = { "certificate-authority-data", "certificate-authority",
				       "-----BEGIN CERTIFICATE-----" };
	static const struct tree_key refusals[] = {
		{ "proxy-url", "the API server is not asked by way of a proxy" },
		{ NULL },
	};
	static const char insecure[] = "insecure-skip-tls-verify";
	struct tree *tree = &reader->tree;
	struct access *access = reader->access;

	refuse(reader, cluster, refusals);
	if (is_true(get_text(reader, cluster, insecure, "true or false")))
		tree_complain(tree, get(reader, cluster, insecure),
			      "%s: the server's certificate is always verified, expected "
			      "certificate-authority instead",
			      insecure);
	if (!server && !get(reader, cluster, "server"))
		tree_complain(tree, cluster, "found a cluster without 'server', expected that key");
	if (!server)
		server = get_text(reader, cluster, "server", "https://HOST:PORT");
	access->server = copy(reader, server);
	access->server_name =
		copy(reader, get_text(reader, cluster, "tls-server-name", "a server's name"));
	access->ca = get_pem(reader, cluster, &ca);
}

static void read_token(struct reader *reader, const yaml_node_t *user)
{
	const char *file = get_text(reader, user, "tokenFile", "a file's path");
	char *token = copy(reader, get_text(reader, user, "token", "a token"));

	if (file)
		reader->access->token_file = resolve(reader, file);
	if (token && !secret_is_token(token))
		tree_complain(&reader->tree, get(reader, user, "token"),
			      "token: found blanks or control characters in it");
	reader->access->token = token;
}

static void read_user(struct reader *reader, const yaml_node_t *user)
{
	static const char basic[] = "no API server takes passwords any more, expected a token or a "
				    "certificate";
	static const char other[] = "acting as somebody else is not supported";
	static const struct tree_key refusals[] = {
		{ "exec", "credential plugins are not run, expected a token or a certificate" },
		{ "auth-provider", "there are none any more, expected a token or a certificate" },
		{ "username", basic },
		{ "password", basic },
		{ "as", other },
		{ "as-uid", other },
		{ "as-groups", other },
		{ "as-user-extra", other },
		{ NULL },
	};
	static const struct pem certificate = { "client-certificate-data", "client-certificate",
						"-----BEGIN CERTIFICATE-----" };
	static const struct pem key = { "client-key-data", "client-key", "-----BEGIN " };
	struct access *access = reader->access;
	unsigned before = tree_problems(&reader->tree);

	refuse(reader, user, refusals);
	read_token(reader, user);
	access->certificate = get_pem(reader, user, &certificate);
	access->key = get_pem(reader, user, &key);
	if (!access->certificate != !access->key && tree_problems(&reader->tree) == before)
		tree_complain(&reader->tree, user, "found client-%s without client-%s",
			      access->key ? "key" : "certificate",
			      access->key ? "certificate" : "key");
}

/* ---- what the current context names -------------------------------------------------------- */

/* One of "clusters", whose value is below "cluster"; NULL: told. */
static yaml_node_t *find(struct reader *reader, const char *list, const char *key, const char *name)
{
	struct tree *tree = &reader->tree;
	yaml_node_t *root = tree_root(tree), *all = get(reader, root, list);

	if (all && !tree_list(tree, all, list))
		return NULL;
	for (size_t i = 0; i < tree_count(all); i++) {
		yaml_node_t *item = tree_item(tree, all, i);
		const char *found = get_text(reader, item, "name", "a name");
		yaml_node_t *value = tree_get(tree, item, key);

		if (!found || strcmp(found, name))
			continue;
		if (value && value->type == YAML_MAPPING_NODE)
			return value;
		tree_complain(tree, item, "found none in %s '%s', expected a mapping '%s'", list,
			      name, key);
		return NULL;
	}
	tree_complain(tree, all ?: root, "found no '%s' among the %s", name, list);
	return NULL;
}

/* The name that a mapping has for one of its parts. NULL: told. */
static const char *name_of(struct reader *reader, const yaml_node_t *node, const char *what,
			   const char *key)
{
	const char *name = get_text(reader, node, key, "a name");

	if (!name && !get(reader, node, key))
		tree_complain(&reader->tree, node, "found %s without '%s', expected that key", what,
			      key);
	return name;
}

static void read_root(struct reader *reader, const char *server)
{
	yaml_node_t *root = tree_root(&reader->tree), *context, *cluster, *user;
	const char *name;

	if (root->type != YAML_MAPPING_NODE) {
		tree_complain(&reader->tree, root, "found no mapping, expected a kubeconfig");
		return;
	}
	name = name_of(reader, root, "a kubeconfig", "current-context");
	context = name ? find(reader, "contexts", "context", name) : NULL;
	if (!context)
		return;
	name = name_of(reader, context, "a context", "cluster");
	cluster = name ? find(reader, "clusters", "cluster", name) : NULL;
	name = name_of(reader, context, "a context", "user");
	user = name ? find(reader, "users", "user", name) : NULL;
	if (cluster)
		read_cluster(reader, cluster, server);
	if (user)
		read_user(reader, user);
}

/* ---- the file ------------------------------------------------------------------------------- */

/* libyaml has copies of all values. */
static void wipe_tree(struct tree *tree)
{
	yaml_document_t *document = &tree->document;

	for (yaml_node_t *node = document->nodes.start; tree->loaded && node < document->nodes.top;
	     node++)
		if (node->type == YAML_SCALAR_NODE)
			explicit_bzero(node->data.scalar.value, node->data.scalar.length);
	tree_release(tree);
}

static int read_document(struct reader *reader, const char *text, const char *server)
{
	struct tree *tree = &reader->tree;
	int r = tree_open(tree, text, strlen(text));

	if (!r)
		r = tree_next(tree);
	if (r < 0)
		return r;
	if (!r) {
		problems_add(tree->problems, tree->source, (struct place){ 0 },
			     "found an empty file, expected a kubeconfig");
		return -EINVAL;
	}
	if (!tree_problems(tree))
		read_root(reader, server);
	if (tree->no_memory)
		return -ENOMEM;
	return tree_problems(tree) ? -EINVAL : 0;
}

int kubeconfig_read(const char *path, const char *server, struct problems *problems,
		    struct access *ret)
{
	struct reader reader = {
		.tree = { .source = path, .problems = problems },
		.path = path,
		.access = ret,
	};
	_cleanup_secret_ char *text = NULL;
	struct stat about;
	int r = secret_read(path, &about, &text);

	if (r)
		problems_add(problems, path, (struct place){ 0 }, "cannot be read: %s",
			     strerror(-r));
	if (r || !trust_file(path, &about, problems))
		return -EINVAL;
	r = read_document(&reader, text, server);
	wipe_tree(&reader.tree);
	return r;
}
