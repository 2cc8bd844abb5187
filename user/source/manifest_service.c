/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Service, EndpointSlice and Node. Each reader takes one object, whatever document it is in,
 * and knows no others: kube/combine.h brings them together.
 */
#include <netinet/in.h>
#include <string.h>

#include "core/address.h"
#include "core/cleanup.h"
#include "model/names.h"
#include "source/manifest.h"
#include "source/yaml.h"

#define LABEL_OTHER_PROXY "service.kubernetes.io/service-proxy-name"
#define LABEL_HEADLESS    "service.kubernetes.io/headless"
#define LABEL_SERVICE     "kubernetes.io/service-name"
#define LABEL_ZONE        "topology.kubernetes.io/zone"

#define ZONE_MAX           63
#define AFFINITY_DEFAULT_S 10800
#define AFFINITY_MAX_S     86400

/* ---- parts ----------------------------------------------------------------------- */

static const char *get_label(struct tree *tree, const yaml_node_t *object, const char *key)
{
	const yaml_node_t *metadata = manifest_get(tree, object, "metadata");
	const yaml_node_t *labels = manifest_get(tree, metadata, "labels");

	return tree_text(tree, manifest_get(tree, labels, key), "a label's value");
}

/* Who has these labels is another proxy's, or nobody's: kube-proxy does not even ask for it. */
static bool is_ours(struct tree *tree, const yaml_node_t *object)
{
	return !get_label(tree, object, LABEL_OTHER_PROXY) &&
	       !get_label(tree, object, LABEL_HEADLESS);
}

static char *read_namespace(struct tree *tree, const yaml_node_t *object)
{
	const yaml_node_t *metadata = manifest_get(tree, object, "metadata");

	return yaml_read_namespace(tree, manifest_get(tree, metadata, "namespace"));
}

/* 0: none of ours. */
static uint8_t read_protocol(struct tree *tree, const yaml_node_t *port)
{
	static const struct tree_word words[] = {
		{ "TCP", IPPROTO_TCP },
		{ "UDP", IPPROTO_UDP },
		{ "SCTP", 0 },
		{ NULL },
	};

	return tree_word(tree, manifest_get(tree, port, "protocol"), words, IPPROTO_TCP);
}

/* "" without one. */
static char *read_port_name(struct tree *tree, const yaml_node_t *port)
{
	const yaml_node_t *name = manifest_get(tree, port, "name");

	return name ? tree_name(tree, name, "a port's name", 0, SST_PORT_NAME_MAX - 1)
		    : tree_copy(tree, "");
}

/* How many of a list that may be absent or empty. */
static size_t count(struct tree *tree, const yaml_node_t *list, const char *what, size_t max)
{
	return manifest_count(tree, list, what) ? yaml_count(tree, list, what, max) : 0;
}

/* ---- Service --------------------------------------------------------------------- */

static void add_address(struct tree *tree, const yaml_node_t *node, struct kube_address **list,
			size_t *n)
{
	*list = yaml_grow(tree, *list, *n, 1, sizeof(**list));
	if (tree->no_memory)
		return;
	(*list)[(*n)++] = (struct kube_address){
		.address = yaml_read_address(tree, node),
		.place = tree_place(tree, node),
	};
}

/* Headless ones have the word instead. */
static bool is_none(struct tree *tree, const yaml_node_t *node)
{
	const char *text = tree_text(tree, node, "an address, or None");

	return !text || !*text || !strcmp(text, "None");
}

/* clusterIPs has them all, clusterIP the first. */
static void read_cluster(struct tree *tree, const yaml_node_t *spec, struct kube_service *service)
{
	yaml_node_t *list = manifest_get(tree, spec, "clusterIPs");
	yaml_node_t *single = manifest_get(tree, spec, "clusterIP");
	size_t n = list ? count(tree, list, "addresses", YAML_ADDRESSES_MAX) : 0;

	if (!n && !single) {
		tree_complain(tree, spec,
			      "found the spec of a Service without 'clusterIP', expected the "
			      "address that the API server has given it, or None");
		return;
	}
	for (size_t i = 0; i < (n ?: 1); i++) {
		const yaml_node_t *node = n ? tree_item(tree, list, i) : single;

		if (!is_none(tree, node))
			add_address(tree, node, &service->cluster, &service->n_cluster);
	}
}

