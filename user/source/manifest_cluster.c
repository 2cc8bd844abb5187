/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policies of the tiers beside NetworkPolicy's: ClusterNetworkPolicy, and its forerunners
 * AdminNetworkPolicy and BaselineAdminNetworkPolicy, which say the same in other words.
 */
#include <netinet/in.h>
#include <string.h>

#include "core/cleanup.h"
#include "source/manifest.h"
#include "source/yaml.h"

#define PRIORITY_MAX  1000
#define RULE_NAME_MAX 100

/* ---- parts ----------------------------------------------------------------------- */

/*
 * The one key of a mapping that has to have exactly one of these; its value goes to *ret.
 * NULL after a complaint.
 */
static const char *read_choice(struct tree *tree, const yaml_node_t *node, const char *what,
			       const struct tree_key *keys, yaml_node_t **ret)
{
	unsigned before = tree_problems(tree), n = 0;
	const char *chosen = NULL;

	if (!tree_mapping(tree, node, what, keys))
		return NULL;
	for (; keys->name; keys++) {
		yaml_node_t *value = manifest_get(tree, node, keys->name);

		if (!value)
			continue;
		chosen = keys->name;
		*ret = value;
		n++;
	}
	if (tree_problems(tree) != before)
		return NULL;
	if (n == 1)
		return chosen;
	tree_complain(tree, node, "found %s with %u keys, expected exactly one", what, n);
	return NULL;
}

/* All of some namespaces, or some of them. What `pods` holds stands in *namespaces and *pods. */
static void read_pods(struct tree *tree, const yaml_node_t *node, const char *choice,
		      struct model_selector **namespaces, struct model_selector *pods)
{
	static const struct tree_key keys[] = { { "namespaceSelector" },
						{ "podSelector" },
						{ NULL } };

	if (!strcmp(choice, "namespaces")) {
		*namespaces = manifest_new_selector(tree, node);
		return;
	}
	*namespaces = manifest_new_selector(tree, manifest_get(tree, node, "namespaceSelector"));
	if (tree_mapping(tree, node, "pods", keys))
		manifest_read_selector(tree, manifest_need(tree, node, "pods", "podSelector"),
				       pods);
}

static void read_subject(struct tree *tree, const yaml_node_t *spec, const char *what,
			 struct model_policy *policy)
{
	static const struct tree_key keys[] = { { "namespaces" }, { "pods" }, { NULL } };
	yaml_node_t *value;
	const char *choice = read_choice(tree, manifest_need(tree, spec, what, "subject"),
					 "a subject", keys, &value);

	if (choice)
		read_pods(tree, value, choice, &policy->subject_namespaces, &policy->subject);
}

/* ---- peers ----------------------------------------------------------------------- */

static const struct tree_key ingress_peer_keys[] = { { "namespaces" }, { "pods" }, { NULL } };

static const struct tree_key egress_peer_keys[] = {
	{ "namespaces" },
	{ "pods" },
	{ "nodes" },
	{ "networks" },
	{ "domainNames", "domainNames is not supported: Sidestep decides by addresses, and knows "
			 "no names of domains" },
	{ NULL },
};

/* All of them: this one, and the others. Their labels nobody tells. */
static void read_nodes(struct tree *tree, const yaml_node_t *node, const yaml_node_t *selector,
		       struct model_rule *rule)
{
	static const enum sst_reserved_identity nodes[] = { SST_IDENTITY_HOST, SST_IDENTITY_NODES };
	_cleanup_(model_selector_release) struct model_selector all = { 0 };

	manifest_read_selector(tree, selector, &all);
	if (all.n)
		tree_complain(tree, selector,
			      "found a selection among nodes, whose labels are not known here, "
			      "expected {} for all of them");
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		struct model_peer *peer = manifest_add_peer(tree, node, rule, MODEL_PEER_RESERVED);

		if (peer)
			peer->identity = nodes[i];
	}
}

static void read_networks(struct tree *tree, yaml_node_t *list, struct model_rule *rule)
{
	size_t n = tree_list(tree, list, "networks")
			   ? yaml_count(tree, list, "networks", YAML_ENTRIES_MAX)
			   : 0;

	for (size_t i = 0; i < n; i++) {
		const yaml_node_t *node = tree_item(tree, list, i);
		struct model_peer *peer = manifest_add_peer(tree, node, rule, MODEL_PEER_NETWORK);

		if (peer)
			peer->network = yaml_read_cidr(tree, node);
	}
}

