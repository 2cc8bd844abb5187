/* SPDX-License-Identifier: Apache-2.0 */
#include "core/seen.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/array.h"

int seen_add(struct seen *seen, const void *key, size_t size, struct seen_first who,
	     struct seen_first *ret)
{
	uint32_t number = seen->n;
	int r = array_reserve((void **)&seen->firsts, &seen->size, seen->n, sizeof(*seen->firsts));

	if (!r)
		r = dictionary_add(&seen->numbers, key, size, &number);
	if (r == -EEXIST)
		*ret = seen->firsts[number];
	if (!r)
		seen->firsts[seen->n++] = who;
	return r;
}

bool seen_holds(const struct seen *seen, const void *key, size_t size)
{
	uint32_t number;

	return dictionary_find(&seen->numbers, key, size, &number);
}

void seen_release(struct seen *seen)
{
	dictionary_release(&seen->numbers);
	free(seen->firsts);
	*seen = (struct seen){ 0 };
}
