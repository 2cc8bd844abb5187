/* SPDX-License-Identifier: Apache-2.0 */
/* Objects as they come and go, of all kinds. */
#include "cluster/store.h"

#include <errno.h>
#include <string.h>

#include "cluster/json_tree.h"
#include "cluster/store_internal.h"
#include "core/cleanup.h"
#include "core/text.h"
#include "source/manifest.h"

struct kind {
	const char *name;
	bool cluster; /* in no namespace */
	const struct json_keep *keep;
	/* Writes what is kept of an object. False: it is of no use, or tells of problems. */
	bool (*read)(struct tree *tree, const struct kind *kind, struct pack *pack);
	int (*change)(struct store *store, struct store_entry *entry, const struct packed *packed,
		      struct problems *problems);
};

/* ---- what is looked at of an object ----------------------------------------------------- */

static const struct json_keep keep_pod_annotations[] = {
	{ "kubernetes.io/config.hash" },
	{ "kubernetes.io/config.mirror" },
	{ NULL },
};

static const struct json_keep keep_metadata[] = {
	{ "name" },
	{ "namespace" },
	{ "labels" },
	{ NULL },
};

static const struct json_keep keep_pod_metadata[] = {
	{ "name" }, { "namespace" },         { "labels" },
	{ "uid" },  { "creationTimestamp" }, { "annotations", keep_pod_annotations },
	{ NULL },
};

static const struct json_keep keep_policy_metadata[] = {
	{ "name" },
	{ "namespace" },
	{ "annotations" },
	{ NULL },
};

static const struct json_keep keep_service_status[] = { { "loadBalancer" }, { NULL } };
static const struct json_keep keep_service[] = {
	{ "metadata", keep_metadata },
	{ "spec" },
	{ "status", keep_service_status },
	{ NULL },
};

static const struct json_keep keep_endpoint[] = {
	{ "addresses" }, { "conditions" }, { "nodeName" }, { "zone" }, { "hints" }, { NULL },
};
static const struct json_keep keep_slice[] = {
	{ "metadata", keep_metadata },  { "addressType" }, { "ports" },
	{ "endpoints", keep_endpoint }, { NULL },
};

static const struct json_keep keep_container[] = { { "ports" }, { "restartPolicy" }, { NULL } };
static const struct json_keep keep_pod_spec[] = {
	{ "nodeName" },
	{ "hostNetwork" },
	{ "containers", keep_container },
	{ "initContainers", keep_container },
	{ NULL },
};
static const struct json_keep keep_pod_status[] = {
	{ "phase" }, { "podIP" }, { "podIPs" }, { "qosClass" }, { NULL },
};
static const struct json_keep keep_pod[] = {
	{ "metadata", keep_pod_metadata },
	{ "spec", keep_pod_spec },
	{ "status", keep_pod_status },
	{ NULL },
};

static const struct json_keep keep_namespace[] = { { "metadata", keep_metadata }, { NULL } };

static const struct json_keep keep_node_status[] = { { "addresses" }, { NULL } };
static const struct json_keep keep_node[] = {
	{ "metadata", keep_metadata },
	{ "status", keep_node_status },
	{ NULL },
};

/* In spec everything: what is not known there must not be overlooked. */
static const struct json_keep keep_policy[] = {
	{ "metadata", keep_policy_metadata },
	{ "spec" },
	{ NULL },
};

/* ---- reading ---------------------------------------------------------------------------- */

/* Reads an object of a type by fn, and writes it once it has been checked. */
#define READ(tree, pack, type, fn, release, check, write)                      \
	({                                                                     \
		__attribute__((cleanup(release))) struct type _object = { 0 }; \
		bool _useful = fn(tree, tree_root(tree), &_object);            \
		if (_useful && !tree_problems(tree) && !(tree)->no_memory) {   \
			check(tree, &_object);                                 \
			write(pack, &_object);                                 \
		}                                                              \
		_useful;                                                       \
	})

static bool read_service(struct tree *tree, const struct kind *kind, struct pack *pack)
{
	(void)kind;
	return READ(tree, pack, kube_service, manifest_service, kube_service_release,
		    store_check_service, pack_service);
}

static bool read_slice(struct tree *tree, const struct kind *kind, struct pack *pack)
{
	(void)kind;
	return READ(tree, pack, kube_slice, manifest_slice, kube_slice_release, store_check_slice,
		    pack_slice);
}

static bool read_node(struct tree *tree, const struct kind *kind, struct pack *pack)
{
	(void)kind;
	return READ(tree, pack, kube_node, manifest_node, kube_node_release, store_check_node,
		    pack_node);
}

static bool read_pod(struct tree *tree, const struct kind *kind, struct pack *pack)
{
	(void)kind;
	return READ(tree, pack, kube_pod, manifest_pod, kube_pod_release, store_check_pod,
		    pack_pod);
}

static bool read_namespace(struct tree *tree, const struct kind *kind, struct pack *pack)
{
	(void)kind;
	return READ(tree, pack, model_namespace, manifest_namespace, model_namespace_release,
		    store_check_namespace, pack_namespace);
}

