/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of addresses and of ports, both as ranges of numbers, and the intervals into which
 * all of these cut their space: within one, every set has all or nothing.
 */
#include "policy/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"

/* ---- sets by what they are made of ----------------------------------------------------- */

int policy_find_set(const struct sets *sets, const struct text *key, struct set **ret)
{
	uint32_t number;

	if (key->error)
		return key->error;
	if (!dictionary_find(&sets->numbers, key->data, key->length, &number))
		return -ENOENT;
	*ret = sets->items[number];
	return 0;
}

int policy_add_set(struct sets *sets, const struct text *key, struct set **ret)
{
	uint32_t number = sets->n;
	int r = array_reserve((void **)&sets->items, &sets->size, sets->n, sizeof(*sets->items));

	if (r)
		return r;
	sets->items[sets->n] = calloc(1, sizeof(struct set));
	if (!sets->items[sets->n])
		return -ENOMEM;
	*ret = sets->items[sets->n++];
	return dictionary_add(&sets->numbers, key->data, key->length, &number);
}

void policy_givers_key(struct text *key, struct port_givers givers)
{
	if (!givers.n)
		return;
	text_add(key, "@%u %u ", givers.first->protocol, givers.first->port);
	policy_key_add(key, givers.first->name);
}

/* ---- ranges ------------------------------------------------------------------------------ */

static int add_range(struct set *set, wide first, wide last)
{
	int r;

	/* of many in a row only one takes memory */
	if (set->n_ranges && first && set->ranges[set->n_ranges - 1].last == first - 1) {
		set->ranges[set->n_ranges - 1].last = last;
		return 0;
	}
	r = array_reserve((void **)&set->ranges, &set->size, set->n_ranges, sizeof(*set->ranges));

	if (!r)
		set->ranges[set->n_ranges++] = (struct range){ first, last };
	return r;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	return x->last < y->last ? -1 : x->last > y->last;
}

/* Sorts them; those that touch become one. */
static void join_ranges(struct set *set)
{
	size_t n = 0;

	if (!set->n_ranges)
		return;
	qsort(set->ranges, set->n_ranges, sizeof(*set->ranges), compare_ranges);
	for (size_t i = 1; i < set->n_ranges; i++) {
		struct range *last = &set->ranges[n], *next = &set->ranges[i];

		if (next->first > last->last && next->first - last->last > 1)
			set->ranges[++n] = *next;
		else if (next->last > last->last)
			last->last = next->last;
	}
	set->n_ranges = n + 1;
}

/* ---- addresses --------------------------------------------------------------------------- */

wide policy_number(const struct sst_addr *address)
{
	wide number = 0;

	for (int i = 0; i < 4; i++)
		number = number << 32 | ntohl(address->w[i]);
	return number;
}

struct range policy_cidr_range(const struct model_cidr *cidr)
{
	wide first = policy_number(&cidr->address);
	wide below = cidr->bits ? ((wide)1 << (128 - cidr->bits)) - 1 : POLICY_ADDRESS_MAX;

	return (struct range){ first, first | below };
}

/* For networks: what there is no room for is counted, so that it can be told. */
static int add_bounded(struct compile *compile, struct set *set, wide first, wide last)
{
	compile->ranges_needed++;
	if (compile->n_ranges + compile->ranges_needed > POLICY_RANGES_MAX)
		return 0;
	return add_range(set, first, last);
}

/* Adds the addresses from first to last that these identities have. Owners are without gaps. */
static int add_owned(struct compile *compile, struct set *set, struct range range,
		     const uint64_t *identities)
{
	size_t low = 0, high = compile->n_owners;
	int r = 0;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (compile->owners[middle].range.first <= range.first)
			low = middle;
		else
			high = middle;
	}
	for (; !r && low < compile->n_owners; low++) {
		const struct owner *owner = &compile->owners[low];
		wide first = owner->range.first > range.first ? owner->range.first : range.first;
		wide last = owner->range.last < range.last ? owner->range.last : range.last;

		if (first > range.last)
			break;
		if (identities[owner->identity / 64] >> owner->identity % 64 & 1)
			r = add_bounded(compile, set, first, last);
	}
	return r;
}

static int add_addresses(struct compile *compile, struct set *set, wide first, wide last,
			 const uint64_t *identities)
{
	if (identities)
		return add_owned(compile, set, (struct range){ first, last }, identities);
	return add_bounded(compile, set, first, last);
}

/* What is in the network and in none of the holes, which are sorted. */
static int add_network(struct compile *compile, struct set *set, struct range network,
		       const struct set *holes, const uint64_t *identities)
{
	wide first = network.first;
	int r = 0;

	for (size_t i = 0; !r && i < holes->n_ranges; i++) {
		struct range hole = holes->ranges[i];

		if (hole.last < first || hole.first > network.last)
			continue;
		if (hole.first > first)
			r = add_addresses(compile, set, first, hole.first - 1, identities);
		if (hole.last >= network.last)
			return r;
		first = hole.last + 1;
	}
	return r ?: add_addresses(compile, set, first, network.last, identities);
}

/* A network of IPv6 holds no address of IPv4, though these are written as such. */
static int add_peer(struct compile *compile, struct set *set, const struct model_peer *peer,
		    const uint64_t *identities)
{
	struct range network = policy_cidr_range(&peer->network);
	struct set holes = { 0 };
	int r = 0;

	if (peer->network.bits < 96)
		r = add_range(&holes, POLICY_IPV4_FIRST, POLICY_IPV4_LAST);
	for (size_t i = 0; !r && i < peer->n_excepts; i++) {
		struct range except = policy_cidr_range(&peer->excepts[i]);

		r = add_range(&holes, except.first, except.last);
	}
	join_ranges(&holes);
	if (!r)
		r = add_network(compile, set, network, &holes, identities);
	free(holes.ranges);
	return r;
}

