/* SPDX-License-Identifier: Apache-2.0 */
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

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

static void release_port(struct model_port *port)
{
	for (size_t i = 0; i < port->n_endpoints; i++)
		free(port->endpoints[i].zone);
	free(port->endpoints);
	free(port->name);
}

static void release_service(struct model_service *service)
{
	for (size_t i = 0; i < service->n_ports; i++)
		release_port(&service->ports[i]);
	free(service->ports);
	free(service->addresses);
	free(service->address_places);
	free(service->name);
}

static void release_workload(struct model_workload *workload)
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

void model_free(struct model *model)
{
	if (!model)
		return;
	for (size_t i = 0; i < model->n_services; i++)
		release_service(&model->services[i]);
	for (size_t i = 0; i < model->n_workloads; i++)
		release_workload(&model->workloads[i]);
	for (size_t i = 0; i < model->n_namespaces; i++) {
		model_labels_release(&model->namespaces[i].labels);
		free(model->namespaces[i].name);
	}
	for (size_t i = 0; i < model->n_policies; i++)
		model_policy_release(&model->policies[i]);
	for (size_t i = 0; i < model->n_files; i++)
		free(model->files[i]);
	free(model->files);
	free(model->namespaces);
	free(model->policies);
	free(model->node.telemetry.flow_log.file);
	flow_filter_release(&model->node.telemetry.flow_log.only);
	free(model->node.policy.probes_cgroup);
	free(model->node.policy.nodes);
	free(model->services);
	free(model->workloads);
	free(model->source);
	free(model);
}