static bool read_policy(struct tree *tree, const struct kind *kind, struct pack *pack)
{
	_cleanup_(model_policy_release) struct model_policy policy = { 0 };

	if (!manifest_policy(tree, tree_root(tree), kind->name, &policy) || tree_problems(tree) ||
	    tree->no_memory)
		return false;
	store_check_policy(tree, &policy);
	pack_policy(pack, &policy);
	return true;
}

/* Whatever policies depend on is compiled as a whole. */
static int change_policy(struct store *store, struct store_entry *entry,
			 const struct packed *packed, struct problems *problems)
{
	(void)entry;
	(void)packed;
	(void)problems;
	store->policy_changed = true;
	return 0;
}

static const struct kind kinds[STORE_KINDS] = {
	[STORE_SERVICES] = { "Service", false, keep_service, read_service, store_change_service },
	[STORE_SLICES] = { "EndpointSlice", false, keep_slice, read_slice, store_change_slice },
	[STORE_PODS] = { "Pod", false, keep_pod, read_pod, change_policy },
	[STORE_NAMESPACES] = { "Namespace", true, keep_namespace, read_namespace, change_policy },
	[STORE_NODES] = { "Node", true, keep_node, read_node, store_change_node },
	[STORE_NETWORK_POLICIES] = { "NetworkPolicy", false, keep_policy, read_policy,
				     change_policy },
	[STORE_CLUSTER_POLICIES] = { "ClusterNetworkPolicy", true, keep_policy, read_policy,
				     change_policy },
	[STORE_ADMIN_POLICIES] = { "AdminNetworkPolicy", true, keep_policy, read_policy,
				   change_policy },
	[STORE_BASELINE_POLICIES] = { "BaselineAdminNetworkPolicy", true, keep_policy, read_policy,
				      change_policy },
};

/* What an object says as it is now. */
struct reading {
	struct packed *packed; /* NULL: it is of no use, or not understood */
	bool understood;       /* all but what readers have forgiven */
	struct problems problems;
};

static void reading_release(struct reading *reading)
{
	free(reading->packed);
	problems_release(&reading->problems);
}

static int read_tree(struct tree *tree, const struct kind *kind, struct reading *ret)
{
	struct pack pack = { 0 };
	bool useful = kind->read(tree, kind, &pack);
	struct packed *packed = pack_finish(&pack);

	if (tree->no_memory || !packed) {
		free(packed);
		return -ENOMEM;
	}
	ret->understood = !tree_problems(tree);
	if (useful && ret->understood)
		ret->packed = packed;
	else
		free(packed);
	return 0;
}

static int read_object(const struct kind *kind, const char *source, json_t *object,
		       struct reading *ret)
{
	_cleanup_tree_ struct tree tree = { .source = source, .problems = &ret->problems };
	int r = json_tree_load(&tree, object, kind->keep);

	if (!r)
		r = read_tree(&tree, kind, ret);
	return r == -EINVAL ? 0 : r;
}

/* ---- entries ---------------------------------------------------------------------------- */

static const char *text_of(json_t *object, const char *key)
{
	return json_string_value(json_object_get(json_object_get(object, "metadata"), key)) ?: "";
}

/* "namespace/name", or the name of what is in none. */
static int make_key(const struct kind *kind, json_t *object, struct text *ret)
{
	const char *name_space = text_of(object, "namespace");

	if (!kind->cluster)
		text_add(ret, "%s/", *name_space ? name_space : MODEL_DEFAULT_NAMESPACE);
	text_add(ret, "%s", text_of(object, "name"));
	return ret->error;
}

static struct store_entry *find_entry(const struct store *store, enum store_kind kind,
				      const struct text *key)
{
	struct store_entry *entry;

	HASH_FIND(hh, store->entries[kind], key->data, key->length, entry);
	return entry;
}

static struct store_entry *need_entry(struct store *store, enum store_kind kind,
				      const struct text *key)
{
	struct store_entry *entry = find_entry(store, kind, key);

	if (entry)
		return entry;
	entry = calloc(1, sizeof(*entry) + key->length + 1);
	if (!entry)
		return NULL;
	memcpy(entry->key, key->data, key->length);
	HASH_ADD_KEYPTR(hh, store->entries[kind], entry->key, key->length, entry);
	if (!entry->hh.tbl) {
		free(entry);
		return NULL;
	}
	return entry;
}

static void drop_entry(struct store *store, enum store_kind kind, struct store_entry *entry)
{
	HASH_DEL(store->entries[kind], entry);
	store->figures.skipped[kind] -= entry->skipped;
	store->figures.objects[kind] -= entry->packed != NULL;
	free(entry->packed);
	free(entry);
}

/* Takes packed. */
static int replace(struct store *store, enum store_kind kind, struct store_entry *entry,
		   struct packed **packed, struct problems *problems)
{
	int r;

