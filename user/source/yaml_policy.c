/* SPDX-License-Identifier: Apache-2.0 */
/* The schema of `policies`: whom they are for, their rules, peers and ports. */
#include <string.h>

#include "model/names.h"
#include "model/words.h"
#include "source/yaml.h"
#include "source/yaml_schema.h"

#define PRIORITY_MAX 1000

static const struct tree_key policy_keys[] = {
	{ "name" },    { "namespace" }, { "tier" },    { "priority" }, { "mode" },
	{ "subject" }, { "isolate" },   { "ingress" }, { "egress" },   { NULL },
};

static const struct tree_word tier_words[] = {
	{ "admin", SST_TIER_ADMIN },
	{ "network", SST_TIER_NETWORK },
	{ "baseline", SST_TIER_BASELINE },
	{ NULL },
};

static const struct tree_word direction_words[] = {
	{ "ingress", SST_INGRESS },
	{ "egress", SST_EGRESS },
	{ NULL },
};

static const struct tree_word mode_words[] = { { "enforce", false }, { "shadow", true }, { NULL } };

/* ---- selectors ------------------------------------------------------------------- */

static const struct tree_key selector_keys[] = { { "labels" }, { "expressions" }, { NULL } };

/* Is it {labels: {app: db}} rather than {app: db}? */
static bool is_long(struct tree *tree, const yaml_node_t *node)
{
	return tree_get(tree, node, "labels") || tree_get(tree, node, "expressions") ||
	       tree_get(tree, node, "namespaces");
}

static void read_requirements(struct tree *tree, const yaml_node_t *node,
			      struct model_selector *selector)
{
	selector->place = tree_place(tree, node);
	yaml_read_match_labels(tree, tree_get(tree, node, "labels"), selector);
	yaml_read_expressions(tree, tree_get(tree, node, "expressions"), selector);
}

/* Of namespaces; without node it selects all of them. */
static struct model_selector *read_namespaces(struct tree *tree, const yaml_node_t *node)
{
	struct model_selector *selector = tree_array(tree, 1, sizeof(*selector));

	if (!selector || !node)
		return selector;
	if (!is_long(tree, node)) {
		selector->place = tree_place(tree, node);
		yaml_read_match_labels(tree, node, selector);
	} else if (tree_mapping(tree, node, "a selector", selector_keys)) {
		read_requirements(tree, node, selector);
	}
	return selector;
}

static void read_subject(struct tree *tree, const yaml_node_t *node, struct model_policy *policy)
{
	static const struct tree_key keys[] = {
		{ "labels" }, { "expressions" }, { "namespaces" }, { NULL }
	};
	const yaml_node_t *namespaces = tree_get(tree, node, "namespaces");

	if (policy->tier != SST_TIER_NETWORK)
		policy->subject_namespaces = read_namespaces(tree, namespaces);
	else if (namespaces)
		tree_complain(tree, namespaces,
			      "found 'namespaces' in the subject of a policy of the network tier, "
			      "which is for its own namespace");
	if (!node)
		return;
	policy->subject.place = tree_place(tree, node);
	if (!is_long(tree, node))
		yaml_read_match_labels(tree, node, &policy->subject);
	else if (tree_mapping(tree, node, "a subject", keys))
		read_requirements(tree, node, &policy->subject);
}

/* ---- peers ----------------------------------------------------------------------- */

static void read_network(struct tree *tree, const yaml_node_t *node, struct model_peer *peer)
{
	static const struct tree_key keys[] = { { "network" }, { "except" }, { NULL } };

	peer->kind = MODEL_PEER_NETWORK;
	if (!tree_mapping(tree, node, "a peer with 'network'", keys))
		return;
	peer->network = yaml_read_cidr(tree, tree_get(tree, node, "network"));
	peer->excepts = yaml_read_cidrs(tree, tree_get(tree, node, "except"), "networks",
					YAML_ENTRIES_MAX, &peer->n_excepts);
}

static void read_reserved(struct tree *tree, const yaml_node_t *node, struct model_peer *peer)
{
	static const struct tree_key keys[] = { { "identity" }, { NULL } };
	static const struct tree_word words[] = {
		{ "world", SST_IDENTITY_WORLD },     { "host", SST_IDENTITY_HOST },
		{ "nodes", SST_IDENTITY_NODES },     { "probes", SST_IDENTITY_PROBES },
		{ "unknown", SST_IDENTITY_UNKNOWN }, { NULL },
	};

	peer->kind = MODEL_PEER_RESERVED;
	if (!tree_mapping(tree, node, "a peer with 'identity'", keys))
		return;
	peer->identity =
		tree_word(tree, tree_get(tree, node, "identity"), words, SST_IDENTITY_UNKNOWN);
}

