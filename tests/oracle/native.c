/* SPDX-License-Identifier: Apache-2.0 */
#include "oracle/native.h"

#include <netinet/in.h>
#include <string.h>

#include "core/address.h"
#include "core/cleanup.h"

/* ---- values --------------------------------------------------------------------- */

static void print_cidr(const struct model_cidr *cidr, struct text *out)
{
	char buf[ADDRESS_TEXT_MAX];
	bool v4 = cidr->bits >= 96 && address_family(&cidr->address) == AF_INET;

	text_add(out, "\"%s/%u\"", address_format(&cidr->address, buf), cidr->bits - (v4 ? 96 : 0));
}

/* " KEY: [a/b, c/d]", nothing for none. */
static void print_cidrs(const char *key, const struct model_cidr *cidrs, size_t n, struct text *out)
{
	if (!n)
		return;
	text_add(out, "%s: [", key);
	for (size_t i = 0; i < n; i++) {
		text_add(out, i ? ", " : "");
		print_cidr(&cidrs[i], out);
	}
	text_add(out, "]");
}

static void print_labels(const struct model_labels *labels, struct text *out)
{
	text_add(out, "labels: {");
	for (size_t i = 0; i < labels->n; i++)
		text_add(out, "%s %s: \"%s\"", i ? "," : "", labels->items[i].key,
			 labels->items[i].value);
	text_add(out, " }");
}

static void print_requirement(const struct model_requirement *requirement, struct text *out)
{
	static const char *const operators[] = {
		[MODEL_IN] = "In",
		[MODEL_NOT_IN] = "NotIn",
		[MODEL_EXISTS] = "Exists",
		[MODEL_DOES_NOT_EXIST] = "DoesNotExist",
	};

	text_add(out, "{ key: %s, operator: %s", requirement->key, operators[requirement->op]);
	for (size_t i = 0; i < requirement->n_values; i++)
		text_add(out, "%s\"%s\"", i ? ", " : ", values: [", requirement->values[i]);
	text_add(out, requirement->n_values ? "] }" : " }");
}

/* The keys of a selector; one that selects all has empty labels. */
static void print_requirements(const struct model_selector *selector, struct text *out)
{
	if (!selector->n) {
		text_add(out, "labels: {}");
		return;
	}
	text_add(out, "expressions: [");
	for (size_t i = 0; i < selector->n; i++) {
		text_add(out, i ? ", " : "");
		print_requirement(&selector->requirements[i], out);
	}
	text_add(out, "]");
}

static void print_selector(const struct model_selector *selector,
			   const struct model_selector *namespaces, struct text *out)
{
	text_add(out, "{ ");
	if (namespaces) {
		text_add(out, "namespaces: ");
		print_selector(namespaces, NULL, out);
		text_add(out, ", ");
	}
	print_requirements(selector, out);
	text_add(out, " }");
}

/* ---- who is who ----------------------------------------------------------------- */

static void print_node(const struct cluster *cluster, struct text *out)
{
	static const char *const hosts[] = {
		[MODEL_HOST_ALLOW] = "allow",
		[MODEL_HOST_PROBES] = "probes",
		[MODEL_HOST_POLICY] = "policy",
	};
	const struct model_policy_settings *settings = &cluster->model.node.policy;
	char buf[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < cluster->host.n_addresses; i++)
		text_add(out, "# an address of the host: %s\n",
			 address_format(&cluster->host.addresses[i], buf));
	text_add(out, "node:\n  policy:\n    default: %s\n    host: %s\n",
		 settings->default_deny ? "deny" : "allow", hosts[settings->host]);
	if (settings->probes_cgroup)
		text_add(out, "    probes: %s\n", settings->probes_cgroup);
	if (settings->n_nodes) {
		print_cidrs("    nodes", settings->nodes, settings->n_nodes, out);
		text_add(out, "\n");
	}
}

static void print_namespaces(const struct model *model, struct text *out)
{
	text_add(out, "namespaces:%s\n", model->n_namespaces ? "" : " []");
	for (size_t i = 0; i < model->n_namespaces; i++) {
		text_add(out, "  - { name: %s, ", model->namespaces[i].name);
		print_labels(&model->namespaces[i].labels, out);
		text_add(out, " }\n");
	}
}

static void print_named_ports(const struct model_workload *workload, struct text *out)
{
	for (size_t i = 0; i < workload->n_ports; i++)
		text_add(out, "%s%s: %u/%s", i ? ", " : "\n    ports: { ", workload->ports[i].name,
			 workload->ports[i].port, protocol_name(workload->ports[i].protocol));
	text_add(out, workload->n_ports ? " }" : "");
}

static void print_workload(const struct model_workload *workload, struct text *out)
{
	text_add(out, "  - name: %s\n    namespace: %s\n    ", workload->name,
		 workload->name_space);
	print_labels(&workload->labels, out);
	if (workload->cgroup)
		text_add(out, "\n    cgroup: %s", workload->cgroup);
	if (workload->remote)
		text_add(out, "\n    remote: true");
	print_cidrs("\n    addresses", workload->addresses, workload->n_addresses, out);
	print_named_ports(workload, out);
	text_add(out, "\n");
}

/* ---- policies ------------------------------------------------------------------- */

static const char *identity_name(enum sst_reserved_identity identity)
{
	static const char *const names[] = {
		[SST_IDENTITY_UNKNOWN] = "unknown", [SST_IDENTITY_WORLD] = "world",
		[SST_IDENTITY_HOST] = "host",       [SST_IDENTITY_NODES] = "nodes",
		[SST_IDENTITY_PROBES] = "probes",
	};

	return names[identity];
}

