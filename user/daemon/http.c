/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/http.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/address.h"
#include "core/cleanup.h"
#include "daemon/libmicrohttpd.h"
#include "daemon/log.h"

#define BACKLOG         32
#define MEMORY          (32 * 1024) /* of a connection: its request, and what is about to be sent */
#define SEND_BUFFER     (256 * 1024) /* the kernel's, of a connection; it takes twice that */
#define LOOK_MS         1000         /* how often patience is looked at */
#define COOKIE_NAME_MAX 32

/* What is published: shared by all who are to get it. */
struct message {
	unsigned users;
	size_t length;
	char *data;
};

/* Of one connection, while its answer is a stream. */
struct stream {
	bool active;
	bool asleep;          /* suspended: nothing to send */
	struct message *now;  /* what is sent */
	size_t sent;          /* of it */
	struct message *next; /* the newest after it */
	uint64_t since_ms;    /* when `now` began */
};

struct connection {
	struct http *http;
	struct MHD_Connection *mhd;
	struct connection *next, **link;
	int fd;
	bool asked;        /* a request has begun and is not yet answered */
	bool waits;        /* it is suspended until http_wake() */
	bool has_waited;   /* this request, at least once */
	bool ended;        /* by us */
	uint64_t since_ms; /* of the connection, its last answer's end or its request's begin */
	struct stream stream;
};

struct http_request {
	struct connection *connection;
	const struct http_route *route;
	bool head;
	bool answered;
	enum MHD_Result result;
};

struct http {
	const struct http_options *options;
	struct MHD_Daemon *mhd;
	uv_poll_t poll;
	uv_timer_t due, look;
	unsigned open_handles;
	struct connection *connections;
	struct message *last; /* while somebody follows */
	struct http_figures figures;
	char cookie[COOKIE_NAME_MAX];
	bool told_stalled, told_full;
};

/* ---- addresses -------------------------------------------------------------------- */

char *http_address_format(const struct http_address *address, char *buf)
{
	return address_port_format(&address->address, htons(address->port), buf);
}

static int bind_and_listen(int fd, struct http_address *address)
{
	struct sockaddr_storage name;
	socklen_t size = address_to_sockaddr(&address->address, htons(address->port), &name);
	const int on = 1, off = 0, buffer = SEND_BUFFER;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer)); /* its connections' too */
	if (name.ss_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)))
		return -errno;
	if (bind(fd, (void *)&name, size) || listen(fd, BACKLOG) ||
	    getsockname(fd, (void *)&name, &size))
		return -errno;
	address->port = ntohs(name.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&name)->sin6_port
							 : ((struct sockaddr_in *)&name)->sin_port);
	return 0;
}

static int load_library(void)
{
	_cleanup_problems_ struct problems problems = {};
	int err = libmicrohttpd_load(&problems);

	log_problems(&problems);
	return err;
}

int http_listen(struct http_address *address)
{
	_cleanup_close_ int fd = -1;
	int err = load_library();

	if (err)
		return err;
	fd = socket(address_family(&address->address), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
		    0);
	err = fd < 0 ? -errno : bind_and_listen(fd, address);
	return err ?: TAKE_FD(fd);
}

/* ---- messages --------------------------------------------------------------------- */

static struct message *message_use(struct message *message)
{
	message->users++;
	return message;
}

static void message_drop(struct message **message)
{
	if (*message && !--(*message)->users) {
		free((*message)->data);
		free(*message);
	}
	*message = NULL;
}

/* ---- the loop --------------------------------------------------------------------- */

static void on_due(uv_timer_t *timer);

/* What is left to do at once is done in the loop's next round: others have their turn. */
static void run(struct http *http)
{
	MHD_UNSIGNED_LONG_LONG ms;

	libmicrohttpd.run(http->mhd);
	if (libmicrohttpd.get_timeout(http->mhd, &ms) == MHD_YES)
		uv_timer_start(&http->due, on_due, ms, 0);
	else
		uv_timer_stop(&http->due);
}

static void on_due(uv_timer_t *timer)
{
	run(timer->data);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	run(poll->data);
}

static uint64_t now_ms(const struct http *http)
{
	return uv_now(http->poll.loop);
}

/* What waits in its socket goes with it: nobody reads it. */
static void cut(struct connection *connection)
{
	const struct linger at_once = { .l_onoff = 1 };

	connection->ended = true;
	setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	shutdown(connection->fd, SHUT_RDWR);
}

