/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kubernetes' objects that make services, trimmed to what is used. A reader fills one from one
 * object and looks at no other; combine.h makes services of all of them.
 *
 * Everything in them is owned by them.
 */
#ifndef SIDESTEP_KUBE_OBJECT_H
#define SIDESTEP_KUBE_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/problems.h"
#include "sidestep/abi.h"

struct kube_address {
	struct sst_addr address;
	struct place place;
};

struct kube_service_port {
	char *name; /* "" when it has none */
	uint16_t port;
	uint16_t node_port; /* 0: none */
	uint8_t protocol;   /* IPPROTO_TCP, IPPROTO_UDP */
	struct place place;
};

struct kube_service {
	char *name_space;
	char *name;
	struct kube_address *cluster; /* its cluster IPs; none: nothing is translated */
	size_t n_cluster;
	struct kube_address *external; /* external IPs, and addresses of load balancers */
	size_t n_external;
	struct kube_service_port *ports;
	size_t n_ports;
	unsigned n_sctp;     /* ports of it, which are not among the ports */
	bool internal_local; /* what its cluster IPs lead to is on the caller's node */
	uint32_t affinity_s; /* 0: none */
	struct place place;
};

struct kube_slice_port {
	char *name;
	uint16_t port;
	uint8_t protocol;
};

struct kube_endpoint {
	struct sst_addr address;
	bool ready;
	bool serving;
	bool terminating;
	char *node; /* NULL: not told */
	char *zone; /* NULL: not told */
	char **for_zones;
	size_t n_for_zones;
	char **for_nodes;
	size_t n_for_nodes;
	struct place place;
};

/* All of one family, and all with these ports. */
struct kube_slice {
	char *name_space;
	char *service; /* its name; of the same namespace */
	struct kube_slice_port *ports;
	size_t n_ports;
	struct kube_endpoint *endpoints;
	size_t n_endpoints;
};

struct kube_node {
	char *name;
	char *zone; /* NULL: not told */
	struct sst_addr *addresses;
	size_t n_addresses;
};

/* All there are, in no order. */
struct kube_objects {
	struct kube_service *services;
	size_t n_services;
	struct kube_slice *slices;
	size_t n_slices;
	struct kube_node *nodes;
	size_t n_nodes;
};

/* They free what is in it; the struct itself is the caller's. Usable as cleanups. */
void kube_service_release(struct kube_service *service);
void kube_endpoint_release(struct kube_endpoint *endpoint);
void kube_slice_release(struct kube_slice *slice);
void kube_node_release(struct kube_node *node);
void kube_objects_release(struct kube_objects *objects);

#endif
