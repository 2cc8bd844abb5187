/* SPDX-License-Identifier: Apache-2.0 */
#include "core/library.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

static bool has_all(const struct library *library, void *handle)
{
	for (size_t i = 0; i < library->n_names; i++)
		if (!dlsym(handle, library->names[i]))
			return false;
	return true;
}

int library_load(const struct library *library, void *table, struct problems *problems)
{
	void *handle = dlopen(library->soname, RTLD_NOW);

	if (!handle || !has_all(library, handle)) {
		problems_add(problems, library->soname, (struct place){ 0 },
			     "%s cannot be had without it (%s); on Debian it is in %s",
			     library->purpose, dlerror(), library->package);
		if (handle)
			dlclose(handle);
		return -ELIBACC;
	}
	for (size_t i = 0; i < library->n_names; i++) {
		void *function = dlsym(handle, library->names[i]);

		memcpy((char *)table + i * sizeof(function), &function, sizeof(function));
	}
	return 0;
}
