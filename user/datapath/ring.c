/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/ring.h"

#include "datapath/internal.h"

struct ring {
	struct ring_buffer *buffer;
	ring_fn fn;
	void *arg;
	unsigned left; /* records that ring_consume_some() may still read; 0: no bound */
	bool deaf;     /* what is read is told nobody */
};

static int on_sample(void *arg, void *data, size_t size)
{
	struct ring *ring = arg;

	if (!ring->deaf)
		ring->fn(data, size, ring->arg);
	if (!ring->left)
		return 0;
	return --ring->left ? 0 : -ECANCELED;
}

int ring_open(int map_fd, ring_fn fn, void *arg, struct ring **ret)
{
	struct ring *ring = calloc(1, sizeof(*ring));

	if (!ring)
		return -ENOMEM;
	ring->fn = fn;
	ring->arg = arg;
	ring->buffer = ring_buffer__new(map_fd, on_sample, ring, NULL);
	if (!ring->buffer) {
		int err = -errno;

		free(ring);
		return err;
	}
	*ret = ring;
	return 0;
}

int ring_poll_fd(const struct ring *ring)
{
	return ring_buffer__epoll_fd(ring->buffer);
}

int ring_consume(struct ring *ring)
{
	return ring_buffer__consume(ring->buffer);
}

int ring_consume_some(struct ring *ring, unsigned max)
{
	int n;

	ring->left = max;
	n = ring_buffer__consume(ring->buffer);
	ring->left = 0;
	return n == -ECANCELED ? (int)max : n;
}

void ring_discard(struct ring *ring)
{
	ring->deaf = true;
	ring_buffer__consume(ring->buffer);
	ring->deaf = false;
}

void ring_close(struct ring *ring)
{
	if (!ring)
		return;
	ring_buffer__free(ring->buffer);
	free(ring);
}
