/* SPDX-License-Identifier: Apache-2.0 */
#include "core/dictionary.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Without these two uthash ends the process when memory is out. */
#define HASH_NONFATAL_OOM            1
#define uthash_nonfatal_oom(element) ((element)->hh.tbl = NULL)
#include <uthash.h>

struct dictionary_entry {
	UT_hash_handle hh;
	uint32_t number;
	char key[];
};

int dictionary_add(struct dictionary *dictionary, const void *key, size_t size, uint32_t *number)
{
	struct dictionary_entry *entry;
	unsigned hash;

	HASH_VALUE(key, size, hash);
	HASH_FIND_BYHASHVALUE(hh, dictionary->entries, key, size, hash, entry);
	if (entry) {
		*number = entry->number;
		return -EEXIST;
	}
	entry = malloc(sizeof(*entry) + size);
	if (!entry)
		return -ENOMEM;
	entry->number = *number;
	memcpy(entry->key, key, size);
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, dictionary->entries, entry->key, size, hash, entry);
	if (!entry->hh.tbl) {
		free(entry);
		return -ENOMEM;
	}
	return 0;
}

bool dictionary_find(const struct dictionary *dictionary, const void *key, size_t size,
		     uint32_t *ret)
{
	struct dictionary_entry *entry;

	HASH_FIND(hh, dictionary->entries, key, size, entry);
	if (entry)
		*ret = entry->number;
	return entry;
}

bool dictionary_take(struct dictionary *dictionary, const void *key, size_t size, uint32_t *ret)
{
	struct dictionary_entry *entry;

	HASH_FIND(hh, dictionary->entries, key, size, entry);
	if (!entry)
		return false;
	*ret = entry->number;
	HASH_DEL(dictionary->entries, entry);
	free(entry);
	return true;
}

void dictionary_release(struct dictionary *dictionary)
{
	struct dictionary_entry *entry, *next;

	HASH_ITER (hh, dictionary->entries, entry, next) {
		HASH_DEL(dictionary->entries, entry);
		free(entry);
	}
}
