/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDESTEP_DATAPATH_SELFTEST_H
#define SIDESTEP_DATAPATH_SELFTEST_H

#include "datapath/datapath.h"
#include "model/checks.h"

struct selftest_how {
	bool kernel;  /* PART_KERNEL, too */
	bool alone;   /* PART_DOCTOR, too: nobody else uses this data plane */
	bool readers; /* the programs that watch splice(2) are attached */
};

/*
 * Proves the attached programs with real sockets: a child in a network namespace of
 * its own and in a cgroup below cgroup_fd calls services that exist only for it, and
 * every hook must have seen it. Then pairs of non-blocking sockets are adopted and the
 * splice is tried. model/checks.h lists what is tried.
 *
 * What does not work is in *checks; an error is told in problems where nothing could be
 * tried at all. Nothing of the test remains.
 */
int selftest_run(struct datapath *datapath, int cgroup_fd, const struct selftest_how *how,
		 struct checks *checks, struct problems *problems);

/* Removes cgroups named prefix and a process that is no more, below cgroup_fd. */
void remove_stale_cgroups(int cgroup_fd, const char *prefix);

/* Waits while the kernel lets go of a dead process's cgroup. */
int remove_cgroup(int parent_fd, const char *name);

#endif