static void read_peer(struct tree *tree, const yaml_node_t *node, struct model_rule *rule)
{
	yaml_node_t *value;
	const char *choice = read_choice(
		tree, node, "a peer",
		rule->direction == SST_EGRESS ? egress_peer_keys : ingress_peer_keys, &value);
	struct model_peer *peer;

	if (!choice)
		return;
	if (!strcmp(choice, "nodes")) {
		read_nodes(tree, node, value, rule);
	} else if (!strcmp(choice, "networks")) {
		read_networks(tree, value, rule);
	} else {
		peer = manifest_add_peer(tree, node, rule, MODEL_PEER_WORKLOADS);
		if (peer)
			read_pods(tree, value, choice, &peer->namespaces, &peer->workloads);
	}
}

/* ---- ports ----------------------------------------------------------------------- */

static void add_named_port(struct tree *tree, const yaml_node_t *node, const yaml_node_t *name,
			   struct model_rule *rule)
{
	/* the name tells the protocol, too */
	struct model_port_match *port = manifest_add_port(tree, node, rule, 0);

	if (port)
		port->name = yaml_read_port_name(tree, name);
}

/* A mapping with `start` and `end`, and perhaps `protocol`. */
static void read_range(struct tree *tree, const yaml_node_t *node, struct model_port_match *port)
{
	manifest_read_ports(tree, manifest_need(tree, node, "a range of ports", "start"),
			    manifest_need(tree, node, "a range of ports", "end"), port);
}

/* An entry of AdminNetworkPolicy's `ports`. */
static void read_port(struct tree *tree, const yaml_node_t *node, struct model_rule *rule)
{
	static const struct tree_key keys[] = {
		{ "portNumber" }, { "portRange" }, { "namedPort" }, { NULL }
	};
	static const struct tree_key number_keys[] = { { "protocol" }, { "port" }, { NULL } };
	static const struct tree_key range_keys[] = {
		{ "protocol" }, { "start" }, { "end" }, { NULL }
	};
	yaml_node_t *value;
	const char *choice = read_choice(tree, node, "a port", keys, &value);
	bool range = choice && !strcmp(choice, "portRange");
	const yaml_node_t *protocol;
	struct model_port_match *port;

	if (!choice)
		return;
	if (!strcmp(choice, "namedPort")) {
		add_named_port(tree, node, value, rule);
		return;
	}
	protocol = manifest_get(tree, value, "protocol");
	if (!tree_mapping(tree, value, choice, range ? range_keys : number_keys) ||
	    manifest_skips_sctp(tree, protocol))
		return;
	port = manifest_add_port(tree, node, rule, yaml_read_protocol(tree, protocol));
	if (port && range)
		read_range(tree, value, port);
	else if (port)
		manifest_read_ports(tree, manifest_need(tree, value, "a port's number", "port"),
				    NULL, port);
}

static void read_destination(struct tree *tree, const yaml_node_t *node,
			     struct model_port_match *port)
{
	static const struct tree_key keys[] = { { "number" }, { "range" }, { NULL } };
	static const struct tree_key range_keys[] = { { "start" }, { "end" }, { NULL } };
	yaml_node_t *value;
	const char *choice = read_choice(tree, node, "a destinationPort", keys, &value);

	if (!choice)
		return;
	if (!strcmp(choice, "number"))
		manifest_read_ports(tree, value, NULL, port);
	else if (tree_mapping(tree, value, "a range of ports", range_keys))
		read_range(tree, value, port);
}

/* An entry of ClusterNetworkPolicy's `protocols`. */
static void read_protocol(struct tree *tree, const yaml_node_t *node, struct model_rule *rule)
{
	static const struct tree_key keys[] = {
		{ "tcp" },
		{ "udp" },
		{ "sctp", "SCTP is not decided by Sidestep, expected tcp or udp" },
		{ "destinationNamedPort" },
		{ NULL },
	};
	static const struct tree_key protocol_keys[] = { { "destinationPort" }, { NULL } };
	unsigned before = tree_problems(tree);
	yaml_node_t *value;
	const char *choice = read_choice(tree, node, "a protocol", keys, &value);
	struct model_port_match *port;

	if (!choice && manifest_get(tree, node, "sctp"))
		tree_forgive(tree, before);
	if (!choice)
		return;
	if (!strcmp(choice, "destinationNamedPort")) {
		add_named_port(tree, node, value, rule);
		return;
	}
	if (!tree_mapping(tree, value, "a protocol", protocol_keys))
		return;
	port = manifest_add_port(tree, node, rule,
				 strcmp(choice, "udp") ? IPPROTO_TCP : IPPROTO_UDP);
	if (port)
		read_destination(tree, manifest_need(tree, value, "a protocol", "destinationPort"),
				 port);
}

