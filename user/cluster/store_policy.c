/* SPDX-License-Identifier: Apache-2.0 */
/* What policies are compiled of. Files may have brought some of it: the model is not empty. */
#include <errno.h>
#include <string.h>

#include "cluster/store_internal.h"
#include "core/cleanup.h"
#include "core/seen.h"
#include "core/text.h"

/* Room for one more of a list of the model. */
#define GROW(model, list)                                                         \
	({                                                                        \
		void *_grown = reallocarray((model)->list, (model)->n_##list + 1, \
					    sizeof(*(model)->list));              \
		if (_grown)                                                       \
			(model)->list = _grown;                                   \
		_grown != NULL;                                                   \
	})

static int add_namespaces(const struct store *store, struct model *model)
{
	struct store_entry *entry, *next;

	HASH_ITER (hh, store->entries[STORE_NAMESPACES], entry, next) {
		struct pack pack = { .from = entry->packed };

		if (!entry->packed)
			continue;
		if (!GROW(model, namespaces))
			return -ENOMEM;
		model->namespaces[model->n_namespaces] = (struct model_namespace){ 0 };
		pack_namespace(&pack, &model->namespaces[model->n_namespaces++]);
		if (pack.no_memory)
			return -ENOMEM;
	}
	return 0;
}

static int add_policies(const struct store *store, enum store_kind kind, struct model *model)
{
	struct store_entry *entry, *next;

	HASH_ITER (hh, store->entries[kind], entry, next) {
		struct pack pack = { .from = entry->packed };

		if (!entry->packed)
			continue;
		if (!GROW(model, policies))
			return -ENOMEM;
		model->policies[model->n_policies] = (struct model_policy){ 0 };
		pack_policy(&pack, &model->policies[model->n_policies++]);
		if (pack.no_memory)
			return -ENOMEM;
	}
	return 0;
}

/* ---- pods ---------------------------------------------------------------------------- */

static int read_pods(const struct store *store, struct kube_pod **ret, size_t *n)
{
	struct store_entry *entry, *next;

	*ret = calloc(HASH_COUNT(store->entries[STORE_PODS]) + 1, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	HASH_ITER (hh, store->entries[STORE_PODS], entry, next) {
		struct pack pack = { .from = entry->packed };

		if (!entry->packed)
			continue;
		pack_pod(&pack, &(*ret)[(*n)++]);
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

	return order ? order : strcmp(y->uid ?: "", x->uid ?: "");
}

/* For a moment an address may be that of a pod that has ended, too. */
static int drop_reused(struct store *store, struct kube_pod *pod, struct seen *seen)
{
	size_t kept = 0;

	for (size_t i = 0; i < pod->n_addresses; i++) {
		struct seen_first first;
		int r = seen_add(seen, &pod->addresses[i].address, sizeof(struct sst_addr),
				 (struct seen_first){ 0 }, &first);

		if (r == -ENOMEM)
			return r;
		store->figures.reused += r == -EEXIST;
		if (!r)
			pod->addresses[kept++] = pod->addresses[i];
	}
	pod->n_addresses = kept;
	return 0;
}

static int add_pod(struct store *store, const struct kube_pods_here *here, struct kube_pod *pod,
		   struct seen *seen, struct model *model)
{
	int r = pod->host_network ? 0 : drop_reused(store, pod, seen);

	if (r)
		return r;
	r = kube_pod_workload(pod, here, &model->workloads[model->n_workloads]);
	model->n_workloads += !r;
	return r == -ENOENT ? 0 : r;
}

static int add_sorted(struct store *store, struct kube_pod *pods, size_t n, struct model *model)
{
	struct kube_pods_here here = {
		.node = store->options.node ?: store->options.host->name,
		.root = store->pods_root,
		.systemd = store->pods_systemd,
	};
	_cleanup_seen_ struct seen seen = { 0 };
	struct model_workload *grown =
		reallocarray(model->workloads, model->n_workloads + n + 1, sizeof(*grown));
	int r = 0;

	if (!grown)
		return -ENOMEM;
	model->workloads = grown;
	qsort(pods, n, sizeof(*pods), compare_pods);
	store->figures.reused = 0;
	for (size_t i = 0; !r && i < n; i++)
		r = add_pod(store, &here, &pods[i], &seen, model);
	return r;
}

static int add_pods(struct store *store, struct model *model)
{
	struct kube_pod *pods = NULL;
	size_t n = 0;
	int r = read_pods(store, &pods, &n);

	if (!r)
		r = add_sorted(store, pods, n, model);
	for (size_t i = 0; i < n; i++)
		kube_pod_release(&pods[i]);
	free(pods);
	return r;
}

int store_add_policy(struct store *store, struct model *model)
{
	int r = add_namespaces(store, model);

	if (!r)
		r = add_pods(store, model);
	for (int kind = STORE_NETWORK_POLICIES; !r && kind < STORE_KINDS; kind++)
		r = add_policies(store, kind, model);
	return r ? r : model_complete_namespaces(model);
}
