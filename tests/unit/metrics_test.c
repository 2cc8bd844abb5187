/* SPDX-License-Identifier: Apache-2.0 */
#include "shop_fixture.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "export/metrics.h"

static const struct metrics_daemon daemon_values = {
	.started_ns = FIXTURE_TIME_NS,
	.reloaded_ns = FIXTURE_TIME_NS + 1,
	.reload_succeeded = true,
	.problems = 3,
};

static struct text write_all(struct fixture *f)
{
	struct text out = {};

	assert_int_equal(metrics_write(&f->state, &daemon_values, &out), 0);
	return out;
}

static void test_values(void **unused UNUSED)
{
	static const char *const lines[] = {
		"sidestep_build_info{version=\"0.1.0\",abi=\"5\"} 1\n",
		"sidestep_loaded_timestamp_seconds 1767323045.006000000\n",
		"sidestep_generation 7\n",
		"sidestep_feature_enabled{feature=\"services\"} 1\n",
		"sidestep_feature_enabled{feature=\"splice-auto\"} 0\n",
		"sidestep_map_entries{map=\"pairs\"} 512\n",
		"sidestep_map_capacity{map=\"pairs\"} 65536\n",
		"sidestep_pair_total{reason=\"clash\"} 11\n",
		"sidestep_pair_total{reason=\"full\"} 0\n",
		"\nsidestep_connections_opened_total{service=\"web\",port=\"80\",protocol=\"TCP\","
		"family=\"ipv4\"} 10\n",
		"\nsidestep_connections_active{service=\"web\",port=\"80\",protocol=\"TCP\","
		"family=\"ipv4\"} 3\n",
		"\nsidestep_sent_bytes_total{service=\"web\",port=\"80\",protocol=\"TCP\","
		"family=\"ipv4\",path=\"tcp\"} 1000\n",
		"\nsidestep_sent_bytes_total{service=\"web\",port=\"80\",protocol=\"TCP\","
		"family=\"ipv4\",path=\"spliced\"} 1099511627776\n",
		"\nsidestep_udp_datagrams_total{service=\"dns\",port=\"53\",protocol=\"UDP\","
		"family=\"ipv6\"} 9\n",
		"\nsidestep_connections_opened_total{service=\"none\",port=\"\",protocol=\"\","
		"family=\"\"} 4\n",
		"\nsidestep_endpoint_connections_closed_total{service=\"web\",port=\"80\","
		"protocol=\"TCP\",family=\"ipv4\",endpoint=\"10.1.0.2:8080\"} 7\n",
		"endpoint=\"[fd00::2]:5353\",state=\"draining\"} 1\n",
		"endpoint=\"[fd00::2]:5353\",state=\"ready\"} 0\n",
		"endpoint=\"10.1.0.3:8080\",state=\"removed\"} 1\n",
		"\nsidestep_endpoint_weight{service=\"web\",port=\"80\",protocol=\"TCP\","
		"family=\"ipv4\",endpoint=\"10.1.0.2:8080\"} 3\n",
		"\nsidestep_daemon_started_timestamp_seconds 1767323045.006000000\n",
		"\nsidestep_config_last_reload_timestamp_seconds 1767323045.006000001\n",
		"\nsidestep_config_last_reload_successful 1\n",
		"\nsidestep_config_problems 3\n",
	};
	struct fixture f;

	fixture_init(&f);
	_cleanup_text_ struct text out = write_all(&f);

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_contains(&out, lines[i]);
}

static const char *const rule_lines[] = {
	"\nsidestep_policy_identities 4\n",
	"\nsidestep_policy_workloads 4\n",
	"\nsidestep_policy_rules 7\n",
	"\nsidestep_policy_rules_unlisted 0\n",
	"\nsidestep_policy_rule_decisions_total{tier=\"network\",namespace=\"shop\","
	"policy=\"db-ingress\",rule=\"from-web\",direction=\"ingress\",action=\"allow\"} 11\n",
	"\nsidestep_policy_rule_decisions_total{tier=\"network\",namespace=\"shop\","
	"policy=\"db-ingress\",rule=\"isolated\",direction=\"ingress\",action=\"deny\"} 0\n",
	"\nsidestep_policy_rule_would_deny_total{tier=\"admin\",namespace=\"\","
	"policy=\"guard\",rule=\"no-world\",direction=\"ingress\",action=\"deny\"} 13\n",
	"\nsidestep_policy_rule_shadow_total{tier=\"admin\",namespace=\"\","
	"policy=\"guard\",rule=\"no-world\",direction=\"ingress\",action=\"deny\"} 17\n",
};

