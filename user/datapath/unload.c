/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking it out. Spliced bytes live in the sockhash's members: before that map
 * may go, nothing new is spliced and every reader has read what it was given.
 */
#include "datapath/internal.h"

#include <dirent.h>
#include <string.h>
#include <time.h>

#include "core/address.h"

int pins_remove(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int err = 0;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		if (unlinkat(dirfd(dir), entry->d_name, 0))
			err = -errno;
	}
	closedir(dir);
	if (rmdir(folder))
		err = err ?: -errno;
	return err;
}

static int count_unread(const struct sst_record *record, void *arg)
{
	unsigned *unread = arg;

	*unread += record->unread;
	return 0;
}

static int name_unread(const struct sst_record *record, void *arg)
{
	char local[ADDRESS_TEXT_MAX], remote[ADDRESS_TEXT_MAX];

	if (record->unread)
		problems_add(arg, "sidestep", (struct place){},
			     "flow %llu: %s has not read what %s sent it",
			     (unsigned long long)record->flow,
			     address_port_format(&record->local, record->local_port, local),
			     address_port_format(&record->remote, record->remote_port, remote));
	return 0;
}

static int splice_off(struct datapath *datapath)
{
	struct sst_config config;
	int err = config_read(datapath, &config);

	if (err)
		return err;
	config.splice = SST_SPLICE_OFF;
	err = config_write(datapath, &config);
	if (err)
		return err;
	err = grace_wait();
	if (err)
		return err;
	return datapath_stop_splice(datapath);
}

static int drain(struct datapath *datapath, const struct unload_options *options,
		 struct problems *problems)
{
	const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };
	unsigned unread = 0;
	int err = splice_off(datapath);

	for (unsigned waited = 0; !err; waited += 10) {
		unread = 0;
		err = datapath_flows(datapath, count_unread, &unread);
		if (err || !unread || waited >= options->drain_ms)
			break;
		nanosleep(&pause, NULL);
	}
	if (err || !unread || options->force)
		return err;
	datapath_flows(datapath, name_unread, problems);
	return -EBUSY;
}

/* Detaches at once, whoever else still holds the link's fd. */
static void detach(struct datapath *datapath)
{
	for (int i = 0; i < HOOK_MAX; i++)
		if (hooks[i].kind == HOOK_CGROUP)
			bpf_link_detach(datapath->link[i]);
}

static void detach_sk_msg(struct datapath *datapath)
{
	struct bpf_map_info info = {};
	__u32 ids[1], n = 1, size = sizeof(info);
	int map = datapath->map[MAP_spliced], fd;

	if (bpf_obj_get_info_by_fd(map, &info, &size) ||
	    bpf_prog_query(map, BPF_SK_MSG_VERDICT, 0, NULL, ids, &n) || !n)
		return;
	fd = bpf_prog_get_fd_by_id(ids[0]);
	if (fd < 0)
		return;
	bpf_prog_detach2(fd, map, BPF_SK_MSG_VERDICT);
	close(fd);
}

static int unload_ours(struct datapath *datapath, const struct unload_options *options,
		       struct problems *problems)
{
	int err = datapath_lock(datapath);

	if (err == -ENOENT)
		return 0;
	if (err)
		return fail(problems, err, "another sidestep is changing %s", datapath->pin);
	err = drain(datapath, options, problems);
	if (err)
		return err;
	detach(datapath);
	detach_sk_msg(datapath);
	return pins_remove(datapath->folder);
}

/* What is left in PIN: half-built loads, folders of other ABI versions. */
static int remove_rest(const char *pin)
{
	DIR *dir = opendir(pin);
	struct dirent *entry;
	int err = 0;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(dir))) {
		char path[PATH_MAX];

		if (strncmp(entry->d_name, "abi", 3))
			continue;
		snprintf(path, sizeof(path), "%s/%s", pin, entry->d_name);
		err = pins_remove(path) ?: err;
	}
	closedir(dir);
	if (rmdir(pin) && errno != ENOENT)
		err = err ?: -errno;
	return err;
}

int datapath_unload(const char *pin, const struct unload_options *options,
		    struct problems *problems)
{
	_cleanup_datapath_ struct datapath *datapath = NULL;
	int err = datapath_open(pin, &datapath);

	if (!err)
		err = unload_ours(datapath, options, problems);
	else if (err == -ENOENT || err == -EPROTO)
		err = 0;
	if (!err)
		err = remove_rest(pin);
	if (err && err != -EBUSY)
		fail(problems, err, "%s: %s", pin, strerror(-err));
	return err;
}
