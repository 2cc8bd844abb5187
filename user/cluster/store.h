/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept of the API server's objects: what is used of them and no more, in the order in
 * which they are asked for. Knows no network: objects come in as JSON, models go out.
 *
 * An object that cannot be understood is skipped, counted, and told once with its name; if it was
 * understood before, what it said then stays in force. Of some a part can be left out: an
 * endpoint; SCTP's ports of a policy; what a rule allows. That is told and counted, too. Nothing is
 * ever fatal but memory, and what comes out is a valid model, whatever has come in.
 */
#ifndef SIDESTEP_CLUSTER_STORE_H
#define SIDESTEP_CLUSTER_STORE_H

#include <jansson.h>

#include "core/problems.h"
#include "kube/combine.h"
#include "model/model.h"

enum store_kind {
	STORE_SERVICES,
	STORE_SLICES,
	STORE_PODS,
	STORE_NAMESPACES,
	STORE_NODES,
	STORE_NETWORK_POLICIES,
	STORE_CLUSTER_POLICIES,  /* ClusterNetworkPolicy */
	STORE_ADMIN_POLICIES,    /* AdminNetworkPolicy */
	STORE_BASELINE_POLICIES, /* BaselineAdminNetworkPolicy */
	STORE_KINDS,
};

struct store_figures {
	uint64_t objects[STORE_KINDS]; /* kept now */
	uint64_t skipped[STORE_KINDS]; /* not understood, or not in full, now */
	uint64_t colliding; /* places (address, port, protocol) of services that another has, now */
	uint64_t sctp;      /* ports of services that are not served, now */
	uint64_t exposed;   /* services that are for callers from outside of a node, too, now */
	uint64_t reused;    /* addresses that several pods had, when policy was asked for */
	bool has_node;      /* this one has an object */
};

struct store;

struct store_options {
	const char *node;              /* the name of this one; outlives the store */
	const struct model_host *host; /* likewise */
};

int store_open(const struct store_options *options, struct store **ret);
void store_close(struct store *store);

/*
 * Where kubelet puts pods: the cgroup that holds "kubepods" or "kubepods.slice", as a path below
 * the cgroup2 root, "" for the root itself. systemd's slices bear the names of all above: below
 * "/kubelet.slice" it is "kubelet-kubepods.slice". Until it is said, pods are known by address. -EINVAL: a
 * path of that many names tells nobody (SST_PATH_LEVELS).
 */
int store_set_pods(struct store *store, const char *root, bool systemd);

/*
 * What files say goes before: no object has a place or a name of their services. To be said
 * whenever they were read, before services are asked for. -ENOMEM: as before.
 */
int store_set_files(struct store *store, const struct model *files, struct problems *problems);

/* Is a service of files called so? Then no object's is to be taken away by that name. */
bool store_is_files_name(const struct store *store, const char *name);

/* What options->host points to has changed. -ENOMEM: services are where they were. */
int store_move(struct store *store, struct problems *problems);

/*
 * As watch.h tells them. problems gets what is to be told once. -ENOMEM leaves the store as it
 * was.
 */
void store_begin(struct store *store, enum store_kind kind);
int store_put(struct store *store, enum store_kind kind, json_t *object, struct problems *problems);
int store_gone(struct store *store, enum store_kind kind, json_t *object);
int store_end(struct store *store, enum store_kind kind);

/* What the last take did not see. */
struct store_changes {
	bool policy;     /* workloads, namespaces or policies */
	char **services; /* "namespace/name": changed, new or gone */
	size_t n_services;
};

bool store_has_changes(const struct store *store);

/* Empties it. *ret is the caller's to release; -ENOMEM leaves all as it was. */
int store_take_changes(struct store *store, struct store_changes *ret);
void store_changes_release(struct store_changes *changes);
#define _cleanup_store_changes_ __attribute__((cleanup(store_changes_release)))

/* All services again at the next take: a take could not be used. Likewise policy. */
void store_change_all(struct store *store);

/*
 * The services that the one of this name comes to; 0: none. ret is the caller's. Addresses that
 * another service has, whose name comes first, are left out.
 */
int store_service(const struct store *store, const char *name,
		  struct model_service ret[KUBE_SERVICES_MAX]);

/* Adds all services to a model. 0 or -ENOMEM. */
int store_add_services(const struct store *store, struct model *model);

/*
 * Adds workloads, namespaces and policies to a model, and completes its namespaces. 0 or -ENOMEM.
 */
int store_add_policy(struct store *store, struct model *model);

void store_figures(const struct store *store, struct store_figures *ret);

#endif