/* A subject's short form, {app: db}, which a peer does not have. */
static bool is_short(struct tree *tree, const yaml_node_t *node)
{
	yaml_node_t *key, *value;

	if (node->type != YAML_MAPPING_NODE || !tree_pairs(node) || is_long(tree, node) ||
	    tree_get(tree, node, "except"))
		return false;
	tree_pair(tree, node, 0, &key, &value);
	return value->type == YAML_SCALAR_NODE;
}

static void read_workloads(struct tree *tree, const yaml_node_t *node, enum sst_tier tier,
			   struct model_peer *peer)
{
	static const struct tree_key keys[] = {
		{ "labels" },
		{ "expressions" },
		{ "namespaces" },
		{ "network" },
		{ "except", "found 'except' without 'network', expected both" },
		{ "identity" },
		{ NULL },
	};
	const yaml_node_t *namespaces = tree_get(tree, node, "namespaces");

	peer->kind = MODEL_PEER_WORKLOADS;
	if (is_short(tree, node)) {
		tree_complain(tree, node,
			      "found a peer without 'labels', 'expressions', 'namespaces', "
			      "'network' and 'identity', expected one of them, like "
			      "{ labels: { app: web } }");
		return;
	}
	if (!tree_mapping(tree, node, "a peer", keys))
		return;
	if (!tree_pairs(node))
		tree_complain(tree, node,
			      "found an empty peer, expected 'labels: {}' if all "
			      "workloads are meant");
	if (namespaces || tier != SST_TIER_NETWORK)
		peer->namespaces = read_namespaces(tree, namespaces);
	read_requirements(tree, node, &peer->workloads);
}

static void read_peers(struct tree *tree, yaml_node_t *list, const char *key, enum sst_tier tier,
		       struct model_rule *rule)
{
	size_t n = 0;

	rule->any_peer = !list;
	if (!tree_list(tree, list, "peers"))
		return;
	if (tree_count(list))
		n = yaml_count(tree, list, "peers", YAML_ENTRIES_MAX);
	else
		tree_complain(tree, list,
			      "found an empty list, which is everybody to Kubernetes and nobody to "
			      "most readers, expected peers, or no '%s' for everybody",
			      key);
	rule->peers = tree_array(tree, n, sizeof(*rule->peers));
	rule->n_peers = rule->peers ? n : 0;
	for (size_t i = 0; i < rule->n_peers; i++) {
		const yaml_node_t *node = tree_item(tree, list, i);
		struct model_peer *peer = &rule->peers[i];

		peer->place = tree_place(tree, node);
		if (tree_get(tree, node, "network"))
			read_network(tree, node, peer);
		else if (tree_get(tree, node, "identity"))
			read_reserved(tree, node, peer);
		else
			read_workloads(tree, node, tier, peer);
	}
}

/* ---- ports ----------------------------------------------------------------------- */

#define DIGITS_AND_HYPHEN "0123456789-"

/* "5432" or "8000-8010" */
static void read_range(struct tree *tree, const yaml_node_t *node, const char *text,
		       struct model_port_match *match)
{
	bool valid = yaml_parse_port(&text, &match->first);

	match->last = match->first;
	if (valid && *text == '-') {
		text++;
		valid = yaml_parse_port(&text, &match->last);
	}
	if (!valid || *text)
		tree_expected(tree, node,
			      "a port from 1 to 65535, or a range of them like 8000-8010");
	else if (match->first > match->last)
		tree_expected(tree, node, "a range that does not end before it begins");
}

static void read_number_or_name(struct tree *tree, const yaml_node_t *node,
				struct model_port_match *match)
{
	const char *text = tree_text(tree, node, "a port, a range of ports or a port's name");

	match->last = 0;
	if (!text)
		return;
	if (!text[strspn(text, DIGITS_AND_HYPHEN)])
		read_range(tree, node, text, match);
	else if (strchr(text, '/'))
		tree_expected(tree, node, "{ port: 53, protocol: UDP } for a port of a protocol");
	else
		match->name = yaml_read_port_name(tree, node);
}

static void read_port_match(struct tree *tree, const yaml_node_t *node,
			    struct model_port_match *match)
{
	static const struct tree_key keys[] = { { "port" }, { "protocol" }, { NULL } };
	const yaml_node_t *port = node, *protocol = NULL;

	match->place = tree_place(tree, node);
	match->last = UINT16_MAX;
	if (node->type == YAML_MAPPING_NODE) {
		tree_mapping(tree, node, "a rule's port", keys);
		port = tree_get(tree, node, "port");
		protocol = tree_get(tree, node, "protocol");
		if (!port && !protocol)
			tree_complain(tree, node,
				      "found a rule's port without 'port' and 'protocol', "
				      "expected one of them");
	}
	match->protocol = yaml_read_protocol(tree, protocol);
	if (port)
		read_number_or_name(tree, port, match);
}

