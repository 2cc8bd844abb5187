/* SPDX-License-Identifier: Apache-2.0 */
/* Which kinds of manifests there are, and what becomes of them in a file. */
#include "source/manifest.h"

#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"

#define NAME_LENGTH_MAX 253 /* of an object, as in Kubernetes */
#define POLICY_API      "policy.networking.k8s.io/"
#define ANNOTATION      "sidestep.io/"

struct kind {
	const char *name;
	const char *versions[2]; /* what apiVersion may be */
	void (*read)(struct reader *reader, const struct kind *kind, yaml_node_t *object);
	/* of read_policy(): reads the rest */
	void (*policy)(struct tree *tree, const yaml_node_t *object, struct model_policy *policy);
};

/* ---- parts ----------------------------------------------------------------------- */

yaml_node_t *manifest_get(struct tree *tree, const yaml_node_t *node, const char *key)
{
	yaml_node_t *value = tree_get(tree, node, key);

	return value && !tree_is_null(value) ? value : NULL;
}

yaml_node_t *manifest_need(struct tree *tree, const yaml_node_t *node, const char *what,
			   const char *key)
{
	yaml_node_t *value = manifest_get(tree, node, key);

	if (!value)
		tree_complain(tree, node, "found %s without '%s', expected that key", what, key);
	return value;
}

size_t manifest_count(struct tree *tree, const yaml_node_t *list, const char *what)
{
	return tree_list(tree, list, what) ? tree_count(list) : 0;
}

