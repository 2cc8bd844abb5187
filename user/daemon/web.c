/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/web.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/utsname.h>

#include "core/cleanup.h"
#include "core/clock.h"
#include "datapath/listener.h"
#include "export/json.h"
#include "export/page.h"
#include "export/show_explain.h"

#define SNAPSHOT_MS 1000
#define SHARE       10 /* of a thread's time: one part in so many */

/* More are no answer for a person; `sidestep explain` prints them. */
#define PAIRS_MAX 100

struct web {
	struct web_options options;
	struct http_options http_options;
	struct http *http;
	uv_timer_t timer;
	struct text snapshot; /* the last one, for /api/state */
	uint64_t made_ms;
	uint64_t took_ms;
	bool wanted;  /* of the next reading */
	bool is_due;  /* to be published */
	bool failed;  /* the last time */
	bool working; /* a reading makes one; what follows is its own */
	uint64_t begin_ms;
	int err;
	struct text fresh;
	struct page_flows flows;
	struct utsname host;
};

/* ---- the page's parts, as they lie in user/web ------------------------------------- */

#define PART(name, file)                                      \
	__asm__(".pushsection .rodata\n"                      \
		".global web_part_" #name "\n"                \
		"web_part_" #name ":\n.incbin \"" file "\"\n" \
		".byte 0\n"                                   \
		".popsection\n");                             \
	extern const char web_part_##name[]

PART(html, "user/web/page.html");
PART(css, "user/web/page.css");
PART(js, "user/web/page.js");

/* What may run and load is what bears the nonce, and nothing may be posted or framed. */
#define POLICY                                                                                  \
	"default-src 'none'; script-src 'nonce-%s'; style-src 'nonce-%s'; connect-src 'self'; " \
	"img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "          \
	"require-trusted-types-for 'script'"

#define NONCE_BYTES 16

static int make_nonce(char nonce[static 2 * NONCE_BYTES + 1])
{
	unsigned char bytes[NONCE_BYTES];

	if (getrandom(bytes, sizeof(bytes), GRND_NONBLOCK) != sizeof(bytes))
		return -EAGAIN;
	for (size_t i = 0; i < sizeof(bytes); i++)
		sprintf(nonce + 2 * i, "%02x", bytes[i]);
	return 0;
}

/* The template's words in braces are replaced. */
static void assemble(const char *nonce, struct text *out)
{
	const char *const parts[][2] = {
		{ "{{nonce}}", nonce },
		{ "{{style}}", web_part_css },
		{ "{{script}}", web_part_js },
	};
	const char *rest = web_part_html, *next;

	while ((next = strstr(rest, "{{"))) {
		text_add_bytes(out, rest, next - rest);
		rest = next;
		for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
			if (!strncmp(next, parts[i][0], strlen(parts[i][0]))) {
				text_add_bytes(out, parts[i][1], strlen(parts[i][1]));
				rest = next + strlen(parts[i][0]);
			}
	}
	text_add_bytes(out, rest, strlen(rest));
}

static void serve_page(struct http_request *request, void *arg)
{
	struct http_answer answer = { .status = 200, .type = "text/html; charset=utf-8" };
	_cleanup_text_ struct text policy = {};
	char nonce[2 * NONCE_BYTES + 1];

	(void)arg;
	if (make_nonce(nonce)) {
		http_reply_line(request, 503, "the kernel has no random bytes yet");
		return;
	}
	text_add(&policy, POLICY, nonce, nonce);
	assemble(nonce, &answer.body);
	answer.policy = text_string(&policy);
	answer.body.error = answer.body.error ?: policy.error;
	http_reply(request, &answer);
}

/* ---- snapshots --------------------------------------------------------------------- */

static uint64_t now_ms(void)
{
	return clock_ns(CLOCK_MONOTONIC) / 1000000;
}

/* Snapshots are made by the thread that reads. */
static int add_flow(const struct sst_record *record, void *arg)
{
	page_add_flow(arg, record);
	return 0;
}

void web_begin(struct web *web)
{
	if (!web || !web->wanted)
		return;
	web->wanted = web->failed = false;
	web->working = true;
	web->begin_ms = now_ms();
}

static int take_snapshot(struct web *web, const struct state *state)
{
	struct page_view view = { .state = state,
				  .flows = &web->flows,
				  .host = web->host.nodename,
				  .time_ns = clock_ns(CLOCK_REALTIME),
				  .realtime_offset_ns = clock_realtime_offset_ns() };
	int err;

	web->flows = (struct page_flows){};
	err = datapath_flows(web->options.datapath, add_flow, &web->flows);
	return err ?: page_snapshot(&view, &web->fresh);
}

void web_work(struct web *web, const struct state *state)
{
	if (web && web->working)
		web->err = state ? take_snapshot(web, state) : -EIO;
}

static uint64_t pause_ms(const struct web *web)
{
	uint64_t pause = web->took_ms * SHARE;

	return pause > SNAPSHOT_MS ? pause : SNAPSHOT_MS;
}

static void on_snapshot_due(uv_timer_t *timer);

static void publish(struct web *web)
{
	_cleanup_text_ struct text event = {};

	web->is_due = false;
	uv_timer_start(&web->timer, on_snapshot_due, pause_ms(web), 0);
	if (web->failed)
		return;
	text_add(&event, "data: ");
	text_add_bytes(&event, web->snapshot.data, web->snapshot.length);
	text_add(&event, "\n\n");
	http_publish(web->http, &event);
}

