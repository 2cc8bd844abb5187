/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of wanted.h share:
 *
 *   wanted.c          files and the host: read, put in force as a whole
 *   wanted_changes.c  the API server: what has changed, and what that has replaced
 *   wanted_cluster.c  the API server: begin, what is told, figures
 */
#ifndef SIDESTEP_DAEMON_WANTED_INTERNAL_H
#define SIDESTEP_DAEMON_WANTED_INTERNAL_H

#include "cluster/events.h"
#include "daemon/addresses.h"
#include "daemon/files.h"
#include "daemon/wanted.h"
#include "datapath/reconcile.h"

/* After a refusal that may pass: somebody has the lock, no room yet for old beside new. */
#define RETRY_MS   1000
/* Where what is not of a file comes from, for messages. */
#define API_SERVER "the API server"

struct wanted {
	const struct wanted_options *options;
	uv_loop_t *loop;
	struct files *files;
	struct addresses *addresses;
	uv_timer_t host_timer;
	uv_fs_event_t netns_watch;
	struct known *known;    /* what the maps hold of services */
	struct model *model;    /* of the files, as last applied; NULL: not by us */
	struct located located; /* where workloads were then */
	bool too_large;         /* the model did not fit beside what is still there */
	bool lags;              /* told that the policy does not follow the host */
	struct problems told;   /* when policy was put in force last */
	bool applied;           /* the whole was in force once */
	struct model_host host; /* as it was when files were last read */

	/* With an API server. */
	struct cluster *cluster; /* NULL: there is none */
	struct events *events;   /* NULL: there is no cluster */
	struct store_options store_options;
	char attached[sizeof(((struct sst_meta *)0)->cgroup)];
	bool pods_found;
	bool nameless; /* told that no node of the cluster is called as we are */
	uv_timer_t services_timer, policy_timer, retry_timer;
	uint64_t opened_ns;  /* CLOCK_MONOTONIC */
	bool must_apply_all; /* a part could not be done: the whole brings it in order */
	unsigned retry_ms;   /* until that is tried again; 0: nothing has failed */
	uv_work_t grace;     /* a thread waits until nobody looks at what was replaced */
	bool grace_runs;
	uint64_t grace_mark;
	uint64_t locked_ns; /* CLOCK_MONOTONIC: since when we have the lock for what is put off */
	int grace_error;
	bool closing;
	uint64_t applied_changes, failed_changes;
	char trouble[sizeof(((struct watch_figures *)0)->problem)]; /* that was told */
	struct metrics_kubernetes figures;
};

/* ---- wanted.c ---------------------------------------------------------------------------- */

/* Nothing of the kernel is changed before all is known once. */
bool wanted_waits(const struct wanted *wanted);

/* With what the store has; what has changed until now is a part of it. Results are those of
 * reconcile_located(), locate() and model_validate(). */
int wanted_apply_whole(struct wanted *wanted, const struct model *model, struct problems *problems);

/* Workloads and policies as they are wanted now, on the host as it is now; if neither has changed,
 * only where somebody lives otherwise than before. */
int wanted_follow_policy(struct wanted *wanted, bool changed, struct problems *problems);

/* How the host is now, for the store, too. */
int wanted_take_host(struct wanted *wanted, struct problems *problems);

void wanted_tell_changes(const struct plan *plan);
void wanted_tell_no_room(struct wanted *wanted, int err, const struct problems *problems);
const char *wanted_first_message(const struct problems *problems); /* there is one */

/* What was put in force, and how long that took. */
void wanted_account_apply(struct wanted *wanted, uint64_t begin_ns);

/* ---- wanted_changes.c -------------------------------------------------------------------- */

/* The store has changes: they are put in force at the next turn of the loop. */
void wanted_cluster_changed(void *arg);

/* All there is; a failure is told and tried again. */
int wanted_apply_all(struct wanted *wanted);

/* What changes have replaced goes, and the lock with it. */
int wanted_settle_now(struct wanted *wanted, struct problems *problems);

/* ---- wanted_cluster.c -------------------------------------------------------------------- */

int wanted_open_cluster(struct wanted *wanted);

/* Every few seconds: kubelet's folder, the server's health, what others have done. */
void wanted_look_at_cluster(struct wanted *wanted);

#endif
