/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 where the server speaks it, as client-go does: one connection of this node, whose loss or
 * silence is noticed once for all watches. libcurl 7.88 neither sends HTTP/2's pings for handles
 * of a multi nor tells of their answers, so a small request takes their place. Where the server
 * speaks HTTP/1.1 only, that one tells of the server, and the kernel's keepalive of each connection.
 *
 * libcurl may not be called from its own callbacks. What is asked for at any time is therefore
 * only noted, and done in the loop's next round.
 */
#include "cluster/client.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "cluster/libcurl.h"
#include "core/cleanup.h"
#include "core/text.h"

#define CONNECT_MS 10000

/* The kernel asks a peer that says nothing, and waits so long for what was sent to be taken. */
#define KEEPALIVE_IDLE_S     10
#define KEEPALIVE_INTERVAL_S 5
#define KEEPALIVE_TIMES      4
#define UNTAKEN_MS           30000

/* A server that says nothing for so long is asked, and has so long to answer. */
#define QUIET_MS    20000
#define PATIENCE_MS 10000
#define LOOK_MS     1000
#define HEALTH_PATH "/version" /* anybody may read it, and a refusal is an answer, too */

struct client_request {
	struct client *client;
	struct client_request *next, **link;
	struct client_calls calls;
	CURL *easy;
	struct curl_slist *headers; /* has the token */
	bool added;                 /* to the multi */
	bool cancelled;
	bool cut;      /* its connection was, as the server is silent */
	bool answered; /* its headers have come */
	int error;     /* of who takes the bytes */
	char problem[CURL_ERROR_SIZE];
};

/* A socket of libcurl's that the loop looks at. */
struct watched {
	uv_poll_t poll; /* first: a handle is its socket */
	struct client *client;
	struct watched *next, **link;
	int fd;
};

struct client {
	uv_loop_t *loop;
	const struct access *access;
	struct access_token token;
	CURLM *multi;
	char *base;                    /* of all addresses: the server, by its certificate's name */
	struct curl_slist *connect_to; /* where that really is; NULL: there */
	uv_timer_t due;                /* libcurl's */
	uv_timer_t kick;               /* something was begun or cancelled */
	uv_timer_t look;
	unsigned open_handles;
	struct client_request *requests;
	struct client_request *question; /* after its health */
	struct watched *watched;
	uint64_t heard_ms;   /* loop's time: the last byte, or when there was nothing to say */
	uint64_t reached_ms; /* loop's time, as client_reached_ms() */
	bool unreachable;    /* the last request that ended had no connection */
	bool closing;
};

/* ---- requests ------------------------------------------------------------------------ */

static void wipe_headers(struct curl_slist *headers)
{
	for (struct curl_slist *header = headers; header; header = header->next)
		explicit_bzero(header->data, strlen(header->data));
	libcurl.slist_free_all(headers);
}

/* Not from a callback of libcurl. */
static void request_free(struct client_request *request)
{
	if (request->added)
		libcurl.multi_remove_handle(request->client->multi, request->easy);
	if (request->link) {
		*request->link = request->next;
		if (request->next)
			request->next->link = request->link;
	}
	libcurl.easy_cleanup(request->easy);
	wipe_headers(request->headers);
	free(request);
}

static void cleanup_request(struct client_request **request)
{
	if (*request)
		request_free(*request);
}

static void heard(struct client *client)
{
	client->heard_ms = uv_now(client->loop);
	if (client->unreachable)
		client->reached_ms = client->heard_ms;
	client->unreachable = false;
}

