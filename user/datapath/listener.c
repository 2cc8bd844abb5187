/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "core/address.h"
#include "core/cleanup.h"
#include "datapath/host.h"

/* ---- the socket's cgroup ------------------------------------------------------------ */

struct request {
	struct nlmsghdr header;
	struct inet_diag_req_v2 diag;
};

/* One socket, looked up like that of an arriving packet: the one that listens there. */
static struct request request_for(const struct sst_addr *address, uint16_t port, uint8_t protocol)
{
	struct request request = {
		.header = { .nlmsg_len = sizeof(request),
			    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			    .nlmsg_flags = NLM_F_REQUEST },
		.diag = { .sdiag_family = address_family(address),
			  .sdiag_protocol = protocol,
			  .idiag_states = ~0U,
			  .id.idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } },
	};
	struct inet_diag_sockid *id = &request.diag.id;
	/* for UDP the kernel has both ends the other way round */
	__be32 *local = protocol == IPPROTO_UDP ? id->idiag_dst : id->idiag_src;

	if (protocol == IPPROTO_UDP)
		id->idiag_dport = htons(port);
	else
		id->idiag_sport = htons(port);
	if (request.diag.sdiag_family == AF_INET)
		local[0] = address->w[3];
	else
		memcpy(local, address, sizeof(*address));
	return request;
}

/* -ENOENT: there is no socket, or it does not tell its cgroup. */
static int read_cgroup(const struct nlmsghdr *header, size_t size, uint64_t *ret)
{
	const struct inet_diag_msg *message = NLMSG_DATA(header);
	const struct rtattr *attribute;
	unsigned rest;

	if (!NLMSG_OK(header, size) || header->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    header->nlmsg_len < NLMSG_LENGTH(sizeof(*message)))
		return -ENOENT;
	attribute = (const void *)(message + 1);
	rest = header->nlmsg_len - NLMSG_LENGTH(sizeof(*message));
	for (; RTA_OK(attribute, rest); attribute = RTA_NEXT(attribute, rest))
		if (attribute->rta_type == INET_DIAG_CGROUP_ID &&
		    RTA_PAYLOAD(attribute) == sizeof(*ret)) {
			memcpy(ret, RTA_DATA(attribute), sizeof(*ret));
			return 0;
		}
	return -ENOENT;
}

static int find_cgroup(const struct sst_addr *address, uint16_t port, uint8_t protocol,
		       uint64_t *ret)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	struct request request = request_for(address, port, protocol);
	_Alignas(struct nlmsghdr) char answer[4096];
	ssize_t n;

	if (fd < 0 || send(fd, &request, sizeof(request), 0) < 0)
		return -errno;
	n = recv(fd, answer, sizeof(answer), 0);
	return n < 0 ? -errno : read_cgroup((const void *)answer, n, ret);
}

/* ---- the cgroup's workload ------------------------------------------------------------ */

/* A file handle of kernfs is the id. */
#define FILEID_KERNFS 0xfe

/* Where the cgroup lies in the file system. */
static int find_folder(const char *root, uint64_t id, char path[PATH_MAX])
{
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + sizeof(id)];
	} cgroup = { .handle = { .handle_bytes = sizeof(id), .handle_type = FILEID_KERNFS } };
	_cleanup_close_ int mount = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
	char name[32];
	ssize_t n;

	memcpy(cgroup.handle.f_handle, &id, sizeof(id));
	if (mount >= 0)
		fd = open_by_handle_at(mount, &cgroup.handle, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	n = readlink(name, path, PATH_MAX - 1);
	if (n < 0)
		return -errno;
	path[n] = '\0';
	return 0;
}

/* By its path below the root, which ends at `end`, or by its id. */
static uint32_t workload_of(const struct policy_set *set, const char *path, size_t root)
{
	const struct sst_policy_head *head = policy_head(set);
	uint32_t workload = 0;
	struct stat folder;
	uint64_t hash;

	if (!policy_path_hash(head->seed, path + root, &hash))
		workload = sst_policy_find(&set->memory, head, SST_KEY_CGROUP_PATH, hash);
	if (!workload && !stat(path, &folder))
		workload = sst_policy_find(&set->memory, head, SST_KEY_CGROUP_ID, folder.st_ino);
	return workload;
}