void web_end(struct web *web)
{
	if (!web || !web->working)
		return;
	web->working = false;
	web->made_ms = now_ms();
	web->took_ms = web->made_ms - web->begin_ms;
	web->failed = web->err;
	if (!web->err) {
		text_release(&web->snapshot);
		web->snapshot = web->fresh;
		web->fresh = (struct text){};
	}
	text_release(&web->fresh);
	if (web->is_due)
		publish(web);
	http_wake(web->http);
}

/* One that is being made will do. */
static void want_snapshot(struct web *web)
{
	if (web->wanted || web->working)
		return;
	web->wanted = true;
	web->options.want(web->options.arg);
}

/* However many ask: before its time it is the last one once more. */
static bool is_fresh(const struct web *web)
{
	return web->snapshot.length && now_ms() - web->made_ms < pause_ms(web);
}

static void serve_state(struct http_request *request, void *arg)
{
	struct http_answer answer = { .status = 200, .type = "application/json" };
	struct web *web = arg;

	if (http_has_waited(request) && web->failed) {
		http_reply_line(request, 503, "the data plane cannot be read");
	} else if (is_fresh(web)) {
		text_add_bytes(&answer.body, web->snapshot.data, web->snapshot.length);
		text_add(&answer.body, "\n");
		http_reply(request, &answer);
	} else {
		http_wait(request);
		want_snapshot(web);
	}
}

static void on_snapshot_due(uv_timer_t *timer)
{
	struct web *web = timer->data;

	web->is_due = true;
	want_snapshot(web);
}

static void on_followed(bool followed, void *arg)
{
	struct web *web = arg;

	web->is_due = false;
	if (followed)
		uv_timer_start(&web->timer, on_snapshot_due, 0, 0);
	else
		uv_timer_stop(&web->timer);
}

static void serve_events(struct http_request *request, void *arg)
{
	(void)arg;
	http_follow(request, "text/event-stream");
}

/* ---- explain ----------------------------------------------------------------------- */

static void reply_json(struct http_request *request, unsigned status, json_t *json)
{
	struct http_answer answer = { .status = status, .type = "application/json" };
	_cleanup_free_ char *dumped = json ? json_dumps(json, JSON_INDENT(1)) : NULL;

	json_decref(json);
	if (dumped)
		text_add(&answer.body, "%s\n", dumped);
	else
		answer.body.error = -ENOMEM;
	http_reply(request, &answer);
}

static void reply_problems(struct http_request *request, const struct problems *problems)
{
	json_t *object = json_object(), *array = json_array();

	for (unsigned i = 0; i < problems->count; i++)
		json_add(&array, json_text(problems->text[i]));
	json_set(&object, "problems", array);
	reply_json(request, 400, object);
}

static void explain(struct http_request *request, const struct explain_question *question,
		    const struct state *state)
{
	_cleanup_problems_ struct problems problems = {};
	_cleanup_explain_ struct explain explain = {};
	int err = policy_explain(&state->policy, state, question, &problems, &explain);

	if (!err && explain.n_pairs > PAIRS_MAX)
		problems_add(&problems, "explain", (struct place){ 0 },
			     "these are %zu pairs, expected at most %d: name one workload, or "
			     "use 'sidestep explain'",
			     explain.n_pairs, PAIRS_MAX);
	if (problems.count)
		reply_problems(request, &problems);
	else if (err)
		http_reply_line(request, 500, strerror(-err));
	else
		reply_json(request, 200, show_explain_json(&explain, &state->policy, state));
}

static const char *argument(struct http_request *request, const char *name)
{
	const char *value = http_argument(request, name);

	return value && *value ? value : NULL;
}

static void serve_explain(struct http_request *request, void *arg)
{
	const struct explain_question question = {
		.source = argument(request, "source"),
		.destination = argument(request, "destination"),
		.port = argument(request, "port"),
		.listener = listener_find,
	};
	const struct web *web = arg;
	const struct state *state = web->options.state;

	if (!question.source || !question.destination) {
		http_reply_line(request, 400, "expected ?source=A&destination=B, and &port=80/TCP");
	} else if (policy_set_is_empty(&state->policy)) {
		reply_json(request, 200,
			   json_pack("{s:n,s:s,s:[]}", "service", "verdict", "allowed", "pairs"));
	} else {
		explain(request, &question, state);
	}
}

static void serve_health(struct http_request *request, void *arg)
{
	(void)arg;
	http_reply_line(request, 200, "ok");
}

/* ---- begin and end ------------------------------------------------------------------ */

static const struct http_route routes[] = {
	{ .path = "/", .serve = serve_page },
	{ .path = "/api/events", .serve = serve_events },
	{ .path = "/api/state", .serve = serve_state },
	{ .path = "/api/explain", .serve = serve_explain },
	{ .path = "/healthz", .open = true, .serve = serve_health },
};

int web_open(uv_loop_t *loop, const struct web_options *options, struct web **ret)
{
	_cleanup_free_ struct web *web = calloc(1, sizeof(*web));
	int err;

	if (!web)
		return -ENOMEM;
	web->options = *options;
	uname(&web->host);
	web->http_options = (struct http_options){ .name = "the page",
						   .address = options->address,
						   .token = options->token,
						   .routes = routes,
						   .n_routes = ARRAY_SIZE(routes),
						   .followed = on_followed,
						   .arg = web };
	err = http_open(loop, options->fd, &web->http_options, &web->http);
	if (err)
		return err;
	uv_timer_init(loop, &web->timer);
	web->timer.data = web;
	*ret = TAKE_PTR(web);
	return 0;
}

static void on_timer_closed(uv_handle_t *timer)
{
	struct web *web = timer->data;

	text_release(&web->snapshot);
	free(web);
}

void web_close(struct web *web)
{
	if (!web)
		return;
	http_close(web->http);
	uv_close((uv_handle_t *)&web->timer, on_timer_closed);
}
