/* SPDX-License-Identifier: Apache-2.0 */
#include "export_fixture.h"

#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>

#include "export/pcap.h"

#define S         1000000000ull
#define FILE_HEAD 24
#define HEAD      16
#define V4        (20 + 20)
#define V6        (40 + 20)
#define SEGMENT   65495

struct captured {
	struct sst_message message;
	uint8_t payload[SST_PAYLOAD_MAX];
};

/* The client's second message of a connection. */
static void captured_init(struct captured *c, const char *local, const char *remote, uint32_t size,
			  uint32_t payload)
{
	c->message = (struct sst_message){
		.time_ns = 1000 * S + 7,
		.flow = 1,
		.peer_flow = 2,
		.offset = 100,
		.acked = 30,
		.local = fixture_address(local),
		.remote = fixture_address(remote),
		.local_port = htons(41000),
		.remote_port = htons(8080),
		.role = SST_ROLE_CLIENT,
		.first = { .client_seq = 0xffffff00, .server_seq = 5000 },
		.decision = SST_COUNTER_MESSAGE_SPLICED,
		.size = size,
		.captured = payload,
	};
	for (uint32_t i = 0; i < payload; i++)
		c->payload[i] = (uint8_t)(i * 7 + 1);
}

static uint32_t word(const struct text *text, size_t at)
{
	uint32_t value;

	assert_true(at + sizeof(value) <= text->length);
	memcpy(&value, text->data + at, sizeof(value));
	return value;
}

/* RFC 1071 in its plainest form: the sum over what is right is all ones. */
static uint16_t folded(const void *data, size_t n, uint32_t sum)
{
	const uint8_t *byte = data;

	for (size_t i = 0; i < n; i += 2)
		sum += (uint32_t)(byte[i] << 8) + (i + 1 < n ? byte[i + 1] : 0);
	while (sum > 0xffff)
		sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)sum;
}

static void test_file_header(void **unused UNUSED)
{
	_cleanup_text_ struct text out = {};

	pcap_begin(&out);
	assert_int_equal(out.length, FILE_HEAD);
	assert_int_equal(word(&out, 0), 0xa1b23c4d);
	assert_int_equal(word(&out, 4), 2 | 4 << 16);
	assert_int_equal(word(&out, 16), 262144);
	assert_int_equal(word(&out, 20), 101);
}

static void test_v4(void **unused UNUSED)
{
	_cleanup_text_ struct text out = {};
	struct captured c;
	struct tcphdr tcp;
	struct iphdr ip;

	captured_init(&c, "10.1.0.9", "10.1.0.2", 11, 11);
	pcap_add(&c.message, 5 * S, &out);
	assert_int_equal(out.length, HEAD + V4 + 11);
	assert_int_equal(word(&out, 0), 1005);
	assert_int_equal(word(&out, 4), 7);
	assert_int_equal(word(&out, 8), V4 + 11);
	assert_int_equal(word(&out, 12), V4 + 11);

	memcpy(&ip, out.data + HEAD, sizeof(ip));
	assert_int_equal(ip.version, 4);
	assert_int_equal(ip.ihl, 5);
	assert_int_equal(ntohs(ip.tot_len), V4 + 11);
	assert_int_equal(ip.ttl, 255);
	assert_int_equal(ip.protocol, IPPROTO_TCP);
	assert_int_equal(ntohl(ip.saddr), 0x0a010009);
	assert_int_equal(ntohl(ip.daddr), 0x0a010002);
	assert_int_equal(folded(&ip, sizeof(ip), 0), 0xffff);

	memcpy(&tcp, out.data + HEAD + sizeof(ip), sizeof(tcp));
	assert_int_equal(ntohs(tcp.source), 41000);
	assert_int_equal(ntohs(tcp.dest), 8080);
	assert_int_equal(ntohl(tcp.seq), 0xffffff00u + 100);
	assert_int_equal(ntohl(tcp.ack_seq), 5030);
	assert_true(tcp.ack && tcp.psh && !tcp.syn && !tcp.fin && !tcp.rst);
	assert_int_equal(tcp.doff, 5);
	assert_memory_equal(out.data + HEAD + V4, c.payload, 11);
	/* pseudo header: addresses, protocol, length */
	assert_int_equal(folded(out.data + HEAD + sizeof(ip), sizeof(tcp) + 11,
				0x0a01 + 0x0009 + 0x0a01 + 0x0002 + IPPROTO_TCP + 20 + 11),
			 0xffff);
}

