/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy set in the kernel: a map of blocks, frozen, in the one element of map
 * `policy`. To find it again takes a pin, for going by its id takes CAP_SYS_ADMIN. A set
 * that comes is pinned beside the old one, put into the element, then takes the old one's
 * pin: whoever is killed meanwhile leaves it under one of the two names.
 */
#include "datapath/policy.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "datapath/internal.h"

#define SET_PIN      "policy_set"
#define SET_PIN_NEXT "policy_set-next"

/* ---- finding it ------------------------------------------------------------------ */

/* Of the set in force; 0: there is none. */
static int set_id(const struct datapath *datapath, __u32 *ret)
{
	__u32 key = 0;

	*ret = 0;
	if (bpf_map_lookup_elem(datapath->map[MAP_policy], &key, ret) && errno != ENOENT)
		return -errno;
	return 0;
}

static int open_if_id(const struct datapath *datapath, const char *name, __u32 id)
{
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];
	int err = pin_path(datapath, name, path);

	if (err)
		return err;
	fd = bpf_obj_get(path);
	if (fd < 0 || object_id(fd) != id)
		return -ENOENT;
	return TAKE_FD(fd);
}

/* Somebody may replace it just now: whoever does not find it looks again. */
static int set_open(const struct datapath *datapath)
{
	const struct timespec pause = { .tv_nsec = 5 * 1000 * 1000 };

	for (int i = 0; i < 20; i++) {
		__u32 id;
		int fd, err = set_id(datapath, &id);

		if (err || !id)
			return err ?: -ENOENT;
		fd = open_if_id(datapath, SET_PIN, id);
		if (fd < 0)
			fd = open_if_id(datapath, SET_PIN_NEXT, id);
		if (fd >= 0)
			return fd;
		nanosleep(&pause, NULL);
	}
	return -EPROTO;
}

/* ---- reading it ---------------------------------------------------------------------- */

struct mapping {
	void *base;
	size_t size;
};

static void mapping_release(struct mapping *mapping)
{
	if (mapping->base)
		munmap(mapping->base, mapping->size);
}
#define _cleanup_mapping_ __attribute__((cleanup(mapping_release)))

static int map_blocks(int fd, size_t blocks, int protection, struct mapping *ret)
{
	size_t size = blocks * SST_BLOCK_BYTES;
	void *base = mmap(NULL, size, protection, MAP_SHARED, fd, 0);

	if (base == MAP_FAILED)
		return -errno;
	*ret = (struct mapping){ base, size };
	return 0;
}

static int map_set(int fd, struct mapping *ret)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		return -errno;
	return map_blocks(fd, info.max_entries, PROT_READ, ret);
}

int datapath_policy(const struct datapath *datapath, struct policy_set *ret)
{
	_cleanup_mapping_ struct mapping mapping = {};
	_cleanup_close_ int fd = set_open(datapath);
	_cleanup_free_ void *bytes = NULL;
	int err;

	if (fd == -ENOENT) {
		*ret = (struct policy_set){};
		return 0;
	}
	err = fd < 0 ? fd : map_set(fd, &mapping);
	if (err)
		return err;
	bytes = malloc(mapping.size);
	if (!bytes)
		return -ENOMEM;
	memcpy(bytes, mapping.base, mapping.size);
	err = policy_set_adopt(bytes, mapping.size, ret);
	if (!err)
		bytes = NULL;
	return err;
}

int policy_flags(const struct datapath *datapath, uint32_t *ret)
{
	_cleanup_close_ int fd = set_open(datapath);
	struct sst_policy_head head;
	__u32 key = 0;

	*ret = 0;
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	if (bpf_map_lookup_elem(fd, &key, &head))
		return -errno;
	*ret = head.flags;
	return 0;
}

/* ---- replacing it ---------------------------------------------------------------------- */

static int fill(int fd, const struct policy_set *set)
{
	_cleanup_mapping_ struct mapping mapping = {};
	int err = map_blocks(fd, set->memory.blocks, PROT_READ | PROT_WRITE, &mapping);

	if (!err)
		memcpy(mapping.base, set->memory.base, mapping.size);
	return err;
}

/* A map that nobody writes to any more. */
static int set_make(const struct policy_set *set)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	_cleanup_close_ int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "policy_set", sizeof(__u32),
						SST_BLOCK_BYTES, set->memory.blocks, &opts);
	int err;

	if (fd < 0)
		return -errno;
	err = fill(fd, set);
	if (!err && bpf_map_freeze(fd))
		err = -errno;
	return err ?: TAKE_FD(fd);
}

/* Whoever was killed may have left the set in force under the second name. */
static int clear_next(const struct datapath *datapath, const char *path, const char *next)
{
	_cleanup_close_ int fd = -1;
	__u32 id;
	int err = set_id(datapath, &id);

	if (err)
		return err;
	fd = open_if_id(datapath, SET_PIN_NEXT, id);
	if (fd >= 0 ? rename(next, path) : unlink(next) && errno != ENOENT)
		return -errno;
	return 0;
}

/* Waits as grace_wait() does. */
static int set_flip(struct datapath *datapath, int fd)
{
	char path[PATH_MAX], next[PATH_MAX];
	__u32 key = 0;
	int err = pin_path(datapath, SET_PIN, path) ?: pin_path(datapath, SET_PIN_NEXT, next);

	if (!err)
		err = clear_next(datapath, path, next);
	if (err)
		return err;
	if (bpf_obj_pin(fd, next) ||
	    bpf_map_update_elem(datapath->map[MAP_policy], &key, &fd, BPF_ANY) ||
	    rename(next, path))
		return -errno;
	return 0;
}

int policy_replace(struct datapath *datapath, const struct policy_set *set, int *before)
{
	_cleanup_close_ int old = set_open(datapath);
	_cleanup_close_ int fd = -1;
	int err;

	if (old < 0 && old != -ENOENT)
		return old;
	fd = set_make(set);
	if (fd < 0)
		return fd;
	err = set_flip(datapath, fd);
	if (err)
		policy_put_back(datapath, old);
	else
		*before = TAKE_FD(old);
	return err;
}

void policy_put_back(struct datapath *datapath, int before)
{
	if (before >= 0) {
		set_flip(datapath, before);
		return;
	}
	/* programs may still run whom the config told that there is a set */
	grace_wait();
	policy_delete(datapath);
}

static int remove_pin(const struct datapath *datapath, const char *name)
{
	char path[PATH_MAX];
	int err = pin_path(datapath, name, path);

	if (!err && unlink(path) && errno != ENOENT)
		err = -errno;
	return err;
}

int policy_delete(struct datapath *datapath)
{
	__u32 key = 0;

	if (bpf_map_delete_elem(datapath->map[MAP_policy], &key) && errno != ENOENT)
		return -errno;
	return remove_pin(datapath, SET_PIN) ?: remove_pin(datapath, SET_PIN_NEXT);
}
