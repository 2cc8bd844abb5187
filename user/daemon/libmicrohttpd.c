/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/libmicrohttpd.h"

#include "core/cleanup.h"
#include "core/library.h"

struct libmicrohttpd libmicrohttpd;

int libmicrohttpd_load(struct problems *problems)
{
	static const char *const names[] = {
#define X(name) "MHD_" #name,
		LIBMICROHTTPD_FUNCTIONS(X)
#undef X
	};
	static const struct library library = {
		"libmicrohttpd.so.12", "--web and --metrics", "libmicrohttpd12", names,
		ARRAY_SIZE(names),
	};

	return library_load(&library, &libmicrohttpd, problems);
}
