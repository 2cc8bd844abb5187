/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/diff.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "core/array.h"
#include "core/cleanup.h"
#include "policy/match.h"

#define PORTS 65536

/* Parties that both sets treat alike, side by side. */
struct sides {
	struct diff_party *items;
	size_t n, room;
};

struct comparison {
	const struct judge *judges[2]; /* of before and after */
	const struct policy_set *before;
	const struct policy_set *after;
	struct sides sides;
	uint32_t *ports; /* one of each kind: as in policy_diff.kinds, an index */
	size_t words;    /* that a set of kinds takes */
	/* For each bit of before and after, by direction: the kinds of ports that it is about. */
	uint64_t *kinds_of[2][SST_DIRECTIONS];
	uint64_t *apart; /* kinds that some rule of a pair tells from others */
	struct policy_diff diff;
};

/* ---- kinds of ports ------------------------------------------------------------------ */

struct port_kind {
	uint64_t key; /* protocol, class before, class after */
	uint32_t port;
};

static uint16_t port_class(const struct policy_set *set, uint32_t port)
{
	const struct sst_policy_head *head;
	const __u16 *page;

	if (policy_set_is_empty(set))
		return 0;
	head = policy_head(set);
	page = sst_policy_at(&set->memory, head->ports + port / PORTS, port % PORTS >> 8, __u16);
	return *sst_policy_at(&set->memory, head->pages + *page, port & 255, __u16);
}

static int compare_port_kinds(const void *a, const void *b)
{
	const struct port_kind *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->port < y->port ? -1 : x->port > y->port;
}

/* Numbers the kinds by their first ports; before, they are in whatever order. */
static int sort_kinds(struct comparison *c, uint32_t n)
{
	_cleanup_free_ uint32_t *numbers = calloc(n, sizeof(*numbers)); /* from 1 on */
	uint32_t next = 0;

	if (!numbers)
		return -ENOMEM;
	for (uint32_t port = 0; port < 2 * PORTS; port++) {
		uint32_t *kind = &c->diff.kinds[port];

		if (!numbers[*kind]) {
			c->ports[next] = port;
			numbers[*kind] = ++next;
		}
		*kind = numbers[*kind] - 1;
	}
	c->diff.n_kinds = n;
	return 0;
}

static int find_ports(struct comparison *c)
{
	_cleanup_free_ struct port_kind *all = calloc(2 * PORTS, sizeof(*all));
	uint32_t n = 0;

	c->diff.kinds = calloc(2 * PORTS, sizeof(*c->diff.kinds));
	c->ports = calloc(2 * PORTS, sizeof(*c->ports));
	if (!all || !c->diff.kinds || !c->ports)
		return -ENOMEM;
	for (uint32_t port = 0; port < 2 * PORTS; port++)
		all[port] = (struct port_kind){ (uint64_t)(port / PORTS) << 32 |
							port_class(c->before, port) << 16 |
							port_class(c->after, port),
						port };
	qsort(all, 2 * PORTS, sizeof(*all), compare_port_kinds);
	for (uint32_t i = 0; i < 2 * PORTS; i++) {
		n += !i || all[i].key != all[i - 1].key;
		c->diff.kinds[all[i].port] = n - 1;
	}
	return sort_kinds(c, n);
}

/* ---- parties ------------------------------------------------------------------------------ */

static int add_side(struct sides *sides, const struct diff_party *party)
{
	if (array_reserve((void **)&sides->items, &sides->room, sides->n, sizeof(*sides->items)))
		return -ENOMEM;
	sides->items[sides->n++] = *party;
	return 0;
}

static int compare_sides(const void *a, const void *b)
{
	const struct diff_party *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	if (x->before.network != y->before.network)
		return x->before.network < y->before.network ? -1 : 1;
	if (x->after.network != y->after.network)
		return x->after.network < y->after.network ? -1 : 1;
	return memcmp(&x->after.address, &y->after.address, sizeof(x->after.address));
}

/* Each once, with the first of its addresses. */
static void unite(struct sides *sides)
{
	size_t kept = 0;

	if (sides->n)
		qsort(sides->items, sides->n, sizeof(*sides->items), compare_sides);
	for (size_t i = 0; i < sides->n; i++) {
		const struct diff_party *last = kept ? &sides->items[kept - 1] : NULL;

		if (!last || last->id != sides->items[i].id ||
		    last->before.network != sides->items[i].before.network ||
		    last->after.network != sides->items[i].after.network)
			sides->items[kept++] = sides->items[i];
	}
	sides->n = kept;
}

/* Who has this address; a set that is not there knows nobody and denies nobody. */
static struct party party_at(const struct policy_set *set, const struct sst_addr *address)
{
	struct party party = { .has_address = true, .address = *address };
	struct sst_policy_place place;

