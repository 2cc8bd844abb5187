/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the kernel keeps of a socket that is in a sockmap. */
#ifndef SIDESTEP_BPF_PSOCK_H
#define SIDESTEP_BPF_PSOCK_H

#include "lib/kernel.h"

/* 0: the socket is in no sockmap. */
static __always_inline struct sk_psock *psock_of(struct sock *sk)
{
	unsigned long user_data = (unsigned long)BPF_CORE_READ(sk, sk_user_data);

	return user_data & SK_USER_DATA_PSOCK ? (struct sk_psock *)(user_data & ~7UL) : 0;
}

/* Whether spliced bytes wait to be read. */
static __always_inline int psock_unread(const struct sk_psock *psock)
{
	const struct list_head *head = __builtin_preserve_access_index(&psock->ingress_msg);
	struct list_head *first = 0;

	if (bpf_core_read(&first, sizeof(first), &head->next))
		return 0;
	return first != head;
}

/*
 * Whether no send() or recv() is under way on the socket right now: each holds a
 * reference as long as it runs, and so does each sockmap.
 */
static __always_inline int psock_idle(const struct sk_psock *psock)
{
	return BPF_CORE_READ(psock, refcnt.refs.counter) == 1;
}

#endif
