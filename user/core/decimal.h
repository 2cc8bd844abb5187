/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers into text where snprintf() would be most of the work: a line a record. */
#ifndef SIDESTEP_CORE_DECIMAL_H
#define SIDESTEP_CORE_DECIMAL_H

#include <stdint.h>

#define DECIMAL_MAX 20 /* digits of UINT64_MAX */

/* Writes the digits to `at`, without a NUL; returns the place behind them. */
static inline char *decimal(uint64_t number, char *at)
{
	char digits[DECIMAL_MAX];
	unsigned n = 0;

	do {
		digits[n++] = '0' + number % 10;
		number /= 10;
	} while (number);
	while (n)
		*at++ = digits[--n];
	return at;
}

/* The same with zeros in front, n digits. */
static inline char *decimal_padded(uint64_t number, unsigned n, char *at)
{
	for (unsigned i = n; i--; number /= 10)
		at[i] = '0' + number % 10;
	return at + n;
}

#endif
