/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/entries.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void entries_release(struct entries *entries)
{
	free(entries->keys);
	free(entries->values);
}

static int entries_grow(struct entries *entries, size_t room)
{
	char *keys = realloc(entries->keys, room * entries->key_size);
	char *values;

	if (!keys)
		return -ENOMEM;
	entries->keys = keys;
	values = realloc(entries->values, room * entries->value_size);
	if (!values)
		return -ENOMEM;
	entries->values = values;
	return 0;
}

int map_info(int fd, struct bpf_map_info *info)
{
	__u32 size = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return bpf_obj_get_info_by_fd(fd, info, &size) ? -errno : 0;
}

/* In batches of one system call each; a batch that cannot hold a whole hash bucket
 * says ENOSPC and is tried larger. */
static int entries_read(int fd, struct entries *entries)
{
	size_t room = 0, batch = 4096;
	__u64 cursor[8] = {}; /* opaque; hash maps use 4 bytes, others a key */
	bool first = true;

	for (;;) {
		__u32 n = batch;
		int err;

		if (room < entries->n + batch) {
			room = (entries->n + batch) * 2;
			err = entries_grow(entries, room);
			if (err)
				return err;
		}
		err = bpf_map_lookup_batch(fd, first ? NULL : cursor, cursor,
					   entries->keys + entries->n * entries->key_size,
					   entries->values + entries->n * entries->value_size, &n,
					   NULL);
		if (err && errno == ENOSPC) {
			batch *= 2;
			continue;
		}
		if (err && errno != ENOENT)
			return -errno;
		entries->n += n;
		first = false;
		if (err)
			return 0;
	}
}

int entries_of_map(int fd, struct entries *ret)
{
	struct bpf_map_info info;
	int err = map_info(fd, &info);

	if (err)
		return err;
	ret->key_size = info.key_size;
	ret->value_size = info.value_size;
	if (info.type == BPF_MAP_TYPE_PERCPU_HASH)
		ret->value_size =
			((size_t)info.value_size + 7) / 8 * 8 * libbpf_num_possible_cpus();
	return entries_read(fd, ret);
}

int compare_ids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

uint32_t *sorted_ids(const void *ids, size_t n)
{
	uint32_t *sorted = malloc((n + 1) * sizeof(*sorted));

	if (!sorted)
		return NULL;
	if (n)
		memcpy(sorted, ids, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), compare_ids);
	return sorted;
}

bool is_among(const uint32_t *sorted, size_t n, uint32_t id)
{
	return bsearch(&id, sorted, n, sizeof(*sorted), compare_ids);
}

void sum_cpus(const void *per_cpu, void *sum, size_t size)
{
	const __u64 *values = per_cpu;
	size_t words = size / sizeof(__u64);

	memset(sum, 0, size);
	for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++)
		for (size_t i = 0; i < words; i++)
			((__u64 *)sum)[i] += values[cpu * words + i];
}
