/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/reach.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "core/array.h"
#include "core/cleanup.h"
#include "policy/match.h"

/* A kind of subject, peer or port: its class, and one who has it. */
struct kind {
	uint64_t class;   /* of a peer: its own one, and its network's in the lower half */
	uint32_t one;     /* an identity's index, or a port */
	uint8_t protocol; /* of a port */
};

struct kinds {
	struct kind *items;
	size_t n, room;
};

static void kinds_release(struct kinds *kinds)
{
	free(kinds->items);
}
#define _cleanup_kinds_ _cleanup_(kinds_release)

static int add_kind(struct kinds *kinds, uint64_t class, uint32_t one, uint8_t protocol)
{
	if (array_reserve((void **)&kinds->items, &kinds->room, kinds->n, sizeof(*kinds->items)))
		return -ENOMEM;
	kinds->items[kinds->n++] = (struct kind){ class, one, protocol };
	return 0;
}

static int compare_kinds(const void *a, const void *b)
{
	const struct kind *x = a, *y = b;

	return x->class < y->class ? -1 : x->class > y->class;
}

/* Each class once. */
static void unite(struct kinds *kinds)
{
	size_t kept = 0;

	if (kinds->n)
		qsort(kinds->items, kinds->n, sizeof(*kinds->items), compare_kinds);
	for (size_t i = 0; i < kinds->n; i++)
		if (!i || kinds->items[i].class != kinds->items[kept - 1].class)
			kinds->items[kept++] = kinds->items[i];
	kinds->n = kept;
}

/* ---- what can be asked -------------------------------------------------------------- */

static const struct sst_policy_interval *interval(const struct policy_set *set, uint32_t n)
{
	return sst_policy_at(&set->memory, policy_head(set)->intervals, n,
			     struct sst_policy_interval);
}

static int find_subjects(const struct policy_set *set, struct kinds *ret)
{
	int err = 0;

	for (uint32_t i = SST_IDENTITY_RESERVED; i < policy_head(set)->n_identities && !err; i++)
		err = add_kind(ret, policy_identity(set, i)->subject, i, 0);
	unite(ret);
	return err;
}

/* The classes of the node's own addresses: whoever lives here may be seen with one. And 0,
 * for who is seen without an address. */
static int find_host_networks(const struct policy_set *set, struct kinds *ret)
{
	int err = add_kind(ret, 0, 0, 0);

	for (uint32_t i = 0; i < policy_head(set)->n_intervals && !err; i++)
		if (interval(set, i)->identity == SST_IDENTITY_HOST)
			err = add_kind(ret, interval(set, i)->network, 0, 0);
	unite(ret);
	return err;
}

static int add_peer(const struct policy_set *set, uint32_t identity, uint32_t network,
		    struct kinds *ret)
{
	uint64_t class = policy_identity(set, identity)->peer;

	return add_kind(ret, class << 32 | network, identity, 0);
}

static int find_peers(const struct policy_set *set, struct kinds *ret)
{
	_cleanup_kinds_ struct kinds networks = {};
	int err = find_host_networks(set, &networks);

	for (uint32_t i = 0; i < policy_head(set)->n_intervals && !err; i++)
		err = add_peer(set, interval(set, i)->identity, interval(set, i)->network, ret);
	unite(ret);
	for (uint32_t i = 0; i < policy_head(set)->n_identities; i++)
		for (size_t j = 0; j < networks.n && !err; j++)
			if (i != SST_IDENTITY_WORLD && i != SST_IDENTITY_NODES)
				err = add_peer(set, i, networks.items[j].class, ret);
	unite(ret);
	return err;
}

static uint16_t port_class(const struct policy_set *set, uint16_t port, uint8_t protocol)
{
	const struct sst_policy_head *head = policy_head(set);
	const __u16 *page = sst_policy_at(&set->memory, head->ports + (protocol != IPPROTO_TCP),
					  port >> 8, __u16);

	return *sst_policy_at(&set->memory, head->pages + *page, port & 255, __u16);
}

