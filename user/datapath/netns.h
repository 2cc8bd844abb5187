/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network namespaces. One has no path of its own: a process that lives in it or a mount
 * names it.
 */
#ifndef SIDESTEP_DATAPATH_NETNS_H
#define SIDESTEP_DATAPATH_NETNS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Calls fn once for each that can be found, ours first, with a path that names it at this
 * moment. -EAGAIN: it does not any more, so that it is called again if another path does.
 * Anything else but 0 ends the walk and is its result.
 */
typedef int (*netns_fn)(const char *path, ino_t inode, void *arg);
int netns_walk(netns_fn fn, void *arg);

/* An fd; -ENOENT: nothing names it any more. */
int netns_open(ino_t inode);

/* Where each was when it was last looked for: many are opened for one look around. */
struct netns_map {
	struct sighting *seen;
	size_t n, room;
};
int netns_map_open(struct netns_map *map, ino_t inode); /* as netns_open() */
void netns_map_release(struct netns_map *map);

/* An fd. A name in /run/netns, or an absolute path. -EINVAL: it is something else. */
int netns_open_name(const char *name, ino_t *inode);

/* An fd; -ENOENT: the path names another one by now. */
int netns_open_path(const char *path, ino_t inode);

/*
 * Calls fn inside and comes back; its result, or -errno. Staying where one is needs no
 * capability, entering needs CAP_SYS_ADMIN: -EPERM.
 */
int netns_do(int fd, int (*fn)(void *arg), void *arg);

/* Of the namespace one is in; 0: it cannot be told. */
uint64_t netns_cookie(void);

#endif
