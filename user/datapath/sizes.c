/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/sizes.h"

#define KIB 1024u
#define MIB (1024u * KIB)

/*
 * Memory stands for how much a node does at once. An LRU table is there from the start, full or
 * not, and forgets what was not used for longest. It keeps up to 128 entries for each CPU that
 * are of no use to others: of these shares they are few with a GiB of memory a CPU.
 *
 * A capture tells of what `messages` had no room for.
 *
 * What is forgotten too soon:
 *   udp_flows  its edge is looked for again, and who answers first may be taken for the client
 *   senders    "sender-lost": dropped where rules ask who it was
 *   datagrams  it is asked again; a reply that rules do not let in is dropped
 *   affinity   the client's next connection is given any endpoint
 *   answers    one more packet is dropped before the next one is answered
 *   habits     the endpoint's connections are adopted, and may disappoint once more
 */
static const struct size {
	uint32_t least, most;
	uint32_t share; /* bytes of memory for each entry, of a ring for each byte */
} sizes[MAP_MAX] = {
	[MAP_events] = { 1 * MIB, 64 * MIB, 1 * KIB },
	[MAP_udp_flows] = { 8192, 65536, 768 * KIB },
	[MAP_senders] = { 8192, 65536, 768 * KIB },
	[MAP_datagrams] = { 8192, 65536, 768 * KIB },
	[MAP_affinity] = { 8192, 65536, 768 * KIB },
	[MAP_answers] = { 2048, 16384, 3 * MIB },
	[MAP_habits] = { 2048, 16384, 3 * MIB },
	[MAP_messages] = { 256 * KIB, 2 * MIB, 6 * KIB },
};

uint32_t map_size(enum map_index map, uint64_t memory)
{
	const struct size *size = &sizes[map];
	uint32_t n = size->least;

	while (n < size->most && 2ull * n <= memory / size->share)
		n *= 2;
	return n;
}