/* One that only waits for its next request has done nothing wrong. */
static void lose_patience(struct connection *connection)
{
	struct http *http = connection->http;

	cut(connection);
	if (!connection->asked)
		return;
	http->figures.stalled++;
	if (!http->told_stalled)
		log_line("%s: ended a connection that did not read for %d seconds; more of them "
			 "are counted only",
			 http->options->name, HTTP_PATIENCE_MS / 1000);
	http->told_stalled = true;
}

static bool is_overdue(const struct connection *connection)
{
	const struct stream *stream = &connection->stream;
	uint64_t since = stream->active ? stream->since_ms : connection->since_ms;

	return !stream->asleep && !connection->waits && !connection->ended &&
	       now_ms(connection->http) - since > HTTP_PATIENCE_MS;
}

static void on_look(uv_timer_t *timer)
{
	struct http *http = timer->data;

	for (struct connection *c = http->connections; c; c = c->next)
		if (is_overdue(c))
			lose_patience(c);
	run(http);
}

/* ---- streams ---------------------------------------------------------------------- */

static void stream_advance(struct connection *connection)
{
	struct stream *stream = &connection->stream;

	message_drop(&stream->now);
	stream->now = TAKE_PTR(stream->next);
	stream->sent = 0;
	stream->since_ms = now_ms(connection->http);
}

static ssize_t stream_read(void *arg, uint64_t position, char *buf, size_t max)
{
	struct connection *connection = arg;
	struct stream *stream = &connection->stream;
	size_t n;

	(void)position;
	if (!stream->now || stream->sent == stream->now->length)
		stream_advance(connection);
	if (!stream->now) {
		stream->asleep = true;
		libmicrohttpd.suspend_connection(connection->mhd);
		return 0;
	}
	n = stream->now->length - stream->sent;
	n = n < max ? n : max;
	memcpy(buf, stream->now->data + stream->sent, n);
	stream->sent += n;
	return n;
}

static void stream_wake(struct stream *stream, struct MHD_Connection *mhd)
{
	if (!stream->asleep)
		return;
	stream->asleep = false;
	libmicrohttpd.resume_connection(mhd);
}

static void stream_offer(struct connection *connection, struct message *message)
{
	struct stream *stream = &connection->stream;

	if (stream->next)
		connection->http->figures.dropped++;
	message_drop(&stream->next);
	stream->next = message_use(message);
	if (stream->asleep)
		stream->since_ms = now_ms(connection->http);
	stream_wake(stream, connection->mhd);
}

static void stream_begin(struct connection *connection)
{
	struct http *http = connection->http;

	connection->stream = (struct stream){ .active = true, .since_ms = now_ms(http) };
	if (http->last)
		connection->stream.next = message_use(http->last);
	if (!http->figures.streams++)
		http->options->followed(true, http->options->arg);
}

static void stream_end(struct connection *connection)
{
	struct http *http = connection->http;
	struct stream *stream = &connection->stream;

	if (!stream->active)
		return;
	stream->active = false;
	message_drop(&stream->now);
	message_drop(&stream->next);
	if (--http->figures.streams)
		return;
	message_drop(&http->last); /* old when the next one comes */
	http->options->followed(false, http->options->arg);
}

void http_publish(struct http *http, struct text *text)
{
	struct message *message = text->error || !text->length ? NULL : malloc(sizeof(*message));

	if (!message) {
		text_release(text);
		return;
	}
	*message = (struct message){ .users = 1, .length = text->length, .data = text->data };
	*text = (struct text){};
	message_drop(&http->last);
	http->last = message;
	for (struct connection *c = http->connections; c; c = c->next)
		if (c->stream.active && !c->ended)
			stream_offer(c, message);
	run(http);
}

/* ---- answers ---------------------------------------------------------------------- */

