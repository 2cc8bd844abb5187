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

static void test_policies_add_up(void **state)
{
	_cleanup_model_ struct model *model = make_shop();
	struct model_policy *policy = add_policy(model, SST_TIER_NETWORK, "shop", "more", "");
	_cleanup_policy_set_ struct policy_set set = { 0 };

	(void)state;
	add_rule(policy, SST_INGRESS, SST_ACTION_ALLOW, " : app=web", "53/UDP");
	policy->isolates[SST_EGRESS] = true;
	set = compile(model);
	assert_ingress(&set, "shop/db", "other/web", 53, UDP, "allow shop/more/ingress[0]");
	assert_ingress(&set, "shop/db", "shop/web", 5432, TCP, "allow shop/db/ingress[0]");
	assert_ingress(&set, "shop/db", "other/web", 54, UDP, "deny shop/db/isolated");
	assert_egress(&set, "shop/db", "other/web", 53, UDP, "deny shop/more/isolated");
	assert_egress(&set, "shop/web", "world", 53, UDP, "deny shop/more/isolated");
	assert_egress(&set, "other/web", "world", 53, UDP, "allow /default/");
}

/* A rule without peers and not for everybody is for nobody. */
static void test_nobody(void **state)
{
	_cleanup_model_ struct model *model = make_shop();
	struct model_rule *rule =
		add_rule(&model->policies[0], SST_INGRESS, SST_ACTION_ALLOW, NULL, NULL);
	_cleanup_policy_set_ struct policy_set set = { 0 };

	(void)state;
	rule->any_peer = false;
	set = compile(model);
	assert_ingress(&set, "shop/db", "world", 80, TCP, "deny shop/db/isolated");
	assert_ingress(&set, "shop/db", "shop/db", 80, TCP, "deny shop/db/isolated");
}

static struct model_policy *add_admin(struct model *model, const char *name, uint32_t priority,
				      const char *subject)
{
	struct model_policy *policy = add_policy(model, SST_TIER_ADMIN, "", name, subject);

	policy->priority = priority;
	return policy;
}

static void test_admin_comes_first(void **state)
{
	_cleanup_model_ struct model *model = make_shop();
	struct model_policy *late = add_admin(model, "a-late", 20, "app=db");
	struct model_policy *second, *first;
	_cleanup_policy_set_ struct policy_set set = { 0 };

	(void)state;
	add_rule(late, SST_INGRESS, SST_ACTION_ALLOW, NULL, NULL);
	second = add_admin(model, "b", 10, "app=db");
	add_rule(second, SST_INGRESS, SST_ACTION_ALLOW, NULL, "1-10");
	add_rule(second, SST_INGRESS, SST_ACTION_DENY, NULL, "1-20");
	first = add_admin(model, "a", 10, "");
	add_rule(first, SST_INGRESS, SST_ACTION_DENY, "is world", "1-5");
	set = compile(model);
	/* of one priority by name, then in order */
	assert_ingress(&set, "shop/db", "world", 1, TCP, "deny /a/ingress[0]");
	assert_ingress(&set, "shop/web", "world", 5, TCP, "deny /a/ingress[0]");
	assert_ingress(&set, "shop/db", "world", 6, TCP, "allow /b/ingress[0]");
	assert_ingress(&set, "shop/db", "shop/web", 1, TCP, "allow /b/ingress[0]");
	assert_ingress(&set, "shop/db", "world", 11, TCP, "deny /b/ingress[1]");
	assert_ingress(&set, "shop/db", "world", 21, TCP, "allow /a-late/ingress[0]");
}

static void test_pass_goes_on_with_the_network_tier(void **state)
{
	_cleanup_model_ struct model *model = make_shop();
	struct model_policy *admin = add_admin(model, "admin", 1, "");
	struct model_policy *baseline = add_policy(model, SST_TIER_BASELINE, "", "base", "");
	_cleanup_policy_set_ struct policy_set set = { 0 };

	(void)state;
	add_rule(admin, SST_INGRESS, SST_ACTION_PASS, "app=web", NULL);
	add_rule(admin, SST_INGRESS, SST_ACTION_PASS, "is host", "80");
	add_rule(admin, SST_INGRESS, SST_ACTION_DENY, NULL, NULL);
	add_rule(baseline, SST_INGRESS, SST_ACTION_DENY, NULL, "1-100");
	set = compile(model);
	assert_ingress(&set, "shop/db", "shop/web", 5432, TCP, "allow shop/db/ingress[0]");
	assert_ingress(&set, "shop/db", "shop/web", 5433, TCP, "deny shop/db/isolated");
	assert_ingress(&set, "shop/web", "shop/web", 100, TCP, "deny /base/ingress[0]");
	assert_ingress(&set, "shop/web", "shop/web", 101, TCP, "allow /default/");
	assert_ingress(&set, "shop/web", "host", 80, TCP, "allow /host/");
	assert_ingress(&set, "shop/web", "host", 81, TCP, "deny /admin/ingress[2]");
	assert_ingress(&set, "shop/web", "world", 5432, TCP, "deny /admin/ingress[2]");
}

static void test_baseline_comes_last(void **state)
{
	_cleanup_model_ struct model *model = make_shop();
	struct model_policy *late = add_policy(model, SST_TIER_BASELINE, "", "a", "");
	struct model_policy *policy;
	_cleanup_policy_set_ struct policy_set set = { 0 };

	(void)state;
	late->priority = 7;
	add_rule(late, SST_INGRESS, SST_ACTION_DENY, NULL, NULL);
	policy = add_policy(model, SST_TIER_BASELINE, "", "b", "");
	add_rule(policy, SST_INGRESS, SST_ACTION_ALLOW, "app=db", NULL)->name = strdup("dbs");
	set = compile(model);
	assert_ingress(&set, "shop/web", "shop/db", 1, TCP, "allow /b/dbs");
	assert_ingress(&set, "shop/web", "shop/web", 1, TCP, "deny /a/ingress[0]");
	assert_ingress(&set, "shop/db", "shop/web", 5432, TCP, "allow shop/db/ingress[0]");
	assert_ingress(&set, "shop/db", "shop/db", 5432, TCP, "deny shop/db/isolated");
	assert_egress(&set, "shop/web", "shop/web", 1, TCP, "allow /default/");
}

static void test_traffic_of_the_host(void **state)
{
	static const struct {
		enum model_host_traffic host;
		const char *of_host;
		const char *of_probes;
	} cases[] = {
		{ MODEL_HOST_ALLOW, "allow /host/", "allow /host/" },
		{ MODEL_HOST_PROBES, "deny shop/db/isolated", "allow /host/" },
		{ MODEL_HOST_POLICY, "deny shop/db/isolated", "deny shop/db/isolated" },
	};
	_cleanup_model_ struct model *model = make_shop();
	struct model_policy *admin = add_admin(model, "admin", 1, "");

	(void)state;
	add_rule(admin, SST_INGRESS, SST_ACTION_DENY, "is host;is probes", "22");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_policy_set_ struct policy_set set = { 0 };

		model->node.policy.host = cases[i].host;
		set = compile(model);
		assert_ingress(&set, "shop/db", "host", 80, TCP, cases[i].of_host);
		assert_ingress(&set, "shop/db", "probes", 80, TCP, cases[i].of_probes);
		assert_ingress(&set, "shop/db", "nodes", 80, TCP, "deny shop/db/isolated");
		assert_ingress(&set, "shop/db", "host", 22, TCP, "deny /admin/ingress[0]");
		assert_egress(&set, "shop/db", "host", 80, TCP, "allow /default/");
	}
}

/* ---- shadow -------------------------------------------------------------------------------- */

static void test_a_policy_in_shadow(void **state)
{
	_cleanup_model_ struct model *model = make_shop();
	_cleanup_policy_set_ struct policy_set set = { 0 };

	(void)state;
	model->policies[0].shadow = true;
	set = compile(model);
	assert_ingress(&set, "shop/db", "shop/web", 5432, TCP, "allow /default/");
	assert_shadow(&set, SST_INGRESS, "shop/db", "shop/web", 5432, TCP,
		      "allow shop/db/ingress[0]");
	assert_ingress(&set, "shop/db", "world", 80, TCP, "allow /default/");
	assert_shadow(&set, SST_INGRESS, "shop/db", "world", 80, TCP, "deny shop/db/isolated");
	assert_shadow(&set, SST_INGRESS, "shop/web", "world", 80, TCP, "");
	assert_shadow(&set, SST_EGRESS, "shop/db", "world", 80, TCP, "");
}