static unsigned status_of(const struct client_request *request)
{
	long status = 0;

	libcurl.easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

/* The headers end with an empty line; so do those of "100 Continue". */
static size_t on_header(char *line, size_t one, size_t size, void *arg)
{
	struct client_request *request = arg;
	unsigned status = status_of(request);

	(void)one;
	heard(request->client);
	if (request->cancelled)
		return 0;
	if (*line != '\r' || status < 200 || request->answered)
		return size;
	request->answered = true;
	if (request->calls.answered)
		request->calls.answered(status, request->calls.arg);
	return size;
}

static size_t on_data(char *bytes, size_t one, size_t size, void *arg)
{
	struct client_request *request = arg;

	(void)one;
	heard(request->client);
	if (!request->cancelled)
		request->error =
			request->calls.data(status_of(request), bytes, size, request->calls.arg);
	/* anything but all of it ends the request */
	return request->cancelled || request->error ? size + 1 : size;
}

/* ---- how a request ends --------------------------------------------------------------- */

/* TLS included. */
static bool is_connected(const struct client_request *request)
{
	curl_off_t us = 0;

	libcurl.easy_getinfo(request->easy, CURLINFO_PRETRANSFER_TIME_T, &us);
	return us;
}

static int error_of(const struct client_request *request, CURLcode code)
{
	if (request->error)
		return request->error;
	if (request->cut)
		return -EHOSTDOWN;
	switch (code) {
	case CURLE_OK:
		return 0;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	case CURLE_OPERATION_TIMEDOUT:
		return is_connected(request) ? -ETIMEDOUT : -EHOSTUNREACH;
	case CURLE_COULDNT_RESOLVE_HOST:
		return -EHOSTUNREACH;
	case CURLE_COULDNT_CONNECT:
		return -ECONNREFUSED;
	case CURLE_PEER_FAILED_VERIFICATION:
		return -EKEYREJECTED;
	default:
		return -ECONNRESET;
	}
}

static const char *reason_of(const struct client_request *request, int error, CURLcode code)
{
	if (request->error)
		return strerror(-error);
	if (request->cut)
		return "the server said nothing, not even when asked";
	return *request->problem ? request->problem : libcurl.easy_strerror(code);
}

/* Not from a callback of libcurl. */
static void finish(struct client_request *request, CURLcode code)
{
	struct client *client = request->client;
	struct client_result result = {
		.error = error_of(request, code),
		.status = status_of(request),
	};
	curl_off_t retry_after = 0;

	if (!libcurl.easy_getinfo(request->easy, CURLINFO_RETRY_AFTER, &retry_after))
		result.retry_after_s = retry_after > INT32_MAX ? INT32_MAX : retry_after;
	if (result.error)
		result.reason = reason_of(request, result.error, code);
	if (result.status == 401)
		access_token_doubt(&client->token);
	if (result.error && !is_connected(request))
		client->unreachable = true;
	if (!request->cancelled)
		request->calls.done(&result, request->calls.arg);
	request_free(request);
}

static void finish_ended(struct client *client)
{
	CURLMsg *message;
	int left;

	while ((message = libcurl.multi_info_read(client->multi, &left))) {
		struct client_request *request;

		libcurl.easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &request);
		finish(request, message->data.result);
	}
}

static void on_kick(uv_timer_t *kick)
{
	struct client *client = kick->data;
	struct client_request *next;

	for (struct client_request *request = client->requests; request; request = next) {
		next = request->next;
		if (request->cancelled) {
			request_free(request);
		} else if (!request->added) {
			request->added = !libcurl.multi_add_handle(client->multi, request->easy);
			if (!request->added)
				finish(request, CURLE_OUT_OF_MEMORY);
		}
	}
}

/* ---- libcurl on the loop --------------------------------------------------------------- */

static void act(struct client *client, curl_socket_t fd, int events)
{
	int running;

	libcurl.multi_socket_action(client->multi, fd, events, &running);
	finish_ended(client);
}

static void on_due(uv_timer_t *due)
{
	act(due->data, CURL_SOCKET_TIMEOUT, 0);
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
	struct client *client = arg;

	(void)multi;
	if (client->closing)
		return 0;
	if (ms < 0)
		uv_timer_stop(&client->due);
	else
		uv_timer_start(&client->due, on_due, ms, 0);
	return 0;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct watched *watched = (struct watched *)poll;
	int flags = status < 0 ? CURL_CSELECT_ERR : 0;

	if (events & UV_READABLE)
		flags |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		flags |= CURL_CSELECT_OUT;
	act(watched->client, watched->fd, flags);
}

static void free_watched(uv_handle_t *handle)
{
	free(handle);
}

