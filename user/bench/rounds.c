/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/rounds.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "core/cleanup.h"

/* The numbers below n in random order; the caller's. */
static unsigned *shuffle(unsigned n)
{
	unsigned *order = calloc(n, sizeof(*order));

	for (unsigned i = 0; order && i < n; i++) {
		unsigned random = 0, j;

		if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
			random = (unsigned)rand();
		j = random % (i + 1);
		order[i] = order[j];
		order[j] = i;
	}
	return order;
}

static int measure_row(unsigned row, unsigned variants, bench_cell_fn fn, void *arg)
{
	_cleanup_free_ unsigned *order = shuffle(variants);
	int err = order ? 0 : -ENOMEM;

	for (unsigned i = 0; !err && i < variants; i++)
		err = fn(row, order[i], arg);
	return err;
}

int bench_round(unsigned rows, unsigned variants, bench_cell_fn fn, void *arg)
{
	_cleanup_free_ unsigned *order = shuffle(rows);
	int err = order ? 0 : -ENOMEM;

	for (unsigned i = 0; !err && i < rows; i++)
		err = measure_row(order[i], variants, fn, arg);
	return err;
}

void bench_configure(const struct bench_service *service, struct text *out)
{
	text_add(out, "  - name: %s\n    address: %s\n    splice: %s\n    ports:\n", service->name,
		 service->address, service->splice);
	for (unsigned i = 0; i < service->n; i++)
		text_add(out, "      - { name: row%u, port: %u }\n", i, service->port + i);
	text_add(out, "    endpoints: [{ address: %s }]\n", service->server);
}
