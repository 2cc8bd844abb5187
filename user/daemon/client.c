/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/client.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "core/cleanup.h"
#include "export/json.h"

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

static int ask_to_follow(const char *socket_path, const struct follow_request *request)
{
	_cleanup_json_ json_t *json = follow_request_to_json(request);
	_cleanup_free_ char *dumped = json ? json_dumps(json, JSON_COMPACT) : NULL;
	_cleanup_text_ struct text line = {};

	if (dumped)
		text_add(&line, "%s\n", dumped);
	return dumped && !line.error ? client_ask(socket_path, line.data) : -ENOMEM;
}

int client_follow(const char *socket_path, const struct follow_request *request, FILE *out)
{
	_cleanup_close_ int fd = ask_to_follow(socket_path, request);
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