static void cidr_key(struct text *key, const struct model_cidr *cidr)
{
	text_add_bytes(key, &cidr->address, sizeof(cidr->address));
	text_add_bytes(key, &cidr->bits, sizeof(cidr->bits));
}

static void network_key(struct text *key, const struct model_peer *peer)
{
	cidr_key(key, &peer->network);
	text_add(key, "-%zu ", peer->n_excepts);
	for (size_t i = 0; i < peer->n_excepts; i++)
		cidr_key(key, &peer->excepts[i]);
}

/* Who gives names to ports is a group as any other, of everybody. */
static int make_network(struct compile *compile, const struct model_peer *peers, size_t n,
			struct port_givers givers, struct set *set)
{
	struct set *group = NULL;
	int r = givers.n ? policy_group(compile, "", NULL, 0, givers, &group) : 0;

	compile->ranges_needed = 0;
	for (size_t i = 0; !r && i < n; i++)
		if (peers[i].kind == MODEL_PEER_NETWORK)
			r = add_peer(compile, set, &peers[i], group ? group->bits : NULL);
	if (r)
		return r;
	if (compile->n_ranges + compile->ranges_needed > POLICY_RANGES_MAX)
		return -E2BIG;
	join_ranges(set);
	compile->n_ranges += set->n_ranges;
	return 0;
}

int policy_network(struct compile *compile, const struct model_peer *peers, size_t n,
		   struct port_givers givers, struct set **ret)
{
	_cleanup_text_ struct text key = { 0 };
	struct set *set = NULL;
	int r = 0;

	for (size_t i = 0; i < n; i++)
		if (peers[i].kind == MODEL_PEER_NETWORK)
			network_key(&key, &peers[i]);
	if (key.length || key.error) {
		policy_givers_key(&key, givers);
		r = policy_find_set(&compile->networks, &key, &set);
		if (r == -ENOENT) {
			r = policy_add_set(&compile->networks, &key, &set);
			if (!r)
				r = make_network(compile, peers, n, givers, set);
		}
	}
	if (!r)
		*ret = set;
	return r;
}

/* ---- ports ------------------------------------------------------------------------------- */

static int add_ports(struct set *set, const struct model_port_match *match)
{
	int r = 0;

	if (match->name)
		return 0;
	if (match->protocol != IPPROTO_UDP)
		r = add_range(set, match->first, match->last);
	if (!r && match->protocol != IPPROTO_TCP)
		r = add_range(set, 65536 + match->first, 65536 + match->last);
	return r;
}

static void port_key(struct text *key, const struct model_port_match *match)
{
	if (!match->name)
		text_add(key, "%u %u-%u,", match->protocol, match->first, match->last);
}

int policy_ports(struct compile *compile, const struct model_port_match *ports, size_t n,
		 struct set **ret)
{
	_cleanup_text_ struct text key = { 0 };
	struct set *set;
	int r;

	text_add(&key, "%s", n ? "" : "*");
	for (size_t i = 0; i < n; i++)
		port_key(&key, &ports[i]);
	r = policy_find_set(&compile->ports, &key, &set);
	if (r == -ENOENT) {
		r = policy_add_set(&compile->ports, &key, &set);
		for (size_t i = 0; !r && i < n; i++)
			r = add_ports(set, &ports[i]);
		if (!r && !n)
			r = add_range(set, 0, POLICY_PORT_MAX);
		join_ranges(set);
	}
	if (!r)
		*ret = set;
	return r;
}

/* ---- intervals ----------------------------------------------------------------------------- */

int policy_space_cut(struct space *space, wide first, wide last, wide max)
{
	int r = array_reserve((void **)&space->cuts, &space->size, space->n + 1,
			      sizeof(*space->cuts));

	if (r)
		return r;
	space->cuts[space->n++] = first;
	if (last < max)
		space->cuts[space->n++] = last + 1;
	return 0;
}

static int compare_wides(const void *a, const void *b)
{
	const wide *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* The interval in which a number is. */
static size_t find_interval(const struct space *space, wide number)
{
	size_t low = 0, high = space->n;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (space->cuts[middle] <= number)
			low = middle;
		else
			high = middle;
	}
	return low;
}

static void sort_cuts(struct space *space)
{
	size_t n = 1;

	qsort(space->cuts, space->n, sizeof(*space->cuts), compare_wides);
	for (size_t i = 1; i < space->n; i++)
		if (space->cuts[i] != space->cuts[n - 1])
			space->cuts[n++] = space->cuts[i];
	space->n = n;
}

int policy_space_close(struct space *space, struct sets *sets, wide max)
{
	int r = policy_space_cut(space, 0, max, max);

	for (size_t i = 0; !r && i < sets->n; i++)
		for (size_t j = 0; !r && j < sets->items[i]->n_ranges; j++)
			r = policy_space_cut(space, sets->items[i]->ranges[j].first,
					     sets->items[i]->ranges[j].last, max);
	if (r)
		return r;
	sort_cuts(space);
	for (size_t i = 0; i < sets->n; i++)
		for (size_t j = 0; j < sets->items[i]->n_ranges; j++) {
			struct range *range = &sets->items[i]->ranges[j];

			range->first = find_interval(space, range->first);
			range->last = find_interval(space, range->last);
		}
	return 0;
}
