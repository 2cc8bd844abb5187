/* SPDX-License-Identifier: Apache-2.0 */
/* Maps read and written in batches. */
#ifndef SIDESTEP_DATAPATH_ENTRIES_H
#define SIDESTEP_DATAPATH_ENTRIES_H

#include "datapath/internal.h"

/* n keys beside n values. */
struct entries {
	char *keys;
	char *values;
	size_t key_size;
	size_t value_size; /* of all CPUs for a per-CPU map */
	size_t n;
};

void entries_release(struct entries *entries);
#define _cleanup_entries_ __attribute__((cleanup(entries_release)))

/* Of a hash map, each entry about once: what comes and goes meanwhile may be missing. */
int entries_of_map(int fd, struct entries *ret);

/* The same without keeping them. A failure of fn ends it and is returned. */
typedef int (*entry_fn)(const void *key, const void *value, void *arg);
int entries_each(int fd, entry_fn fn, void *arg);

/* Writes one. */
int entry_put(int fd, const void *key, const void *value);

/*
 * Writes n, one after the other. fill tells number i's key and value, which is 0 if it does not,
 * and of all CPUs for a per-CPU map. On failure some of the first are written.
 */
typedef void (*entry_fill_fn)(size_t i, void *key, void *value, void *arg);
int entries_put(int fd, size_t n, entry_fill_fn fill, void *arg);

static inline const void *entry_key(const struct entries *entries, size_t n)
{
	return entries->keys + n * entries->key_size;
}

static inline const void *entry_value(const struct entries *entries, size_t n)
{
	return entries->values + n * entries->value_size;
}

/* For qsort() and bsearch(), of what begins with an id. */
int compare_ids(const void *a, const void *b);

/* Of n things of this size, sorted by the id that each begins with. NULL: it is not there. */
void *find_by_id(void *things, size_t n, size_t size, uint32_t id);

/* Ids, sorted; NULL: no memory. To be freed. */
uint32_t *sorted_ids(const void *ids, size_t n);
bool is_among(const uint32_t *sorted, size_t n, uint32_t id);

/* Adds up all CPUs' values, which are of size bytes each: numbers of 64 bits. */
void sum_cpus(const void *per_cpu, void *sum, size_t size);

/* The same of n values. */
void sum_values(const void *values, unsigned n, void *sum, size_t size);

int map_info(int fd, struct bpf_map_info *info);

/* How many values each element has: one for every CPU, or one. Negative: -errno. */
int map_values(int fd);

#endif
