/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers into text where snprintf() would be most of the work: a line a record. */
#ifndef SIDESTEP_CORE_DECIMAL_H
#define SIDESTEP_CORE_DECIMAL_H

#include <stdint.h>
#include <string.h>

#define DECIMAL_MAX 20 /* digits of UINT64_MAX */

/* "00", "01" ...: two digits cost what one does. */
extern const char decimal_pairs[200 + 1];

/* How many digits the number has. */
static inline unsigned decimal_digits(uint64_t number)
{
	unsigned n = 1;

	for (; number >= 10000; number /= 10000)
		n += 4;
	return n + (number >= 10) + (number >= 100) + (number >= 1000);
}

/* Writes the last n digits, zeros in front, to `at`, without a NUL; returns the place behind them. */
static inline char *decimal_padded(uint64_t number, unsigned n, char *at)
{
	char *digit = at + n;

	for (; digit - at >= 2; number /= 100) {
		digit -= 2;
		memcpy(digit, &decimal_pairs[number % 100 * 2], 2);
	}
	if (digit > at)
		*at = '0' + number % 10;
	return at + n;
}

/* All digits, and no more. */
static inline char *decimal(uint64_t number, char *at)
{
	if (number < 10) {
		*at = '0' + number;
		return at + 1;
	}
	return decimal_padded(number, decimal_digits(number), at);
}

#endif
