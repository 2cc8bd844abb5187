/* SPDX-License-Identifier: Apache-2.0 */
/* Which endpoints of a port get connections, by what the slices say of them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/address.h"
#include "core/array.h"
#include "core/cleanup.h"
#include "kube/internal.h"

/* An endpoint of one port. */
struct candidate {
	const struct kube_endpoint *endpoint;
	uint16_t port;
	bool local; /* on this node */
};

struct candidates {
	struct candidate *items;
	size_t n;
	size_t size;
};

static void candidates_release(struct candidates *candidates)
{
	free(candidates->items);
}

/* ---- who is one --------------------------------------------------------------------- */

/* The port's number is the slice's: it has resolved the name of a target. */
static bool is_port(const struct kube_slice_port *slice, const struct kube_service_port *port)
{
	return slice->protocol == port->protocol && !strcmp(slice->name, port->name);
}

static bool is_local(const struct kube_endpoint *endpoint, const struct kube_here *here)
{
	return endpoint->node && here->node && !strcmp(endpoint->node, here->node);
}

static int add_candidates(const struct kube_slice *slice, uint16_t port, int family,
			  const struct kube_here *here, struct candidates *ret)
{
	for (size_t i = 0; i < slice->n_endpoints; i++) {
		const struct kube_endpoint *endpoint = &slice->endpoints[i];

		if (address_family(&endpoint->address) != family)
			continue;
		if (array_reserve((void **)&ret->items, &ret->size, ret->n, sizeof(*ret->items)))
			return -ENOMEM;
		ret->items[ret->n++] = (struct candidate){
			.endpoint = endpoint,
			.port = port,
			.local = is_local(endpoint, here),
		};
	}
	return 0;
}

static bool stands_in(const struct kube_endpoint *endpoint)
{
	return endpoint->serving && endpoint->terminating;
}

/* What is worth more where slices contradict each other. */
static int rank(const struct candidate *candidate)
{
	return 4 * candidate->local + 2 * candidate->endpoint->ready +
	       stands_in(candidate->endpoint);
}

static int compare_candidates(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	int order = address_compare(&x->endpoint->address, &y->endpoint->address);

	if (!order)
		order = x->port - y->port;
	return order ? order : rank(y) - rank(x);
}

/* While one moves between slices it is in two: it counts once. */
static void drop_doubles(struct candidates *candidates)
{
	size_t kept = 0;

	for (size_t i = 0; i < candidates->n; i++) {
		const struct candidate *item = &candidates->items[i];
		const struct candidate *last = &candidates->items[kept ? kept - 1 : 0];

		if (kept && last->port == item->port &&
		    !address_compare(&last->endpoint->address, &item->endpoint->address))
			continue;
		candidates->items[kept++] = *item;
	}
	candidates->n = kept;
}

static int find_candidates(const struct kube_combination *combination,
			   const struct kube_service_port *port, int family, struct candidates *ret)
{
	int r = 0;

	for (size_t i = 0; i < combination->n_slices; i++) {
		const struct kube_slice *slice = combination->slices[i];

		for (size_t j = 0; !r && j < slice->n_ports; j++)
			if (is_port(&slice->ports[j], port))
				r = add_candidates(slice, slice->ports[j].port, family,
						   combination->here, ret);
	}
	if (r || !ret->n)
		return r;
	qsort(ret->items, ret->n, sizeof(*ret->items), compare_candidates);
	drop_doubles(ret);
	return 0;
}

uint64_t kube_count_endpoints(const struct kube_service *service,
			      const struct kube_slice *const *slices, size_t n_slices)
{
	uint64_t n = 0;

	for (size_t i = 0; i < service->n_ports; i++)
		for (size_t j = 0; j < n_slices; j++)
			for (size_t k = 0; k < slices[j]->n_ports; k++)
				if (is_port(&slices[j]->ports[k], &service->ports[i]))
					n += slices[j]->n_endpoints;
	return n;
}

/* ---- hints -------------------------------------------------------------------------- */

