/* SPDX-License-Identifier: Apache-2.0 */
#include "export/pcap.h"

#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>

#include "core/address.h"

#define MAGIC_NANOSECONDS 0xa1b23c4d
#define LINKTYPE_RAW      101 /* packets begin with their IP header */
#define SNAPLEN           262144

/* What fits behind both headers in the 65535 bytes of an IPv4 packet; so does it in IPv6. */
#define SEGMENT_MAX (IP_MAXPACKET - sizeof(struct iphdr) - sizeof(struct tcphdr))

/* Both in the writer's byte order, which the magic number tells. */
struct file_header {
	uint32_t magic;
	uint16_t major;
	uint16_t minor;
	uint32_t reserved[2];
	uint32_t snaplen;
	uint32_t linktype;
};

struct packet_header {
	uint32_t seconds;
	uint32_t nanoseconds;
	uint32_t captured;
	uint32_t length; /* of the packet as it would have been */
};

/* A part of a message, as long as a packet may be. */
struct segment {
	const struct sst_message *message;
	uint64_t offset;   /* in the message */
	uint32_t size;     /* in the stream */
	uint32_t captured; /* bytes that are there, from the begin */
	const uint8_t *payload;
};

/* The sum of RFC 1071, not folded. */
static uint64_t sum_words(uint64_t sum, const void *data, size_t n)
{
	const uint8_t *byte = data;

	for (size_t i = 0; i < n; i++)
		sum += i & 1 ? byte[i] : byte[i] << 8;
	return sum;
}

static uint16_t checksum(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum & 0xffff);
}

static bool is_v4(const struct sst_message *message)
{
	return address_family(&message->local) == AF_INET &&
	       address_family(&message->remote) == AF_INET;
}

static uint8_t ttl(const struct sst_message *message)
{
	return message->decision == SST_COUNTER_MESSAGE_SPLICED ? PCAP_TTL_SPLICED : PCAP_TTL_TCP;
}

static struct iphdr header_v4(const struct segment *segment)
{
	const struct sst_message *message = segment->message;
	struct iphdr ip = {
		.version = IPVERSION,
		.ihl = sizeof(ip) / 4,
		.tot_len = htons(sizeof(ip) + sizeof(struct tcphdr) + segment->size),
		.frag_off = htons(IP_DF),
		.ttl = ttl(message),
		.protocol = IPPROTO_TCP,
		.saddr = message->local.w[3],
		.daddr = message->remote.w[3],
	};

	ip.check = checksum(sum_words(0, &ip, sizeof(ip)));
	return ip;
}

static struct ip6_hdr header_v6(const struct segment *segment)
{
	const struct sst_message *message = segment->message;
	struct ip6_hdr ip = {
		.ip6_plen = htons(sizeof(struct tcphdr) + segment->size),
		.ip6_nxt = IPPROTO_TCP,
		.ip6_hlim = ttl(message),
	};

	ip.ip6_vfc = 6 << 4;
	memcpy(&ip.ip6_src, &message->local, sizeof(ip.ip6_src));
	memcpy(&ip.ip6_dst, &message->remote, sizeof(ip.ip6_dst));
	return ip;
}

static uint64_t sum_pseudo_header(const struct segment *segment)
{
	const struct sst_message *message = segment->message;
	size_t from = is_v4(message) ? 3 : 0, n = (4 - from) * sizeof(message->local.w[0]);
	uint64_t sum = IPPROTO_TCP + sizeof(struct tcphdr) + segment->size;

	sum = sum_words(sum, &message->local.w[from], n);
	return sum_words(sum, &message->remote.w[from], n);
}

static struct tcphdr header_tcp(const struct segment *segment)
{
	const struct sst_message *message = segment->message;
	bool client = message->role == SST_ROLE_CLIENT;
	uint32_t mine = client ? message->first.client_seq : message->first.server_seq;
	uint32_t other = client ? message->first.server_seq : message->first.client_seq;
	struct tcphdr tcp = {
		.source = message->local_port,
		.dest = message->remote_port,
		.seq = htonl(mine + (uint32_t)(message->offset + segment->offset)),
		.ack_seq = htonl(other + (uint32_t)message->acked),
		.doff = sizeof(tcp) / 4,
		.psh = segment->offset + segment->size == message->size,
		.ack = 1,
		.window = htons(UINT16_MAX),
	};
	uint64_t sum;

	/* nobody can check it when bytes are missing, nor can we make it */
	if (segment->captured < segment->size)
		return tcp;
	sum = sum_words(sum_pseudo_header(segment), &tcp, sizeof(tcp));
	tcp.check = checksum(sum_words(sum, segment->payload, segment->captured));
	return tcp;
}

static void add_segment(const struct segment *segment, uint64_t time_ns, struct text *out)
{
	bool v4 = is_v4(segment->message);
	uint32_t headers =
		(v4 ? sizeof(struct iphdr) : sizeof(struct ip6_hdr)) + sizeof(struct tcphdr);
	struct packet_header packet = {
		.seconds = time_ns / 1000000000,
		.nanoseconds = time_ns % 1000000000,
		.captured = headers + segment->captured,
		.length = headers + segment->size,
	};
	struct ip6_hdr ip6 = header_v6(segment);
	struct iphdr ip4 = header_v4(segment);
	struct tcphdr tcp = header_tcp(segment);

	text_add_bytes(out, &packet, sizeof(packet));
	text_add_bytes(out, v4 ? (void *)&ip4 : (void *)&ip6, headers - sizeof(tcp));
	text_add_bytes(out, &tcp, sizeof(tcp));
	text_add_bytes(out, segment->payload, segment->captured);
}

static uint32_t at_most(uint64_t n, uint32_t max)
{
	return n < max ? n : max;
}

void pcap_begin(struct text *out)
{
	const struct file_header header = {
		.magic = MAGIC_NANOSECONDS,
		.major = 2,
		.minor = 4,
		.snaplen = SNAPLEN,
		.linktype = LINKTYPE_RAW,
	};

	text_add_bytes(out, &header, sizeof(header));
}

void pcap_add(const struct sst_message *message, int64_t realtime_offset_ns, struct text *out)
{
	const uint8_t *payload = (const uint8_t *)(message + 1);

	for (uint64_t done = 0; done < message->size; done += SEGMENT_MAX) {
		uint32_t left = message->captured > done ? message->captured - done : 0;
		struct segment segment = {
			.message = message,
			.offset = done,
			.size = at_most(message->size - done, SEGMENT_MAX),
			.captured = at_most(left, SEGMENT_MAX),
			.payload = payload + (left ? done : 0),
		};

		add_segment(&segment, message->time_ns + realtime_offset_ns, out);
	}
}