/* The id of a rule by its name. */
static uint32_t rule_id(const struct policy_set *set, const char *name)
{
	for (uint32_t i = 0; i < policy_head(set)->n_infos; i++)
		if (!strcmp(policy_text(set, policy_info(set, i)->rule), name))
			return policy_info(set, i)->id;
	fail_msg("no rule %s", name);
	return 0;
}

static int compare_rules(const void *a, const void *b)
{
	const struct state_rule *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static void test_rules(void **unused UNUSED)
{
	_cleanup_policy_set_ struct policy_set set = shop_set(SHOP, NULL);
	struct state_rule rules[] = {
		{ rule_id(&set, "from-web"), { .decided = 11 } },
		{ rule_id(&set, "no-world"), { .shadow = 17, .would_deny = 13 } },
	};
	struct fixture f;

	qsort(rules, ARRAY_SIZE(rules), sizeof(*rules), compare_rules);
	fixture_init(&f);
	f.state.policy = set;
	f.state.rules = rules;
	f.state.n_rules = ARRAY_SIZE(rules);
	_cleanup_text_ struct text out = write_all(&f);

	for (size_t i = 0; i < ARRAY_SIZE(rule_lines); i++)
		assert_contains(&out, rule_lines[i]);
}

/* Nothing is enforced: there is no set. */
static void test_without_policy(void **unused UNUSED)
{
	struct fixture f;

	fixture_init(&f);
	_cleanup_text_ struct text out = write_all(&f);

	assert_contains(&out, "\nsidestep_policy_identities 0\n");
	assert_contains(&out, "\nsidestep_policy_workloads 0\n");
	assert_contains(&out, "\nsidestep_policy_rules 0\n");
	assert_null(strstr(out.data, "\nsidestep_policy_rule_decisions_total{"));
}

static void test_rules_are_bounded(void **unused UNUSED)
{
	for (int more = 0; more <= 1; more++) {
		_cleanup_text_ struct text yaml = {}, out = {};
		_cleanup_policy_set_ struct policy_set set = {};
		struct state state = {};

		/* with the default of both directions, and the host's */
		text_add(&yaml, "policies:\n"
				"  - { name: p, tier: baseline, subject: {a: b}, ingress: [\n");
		for (int i = 0; i < METRICS_RULES_MAX - 3 + more; i++)
			text_add(&yaml, "    { ports: [%d], action: deny },\n", i + 1);
		text_add(&yaml, "  ] }\n");
		set = shop_set(text_string(&yaml), NULL);
		state.policy = set;
		assert_int_equal(metrics_write(&state, NULL, &out), 0);
		assert_int_equal(!!strstr(out.data, "\nsidestep_policy_rule_decisions_total{"),
				 !more);
		assert_contains(&out, more ? "\nsidestep_policy_rules_unlisted 1001\n"
					   : "\nsidestep_policy_rules_unlisted 0\n");
	}
}

static void test_without_daemon(void **unused UNUSED)
{
	_cleanup_text_ struct text out = {};
	struct fixture f;

	fixture_init(&f);
	assert_int_equal(metrics_write(&f.state, NULL, &out), 0);
	assert_null(strstr(out.data, "sidestep_daemon_"));
	assert_null(strstr(out.data, "sidestep_config_"));
}

static void test_escaping(void **unused UNUSED)
{
	struct fixture f;

	fixture_init(&f);
	strcpy(f.services[0].info.name, "a\\b\"c\nd");
	_cleanup_text_ struct text out = write_all(&f);

	assert_contains(&out, "sidestep_connections_active{service=\"a\\\\b\\\"c\\nd\",port=");
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Two samples of one series make the reader refuse the whole file. */
/* 100,000 endpoints would make a file of 200 MB. */
static void test_endpoints_are_bounded(void **unused UNUSED)
{
	_cleanup_free_ struct state_endpoint *endpoints =
		calloc(METRICS_ENDPOINTS_MAX + 1, sizeof(*endpoints));
	struct state_service service = { .id = 1, .info = { .name = "web" } };
	struct state state = { .services = &service, .n_services = 1, .endpoints = endpoints };

	assert_non_null(endpoints);
	for (uint32_t i = 0; i <= METRICS_ENDPOINTS_MAX; i++) {
		endpoints[i].id = i + 1;
		endpoints[i].value.service = 1;
		endpoints[i].value.address.w[3] = i;
	}
	for (int more = 0; more <= 1; more++) {
		_cleanup_text_ struct text out = {};

		state.n_endpoints = METRICS_ENDPOINTS_MAX + more;
		assert_int_equal(metrics_write(&state, NULL, &out), 0);
		assert_int_equal(!!strstr(out.data, "\nsidestep_endpoint_weight{"), !more);
		assert_non_null(strstr(out.data, more ? "\nsidestep_endpoints_unlisted 1001\n"
						      : "\nsidestep_endpoints_unlisted 0\n"));
	}
}

static void test_series_are_unique(void **unused UNUSED)
{
	_cleanup_policy_set_ struct policy_set set = shop_set(SHOP, NULL);
	const char *lines[4096];
	struct fixture f;
	size_t n = 0;

	fixture_init(&f);
	f.state.policy = set;
	/* one name on two ports: the first one's last flows still run */
	f.services[1].info = f.services[0].info;
	f.services[1].info.port = htons(81);
	_cleanup_text_ struct text out = write_all(&f);

	for (char *line = strtok(out.data, "\n"); line; line = strtok(NULL, "\n")) {
		assert_true(n < ARRAY_SIZE(lines));
		if (*line != '#')
			*strrchr(line, ' ') = '\0';
		lines[n++] = line;
	}
	qsort(lines, n, sizeof(*lines), compare_lines);
	for (size_t i = 1; i < n; i++)
		assert_string_not_equal(lines[i - 1], lines[i]);
}

/* ---- the output and docs/metrics.md ------------------------------------------- */

static FILE *open_documentation(void)
{
	const char *root = getenv("SIDESTEP_ROOT");
	_cleanup_free_ char *path = NULL;
	FILE *file;

	assert_true(asprintf(&path, "%s/docs/metrics.md", root ? root : ".") > 0);
	file = fopen(path, "r");
	if (!file)
		fail_msg("cannot open %s: run from the repository's root, or set SIDESTEP_ROOT",
			 path);
	return file;
}

/* The lines of the documentation that begin so. */
static struct text documented(const char *prefix)
{
	_cleanup_fclose_ FILE *file = open_documentation();
	_cleanup_free_ char *line = NULL;
	struct text out = {};
	size_t size = 0;
	ssize_t n;

	while ((n = getline(&line, &size, file)) > 0)
		if (!strncmp(line, prefix, strlen(prefix)))
			text_add_bytes(&out, line, n);
	return out;
}

/* Appends "`service`, `port`" for "{service="web",port="80"} 1"; "" without labels. */
static void add_label_names(struct text *row, const char *sample)
{
	const char *p = strchr(sample, '{');
	const char *end = strchr(sample, '\n');

	if (!p || p > end)
		return;
	for (char before = ' '; *p != '}'; before = ',', p = strchr(p + 1, '"') + 1) {
		const char *name = p + 1;

		text_add(row, "%s`%.*s`", before == ',' ? ", " : " ",
			 (int)(strchr(name, '=') - name), name);
		p = strchr(name, '"');
	}
}

/* The row of the documentation up to its meaning, made of a TYPE line and a sample. */
static void add_expected_row(struct text *rows, const char *type_line)
{
	char name[128], type[16];

	assert_int_equal(sscanf(type_line, "# TYPE %127s %15s", name, type), 2);
	text_add(rows, "| `%s` | %s |", name, type);
	add_label_names(rows, strchr(type_line, '\n') + 1);
	text_add(rows, " |\n");
}

static struct text expected_rows(const struct text *metrics)
{
	struct text rows = {};

	for (const char *p = metrics->data; (p = strstr(p, "# TYPE ")); p++)
		add_expected_row(&rows, p);
	return rows;
}

/* Cuts the meaning off: keeps what stands before the fourth bar of each line. */
static struct text without_meaning(const struct text *table)
{
	struct text out = {};
	unsigned bars = 0;

	for (const char *p = table->data; p && *p; p++) {
		bars = *p == '\n' ? 0 : bars + (*p == '|');
		if (bars < 4 || *p == '\n')
			text_add_bytes(&out, p, 1);
		else if (bars == 4 && *p == '|')
			text_add_bytes(&out, "|", 1);
	}
	return out;
}

/* Every line of one is a line of the other. */
static void assert_lines_within(const struct text *lines, const struct text *in, const char *where)
{
	_cleanup_free_ char *copy = strdup(text_string(lines));

	for (char *line = strtok(copy, "\n"); line; line = strtok(NULL, "\n")) {
		const char *found = strstr(text_string(in), line);

		if (!found || found[strlen(line)] != '\n')
			fail_msg("missing in %s: %s", where, line);
	}
}

static void test_families_are_documented(void **unused UNUSED)
{
	_cleanup_policy_set_ struct policy_set set = shop_set(SHOP, NULL);
	struct fixture f;

	fixture_init(&f);
	f.state.policy = set;
	_cleanup_text_ struct text metrics = write_all(&f);
	_cleanup_text_ struct text rows = expected_rows(&metrics);
	_cleanup_text_ struct text table = documented("| `sidestep_");
	_cleanup_text_ struct text documented_rows = without_meaning(&table);

	assert_true(rows.length > 0);
	assert_lines_within(&rows, &documented_rows, "docs/metrics.md");
	assert_lines_within(&documented_rows, &rows, "the output");
}

/* The rows of the table of reasons; the other table's begin with a metric's name. */
static struct text documented_reasons(void)
{
	_cleanup_text_ struct text rows = documented("| `");
	struct text out = {};

	for (char *line = strtok(rows.data, "\n"); line; line = strtok(NULL, "\n"))
		if (strncmp(line, "| `sidestep_", strlen("| `sidestep_")))
			text_add(&out, "%s\n", line);
	return out;
}

static void test_reasons_are_documented(void **unused UNUSED)
{
	_cleanup_text_ struct text found = documented_reasons();
	_cleanup_text_ struct text expected = {};

#define X(symbol, group, name, help) \
	text_add(&expected, "| `%s` | `%s` | %s |\n", #group, name, help);
	SST_COUNTERS(X)
#undef X
	assert_lines_within(&expected, &found, "docs/metrics.md");
	assert_lines_within(&found, &expected, "include/sidestep/abi.h");
}

/* The linter of the format's makers, where it is installed. */
static void test_promtool(void **unused UNUSED)
{
	_cleanup_policy_set_ struct policy_set set = shop_set(SHOP, NULL);
	struct fixture f;
	FILE *promtool;

	if (system("command -v promtool >/dev/null"))
		skip();
	fixture_init(&f);
	f.state.policy = set;
	_cleanup_text_ struct text metrics = write_all(&f);

	promtool = popen("promtool check metrics 2>&1", "w");
	assert_non_null(promtool);
	fwrite(metrics.data, 1, metrics.length, promtool);
	assert_int_equal(pclose(promtool), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_without_policy),
		cmocka_unit_test(test_rules_are_bounded),
		cmocka_unit_test(test_without_daemon),
		cmocka_unit_test(test_escaping),
		cmocka_unit_test(test_endpoints_are_bounded),
		cmocka_unit_test(test_series_are_unique),
		cmocka_unit_test(test_families_are_documented),
		cmocka_unit_test(test_reasons_are_documented),
		cmocka_unit_test(test_promtool),
	};

	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