static void test_a_rule_in_shadow(void **state)
{
	_cleanup_model_ struct model *model = make_shop();
	struct model_policy *policy = &model->policies[0];
	_cleanup_policy_set_ struct policy_set set = { 0 };

	(void)state;
	add_rule(policy, SST_INGRESS, SST_ACTION_ALLOW, "is world", "80")->shadow = true;
	add_rule(policy, SST_INGRESS, SST_ACTION_ALLOW, "is world", "80-90");
	set = compile(model);
	/* what is enforced allows it already: the one in shadow, though it stands before, has
	 * no say */
	assert_ingress(&set, "shop/db", "world", 80, TCP, "allow shop/db/ingress[2]");
	assert_shadow(&set, SST_INGRESS, "shop/db", "world", 80, TCP, "");
	assert_shadow(&set, SST_INGRESS, "shop/db", "world", 91, TCP, "");
}

static void test_a_rule_in_shadow_that_would_allow(void **state)
{
	_cleanup_model_ struct model *model = make_shop();
	_cleanup_policy_set_ struct policy_set set = { 0 };

	(void)state;
	model->policies[0].rules[0].shadow = true;
	set = compile(model);
	assert_ingress(&set, "shop/db", "shop/web", 5432, TCP, "deny shop/db/isolated");
	assert_shadow(&set, SST_INGRESS, "shop/db", "shop/web", 5432, TCP,
		      "allow shop/db/ingress[0]");
}

static void test_two_isolations_one_in_shadow(void **state)
{
	_cleanup_model_ struct model *model = make_model();
	struct model_policy *policy;
	_cleanup_policy_set_ struct policy_set set = { 0 };

	(void)state;
	add_workload(model, "shop", "db", "app=db", "", "");
	policy = add_policy(model, SST_TIER_NETWORK, "shop", "tried", "");
	policy->isolates[SST_INGRESS] = policy->shadow = true;
	policy = add_policy(model, SST_TIER_NETWORK, "shop", "real", "");
	policy->isolates[SST_INGRESS] = true;
	set = compile(model);
	assert_ingress(&set, "shop/db", "world", 1, TCP, "deny shop/real/isolated");
	assert_shadow(&set, SST_INGRESS, "shop/db", "world", 1, TCP, "");
}

static void test_admin_rules_in_shadow(void **state)
{
	_cleanup_model_ struct model *model = make_shop();
	struct model_policy *admin = add_admin(model, "admin", 1, "");
	_cleanup_policy_set_ struct policy_set set = { 0 };

	(void)state;
	add_rule(admin, SST_INGRESS, SST_ACTION_PASS, NULL, "80")->shadow = true;
	add_rule(admin, SST_INGRESS, SST_ACTION_DENY, NULL, "80-81")->shadow = true;
	add_rule(admin, SST_INGRESS, SST_ACTION_ALLOW, NULL, "80-82");
	set = compile(model);
	assert_ingress(&set, "shop/db", "world", 80, TCP, "allow /admin/ingress[2]");
	/* the pass has a say; what comes of it is another's word */
	assert_shadow(&set, SST_INGRESS, "shop/db", "world", 80, TCP, "deny /admin/ingress[0]");
	assert_shadow(&set, SST_INGRESS, "shop/web", "world", 80, TCP, "allow /admin/ingress[0]");
	assert_shadow(&set, SST_INGRESS, "shop/db", "world", 81, TCP, "deny /admin/ingress[1]");
	assert_shadow(&set, SST_INGRESS, "shop/db", "world", 82, TCP, "");
}

/* ---- selectors ------------------------------------------------------------------------------- */

/* Whom of a, b, c and d of shop a selector selects. */
static void assert_selects(const char *selector, const char *expected)
{
	static const char *const names[] = { "shop/a", "shop/b", "shop/c", "shop/d" };
	_cleanup_model_ struct model *model = make_model();
	_cleanup_policy_set_ struct policy_set set = { 0 };
	struct model_policy *policy;
	char found[5] = "";

	add_workload(model, "shop", "a", "app=a,tier=front", "", "");
	add_workload(model, "shop", "b", "app=b,tier=back", "", "");
	add_workload(model, "shop", "c", "app=c", "", "");
	add_workload(model, "shop", "d", "", "", "");
	policy = add_policy(model, SST_TIER_NETWORK, "shop", "p", selector);
	policy->isolates[SST_INGRESS] = true;
	set = compile(model);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (ask(&set, SST_INGRESS, names[i], "world", 1, IPPROTO_TCP).denied)
			found[strlen(found)] = names[i][5];
	assert_string_equal(found, expected);
}

static void test_selectors(void **state)
{
	(void)state;
	assert_selects("", "abcd");
	assert_selects("app=a", "a");
	assert_selects("app=a|c|x", "ac");
	assert_selects("app=x", "");
	assert_selects("tier!=front", "bcd");
	assert_selects("tier!=front|back", "cd");
	assert_selects("tier!=x", "abcd");
	assert_selects("tier", "ab");
	assert_selects("!tier", "cd");
	assert_selects("!other", "abcd");
	assert_selects("other", "");
	assert_selects("tier,app!=a", "b");
	assert_selects("app=a,app=b", "");
	assert_selects("app,!tier", "c");
}

static void test_selectors_of_namespaces(void **state)
{
	_cleanup_model_ struct model *model = make_model();
	struct model_policy *admin;
	_cleanup_policy_set_ struct policy_set set = { 0 };

	(void)state;
	add_namespace(model, "one", "team=a");
	add_namespace(model, "two", "team=b");
	add_workload(model, "one", "web", "app=web", "", "");
	add_workload(model, "two", "web", "app=web", "", "");
	add_workload(model, "three", "web", "app=web", "", "");
	add_workload(model, "one", "db", "app=db", "", "");
	admin = add_admin(model, "admin", 1, "app=db");
	add_rule(admin, SST_INGRESS, SST_ACTION_DENY, "team=a : app=web", "1");
	add_rule(admin, SST_INGRESS, SST_ACTION_DENY, "team!=a : ", "2");
	add_rule(admin, SST_INGRESS, SST_ACTION_DENY, " : app=web", "3");
	add_rule(admin, SST_INGRESS, SST_ACTION_DENY, "app=web", "4");
	add_rule(admin, SST_INGRESS, SST_ACTION_DENY,
		 "kubernetes.io/metadata.name=two|three : ", "5");
	set = compile(model);
	assert_ingress(&set, "one/db", "one/web", 1, TCP, "deny /admin/ingress[0]");
	assert_ingress(&set, "one/db", "two/web", 1, TCP, "allow /default/");
	assert_ingress(&set, "one/db", "one/web", 2, TCP, "allow /default/");
	assert_ingress(&set, "one/db", "two/web", 2, TCP, "deny /admin/ingress[1]");
	assert_ingress(&set, "one/db", "three/web", 2, TCP, "deny /admin/ingress[1]");
	assert_ingress(&set, "one/db", "world", 2, TCP, "allow /default/");
	assert_ingress(&set, "one/db", "two/web", 3, TCP, "deny /admin/ingress[2]");
	assert_ingress(&set, "one/db", "one/db", 3, TCP, "allow /default/");
	assert_ingress(&set, "one/db", "two/web", 4, TCP, "deny /admin/ingress[3]");
	assert_ingress(&set, "one/db", "one/web", 5, TCP, "allow /default/");
	assert_ingress(&set, "one/db", "three/web", 5, TCP, "deny /admin/ingress[4]");
}

static void test_subjects_by_namespace(void **state)
{
	_cleanup_model_ struct model *model = make_model();
	struct model_policy *admin = add_admin(model, "admin", 1, "app=web");
	_cleanup_policy_set_ struct policy_set set = { 0 };

	(void)state;
	add_namespace(model, "one", "team=a");
	add_workload(model, "one", "web", "app=web", "", "");
	add_workload(model, "two", "web", "app=web", "", "");
	admin->subject_namespaces = calloc(1, sizeof(*admin->subject_namespaces));
	*admin->subject_namespaces = make_selector("team");
	add_rule(admin, SST_EGRESS, SST_ACTION_DENY, NULL, NULL);
	set = compile(model);
	assert_egress(&set, "one/web", "world", 1, TCP, "deny /admin/egress[0]");
	assert_egress(&set, "two/web", "world", 1, TCP, "allow /default/");
}

static void test_reserved_peers(void **state)
{
	static const char *const names[] = { "unknown", "world", "host", "nodes", "probes" };
	_cleanup_model_ struct model *model = make_model();
	struct model_policy *admin = add_admin(model, "admin", 1, "");
	_cleanup_policy_set_ struct policy_set set = { 0 };

	(void)state;
	add_workload(model, "one", "web", "app=web", "", "");
	add_rule(admin, SST_EGRESS, SST_ACTION_DENY, "is unknown", "1");
	add_rule(admin, SST_EGRESS, SST_ACTION_DENY, "is world", "2");
	add_rule(admin, SST_EGRESS, SST_ACTION_DENY, "is host", "3");
	add_rule(admin, SST_EGRESS, SST_ACTION_DENY, "is nodes", "4");
	add_rule(admin, SST_EGRESS, SST_ACTION_DENY, "is probes", "5");
	set = compile(model);
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		for (unsigned port = 1; port <= 6; port++)
			assert_int_equal(
				ask(&set, SST_EGRESS, "one/web", names[i], port, IPPROTO_TCP)
					.denied,
				port == i + 1);
	assert_egress(&set, "one/web", "one/web", 1, TCP, "allow /default/");
}

