/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy sets that no compiler has made. The input are changes to a sound one, struct change
 * each; or, after a first byte of 255, a whole set.
 * Whatever is adopted can be asked, explained, compared and followed by another set.
 */
#include "fuzz.h"

#include "policy/diff.h"
#include "policy/explain.h"
#include "policy/reach.h"

#define RAW       255
#define WORDS_MAX (1 << 16) /* of rows that reach looks at */

/* Something in each table of the set. */
static const char yaml[] =
	"node: {policy: {default: deny, probes: /probes, nodes: [192.0.2.0/24]}}\n"
	"workloads:\n"
	"  - { name: web, namespace: shop, labels: {app: web}, addresses: [10.1.0.2] }\n"
	"  - { name: db, namespace: shop, labels: {app: db}, cgroup: /db.slice,\n"
	"      addresses: [10.1.0.7, fd00::/64], ports: {pg: 5432} }\n"
	"  - { name: far, namespace: other, labels: {app: web}, cgroup-id: 7 }\n"
	"  - { name: away, addresses: [10.1.0.9], remote: true }\n"
	"policies:\n"
	"  - name: db\n"
	"    namespace: shop\n"
	"    subject: {app: db}\n"
	"    isolate: [ingress, egress]\n"
	"    ingress:\n"
	"      - { name: web, from: [{labels: {app: web}}], ports: [pg, 8000-8010] }\n"
	"      - { from: [{network: 10.0.0.0/8, except: [10.1.0.0/16]}], mode: shadow }\n"
	"    egress: [{ports: [{port: 53, protocol: UDP}]}]\n"
	"  - name: guard\n"
	"    tier: admin\n"
	"    priority: 10\n"
	"    subject: {}\n"
	"    ingress: [{from: [{identity: world}], ports: [443], action: pass},\n"
	"              {from: [{identity: nodes}], action: deny}]\n";

/* Of the sound one, in words; most of the set is empty rows, so that few changes go there. */
struct table {
	uint32_t first;
	uint32_t n;
};

struct change {
	uint8_t table; /* number, of those below */
	uint8_t unused;
	uint16_t word;
	uint32_t value;
};

static struct model *model;
static struct policy_set base;
static struct policy_ids ids;
static struct table tables[9];

#define TABLE(block, n, type)                                                            \
	{                                                                                \
		(block) * (SST_BLOCK_BYTES / 4), (n) * (sizeof(type) / sizeof(uint32_t)) \
	}

static void find_tables(void)
{
	const struct sst_policy_head *head = policy_head(&base);
	const struct sst_policy_direction *in = &head->direction[SST_INGRESS],
					  *out = &head->direction[SST_EGRESS];
	const struct table found[ARRAY_SIZE(tables)] = {
		{ 0, offsetof(struct sst_policy_head, reserved) / sizeof(uint32_t) },
		TABLE(head->identities, head->n_identities, struct sst_policy_identity),
		TABLE(head->workloads, head->n_workloads, struct sst_policy_workload),
		TABLE(head->infos, head->n_infos, struct sst_policy_info),
		TABLE(head->intervals, head->n_intervals, struct sst_policy_interval),
		TABLE(head->keys, head->key_mask + 1, struct sst_policy_key),
		TABLE(in->rules, in->n_rules, struct sst_policy_rule),
		TABLE(out->rules, out->n_rules, struct sst_policy_rule),
		{ 0, size_of(&base) / sizeof(uint32_t) },
	};

	memcpy(tables, found, sizeof(tables));
}

/* Empty when there are no ids left. */
static struct policy_set compile_after(const struct policy_set *before, struct policy_ids *next)
{
	static const struct policy_host host = { .netns = 1 };
	_cleanup_problems_ struct problems problems = {};
	struct policy_set set = {};
	int r = policy_compile(model, &host, before, next, &problems, &set);

	assert(!r || r == -E2BIG);
	check_told(r, &problems);
	return set;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const struct policy_set none;

	(void)argc;
	(void)argv;
	model = load_model(yaml);
	base = compile_after(&none, &ids);
	find_tables();
	return 0;
}

static struct policy_set change(const uint8_t *data, size_t size)
{
	_cleanup_free_ uint32_t *words = malloc(size_of(&base));
	struct change change;

	assert(words);
	memcpy(words, base.memory.base, size_of(&base));
	for (; size >= sizeof(change); data += sizeof(change), size -= sizeof(change)) {
		const struct table *table;

		memcpy(&change, data, sizeof(change));
		table = &tables[change.table % ARRAY_SIZE(tables)];
		words[table->first + change.word % table->n] = change.value;
	}
	return adopt(words, size_of(&base));
}

/* ---- what reads sets --------------------------------------------------------------------- */

static void explain(const struct policy_set *set, const char *source, const char *destination,
		    const char *port)
{
	static const struct state state;
	const struct explain_question question = { source, destination, port };
	_cleanup_problems_ struct problems problems = {};
	_cleanup_explain_ struct explain answer = {};

	check_told(policy_explain(set, &state, &question, &problems, &answer) ? -EINVAL : 0,
		   &problems);
}

static void explain_any(const struct policy_set *set, struct dice *dice)
{
	static const char *const names[] = { "shop/db", "app=web", "10.1.0.7", "far", "nodes" };
	const char *source = names[throw_below(dice, ARRAY_SIZE(names))];
	const char *destination = names[throw_below(dice, ARRAY_SIZE(names))];

	explain(set, source, destination, throw_below(dice, 2) ? "443" : "pg");
}

static void compare(const struct policy_set *before, const struct policy_set *after)
{
	_cleanup_policy_diff_ struct policy_diff diff = {};
	int r = policy_diff(&(struct judge){ before, true }, &(struct judge){ after }, &diff);

	assert(!r || r == -E2BIG);
}

static void reach(const struct policy_set *set)
{
	_cleanup_free_ struct reach *reached = NULL;
	int r = policy_reach(set, WORDS_MAX, &reached);

	assert(!r || r == -E2BIG);
}

/* What comes after it is as sound as ever, and does not depend on how that came. */
static void follow(const struct policy_set *before)
{
	struct policy_ids next = ids, then;
	_cleanup_policy_set_ struct policy_set after = compile_after(before, &next);
	_cleanup_policy_set_ struct policy_set copy = adopt(after.memory.base, size_of(&after));
	_cleanup_policy_set_ struct policy_set again = {};

	assert(policy_sets_are_equal(&after, &copy));
	if (policy_set_is_empty(&after))
		return;
	then = next;
	again = compile_after(&after, &then);
	assert(policy_sets_are_equal(&after, &again));
	assert(!memcmp(&next, &then, sizeof(next)));
}

/* What takes longer than a question does not befall every input. */
static void read_whole(const struct policy_set *set, struct dice *dice)
{
	switch (throw_below(dice, 64)) {
	case 0:
		compare(&base, set);
		break;
	case 1:
		compare(set, &base);
		break;
	case 2:
		reach(set);
		break;
	case 3 ... 9:
		follow(set);
		break;
	case 10 ... 16:
		explain_any(set, dice);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_policy_set_ struct policy_set set =
		size && *data == RAW ? adopt(data + 1, size - 1) : change(data, size);
	struct dice dice = dice_of(data, size);

	if (policy_set_is_empty(&set))
		return 0;
	ask_all(&set, &dice);
	read_whole(&set, &dice);
	return 0;
}
