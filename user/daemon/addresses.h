/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses that come to our network namespace and go, followed by rtnetlink. */
#ifndef SIDESTEP_DAEMON_ADDRESSES_H
#define SIDESTEP_DAEMON_ADDRESSES_H

#include <uv.h>

struct addresses;

/* changed is called a moment after a change: one seldom comes alone. -errno: they are not
 * followed. What is given outlives it. */
int addresses_follow(uv_loop_t *loop, void (*changed)(void *arg), void *arg,
		     struct addresses **ret);

/* The loop has closed its handles. */
void addresses_free(struct addresses *addresses);

#endif
