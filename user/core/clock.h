/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel half tells CLOCK_BOOTTIME; people want CLOCK_REALTIME. */
#ifndef SIDESTEP_CORE_CLOCK_H
#define SIDESTEP_CORE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* What to add to a CLOCK_BOOTTIME to have a CLOCK_REALTIME. */
static inline int64_t clock_realtime_offset_ns(void)
{
	return (int64_t)(clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_BOOTTIME));
}

#endif
