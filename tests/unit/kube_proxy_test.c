/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/socket.h>

#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include "core/cleanup.h"
#include "core/xtables.h"
#include "model/kube_proxy.h"

#define UNUSED __attribute__((unused))

/* ---- what there is against what was stated ------------------------------------------- */

#define NOTHING   \
	{         \
		0 \
	}
#define UNSEEN                 \
	{                      \
		.unseen = true \
	}
#define IPTABLES                                          \
	{                                                 \
		.rules = { [KUBE_PROXY_IPTABLES] = true } \
	}
#define TWO                                                                             \
	{                                                                               \
		.rules = { [KUBE_PROXY_IPTABLES] = true, [KUBE_PROXY_NFTABLES] = true } \
	}
#define NOBODY                                                                         \
	"nobody on this node serves callers from outside of it at the node ports and " \
	"external addresses of "

static void test_judged(void **unused UNUSED)
{
	static const struct {
		enum kube_proxy_stated stated;
		struct kube_proxy_sight sight;
		size_t exposed;
		const char *wrong; /* NULL: nothing is */
	} rows[] = {
		{ KUBE_PROXY_UNSTATED, NOTHING, 0, NULL },
		{ KUBE_PROXY_UNSTATED, IPTABLES, 3, NULL },
		{ KUBE_PROXY_UNSTATED, UNSEEN, 3, NULL },
		{ KUBE_PROXY_UNSTATED, NOTHING, 3, NOBODY "3 services" },
		{ KUBE_PROXY_BESIDE, IPTABLES, 3, NULL },
		{ KUBE_PROXY_BESIDE, UNSEEN, 3, NULL },
		{ KUBE_PROXY_BESIDE, NOTHING, 0,
		  "node.kube-proxy is 'beside', and there are no rules of kube-proxy in this "
		  "network namespace" },
		{ KUBE_PROXY_BESIDE, NOTHING, 1,
		  "node.kube-proxy is 'beside', and there are no rules of kube-proxy in this "
		  "network namespace: " NOBODY "1 service" },
		{ KUBE_PROXY_REPLACED, NOTHING, 0, NULL },
		{ KUBE_PROXY_REPLACED, UNSEEN, 1, NULL },
		{ KUBE_PROXY_REPLACED, NOTHING, 1, NOBODY "1 service" },
		{ KUBE_PROXY_REPLACED, TWO, 1,
		  "node.kube-proxy is 'replaced', and there are rules of kube-proxy (iptables, "
		  "nftables): it runs all the same, or has left them behind ('kube-proxy --cleanup' "
		  "takes them away)" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_text_ struct text out = {};
		bool wrong =
			kube_proxy_judge(rows[i].stated, &rows[i].sight, rows[i].exposed, &out);

		assert_int_equal(wrong, rows[i].wrong != NULL);
		assert_string_equal(text_string(&out), rows[i].wrong ?: "");
	}
}

static void test_described(void **unused UNUSED)
{
	static const struct {
		struct kube_proxy_sight sight;
		const char *text;
	} rows[] = { { NOTHING, "none" }, { UNSEEN, "not known" }, { TWO, "iptables, nftables" } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_text_ struct text out = {};

		kube_proxy_describe(&rows[i].sight, &out);
		assert_string_equal(text_string(&out), rows[i].text);
	}
}

/* ---- chains of the older tables ------------------------------------------------------ */

struct head {
	struct ipt_entry entry;
	struct xt_error_target target;
};

struct head6 {
	struct ip6t_entry entry;
	struct xt_error_target target;
};

#define HEAD(chain)                                                                       \
	{                                                                                 \
		.entry = { .target_offset = sizeof(struct ipt_entry),                     \
			   .next_offset = sizeof(struct head) },                          \
		.target = {                                                               \
			.target.u.user = { .target_size = sizeof(struct xt_error_target), \
					   .name = XT_ERROR_TARGET },                     \
			.errorname = chain                                                \
		}                                                                         \
	}

static bool has(const void *entries, size_t size, const char *name)
{
	return xtables_has_chain(entries, size, AF_INET, name);
}

static void test_chains(void **unused UNUSED)
{
	const struct head chains[] = { HEAD("KUBE-MARK-MASQ"), HEAD("KUBE-SERVICES"),
				       HEAD("ERROR") };

	assert_true(has(chains, sizeof(chains), "KUBE-SERVICES"));
	assert_true(has(chains, sizeof(chains), "KUBE-MARK-MASQ"));
	assert_false(has(chains, sizeof(chains), "KUBE-SERVICE"));
	assert_false(has(chains, sizeof(chains), "KUBE-SERVICESX"));
	assert_false(has(chains, 0, "KUBE-SERVICES"));
}

static void test_chains_of_v6(void **unused UNUSED)
{
	const struct head6 chain = {
		.entry = { .target_offset = sizeof(chain.entry), .next_offset = sizeof(chain) },
		.target = { .target.u.user.name = XT_ERROR_TARGET, .errorname = "KUBE-SERVICES" },
	};

	assert_true(xtables_has_chain(&chain, sizeof(chain), AF_INET6, "KUBE-SERVICES"));
	assert_false(xtables_has_chain(&chain, sizeof(chain), AF_INET, "KUBE-SERVICES"));
}

/* A target of this name that is none: a rule's comment may hold any bytes. */
static void test_other_targets(void **unused UNUSED)
{
	struct head rule = HEAD("KUBE-SERVICES");

	strcpy(rule.target.target.u.user.name, "MARK");
	assert_false(has(&rule, sizeof(rule), "KUBE-SERVICES"));
}

/* Whatever the numbers say, nothing behind the end is looked at: the sanitizer would tell. */
static void test_broken_tables(void **unused UNUSED)
{
	static const struct {
		uint16_t target, next;
		size_t size;
	} rows[] = {
		{ sizeof(struct ipt_entry), sizeof(struct head), sizeof(struct head) - 1 },
		{ sizeof(struct ipt_entry), sizeof(struct head), sizeof(struct ipt_entry) - 1 },
		{ sizeof(struct ipt_entry), 0, sizeof(struct head) },
		{ sizeof(struct ipt_entry), 1, sizeof(struct head) },
		{ sizeof(struct ipt_entry), 65535, sizeof(struct head) },
		{ 65535, sizeof(struct head), sizeof(struct head) },
		{ sizeof(struct head) - 1, sizeof(struct head), sizeof(struct head) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ struct head *rule = malloc(rows[i].size);
		struct head whole = HEAD("KUBE-SERVICES");

		whole.entry.target_offset = rows[i].target;
		whole.entry.next_offset = rows[i].next;
		memcpy(rule, &whole, rows[i].size);
		assert_false(has(rule, rows[i].size, "KUBE-SERVICES"));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judged),        cmocka_unit_test(test_described),
		cmocka_unit_test(test_chains),        cmocka_unit_test(test_chains_of_v6),
		cmocka_unit_test(test_other_targets), cmocka_unit_test(test_broken_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
