/* SPDX-License-Identifier: Apache-2.0 */
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

#include "core/address.h"
#include "core/cleanup.h"

struct model *model_new(const char *source)
{
	_cleanup_model_ struct model *model = calloc(1, sizeof(*model));

	if (!model)
		return NULL;
	model->node.splice = SST_SPLICE_AUTO;
	model->node.telemetry = (struct model_telemetry){
		.edges = 10000,
		.edge_ttl_s = 3600,
		.events = 100000,
		.series = 10000,
		.flow_log = { .max_size = 64ull << 20, .keep = 4, .sample = 1 },
	};
	model->node.policy.revoke = true;
	model->source = strdup(source);
	if (!model->source)
		return NULL;
	return TAKE_PTR(model);
}

size_t model_fronts(const struct model_service *service)
{
	return service->n_addresses + service->n_node_addresses;
}

bool model_front(const struct model_service *service, const struct model_port *port, size_t i,
		 struct model_front *ret)
{
	const struct model_node_address *own;

	if (i < service->n_addresses) {
		*ret = (struct model_front){
			.address = service->addresses[i],
			.port = port->port,
		};
		if (service->address_places)
			ret->place = service->address_places[i];
		return true;
	}
	own = &service->node_addresses[i - service->n_addresses];
	*ret = (struct model_front){
		.address = own->address,
		.port = port->node_port,
		.netns = own->netns,
		.place = port->place,
	};
	return port->node_port;
}

size_t model_exposed(const struct model *model)
{
	size_t n = 0;

	for (size_t i = 0; i < model->n_services; i++)
		n += model->services[i].exposed;
	return n;
}

bool model_serves(const struct model_service *service, const struct model_port *port, int family)
{
	struct model_front front;

	for (size_t i = 0; i < model_fronts(service); i++)
		if (model_front(service, port, i, &front) &&
		    address_family(&front.address) == family)
			return true;
	return false;
}

static void release_port(struct model_port *port)
{
	for (size_t i = 0; i < port->n_endpoints; i++)
		free(port->endpoints[i].zone);
	free(port->endpoints);
	free(port->name);
}

void model_service_release(struct model_service *service)
{
	for (size_t i = 0; i < service->n_ports; i++)
		release_port(&service->ports[i]);
	free(service->ports);
	free(service->addresses);
	free(service->node_addresses);
	free(service->address_places);
	free(service->name);
}

void model_workload_release(struct model_workload *workload)
{
	model_labels_release(&workload->labels);
	for (size_t i = 0; i < workload->n_ports; i++)
		free(workload->ports[i].name);
	free(workload->ports);
	free(workload->cgroup);
	free(workload->netns);
	free(workload->addresses);
	free(workload->name_space);
	free(workload->name);
}

bool model_host_equal(const struct model_host *a, const struct model_host *b)
{
	return a->netns == b->netns && a->n_addresses == b->n_addresses &&
	       (!a->n_addresses ||
		!memcmp(a->addresses, b->addresses, a->n_addresses * sizeof(*a->addresses))) &&
	       !strcmp(a->name ?: "", b->name ?: "");
}

void model_host_release(struct model_host *host)
{
	free(host->addresses);
	free(host->name);
}

void model_free(struct model *model)
{
	if (!model)
		return;
	for (size_t i = 0; i < model->n_services; i++)
		model_service_release(&model->services[i]);
	for (size_t i = 0; i < model->n_workloads; i++)
		model_workload_release(&model->workloads[i]);
	for (size_t i = 0; i < model->n_namespaces; i++)
		model_namespace_release(&model->namespaces[i]);
	for (size_t i = 0; i < model->n_policies; i++)
		model_policy_release(&model->policies[i]);
	for (size_t i = 0; i < model->n_files; i++)
		free(model->files[i]);
	free(model->files);
	free(model->namespaces);
	free(model->policies);
	free(model->node.telemetry.flow_log.file);
	flow_filter_release(&model->node.telemetry.flow_log.only);
	free(model->node.name);
	free(model->node.policy.probes_cgroup);
	free(model->node.policy.nodes);
	free(model->services);
	free(model->workloads);
	free(model->source);
	free(model);
}
