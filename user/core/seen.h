/* SPDX-License-Identifier: Apache-2.0 */
/* A set of byte strings that remembers where each was seen first, to tell of duplicates. */
#ifndef SIDESTEP_CORE_SEEN_H
#define SIDESTEP_CORE_SEEN_H

#include <stdbool.h>
#include <stddef.h>

#include "core/dictionary.h"
#include "core/problems.h"

/* Who was first with a key. */
struct seen_first {
	struct place place;
	const void *owner; /* the caller's, not looked at */
};

/* Starts as { 0 }. */
struct seen {
	struct dictionary numbers; /* of firsts */
	struct seen_first *firsts;
	size_t n;
	size_t size;
};

/*
 * Adds a key (copied). Returns 0; -EEXIST when it is there already, with *ret
 * saying who was first; -ENOMEM.
 */
int seen_add(struct seen *seen, const void *key, size_t size, struct seen_first who,
	     struct seen_first *ret);

bool seen_holds(const struct seen *seen, const void *key, size_t size);

/* Frees the entries; the struct itself is the caller's. Usable as a cleanup. */
void seen_release(struct seen *seen);

#define _cleanup_seen_ __attribute__((cleanup(seen_release)))

#endif
