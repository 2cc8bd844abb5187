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
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "core/address.h"
#include "core/cleanup.h"

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

bool destroy_supported(void)
{
	/* nobody has this cookie: a kernel that can answers ENOENT */
	struct sst_record nobody = { .protocol = IPPROTO_TCP, .flow = ~1ULL };
	_cleanup_close_ int fd = diag_open();
	int err;

	address_parse("127.0.0.1", &nobody.local);
	nobody.remote = nobody.local;
	nobody.local_port = nobody.remote_port = htons(1);
	if (fd < 0)
		return false;
	err = diag_destroy(fd, &nobody);
	return err == -ENOENT || err == 0;
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

/* A netlink socket belongs to the namespace it was made in and works from anywhere. */
static int diag_open_in(ino_t inode)
{
	_cleanup_close_ int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int there = netns_open(inode);
	int fd;

	if (home < 0 || there < 0)
		return -ENOENT;
	if (setns(there, CLONE_NEWNET))
		return -errno;
	fd = diag_open();
	if (setns(home, CLONE_NEWNET))
		abort(); /* going on in the wrong namespace would be worse */
	return fd;
}

static int compare_netns(const void *a, const void *b)
{
	const struct sst_record *x = a, *y = b;

	return x->netns_ino < y->netns_ino ? -1 : x->netns_ino > y->netns_ino;
}

size_t destroy_sockets(const struct sst_record *records, size_t n)
{
	_cleanup_free_ struct sst_record *sorted = malloc((n + 1) * sizeof(*sorted));
	_cleanup_close_ int fd = -1;
	size_t destroyed = 0;

	if (!sorted)
		return 0;
	memcpy(sorted, records, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), compare_netns);
	for (size_t i = 0; i < n; i++) {
		if (!i || sorted[i].netns_ino != sorted[i - 1].netns_ino) {
			cleanup_close(&fd);
			fd = diag_open_in(sorted[i].netns_ino);
		}
		if (fd >= 0 && !diag_destroy(fd, &sorted[i]))
			destroyed++;
	}
	return destroyed;
}
