/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every map once: what it holds, who writes it, who reads it, what bounds it.
 * maps.bpf.c defines them; every other file sees declarations.
 *
 * K is the kernel half, U is userspace. What a node's configuration may hold is bounded by
 * the sizes and checked before an apply. Those that are a matter of how busy a node is are made
 * by its memory instead, see user/datapath/sizes.c.
 */
#ifndef SIDESTEP_BPF_MAPS_H
#define SIDESTEP_BPF_MAPS_H

#include "lib/kernel.h"
#include "sidestep/abi.h"
#include "sidestep/policy.h"

#ifdef SST_DEFINE_MAPS
#define SST_MAP
#else
#define SST_MAP extern
#endif

/* Address a client may ask for -> service. U writes, K reads. */
SST_MAP struct frontends_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct sst_frontend_key);
	__type(value, struct sst_frontend);
} frontends SEC(".maps");

/* Service by id; replacing its value is the flip. U writes, K reads. */
SST_MAP struct services_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct sst_service);
} services SEC(".maps");

/* Names of services by id. U only: the kernel half deals in numbers. */
SST_MAP struct service_info_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct sst_service_info);
} service_info SEC(".maps");

/* Round robin's position by service; not in the service's value, which a flip replaces.
 * U creates, K adds. */
SST_MAP struct cursors_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u64);
} cursors SEC(".maps");

/* Endpoint by id. U writes, K reads. */
SST_MAP struct endpoints_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 524288);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct sst_endpoint);
} endpoints SEC(".maps");

/* Schedules of all services, endpoint ids. U writes through a mapping, K reads. */
SST_MAP struct slots_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1048576 / SST_RUN);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct sst_run);
} slots SEC(".maps");

/* Client affinity. K writes and reads; the least recently used goes first when full. */
SST_MAP struct affinity_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct sst_affinity_key);
	__type(value, struct sst_affinity);
} affinity SEC(".maps");

/*
 * Statistics by service and by endpoint. U creates and deletes entries, K adds. Endpoints are many,
 * and each has few flows: theirs are not per CPU, which would take their memory for each CPU, and an
 * interrupt for each element (since 6.8; 15 us in a virtual machine). Both have room for id 0, too:
 * what is left to the self-test in the maps of services is none of theirs.
 */
SST_MAP struct service_stats_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct sst_stats);
} service_stats SEC(".maps");

SST_MAP struct endpoint_stats_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 524288);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct sst_stats);
} endpoint_stats SEC(".maps");

/* Every early exit, fallback and refusal by enum sst_counter. K adds, U reads. */
SST_MAP struct counters_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SST_COUNTER_MAX);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

/* Settings. U writes, K reads. */
SST_MAP struct config_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sst_config);
} config SEC(".maps");

/* What somebody wants to be told of. The daemon writes, K reads. */
SST_MAP struct interest_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sst_interest);
} interest SEC(".maps");

/* Who loaded this, ABI version first. U only. */
SST_MAP struct meta_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sst_meta);
} meta SEC(".maps");

/* Who calls whom: an edge's id by what it is. K makes, U takes away; see lib/edge.h. */
SST_MAP struct edge_ids_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct sst_edge_key);
	__type(value, __u32);
} edge_ids SEC(".maps");

/* Totals by an edge's id. K makes and adds, U takes away. */
SST_MAP struct edges_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct sst_edge);
} edges SEC(".maps");

/* What the id stands for, and times. Likewise. */
SST_MAP struct edge_info_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct sst_edge_info);
} edge_info SEC(".maps");

/* UDP's flows. K only; the least recently used goes first when full. */
SST_MAP struct udp_flows_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct sst_tuple);
	__type(value, struct sst_udp_flow);
} udp_flows SEC(".maps");

/* How many there are. K and U write, U through a mapping. */
SST_MAP struct edge_state_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct sst_edge_state);
} edge_state SEC(".maps");

/* What became of idle edges, by service. U only. */
SST_MAP struct edges_expired_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct sst_edge_expired);
} edges_expired SEC(".maps");

/* One end of a flow, in its socket. K only; dies with the socket. */
SST_MAP struct flows_map {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct sst_flow);
} flows SEC(".maps");

/* Endpoints an unconnected UDP socket talks to. K only; dies with the socket. */
struct udp_peers {
	struct bpf_spin_lock lock;
	__u32 pad;
	struct sst_udp_peer peer[SST_UDP_PEERS];
};

SST_MAP struct udp_peers_map {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct udp_peers);
} udp_peers SEC(".maps");

/* Both ends of a same-node connection. K only; the last end to go deletes it. */
SST_MAP struct pairs_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 262144);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct sst_pair_key);
	__type(value, struct sst_pair);
} pairs SEC(".maps");

