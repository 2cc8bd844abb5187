/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the programs take, by the kernel's own run-time statistics. They are switched on for
 * a moment, for all BPF programs of this host, and make each run of one a little longer.
 */
#ifndef SIDESTEP_DATAPATH_COST_H
#define SIDESTEP_DATAPATH_COST_H

#include "datapath/datapath.h"

#define COST_PROGRAMS_MAX 32

struct cost_program {
	const char *name; /* static */
	uint64_t runs;
	uint64_t ns; /* of all of them */
};

struct cost {
	struct cost_program programs[COST_PROGRAMS_MAX]; /* those that are loaded */
	size_t n;
	uint64_t measured_ns; /* how long */
	double included_ns;   /* of a run, in the figures: what a program seems to take that does
			       * nothing */
	double added_ns;      /* to each run of any program, while it was measured */
	bool was_on;          /* somebody measures all the time: kernel.bpf_stats_enabled */
};

/* Measures for so long. -EPERM, or -errno of the kernel. */
int datapath_cost(const struct datapath *datapath, unsigned ms, struct cost *ret);

#endif
