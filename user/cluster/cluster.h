/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API server as a source: the watches of all resources that are used, and the store they fill.
 */
#ifndef SIDESTEP_CLUSTER_CLUSTER_H
#define SIDESTEP_CLUSTER_CLUSTER_H

#include "cluster/event.h"
#include "cluster/store.h"
#include "cluster/watch.h"

struct cluster;

struct cluster_calls {
	/* The store has changes, and every resource was listed at least once. */
	void (*changed)(void *arg);
	/* Of an object that is skipped, or not taken in full. */
	void (*skipped)(enum store_kind kind, const struct event_object *object,
			const struct problems *problems, void *arg);
	void *arg;
};

/* What options, access and calls point to outlives it. */
int cluster_open(uv_loop_t *loop, const struct access *access, const struct store_options *options,
		 const struct cluster_calls *calls, struct cluster **ret);

struct store *cluster_store(struct cluster *cluster);
struct client *cluster_client(struct cluster *cluster);

/* Every resource was listed at least once. */
bool cluster_is_synced(const struct cluster *cluster);

struct cluster_figures {
	struct watch_figures watch[STORE_KINDS];
	struct store_figures store;
	uint64_t heard_ns; /* of the resource that was heard of longest ago; 0: one never */
};

void cluster_figures(const struct cluster *cluster, struct cluster_figures *ret);
const char *cluster_kind_name(enum store_kind kind); /* "services", as its path says */

void cluster_close(struct cluster *cluster); /* memory goes once the loop has run */

#endif