static void add_headers(struct MHD_Response *response, const char *type, const char *policy)
{
	static const char *const always[][2] = {
		{ "Cache-Control", "no-store" },
		{ "Cross-Origin-Opener-Policy", "same-origin" },
		{ "Cross-Origin-Resource-Policy", "same-origin" },
		{ "Referrer-Policy", "no-referrer" },
		{ "X-Content-Type-Options", "nosniff" },
		{ "X-Frame-Options", "DENY" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(always); i++)
		libmicrohttpd.add_response_header(response, always[i][0], always[i][1]);
	libmicrohttpd.add_response_header(response, "Content-Type", type);
	libmicrohttpd.add_response_header(response, "Content-Security-Policy",
					  policy ?: "default-src 'none'; frame-ancestors 'none'");
}

/* Takes the response over; NULL: memory is out, and the connection ends. */
static void queue(struct http_request *request, unsigned status, struct MHD_Response *response)
{
	request->answered = true;
	request->result = MHD_NO;
	if (!response)
		return;
	request->result = libmicrohttpd.queue_response(request->connection->mhd, status, response);
	libmicrohttpd.destroy_response(response);
}

void http_reply(struct http_request *request, struct http_answer *answer)
{
	struct MHD_Response *response;

	if (answer->body.error) {
		text_release(&answer->body);
		http_reply_line(request, MHD_HTTP_INTERNAL_SERVER_ERROR, "memory is out");
		return;
	}
	response = libmicrohttpd.create_response_from_buffer(answer->body.length, answer->body.data,
							     MHD_RESPMEM_MUST_FREE);
	if (response) {
		answer->body = (struct text){};
		add_headers(response, answer->type, answer->policy);
	}
	text_release(&answer->body);
	queue(request, answer->status, response);
}

/* lines are short, and no answer may fail to tell that memory is out */
static struct MHD_Response *line_response(const char *line)
{
	char text[200];
	int n = snprintf(text, sizeof(text), "%s\n", line);
	struct MHD_Response *response =
		libmicrohttpd.create_response_from_buffer(n, text, MHD_RESPMEM_MUST_COPY);

	if (response)
		add_headers(response, "text/plain; charset=utf-8", NULL);
	return response;
}

void http_reply_line(struct http_request *request, unsigned status, const char *line)
{
	queue(request, status, line_response(line));
}

static void refuse(struct http_request *request, unsigned status, const char *line)
{
	request->connection->http->figures.refused++;
	http_reply_line(request, status, line);
}

static void reply_full(struct http_request *request)
{
	struct http *http = request->connection->http;
	struct MHD_Response *response = line_response("too many browsers look at this page");

	http->figures.full++;
	if (!http->told_full)
		log_line("%s: more than %d browsers look at it; those beyond are refused",
			 http->options->name, HTTP_STREAMS);
	http->told_full = true;
	if (response)
		libmicrohttpd.add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "10");
	queue(request, MHD_HTTP_SERVICE_UNAVAILABLE, response);
}

void http_wait(struct http_request *request)
{
	struct connection *connection = request->connection;

	request->answered = true;
	request->result = MHD_YES;
	connection->waits = connection->has_waited = true;
	libmicrohttpd.suspend_connection(connection->mhd);
}

bool http_has_waited(const struct http_request *request)
{
	return request->connection->has_waited;
}

/* From now on its patience is asked for. */
static void wake_waiting(struct connection *connection)
{
	if (!connection->waits)
		return;
	connection->waits = false;
	connection->since_ms = now_ms(connection->http);
	libmicrohttpd.resume_connection(connection->mhd);
}

void http_wake(struct http *http)
{
	if (!http)
		return;
	for (struct connection *c = http->connections; c; c = c->next)
		wake_waiting(c);
	run(http);
}

void http_follow(struct http_request *request, const char *type)
{
	struct connection *connection = request->connection;
	struct MHD_Response *response;

	if (request->head) {
		refuse(request, MHD_HTTP_METHOD_NOT_ALLOWED, "a stream has no HEAD");
		return;
	}
	if (connection->http->figures.streams >= HTTP_STREAMS) {
		reply_full(request);
		return;
	}
	response = libmicrohttpd.create_response_from_callback(MHD_SIZE_UNKNOWN, MEMORY / 4,
							       stream_read, connection, NULL);
	if (response) {
		add_headers(response, type, NULL);
		stream_begin(connection);
	}
	queue(request, MHD_HTTP_OK, response);
	if (request->result == MHD_NO)
		stream_end(connection);
}

/* ---- requests --------------------------------------------------------------------- */

const char *http_argument(struct http_request *request, const char *name)
{
	return libmicrohttpd.lookup_connection_value(request->connection->mhd,
						     MHD_GET_ARGUMENT_KIND, name);
}

const char *http_header(struct http_request *request, const char *name)
{
	return libmicrohttpd.lookup_connection_value(request->connection->mhd, MHD_HEADER_KIND,
						     name);
}

static enum MHD_Result count_host(void *arg, enum MHD_ValueKind kind, const char *key,
				  const char *value)
{
	unsigned *hosts = arg;

	(void)kind;
	(void)value;
	*hosts += !strcasecmp(key, MHD_HTTP_HEADER_HOST);
	return MHD_YES;
}

/*
 * A page of a stranger whose name leads here, by DNS of his making, asks by that name. Where
 * there is a token, he has none; where everybody may ask, names are the operator's.
 */