/* ---- ports ------------------------------------------------------------------------------------ */

static void test_ports(void **state)
{
	_cleanup_model_ struct model *model = make_model();
	struct model_policy *policy = add_policy(model, SST_TIER_NETWORK, "shop", "p", "");
	_cleanup_policy_set_ struct policy_set set = { 0 };

	(void)state;
	add_workload(model, "shop", "db", "", "", "");
	policy->isolates[SST_EGRESS] = true;
	add_rule(policy, SST_EGRESS, SST_ACTION_ALLOW, NULL, "0,255-256,65535")->name = strdup("a");
	add_rule(policy, SST_EGRESS, SST_ACTION_ALLOW, NULL, "53/any,300-400/UDP")->name =
		strdup("b");
	set = compile(model);
	assert_egress(&set, "shop/db", "world", 0, TCP, "allow shop/p/a");
	assert_egress(&set, "shop/db", "world", 0, UDP, "deny shop/p/isolated");
	assert_egress(&set, "shop/db", "world", 254, TCP, "deny shop/p/isolated");
	assert_egress(&set, "shop/db", "world", 255, TCP, "allow shop/p/a");
	assert_egress(&set, "shop/db", "world", 256, TCP, "allow shop/p/a");
	assert_egress(&set, "shop/db", "world", 257, TCP, "deny shop/p/isolated");
	assert_egress(&set, "shop/db", "world", 65535, TCP, "allow shop/p/a");
	assert_egress(&set, "shop/db", "world", 65535, UDP, "deny shop/p/isolated");
	assert_egress(&set, "shop/db", "world", 53, TCP, "allow shop/p/b");
	assert_egress(&set, "shop/db", "world", 53, UDP, "allow shop/p/b");
	assert_egress(&set, "shop/db", "world", 300, UDP, "allow shop/p/b");
	assert_egress(&set, "shop/db", "world", 400, UDP, "allow shop/p/b");
	assert_egress(&set, "shop/db", "world", 401, UDP, "deny shop/p/isolated");
	assert_egress(&set, "shop/db", "world", 300, TCP, "deny shop/p/isolated");
}

static void test_all_ports_of_a_protocol(void **state)
{
	_cleanup_model_ struct model *model = make_model();
	struct model_policy *policy = add_policy(model, SST_TIER_NETWORK, "shop", "p", "");
	_cleanup_policy_set_ struct policy_set set = { 0 };

	(void)state;
	add_workload(model, "shop", "db", "", "", "");
	policy->isolates[SST_EGRESS] = true;
	add_rule(policy, SST_EGRESS, SST_ACTION_ALLOW, NULL, "*/UDP");
	set = compile(model);
	for (unsigned port = 0; port < 65536; port += 257) {
		assert_false(ask(&set, SST_EGRESS, "shop/db", "world", port, IPPROTO_UDP).denied);
		assert_true(ask(&set, SST_EGRESS, "shop/db", "world", port, IPPROTO_TCP).denied);
	}
}

static struct model *make_named(void)
{
	struct model *model = make_model();

	add_workload(model, "shop", "old", "app=web", "10.1.0.1", "http=80/TCP,dns=53/UDP");
	add_workload(model, "shop", "new", "app=web", "10.1.0.2", "http=8080/TCP");
	add_workload(model, "shop", "udp", "app=web", "10.2.0.3", "http=80/UDP");
	add_workload(model, "shop", "none", "app=web", "10.1.0.4", "");
	add_workload(model, "shop", "me", "app=me", "10.1.0.5", "http=99/TCP");
	return model;
}

static void test_named_ports_of_ingress_are_the_subjects(void **state)
{
	_cleanup_model_ struct model *model = make_named();
	struct model_policy *policy = add_policy(model, SST_TIER_NETWORK, "shop", "p", "app=web");
	_cleanup_policy_set_ struct policy_set set = { 0 };
	uint32_t id;

	(void)state;
	policy->isolates[SST_INGRESS] = true;
	add_rule(policy, SST_INGRESS, SST_ACTION_ALLOW, "is world", "http,22,nobody,dns/UDP");
	set = compile(model);
	assert_ingress(&set, "shop/old", "world", 80, TCP, "allow shop/p/ingress[0]");
	assert_ingress(&set, "shop/old", "world", 8080, TCP, "deny shop/p/isolated");
	assert_ingress(&set, "shop/new", "world", 8080, TCP, "allow shop/p/ingress[0]");
	assert_ingress(&set, "shop/new", "world", 80, TCP, "deny shop/p/isolated");
	assert_ingress(&set, "shop/udp", "world", 80, UDP, "deny shop/p/isolated");
	assert_ingress(&set, "shop/udp", "world", 80, TCP, "deny shop/p/isolated");
	assert_ingress(&set, "shop/none", "world", 80, TCP, "deny shop/p/isolated");
	assert_ingress(&set, "shop/none", "world", 22, TCP, "allow shop/p/ingress[0]");
	assert_ingress(&set, "shop/old", "world", 53, UDP, "allow shop/p/ingress[0]");
	assert_ingress(&set, "shop/old", "world", 53, TCP, "deny shop/p/isolated");
	/* all bits of a rule have one id */
	id = ask(&set, SST_INGRESS, "shop/old", "world", 80, IPPROTO_TCP).rule;
	assert_int_equal(ask(&set, SST_INGRESS, "shop/new", "world", 8080, IPPROTO_TCP).rule, id);
	assert_int_equal(ask(&set, SST_INGRESS, "shop/none", "world", 22, IPPROTO_TCP).rule, id);
	/* 22, http=80, http=8080, http=99, dns=53; isolated; host, default */
	assert_int_equal(policy_head(&set)->direction[SST_INGRESS].n_rules, 8);
}

static void test_named_ports_of_egress_are_the_peers(void **state)
{
	_cleanup_model_ struct model *model = make_named();
	struct model_policy *policy = add_policy(model, SST_TIER_NETWORK, "shop", "p", "app=me");
	_cleanup_policy_set_ struct policy_set set = { 0 };

	(void)state;
	policy->isolates[SST_EGRESS] = true;
	add_rule(policy, SST_EGRESS, SST_ACTION_ALLOW, "app=web", "http")->name = strdup("web");
	add_rule(policy, SST_EGRESS, SST_ACTION_ALLOW, NULL, "dns/any")->name = strdup("dns");
	set = compile(model);
	assert_egress(&set, "shop/me", "shop/old", 80, TCP, "allow shop/p/web");
	assert_egress(&set, "shop/me", "shop/new", 80, TCP, "deny shop/p/isolated");
	assert_egress(&set, "shop/me", "shop/new", 8080, TCP, "allow shop/p/web");
	assert_egress(&set, "shop/me", "shop/udp", 80, TCP, "deny shop/p/isolated");
	/* the caller's own names mean nothing, and no peer has that number */
	assert_egress(&set, "shop/me", "shop/old", 99, TCP, "deny shop/p/isolated");
	/* everybody who has a port of that name */
	assert_egress(&set, "shop/me", "shop/old", 53, UDP, "allow shop/p/dns");
	assert_egress(&set, "shop/me", "shop/old", 53, TCP, "deny shop/p/isolated");
	assert_egress(&set, "shop/me", "shop/new", 53, UDP, "deny shop/p/isolated");
	assert_egress(&set, "shop/me", "world", 53, UDP, "deny shop/p/isolated");
}

static void test_named_ports_in_a_network(void **state)
{
	_cleanup_model_ struct model *model = make_named();
	struct model_policy *policy = add_policy(model, SST_TIER_NETWORK, "shop", "p", "app=me");
	_cleanup_policy_set_ struct policy_set set = { 0 };

	(void)state;
	add_workload(model, "shop", "wide", "", "10.1.1.0/24", "http=80/TCP");
	policy->isolates[SST_EGRESS] = true;
	add_rule(policy, SST_EGRESS, SST_ACTION_ALLOW, "net 10.1.0.0/16 - 10.1.1.8/29", "http,7");
	set = compile(model);
	assert_egress(&set, "shop/me", "10.1.0.1", 80, TCP, "allow shop/p/egress[0]");
	assert_egress(&set, "shop/me", "10.1.0.1", 8080, TCP, "deny shop/p/isolated");
	assert_egress(&set, "shop/me", "10.1.0.2", 8080, TCP, "allow shop/p/egress[0]");
	assert_egress(&set, "shop/me", "10.1.0.4", 80, TCP, "deny shop/p/isolated");
	assert_egress(&set, "shop/me", "10.1.0.4", 7, TCP, "allow shop/p/egress[0]");
	assert_egress(&set, "shop/me", "10.1.0.9", 80, TCP, "deny shop/p/isolated");
	assert_egress(&set, "shop/me", "10.1.1.7", 80, TCP, "allow shop/p/egress[0]");
	assert_egress(&set, "shop/me", "10.1.1.8", 80, TCP, "deny shop/p/isolated");
	assert_egress(&set, "shop/me", "10.1.1.15", 80, TCP, "deny shop/p/isolated");
	assert_egress(&set, "shop/me", "10.1.1.16", 80, TCP, "allow shop/p/egress[0]");
	assert_egress(&set, "shop/me", "10.2.0.3", 80, UDP, "deny shop/p/isolated");
}

