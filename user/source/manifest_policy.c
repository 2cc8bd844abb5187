/* SPDX-License-Identifier: Apache-2.0 */
/* NetworkPolicy, and what it shares with the cluster's policies. */
#include <netinet/in.h>
#include <string.h>

#include "core/cleanup.h"
#include "source/manifest.h"
#include "source/yaml.h"

/* ---- parts of all policies ------------------------------------------------------- */

void manifest_read_selector(struct tree *tree, const yaml_node_t *node, struct model_selector *ret)
{
	static const struct tree_key keys[] = { { "matchLabels" },
						{ "matchExpressions" },
						{ NULL } };

	if (!node)
		return;
	ret->place = tree_place(tree, node);
	if (!tree_mapping(tree, node, "a label selector", keys))
		return;
	yaml_read_match_labels(tree, manifest_get(tree, node, "matchLabels"), ret);
	yaml_read_expressions(tree, manifest_get(tree, node, "matchExpressions"), ret);
}

struct model_selector *manifest_new_selector(struct tree *tree, const yaml_node_t *node)
{
	struct model_selector *selector = tree_array(tree, 1, sizeof(*selector));

	if (selector)
		manifest_read_selector(tree, node, selector);
	return selector;
}

struct model_peer *manifest_add_peer(struct tree *tree, const yaml_node_t *node,
				     struct model_rule *rule, enum model_peer_kind kind)
{
	struct model_peer *peer;

	rule->peers = yaml_grow(tree, rule->peers, rule->n_peers, 1, sizeof(*rule->peers));
	if (tree->no_memory)
		return NULL;
	peer = &rule->peers[rule->n_peers++];
	*peer = (struct model_peer){ .kind = kind, .place = tree_place(tree, node) };
	return peer;
}

struct model_port_match *manifest_add_port(struct tree *tree, const yaml_node_t *node,
					   struct model_rule *rule, uint8_t protocol)
{
	struct model_port_match *port;

	rule->ports = yaml_grow(tree, rule->ports, rule->n_ports, 1, sizeof(*rule->ports));
	if (tree->no_memory)
		return NULL;
	port = &rule->ports[rule->n_ports++];
	*port = (struct model_port_match){ .protocol = protocol, .place = tree_place(tree, node) };
	return port;
}

void manifest_read_ports(struct tree *tree, const yaml_node_t *first, const yaml_node_t *last,
			 struct model_port_match *port)
{
	port->first = manifest_read_port(tree, first, 0);
	port->last = manifest_read_port(tree, last, port->first);
	if (port->last < port->first)
		tree_expected(tree, last, "a port that is not below the first one, %u",
			      port->first);
}

/* It matches nobody, and those behind it keep their numbers. */
static void empty_rule(struct model_rule *rule)
{
	struct model_rule empty = {
		.name = TAKE_PTR(rule->name),
		.direction = rule->direction,
		.action = rule->action,
		.shadow = rule->shadow,
		.place = rule->place,
	};

	model_rule_release(rule);
	*rule = empty;
}

/*
 * What a rule allows that is not understood stays to be decided by the others: that opens
 * nothing, while a policy that is left out as a whole opens all that it closes.
 */
static void check_rule(struct tree *tree, unsigned before, struct model_rule *rule)
{
	if (rule->action == SST_ACTION_ALLOW && tree_forgive(tree, before))
		empty_rule(rule);
}

void manifest_check_ports(const yaml_node_t *list, struct model_rule *rule)
{
	if (tree_count(list) && !rule->n_ports)
		empty_rule(rule);
}

bool manifest_skips_sctp(struct tree *tree, const yaml_node_t *protocol)
{
	const char *text = tree->stored ? tree_text(tree, protocol, "a protocol") : NULL;
	unsigned before = tree_problems(tree);

	return text && yaml_refuse_sctp(tree, protocol, text) && tree_forgive(tree, before);
}

void manifest_read_rules(struct tree *tree, yaml_node_t *list, enum sst_direction direction,
			 manifest_rule_fn read, const void *arg, struct model_policy *policy)
{
	size_t n = manifest_count(tree, list, "rules");

	policy->rules = yaml_grow(tree, policy->rules, policy->n_rules, n, sizeof(*policy->rules));
	for (size_t i = 0; !tree->no_memory && i < n; i++) {
		const yaml_node_t *node = tree_item(tree, list, i);
		struct model_rule *rule = &policy->rules[policy->n_rules++];
		unsigned before = tree_problems(tree);

		*rule = (struct model_rule){
			.direction = direction,
			.shadow = policy->shadow,
			.place = tree_place(tree, node),
		};
		read(tree, node, arg, rule);
		check_rule(tree, before, rule);
	}
}

/* ---- peers ----------------------------------------------------------------------- */

static void read_ip_block(struct tree *tree, const yaml_node_t *node, struct model_peer *peer)
{
	static const struct tree_key keys[] = { { "cidr" }, { "except" }, { NULL } };
	yaml_node_t *excepts = manifest_get(tree, node, "except");

	if (!tree_mapping(tree, node, "an ipBlock", keys))
		return;
	peer->network = yaml_read_cidr(tree, manifest_need(tree, node, "an ipBlock", "cidr"));
	/* an empty list is as none */
	if (manifest_count(tree, excepts, "networks"))
		peer->excepts = yaml_read_cidrs(tree, excepts, "networks", YAML_ENTRIES_MAX,
						&peer->n_excepts);
}

