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

/* The service's statistics; those of id 0 when it has left the map. */
static __always_inline struct sst_stats *service_statistics(__u32 service)
{
	struct sst_stats *stats = bpf_map_lookup_elem(&service_stats, &service);
	__u32 none = 0;

	if (stats)
		return stats;
	count(SST_COUNTER_FLOW_NO_STATS);
	return bpf_map_lookup_elem(&service_stats, &none);
}

/* Adds n to one field of the service's and, if there is one, of the endpoint's statistics. */
#define statistics_add(service_id, endpoint_id, field, n)                  \
	do {                                                               \
		struct sst_stats *_stats = service_statistics(service_id); \
		__u32 _endpoint = (endpoint_id);                           \
                                                                           \
		if (_stats)                                                \
			__sync_fetch_and_add(&_stats->field, (n));         \
		if (!_endpoint)                                            \
			break;                                             \
		_stats = bpf_map_lookup_elem(&endpoint_stats, &_endpoint); \
		if (_stats)                                                \
			__sync_fetch_and_add(&_stats->field, (n));         \
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
