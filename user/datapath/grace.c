/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for programs that began before. The kernel does so whenever an element of
 * a map of maps is replaced (kernel/bpf/syscall.c, maybe_wait_bpf_programs()), so
 * a throw-away map of maps is a synchronize_rcu() for userspace. membarrier() would
 * be shorter but does not wait on a machine with one CPU.
 */
#include "datapath/internal.h"

int grace_wait(void)
{
	_cleanup_close_ int inner = bpf_map_create(BPF_MAP_TYPE_ARRAY, "sst_grace", 4, 4, 1, NULL);
	LIBBPF_OPTS(bpf_map_create_opts, opts, .inner_map_fd = (__u32)inner);
	_cleanup_close_ int outer = -1;
	__u32 key = 0;

	if (inner < 0)
		return -errno;
	outer = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "sst_grace", 4, 4, 1, &opts);
	if (outer < 0 || bpf_map_update_elem(outer, &key, &inner, BPF_ANY))
		return -errno;
	return 0;
}

int datapath_grace(void)
{
	return grace_wait();
}
