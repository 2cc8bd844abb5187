/* SPDX-License-Identifier: Apache-2.0 */
#include "shop_fixture.h"

#include "export/json.h"
#include "export/show_change.h"
#include "policy/lint.h"
#include "policy/reach.h"

#define WORKLOADS                                                        \
	"workloads:\n"                                                   \
	"  - { name: web, labels: {app: web}, addresses: [10.1.0.2] }\n" \
	"  - { name: db, labels: {app: db}, addresses: [10.1.0.7], ports: {pg: 5432} }\n"

/* The findings, one a line, without the name of the file. */
static struct text lint(const char *yaml)
{
	_cleanup_policy_set_ struct policy_set set = shop_set(yaml, NULL);
	_cleanup_model_ struct model *model = shop_model(yaml);
	_cleanup_problems_ struct problems warnings = {};
	struct text out = {};

	assert_int_equal(policy_lint(model, &set, &warnings), 0);
	for (unsigned i = 0; i < warnings.count; i++)
		text_add(&out, "%s\n", strchr(warnings.text[i], ':') + 1);
	return out;
}

struct row {
	const char *policies; /* behind WORKLOADS, from line 4 on */
	const char *expected;
};

static const struct row rows[] = {
	{ "policies:\n"
	  "  - { name: p, subject: {app: db},\n"
	  "      ingress: [ { from: [ {labels: {app: web}} ], ports: [pg] } ] }\n",
	  "" },
	/* selectors */
	{ "policies:\n"
	  "  - { name: p, subject: {app: gone}, ingress: [ {} ] }\n",
	  "5:5: warning: the subject selects no workload now: the policy does nothing\n" },
	{ "policies:\n"
	  "  - { name: p, subject: {}, isolate: [ingress] }\n",
	  "5:5: warning: the subject is empty: it selects every workload of namespace 'default'\n" },
	{ "policies:\n"
	  "  - { name: p, tier: baseline, subject: {}, ingress: [ { action: deny } ] }\n",
	  "5:5: warning: the subject is empty: it selects every workload\n" },
	{ "policies:\n"
	  "  - { name: p, subject: {app: db}, ingress:\n"
	  "      [ { from: [ {labels: {}} ] } ] }\n",
	  "6:19: warning: the peer is empty: it selects every workload of namespace 'default'\n" },
	{ "policies:\n"
	  "  - { name: p, subject: {app: db}, ingress:\n"
	  "      [ { from: [ {namespaces: {team: x}, labels: {}} ] } ] }\n",
	  "6:19: warning: the peer selects no workload now: it matches nobody\n" },
	/* ports: of the called, which is the subject only in ingress */
	{ "policies:\n"
	  "  - { name: p, subject: {app: web}, ingress:\n"
	  "      [ { ports: [pg] } ] }\n",
	  "6:19: warning: no port of the selected workloads is called 'pg': it matches nothing "
	  "until one is\n" },
	{ "policies:\n"
	  "  - { name: p, subject: {app: web}, egress: [ { ports: [pg] } ] }\n",
	  "" },
	/* networks */
	{ "policies:\n"
	  "  - { name: p, subject: {app: db}, ingress:\n"
	  "      [ { from: [ {network: 192.0.2.0/24, except: [192.0.2.0/25, 192.0.2.128/25]} ] } ] "
	  "}\n",
	  "6:19: warning: all of 192.0.2.0/24 is excepted: it matches nobody\n" },
	{ "policies:\n"
	  "  - { name: p, subject: {app: db}, ingress:\n"
	  "      [ { from: [ {network: 192.0.2.0/24, except: [192.0.2.0/25, 192.0.2.128/26]} ] } ] "
	  "}\n",
	  "" },
	{ "policies:\n"
	  "  - { name: p, subject: {app: db}, ingress:\n"
	  "      [ { from: [ {network: 192.0.2.0/24, except: [192.0.2.0/26, 192.0.2.128/25]} ] } ] "
	  "}\n",
	  "" },
	{ "policies:\n"
	  "  - { name: p, subject: {app: db}, ingress:\n"
	  "      [ { from: [ {network: 10.0.0.0/8} ] } ] }\n",
	  "6:19: warning: 10.0.0.0/8 holds addresses of workloads, as of 'default/web': they match, "
	  "too\n" },
	{ "policies:\n"
	  "  - { name: p, subject: {app: db}, ingress:\n"
	  "      [ { from: [ {network: 10.0.0.0/8, except: [10.1.0.0/16]} ] } ] }\n",
	  "" },
	{ "policies:\n"
	  "  - { name: p, subject: {app: db}, ingress:\n"
	  "      [ { from: [ {network: 192.0.2.0/24},\n"
	  "                  {network: 192.0.2.0/25} ] } ] }\n",
	  "7:19: warning: 192.0.2.0/25 lies within 192.0.2.0/24 of the same rule, which "
	  "matches all of it: this one changes nothing\n" },
	{ "policies:\n"
	  "  - { name: p, subject: {app: db}, ingress:\n"
	  "      [ { from: [ {network: 192.0.2.0/24, except: [192.0.2.0/26]},\n"
	  "                  {network: 192.0.2.0/25} ] } ] }\n",
	  "7:19: warning: 192.0.2.0/25 lies within 192.0.2.0/24 of the same rule, which counts as "
	  "well: one is enough to match\n" },
	/* services: rules see their endpoints */
	{ "services:\n"
	  "  - { name: s, address: 10.96.0.10, port: 80, endpoints: [ {address: 192.0.2.1} ] }\n"
	  "policies:\n"
	  "  - { name: p, subject: {app: db}, egress:\n"
	  "      [ { to: [ {network: 10.96.0.10} ] } ] }\n",
	  "8:17: warning: 10.96.0.10 holds an address of service 's' and no endpoint: "
	  "rules look at the endpoint that is chosen, never at the service\n" },
	{ "services:\n"
	  "  - { name: s, address: 10.96.0.10, port: 80, endpoints: [ {address: 192.0.2.1} ] }\n"
	  "policies:\n"
	  "  - { name: p, subject: {app: db}, egress:\n"
	  "      [ { to: [ {network: 0.0.0.0/1, except: [10.96.0.0/16, 10.1.0.0/16]},\n"
	  "                {network: 192.0.2.0/24} ] } ] }\n",
	  "" },
	{ "services:\n"
	  "  - { name: s, address: 10.96.0.10, port: 80, endpoints: [ {address: 192.0.2.1} ] }\n"
	  "  - { name: t, address: 192.0.2.9, port: 80, endpoints: [ {address: 10.96.0.11} ] }\n"
	  "policies:\n"
	  "  - { name: p, subject: {app: db}, egress:\n"
	  "      [ { to: [ {network: 10.96.0.0/16}, {network: 192.0.2.0/24} ] } ] }\n",
	  "" },
	{ "  - { name: b, labels: {app: b},\n"
	  "      addresses: [10.1.0.0/24, fd00::/64] }\n",
	  "2:50: warning: 10.1.0.2 of 'default/web' lies within 10.1.0.0/24 of 'default/b': it is the "
	  "former's\n"
	  "3:48: warning: 10.1.0.7 of 'default/db' lies within 10.1.0.0/24 of 'default/b': it is the "
	  "former's\n" },
	/* rules that never decide */
	{ "policies:\n"
	  "  - { name: p, subject: {app: db}, ingress: [ { name: a, ports: [\"1-99\"] },\n"
	  "      { name: b, ports: [80] } ] }\n",
	  "6:7: warning: rule 'default/p/b' can never decide: 'default/p/a' and the like are asked "
	  "before\n" },
	{ "policies:\n"
	  "  - { name: p, tier: admin, priority: 1, subject: {app: db}, ingress:\n"
	  "    [ { name: a, from: [{identity: world}], action: deny, mode: shadow },\n"
	  "      { name: b, from: [{identity: world}], action: allow },\n"
	  "      { name: c, from: [{identity: world}], ports: [1], action: deny, mode: shadow } ] "
	  "}\n",
	  "8:7: warning: rule 'p/c' can never decide: 'p/a' and the like are asked before\n" },
	/* by an address outside of its network no world is left for it */
	{ "policies:\n"
	  "  - { name: p, tier: admin, priority: 1, subject: {app: db}, ingress:\n"
	  "    [ { name: a, from: [{identity: world}], action: allow },\n"
	  "      { name: b, from: [{network: 192.0.2.0/24}], action: deny } ] }\n",
	  "7:7: warning: rule 'p/b' can never decide: 'p/a' and the like are asked before\n" },
	/* passes */
	{ "policies:\n"
	  "  - { name: p, tier: admin, priority: 1, subject: {app: db}, ingress:\n"
	  "    [ { name: a, from: [{identity: world}], action: pass },\n"
	  "      { name: b, from: [{network: 192.0.2.0/24}], action: deny } ] }\n",
	  "7:7: warning: rule 'p/b' can never decide: 'p/a' and the like are asked before\n" },
	{ "policies:\n"
	  "  - { name: p, tier: admin, priority: 1, subject: {app: db}, ingress:\n"
	  "    [ { name: a, from: [{labels: {app: web}}], action: pass },\n"
	  "      { name: b, from: [{identity: world}], action: deny } ] }\n",
	  "6:7: warning: rule 'p/a' passes on what no later rule of the admin tier would decide "
	  "otherwise\n" },
	{ "policies:\n"
	  "  - { name: p, tier: admin, priority: 1, subject: {app: db}, ingress:\n"
	  "    [ { name: a, from: [{identity: world}], ports: [80], action: pass },\n"
	  "      { name: b, from: [{identity: world}], action: deny } ] }\n",
	  "" },
};

