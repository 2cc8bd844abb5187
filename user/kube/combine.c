/* SPDX-License-Identifier: Apache-2.0 */
/* What the objects come to: who belongs to whom, and where a service is reached. */
#include "kube/combine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "core/address.h"
#include "core/cleanup.h"
#include "core/dictionary.h"
#include "core/text.h"
#include "kube/internal.h"

static const int families[] = { AF_INET, AF_INET6 };

static void *allocate(size_t n, size_t size)
{
	return calloc(n ? n : 1, size);
}

/* ---- where ------------------------------------------------------------------------- */

/* One of the services that a service becomes. */
struct part {
	const char *suffix; /* of its name */
	bool cluster;       /* has the cluster IPs */
	bool external;      /* has the other addresses, and those of the node */
	bool local;         /* leads to endpoints of this node only */
};

static bool has_family(const struct kube_service *service, int family)
{
	for (size_t i = 0; i < service->n_cluster; i++)
		if (address_family(&service->cluster[i].address) == family)
			return true;
	return false;
}

/* Some name an address twice, as an external IP and as the load balancer's. */
static void add_address(struct model_service *ret, const struct kube_address *address)
{
	for (size_t i = 0; i < ret->n_addresses; i++)
		if (!address_compare(&ret->addresses[i], &address->address))
			return;
	ret->addresses[ret->n_addresses] = address->address;
	ret->address_places[ret->n_addresses++] = address->place;
}

/* Only of the families that the service has. */
static int add_addresses(const struct kube_service *service, const struct part *part,
			 struct model_service *ret)
{
	size_t n = service->n_cluster + service->n_external;

	ret->addresses = allocate(n, sizeof(*ret->addresses));
	ret->address_places = allocate(n, sizeof(*ret->address_places));
	if (!ret->addresses || !ret->address_places)
		return -ENOMEM;
	for (size_t i = 0; part->cluster && i < service->n_cluster; i++)
		add_address(ret, &service->cluster[i]);
	for (size_t i = 0; part->external && i < service->n_external; i++)
		if (has_family(service, address_family(&service->external[i].address)))
			add_address(ret, &service->external[i]);
	return 0;
}

static bool has_node_port(const struct kube_service *service)
{
	for (size_t i = 0; i < service->n_ports; i++)
		if (service->ports[i].node_port)
			return true;
	return false;
}

bool kube_is_exposed(const struct kube_service *service)
{
	return service->n_cluster && (service->n_external || has_node_port(service));
}

/* The node's own addresses, and 127.0.0.1. Not ::1, which kube-proxy does not serve either. */
static int add_node_addresses(const struct kube_service *service, const struct kube_here *here,
			      struct model_service *ret)
{
	struct model_node_address *own = allocate(here->n_addresses + 1, sizeof(*own));

	ret->node_addresses = own;
	if (!own)
		return -ENOMEM;
	for (size_t i = 0; i < here->n_addresses; i++)
		if (has_family(service, address_family(&here->addresses[i])))
			own[ret->n_node_addresses++].address = here->addresses[i];
	if (here->netns && has_family(service, AF_INET))
		own[ret->n_node_addresses++] = (struct model_node_address){
			.address = { { 0, 0, htonl(0xffff), htonl(INADDR_LOOPBACK) } },
			.netns = here->netns,
		};
	return 0;
}

/* ---- one service ------------------------------------------------------------------- */

static int make_port(const struct kube_combination *combination,
		     const struct kube_service_port *port, const struct part *part,
		     const struct model_service *service, struct model_port *ret)
{
	int r = 0;

	*ret = (struct model_port){
		.name = strdup(port->name),
		.port = port->port,
		.node_port = port->node_port,
		.protocol = port->protocol,
		.place = port->place,
	};
	if (!ret->name)
		return -ENOMEM;
	for (size_t i = 0; !r && i < ARRAY_SIZE(families); i++)
		if (model_serves(service, ret, families[i]))
			r = kube_add_endpoints(combination, port, families[i], part->local, ret);
	return r;
}

static int make_ports(const struct kube_combination *combination, const struct part *part,
		      struct model_service *ret)
{
	const struct kube_service *service = combination->service;
	int r = 0;

