/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDESTEP_CORE_DIVISOR_H
#define SIDESTEP_CORE_DIVISOR_H

#include <stdint.h>

/* Euclid's; 0 is neutral. */
static inline uint32_t greatest_common_divisor(uint32_t a, uint32_t b)
{
	while (b) {
		uint32_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

#endif
