/* SPDX-License-Identifier: Apache-2.0 */
/*
 * To be preloaded: of the batches that are written into maps, number $REFUSE_AT is refused with
 * error number $REFUSE_WITH when half of it is written.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>

#include <bpf/bpf.h>

typedef int update_fn(int fd, const void *keys, const void *values, __u32 *count,
		      const struct bpf_map_batch_opts *opts);

static int number_of(const char *name)
{
	const char *value = getenv(name);

	return value ? atoi(value) : 0;
}

int bpf_map_update_batch(int fd, const void *keys, const void *values, __u32 *count,
			 const struct bpf_map_batch_opts *opts)
{
	update_fn *update = (update_fn *)dlsym(RTLD_NEXT, "bpf_map_update_batch");
	static int batches;
	int err = 0;

	if (++batches != number_of("REFUSE_AT"))
		return update(fd, keys, values, count, opts);
	*count /= 2;
	if (*count)
		err = update(fd, keys, values, count, opts);
	errno = number_of("REFUSE_WITH");
	return err ?: -errno;
}
