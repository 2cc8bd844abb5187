/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/control.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "core/cleanup.h"
#include "daemon/log.h"
#include "export/follow_request.h"
#include "export/json.h"

#define REQUEST_MAX 16384
/* What may wait for a follower that reads slowly. */
#define BACKLOG_MAX (1024 * 1024)

struct client {
	uv_pipe_t pipe; /* first: a handle is its client */
	struct control *control;
	struct client *next, **link;
	bool refused; /* hung up on when it has been told why */
	bool follows;
	struct follow_request wants;
	struct text pending; /* events of this batch */
	uint64_t lost;       /* since it was told of the last ones */
	size_t length;       /* of the request so far */
	char request[REQUEST_MAX];
};

struct control {
	uv_pipe_t pipe;
	char *path;
	struct control_calls calls;
	struct client *clients;
	unsigned followers;
	uint64_t lost; /* by all of them */
};

struct message {
	uv_write_t write; /* first */
	char text[];
};

static void free_client(uv_handle_t *handle)
{
	struct client *client = (struct client *)handle;

	follow_request_release(&client->wants);
	text_release(&client->pending);
	free(client);
}

static void set_follows(struct client *client, bool follows)
{
	struct control *control = client->control;
	unsigned before = control->followers;

	control->followers += follows - client->follows;
	if (!before != !control->followers)
		control->calls.followed(control->followers, control->calls.arg);
	client->follows = follows;
}

static void hang_up(struct client *client)
{
	if (uv_is_closing((uv_handle_t *)&client->pipe))
		return;
	set_follows(client, false);
	*client->link = client->next;
	if (client->next)
		client->next->link = client->link;
	uv_close((uv_handle_t *)&client->pipe, free_client);
}

static void on_written(uv_write_t *write, int status)
{
	struct client *client = (struct client *)write->handle;

	if (status < 0 || client->refused)
		hang_up(client);
	free(write);
}

static void client_send(struct client *client, const char *text, size_t n)
{
	struct message *message = malloc(sizeof(*message) + n);
	uv_buf_t buf;

	if (!message) {
		hang_up(client);
		return;
	}
	memcpy(message->text, text, n);
	buf = uv_buf_init(message->text, n);
	if (uv_write(&message->write, (uv_stream_t *)&client->pipe, &buf, 1, on_written)) {
		free(message);
		hang_up(client);
	}
}

static void client_say(struct client *client, const char *word)
{
	client_send(client, word, strlen(word));
}

/* What the requester has to read before the end; what it sends later is not looked at. */
static void refuse(struct client *client, const char *why)
{
	_cleanup_text_ struct text text = {};

	text_add(&text, "%s\n", why);
	uv_read_stop((uv_stream_t *)&client->pipe);
	client_say(client, text_string(&text));
	client->refused = true;
}

static void client_say_warnings(struct client *client)
{
	const struct control_calls *calls = &client->control->calls;
	_cleanup_json_ json_t *warnings = calls->warnings(calls->arg);
	_cleanup_free_ char *dumped = warnings ? json_dumps(warnings, JSON_COMPACT) : NULL;
	_cleanup_text_ struct text line = {};

	text_add(&line, "%s\n", dumped ?: "");
	if (dumped && !line.error)
		client_send(client, line.data, line.length);
	else
		hang_up(client);
}

static void client_follow(struct client *client, const json_t *json)
{
	_cleanup_text_ struct text wrong = {};
	struct follow_request wants;

	if (follow_request_parse(json, &wants, &wrong)) {
		refuse(client, text_string(&wrong));
		return;
	}
	follow_request_release(&client->wants);
	client->wants = wants;
	set_follows(client, true);
}

static void serve(struct client *client)
{
	json_t *request = json_loads(client->request, 0, NULL);
	const char *command = json_string_value(json_object_get(request, "command"));
	struct control *control = client->control;

	if (command && !strcmp(command, "ping"))
		client_say(client, "pong\n");
	else if (command && !strcmp(command, "reload"))
		client_say(client,
			   control->calls.reload(control->calls.arg) ? "reloaded\n" : "refused\n");
	else if (command && !strcmp(command, "warnings"))
		client_say_warnings(client);
	else if (command && !strcmp(command, "follow"))
		client_follow(client, request);
	else
		refuse(client, "unknown request");
	json_decref(request);
}

