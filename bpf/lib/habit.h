/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What became of an endpoint's adopted connections, so that the next ones are not
 * adopted in vain. Asked at nomination, which is once in a connection's life. */
#ifndef SIDESTEP_BPF_HABIT_H
#define SIDESTEP_BPF_HABIT_H

#include "maps.h"

/* How long an endpoint with so many strikes is left alone. */
static __always_inline __u64 habit_pause_ns(__u32 strikes)
{
	return SST_HABIT_FIRST_NS << (strikes < SST_HABIT_DOUBLINGS ? strikes
								    : SST_HABIT_DOUBLINGS);
}

static __always_inline int habit_forbids(__u32 endpoint)
{
	struct sst_habit *habit = bpf_map_lookup_elem(&habits, &endpoint);

	return habit && bpf_ktime_get_boot_ns() < habit->until_ns;
}

/* An adopted connection of it had to be let go. Several at once are one strike. */
static __always_inline void habit_strike(__u32 endpoint, enum sst_habit_kind kind)
{
	struct sst_habit *last = bpf_map_lookup_elem(&habits, &endpoint);
	struct sst_habit next = { .kind = kind };
	__u64 now = bpf_ktime_get_boot_ns();

	if (!endpoint || endpoint >= SST_SELFTEST_ID)
		return;
	if (last) {
		if (now < last->until_ns)
			return;
		next.strikes = last->strikes;
		/* it was good for longer than it was left alone */
		if (now - last->until_ns > habit_pause_ns(last->strikes))
			next.strikes >>= 1;
	}
	next.until_ns = now + habit_pause_ns(next.strikes);
	next.strikes++;
	bpf_map_update_elem(&habits, &endpoint, &next, BPF_ANY);
}

/* An adopted connection of it was worth it to its end. */
static __always_inline void habit_reward(__u32 endpoint)
{
	struct sst_habit *habit = bpf_map_lookup_elem(&habits, &endpoint);

	if (habit)
		habit->strikes >>= 1;
}

#endif
