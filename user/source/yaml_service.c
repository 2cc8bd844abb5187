/* SPDX-License-Identifier: Apache-2.0 */
/* The schema of `services`: their ports, endpoints and options. */
#include <netinet/in.h>
#include <stdlib.h>

#include "core/address.h"
#include "core/cleanup.h"
#include "source/yaml.h"
#include "source/yaml_schema.h"

#define ZONE_MAX       63
#define AFFINITY_MAX_S 604800 /* a week */

static const struct tree_key service_keys[] = {
	{ "name" },   { "address" },   { "ports" },     { "port" },
	{ "target" }, { "protocol" },  { "balance" },   { "affinity" },
	{ "splice" }, { "on-remove" }, { "endpoints" }, { NULL },
};

static const struct tree_key port_keys[] = {
	{ "name" }, { "port" }, { "target" }, { "protocol" }, { NULL },
};

static const struct tree_key endpoint_keys[] = {
	{ "address" }, { "port" },  { "ports" },    { "weight" },
	{ "zone" },    { "ready" }, { "draining" }, { NULL },
};

static const struct tree_word protocol_words[] = {
	{ "TCP", IPPROTO_TCP },
	{ "UDP", IPPROTO_UDP },
	{ NULL },
};

static const struct tree_word balance_words[] = {
	{ "random", SST_BALANCE_RANDOM },
	{ "round-robin", SST_BALANCE_ROUND_ROBIN },
	{ NULL },
};

static const struct tree_word on_remove_words[] = {
	{ "keep", SST_ON_REMOVE_KEEP },
	{ "reset", SST_ON_REMOVE_RESET },
	{ NULL },
};

static void read_service_addresses(struct tree *tree, yaml_node_t *node,
				   struct model_service *service)
{
	service->addresses = yaml_read_addresses(tree, node, &service->n_addresses);
	service->address_places =
		tree_array(tree, service->n_addresses, sizeof(*service->address_places));
	for (size_t i = 0; service->address_places && i < service->n_addresses; i++)
		service->address_places[i] = tree_place(tree, tree_item(tree, node, i));
}

/* ---- ports ----------------------------------------------------------------------- */

/* A service while it is read: what its endpoints have to know of its ports. */
struct draft {
	struct model_service *service;
	uint16_t *targets;      /* by port: where endpoints listen that do not say otherwise */
	struct tree_key *names; /* of the ports that have one; NULL: they have problems */
};

static void release_draft(struct draft *draft)
{
	free(draft->targets);
	free(draft->names);
}

/* node is an entry of `ports`, or the service itself where it has `port`. */
static void read_port(struct tree *tree, const yaml_node_t *node, const char *what,
		      struct model_port *port, uint16_t *target)
{
	port->place = tree_place(tree, node);
	port->port = yaml_read_port(tree, tree_need(tree, node, what, "port"), 0);
	port->protocol =
		tree_word(tree, tree_get(tree, node, "protocol"), protocol_words, IPPROTO_TCP);
	*target = yaml_read_port(tree, tree_get(tree, node, "target"), port->port);
}

static void read_ports_entry(struct tree *tree, const yaml_node_t *node, struct model_port *port,
			     uint16_t *target)
{
	const yaml_node_t *name = tree_get(tree, node, "name");

	if (!tree_mapping(tree, node, "a port", port_keys))
		return;
	read_port(tree, node, "a port", port, target);
	if (name)
		port->name = tree_name(tree, name, "a port name", 1, SST_PORT_NAME_MAX - 1);
	else
		port->name = tree_copy(tree, "");
}

static bool make_ports(struct tree *tree, struct draft *draft, size_t n)
{
	draft->service->ports = tree_array(tree, n, sizeof(*draft->service->ports));
	draft->targets = tree_array(tree, n, sizeof(*draft->targets));
	draft->service->n_ports = draft->service->ports && draft->targets ? n : 0;
	return draft->service->n_ports;
}

static void read_port_list(struct tree *tree, const yaml_node_t *service, yaml_node_t *list,
			   struct draft *draft)
{
	static const char *const beside_port[] = { "target", "protocol" };
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(beside_port); i++) {
		const yaml_node_t *stray = tree_get(tree, service, beside_port[i]);

		if (stray)
			tree_complain(tree, stray,
				      "found '%s' beside 'ports', expected it in the entries",
				      beside_port[i]);
	}
	if (tree_list(tree, list, "ports"))
		n = yaml_count(tree, list, "ports", YAML_PORTS_MAX);
	if (!make_ports(tree, draft, n))
		return;
	for (size_t i = 0; i < n; i++)
		read_ports_entry(tree, tree_item(tree, list, i), &draft->service->ports[i],
				 &draft->targets[i]);
}