/* Room for the rest of the request; none left means it is too long. */
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct client *client = (struct client *)handle;

	(void)suggested;
	*buf = uv_buf_init(client->request + client->length, REQUEST_MAX - 1 - client->length);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct client *client = (struct client *)stream;
	char *end;

	(void)buf;
	if (n < 0) {
		hang_up(client);
		return;
	}
	client->length += n;
	client->request[client->length] = '\0';
	end = strchr(client->request, '\n');
	if (!end)
		return;
	*end = '\0';
	client->length = 0;
	serve(client);
}

static bool trusted(const uv_pipe_t *pipe)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);
	uv_os_fd_t fd;

	if (uv_fileno((const uv_handle_t *)pipe, &fd) ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		return false;
	return peer.uid == 0 || peer.uid == geteuid();
}

static void on_connection(uv_stream_t *server, int status)
{
	struct control *control = server->data;
	struct client *client;

	if (status < 0)
		return;
	client = calloc(1, sizeof(*client));
	if (!client)
		return;
	client->control = control;
	client->next = control->clients;
	client->link = &control->clients;
	if (client->next)
		client->next->link = &client->next;
	control->clients = client;
	uv_pipe_init(server->loop, &client->pipe, 0);
	if (uv_accept(server, (uv_stream_t *)&client->pipe) || !trusted(&client->pipe) ||
	    uv_read_start((uv_stream_t *)&client->pipe, on_alloc, on_read))
		hang_up(client);
}

static int control_listen(struct control *control)
{
	mode_t before;
	int err;

	unlink(control->path); /* of a daemon that was killed */
	before = umask(0177);  /* never there with a wider mode, not for a moment */
	err = uv_pipe_bind(&control->pipe, control->path);
	umask(before);
	if (!err)
		err = uv_listen((uv_stream_t *)&control->pipe, 16, on_connection);
	return err;
}

static void free_control(uv_handle_t *handle)
{
	struct control *control = (struct control *)handle;

	free(control->path);
	free(control);
}

int control_open(uv_loop_t *loop, const char *path, const struct control_calls *calls,
		 struct control **ret)
{
	struct control *control = calloc(1, sizeof(*control));
	int err;

	if (!control)
		return -ENOMEM;
	control->calls = *calls;
	control->path = strdup(path);
	if (!control->path) {
		free(control);
		return -ENOMEM;
	}
	uv_pipe_init(loop, &control->pipe, 0);
	control->pipe.data = control;
	err = control_listen(control);
	if (err) {
		uv_close((uv_handle_t *)&control->pipe, free_control);
		return err;
	}
	*ret = control;
	return 0;
}

static void client_event(struct client *client, const struct sst_record *record,
			 const struct record_context *context)
{
	size_t waits = uv_stream_get_write_queue_size((uv_stream_t *)&client->pipe);

	if (waits + client->pending.length > BACKLOG_MAX) {
		client->lost++;
		client->control->lost++;
		return;
	}
	if (client->lost)
		follow_request_add_lost(&client->wants, client->lost, &client->pending);
	client->lost = 0;
	follow_request_add(&client->wants, record, context, &client->pending);
}

void control_event(struct control *control, const struct sst_record *record,
		   const struct record_context *context)
{
	for (struct client *client = control->clients; client; client = client->next)
		if (client->follows &&
		    flow_filter_takes(&client->wants.filter, record, context->state))
			client_event(client, record, context);
}

void control_flush(struct control *control)
{
	struct client *next;

	for (struct client *client = control->clients; client; client = next) {
		next = client->next;
		if (client->pending.error)
			hang_up(client);
		else if (client->pending.length)
			client_send(client, client->pending.data, client->pending.length);
		client->pending.length = 0;
	}
}

uint64_t control_lost(const struct control *control)
{
	return control->lost;
}

void control_close(struct control *control)
{
	if (!control)
		return;
	while (control->clients)
		hang_up(control->clients);
	uv_close((uv_handle_t *)&control->pipe, free_control); /* unlinks the socket */
}
