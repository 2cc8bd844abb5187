/* SPDX-License-Identifier: Apache-2.0 */
#include "oracle/cluster.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/address.h"
#include "core/cleanup.h"

/* ---- chance --------------------------------------------------------------------- */

struct dice dice_of(uint64_t seed, uint64_t number)
{
	return (struct dice){ (seed * 0x9e3779b97f4a7c15 + number) * 0xbf58476d1ce4e5b9 + 1 };
}

uint32_t roll(struct dice *dice, uint32_t n)
{
	dice->seed = dice->seed * 6364136223846793005 + 1442695040888963407;
	return (dice->seed >> 33) % n;
}

bool chance(struct dice *dice, uint32_t percent)
{
	return roll(dice, 100) < percent;
}

/* Index i as often as weights[i] says, of all of them together. */
static size_t pick(struct dice *dice, const uint8_t *weights, size_t n)
{
	uint32_t sum = 0, at;

	for (size_t i = 0; i < n; i++)
		sum += weights[i];
	at = roll(dice, sum);
	for (size_t i = 0; i < n; i++) {
		if (at < weights[i])
			return i;
		at -= weights[i];
	}
	abort();
}

#define PICK(dice, ...)                                      \
	({                                                   \
		static const uint8_t _w[] = { __VA_ARGS__ }; \
		pick(dice, _w, ARRAY_SIZE(_w));              \
	})

#define ONE_OF(dice, array) ((array)[roll(dice, ARRAY_SIZE(array))])

/* ---- memory --------------------------------------------------------------------- */

static void *keep(struct pool *pool, void *memory)
{
	if (pool->n == pool->size) {
		pool->size = 2 * pool->size + 64;
		pool->items = reallocarray(pool->items, pool->size, sizeof(*pool->items));
	}
	if (!memory || !pool->items)
		abort();
	pool->items[pool->n++] = memory;
	return memory;
}

static void *take(struct pool *pool, size_t n, size_t size)
{
	return keep(pool, calloc(n, size));
}

__attribute__((format(printf, 2, 3))) static char *text(struct pool *pool, const char *format, ...)
{
	char *string = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&string, format, args) < 0)
		abort();
	va_end(args);
	return keep(pool, string);
}

void cluster_release(struct cluster *cluster)
{
	for (size_t i = 0; i < cluster->pool.n; i++)
		free(cluster->pool.items[i]);
	free(cluster->pool.items);
	memset(cluster, 0, sizeof(*cluster));
}

/* ---- words ---------------------------------------------------------------------- */

static const char *const namespaces[] = { "shop", "bank", "ops", "default" };

/* Some are fuller than others. */
static const char *random_namespace(struct dice *dice)
{
	return namespaces[PICK(dice, 50, 25, 15, 10)];
}

#define VALUES 4

struct word {
	const char *key;
	const char *values[VALUES];
	uint8_t percent; /* of those that could have it */
};

/* The first ones everybody has: cyclonus needs such for NotIn. */
static const struct word workload_words[] = {
	{ "app", { "web", "api", "db", "" }, 100 },
	{ "tier", { "front", "back", "front", "web" }, 60 },
	{ "example.com/env", { "prod", "test", "prod", "test" }, 40 },
};
static const struct word namespace_words[] = {
	{ MODEL_NAMESPACE_LABEL, { "shop", "bank", "ops", "default" }, 100 },
	{ "team", { "a", "b", "a", "b" }, 70 },
	{ "tier", { "front", "back", "web", "" }, 40 },
};
#define WORDS ARRAY_SIZE(workload_words)
static_assert(WORDS == ARRAY_SIZE(namespace_words), "both kinds of words are as many");

static const struct {
	const char *name;
	uint16_t numbers[2];
	uint8_t protocol;
} port_names[] = {
	{ "http", { 80, 8080 }, IPPROTO_TCP },  { "web", { 8080, 8005 }, IPPROTO_TCP },
	{ "pg", { 5432, 5432 }, IPPROTO_TCP },  { "dns", { 53, 8000 }, IPPROTO_UDP },
	{ "dns-tcp", { 53, 80 }, IPPROTO_TCP },
};

/* Borders of ranges among them, and what lies beside. */
static const uint16_t numbers[] = {
	53, 80, 81, 443, 5432, 7999, 8000, 8005, 8010, 8011, 8080, 65535
};

uint16_t random_port(struct dice *dice)
{
	return ONE_OF(dice, numbers);
}

