/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets of the node that listen where a service is reached, too. Who connects on this node gets
 * the service; the socket is reached from outside only, if it is. Pure: the sockets are listed by
 * datapath/listener.h.
 */
#ifndef SIDESTEP_MODEL_SHADOW_H
#define SIDESTEP_MODEL_SHADOW_H

#include "core/problems.h"
#include "model/model.h"
#include "model/state.h"

/* One that takes what comes, of the node's own network namespace. */
struct shadow_socket {
	struct sst_addr address;
	uint16_t port;    /* host order */
	uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP */
	bool v6_only;     /* bound to :: it is not at the addresses of IPv4 */
};

/* Starts as { 0 }. */
struct shadow_sockets {
	struct shadow_socket *items;
	size_t n, room;
};

int shadow_sockets_add(struct shadow_sockets *sockets, const struct shadow_socket *socket);
void shadow_sockets_release(struct shadow_sockets *sockets);
#define _cleanup_shadow_sockets_ __attribute__((cleanup(shadow_sockets_release)))

/*
 * Warns of each service's port once. *ret: how many addresses and ports of services there are in
 * all at which one of the sockets listens. 0 or -ENOMEM.
 */
int shadow_find(const struct state *state, const struct model_host *host,
		const struct shadow_sockets *sockets, struct problems *problems, size_t *ret);

#endif