static void test_named_ports_and_clients_by_network(void **state)
{
	_cleanup_model_ struct model *model = make_named();
	struct model_policy *policy = add_policy(model, SST_TIER_NETWORK, "shop", "p", "app=web");
	_cleanup_policy_set_ struct policy_set set = { 0 };

	(void)state;
	policy->isolates[SST_INGRESS] = true;
	add_rule(policy, SST_INGRESS, SST_ACTION_ALLOW, "net 192.0.2.0/24", "http");
	set = compile(model);
	assert_ingress(&set, "shop/new", "192.0.2.255", 8080, TCP, "allow shop/p/ingress[0]");
	assert_ingress(&set, "shop/new", "192.0.3.0", 8080, TCP, "deny shop/p/isolated");
	assert_ingress(&set, "shop/old", "192.0.2.0", 8080, TCP, "deny shop/p/isolated");
	assert_ingress(&set, "shop/old", "192.0.2.0", 80, TCP, "allow shop/p/ingress[0]");
}

/* ---- addresses ----------------------------------------------------------------------------------- */

static void test_networks(void **state)
{
	_cleanup_model_ struct model *model = make_shop();
	struct model_policy *policy = &model->policies[0];
	_cleanup_policy_set_ struct policy_set set = { 0 };

	(void)state;
	add_rule(policy, SST_INGRESS, SST_ACTION_ALLOW,
		 "net 10.0.0.0/8 - 10.1.0.0/16 - 10.1.2.0/24 - 10.0.0.0/16", "1")
		->name = strdup("a");
	add_rule(policy, SST_INGRESS, SST_ACTION_ALLOW, "net 10.1.0.8;net 10.1.2.0/24;app=db", "1")
		->name = strdup("b");
	add_rule(policy, SST_INGRESS, SST_ACTION_ALLOW, "net 0.0.0.0/0", "2")->name = strdup("v4");
	add_rule(policy, SST_INGRESS, SST_ACTION_ALLOW, "net ::/0", "2,4")->name = strdup("v6");
	add_rule(policy, SST_INGRESS, SST_ACTION_ALLOW, "net fd00::/8 - fd00::/9", "3")->name =
		strdup("fd");
	set = compile(model);
	assert_ingress(&set, "shop/db", "9.255.255.255", 1, TCP, "deny shop/db/isolated");
	assert_ingress(&set, "shop/db", "10.0.255.255", 1, TCP, "deny shop/db/isolated");
	assert_ingress(&set, "shop/db", "10.2.0.0", 1, TCP, "allow shop/db/a");
	assert_ingress(&set, "shop/db", "10.255.255.255", 1, TCP, "allow shop/db/a");
	assert_ingress(&set, "shop/db", "11.0.0.0", 1, TCP, "deny shop/db/isolated");
	/* whoever has the address */
	assert_ingress(&set, "shop/db", "10.1.0.8", 1, TCP, "allow shop/db/b");
	assert_ingress(&set, "shop/db", "10.1.0.9", 1, TCP, "deny shop/db/isolated");
	assert_ingress(&set, "shop/db", "10.1.2.3", 1, TCP, "allow shop/db/b");
	/* peers of both kinds in one rule */
	assert_ingress(&set, "shop/db", "shop/db", 1, TCP, "allow shop/db/b");
	assert_ingress(&set, "shop/db", "shop/web", 1, TCP, "deny shop/db/isolated");
	/* IPv6 is not above IPv4 */
	assert_ingress(&set, "shop/db", "0.0.0.0", 2, TCP, "allow shop/db/v4");
	assert_ingress(&set, "shop/db", "255.255.255.255", 2, TCP, "allow shop/db/v4");
	assert_ingress(&set, "shop/db", "::", 2, TCP, "allow shop/db/v6");
	assert_ingress(&set, "shop/db", "::fffe:ffff:ffff", 2, TCP, "allow shop/db/v6");
	assert_ingress(&set, "shop/db", "::1:0:0:0", 2, TCP, "allow shop/db/v6");
	assert_ingress(&set, "shop/db", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 2, TCP,
		       "allow shop/db/v6");
	assert_ingress(&set, "shop/db", "::fffe:ffff:ffff", 4, TCP, "allow shop/db/v6");
	assert_ingress(&set, "shop/db", "0.0.0.0", 4, TCP, "deny shop/db/isolated");
	assert_ingress(&set, "shop/db", "255.255.255.255", 4, TCP, "deny shop/db/isolated");
	assert_ingress(&set, "shop/db", "::1:0:0:0", 4, TCP, "allow shop/db/v6");
	assert_ingress(&set, "shop/db", "fd7f::1", 3, TCP, "deny shop/db/isolated");
	assert_ingress(&set, "shop/db", "fd80::", 3, TCP, "allow shop/db/fd");
	assert_ingress(&set, "shop/db", "fe00::", 3, TCP, "deny shop/db/isolated");
	assert_int_equal(locate(&set, "0.0.0.0").identity, SST_IDENTITY_WORLD);
}

static void test_no_network_is_class_0(void **state)
{
	_cleanup_model_ struct model *model = make_shop();
	_cleanup_policy_set_ struct policy_set set = { 0 };

	(void)state;
	/* everything is in a network: class 0 must be there all the same */
	add_rule(&model->policies[0], SST_INGRESS, SST_ACTION_ALLOW, "net ::/0;net 0.0.0.0/0",
		 NULL);
	set = compile(model);
	assert_int_not_equal(locate(&set, "::").network, 0);
	assert_ingress(&set, "shop/db", "1.2.3.4", 1, TCP, "allow shop/db/ingress[1]");
	assert_ingress(&set, "shop/db", "world", 1, TCP, "deny shop/db/isolated");
}

static void assert_place(const struct policy_set *set, const char *address, const char *identity,
			 const char *workload)
{
	struct sst_policy_place place = locate(set, address);

	assert_int_equal(place.identity, find_identity(set, identity));
	assert_string_equal(policy_text(set, policy_workload(set, place.workload)->name), workload);
}

static void test_the_longest_prefix_wins(void **state)
{
	_cleanup_model_ struct model *model = make_model();
	struct policy_set nothing = { 0 };
	_cleanup_policy_set_ struct policy_set set = { 0 };
	struct sst_addr addresses[2];
	struct policy_host host = { addresses, 2, 77, NULL, 0 };
	struct policy_ids ids = { 0 };

	(void)state;
	assert_int_equal(address_parse("192.0.2.1", &addresses[0]), 0);
	assert_int_equal(address_parse("10.1.0.1", &addresses[1]), 0);
	add_workload(model, "a", "wide", "l=1", "10.1.0.0/16,fd00::/16", "");
	add_workload(model, "a", "narrow", "l=2", "10.1.0.128/25,10.1.0.7", "");
	add_workload(model, "a", "edge", "l=3", "255.255.255.0/24,ff00::/8", "");
	add_workload(model, "a", "six", "l=4", "::/0", "");
	model->node.policy.nodes = calloc(2, sizeof(struct model_cidr));
	model->node.policy.nodes[0] = make_cidr("192.0.2.0/24");
	model->node.policy.nodes[1] = make_cidr("192.0.2.1");
	model->node.policy.n_nodes = 2;
	assert_int_equal(policy_compile(model, &host, &nothing, &ids, NULL, &set), 0);
	assert_place(&set, "10.0.255.255", "world", "");
	assert_place(&set, "10.1.0.0", "a/wide", "wide");
	assert_place(&set, "10.1.0.1", "host", "");
	assert_place(&set, "10.1.0.2", "a/wide", "wide");
	assert_place(&set, "10.1.0.7", "a/narrow", "narrow");
	assert_place(&set, "10.1.0.8", "a/wide", "wide");
	assert_place(&set, "10.1.0.127", "a/wide", "wide");
	assert_place(&set, "10.1.0.128", "a/narrow", "narrow");
	assert_place(&set, "10.1.0.255", "a/narrow", "narrow");
	assert_place(&set, "10.1.1.0", "a/wide", "wide");
	assert_place(&set, "10.1.255.255", "a/wide", "wide");
	assert_place(&set, "10.2.0.0", "world", "");
	assert_place(&set, "126.255.255.255", "world", "");
	assert_place(&set, "127.0.0.0", "host", "");
	assert_place(&set, "127.255.255.255", "host", "");
	assert_place(&set, "128.0.0.0", "world", "");
	assert_place(&set, "192.0.2.0", "nodes", "");
	assert_place(&set, "192.0.2.1", "host", "");
	assert_place(&set, "192.0.2.2", "nodes", "");
	assert_place(&set, "192.0.3.0", "world", "");
	assert_place(&set, "255.255.255.255", "a/edge", "edge");
	assert_place(&set, "::", "a/six", "six");
	assert_place(&set, "::1", "host", "");
	assert_place(&set, "::2", "a/six", "six");
	assert_place(&set, "fd00::1", "a/wide", "wide");
	assert_place(&set, "fd01::", "a/six", "six");
	assert_place(&set, "ff00::", "a/edge", "edge");
	assert_place(&set, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "a/edge", "edge");
	assert_int_equal(policy_head(&set)->host_netns, 77);
}