/* NULL: that socket is not looked at, and its requests end when they have taken too long. */
static struct watched *watch_socket(struct client *client, int fd)
{
	struct watched *watched = calloc(1, sizeof(*watched));

	if (!watched)
		return NULL;
	if (uv_poll_init_socket(client->loop, &watched->poll, fd)) {
		free(watched);
		return NULL;
	}
	watched->client = client;
	watched->fd = fd;
	watched->next = client->watched;
	watched->link = &client->watched;
	if (watched->next)
		watched->next->link = &watched->next;
	client->watched = watched;
	libcurl.multi_assign(client->multi, fd, watched);
	return watched;
}

static void forget_socket(struct watched *watched)
{
	*watched->link = watched->next;
	if (watched->next)
		watched->next->link = watched->link;
	uv_close((uv_handle_t *)&watched->poll, free_watched);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *arg_of_socket)
{
	struct client *client = arg;
	struct watched *watched = arg_of_socket;
	int events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (watched)
			forget_socket(watched);
		return 0;
	}
	if (!watched && !client->closing)
		watched = watch_socket(client, fd);
	if (what & CURL_POLL_IN)
		events |= UV_READABLE;
	if (what & CURL_POLL_OUT)
		events |= UV_WRITABLE;
	if (watched)
		uv_poll_start(&watched->poll, events, on_ready);
	return 0;
}

static int on_new_socket(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	const int times = KEEPALIVE_TIMES, untaken = UNTAKEN_MS;

	(void)arg;
	(void)purpose;
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof(times));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &untaken, sizeof(untaken));
	return CURL_SOCKOPT_OK;
}

/* ---- a server that says nothing --------------------------------------------------------- */

/* libcurl sees the ends of its connections, and opens others for what comes then. */
static void cut(struct client *client)
{
	for (struct client_request *request = client->requests; request; request = request->next)
		request->cut = request->added;
	for (struct watched *watched = client->watched; watched; watched = watched->next)
		shutdown(watched->fd, SHUT_RDWR);
}

static int on_health_data(unsigned status, const char *bytes, size_t size, void *arg)
{
	(void)status;
	(void)bytes;
	(void)size;
	(void)arg;
	return 0;
}

static void on_health(const struct client_result *result, void *arg)
{
	struct client *client = arg;

	client->question = NULL;
	if (result->error)
		cut(client);
}

static void ask_for_health(struct client *client)
{
	const struct client_ask ask = { "GET", HEALTH_PATH, .whole_ms = PATIENCE_MS };
	const struct client_calls calls = {
		.data = on_health_data,
		.done = on_health,
		.arg = client,
	};

	client_begin(client, &ask, &calls, &client->question); /* or in a second */
}

static void on_look(uv_timer_t *look)
{
	struct client *client = look->data;

	if (!client->requests)
		uv_timer_stop(look);
	else if (!client->question && uv_now(client->loop) - client->heard_ms >= QUIET_MS)
		ask_for_health(client);
}

/* ---- what a request is made of ---------------------------------------------------------- */

#define SET(easy, ...) (libcurl.easy_setopt(easy, __VA_ARGS__) == CURLE_OK)

/* PEM as it lies in the access, which outlives all requests. */
static bool set_pem(CURL *easy, CURLoption option, char *pem)
{
	struct curl_blob blob = { pem, pem ? strlen(pem) : 0, CURL_BLOB_NOCOPY };

	return !pem || SET(easy, option, &blob);
}

/* A CA of its own stands for all others. */
static bool set_trust(CURL *easy, const struct access *access)
{
	return SET(easy, CURLOPT_SSL_VERIFYPEER, 1L) && SET(easy, CURLOPT_SSL_VERIFYHOST, 2L) &&
	       SET(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) &&
	       (!access->ca ||
		(SET(easy, CURLOPT_CAINFO, NULL) && SET(easy, CURLOPT_CAPATH, NULL))) &&
	       set_pem(easy, CURLOPT_CAINFO_BLOB, access->ca) &&
	       set_pem(easy, CURLOPT_SSLCERT_BLOB, access->certificate) &&
	       set_pem(easy, CURLOPT_SSLKEY_BLOB, access->key);
}

