/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The truth tables of policy: random clusters and questions, answered by the compiled set,
 * by the literal evaluator and, for NetworkPolicies, by cyclonus. They must not differ.
 *
 * ORACLE_SEED=N asks other questions. A failing case is made small and printed as a file
 * that Sidestep reads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/cleanup.h"
#include "core/text.h"
#include "oracle/compiled.h"
#include "oracle/cyclonus.h"
#include "oracle/literal.h"
#include "oracle/native.h"
#include "oracle/shrink.h"
#include "source/yaml.h"

#define UNUSED __attribute__((unused))

enum {
	CLUSTERS = 500, /* of each kind */
	QUERIES = 100,  /* about each */
};

static uint64_t seed_of_run(void)
{
	const char *seed = getenv("ORACLE_SEED");

	return seed ? strtoull(seed, NULL, 10) : 1;
}

/* ---- compiling ------------------------------------------------------------------ */

/* False: it was refused, `why` says for what. */
static bool compile(const struct model *model, const struct policy_host *host,
		    struct policy_set *ret, struct text *why)
{
	struct policy_set none = { 0 };
	struct policy_ids ids = { SST_IDENTITY_FIRST, 1, 1 };
	_cleanup_problems_ struct problems problems = { 0 };
	int r = policy_compile(model, host, &none, &ids, &problems, ret);

	if (r)
		text_add(why, "refused (%s): %s\n", strerror(-r),
			 problems.count ? problems.text[0] : "without a word");
	return !r;
}

/* ---- what fails ----------------------------------------------------------------- */

/* Against the literal evaluator. */
static bool differs_from_literal(const struct cluster *cluster, const struct query *query,
				 void *why)
{
	_cleanup_policy_set_ struct policy_set set = { 0 };

	((struct text *)why)->length = 0;
	return !compile(&cluster->model, &cluster->host, &set, why) ||
	       !compiled_agrees(&set, cluster, query, why);
}

struct judged {
	struct cyclonus cyclonus;
	struct text why;
};

/* Against cyclonus; what it cannot judge does not differ. */
static bool differs_from_cyclonus(const struct cluster *cluster, const struct query *query,
				  void *arg)
{
	_cleanup_policy_set_ struct policy_set set = { 0 };
	struct judged *judged = arg;
	bool denied;

	judged->why.length = 0;
	if (!cyclonus_can(cluster))
		return false;
	if (!compile(&cluster->model, &cluster->host, &set, &judged->why))
		return true;
	assert_int_equal(cyclonus_judge(&judged->cyclonus, cluster, query, 1, &denied), 0);
	if (denied == (bool)compiled_decide(&set, cluster, query).denied)
		return false;
	text_add(&judged->why, "compiled: %s\ncyclonus: %s\n", denied ? "allowed" : "denied",
		 denied ? "denied" : "allowed");
	return true;
}

/* Prints the smallest case that still fails. By stdio: cmocka cuts long texts. Returns false, for
 * the test to fail when all is released. */
static bool report(struct cluster *cluster, struct query query, uint64_t number, shrink_fails fails,
		   void *arg, struct text *why)
{
	_cleanup_text_ struct text out = { 0 };

	fprintf(stderr, "ORACLE_SEED=%llu, cluster %llu: making it small\n%s",
		(unsigned long long)seed_of_run(), (unsigned long long)number, text_string(why));
	shrink(cluster, &query, fails, arg);
	fails(cluster, &query, arg);
	native_print(cluster, &out);
	text_add(&out, "# ");
	native_print_query(cluster, &query, &out);
	text_add(&out, "\n%s", text_string(why));
	fputs(text_string(&out), stderr);
	return false;
}

/* ---- the literal evaluator ------------------------------------------------------- */

/* Of all answers, how many were what: a table that nearly only allows proves little. */
struct tally {
	unsigned answers;
	unsigned denied;
	unsigned shadow; /* would be different */
	unsigned tiers[SST_TIER_SELF + 1];
};

static void count(struct tally *tally, const struct cluster *cluster, const struct query *query)
{
	struct literal_answer answer = literal_decide(cluster, query);

	tally->answers++;
	tally->denied += answer.denied;
	tally->shadow += answer.denied != answer.shadow_denied;
	tally->tiers[answer.tier]++;
}