static void read_ports(struct tree *tree, yaml_node_t *list, struct model_rule *rule)
{
	size_t n = 0;

	if (!tree_list(tree, list, "ports"))
		return;
	if (tree_count(list))
		n = yaml_count(tree, list, "ports", YAML_ENTRIES_MAX);
	else
		tree_complain(tree, list,
			      "found an empty list, which is every port to Kubernetes and none to "
			      "most readers, expected ports, or no 'ports' for every port");
	rule->ports = tree_array(tree, n, sizeof(*rule->ports));
	rule->n_ports = rule->ports ? n : 0;
	for (size_t i = 0; i < rule->n_ports; i++)
		read_port_match(tree, tree_item(tree, list, i), &rule->ports[i]);
}

/* ---- rules ----------------------------------------------------------------------- */

/* It denies by selecting, and only that. */
static enum sst_action read_network_action(struct tree *tree, const yaml_node_t *node)
{
	const char *text = tree_text(tree, node, "allow");

	if (text && strcmp(text, "allow"))
		tree_expected(tree, node,
			      "allow: this tier denies what none of its rules allows; rules that "
			      "deny are of tier admin or baseline");
	return SST_ACTION_ALLOW;
}

static enum sst_action read_action(struct tree *tree, const yaml_node_t *node, enum sst_tier tier)
{
	static const struct tree_word admin[] = {
		{ "allow", SST_ACTION_ALLOW },
		{ "deny", SST_ACTION_DENY },
		{ "pass", SST_ACTION_PASS },
		{ NULL },
	};
	static const struct tree_word baseline[] = {
		{ "allow", SST_ACTION_ALLOW },
		{ "deny", SST_ACTION_DENY },
		{ NULL },
	};

	switch (tier) {
	case SST_TIER_ADMIN:
		return tree_word(tree, node, admin, SST_ACTION_ALLOW);
	case SST_TIER_BASELINE:
		return tree_word(tree, node, baseline, SST_ACTION_ALLOW);
	default:
		return read_network_action(tree, node);
	}
}

/* A rule cannot leave the shadow that its policy is in. */
static bool read_mode(struct tree *tree, const yaml_node_t *node, bool shadow)
{
	bool mode = tree_word(tree, node, mode_words, shadow);

	if (shadow && !mode)
		tree_complain(tree, node,
			      "found 'enforce' in a rule of a policy in shadow, expected shadow");
	return mode;
}

static void read_rule(struct tree *tree, const yaml_node_t *node, enum sst_direction direction,
		      const struct model_policy *policy, struct model_rule *rule)
{
	static const struct {
		const char *what;
		const char *peers;
		struct tree_key keys[6];
	} kinds[] = {
		[SST_INGRESS] = { "an ingress rule",
				  "from",
				  { { "name" },
				    { "from" },
				    { "ports" },
				    { "action" },
				    { "mode" } } },
		[SST_EGRESS] = { "an egress rule",
				 "to",
				 { { "name" }, { "to" }, { "ports" }, { "action" }, { "mode" } } },
	};
	const char *peers = kinds[direction].peers;

	rule->place = tree_place(tree, node);
	rule->direction = direction;
	if (!tree_mapping(tree, node, kinds[direction].what, kinds[direction].keys))
		return;
	rule->name =
		tree_name(tree, tree_get(tree, node, "name"), "a rule name", 1, SST_NAME_MAX - 1);
	read_peers(tree, tree_get(tree, node, peers), peers, policy->tier, rule);
	read_ports(tree, tree_get(tree, node, "ports"), rule);
	rule->action = read_action(tree, tree_get(tree, node, "action"), policy->tier);
	rule->shadow = read_mode(tree, tree_get(tree, node, "mode"), policy->shadow);
}

/* Adds the rules of one direction. */
static void read_rules(struct tree *tree, yaml_node_t *list, enum sst_direction direction,
		       struct model_policy *policy)
{
	size_t n = 0;

	/* none at all is what denies everything */
	if (tree_list(tree, list, "rules") && tree_count(list))
		n = yaml_count(tree, list, "rules", YAML_ENTRIES_MAX);
	policy->rules = yaml_grow(tree, policy->rules, policy->n_rules, n, sizeof(*policy->rules));
	for (size_t i = 0; !tree->no_memory && i < n; i++) {
		struct model_rule *rule = &policy->rules[policy->n_rules++];

		*rule = (struct model_rule){ 0 };
		read_rule(tree, tree_item(tree, list, i), direction, policy, rule);
	}
}

