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

static void set_patience(int fd)
{
	const struct timeval patience = { .tv_sec = 2 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}

bool client_daemon_alive(const char *socket_path)
{
	_cleanup_close_ int fd = client_ask(socket_path, "{\"command\":\"ping\"}\n");
	char answer[8];

	if (fd < 0)
		return false;
	set_patience(fd);
	return recv(fd, answer, sizeof(answer), 0) > 0;
}

/* To the end of the line. */
static int receive_line(int fd, struct text *ret)
{
	char buf[4096];
	ssize_t n;

	while (!ret->length || ret->data[ret->length - 1] != '\n') {
		n = recv(fd, buf, sizeof(buf), 0);
		if (n <= 0)
			return n ? -errno : -EPIPE;
		text_add_bytes(ret, buf, n);
		if (ret->error)
			return ret->error;
	}
	return 0;
}

json_t *client_warnings(const char *socket_path)
{
	_cleanup_close_ int fd = client_ask(socket_path, "{\"command\":\"warnings\"}\n");
	_cleanup_json_ json_t *answer = NULL;
	_cleanup_text_ struct text line = {};

	if (fd < 0)
		return NULL;
	set_patience(fd);
	if (receive_line(fd, &line))
		return NULL;
	answer = json_loadb(line.data, line.length, 0, NULL);
	return json_is_array(answer) ? TAKE_PTR(answer) : NULL;
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
