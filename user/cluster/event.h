/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is worth an Event of Kubernetes (events.k8s.io/v1), how one looks, and when it is told
 * again. Pure; cluster/events.h posts them.
 *
 * Events and no node conditions: a condition is written by a patch of nodes/status, with which
 * one may also move a node's addresses and its room for pods. Whoever has that on every node has
 * the cluster; telling that a policy was skipped is not worth it.
 */
#ifndef SIDESTEP_CLUSTER_EVENT_H
#define SIDESTEP_CLUSTER_EVENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(SYMBOL, reason, action): what has happened, in doing what. */
#define EVENT_REASONS(X)                                   \
	X(CAPACITY_REFUSED, "CapacityRefused", "Applying") \
	X(POLICY_SKIPPED, "PolicySkipped", "Reading")      \
	X(SERVICE_SKIPPED, "ServiceSkipped", "Reading")    \
	X(SPLICE_OFF, "SpliceOff", "Loading")              \
	X(NOT_SERVED, "NotServed", "Checking")

#define X(symbol, reason, action) EVENT_##symbol,
enum event_reason { EVENT_REASONS(X) EVENT_REASON_MAX };
#undef X

const char *event_reason_name(enum event_reason reason);

/* Whom it is about, as its own object calls it. */
struct event_object {
	const char *api_version;
	const char *kind;
	const char *name_space; /* "": of no namespace */
	const char *name;
	const char *uid; /* "": not known */
};

struct event {
	enum event_reason reason;
	struct event_object about;
	const char *note;
	uint64_t time_ns; /* CLOCK_REALTIME */
	unsigned count;   /* how often it has happened since it was last told of */
};

struct event_source {
	const char *node;
	const char *instance; /* our pod */
};

struct event_object event_node(const struct event_source *source);

/* The namespace that such an event is in: the object's, or the one for those of none. */
const char *event_namespace(const struct event_object *about);

/* NULL: memory is out. */
json_t *event_json(const struct event *event, const struct event_source *source);

/* ---- how often ------------------------------------------------------------------------ */

/* The same reason of the same object is told of once an hour. */
#define EVENT_AGAIN_NS (3600 * 1000000000ULL)
#define EVENT_MEMORY   256 /* of the last ones */

/* Starts as { 0 }. */
struct event_memory {
	struct {
		uint64_t key;
		uint64_t told_ns;
		unsigned since; /* kept to ourselves since then */
	} items[EVENT_MEMORY];
	size_t n;
};

/* 0: it was told of lately; else how often it has happened since, this time included. Time is
 * CLOCK_MONOTONIC. */
unsigned event_is_due(struct event_memory *memory, enum event_reason reason,
		      const struct event_object *about, uint64_t now_ns);

/* A burst at once, and then one each so often. Starts as { 0 }. */
#define EVENT_BURST    25
#define EVENT_EVERY_NS (10 * 1000000000ULL)

struct event_rate {
	uint64_t full_ns; /* when a whole burst may go again */
};

/* 0: one goes now; else how long it has to wait. */
uint64_t event_wait(struct event_rate *rate, uint64_t now_ns);

#endif
