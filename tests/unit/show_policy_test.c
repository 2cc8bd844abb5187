/* SPDX-License-Identifier: Apache-2.0 */
#include "shop_fixture.h"

#include "export/json.h"
#include "export/show_policy.h"

static struct state shop_state(const struct policy_set *set)
{
	return (struct state){ .policy = *set };
}

static void test_identities(void **unused UNUSED)
{
	_cleanup_policy_set_ struct policy_set set = shop_set(SHOP, NULL);
	struct state state = shop_state(&set);
	_cleanup_text_ struct text out = {};
	_cleanup_json_ json_t *json = show_identities_json(&state);
	const json_t *db = json_array_get(json, SST_IDENTITY_RESERVED + 1);

	assert_int_equal(show_identities(&state, &out), 0);
	assert_string_equal(out.data, "IDENTITY  NAMESPACE  LABELS   WORKLOADS  PORTS\n"
				      "       0  -          unknown          0  -\n"
				      "       1  -          world            0  -\n"
				      "       2  -          host             0  -\n"
				      "       3  -          nodes            0  -\n"
				      "       4  -          probes           0  -\n"
				      "     256  shop       app=web          1  -\n"
				      "     257  shop       app=db           1  pg=5432/TCP\n"
				      "     258  other      app=web          1  -\n"
				      "     259  shop       app=far          1  -\n");
	assert_int_equal(json_integer_value(json_object_get(db, "id")), 257);
	assert_true(json_is_false(json_object_get(db, "reserved")));
	assert_string_equal(json_string_value(json_object_get(db, "ports")), "pg=5432/TCP");
}

static void test_workloads(void **unused UNUSED)
{
	_cleanup_policy_set_ struct policy_set set = shop_set(SHOP, NULL);
	struct state state = shop_state(&set);
	_cleanup_text_ struct text out = {};
	_cleanup_json_ json_t *json = show_workloads_json(&state);
	const json_t *far = json_array_get(json, 3);

	assert_int_equal(show_workloads(&state, &out), 0);
	assert_string_equal(out.data,
			    "NAMESPACE  WORKLOAD  NODE     IDENTITY  LABELS   KNOWN BY\n"
			    "shop       web       this          256  app=web  10.1.0.2\n"
			    "shop       db        this          257  app=db   10.1.0.7, fd00::7\n"
			    "other      web       this          258  app=web  cgroup /other.slice\n"
			    "shop       far       another       259  app=far  10.1.0.9\n");
	assert_int_equal(json_array_size(json), 4);
	assert_true(json_is_false(json_object_get(far, "local")));
	assert_string_equal(json_string_value(json_object_get(far, "known_by")), "10.1.0.9");
}

/* What never decided is seen; but for what passes, which nobody counts. */
static void test_rules(void **unused UNUSED)
{
	_cleanup_policy_set_ struct policy_set set = shop_set(SHOP, NULL);
	struct state state = shop_state(&set);
	struct state_rule rules[8];
	_cleanup_text_ struct text out = {};

	for (uint32_t i = 0; i < policy_head(&set)->n_infos; i++) {
		const struct sst_policy_info *info = policy_info(&set, i);

		rules[state.n_rules++] = (struct state_rule){
			.id = info->id,
			.stats = { .decided = info->tier == SST_TIER_NETWORK ? info->id : 0 },
		};
		if (info->shadow)
			rules[state.n_rules - 1].stats =
				(struct sst_rule_stats){ .shadow = 9, .would_deny = 8 };
	}
	state.rules = rules;
	_cleanup_json_ json_t *json = show_rules_json(&state);
	const json_t *shadow = json_array_get(json, 1);

	assert_int_equal(show_rules(&state, &out), 0);
	assert_string_equal(
		out.data,
		"TIER     DIRECTION  RULE                      ACTION  MODE     DECIDED  SHADOW  "
		"WOULD-ALLOW  WOULD-DENY  NOTE\n"
		"admin    ingress    guard/trust               pass    enforce        0       0  "
		"          0           0  -\n"
		"admin    ingress    guard/no-world            deny    shadow         0       9  "
		"          0           8  -\n"
		"host     ingress    host                      allow   enforce        0       0  "
		"          0           0  never hit\n"
		"network  ingress    shop/db-ingress/from-web  allow   enforce        4       0  "
		"          0           0  -\n"
		"network  ingress    shop/db-ingress/isolated  deny    enforce        5       0  "
		"          0           0  -\n"
		"default  egress     default                   allow   enforce        0       0  "
		"          0           0  never hit\n"
		"default  ingress    default                   allow   enforce        0       0  "
		"          0           0  never hit\n");
	assert_string_equal(json_string_value(json_object_get(shadow, "mode")), "shadow");
	assert_string_equal(json_string_value(json_object_get(shadow, "policy")), "guard");
	assert_int_equal(json_integer_value(json_object_get(shadow, "would_deny")), 8);
	assert_true(json_is_true(json_object_get(json_array_get(json, 2), "never_hit")));
}

static void test_summary(void **unused UNUSED)
{
	_cleanup_policy_set_ struct policy_set set = shop_set(
		"node: { policy: { denied: refused, remote: answer, revoke: off } }\n" SHOP, NULL);
	struct state state = shop_state(&set), none = {};
	_cleanup_json_ json_t *json = show_policy_summary_json(&state);
	_cleanup_json_ json_t *null = show_policy_summary_json(&none);
	_cleanup_text_ struct text out = {};

	show_policy_summary(&state, &out);
	show_policy_summary(&none, &out);
	assert_string_equal(text_string(&out),
			    "workloads   4, with 4 identities\n"
			    "policy      7 rules, 1 in shadow; denied refused, remote answer, "
			    "revoke off\n"
			    "policy      none\n");
	assert_int_equal(json_integer_value(json_object_get(json, "shadow_rules")), 1);
	assert_string_equal(json_string_value(json_object_get(json, "remote")), "answer");
	assert_true(json_is_null(null));
}

static void test_without_a_set(void **unused UNUSED)
{
	struct state state = {};
	_cleanup_text_ struct text out = {};
	_cleanup_json_ json_t *identities = show_identities_json(&state);
	_cleanup_json_ json_t *workloads = show_workloads_json(&state);
	_cleanup_json_ json_t *rules = show_rules_json(&state);

	assert_int_equal(show_identities(&state, &out), 0);
	assert_int_equal(show_workloads(&state, &out), 0);
	assert_int_equal(show_rules(&state, &out), 0);
	assert_int_equal(json_array_size(identities), 0);
	assert_int_equal(json_array_size(workloads), 0);
	assert_int_equal(json_array_size(rules), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identities),    cmocka_unit_test(test_workloads),
		cmocka_unit_test(test_rules),         cmocka_unit_test(test_summary),
		cmocka_unit_test(test_without_a_set),
	};

	return cmocka_run_group_tests_name("show_policy", tests, NULL, NULL);
}