static void test_findings(void **unused UNUSED)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_text_ struct text yaml = {}, found = {};

		text_add(&yaml, "%s%s", WORKLOADS, rows[i].policies);
		found = lint(text_string(&yaml));
		if (strcmp(text_string(&found), rows[i].expected))
			fail_msg("row %zu:\n%s\ninstead of\n%s", i, text_string(&found),
				 rows[i].expected);
	}
}

static void test_nothing(void **unused UNUSED)
{
	_cleanup_text_ struct text found = lint("{}\n");

	assert_int_equal(found.length, 0);
}

static void test_too_much_to_look_at(void **unused UNUSED)
{
	_cleanup_policy_set_ struct policy_set set = shop_set(SHOP, NULL);
	_cleanup_free_ struct reach *reach = NULL;

	assert_int_equal(policy_reach(&set, 0, &reach), 0);
	for (uint32_t i = 0; i < policy_head(&set)->n_infos; i++) {
		const struct sst_policy_info *info = policy_info(&set, i);
		bool written = info->tier == SST_TIER_ADMIN || info->action == SST_ACTION_ALLOW;

		written &= info->tier != SST_TIER_HOST && info->tier != SST_TIER_DEFAULT;
		assert_int_equal(reach[i].unknown, written);
		assert_false(reach[i].matches);
	}
}