enum topology {
	ANYWHERE,
	SAME_ZONE,
	SAME_NODE,
};

static bool lists(char *const *texts, size_t n, const char *wanted)
{
	for (size_t i = 0; wanted && i < n; i++)
		if (!strcmp(texts[i], wanted))
			return true;
	return false;
}

static bool is_hinted(const struct kube_endpoint *endpoint, enum topology topology,
		      const struct kube_here *here)
{
	switch (topology) {
	case SAME_ZONE:
		return lists(endpoint->for_zones, endpoint->n_for_zones, here->zone);
	case SAME_NODE:
		return lists(endpoint->for_nodes, endpoint->n_for_nodes, here->node);
	default:
		return true;
	}
}

/* All that are ready have such hints, and of one at least they are for us. */
static bool is_hinted_at(const struct candidates *candidates, enum topology topology,
			 const struct kube_here *here)
{
	bool ret = false;

	for (size_t i = 0; i < candidates->n; i++) {
		const struct kube_endpoint *endpoint = candidates->items[i].endpoint;

		if (!endpoint->ready)
			continue;
		if (!(topology == SAME_NODE ? endpoint->n_for_nodes : endpoint->n_for_zones))
			return false;
		ret |= is_hinted(endpoint, topology, here);
	}
	return ret;
}

static enum topology find_topology(const struct candidates *candidates,
				   const struct kube_here *here)
{
	if (is_hinted_at(candidates, SAME_NODE, here))
		return SAME_NODE;
	return is_hinted_at(candidates, SAME_ZONE, here) ? SAME_ZONE : ANYWHERE;
}

/* ---- the choice --------------------------------------------------------------------- */

/* Who is asked for, of all candidates. */
static bool is_near(const struct candidate *candidate, bool local, enum topology topology,
		    const struct kube_here *here)
{
	return local ? candidate->local : is_hinted(candidate->endpoint, topology, here);
}

/* One that gets no connections is there all the same: those that it has are its own. */
static int add_endpoint(const struct candidate *candidate, bool used, struct model_port *port)
{
	const struct kube_endpoint *endpoint = candidate->endpoint;
	struct model_endpoint *ret = &port->endpoints[port->n_endpoints++];

	*ret = (struct model_endpoint){
		.address = endpoint->address,
		.port = candidate->port,
		.weight = 1,
		.ready = used,
		.draining = !used && endpoint->terminating,
		.zone = endpoint->zone ? strdup(endpoint->zone) : NULL,
		.place = endpoint->place,
	};
	return endpoint->zone && !ret->zone ? -ENOMEM : 0;
}

/* Behind those of another family. */
static int reserve(struct model_port *port, size_t n)
{
	void *grown =
		reallocarray(port->endpoints, port->n_endpoints + n + 1, sizeof(*port->endpoints));

	if (!grown)
		return -ENOMEM;
	port->endpoints = grown;
	return 0;
}

/* Those that end and still serve get connections when nobody near is ready (KEP-1669). */
static int choose(const struct candidates *candidates, bool local, const struct kube_here *here,
		  struct model_port *ret)
{
	enum topology topology = find_topology(candidates, here);
	bool any_ready = false;
	int r = reserve(ret, candidates->n);

	for (size_t i = 0; i < candidates->n; i++)
		any_ready |= candidates->items[i].endpoint->ready &&
			     is_near(&candidates->items[i], local, topology, here);
	for (size_t i = 0; !r && i < candidates->n; i++) {
		const struct candidate *candidate = &candidates->items[i];
		bool used = any_ready ? candidate->endpoint->ready : stands_in(candidate->endpoint);

		if (is_near(candidate, local, topology, here))
			r = add_endpoint(candidate, used, ret);
	}
	return r;
}

int kube_add_endpoints(const struct kube_combination *combination,
		       const struct kube_service_port *port, int family, bool local,
		       struct model_port *ret)
{
	_cleanup_(candidates_release) struct candidates candidates = { 0 };
	int r = find_candidates(combination, port, family, &candidates);

	return r ? r : choose(&candidates, local, combination->here, ret);
}
