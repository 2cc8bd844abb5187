/* SPDX-License-Identifier: Apache-2.0 */
/* The parts that objects are made of, and all objects but policies. */
#include "cluster/pack.h"

#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"

/* ---- bytes ----------------------------------------------------------------------------- */

static bool reserve(struct pack *pack, size_t n)
{
	size_t room = pack->room ?: 256;
	unsigned char *grown;

	if (pack->no_memory || pack->size + n <= pack->room)
		return !pack->no_memory;
	while (room < pack->size + n)
		room *= 2;
	grown = realloc(pack->bytes, room);
	if (!grown) {
		pack->no_memory = true;
		return false;
	}
	pack->bytes = grown;
	pack->room = room;
	return true;
}

/* Once memory ran out, zeros are read: nothing more of an object that is incomplete anyway. */
static void pack_bytes(struct pack *pack, void *bytes, size_t n)
{
	if (pack->from && pack->no_memory) {
		memset(bytes, 0, n);
	} else if (pack->from) {
		memcpy(bytes, pack->from->bytes + pack->at, n);
		pack->at += n;
	} else if (reserve(pack, n)) {
		memcpy(pack->bytes + pack->size, bytes, n);
		pack->size += n;
	}
}

struct packed *pack_finish(struct pack *pack)
{
	_cleanup_free_ unsigned char *bytes = TAKE_PTR(pack->bytes);
	struct packed *ret = pack->no_memory ? NULL : malloc(sizeof(*ret) + pack->size);

	if (!ret)
		return NULL;
	ret->size = pack->size;
	if (pack->size)
		memcpy(ret->bytes, bytes, pack->size);
	return ret;
}

bool packed_equal(const struct packed *a, const struct packed *b)
{
	if (!a || !b)
		return a == b;
	return a->size == b->size && !memcmp(a->bytes, b->bytes, a->size);
}

/* ---- parts ----------------------------------------------------------------------------- */

/* Seven bits a byte, the last one without the eighth. */
void pack_number(struct pack *pack, uint64_t *number)
{
	uint64_t rest = *number, read = 0;
	unsigned char byte;
	unsigned shift = 0;

	do {
		byte = (rest & 0x7f) | (rest > 0x7f ? 0x80 : 0);
		pack_bytes(pack, &byte, 1);
		read |= (uint64_t)(byte & 0x7f) << shift;
		rest >>= 7;
		shift += 7;
	} while (!pack->no_memory && (byte & 0x80));
	if (pack->from)
		*number = read;
}

/* Its length and one more; 0: NULL. */
void pack_text(struct pack *pack, char **text)
{
	uint64_t length = *text ? strlen(*text) + 1 : 0;

	pack_number(pack, &length);
	if (!length)
		return;
	if (pack->from && !(*text = calloc(1, length))) {
		pack->no_memory = true;
		return;
	}
	pack_bytes(pack, *text, length - 1);
}

void pack_address(struct pack *pack, struct sst_addr *address)
{
	pack_bytes(pack, address, sizeof(*address));
}

void pack_make(struct pack *pack, void **array, size_t *n, size_t size)
{
	if (!pack->from)
		return;
	*array = *n ? calloc(*n, size) : NULL;
	if (*n && !*array) {
		pack->no_memory = true;
		*n = 0;
	}
}

void pack_labels(struct pack *pack, struct model_labels *labels)
{
	PACK(pack, labels->n);
	pack_make(pack, (void **)&labels->items, &labels->n, sizeof(*labels->items));
	for (size_t i = 0; i < labels->n; i++) {
		pack_text(pack, &labels->items[i].key);
		pack_text(pack, &labels->items[i].value);
	}
}

/* ---- services -------------------------------------------------------------------------- */

void pack_service(struct pack *pack, struct kube_service *service)
{
	pack_text(pack, &service->name_space);
	pack_text(pack, &service->name);
	PACK_ARRAY(pack, service, cluster);
	for (size_t i = 0; i < service->n_cluster; i++)
		pack_address(pack, &service->cluster[i].address);
	PACK_ARRAY(pack, service, external);
	for (size_t i = 0; i < service->n_external; i++)
		pack_address(pack, &service->external[i].address);
	PACK_ARRAY(pack, service, ports);
	for (size_t i = 0; i < service->n_ports; i++) {
		struct kube_service_port *port = &service->ports[i];

		pack_text(pack, &port->name);
		PACK(pack, port->port);
		PACK(pack, port->node_port);
		PACK(pack, port->protocol);
	}
	PACK(pack, service->n_sctp);
	PACK(pack, service->internal_local);
	PACK(pack, service->affinity_s);
}

static void pack_names(struct pack *pack, char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		pack_text(pack, &names[i]);
}

static void pack_endpoint(struct pack *pack, struct kube_endpoint *endpoint)
{
	pack_address(pack, &endpoint->address);
	PACK(pack, endpoint->ready);
	PACK(pack, endpoint->serving);
	PACK(pack, endpoint->terminating);
	pack_text(pack, &endpoint->node);
	pack_text(pack, &endpoint->zone);
	PACK_ARRAY(pack, endpoint, for_zones);
	pack_names(pack, endpoint->for_zones, endpoint->n_for_zones);
	PACK_ARRAY(pack, endpoint, for_nodes);
	pack_names(pack, endpoint->for_nodes, endpoint->n_for_nodes);
}

void pack_slice_owner(struct pack *pack, struct kube_slice *slice)
{
	pack_text(pack, &slice->name_space);
	pack_text(pack, &slice->service);
}

void pack_slice(struct pack *pack, struct kube_slice *slice)
{
	pack_slice_owner(pack, slice);
	PACK_ARRAY(pack, slice, ports);
	for (size_t i = 0; i < slice->n_ports; i++) {
		pack_text(pack, &slice->ports[i].name);
		PACK(pack, slice->ports[i].port);
		PACK(pack, slice->ports[i].protocol);
	}
	PACK_ARRAY(pack, slice, endpoints);
	for (size_t i = 0; i < slice->n_endpoints; i++)
		pack_endpoint(pack, &slice->endpoints[i]);
}

void pack_node(struct pack *pack, struct kube_node *node)
{
	pack_text(pack, &node->name);
	pack_text(pack, &node->zone);
	PACK_ARRAY(pack, node, addresses);
	for (size_t i = 0; i < node->n_addresses; i++)
		pack_address(pack, &node->addresses[i]);
}

/* ---- who is who ------------------------------------------------------------------------ */

void pack_namespace(struct pack *pack, struct model_namespace *namespace)
{
	pack_text(pack, &namespace->name);
	pack_labels(pack, &namespace->labels);
}

void pack_pod(struct pack *pack, struct kube_pod *pod)
{
	pack_text(pack, &pod->name_space);
	pack_text(pack, &pod->name);
	pack_text(pack, &pod->uid);
	pack_text(pack, &pod->node);
	pack_text(pack, &pod->created);
	pack_labels(pack, &pod->labels);
	PACK_ARRAY(pack, pod, addresses);
	for (size_t i = 0; i < pod->n_addresses; i++)
		pack_address(pack, &pod->addresses[i].address);
	PACK_ARRAY(pack, pod, ports);
	for (size_t i = 0; i < pod->n_ports; i++) {
		pack_text(pack, &pod->ports[i].name);
		PACK(pack, pod->ports[i].port);
		PACK(pack, pod->ports[i].protocol);
	}
	PACK(pack, pod->qos);
	PACK(pack, pod->mirror);
	PACK(pack, pod->host_network);
}
