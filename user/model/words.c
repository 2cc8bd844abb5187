/* SPDX-License-Identifier: Apache-2.0 */
#include "model/words.h"

#include "core/cleanup.h"
#include "sidestep/policy.h"

/* A number that another version wrote may have no name here. */
#define NAME_OF(names, i) ((i) < ARRAY_SIZE(names) && (names)[i] ? (names)[i] : "?")

const char *balance_name(uint8_t balance)
{
	static const char *const names[] = {
		[SST_BALANCE_RANDOM] = "random",
		[SST_BALANCE_ROUND_ROBIN] = "round-robin",
	};

	return NAME_OF(names, balance);
}

const char *splice_name(uint8_t splice)
{
	static const char *const names[] = {
		[SST_SPLICE_INHERIT] = "inherit",
		[SST_SPLICE_OFF] = "off",
		[SST_SPLICE_AUTO] = "auto",
		[SST_SPLICE_ON] = "on",
	};

	return NAME_OF(names, splice);
}

const char *on_remove_name(uint8_t on_remove)
{
	static const char *const names[] = {
		[SST_ON_REMOVE_KEEP] = "keep",
		[SST_ON_REMOVE_RESET] = "reset",
	};

	return NAME_OF(names, on_remove);
}

const char *tier_name(uint8_t tier)
{
	static const char *const names[] = {
		[SST_TIER_NONE] = "none",         [SST_TIER_ADMIN] = "admin",
		[SST_TIER_HOST] = "host",         [SST_TIER_NETWORK] = "network",
		[SST_TIER_BASELINE] = "baseline", [SST_TIER_DEFAULT] = "default",
		[SST_TIER_SELF] = "self",
	};

	return NAME_OF(names, tier);
}

const char *direction_name(uint8_t direction)
{
	static const char *const names[] = {
		[SST_EGRESS] = "egress",
		[SST_INGRESS] = "ingress",
	};

	return NAME_OF(names, direction);
}

const char *action_name(uint8_t action)
{
	static const char *const names[] = {
		[SST_ACTION_ALLOW] = "allow",
		[SST_ACTION_DENY] = "deny",
		[SST_ACTION_PASS] = "pass",
	};

	return NAME_OF(names, action);
}