static uint8_t random_protocol(struct dice *dice)
{
	return chance(dice, 70) ? IPPROTO_TCP : IPPROTO_UDP;
}

/* ---- making --------------------------------------------------------------------- */

struct maker {
	const struct cluster_wish *wish;
	struct dice *dice;
	struct pool *pool;
	struct cluster *cluster;
	struct model_cidr *taken; /* prefixes that belong to somebody: to one only */
	size_t n_taken;
};

/* ---- addresses ------------------------------------------------------------------ */

static struct sst_addr parse(const char *string)
{
	struct sst_addr address;

	if (address_parse(string, &address))
		abort();
	return address;
}

static struct sst_addr invented_address(struct dice *dice)
{
	char string[ADDRESS_TEXT_MAX];

	if (chance(dice, 70))
		snprintf(string, sizeof(string), "10.%u.%u.%u", roll(dice, 3), roll(dice, 3),
			 roll(dice, 8));
	else
		snprintf(string, sizeof(string), "fd00:%u::%u:%u", roll(dice, 2), roll(dice, 2),
			 roll(dice, 8));
	return parse(string);
}

static struct sst_addr random_address(const struct cluster_wish *wish, struct dice *dice)
{
	if (wish->addresses && chance(dice, 90))
		return wish->addresses[roll(dice, wish->n_workloads)];
	return invented_address(dice);
}

static const uint8_t v4_bits[] = { 96, 104, 112, 120, 124, 126, 127, 128 };
static const uint8_t v6_bits[] = { 0, 7, 16, 32, 64, 112, 126, 128 };

/* Sets the bits from this one on to those of `bits`. */
static struct sst_addr with_tail(const struct sst_addr *head, unsigned from,
				 const struct sst_addr *tail)
{
	struct sst_addr ret = *head;
	uint8_t *to = (void *)&ret;
	const uint8_t *source = (const void *)tail;

	for (unsigned i = from; i < 128; i++) {
		uint8_t bit = 0x80 >> i % 8;

		to[i / 8] = (to[i / 8] & ~bit) | (source[i / 8] & bit);
	}
	return ret;
}

static struct model_cidr make_cidr(const struct sst_addr *address, uint8_t bits)
{
	static const struct sst_addr zero;

	return (struct model_cidr){ .address = with_tail(address, bits, &zero), .bits = bits };
}

static struct model_cidr random_cidr(struct maker *maker)
{
	struct sst_addr address = random_address(maker->wish, maker->dice);

	if (address_family(&address) == AF_INET)
		return make_cidr(&address, ONE_OF(maker->dice, v4_bits));
	return make_cidr(&address, ONE_OF(maker->dice, v6_bits));
}

static bool is_v4(const struct model_cidr *cidr)
{
	return cidr->bits >= 96 && address_family(&cidr->address) == AF_INET;
}

/* A longer prefix within this one, which is not a single address. */
static struct model_cidr random_part(struct maker *maker, const struct model_cidr *cidr)
{
	struct sst_addr address = random_address(maker->wish, maker->dice);
	const uint8_t *bits = is_v4(cidr) ? v4_bits : v6_bits;
	uint8_t length;

	while ((address_family(&address) == AF_INET) != is_v4(cidr))
		address = invented_address(maker->dice);
	do
		length = bits[roll(maker->dice, ARRAY_SIZE(v4_bits))];
	while (length <= cidr->bits);
	address = with_tail(&cidr->address, cidr->bits, &address);
	return make_cidr(&address, length);
}

/* Nobody else has exactly this prefix. */
static bool take_cidr(struct maker *maker, const struct model_cidr *cidr)
{
	for (size_t i = 0; i < maker->n_taken; i++)
		if (maker->taken[i].bits == cidr->bits &&
		    !address_compare(&maker->taken[i].address, &cidr->address))
			return false;
	maker->taken[maker->n_taken++] = *cidr;
	return true;
}

/* ---- labels and selectors ------------------------------------------------------- */

static struct model_labels random_labels(struct maker *maker, const struct word *words)
{
	struct model_labels labels = { take(maker->pool, WORDS, sizeof(*labels.items)) };

	for (size_t i = 0; i < WORDS; i++) {
		if (!chance(maker->dice, words[i].percent))
			continue;
		labels.items[labels.n++] = (struct model_label){
			.key = text(maker->pool, "%s", words[i].key),
			.value = text(maker->pool, "%s", ONE_OF(maker->dice, words[i].values)),
		};
	}
	return labels;
}

