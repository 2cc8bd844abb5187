/* SPDX-License-Identifier: Apache-2.0 */
/* What `bench` has measured, and how it is shown. */
#ifndef SIDESTEP_CLI_BENCH_H
#define SIDESTEP_CLI_BENCH_H

#include "bench/figures.h"
#include "bench/machine.h"
#include "bench/measure.h"
#include "bench/traffic.h"
#include "cli/cli.h"

#define BENCH_ROWS_MAX 16

/* From client to server: what is compared. The first is what the others are compared with. */
enum bench_by { BY_PLAIN, BY_OFF, BY_AUTO, BY_ON, BY_UNIX, BY_MAX };

struct bench_row {
	enum bench_test test;
	uint32_t size;
	unsigned cpus;
};

struct bench_cell {
	struct bench_result *results; /* one a round */
	struct bench_traffic traffic; /* of all rounds; none without a service */
};

struct bench {
	bool quick;
	unsigned rounds, ms;
	struct machine machine;
	int cpus[BENCH_ROLES];
	unsigned n_cpus;
	struct bench_row rows[BENCH_ROWS_MAX];
	unsigned n_rows;
	enum bench_by by[BY_MAX]; /* what is measured */
	unsigned n_by;
	char off[BY_MAX][SST_REASON_MAX]; /* empty, or why it cannot be measured */
	struct bench_cell cells[BENCH_ROWS_MAX][BY_MAX];
	struct problems problems; /* without errors: it works */
	double seconds;
};

const char *bench_by_name(enum bench_by by);

/* "round trip 1 KB" */
const char *bench_row_name(const struct bench_row *row, char name[32]);

/* The share of bytes that were spliced, 0 to 1. */
double bench_share(const struct bench_cell *cell);

/* Rows and a verdict; or all there is. An enum cli_exit. */
int bench_show(const struct bench *bench);
int bench_show_json(const struct bench *bench);

#endif