/* ---- policies -------------------------------------------------------------------- */

/* instead: how what was meant is said there */
static void refuse_key(struct tree *tree, const yaml_node_t *policy, const char *key,
		       enum sst_tier tier, const char *instead)
{
	const yaml_node_t *node = tree_get(tree, policy, key);

	if (node)
		tree_complain(tree, node,
			      "found '%s' in a policy of the %s tier, expected none: %s", key,
			      tier_name(tier), instead);
}

/* What a policy is told by, and when it is asked. */
static void read_order(struct tree *tree, const yaml_node_t *node, struct model_policy *policy)
{
	const yaml_node_t *priority = tree_get(tree, node, "priority");

	if (policy->tier == SST_TIER_NETWORK) {
		policy->name_space = yaml_read_namespace(tree, tree_get(tree, node, "namespace"));
		refuse_key(tree, node, "priority", policy->tier,
			   "what any policy of this tier allows is allowed");
		return;
	}
	policy->name_space = tree_copy(tree, "");
	refuse_key(tree, node, "namespace", policy->tier,
		   "'namespaces' of its subject select them");
	if (policy->tier == SST_TIER_ADMIN)
		priority = tree_need(tree, node, "a policy of the admin tier", "priority");
	policy->priority = tree_number(tree, priority, "a priority", 0, PRIORITY_MAX, 0);
}

/* A direction with rules that isolates nobody would allow what nothing denies. */
static void read_isolate(struct tree *tree, yaml_node_t *list, const yaml_node_t *policy,
			 bool isolates[SST_DIRECTIONS])
{
	size_t n = 0;

	if (tree_list(tree, list, "directions"))
		n = yaml_count(tree, list, "directions", SST_DIRECTIONS);
	for (size_t i = 0; i < n; i++)
		isolates[tree_word(tree, tree_item(tree, list, i), direction_words, SST_INGRESS)] =
			true;
	for (const struct tree_word *word = direction_words; n && word->text; word++) {
		const yaml_node_t *rules = tree_get(tree, policy, word->text);

		if (rules && !isolates[word->value])
			tree_complain(tree, rules,
				      "found '%s' in a policy whose 'isolate' leaves it out, "
				      "expected it there, too",
				      word->text);
	}
}

/* Both directions: what they isolate, and their rules. */
static void read_directions(struct tree *tree, const yaml_node_t *node, struct model_policy *policy)
{
	yaml_node_t *isolate = tree_get(tree, node, "isolate");
	bool network = policy->tier == SST_TIER_NETWORK, any = isolate && network;

	if (!network)
		refuse_key(tree, node, "isolate", policy->tier,
			   "here rules deny, by 'action: deny'");
	else if (isolate)
		read_isolate(tree, isolate, node, policy->isolates);
	for (const struct tree_word *word = direction_words; word->text; word++) {
		yaml_node_t *rules = tree_get(tree, node, word->text);

		if (!rules)
			continue;
		any = true;
		if (network)
			policy->isolates[word->value] = true;
		read_rules(tree, rules, word->value, policy);
	}
	if (!any)
		tree_complain(tree, node, "found a policy without %s, expected one of them",
			      network ? "'ingress', 'egress' and 'isolate'"
				      : "'ingress' and 'egress'");
}

static void read_policy(struct tree *tree, const yaml_node_t *node, struct model_policy *policy)
{
	policy->place = tree_place(tree, node);
	if (!tree_mapping(tree, node, "a policy", policy_keys))
		return;
	policy->name = tree_name(tree, tree_need(tree, node, "a policy", "name"), "a policy name",
				 1, SST_NAME_MAX - 1);
	policy->tier = tree_word(tree, tree_get(tree, node, "tier"), tier_words, SST_TIER_NETWORK);
	read_order(tree, node, policy);
	policy->shadow = tree_word(tree, tree_get(tree, node, "mode"), mode_words, false);
	read_subject(tree, tree_need(tree, node, "a policy", "subject"), policy);
	read_directions(tree, node, policy);
}

void yaml_read_policies(struct reader *reader, yaml_node_t *list)
{
	struct tree *tree = reader->tree;
	size_t n = tree_list(tree, list, "policies") ? tree_count(list) : 0;

	if (!YAML_RESERVE(reader, policies, n))
		return;
	for (size_t i = 0; !tree->no_memory && i < n; i++) {
		unsigned before = tree_problems(tree);
		struct model_policy policy = { 0 };

		read_policy(tree, tree_item(tree, list, i), &policy);
		YAML_KEEP(reader, policies, policy, tree_problems(tree) == before);
	}
}
