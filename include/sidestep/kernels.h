/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What cannot be tried without harm if it is wrong is known by the kernel's version. */
#ifndef SIDESTEP_KERNELS_H
#define SIDESTEP_KERNELS_H

/* As LINUX_VERSION_CODE, whose last part ends at 255. */
#define SST_KERNEL(major, minor, patch) ((major) << 16 | (minor) << 8 | (patch))

/*
 * A poll() that runs while its socket leaves a sockmap for good may call a function that
 * is no longer there. Mended by 2660a544fdc0 ("net: Fix TOCTOU issue in
 * sk_is_readable()") in 6.16 and in these releases of older series.
 */
static inline int sst_release_is_safe(unsigned version)
{
	unsigned series = version >> 8;

	if (version >= SST_KERNEL(6, 16, 0))
		return 1;
	return (series == SST_KERNEL(6, 1, 0) >> 8 && version >= SST_KERNEL(6, 1, 142)) ||
	       (series == SST_KERNEL(6, 6, 0) >> 8 && version >= SST_KERNEL(6, 6, 95)) ||
	       (series == SST_KERNEL(6, 12, 0) >> 8 && version >= SST_KERNEL(6, 12, 35));
}

#endif
