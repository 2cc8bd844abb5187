/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share. */
#ifndef SIDESTEP_DATAPATH_INTERNAL_H
#define SIDESTEP_DATAPATH_INTERNAL_H

#include <limits.h>
#include <stddef.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "core/cleanup.h"
#include "datapath/datapath.h"
#include "model/checks.h"

/* Every pinned map by its name in bpf/maps.h. */
#define DATAPATH_MAPS(X)  \
	X(frontends)      \
	X(services)       \
	X(service_info)   \
	X(cursors)        \
	X(endpoints)      \
	X(slots)          \
	X(affinity)       \
	X(service_stats)  \
	X(endpoint_stats) \
	X(counters)       \
	X(config)         \
	X(interest)       \
	X(meta)           \
	X(flows)          \
	X(udp_peers)      \
	X(pairs)          \
	X(pair_places)    \
	X(candidates)     \
	X(members)        \
	X(habits)         \
	X(splicers)       \
	X(spliced)        \
	X(doomed)         \
	X(events)         \
	X(listed)         \
	X(event_rates)    \
	X(errands)        \
	X(capture)        \
	X(captured)       \
	X(messages)       \
	X(policy)         \
	X(rule_stats)     \
	X(callers)        \
	X(verdicts)       \
	X(datagrams)      \
	X(senders)        \
	X(answers)        \
	X(cgroups)        \
	X(edge_ids)       \
	X(edges)          \
	X(edge_info)      \
	X(edge_state)     \
	X(udp_flows)      \
	X(edges_expired)

#define X(name) MAP_##name,
enum map_index { DATAPATH_MAPS(X) MAP_MAX };
#undef X

/* How a program gets to run. */
enum hook_kind {
	HOOK_CGROUP, /* bpf_link on the cgroup */
	HOOK_POLICY, /* the same, only while a policy needs it */
	HOOK_NETNS,  /* bpf_links on network namespaces, only while a policy needs them */
	HOOK_ITER,   /* bpf_link; each read of it is a walk over the sockets of one map,
		      * or with MAP_MAX over those of the reader's network namespace */
	HOOK_SK_MSG, /* attached to the sockhash: bpf_links for these came with 6.10 */
	HOOK_TRACE,  /* bpf_link on a kernel function; may be missing */
};

struct hook {
	const char *program;
	enum hook_kind kind;
	enum bpf_attach_type type;
	enum map_index map; /* ITER, SK_MSG */
};

enum hook_index {
	HOOK_CONNECT4,
	HOOK_CONNECT6,
	HOOK_SENDMSG4,
	HOOK_SENDMSG6,
	HOOK_RECVMSG4,
	HOOK_RECVMSG6,
	HOOK_GETPEERNAME4,
	HOOK_GETPEERNAME6,
	HOOK_SOCKOPS,
	HOOK_INGRESS,
	HOOK_EGRESS,
	HOOK_SOCKET,
	HOOK_LOOKUP,
	HOOK_SKMSG,
	HOOK_LIST,
	HOOK_LIST_SLOWLY,
	HOOK_LEAVERS,
	HOOK_REVOKE,
	HOOK_SWEEP,
	HOOK_ADOPT,
	HOOK_STOP,
	HOOK_RELEASE,
	HOOK_END_TCP,
	HOOK_END_UDP,
	HOOK_SPLICE_READ,
	HOOK_SPLICE_CALL,
	HOOK_MAX,
};

/* Slots at the end of the map that no service is given. */
#define SELFTEST_SLOTS 2

/* What no configuration is given of the maps of services: an upgrade tries its own beside them. It
 * makes 2 services, 2 endpoints and 3 frontends. */
#define SELFTEST_ENTRIES 4

extern const struct hook hooks[HOOK_MAX];
extern const char *const map_names[MAP_MAX];

struct datapath {
	char *pin;    /* PIN */
	char *folder; /* PIN/abi<N>, or where a load in progress builds it */
	int pin_fd;   /* of PIN; locked: the writer's lock */
	bool locked;
	int map[MAP_MAX];
	int link[HOOK_MAX]; /* CGROUP, ITER; -1 for the others */
	uint32_t *window;   /* some slots of the map itself, mapped; see datapath_slots() */
	uint32_t window_first, window_n;
	uint32_t n_slots;    /* for services; SELFTEST_SLOTS more follow */
	uint64_t generation; /* that we have seen, or made */
	bool others;         /* have made one since */
};

struct datapath *datapath_new(const char *pin);

/* PIN/abi<N>[/name]; -ENAMETOOLONG. */
int pin_path(const struct datapath *datapath, const char *name, char path[PATH_MAX]);

/* A program's pin stands beside its link's. The fd is the caller's. */
int program_pin_path(const struct datapath *datapath, enum hook_index hook, char path[PATH_MAX]);
int program_pin_open(const struct datapath *datapath, enum hook_index hook);

/* Locks a map's pin, without waiting: the fd is the claim as long as it is open. As a file, not as a
 * map: bpffs lets one read those of arrays and hashes, and so lock them. */
int pin_claim(const struct datapath *datapath, enum map_index map);

/* Likewise, to be the one reader of map `listed`: the folder of the pins. */
int list_claim(const struct datapath *datapath);

/* Opens maps and links below datapath->folder. */
int datapath_attach_pins(struct datapath *datapath);
int datapath_count_slots(struct datapath *datapath);

/* Slots from first on, n of them, in the map itself; good until the next call. NULL: see errno. */
uint32_t *datapath_slots(struct datapath *datapath, uint32_t first, uint32_t n);
void datapath_close_slots(struct datapath *datapath);

/* Removes one folder of pins; 0 when it is not there. */
int pins_remove(const char *folder);

/* The kernel's id of a map, a program or a link: what it tells of them begins alike. 0: none. */
__u32 object_id(int fd);

int meta_read(const struct datapath *datapath, struct sst_meta *ret);
int meta_write(const struct datapath *datapath, const struct sst_meta *meta);
int config_read(const struct datapath *datapath, struct sst_config *ret);
int config_write(const struct datapath *datapath, const struct sst_config *config);

/* As datapath_load(), for doctor: tries all checks afresh, tells them in *examined, and loads
 * whatever they say. */
int load_examining(const struct datapath_options *options, struct checks *examined,
		   struct problems *problems, struct datapath **ret);

/* Switches the splice off and waits until all spliced bytes are read; -EBUSY: they are not.
 * *before is what to write back. */
int datapath_drain(struct datapath *datapath, unsigned patience_ms, struct sst_config *before);

/* Waits until no program runs that began before. */
int grace_wait(void);

/* Copies the schedules of the state's services; the rest of its slots stays zero pages. */
int dump_slots(struct datapath *datapath, struct state *state);

/* Flows that are open now by statistics of an endpoint or a service. 0 or -errno. */
int flows_open(const struct datapath *datapath, enum map_index map, __u32 id, uint64_t *ret);

/* Adds "load: ..." style sentences; returns err for a handy return. */
int fail(struct problems *problems, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
