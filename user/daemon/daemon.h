/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sidestep run` after the load: follows the file, reads the rings, adopts flows for
 * the splice, writes the stats file, answers on the control socket. The data plane
 * does not need it: what is loaded goes on without.
 */
#ifndef SIDESTEP_DAEMON_DAEMON_H
#define SIDESTEP_DAEMON_DAEMON_H

#include "datapath/datapath.h"

struct daemon_options {
	const char *file;
	const char *socket;
	const char *stats;
};

/*
 * Makes this process the daemon of a socket, by a lock on SOCKET.lock that it holds
 * for life; before anything is loaded, so that a second one changes nothing. Says why
 * not. Returns an fd to keep, or -EADDRINUSE when there is one, or -errno.
 */
int daemon_claim(const char *socket);

/*
 * Runs until SIGTERM or SIGINT (returns 0), or until somebody else unloads the data
 * plane (returns -ENOENT). Other errors: it could not start. The datapath must not
 * hold the lock and stays the caller's.
 */
int daemon_run(struct datapath *datapath, const struct daemon_options *options);

#endif
