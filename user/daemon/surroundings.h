/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What else is on the node that services have to do with: kube-proxy's rules, and sockets that
 * listen where services are reached. What is not as it should be is told once, and kept for
 * whoever asks (`status`, `doctor`).
 */
#ifndef SIDESTEP_DAEMON_SURROUNDINGS_H
#define SIDESTEP_DAEMON_SURROUNDINGS_H

#include "core/problems.h"
#include "export/metrics.h"
#include "model/kube_proxy.h"

/* Starts as { 0 }. */
struct surroundings {
	struct problems warnings; /* of the last look */
	struct text kube_proxy;   /* what is wrong with it; empty: nothing */
	uint64_t looked_ns;       /* CLOCK_MONOTONIC */
};

struct surroundings_view {
	enum kube_proxy_stated stated;
	size_t exposed;            /* services that are for callers from outside, too */
	const struct state *state; /* its tables */
};

/* Looks, and logs what is new, if the last look is some time ago. Whether it has looked. */
bool surroundings_look(struct surroundings *surroundings, const struct surroundings_view *view,
		       struct metrics_daemon *self);

/* Something has changed: the next look is to be one. */
void surroundings_expect(struct surroundings *surroundings);

/* As the control socket tells it: an array of sentences. NULL: memory is out. */
json_t *surroundings_json(const struct surroundings *surroundings);

void surroundings_release(struct surroundings *surroundings);

#endif
