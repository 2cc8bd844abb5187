/* SPDX-License-Identifier: Apache-2.0 */
#include "core/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

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

int address_family(const struct sst_addr *address)
{
	if (!address->w[0] && !address->w[1] && address->w[2] == htonl(0xffff))
		return AF_INET;
	return AF_INET6;
}

char *address_format(const struct sst_addr *address, char *buf)
{
	int family = address_family(address);
	const void *from = family == AF_INET ? (const void *)&address->w[3] : address;

	inet_ntop(family, from, buf, ADDRESS_TEXT_MAX);
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
