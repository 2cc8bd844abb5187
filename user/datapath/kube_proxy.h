/* SPDX-License-Identifier: Apache-2.0 */
/* Whether kube-proxy's rules are in this thread's network namespace. Runs no program. */
#ifndef SIDESTEP_DATAPATH_KUBE_PROXY_H
#define SIDESTEP_DATAPATH_KUBE_PROXY_H

#include "model/kube_proxy.h"

void kube_proxy_look(struct kube_proxy_sight *ret);

#endif
