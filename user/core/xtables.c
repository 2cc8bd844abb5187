/* SPDX-License-Identifier: Apache-2.0 */
#include "core/xtables.h"

#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

/* Where an entry's matches begin, so that its target cannot be before; and two numbers in it. */
struct layout {
	size_t size;
	size_t target;
	size_t next;
};

static const struct layout v4 = {
	.size = sizeof(struct ipt_entry),
	.target = offsetof(struct ipt_entry, target_offset),
	.next = offsetof(struct ipt_entry, next_offset),
};

static const struct layout v6 = {
	.size = sizeof(struct ip6t_entry),
	.target = offsetof(struct ip6t_entry, target_offset),
	.next = offsetof(struct ip6t_entry, next_offset),
};

static size_t number(const char *at)
{
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/* A chain begins with an entry of its own, whose target is an "error" with the chain's name. */
static bool begins_chain(const char *entry, size_t size, size_t target, const char *name)
{
	struct xt_error_target error;

	if (target > size || size - target < sizeof(error))
		return false;
	memcpy(&error, entry + target, sizeof(error));
	return !strncmp(error.target.u.user.name, XT_ERROR_TARGET,
			sizeof(error.target.u.user.name)) &&
	       !strncmp(error.errorname, name, sizeof(error.errorname));
}

bool xtables_has_chain(const void *entries, size_t size, int family, const char *name)
{
	const struct layout *layout = family == AF_INET ? &v4 : &v6;
	const char *at = entries;
	size_t next;

	for (; size >= layout->size; at += next, size -= next) {
		next = number(at + layout->next);
		if (next < layout->size || next > size)
			return false;
		if (begins_chain(at, next, number(at + layout->target), name))
			return true;
	}
	return false;
}
