/* SPDX-License-Identifier: Apache-2.0 */
/* policy_compile() on models built by hand: the meaning of each thing that a policy can say. */
#include "policy_fixture.h"

#include <errno.h>

/* ---- the tiers ------------------------------------------------------------------------------ */

static void test_nothing_yields_an_empty_set(void **state)
{
	_cleanup_model_ struct model *model = make_model();
	_cleanup_policy_set_ struct policy_set set = compile(model);

	(void)state;
	assert_true(policy_set_is_empty(&set));
}

static void test_default(void **state)
{
	_cleanup_model_ struct model *model = make_model();
	_cleanup_policy_set_ struct policy_set allow = { 0 }, deny = { 0 };

	(void)state;
	add_workload(model, "shop", "db", "app=db", "10.1.0.7", "");
	model->node.policy.host = MODEL_HOST_POLICY;
	allow = compile(model);
	assert_ingress(&allow, "shop/db", "world", 80, TCP, "allow /default/");
	assert_egress(&allow, "shop/db", "world", 80, TCP, "allow /default/");
	assert_false(policy_head(&allow)->flags & (SST_POLICY_RULES | SST_POLICY_INGRESS));
	model->node.policy.default_deny = true;
	deny = compile(model);
	assert_ingress(&deny, "shop/db", "world", 80, TCP, "deny /default/");
	assert_egress(&deny, "shop/db", "shop/db", 80, UDP, "deny /default/");
	/* who is no workload is nobody's subject */
	assert_ingress(&deny, "host", "world", 80, TCP, "allow");
	assert_egress(&deny, "unknown", "shop/db", 80, TCP, "allow");
	assert_true(policy_head(&deny)->flags & SST_POLICY_RULES);
	assert_true(policy_head(&deny)->flags & SST_POLICY_INGRESS);
}

static struct model *make_shop(void)
{
	struct model *model = make_model();
	struct model_policy *policy;

	add_workload(model, "shop", "db", "app=db", "10.1.0.7", "");
	add_workload(model, "shop", "web", "app=web", "10.1.0.8", "");
	add_workload(model, "other", "web", "app=web", "10.1.0.9", "");
	policy = add_policy(model, SST_TIER_NETWORK, "shop", "db", "app=db");
	policy->isolates[SST_INGRESS] = true;
	add_rule(policy, SST_INGRESS, SST_ACTION_ALLOW, "app=web", "5432");
	return model;
}

static void test_network_tier(void **state)
{
	_cleanup_model_ struct model *model = make_shop();
	_cleanup_policy_set_ struct policy_set set = compile(model);

	(void)state;
	assert_ingress(&set, "shop/db", "shop/web", 5432, TCP, "allow shop/db/ingress[0]");
	assert_ingress(&set, "shop/db", "shop/web", 5432, UDP, "deny shop/db/isolated");
	assert_ingress(&set, "shop/db", "shop/web", 5433, TCP, "deny shop/db/isolated");
	/* a peer without namespaces is one of the policy's own */
	assert_ingress(&set, "shop/db", "other/web", 5432, TCP, "deny shop/db/isolated");
	assert_ingress(&set, "shop/db", "world", 5432, TCP, "deny shop/db/isolated");
	/* isolated is who is selected, and in this direction */
	assert_egress(&set, "shop/db", "world", 5432, TCP, "allow /default/");
	assert_ingress(&set, "shop/web", "world", 5432, TCP, "allow /default/");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_yields_an_empty_set),
		cmocka_unit_test(test_default),
		cmocka_unit_test(test_network_tier),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