/* The server and nobody else: no proxy of the environment's, no redirection, no .netrc. */
static bool set_connection(CURL *easy, const struct client *client)
{
	return SET(easy, CURLOPT_PROTOCOLS_STR, "https") && SET(easy, CURLOPT_PROXY, "") &&
	       SET(easy, CURLOPT_CONNECT_TO, client->connect_to) &&
	       SET(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS) &&
	       SET(easy, CURLOPT_PIPEWAIT, 1L) && SET(easy, CURLOPT_NOSIGNAL, 1L) &&
	       SET(easy, CURLOPT_QUICK_EXIT, 1L) && /* no waiting for a name server */
	       SET(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS) &&
	       SET(easy, CURLOPT_TCP_NODELAY, 1L) && SET(easy, CURLOPT_TCP_KEEPALIVE, 1L) &&
	       SET(easy, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_IDLE_S) &&
	       SET(easy, CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_INTERVAL_S) &&
	       SET(easy, CURLOPT_SOCKOPTFUNCTION, on_new_socket);
}

static bool set_callbacks(CURL *easy, struct client_request *request)
{
	return SET(easy, CURLOPT_PRIVATE, request) &&
	       SET(easy, CURLOPT_ERRORBUFFER, request->problem) &&
	       SET(easy, CURLOPT_HEADERFUNCTION, on_header) &&
	       SET(easy, CURLOPT_HEADERDATA, request) &&
	       SET(easy, CURLOPT_WRITEFUNCTION, on_data) && SET(easy, CURLOPT_WRITEDATA, request);
}

static bool set_ask(CURL *easy, const struct client *client, const struct client_ask *ask)
{
	_cleanup_text_ struct text url = {};

	text_add(&url, "%s%s", client->base, ask->path);
	return !url.error && SET(easy, CURLOPT_URL, url.data) &&
	       SET(easy, CURLOPT_TIMEOUT_MS, (long)ask->whole_ms) &&
	       (!ask->body || SET(easy, CURLOPT_COPYPOSTFIELDS, ask->body)) &&
	       SET(easy, CURLOPT_CUSTOMREQUEST, ask->method);
}

static bool add_header(struct client_request *request, const char *header)
{
	struct curl_slist *longer = libcurl.slist_append(request->headers, header);

	if (longer)
		request->headers = longer;
	return longer;
}

static bool add_token(struct client_request *request)
{
	const char *token = access_token(request->client->access, &request->client->token);
	_cleanup_free_ char *header = NULL;
	bool added;

	if (!token)
		return true;
	if (asprintf(&header, "Authorization: Bearer %s", token) < 0) {
		header = NULL;
		return false;
	}
	added = add_header(request, header);
	explicit_bzero(header, strlen(header));
	return added;
}

static bool add_headers(struct client_request *request, const struct client_ask *ask)
{
	return add_header(request, "Accept: application/json") &&
	       add_header(request, "User-Agent: sidestep/" SIDESTEP_VERSION) &&
	       (!ask->body || add_header(request, "Content-Type: application/json")) &&
	       add_token(request) && SET(request->easy, CURLOPT_HTTPHEADER, request->headers);
}

static void enlist(struct client *client, struct client_request *request)
{
	if (!client->requests)
		client->heard_ms = uv_now(client->loop);
	request->next = client->requests;
	request->link = &client->requests;
	if (request->next)
		request->next->link = &request->next;
	client->requests = request;
	uv_timer_start(&client->kick, on_kick, 0, 0);
	if (!uv_is_active((uv_handle_t *)&client->look))
		uv_timer_start(&client->look, on_look, LOOK_MS, LOOK_MS);
}

int client_begin(struct client *client, const struct client_ask *ask,
		 const struct client_calls *calls, struct client_request **ret)
{
	_cleanup_(cleanup_request) struct client_request *request = calloc(1, sizeof(*request));

	if (!request)
		return -ENOMEM;
	request->client = client;
	request->calls = *calls;
	request->easy = libcurl.easy_init();
	if (!request->easy || !set_trust(request->easy, client->access) ||
	    !set_connection(request->easy, client) || !set_callbacks(request->easy, request) ||
	    !set_ask(request->easy, client, ask) || !add_headers(request, ask))
		return -ENOMEM;
	enlist(client, request);
	*ret = TAKE_PTR(request);
	return 0;
}