static void check_tally(const struct tally *tally, bool tiers)
{
	print_message("# %u answers, %u denied, %u other with shadow; by tier: admin %u, host %u, "
		      "network %u, baseline %u, default %u\n",
		      tally->answers, tally->denied, tally->shadow, tally->tiers[SST_TIER_ADMIN],
		      tally->tiers[SST_TIER_HOST], tally->tiers[SST_TIER_NETWORK],
		      tally->tiers[SST_TIER_BASELINE], tally->tiers[SST_TIER_DEFAULT]);
	assert_in_range(tally->denied * 100 / tally->answers, 35, 65);
	if (!tiers)
		return;
	assert_true(tally->shadow * 100 / tally->answers >= 3);
	for (int i = SST_TIER_ADMIN; i <= SST_TIER_DEFAULT; i++)
		assert_true(tally->tiers[i] * 100 / tally->answers >= 1);
}

static bool ask_literal(const struct cluster_wish *wish, uint64_t number, struct tally *tally)
{
	struct dice dice = dice_of(seed_of_run(), number);
	_cleanup_policy_set_ struct policy_set set = { 0 };
	_cleanup_cluster_ struct cluster cluster = { 0 };
	_cleanup_text_ struct text why = { 0 };
	bool compiled;

	cluster_make(wish, &dice, &cluster);
	compiled = compile(&cluster.model, &cluster.host, &set, &why);
	for (int i = 0; i < QUERIES; i++) {
		struct query query;

		query_make(wish, &cluster, &dice, &query);
		if (!compiled || !compiled_agrees(&set, &cluster, &query, &why))
			return report(&cluster, query, number, differs_from_literal, &why, &why);
		count(tally, &cluster, &query);
	}
	return true;
}

static void test_compiled_is_literal(void **unused UNUSED)
{
	const struct cluster_wish wish = { .tiers = true };
	struct tally tally = { 0 };

	for (uint64_t i = 0; i < CLUSTERS; i++)
		assert_true(ask_literal(&wish, i, &tally));
	check_tally(&tally, true);
}

/* Rows of more than one block. */
static void test_many_rules(void **unused UNUSED)
{
	const struct cluster_wish wish = { .tiers = true, .n_policies = 6000 };
	struct tally tally = { 0 };

	for (uint64_t i = 0; i < 5; i++)
		assert_true(ask_literal(&wish, CLUSTERS + i, &tally));
	check_tally(&tally, false);
}

/* ---- the printed file ------------------------------------------------------------ */

/* What native_print() writes is the cluster, so that a failing case can be pasted. */
static bool ask_printed(const struct cluster_wish *wish, uint64_t number)
{
	struct dice dice = dice_of(seed_of_run(), number);
	_cleanup_problems_ struct problems problems = { 0 };
	_cleanup_policy_set_ struct policy_set set = { 0 };
	_cleanup_cluster_ struct cluster cluster = { 0 };
	_cleanup_text_ struct text file = { 0 }, why = { 0 };
	_cleanup_model_ struct model *model = NULL;

	cluster_make(wish, &dice, &cluster);
	native_print(&cluster, &file);
	if (yaml_load_text("printed", file.data, file.length, NULL, &problems, &model)) {
		fprintf(stderr, "%s%s\n", file.data, problems.text[0]);
		return false;
	}
	assert_true(compile(model, &cluster.host, &set, &why));
	for (int i = 0; i < QUERIES; i++) {
		struct query query;

		query_make(wish, &cluster, &dice, &query);
		if (!compiled_agrees(&set, &cluster, &query, &why)) {
			fprintf(stderr, "%s%s", file.data, why.data);
			return false;
		}
	}
	return true;
}

static void test_printed_is_cluster(void **unused UNUSED)
{
	const struct cluster_wish wish = { .tiers = true };

	for (uint64_t i = 0; i < 50; i++)
		assert_true(ask_printed(&wish, i));
}

/* ---- cyclonus ------------------------------------------------------------------- */

/* Beside this program's folder: the Makefile builds it where it can. */
static int start_helper(struct cyclonus *ret)
{
	char path[4096], program[4200], *slash = NULL;
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

	assert_true(length > 0);
	path[length] = '\0';
	slash = strrchr(path, '/');
	*slash = '\0';
	snprintf(program, sizeof(program), "%s/../oracle/cyclonus", path);
	return cyclonus_start(program, ret);
}