static void test_a_workload_with_the_hosts_address(void **state)
{
	_cleanup_model_ struct model *model = make_model();
	_cleanup_policy_set_ struct policy_set set = { 0 };

	(void)state;
	add_workload(model, "a", "local", "", "127.0.0.1,::1", "");
	set = compile(model);
	assert_place(&set, "127.0.0.1", "a/local", "local");
	assert_place(&set, "::1", "a/local", "local");
	assert_place(&set, "127.0.0.2", "host", "");
}

/* ---- who tells a workload --------------------------------------------------------------------- */

static const char *workload_by_key(const struct policy_set *set, enum sst_key_kind kind,
				   uint64_t key)
{
	uint32_t index = sst_policy_find(&set->memory, policy_head(set), kind, key);

	return policy_text(set, policy_workload(set, index)->name);
}

static const char *workload_by_path(const struct policy_set *set, const char *path)
{
	uint64_t hash;

	assert_int_equal(policy_path_hash(policy_head(set)->seed, path, &hash), 0);
	return workload_by_key(set, SST_KEY_CGROUP_PATH, hash);
}

static void test_keys(void **state)
{
	struct policy_netns netns = { 2, 4711 };
	struct policy_host host = { .workloads = &netns, .n_workloads = 1 };
	_cleanup_model_ struct model *model = make_model();
	_cleanup_policy_set_ struct policy_set set = { 0 };
	struct policy_set nothing = { 0 };
	struct policy_ids ids = { 0 };

	(void)state;
	add_workload(model, "a", "path", "", "", "")->cgroup = strdup("/a.slice/b.service");
	add_workload(model, "a", "id", "", "", "")->cgroup_id = 99;
	add_workload(model, "a", "netns", "", "", "")->netns = strdup("blue");
	add_workload(model, "a", "remote", "", "10.0.0.1", "")->remote = true;
	model->node.policy.probes_cgroup = strdup("/kubelet.service");
	assert_int_equal(policy_compile(model, &host, &nothing, &ids, NULL, &set), 0);
	assert_string_equal(workload_by_path(&set, "/a.slice/b.service"), "path");
	assert_string_equal(workload_by_path(&set, "a.slice//b.service/"), "path");
	assert_string_equal(workload_by_path(&set, "/a.slice"), "");
	assert_string_equal(workload_by_path(&set, "/kubelet.service"), "probes");
	assert_string_equal(workload_by_key(&set, SST_KEY_CGROUP_ID, 99), "id");
	assert_string_equal(workload_by_key(&set, SST_KEY_NETNS, 99), "");
	assert_string_equal(workload_by_key(&set, SST_KEY_NETNS, 4711), "netns");
	assert_int_equal(policy_head(&set)->n_workloads, 6);
	for (uint32_t i = 1; i < 6; i++) {
		const struct sst_policy_workload *workload = policy_workload(&set, i);
		bool remote = !strcmp(policy_text(&set, workload->name), "remote");

		assert_int_equal(workload->flags, remote ? 0 : SST_WORKLOAD_LOCAL);
		if (!strcmp(policy_text(&set, workload->name), "probes"))
			assert_int_equal(workload->identity, SST_IDENTITY_PROBES);
	}
}

static void test_many_keys(void **state)
{
	enum { N = 5000 };
	_cleanup_model_ struct model *model = make_model();
	_cleanup_policy_set_ struct policy_set set = { 0 };
	char name[16], path[32];

	(void)state;
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "w%d", i);
		snprintf(path, sizeof(path), "/pods/%d", i);
		add_workload(model, "a", name, "", "", "")->cgroup = strdup(path);
	}
	set = compile(model);
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "w%d", i);
		snprintf(path, sizeof(path), "/pods/%d", i);
		assert_string_equal(workload_by_path(&set, path), name);
	}
	assert_string_equal(workload_by_path(&set, "/pods"), "");
}

/* ---- what is refused ---------------------------------------------------------------------------- */

static void assert_refused(const struct model *model, const struct policy_host *host, int error,
			   const char *expected)
{
	_cleanup_problems_ struct problems problems = { 0 };
	struct policy_set nothing = { 0 }, untouched = { .owned = (void *)1 };
	struct policy_ids ids = { 1000, 2000, 3000 };

	assert_int_equal(policy_compile(model, host, &nothing, &ids, &problems, &untouched), error);
	assert_int_equal(problems.count, 1);
	assert_string_equal(problems.text[0], expected);
	assert_ptr_equal(untouched.owned, (void *)1);
	assert_int_equal(ids.identity, 1000);
	assert_int_equal(ids.workload, 2000);
	assert_int_equal(ids.rule, 3000);
}

static void assert_cgroup_refused(const char *cgroup, const char *expected)
{
	_cleanup_model_ struct model *model = make_model();
	struct policy_host host = { 0 };
	struct model_workload *workload = add_workload(model, "a", "w", "", "", "");

	workload->cgroup = strdup(cgroup);
	workload->place = (struct place){ 7, 3 };
	assert_refused(model, &host, -EINVAL, expected);
}

static void test_cgroups_that_cannot_be(void **state)
{
	char name[258], expected[400];

	(void)state;
	assert_cgroup_refused("/", "test.yaml:7:3: cgroup '/' of workload 'w' is the root, "
				   "expected one below it");
	assert_cgroup_refused("/1/2/3/4/5/6/7/8/9/a/b/c/d/e/f/g/h",
			      "test.yaml:7:3: cgroup '/1/2/3/4/5/6/7/8/9/a/b/c/d/e/f/g/h' of "
			      "workload 'w' lies deeper than 16 levels");
	memset(name, 'x', sizeof(name));
	name[0] = '/';
	name[257] = '\0';
	snprintf(expected, sizeof(expected),
		 "test.yaml:7:3: cgroup '%s' of workload 'w' has a name of more than 255 bytes",
		 name);
	assert_cgroup_refused(name, expected);
}

static void test_a_key_of_two_workloads(void **state)
{
	struct policy_netns netns[] = { { 0, 5 }, { 1, 5 } };
	_cleanup_model_ struct model *model = make_model();
	struct policy_host host = { 0 };

	(void)state;
	add_workload(model, "a", "one", "", "", "");
	add_workload(model, "a", "two", "", "", "")->place = (struct place){ 4, 1 };
	host.workloads = netns;
	host.n_workloads = 2;
	assert_refused(model, &host, -EINVAL,
		       "test.yaml:4:1: the network namespace of workload 'two' is already that of "
		       "workload 'one'");
	host.n_workloads = 0;
	model->workloads[0].cgroup = strdup("/a");
	model->workloads[1].cgroup = strdup("/a/");
	assert_refused(model, &host, -EINVAL,
		       "test.yaml:4:1: the cgroup of workload 'two' is already that of workload "
		       "'one'");
}

/* n rules for one port each, from port 1 on: r0, r1, ... */
static struct model_policy *add_many_rules(struct model *model, size_t n)
{
	struct model_policy *policy = add_policy(model, SST_TIER_NETWORK, "a", "many", "");

	policy->rules = calloc(n, sizeof(*policy->rules));
	policy->n_rules = n;
	for (size_t i = 0; i < n; i++) {
		struct model_rule *rule = &policy->rules[i];

		assert_true(asprintf(&rule->name, "r%zu", i) > 0);
		rule->direction = SST_INGRESS;
		rule->any_peer = true;
		rule->ports = calloc(1, sizeof(*rule->ports));
		rule->n_ports = 1;
		rule->ports->protocol = IPPROTO_TCP;
		rule->ports->first = rule->ports->last = i + 1;
	}
	return policy;
}

