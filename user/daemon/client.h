/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the daemon, from the command line. See daemon/control.h for the protocol. */
#ifndef SIDESTEP_DAEMON_CLIENT_H
#define SIDESTEP_DAEMON_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "export/follow_request.h"

/* Whether a daemon answers on the socket. */
bool client_daemon_alive(const char *socket_path);

/* What the daemon warns of: an array of sentences, the caller's; NULL: none answers. */
json_t *client_warnings(const char *socket_path);

/*
 * Copies events to out, a line each, flushed. Returns 0 when the daemon ends, or -errno:
 * out takes no more (-EPIPE and others), or there is no daemon (-ENOENT, -ECONNREFUSED).
 */
int client_follow(const char *socket_path, const struct follow_request *request, FILE *out);

#endif