static void add_values(struct maker *maker, const struct word *word,
		       struct model_requirement *requirement)
{
	size_t first = roll(maker->dice, VALUES);

	requirement->n_values = chance(maker->dice, 65) ? 1 : 2;
	requirement->values = take(maker->pool, requirement->n_values, sizeof(char *));
	for (size_t i = 0; i < requirement->n_values; i++)
		requirement->values[i] =
			text(maker->pool, "%s", word->values[(first + i) % VALUES]);
}

static struct model_requirement random_requirement(struct maker *maker, const struct word *words)
{
	const struct word *word = &words[roll(maker->dice, WORDS)];
	struct model_requirement requirement = { .op = PICK(maker->dice, 60, 15, 15, 10) };

	if (requirement.op == MODEL_NOT_IN && !maker->wish->tiers)
		word = words;
	requirement.key = text(maker->pool, "%s", word->key);
	if (requirement.op == MODEL_IN || requirement.op == MODEL_NOT_IN)
		add_values(maker, word, &requirement);
	return requirement;
}

static struct model_selector random_selector(struct maker *maker, const struct word *words)
{
	struct model_selector selector = { .n = PICK(maker->dice, 35, 50, 15) };

	selector.requirements = take(maker->pool, selector.n, sizeof(*selector.requirements));
	for (size_t i = 0; i < selector.n; i++)
		selector.requirements[i] = random_requirement(maker, words);
	return selector;
}

static struct model_selector *new_selector(struct maker *maker, const struct word *words)
{
	struct model_selector *selector = take(maker->pool, 1, sizeof(*selector));

	*selector = random_selector(maker, words);
	return selector;
}

/* Whether a name is a letter, or a hyphen, and this number. */
static bool is_numbered(const char *name, size_t number)
{
	return strtoul(name + 1, NULL, 10) == number;
}

/* ---- rules ---------------------------------------------------------------------- */

static void make_network_peer(struct maker *maker, struct model_peer *peer)
{
	peer->kind = MODEL_PEER_NETWORK;
	peer->network = random_cidr(maker);
	if (peer->network.bits == 128)
		return;
	peer->n_excepts = PICK(maker->dice, 50, 30, 20);
	peer->excepts = take(maker->pool, peer->n_excepts, sizeof(*peer->excepts));
	for (size_t i = 0; i < peer->n_excepts; i++)
		peer->excepts[i] = random_part(maker, &peer->network);
}

static void make_peer(struct maker *maker, const struct model_policy *policy,
		      struct model_peer *peer)
{
	if (maker->wish->tiers && chance(maker->dice, 10)) {
		peer->kind = MODEL_PEER_RESERVED;
		peer->identity = roll(maker->dice, SST_IDENTITY_RESERVED);
	} else if (chance(maker->dice, 35)) {
		make_network_peer(maker, peer);
	} else {
		peer->kind = MODEL_PEER_WORKLOADS;
		peer->workloads = random_selector(maker, workload_words);
		if (policy->tier != SST_TIER_NETWORK || chance(maker->dice, 60))
			peer->namespaces = new_selector(maker, namespace_words);
	}
}

static void make_peers(struct maker *maker, const struct model_policy *policy,
		       struct model_rule *rule)
{
	rule->any_peer = chance(maker->dice, 12);
	if (rule->any_peer)
		return;
	rule->n_peers = 1 + PICK(maker->dice, 45, 35, 20);
	rule->peers = take(maker->pool, rule->n_peers, sizeof(*rule->peers));
	for (size_t i = 0; i < rule->n_peers; i++)
		make_peer(maker, policy, &rule->peers[i]);
}

static void make_port(struct maker *maker, const struct model_policy *policy,
		      struct model_port_match *port)
{
	struct dice *dice = maker->dice;
	uint16_t other = random_port(dice);

	port->protocol = random_protocol(dice);
	port->first = port->last = random_port(dice);
	switch (PICK(dice, 35, 25, 30, 10)) {
	case 1:
		port->first = port->first < other ? port->first : other;
		port->last = port->last > other ? port->last : other;
		break;
	case 2:
		port->first = port->last = 0;
		port->name = text(maker->pool, "%s",
				  chance(dice, 5) ? "nobodys" : ONE_OF(dice, port_names).name);
		/* as the cluster's tiers say it: a name alone, whatever its protocol */
		if (policy->tier != SST_TIER_NETWORK && chance(dice, 50))
			port->protocol = 0;
		break;
	case 3:
		port->first = 0;
		port->last = 65535;
	}
}

