/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/object.h"

#include <stdlib.h>

void kube_service_release(struct kube_service *service)
{
	for (size_t i = 0; i < service->n_ports; i++)
		free(service->ports[i].name);
	free(service->ports);
	free(service->external);
	free(service->cluster);
	free(service->name);
	free(service->name_space);
}

static void release_texts(char **texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(texts[i]);
	free(texts);
}

void kube_endpoint_release(struct kube_endpoint *endpoint)
{
	release_texts(endpoint->for_zones, endpoint->n_for_zones);
	release_texts(endpoint->for_nodes, endpoint->n_for_nodes);
	free(endpoint->node);
	free(endpoint->zone);
}

void kube_slice_release(struct kube_slice *slice)
{
	for (size_t i = 0; i < slice->n_ports; i++)
		free(slice->ports[i].name);
	for (size_t i = 0; i < slice->n_endpoints; i++)
		kube_endpoint_release(&slice->endpoints[i]);
	free(slice->ports);
	free(slice->endpoints);
	free(slice->service);
	free(slice->name_space);
}

void kube_node_release(struct kube_node *node)
{
	free(node->addresses);
	free(node->zone);
	free(node->name);
}

void kube_objects_release(struct kube_objects *objects)
{
	for (size_t i = 0; i < objects->n_services; i++)
		kube_service_release(&objects->services[i]);
	for (size_t i = 0; i < objects->n_slices; i++)
		kube_slice_release(&objects->slices[i]);
	for (size_t i = 0; i < objects->n_nodes; i++)
		kube_node_release(&objects->nodes[i]);
	free(objects->services);
	free(objects->slices);
	free(objects->nodes);
}