	ret->ports = allocate(service->n_ports, sizeof(*ret->ports));
	if (!ret->ports)
		return -ENOMEM;
	for (size_t i = 0; !r && i < service->n_ports; i++)
		r = make_port(combination, &service->ports[i], part, ret,
			      &ret->ports[ret->n_ports++]);
	return r;
}

static int make_name(const struct kube_service *service, const struct part *part, char **ret)
{
	if (asprintf(ret, "%s/%s%s", service->name_space, service->name, part->suffix) >= 0)
		return 0;
	*ret = NULL;
	return -ENOMEM;
}

static int make_service(const struct kube_combination *combination, const struct part *part,
			struct model_service *ret)
{
	const struct kube_service *service = combination->service;
	int r;

	*ret = (struct model_service){
		.balance = SST_BALANCE_RANDOM,
		.affinity_s = service->affinity_s,
		.exposed = part->external && kube_is_exposed(service),
		.place = service->place,
	};
	r = make_name(service, part, &ret->name);
	if (!r)
		r = add_addresses(service, part, ret);
	if (!r && part->external && has_node_port(service))
		r = add_node_addresses(service, combination->here, ret);
	return r ? r : make_ports(combination, part, ret);
}

#define EXTERNAL "/external"

const char *const kube_service_suffixes[KUBE_SERVICES_MAX] = { "", EXTERNAL };

int kube_combine_one(const struct kube_service *service, const struct kube_slice *const *slices,
		     size_t n_slices, const struct kube_here *here,
		     struct model_service ret[KUBE_SERVICES_MAX])
{
	static const struct part whole[] = { { "", true, true, false } };
	static const struct part halves[] = { { "", true, false, true },
					      { EXTERNAL, false, true, false } };
	const struct kube_combination combination = { service, slices, n_slices, here };
	const struct part *parts = service->internal_local ? halves : whole;
	size_t n_parts = service->internal_local ? ARRAY_SIZE(halves) : ARRAY_SIZE(whole);
	struct model_service made;
	int r, n = 0;

	for (size_t i = 0; i < n_parts; i++) {
		r = make_service(&combination, &parts[i], &made);
		if (!r && model_fronts(&made) && made.n_ports) {
			ret[n++] = made;
			continue;
		}
		model_service_release(&made);
		if (!r)
			continue;
		while (n)
			model_service_release(&ret[--n]);
		return r;
	}
	return n;
}

/* ---- all of them ------------------------------------------------------------------- */

/* Slices in the order of their services. */
struct order {
	const struct kube_slice **slices;
	size_t *first; /* by service, and one more */
};

static void order_release(struct order *order)
{
	free(order->slices);
	free(order->first);
}

static int make_key(const char *name_space, const char *name, struct text *ret)
{
	text_release(ret);
	text_add(ret, "%s/%s", name_space, name);
	return ret->error;
}

/* Numbers of services by name; of twins, of which validation will tell, the first. */
static int number_services(const struct kube_objects *objects, struct dictionary *ret)
{
	_cleanup_text_ struct text key = { 0 };
	int r = 0;

	for (size_t i = 0; !r && i < objects->n_services; i++) {
		uint32_t number = i;

		r = make_key(objects->services[i].name_space, objects->services[i].name, &key);
		if (!r)
			r = dictionary_add(ret, key.data, key.length, &number);
		if (r == -EEXIST)
			r = 0;
	}
	return r;
}

/* The service of each slice, the number of services where there is none. */
static int find_services(const struct kube_objects *objects, uint32_t *ret)
{
	_cleanup_dictionary_ struct dictionary numbers = { 0 };
	_cleanup_text_ struct text key = { 0 };
	int r = number_services(objects, &numbers);

	for (size_t i = 0; !r && i < objects->n_slices; i++) {
		ret[i] = objects->n_services;
		r = make_key(objects->slices[i].name_space, objects->slices[i].service, &key);
		if (!r)
			dictionary_find(&numbers, key.data, key.length, &ret[i]);
	}
	return r;
}

static int make_order(const struct kube_objects *objects, struct order *order)
{
	_cleanup_free_ uint32_t *services = allocate(objects->n_slices, sizeof(*services));
	int r;

	order->slices = allocate(objects->n_slices, sizeof(*order->slices));
	order->first = allocate(objects->n_services + 2, sizeof(*order->first));
	if (!services || !order->slices || !order->first)
		return -ENOMEM;
	r = find_services(objects, services);
	if (r)
		return r;
	/* how many, where the next one begins, and filling moves that to where it began */
	for (size_t i = 0; i < objects->n_slices; i++)
		order->first[services[i]]++;
	for (size_t i = 0; i <= objects->n_services; i++)
		order->first[i + 1] += order->first[i];
	for (size_t i = objects->n_slices; i-- > 0;)
		order->slices[--order->first[services[i]]] = &objects->slices[i];
	return 0;
}

