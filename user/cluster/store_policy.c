/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What policies are compiled of. The model may hold what files have brought: that goes first, so
 * that whatever is in the cluster the whole is a valid model.
 */
#include <errno.h>
#include <string.h>

#include "cluster/store_internal.h"
#include "core/cleanup.h"
#include "core/seen.h"
#include "core/text.h"

/* What may be there once only, as model_validate() says. */
struct taken {
	struct seen prefixes;
	struct seen cgroups;
	struct seen workloads;
	struct seen policies;
};

static void taken_release(struct taken *taken)
{
	seen_release(&taken->prefixes);
	seen_release(&taken->cgroups);
	seen_release(&taken->workloads);
	seen_release(&taken->policies);
}

/* 0; -EEXIST: it is taken; -ENOMEM. */
static int take(struct seen *seen, const void *key, size_t size)
{
	struct seen_first first;

	return seen_add(seen, key, size, (struct seen_first){ 0 }, &first);
}

static int take_text(struct seen *seen, const char *text)
{
	return text ? take(seen, text, strlen(text)) : 0;
}

struct prefix {
	struct sst_addr address;
	uint8_t bits;
} __attribute__((packed));

static int take_prefix(struct taken *taken, const struct model_cidr *cidr)
{
	struct prefix prefix = { cidr->address, cidr->bits };

	return take(&taken->prefixes, &prefix, sizeof(prefix));
}

static void add_workload_key(struct text *key, const char *name_space, const char *name)
{
	text_add(key, "%s %s", name_space, name);
}

static int take_workload(struct taken *taken, const char *name_space, const char *name)
{
	_cleanup_text_ struct text key = { 0 };

	add_workload_key(&key, name_space, name);
	return key.error ? key.error : take_text(&taken->workloads, key.data);
}

static int take_policy(struct taken *taken, const struct model_policy *policy)
{
	_cleanup_text_ struct text key = { 0 };

	text_add(&key, "%d %s %s", policy->tier, policy->name_space, policy->name);
	return key.error ? key.error : take_text(&taken->policies, key.data);
}

/* Only memory is of interest where files have said something twice: validation tells. */
#define SEED(r, call) ((r) == -ENOMEM ? (r) : (call))

static int take_files_workload(struct taken *taken, const struct model_workload *workload)
{
	int r = take_workload(taken, workload->name_space, workload->name);

	r = SEED(r, take_text(&taken->cgroups, workload->cgroup));
	for (size_t i = 0; i < workload->n_addresses; i++)
		r = SEED(r, take_prefix(taken, &workload->addresses[i]));
	return r;
}

static int take_files(struct taken *taken, const struct model *model)
{
	const struct model_policy_settings *settings = &model->node.policy;
	int r = take_text(&taken->cgroups, settings->probes_cgroup);

	for (size_t i = 0; i < settings->n_nodes; i++)
		r = SEED(r, take_prefix(taken, &settings->nodes[i]));
	for (size_t i = 0; i < model->n_workloads; i++)
		r = SEED(r, take_files_workload(taken, &model->workloads[i]));
	for (size_t i = 0; i < model->n_policies; i++)
		r = SEED(r, take_policy(taken, &model->policies[i]));
	return r == -ENOMEM ? r : 0;
}

/* ---- lists ----------------------------------------------------------------------------- */

/* Room for so many more in a list of the model; false without memory. */
#define RESERVE(owner, list, more)                                                         \
	({                                                                                 \
		void *_grown = reallocarray((owner)->list, (owner)->n_##list + (more) + 1, \
					    sizeof(*(owner)->list));                       \
		if (_grown)                                                                \
			(owner)->list = _grown;                                            \
		_grown != NULL;                                                            \
	})

static size_t count(const struct store *store, enum store_kind kind)
{
	return HASH_COUNT(store->entries[kind]);
}

/* Each object of a kind of which something is kept. */
#define FOR_EACH(store, kind, entry, next)                  \
	HASH_ITER (hh, (store)->entries[kind], entry, next) \
		if (entry->packed)

/* ---- namespaces -------------------------------------------------------------------------- */

static struct model_namespace *find_namespace(struct model *model, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(model->namespaces[i].name, name))
			return &model->namespaces[i];
	return NULL;
}

