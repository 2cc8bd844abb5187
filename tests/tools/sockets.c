// SPDX-License-Identifier: Apache-2.0
/*
 * Which kinds of sockets a workload may open: prints {"tcp":"ok","raw":"EPERM",...}, for
 * each kind "ok" or the errno of socket().
 */
#include <linux/if_ether.h>

#include "tool.h"

#ifndef IPPROTO_UDPLITE
#define IPPROTO_UDPLITE 136
#endif

static const struct {
	const char *name;
	int family, type, protocol;
} kinds[] = {
	{ "tcp", AF_INET, SOCK_STREAM, 0 },
	{ "udp", AF_INET, SOCK_DGRAM, 0 },
	{ "unix", AF_UNIX, SOCK_STREAM, 0 },
	{ "ping", AF_INET, SOCK_DGRAM, IPPROTO_ICMP },
	{ "raw", AF_INET, SOCK_RAW, IPPROTO_TCP },
	{ "raw6", AF_INET6, SOCK_RAW, IPPROTO_UDP },
	{ "packet", AF_PACKET, SOCK_RAW, 0 },
	{ "udp-lite", AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE },
	{ "udp-lite6", AF_INET6, SOCK_DGRAM, IPPROTO_UDPLITE },
	{ "sctp", AF_INET, SOCK_STREAM, IPPROTO_SCTP },
};

int main(void)
{
	putchar('{');
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		int fd = socket(kinds[i].family, kinds[i].type, kinds[i].protocol);

		printf("%s\"%s\":\"%s\"", i ? "," : "", kinds[i].name,
		       fd < 0 ? strerrorname_np(errno) : "ok");
		if (fd >= 0)
			close(fd);
	}
	puts("}");
	return EXIT_SUCCESS;
}
