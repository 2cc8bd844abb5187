/* SPDX-License-Identifier: Apache-2.0 */
/* Walks over live sockets: reading an iterator runs its program on each of them. */
#include "datapath/internal.h"

#include <string.h>

/* Some hundred records a read. */
#define WALK_BYTES (64 * 1024)

static int walk(struct datapath *datapath, enum hook_index hook, flow_fn fn, void *arg)
{
	_cleanup_close_ int fd = bpf_iter_create(datapath->link[hook]);
	_cleanup_free_ char *buf = malloc(WALK_BYTES);
	size_t have = 0;

	if (fd < 0)
		return -errno;
	if (!buf)
		return -ENOMEM;
	for (;;) {
		ssize_t n = read(fd, buf + have, WALK_BYTES - have);
		size_t used = 0;

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return 0;
		have += n;
		for (; have - used >= sizeof(struct sst_record);
		     used += sizeof(struct sst_record)) {
			int err = fn ? fn((void *)(buf + used), arg) : 0;

			if (err < 0)
				return err;
		}
		have -= used;
		memmove(buf, buf + used, have);
	}
}

int datapath_flows(struct datapath *datapath, flow_fn fn, void *arg)
{
	return walk(datapath, HOOK_LIST, fn, arg);
}

int datapath_leavers(struct datapath *datapath, flow_fn fn, void *arg)
{
	return walk(datapath, HOOK_LEAVERS, fn, arg);
}

int datapath_denied(struct datapath *datapath, flow_fn fn, void *arg)
{
	return walk(datapath, HOOK_REVOKE, fn, arg);
}

int datapath_sweep(struct datapath *datapath)
{
	return walk(datapath, HOOK_SWEEP, NULL, NULL);
}

int datapath_adopt(struct datapath *datapath)
{
	return walk(datapath, HOOK_ADOPT, NULL, NULL);
}

int datapath_stop_splice(struct datapath *datapath)
{
	return walk(datapath, HOOK_STOP, NULL, NULL);
}

int datapath_release(struct datapath *datapath, flow_fn fn, void *arg)
{
	return walk(datapath, HOOK_RELEASE, fn, arg);
}
