/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a packet says of who sends it and to whom. */
#ifndef SIDESTEP_BPF_PACKET_H
#define SIDESTEP_BPF_PACKET_H

#include "lib/address.h"

struct packet {
	struct sst_addr source;
	struct sst_addr target;
	__be16 source_port;
	__be16 target_port;
	__be32 sequence; /* TCP's */
	__u8 protocol;   /* as the socket has it; the rest is read */
	__u8 flags;      /* TCP's */
};

/* In ingress.bpf.c. 0, or -1: unreadable. */
int sst_read_packet(struct __sk_buff *skb, struct packet *packet);

#endif
