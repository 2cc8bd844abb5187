/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/libcurl.h"

#include "core/cleanup.h"
#include "core/library.h"

struct libcurl libcurl;

int libcurl_load(struct problems *problems)
{
	static const char *const names[] = {
#define X(name) "curl_" #name,
		LIBCURL_FUNCTIONS(X)
#undef X
	};
	static const struct library library = {
		"libcurl.so.4", "--kubernetes", "libcurl4", names, ARRAY_SIZE(names),
	};

	return library_load(&library, &libcurl, problems);
}