/* A name of ours has room for namespace and name of any service, but for no suffix. */
static void check_names(struct problems *problems, const char *source,
			const struct model_service *made, int n)
{
	for (int i = 0; i < n; i++)
		if (strlen(made[i].name) >= SST_NAME_MAX)
			problems_add(
				problems, source, made[i].place,
				"found '%s', as the service is called whose addresses lead "
				"elsewhere than its cluster IPs, expected at most %d characters",
				made[i].name, SST_NAME_MAX - 1);
}

static int combine_service(const struct kube_objects *objects, size_t i, const struct order *order,
			   const struct kube_here *here, struct problems *problems,
			   struct model *model)
{
	const struct kube_slice **slices = order->slices + order->first[i];
	size_t n_slices = order->first[i + 1] - order->first[i];
	struct model_service *made = model->services + model->n_services;
	int n = kube_combine_one(&objects->services[i], slices, n_slices, here, made);

	if (n < 0)
		return n;
	check_names(problems, model->source, made, n);
	model->n_services += n;
	return 0;
}

static int check_size(const struct kube_objects *objects, const struct order *order,
		      struct problems *problems, const char *source)
{
	uint64_t n = 0;

	for (size_t i = 0; i < objects->n_services; i++) {
		const struct kube_slice **slices = order->slices + order->first[i];

		n += kube_count_endpoints(&objects->services[i], slices,
					  order->first[i + 1] - order->first[i]);
	}
	if (n <= KUBE_ENDPOINTS_MAX)
		return 0;
	problems_add(problems, source, (struct place){ 0 },
		     "found more than %d endpoints of Services (counted for each port), "
		     "expected at most that many",
		     KUBE_ENDPOINTS_MAX);
	return -EINVAL;
}

int kube_combine(const struct kube_objects *objects, const struct kube_here *here,
		 struct problems *problems, struct model *model)
{
	_cleanup_(order_release) struct order order = { 0 };
	unsigned before = problems_errors(problems);
	int r = make_order(objects, &order);
	size_t room = model->n_services + KUBE_SERVICES_MAX * objects->n_services;
	void *grown;

	if (!r)
		r = check_size(objects, &order, problems, model->source);
	if (r || !objects->n_services)
		return r;
	grown = reallocarray(model->services, room, sizeof(*model->services));
	if (!grown)
		return -ENOMEM;
	model->services = grown;
	for (size_t i = 0; !r && i < objects->n_services; i++)
		r = combine_service(objects, i, &order, here, problems, model);
	if (r)
		return r;
	return problems_errors(problems) == before ? 0 : -EINVAL;
}

/* ---- beside them ------------------------------------------------------------------- */

struct kube_here kube_find_here(const struct kube_objects *objects, const char *name,
				const struct model_host *host)
{
	struct kube_here here = {
		.node = name ?: host->name,
		.addresses = host->addresses,
		.n_addresses = host->n_addresses,
		.netns = host->netns,
	};

	for (size_t i = 0; here.node && i < objects->n_nodes; i++) {
		const struct kube_node *node = &objects->nodes[i];

		if (strcmp(node->name, here.node))
			continue;
		here.zone = node->zone;
		if (node->n_addresses) {
			here.addresses = node->addresses;
			here.n_addresses = node->n_addresses;
		}
	}
	return here;
}

void kube_tell_skipped(const struct kube_objects *objects, const char *source,
		       struct problems *problems)
{
	const struct kube_service *first = NULL;
	unsigned n = 0;

	for (size_t i = 0; i < objects->n_services; i++) {
		n += objects->services[i].n_sctp;
		if (!first && objects->services[i].n_sctp)
			first = &objects->services[i];
	}
	if (n)
		problems_warn(problems, source, first->place,
			      "SCTP is not translated by Sidestep: %u port%s of Services %s "
			      "skipped, the first of %s/%s",
			      n, n == 1 ? "" : "s", n == 1 ? "is" : "are", first->name_space,
			      first->name);
}
