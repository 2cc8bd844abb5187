/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ondemand.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "datapath/host.h"
#include "datapath/netns.h"

static const enum hook_index hook_of[] = {
	[STATE_HOOK_SOCKET] = HOOK_SOCKET,
	[STATE_HOOK_LOOKUP] = HOOK_LOOKUP,
};

/* PIN/abi<N>/sst_socket, PIN/abi<N>/sst_lookup-<inode> */
static int link_path(const struct datapath *datapath, const struct state_hook *hook,
		     char path[PATH_MAX])
{
	const char *program = hooks[hook_of[hook->kind]].program;
	char name[64];

	if (hook->kind == STATE_HOOK_LOOKUP)
		snprintf(name, sizeof(name), "%s-%" PRIu64, program, hook->netns);
	else
		snprintf(name, sizeof(name), "%s", program);
	return pin_path(datapath, name, path);
}

static int link_open(const struct datapath *datapath, const struct state_hook *hook)
{
	char path[PATH_MAX];
	int fd, err = link_path(datapath, hook, path);

	if (err)
		return err;
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

/* ---- what is there --------------------------------------------------------------------- */

/* Whether a pin is such a link. */
static bool parse_name(const char *name, struct state_hook *ret)
{
	for (size_t kind = 0; kind < ARRAY_SIZE(hook_of); kind++) {
		const char *program = hooks[hook_of[kind]].program;
		size_t length = strlen(program);
		int end = 0;

		*ret = (struct state_hook){ .kind = kind };
		if (strncmp(name, program, length))
			continue;
		if (kind != STATE_HOOK_LOOKUP)
			return !name[length];
		return sscanf(name + length, "-%" SCNu64 "%n", &ret->netns, &end) == 1 &&
		       !name[length + end];
	}
	return false;
}

static bool is_dead(const struct datapath *datapath, const struct state_hook *hook)
{
	_cleanup_close_ int fd = link_open(datapath, hook);
	struct bpf_link_info info = {};
	__u32 size = sizeof(info);

	return hook->kind == STATE_HOOK_LOOKUP &&
	       (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) || !info.netns.netns_ino);
}

static int add(struct state_hook **hooks_there, size_t *n, const struct state_hook *hook)
{
	void *grown = reallocarray(*hooks_there, *n + 1, sizeof(*hook));

	if (!grown)
		return -ENOMEM;
	*hooks_there = grown;
	(*hooks_there)[(*n)++] = *hook;
	return 0;
}

int ondemand_dump(const struct datapath *datapath, struct state_hook **ret, size_t *n)
{
	_cleanup_free_ struct state_hook *there = NULL;
	DIR *dir = opendir(datapath->folder);
	struct state_hook hook;
	struct dirent *entry;
	size_t n_there = 0;
	int err = 0;

	if (!dir)
		return -errno;
	while (!err && (entry = readdir(dir))) {
		if (!parse_name(entry->d_name, &hook))
			continue;
		hook.dead = is_dead(datapath, &hook);
		err = add(&there, &n_there, &hook);
	}
	closedir(dir);
	if (err)
		return err;
	if (n_there)
		qsort(there, n_there, sizeof(*there), state_hook_compare);
	*ret = TAKE_PTR(there);
	*n = n_there;
	return 0;
}

/* ---- changing it ------------------------------------------------------------------------ */

/* The one that was loaded on; another may have its path by now. */
static int open_cgroup(const struct datapath *datapath)
{
	_cleanup_close_ int fd = -1;
	struct sst_meta meta;
	uint64_t id;
	int err = meta_read(datapath, &meta);

	if (err)
		return err;
	fd = open(meta.cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = host_cgroup_id(fd, &id);
	if (err)
		return err;
	return id == meta.cgroup_id ? TAKE_FD(fd) : -ESTALE;
}

static int attach_to(struct datapath *datapath, const struct state_hook *hook, int target)
{
	_cleanup_close_ int program = program_pin_open(datapath, hook_of[hook->kind]);
	_cleanup_close_ int link = -1;
	char path[PATH_MAX];
	int err = program < 0 ? program : link_path(datapath, hook, path);

	if (err)
		return err;
	link = bpf_link_create(program, target, hooks[hook_of[hook->kind]].type, NULL);
	if (link < 0 || (unlink(path) && errno != ENOENT) || bpf_obj_pin(link, path))
		return -errno;
	return 0;
}

int ondemand_attach(struct datapath *datapath, const struct state_hook *hook)
{
	bool in_netns = hook->kind == STATE_HOOK_LOOKUP;
	_cleanup_close_ int target = in_netns ? netns_open(hook->netns) : open_cgroup(datapath);

	if (in_netns && target == -ENOENT)
		return 0;
	return target < 0 ? target : attach_to(datapath, hook, target);
}

int ondemand_detach(struct datapath *datapath, const struct state_hook *hook)
{
	_cleanup_close_ int link = link_open(datapath, hook);
	char path[PATH_MAX];
	int err = link_path(datapath, hook, path);

	if (err)
		return err;
	if (link >= 0)
		bpf_link_detach(link); /* at once, whoever else still holds its fd */
	return unlink(path) && errno != ENOENT ? -errno : 0;
}

int ondemand_detach_all(struct datapath *datapath)
{
	_cleanup_free_ struct state_hook *there = NULL;
	size_t n = 0;
	int err = ondemand_dump(datapath, &there, &n);

	for (size_t i = 0; i < n; i++)
		err = ondemand_detach(datapath, &there[i]) ?: err;
	return err;
}

int ondemand_update(struct datapath *datapath, enum hook_index hook, int program)
{
	_cleanup_free_ struct state_hook *there = NULL;
	size_t n = 0;
	int err = ondemand_dump(datapath, &there, &n);

	for (size_t i = 0; i < n && !err; i++) {
		_cleanup_close_ int link = -1;

		if (hook_of[there[i].kind] != hook || there[i].dead)
			continue;
		link = link_open(datapath, &there[i]);
		/* ENOLINK: its namespace went just now */
		if (link < 0 || (bpf_link_update(link, program, NULL) && errno != ENOLINK))
			err = -errno;
	}
	return err;
}
