/* SPDX-License-Identifier: Apache-2.0 */
/* Writes events as fast as it can, by the functions that the data plane's programs use. */
#define SST_DEFINE_MAPS
#include "lib/event.h"

/* What is written, but for its flow, its time and its type. */
struct sst_record template = {};

struct burst {
	__u64 first; /* flow */
	__u64 n;
};

static long send_one(__u32 i, struct burst *burst)
{
	enum sst_record_type type = i & 1 ? SST_RECORD_CLOSE : SST_RECORD_OPEN;
	struct sst_record *record = event_begin(type);

	if (!record)
		return 0;
	__builtin_memcpy(record, &template, sizeof(*record));
	record->flow = burst->first + i / 2;
	record->time_ns = bpf_ktime_get_boot_ns();
	record->type = type;
	event_end(record, type);
	return 0;
}

SEC("syscall")
int send_events(struct burst *burst)
{
	struct burst copy = *burst; /* a loop's argument lies on the stack */

	bpf_loop(copy.n, send_one, &copy, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
