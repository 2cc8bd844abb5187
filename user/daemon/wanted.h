/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wanted, and that it is in force: the configuration's files, the API server where there
 * is one, and what of the host both depend on. Follows all three.
 *
 * With an API server the files' model is a part of the whole, and nothing of the kernel is
 * changed before every resource was listed once: what is in force stays until then.
 */
#ifndef SIDESTEP_DAEMON_WANTED_H
#define SIDESTEP_DAEMON_WANTED_H

#include "cluster/cluster.h"
#include "datapath/datapath.h"
#include "export/metrics.h"

struct wanted;

struct wanted_options {
	struct datapath *datapath;
	const char *const *files;
	size_t n_files;
	const struct access *access; /* of the API server; NULL: there is none */
	const char *node; /* our name in its cluster, NULL: as the files or the host say */
	struct metrics_daemon *self;
	void (*configured)(void *arg); /* another model of the files is in force */
	void (*applied)(void *arg);    /* names and tables of the maps have changed */
	void *arg;
};

/* -errno, told. What options point to outlives it. */
int wanted_open(uv_loop_t *loop, const struct wanted_options *options, struct wanted **ret);

/* Reads all anew and puts it in force. False: what was in force stays, or it is put off. */
bool wanted_reload(struct wanted *wanted);

/* Every few seconds: what no watch sees. */
void wanted_look(struct wanted *wanted);

/* Removes endpoints and services whose last flow has closed. */
void wanted_collect(struct wanted *wanted);

/* Of the files, as last put in force; NULL: not by us. */
const struct model *wanted_model(const struct wanted *wanted);

/* How many services are for callers from outside of the node, too. */
size_t wanted_exposed(const struct wanted *wanted);

/* All that is wanted is known, and in force. */
bool wanted_is_ready(const struct wanted *wanted);

/* Where operators of a cluster look: an event of this node. Without an API server nothing is done. */
void wanted_tell(struct wanted *wanted, enum event_reason reason, const char *note);

/* What it has from the API server goes to options->self. */
void wanted_account(struct wanted *wanted);

/* Before the loop's handles are closed; and after. */
void wanted_close(struct wanted *wanted);
void wanted_free(struct wanted *wanted);

#endif
