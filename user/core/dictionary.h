/* SPDX-License-Identifier: Apache-2.0 */
/* Byte strings and a number for each. Starts as { 0 }. */
#ifndef SIDESTEP_CORE_DICTIONARY_H
#define SIDESTEP_CORE_DICTIONARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dictionary_entry;

struct dictionary {
	struct dictionary_entry *entries;
};

/*
 * Adds a key (copied) with *number. Returns 0; -EEXIST when it is there already, with its
 * number in *number; -ENOMEM.
 */
int dictionary_add(struct dictionary *dictionary, const void *key, size_t size, uint32_t *number);

/* False: it is not there, *ret is untouched. */
bool dictionary_find(const struct dictionary *dictionary, const void *key, size_t size,
		     uint32_t *ret);

/* The same, and it is there no longer. */
bool dictionary_take(struct dictionary *dictionary, const void *key, size_t size, uint32_t *ret);

/* Frees the entries; the struct itself is the caller's. Usable as a cleanup. */
void dictionary_release(struct dictionary *dictionary);

#define _cleanup_dictionary_ __attribute__((cleanup(dictionary_release)))

#endif
