/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/destroy.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "core/array.h"
#include "core/address.h"
#include "datapath/internal.h"
#include "datapath/netns.h"
#include "datapath/policy.h"

struct request {
	struct nlmsghdr header;
	struct inet_diag_req_v2 diag;
};

struct answer {
	struct nlmsghdr header;
	struct nlmsgerr error;
};

static int diag_open(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	return fd < 0 ? -errno : fd;
}

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
#define BATCH 64

/* Tells in `ended` which were: the others may have gone, or are not to be found. */
static int diag_destroy(int fd, const struct sst_record *records, size_t n, bool *ended)
{
	struct request requests[BATCH];
	int err = 0;

	for (size_t i = 0; i < n && !err; i += BATCH) {
		size_t part = n - i < BATCH ? n - i : BATCH;

		for (size_t j = 0; j < part; j++) {
			requests[j] = request_for(&records[i + j], i + j);
			ended[i + j] = true;
		}
		requests[part - 1].header.nlmsg_flags |= NLM_F_ACK;
		if (send(fd, requests, part * sizeof(*requests), 0) < 0)
			err = -errno;
		else
			err = diag_answers(fd, i + part - 1, ended);
		if (err)
			memset(ended + i, false, part);
	}
	return err;
}

/* A netlink socket and an iterator belong to the namespace they were made in and
 * work from anywhere: enter it, make them, and come back. */
struct there {
	int diag;
	int walk[2];
};

static void there_release(struct there *there)
{
	cleanup_close(&there->diag);
	cleanup_close(&there->walk[0]);
	cleanup_close(&there->walk[1]);
}

struct arrival {
	struct datapath *datapath;
	struct there *there;
};

static int there_make(void *arg)
{
	const struct arrival *arrival = arg;
	struct there *there = arrival->there;

	there->diag = diag_open();
	there->walk[0] = bpf_iter_create(arrival->datapath->link[HOOK_END_TCP]);
	there->walk[1] = bpf_iter_create(arrival->datapath->link[HOOK_END_UDP]);
	return 0;
}

static int there_open(struct datapath *datapath, ino_t inode, struct there *ret)
{
	struct arrival arrival = { datapath, ret };
	_cleanup_close_ int netns = netns_open(inode);

	return netns < 0 ? netns : netns_do(netns, there_make, &arrival);
}

/* Reading the iterators ends what is on the list. */
static void walk(const struct there *there)
{
	char nothing[64];

	for (size_t i = 0; i < ARRAY_SIZE(there->walk); i++)
		while (read(there->walk[i], nothing, sizeof(nothing)) > 0)
			;
}

static void list_set(struct datapath *datapath, const struct sst_record *record, bool doomed)
{
	__u64 cookie = record->flow;
	__u8 yes = 1;

	if (doomed)
		bpf_map_update_elem(datapath->map[MAP_doomed], &cookie, &yes, BPF_ANY);
	else
		bpf_map_delete_elem(datapath->map[MAP_doomed], &cookie);
}

/* All records are of one namespace; ended has room for as many. */
static void destroy_in(struct datapath *datapath, const struct sst_record *records, size_t n,
		       bool *ended)
{
	__attribute__((cleanup(there_release))) struct there there = { -1, { -1, -1 } };
	size_t left = 0;

	if (there_open(datapath, records->netns_ino, &there))
		return;
	memset(ended, false, n);
	if (there.diag >= 0)
		diag_destroy(there.diag, records, n, ended);
	for (size_t i = 0; i < n; i++) {
		if (ended[i])
			continue;
		list_set(datapath, &records[i], true);
		left++;
	}
	if (!left)
		return;
	walk(&there);
	for (size_t i = 0; i < n; i++)
		if (!ended[i])
			list_set(datapath, &records[i], false);
}

static int compare_netns(const void *a, const void *b)
{
	const struct sst_record *x = a, *y = b;

	return x->netns_ino < y->netns_ino ? -1 : x->netns_ino > y->netns_ino;
}

int destroy_sockets(struct datapath *datapath, const struct sst_record *records, size_t n)
{
	_cleanup_free_ struct sst_record *sorted = malloc((n + 1) * sizeof(*sorted));
	_cleanup_free_ bool *ended = malloc(n + 1);
	size_t end;

	if (!sorted || !ended)
		return -ENOMEM;
	if (n)
		memcpy(sorted, records, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), compare_netns);
	for (size_t i = 0; i < n; i = end) {
		for (end = i + 1; end < n && sorted[end].netns_ino == sorted[i].netns_ino; end++)
			;
		destroy_in(datapath, sorted + i, end - i, ended);
	}
	return 0;
}

/* ---- those that a walk tells of -------------------------------------------------- */

/* Makes room as it is needed. */
struct found {
	struct sst_record *records;
	size_t n, room;
};

static int add_found(const struct sst_record *record, void *arg)
{
	struct found *found = arg;

	if (array_reserve((void **)&found->records, &found->room, found->n,
			  sizeof(*found->records)))
		return -ENOMEM;
	found->records[found->n++] = *record;
	return 0;
}

static int compare_flows(const void *a, const void *b)
{
	const struct sst_record *x = a, *y = b;

	return x->flow < y->flow ? -1 : x->flow > y->flow;
}

/* How many of them were found before, too: cookies are never used twice. */
static size_t count_again(const struct found *now, const struct found *before)
{
	size_t n = 0;

	for (size_t i = 0; before->n && i < now->n; i++)
		n += bsearch(&now->records[i], before->records, before->n, sizeof(*before->records),
			     compare_flows) != NULL;
	return n;
}

typedef int (*walk_fn)(struct datapath *datapath, flow_fn fn, void *arg);

/* Whoever opens flows without end is left to the next time. */
#define NEWCOMERS_MAX 16

/*
 * A walk may miss some, an attempt may end some only, and others come meanwhile: so it is
 * repeated until nobody is found, or just those of before. These cannot be ended, and *left
 * tells how many.
 */
static int end_found(struct datapath *datapath, walk_fn walk_over, struct found found[2],
		     size_t *left)
{
	struct found *now = &found[0], *before = &found[1], *swap;
	int err = 0;

	for (unsigned newcomers = 0; !err && newcomers < NEWCOMERS_MAX;) {
		now->n = 0;
		err = walk_over(datapath, add_found, now);
		*left = count_again(now, before);
		if (err || !now->n || (*left == now->n && now->n == before->n))
			break;
		newcomers += *left < now->n;
		err = destroy_sockets(datapath, now->records, now->n);
		qsort(now->records, now->n, sizeof(*now->records), compare_flows);
		swap = before;
		before = now;
		now = swap;
	}
	return err;
}

static int end_all(struct datapath *datapath, walk_fn walk_over, struct problems *problems)
{
	struct found found[2] = {};
	size_t left = 0;
	int err = end_found(datapath, walk_over, found, &left);

	free(found[0].records);
	free(found[1].records);
	if (err || !left)
		return err;
	return fail(problems, -EBUSY,
		    "%zu sockets that must end could not be ended: their network namespace "
		    "cannot be entered, or the kernel cannot end them",
		    left);
}

int datapath_end_leavers(struct datapath *datapath, struct problems *problems)
{
	return end_all(datapath, datapath_leavers, problems);
}

int datapath_revoke(struct datapath *datapath, struct problems *problems)
{
	uint32_t flags;
	int err = policy_flags(datapath, &flags);

	if (err || !(flags & SST_POLICY_REVOKE))
		return err;
	return end_all(datapath, datapath_denied, problems);
}
