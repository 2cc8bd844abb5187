/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/events.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/clock.h"

#define QUEUE_MAX     64
#define TRIES         3
#define RETRY_MS      5000
#define RETRY_MOST_MS 60000 /* whatever the server asks for */
#define ANSWER_MS     10000

struct waiting {
	char *path;
	char *body;
	unsigned tries;
};

struct events {
	uv_timer_t timer; /* first: a handle is its events */
	struct client *client;
	struct events_options options;
	struct event_memory memory;
	struct event_rate rate;
	struct waiting queue[QUEUE_MAX];
	size_t first, n;                /* of the queue, a ring */
	struct client_request *request; /* of the first one; NULL: none is under way */
	bool paid;                      /* the first one has its place in the rate */
	bool told;
	struct events_figures figures;
};

/* ---- the queue ----------------------------------------------------------------------- */

static void release(struct waiting *waiting)
{
	free(waiting->path);
	free(waiting->body);
	*waiting = (struct waiting){};
}

static void drop_first(struct events *events)
{
	release(&events->queue[events->first]);
	events->first = (events->first + 1) % QUEUE_MAX;
	events->n--;
	events->paid = false;
}

/* ---- posting ------------------------------------------------------------------------- */

static void post_next(struct events *events);

static void on_timer(uv_timer_t *timer)
{
	post_next((struct events *)timer);
}

static void wait_ms(struct events *events, uint64_t ms)
{
	uv_timer_start(&events->timer, on_timer, ms, 0);
}

/* The server may be able to later. */
static bool may_pass(const struct client_result *result)
{
	return result->error || result->status == 429 || result->status == 401 ||
	       result->status >= 500;
}

static void tell_refused(struct events *events)
{
	if (!events->told && events->options.tell)
		events->options.tell("the API server does not allow us to create events "
				     "(events.k8s.io): what they would tell is in this log only",
				     events->options.arg);
	events->told = true;
}

static void on_done(const struct client_result *result, void *arg)
{
	struct events *events = arg;
	struct waiting *waiting = &events->queue[events->first];
	unsigned ms = result->retry_after_s ? result->retry_after_s * 1000 : RETRY_MS;
	/* 409: an earlier try, whose answer was lost */
	bool posted = !result->error && (result->status / 100 == 2 || result->status == 409);

	events->request = NULL;
	if (!posted && may_pass(result) && ++waiting->tries < TRIES) {
		wait_ms(events, ms < RETRY_MOST_MS ? ms : RETRY_MOST_MS);
		return;
	}
	if (posted)
		events->figures.posted++;
	else
		events->figures.failed++;
	if (!result->error && result->status == 403)
		tell_refused(events);
	drop_first(events);
	post_next(events);
}

static int on_data(unsigned status, const char *bytes, size_t size, void *arg)
{
	(void)status;
	(void)bytes;
	(void)size;
	(void)arg;
	return 0;
}

/* The first one, unless one is under way, or it has to wait. */
static void post_next(struct events *events)
{
	const struct client_calls calls = { .data = on_data, .done = on_done, .arg = events };
	const struct waiting *waiting = &events->queue[events->first];
	const struct client_ask ask = { .method = "POST",
					.path = waiting->path,
					.body = waiting->body,
					.whole_ms = ANSWER_MS };
	uint64_t wait_ns;

	if (!events->n || events->request || uv_is_active((uv_handle_t *)&events->timer))
		return;
	wait_ns = events->paid ? 0 : event_wait(&events->rate, clock_ns(CLOCK_MONOTONIC));
	if (wait_ns) {
		wait_ms(events, wait_ns / 1000000 + 1);
		return;
	}
	events->paid = true;
	if (client_begin(events->client, &ask, &calls, &events->request)) {
		events->figures.failed++;
		drop_first(events);
		wait_ms(events, RETRY_MS);
	}
}

/* ---- telling ------------------------------------------------------------------------- */

static int enqueue(struct events *events, const struct event *event)
{
	struct waiting *waiting = &events->queue[(events->first + events->n) % QUEUE_MAX];
	json_t *json;

	if (events->n == QUEUE_MAX)
		return -ENOBUFS;
	json = event_json(event, &events->options.source);
	*waiting = (struct waiting){ .body = json ? json_dumps(json, JSON_COMPACT) : NULL };
	json_decref(json);
	if (asprintf(&waiting->path, "/apis/events.k8s.io/v1/namespaces/%s/events",
		     event_namespace(&event->about)) < 0)
		waiting->path = NULL;
	if (!waiting->body || !waiting->path) {
		release(waiting);
		return -ENOMEM;
	}
	events->n++;
	return 0;
}

void events_tell(struct events *events, enum event_reason reason, const struct event_object *about,
		 const char *note)
{
	struct event event = {
		.reason = reason,
		.about = about ? *about : event_node(&events->options.source),
		.note = note,
		.time_ns = clock_ns(CLOCK_REALTIME),
	};

	event.count =
		event_is_due(&events->memory, reason, &event.about, clock_ns(CLOCK_MONOTONIC));
	if (!event.count)
		events->figures.repeated++;
	else if (enqueue(events, &event))
		events->figures.dropped++;
	else
		post_next(events);
}

void events_figures(const struct events *events, struct events_figures *ret)
{
	*ret = events->figures;
}

/* ---- begin and end ------------------------------------------------------------------- */

int events_open(uv_loop_t *loop, struct client *client, const struct events_options *options,
		struct events **ret)
{
	struct events *events = calloc(1, sizeof(*events));

	if (!events)
		return -ENOMEM;
	events->client = client;
	events->options = *options;
	uv_timer_init(loop, &events->timer);
	*ret = events;
	return 0;
}

static void on_closed(uv_handle_t *timer)
{
	free(timer);
}

void events_close(struct events *events)
{
	if (!events)
		return;
	if (events->request)
		client_cancel(events->request);
	while (events->n)
		drop_first(events);
	uv_close((uv_handle_t *)&events->timer, on_closed);
}