static void test_json(void **unused UNUSED)
{
	_cleanup_problems_ struct problems problems = {};
	const struct place place = { .line = 3, .column = 7, .file = "b.yaml" };

	problems_warn(&problems, "a.yaml", place, "%s", "beware: of a colon");
	problems_add(&problems, "a.yaml", (struct place){}, "too many");
	assert_string_equal(problems.text[0], "b.yaml:3:7: warning: beware: of a colon");
	for (int i = 0; i < PROBLEMS_MAX; i++)
		problems_warn(&problems, "a.yaml", (struct place){}, "beware");

	_cleanup_json_ json_t *json = show_check_json(NULL, &problems);
	const json_t *list = json_object_get(json, "problems");
	_cleanup_free_ char *first = json_dumps(json_array_get(list, 0), JSON_SORT_KEYS);
	_cleanup_free_ char *second = json_dumps(json_array_get(list, 1), JSON_SORT_KEYS);

	assert_string_equal(first, "{\"column\": 7, \"file\": \"b.yaml\", \"kind\": \"warning\", "
				   "\"line\": 3, \"text\": \"beware: of a colon\"}");
	assert_string_equal(second, "{\"column\": null, \"file\": \"a.yaml\", \"kind\": \"error\", "
				    "\"line\": null, \"text\": \"too many\"}");
	assert_int_equal(json_array_size(list), PROBLEMS_MAX);
	assert_int_equal(json_integer_value(json_object_get(json, "more")), 2);
	assert_true(json_is_false(json_object_get(json, "valid")));
	assert_int_equal(problems_errors(&problems), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_findings),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_too_much_to_look_at),
		cmocka_unit_test(test_json),
	};

	return cmocka_run_group_tests_name("policy_lint", tests, NULL, NULL);
}
