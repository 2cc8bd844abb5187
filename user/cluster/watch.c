/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request at a time: a list, streamed or by pages, then watches from where it ended, one after
 * the other. While none is under way, a timer runs until the next one.
 */
#include "cluster/watch.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "cluster/stream.h"
#include "core/cleanup.h"
#include "core/clock.h"
#include "core/text.h"

#define OBJECT_MAX  (64 << 20)
#define VERSION_MAX 64
#define PAGE        500 /* objects of a page, as client-go asks for */

/* A watch ends after a time of its own, so that not all of them begin anew at once. */
#define WATCH_MIN_S   300
#define WATCH_MAX_S   600
#define WATCH_GRACE_S 30
/* A list, or the beginning of a watch: no byte for so long. */
#define PATIENCE_MS   60000
#define PAGE_MS       120000

#define BACKOFF_MIN_MS 200
#define BACKOFF_MAX_MS 30000
#define LOOK_MS        1000   /* while that runs, whether the server is back */
#define RETRY_MAX_MS   120000 /* whatever the server asks for */
#define LASTED_MS      10000  /* a request that went well for so long: back-off begins anew */

#define SHORT_MS 1000 /* a watch that ends as soon as this, with nothing in it, is no success */

#define ABSENT_MS 60000  /* until a resource that is not there is asked for again */
#define PAGES_MS  600000 /* until a server that does not stream lists is asked again */

enum step {
	STEP_STREAM, /* a list that becomes a watch */
	STEP_PAGES,
	STEP_FOLLOW, /* a watch from where we are */
};

struct watch {
	uv_timer_t timer; /* first: until the next request, or how long one may be silent */
	struct client *client;
	struct watch_resource resource;
	struct watch_calls calls;
	struct client_request *request; /* NULL: none is under way */
	enum step step;
	struct stream stream;
	struct text next;                      /* page; empty: the first */
	char version[VERSION_MAX];             /* where we are; "": nowhere, all has to be listed */
	char asked[VERSION_MAX];               /* where the request began */
	bool listing;                          /* begun, and its end has not come */
	bool reauthorized;                     /* a 401 was tried again at once */
	uint64_t answered_ms;                  /* loop's time; 0: the request has no answer yet */
	uint64_t pages_until_ms;               /* loop's time */
	unsigned attempts;                     /* that failed, one after the other */
	bool expired;                          /* since a request lasted: all was listed anew */
	uint64_t wait_since_ms, wait_until_ms; /* loop's time */
	enum watch_failure failure; /* what is wrong with what came, WATCH_FAILURE_MAX: nothing */
	struct text message;        /* of the server, or of ours, on that */
	struct watch_figures figures;
	bool closing;
};

const char *const watch_failure_names[WATCH_FAILURE_MAX] = {
	[WATCH_UNREACHABLE] = "unreachable", [WATCH_SILENT] = "silent",
	[WATCH_REFUSED] = "refused",         [WATCH_THROTTLED] = "throttled",
	[WATCH_EXPIRED] = "expired",         [WATCH_ANSWERED] = "answered",
	[WATCH_GARBLED] = "garbled",         [WATCH_UNTAKEN] = "untaken",
};

static void begin(struct watch *watch);

/* ---- time -------------------------------------------------------------------------------- */

static uint64_t now_ms(const struct watch *watch)
{
	return uv_now(watch->timer.loop) + 1; /* 0 is never */
}

/* 0 to max. */
static unsigned at_random(unsigned max)
{
	uint32_t dice;

	if (getrandom(&dice, sizeof(dice), GRND_NONBLOCK) != sizeof(dice))
		return max;
	return (uint64_t)dice * (max + 1ULL) >> 32;
}

static void on_wait(uv_timer_t *timer);

static void wait_on(struct watch *watch)
{
	uint64_t ms = watch->wait_until_ms - now_ms(watch);

	uv_timer_start(&watch->timer, on_wait, ms < LOOK_MS ? ms : LOOK_MS, 0);
}

/* A server that was away and is there for others is there for us. */
static void on_wait(uv_timer_t *timer)
{
	struct watch *watch = (struct watch *)timer;

	if (now_ms(watch) >= watch->wait_until_ms ||
	    client_reached_ms(watch->client) > watch->wait_since_ms)
		begin(watch);
	else
		wait_on(watch);
}

static void begin_later(struct watch *watch, unsigned ms)
{
	watch->wait_since_ms = now_ms(watch);
	watch->wait_until_ms = now_ms(watch) + ms;
	wait_on(watch);
}

