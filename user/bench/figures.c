/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/figures.h"

#include <stdlib.h>

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double figure_quantile(const double *sorted, size_t n, double share)
{
	double place = share * (double)(n - 1);
	size_t below = (size_t)place;
	double beyond = place - (double)below;

	if (below + 1 >= n)
		return sorted[n - 1];
	return sorted[below] + beyond * (sorted[below + 1] - sorted[below]);
}

struct figure figure_of(double *values, size_t n)
{
	qsort(values, n, sizeof(*values), compare);
	return (struct figure){
		.median = figure_quantile(values, n, 0.5),
		.min = values[0],
		.max = values[n - 1],
		.q1 = figure_quantile(values, n, 0.25),
		.q3 = figure_quantile(values, n, 0.75),
	};
}

bool figure_is_noisy(const struct figure *figure)
{
	return figure->q3 - figure->q1 > 0.2 * figure->median;
}
