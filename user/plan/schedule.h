/* SPDX-License-Identifier: Apache-2.0 */
/* The order in which a service's endpoints take their turns. */
#ifndef SIDESTEP_PLAN_SCHEDULE_H
#define SIDESTEP_PLAN_SCHEDULE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Slots that n endpoints of these weights (each >= 1) take: their sum over their
 * greatest common divisor. 0 for n == 0.
 */
uint64_t schedule_length(const uint32_t *weights, size_t n);

/*
 * Fills slots[schedule_length()] with indices into weights, each as often as its
 * reduced weight says and spread as evenly as may be ("smooth weighted round
 * robin": every turn each endpoint gains its weight, the richest is taken and pays
 * the sum). Ties go to the lower index. O(length * different weights). Returns 0
 * or -ENOMEM.
 */
int schedule_fill(const uint32_t *weights, size_t n, uint32_t *slots);

#endif
