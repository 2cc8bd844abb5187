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
	add_rule(policy, SST_INGRESS, SST_ACTION_ALLOW, "net ::/0", "2")->name = strdup("v6");
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