static enum sst_action random_action(struct dice *dice, enum sst_tier tier)
{
	switch (tier) {
	case SST_TIER_ADMIN:
		return PICK(dice, 30, 40, 30);
	case SST_TIER_BASELINE:
		return PICK(dice, 50, 50);
	default:
		return SST_ACTION_ALLOW;
	}
}

static void make_rule(struct maker *maker, const struct model_policy *policy,
		      struct model_rule *rule)
{
	rule->action = random_action(maker->dice, policy->tier);
	rule->shadow = policy->shadow || (maker->wish->tiers && chance(maker->dice, 10));
	make_peers(maker, policy, rule);
	rule->n_ports = PICK(maker->dice, 30, 35, 25, 10);
	rule->ports = take(maker->pool, rule->n_ports, sizeof(*rule->ports));
	for (size_t i = 0; i < rule->n_ports; i++)
		make_port(maker, policy, &rule->ports[i]);
}

/* ---- policies ------------------------------------------------------------------- */

/* Which directions it has a say in: no rule is made of the others, see cyclonus.h. */
static void choose_directions(struct maker *maker, bool ret[SST_DIRECTIONS])
{
	switch (PICK(maker->dice, 35, 30, 35)) {
	case 0:
		ret[SST_INGRESS] = true;
		break;
	case 1:
		ret[SST_EGRESS] = true;
		break;
	default:
		ret[SST_INGRESS] = ret[SST_EGRESS] = true;
	}
}

static void make_rules(struct maker *maker, const bool directions[], struct model_policy *policy)
{
	enum { PER_DIRECTION = 3 };

	policy->rules = take(maker->pool, PER_DIRECTION * SST_DIRECTIONS, sizeof(*policy->rules));
	for (int i = 0; i < SST_DIRECTIONS; i++) {
		size_t n = directions[i] ? PICK(maker->dice, 15, 40, 25, 20) : 0;

		while (n--) {
			struct model_rule *rule = &policy->rules[policy->n_rules++];

			rule->direction = i;
			make_rule(maker, policy, rule);
			if (chance(maker->dice, 30))
				rule->name = text(maker->pool, "rule-%zu", policy->n_rules);
		}
	}
}

/* There is none, or nobody of it has such a label. */
static struct model_selector nobodys_selector(struct maker *maker)
{
	struct model_selector selector = { .n = 1 };

	selector.requirements = take(maker->pool, 1, sizeof(*selector.requirements));
	selector.requirements[0] = (struct model_requirement){
		.key = text(maker->pool, "nobodys"),
		.op = MODEL_EXISTS,
	};
	return selector;
}

static void choose_subject(struct maker *maker, struct model_policy *policy)
{
	struct dice *dice = maker->dice;

	if (maker->wish->n_policies && !chance(dice, 1))
		policy->subject = nobodys_selector(maker);
	else if (chance(dice, 60))
		policy->subject = random_selector(maker, workload_words);
	if (policy->tier == SST_TIER_NETWORK) {
		policy->name_space = text(maker->pool, "%s", random_namespace(dice));
		return;
	}
	policy->name_space = text(maker->pool, "%s", "");
	policy->priority = roll(dice, 4); /* equal ones, too */
	policy->subject_namespaces = new_selector(maker, namespace_words);
}

/* Not in the order in which they are made; now and then that of the policy before, if that is
 * of another tier or namespace. */
static void choose_policy_name(struct maker *maker, struct model_policy *policy, size_t number)
{
	const struct model_policy *before = number ? policy - 1 : NULL;

	if (before && chance(maker->dice, 20) && is_numbered(before->name + 1, number - 1) &&
	    (policy->tier != before->tier || strcmp(policy->name_space, before->name_space) != 0))
		policy->name = text(maker->pool, "%s", before->name);
	else
		policy->name = text(maker->pool, "%c-%zu", 'a' + roll(maker->dice, 10), number);
}

static void make_policy(struct maker *maker, size_t number, struct model_policy *policy)
{
	bool directions[SST_DIRECTIONS] = { 0 };

	policy->tier = SST_TIER_NETWORK;
	if (maker->wish->tiers)
		policy->tier =
			(enum sst_tier[]){ SST_TIER_NETWORK, SST_TIER_ADMIN,
					   SST_TIER_BASELINE }[PICK(maker->dice, 40, 35, 25)];
	policy->shadow = maker->wish->tiers && chance(maker->dice, 12);
	choose_subject(maker, policy);
	choose_policy_name(maker, policy, number);
	choose_directions(maker, directions);
	if (policy->tier == SST_TIER_NETWORK)
		memcpy(policy->isolates, directions, sizeof(directions));
	make_rules(maker, directions, policy);
}