/* A load balancer that is a proxy wants to see what is sent to its address. */
static void read_ingress(struct tree *tree, const yaml_node_t *node, struct kube_service *service)
{
	static const struct tree_word modes[] = { { "VIP", true }, { "Proxy", false }, { NULL } };
	const yaml_node_t *ip = manifest_get(tree, node, "ip");

	if (tree_word(tree, manifest_get(tree, node, "ipMode"), modes, true) && ip)
		add_address(tree, ip, &service->external, &service->n_external);
}

static void read_external(struct tree *tree, const yaml_node_t *object,
			  struct kube_service *service)
{
	const yaml_node_t *spec = manifest_get(tree, object, "spec");
	const yaml_node_t *balancer =
		manifest_get(tree, manifest_get(tree, object, "status"), "loadBalancer");
	yaml_node_t *ips = manifest_get(tree, spec, "externalIPs");
	yaml_node_t *ingress = manifest_get(tree, balancer, "ingress");
	size_t n = count(tree, ips, "addresses", YAML_ADDRESSES_MAX);

	for (size_t i = 0; i < n; i++)
		add_address(tree, tree_item(tree, ips, i), &service->external,
			    &service->n_external);
	/* who may use these is told by the source's address, which a connect() does not have yet */
	if (manifest_count(tree, manifest_get(tree, spec, "loadBalancerSourceRanges"), "networks"))
		return;
	n = count(tree, ingress, "addresses", YAML_ADDRESSES_MAX);
	for (size_t i = 0; i < n; i++)
		read_ingress(tree, tree_item(tree, ingress, i), service);
}

static void read_service_port(struct tree *tree, const yaml_node_t *node,
			      struct kube_service *service)
{
	struct kube_service_port port = { .place = tree_place(tree, node) };

	port.protocol = read_protocol(tree, node);
	if (!port.protocol) {
		service->n_sctp++;
		return;
	}
	port.port = manifest_read_port(tree, manifest_need(tree, node, "a port", "port"), 0);
	port.node_port =
		tree_number(tree, manifest_get(tree, node, "nodePort"), "a port", 0, UINT16_MAX, 0);
	port.name = read_port_name(tree, node);
	if (port.name)
		service->ports[service->n_ports++] = port;
}

static void read_service_ports(struct tree *tree, const yaml_node_t *spec,
			       struct kube_service *service)
{
	yaml_node_t *list = manifest_get(tree, spec, "ports");
	size_t n = count(tree, list, "ports", YAML_PORTS_MAX);

	service->ports = tree_array(tree, n, sizeof(*service->ports));
	for (size_t i = 0; service->ports && i < n; i++)
		read_service_port(tree, tree_item(tree, list, i), service);
}

static void read_affinity(struct tree *tree, const yaml_node_t *spec, struct kube_service *service)
{
	static const struct tree_word words[] = { { "None", false },
						  { "ClientIP", true },
						  { NULL } };
	const yaml_node_t *config =
		manifest_get(tree, manifest_get(tree, spec, "sessionAffinityConfig"), "clientIP");

	if (tree_word(tree, manifest_get(tree, spec, "sessionAffinity"), words, false))
		service->affinity_s =
			tree_number(tree, manifest_get(tree, config, "timeoutSeconds"),
				    "a number of seconds", 1, AFFINITY_MAX_S, AFFINITY_DEFAULT_S);
}

static bool is_external_name(struct tree *tree, const yaml_node_t *spec)
{
	static const struct tree_word types[] = {
		{ "ClusterIP", false },
		{ "NodePort", false },
		{ "LoadBalancer", false },
		{ "ExternalName", true },
		{ NULL },
	};

	return tree_word(tree, manifest_get(tree, spec, "type"), types, false);
}

static char *read_service_name(struct tree *tree, const yaml_node_t *metadata)
{
	const yaml_node_t *node = manifest_need(tree, metadata, "metadata", "name");
	const char *text = tree_text(tree, node, "a service's name");

	if (!text)
		return NULL;
	if (name_is_namespace(text))
		return tree_copy(tree, text);
	tree_expected(tree, node,
		      "a service's name (1 to 63 characters of a-z 0-9 -, no hyphen at its ends)");
	return NULL;
}

