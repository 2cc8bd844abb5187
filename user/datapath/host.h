/* SPDX-License-Identifier: Apache-2.0 */
/* What the host must offer: capabilities, kernel, BTF, cgroup2, bpffs. */
#ifndef SIDESTEP_DATAPATH_HOST_H
#define SIDESTEP_DATAPATH_HOST_H

#include <limits.h>
#include <stdint.h>

#include "core/problems.h"
#include "model/survey.h"

/* Each thing that is missing gets a sentence that says what to do. 0 or -EOPNOTSUPP. */
int host_check(struct problems *problems);

/* The same and more, for people: what there is, and what to do where that will not do. */
void host_survey(struct survey *survey);

/*
 * Where cgroup2 is mounted, from /proc/self/mountinfo; hybrid hosts have it beside
 * the v1 hierarchies. -ENOENT: nowhere.
 */
int host_cgroup_root(char path[PATH_MAX]);

/* Resolves --cgroup: a folder of cgroup2, or a path below its root; NULL: the root. */
int host_cgroup_resolve(const char *given, char path[PATH_MAX], struct problems *problems);

/* The id that the kernel gives a cgroup (bpf_get_current_cgroup_id() and so on). */
int host_cgroup_id(int cgroup_fd, uint64_t *ret);

/* And back: its path below the cgroup2 root, whose path and open folder are given. -ESTALE:
 * it has gone. */
int host_cgroup_path(int root_fd, const char *root, uint64_t id, char path[PATH_MAX]);

/* Makes folder in a folder of bpffs, mounting that at /sys/fs/bpf when it is meant and
 * missing. */
int host_bpffs_folder(const char *folder, struct problems *problems);

/*
 * A poll() that runs while its socket leaves a sockmap for good may call a function that
 * is no longer there. Mended by 2660a544fdc0 ("net: Fix TOCTOU issue in
 * sk_is_readable()") in 6.16 and in later releases of older series. Not to be tried: known
 * by the kernel's own version, which uname() of a distribution does not tell.
 */
bool host_poll_survives_release(void);

#endif