/* ---- workloads ------------------------------------------------------------------ */

static void make_addresses(struct maker *maker, size_t n, struct model_workload *workload)
{
	workload->addresses = take(maker->pool, n, sizeof(*workload->addresses));
	while (n) {
		struct sst_addr address = invented_address(maker->dice);
		uint8_t bits = 128 - (chance(maker->dice, 85) ? 0 : 1 + roll(maker->dice, 3));
		struct model_cidr cidr = make_cidr(&address, bits);

		if (!take_cidr(maker, &cidr))
			continue;
		workload->addresses[workload->n_addresses++] = cidr;
		n--;
	}
}

static void make_named_ports(struct maker *maker, struct model_workload *workload)
{
	workload->ports = take(maker->pool, ARRAY_SIZE(port_names), sizeof(*workload->ports));
	for (size_t i = 0; i < ARRAY_SIZE(port_names); i++)
		if (chance(maker->dice, 45))
			workload->ports[workload->n_ports++] = (struct model_named_port){
				.name = text(maker->pool, "%s", port_names[i].name),
				.port = ONE_OF(maker->dice, port_names[i].numbers),
				.protocol = port_names[i].protocol,
			};
}

/* Its number's; now and then that of the workload before, if that is of another namespace. */
static void choose_workload_name(struct maker *maker, struct model_workload *workload,
				 size_t number)
{
	const struct model_workload *before = number ? workload - 1 : NULL;
	bool same = before && !maker->wish->addresses && chance(maker->dice, 20) &&
		    is_numbered(before->name, number - 1) &&
		    strcmp(before->name_space, workload->name_space) != 0;

	workload->name = text(maker->pool, "w%zu", same ? number - 1 : number);
}

static void make_workload(struct maker *maker, size_t number, struct model_workload *workload)
{
	const struct cluster_wish *wish = maker->wish;

	workload->name_space = text(maker->pool, "%s", random_namespace(maker->dice));
	choose_workload_name(maker, workload, number);
	workload->labels = random_labels(maker, workload_words);
	make_named_ports(maker, workload);
	workload->remote = !wish->addresses && chance(maker->dice, 20);
	if (!workload->remote)
		workload->cgroup = text(maker->pool, "%s/w%zu", wish->cgroup ?: "", number);
	if (wish->addresses) {
		workload->n_addresses = 1;
		workload->addresses = take(maker->pool, 1, sizeof(*workload->addresses));
		workload->addresses[0] = make_cidr(&wish->addresses[number], 128);
		return;
	}
	make_addresses(maker,
		       workload->remote || !wish->tiers ? 1 + PICK(maker->dice, 60, 40)
							: PICK(maker->dice, 25, 50, 25),
		       workload);
}

/* ---- all of it ------------------------------------------------------------------ */

static void make_namespaces(struct maker *maker, struct model *model)
{
	model->n_namespaces = ARRAY_SIZE(namespaces);
	model->namespaces = take(maker->pool, model->n_namespaces, sizeof(*model->namespaces));
	for (size_t i = 0; i < model->n_namespaces; i++) {
		struct model_namespace *name_space = &model->namespaces[i];

		name_space->name = text(maker->pool, "%s", namespaces[i]);
		name_space->labels = random_labels(maker, namespace_words);
		name_space->labels.items[0].value = name_space->name;
	}
}

/* Whatever is no workload, and has addresses. */
static void make_surroundings(struct maker *maker, struct cluster *cluster)
{
	struct model_policy_settings *settings = &cluster->model.node.policy;
	size_t n = roll(maker->dice, 3);

	settings->nodes = take(maker->pool, n, sizeof(*settings->nodes));
	while (n--) {
		struct model_cidr cidr = random_cidr(maker);

		if (cidr.bits && cidr.bits != 96 && take_cidr(maker, &cidr))
			settings->nodes[settings->n_nodes++] = cidr;
	}
	n = roll(maker->dice, 3);
	cluster->host.addresses = take(maker->pool, n, sizeof(*cluster->host.addresses));
	while (n--) {
		struct sst_addr address = invented_address(maker->dice);
		struct model_cidr cidr = make_cidr(&address, 128);

		if (take_cidr(maker, &cidr))
			cluster->host.addresses[cluster->host.n_addresses++] = address;
	}
}