/* The same, of those who found room. K only; likewise. */
SST_MAP struct pair_places_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SST_PAIR_PLACES);
	__type(key, __u32);
	__type(value, struct sst_pair_place);
} pair_places SEC(".maps");

/* Sockets that wait to be adopted: a short list for the adopting iterator. K only. */
SST_MAP struct candidates_map {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
} candidates SEC(".maps");

/* Adopted sockets until they are released: the list for the walks over members. K only. */
SST_MAP struct members_map {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
} members SEC(".maps");

/* What endpoints' connections turned out to be. K writes, U reads; the one that was not
 * looked at for longest goes first when full. */
SST_MAP struct habits_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct sst_habit);
} habits SEC(".maps");

/* Cgroups whose sockets were read by splice(2). K only; likewise. */
SST_MAP struct splicers_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u64);
} splicers SEC(".maps");

/* Adopted sockets by cookie; what the sk_msg program hangs on. K only. */
SST_MAP struct spliced_map {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, __u64);
} spliced SEC(".maps");

/* Cookies of sockets to be ended by a walk. U writes and empties, K reads. */
SST_MAP struct doomed_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u8);
} doomed SEC(".maps");

/* struct sst_record: opened, closed, failed, denied. K writes, the daemon reads. */
SST_MAP struct events_map {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 * 1024 * 1024);
} events SEC(".maps");

/* struct sst_record: the live flows, for who has claimed this map. K writes, U reads. A walk stops
 * when it is full, and each stop costs more the more flows there are; so it takes 4,000. */
SST_MAP struct listed_map {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);
} listed SEC(".maps");

/* Until when (CLOCK_BOOTTIME) a class of events has booked the rate it may have, by enum
 * sst_record_type. K only. */
SST_MAP struct event_rates_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SST_RECORD_TYPES);
	__type(key, __u32);
	__type(value, __u64);
} event_rates SEC(".maps");

/* struct sst_errand; apart from `events`, since this one wakes at once. */
SST_MAP struct errands_map {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} errands SEC(".maps");

/* The capture that runs. U writes through a mapping; K reads, counts and ends it. */
SST_MAP struct capture_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct sst_capture);
} capture SEC(".maps");

/* Ids of the services to be captured. U writes and empties, K reads. */
SST_MAP struct captured_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u8);
} captured SEC(".maps");

/* struct sst_message and payload; room for a capture of usual length, read or not.
 * K writes, the capturing process reads. */
SST_MAP struct messages_map {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 2 * 1024 * 1024);
} messages SEC(".maps");

/*
 * The policy set in force: one element, a map of blocks made by userspace (see
 * sidestep/policy.h), which is never written again. Replacing the element is the flip;
 * without one there is no set. U writes, K reads.
 */
struct policy_set_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_INNER_MAP | BPF_F_MMAPABLE); /* sets differ in size */
	__uint(key_size, sizeof(__u32));
	__uint(value_size, SST_BLOCK_BYTES);
};

SST_MAP struct policy_map {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct policy_set_map);
} policy SEC(".maps");

/* What rules have decided, by id. U creates and deletes entries, K adds. */
SST_MAP struct rule_stats_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct sst_rule_stats);
} rule_stats SEC(".maps");

/* Who is calling, while a SYN is under way; lib/caller.h tells who has which place. K only; the
 * caller's end frees it. */
SST_MAP struct callers_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SST_CALLERS_NEAR + SST_CALLERS_FAR);
	__type(key, __u32);
	__type(value, struct sst_callers);
} callers SEC(".maps");

/* Calls that were allowed, each at the one place that its key tells. K only; who comes last
 * stays. */
SST_MAP struct verdicts_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SST_VERDICTS);
	__type(key, __u32);
	__type(value, struct sst_verdict);
} verdicts SEC(".maps");

/* With whom UDP sockets were allowed to exchange datagrams. K only; the least recently
 * used goes first when full. */
SST_MAP struct datagrams_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct sst_datagram_key);
	__type(value, struct sst_datagram);
} datagrams SEC(".maps");

/* Who has sent the datagrams that are under way. K only; likewise: each datagram tells
 * anew. */
SST_MAP struct senders_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct sst_tuple);
	__type(value, struct sst_sender);
} senders SEC(".maps");

/* Denied clients, to be answered when they try again. K only; likewise. */
SST_MAP struct answers_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct sst_answer_key);
	__type(value, __u64);
} answers SEC(".maps");

/* Workloads of cgroups by the cgroup's id, found once a set. K only; likewise. */
SST_MAP struct cgroups_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64);
	__type(value, struct sst_cgroup);
} cgroups SEC(".maps");

#endif
