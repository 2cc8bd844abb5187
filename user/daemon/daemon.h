/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sidestep run` after the load: follows its files, reads the rings, adopts flows for
 * the splice, writes the stats file, answers on the control socket. The data plane
 * does not need it: what is loaded goes on without.
 */
#ifndef SIDESTEP_DAEMON_DAEMON_H
#define SIDESTEP_DAEMON_DAEMON_H

#include "daemon/exporter.h"
#include "cluster/access.h"
#include "core/http_rules.h"
#include "datapath/datapath.h"

struct daemon_options {
	const char *const *files;
	size_t n_files;
	const struct access *access; /* of the API server; NULL: there is none */
	const char *node;            /* our name in its cluster */
	const char *socket;
	struct exporter_options exporter;
	uint32_t series;       /* the metrics' budget, of the model that was loaded */
	const char *web;       /* where the page is; NULL: nowhere */
	const char *web_token; /* a file; NULL: none is asked for */
};

/* Where the page is to be served. */
struct daemon_web {
	int fd; /* listens; -1: nowhere */
	struct http_address address;
	struct http_token token;
};

/*
 * Looks at what can go wrong before anything is loaded, and makes this process the
 * daemon of its socket, by a lock on SOCKET.lock that it holds for life. Says what is
 * wrong. Returns an fd to keep, or -EADDRINUSE when there is a daemon, or somebody else
 * listens where the page is to be, or -errno.
 */
int daemon_prepare(const struct daemon_options *options, struct daemon_web *web);

/* Takes the lock's file away; before its fd is closed. */
void daemon_release(const char *socket);

/*
 * Runs until SIGTERM or SIGINT (returns 0), or until somebody else unloads the data
 * plane (returns -ESTALE). Other errors: it could not start. The datapath must not
 * hold the lock and stays the caller's; web's fd is taken over, and is then -1.
 */
int daemon_run(struct datapath *datapath, const struct daemon_options *options,
	       struct daemon_web *web);

#endif