static void make_settings(struct maker *maker, struct model_policy_settings *settings)
{
	settings->default_deny = chance(maker->dice, 25);
	settings->host = PICK(maker->dice, 50, 25, 25);
	settings->revoke = true;
	if (settings->host == MODEL_HOST_PROBES || chance(maker->dice, 30))
		settings->probes_cgroup = text(maker->pool, "%s/probes", maker->wish->cgroup ?: "");
}

enum { TAKEN_MAX = 256 };

void cluster_make(const struct cluster_wish *wish, struct dice *dice, struct cluster *ret)
{
	struct model *model = &ret->model;
	struct maker maker = { wish, dice, &ret->pool, ret };

	memset(ret, 0, sizeof(*ret));
	maker.taken = take(&ret->pool, TAKEN_MAX, sizeof(*maker.taken));
	model->source = text(&ret->pool, "cluster.yaml");
	model->node.splice = SST_SPLICE_AUTO;
	model->node.policy.revoke = true;
	if (wish->tiers) {
		make_settings(&maker, &model->node.policy);
		if (!wish->addresses)
			make_surroundings(&maker, ret);
	}
	make_namespaces(&maker, model);
	model->n_workloads = wish->n_workloads ?: 2 + roll(dice, 9);
	model->workloads = take(&ret->pool, model->n_workloads, sizeof(*model->workloads));
	for (size_t i = 0; i < model->n_workloads; i++)
		make_workload(&maker, i, &model->workloads[i]);
	model->n_policies = wish->n_policies;
	if (!model->n_policies)
		model->n_policies = chance(dice, 5) ? 0 : 3 + roll(dice, 20);
	model->policies = take(&ret->pool, model->n_policies, sizeof(*model->policies));
	for (size_t i = 0; i < model->n_policies; i++)
		make_policy(&maker, i, &model->policies[i]);
}

/* ---- questions ------------------------------------------------------------------ */

static struct actor random_workload(const struct cluster *cluster, struct dice *dice)
{
	return (struct actor){ .workload = roll(dice, cluster->model.n_workloads) };
}

static struct actor random_reserved(struct dice *dice)
{
	return (struct actor){ .workload = NOBODY, .identity = roll(dice, SST_IDENTITY_RESERVED) };
}

/* One of those that a workload has; false: it has none. */
static bool own_address(const struct cluster *cluster, size_t number, struct dice *dice,
			struct sst_addr *ret)
{
	const struct model_workload *workload = &cluster->model.workloads[number];
	struct sst_addr tail = invented_address(dice);
	const struct model_cidr *cidr;

	if (!workload->n_addresses)
		return false;
	cidr = &workload->addresses[roll(dice, workload->n_addresses)];
	*ret = with_tail(&cidr->address, cidr->bits, &tail);
	return true;
}

static void choose_address(const struct cluster_wish *wish, const struct cluster *cluster,
			   struct dice *dice, struct query *query)
{
	query->by_address = query->has_address = true;
	if (chance(dice, 75) &&
	    own_address(cluster, random_workload(cluster, dice).workload, dice, &query->address))
		return;
	query->address = random_address(wish, dice);
}

/* Known by cgroup: the address may be its own, loopback's or not be known at all. */
static void choose_known(const struct cluster *cluster, struct dice *dice, struct query *query)
{
	query->peer = chance(dice, 80) ? random_workload(cluster, dice) : random_reserved(dice);
	switch (PICK(dice, 50, 25, 25)) {
	case 0:
		if (query->peer.workload != NOBODY)
			query->has_address =
				own_address(cluster, query->peer.workload, dice, &query->address);
		break;
	case 1:
		query->has_address = true;
		query->address = parse(chance(dice, 50) ? "127.0.0.1" : "::1");
	}
}

void query_make(const struct cluster_wish *wish, const struct cluster *cluster, struct dice *dice,
		struct query *ret)
{
	*ret = (struct query){
		.direction = roll(dice, SST_DIRECTIONS),
		.subject = random_workload(cluster, dice),
		.port = random_port(dice),
		.protocol = random_protocol(dice),
	};
	if (wish->tiers && chance(dice, 3))
		ret->subject = random_reserved(dice);
	if (wish->tiers && chance(dice, 50))
		choose_known(cluster, dice, ret);
	else
		choose_address(wish, cluster, dice, ret);
}
