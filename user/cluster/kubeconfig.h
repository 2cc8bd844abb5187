/* SPDX-License-Identifier: Apache-2.0 */
/* The reader of kubeconfig files, for access.c. */
#ifndef SIDESTEP_CLUSTER_KUBECONFIG_H
#define SIDESTEP_CLUSTER_KUBECONFIG_H

#include "cluster/access.h"

/*
 * What the current context says. server: stands for the cluster's own, NULL: none does. 0;
 * -EINVAL with problems; or -ENOMEM. What is in *ret, which was zero, is to be released in any
 * case.
 */
int kubeconfig_read(const char *path, const char *server, struct problems *problems,
		    struct access *ret);

#endif
