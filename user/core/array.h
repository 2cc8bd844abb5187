/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays that grow. */
#ifndef SIDESTEP_CORE_ARRAY_H
#define SIDESTEP_CORE_ARRAY_H

#include <stddef.h>

/*
 * Makes room for item number n of an array that has room for *size. -ENOMEM: it is as it
 * was.
 */
int array_reserve(void **array, size_t *size, size_t n, size_t element);

#endif