static void read_single_port(struct tree *tree, const yaml_node_t *service, struct draft *draft)
{
	if (!make_ports(tree, draft, 1))
		return;
	read_port(tree, service, "a service", draft->service->ports, draft->targets);
	draft->service->ports->place = tree_place(tree, tree_get(tree, service, "port"));
	draft->service->ports->name = tree_copy(tree, "");
}

/* What endpoints may name in their own `ports`. */
static struct tree_key *name_ports(struct tree *tree, const struct model_service *service)
{
	struct tree_key *names = tree_array(tree, service->n_ports + 1, sizeof(*names));
	size_t n = 0;

	for (size_t i = 0; names && i < service->n_ports; i++)
		if (service->ports[i].name && *service->ports[i].name)
			names[n++].name = service->ports[i].name;
	return names;
}

static void read_ports(struct tree *tree, const yaml_node_t *node, struct draft *draft)
{
	yaml_node_t *list = tree_get(tree, node, "ports");
	yaml_node_t *single = tree_get(tree, node, "port");
	unsigned before = tree_problems(tree);

	if (list && single)
		tree_complain(tree, single,
			      "found 'port' and 'ports' in a service, expected one of them");
	else if (list)
		read_port_list(tree, node, list, draft);
	else if (single)
		read_single_port(tree, node, draft);
	else
		tree_complain(tree, node,
			      "found a service without 'port' and 'ports', expected one of them");
	if (tree_problems(tree) == before)
		draft->names = name_ports(tree, draft->service);
}

/* ---- endpoints ------------------------------------------------------------------- */

static void check_endpoint_ports(struct tree *tree, const yaml_node_t *node,
				 const struct draft *draft)
{
	yaml_node_t *single = tree_get(tree, node, "port");
	yaml_node_t *several = tree_get(tree, node, "ports");

	if (!draft->names)
		return;
	if (single && several)
		tree_complain(tree, single,
			      "found 'port' and 'ports' in an endpoint, expected one of them");
	else if (single && draft->service->n_ports > 1)
		tree_complain(tree, single,
			      "found 'port' in an endpoint of a service with several ports, "
			      "expected 'ports'");
	else if (several && !draft->names[0].name)
		tree_complain(tree, several,
			      "found 'ports' in an endpoint, but the service's port has no name, "
			      "expected 'port'");
	else if (several)
		tree_mapping(tree, several, "the ports of an endpoint", draft->names);
}

static uint16_t read_endpoint_port(struct tree *tree, const yaml_node_t *node,
				   const struct draft *draft, size_t i)
{
	const struct model_port *port = &draft->service->ports[i];
	const yaml_node_t *own = NULL;

	if (draft->service->n_ports == 1)
		own = tree_get(tree, node, "port");
	if (!own && port->name)
		own = tree_get(tree, tree_get(tree, node, "ports"), port->name);
	return yaml_read_port(tree, own, draft->targets[i]);
}

static char *read_zone(struct tree *tree, const yaml_node_t *node)
{
	return tree_name(tree, tree_get(tree, node, "zone"), "a zone", 1, ZONE_MAX);
}

/* Reads endpoint i and gives it to each port of the service. */
static void read_endpoint(struct tree *tree, const yaml_node_t *node, const struct draft *draft,
			  size_t i)
{
	_cleanup_free_ char *zone = NULL;
	struct model_endpoint common = { .place = tree_place(tree, node) };

	if (!tree_mapping(tree, node, "an endpoint", endpoint_keys))
		return;
	common.address = yaml_read_address(tree, tree_need(tree, node, "an endpoint", "address"));
	common.weight = tree_number(tree, tree_get(tree, node, "weight"), "a weight", 1,
				    MODEL_WEIGHT_MAX, 1);
	common.ready = tree_bool(tree, tree_get(tree, node, "ready"), true);
	common.draining = tree_bool(tree, tree_get(tree, node, "draining"), false);
	zone = read_zone(tree, node);
	check_endpoint_ports(tree, node, draft);
	for (size_t p = 0; p < draft->service->n_ports; p++) {
		struct model_endpoint *endpoint = &draft->service->ports[p].endpoints[i];

		*endpoint = common;
		endpoint->port = read_endpoint_port(tree, node, draft, p);
		endpoint->zone = zone ? tree_copy(tree, zone) : NULL;
	}
}