/* Full jitter: agents that lost the same server do not come back together. */
static unsigned back_off(struct watch *watch)
{
	unsigned doublings = watch->attempts < 16 ? watch->attempts : 16;
	uint64_t ms = (uint64_t)BACKOFF_MIN_MS << doublings;

	watch->attempts++;
	return at_random(ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS);
}

/* ---- what goes wrong, and well ------------------------------------------------------------- */

/* Here all is known. */
static void heard(struct watch *watch)
{
	watch->figures.heard_ns = clock_ns(CLOCK_MONOTONIC);
}

/* While a watch is under way, a server that says anything would have said so if there were news. */
static uint64_t heard_ns(const struct watch *watch)
{
	uint64_t ns = watch->figures.heard_ns, client_ns = client_heard_ns(watch->client);

	return watch->figures.current && watch->answered_ms && client_ns > ns ? client_ns : ns;
}

static void is_well(struct watch *watch)
{
	watch->figures.problem[0] = '\0';
	watch->reauthorized = false;
}

static void tell(struct watch *watch, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void tell(struct watch *watch, const char *format, ...)
{
	_cleanup_text_ struct text clean = {};
	char problem[sizeof(watch->figures.problem)];
	va_list ap;

	va_start(ap, format);
	vsnprintf(problem, sizeof(problem), format, ap);
	va_end(ap);
	text_add_clean(&clean, problem);
	snprintf(watch->figures.problem, sizeof(watch->figures.problem), "%s", text_string(&clean));
}

static uint64_t lived_ms(const struct watch *watch)
{
	return watch->answered_ms ? now_ms(watch) - watch->answered_ms : 0;
}

/* What was before a request that went well for long has no say. */
static void forgive(struct watch *watch)
{
	if (lived_ms(watch) < LASTED_MS)
		return;
	watch->attempts = 0;
	watch->expired = false;
}

/* And again, later and later; not before the server wants it. */
static void fail(struct watch *watch, enum watch_failure failure, unsigned retry_after_s)
{
	unsigned ms,
		wanted = retry_after_s < RETRY_MAX_MS / 1000 ? retry_after_s * 1000 : RETRY_MAX_MS;

	forgive(watch);
	text_release(&watch->next);
	watch->figures.heard_ns = heard_ns(watch);
	watch->figures.failures[failure]++;
	watch->figures.current = false;
	ms = back_off(watch);
	if (wanted > ms)
		ms = wanted + at_random(1000);
	begin_later(watch, ms);
}

/* All is listed anew: soon, though the server was away for long, unless it says so each time. */
static void expire(struct watch *watch)
{
	if (!watch->expired)
		watch->attempts = 0;
	watch->expired = true;
	watch->figures.current = false; /* and was not before it said so */
	watch->version[0] = '\0';
	fail(watch, WATCH_EXPIRED, 0);
}

/* Ends the request; what is to be done then follows from the failure. */
static int reject(struct watch *watch, enum watch_failure failure, const char *message)
{
	watch->failure = failure;
	text_release(&watch->message);
	text_add_string(&watch->message, message ?: "");
	return -ECANCELED;
}

/* Nobody knows what we have of it now. */
static int untaken(struct watch *watch, int err)
{
	return reject(watch, WATCH_UNTAKEN, strerror(-err));
}

/* ---- lists ----------------------------------------------------------------------------------- */

static void list_begins(struct watch *watch)
{
	watch->listing = true;
	watch->calls.begin(watch->calls.arg);
}

static int list_ends(struct watch *watch)
{
	int err;

	if (watch->closing)
		return 0;
	err = watch->calls.end(watch->calls.arg);
	if (err)
		return untaken(watch, err);
	watch->listing = false;
	watch->figures.lists++;
	watch->figures.synced = true;
	watch->figures.absent = false;
	is_well(watch);
	return 0;
}

/* The server has none of them, and did not have any before. */
static int is_absent(struct watch *watch)
{
	int err = 0;

	if (!watch->figures.absent) {
		list_begins(watch);
		err = list_ends(watch);
	}
	if (err)
		return err;
	is_well(watch);
	heard(watch);
	watch->figures.absent = true;
	watch->figures.current = true;
	watch->version[0] = '\0';
	watch->attempts = 0;
	begin_later(watch, ABSENT_MS - at_random(ABSENT_MS / 10));
	return 0;
}

/* ---- what comes ---------------------------------------------------------------------------------- */

static int garbled(struct watch *watch, const char *message)
{
	return reject(watch, WATCH_GARBLED, message);
}

static json_t *metadata_of(json_t *object)
{
	return json_object_get(object, "metadata");
}

static int go_on_from(struct watch *watch, json_t *object)
{
	const char *version =
		json_string_value(json_object_get(metadata_of(object), "resourceVersion"));

	if (!version || !*version || strlen(version) >= VERSION_MAX)
		return garbled(watch, "an object without a resourceVersion");
	strcpy(watch->version, version);
	heard(watch);
	return 0;
}

static bool ends_list(json_t *bookmark)
{
	json_t *annotations = json_object_get(metadata_of(bookmark), "annotations");
	const char *end =
		json_string_value(json_object_get(annotations, "k8s.io/initial-events-end"));

	return end && !strcmp(end, "true");
}

/* What a list says of versions before its end is of no use: nothing could go on from there. */
static int take_bookmark(struct watch *watch, json_t *object)
{
	int r;

	if (!watch->listing)
		return go_on_from(watch, object);
	if (!ends_list(object))
		return 0;
	r = go_on_from(watch, object);
	if (!r)
		r = list_ends(watch);
	if (r)
		return r;
	watch->figures.current = true;
	uv_timer_stop(&watch->timer);
	return 0;
}

/* A status in place of an object. */
static int take_error(struct watch *watch, json_t *status)
{
	json_int_t code = json_integer_value(json_object_get(status, "code"));
	const char *message = json_string_value(json_object_get(status, "message"));

	switch (code) {
	case 410:
		return reject(watch, WATCH_EXPIRED, message);
	case 429:
		return reject(watch, WATCH_THROTTLED, message);
	default:
		return reject(watch, WATCH_ANSWERED, message);
	}
}

static int take_change(struct watch *watch, json_t *object, int (*call)(json_t *object, void *arg))
{
	int err = call(object, watch->calls.arg);

	if (err)
		return untaken(watch, err);
	if (watch->listing)
		return 0;
	watch->figures.events++;
	return go_on_from(watch, object);
}

static int take_event(struct watch *watch, json_t *event)
{
	const char *type = json_string_value(json_object_get(event, "type"));
	json_t *object = json_object_get(event, "object");

	if (!type || !json_is_object(object))
		return garbled(watch, "no event");
	if (!strcmp(type, "ADDED") || !strcmp(type, "MODIFIED"))
		return take_change(watch, object, watch->calls.put);
	if (!strcmp(type, "DELETED"))
		return take_change(watch, object, watch->calls.gone);
	if (!strcmp(type, "BOOKMARK"))
		return take_bookmark(watch, object);
	if (!strcmp(type, "ERROR"))
		return take_error(watch, object);
	return garbled(watch, "an event of a type that is not known");
}

/* A NUL may stand in any annotation; it must not be the end of the watch of all objects. */
static json_t *parse(const char *json, size_t size)
{
	return json_loadb(json, size, JSON_ALLOW_NUL, NULL);
}

static void cleanup_json(json_t **json)
{
	json_decref(*json);
}

static int on_object(const char *json, size_t size, void *arg)
{
	_cleanup_(cleanup_json) json_t *object = parse(json, size);
	struct watch *watch = arg;
	int err;

	if (watch->closing)
		return -ECANCELED;
	if (!object)
		return garbled(watch, "no JSON");
	if (watch->step != STEP_PAGES)
		return take_event(watch, object);
	err = watch->calls.put(object, watch->calls.arg);
	return err ? untaken(watch, err) : 0;
}

/* Of an answer that is no success: what people can make of it. */
static int on_status(const char *json, size_t size, void *arg)
{
	_cleanup_(cleanup_json) json_t *status = parse(json, size);
	struct watch *watch = arg;

	text_release(&watch->message);
	text_add_string(&watch->message,
			json_string_value(json_object_get(status, "message")) ?: "");
	return 0;
}

/* ---- how a request ends ------------------------------------------------------------------------ */

/* A server that streams no lists is not asked to for a while. */
static void use_pages(struct watch *watch)
{
	watch->pages_until_ms = now_ms(watch) + PAGES_MS;
	begin(watch);
}

/* What came said so itself, or made no sense. */
static void was_rejected(struct watch *watch)
{
	const char *message = text_string(&watch->message);

	if (watch->failure == WATCH_ANSWERED && watch->listing) {
		use_pages(watch);
		return;
	}
	tell(watch, "%s%s", watch->failure == WATCH_GARBLED ? "the server sent " : "", message);
	if (watch->failure == WATCH_GARBLED || watch->failure == WATCH_UNTAKEN)
		watch->version[0] = '\0'; /* from there it might send the same again, or not */
	if (watch->failure == WATCH_EXPIRED)
		expire(watch);
	else
		fail(watch, watch->failure, 0);
}

static void broke(struct watch *watch, const struct client_result *result)
{
	bool silent = result->error == -ETIMEDOUT || result->error == -EHOSTDOWN;

	tell(watch, "%s", result->reason);
	fail(watch, silent ? WATCH_SILENT : WATCH_UNREACHABLE, 0);
}

/* The client reads its token again after a 401. */
static void was_refused(struct watch *watch, const struct client_result *result)
{
	if (result->status == 401 && !watch->reauthorized) {
		watch->reauthorized = true;
		watch->figures.failures[WATCH_REFUSED]++;
		begin(watch);
		return;
	}
	fail(watch, WATCH_REFUSED, result->retry_after_s);
}

static void was_answered(struct watch *watch, const struct client_result *result)
{
	const char *message = text_string(&watch->message);

	if (result->status == 404 && watch->resource.optional) {
		if (is_absent(watch))
			was_rejected(watch);
		return;
	}
	if (watch->step == STEP_STREAM && (result->status == 400 || result->status == 422)) {
		use_pages(watch);
		return;
	}
	tell(watch, "HTTP %u%s%s", result->status, *message ? ": " : "", message);
	if (result->status == 401 || result->status == 403)
		was_refused(watch, result);
	else if (result->status == 410)
		expire(watch);
	else
		fail(watch, result->status == 429 ? WATCH_THROTTLED : WATCH_ANSWERED,
		     result->retry_after_s);
}

/* What stands in an address as it is. */
static void add_encoded(struct text *text, const char *value)
{
	for (; *value; value++)
		text_add(text,
			 isalnum((unsigned char)*value) || strchr("-._~", *value) ? "%c" : "%%%02X",
			 (unsigned char)*value);
}

/* The next page, or the first watch. */
static void page_ended(struct watch *watch)
{
	_cleanup_(cleanup_json) json_t *list =
		parse(text_string(&watch->stream.rest), watch->stream.rest.length);
	const char *next = json_string_value(json_object_get(metadata_of(list), "continue"));

	text_release(&watch->next);
	if (next && *next) {
		add_encoded(&watch->next, next);
	} else if (go_on_from(watch, list) || list_ends(watch)) {
		was_rejected(watch);
		return;
	}
	begin(watch);
}

/* The server ends each watch after a while; one that does so at once is not asked in a loop. */
static void watch_ended(struct watch *watch)
{
	if (watch->listing) {
		tell(watch, "the list ended before it was complete");
		fail(watch, WATCH_UNREACHABLE, 0);
	} else if (lived_ms(watch) < SHORT_MS && !strcmp(watch->version, watch->asked)) {
		tell(watch, "the server ended the watch at once");
		fail(watch, WATCH_UNREACHABLE, 0);
	} else {
		forgive(watch);
		begin(watch);
	}
}

static void on_done(const struct client_result *result, void *arg)
{
	struct watch *watch = arg;

	watch->request = NULL;
	uv_timer_stop(&watch->timer);
	if (watch->failure != WATCH_FAILURE_MAX) {
		was_rejected(watch);
	} else if (result->error) {
		broke(watch, result);
	} else if (result->status != 200) {
		was_answered(watch, result);
	} else if (!stream_is_whole(&watch->stream)) {
		tell(watch, "the server ended in the middle of an object");
		fail(watch, WATCH_GARBLED, 0);
	} else if (watch->step == STEP_PAGES) {
		page_ended(watch);
	} else {
		watch_ended(watch);
	}
}

/* ---- the request ------------------------------------------------------------------------------- */

static void on_impatient(uv_timer_t *timer)
{
	struct watch *watch = (struct watch *)timer;

	client_cancel(TAKE_PTR(watch->request));
	if (watch->step == STEP_STREAM)
		watch->pages_until_ms = now_ms(watch) + PAGES_MS;
	tell(watch, "the server said nothing for %d s", PATIENCE_MS / 1000);
	fail(watch, WATCH_SILENT, 0);
}

static void on_answered(unsigned status, void *arg)
{
	struct watch *watch = arg;

	if (status != 200)
		return;
	watch->answered_ms = now_ms(watch);
	if (watch->step == STEP_FOLLOW) {
		is_well(watch);
		watch->figures.current = true;
		uv_timer_stop(&watch->timer);
	} else if (!watch->next.length) {
		list_begins(watch);
	}
}

static int on_data(unsigned status, const char *bytes, size_t size, void *arg)
{
	struct watch *watch = arg;
	int r;

	if (status != 200) {
		/* pages of proxies are no JSON, and their number says enough */
		watch->stream.is_list = false;
		stream_add(&watch->stream, bytes, size, on_status, watch);
		return 0;
	}
	if (uv_is_active((uv_handle_t *)&watch->timer))
		uv_timer_again(&watch->timer);
	r = stream_add(&watch->stream, bytes, size, on_object, watch);
	if (r && r != -ECANCELED)
		garbled(watch, r == -EMSGSIZE ? "an object that is too large"
			       : r == -EPROTO ? "what is no JSON"
					      : strerror(-r));
	return r;
}

static enum step next_step(const struct watch *watch)
{
	if (*watch->version)
		return STEP_FOLLOW;
	return watch->next.length || now_ms(watch) < watch->pages_until_ms ? STEP_PAGES
									   : STEP_STREAM;
}

static void write_path(const struct watch *watch, unsigned timeout_s, struct text *path)
{
	static const char watching[] = "watch=true&allowWatchBookmarks=true";
	const char *selector = watch->resource.selector;

	text_add(path, "%s?", watch->resource.path);
	if (selector)
		text_add(path, "%s&", selector);
	switch (watch->step) {
	case STEP_STREAM:
		text_add(path,
			 "%s&timeoutSeconds=%u&sendInitialEvents=true"
			 "&resourceVersionMatch=NotOlderThan",
			 watching, timeout_s);
		break;
	case STEP_PAGES:
		text_add(path, "limit=%d", PAGE);
		if (watch->next.length)
			text_add(path, "&continue=%s", watch->next.data);
		break;
	case STEP_FOLLOW:
		text_add(path, "%s&timeoutSeconds=%u&resourceVersion=", watching, timeout_s);
		add_encoded(path, watch->version);
	}
}

static int ask(struct watch *watch)
{
	unsigned timeout_s = WATCH_MIN_S + at_random(WATCH_MAX_S - WATCH_MIN_S);
	_cleanup_text_ struct text path = {};
	const struct client_calls calls = { on_answered, on_data, on_done, watch };
	struct client_ask ask = { "GET" };

	write_path(watch, timeout_s, &path);
	if (path.error)
		return path.error;
	ask.path = path.data;
	ask.whole_ms = watch->step == STEP_PAGES ? PAGE_MS : (timeout_s + WATCH_GRACE_S) * 1000;
	return client_begin(watch->client, &ask, &calls, &watch->request);
}

static void begin(struct watch *watch)
{
	int r;

	if (watch->closing)
		return;
	watch->step = next_step(watch);
	stream_release(&watch->stream);
	watch->stream.is_list = watch->step == STEP_PAGES;
	text_release(&watch->message);
	watch->failure = WATCH_FAILURE_MAX;
	watch->figures.heard_ns = heard_ns(watch);
	watch->answered_ms = 0;
	strcpy(watch->asked, watch->version);
	r = ask(watch);
	if (r) {
		tell(watch, "%s", strerror(-r));
		fail(watch, WATCH_UNREACHABLE, 0);
		return;
	}
	uv_timer_start(&watch->timer, on_impatient, PATIENCE_MS, PATIENCE_MS);
}

/* ---- begin and end -------------------------------------------------------------------------------- */

int watch_open(uv_loop_t *loop, struct client *client, const struct watch_resource *resource,
	       const struct watch_calls *calls, struct watch **ret)
{
	struct watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return -ENOMEM;
	watch->client = client;
	watch->resource = *resource;
	watch->calls = *calls;
	watch->stream.max = OBJECT_MAX;
	uv_timer_init(loop, &watch->timer);
	begin(watch);
	*ret = watch;
	return 0;
}

void watch_figures(const struct watch *watch, struct watch_figures *ret)
{
	*ret = watch->figures;
	ret->heard_ns = heard_ns(watch);
}

static void on_closed(uv_handle_t *handle)
{
	struct watch *watch = (struct watch *)handle;

	stream_release(&watch->stream);
	text_release(&watch->next);
	text_release(&watch->message);
	free(watch);
}

void watch_close(struct watch *watch)
{
	if (!watch || watch->closing)
		return;
	watch->closing = true;
	if (watch->request)
		client_cancel(watch->request);
	uv_close((uv_handle_t *)&watch->timer, on_closed);
}
