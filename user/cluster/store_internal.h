/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the store share: store.c and its store_*.c. */
#ifndef SIDESTEP_CLUSTER_STORE_INTERNAL_H
#define SIDESTEP_CLUSTER_STORE_INTERNAL_H

#include "cluster/pack.h"
#include "cluster/store.h"
#include "core/dictionary.h"
#include "source/yaml_tree.h"

/* Without these two uthash ends the process when memory is out. */
#define HASH_NONFATAL_OOM            1
#define uthash_nonfatal_oom(element) ((element)->hh.tbl = NULL)
#include <uthash.h>

/* An object that is there. */
struct store_entry {
	UT_hash_handle hh;     /* by key */
	struct packed *packed; /* what is kept of it; NULL: it is of no use, or not understood */
	uint64_t list;         /* the last list that it was in, or was changed after */
	/* Of a slice: the service that it belongs to, and its neighbours there. */
	struct store_service *service;
	struct store_entry *next, *previous;
	bool skipped; /* as it is now it is not understood, or not in full */
	char key[];   /* "namespace/name" */
};

struct store_claims;

/* What there is by a service's name: the service, its slices, or one of them. */
struct store_service {
	UT_hash_handle hh;         /* by name */
	struct store_entry *entry; /* the service; NULL: there is none, or none to translate */
	struct store_entry *slices;
	struct store_claims *claims; /* NULL: none */
	struct store_service *next_changed;
	unsigned n_sctp;
	bool exposed;
	bool changed;
	bool told;   /* of an address that another service has */
	char name[]; /* "namespace/name" */
};

struct store {
	struct store_options options;
	char *pods_root; /* NULL: not known yet */
	bool pods_systemd;
	struct store_entry *entries[STORE_KINDS];
	uint64_t lists[STORE_KINDS]; /* begun so far */
	struct store_figures figures;
	struct store_service *services;
	struct store_service *changed;
	bool policy_changed;
	struct store_claim *claims;
	struct store_service *files; /* those of files, as one without a name: it goes first */
	struct dictionary file_names;
	struct kube_node own; /* this node, as its object tells; without a name: there is none */
};

/*
 * What a change of one object means: packed, which may be NULL, is about to stand in the entry
 * for what is there. -ENOMEM, after which nothing has changed; never when packed is NULL.
 */
int store_change_service(struct store *store, struct store_entry *entry,
			 const struct packed *packed, struct problems *problems);
int store_change_slice(struct store *store, struct store_entry *entry, const struct packed *packed,
		       struct problems *problems);
int store_change_node(struct store *store, struct store_entry *entry, const struct packed *packed,
		      struct problems *problems);

/* All services of the name are to be asked for again. */
void store_mark(struct store *store, struct store_service *service);

/* The name of this node, NULL: not known. */
const char *store_node(const struct store *store);

/* This node, of which own is what its object tells. */
struct kube_here store_here(const struct store *store, const struct kube_node *own);
void store_release_services(struct store *store);

/* ---- what is sound (store_check.c) ---------------------------------------------------- */

/*
 * They complain in the tree of what validation would refuse in a model: one object must not
 * keep all others from being served. What an object can do without is left out and forgiven.
 */
void store_check_service(struct tree *tree, struct kube_service *service);
void store_check_slice(struct tree *tree, struct kube_slice *slice);
void store_check_pod(struct tree *tree, struct kube_pod *pod);
void store_check_namespace(struct tree *tree, struct model_namespace *namespace);
void store_check_node(struct tree *tree, struct kube_node *node);
void store_check_policy(struct tree *tree, struct model_policy *policy);

/* ---- who has an address (store_claims.c) --------------------------------------------- */

/*
 * What a service claims, with nothing of it in force: NULL when packed is. 0 or -ENOMEM.
 */
int store_claim(struct store *store, struct store_service *service, const struct packed *packed,
		const struct kube_here *here, struct store_claims **ret);

/* The same of those of files. */
int store_claim_files(struct store *store, const struct model *files, struct store_claims **ret);

/* Gives them up. Marks who had the same claims. */
void store_unclaim(struct store *store, struct store_claims *claims);

/* Tells of what the service, or others for its sake, does not get. */
void store_tell_lost(struct store *store, struct store_service *service, struct problems *problems);

/* Takes out of it what others have. */
void store_drop_lost(const struct store *store, const struct store_service *service,
		     const struct kube_here *here, struct kube_service *object);

#endif
