/* SPDX-License-Identifier: Apache-2.0 */
/* What is used of libmicrohttpd, which is loaded when there is something to serve. */
#ifndef SIDESTEP_DAEMON_LIBMICROHTTPD_H
#define SIDESTEP_DAEMON_LIBMICROHTTPD_H

#include <microhttpd.h>

#include "core/problems.h"

/* X(name without MHD_) */
#define LIBMICROHTTPD_FUNCTIONS(X)       \
	X(add_response_header)           \
	X(create_response_from_buffer)   \
	X(create_response_from_callback) \
	X(destroy_response)              \
	X(get_connection_info)           \
	X(get_connection_values)         \
	X(get_daemon_info)               \
	X(get_timeout)                   \
	X(lookup_connection_value)       \
	X(queue_response)                \
	X(quiesce_daemon)                \
	X(resume_connection)             \
	X(run)                           \
	X(start_daemon)                  \
	X(stop_daemon)                   \
	X(suspend_connection)

struct libmicrohttpd {
#define X(name) __typeof__(MHD_##name) *name;
	LIBMICROHTTPD_FUNCTIONS(X)
#undef X
};

extern struct libmicrohttpd libmicrohttpd;

/* Before any of these. -ELIBACC with what is missing in problems. */
int libmicrohttpd_load(struct problems *problems);

#endif
