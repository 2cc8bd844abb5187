/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* UDP has no connection to judge once: a socket remembers with whom it may talk, in either
 * direction, so that replies pass and only the first datagram is asked about. */
#ifndef SIDESTEP_BPF_DATAGRAM_H
#define SIDESTEP_BPF_DATAGRAM_H

#include "lib/packet.h"
#include "lib/policy.h"

/* In policy.bpf.c, as they need a key on the stack that nothing else does. */
int sst_datagram_is_known(__u64 cookie, const struct sst_addr *peer, __u32 port);
/* The same of what arrives: it must be of the sender that was let in. */
int sst_datagram_arrives(__u64 cookie, const struct packet *packet);
/* Tells the case whose ingress the sender has had decided. */
int sst_datagram_judged(__u64 cookie, const struct sst_addr *peer, __u32 port,
			struct policy_case *c);
int sst_datagram_remember(__u64 cookie, const struct sst_addr *peer, __u32 port,
			  const struct policy_case *c);

#endif
