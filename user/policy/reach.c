/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/reach.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

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
	if (kinds->n == kinds->room) {
		size_t room = 2 * kinds->room + 64;
		void *items = reallocarray(kinds->items, room, sizeof(*kinds->items));

		if (!items)
			return -ENOMEM;
		kinds->items = items;
		kinds->room = room;
	}
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

/* One direction. */
struct walk {
	const struct policy_set *set;
	const struct sst_policy_direction *direction;
	enum sst_direction number;
	uint64_t *seen; /* bits that have matched */
	struct reach *reach;
};

static const struct sst_policy_rule *rule_at(const struct walk *walk, uint32_t bit)
{
	return policy_rule_at(walk->set, walk->number, bit);
}

static struct reach *reach_of(const struct walk *walk, const struct sst_policy_rule *rule)
{
	return &walk->reach[policy_info_by_id(walk->set, rule->id) - policy_info(walk->set, 0)];
}

/* Of the rule that decides at or behind this bit; NULL: none. */
static const struct sst_policy_rule *decider(struct walk *walk, const struct sst_policy_rows *rows,
					     uint32_t from)
{
	uint32_t bit = policy_next_match(walk->set, rows, from);

	if (bit != SST_POLICY_NO_BIT && rule_at(walk, bit)->action == SST_ACTION_PASS)
		bit = policy_next_match(walk->set, rows, walk->direction->network_first);
	return bit != SST_POLICY_NO_BIT ? rule_at(walk, bit) : NULL;
}

static bool denies(const struct sst_policy_rule *rule)
{
	return rule && rule->action == SST_ACTION_DENY;
}

/* Who comes before the others here, 0: nobody. */
struct winner {
	uint32_t pass; /* in the admin tier, a rule that passes */
	uint32_t rule; /* that decides */
};

/* Marks who decides; of rules in shadow when shadow, of others else. */
static struct winner mark(struct walk *walk, const struct sst_policy_rows *rows, bool shadow)
{
	const struct sst_policy_rule *rule = decider(walk, rows, 0), *first;
	uint32_t bit = policy_next_match(walk->set, rows, 0);
	struct winner winner = {};

	if (bit == SST_POLICY_NO_BIT)
		return winner;
	first = rule_at(walk, bit);
	winner.pass = first->action == SST_ACTION_PASS ? first->id : 0;
	winner.rule = rule ? rule->id : 0;
	if (winner.pass && first->shadow == shadow) {
		reach_of(walk, first)->decides = true;
		if (denies(rule) != denies(decider(walk, rows, bit + 1)))
			reach_of(walk, first)->matters = true;
	}
	if (rule && rule->shadow == shadow)
		reach_of(walk, rule)->decides = true;
	return winner;
}

static void mark_match(struct walk *walk, uint32_t bit, const struct winner winners[2])
{
	const struct sst_policy_rule *rule = rule_at(walk, bit);
	struct reach *reach = reach_of(walk, rule);
	const struct winner *winner = &winners[rule->shadow];

	if (!reach->matches)
		reach->hidden_by = bit < walk->direction->network_first && winner->pass
					   ? winner->pass
					   : winner->rule;
	reach->matches = true;
}

/* The bits that match here and did not before: that they do, and who decides. */
static void mark_matches(struct walk *walk, const struct sst_policy_rows *rows,
			 const struct winner winners[2])
{
	for (uint32_t i = 0; i < rows->blocks * SST_BLOCK_WORDS; i++) {
		uint64_t match = policy_match_word(walk->set, rows, i) & ~walk->seen[i];

		walk->seen[i] |= match;
		for (; match; match &= match - 1)
			mark_match(walk, i * 64 + sst_first_bit(match), winners);
	}
}

static void ask(struct walk *walk, const struct sst_policy_query *query)
{
	const struct sst_policy_direction *direction = walk->direction;
	struct sst_policy_rows rows;
	struct winner winners[2];

	if (sst_policy_rows_of(&walk->set->memory, policy_head(walk->set), query, &rows))
		return;
	rows.mask = direction->masks + SST_MASK_ENFORCED * rows.blocks;
	winners[0] = mark(walk, &rows, false);
	rows.mask = direction->masks + SST_MASK_ALL * rows.blocks;
	winners[1] = direction->has_shadow ? mark(walk, &rows, true) : winners[0];
	mark_matches(walk, &rows, winners);
}

static void ask_all(struct walk *walk, uint8_t direction, const struct kinds *subjects,
		    const struct kinds *peers, const struct kinds *ports)
{
	struct sst_policy_query query = { .direction = direction };

	for (size_t i = 0; i < subjects->n; i++)
		for (size_t j = 0; j < peers->n; j++)
			for (size_t k = 0; k < ports->n; k++) {
				query.subject = subjects->items[i].one;
				query.peer = peers->items[j].one;
				query.peer_network = (uint32_t)peers->items[j].class;
				query.port = ports->items[k].one;
				query.protocol = ports->items[k].protocol;
				ask(walk, &query);
			}
}

static int walk_direction(const struct policy_set *set, uint8_t direction,
			  const struct kinds *subjects, const struct kinds *peers,
			  const struct kinds *ports, struct reach *reach)
{
	struct walk walk = { .set = set,
			     .direction = &policy_head(set)->direction[direction],
			     .number = direction,
			     .reach = reach };
	_cleanup_free_ uint64_t *seen =
		calloc(walk.direction->row_blocks * SST_BLOCK_WORDS + 1, sizeof(*seen));

	if (!seen)
		return -ENOMEM;
	walk.seen = seen;
	if (walk.direction->row_blocks)
		ask_all(&walk, direction, subjects, peers, ports);
	return 0;
}

/* Rough, and far below 2^64: there are some 2^20 kinds of peers, and as many ports. */
static uint64_t words_of(const struct policy_set *set, const struct kinds *subjects,
			 const struct kinds *peers, const struct kinds *ports)
{
	const struct sst_policy_head *head = policy_head(set);
	uint32_t blocks = head->direction[0].row_blocks + head->direction[1].row_blocks;

	return subjects->n * peers->n * ports->n * blocks * SST_BLOCK_WORDS;
}

int policy_reach(const struct policy_set *set, uint64_t words_max, struct reach **ret)
{
	_cleanup_kinds_ struct kinds subjects = {}, peers = {}, ports = {};
	_cleanup_free_ struct reach *reach = NULL;
	int err = find_subjects(set, &subjects);

	if (!err)
		err = find_peers(set, &peers);
	if (!err)
		err = find_ports(set, &ports);
	if (!err && words_of(set, &subjects, &peers, &ports) > words_max)
		err = -E2BIG;
	if (err)
		return err;
	reach = calloc(policy_head(set)->n_infos + 1, sizeof(*reach));
	if (!reach)
		return -ENOMEM;
	for (uint8_t i = 0; i < SST_DIRECTIONS && !err; i++)
		err = walk_direction(set, i, &subjects, &peers, &ports, reach);
	if (err)
		return err;
	*ret = TAKE_PTR(reach);
	return 0;
}
