/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counting. Atomic although per CPU: a softirq may interrupt a hook that runs in
 * process context between its load and its store, and counters are exact. */
#ifndef SIDESTEP_BPF_COUNT_H
#define SIDESTEP_BPF_COUNT_H

#include "maps.h"

static __always_inline void count(enum sst_counter which)
{
	__u32 key = which;
	__u64 *value = bpf_map_lookup_elem(&counters, &key);

	if (value)
		__sync_fetch_and_add(value, 1);
}

/* Where a flow is counted: its service's statistics and its endpoint's, NULL: nowhere. */
struct books {
	struct sst_stats *service;
	struct sst_stats *endpoint;
};

static __always_inline void books_open(struct books *books, __u32 service, __u32 endpoint)
{
	books->service = bpf_map_lookup_elem(&service_stats, &service);
	books->endpoint = endpoint ? bpf_map_lookup_elem(&endpoint_stats, &endpoint) : 0;
}

/*
 * For what is new: its own service's books, or those of 0 when that has just left the
 * map. Returns which; the end of a flow must be counted where its begin was.
 */
static __always_inline __u32 books_begin(struct books *books, __u32 service, __u32 endpoint)
{
	books_open(books, service, endpoint);
	if (books->service)
		return service;
	count(SST_COUNTER_FLOW_NO_STATS);
	service = 0;
	books->service = bpf_map_lookup_elem(&service_stats, &service);
	return 0;
}

#define books_add(books, field, n)                                          \
	do {                                                                \
		if ((books)->service)                                       \
			__sync_fetch_and_add(&(books)->service->field, n);  \
		if ((books)->endpoint)                                      \
			__sync_fetch_and_add(&(books)->endpoint->field, n); \
	} while (0)

/*
 * Copies a value of a hash map. The kernel may give an element that was replaced or
 * deleted to another key at once, while a program still reads it; an element that is
 * still the key's after the copy was the key's all the time. 0: not there.
 */
#define map_copy(map, key, to)                                                    \
	({                                                                        \
		int _whole = 0;                                                   \
                                                                                  \
		for (int _try = 0; _try < 4 && !_whole; _try++) {                 \
			__typeof__(to) _value = bpf_map_lookup_elem(map, key);    \
                                                                                  \
			if (!_value)                                              \
				break;                                            \
			*(to) = *_value;                                          \
			barrier();                                                \
			_whole = bpf_map_lookup_elem(map, key) == (void *)_value; \
		}                                                                 \
		_whole;                                                           \
	})

static __always_inline struct sst_config *settings(void)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&config, &key);
}

#endif
