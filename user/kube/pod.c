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

static int make_addresses(const struct kube_pod *pod, struct model_workload *ret)
{
	if (pod->host_network || !pod->n_addresses)
		return 0;
	ret->addresses = calloc(pod->n_addresses, sizeof(*ret->addresses));
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

static void take_rest(struct kube_pod *pod, struct model_workload *ret)
{
	ret->name = TAKE_PTR(pod->name);
	ret->name_space = TAKE_PTR(pod->name_space);
	ret->labels = pod->labels;
	pod->labels = (struct model_labels){ 0 };
	ret->n_ports = pod->n_ports;
	ret->ports = TAKE_PTR(pod->ports);
	pod->n_ports = 0;
}

int kube_pod_workload(struct kube_pod *pod, const struct kube_pods_here *here,
		      struct model_workload *ret)
{
	bool remote = here->node && (!pod->node || strcmp(pod->node, here->node));
	bool by_cgroup = !remote && here->root && pod->uid && pod->qos;
	struct model_workload made = { .remote = remote, .place = pod->place };
	int r;

	if (!by_cgroup && (pod->host_network || !pod->n_addresses))
		return -ENOENT;
	r = make_addresses(pod, &made);
	if (!r && by_cgroup)
		r = make_cgroup(pod, here, &made.cgroup);
	if (r) {
		model_workload_release(&made);
		return r;
	}
	take_rest(pod, &made);
	*ret = made;
	return 0;
}
