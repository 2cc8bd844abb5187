/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the operator wants: services, their endpoints, workloads, the node's
 * settings. A model is built whole by a source (a YAML file, later the Kubernetes
 * API), validated, and not changed afterwards. It knows nothing of BPF.
 *
 * Everything in a model is owned by it; model_free() releases all.
 */
#ifndef SIDESTEP_MODEL_MODEL_H
#define SIDESTEP_MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/problems.h"
#include "model/flow_filter.h"
#include "model/kube_proxy.h"
#include "model/policy.h"
#include "sidestep/abi.h"

#define MODEL_WEIGHT_MAX    1000
#define MODEL_NODE_NAME_MAX 253 /* as of any object of Kubernetes */
/* Slots a schedule may take: the sum of the weights over their common divisor. */
#define MODEL_SCHEDULE_MAX  65535

struct model_endpoint {
	struct sst_addr address;
	uint16_t port;   /* host order, never 0 */
	uint16_t weight; /* 1 .. MODEL_WEIGHT_MAX */
	bool ready;      /* false: gets no new connection */
	bool draining;   /* true: gets no new connection, by the operator's word */
	char *zone;      /* NULL: not told */
	struct place place;
};

/* One port of a service: the unit that is balanced. */
struct model_port {
	char *name; /* "" when the service has one unnamed port */
	uint16_t port;
	uint16_t node_port; /* 0: not served at the node's addresses */
	uint8_t protocol;   /* IPPROTO_TCP, IPPROTO_UDP */
	struct model_endpoint *endpoints;
	size_t n_endpoints;
	struct place place;
};

/* An address of this node, at which services have ports of their own. */
struct model_node_address {
	struct sst_addr address;
	uint64_t netns; /* cookie of the only network namespace it is for, 0: for all */
};

struct model_service {
	char *name;
	struct sst_addr *addresses;
	struct place *address_places;
	size_t n_addresses;
	struct model_node_address *node_addresses; /* where each port has its node_port */
	size_t n_node_addresses;
	struct model_port *ports;
	size_t n_ports;
	enum sst_balance balance;
	enum sst_splice splice; /* SST_SPLICE_INHERIT: as the node says */
	enum sst_on_remove on_remove;
	uint32_t affinity_s; /* client affinity timeout, 0: no affinity */
	bool exposed; /* for callers from outside of the node, too: node ports, external addresses */
	struct place place;
};

/* A port that policies may call by its name. */
struct model_named_port {
	char *name;
	uint16_t port;
	uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP */
};

/* Who runs here or elsewhere: told by cgroup, by network namespace, by addresses. */
struct model_workload {
	char *name;       /* unique in its namespace */
	char *name_space; /* never NULL */
	struct model_labels labels;
	char *cgroup;       /* path below the cgroup2 root, with all below it; NULL: not by path */
	uint64_t cgroup_id; /* the same by id; 0: not by id */
	char *netns;        /* a name of /run/netns, or an absolute path; NULL: not by that */
	struct model_cidr *addresses; /* prefixes; a single address has 128 bits */
	size_t n_addresses;
	struct model_named_port *ports;
	size_t n_ports;
	bool remote; /* on another node: its ingress is decided there */
	struct place place;
};

#define MODEL_EDGES_MAX 65536 /* the map's size */

/* Flows as they open, close and fail, a line each. */
struct model_flow_log {
	char *file;        /* an absolute path, or "-" for standard output; NULL: none */
	uint64_t max_size; /* of the file, before it is rotated */
	uint32_t keep;     /* rotated ones */
	uint32_t sample;   /* one flow of so many */
	struct flow_filter only;
};

struct model_telemetry {
	uint32_t edges;      /* more are folded into their service's `other`; 0: there are none */
	uint32_t edge_ttl_s; /* an edge that is idle for so long is folded, too */
	uint32_t events;     /* of one class a second and CPU; 0: without bound */
	uint32_t series;     /* of the metrics; what is beyond is folded */
	struct model_flow_log flow_log;
};

struct model_node {
	char *name;             /* what Kubernetes calls it; NULL: as the host is called */
	enum sst_splice splice; /* never INHERIT */
	bool fail_closed;
	enum kube_proxy_stated kube_proxy;
	struct model_policy_settings policy;
	struct model_telemetry telemetry;
};

/* What of the host services depend on, and no file tells. */
struct model_host {
	char *name;
	struct sst_addr *addresses; /* its own, without loopback and a link's */
	size_t n_addresses;
	uint64_t netns; /* cookie of its network namespace; 0: not known */
};

bool model_host_equal(const struct model_host *a, const struct model_host *b);
void model_host_release(struct model_host *host);
#define _cleanup_model_host_ __attribute__((cleanup(model_host_release)))

struct model {
	char *source; /* the file's name, or all of them, for messages */
	char **files; /* of a model of several: their names, which its places refer to */
	size_t n_files;
	struct model_node node;
	struct model_service *services;
	size_t n_services;
	struct model_workload *workloads;
	size_t n_workloads;
	struct model_namespace *namespaces; /* of every workload and policy there is one */
	size_t n_namespaces;
	struct model_policy *policies;
	size_t n_policies;
};

/* They free what is in it; usable as cleanups. */
void model_service_release(struct model_service *service);
void model_workload_release(struct model_workload *workload);

/* One of the places where a port of a service is reached. */
struct model_front {
	struct sst_addr address;
	uint16_t port;
	uint64_t netns; /* as of a node's address */
	struct place place;
};

/* Number i of model_fronts(); false: this port is not reached there. */
size_t model_fronts(const struct model_service *service);
bool model_front(const struct model_service *service, const struct model_port *port, size_t i,
		 struct model_front *ret);

/* How many services are exposed. */
size_t model_exposed(const struct model *model);

/* Can the port be reached by an address of this family? */
bool model_serves(const struct model_service *service, const struct model_port *port, int family);

/* An empty model with the defaults of the node; NULL when memory is out. */
struct model *model_new(const char *source);
void model_free(struct model *model);

static inline void cleanup_model(struct model **model)
{
	model_free(*model);
}
#define _cleanup_model_ __attribute__((cleanup(cleanup_model)))

/*
 * Adds the namespaces that are used and not listed, and to each one the label
 * MODEL_NAMESPACE_LABEL if it has none: a source's last step. Returns 0 or -ENOMEM.
 */
int model_complete_namespaces(struct model *model);

/*
 * The rules that span objects: unique names, no address and port served twice,
 * families of addresses and endpoints that fit, schedules that can be laid out; no two
 * workloads that are told by the same thing, exceptions that lie within their network.
 * Adds to problems; returns 0, or -EINVAL when it added something, or -ENOMEM.
 */
int model_validate(const struct model *model, struct problems *problems);

#endif
