/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/entries.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/array.h"

void entries_release(struct entries *entries)
{
	free(entries->keys);
	free(entries->values);
}

int map_info(int fd, struct bpf_map_info *info)
{
	__u32 size = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return bpf_obj_get_info_by_fd(fd, info, &size) ? -errno : 0;
}

static unsigned values_of(const struct bpf_map_info *info)
{
	return info->type == BPF_MAP_TYPE_PERCPU_HASH ? libbpf_num_possible_cpus() : 1;
}

int map_values(int fd)
{
	struct bpf_map_info info;

	return map_info(fd, &info) ?: (int)values_of(&info);
}

/* Read or written at once, in bytes: what a map holds for all CPUs may be large. */
#define BATCH_BYTES (256 << 10)

/* Room for a batch. */
struct batch {
	char *keys;
	char *values;
	size_t key_size;
	size_t value_size;
	__u32 room;
};

static void batch_release(struct batch *batch)
{
	free(batch->keys);
	free(batch->values);
}
#define _cleanup_batch_ __attribute__((cleanup(batch_release)))

static int batch_grow(struct batch *batch, __u32 room)
{
	batch_release(batch);
	batch->keys = calloc(room, batch->key_size);
	batch->values = calloc(room, batch->value_size);
	batch->room = room;
	return batch->keys && batch->values ? 0 : -ENOMEM;
}

static int batch_tell(const struct batch *batch, __u32 n, entry_fn fn, void *arg)
{
	int err = 0;

	for (__u32 i = 0; i < n && !err; i++)
		err = fn(batch->keys + i * batch->key_size, batch->values + i * batch->value_size,
			 arg);
	return err;
}

static int batch_make(int fd, struct batch *ret)
{
	struct bpf_map_info info;
	int err = map_info(fd, &info);

	if (err)
		return err;
	ret->key_size = info.key_size;
	ret->value_size = info.value_size;
	if (values_of(&info) > 1)
		ret->value_size = ((size_t)info.value_size + 7) / 8 * 8 * values_of(&info);
	return batch_grow(ret, BATCH_BYTES / (ret->key_size + ret->value_size) + 64);
}

/* A system call each; a batch that cannot hold a whole hash bucket says ENOSPC and is
 * tried larger. */
static int batches_read(int fd, struct batch *batch, entry_fn fn, void *arg)
{
	__u64 cursor[8] = {}; /* opaque; hash maps use 4 bytes, others a key */
	bool first = true, last = false;
	int err = 0;

	while (!last && !err) {
		__u32 n = batch->room;

		last = bpf_map_lookup_batch(fd, first ? NULL : cursor, cursor, batch->keys,
					    batch->values, &n, NULL);
		if (last && errno == ENOSPC) {
			last = false;
			err = batch_grow(batch, batch->room * 2);
			continue;
		}
		if (last && errno != ENOENT)
			return -errno;
		first = false;
		err = batch_tell(batch, n, fn, arg);
	}
	return err;
}

int entries_each(int fd, entry_fn fn, void *arg)
{
	_cleanup_batch_ struct batch batch = {};
	int err = batch_make(fd, &batch);

	return err ?: batches_read(fd, &batch, fn, arg);
}

/* Entries, and for how many there is room. */
struct gathering {
	struct entries *entries;
	size_t room_keys, room_values;
};

static int gather(const void *key, const void *value, void *arg)
{
	struct gathering *gathering = arg;
	struct entries *entries = gathering->entries;

	if (array_reserve((void **)&entries->keys, &gathering->room_keys, entries->n,
			  entries->key_size) ||
	    array_reserve((void **)&entries->values, &gathering->room_values, entries->n,
			  entries->value_size))
		return -ENOMEM;
	memcpy(entries->keys + entries->n * entries->key_size, key, entries->key_size);
	memcpy(entries->values + entries->n * entries->value_size, value, entries->value_size);
	entries->n++;
	return 0;
}

int entries_of_map(int fd, struct entries *ret)
{
	_cleanup_batch_ struct batch batch = {};
	struct gathering gathering = { ret };
	int err = batch_make(fd, &batch);

	if (err)
		return err;
	ret->key_size = batch.key_size;
	ret->value_size = batch.value_size;
	return batches_read(fd, &batch, gather, &gathering);
}

/* How long the kernel is waited for when it has no memory at hand, in milliseconds. */
#define MEMORY_MS 500

/* Elements of a map come out of what the kernel keeps ready, which it fills in the background:
 * thousands at once, each with its part for every CPU, may be faster than that. */
static int wait_for_memory(int error, unsigned waited)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	if (error != ENOMEM || waited >= MEMORY_MS)
		return -error;
	nanosleep(&pause, NULL);
	return 0;
}

int entry_put(int fd, const void *key, const void *value)
{
	int err = 0;

	for (unsigned i = 0; !err && bpf_map_update_elem(fd, key, value, BPF_ANY); i++)
		err = wait_for_memory(errno, i);
	return err;
}

/* The first n of the batch. */
static int batch_write(int fd, const struct batch *batch, __u32 n)
{
	unsigned waited = 0;
	__u32 done = 0;
	int err = 0;

	while (done < n && !err) {
		__u32 left = n - done, written = left;

		if (bpf_map_update_batch(fd, batch->keys + done * batch->key_size,
					 batch->values + done * batch->value_size, &written,
					 NULL)) {
			err = wait_for_memory(errno, waited++);
			/* kernels before 6.8 say nothing when they had no memory to begin with */
			written = written < left ? written : 0;
		}
		done += written;
	}
	return err;
}

int entries_put(int fd, size_t n, entry_fill_fn fill, void *arg)
{
	_cleanup_batch_ struct batch batch = {};
	int err = batch_make(fd, &batch);

	for (size_t done = 0; done < n && !err; done += batch.room) {
		__u32 some = n - done < batch.room ? n - done : batch.room;

		for (__u32 i = 0; i < some; i++)
			fill(done + i, batch.keys + i * batch.key_size,
			     batch.values + i * batch.value_size, arg);
		err = batch_write(fd, &batch, some);
	}
	return err;
}

int compare_ids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static uint32_t id_at(const char *things, size_t size, size_t i)
{
	return *(const uint32_t *)(things + i * size);
}

/* Ids are given one after the other, so the first guess is good; the middle is the second. */
void *find_by_id(void *things, size_t n, size_t size, uint32_t id)
{
	size_t from = 0, to = n;

	for (unsigned i = 0; from < to; i++) {
		uint32_t first = id_at(things, size, from), last = id_at(things, size, to - 1);
		size_t at = from + (to - from) / 2;

		if (id < first || id > last)
			return NULL;
		if (i % 2 == 0 && first < last)
			at = from + (uint64_t)(id - first) * (to - from - 1) / (last - first);
		if (id_at(things, size, at) == id)
			return (char *)things + at * size;
		if (id_at(things, size, at) < id)
			from = at + 1;
		else
			to = at;
	}
	return NULL;
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

void sum_values(const void *values, unsigned n, void *sum, size_t size)
{
	const __u64 *words = values;
	size_t n_words = size / sizeof(__u64);

	memset(sum, 0, size);
	for (; n; n--, words += n_words)
		for (size_t i = 0; i < n_words; i++)
			((__u64 *)sum)[i] += words[i];
}

void sum_cpus(const void *per_cpu, void *sum, size_t size)
{
	sum_values(per_cpu, libbpf_num_possible_cpus(), sum, size);
}
