/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDESTEP_DATAPATH_SELFTEST_H
#define SIDESTEP_DATAPATH_SELFTEST_H

#include "datapath/datapath.h"

/*
 * Proves the attached programs with real sockets: a child in a network namespace of
 * its own and in a cgroup below cgroup_fd calls a service that exists only for it,
 * by TCP and by UDP, and both ends must be seen by every hook. Then a pair of
 * non-blocking sockets is adopted and the splice tried: order, readiness, FIONREAD.
 *
 * A hook that does not work is an error, told in problems. A splice that does not is
 * a feature with a reason in meta->feature_off. Nothing of the test remains.
 */
int selftest_run(struct datapath *datapath, int cgroup_fd, struct sst_meta *meta,
		 struct problems *problems);

#endif
