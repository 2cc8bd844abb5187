/* SPDX-License-Identifier: Apache-2.0 */
/* The schema of `namespaces` and `workloads`. */
#include <netinet/in.h>

#include "source/yaml.h"
#include "source/yaml_schema.h"

static const struct tree_key namespace_keys[] = { { "name" }, { "labels" }, { NULL } };

static const struct tree_key workload_keys[] = {
	{ "name" },  { "namespace" }, { "labels" }, { "cgroup" }, { "cgroup-id" },
	{ "netns" }, { "addresses" }, { "ports" },  { "remote" }, { NULL },
};

/* ---- namespaces ------------------------------------------------------------------ */

static void read_namespace(struct tree *tree, const yaml_node_t *node,
			   struct model_namespace *namespace)
{
	const yaml_node_t *name;

	namespace->place = tree_place(tree, node);
	if (!tree_mapping(tree, node, "a namespace", namespace_keys))
		return;
	name = tree_need(tree, node, "a namespace", "name");
	namespace->name = name ? yaml_read_namespace(tree, name) : NULL;
	yaml_read_labels(tree, tree_get(tree, node, "labels"), &namespace->labels);
}

void yaml_read_namespaces(struct reader *reader, yaml_node_t *list)
{
	struct tree *tree = reader->tree;
	size_t n = tree_list(tree, list, "namespaces") ? tree_count(list) : 0;

	if (!YAML_RESERVE(reader, namespaces, n))
		return;
	for (size_t i = 0; !tree->no_memory && i < n; i++) {
		unsigned before = tree_problems(tree);
		struct model_namespace namespace = { 0 };

		read_namespace(tree, tree_item(tree, list, i), &namespace);
		YAML_KEEP(reader, namespaces, namespace, tree_problems(tree) == before);
	}
}

/* ---- workloads ------------------------------------------------------------------- */

/* "5432" or "53/UDP" */
static bool parse_number(const char *text, struct model_named_port *port)
{
	port->protocol = IPPROTO_TCP;
	if (!yaml_parse_port(&text, &port->port))
		return false;
	if (!strcmp(text, "/UDP"))
		port->protocol = IPPROTO_UDP;
	return !*text || !strcmp(text, "/TCP") || !strcmp(text, "/UDP");
}

static void read_named_port(struct tree *tree, const yaml_node_t *name, const yaml_node_t *number,
			    struct model_named_port *port)
{
	static const char expected[] = "a port from 1 to 65535, or one with its protocol, "
				       "like 53/UDP";
	const char *text = tree_text(tree, number, expected);
	const char *slash = text ? strchr(text, '/') : NULL;

	port->name = yaml_read_port_name(tree, name);
	if (!text || (slash && yaml_refuse_sctp(tree, number, slash + 1)))
		return;
	if (!parse_number(text, port))
		tree_expected(tree, number, "%s", expected);
}

static void read_named_ports(struct tree *tree, const yaml_node_t *node,
			     struct model_workload *workload)
{
	size_t n;

	if (!node)
		return;
	if (node->type != YAML_MAPPING_NODE) {
		tree_expected(tree, node, "a mapping (names and numbers of ports)");
		return;
	}
	n = tree_pairs(node);
	if (n > YAML_PORTS_MAX) {
		tree_complain(tree, node, "found %zu ports, expected at most %d", n,
			      YAML_PORTS_MAX);
		return;
	}
	workload->ports = tree_array(tree, n, sizeof(*workload->ports));
	workload->n_ports = workload->ports ? n : 0;
	for (size_t i = 0; i < workload->n_ports; i++) {
		yaml_node_t *name, *number;

		tree_pair(tree, node, i, &name, &number);
		read_named_port(tree, name, number, &workload->ports[i]);
	}
}

/* What tells that a process or an address is this workload. */
static void read_keys(struct tree *tree, const yaml_node_t *node, struct model_workload *workload)
{
	workload->cgroup = yaml_read_cgroup(tree, tree_get(tree, node, "cgroup"));
	workload->cgroup_id = tree_number(tree, tree_get(tree, node, "cgroup-id"), "a cgroup's id",
					  1, UINT64_MAX - 1, 0);
	workload->netns = yaml_read_netns(tree, tree_get(tree, node, "netns"));
	workload->addresses = yaml_read_cidrs(tree, tree_get(tree, node, "addresses"), "addresses",
					      YAML_ADDRESSES_MAX, &workload->n_addresses);
}

static void read_workload(struct tree *tree, const yaml_node_t *node,
			  struct model_workload *workload)
{
	workload->place = tree_place(tree, node);
	if (!tree_mapping(tree, node, "a workload", workload_keys))
		return;
	workload->name = tree_name(tree, tree_need(tree, node, "a workload", "name"),
				   "a workload name", 1, SST_NAME_MAX - 1);
	workload->name_space = yaml_read_namespace(tree, tree_get(tree, node, "namespace"));
	yaml_read_labels(tree, tree_get(tree, node, "labels"), &workload->labels);
	read_keys(tree, node, workload);
	read_named_ports(tree, tree_get(tree, node, "ports"), workload);
	workload->remote = tree_bool(tree, tree_get(tree, node, "remote"), false);
}

void yaml_read_workloads(struct reader *reader, yaml_node_t *list)
{
	struct tree *tree = reader->tree;
	size_t n = tree_list(tree, list, "workloads") ? tree_count(list) : 0;

	if (!YAML_RESERVE(reader, workloads, n))
		return;
	for (size_t i = 0; !tree->no_memory && i < n; i++) {
		unsigned before = tree_problems(tree);
		struct model_workload workload = { 0 };

		read_workload(tree, tree_item(tree, list, i), &workload);
		YAML_KEEP(reader, workloads, workload, tree_problems(tree) == before);
	}
}
