/* SPDX-License-Identifier: Apache-2.0 */
#include "core/array.h"

#include <errno.h>
#include <stdlib.h>

int array_reserve(void **array, size_t *size, size_t n, size_t element)
{
	size_t wanted = *size ? *size * 2 : 64;
	void *grown;

	if (n < *size)
		return 0;
	grown = reallocarray(*array, wanted, element);
	if (!grown)
		return -ENOMEM;
	*array = grown;
	*size = wanted;
	return 0;
}
