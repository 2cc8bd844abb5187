/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/pod.h"

#include <errno.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/text.h"

void kube_pod_release(struct kube_pod *pod)
{
	for (size_t i = 0; i < pod->n_ports; i++)
		free(pod->ports[i].name);
	free(pod->ports);
	free(pod->addresses);
	model_labels_release(&pod->labels);
	free(pod->created);
	free(pod->node);
	free(pod->uid);
	free(pod->name);
	free(pod->name_space);
}

/* ---- its cgroup ---------------------------------------------------------------------- */

/* "/kubepods/burstable/pod4f5e-..." */
static void add_cgroupfs(struct text *path, const struct kube_pod *pod)
{
	static const char *const classes[] = {
		[KUBE_GUARANTEED] = "",
		[KUBE_BURSTABLE] = "/burstable",
		[KUBE_BEST_EFFORT] = "/besteffort",
	};

	text_add(path, "/kubepods%s/pod%s", classes[pod->qos], pod->uid);
}

/* The name of the slice that the root is, with a hyphen: those within have it in their own. */
static void add_prefix(struct text *ret, const char *root)
{
	static const char suffix[] = ".slice";
	const char *name = strrchr(root, '/') ? strrchr(root, '/') + 1 : root;
	size_t length = strlen(name);

	if (length <= strlen(suffix) || strcmp(name + length - strlen(suffix), suffix))
		return;
	text_add_bytes(ret, name, length - strlen(suffix));
	text_add(ret, "-");
}

/* "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod4f5e_....slice" */
static void add_systemd(struct text *path, const struct kube_pod *pod, const char *root)
{
	static const char *const classes[] = {
		[KUBE_GUARANTEED] = "",
		[KUBE_BURSTABLE] = "-burstable",
		[KUBE_BEST_EFFORT] = "-besteffort",
	};
	_cleanup_text_ struct text prefix = { 0 };
	const char *class = classes[pod->qos];
	const char *before;

	add_prefix(&prefix, root);
	before = text_string(&prefix);
	text_add(path, "/%skubepods.slice", before);
	if (*class)
		text_add(path, "/%skubepods%s.slice", before, class);
	text_add(path, "/%skubepods%s-pod", before, class);
	/* to systemd a hyphen would be another level */
	for (const char *c = pod->uid; *c; c++)
		text_add(path, "%c", *c == '-' ? '_' : *c);
	text_add(path, ".slice");
	if (prefix.error)
		path->error = prefix.error;
}

static int make_cgroup(const struct kube_pod *pod, const struct kube_pods_here *here, char **ret)
{
	_cleanup_text_ struct text path = { 0 };

	text_add(&path, "%s", here->root);
	if (here->systemd)
		add_systemd(&path, pod, here->root);
	else
		add_cgroupfs(&path, pod);
	if (path.error)
		return path.error;
	*ret = TAKE_PTR(path.data);
	return 0;
}

/* ---- the workload -------------------------------------------------------------------- */

static int copy_text(const char *text, char **ret)
{
	*ret = strdup(text);
	return *ret ? 0 : -ENOMEM;
}

static int copy_labels(const struct kube_pod *pod, struct model_labels *ret)
{
	int r = 0;

	ret->items = calloc(pod->labels.n ?: 1, sizeof(*ret->items));
	if (!ret->items)
		return -ENOMEM;
	for (; !r && ret->n < pod->labels.n; ret->n++) {
		struct model_label *label = &ret->items[ret->n];

		r = copy_text(pod->labels.items[ret->n].key, &label->key);
		if (!r)
			r = copy_text(pod->labels.items[ret->n].value, &label->value);
	}
	return r;
}

static int copy_ports(const struct kube_pod *pod, struct model_workload *ret)
{
	int r = 0;

	ret->ports = calloc(pod->n_ports ?: 1, sizeof(*ret->ports));
	if (!ret->ports)
		return -ENOMEM;
	for (; !r && ret->n_ports < pod->n_ports; ret->n_ports++) {
		struct model_named_port *port = &ret->ports[ret->n_ports];

		*port = pod->ports[ret->n_ports];
		r = copy_text(port->name, &port->name);
	}
	return r;
}

static int copy_addresses(const struct kube_pod *pod, struct model_workload *ret)
{
	if (pod->host_network)
		return 0;
	ret->addresses = calloc(pod->n_addresses ?: 1, sizeof(*ret->addresses));
	if (!ret->addresses)
		return -ENOMEM;
	for (; ret->n_addresses < pod->n_addresses; ret->n_addresses++) {
		const struct kube_address *from = &pod->addresses[ret->n_addresses];

		ret->addresses[ret->n_addresses] = (struct model_cidr){
			.address = from->address,
			.bits = 128,
			.place = from->place,
		};
	}
	return 0;
}

static int fill(const struct kube_pod *pod, const struct kube_pods_here *here, bool by_cgroup,
		struct model_workload *ret)
{
	int r = copy_text(pod->name, &ret->name);

	if (!r)
		r = copy_text(pod->name_space, &ret->name_space);
	if (!r)
		r = copy_labels(pod, &ret->labels);
	if (!r)
		r = copy_addresses(pod, ret);
	if (!r)
		r = copy_ports(pod, ret);
	return r || !by_cgroup ? r : make_cgroup(pod, here, &ret->cgroup);
}

int kube_pod_workload(const struct kube_pod *pod, const struct kube_pods_here *here,
		      struct model_workload *ret)
{
	bool remote = here->node && (!pod->node || strcmp(pod->node, here->node));
	bool by_cgroup = !remote && here->root && pod->uid && pod->qos;
	struct model_workload made = { .remote = remote, .place = pod->place };
	int r;

	if (!by_cgroup && (pod->host_network || !pod->n_addresses))
		return -ENOENT;
	r = fill(pod, here, by_cgroup, &made);
	if (r)
		model_workload_release(&made);
	else
		*ret = made;
	return r;
}