static int find_ports(const struct policy_set *set, struct kinds *ret)
{
	int err = 0;

	for (uint32_t port = 0; port < 65536 && !err; port++) {
		err = add_kind(ret, port_class(set, port, IPPROTO_TCP), port, IPPROTO_TCP);
		if (!err)
			err = add_kind(ret, port_class(set, port, IPPROTO_UDP), port, IPPROTO_UDP);
	}
	unite(ret);
	return err;
}

/* ---- what comes of it ------------------------------------------------------------------ */

/* One rule's bit, and who may ask for it. */
struct walk {
	const struct policy_set *set;
	enum sst_direction direction;
	uint32_t bit;
	const struct sst_policy_rule *rule;
	struct kinds subjects, peers, ports; /* those that have the bit */
	uint64_t *words;                     /* that may still be looked at */
	struct reach *reach;
};

static const struct sst_policy_direction *rules_of(const struct walk *walk)
{
	return &policy_head(walk->set)->direction[walk->direction];
}

static struct sst_policy_query query_for(const struct walk *walk, const struct kind *subject,
					 const struct kind *peer, const struct kind *port)
{
	return (struct sst_policy_query){ .subject = subject->one,
					  .peer = peer->one,
					  .peer_network = (uint32_t)peer->class,
					  .port = port->one,
					  .protocol = port->protocol,
					  .direction = walk->direction };
}

/* The first rule that matches from here on, behind what it passes; NO_BIT: none. */
static uint32_t decider(const struct walk *walk, const struct sst_policy_rows *rows, uint32_t from)
{
	uint32_t bit = policy_next_match(walk->set, rows, from);

	if (bit != SST_POLICY_NO_BIT &&
	    policy_rule_at(walk->set, walk->direction, bit)->action == SST_ACTION_PASS)
		bit = policy_next_match(walk->set, rows, rules_of(walk)->network_first);
	return bit;
}

static bool denies(const struct walk *walk, uint32_t bit)
{
	return bit != SST_POLICY_NO_BIT &&
	       policy_rule_at(walk->set, walk->direction, bit)->action == SST_ACTION_DENY;
}

/* Whoever is first here, is it ours? */
static void judge(struct walk *walk, const struct sst_policy_rows *rows)
{
	uint32_t first = policy_next_match(walk->set, rows, 0), wins = first;
	struct reach *reach = walk->reach;

	/* what passes hides the rest of the admin tier, and nothing else */
	if (first != walk->bit && walk->bit >= rules_of(walk)->network_first)
		wins = decider(walk, rows, 0);
	if (wins == walk->bit)
		reach->decides = true;
	else if (!reach->matches && wins != SST_POLICY_NO_BIT)
		reach->hidden_by = policy_rule_at(walk->set, walk->direction, wins)->id;
	reach->matches = true;
	if (first == walk->bit && walk->rule->action == SST_ACTION_PASS &&
	    denies(walk, decider(walk, rows, 0)) != denies(walk, decider(walk, rows, first + 1)))
		reach->matters = true;
}

/* False: nothing more is to be found out, or may be looked at. */
static bool ask(struct walk *walk, const struct kind *subject, const struct kind *peer,
		const struct kind *port)
{
	struct sst_policy_query query = query_for(walk, subject, peer, port);
	const struct sst_policy_direction *rules = rules_of(walk);
	enum sst_mask mask = walk->rule->shadow ? SST_MASK_ALL : SST_MASK_ENFORCED;
	uint32_t cost = walk->bit / 64 + 1;
	struct sst_policy_rows rows;

	if (*walk->words < cost) {
		walk->reach->unknown = true;
		return false;
	}
	*walk->words -= cost;
	if (sst_policy_rows_of(&walk->set->memory, policy_head(walk->set), &query, &rows))
		return false;
	rows.mask = rules->masks + mask * rows.blocks;
	judge(walk, &rows);
	return !walk->reach->decides ||
	       (walk->rule->action == SST_ACTION_PASS && !walk->reach->matters);
}

static void ask_all(struct walk *walk)
{
	for (size_t i = 0; i < walk->subjects.n; i++)
		for (size_t j = 0; j < walk->peers.n; j++)
			for (size_t k = 0; k < walk->ports.n; k++)
				if (!ask(walk, &walk->subjects.items[i], &walk->peers.items[j],
					 &walk->ports.items[k]))
					return;
}