static void print_peer(const struct model_peer *peer, struct text *out)
{
	switch (peer->kind) {
	case MODEL_PEER_WORKLOADS:
		print_selector(&peer->workloads, peer->namespaces, out);
		break;
	case MODEL_PEER_NETWORK:
		text_add(out, "{ network: ");
		print_cidr(&peer->network, out);
		print_cidrs(", except", peer->excepts, peer->n_excepts, out);
		text_add(out, " }");
		break;
	case MODEL_PEER_RESERVED:
		text_add(out, "{ identity: %s }", identity_name(peer->identity));
	}
}

static void print_port(const struct model_port_match *port, uint8_t protocol, struct text *out)
{
	text_add(out, "{ ");
	if (port->name)
		text_add(out, "port: %s, ", port->name);
	else if (port->first && port->first < port->last)
		text_add(out, "port: \"%u-%u\", ", port->first, port->last);
	else if (port->first)
		text_add(out, "port: %u, ", port->first);
	text_add(out, "protocol: %s }", protocol_name(protocol));
}

static void print_ports(const struct model_rule *rule, struct text *out)
{
	const char *separator = "\n        ports: [";

	for (size_t i = 0; i < rule->n_ports; i++) {
		const struct model_port_match *port = &rule->ports[i];

		for (size_t j = 0; j < 2; j++) {
			uint8_t protocol = (uint8_t[]){ IPPROTO_TCP, IPPROTO_UDP }[j];

			if (port->protocol && port->protocol != protocol)
				continue;
			text_add(out, "%s", separator);
			print_port(port, protocol, out);
			separator = ", ";
		}
	}
	text_add(out, rule->n_ports ? "]" : "");
}

static void print_rule(const struct model_policy *policy, const struct model_rule *rule,
		       struct text *out)
{
	static const char *const actions[] = { "allow", "deny", "pass" };

	text_add(out, "      - action: %s", actions[rule->action]);
	if (rule->name)
		text_add(out, "\n        name: %s", rule->name);
	if (rule->shadow && !policy->shadow)
		text_add(out, "\n        mode: shadow");
	for (size_t i = 0; i < rule->n_peers; i++) {
		text_add(out, i                                ? ",\n          "
			      : rule->direction == SST_INGRESS ? "\n        from: ["
							       : "\n        to: [");
		print_peer(&rule->peers[i], out);
	}
	text_add(out, rule->any_peer ? "" : "]");
	print_ports(rule, out);
	text_add(out, "\n");
}

static const char *const directions[] = { [SST_EGRESS] = "egress", [SST_INGRESS] = "ingress" };

/* What makes a policy of the network tier apply to a direction, rules or not; the others
 * need one key at least. */
static void print_isolate(const struct model_policy *policy, struct text *out)
{
	const bool *isolates = policy->isolates;

	if (policy->tier == SST_TIER_NETWORK)
		text_add(out, "    isolate: [%s%s%s]\n", isolates[0] ? directions[0] : "",
			 isolates[0] && isolates[1] ? ", " : "", isolates[1] ? directions[1] : "");
	else if (!policy->n_rules)
		text_add(out, "    ingress: []\n");
}

static void print_policy(const struct model_policy *policy, struct text *out)
{
	text_add(out, "  - name: %s\n", policy->name);
	if (policy->tier == SST_TIER_NETWORK)
		text_add(out, "    namespace: %s\n", policy->name_space);
	else
		text_add(out, "    tier: %s\n    priority: %u\n",
			 policy->tier == SST_TIER_ADMIN ? "admin" : "baseline", policy->priority);
	if (policy->shadow)
		text_add(out, "    mode: shadow\n");
	text_add(out, "    subject: ");
	print_selector(&policy->subject, policy->subject_namespaces, out);
	text_add(out, "\n");
	print_isolate(policy, out);
	for (int i = 0; i < SST_DIRECTIONS; i++) {
		bool first = true;

		for (size_t j = 0; j < policy->n_rules; j++) {
			if (policy->rules[j].direction != (enum sst_direction)i)
				continue;
			if (first)
				text_add(out, "    %s:\n", directions[i]);
			first = false;
			print_rule(policy, &policy->rules[j], out);
		}
	}
}

void native_print(const struct cluster *cluster, struct text *out)
{
	const struct model *model = &cluster->model;

	print_node(cluster, out);
	print_namespaces(model, out);
	text_add(out, "workloads:%s\n", model->n_workloads ? "" : " []");
	for (size_t i = 0; i < model->n_workloads; i++)
		print_workload(&model->workloads[i], out);
	text_add(out, "policies:%s\n", model->n_policies ? "" : " []");
	for (size_t i = 0; i < model->n_policies; i++)
		print_policy(&model->policies[i], out);
}

/* ---- questions ------------------------------------------------------------------ */

static void print_actor(const struct cluster *cluster, struct actor actor, struct text *out)
{
	const struct model_workload *workload;

	if (actor.workload == NOBODY) {
		text_add(out, "%s", identity_name(actor.identity));
		return;
	}
	workload = &cluster->model.workloads[actor.workload];
	text_add(out, "%s/%s", workload->name_space, workload->name);
}

void native_print_query(const struct cluster *cluster, const struct query *query, struct text *out)
{
	bool ingress = query->direction == SST_INGRESS;
	char buf[ADDRESS_TEXT_MAX];

	text_add(out, "%s of ", directions[query->direction]);
	print_actor(cluster, query->subject, out);
	text_add(out, ingress ? " from " : " to ");
	if (!query->by_address)
		print_actor(cluster, query->peer, out);
	if (query->has_address)
		text_add(out, "%s%s", query->by_address ? "" : " at ",
			 address_format(&query->address, buf));
	text_add(out, ", port %u/%s", query->port, protocol_name(query->protocol));
}
