/* SPDX-License-Identifier: Apache-2.0 */
/* The schema of `node`. */
#include "source/yaml.h"
#include "source/yaml_schema.h"

static const struct tree_key node_keys[] = {
	{ "name" },   { "fail" },      { "splice" }, { "kube-proxy" },
	{ "policy" }, { "telemetry" }, { NULL },
};

static const struct tree_key settings_keys[] = {
	{ "default" }, { "host" },   { "probes" }, { "nodes" },
	{ "denied" },  { "remote" }, { "revoke" }, { NULL },
};

static const struct tree_key telemetry_keys[] = {
	{ "edges" }, { "edge-ttl" }, { "events" }, { "series" }, { "flow-log" }, { NULL },
};

static const struct tree_word fail_words[] = { { "open", false }, { "closed", true }, { NULL } };

static const struct tree_word kube_proxy_words[] = {
	{ "beside", KUBE_PROXY_BESIDE },
	{ "replaced", KUBE_PROXY_REPLACED },
	{ NULL },
};

static void read_host(struct tree *tree, const yaml_node_t *node, struct model_policy_settings *ret)
{
	static const struct tree_word words[] = {
		{ "allow", MODEL_HOST_ALLOW },
		{ "probes", MODEL_HOST_PROBES },
		{ "policy", MODEL_HOST_POLICY },
		{ NULL },
	};
	const yaml_node_t *host = tree_get(tree, node, "host");
	const yaml_node_t *probes = tree_get(tree, node, "probes");

	ret->host = tree_word(tree, host, words, ret->host);
	ret->probes_cgroup = yaml_read_cgroup(tree, probes);
	if (ret->host == MODEL_HOST_PROBES && !probes)
		tree_complain(tree, host,
			      "found 'probes' as the host's traffic, expected the key "
			      "'probes' to tell their cgroup");
}

static void read_settings(struct tree *tree, const yaml_node_t *node,
			  struct model_policy_settings *ret)
{
	static const struct tree_word defaults[] = { { "allow", false },
						     { "deny", true },
						     { NULL } };
	static const struct tree_word denied[] = { { "eperm", false },
						   { "refused", true },
						   { NULL } };
	static const struct tree_word remote[] = { { "drop", false },
						   { "answer", true },
						   { NULL } };
	static const struct tree_word revoke[] = { { "on", true }, { "off", false }, { NULL } };

	if (!tree_mapping(tree, node, "the node's policy", settings_keys))
		return;
	ret->default_deny =
		tree_word(tree, tree_get(tree, node, "default"), defaults, ret->default_deny);
	read_host(tree, node, ret);
	ret->nodes = yaml_read_cidrs(tree, tree_get(tree, node, "nodes"), "networks",
				     YAML_ENTRIES_MAX, &ret->n_nodes);
	ret->refused = tree_word(tree, tree_get(tree, node, "denied"), denied, ret->refused);
	ret->answer = tree_word(tree, tree_get(tree, node, "remote"), remote, ret->answer);
	ret->revoke = tree_word(tree, tree_get(tree, node, "revoke"), revoke, ret->revoke);
}

static void read_telemetry(struct tree *tree, const yaml_node_t *node, struct model_telemetry *ret)
{
	if (!tree_mapping(tree, node, "the node's telemetry", telemetry_keys))
		return;
	ret->edges = tree_number(tree, tree_get(tree, node, "edges"), "a number of edges", 0,
				 MODEL_EDGES_MAX, ret->edges);
	ret->edge_ttl_s =
		tree_duration(tree, tree_get(tree, node, "edge-ttl"), 1, 31536000, ret->edge_ttl_s);
	ret->events = tree_number(tree, tree_get(tree, node, "events"), "a number of events", 0,
				  UINT32_MAX, ret->events);
	ret->series = tree_number(tree, tree_get(tree, node, "series"), "a number of series", 1,
				  UINT32_MAX, ret->series);
	yaml_read_flow_log(tree, tree_get(tree, node, "flow-log"), &ret->flow_log);
}

void yaml_read_node(struct tree *tree, const yaml_node_t *node, struct model_node *ret)
{
	if (!tree_mapping(tree, node, "the node", node_keys))
		return;
	ret->name = tree_name(tree, tree_get(tree, node, "name"), "a node's name", 1,
			      MODEL_NODE_NAME_MAX);
	ret->fail_closed =
		tree_word(tree, tree_get(tree, node, "fail"), fail_words, ret->fail_closed);
	ret->splice =
		tree_word(tree, tree_get(tree, node, "splice"), yaml_splice_words, ret->splice);
	ret->kube_proxy = tree_word(tree, tree_get(tree, node, "kube-proxy"), kube_proxy_words,
				    ret->kube_proxy);
	read_settings(tree, tree_get(tree, node, "policy"), &ret->policy);
	read_telemetry(tree, tree_get(tree, node, "telemetry"), &ret->telemetry);
}
