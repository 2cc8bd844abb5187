/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel half from outside: load it, find it again by its pins, read its maps,
 * carry out a plan, walk its flows, take it out. The only folder that knows libbpf.
 *
 * Everything lives under one folder of bpffs, PIN/abi<N>: one file a map and one a
 * link. Whoever changes something holds a lock on it; readers need none.
 *
 * Functions return 0 or a negative errno and do not print. Where a person must
 * know more than an errno says, a struct problems takes the sentence.
 */
#ifndef SIDESTEP_DATAPATH_DATAPATH_H
#define SIDESTEP_DATAPATH_DATAPATH_H

#include <stdbool.h>
#include <stdint.h>

#include "core/problems.h"
#include "model/state.h"
#include "model/survey.h"
#include "plan/plan.h"

struct datapath;

struct datapath_options {
	const char *pin;    /* a folder on bpffs, made if missing */
	const char *cgroup; /* NULL: the root, or where it is loaded already; else a folder of
			     * cgroup2, or a path below its root */
	const char *cache;  /* what is known of this kernel, see cache.h; NULL: nothing */
	bool verbose;       /* libbpf's own log goes to stderr */
};

/*
 * Loads and attaches, or upgrades what is loaded: programs are replaced link by
 * link, maps are kept, no connection is cut. Proves itself with real connections
 * (see selftest.h). On failure everything is as it was, and problems says why.
 * The datapath returned holds the writer's lock.
 */
int datapath_load(const struct datapath_options *options, struct problems *problems,
		  struct datapath **ret);

/*
 * Looks at the host and tries everything, on a data plane of its own: pinned beside
 * options->pin, on a cgroup below options->cgroup that is made for it. Nothing of it
 * remains, nor of an earlier one that was killed; the cache is renewed.
 */
void datapath_examine(const struct datapath_options *options, struct survey *ret);

/*
 * Finds what is loaded. -ENOENT: nothing is; -EPROTO: by a version with another
 * ABI; -EPERM, -EACCES: not allowed to look.
 */
int datapath_open(const char *pin, struct datapath **ret);

/* Takes the writer's lock; -EBUSY when another process has had it for so long. */
#define DATAPATH_LOCK_MS 10000
int datapath_lock(struct datapath *datapath, unsigned wait_ms);
void datapath_unlock(struct datapath *datapath);

/*
 * There can be one reader of the events: returns an fd that is the claim as long as it
 * is open, -EBUSY when another process holds it, -ENOENT when nothing is loaded.
 */
int datapath_claim(const char *pin);

void datapath_close(struct datapath *datapath);
static inline void cleanup_datapath(struct datapath **datapath)
{
	datapath_close(*datapath);
}
#define _cleanup_datapath_ __attribute__((cleanup(cleanup_datapath)))

/* False once somebody has unloaded what this datapath was opened on. */
bool datapath_present(const struct datapath *datapath);

struct unload_options {
	unsigned drain_ms; /* how long spliced bytes may take to be read */
	bool force;        /* unload although some were not */
};

/*
 * Removes everything, of whatever ABI version; 0 also when there is nothing.
 * -EBUSY: spliced bytes still wait in the flows that problems names. Then it stays
 * loaded with its settings, but flows that were spliced stay TCP.
 */
int datapath_unload(const char *pin, const struct unload_options *options,
		    struct problems *problems);

/* Removes what is pinned at PIN, SUFFIX and the number of a process that is no more, and that
 * nobody works on. */
void datapath_unload_abandoned(const char *pin, const char *suffix);

/* As "v1.1"; static. */
const char *datapath_libbpf_version(void);

/* ---- maps ---------------------------------------------------------------- */

enum {
	DUMP_TABLES = 1,  /* frontends, services, endpoints, with statistics */
	DUMP_SLOTS = 2,   /* the schedules, for the planner */
	DUMP_FILL = 4,    /* how full the maps are */
	DUMP_RULES = 8,   /* statistics of the policy set's rules; hooks attached on demand */
	DUMP_POLICY = 16, /* the same, and the set, which may take many megabytes */
	DUMP_EDGES = 32,
	DUMP_PLAIN = 64, /* frontends, services, endpoints, without statistics */
};

/* Reads what the maps hold. On failure *ret is untouched. */
int datapath_dump(struct datapath *datapath, unsigned what, struct state *ret);

/* Bytes that the kernel has set aside for the maps, as far as it tells. */
uint64_t datapath_memory(const struct datapath *datapath);

/* The policy set alone; empty: there is none. */
int datapath_policy(const struct datapath *datapath, struct policy_set *ret);

enum apply_extent {
	APPLY_ALL,
	APPLY_FLIP, /* up to GRACE: what follows is put off, see plan/known.h */
};

/*
 * Carries the plan out; the lock must be held. A failure before GRACE is undone
 * and returned; one after it leaves garbage for the next plan and is told only.
 * known is carried along, and forgets all when a step has failed; it may be NULL.
 */
int datapath_apply(struct datapath *datapath, const struct plan *plan, enum apply_extent extent,
		   struct known *known, struct problems *problems);

/* Has anybody but us applied a plan since the last call? */
bool datapath_take_others(struct datapath *datapath);

/* Waits until no program runs that began before: some 16 ms. Any thread may do it. */
int datapath_grace(void);

/* Whether flows that open, close and fail are told of, or only counted. The daemon's to say. */
int datapath_want_events(struct datapath *datapath, bool wanted);

/* Fds of the ring buffers, owned by the datapath. */
int datapath_events_fd(const struct datapath *datapath);
int datapath_errands_fd(const struct datapath *datapath);

/* ---- walks over live sockets ----------------------------------------------- */

/*
 * Called for each end; a negative return ends the walk and is its result. While flows
 * come and go, a walk that tells of more than some 140, datapath_flows() of more than some 4,000,
 * may tell of one twice or miss one; what is missed is there in the next walk.
 */
typedef int (*flow_fn)(const struct sst_record *record, void *arg);
int datapath_flows(struct datapath *datapath, flow_fn fn, void *arg);   /* all live ones */
int datapath_leavers(struct datapath *datapath, flow_fn fn, void *arg); /* endpoint has gone */

/* Ends all leavers; those that cannot be ended are told. 0 or -errno. */
int datapath_end_leavers(struct datapath *datapath, struct problems *problems);

/* Live flows that the policy set in force denies, or whose workload has gone. */
int datapath_denied(struct datapath *datapath, flow_fn fn, void *arg);

/* Ends all of these, if the set says so; told like leavers. */
int datapath_revoke(struct datapath *datapath, struct problems *problems);

int datapath_sweep(struct datapath *datapath);       /* bytes of live flows into the statistics */
int datapath_adopt(struct datapath *datapath);       /* nominated ends into the splice */
int datapath_stop_splice(struct datapath *datapath); /* pairs no longer allowed back to TCP */

/*
 * Makes the ends of stopped pairs plain TCP sockets again. Calls fn for each member whose
 * reader has not read what was spliced to it (record->unread), and for those of
 * stopped pairs where a call was under way at that moment.
 */
int datapath_release(struct datapath *datapath, flow_fn fn, void *arg);

#endif
