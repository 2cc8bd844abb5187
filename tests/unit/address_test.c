/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "core/address.h"
#include "core/cleanup.h"

#define UNUSED __attribute__((unused))

static struct sst_addr parse(const char *text)
{
	struct sst_addr address;

	assert_int_equal(address_parse(text, &address), 0);
	return address;
}

static void test_parse(void **unused UNUSED)
{
	static const struct {
		const char *text;
		struct in6_addr bytes;
		int family;
	} cases[] = {
		{ "10.1.2.3", { { { [10] = 0xff, 0xff, 10, 1, 2, 3 } } }, AF_INET },
		{ "::ffff:10.1.2.3", { { { [10] = 0xff, 0xff, 10, 1, 2, 3 } } }, AF_INET },
		{ "0.0.0.0", { { { [10] = 0xff, 0xff } } }, AF_INET },
		{ "fd00::1", { { { 0xfd, [15] = 1 } } }, AF_INET6 },
		{ "::", { { { 0 } } }, AF_INET6 },
		{ "::1", { { { [15] = 1 } } }, AF_INET6 },
		/* Near ::ffff:0:0/96, but not in it. */
		{ "::10.1.2.3", { { { [12] = 10, 1, 2, 3 } } }, AF_INET6 },
		{ "::1:ffff:10.1.2.3",
		  { { { [9] = 1, [10] = 0xff, 0xff, 10, 1, 2, 3 } } },
		  AF_INET6 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sst_addr address = parse(cases[i].text);

		assert_memory_equal(&address, &cases[i].bytes, sizeof(address));
		assert_int_equal(address_family(&address), cases[i].family);
	}
}

static void test_parse_refuses(void **unused UNUSED)
{
	static const char *const cases[] = {
		"",           "10.1.2",      "10.1.2.3.4",    "10.1.2.256",
		"10.1.2.03",  "0x0a.1.2.3",  " 10.1.2.3",     "10.1.2.3 ",
		"10.1.2.3/8", "10.1.2.3:80", "167772161",     "fd00::1::2",
		"fd00::1%lo", "[fd00::1]",   "fd00::1/64",    "fd00::12345",
		":::",        "localhost",   "1:2:3:4:5:6:7",
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sst_addr address = { { 1, 2, 3, 4 } }, before = address;

		assert_int_equal(address_parse(cases[i], &address), -EINVAL);
		assert_memory_equal(&address, &before, sizeof(address));
	}
}

/* bits count from the begin of the 16 bytes; what is printed is what was parsed. */
static void test_prefixes(void **unused UNUSED)
{
	static const struct {
		const char *text;
		uint8_t bits;
		const char *masked;
	} cases[] = {
		{ "0.0.0.0/0", 96, "0.0.0.0/0" },
		{ "10.0.0.0/8", 104, "10.0.0.0/8" },
		{ "10.1.2.3/8", 104, "10.0.0.0/8" },
		{ "10.1.255.255/15", 111, "10.0.0.0/15" },
		{ "10.1.2.3/31", 127, "10.1.2.2/31" },
		{ "10.1.2.3/32", 128, "10.1.2.3" },
		{ "10.1.2.3", 128, "10.1.2.3" },
		{ "::ffff:10.1.2.3/104", 104, "10.0.0.0/8" },
		{ "::ffff:10.1.2.3/90", 90, "::ffc0:0:0/90" },
		{ "::/0", 0, "::/0" },
		{ "fd00::1/1", 1, "8000::/1" },
		{ "fd00:1:2:3::/33", 33, "fd00:1::/33" },
		{ "fd00::1/64", 64, "fd00::/64" },
		{ "fd00::1/127", 127, "fd00::/127" },
		{ "fd00::1/128", 128, "fd00::1" },
		{ "fd00::1", 128, "fd00::1" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sst_addr address, masked;
		char text[ADDRESS_TEXT_MAX];
		uint8_t bits;

		assert_int_equal(address_parse_prefix(cases[i].text, &address, &bits), 0);
		assert_int_equal(bits, cases[i].bits);
		masked = address_mask(&address, bits);
		assert_string_equal(address_prefix_format(&masked, bits, text), cases[i].masked);
	}
}

static void test_prefixes_refused(void **unused UNUSED)
{
	static const char *const cases[] = {
		"",
		"/8",
		"10.0.0.0/",
		"10.0.0.0/33",
		"::/129",
		"::/1000",
		"10.0.0.0/-1",
		"10.0.0.0/08",
		"10.0.0.0/+",
		"10.0.0.0/8 ",
		"10.0.0.0/8/8",
		"10.0.0/8",
		"x/8",
		"::/00",
		"fe80::1%lo/64",
		"10.0.0.0/4294967304",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/8",
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sst_addr address = { .w = { 1 } };
		uint8_t bits = 7;

		assert_int_equal(address_parse_prefix(cases[i], &address, &bits), -EINVAL);
		assert_int_equal(address.w[0], 1);
		assert_int_equal(bits, 7);
	}
}

static void test_format(void **unused UNUSED)
{
	static const struct {
		const char *text, *formatted, *with_port;
	} cases[] = {
		{ "10.1.2.3", "10.1.2.3", "10.1.2.3:8080" },
		{ "::ffff:10.1.2.3", "10.1.2.3", "10.1.2.3:8080" },
		{ "255.255.255.255", "255.255.255.255", "255.255.255.255:8080" },
		{ "FD00:0::1", "fd00::1", "[fd00::1]:8080" },
		{ "::", "::", "[::]:8080" },
		{ "1111:2222:3333:4444:5555:6666:7777:8888",
		  "1111:2222:3333:4444:5555:6666:7777:8888",
		  "[1111:2222:3333:4444:5555:6666:7777:8888]:8080" },
	};
	char text[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sst_addr address = parse(cases[i].text);

		assert_ptr_equal(address_format(&address, text), text);
		assert_string_equal(text, cases[i].formatted);
		assert_ptr_equal(address_port_format(&address, htons(8080), text), text);
		assert_string_equal(text, cases[i].with_port);
	}
}

static void test_kinds(void **unused UNUSED)
{
	static const struct {
		const char *text;
		bool unspecified, multicast;
	} cases[] = {
		{ "0.0.0.0", true, false },    { "::", true, false },
		{ "0.0.0.1", false, false },   { "::1", false, false },
		{ "::1:0:0", false, false },   { "223.255.255.255", false, false },
		{ "224.0.0.0", false, true },  { "239.255.255.255", false, true },
		{ "240.0.0.0", false, false }, { "ff02::1", false, true },
		{ "fe80::1", false, false },   { "00ff::1", false, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sst_addr address = parse(cases[i].text);

		assert_int_equal(address_is_unspecified(&address), cases[i].unspecified);
		assert_int_equal(address_is_multicast(&address), cases[i].multicast);
	}
}

/* Ordered as people would, whatever the byte order of the machine. */
static void test_compare(void **unused UNUSED)
{
	static const char *const ascending[] = {
		"::1", "10.0.0.2", "10.0.0.10", "10.0.1.1", "192.168.0.1", "fd00::1", "fd00::1:0",
	};

	for (size_t i = 0; i < ARRAY_SIZE(ascending); i++)
		for (size_t j = 0; j < ARRAY_SIZE(ascending); j++) {
			struct sst_addr a = parse(ascending[i]), b = parse(ascending[j]);
			int order = address_compare(&a, &b);

			assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
		}
}

static void test_sockaddr(void **unused UNUSED)
{
	struct sst_addr four = parse("10.1.2.3"), six = parse("fd00::1");
	struct sockaddr_storage storage;
	struct sockaddr_in *v4 = (void *)&storage;
	struct sockaddr_in6 *v6 = (void *)&storage;

	assert_int_equal(address_to_sockaddr(&four, htons(80), &storage), sizeof(*v4));
	assert_int_equal(v4->sin_family, AF_INET);
	assert_int_equal(v4->sin_port, htons(80));
	assert_int_equal(v4->sin_addr.s_addr, htonl(0x0a010203));

	assert_int_equal(address_to_sockaddr(&six, htons(81), &storage), sizeof(*v6));
	assert_int_equal(v6->sin6_family, AF_INET6);
	assert_int_equal(v6->sin6_port, htons(81));
	assert_int_equal(v6->sin6_scope_id, 0);
	assert_memory_equal(&v6->sin6_addr, &six, sizeof(six));
}

static void test_protocol_names(void **unused UNUSED)
{
	assert_string_equal(protocol_name(IPPROTO_TCP), "TCP");
	assert_string_equal(protocol_name(IPPROTO_UDP), "UDP");
	assert_string_equal(protocol_name(132), "132");
	assert_string_equal(protocol_name(255), "255");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),          cmocka_unit_test(test_parse_refuses),
		cmocka_unit_test(test_prefixes),       cmocka_unit_test(test_prefixes_refused),
		cmocka_unit_test(test_format),         cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_compare),        cmocka_unit_test(test_sockaddr),
		cmocka_unit_test(test_protocol_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