/* The nearest of the folder and those above it that is a workload's. */
static uint32_t find_above(const struct policy_set *set, char *path, size_t root)
{
	uint32_t workload = 0;

	while (!workload && strlen(path) > root) {
		workload = workload_of(set, path, root);
		*strrchr(path, '/') = '\0';
	}
	return workload;
}

uint32_t listener_find(const struct policy_set *set, const struct sst_addr *address, uint16_t port,
		       uint8_t protocol)
{
	char root[PATH_MAX], path[PATH_MAX];
	uint64_t cgroup = 0;

	if (host_cgroup_root(root) || find_cgroup(address, port, protocol, &cgroup) ||
	    find_folder(root, cgroup, path) || strncmp(path, root, strlen(root)))
		return 0;
	return find_above(set, path, strlen(root));
}

/* ---- all that listen -------------------------------------------------------------------- */

#define ANSWER_SIZE 65536

static bool is_v6_only(const struct inet_diag_msg *message, unsigned rest)
{
	const struct rtattr *attribute = (const void *)(message + 1);

	for (; RTA_OK(attribute, rest); attribute = RTA_NEXT(attribute, rest))
		if (attribute->rta_type == INET_DIAG_SKV6ONLY)
			return *(const uint8_t *)RTA_DATA(attribute);
	return false;
}

static struct shadow_socket socket_of(const struct nlmsghdr *header, uint8_t protocol)
{
	const struct inet_diag_msg *message = NLMSG_DATA(header);
	unsigned rest = header->nlmsg_len - NLMSG_LENGTH(sizeof(*message));
	struct shadow_socket socket = {
		.port = ntohs(message->id.idiag_sport),
		.protocol = protocol,
		.v6_only = message->idiag_family == AF_INET6 && is_v6_only(message, rest),
	};

	if (message->idiag_family == AF_INET)
		socket.address =
			(struct sst_addr){ { 0, 0, htonl(0xffff), message->id.idiag_src[0] } };
	else
		memcpy(&socket.address, message->id.idiag_src, sizeof(socket.address));
	return socket;
}

/* Some of a listing. 1: that was all; 0: there is more; or -errno. */
static int take_listed(const struct nlmsghdr *header, size_t size, uint8_t protocol,
		       struct shadow_sockets *ret)
{
	int err = 0;

	for (; !err && NLMSG_OK(header, size); header = NLMSG_NEXT(header, size)) {
		const struct nlmsgerr *error = NLMSG_DATA(header);
		struct shadow_socket socket;

		if (header->nlmsg_type == NLMSG_DONE)
			return 1;
		if (header->nlmsg_type == NLMSG_ERROR)
			return header->nlmsg_len >= NLMSG_LENGTH(sizeof(*error)) ? error->error
										 : -EPROTO;
		if (header->nlmsg_len < NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
			return -EPROTO;
		socket = socket_of(header, protocol);
		err = shadow_sockets_add(ret, &socket);
	}
	return err;
}

/* A UDP socket is "closed" until it connects. */
static int list_some(int family, uint8_t protocol, struct shadow_sockets *ret)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	_cleanup_free_ struct nlmsghdr *answer = malloc(ANSWER_SIZE);
	const struct request request = {
		.header = { .nlmsg_len = sizeof(request),
			    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.diag = { .sdiag_family = family,
			  .sdiag_protocol = protocol,
			  .idiag_states = 1U
					  << (protocol == IPPROTO_TCP ? TCP_LISTEN : TCP_CLOSE) },
	};
	int r = 0;

	if (!answer)
		return -ENOMEM;
	if (fd < 0 || send(fd, &request, sizeof(request), 0) < 0)
		return -errno;
	while (!r) {
		ssize_t n = recv(fd, answer, ANSWER_SIZE, 0);

		r = n < 0 ? -errno : take_listed(answer, n, protocol, ret);
	}
	return r < 0 ? r : 0;
}

int listener_list(struct shadow_sockets *ret)
{
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP };
	_cleanup_shadow_sockets_ struct shadow_sockets sockets = {};
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(protocols) && !err; i++)
		err = list_some(AF_INET, protocols[i], &sockets)
			      ?: list_some(AF_INET6, protocols[i], &sockets);
	if (err)
		return err;
	*ret = sockets;
	sockets = (struct shadow_sockets){};
	return 0;
}