	if (policy_set_is_empty(set))
		return party;
	place = policy_locate(set, address);
	party.identity = place.identity;
	party.network = place.network;
	return party;
}

static uint32_t id_of(const struct policy_set *set, const struct party *party)
{
	return policy_identity(set, party->identity)->id;
}

/* The owner of an address where one of the sets has a cut. */
static int add_cut(struct comparison *c, const struct sst_addr *address)
{
	struct diff_party party = { .before = party_at(c->before, address),
				    .after = party_at(c->after, address) };
	const struct policy_set *known = policy_set_is_empty(c->after) ? c->before : c->after;

	party.id = id_of(known, known == c->after ? &party.after : &party.before);
	if (!policy_set_is_empty(c->before) && id_of(c->before, &party.before) != party.id)
		return 0;
	return add_side(&c->sides, &party);
}

static int add_cuts(struct comparison *c, const struct policy_set *set)
{
	uint32_t n = policy_set_is_empty(set) ? 0 : policy_head(set)->n_intervals;
	int err = 0;

	for (uint32_t i = 0; i < n && !err; i++) {
		struct sst_addr address = policy_interval_address(policy_interval(set, i));

		err = add_cut(c, &address);
	}
	return err;
}

/* Index of an identity by its id, -1: not there. */
static int64_t index_of(const struct policy_set *set, uint32_t id)
{
	const struct sst_policy_identity *identity = policy_identity_by_id(set, id);

	return identity ? identity - policy_identity(set, 0) : -1;
}

