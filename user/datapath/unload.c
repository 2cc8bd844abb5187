/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking it out. Spliced bytes live in the sockhash's members: before that map
 * may go, nothing new is spliced, every reader has read what it was given, and the
 * sockets are plain TCP's again.
 */
#include "datapath/internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "core/address.h"
#include "datapath/ondemand.h"

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

/* Members that cannot be released yet. */
struct left {
	unsigned unread; /* readers hold spliced bytes */
	unsigned busy;   /* somebody is in the middle of a call */
};

static int count_left(const struct sst_record *record, void *arg)
{
	struct left *left = arg;

	if (record->unread)
		left->unread++;
	else
		left->busy++;
	return 0;
}

static int name_unread(const struct sst_record *record, void *arg)
{
	char local[ADDRESS_TEXT_MAX], remote[ADDRESS_TEXT_MAX];

	if (!record->unread)
		return 0;
	problems_add(arg, "sidestep", (struct place){},
		     "flow %llu: %s has not read what %s sent it", (unsigned long long)record->flow,
		     address_port_format(&record->local, record->local_port, local),
		     address_port_format(&record->remote, record->remote_port, remote));
	return 0;
}

static int splice_off(struct datapath *datapath, const struct sst_config *config)
{
	struct sst_config off = *config;
	int err;

	off.splice = SST_SPLICE_OFF;
	err = config_write(datapath, &off);
	if (!err)
		err = grace_wait();
	if (!err)
		err = datapath_stop_splice(datapath);
	return err;
}

/* A program that sleeps in recv() may sleep for ever, and holds nothing of ours. */
#define BUSY_MS 500
#define STEP_MS 10

static int wait_released(struct datapath *datapath, unsigned patience_ms)
{
	const struct timespec pause = { .tv_nsec = STEP_MS * 1000 * 1000 };
	unsigned busy = 0;

	for (unsigned waited = 0;; waited += STEP_MS) {
		struct left left = {};
		int err = datapath_release(datapath, count_left, &left);

		if (err)
			return err;
		busy = left.unread ? 0 : busy + STEP_MS;
		if (!left.unread && (!left.busy || busy > BUSY_MS))
			return 0;
		if (left.unread && waited >= patience_ms)
			return -EBUSY;
		nanosleep(&pause, NULL);
	}
}

int datapath_drain(struct datapath *datapath, unsigned patience_ms, struct sst_config *before)
{
	int err = config_read(datapath, before);

	if (err)
		return err;
	err = splice_off(datapath, before);
	return err ?: wait_released(datapath, patience_ms);
}

static int drain(struct datapath *datapath, const struct unload_options *options,
		 struct problems *problems)
{
	struct sst_config before = {};
	int err = datapath_drain(datapath, options->drain_ms, &before);

	if (err == -EBUSY && options->force)
		return 0;
	if (err == -EBUSY)
		datapath_release(datapath, name_unread, problems);
	if (err && before.splice)
		config_write(datapath, &before);
	return err;
}

/* Detaches at once, whoever else still holds the link's fd. */
static void detach(struct datapath *datapath)
{
	for (int i = 0; i < HOOK_MAX; i++)
		if (hooks[i].kind == HOOK_CGROUP)
			bpf_link_detach(datapath->link[i]);
	ondemand_detach_all(datapath);
}

static void detach_sk_msg(struct datapath *datapath)
{
	_cleanup_close_ int program = program_pin_open(datapath, HOOK_SKMSG);

	if (program >= 0)
		bpf_prog_detach2(program, datapath->map[MAP_spliced], BPF_SK_MSG_VERDICT);
}

static int unload_ours(struct datapath *datapath, const struct unload_options *options,
		       struct problems *problems)
{
	int err = drain(datapath, options, problems);

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

static int unload_locked(const char *pin, const struct unload_options *options,
			 struct problems *problems)
{
	_cleanup_datapath_ struct datapath *datapath = NULL;
	int err = datapath_open(pin, &datapath);

	if (!err)
		err = unload_ours(datapath, options, problems);
	else if (err == -ENOENT || err == -EPROTO)
		err = 0;
	return err ?: remove_rest(pin);
}

int datapath_unload(const char *pin, const struct unload_options *options,
		    struct problems *problems)
{
	_cleanup_datapath_ struct datapath *lock = datapath_new(pin);
	int err;

	if (!lock)
		return -ENOMEM;
	lock->pin_fd = open(pin, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (lock->pin_fd < 0 && errno == ENOENT)
		return 0;
	if (lock->pin_fd < 0)
		return fail(problems, -errno, "%s: %s", pin, strerror(errno));
	/* also for what is not ours: it may be a load in progress */
	err = datapath_lock(lock, DATAPATH_LOCK_MS);
	if (err == -ENOENT)
		return 0;
	if (err == -EBUSY)
		return fail(problems, err, "another sidestep is changing %s", pin);
	if (!err)
		err = unload_locked(pin, options, problems);
	if (err && err != -EBUSY)
		fail(problems, err, "%s: %s", pin, strerror(-err));
	return err;
}
