/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A round measures everything once: rows (a test, a size, CPUs) in random order, and the variants of
 * a row (plain TCP, Sidestep's splice off, and so on) in random order right after one another,
 * so that what the machine does meanwhile hits all that is compared.
 */
#ifndef SIDESTEP_BENCH_ROUNDS_H
#define SIDESTEP_BENCH_ROUNDS_H

#include "core/text.h"

typedef int (*bench_cell_fn)(unsigned row, unsigned variant, void *arg);

/* Calls fn once for each; anything else but 0 ends the round and is its result. -ENOMEM. */
int bench_round(unsigned rows, unsigned variants, bench_cell_fn fn, void *arg);

/*
 * Adds to a configuration of Sidestep a service whose ports are those of the server: n from the
 * first on, called row0 and so on. Each row has a port of its own in each variant: counters tell them apart,
 * and what the splice learns of an endpoint by one is not held against another.
 */
struct bench_service {
	const char *name;
	const char *address;
	const char *splice; /* off, auto, on */
	const char *server; /* address of its only endpoint */
	unsigned port, n;
};
void bench_configure(const struct bench_service *service, struct text *out);

#endif
