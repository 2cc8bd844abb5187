/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of values that were measured: in the middle, how far apart, and whether that is
 * worth telling. */
#ifndef SIDESTEP_BENCH_FIGURES_H
#define SIDESTEP_BENCH_FIGURES_H

#include <stdbool.h>
#include <stddef.h>

struct figure {
	double median, min, max;
	double q1, q3; /* a quarter of the values lies below, another above */
};

/* Of n values, at least 1, which it sorts. */
struct figure figure_of(double *values, size_t n);

/* Where the quartiles are so far apart, one must not be told: a fifth of the median. */
bool figure_is_noisy(const struct figure *figure);

/* The value that a share of all (0.99, say) does not exceed, of n sorted ones, at least 1;
 * between two values what lies there. */
double figure_quantile(const double *sorted, size_t n, double share);

#endif
