/* SPDX-License-Identifier: Apache-2.0 */
/* The hash table of what tells a workload besides addresses. */
#include "policy/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"

#define KEYS_MIN (SST_BLOCK_BYTES / sizeof(struct sst_policy_key))
#define KEYS_MAX (1U << 24)

struct key_list {
	struct sst_policy_key *items;
	size_t n;
	size_t size;
};

static int add_key(struct key_list *list, enum sst_key_kind kind, uint64_t key, uint32_t workload)
{
	int r = array_reserve((void **)&list->items, &list->size, list->n, sizeof(*list->items));

	if (!r)
		list->items[list->n++] = (struct sst_policy_key){ key, kind, workload };
	return r;
}

static struct place place_of(const struct compile *compile, uint32_t workload)
{
	const struct model_workload *model = compile->workloads[workload].model;

	return model ? model->place : (struct place){ 0 };
}

static const char *name_of(const struct compile *compile, uint32_t workload)
{
	return compile->text.data + compile->workloads[workload].value.name;
}

/* ---- cgroups ------------------------------------------------------------------------------- */

static int refuse_path(struct compile *compile, uint32_t workload, const char *path, int error)
{
	const char *name = name_of(compile, workload);
	struct place place = place_of(compile, workload);
	const char *source = compile->model->source;

	if (error == -ENAMETOOLONG)
		problems_add(compile->problems, source, place,
			     "cgroup '%s' of workload '%s' has a name of more than %d bytes", path,
			     name, POLICY_PATH_NAME_MAX);
	else if (error == -ELOOP)
		problems_add(compile->problems, source, place,
			     "cgroup '%s' of workload '%s' lies deeper than %d levels", path, name,
			     SST_PATH_LEVELS);
	else
		problems_add(compile->problems, source, place,
			     "cgroup '%s' of workload '%s' is the root, expected one below it",
			     path, name);
	return -EINVAL;
}

static int add_path(struct compile *compile, struct key_list *list, const char *path,
		    uint32_t workload)
{
	uint64_t hash;
	int r = policy_path_hash(compile->seed, path, &hash);

	if (r)
		return refuse_path(compile, workload, path, r);
	return add_key(list, SST_KEY_CGROUP_PATH, hash, workload);
}

static int list_keys(struct compile *compile, struct key_list *list)
{
	const char *probes = compile->model->node.policy.probes_cgroup;
	int r = 0;

	for (uint32_t i = 1; !r && i < compile->n_workloads; i++) {
		const struct model_workload *workload = compile->workloads[i].model;
		const char *path = workload ? workload->cgroup : probes;

		if (path)
			r = add_path(compile, list, path, i);
		if (!r && workload && workload->cgroup_id)
			r = add_key(list, SST_KEY_CGROUP_ID, workload->cgroup_id, i);
	}
	for (size_t i = 0; !r && i < compile->host->n_workloads; i++) {
		const struct policy_netns *netns = &compile->host->workloads[i];

		r = add_key(list, SST_KEY_NETNS, netns->cookie,
			    compile->workload_of[netns->workload]);
	}
	return r;
}

/* ---- the table ------------------------------------------------------------------------------ */

static int refuse_shared(struct compile *compile, uint32_t workload, uint32_t other,
			 enum sst_key_kind kind)
{
	problems_add(compile->problems, compile->model->source, place_of(compile, workload),
		     "the %s of workload '%s' is already that of workload '%s'",
		     kind == SST_KEY_NETNS ? "network namespace" : "cgroup",
		     name_of(compile, workload), name_of(compile, other));
	return -EINVAL;
}

/* -ENOSPC: it would not be found. */
static int insert(struct compile *compile, const struct sst_policy_key *key)
{
	uint32_t slot = (uint32_t)sst_policy_mix(key->key + key->kind);

	for (int i = 0; i < SST_KEY_PROBES; i++) {
		struct sst_policy_key *entry = &compile->keys[(slot + i) & (compile->n_keys - 1)];

		if (entry->kind == SST_KEY_NONE) {
			*entry = *key;
			return 0;
		}
		if (entry->kind == key->kind && entry->key == key->key)
			return refuse_shared(compile, key->workload, entry->workload, key->kind);
	}
	return -ENOSPC;
}

static int fill_table(struct compile *compile, const struct key_list *list, size_t n)
{
	int r = 0;

	free(compile->keys);
	compile->keys = calloc(n, sizeof(*compile->keys));
	compile->n_keys = n;
	if (!compile->keys)
		return -ENOMEM;
	for (size_t i = 0; !r && i < list->n; i++)
		r = insert(compile, &list->items[i]);
	return r;
}

int policy_make_keys(struct compile *compile)
{
	_cleanup_free_ struct sst_policy_key *items = NULL;
	struct key_list list = { 0 };
	size_t size = KEYS_MIN;
	int r = list_keys(compile, &list);

	items = list.items;
	if (r)
		return r;
	while ((r = fill_table(compile, &list, size)) == -ENOSPC && size < KEYS_MAX)
		size *= 2;
	return r == -ENOSPC ? policy_refuse_size(compile, "places for keys", 2 * size, KEYS_MAX)
			    : r;
}
