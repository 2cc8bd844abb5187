/* SPDX-License-Identifier: Apache-2.0 */
/* A pod, trimmed to what is used, and the workload that it is to policies. */
#ifndef SIDESTEP_KUBE_POD_H
#define SIDESTEP_KUBE_POD_H

#include "kube/object.h"
#include "model/model.h"

enum kube_qos {
	KUBE_QOS_UNKNOWN, /* its cgroup is not known, either */
	KUBE_GUARANTEED,
	KUBE_BURSTABLE,
	KUBE_BEST_EFFORT,
};

struct kube_pod {
	char *name_space;
	char *name;
	char *uid;     /* what kubelet calls its cgroup by; NULL: not told */
	char *node;    /* NULL: none yet */
	char *created; /* RFC 3339: what is later sorts behind; NULL: not told */
	struct model_labels labels;
	struct kube_address *addresses;
	size_t n_addresses;
	struct model_named_port *ports;
	size_t n_ports;
	enum kube_qos qos;
	bool mirror;       /* it stands for a pod of kubelet's own, whose UID uid is */
	bool host_network; /* it has no addresses of its own */
	struct place place;
};

/* Names that the path of a pod's cgroup has behind that of the root. */
#define KUBE_POD_LEVELS 3

/* Where kubelet puts the pods of this node. */
struct kube_pods_here {
	const char *node; /* NULL: not known, all pods are taken for its own */
	const char *root; /* the cgroup they are all in, "" for the root; NULL: not known */
	bool systemd;     /* kubelet's cgroup driver, else it is cgroupfs */
};

/*
 * 0, and what the pod had is the workload's; -ENOENT: nothing tells that somebody is this pod;
 * -ENOMEM. Containers have cgroups below
 * the pod's, whatever their runtime calls them, and a workload is all below its own.
 */
int kube_pod_workload(struct kube_pod *pod, const struct kube_pods_here *here,
		      struct model_workload *ret);

/* Frees what is in it. */
void kube_pod_release(struct kube_pod *pod);

#endif
