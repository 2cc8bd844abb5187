/* SPDX-License-Identifier: Apache-2.0 */
/* To be preloaded: the machine has $MEMORY_GIB of memory. */
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

typedef long sysconf_fn(int name);

long sysconf(int name)
{
	sysconf_fn *real = (sysconf_fn *)dlsym(RTLD_NEXT, "sysconf");
	const char *gib = getenv("MEMORY_GIB");

	return name == _SC_PHYS_PAGES && gib ? (atol(gib) << 30) / real(_SC_PAGESIZE) : real(name);
}
