/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/destroy.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "core/address.h"
#include "datapath/internal.h"

/* ---- by sock_diag ------------------------------------------------------------------ */

struct request {
	struct nlmsghdr header;
	struct inet_diag_req_v2 diag;
};

struct answer {
	struct nlmsghdr header;
	struct nlmsgerr error;
};

static struct request request_for(const struct sst_record *record, __u32 number)
{
	int family = address_family(&record->local);
	struct request request = {
		.header = { .nlmsg_len = sizeof(request),
			    .nlmsg_type = SOCK_DESTROY,
			    .nlmsg_flags = NLM_F_REQUEST,
			    .nlmsg_seq = number },
		.diag = { .sdiag_family = family,
			  .sdiag_protocol = record->protocol,
			  .idiag_states = ~0U,
			  .id = { .idiag_sport = record->local_port,
				  .idiag_dport = record->remote_port,
				  .idiag_cookie = { (__u32)record->flow, record->flow >> 32 } } },
	};

	if (family == AF_INET) {
		request.diag.id.idiag_src[0] = record->local.w[3];
		request.diag.id.idiag_dst[0] = record->remote.w[3];
	} else {
		memcpy(request.diag.id.idiag_src, &record->local, sizeof(record->local));
		memcpy(request.diag.id.idiag_dst, &record->remote, sizeof(record->remote));
	}
	return request;
}

/* The kernel tells of those that failed, and of the last one, which asks for it. */
static int diag_answers(int fd, __u32 last, bool *ended)
{
	char buf[512];
	const struct answer *answer = (const void *)buf;
	__u32 number;

	do {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);

		if (n < 0)
			return -errno;
		if ((size_t)n < sizeof(*answer) || answer->header.nlmsg_type != NLMSG_ERROR)
			return -EBADMSG;
		number = answer->header.nlmsg_seq;
		if (number > last)
			return -EBADMSG;
		ended[number] = !answer->error.error;
	} while (number != last);
	return 0;
}

/* Many requests a message: a system call costs as much as ending a socket. */
static int diag_destroy(int fd, struct batch *batch)
{
	struct request requests[BATCH_MAX];
	size_t last = batch->n - 1;
	int err = 0;

	for (size_t i = 0; i <= last; i++) {
		requests[i] = request_for(&batch->records[i], i);
		batch->ended[i] = true;
	}
	requests[last].header.nlmsg_flags |= NLM_F_ACK;
	if (send(fd, requests, batch->n * sizeof(*requests), 0) < 0)
		err = -errno;
	else
		err = diag_answers(fd, last, batch->ended);
	if (err)
		memset(batch->ended, false, sizeof(batch->ended));
	return err;
}

/* A netlink socket and an iterator belong to the namespace they were made in and
 * work from anywhere: enter it, make them, and come back. */
static int diag_make(void *arg)
{
	int *ret = arg;

	*ret = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	return *ret < 0 ? -errno : 0;
}

void destroyer_release(struct destroyer *destroyer)
{
	cleanup_close(&destroyer->diag);
	netns_map_release(&destroyer->map);
}

static void destroyer_enter(struct destroyer *destroyer, __u32 inode)
{
	_cleanup_close_ int netns = netns_map_open(&destroyer->map, inode);

	cleanup_close(&destroyer->diag);
	destroyer->diag = -1;
	destroyer->netns = inode;
	if (netns >= 0)
		netns_do(netns, diag_make, &destroyer->diag);
}

void destroy_batch(struct destroyer *destroyer, struct batch *batch)
{
	memset(batch->ended, false, sizeof(batch->ended));
	if (destroyer->netns != batch->netns)
		destroyer_enter(destroyer, batch->netns);
	/* answers that were not read must not be taken for the next ones' */
	if (destroyer->diag >= 0 && diag_destroy(destroyer->diag, batch))
		destroyer->netns = 0;
}

/* ---- by a walk ------------------------------------------------------------------------ */

struct arrival {
	struct datapath *datapath;
	int walk[2];
};

static int walk_make(void *arg)
{
	struct arrival *arrival = arg;

	arrival->walk[0] = bpf_iter_create(arrival->datapath->link[HOOK_END_TCP]);
	arrival->walk[1] = bpf_iter_create(arrival->datapath->link[HOOK_END_UDP]);
	return 0;
}

/* Reading the iterators ends what is on the list. */
static void walk(struct datapath *datapath, __u32 inode)
{
	struct arrival arrival = { datapath, { -1, -1 } };
	_cleanup_close_ int netns = netns_open(inode);
	char nothing[64];

	if (netns >= 0)
		netns_do(netns, walk_make, &arrival);
	for (size_t i = 0; i < ARRAY_SIZE(arrival.walk); i++) {
		while (read(arrival.walk[i], nothing, sizeof(nothing)) > 0)
			;
		cleanup_close(&arrival.walk[i]);
	}
}

bool batch_has_left(const struct batch *batch)
{
	return memchr(batch->ended, false, batch->n);
}

/* Those of the batch that are left go onto the list, or off it. */
static void list_set(struct datapath *datapath, const struct batch *batch, bool doomed)
{
	int fd = datapath->map[MAP_doomed];
	__u8 yes = 1;

	for (size_t i = 0; i < batch->n; i++) {
		__u64 cookie = batch->records[i].flow;

		if (batch->ended[i])
			continue;
		if (doomed)
			bpf_map_update_elem(fd, &cookie, &yes, BPF_ANY);
		else
			bpf_map_delete_elem(fd, &cookie);
	}
}

static bool is_first(const struct batch *batches, const struct batch *batch)
{
	while (batches->netns != batch->netns)
		batches = batches->next;
	return batches == batch;
}

void destroy_left(struct datapath *datapath, const struct batch *batches)
{
	for (const struct batch *batch = batches; batch; batch = batch->next)
		list_set(datapath, batch, true);
	for (const struct batch *batch = batches; batch; batch = batch->next)
		if (is_first(batches, batch))
			walk(datapath, batch->netns);
	for (const struct batch *batch = batches; batch; batch = batch->next)
		list_set(datapath, batch, false);
}

/* ---- one ---------------------------------------------------------------------------------- */

void destroy_socket(struct datapath *datapath, const struct sst_record *record)
{
	_cleanup_(destroyer_release) struct destroyer destroyer = DESTROYER_INIT;
	struct batch batch = { .netns = record->netns_ino, .n = 1, .records[0] = *record };

	destroy_batch(&destroyer, &batch);
	if (batch_has_left(&batch))
		destroy_left(datapath, &batch);
}
