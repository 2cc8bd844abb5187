/* SPDX-License-Identifier: Apache-2.0 */
#include "core/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "core/decimal.h"

int address_parse(const char *text, struct sst_addr *ret)
{
	struct in6_addr v6;
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		*ret = (struct sst_addr){ .w = { 0, 0, htonl(0xffff), v4.s_addr } };
		return 0;
	}
	if (inet_pton(AF_INET6, text, &v6) == 1) {
		memcpy(ret, &v6, sizeof(*ret));
		return 0;
	}
	return -EINVAL;
}

/* Decimal digits only, no leading zero. */
static int parse_length(const char *text, unsigned max, unsigned *ret)
{
	unsigned n = 0;

	if (!*text || strlen(text) > 3 || text[strspn(text, "0123456789")])
		return -EINVAL;
	if (text[0] == '0' && text[1])
		return -EINVAL;
	for (; *text; text++)
		n = 10 * n + *text - '0';
	if (n > max)
		return -EINVAL;
	*ret = n;
	return 0;
}

int address_parse_prefix(const char *text, struct sst_addr *ret, uint8_t *ret_bits)
{
	const char *slash = strchrnul(text, '/');
	unsigned room = memchr(text, ':', slash - text) ? 128 : 32, length = room;
	char host[ADDRESS_TEXT_MAX];
	struct sst_addr address;

	if (slash - text >= ADDRESS_TEXT_MAX)
		return -EINVAL;
	memcpy(host, text, slash - text);
	host[slash - text] = '\0';
	if (address_parse(host, &address) || (*slash && parse_length(slash + 1, room, &length)))
		return -EINVAL;
	*ret = address;
	*ret_bits = 128 - room + length;
	return 0;
}

struct sst_addr address_mask(const struct sst_addr *address, uint8_t bits)
{
	struct sst_addr ret = *address;

	for (unsigned i = 0; i < 4; i++) {
		unsigned kept = bits > 32 * i ? bits - 32 * i : 0;

		if (kept < 32)
			ret.w[i] &= htonl(kept ? ~0U << (32 - kept) : 0);
	}
	return ret;
}

int address_family(const struct sst_addr *address)
{
	if (!address->w[0] && !address->w[1] && address->w[2] == htonl(0xffff))
		return AF_INET;
	return AF_INET6;
}

char *address_format(const struct sst_addr *address, char *buf)
{
	const uint8_t *bytes = (const uint8_t *)&address->w[3];
	char *at = buf;

	if (address_family(address) != AF_INET) {
		inet_ntop(AF_INET6, address, buf, ADDRESS_TEXT_MAX);
		return buf;
	}
	for (int i = 0; i < 4; i++) {
		if (i)
			*at++ = '.';
		at = decimal(bytes[i], at);
	}
	*at = '\0';
	return buf;
}

char *address_prefix_format(const struct sst_addr *address, uint8_t bits, char *buf)
{
	char text[ADDRESS_TEXT_MAX];
	bool v4 = address_family(address) == AF_INET && bits >= 96;

	address_format(address, text);
	if (bits == 128)
		snprintf(buf, ADDRESS_TEXT_MAX, "%s", text);
	else
		snprintf(buf, ADDRESS_TEXT_MAX, "%.46s/%u", text, v4 ? bits - 96 : bits);
	return buf;
}

char *address_port_format(const struct sst_addr *address, __be16 port, char *buf)
{
	char text[ADDRESS_TEXT_MAX];

	address_format(address, text);
	if (address_family(address) == AF_INET)
		snprintf(buf, ADDRESS_TEXT_MAX, "%.46s:%u", text, ntohs(port));
	else
		snprintf(buf, ADDRESS_TEXT_MAX, "[%.46s]:%u", text, ntohs(port));
	return buf;
}

bool address_is_unspecified(const struct sst_addr *address)
{
	bool v4 = address_family(address) == AF_INET;

	return !address->w[0] && !address->w[1] && (v4 || !address->w[2]) && !address->w[3];
}

bool address_is_multicast(const struct sst_addr *address)
{
	if (address_family(address) == AF_INET)
		return IN_MULTICAST(ntohl(address->w[3]));
	return (ntohl(address->w[0]) >> 24) == 0xff;
}

const char *address_unreachable(const struct sst_addr *address)
{
	if (address_is_unspecified(address))
		return "unspecified";
	if (address_is_multicast(address))
		return "a multicast address";
	if (address_family(address) == AF_INET && address->w[3] == htonl(INADDR_BROADCAST))
		return "the broadcast address";
	return NULL;
}

int address_compare(const struct sst_addr *a, const struct sst_addr *b)
{
	return memcmp(a, b, sizeof(*a));
}

socklen_t address_to_sockaddr(const struct sst_addr *address, __be16 port,
			      struct sockaddr_storage *ret)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;

	memset(ret, 0, sizeof(*ret));
	if (address_family(address) == AF_INET) {
		v4->sin_family = AF_INET;
		v4->sin_port = port;
		v4->sin_addr.s_addr = address->w[3];
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = port;
	memcpy(&v6->sin6_addr, address, sizeof(*address));
	return sizeof(*v6);
}

const char *protocol_name(uint8_t protocol)
{
	static _Thread_local char number[4];

	switch (protocol) {
	case IPPROTO_TCP:
		return "TCP";
	case IPPROTO_UDP:
		return "UDP";
	default:
		snprintf(number, sizeof(number), "%u", protocol);
		return number;
	}
}
