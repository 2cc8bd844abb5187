/* SPDX-License-Identifier: Apache-2.0 */
#include "core/seen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Without these two uthash ends the process when memory is out. */
#define HASH_NONFATAL_OOM            1
#define uthash_nonfatal_oom(element) ((element)->hh.tbl = NULL)
#include <uthash.h>

#include "core/cleanup.h"

struct seen_entry {
	UT_hash_handle hh;
	struct seen_first first;
	char key[];
};

static int insert(struct seen *seen, const void *key, size_t size, unsigned hash,
		  struct seen_first who)
{
	struct seen_entry *entry = malloc(sizeof(*entry) + size);

	if (!entry)
		return -ENOMEM;
	entry->first = who;
	memcpy(entry->key, key, size);
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, seen->entries, entry->key, size, hash, entry);
	if (!entry->hh.tbl) {
		free(entry);
		return -ENOMEM;
	}
	return 0;
}

int seen_add(struct seen *seen, const void *key, size_t size, struct seen_first who,
	     struct seen_first *ret)
{
	struct seen_entry *entry;
	unsigned hash;

	HASH_VALUE(key, size, hash);
	HASH_FIND_BYHASHVALUE(hh, seen->entries, key, size, hash, entry);
	if (entry) {
		*ret = entry->first;
		return -EEXIST;
	}
	return insert(seen, key, size, hash, who);
}

void seen_release(struct seen *seen)
{
	struct seen_entry *entry, *next;

	HASH_ITER (hh, seen->entries, entry, next) {
		HASH_DEL(seen->entries, entry);
		free(entry);
	}
}