static bool has_side(const struct sides *sides, uint32_t id)
{
	size_t first = 0, n = sides->n;

	while (n) {
		size_t half = n / 2;

		if (sides->items[first + half].id == id)
			return true;
		if (sides->items[first + half].id < id) {
			first += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	return false;
}

/* Those of `known` that have no address, and are known to the other set, too. */
static int add_without_address(struct comparison *c, const struct policy_set *known)
{
	struct sides found = { c->sides.items, c->sides.n, 0 };
	struct sides missing = {};
	int err = 0;

	for (uint32_t i = 0; i < policy_head(known)->n_identities && !err; i++) {
		uint32_t id = policy_identity(known, i)->id;
		int64_t before = index_of(c->before, id), after = index_of(c->after, id);
		struct diff_party party = { .id = id };

		if (has_side(&found, id))
			continue;
		c->diff.identities_added += before < 0 && !policy_set_is_empty(c->before);
		if ((before < 0 && !policy_set_is_empty(c->before)) ||
		    (after < 0 && !policy_set_is_empty(c->after)))
			continue;
		party.before.identity = before < 0 ? 0 : before;
		party.after.identity = after < 0 ? 0 : after;
		err = add_side(&missing, &party);
	}
	for (size_t i = 0; i < missing.n && !err; i++)
		err = add_side(&c->sides, &missing.items[i]);
	free(missing.items);
	return err;
}

static void count_removed(struct comparison *c)
{
	if (policy_set_is_empty(c->before) || policy_set_is_empty(c->after))
		return;
	for (uint32_t i = 0; i < policy_head(c->before)->n_identities; i++)
		c->diff.identities_removed +=
			index_of(c->after, policy_identity(c->before, i)->id) < 0;
}

static int find_sides(struct comparison *c)
{
	int err = add_cuts(c, c->before);

	if (!err)
		err = add_cuts(c, c->after);
	unite(&c->sides);
	if (!err)
		err = add_without_address(c, policy_set_is_empty(c->after) ? c->before : c->after);
	count_removed(c);
	return err;
}

/* ---- which ports a pair's rules tell apart ------------------------------------------------ */

static const struct policy_set *set_of(const struct comparison *c, int n)
{
	return n ? c->after : c->before;
}

/* Marks kind in the sets of all bits that are about it. */
static void mark_kind(struct comparison *c, int n, enum sst_direction direction, uint32_t kind)
{
	const struct policy_set *set = set_of(c, n);
	const struct sst_policy_direction *rules = &policy_head(set)->direction[direction];
	uint32_t row =
		rules->rows[SST_FIELD_PORT] + port_class(set, c->ports[kind]) * rules->row_blocks;

	/* there may be bits beyond the last rule: only subjects' rows are known to have none */
	for (uint32_t i = 0; i * 64 < rules->n_rules; i++) {
		uint64_t word = *sst_policy_at(&set->memory, row, i, __u64);

		if (rules->n_rules - i * 64 < 64)
			word &= (1ULL << (rules->n_rules - i * 64)) - 1;
		for (; word; word &= word - 1)
			c->kinds_of[n][direction][(i * 64 + sst_first_bit(word)) * c->words +
						  kind / 64] |= 1ULL << kind % 64;
	}
}

static int find_kinds(struct comparison *c, int n, enum sst_direction direction)
{
	const struct policy_set *set = set_of(c, n);
	uint32_t n_rules;

	if (policy_set_is_empty(set))
		return 0;
	n_rules = policy_head(set)->direction[direction].n_rules;
	c->kinds_of[n][direction] = calloc(n_rules * c->words + 1, sizeof(uint64_t));
	if (!c->kinds_of[n][direction])
		return -ENOMEM;
	for (uint32_t kind = 0; kind < c->diff.n_kinds; kind++)
		mark_kind(c, n, direction, kind);
	return 0;
}

static int find_all_kinds(struct comparison *c)
{
	int err = 0;

	c->words = c->diff.n_kinds / 64 + 1;
	c->apart = calloc(c->words, sizeof(*c->apart));
	if (!c->apart)
		return -ENOMEM;
	for (int i = 0; i < 2; i++)
		for (int j = 0; j < SST_DIRECTIONS && !err; j++)
			err = find_kinds(c, i, j);
	return err;
}

static bool is_about_all(const struct comparison *c, const uint64_t *kinds)
{
	size_t n = 0;

	for (size_t i = 0; i < c->words; i++)
		n += __builtin_popcountll(kinds[i]);
	return n == c->diff.n_kinds;
}

/* Adds what the rules of one direction tell apart. */
static void add_apart(struct comparison *c, int n, enum sst_direction direction,
		      const struct party *subject, const struct party *peer)
{
	const struct policy_set *set = set_of(c, n);
	const struct sst_policy_query query = { .subject = subject->identity,
						.peer = peer->identity,
						.peer_network = peer->network,
						.protocol = IPPROTO_TCP,
						.direction = direction };
	struct sst_policy_rows rows;

	if (sst_policy_rows_of(&set->memory, policy_head(set), &query, &rows))
		return;
	rows.port = rows.mask; /* of every port */
	for (uint32_t i = 0; i < rows.blocks * SST_BLOCK_WORDS; i++) {
		uint64_t word = policy_match_word(set, &rows, i);

		for (; word; word &= word - 1) {
			const uint64_t *kinds = c->kinds_of[n][direction] +
						(i * 64 + sst_first_bit(word)) * c->words;

			for (size_t j = 0; !is_about_all(c, kinds) && j < c->words; j++)
				c->apart[j] |= kinds[j];
		}
	}
}

static void find_apart(struct comparison *c, const struct diff_party *source,
		       const struct diff_party *destination)
{
	memset(c->apart, 0, c->words * sizeof(*c->apart));
	for (int i = 0; i < 2; i++) {
		const struct party *from = i ? &source->after : &source->before;
		const struct party *to = i ? &destination->after : &destination->before;

		if (policy_set_is_empty(set_of(c, i)))
			continue;
		add_apart(c, i, SST_EGRESS, from, to);
		add_apart(c, i, SST_INGRESS, to, from);
	}
}

/* ---- comparing ---------------------------------------------------------------------------- */

static struct judged judge(const struct judge *judge, const struct party *source,
			   const struct party *destination, uint32_t port)
{
	return policy_judge(judge, source, destination, port % PORTS,
			    port < PORTS ? IPPROTO_TCP : IPPROTO_UDP, false);
}

static bool is_same(const struct judged *a, const struct judged *b)
{
	return a->denied == b->denied && a->undecided == b->undecided &&
	       a->direction == b->direction && a->rule == b->rule;
}

/* The row of this pair, of those since first, that has the same verdicts; a new one, else.
 * NULL: memory is out. */
static struct diff_row *find_row(struct policy_diff *diff, size_t first,
				 const struct judged *before, const struct judged *after)
{
	struct diff_row *rows = diff->rows, *row;
	size_t n = diff->n_rows;

	for (size_t i = first; i < n; i++)
		if (is_same(&rows[i].before, before) && is_same(&rows[i].after, after))
			return &rows[i];
	if (!(n & (n - 1))) { /* a power of two: it is full */
		rows = reallocarray(rows, n ? 2 * n : 1, sizeof(*rows));
		if (!rows)
			return NULL;
		diff->rows = rows;
	}
	row = &rows[n];
	*row = (struct diff_row){ .before = *before, .after = *after };
	row->kinds = calloc(diff->n_kinds / 64 + 1, sizeof(*row->kinds));
	if (!row->kinds)
		return NULL;
	diff->n_rows++;
	return row;
}

/* Counts a change once for each pair and protocol's kind of ports. */
static int add_change(struct comparison *c, size_t first, const struct diff_party *source,
		      const struct diff_party *destination, uint32_t kind,
		      const struct judged verdicts[2])
{
	struct diff_row *row;

	if (verdicts[1].denied)
		c->diff.closed++;
	else
		c->diff.opened++;
	if (first >= DIFF_ROWS_MAX)
		return 0;
	row = find_row(&c->diff, first, &verdicts[0], &verdicts[1]);
	if (!row)
		return -ENOMEM;
	row->source = *source;
	row->destination = *destination;
	row->kinds[kind / 64] |= 1ULL << kind % 64;
	return 0;
}

/* One workload alone: it talks to itself, which is always allowed. */
static bool is_alone(const struct comparison *c, const struct diff_party *source,
		     const struct diff_party *destination)
{
	const struct policy_set *set = policy_set_is_empty(c->after) ? c->before : c->after;

	return source->id == destination->id &&
	       policy_identity_by_id(set, source->id)->n_workloads == 1;
}

static void judge_both(const struct comparison *c, const struct diff_party *source,
		       const struct diff_party *destination, uint32_t port, struct judged ret[2])
{
	ret[0] = judge(c->judges[0], &source->before, &destination->before, port);
	ret[1] = judge(c->judges[1], &source->after, &destination->after, port);
}

/* Ports that no rule of the two tells apart are judged once. */
static int compare_pair(struct comparison *c, const struct diff_party *source,
			const struct diff_party *destination)
{
	struct judged others[2], own[2];
	size_t first = c->diff.n_rows;
	bool judged = false;
	int err = 0;

	if (is_alone(c, source, destination))
		return 0;
	find_apart(c, source, destination);
	for (uint32_t i = 0; i < c->diff.n_kinds && !err; i++) {
		bool apart = c->apart[i / 64] >> i % 64 & 1;
		struct judged *verdicts = apart ? own : others;

		if (apart || !judged)
			judge_both(c, source, destination, c->ports[i], verdicts);
		judged |= !apart;
		if (verdicts[0].denied != verdicts[1].denied)
			err = add_change(c, first, source, destination, i, verdicts);
	}
	return err;
}

static int compare_all(struct comparison *c)
{
	const struct sides *sides = &c->sides;
	int err = 0;

	if ((uint64_t)sides->n * sides->n > DIFF_PAIRS_MAX)
		return -E2BIG;
	for (size_t i = 0; i < sides->n; i++)
		for (size_t j = 0; j < sides->n && !err; j++)
			err = compare_pair(c, &sides->items[i], &sides->items[j]);
	return err;
}

static void release_work(struct comparison *c)
{
	for (int i = 0; i < 2; i++)
		for (int j = 0; j < SST_DIRECTIONS; j++)
			free(c->kinds_of[i][j]);
	free(c->sides.items);
	free(c->ports);
	free(c->apart);
}

int policy_diff(const struct judge *before, const struct judge *after, struct policy_diff *ret)
{
	struct comparison c = { .judges = { before, after },
				.before = before->set,
				.after = after->set };
	int err = 0;

	if (!policy_set_is_empty(c.before) || !policy_set_is_empty(c.after)) {
		err = find_ports(&c);
		if (!err)
			err = find_all_kinds(&c);
		if (!err)
			err = find_sides(&c);
		if (!err)
			err = compare_all(&c);
	}
	release_work(&c);
	if (err)
		policy_diff_release(&c.diff);
	else
		*ret = c.diff;
	return err;
}

/* ---- reading ------------------------------------------------------------------------------ */

bool diff_next_range(const struct policy_diff *diff, const struct diff_row *row,
		     struct diff_range *range)
{
	uint32_t port = 0, first, end;

	if (range->protocol)
		port = range->last + 1 + (range->protocol == IPPROTO_UDP ? PORTS : 0);
	for (; port < 2 * PORTS; port++)
		if (row->kinds[diff->kinds[port] / 64] & 1ULL << diff->kinds[port] % 64)
			break;
	if (port == 2 * PORTS)
		return false;
	first = port;
	end = port < PORTS ? PORTS : 2 * PORTS;
	while (port < end && row->kinds[diff->kinds[port] / 64] & 1ULL << diff->kinds[port] % 64)
		port++;
	*range = (struct diff_range){ first < PORTS ? IPPROTO_TCP : IPPROTO_UDP, first % PORTS,
				      (port - 1) % PORTS };
	return true;
}

void policy_diff_release(struct policy_diff *diff)
{
	for (size_t i = 0; i < diff->n_rows; i++)
		free(diff->rows[i].kinds);
	free(diff->rows);
	free(diff->kinds);
	memset(diff, 0, sizeof(*diff));
}
