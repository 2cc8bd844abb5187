/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/netns.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "core/array.h"
#include "core/cleanup.h"

/* of this thread: another one may be elsewhere just now */
#define OURS    "/proc/thread-self/ns/net"
#define MOUNTED "/run/netns"

/* ---- opening ----------------------------------------------------------------------- */

static int open_namespace(const char *path, ino_t *inode)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct statfs fs;
	struct stat st;

	if (fd < 0 || fstatfs(fd, &fs) || fstat(fd, &st))
		return -errno;
	if ((unsigned long)fs.f_type != NSFS_MAGIC)
		return -EINVAL;
	*inode = st.st_ino;
	return TAKE_FD(fd);
}

int netns_open_name(const char *name, ino_t *inode)
{
	char path[PATH_MAX];

	if (*name == '/')
		return open_namespace(name, inode);
	if (snprintf(path, sizeof(path), MOUNTED "/%s", name) >= PATH_MAX)
		return -ENAMETOOLONG;
	return open_namespace(path, inode);
}

int netns_open_path(const char *path, ino_t inode)
{
	ino_t found;
	_cleanup_close_ int fd = open_namespace(path, &found);

	if (fd < 0)
		return fd;
	return found == inode ? TAKE_FD(fd) : -ENOENT;
}

struct search {
	ino_t inode;
	int fd;
};

static int open_if_it(const char *path, ino_t inode, void *arg)
{
	struct search *search = arg;

	if (inode != search->inode)
		return 0;
	search->fd = netns_open_path(path, inode);
	return search->fd >= 0 ? 1 : -EAGAIN;
}

int netns_open(ino_t inode)
{
	struct search search = { inode, -ENOENT };

	netns_walk(open_if_it, &search);
	return search.fd;
}

/* ---- walking ------------------------------------------------------------------------ */

struct walk {
	netns_fn fn;
	void *arg;
	ino_t *seen;
	size_t n, room;
};

static bool was_seen(const struct walk *walk, ino_t inode)
{
	/* neighbours in /proc are of one namespace more often than not */
	for (size_t i = walk->n; i-- > 0;)
		if (walk->seen[i] == inode)
			return true;
	return false;
}

static int remember(struct walk *walk, ino_t inode)
{
	if (array_reserve((void **)&walk->seen, &walk->room, walk->n, sizeof(*walk->seen)))
		return -ENOMEM;
	walk->seen[walk->n++] = inode;
	return 0;
}

/* What cannot be looked at is passed over. */
static int visit(struct walk *walk, const char *path)
{
	struct stat st;
	int r;

	if (stat(path, &st) || was_seen(walk, st.st_ino))
		return 0;
	r = walk->fn(path, st.st_ino, walk->arg);
	if (r == -EAGAIN)
		return 0;
	return r ?: remember(walk, st.st_ino);
}

/* folder/NAME + suffix. */
static int visit_all(struct walk *walk, const char *folder, const char *suffix, bool numbers)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int r = 0;

	while (dir && !r && (entry = readdir(dir))) {
		char path[PATH_MAX];

		if (entry->d_name[0] == '.' ||
		    (numbers && !isdigit((unsigned char)entry->d_name[0])))
			continue;
		snprintf(path, sizeof(path), "%s/%s%s", folder, entry->d_name, suffix);
		r = visit(walk, path);
	}
	if (dir)
		closedir(dir);
	return r;
}

int netns_walk(netns_fn fn, void *arg)
{
	struct walk walk = { .fn = fn, .arg = arg };
	int r = visit(&walk, OURS);

	if (!r)
		r = visit_all(&walk, MOUNTED, "", false);
	if (!r)
		r = visit_all(&walk, "/proc", "/ns/net", true);
	free(walk.seen);
	return r;
}

/* ---- opening many --------------------------------------------------------------------- */

struct sighting {
	ino_t inode;
	char *path;
};

static int note(const char *path, ino_t inode, void *arg)
{
	struct netns_map *map = arg;
	char *copy;

	if (array_reserve((void **)&map->seen, &map->room, map->n, sizeof(*map->seen)))
		return -ENOMEM;
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	map->seen[map->n++] = (struct sighting){ inode, copy };
	return 0;
}

static int open_noted(const struct netns_map *map, ino_t inode)
{
	for (size_t i = 0; i < map->n; i++)
		if (map->seen[i].inode == inode)
			return netns_open_path(map->seen[i].path, inode);
	return -ENOENT;
}

void netns_map_release(struct netns_map *map)
{
	for (size_t i = 0; i < map->n; i++)
		free(map->seen[i].path);
	free(map->seen);
	*map = (struct netns_map){ 0 };
}

int netns_map_open(struct netns_map *map, ino_t inode)
{
	int fd = open_noted(map, inode);

	if (fd >= 0)
		return fd;
	netns_map_release(map);
	netns_walk(note, map);
	return open_noted(map, inode);
}

/* ---- inside --------------------------------------------------------------------------- */

int netns_do(int fd, int (*fn)(void *arg), void *arg)
{
	_cleanup_close_ int home = open(OURS, O_RDONLY | O_CLOEXEC);
	struct stat here, there;
	bool same;
	int r;

	if (home < 0 || fstat(home, &here) || fstat(fd, &there))
		return -errno;
	same = here.st_ino == there.st_ino;
	if (!same && setns(fd, CLONE_NEWNET))
		return -errno;
	r = fn(arg);
	if (!same && setns(home, CLONE_NEWNET))
		abort(); /* going on in the wrong namespace would be worse */
	return r;
}

uint64_t netns_cookie(void)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size))
		return 0;
	return cookie;
}