static void read_peer(struct tree *tree, const yaml_node_t *node, struct model_rule *rule)
{
	static const struct tree_key keys[] = {
		{ "podSelector" }, { "namespaceSelector" }, { "ipBlock" }, { NULL }
	};
	const yaml_node_t *pods = manifest_get(tree, node, "podSelector");
	const yaml_node_t *namespaces = manifest_get(tree, node, "namespaceSelector");
	const yaml_node_t *block = manifest_get(tree, node, "ipBlock");
	struct model_peer *peer = manifest_add_peer(
		tree, node, rule, block ? MODEL_PEER_NETWORK : MODEL_PEER_WORKLOADS);

	if (!peer || !tree_mapping(tree, node, "a peer", keys))
		return;
	if (!pods && !namespaces && !block)
		tree_complain(tree, node,
			      "found an empty peer, expected podSelector, namespaceSelector or "
			      "ipBlock");
	else if (block && (pods || namespaces))
		tree_complain(tree, block, "found 'ipBlock' beside a selector, expected it alone");
	else if (block)
		read_ip_block(tree, block, peer);
	if (namespaces)
		peer->namespaces = manifest_new_selector(tree, namespaces);
	manifest_read_selector(tree, pods, &peer->workloads);
}

/* ---- ports ----------------------------------------------------------------------- */

#define DIGITS "0123456789"

static void read_port(struct tree *tree, const yaml_node_t *node, struct model_rule *rule)
{
	static const struct tree_key keys[] = {
		{ "protocol" }, { "port" }, { "endPort" }, { NULL }
	};
	const yaml_node_t *number = manifest_get(tree, node, "port");
	const yaml_node_t *end = manifest_get(tree, node, "endPort");
	const yaml_node_t *protocol = manifest_get(tree, node, "protocol");
	const char *text = tree_text(tree, number, "a port's number or name");
	bool named = text && text[strspn(text, DIGITS)];
	struct model_port_match *port;

	if (!tree_mapping(tree, node, "a port", keys) || manifest_skips_sctp(tree, protocol))
		return;
	port = manifest_add_port(tree, node, rule, yaml_read_protocol(tree, protocol));
	if (!port)
		return;
	if (end && (!text || named))
		tree_complain(tree, end,
			      "found 'endPort' without a number in 'port', expected one");
	else if (named)
		port->name = yaml_read_port_name(tree, number);
	else if (text)
		manifest_read_ports(tree, number, end, port);
	else
		port->last = UINT16_MAX;
}

/* ---- rules ----------------------------------------------------------------------- */

/* Peers or ports that are absent are all there are; so is an empty list of them. */
static void read_rule(struct tree *tree, const yaml_node_t *node, const void *arg,
		      struct model_rule *rule)
{
	static const struct {
		const char *what;
		const char *peers;
		struct tree_key keys[3];
	} kinds[] = {
		[SST_INGRESS] = { "an ingress rule", "from", { { "from" }, { "ports" } } },
		[SST_EGRESS] = { "an egress rule", "to", { { "to" }, { "ports" } } },
	};
	yaml_node_t *peers = manifest_get(tree, node, kinds[rule->direction].peers);
	yaml_node_t *ports = manifest_get(tree, node, "ports");
	size_t n_peers, n_ports;

	(void)arg;
	if (!tree_mapping(tree, node, kinds[rule->direction].what, kinds[rule->direction].keys))
		return;
	n_peers = manifest_count(tree, peers, "peers");
	n_ports = manifest_count(tree, ports, "ports");
	rule->any_peer = !n_peers;
	for (size_t i = 0; i < n_peers; i++)
		read_peer(tree, tree_item(tree, peers, i), rule);
	for (size_t i = 0; i < n_ports; i++)
		read_port(tree, tree_item(tree, ports, i), rule);
	manifest_check_ports(ports, rule);
}

/* Ingress always, egress if there are rules of it; unless policyTypes tells. */
static void read_types(struct tree *tree, const yaml_node_t *spec, struct model_policy *policy)
{
	static const struct tree_word words[] = { { "Ingress", SST_INGRESS },
						  { "Egress", SST_EGRESS },
						  { NULL } };
	yaml_node_t *types = manifest_get(tree, spec, "policyTypes");
	size_t n = manifest_count(tree, types, "policy types");

	for (size_t i = 0; i < n; i++)
		policy->isolates[tree_word(tree, tree_item(tree, types, i), words, SST_INGRESS)] =
			true;
	if (n)
		return;
	policy->isolates[SST_INGRESS] = true;
	policy->isolates[SST_EGRESS] = tree_count(manifest_get(tree, spec, "egress"));
}

/* The rules of a direction that the policy is not about say nothing. */
static void read_direction(struct tree *tree, const yaml_node_t *spec, const char *key,
			   enum sst_direction direction, struct model_policy *policy)
{
	_cleanup_(model_policy_release) struct model_policy ignored = { 0 };

	manifest_read_rules(tree, manifest_get(tree, spec, key), direction, read_rule, NULL,
			    policy->isolates[direction] ? policy : &ignored);
}

void manifest_network_policy(struct tree *tree, const yaml_node_t *object,
			     struct model_policy *policy)
{
	static const struct tree_key keys[] = {
		{ "podSelector" }, { "policyTypes" }, { "ingress" }, { "egress" }, { NULL },
	};
	const yaml_node_t *metadata = manifest_get(tree, object, "metadata");
	const yaml_node_t *spec = manifest_need(tree, object, "a NetworkPolicy", "spec");

	policy->tier = SST_TIER_NETWORK;
	policy->name_space = yaml_read_namespace(tree, manifest_get(tree, metadata, "namespace"));
	if (!tree_mapping(tree, spec, "the spec of a NetworkPolicy", keys))
		return;
	manifest_read_selector(tree, manifest_get(tree, spec, "podSelector"), &policy->subject);
	read_types(tree, spec, policy);
	read_direction(tree, spec, "ingress", SST_INGRESS, policy);
	read_direction(tree, spec, "egress", SST_EGRESS, policy);
}
