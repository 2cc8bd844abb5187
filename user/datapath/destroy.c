/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/destroy.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "core/address.h"
#include "datapath/internal.h"

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

/* 0, or what the kernel said: -ENOENT when there is no such socket any more. */
static int diag_destroy(int fd, const struct sst_record *record)
{
	int family = address_family(&record->local);
	struct request request = {
		.header = { .nlmsg_len = sizeof(request),
			    .nlmsg_type = SOCK_DESTROY,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.diag = { .sdiag_family = family,
			  .sdiag_protocol = record->protocol,
			  .idiag_states = ~0U,
			  .id = { .idiag_sport = record->local_port,
				  .idiag_dport = record->remote_port,
				  .idiag_cookie = { (__u32)record->flow, record->flow >> 32 } } },
	};
	char buf[512];
	const struct answer *answer = (const void *)buf;
	ssize_t n;

	if (family == AF_INET) {
		request.diag.id.idiag_src[0] = record->local.w[3];
		request.diag.id.idiag_dst[0] = record->remote.w[3];
	} else {
		memcpy(request.diag.id.idiag_src, &record->local, sizeof(record->local));
		memcpy(request.diag.id.idiag_dst, &record->remote, sizeof(record->remote));
	}
	if (send(fd, &request, sizeof(request), 0) < 0)
		return -errno;
	n = recv(fd, buf, sizeof(buf), 0);
	if (n < 0)
		return -errno;
	if ((size_t)n < sizeof(*answer) || answer->header.nlmsg_type != NLMSG_ERROR)
		return -EBADMSG;
	return answer->error.error;
}

static int open_if_inode(const char *path, ino_t inode)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || st.st_ino != inode)
		return -ENOENT;
	return TAKE_FD(fd);
}

/* Looks for the namespace in folder/NAME + suffix. */
static int find_in(const char *folder, const char *suffix, ino_t inode)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int fd = -ENOENT;

	if (!dir)
		return -errno;
	while (fd < 0 && (entry = readdir(dir))) {
		char path[PATH_MAX];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s%s", folder, entry->d_name, suffix);
		fd = open_if_inode(path, inode);
	}
	closedir(dir);
	return fd;
}

/* A namespace has no path of its own: a process that lives in it or a mount names it. */
static int netns_open(ino_t inode)
{
	int fd = open_if_inode("/proc/self/ns/net", inode);

	if (fd < 0)
		fd = find_in("/run/netns", "", inode);
	if (fd < 0)
		fd = find_in("/proc", "/ns/net", inode);
	return fd;
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

static int there_open(struct datapath *datapath, ino_t inode, struct there *ret)
{
	_cleanup_close_ int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int netns = netns_open(inode);
	struct stat here;

	if (home < 0 || netns < 0 || fstat(home, &here))
		return -ENOENT;
	/* staying needs no capability, entering needs CAP_SYS_ADMIN */
	if (here.st_ino != inode && setns(netns, CLONE_NEWNET))
		return -errno;
	ret->diag = diag_open();
	ret->walk[0] = bpf_iter_create(datapath->link[HOOK_END_TCP]);
	ret->walk[1] = bpf_iter_create(datapath->link[HOOK_END_UDP]);
	if (here.st_ino != inode && setns(home, CLONE_NEWNET))
		abort(); /* going on in the wrong namespace would be worse */
	return 0;
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

/* All records are of one namespace. */
static void destroy_in(struct datapath *datapath, const struct sst_record *records, size_t n)
{
	__attribute__((cleanup(there_release))) struct there there = { -1, { -1, -1 } };
	size_t left = 0;

	if (there_open(datapath, records->netns_ino, &there))
		return;
	for (size_t i = 0; i < n; i++) {
		if (there.diag >= 0 && !diag_destroy(there.diag, &records[i]))
			continue;
		list_set(datapath, &records[i], true);
		left++;
	}
	if (!left)
		return;
	walk(&there);
	for (size_t i = 0; i < n; i++)
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
	size_t end;

	if (!sorted)
		return -ENOMEM;
	if (n)
		memcpy(sorted, records, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), compare_netns);
	for (size_t i = 0; i < n; i = end) {
		for (end = i + 1; end < n && sorted[end].netns_ino == sorted[i].netns_ino; end++)
			;
		destroy_in(datapath, sorted + i, end - i);
	}
	return 0;
}

/* ---- leavers -------------------------------------------------------------------- */

/* Makes room as it is needed. */
struct leavers {
	struct sst_record *records;
	size_t n, room;
};

static int add_leaver(const struct sst_record *record, void *arg)
{
	struct leavers *leavers = arg;

	if (leavers->n == leavers->room) {
		size_t room = leavers->room * 2 + 64;
		void *records = realloc(leavers->records, room * sizeof(*leavers->records));

		if (!records)
			return -ENOMEM;
		leavers->records = records;
		leavers->room = room;
	}
	leavers->records[leavers->n++] = *record;
	return 0;
}

/*
 * A walk may miss some, so it is repeated until one finds none, or no fewer than the
 * one before: those cannot be ended.
 */
int datapath_end_leavers(struct datapath *datapath, struct problems *problems)
{
	struct leavers leavers = {};
	size_t before = SIZE_MAX;
	int err;

	for (;;) {
		leavers.n = 0;
		err = datapath_leavers(datapath, add_leaver, &leavers);
		if (err || !leavers.n || leavers.n >= before)
			break;
		before = leavers.n;
		err = destroy_sockets(datapath, leavers.records, leavers.n);
		if (err)
			break;
	}
	free(leavers.records);
	if (err || !leavers.n)
		return err;
	return fail(problems, -EBUSY,
		    "%zu sockets that must end could not be ended: their network namespace "
		    "cannot be entered, or the kernel cannot end them",
		    leavers.n);
}
