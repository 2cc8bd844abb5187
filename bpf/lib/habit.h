/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What was learned of endpoints and of programs, so that the next connections are not
 * adopted in vain, or to their harm. Asked at nomination, which is once in a connection's
 * life. */
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
static __always_inline void habit_strike(__u32 endpoint)
{
	struct sst_habit *last = bpf_map_lookup_elem(&habits, &endpoint);
	__u64 now = bpf_ktime_get_boot_ns();
	struct sst_habit next = {};

	if (!endpoint || endpoint >= SST_SELFTEST_ID)
		return;
	if (last) {
		if (now < last->until_ns)
			return;
		next.strikes = last->strikes;
		/* it was good for as long as it would be left alone now */
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

static __always_inline __u64 cgroup_of(const struct sock *sk)
{
	return BPF_CORE_READ(sk, sk_cgrp_data.cgroup, kn, id);
}

static __always_inline void splicer_seen(const struct sock *sk)
{
	__u64 cgroup = cgroup_of(sk), now = bpf_ktime_get_boot_ns();

	bpf_map_update_elem(&splicers, &cgroup, &now, BPF_ANY);
}

static __always_inline int is_splicers(const struct sock *sk)
{
	__u64 cgroup = cgroup_of(sk);
	__u64 *seen = bpf_map_lookup_elem(&splicers, &cgroup);

	return seen && bpf_ktime_get_boot_ns() - *seen < SST_SPLICER_NS;
}

#endif
