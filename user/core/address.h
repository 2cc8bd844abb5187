/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses in the one 16-byte form of abi.h: parse, print, compare. */
#ifndef SIDESTEP_CORE_ADDRESS_H
#define SIDESTEP_CORE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "sidestep/abi.h"

/* "[" v6 "]:65535" and a NUL */
#define ADDRESS_TEXT_MAX 56

/*
 * Parses "10.0.0.1", "fd00::1" or "::ffff:10.0.0.1" (the last is the first
 * form's twin). Returns 0, or -EINVAL with *ret untouched.
 */
int address_parse(const char *text, struct sst_addr *ret);

/* Prints in its usual form, v4 as dotted quad. buf holds ADDRESS_TEXT_MAX; returns buf. */
char *address_format(const struct sst_addr *address, char *buf);

/* "10.0.0.1:80", "[fd00::1]:80". port is in network order. Returns buf. */
char *address_port_format(const struct sst_addr *address, __be16 port, char *buf);

/*
 * The same with a prefix length behind it, "10.0.0.0/8", or without: then it is the whole
 * address. bits are those of the 16 bytes: 104 for that one. Bits behind the prefix may be set.
 */
int address_parse_prefix(const char *text, struct sst_addr *ret, uint8_t *ret_bits);

/* The address with all bits behind the first ones cleared. */
struct sst_addr address_mask(const struct sst_addr *address, uint8_t bits);

/* "10.0.0.0/8"; a whole address has no length behind it. Returns buf. */
char *address_prefix_format(const struct sst_addr *address, uint8_t bits, char *buf);

/* AF_INET for ::ffff:0:0/96, else AF_INET6. */
int address_family(const struct sst_addr *address);

bool address_is_unspecified(const struct sst_addr *address); /* ::, 0.0.0.0 */
bool address_is_multicast(const struct sst_addr *address);

/* Why nobody can be reached by it: "a multicast address"; NULL: somebody may. */
const char *address_unreachable(const struct sst_addr *address);

/* memcmp order. */
int address_compare(const struct sst_addr *a, const struct sst_addr *b);

/* Fills a sockaddr of the address's own family; returns its length. */
socklen_t address_to_sockaddr(const struct sst_addr *address, __be16 port,
			      struct sockaddr_storage *ret);

/* "TCP", "UDP", or the number as text in a static buffer of the caller's thread. */
const char *protocol_name(uint8_t protocol);

#endif