/* ---- rules ----------------------------------------------------------------------- */

/* Any text is one to the API, a printable one is one to us. */
static char *read_rule_name(struct tree *tree, const yaml_node_t *node)
{
	const char *text = tree_text(tree, node, "a rule's name");
	size_t length = text ? strlen(text) : 0;

	if (!length)
		return NULL;
	for (const char *c = text; *c && length <= RULE_NAME_MAX; c++)
		if (*c < ' ' || *c > '~')
			length = RULE_NAME_MAX + 1;
	if (length <= RULE_NAME_MAX)
		return tree_copy(tree, text);
	tree_expected(tree, node, "a rule's name (up to %d characters of ASCII)", RULE_NAME_MAX);
	return NULL;
}

/* Networks and nodes give no names to ports. */
static void check_named_ports(struct tree *tree, const yaml_node_t *node,
			      const struct model_rule *rule)
{
	bool nameless = false, named = false;

	for (size_t i = 0; i < rule->n_peers; i++)
		nameless |= rule->peers[i].kind != MODEL_PEER_WORKLOADS;
	for (size_t i = 0; i < rule->n_ports; i++)
		named |= rule->ports[i].name != NULL;
	if (nameless && named)
		tree_complain(tree, node,
			      "found the name of a port beside 'networks' or 'nodes', which have "
			      "no names for ports, expected its number");
}

typedef void (*item_fn)(struct tree *tree, const yaml_node_t *node, struct model_rule *rule);

/* A list that has to have some when it is there. */
static void read_items(struct tree *tree, yaml_node_t *list, const char *what, item_fn read,
		       struct model_rule *rule)
{
	size_t n = list && tree_list(tree, list, what)
			   ? yaml_count(tree, list, what, YAML_ENTRIES_MAX)
			   : 0;

	for (size_t i = 0; i < n; i++)
		read(tree, tree_item(tree, list, i), rule);
}

/* What a rule is made of. */
struct grammar {
	struct tree_key keys[SST_DIRECTIONS][5];
	const char *ports; /* the key of what it says of ports */
	item_fn read_port; /* an entry of it */
};

static const struct grammar cluster_grammar = {
	.keys = { [SST_INGRESS] = { { "name" }, { "action" }, { "from" }, { "protocols" } },
		  [SST_EGRESS] = { { "name" }, { "action" }, { "to" }, { "protocols" } } },
	.ports = "protocols",
	.read_port = read_protocol,
};

/* Of both forerunners. */
static const struct grammar admin_grammar = {
	.keys = { [SST_INGRESS] = { { "name" }, { "action" }, { "from" }, { "ports" } },
		  [SST_EGRESS] = { { "name" }, { "action" }, { "to" }, { "ports" } } },
	.ports = "ports",
	.read_port = read_port,
};

/* What the kinds call things. */
struct dialect {
	const char *what;
	const struct tree_key *spec;
	const struct grammar *rule;
	const struct tree_word *actions;
};

static void read_rule(struct tree *tree, const yaml_node_t *node, const void *arg,
		      struct model_rule *rule)
{
	const struct dialect *dialect = arg;
	bool egress = rule->direction == SST_EGRESS;
	const char *what = egress ? "an egress rule" : "an ingress rule";

	/* until it says what it does, it does not allow anything */
	rule->action = SST_ACTION_DENY;
	if (!tree_mapping(tree, node, what, dialect->rule->keys[rule->direction]))
		return;
	rule->name = read_rule_name(tree, manifest_get(tree, node, "name"));
	rule->action = tree_word(tree, manifest_need(tree, node, what, "action"), dialect->actions,
				 SST_ACTION_DENY);
	read_items(tree, manifest_need(tree, node, what, egress ? "to" : "from"), "peers",
		   read_peer, rule);
	read_items(tree, manifest_get(tree, node, dialect->rule->ports), dialect->rule->ports,
		   dialect->rule->read_port, rule);
	manifest_check_ports(manifest_get(tree, node, dialect->rule->ports), rule);
	if (egress)
		check_named_ports(tree, node, rule);
}

/* ---- kinds ----------------------------------------------------------------------- */