static void test_too_many_rules(void **state)
{
	_cleanup_model_ struct model *model = make_model();
	struct policy_host host = { 0 };

	(void)state;
	add_workload(model, "a", "w", "", "", "");
	add_many_rules(model, SST_ROW_BLOCKS * SST_BLOCK_BITS - 1);
	assert_refused(
		model, &host, -E2BIG,
		"test.yaml: policies need 32769 bits for rules of ingress, there is room for "
		"32768");
}

static void test_too_many_intervals(void **state)
{
	enum { N = SST_INTERVALS_MAX / 2 };
	_cleanup_model_ struct model *model = make_model();
	struct policy_host host = { 0 };

	(void)state;
	add_workload(model, "a", "w", "", "", "");
	model->node.policy.nodes = calloc(N, sizeof(struct model_cidr));
	model->node.policy.n_nodes = N;
	for (size_t i = 0; i < N; i++)
		model->node.policy.nodes[i] = (struct model_cidr){
			.address.w = { 0, 0, htonl(0xffff), htonl(2 * i + 1) },
			.bits = 128,
		};
	/* world before each of them and after the last, and loopback between two such */
	assert_refused(model, &host, -E2BIG,
		       "test.yaml: policies need 1048581 intervals of addresses, there is room for "
		       "1048576");
}

/* A port's name in egress is asked of each address that lies in a network. */
static void test_too_many_ranges(void **state)
{
	enum { WORKLOADS = 500, NETWORKS = 10000 };
	_cleanup_model_ struct model *model = make_model();
	struct policy_set few;
	struct policy_host host = { 0 };
	struct model_rule *rule;

	(void)state;
	for (unsigned i = 0; i < WORKLOADS; i++) {
		char name[16], labels[16], address[32];

		snprintf(name, sizeof(name), "w%u", i);
		snprintf(labels, sizeof(labels), "n=%u", i);
		snprintf(address, sizeof(address), "10.0.%u.%u", i / 100, 2 * (i % 100));
		add_workload(model, "a", name, labels, address, "http=80/TCP");
	}
	rule = add_rule(add_policy(model, SST_TIER_NETWORK, "a", "p", "n=0"), SST_EGRESS,
			SST_ACTION_ALLOW, "net 192.0.2.0/24", "80");
	rule->name = strdup("first");
	rule = add_rule(&model->policies[0], SST_EGRESS, SST_ACTION_ALLOW, "net 0.0.0.0/0", "http");
	rule->place = (struct place){ 9, 5 };
	rule->peers = reallocarray(rule->peers, NETWORKS, sizeof(*rule->peers));
	for (size_t i = 1; i < NETWORKS; i++)
		rule->peers[i] = rule->peers[0];
	rule->n_peers = NETWORKS / 2;
	few = compile(model);
	policy_set_release(&few);
	rule->n_peers = NETWORKS;
	assert_refused(model, &host, -E2BIG,
		       "test.yaml:9:5: the networks of rule 'egress[1]' of policy 'p' need 5000000 "
		       "ranges of addresses of workloads with port 'http', there is room for "
		       "4194303");
}

static void test_too_many_blocks(void **state)
{
	enum { N = 32000 };
	_cleanup_model_ struct model *model = make_model();
	_cleanup_problems_ struct problems problems = { 0 };
	struct policy_set nothing = { 0 }, untouched = { 0 };
	struct policy_host host = { 0 };
	struct policy_ids ids = { 0 };
	struct model_policy *policy;
	unsigned needed, room;

	(void)state;
	add_workload(model, "a", "w", "", "", "");
	policy = add_many_rules(model, N);
	/* for each rule a network and a port: 64,006 rows of 9 blocks */
	for (size_t i = 0; i < N; i++) {
		struct model_rule *rule = &policy->rules[i];

		rule->any_peer = false;
		rule->peers = calloc(1, sizeof(*rule->peers));
		rule->n_peers = 1;
		rule->peers->kind = MODEL_PEER_NETWORK;
		rule->peers->network.bits = 128;
		rule->peers->network.address.w[3] = htonl(16 + 2 * i);
	}
	assert_int_equal(policy_compile(model, &host, &nothing, &ids, &problems, &untouched),
			 -E2BIG);
	assert_int_equal(sscanf(problems.text[0],
				"test.yaml: policies need %u blocks of 512 bytes, there is room "
				"for %u",
				&needed, &room),
			 2);
	assert_in_range(needed, 64006 * 9, 64006 * 9 * 1.02);
	assert_int_equal(room, POLICY_SET_BLOCKS_MAX);
	assert_true(policy_set_is_empty(&untouched));
}

/* Rows of more than one block. */
static void test_many_rules(void **state)
{
	enum { N = 9000 };
	_cleanup_model_ struct model *model = make_model();
	_cleanup_policy_set_ struct policy_set set = { 0 };
	struct model_policy *policy, *admin;

	(void)state;
	add_workload(model, "a", "w", "", "", "");
	policy = add_many_rules(model, N);
	policy->isolates[SST_INGRESS] = true;
	admin = add_admin(model, "admin", 1, "");
	add_rule(admin, SST_INGRESS, SST_ACTION_PASS, NULL, "5000");
	set = compile(model);
	assert_int_equal(policy_head(&set)->direction[SST_INGRESS].row_blocks, 3);
	assert_int_equal(policy_head(&set)->direction[SST_EGRESS].row_blocks, 1);
	for (size_t port = 1; port <= N; port++) {
		char expected[32];

		snprintf(expected, sizeof(expected), "allow a/many/r%zu", port - 1);
		assert_ingress(&set, "a/w", "world", port, TCP, expected);
	}
	assert_ingress(&set, "a/w", "world", N + 1, TCP, "deny a/many/isolated");
	assert_ingress(&set, "a/w", "world", 1, UDP, "deny a/many/isolated");
}

/* ---- from set to set ------------------------------------------------------------------------------- */

static uint32_t workload_id(const struct policy_set *set, const char *name)
{
	for (uint32_t i = 1; i < policy_head(set)->n_workloads; i++)
		if (!strcmp(policy_text(set, policy_workload(set, i)->name), name))
			return policy_workload(set, i)->id;
	return 0;
}

static uint32_t identity_id(const struct policy_set *set, const char *name)
{
	return policy_identity(set, find_identity(set, name))->id;
}

static uint32_t rule_id(const struct policy_set *set, const char *policy, const char *rule,
			enum sst_direction direction)
{
	for (uint32_t i = 0; i < policy_head(set)->n_infos; i++) {
		const struct sst_policy_info *info = policy_info(set, i);

		if (!strcmp(policy_text(set, info->policy), policy) &&
		    !strcmp(policy_text(set, info->rule), rule) && info->direction == direction)
			return info->id;
	}
	return 0;
}

static void test_the_same_again(void **state)
{
	_cleanup_model_ struct model *model = make_shop();
	struct policy_set nothing = { 0 };
	struct policy_ids ids = { 0 }, then;
	_cleanup_policy_set_ struct policy_set first = { 0 }, second = { 0 }, third = { 0 };

	(void)state;
	model->node.policy.probes_cgroup = strdup("/probes");
	first = compile_after(model, &nothing, &ids);
	assert_int_equal(policy_head(&first)->generation, 1);
	then = ids;
	second = compile_after(model, &first, &ids);
	assert_memory_equal(&ids, &then, sizeof(ids));
	assert_int_equal(policy_head(&second)->generation, 2);
	assert_true(policy_sets_are_equal(&first, &second));
	model->node.policy.refused = true;
	third = compile_after(model, &second, &ids);
	assert_false(policy_sets_are_equal(&second, &third));
	assert_false(policy_sets_are_equal(&nothing, &third));
	assert_true(policy_sets_are_equal(&nothing, &nothing));
}

