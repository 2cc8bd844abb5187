/* SPDX-License-Identifier: Apache-2.0 */
/* Pod: who it is, and where. */
#include <string.h>

#include "core/cleanup.h"
#include "source/manifest.h"

/* Of pods that kubelet has from files: the server's UID is that of a stand-in. */
#define ANNOTATION_MIRROR "kubernetes.io/config.mirror"
#define ANNOTATION_HASH   "kubernetes.io/config.hash"
#define UID_MAX           64

/* ---- its addresses ------------------------------------------------------------------- */

/* podIPs has them all, podIP the first. */
static void read_addresses(struct tree *tree, const yaml_node_t *status, struct kube_pod *pod)
{
	yaml_node_t *list = manifest_get(tree, status, "podIPs");
	yaml_node_t *single = manifest_get(tree, status, "podIP");
	size_t n = list ? manifest_count(tree, list, "addresses") : !!single;

	pod->addresses = tree_array(tree, n, sizeof(*pod->addresses));
	for (; pod->addresses && pod->n_addresses < n; pod->n_addresses++) {
		const yaml_node_t *item = list ? tree_item(tree, list, pod->n_addresses) : NULL;
		const yaml_node_t *node =
			item ? manifest_need(tree, item, "an address", "ip") : single;

		pod->addresses[pod->n_addresses] = (struct kube_address){
			.address = yaml_read_address(tree, node),
			.place = node ? tree_place(tree, node) : pod->place,
		};
	}
}

/* ---- its ports ----------------------------------------------------------------------- */

static bool has_port(const struct kube_pod *pod, const char *name, uint8_t protocol)
{
	for (size_t i = 0; i < pod->n_ports; i++)
		if (pod->ports[i].protocol == protocol && !strcmp(pod->ports[i].name, name))
			return true;
	return false;
}

/* Of containers that give one name twice the first counts, as in Kubernetes. */
static void read_port(struct tree *tree, const yaml_node_t *node, struct kube_pod *pod)
{
	const yaml_node_t *name = manifest_get(tree, node, "name");
	const yaml_node_t *protocol = manifest_get(tree, node, "protocol");
	struct model_named_port port = { 0 };

	/* SCTP is nothing that rules could be about */
	if (!name || (protocol && !strcmp(tree_text(tree, protocol, "a protocol") ?: "", "SCTP")))
		return;
	port.protocol = yaml_read_protocol(tree, protocol);
	port.port = manifest_read_port(
		tree, manifest_need(tree, node, "a container's port", "containerPort"), 0);
	port.name = yaml_read_port_name(tree, name);
	if (!port.name || has_port(pod, port.name, port.protocol)) {
		free(port.name);
		return;
	}
	pod->ports = yaml_grow(tree, pod->ports, pod->n_ports, 1, sizeof(*pod->ports));
	if (tree->no_memory)
		free(port.name);
	else
		pod->ports[pod->n_ports++] = port;
}

/* Those that run all the time: an init container does if it is started again whenever it ends. */
static bool runs(struct tree *tree, const yaml_node_t *container, bool init)
{
	const yaml_node_t *policy = manifest_get(tree, container, "restartPolicy");
	const char *text = init ? tree_text(tree, policy, "a restart policy") : NULL;

	return !init || (text && !strcmp(text, "Always"));
}

static void read_ports(struct tree *tree, const yaml_node_t *spec, const char *key, bool init,
		       struct kube_pod *pod)
{
	yaml_node_t *containers = manifest_get(tree, spec, key);
	size_t n = manifest_count(tree, containers, key);

	for (size_t i = 0; i < n; i++) {
		const yaml_node_t *container = tree_item(tree, containers, i);
		yaml_node_t *ports = manifest_get(tree, container, "ports");
		size_t n_ports = manifest_count(tree, ports, "ports");

		for (size_t j = 0; j < n_ports && runs(tree, container, init); j++)
			read_port(tree, tree_item(tree, ports, j), pod);
	}
}

/* ---- who it is ------------------------------------------------------------------------ */

static bool is_uid(const char *text)
{
	size_t length =
		strspn(text, "0123456789-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");

	return length && length <= UID_MAX && !text[length];
}

/* It becomes part of a path. */
static char *read_uid(struct tree *tree, const yaml_node_t *node)
{
	const char *text = tree_text(tree, node, "a UID");

	if (text && is_uid(text))
		return tree_copy(tree, text);
	if (text)
		tree_expected(tree, node, "a UID (1 to %d letters, digits and hyphens)", UID_MAX);
	return NULL;
}

static char *read_text(struct tree *tree, const yaml_node_t *node, const char *what)
{
	const char *text = tree_text(tree, node, what);

	return text ? tree_copy(tree, text) : NULL;
}

static void read_metadata(struct tree *tree, const yaml_node_t *metadata, struct kube_pod *pod)
{
	const yaml_node_t *annotations = manifest_get(tree, metadata, "annotations");
	const yaml_node_t *hash = manifest_get(tree, annotations, ANNOTATION_HASH);

	pod->name = manifest_read_name(tree, metadata);
	pod->name_space = yaml_read_namespace(tree, manifest_get(tree, metadata, "namespace"));
	pod->mirror = hash && manifest_get(tree, annotations, ANNOTATION_MIRROR);
	pod->uid = read_uid(tree, pod->mirror ? hash : manifest_get(tree, metadata, "uid"));
	pod->created = read_text(tree, manifest_get(tree, metadata, "creationTimestamp"), "a time");
	yaml_read_labels(tree, manifest_get(tree, metadata, "labels"), &pod->labels);
}

/*
 * Who has ended is nobody any longer. In a file a pod is known by its address, which those with the
 * host's network do not have for themselves.
 */
static bool is_nobody(struct tree *tree, const yaml_node_t *status, bool host_network)
{
	const char *phase = tree_text(tree, manifest_get(tree, status, "phase"), "a phase");
	bool has_address =
		manifest_get(tree, status, "podIP") || manifest_get(tree, status, "podIPs");

	if (phase && (!strcmp(phase, "Succeeded") || !strcmp(phase, "Failed")))
		return true;
	return !tree->stored && (host_network || !has_address);
}

bool manifest_pod(struct tree *tree, const yaml_node_t *object, struct kube_pod *ret)
{
	static const struct tree_word classes[] = {
		{ "Guaranteed", KUBE_GUARANTEED },
		{ "Burstable", KUBE_BURSTABLE },
		{ "BestEffort", KUBE_BEST_EFFORT },
		{ NULL },
	};
	const yaml_node_t *metadata = manifest_need(tree, object, "Pod", "metadata");
	const yaml_node_t *spec = manifest_get(tree, object, "spec");
	const yaml_node_t *status = manifest_get(tree, object, "status");

	ret->place = tree_place(tree, object);
	ret->host_network = tree_bool(tree, manifest_get(tree, spec, "hostNetwork"), false);
	if (!metadata || is_nobody(tree, status, ret->host_network))
		return false;
	read_metadata(tree, metadata, ret);
	ret->node = read_text(tree, manifest_get(tree, spec, "nodeName"), "a name");
	ret->qos =
		tree_word(tree, manifest_get(tree, status, "qosClass"), classes, KUBE_QOS_UNKNOWN);
	read_addresses(tree, status, ret);
	read_ports(tree, spec, "containers", false, ret);
	read_ports(tree, spec, "initContainers", true, ret);
	return true;
}