/* By address and port, so that the order in the file does not matter; twins as in the file. */
static int compare_endpoints(const void *a, const void *b)
{
	const struct model_endpoint *x = a, *y = b;
	int order = address_compare(&x->address, &y->address);

	if (order)
		return order;
	if (x->port != y->port)
		return x->port < y->port ? -1 : 1;
	if (x->place.line != y->place.line)
		return x->place.line < y->place.line ? -1 : 1;
	return x->place.column < y->place.column ? -1 : x->place.column > y->place.column;
}

static void sort_endpoints(struct model_service *service)
{
	for (size_t i = 0; i < service->n_ports; i++)
		qsort(service->ports[i].endpoints, service->ports[i].n_endpoints,
		      sizeof(*service->ports[i].endpoints), compare_endpoints);
}

static bool make_endpoints(struct reader *reader, const yaml_node_t *list, struct draft *draft)
{
	size_t n = tree_count(list);

	for (size_t i = 0; i < draft->service->n_ports; i++) {
		struct model_port *port = &draft->service->ports[i];

		if (n > YAML_ENDPOINTS_MAX - reader->n_endpoints) {
			tree_complain(reader->tree, list,
				      "found more than %d endpoints (counted for each port) "
				      "in the file, expected at most that many",
				      YAML_ENDPOINTS_MAX);
			return false;
		}
		reader->n_endpoints += n;
		port->endpoints = tree_array(reader->tree, n, sizeof(*port->endpoints));
		if (!port->endpoints)
			return false;
		port->n_endpoints = n;
	}
	return true;
}

static void read_endpoints(struct reader *reader, yaml_node_t *list, struct draft *draft)
{
	struct tree *tree = reader->tree;

	if (!tree_list(tree, list, "endpoints"))
		return;
	if (!tree_count(list))
		tree_complain(tree, list, "found an empty service, expected at least one endpoint");
	if (tree_count(list) && make_endpoints(reader, list, draft)) {
		for (size_t i = 0; i < tree_count(list); i++)
			read_endpoint(tree, tree_item(tree, list, i), draft, i);
		sort_endpoints(draft->service);
	}
}

/* ---- services -------------------------------------------------------------------- */

static void read_options(struct tree *tree, const yaml_node_t *node, struct model_service *service)
{
	service->balance =
		tree_word(tree, tree_get(tree, node, "balance"), balance_words, SST_BALANCE_RANDOM);
	service->affinity_s =
		tree_duration(tree, tree_get(tree, node, "affinity"), 1, AFFINITY_MAX_S, 0);
	service->splice = tree_word(tree, tree_get(tree, node, "splice"), yaml_splice_words,
				    SST_SPLICE_INHERIT);
	service->on_remove = tree_word(tree, tree_get(tree, node, "on-remove"), on_remove_words,
				       SST_ON_REMOVE_KEEP);
}

static void read_service(struct reader *reader, const yaml_node_t *node,
			 struct model_service *service)
{
	__attribute__((cleanup(release_draft))) struct draft draft = { .service = service };
	struct tree *tree = reader->tree;

	service->place = tree_place(tree, node);
	if (!tree_mapping(tree, node, "a service", service_keys))
		return;
	service->name = tree_name(tree, tree_need(tree, node, "a service", "name"),
				  "a service name", 1, SST_NAME_MAX - 1);
	read_service_addresses(tree, tree_need(tree, node, "a service", "address"), service);
	read_ports(tree, node, &draft);
	read_options(tree, node, service);
	read_endpoints(reader, tree_need(tree, node, "a service", "endpoints"), &draft);
}

void yaml_read_services(struct reader *reader, yaml_node_t *list)
{
	struct tree *tree = reader->tree;
	size_t n = tree_list(tree, list, "services") ? tree_count(list) : 0;

	if (!YAML_RESERVE(reader, services, n))
		return;
	for (size_t i = 0; !tree->no_memory && i < n; i++) {
		unsigned before = tree_problems(tree);
		struct model_service service = { 0 };

		read_service(reader, tree_item(tree, list, i), &service);
		YAML_KEEP(reader, services, service, tree_problems(tree) == before);
	}
}
