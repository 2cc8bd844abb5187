/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Telling userspace of something: room in the ring, for those who follow, not too often. */
#ifndef SIDESTEP_BPF_EVENT_H
#define SIDESTEP_BPF_EVENT_H

#include "lib/count.h"

/* Readers are woken when another eighth of the ring waits, and poll otherwise: a wake-up costs
 * more than ten records. */
#define EVENTS_WAKE_SHARE 8
/* Records of several CPUs may come at once, and none of them see just the eighth. */
#define EVENTS_WAKE_SLACK 4

#define NS_PER_S 1000000000ULL

#define EVENT_COUNTER(name, type) ((enum sst_counter)(SST_COUNTER_EVENT_OPEN##name + (type)-1))

static_assert(EVENT_COUNTER(, SST_RECORD_DENIED) == SST_COUNTER_EVENT_DENIED &&
		      EVENT_COUNTER(_LOST, SST_RECORD_CLOSE) == SST_COUNTER_EVENT_CLOSE_LOST &&
		      EVENT_COUNTER(_LIMITED, SST_RECORD_FAILED) ==
			      SST_COUNTER_EVENT_FAILED_LIMITED &&
		      EVENT_COUNTER(_WITHHELD, SST_RECORD_OPEN) == SST_COUNTER_EVENT_OPEN_WITHHELD,
	      "counters of events stand in the order of enum sst_record_type");

static __always_inline int somebody_follows(void)
{
	__u32 key = 0;
	struct sst_interest *wanted = bpf_map_lookup_elem(&interest, &key);

	return wanted && wanted->events;
}

/*
 * Each event of a class books its share of a second, from now on at the earliest; when more
 * than a second is booked there are too many. Two at once on one CPU, of a hook and of the
 * softirq that interrupts it, may book from the same moment: one more is let through.
 */
static __always_inline int is_too_often(enum sst_record_type type)
{
	struct sst_config *config = settings();
	__u32 rate = config ? config->event_rate : 0, key = type;
	__u64 now, *booked;

	if (!rate)
		return 0;
	booked = bpf_map_lookup_elem(&event_rates, &key);
	if (!booked)
		return 0;
	now = bpf_ktime_get_boot_ns();
	if (*booked < now)
		*booked = now;
	if (*booked - now > NS_PER_S)
		return 1;
	__sync_fetch_and_add(booked, NS_PER_S / rate);
	return 0;
}

/* Room for a record somebody wants; NULL: nobody does, there are too many, or it is full. */
static __always_inline struct sst_record *event_begin(enum sst_record_type type)
{
	struct sst_record *record;

	if (!somebody_follows()) {
		count(EVENT_COUNTER(_WITHHELD, type));
		return 0;
	}
	if (is_too_often(type)) {
		count(EVENT_COUNTER(_LIMITED, type));
		return 0;
	}
	record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);
	if (!record)
		count(EVENT_COUNTER(_LOST, type));
	return record;
}

/* Sizes are powers of two. */
static __always_inline int completes_an_eighth(__u64 waiting, __u64 size)
{
	__u64 share = size / EVENTS_WAKE_SHARE;

	return waiting >= share &&
	       (waiting & (share - 1)) < EVENTS_WAKE_SLACK * sizeof(struct sst_record);
}

static __always_inline void event_end(struct sst_record *record, enum sst_record_type type)
{
	__u64 waiting = bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA);
	__u64 size = bpf_ringbuf_query(&events, BPF_RB_RING_SIZE);

	bpf_ringbuf_submit(record, completes_an_eighth(waiting, size) ? BPF_RB_FORCE_WAKEUP
								      : BPF_RB_NO_WAKEUP);
	count(EVENT_COUNTER(, type));
}

#endif