static bool is_host_ours(struct http_request *request)
{
	const struct http_options *options = request->connection->http->options;
	const char *host = http_header(request, MHD_HTTP_HEADER_HOST);
	unsigned hosts = 0;

	libmicrohttpd.get_connection_values(request->connection->mhd, MHD_HEADER_KIND, count_host,
					    &hosts);
	if (hosts != 1 || !host)
		return false;
	return !options->address.loopback || *options->token.text || http_host_is_loopback(host);
}

static bool has_body(struct http_request *request)
{
	return http_header(request, MHD_HTTP_HEADER_CONTENT_LENGTH) ||
	       http_header(request, MHD_HTTP_HEADER_TRANSFER_ENCODING);
}

static bool is_allowed(struct http_request *request)
{
	const struct http *http = request->connection->http;
	const struct http_token *token = &http->options->token;
	const char *cookies = http_header(request, MHD_HTTP_HEADER_COOKIE);
	const char *authorization = http_header(request, MHD_HTTP_HEADER_AUTHORIZATION);

	if (request->route->open || !*token->text)
		return true;
	return (authorization && http_token_in_authorization(token, authorization)) ||
	       (cookies && http_token_in_cookies(token, http->cookie, cookies));
}

static void ask_for_token(struct http_request *request)
{
	struct MHD_Response *response =
		line_response("a token is needed: open /?token=TOKEN, or send it as "
			      "'Authorization: Bearer TOKEN'");

	request->connection->http->figures.refused++;
	if (response)
		libmicrohttpd.add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE,
						  "Bearer");
	queue(request, MHD_HTTP_UNAUTHORIZED, response);
}

/*
 * A token in the address becomes a cookie, and the address the page's own: it stays in no history.
 * Lax, so that a link from elsewhere to this page works; nothing here changes anything.
 */
static void take_token(struct http_request *request, const char *guess)
{
	const struct http *http = request->connection->http;
	char cookie[COOKIE_NAME_MAX + HTTP_TOKEN_MAX + 64];
	struct MHD_Response *response;

	if (!http_token_equals(&http->options->token, guess, strlen(guess))) {
		ask_for_token(request);
		return;
	}
	snprintf(cookie, sizeof(cookie), "%s=%s; Path=/; HttpOnly; SameSite=Lax", http->cookie,
		 http->options->token.text);
	response = line_response("see /");
	if (response) {
		libmicrohttpd.add_response_header(response, MHD_HTTP_HEADER_SET_COOKIE, cookie);
		libmicrohttpd.add_response_header(response, MHD_HTTP_HEADER_LOCATION,
						  request->route->path);
	}
	queue(request, MHD_HTTP_SEE_OTHER, response);
}

static void serve(struct http_request *request)
{
	const struct http_options *options = request->connection->http->options;
	const char *guess = http_argument(request, "token");

	if (!is_host_ours(request))
		refuse(request, MHD_HTTP_MISDIRECTED_REQUEST,
		       "this host is called localhost or by its address");
	else if (has_body(request))
		refuse(request, MHD_HTTP_BAD_REQUEST, "no request here has a body");
	else if (!request->route)
		refuse(request, MHD_HTTP_NOT_FOUND, "there is no such page");
	else if (*options->token.text && !request->route->open && guess)
		take_token(request, guess);
	else if (!is_allowed(request))
		ask_for_token(request);
	else
		request->route->serve(request, options->arg);
	if (!request->answered)
		http_reply_line(request, MHD_HTTP_INTERNAL_SERVER_ERROR, "no answer");
}

static const struct http_route *find_route(const struct http *http, const char *path)
{
	for (size_t i = 0; i < http->options->n_routes; i++)
		if (!strcmp(http->options->routes[i].path, path))
			return &http->options->routes[i];
	return NULL;
}