static void read_spec(struct tree *tree, const yaml_node_t *spec, const struct dialect *dialect,
		      struct model_policy *policy)
{
	if (!tree_mapping(tree, spec, dialect->what, dialect->spec))
		return;
	policy->name_space = tree_copy(tree, "");
	read_subject(tree, spec, dialect->what, policy);
	manifest_read_rules(tree, manifest_get(tree, spec, "ingress"), SST_INGRESS, read_rule,
			    dialect, policy);
	manifest_read_rules(tree, manifest_get(tree, spec, "egress"), SST_EGRESS, read_rule,
			    dialect, policy);
}

static uint32_t read_priority(struct tree *tree, const yaml_node_t *spec, const char *what)
{
	return tree_number(tree, manifest_need(tree, spec, what, "priority"), "a priority", 0,
			   PRIORITY_MAX, 0);
}

/* Behind the baseline tier there is no tier that a rule could pass to. */
static const struct tree_word baseline_accepts[] = { { "Accept", SST_ACTION_ALLOW },
						     { "Deny", SST_ACTION_DENY },
						     { NULL } };

void manifest_cluster_policy(struct tree *tree, const yaml_node_t *object,
			     struct model_policy *policy)
{
	static const struct tree_key spec_keys[] = {
		{ "tier" }, { "priority" }, { "subject" }, { "ingress" }, { "egress" }, { NULL },
	};
	static const struct tree_word accepts[] = {
		{ "Accept", SST_ACTION_ALLOW },
		{ "Deny", SST_ACTION_DENY },
		{ "Pass", SST_ACTION_PASS },
		{ NULL },
	};
	static const struct tree_word tiers[] = { { "Admin", SST_TIER_ADMIN },
						  { "Baseline", SST_TIER_BASELINE },
						  { NULL } };
	struct dialect dialect = {
		.what = "the spec of a ClusterNetworkPolicy",
		.spec = spec_keys,
		.rule = &cluster_grammar,
		.actions = accepts,
	};
	const yaml_node_t *spec = manifest_need(tree, object, "a ClusterNetworkPolicy", "spec");

	if (!spec)
		return;
	policy->tier = tree_word(tree, manifest_need(tree, spec, dialect.what, "tier"), tiers,
				 SST_TIER_ADMIN);
	policy->priority = read_priority(tree, spec, dialect.what);
	if (policy->tier == SST_TIER_BASELINE)
		dialect.actions = baseline_accepts;
	read_spec(tree, spec, &dialect, policy);
}

void manifest_admin_policy(struct tree *tree, const yaml_node_t *object,
			   struct model_policy *policy)
{
	static const struct tree_key spec_keys[] = {
		{ "priority" }, { "subject" }, { "ingress" }, { "egress" }, { NULL },
	};
	static const struct tree_word allows[] = {
		{ "Allow", SST_ACTION_ALLOW },
		{ "Deny", SST_ACTION_DENY },
		{ "Pass", SST_ACTION_PASS },
		{ NULL },
	};
	static const struct dialect dialect = {
		.what = "the spec of an AdminNetworkPolicy",
		.spec = spec_keys,
		.rule = &admin_grammar,
		.actions = allows,
	};
	const yaml_node_t *spec = manifest_need(tree, object, "an AdminNetworkPolicy", "spec");

	policy->tier = SST_TIER_ADMIN;
	if (!spec)
		return;
	policy->priority = read_priority(tree, spec, dialect.what);
	read_spec(tree, spec, &dialect, policy);
}

/* There is one, and it is called so. */
static void check_default(struct tree *tree, const yaml_node_t *object)
{
	const yaml_node_t *name =
		manifest_get(tree, manifest_get(tree, object, "metadata"), "name");
	const char *text = tree_text(tree, name, "a name");

	if (text && strcmp(text, "default"))
		tree_expected(tree, name,
			      "'default', the name of the only "
			      "BaselineAdminNetworkPolicy that there may be");
}

void manifest_baseline_policy(struct tree *tree, const yaml_node_t *object,
			      struct model_policy *policy)
{
	static const struct tree_key spec_keys[] = {
		{ "subject" }, { "ingress" }, { "egress" }, { NULL }
	};
	static const struct tree_word allows[] = { { "Allow", SST_ACTION_ALLOW },
						   { "Deny", SST_ACTION_DENY },
						   { NULL } };
	static const struct dialect dialect = {
		.what = "the spec of a BaselineAdminNetworkPolicy",
		.spec = spec_keys,
		.rule = &admin_grammar,
		.actions = allows,
	};
	const yaml_node_t *spec =
		manifest_need(tree, object, "a BaselineAdminNetworkPolicy", "spec");

	policy->tier = SST_TIER_BASELINE;
	check_default(tree, object);
	if (spec)
		read_spec(tree, spec, &dialect, policy);
}
