/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/capture.h"

#include <sys/mman.h>

#include "core/clock.h"
#include "datapath/internal.h"
#include "datapath/ring.h"

#define NS_PER_S 1000000000ull
#define READ_MAX 512 /* messages at a time */

struct capture {
	struct datapath *datapath;
	struct sst_capture *shared; /* with the kernel half */
	struct ring *ring;
	int claim;
	capture_fn fn; /* NULL: what is read is dropped */
	void *arg;
};

static int share(struct datapath *datapath, struct sst_capture **ret)
{
	void *shared = mmap(NULL, sizeof(**ret), PROT_READ | PROT_WRITE, MAP_SHARED,
			    datapath->map[MAP_capture], 0);

	if (shared == MAP_FAILED)
		return -errno;
	*ret = shared;
	return 0;
}

static void on_message(const void *record, size_t size, void *arg)
{
	struct capture *capture = arg;
	const struct sst_message *message = record;

	if (capture->fn && size >= sizeof(*message) && size - sizeof(*message) >= message->captured)
		capture->fn(message, capture->arg);
}

/* Afterwards no program adds to the ring any more. */
static int end(struct capture *capture)
{
	__atomic_store_n(&capture->shared->deadline_ns, 0, __ATOMIC_SEQ_CST);
	return grace_wait();
}

static int forget_services(int map)
{
	__u32 key;

	while (!bpf_map_get_next_key(map, NULL, &key))
		if (bpf_map_delete_elem(map, &key) && errno != ENOENT)
			return -errno;
	return errno == ENOENT ? 0 : -errno;
}

static int choose_services(int map, const struct capture_options *options)
{
	int err = forget_services(map);
	__u8 one = 1;

	for (size_t i = 0; i < options->n_services && !err; i++)
		if (bpf_map_update_elem(map, &options->services[i], &one, BPF_ANY))
			err = -errno;
	return err;
}

static int begin(struct capture *capture, const struct capture_options *options)
{
	struct sst_capture *shared = capture->shared;
	int err = end(capture); /* of a process that was killed */

	if (!err)
		err = ring_consume(capture->ring);
	if (err >= 0)
		err = choose_services(capture->datapath->map[MAP_captured], options);
	if (err < 0)
		return err;
	*shared = (struct sst_capture){ .flow = options->flow,
					.limit = options->messages,
					.payload = options->payload,
					.owner = getpid() };
	__atomic_store_n(&shared->deadline_ns,
			 clock_ns(CLOCK_BOOTTIME) + options->seconds * NS_PER_S, __ATOMIC_SEQ_CST);
	return 0;
}

static int open_capture(struct capture *capture)
{
	struct datapath *datapath = capture->datapath;
	int err;

	capture->claim = pin_claim(datapath, MAP_capture);
	if (capture->claim < 0)
		return capture->claim;
	err = share(datapath, &capture->shared);
	if (err)
		return err;
	return ring_open(datapath->map[MAP_messages], on_message, capture, &capture->ring);
}

int capture_start(struct datapath *datapath, const struct capture_options *options, capture_fn fn,
		  void *arg, struct capture **ret)
{
	_cleanup_capture_ struct capture *capture = calloc(1, sizeof(*capture));
	int err;

	if (!capture)
		return -ENOMEM;
	capture->datapath = datapath;
	capture->claim = -1;
	err = open_capture(capture);
	if (!err)
		err = begin(capture, options);
	if (err)
		return err;
	capture->fn = fn;
	capture->arg = arg;
	*ret = TAKE_PTR(capture);
	return 0;
}

int capture_owner(struct datapath *datapath, uint32_t *ret_pid)
{
	struct sst_capture *shared = NULL;
	int err = share(datapath, &shared);

	if (err)
		return err;
	*ret_pid = shared->owner;
	munmap(shared, sizeof(*shared));
	return 0;
}

int capture_poll_fd(const struct capture *capture)
{
	return ring_poll_fd(capture->ring);
}

int capture_read(struct capture *capture)
{
	__u64 deadline = __atomic_load_n(&capture->shared->deadline_ns, __ATOMIC_SEQ_CST);
	int n = ring_consume_some(capture->ring, READ_MAX);

	if (n < 0)
		return n;
	if (clock_ns(CLOCK_BOOTTIME) >= deadline)
		return CAPTURE_ENDED;
	return n == READ_MAX ? CAPTURE_HAS_MORE : CAPTURE_GOES_ON;
}

int capture_stop(struct capture *capture, uint64_t *ret_lost)
{
	int err = end(capture);

	if (!err)
		err = ring_consume(capture->ring);
	if (err < 0)
		return err;
	*ret_lost = capture->shared->lost;
	return 0;
}

void capture_free(struct capture *capture)
{
	if (!capture)
		return;
	/* only who has the claim may end what runs */
	if (capture->shared && capture->claim >= 0)
		end(capture);
	if (capture->shared)
		munmap(capture->shared, sizeof(*capture->shared));
	ring_close(capture->ring);
	cleanup_close(&capture->claim);
	free(capture);
}