/* What is in force in the cluster is said there. */
static int add_namespaces(const struct store *store, struct model *model)
{
	size_t n_before = model->n_namespaces;
	struct store_entry *entry, *next;

	if (!RESERVE(model, namespaces, count(store, STORE_NAMESPACES)))
		return -ENOMEM;
	FOR_EACH(store, STORE_NAMESPACES, entry, next)
	{
		struct model_namespace *known = find_namespace(model, n_before, entry->key);
		struct pack pack = { .from = entry->packed };
		struct model_namespace namespace = { 0 };

		pack_namespace(&pack, &namespace);
		if (pack.no_memory) {
			model_namespace_release(&namespace);
			return -ENOMEM;
		}
		if (known)
			model_namespace_release(known);
		*(known ?: &model->namespaces[model->n_namespaces++]) = namespace;
	}
	return 0;
}

/* ---- nodes ------------------------------------------------------------------------------- */

static int add_node(struct taken *taken, const struct kube_node *node,
		    struct model_policy_settings *settings)
{
	if (!RESERVE(settings, nodes, node->n_addresses))
		return -ENOMEM;
	for (size_t i = 0; i < node->n_addresses; i++) {
		struct model_cidr cidr = { .address = node->addresses[i], .bits = 128 };
		int r = take_prefix(taken, &cidr);

		if (r == -ENOMEM)
			return r;
		if (!r)
			settings->nodes[settings->n_nodes++] = cidr;
	}
	return 0;
}

/* The others are who policies call nodes. */
static int add_nodes(const struct store *store, struct taken *taken, struct model *model)
{
	const char *own = store_node(store);
	struct store_entry *entry, *next;
	int r = 0;

	FOR_EACH(store, STORE_NODES, entry, next)
	{
		_cleanup_(kube_node_release) struct kube_node node = { 0 };
		struct pack pack = { .from = entry->packed };

		if (own && !strcmp(entry->key, own))
			continue;
		pack_node(&pack, &node);
		r = pack.no_memory ? -ENOMEM : add_node(taken, &node, &model->node.policy);
		if (r)
			return r;
	}
	return 0;
}

/* ---- pods ---------------------------------------------------------------------------------- */

struct pods {
	struct kube_pod *items;
	size_t n;
};

static void pods_release(struct pods *pods)
{
	for (size_t i = 0; i < pods->n; i++)
		kube_pod_release(&pods->items[i]);
	free(pods->items);
}

static int read_pods(const struct store *store, struct pods *ret)
{
	struct store_entry *entry, *next;

	ret->items = calloc(count(store, STORE_PODS) + 1, sizeof(*ret->items));
	if (!ret->items)
		return -ENOMEM;
	FOR_EACH(store, STORE_PODS, entry, next)
	{
		struct pack pack = { .from = entry->packed };

		pack_pod(&pack, &ret->items[ret->n++]);
		if (pack.no_memory)
			return -ENOMEM;
	}
	return 0;
}

/* The newer one first. */
static int compare_pods(const void *a, const void *b)
{
	const struct kube_pod *x = a, *y = b;
	int order = strcmp(y->created ?: "", x->created ?: "");

	if (!order)
		order = strcmp(y->uid ?: "", x->uid ?: "");
	if (!order)
		order = strcmp(y->name_space, x->name_space);
	return order ? order : strcmp(y->name, x->name);
}

/*
 * A UID is the server's, what stands for it in a stand-in may be anybody's word. So these come
 * behind, and of two of them the older one has it.
 */
static int settle_uids(struct store *store, struct pods *pods)
{
	_cleanup_seen_ struct seen seen = { 0 };

	for (int mirror = 0; mirror <= 1; mirror++)
		for (size_t i = pods->n; i-- > 0;) {
			struct kube_pod *pod = &pods->items[i];
			int r = pod->mirror == mirror ? take_text(&seen, pod->uid) : 0;

			if (r == -ENOMEM)
				return r;
			if (r != -EEXIST)
				continue;
			store->figures.reused++;
			free(TAKE_PTR(pod->uid));
		}
	return 0;
}

/* For a moment an address may also be that of a pod that has ended. */
static int settle_addresses(struct store *store, struct taken *taken, struct kube_pod *pod)
{
	size_t kept = 0;

	for (size_t i = 0; !pod->host_network && i < pod->n_addresses; i++) {
		struct model_cidr cidr = { .address = pod->addresses[i].address, .bits = 128 };
		int r = take_prefix(taken, &cidr);

		if (r == -ENOMEM)
			return r;
		store->figures.reused += r == -EEXIST;
		if (!r)
			pod->addresses[kept++] = pod->addresses[i];
	}
	pod->n_addresses = kept;
	return 0;
}

