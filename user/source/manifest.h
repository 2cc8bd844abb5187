/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kubernetes manifests: documents with `apiVersion` and `kind` that mean what they mean to
 * the API server. docs/configuration.md tells which kinds there are.
 */
#ifndef SIDESTEP_SOURCE_MANIFEST_H
#define SIDESTEP_SOURCE_MANIFEST_H

#include "kube/pod.h"
#include "source/yaml_schema.h"

/* Is this document one? Ours have neither key. */
bool manifest_is(struct tree *tree, const yaml_node_t *root);

/* Adds what it describes to the reader's model. */
void manifest_read(struct reader *reader, yaml_node_t *root);

/*
 * What one object says, of which the caller has checked kind and apiVersion. False: it is of no
 * use, or tells of problems; what is in *ret, which was zero, is to be released in any case.
 */
bool manifest_service(struct tree *tree, const yaml_node_t *object, struct kube_service *ret);
bool manifest_slice(struct tree *tree, const yaml_node_t *object, struct kube_slice *ret);
bool manifest_node(struct tree *tree, const yaml_node_t *object, struct kube_node *ret);
bool manifest_pod(struct tree *tree, const yaml_node_t *object, struct kube_pod *ret);
bool manifest_namespace(struct tree *tree, const yaml_node_t *object, struct model_namespace *ret);

/* One of a policy's kinds: "NetworkPolicy". */
bool manifest_policy(struct tree *tree, const yaml_node_t *object, const char *kind,
		     struct model_policy *ret);

/* ---- what the files of the schema share: manifest.c, manifest_*.c ---------------- */

/* The value of a key. What is null counts as absent, as it does in Kubernetes. */
yaml_node_t *manifest_get(struct tree *tree, const yaml_node_t *node, const char *key);
yaml_node_t *manifest_need(struct tree *tree, const yaml_node_t *node, const char *what,
			   const char *key);

/* A copy of an object's name; NULL after a complaint. */
char *manifest_read_name(struct tree *tree, const yaml_node_t *metadata);

/* The items of a list, 0 when it is absent or none. */
size_t manifest_count(struct tree *tree, const yaml_node_t *list, const char *what);

/* A label selector; absent it selects all, as an empty one does. */
void manifest_read_selector(struct tree *tree, const yaml_node_t *node, struct model_selector *ret);

/* The same on the heap, NULL without memory. */
struct model_selector *manifest_new_selector(struct tree *tree, const yaml_node_t *node);

/* Append to a rule; NULL without memory. */
struct model_peer *manifest_add_peer(struct tree *tree, const yaml_node_t *node,
				     struct model_rule *rule, enum model_peer_kind kind);
struct model_port_match *manifest_add_port(struct tree *tree, const yaml_node_t *node,
					   struct model_rule *rule, uint8_t protocol);

/* A port's number: in quotes it would be a name to Kubernetes, and names have a letter. */
uint16_t manifest_read_port(struct tree *tree, const yaml_node_t *node, uint16_t fallback);

/* By number, up to another one unless that is NULL. */
void manifest_read_ports(struct tree *tree, const yaml_node_t *first, const yaml_node_t *last,
			 struct model_port_match *port);

/* Is this the protocol that nobody decides, in a stored object? Then the port is left out. */
bool manifest_skips_sctp(struct tree *tree, const yaml_node_t *protocol);

/* A rule whose ports were all left out is about none, and not about all of them. */
void manifest_check_ports(const yaml_node_t *list, struct model_rule *rule);

/* Reads one rule, whose direction, mode and place are set. */
typedef void (*manifest_rule_fn)(struct tree *tree, const yaml_node_t *node, const void *arg,
				 struct model_rule *rule);

/* Appends the rules of a list to those of a policy. */
void manifest_read_rules(struct tree *tree, yaml_node_t *list, enum sst_direction direction,
			 manifest_rule_fn read, const void *arg, struct model_policy *policy);

/* The spec of a policy, whose name and mode have been read. */
void manifest_network_policy(struct tree *tree, const yaml_node_t *object,
			     struct model_policy *policy);
void manifest_cluster_policy(struct tree *tree, const yaml_node_t *object,
			     struct model_policy *policy);
void manifest_admin_policy(struct tree *tree, const yaml_node_t *object,
			   struct model_policy *policy);
void manifest_baseline_policy(struct tree *tree, const yaml_node_t *object,
			      struct model_policy *policy);

#endif
