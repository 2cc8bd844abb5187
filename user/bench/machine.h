/* SPDX-License-Identifier: Apache-2.0 */
/* What figures depend on, and without which they cannot be compared. */
#ifndef SIDESTEP_BENCH_MACHINE_H
#define SIDESTEP_BENCH_MACHINE_H

struct machine {
	char kernel[65], architecture[65];
	char date[32];       /* RFC 3339, UTC */
	char cpu[128];       /* empty, as each of those below: not known */
	int cpus;            /* that are on */
	char governor[32];   /* of the first CPU */
	char congestion[32]; /* control of TCP, of the caller's network namespace */
	char load[64];       /* of 1, 5 and 15 minutes */
};

void machine_look(struct machine *ret);

#endif
