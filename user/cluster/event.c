/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/event.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/cleanup.h"
#include "core/text.h"

#define NS_PER_S     1000000000ULL
/* What the API server takes at most, in bytes. */
#define NOTE_MAX     1024
#define INSTANCE_MAX 128

static const struct {
	const char *reason, *action;
} reasons[] = {
#define X(symbol, reason, action) [EVENT_##symbol] = { reason, action },
	EVENT_REASONS(X)
#undef X
};

const char *event_reason_name(enum event_reason reason)
{
	return reasons[reason].reason;
}

/* ---- one event ----------------------------------------------------------------------- */

/* kubelet gives its events of a node the name as the uid, too, and so kubectl finds them. */
struct event_object event_node(const struct event_source *source)
{
	return (struct event_object){ "v1", "Node", "", source->node, source->node };
}

const char *event_namespace(const struct event_object *about)
{
	return *about->name_space ? about->name_space : "default";
}

/* FNV-1a, over the NUL, too: what is joined does not run together. */
static uint64_t hash(uint64_t seed, const char *text)
{
	do
		seed = (seed ^ (unsigned char)*text) * 0x100000001b3;
	while (*text++);
	return seed;
}

#define HASH_SEED 0xcbf29ce484222325

/* Nodes that tell of one object at one moment are told apart. */
static json_t *name_json(const struct event *event, const struct event_source *source)
{
	return json_sprintf("sidestep.%08x%016llx", (unsigned)hash(HASH_SEED, source->node),
			    (unsigned long long)event->time_ns);
}

static json_t *time_json(uint64_t time_ns)
{
	time_t seconds = time_ns / NS_PER_S;
	char text[32];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	return json_sprintf("%s.%06uZ", text, (unsigned)(time_ns % NS_PER_S / 1000));
}

/* As much of a text as fits, whole characters. */
static json_t *bounded_json(const char *text, size_t max)
{
	_cleanup_text_ struct text clean = {};
	size_t n = 0, next;

	text_add_clean(&clean, text);
	if (clean.error)
		return NULL;
	while (text_string(&clean)[n]) {
		next = n + text_character(text_string(&clean) + n);
		if (next > max)
			break;
		n = next;
	}
	return json_stringn(text_string(&clean), n);
}

static json_t *object_json(const struct event_object *object)
{
	json_t *json = json_pack("{s:s, s:s, s:s}", "apiVersion", object->api_version, "kind",
				 object->kind, "name", object->name);

	if (json && *object->name_space)
		json_object_set_new(json, "namespace", json_string(object->name_space));
	if (json && *object->uid)
		json_object_set_new(json, "uid", json_string(object->uid));
	return json;
}

static json_t *related_json(const struct event *event, const struct event_source *source)
{
	const struct event_object node = event_node(source);

	return strcmp(event->about.kind, node.kind) ? object_json(&node) : NULL;
}

static json_t *series_json(const struct event *event)
{
	if (event->count < 2)
		return NULL;
	return json_pack("{s:i, s:o}", "count", event->count, "lastObservedTime",
			 time_json(event->time_ns));
}

json_t *event_json(const struct event *event, const struct event_source *source)
{
	return json_pack("{s:s, s:s, s:{s:o, s:s}, s:o, s:s, s:o, s:s, s:s, s:o, s:o*, s:o*, s:o, "
			 "s:s}",
			 "apiVersion", "events.k8s.io/v1", "kind", "Event", "metadata", "name",
			 name_json(event, source), "namespace", event_namespace(&event->about),
			 "eventTime", time_json(event->time_ns), "reportingController", "sidestep",
			 "reportingInstance", bounded_json(source->instance, INSTANCE_MAX),
			 "action", reasons[event->reason].action, "reason",
			 reasons[event->reason].reason, "regarding", object_json(&event->about),
			 "related", related_json(event, source), "series", series_json(event),
			 "note", bounded_json(event->note, NOTE_MAX), "type", "Warning");
}

/* ---- how often ----------------------------------------------------------------------- */

static uint64_t key_of(enum event_reason reason, const struct event_object *about)
{
	uint64_t key = hash(HASH_SEED, reasons[reason].reason);

	key = hash(key, about->kind);
	key = hash(key, about->name_space);
	key = hash(key, about->name);
	return hash(key, about->uid);
}

/* Where it is, or where it is to be: the place of the one that was told of first. */
static size_t place_of(struct event_memory *memory, uint64_t key)
{
	size_t oldest = 0;

	for (size_t i = 0; i < memory->n; i++) {
		if (memory->items[i].key == key)
			return i;
		if (memory->items[i].told_ns < memory->items[oldest].told_ns)
			oldest = i;
	}
	return memory->n < EVENT_MEMORY ? memory->n++ : oldest;
}

unsigned event_is_due(struct event_memory *memory, enum event_reason reason,
		      const struct event_object *about, uint64_t now_ns)
{
	uint64_t key = key_of(reason, about);
	size_t i = place_of(memory, key);
	unsigned count = 1;

	if (memory->items[i].key == key) {
		count = ++memory->items[i].since;
		if (now_ns - memory->items[i].told_ns < EVENT_AGAIN_NS)
			return 0;
	}
	memory->items[i].key = key;
	memory->items[i].told_ns = now_ns;
	memory->items[i].since = 0;
	return count;
}

uint64_t event_wait(struct event_rate *rate, uint64_t now_ns)
{
	uint64_t full_ns = rate->full_ns > now_ns ? rate->full_ns : now_ns;

	full_ns += EVENT_EVERY_NS;
	if (full_ns - now_ns > EVENT_BURST * EVENT_EVERY_NS)
		return full_ns - now_ns - EVENT_BURST * EVENT_EVERY_NS;
	rate->full_ns = full_ns;
	return 0;
}
