/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From Kubernetes' objects to services, by kube-proxy's rules, which are those of the KEPs.
 * Pure: what is not in the objects is in struct kube_here.
 *
 * A service is called "namespace/name". With internalTrafficPolicy Local its cluster IPs lead
 * elsewhere than its other addresses, which then are a service of their own,
 * "namespace/name/external".
 */
#ifndef SIDESTEP_KUBE_COMBINE_H
#define SIDESTEP_KUBE_COMBINE_H

#include "kube/object.h"
#include "model/model.h"

/* Endpoints of all services, each counted once for every port that it has. */
#define KUBE_ENDPOINTS_MAX 1000000

/* The node that the services are for. Nothing in it is its own. */
struct kube_here {
	const char *node; /* its name, NULL: not known */
	const char *zone; /* NULL: not known */
	const struct sst_addr *addresses;
	size_t n_addresses;
	uint64_t netns; /* cookie of its network namespace; 0: not known, it has no loopback */
};

/* The node of this name (NULL: the host's): as its object tells, else as the host. */
struct kube_here kube_find_here(const struct kube_objects *objects, const char *name,
				const struct model_host *host);

/* At most two services of one; none: nothing is to be translated. */
#define KUBE_SERVICES_MAX 2
extern const char *const kube_service_suffixes[KUBE_SERVICES_MAX]; /* of their names */

/*
 * One service with its slices, and no others. Returns how many services it wrote to ret, which
 * are the caller's, or -ENOMEM.
 */
int kube_combine_one(const struct kube_service *service, const struct kube_slice *const *slices,
		     size_t n_slices, const struct kube_here *here,
		     struct model_service ret[KUBE_SERVICES_MAX]);

/* Whether it is there for callers from outside of the node, too, whom no connect() on it is of. */
bool kube_is_exposed(const struct kube_service *service);

/* Adds those of all to the model. 0, -EINVAL with problems added, or -ENOMEM. */
int kube_combine(const struct kube_objects *objects, const struct kube_here *here,
		 struct problems *problems, struct model *model);

/* Warns of what is no fault and is not served all the same. */
void kube_tell_skipped(const struct kube_objects *objects, const char *source,
		       struct problems *problems);

#endif
