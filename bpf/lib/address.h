/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The one form of an address, made once at the hook. */
#ifndef SIDESTEP_BPF_ADDRESS_H
#define SIDESTEP_BPF_ADDRESS_H

#include "lib/kernel.h"
#include "sidestep/abi.h"

static __always_inline void address_from_v4(struct sst_addr *to, __be32 v4)
{
	to->w[0] = 0;
	to->w[1] = 0;
	to->w[2] = bpf_htonl(0xffff);
	to->w[3] = v4;
}

static __always_inline int address_equal(const struct sst_addr *a, const struct sst_addr *b)
{
	return a->w[0] == b->w[0] && a->w[1] == b->w[1] && a->w[2] == b->w[2] && a->w[3] == b->w[3];
}

/* Both ends of a full socket. A v6 socket with a v4 peer holds mapped addresses already. */
static __always_inline void address_of_socket(struct sock *sk, struct sst_addr *local,
					      struct sst_addr *remote)
{
	struct sock_common *common = &sk->__sk_common;

	if (common->skc_family == AF_INET) {
		address_from_v4(local, common->skc_rcv_saddr);
		address_from_v4(remote, common->skc_daddr);
		return;
	}
	for (int i = 0; i < 4; i++) {
		local->w[i] = common->skc_v6_rcv_saddr.in6_u.u6_addr32[i];
		remote->w[i] = common->skc_v6_daddr.in6_u.u6_addr32[i];
	}
}

/* The address a socket was bound to; untouched when it was not. */
static __always_inline void address_bound(struct bpf_sock *sk, struct sst_addr *local)
{
	if (sk->family == AF_INET) {
		if (sk->src_ip4)
			address_from_v4(local, sk->src_ip4);
		return;
	}
	local->w[0] = sk->src_ip6[0];
	local->w[1] = sk->src_ip6[1];
	local->w[2] = sk->src_ip6[2];
	local->w[3] = sk->src_ip6[3];
}

#endif
