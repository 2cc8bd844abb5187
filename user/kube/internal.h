/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIDESTEP_KUBE_INTERNAL_H
#define SIDESTEP_KUBE_INTERNAL_H

#include "kube/combine.h"

/* What a service is made of. */
struct kube_combination {
	const struct kube_service *service;
	const struct kube_slice *const *slices;
	size_t n_slices;
	const struct kube_here *here;
};

/*
 * Adds the endpoints of a port in one family: those that get connections, and those that
 * could if things were otherwise with them. local: of this node only. 0 or -ENOMEM.
 */
int kube_add_endpoints(const struct kube_combination *combination,
		       const struct kube_service_port *port, int family, bool local,
		       struct model_port *ret);

/* How many that looks at, for all ports. */
uint64_t kube_count_endpoints(const struct kube_service *service,
			      const struct kube_slice *const *slices, size_t n_slices);

#endif