/* externalTrafficPolicy says nothing of connections that begin on a node. */
static void read_spec(struct tree *tree, const yaml_node_t *object, const yaml_node_t *spec,
		      struct kube_service *ret)
{
	static const struct tree_word policies[] = { { "Cluster", false },
						     { "Local", true },
						     { NULL } };

	read_cluster(tree, spec, ret);
	read_external(tree, object, ret);
	read_service_ports(tree, spec, ret);
	read_affinity(tree, spec, ret);
	ret->internal_local =
		tree_word(tree, manifest_get(tree, spec, "internalTrafficPolicy"), policies, false);
}

bool manifest_service(struct tree *tree, const yaml_node_t *object, struct kube_service *ret)
{
	const yaml_node_t *metadata = manifest_need(tree, object, "a Service", "metadata");
	const yaml_node_t *spec = manifest_need(tree, object, "a Service", "spec");

	ret->place = tree_place(tree, object);
	if (!metadata || !spec || !is_ours(tree, object) || is_external_name(tree, spec))
		return false;
	ret->name_space = read_namespace(tree, object);
	ret->name = read_service_name(tree, metadata);
	read_spec(tree, object, spec, ret);
	return ret->n_cluster;
}

/* ---- EndpointSlice ---------------------------------------------------------------- */

/* No port at all would mean any, which nobody serves. */
static void read_slice_port(struct tree *tree, const yaml_node_t *node, struct kube_slice *slice)
{
	const yaml_node_t *number = manifest_get(tree, node, "port");
	struct kube_slice_port port = { .protocol = read_protocol(tree, node) };

	if (!number || !port.protocol)
		return;
	port.port = manifest_read_port(tree, number, 0);
	port.name = read_port_name(tree, node);
	if (port.name)
		slice->ports[slice->n_ports++] = port;
}

static void read_slice_ports(struct tree *tree, const yaml_node_t *object, struct kube_slice *slice)
{
	yaml_node_t *list = manifest_get(tree, object, "ports");
	size_t n = count(tree, list, "ports", YAML_PORTS_MAX);

	slice->ports = tree_array(tree, n, sizeof(*slice->ports));
	for (size_t i = 0; slice->ports && i < n; i++)
		read_slice_port(tree, tree_item(tree, list, i), slice);
}

/* The names in a list of mappings that have one each. */
static char **read_hints(struct tree *tree, const yaml_node_t *hints, const char *key,
			 size_t *ret_n)
{
	yaml_node_t *list = manifest_get(tree, hints, key);
	size_t n = count(tree, list, "hints", YAML_ENTRIES_MAX);
	char **names = tree_array(tree, n, sizeof(*names));

	*ret_n = 0;
	for (size_t i = 0; names && i < n; i++) {
		const char *name = tree_text(
			tree, manifest_need(tree, tree_item(tree, list, i), "a hint", "name"),
			"a name");

		if (name && (names[*ret_n] = tree_copy(tree, name)))
			++*ret_n;
	}
	return names;
}

static void read_conditions(struct tree *tree, const yaml_node_t *endpoint,
			    struct kube_endpoint *ret)
{
	const yaml_node_t *conditions = manifest_get(tree, endpoint, "conditions");

	ret->ready = tree_bool(tree, manifest_get(tree, conditions, "ready"), true);
	ret->serving = tree_bool(tree, manifest_get(tree, conditions, "serving"), true);
	ret->terminating = tree_bool(tree, manifest_get(tree, conditions, "terminating"), false);
}

/* The first address counts, as everywhere: the others were never defined. */
static void read_endpoint_address(struct tree *tree, const yaml_node_t *endpoint, int family,
				  struct kube_endpoint *ret)
{
	yaml_node_t *list = manifest_need(tree, endpoint, "an endpoint", "addresses");
	const yaml_node_t *node;
	unsigned before = tree_problems(tree);