	if (packed_equal(entry->packed, *packed))
		return 0;
	r = kinds[kind].change(store, entry, *packed, problems);
	if (r)
		return r;
	store->figures.objects[kind] += (*packed != NULL) - (entry->packed != NULL);
	free(entry->packed);
	entry->packed = TAKE_PTR(*packed);
	return 0;
}

/* ---- telling ---------------------------------------------------------------------------- */

static const char *consequence(const struct store_entry *entry, const struct reading *reading)
{
	if (reading->understood)
		return "this part of it is left out";
	return entry->packed ? "what it was before stays in force" : "it is skipped";
}

/* Once, until it is understood in full again. */
static void tell(struct store *store, enum store_kind kind, struct store_entry *entry,
		 const char *source, const struct reading *reading, struct problems *problems)
{
	const struct problems *found = &reading->problems;
	bool skipped = found->count + found->more;

	if (skipped && !entry->skipped)
		problems_warn(problems, source, (struct place){ 0 }, "%s (%s)",
			      found->count ? found->text[0] + found->parts[0].message
					   : "not understood",
			      consequence(entry, reading));
	store->figures.skipped[kind] += skipped - entry->skipped;
	entry->skipped = skipped;
}

/* ---- what comes --------------------------------------------------------------------------- */

static int put(struct store *store, enum store_kind kind, const struct text *key,
	       const char *source, struct reading *reading, struct problems *problems)
{
	bool known = find_entry(store, kind, key);
	struct store_entry *entry = need_entry(store, kind, key);
	int r = 0;

	if (!entry)
		return -ENOMEM;
	if (reading->understood)
		r = replace(store, kind, entry, &reading->packed, problems);
	if (r && !known)
		drop_entry(store, kind, entry);
	if (r)
		return r;
	tell(store, kind, entry, source, reading, problems);
	entry->list = store->lists[kind];
	return 0;
}

int store_put(struct store *store, enum store_kind kind, json_t *object, struct problems *problems)
{
	_cleanup_(reading_release) struct reading reading = { 0 };
	_cleanup_text_ struct text source = { 0 };
	_cleanup_text_ struct text key = { 0 };
	int r = make_key(&kinds[kind], object, &key);

	text_add(&source, "%s %s", kinds[kind].name, text_string(&key));
	if (!r)
		r = source.error;
	if (!r)
		r = read_object(&kinds[kind], source.data, object, &reading);
	return r ? r : put(store, kind, &key, source.data, &reading, problems);
}

/* Of nothing that is there no longer there is anything to tell. */
static int remove_entry(struct store *store, enum store_kind kind, struct store_entry *entry)
{
	_cleanup_problems_ struct problems unused = { 0 };
	struct packed *none = NULL;
	int r = replace(store, kind, entry, &none, &unused);

	if (!r)
		drop_entry(store, kind, entry);
	return r;
}

int store_gone(struct store *store, enum store_kind kind, json_t *object)
{
	_cleanup_text_ struct text key = { 0 };
	struct store_entry *entry;
	int r = make_key(&kinds[kind], object, &key);

	if (r)
		return r;
	entry = find_entry(store, kind, &key);
	return entry ? remove_entry(store, kind, entry) : 0;
}

void store_begin(struct store *store, enum store_kind kind)
{
	store->lists[kind]++;
}

int store_end(struct store *store, enum store_kind kind)
{
	struct store_entry *entry, *next;
	int r = 0;

	HASH_ITER (hh, store->entries[kind], entry, next)
		if (!r && entry->list != store->lists[kind])
			r = remove_entry(store, kind, entry);
	return r;
}

/* ---- the whole ---------------------------------------------------------------------------- */

int store_open(const struct store_options *options, struct store **ret)
{
	_cleanup_free_ struct store *store = calloc(1, sizeof(*store));

	if (!store)
		return -ENOMEM;
	store->files = calloc(1, sizeof(*store->files) + 1);
	if (!store->files)
		return -ENOMEM;
	store->options = *options;
	*ret = TAKE_PTR(store);
	return 0;
}

void store_close(struct store *store)
{
	struct store_entry *entry, *next;

	if (!store)
		return;
	for (int kind = 0; kind < STORE_KINDS; kind++)
		HASH_ITER (hh, store->entries[kind], entry, next)
			drop_entry(store, kind, entry);
	store_release_services(store);
	kube_node_release(&store->own);
	free(store->pods_root);
	free(store);
}

static unsigned count_levels(const char *path)
{
	unsigned n = 0;

	for (; *path; path++)
		n += *path == '/';
	return n;
}

int store_set_pods(struct store *store, const char *root, bool systemd)
{
	char *copy;

	if (count_levels(root) + KUBE_POD_LEVELS > SST_PATH_LEVELS)
		return -EINVAL;
	copy = strdup(root);
	if (!copy)
		return -ENOMEM;
	free(store->pods_root);
	store->pods_root = copy;
	store->pods_systemd = systemd;
	store->policy_changed = true;
	return 0;
}

void store_figures(const struct store *store, struct store_figures *ret)
{
	*ret = store->figures;
	ret->has_node = store->own.name;
}