static void test_v6(void **unused UNUSED)
{
	_cleanup_text_ struct text out = {};
	struct ip6_hdr ip;
	struct captured c;
	uint32_t sum = IPPROTO_TCP + 20 + 4;

	captured_init(&c, "fd00::9", "fd00::2", 4, 4);
	c.message.decision = SST_COUNTER_MESSAGE_DRAIN;
	pcap_add(&c.message, 0, &out);
	assert_int_equal(out.length, HEAD + V6 + 4);
	memcpy(&ip, out.data + HEAD, sizeof(ip));
	assert_int_equal(ip.ip6_vfc, 0x60);
	assert_int_equal(ntohs(ip.ip6_plen), 20 + 4);
	assert_int_equal(ip.ip6_nxt, IPPROTO_TCP);
	assert_int_equal(ip.ip6_hlim, 64);
	assert_memory_equal(&ip.ip6_src, &c.message.local, 16);
	assert_memory_equal(&ip.ip6_dst, &c.message.remote, 16);
	sum += folded(&ip.ip6_src, 32, 0);
	assert_int_equal(folded(out.data + HEAD + sizeof(ip), 20 + 4, sum), 0xffff);
}

/* The server's own bytes are counted from its own first one. */
static void test_server(void **unused UNUSED)
{
	_cleanup_text_ struct text out = {};
	struct captured c;
	struct tcphdr tcp;

	captured_init(&c, "10.1.0.2", "10.1.0.9", 1, 0);
	c.message.role = SST_ROLE_SERVER;
	pcap_add(&c.message, 0, &out);
	memcpy(&tcp, out.data + HEAD + 20, sizeof(tcp));
	assert_int_equal(ntohl(tcp.seq), 5000 + 100);
	assert_int_equal(ntohl(tcp.ack_seq), 0xffffff00u + 30);
}

static void test_without_payload(void **unused UNUSED)
{
	_cleanup_text_ struct text out = {};
	struct captured c;
	struct tcphdr tcp;

	captured_init(&c, "10.1.0.9", "10.1.0.2", 1000, 0);
	pcap_add(&c.message, 0, &out);
	assert_int_equal(out.length, HEAD + V4);
	assert_int_equal(word(&out, 8), V4);
	assert_int_equal(word(&out, 12), V4 + 1000);
	memcpy(&tcp, out.data + HEAD + 20, sizeof(tcp));
	assert_int_equal(tcp.check, 0);
}

static void test_part_of_the_payload(void **unused UNUSED)
{
	_cleanup_text_ struct text out = {};
	struct captured c;

	captured_init(&c, "10.1.0.9", "10.1.0.2", 1000, 33);
	pcap_add(&c.message, 0, &out);
	assert_int_equal(out.length, HEAD + V4 + 33);
	assert_int_equal(word(&out, 8), V4 + 33);
	assert_int_equal(word(&out, 12), V4 + 1000);
	assert_memory_equal(out.data + HEAD + V4, c.payload, 33);
}

/* What is longer than a packet may be, at the edges of that; the second packet is
 * beyond what can be captured. */
static void test_split(void **unused UNUSED)
{
	static const uint32_t sizes[] = { SEGMENT, SEGMENT + 1, 2 * SEGMENT + 500 };
	static struct captured c;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup_text_ struct text out = {};
		uint32_t told = 0, packets = 0;

		captured_init(&c, "10.1.0.9", "10.1.0.2", sizes[i], SST_PAYLOAD_MAX);
		pcap_add(&c.message, 0, &out);
		for (size_t at = 0; at < out.length; at += HEAD + word(&out, at + 8)) {
			struct tcphdr tcp;
			struct iphdr ip;

			memcpy(&ip, out.data + at + HEAD, sizeof(ip));
			memcpy(&tcp, out.data + at + HEAD + sizeof(ip), sizeof(tcp));
			assert_int_equal(word(&out, at + 12), ntohs(ip.tot_len));
			assert_int_equal(word(&out, at + 8), V4 + (packets ? 0 : SST_PAYLOAD_MAX));
			assert_int_equal(folded(&ip, sizeof(ip), 0), 0xffff);
			assert_int_equal(ntohl(tcp.seq), 0xffffff00u + 100 + told);
			told += ntohs(ip.tot_len) - V4;
			assert_int_equal(tcp.psh, told == sizes[i]);
			packets++;
		}
		assert_int_equal(told, sizes[i]);
		assert_int_equal(packets, (sizes[i] + SEGMENT - 1) / SEGMENT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file_header),
		cmocka_unit_test(test_v4),
		cmocka_unit_test(test_v6),
		cmocka_unit_test(test_server),
		cmocka_unit_test(test_without_payload),
		cmocka_unit_test(test_part_of_the_payload),
		cmocka_unit_test(test_split),
	};

	return cmocka_run_group_tests_name("pcap", tests, NULL, NULL);
}