/* ---- who may ask ------------------------------------------------------------------------ */

static bool has_bit(const struct walk *walk, enum sst_field field, uint64_t class)
{
	const struct sst_policy_direction *rules = rules_of(walk);
	uint32_t row = rules->rows[field] + (uint32_t) class * rules->row_blocks;

	return *sst_policy_at(&walk->set->memory, row, walk->bit / 64, __u64) >> walk->bit % 64 & 1;
}

static bool subject_has_bit(const struct walk *walk, const struct kind *kind)
{
	return has_bit(walk, SST_FIELD_SUBJECT, kind->class);
}

static bool peer_has_bit(const struct walk *walk, const struct kind *kind)
{
	return has_bit(walk, SST_FIELD_PEER, kind->class >> 32) ||
	       has_bit(walk, SST_FIELD_NETWORK, kind->class);
}

static bool port_has_bit(const struct walk *walk, const struct kind *kind)
{
	return has_bit(walk, SST_FIELD_PORT, kind->class);
}

static int select_kinds(const struct walk *walk, const struct kinds *all,
			bool (*fits)(const struct walk *walk, const struct kind *kind),
			struct kinds *ret)
{
	int err = 0;

	ret->n = 0;
	for (size_t i = 0; i < all->n && !err; i++) {
		const struct kind *kind = &all->items[i];

		if (fits(walk, kind))
			err = add_kind(ret, kind->class, kind->one, kind->protocol);
	}
	return err;
}

/* All that can be asked. */
struct everybody {
	struct kinds subjects, peers, ports;
};

static int walk_bit(struct walk *walk, const struct everybody *all)
{
	int err = select_kinds(walk, &all->subjects, subject_has_bit, &walk->subjects);

	if (!err)
		err = select_kinds(walk, &all->peers, peer_has_bit, &walk->peers);
	if (!err)
		err = select_kinds(walk, &all->ports, port_has_bit, &walk->ports);
	if (!err)
		ask_all(walk);
	return err;
}

/* Of what nobody has written it does not matter whether it decides. */
static bool is_built_in(const struct sst_policy_rule *rule)
{
	bool isolation = rule->tier == SST_TIER_NETWORK && rule->action == SST_ACTION_DENY;

	return isolation || rule->tier == SST_TIER_HOST || rule->tier == SST_TIER_DEFAULT;
}

static int walk_direction(const struct policy_set *set, enum sst_direction direction,
			  const struct everybody *all, uint64_t *words, struct reach *reach)
{
	struct walk walk = { .set = set, .direction = direction, .words = words };
	uint32_t n = policy_head(set)->direction[direction].n_rules;
	int err = 0;

	for (walk.bit = 0; walk.bit < n && !err; walk.bit++) {
		walk.rule = policy_rule_at(set, direction, walk.bit);
		walk.reach = &reach[policy_info_by_id(set, walk.rule->id) - policy_info(set, 0)];
		if (!is_built_in(walk.rule))
			err = walk_bit(&walk, all);
	}
	kinds_release(&walk.subjects);
	kinds_release(&walk.peers);
	kinds_release(&walk.ports);
	return err;
}

static int find_everybody(const struct policy_set *set, struct everybody *ret)
{
	int err = find_subjects(set, &ret->subjects);

	if (!err)
		err = find_peers(set, &ret->peers);
	return err ?: find_ports(set, &ret->ports);
}

static void everybody_release(struct everybody *all)
{
	kinds_release(&all->subjects);
	kinds_release(&all->peers);
	kinds_release(&all->ports);
}

int policy_reach(const struct policy_set *set, uint64_t words_max, struct reach **ret)
{
	_cleanup_free_ struct reach *reach = calloc(policy_head(set)->n_infos + 1, sizeof(*reach));
	_cleanup_(everybody_release) struct everybody all = {};
	int err = reach ? find_everybody(set, &all) : -ENOMEM;

	for (int i = 0; i < SST_DIRECTIONS && !err; i++)
		err = walk_direction(set, i, &all, &words_max, reach);
	if (err)
		return err;
	*ret = TAKE_PTR(reach);
	return 0;
}