	if (!tree_list(tree, list, "addresses") ||
	    !yaml_count(tree, list, "addresses", YAML_ADDRESSES_MAX))
		return;
	node = tree_item(tree, list, 0);
	ret->address = yaml_read_address(tree, node);
	ret->place = tree_place(tree, node);
	if (tree_problems(tree) == before && address_family(&ret->address) != family)
		tree_expected(tree, node, "an address of the slice's addressType, %s",
			      family == AF_INET ? "IPv4" : "IPv6");
}

static void read_endpoint(struct tree *tree, const yaml_node_t *node, int family,
			  struct kube_endpoint *ret)
{
	const yaml_node_t *hints = manifest_get(tree, node, "hints");
	const yaml_node_t *zone = manifest_get(tree, node, "zone");
	const char *name = tree_text(tree, manifest_get(tree, node, "nodeName"), "a node's name");

	if (node->type != YAML_MAPPING_NODE) {
		tree_expected(tree, node, "a mapping (an endpoint)");
		return;
	}
	read_endpoint_address(tree, node, family, ret);
	read_conditions(tree, node, ret);
	ret->node = name ? tree_copy(tree, name) : NULL;
	ret->zone = tree_name(tree, zone, "a zone", 0, ZONE_MAX);
	ret->for_zones = read_hints(tree, hints, "forZones", &ret->n_for_zones);
	ret->for_nodes = read_hints(tree, hints, "forNodes", &ret->n_for_nodes);
}

static void read_slice_endpoints(struct tree *tree, const yaml_node_t *object, int family,
				 struct kube_slice *slice)
{
	yaml_node_t *list = manifest_get(tree, object, "endpoints");
	size_t n = manifest_count(tree, list, "endpoints");

	slice->endpoints = tree_array(tree, n, sizeof(*slice->endpoints));
	for (size_t i = 0; slice->endpoints && i < n; i++)
		read_endpoint(tree, tree_item(tree, list, i), family,
			      &slice->endpoints[slice->n_endpoints++]);
}

bool manifest_slice(struct tree *tree, const yaml_node_t *object, struct kube_slice *ret)
{
	static const struct tree_word types[] = {
		{ "IPv4", AF_INET }, { "IPv6", AF_INET6 }, { "FQDN", 0 }, { NULL }
	};
	const yaml_node_t *metadata = manifest_need(tree, object, "an EndpointSlice", "metadata");
	const char *service = get_label(tree, object, LABEL_SERVICE);
	int family = tree_word(tree, manifest_need(tree, object, "an EndpointSlice", "addressType"),
			       types, 0);

	if (!metadata || !family || !service || !is_ours(tree, object))
		return false;
	ret->name_space = read_namespace(tree, object);
	ret->service = tree_copy(tree, service);
	read_slice_ports(tree, object, ret);
	read_slice_endpoints(tree, object, family, ret);
	return true;
}

/* ---- Node -------------------------------------------------------------------------- */

static void read_node_address(struct tree *tree, const yaml_node_t *node, struct kube_node *ret)
{
	const char *type = tree_text(tree, manifest_get(tree, node, "type"), "a type");

	if (type && !strcmp(type, "InternalIP"))
		ret->addresses[ret->n_addresses++] =
			yaml_read_address(tree, manifest_need(tree, node, "an address", "address"));
}

bool manifest_node(struct tree *tree, const yaml_node_t *object, struct kube_node *ret)
{
	const yaml_node_t *metadata = manifest_need(tree, object, "a Node", "metadata");
	const yaml_node_t *status = manifest_get(tree, object, "status");
	yaml_node_t *list = manifest_get(tree, status, "addresses");
	const char *zone = get_label(tree, object, LABEL_ZONE);
	size_t n = count(tree, list, "addresses", YAML_ADDRESSES_MAX);

	if (!metadata)
		return false;
	ret->name = tree_name(tree, manifest_need(tree, metadata, "metadata", "name"), "a name", 1,
			      MODEL_NODE_NAME_MAX);
	ret->zone = zone ? tree_copy(tree, zone) : NULL;
	ret->addresses = tree_array(tree, n, sizeof(*ret->addresses));
	for (size_t i = 0; ret->addresses && i < n; i++)
		read_node_address(tree, tree_item(tree, list, i), ret);
	return ret->name;
}
