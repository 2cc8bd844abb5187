/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ending sockets, in their own network namespace; their programs see ECONNABORTED. By
 * sock_diag, and those it cannot find by bpf_sock_destroy() in a walk. Sockets that have
 * gone already, and those of a network namespace that cannot be entered, are passed over.
 */
#ifndef SIDESTEP_DATAPATH_DESTROY_H
#define SIDESTEP_DATAPATH_DESTROY_H

#include <stdbool.h>
#include <stddef.h>

#include "datapath/datapath.h"
#include "datapath/netns.h"
#include "sidestep/abi.h"

#define BATCH_MAX 64

/* Flows of one network namespace. */
struct batch {
	struct batch *next; /* for whoever keeps a list */
	__u32 netns;
	size_t n;
	bool ended[BATCH_MAX]; /* the others may have gone, or are not to be found */
	struct sst_record records[BATCH_MAX];
};

/* A thread's netlink socket, in the namespace of its last batch; -1: that could not be entered. */
struct destroyer {
	int diag;
	__u32 netns;
	struct netns_map map;
};
#define DESTROYER_INIT ((struct destroyer){ .diag = -1 })

void destroyer_release(struct destroyer *destroyer);

/* By sock_diag; any thread's with its own destroyer. Tells in the batch which were ended. */
void destroy_batch(struct destroyer *destroyer, struct batch *batch);

bool batch_has_left(const struct batch *batch);

/* By a walk of each of their namespaces, those of the list's batches that are left. */
void destroy_left(struct datapath *datapath, const struct batch *batches);

/* One, either way. */
void destroy_socket(struct datapath *datapath, const struct sst_record *record);

#endif