void client_cancel(struct client_request *request)
{
	request->cancelled = true;
	uv_timer_start(&request->client->kick, on_kick, 0, 0);
}

uint64_t client_reached_ms(const struct client *client)
{
	return client->reached_ms;
}

/* The loop's time is that clock. */
uint64_t client_heard_ns(const struct client *client)
{
	return client->heard_ms * 1000000;
}

/* ---- begin and end ------------------------------------------------------------------------ */

/*
 * Where the certificate is for another name than the server's, that one is what libcurl is told,
 * and where to connect instead.
 */
static int name_server(struct client *client)
{
	static const char scheme[] = "https://";
	const char *name = client->access->server_name;
	const char *authority = client->access->server + strlen(scheme);
	size_t length = strcspn(authority, "/");
	_cleanup_text_ struct text base = {}, connect_to = {};
	const char *port;

	if (!name) {
		client->base = strdup(client->access->server);
		return client->base ? 0 : -ENOMEM;
	}
	port = memrchr(authority, ':', length);
	if (!port || memchr(port, ']', authority + length - port))
		port = authority + length;
	text_add(&base, "%s%s%s", scheme, name, port);
	text_add(&connect_to, "::%.*s%s", (int)length, authority,
		 port == authority + length ? ":" : "");
	if (base.error || connect_to.error)
		return -ENOMEM;
	client->connect_to = libcurl.slist_append(NULL, connect_to.data);
	client->base = TAKE_PTR(base.data);
	return client->connect_to ? 0 : -ENOMEM;
}

static void client_free(struct client *client)
{
	while (client->requests)
		request_free(client->requests);
	libcurl.multi_cleanup(client->multi);
	libcurl.slist_free_all(client->connect_to);
	access_token_release(&client->token);
	free(client->base);
	free(client);
	libcurl.global_cleanup();
}

static int open_multi(struct client *client)
{
	client->multi = libcurl.multi_init();
	if (!client->multi ||
	    libcurl.multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_socket) ||
	    libcurl.multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client) ||
	    libcurl.multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_timer) ||
	    libcurl.multi_setopt(client->multi, CURLMOPT_TIMERDATA, client) ||
	    libcurl.multi_setopt(client->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX))
		return -ENOMEM;
	return 0;
}

static void open_timer(struct client *client, uv_timer_t *timer)
{
	uv_timer_init(client->loop, timer);
	timer->data = client;
	client->open_handles++;
}

int client_prepare(struct problems *problems)
{
	return libcurl_load(problems);
}

int client_open(uv_loop_t *loop, const struct access *access, struct client **ret)
{
	struct client *client = calloc(1, sizeof(*client));
	int err;

	if (!client)
		return -ENOMEM;
	if (libcurl.global_init(CURL_GLOBAL_DEFAULT)) {
		free(client);
		return -ENOMEM;
	}
	client->loop = loop;
	client->access = access;
	err = name_server(client) ?: open_multi(client);
	if (err) {
		client_free(client);
		return err;
	}
	open_timer(client, &client->due);
	open_timer(client, &client->kick);
	open_timer(client, &client->look);
	*ret = client;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct client *client = handle->data;

	if (!--client->open_handles)
		client_free(client);
}

void client_close(struct client *client)
{
	if (!client || client->closing)
		return;
	client->closing = true;
	for (struct client_request *request = client->requests; request; request = request->next)
		request->cancelled = true;
	/* whoever closes the loop would close these, too, and libcurl's last word comes later */
	while (client->watched) {
		libcurl.multi_assign(client->multi, client->watched->fd, NULL);
		forget_socket(client->watched);
	}
	uv_close((uv_handle_t *)&client->due, on_closed);
	uv_close((uv_handle_t *)&client->kick, on_closed);
	uv_close((uv_handle_t *)&client->look, on_closed);
}
