/* SPDX-License-Identifier: Apache-2.0 */
/* Walks over live sockets: reading an iterator runs its program on each of them. */
#include "datapath/internal.h"

#include <string.h>

#include "datapath/ring.h"

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

/* A walk whose output is map `listed`. */
struct listing {
	flow_fn fn;
	void *arg;
	int err;
};

static void on_listed(const void *record, size_t size, void *arg)
{
	struct listing *listing = arg;

	if (!listing->err && size >= sizeof(struct sst_record))
		listing->err = listing->fn(record, listing->arg);
}

/* Each read goes as far as there is room in the ring. */
static int read_listed(int fd, struct ring *ring, struct listing *listing)
{
	for (;;) {
		char none;
		ssize_t n = read(fd, &none, sizeof(none));
		int err = n < 0 && errno != EAGAIN && errno != EINTR ? -errno : 0;
		int listed = ring_consume(ring);

		if (err || listed < 0 || listing->err)
			return err ?: listed < 0 ? listed : listing->err;
		if (!n)
			return 0;
	}
}

static int list(struct datapath *datapath, struct listing *listing)
{
	_cleanup_close_ int fd = bpf_iter_create(datapath->link[HOOK_LIST]);
	struct ring *ring;
	int err = fd < 0 ? -errno : 0;

	if (!err)
		err = ring_open(datapath->map[MAP_listed], on_listed, listing, &ring);
	if (err)
		return err;
	ring_discard(ring); /* of somebody who was killed */
	err = read_listed(fd, ring, listing);
	ring_close(ring);
	return err;
}

int datapath_flows(struct datapath *datapath, flow_fn fn, void *arg)
{
	_cleanup_close_ int claim = list_claim(datapath);

	if (claim == -EBUSY)
		return walk(datapath, HOOK_LIST_SLOWLY, fn, arg);
	if (claim < 0)
		return claim;
	return list(datapath, &(struct listing){ .fn = fn, .arg = arg });
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
