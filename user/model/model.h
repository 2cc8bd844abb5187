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
#include "sidestep/abi.h"

#define MODEL_WEIGHT_MAX   1000
/* Slots a schedule may take: the sum of the weights over their common divisor. */
#define MODEL_SCHEDULE_MAX 65535

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
	uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP */
	struct model_endpoint *endpoints;
	size_t n_endpoints;
	struct place place;
};

struct model_service {
	char *name;
	struct sst_addr *addresses;
	struct place *address_places;
	size_t n_addresses;
	struct model_port *ports;
	size_t n_ports;
	enum sst_balance balance;
	enum sst_splice splice; /* SST_SPLICE_INHERIT: as the node says */
	enum sst_on_remove on_remove;
	uint32_t affinity_s; /* client affinity timeout, 0: no affinity */
	struct place place;
};

struct model_label {
	char *key;
	char *value;
};

/* Who runs here: told by cgroup (path below the cgroup2 root) or by addresses. */
struct model_workload {
	char *name;
	struct model_label *labels;
	size_t n_labels;
	char *cgroup; /* NULL: known by its addresses */
	struct sst_addr *addresses;
	size_t n_addresses;
	struct place place;
};

struct model_node {
	enum sst_splice splice; /* never INHERIT */
	bool fail_closed;
};

struct model {
	char *source; /* the file's name, for messages */
	struct model_node node;
	struct model_service *services;
	size_t n_services;
	struct model_workload *workloads;
	size_t n_workloads;
};

/* An empty model with the defaults of the node; NULL when memory is out. */
struct model *model_new(const char *source);
void model_free(struct model *model);

static inline void cleanup_model(struct model **model)
{
	model_free(*model);
}
#define _cleanup_model_ __attribute__((cleanup(cleanup_model)))

/*
 * The rules that span objects: unique names, no address and port served twice,
 * families of addresses and endpoints that fit, schedules that can be laid out.
 * Adds to problems; returns 0, or -EINVAL when it added something, or -ENOMEM.
 */
int model_validate(const struct model *model, struct problems *problems);

#endif