uint16_t manifest_read_port(struct tree *tree, const yaml_node_t *node, uint16_t fallback)
{
	char quote[TREE_QUOTE_MAX];

	if (!node || node->type != YAML_SCALAR_NODE ||
	    node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		return yaml_read_port(tree, node, fallback);
	tree_complain(tree, node,
		      "found %s in quotes, which to Kubernetes is a name and no number, "
		      "expected it without them",
		      tree_quote(node, quote));
	return fallback;
}

char *manifest_read_name(struct tree *tree, const yaml_node_t *metadata)
{
	return tree_name(tree, manifest_need(tree, metadata, "metadata", "name"), "a name", 1,
			 NAME_LENGTH_MAX);
}

/* ---- namespaces and pods --------------------------------------------------------- */

bool manifest_namespace(struct tree *tree, const yaml_node_t *object, struct model_namespace *ret)
{
	const yaml_node_t *metadata = manifest_need(tree, object, "Namespace", "metadata");

	ret->place = tree_place(tree, object);
	if (!metadata)
		return false;
	ret->name = yaml_read_namespace(tree, manifest_need(tree, metadata, "metadata", "name"));
	yaml_read_labels(tree, manifest_get(tree, metadata, "labels"), &ret->labels);
	return true;
}

static void read_namespace(struct reader *reader, const struct kind *kind, yaml_node_t *object)
{
	struct tree *tree = reader->tree;
	struct model_namespace namespace = { 0 };
	unsigned before = tree_problems(tree);

	(void)kind;
	if (!YAML_RESERVE(reader, namespaces, 1))
		return;
	if (manifest_namespace(tree, object, &namespace))
		YAML_KEEP(reader, namespaces, namespace, tree_problems(tree) == before);
}

/* Of files nobody knows which pods are this node's: all are known by their addresses only. */
static int make_workload(struct kube_pod *pod, struct model_workload *ret)
{
	return kube_pod_workload(pod, &(struct kube_pods_here){ 0 }, ret);
}

static void read_pod(struct reader *reader, const struct kind *kind, yaml_node_t *object)
{
	_cleanup_(kube_pod_release) struct kube_pod pod = { 0 };
	struct tree *tree = reader->tree;
	struct model_workload workload;
	unsigned before = tree_problems(tree);
	int r;

	(void)kind;
	if (!YAML_RESERVE(reader, workloads, 1) || !manifest_pod(tree, object, &pod))
		return;
	/* what is not sound is told, and lacks what is copied here */
	if (tree->no_memory || tree_problems(tree) != before)
		return;
	r = make_workload(&pod, &workload);
	if (!r)
		YAML_KEEP(reader, workloads, workload, true);
	else if (r == -ENOMEM)
		tree->no_memory = true;
}

/* ---- what services are made of ---------------------------------------------------- */

/* Keeps what is sound and of use of reader->objects.list, which fn reads. */
#define READ_OBJECT(reader, object, list, fn, release)                                          \
	({                                                                                      \
		struct kube_objects *_objects = &(reader)->objects;                             \
		struct tree *_tree = (reader)->tree;                                            \
		unsigned _before = tree_problems(_tree);                                        \
		__typeof__(*_objects->list) _item = { 0 };                                      \
		bool _useful = fn(_tree, object, &_item);                                       \
		_objects->list =                                                                \
			yaml_grow(_tree, _objects->list, _objects->n_##list, 1, sizeof(_item)); \
		if (_useful && tree_problems(_tree) == _before && !_tree->no_memory)            \
			_objects->list[_objects->n_##list++] = _item;                           \
		else                                                                            \
			release(&_item);                                                        \
	})

static void read_service(struct reader *reader, const struct kind *kind, yaml_node_t *object)
{
	(void)kind;
	READ_OBJECT(reader, object, services, manifest_service, kube_service_release);
}

static void read_slice(struct reader *reader, const struct kind *kind, yaml_node_t *object)
{
	(void)kind;
	READ_OBJECT(reader, object, slices, manifest_slice, kube_slice_release);
}

static void read_node(struct reader *reader, const struct kind *kind, yaml_node_t *object)
{
	(void)kind;
	READ_OBJECT(reader, object, nodes, manifest_node, kube_node_release);
}

/* ---- policies -------------------------------------------------------------------- */

/* Annotations of ours: one with a typo would enforce what was to be tried. */
/* A typo in a stored one does not keep the policy from being enforced. */
static void read_annotations(struct tree *tree, const yaml_node_t *node,
			     struct model_policy *policy)
{
	static const struct tree_word modes[] = { { "enforce", false },
						  { "shadow", true },
						  { NULL } };
	unsigned before = tree_problems(tree);

	if (!node)
		return;
	if (node->type != YAML_MAPPING_NODE) {
		tree_expected(tree, node, "a mapping (annotations)");
		return;
	}
	for (size_t i = 0; i < tree_pairs(node); i++) {
		yaml_node_t *key, *value;
		const char *name;

		tree_pair(tree, node, i, &key, &value);
		name = tree_text(tree, key, "an annotation");
		if (!name || strncmp(name, ANNOTATION, strlen(ANNOTATION)))
			continue;
		if (!strcmp(name, ANNOTATION "mode"))
			policy->shadow = tree_word(tree, value, modes, false);
		else
			tree_expected(tree, key, ANNOTATION "mode, the only annotation of ours");
	}
	tree_forgive(tree, before);
}

static bool read_policy_object(struct tree *tree, const struct kind *kind,
			       const yaml_node_t *object, struct model_policy *ret)
{
	static const struct tree_key keys[] = {
		{ "apiVersion" }, { "kind" }, { "metadata" }, { "spec" }, { "status" }, { NULL },
	};
	const yaml_node_t *metadata;

	ret->place = tree_place(tree, object);
	if (!tree_mapping(tree, object, kind->name, keys))
		return false;
	metadata = manifest_need(tree, object, kind->name, "metadata");
	if (metadata) {
		ret->name = manifest_read_name(tree, metadata);
		read_annotations(tree, manifest_get(tree, metadata, "annotations"), ret);
	}
	kind->policy(tree, object, ret);
	return true;
}

static void read_policy(struct reader *reader, const struct kind *kind, yaml_node_t *object)
{
	struct model_policy policy = { 0 };
	unsigned before = tree_problems(reader->tree);

	if (!YAML_RESERVE(reader, policies, 1))
		return;
	if (read_policy_object(reader->tree, kind, object, &policy))
		YAML_KEEP(reader, policies, policy, tree_problems(reader->tree) == before);
}

/* ---- kinds ----------------------------------------------------------------------- */

static void read_list(struct reader *reader, const struct kind *kind, yaml_node_t *object)
{
	yaml_node_t *items = manifest_get(reader->tree, object, "items");
	size_t n = manifest_count(reader->tree, items, "items");

	(void)kind;
	for (size_t i = 0; i < n; i++)
		manifest_read(reader, tree_item(reader->tree, items, i));
}

static const struct kind kinds[] = {
	{ "List", { "v1" }, .read = read_list },
	{ "Namespace", { "v1" }, .read = read_namespace },
	{ "Pod", { "v1" }, .read = read_pod },
	{ "NetworkPolicy",
	  { "networking.k8s.io/v1" },
	  .read = read_policy,
	  .policy = manifest_network_policy },
	{ "ClusterNetworkPolicy",
	  { POLICY_API "v1alpha2", POLICY_API "v1beta1" },
	  .read = read_policy,
	  .policy = manifest_cluster_policy },
	{ "AdminNetworkPolicy",
	  { POLICY_API "v1alpha1" },
	  .read = read_policy,
	  .policy = manifest_admin_policy },
	{ "BaselineAdminNetworkPolicy",
	  { POLICY_API "v1alpha1" },
	  .read = read_policy,
	  .policy = manifest_baseline_policy },
	{ "Service", { "v1" }, .read = read_service },
	{ "EndpointSlice", { "discovery.k8s.io/v1" }, .read = read_slice },
	{ "Node", { "v1" }, .read = read_node },
};

static const struct kind *find_kind(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	return NULL;
}

bool manifest_policy(struct tree *tree, const yaml_node_t *object, const char *kind,
		     struct model_policy *ret)
{
	return read_policy_object(tree, find_kind(kind), object, ret);
}

/* Other groups have kinds of the same names. */
static bool check_version(struct tree *tree, const yaml_node_t *object, const struct kind *kind)
{
	const yaml_node_t *node = manifest_need(tree, object, kind->name, "apiVersion");
	const char *version = tree_text(tree, node, "an API's version");
	const char *const *known = kind->versions;

	if (!version)
		return false;
	if (!strcmp(version, known[0]) || (known[1] && !strcmp(version, known[1])))
		return true;
	tree_expected(tree, node, "%s%s%s for kind %s", known[0], known[1] ? " or " : "",
		      known[1] ?: "", kind->name);
	return false;
}

bool manifest_is(struct tree *tree, const yaml_node_t *root)
{
	return tree_get(tree, root, "apiVersion") || tree_get(tree, root, "kind");
}

void manifest_read(struct reader *reader, yaml_node_t *root)
{
	struct tree *tree = reader->tree;
	const struct kind *kind;
	const yaml_node_t *node;
	char found[TREE_QUOTE_MAX];
	const char *name;

	if (root->type != YAML_MAPPING_NODE) {
		tree_expected(tree, root, "a mapping (a manifest)");
		return;
	}
	node = manifest_need(tree, root, "a manifest", "kind");
	name = tree_text(tree, node, "a kind");
	if (!name)
		return;
	kind = find_kind(name);
	if (!kind)
		tree_complain(tree, node, "kind %s is not used by Sidestep",
			      tree_quote(node, found));
	else if (check_version(tree, root, kind))
		kind->read(reader, kind, root);
}