static void test_ids_stay(void **state)
{
	_cleanup_model_ struct model *model = make_shop(), *changed = make_model();
	_cleanup_policy_set_ struct policy_set before = { 0 }, after = { 0 };
	struct policy_set nothing = { 0 };
	struct policy_ids ids = { 0 };
	struct model_policy *policy;
	struct model_rule *rule;

	(void)state;
	add_rule(&model->policies[0], SST_INGRESS, SST_ACTION_ALLOW, NULL, "1")->name =
		strdup("named");
	before = compile_after(model, &nothing, &ids);
	/* others come first now; db has other labels, web of shop is gone */
	add_workload(changed, "new", "w", "app=new", "", "");
	add_workload(changed, "other", "web", "app=web", "", "");
	add_workload(changed, "shop", "db", "app=db2", "10.1.0.7", "");
	policy = add_policy(changed, SST_TIER_NETWORK, "new", "db", "");
	policy->isolates[SST_INGRESS] = true;
	policy = add_policy(changed, SST_TIER_NETWORK, "shop", "db", "app=db2");
	policy->isolates[SST_INGRESS] = policy->isolates[SST_EGRESS] = true;
	rule = add_rule(policy, SST_INGRESS, SST_ACTION_ALLOW, NULL, "1");
	rule->name = strdup("named");
	add_rule(policy, SST_EGRESS, SST_ACTION_ALLOW, NULL, "1");
	add_rule(policy, SST_INGRESS, SST_ACTION_ALLOW, NULL, "2");
	after = compile_after(changed, &before, &ids);
	assert_int_equal(identity_id(&after, "other/web"), identity_id(&before, "other/web"));
	assert_int_equal(workload_id(&after, "db"), workload_id(&before, "db"));
	assert_true(workload_id(&after, "w") > 3);
	assert_true(identity_id(&after, "new/w") > SST_IDENTITY_FIRST + 2);
	assert_true(identity_id(&after, "shop/db") > SST_IDENTITY_FIRST + 2);
	assert_int_equal(rule_id(&after, "db", "named", SST_INGRESS),
			 rule_id(&before, "db", "named", SST_INGRESS));
	assert_int_equal(rule_id(&after, "host", "", SST_INGRESS),
			 rule_id(&before, "host", "", SST_INGRESS));
	assert_int_equal(rule_id(&after, "default", "", SST_EGRESS),
			 rule_id(&before, "default", "", SST_EGRESS));
	assert_int_not_equal(rule_id(&after, "default", "", SST_EGRESS),
			     rule_id(&after, "default", "", SST_INGRESS));
	/* what was ingress[0] is ingress[1] now, and so a new rule */
	assert_null(policy_info_by_id(&after, rule_id(&before, "db", "ingress[0]", SST_INGRESS)));
	assert_true(rule_id(&after, "db", "ingress[1]", SST_INGRESS) > 5);
	assert_true(rule_id(&after, "db", "egress[0]", SST_EGRESS) > 5);
}

/* Also when whoever calls does not know the next ones. */
static void test_ids_are_not_given_twice(void **state)
{
	_cleanup_model_ struct model *model = make_shop();
	_cleanup_policy_set_ struct policy_set before = { 0 }, after = { 0 };
	struct policy_set nothing = { 0 };
	struct policy_ids ids = { 300, 40, 50 };

	(void)state;
	add_workload(model, "shop", "fourth", "app=fourth", "", "");
	before = compile_after(model, &nothing, &ids);
	assert_int_equal(workload_id(&before, "db"), 40);
	assert_int_equal(identity_id(&before, "shop/db"), 300);
	assert_int_equal(ids.identity, 304);
	assert_int_equal(ids.workload, 44);
	ids = (struct policy_ids){ 0 };
	add_workload(model, "shop", "new", "app=new", "", "");
	after = compile_after(model, &before, &ids);
	assert_int_equal(workload_id(&after, "new"), 44);
	assert_int_equal(identity_id(&after, "shop/new"), 304);
}

/* None begins anew at 0, which is nobody's. */
static void test_ids_that_are_used_up(void **state)
{
	static const struct policy_ids last[] = {
		{ 300, UINT32_MAX, 50 },
		{ UINT32_MAX - 1, 40, 50 },
		{ 300, 40, UINT32_MAX - 1 },
	};
	_cleanup_model_ struct model *model = make_shop();
	struct policy_set nothing = { 0 }, untouched = { .owned = (void *)1 };
	struct policy_host host = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(last); i++) {
		_cleanup_problems_ struct problems problems = { 0 };
		struct policy_ids ids = last[i];

		assert_int_equal(
			policy_compile(model, &host, &nothing, &ids, &problems, &untouched),
			-E2BIG);
		assert_string_equal(
			problems.text[0],
			"test.yaml: policies have used all ids that there are, expected "
			"'sidestep unload' before");
		assert_ptr_equal(untouched.owned, (void *)1);
		assert_memory_equal(&ids, &last[i], sizeof(ids));
	}
}

/* Also when the set before has the last one, and whoever calls does not know. */
static void test_the_last_id_is_taken(void **state)
{
	_cleanup_model_ struct model *model = make_shop();
	_cleanup_policy_set_ struct policy_set before = compile(model);
	_cleanup_problems_ struct problems problems = { 0 };
	struct policy_set untouched = { .owned = (void *)1 };
	struct policy_host host = { 0 };
	struct policy_ids ids = { 0 };

	(void)state;
	((struct sst_policy_workload *)policy_workload(&before,
						       policy_head(&before)->n_workloads - 1))
		->id = UINT32_MAX;
	add_workload(model, "shop", "new", "app=new", "", "");
	assert_int_equal(policy_compile(model, &host, &before, &ids, &problems, &untouched),
			 -E2BIG);
	assert_ptr_equal(untouched.owned, (void *)1);
}

static void test_a_name_like_a_number(void **state)
{
	_cleanup_model_ struct model *model = make_shop();
	_cleanup_policy_set_ struct policy_set set = { 0 };

	(void)state;
	add_rule(&model->policies[0], SST_INGRESS, SST_ACTION_ALLOW, NULL, "1")->name =
		strdup("ingress[0]");
	add_rule(&model->policies[0], SST_INGRESS, SST_ACTION_ALLOW, NULL, "2")->name =
		strdup("isolated");
	set = compile(model);
	assert_int_not_equal(ask(&set, SST_INGRESS, "shop/db", "world", 1, IPPROTO_TCP).rule,
			     ask(&set, SST_INGRESS, "shop/db", "shop/web", 5432, IPPROTO_TCP).rule);
	assert_int_not_equal(ask(&set, SST_INGRESS, "shop/db", "world", 2, IPPROTO_TCP).rule,
			     ask(&set, SST_INGRESS, "shop/db", "world", 3, IPPROTO_TCP).rule);
}

/* ---- identities and texts --------------------------------------------------------------------------- */

static void test_identities(void **state)
{
	_cleanup_model_ struct model *model = make_model();
	_cleanup_policy_set_ struct policy_set set = { 0 };
	const struct sst_policy_identity *identity;

	(void)state;
	add_workload(model, "shop", "a", "tier=front,app=web", "10.0.0.1,fd00::/64,10.1.0.0/16",
		     "http=80/TCP,dns=53/UDP")
		->cgroup = strdup("/a.service");
	add_workload(model, "shop", "b", "app=web,tier=front", "", "dns=53/UDP,http=80/TCP");
	add_workload(model, "shop", "c", "app=web,tier=front", "", "http=80/TCP");
	add_workload(model, "else", "d", "app=web,tier=front", "", "dns=53/UDP,http=80/TCP");
	add_workload(model, "shop", "e", "app=web,x=1", "", "");
	model->workloads[4].labels.items[0].value[0] = ',';
	set = compile(model);
	assert_int_equal(policy_head(&set)->n_identities, SST_IDENTITY_RESERVED + 4);
	assert_int_equal(find_identity(&set, "shop/a"), find_identity(&set, "shop/b"));
	identity = policy_identity(&set, find_identity(&set, "shop/a"));
	assert_int_equal(identity->n_workloads, 2);
	assert_string_equal(policy_text(&set, identity->labels), "app=web,tier=front");
	assert_string_equal(policy_text(&set, identity->ports), "dns=53/UDP,http=80/TCP");
	assert_string_equal(policy_text(&set, identity->name_space), "shop");
	assert_string_equal(
		policy_text(&set, policy_workload_by_id(&set, workload_id(&set, "a"))->how),
		"cgroup /a.service, 10.0.0.1, fd00::/64, 10.1.0.0/16");
	/* no two sets of labels have one text */
	identity = policy_identity(&set, find_identity(&set, "shop/e"));
	assert_string_equal(policy_text(&set, identity->labels), "app=\\,eb,x=1");
	identity = policy_identity(&set, SST_IDENTITY_PROBES);
	assert_string_equal(policy_text(&set, identity->labels), "probes");
	assert_string_equal(policy_text(&set, identity->name_space), "");
}

static const char *summary_of(const struct policy_set *set, const char *policy, const char *rule)
{
	uint32_t id =
		rule_id(set, policy, rule, SST_INGRESS) ?: rule_id(set, policy, rule, SST_EGRESS);

	assert_int_not_equal(id, 0);
	return policy_text(set, policy_info_by_id(set, id)->summary);
}

