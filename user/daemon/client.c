/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/client.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "core/cleanup.h"

static int client_connect(const char *path)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (fd < 0)
		return -errno;
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	if (connect(fd, (void *)&address, sizeof(address)))
		return -errno;
	return TAKE_FD(fd);
}

static int client_ask(const char *path, const char *request)
{
	_cleanup_close_ int fd = client_connect(path);

	if (fd < 0)
		return fd;
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		return -errno;
	return TAKE_FD(fd);
}

bool client_daemon_alive(const char *socket_path)
{
	_cleanup_close_ int fd = client_ask(socket_path, "{\"command\":\"ping\"}\n");
	const struct timeval patience = { .tv_sec = 2 };
	char answer[8];

	if (fd < 0)
		return false;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return recv(fd, answer, sizeof(answer), 0) > 0;
}

int client_follow(const char *socket_path, bool json, FILE *out)
{
	_cleanup_close_ int fd =
		client_ask(socket_path, json ? "{\"command\":\"follow\",\"output\":\"json\"}\n"
					     : "{\"command\":\"follow\",\"output\":\"text\"}\n");
	char buf[64 * 1024];
	ssize_t n;

	if (fd < 0)
		return fd;
	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0) {
		if (fwrite(buf, 1, n, out) != (size_t)n || fflush(out))
			return -errno;
	}
	return n < 0 ? -errno : 0;
}
