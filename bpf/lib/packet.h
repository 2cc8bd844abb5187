/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a packet says of who sends it and to whom. */
#ifndef SIDESTEP_BPF_PACKET_H
#define SIDESTEP_BPF_PACKET_H

#include "lib/address.h"
#include "sidestep/abi.h"

struct packet {
	struct sst_addr source;
	struct sst_addr target;
	__be16 source_port;
	__be16 target_port;
	union {
		__be32 sequence; /* TCP's */
		__u32 payload;   /* UDP's, bytes; of several datagrams that go as one, all */
	};
	__u8 protocol; /* as the socket has it; the rest is read */
	__u8 flags;    /* TCP's */
};

static __always_inline void tuple_of(const struct packet *packet, struct sst_tuple *tuple)
{
	tuple->source = packet->source;
	tuple->target = packet->target;
	tuple->source_port = packet->source_port;
	tuple->target_port = packet->target_port;
}

/* The way back. */
static __always_inline void tuple_back(const struct packet *packet, struct sst_tuple *tuple)
{
	tuple->source = packet->target;
	tuple->target = packet->source;
	tuple->source_port = packet->target_port;
	tuple->target_port = packet->source_port;
}

/* Most packets are TCP's, and most of those no hook needs to look at: this takes no call. 0: it
 * is not, or cannot be told here. */
static __always_inline int is_plain_tcp(const struct __sk_buff *skb)
{
	const __u8 *header = (const __u8 *)(long)skb->data;

	if (header + 20 > (const __u8 *)(long)skb->data_end)
		return 0;
	return header[header[0] >> 4 == 4 ? 9 : 6] == IPPROTO_TCP;
}

#define TCP_SYN 0x02
#define TCP_ACK 0x10

/* Of what is_plain_tcp() by IPv4, without options: a SYN begins a connection. */
static __always_inline int is_plain_reply(const struct __sk_buff *skb)
{
	const __u8 *header = (const __u8 *)(long)skb->data;

	if (header + 34 > (const __u8 *)(long)skb->data_end || header[0] != 0x45)
		return 0;
	return (header[33] & (TCP_SYN | TCP_ACK)) != TCP_SYN;
}

/* In ingress.bpf.c. 0, or -1: unreadable. */
int sst_read_packet(struct __sk_buff *skb, struct packet *packet);

/* In udp.bpf.c: counts a datagram that a socket here sends, or gets. */
int sst_account(struct __sk_buff *skb, const struct packet *packet, int leaves);

#endif