static bool ask_cyclonus(const struct cluster_wish *wish, uint64_t number, struct judged *judged,
			 struct tally *tally)
{
	struct dice dice = dice_of(seed_of_run(), number);
	_cleanup_policy_set_ struct policy_set set = { 0 };
	_cleanup_cluster_ struct cluster cluster = { 0 };
	struct query queries[QUERIES];
	bool denied[QUERIES], compiled;

	cluster_make(wish, &dice, &cluster);
	assert_true(cyclonus_can(&cluster));
	for (int i = 0; i < QUERIES; i++)
		query_make(wish, &cluster, &dice, &queries[i]);
	assert_int_equal(cyclonus_judge(&judged->cyclonus, &cluster, queries, QUERIES, denied), 0);
	compiled = compile(&cluster.model, &cluster.host, &set, &judged->why);
	for (int i = 0; i < QUERIES; i++) {
		if (!compiled || denied[i] != compiled_decide(&set, &cluster, &queries[i]).denied)
			return report(&cluster, queries[i], number, differs_from_cyclonus, judged,
				      &judged->why);
		if (!compiled_agrees(&set, &cluster, &queries[i], &judged->why))
			return report(&cluster, queries[i], number, differs_from_literal,
				      &judged->why, &judged->why);
		count(tally, &cluster, &queries[i]);
	}
	return true;
}

static void test_compiled_is_cyclonus(void **unused UNUSED)
{
	const struct cluster_wish wish = { .tiers = false };
	struct judged judged = { 0 };
	struct tally tally = { 0 };
	int r = start_helper(&judged.cyclonus);
	bool agreed = true;

	if (r == -ENOENT) {
		print_message("# no cyclonus: build/tests/oracle/cyclonus.log says why\n");
		skip();
	}
	assert_int_equal(r, 0);
	for (uint64_t i = 0; agreed && i < CLUSTERS; i++)
		agreed = ask_cyclonus(&wish, i, &judged, &tally);
	cyclonus_stop(&judged.cyclonus);
	text_release(&judged.why);
	assert_true(agreed);
	check_tally(&tally, false);
}

/* ---- shrinking ------------------------------------------------------------------ */

/* As if something were wrong with a named port that an admin's rule with exceptions denies. */
static bool is_denied_by_name(const struct cluster *cluster, const struct query *query,
			      void *unused UNUSED)
{
	struct literal_answer answer = literal_decide(cluster, query);

	if (answer.tier != SST_TIER_ADMIN || !answer.denied || answer.rule->any_peer)
		return false;
	for (size_t i = 0; i < answer.rule->n_ports; i++)
		if (answer.rule->ports[i].name)
			return answer.rule->n_ports == 1;
	return false;
}

static bool find_denied_by_name(struct cluster *cluster, struct query *query)
{
	const struct cluster_wish wish = { .tiers = true };

	for (uint64_t number = 0; number < CLUSTERS; number++) {
		struct dice dice = dice_of(1, number);

		cluster_release(cluster);
		cluster_make(&wish, &dice, cluster);
		for (int i = 0; i < QUERIES; i++) {
			query_make(&wish, cluster, &dice, query);
			if (is_denied_by_name(cluster, query, NULL))
				return true;
		}
	}
	return false;
}

/* One policy, one rule, one peer, one port and those two whom it is about are left. */
static void test_shrinks(void **unused UNUSED)
{
	_cleanup_cluster_ struct cluster cluster = { 0 };
	const struct model *model = &cluster.model;
	struct query query;

	assert_true(find_denied_by_name(&cluster, &query));
	shrink(&cluster, &query, is_denied_by_name, NULL);
	assert_true(is_denied_by_name(&cluster, &query, NULL));
	assert_int_equal(model->n_policies, 1);
	assert_int_equal(model->policies[0].n_rules, 1);
	assert_int_equal(model->policies[0].rules[0].n_peers, 1);
	assert_int_equal(model->policies[0].rules[0].n_ports, 1);
	assert_int_equal(model->policies[0].subject.n, 0);
	assert_in_range(model->n_workloads, 1, 2);
	for (size_t i = 0; i < model->n_workloads; i++)
		assert_in_range(model->workloads[i].n_ports + model->workloads[i].labels.n, 0, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compiled_is_literal),
		cmocka_unit_test(test_many_rules),
		cmocka_unit_test(test_printed_is_cluster),
		cmocka_unit_test(test_compiled_is_cyclonus),
		cmocka_unit_test(test_shrinks),
	};

	return cmocka_run_group_tests_name("policy_oracle", tests, NULL, NULL);
}