static struct connection *connection_of(struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info =
		libmicrohttpd.get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

/* Called with a request's headers, again when all of it is there, and once more for each time that
 * it has waited. */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *mhd, const char *path,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **context)
{
	struct http_request request = { .connection = connection_of(mhd),
					.route = find_route(arg, path) };
	bool is_first = !*context;

	(void)version;
	(void)upload;
	(void)upload_size;
	if (!request.connection)
		return MHD_NO;
	request.head = !strcmp(method, MHD_HTTP_METHOD_HEAD);
	*context = request.connection;
	if (!request.head && strcmp(method, MHD_HTTP_METHOD_GET)) {
		refuse(&request, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD are answered");
		return request.result;
	}
	if (is_first && !has_body(&request))
		return MHD_YES; /* MHD wants it that way */
	request.connection->http->figures.requests += !request.connection->has_waited;
	serve(&request);
	return request.result;
}

/* The first line is there. */
static void *on_first_line(void *arg, const char *uri, struct MHD_Connection *mhd)
{
	struct connection *connection = connection_of(mhd);

	(void)uri;
	if (connection) {
		connection->asked = true;
		connection->since_ms = now_ms(arg);
	}
	return NULL;
}

static void on_completed(void *arg, struct MHD_Connection *mhd, void **context,
			 enum MHD_RequestTerminationCode why)
{
	struct connection *connection = connection_of(mhd);

	(void)context;
	(void)why;
	if (!connection)
		return;
	stream_end(connection);
	connection->asked = connection->has_waited = false;
	connection->since_ms = now_ms(arg);
}

static struct connection *connection_new(struct http *http, struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info =
		libmicrohttpd.get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct connection *connection = calloc(1, sizeof(*connection));

	if (!connection)
		return NULL;
	*connection = (struct connection){ .http = http,
					   .mhd = mhd,
					   .fd = info->connect_fd,
					   .since_ms = now_ms(http),
					   .next = http->connections,
					   .link = &http->connections };
	if (connection->next)
		connection->next->link = &connection->next;
	http->connections = connection;
	http->figures.connections++;
	return connection;
}

static void on_connection(void *arg, struct MHD_Connection *mhd, void **context,
			  enum MHD_ConnectionNotificationCode what)
{
	struct connection *connection = *context;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		*context = connection_new(arg, mhd);
		return;
	}
	if (!connection)
		return;
	stream_end(connection);
	connection->http->figures.connections--;
	*connection->link = connection->next;
	if (connection->next)
		connection->next->link = connection->link;
	free(connection);
	*context = NULL;
}

void http_figures(const struct http *http, struct http_figures *ret)
{
	*ret = http->figures;
}

/* ---- begin and end ---------------------------------------------------------------- */

static int start_mhd(struct http *http, int fd)
{
	http->mhd = libmicrohttpd.start_daemon(
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, http,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, HTTP_CONNECTIONS,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY, MHD_OPTION_STRICT_FOR_CLIENT, 1,
		MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_NOTIFY_CONNECTION, on_connection,
		http, MHD_OPTION_NOTIFY_COMPLETED, on_completed, http, MHD_OPTION_URI_LOG_CALLBACK,
		on_first_line, http, MHD_OPTION_END);
	return http->mhd ? 0 : -ENOMEM;
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct http *http = handle->data;

	if (!--http->open_handles)
		free(http);
}

static int start_handles(struct http *http, uv_loop_t *loop)
{
	const union MHD_DaemonInfo *info =
		libmicrohttpd.get_daemon_info(http->mhd, MHD_DAEMON_INFO_EPOLL_FD);
	int err = info ? uv_poll_init(loop, &http->poll, info->epoll_fd) : -ENOTSUP;

	if (err)
		return err;
	uv_timer_init(loop, &http->due);
	uv_timer_init(loop, &http->look);
	http->poll.data = http->due.data = http->look.data = http;
	http->open_handles = 3;
	uv_poll_start(&http->poll, UV_READABLE, on_ready);
	uv_timer_start(&http->look, on_look, LOOK_MS, LOOK_MS);
	return 0;
}

int http_open(uv_loop_t *loop, int fd, const struct http_options *options, struct http **ret)
{
	_cleanup_free_ struct http *http = calloc(1, sizeof(*http));
	int err;

	if (!http)
		return -ENOMEM;
	http->options = options;
	/* cookies know no ports: two daemons of one host must not take each other's away */
	snprintf(http->cookie, sizeof(http->cookie), "sidestep-%u", options->address.port);
	err = start_mhd(http, fd);
	if (err)
		return err;
	err = start_handles(http, loop);
	if (err) {
		libmicrohttpd.quiesce_daemon(http->mhd); /* the fd stays the caller's */
		libmicrohttpd.stop_daemon(http->mhd);
		return err;
	}
	*ret = TAKE_PTR(http);
	return 0;
}

void http_close(struct http *http)
{
	if (!http)
		return;
	uv_poll_stop(&http->poll);
	for (struct connection *c = http->connections; c; c = c->next) {
		stream_wake(&c->stream, c->mhd); /* none may be asleep when MHD ends */
		wake_waiting(c);
	}
	libmicrohttpd.stop_daemon(http->mhd);
	message_drop(&http->last);
	uv_close((uv_handle_t *)&http->poll, on_handle_closed);
	uv_close((uv_handle_t *)&http->due, on_handle_closed);
	uv_close((uv_handle_t *)&http->look, on_handle_closed);
}