/* One that files speak of is what they say. Among themselves pods have nothing in common. */
static int is_taken(const struct taken *taken, const struct model_workload *made)
{
	_cleanup_text_ struct text key = { 0 };

	if (made->cgroup && seen_holds(&taken->cgroups, made->cgroup, strlen(made->cgroup)))
		return 1;
	if (!taken->workloads.n)
		return 0;
	add_workload_key(&key, made->name_space, made->name);
	return key.error ? key.error : seen_holds(&taken->workloads, key.data, key.length);
}

static int add_pod(struct store *store, const struct kube_pods_here *here, struct taken *taken,
		   struct kube_pod *pod, struct model *model)
{
	struct model_workload *made = &model->workloads[model->n_workloads];
	int r = settle_addresses(store, taken, pod);

	if (!r)
		r = kube_pod_workload(pod, here, made);
	if (r)
		return r == -ENOENT ? 0 : r;
	r = is_taken(taken, made);
	if (r) {
		store->figures.reused += r > 0;
		model_workload_release(made);
		return r < 0 ? r : 0;
	}
	model->n_workloads++;
	return 0;
}

static int add_pods(struct store *store, struct taken *taken, struct model *model)
{
	const struct kube_pods_here here = {
		.node = store_node(store),
		.root = store->pods_root,
		.systemd = store->pods_systemd,
	};
	_cleanup_(pods_release) struct pods pods = { 0 };
	int r = read_pods(store, &pods);

	store->figures.reused = 0;
	if (r)
		return r;
	qsort(pods.items, pods.n, sizeof(*pods.items), compare_pods);
	r = settle_uids(store, &pods);
	if (!r && !RESERVE(model, workloads, pods.n))
		r = -ENOMEM;
	for (size_t i = 0; !r && i < pods.n; i++)
		r = add_pod(store, &here, taken, &pods.items[i], model);
	return r;
}

/* ---- policies ------------------------------------------------------------------------------ */

/* Behind what kind it is of: "adminnetworkpolicy/x", if another one of its tier is called "x". */
static int rename_policy(enum store_kind kind, struct model_policy *policy)
{
	static const char *const prefixes[STORE_KINDS] = {
		[STORE_NETWORK_POLICIES] = "networkpolicy",
		[STORE_CLUSTER_POLICIES] = "clusternetworkpolicy",
		[STORE_ADMIN_POLICIES] = "adminnetworkpolicy",
		[STORE_BASELINE_POLICIES] = "baselineadminnetworkpolicy",
	};
	char *name;

	if (asprintf(&name, "%s/%s", prefixes[kind], policy->name) < 0)
		return -ENOMEM;
	free(policy->name);
	policy->name = name;
	return 0;
}

static int settle_policy(struct taken *taken, enum store_kind kind, struct model_policy *policy)
{
	int r = take_policy(taken, policy);

	while (r == -EEXIST) {
		r = rename_policy(kind, policy);
		if (!r)
			r = take_policy(taken, policy);
	}
	return r;
}

static int add_policies(const struct store *store, struct taken *taken, enum store_kind kind,
			struct model *model)
{
	struct store_entry *entry, *next;
	int r;

	if (!RESERVE(model, policies, count(store, kind)))
		return -ENOMEM;
	FOR_EACH(store, kind, entry, next)
	{
		struct model_policy *policy = &model->policies[model->n_policies++];
		struct pack pack = { .from = entry->packed };

		*policy = (struct model_policy){ 0 };
		pack_policy(&pack, policy);
		r = pack.no_memory ? -ENOMEM : settle_policy(taken, kind, policy);
		if (r)
			return r;
	}
	return 0;
}

int store_add_policy(struct store *store, struct model *model)
{
	_cleanup_(taken_release) struct taken taken = { 0 };
	int r = take_files(&taken, model);

	if (!r)
		r = add_namespaces(store, model);
	if (!r)
		r = add_nodes(store, &taken, model);
	if (!r)
		r = add_pods(store, &taken, model);
	for (int kind = STORE_NETWORK_POLICIES; !r && kind < STORE_KINDS; kind++)
		r = add_policies(store, &taken, kind, model);
	return r ? r : model_complete_namespaces(model);
}
