/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Ending sockets that sock_diag could not (bound to a device, or a kernel without
 * SOCK_DESTROY): a walk over the sockets of one network namespace ends those whose
 * cookie userspace has put on the list. Needs bpf_sock_destroy(), 6.5.
 */
#include "maps.h"

extern int bpf_sock_destroy(struct sock_common *sk) __ksym __weak;

static __always_inline int on_the_list(__u64 cookie)
{
	return bpf_map_lookup_elem(&doomed, &cookie) != 0;
}

SEC("iter/tcp")
int sst_end_tcp(struct bpf_iter__tcp *ctx)
{
	struct sock_common *sk = ctx->sk_common;

	if (sk && bpf_sock_destroy && on_the_list(sk->skc_cookie.counter))
		bpf_sock_destroy(sk);
	return 0;
}

SEC("iter/udp")
int sst_end_udp(struct bpf_iter__udp *ctx)
{
	struct udp_sock *sk = ctx->udp_sk;

	if (sk && bpf_sock_destroy && on_the_list(sk->inet.sk.__sk_common.skc_cookie.counter))
		bpf_sock_destroy((struct sock_common *)sk);
	return 0;
}
