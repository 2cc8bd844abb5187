/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who serves what comes from outside of the node. Services are translated where a socket of the
 * node connects; a packet that arrives at a node port or at an external address has no such
 * socket, and is kube-proxy's. Pure: what is there is looked for by datapath/kube_proxy.h.
 */
#ifndef SIDESTEP_MODEL_KUBE_PROXY_H
#define SIDESTEP_MODEL_KUBE_PROXY_H

#include <stdbool.h>
#include <stddef.h>

#include "core/text.h"

/* What the configuration says. */
enum kube_proxy_stated {
	KUBE_PROXY_UNSTATED,
	KUBE_PROXY_BESIDE,   /* it runs on this node, too */
	KUBE_PROXY_REPLACED, /* it does not */
};

/* The ways in which it serves; X(SYMBOL, name). */
#define KUBE_PROXY_MODES(X)     \
	X(IPTABLES, "iptables") \
	X(NFTABLES, "nftables") \
	X(IPVS, "ipvs")

#define X(symbol, name) KUBE_PROXY_##symbol,
enum kube_proxy_mode { KUBE_PROXY_MODES(X) KUBE_PROXY_MODE_MAX };
#undef X

/* What there is of it in the node's network namespace. */
struct kube_proxy_sight {
	bool unseen; /* it could not be looked for */
	bool rules[KUBE_PROXY_MODE_MAX];
};

const char *kube_proxy_mode_name(enum kube_proxy_mode mode);
bool kube_proxy_is_there(const struct kube_proxy_sight *sight);

/* "iptables, nftables", "none", or "not known". */
void kube_proxy_describe(const struct kube_proxy_sight *sight, struct text *out);

/* How many of the services that are exposed nobody serves for callers from outside. */
size_t kube_proxy_unserved(const struct kube_proxy_sight *sight, size_t exposed);

/*
 * What there is against what was stated: appends what is wrong, in a sentence. Returns whether
 * there is something.
 */
bool kube_proxy_judge(enum kube_proxy_stated stated, const struct kube_proxy_sight *sight,
		      size_t exposed, struct text *out);

#endif
