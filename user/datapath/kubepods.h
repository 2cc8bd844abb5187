/* SPDX-License-Identifier: Apache-2.0 */
/* Where kubelet puts the cgroups of pods. */
#ifndef SIDESTEP_DATAPATH_KUBEPODS_H
#define SIDESTEP_DATAPATH_KUBEPODS_H

#include <limits.h>
#include <stdbool.h>

struct kubepods {
	char root[PATH_MAX]; /* of the folder, below the cgroup2 root; "": that itself */
	bool systemd;        /* it is a slice, made by systemd's driver; else by cgroupfs' */
};

/*
 * Looks in attached (a folder of cgroup2, as in struct sst_meta) and what is right below it, then likewise in
 * the root: kubelet's --cgroup-root is one of these. -ENOENT: kubelet has made none yet.
 */
int kubepods_find(const char *attached, struct kubepods *ret);

#endif