static void test_summaries(void **state)
{
	_cleanup_model_ struct model *model = make_shop();
	struct model_policy *admin = add_admin(model, "admin", 1, "tier=a|b,x");
	struct model_policy *other = add_admin(model, "other", 1, "a!=1,b!=1|2,!c");
	_cleanup_policy_set_ struct policy_set set = { 0 };
	const struct sst_policy_info *info;

	(void)state;
	model->policies[0].rules[0].place.line = 12;
	add_rule(admin, SST_EGRESS, SST_ACTION_DENY,
		 "net 10.0.0.0/8 - 10.1.0.0/16;is world;team=a : ; : !app",
		 "80-90/UDP,pg,*,53/any");
	add_rule(admin, SST_INGRESS, SST_ACTION_DENY, NULL, "1,2,3,4,5,6");
	add_rule(other, SST_INGRESS, SST_ACTION_DENY, "is nodes;", NULL);
	set = compile(model);
	assert_string_equal(summary_of(&set, "db", "ingress[0]"), "app=db <- app=web 5432/TCP");
	assert_string_equal(summary_of(&set, "db", "isolated"), "app=db isolated");
	assert_string_equal(
		summary_of(&set, "admin", "egress[0]"),
		"tier in (a,b),x -> 10.0.0.0/8 except 10.1.0.0/16 or world or all of "
		"namespaces team=a or !app of all namespaces 80-90/UDP,pg/TCP,TCP,53/any");
	assert_string_equal(summary_of(&set, "admin", "ingress[0]"),
			    "tier in (a,b),x <- everybody 1/TCP,2/TCP,3/TCP,4/TCP and 2 more");
	assert_string_equal(summary_of(&set, "other", "ingress[0]"),
			    "a!=1,b not in (1,2),!c <- nodes");
	assert_string_equal(summary_of(&set, "host", ""), "all <- host or probes");
	info = policy_info_by_id(&set, rule_id(&set, "db", "ingress[0]", SST_INGRESS));
	assert_int_equal(info->line, 12);
	assert_int_equal(info->tier, SST_TIER_NETWORK);
	assert_int_equal(info->action, SST_ACTION_ALLOW);
	assert_string_equal(policy_text(&set, info->name_space), "shop");
}

static void test_flags(void **state)
{
	_cleanup_model_ struct model *model = make_model();
	struct model_policy *policy = add_policy(model, SST_TIER_NETWORK, "a", "p", "");
	_cleanup_policy_set_ struct policy_set egress = { 0 }, ingress = { 0 };

	(void)state;
	policy->isolates[SST_EGRESS] = true;
	model->node.policy.answer = true;
	egress = compile(model);
	assert_int_equal(policy_head(&egress)->flags,
			 SST_POLICY_ANSWER | SST_POLICY_REVOKE | SST_POLICY_RULES);
	add_rule(policy, SST_INGRESS, SST_ACTION_ALLOW, NULL, NULL);
	model->node.policy.revoke = false;
	model->node.policy.refused = true;
	ingress = compile(model);
	assert_int_equal(policy_head(&ingress)->flags, SST_POLICY_ANSWER | SST_POLICY_REFUSED |
							       SST_POLICY_RULES |
							       SST_POLICY_INGRESS);
}

static bool is_selected(const struct policy_set *set, const char *name)
{
	return policy_identity(set, find_identity(set, name))->is_selected;
}

static void test_who_is_selected(void **state)
{
	_cleanup_model_ struct model *model = make_shop();
	struct model_policy *admin = add_admin(model, "admin", 1, "app=seen");
	_cleanup_policy_set_ struct policy_set set = { 0 };

	(void)state;
	add_workload(model, "shop", "seen", "app=seen", "", "");
	add_workload(model, "shop", "tried", "app=tried", "", "");
	add_rule(admin, SST_EGRESS, SST_ACTION_ALLOW, NULL, "1");
	admin = add_admin(model, "shadow", 1, "app=tried");
	add_rule(admin, SST_EGRESS, SST_ACTION_DENY, NULL, "1")->shadow = true;
	set = compile(model);
	assert_true(is_selected(&set, "shop/db"));
	assert_true(is_selected(&set, "shop/seen"));
	assert_false(is_selected(&set, "shop/web"));
	assert_false(is_selected(&set, "shop/tried"));
	assert_false(is_selected(&set, "host"));
}

/* A workload with one address of a family tells which networks hold it. */
static void test_networks_of_workloads(void **state)
{
	_cleanup_model_ struct model *model = make_shop();
	_cleanup_policy_set_ struct policy_set set = { 0 }, without = { 0 };
	const struct sst_policy_workload *workload;

	(void)state;
	add_workload(model, "shop", "two", "", "10.1.1.1,10.1.1.2,fd00::1", "");
	add_workload(model, "shop", "wide", "", "10.1.2.0/24", "");
	without = compile(model);
	assert_false(policy_head(&without)->flags & SST_POLICY_INGRESS_NETWORKS);
	add_rule(&model->policies[0], SST_INGRESS, SST_ACTION_ALLOW, "net 10.1.0.7;net fd00::/16",
		 NULL);
	set = compile(model);
	assert_true(policy_head(&set)->flags & SST_POLICY_INGRESS_NETWORKS);
	workload = policy_workload_by_id(&set, workload_id(&set, "db"));
	assert_int_not_equal(workload->network[0], 0);
	assert_int_equal(workload->network[0], locate(&set, "10.1.0.7").network);
	assert_int_equal(workload->network[1], SST_NETWORK_UNKNOWN);
	workload = policy_workload_by_id(&set, workload_id(&set, "two"));
	assert_int_equal(workload->network[0], SST_NETWORK_UNKNOWN);
	assert_int_equal(workload->network[1], locate(&set, "fd00::1").network);
	workload = policy_workload_by_id(&set, workload_id(&set, "wide"));
	assert_int_equal(workload->network[0], SST_NETWORK_UNKNOWN);
}

/* What the compiler makes passes the check of what comes from elsewhere. */
static void test_sets_are_sound(void **state)
{
	_cleanup_model_ struct model *model = make_named();
	struct model_policy *policy = add_policy(model, SST_TIER_NETWORK, "shop", "p", "");
	_cleanup_policy_set_ struct policy_set set = { 0 }, adopted = { 0 };
	size_t size;
	void *copy;

	(void)state;
	add_rule(policy, SST_EGRESS, SST_ACTION_ALLOW, "net 10.0.0.0/8", "http,80")->shadow = true;
	set = compile(model);
	size = (size_t)set.memory.blocks * SST_BLOCK_BYTES;
	copy = malloc(size);
	memcpy(copy, set.memory.base, size);
	assert_int_equal(policy_set_adopt(copy, size, &adopted), 0);
	assert_true(policy_sets_are_equal(&set, &adopted));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_yields_an_empty_set),
		cmocka_unit_test(test_default),
		cmocka_unit_test(test_network_tier),
		cmocka_unit_test(test_policies_add_up),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_admin_comes_first),
		cmocka_unit_test(test_pass_goes_on_with_the_network_tier),
		cmocka_unit_test(test_baseline_comes_last),
		cmocka_unit_test(test_traffic_of_the_host),
		cmocka_unit_test(test_a_policy_in_shadow),
		cmocka_unit_test(test_a_rule_in_shadow),
		cmocka_unit_test(test_a_rule_in_shadow_that_would_allow),
		cmocka_unit_test(test_two_isolations_one_in_shadow),
		cmocka_unit_test(test_admin_rules_in_shadow),
		cmocka_unit_test(test_selectors),
		cmocka_unit_test(test_selectors_of_namespaces),
		cmocka_unit_test(test_subjects_by_namespace),
		cmocka_unit_test(test_reserved_peers),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_all_ports_of_a_protocol),
		cmocka_unit_test(test_named_ports_of_ingress_are_the_subjects),
		cmocka_unit_test(test_named_ports_of_egress_are_the_peers),
		cmocka_unit_test(test_named_ports_in_a_network),
		cmocka_unit_test(test_named_ports_and_clients_by_network),
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_no_network_is_class_0),
		cmocka_unit_test(test_the_longest_prefix_wins),
		cmocka_unit_test(test_a_workload_with_the_hosts_address),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_many_keys),
		cmocka_unit_test(test_cgroups_that_cannot_be),
		cmocka_unit_test(test_a_key_of_two_workloads),
		cmocka_unit_test(test_too_many_rules),
		cmocka_unit_test(test_too_many_intervals),
		cmocka_unit_test(test_too_many_ranges),
		cmocka_unit_test(test_too_many_blocks),
		cmocka_unit_test(test_many_rules),
		cmocka_unit_test(test_the_same_again),
		cmocka_unit_test(test_ids_stay),
		cmocka_unit_test(test_ids_are_not_given_twice),
		cmocka_unit_test(test_ids_that_are_used_up),
		cmocka_unit_test(test_the_last_id_is_taken),
		cmocka_unit_test(test_a_name_like_a_number),
		cmocka_unit_test(test_identities),
		cmocka_unit_test(test_summaries),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_who_is_selected),
		cmocka_unit_test(test_networks_of_workloads),
		cmocka_unit_test(test_sets_are_sound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
