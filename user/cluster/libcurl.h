/* SPDX-License-Identifier: Apache-2.0 */
/* What is used of libcurl, which is loaded when there is an API server to talk to. */
#ifndef SIDESTEP_CLUSTER_LIBCURL_H
#define SIDESTEP_CLUSTER_LIBCURL_H

#include <curl/curl.h>

#include "core/problems.h"

/* X(name without curl_) */
#define LIBCURL_FUNCTIONS(X)   \
	X(easy_cleanup)        \
	X(easy_getinfo)        \
	X(easy_init)           \
	X(easy_setopt)         \
	X(easy_strerror)       \
	X(global_cleanup)      \
	X(global_init)         \
	X(multi_add_handle)    \
	X(multi_assign)        \
	X(multi_cleanup)       \
	X(multi_info_read)     \
	X(multi_init)          \
	X(multi_remove_handle) \
	X(multi_setopt)        \
	X(multi_socket_action) \
	X(slist_append)        \
	X(slist_free_all)

struct libcurl {
#define X(name) __typeof__(curl_##name) *name;
	LIBCURL_FUNCTIONS(X)
#undef X
};

extern struct libcurl libcurl;

/* Before any of these. -ELIBACC with what is missing in problems. */
int libcurl_load(struct problems *problems);

#endif
