/* SPDX-License-Identifier: Apache-2.0 */
/* Whose an address is: prefixes cut into ranges without gaps, the longest prefix on top. */
#include "policy/internal.h"

#include <errno.h>
#include <stdlib.h>

#include "core/address.h"
#include "core/cleanup.h"

/* Of equal prefixes the later one here wins. */
enum rank {
	RANK_WORLD,
	RANK_NODES,
	RANK_HOST,
	RANK_WORKLOAD,
};

struct claim {
	struct owner owner;
	enum rank rank;
};

struct claims {
	struct claim *items;
	size_t n;
	size_t size;
};

static int add_claim(struct claims *claims, struct range range, enum rank rank, uint32_t identity,
		     uint32_t workload)
{
	int r = array_reserve((void **)&claims->items, &claims->size, claims->n,
			      sizeof(*claims->items));

	if (!r)
		claims->items[claims->n++] = (struct claim){ { range, identity, workload }, rank };
	return r;
}

static int claim_world(struct claims *claims)
{
	int r = add_claim(claims, (struct range){ 0, POLICY_ADDRESS_MAX }, RANK_WORLD,
			  SST_IDENTITY_WORLD, 0);

	/* no prefix of IPv6 reaches what is IPv4 */
	return r
		       ?: add_claim(claims, (struct range){ POLICY_IPV4_FIRST, POLICY_IPV4_LAST },
				    RANK_WORLD, SST_IDENTITY_WORLD, 0);
}

static int claim_host(struct claims *claims, const struct policy_host *host)
{
	static const char *const loopback[] = { "127.0.0.0", "::1" };
	static const uint8_t bits[] = { 104, 128 };
	struct model_cidr cidr;
	int r = 0;

	for (size_t i = 0; !r && i < ARRAY_SIZE(loopback); i++) {
		cidr.bits = bits[i];
		r = address_parse(loopback[i], &cidr.address)
			    ?: add_claim(claims, policy_cidr_range(&cidr), RANK_HOST,
					 SST_IDENTITY_HOST, 0);
	}
	cidr.bits = 128;
	for (size_t i = 0; !r && i < host->n_addresses; i++) {
		cidr.address = host->addresses[i];
		r = add_claim(claims, policy_cidr_range(&cidr), RANK_HOST, SST_IDENTITY_HOST, 0);
	}
	return r;
}

static int claim_nodes(struct claims *claims, const struct model_policy_settings *settings)
{
	int r = 0;

	for (size_t i = 0; !r && i < settings->n_nodes; i++)
		r = add_claim(claims, policy_cidr_range(&settings->nodes[i]), RANK_NODES,
			      SST_IDENTITY_NODES, 0);
	return r;
}

static int claim_workloads(struct claims *claims, const struct compile *compile)
{
	int r = 0;

	for (size_t i = 0; !r && i < compile->model->n_workloads; i++) {
		const struct model_workload *workload = &compile->model->workloads[i];
		uint32_t index = compile->workload_of[i];

		for (size_t j = 0; !r && j < workload->n_addresses; j++)
			r = add_claim(claims, policy_cidr_range(&workload->addresses[j]),
				      RANK_WORKLOAD, compile->workloads[index].value.identity,
				      index);
	}
	return r;
}

/* What holds others comes before them. */
static int compare_claims(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;

	if (x->owner.range.first != y->owner.range.first)
		return x->owner.range.first < y->owner.range.first ? -1 : 1;
	if (x->owner.range.last != y->owner.range.last)
		return x->owner.range.last > y->owner.range.last ? -1 : 1;
	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return x->owner.workload < y->owner.workload ? -1 : x->owner.workload > y->owner.workload;
}

/* Claims that hold the address that is looked at, the narrowest last; `at` is the first one
 * that is nobody's yet. */
struct sweep {
	const struct claim **open;
	size_t n;
	wide at;
};

/* Up to this address it is the narrowest one's. */
static void grant(struct compile *compile, struct sweep *sweep, wide last)
{
	struct owner *owner = &compile->owners[compile->n_owners++];

	*owner = sweep->open[sweep->n - 1]->owner;
	owner->range = (struct range){ sweep->at, last };
	sweep->at = last + 1;
}

/* Closes the claims that end before this address. */
static void close_claims(struct compile *compile, struct sweep *sweep, wide first)
{
	while (sweep->n && sweep->open[sweep->n - 1]->owner.range.last < first) {
		wide last = sweep->open[sweep->n - 1]->owner.range.last;

		if (sweep->at <= last)
			grant(compile, sweep, last);
		sweep->n--;
	}
}

static void sweep_claims(struct compile *compile, struct sweep *sweep, const struct claims *claims)
{
	for (size_t i = 0; i < claims->n; i++) {
		const struct claim *claim = &claims->items[i];

		close_claims(compile, sweep, claim->owner.range.first);
		if (sweep->at < claim->owner.range.first)
			grant(compile, sweep, claim->owner.range.first - 1);
		sweep->open[sweep->n++] = claim;
	}
	close_claims(compile, sweep, POLICY_ADDRESS_MAX);
	/* what is left reaches up to the last address */
	grant(compile, sweep, POLICY_ADDRESS_MAX);
}

int policy_make_owners(struct compile *compile)
{
	_cleanup_free_ const struct claim **open = NULL;
	_cleanup_free_ struct claim *items = NULL;
	struct claims claims = { 0 };
	struct sweep sweep = { 0 };
	int r = claim_world(&claims);

	if (!r)
		r = claim_host(&claims, compile->host);
	if (!r)
		r = claim_nodes(&claims, &compile->model->node.policy);
	if (!r)
		r = claim_workloads(&claims, compile);
	items = claims.items;
	if (r)
		return r;
	qsort(claims.items, claims.n, sizeof(*claims.items), compare_claims);
	open = calloc(claims.n, sizeof(*open));
	/* each claim begins one range and ends one */
	compile->owners = calloc(2 * claims.n, sizeof(*compile->owners));
	if (!open || !compile->owners)
		return -ENOMEM;
	sweep.open = open;
	sweep_claims(compile, &sweep, &claims);
	return 0;
}
