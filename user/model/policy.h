/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the operator rules: who may talk to whom. The meaning is that of Kubernetes'
 * NetworkPolicy and of the SIG Network policy API (ClusterNetworkPolicy), whatever a
 * source calls things. Part of a model: owned by it, not changed once validated.
 */
#ifndef SIDESTEP_MODEL_POLICY_H
#define SIDESTEP_MODEL_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/problems.h"
#include "sidestep/policy.h"

#define MODEL_DEFAULT_NAMESPACE "default"
/* Every namespace has this label; its value is the namespace's name. */
#define MODEL_NAMESPACE_LABEL   "kubernetes.io/metadata.name"

struct model_label {
	char *key;
	char *value;
};

struct model_labels {
	struct model_label *items;
	size_t n;
};

/* NULL when there is no such label. */
const char *model_label_value(const struct model_labels *labels, const char *key);

enum model_operator {
	MODEL_IN,     /* the label is there and its value is among the values */
	MODEL_NOT_IN, /* the label is not there, or its value is not among the values */
	MODEL_EXISTS,
	MODEL_DOES_NOT_EXIST,
};

struct model_requirement {
	char *key;
	enum model_operator op;
	char **values; /* at least one for IN and NOT_IN, none for the others */
	size_t n_values;
};

/* All requirements must hold; without any, everything is selected. */
struct model_selector {
	struct model_requirement *requirements;
	size_t n;
	struct place place;
};

bool model_selects(const struct model_selector *selector, const struct model_labels *labels);

struct model_cidr {
	struct sst_addr address; /* bits below the prefix are 0 */
	uint8_t bits;            /* 0 .. 128 in the one form: 10.0.0.0/8 has 104 */
	struct place place;
};

/* A prefix that is shorter than ::ffff:0:0/96 is one of IPv6 and holds no IPv4 address. */
bool model_cidr_holds(const struct model_cidr *cidr, const struct sst_addr *address);

enum model_peer_kind {
	MODEL_PEER_WORKLOADS, /* by labels */
	MODEL_PEER_NETWORK,   /* by address, whoever has it */
	MODEL_PEER_RESERVED,  /* a reserved identity */
};

struct model_peer {
	enum model_peer_kind kind;
	/* WORKLOADS: of which namespaces; NULL, in the NETWORK tier only: of the policy's own */
	struct model_selector *namespaces;
	struct model_selector workloads;
	/* NETWORK: in this one and in none of the excepted ones */
	struct model_cidr network;
	struct model_cidr *excepts;
	size_t n_excepts;
	/* RESERVED */
	enum sst_reserved_identity identity;
	struct place place;
};

/* Of one protocol: a range, or a name that the called workload gives to a port. */
struct model_port_match {
	uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP; 0: any of them */
	uint16_t first;   /* 0 with a name; 0 and last 65535: every port */
	uint16_t last;
	char *name; /* NULL: by number */
	struct place place;
};

struct model_rule {
	char *name; /* NULL: it has none, its place stands for it */
	enum sst_direction direction;
	enum sst_action action;   /* NETWORK tier: ALLOW only */
	bool shadow;              /* also when its policy is */
	bool any_peer;            /* everybody; no peers then */
	struct model_peer *peers; /* one of them must match; none and not any_peer: nobody */
	size_t n_peers;
	struct model_port_match *ports; /* one of them must match; none: every port */
	size_t n_ports;
	struct place place;
};

struct model_policy {
	char *name;
	char *name_space;   /* NETWORK tier; "" in the others */
	enum sst_tier tier; /* ADMIN, NETWORK or BASELINE */
	uint32_t priority;  /* ADMIN, BASELINE: the lower is asked first; equal ones by name */
	bool shadow;
	bool isolates[SST_DIRECTIONS]; /* NETWORK: who is selected is denied what is not allowed */
	/* Whom it is for. NETWORK: of its own namespace (subject_namespaces is NULL, in the
	 * other tiers never). */
	struct model_selector *subject_namespaces;
	struct model_selector subject;
	struct model_rule *rules; /* of both directions, in order */
	size_t n_rules;
	struct place place;
};

struct model_namespace {
	char *name;
	struct model_labels labels; /* with MODEL_NAMESPACE_LABEL */
	struct place place;
};

enum model_host_traffic {
	MODEL_HOST_ALLOW,  /* the host reaches its own workloads, unless the admin tier denies */
	MODEL_HOST_PROBES, /* only who checks their health does */
	MODEL_HOST_POLICY, /* nobody but whom policies allow */
};

/* The node's settings of policy. */
struct model_policy_settings {
	bool default_deny; /* what befalls workloads that no policy selects */
	enum model_host_traffic host;
	char *probes_cgroup;      /* whose traffic is that of PROBES, NULL: nobody's */
	struct model_cidr *nodes; /* addresses of other nodes */
	size_t n_nodes;
	bool refused; /* a denied connect() says ECONNREFUSED, not EPERM */
	bool answer;  /* denied remote clients are answered */
	bool revoke;  /* established flows that are denied now are ended */
};

/* Releases what is below; the structs themselves are the caller's. */
void model_labels_release(struct model_labels *labels);
void model_selector_release(struct model_selector *selector);
void model_rule_release(struct model_rule *rule);
void model_policy_release(struct model_policy *policy);
void model_namespace_release(struct model_namespace *namespace);

#endif
