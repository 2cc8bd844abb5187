/* SPDX-License-Identifier: Apache-2.0 */
#include "shop_fixture.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "export/metrics.h"

static const char *const failure_names[] = { "unreachable" };

static const struct metrics_kubernetes kubernetes_values = {
	.synced = true,
	.age_ns = 2500000000,
	.resources = { { "services", { 1, 12, 2, 3, 400 } } },
	.n_resources = 1,
	.failure_names = failure_names,
	.failures = { 5 },
	.n_failures = 1,
	.applied = 70,
	.apply_failed = 6,
	.colliding = 8,
	.sctp = 9,
};

static const struct metrics_daemon daemon_values = {
	.kubernetes = &kubernetes_values,
	.started_ns = FIXTURE_TIME_NS,
	.reloaded_ns = FIXTURE_TIME_NS + 1,
	.reload_succeeded = true,
	.problems = 3,
};

#define BUDGET 10000

/* A reading by a daemon that has just started, in one of both formats. */
static struct text write_state(const struct state *state, uint32_t budget, bool open_metrics,
			       const struct exemplars *exemplars)
{
	struct metrics_series series;
	const struct metrics_view view = { .state = state,
					   .series = &series,
					   .daemon = &daemon_values,
					   .exemplars = exemplars,
					   .open_metrics = open_metrics };
	struct text out = {};

	metrics_series_init(&series, true);
	assert_int_equal(metrics_account(&series, state, budget), 0);
	assert_int_equal(metrics_write(&view, &out), 0);
	metrics_series_release(&series);
	return out;
}

/* With an edge of each kind. */
static struct text write_all(struct fixture *f)
{
	static struct state_edge edges[4];

	edges[0] = (struct state_edge){
		.id = 1,
		.key = { .service = 3, .port = 8080, .protocol = IPPROTO_TCP },
		.total = { .opened = 12,
			   .closed = { [SST_ENDING_ORDERLY] = 5, [SST_ENDING_RESET_BY_SERVER] = 3 },
			   .failed = { [SST_FAILURE_REFUSED] = 2 },
			   .sent_bytes = 1000,
			   .spliced_sent_bytes = 500,
			   .received_bytes = 2000,
			   .spliced_received_bytes = 700,
			   .retransmits = 6 },
		.cgroup = (char *)"/a.slice",
	};
	/* between 4^4 and 4^5, and 4^11 and beyond */
	edges[0].time[SST_TIME_CONNECT].sum = 5000300;
	edges[0].time[SST_TIME_CONNECT].count[sst_bucket(300)] = 1;
	edges[0].time[SST_TIME_CONNECT].count[sst_bucket(5000000)] = 1;
	edges[1] = edges[0];
	edges[1].id = 2;
	edges[1].key.role = SST_ROLE_SERVER;
	edges[2] = (struct state_edge){
		.id = 3,
		.key = { .port = 53, .protocol = IPPROTO_UDP },
		.total = { .udp_sent_datagrams = 4, .udp_sent_bytes = 400 },
	};
	edges[3] = (struct state_edge){
		.id = 4,
		.key = { .service = 3, .port = 8080, .protocol = IPPROTO_TCP, .denied = 1 },
		.total = { .denied = 9 },
	};
	f->state.edges = edges;
	f->state.n_edges = ARRAY_SIZE(edges);
	return write_state(&f->state, BUDGET, false, NULL);
}

static void test_values(void **unused UNUSED)
{
	static const char *const lines[] = {
		"sidestep_build_info{version=\"0.1.0\",abi=\"7\"} 1\n",
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

/* A thread reads the maps while services come and go: of one there may be the value only. */
static void test_nameless(void **unused UNUSED)
{
	struct fixture f;
	_cleanup_text_ struct text out = {};

	fixture_init(&f);
	memset(&f.state.services[0].info, 0, sizeof(f.state.services[0].info));
	out = write_state(&f.state, BUDGET, false, NULL);
	assert_non_null(strstr(out.data, "sidestep_connections_opened_total{service=\"other\""));
	assert_null(strstr(out.data, "service=\"\""));
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

static void test_edges(void **unused UNUSED)
{
	static const char *const lines[] = {
		"\nsidestep_edge_connections_opened_total{source=\"/a.slice\",source_namespace=\"\","
		"destination=\"unknown\",destination_namespace=\"\",service=\"web\",port=\"8080\","
		"protocol=\"TCP\",reporter=\"source\",verdict=\"allowed\"} 12\n",
		"reporter=\"source\",verdict=\"allowed\",ending=\"reset-by-server\"} 3\n",
		"reporter=\"source\",verdict=\"allowed\",reason=\"refused\"} 2\n",
		"reporter=\"source\",verdict=\"allowed\",path=\"spliced\"} 700\n",
		"\nsidestep_edge_connections_active{source=\"/a.slice\",source_namespace=\"\","
		"destination=\"unknown\",destination_namespace=\"\",service=\"web\",port=\"8080\","
		"protocol=\"TCP\",reporter=\"source\",verdict=\"allowed\"} 4\n",
		"service=\"none\",port=\"53\",protocol=\"UDP\",reporter=\"source\","
		"verdict=\"allowed\",path=\"udp\"} 400\n",
		"protocol=\"TCP\",reporter=\"source\",verdict=\"denied\",rule=\"\"} 9\n",
		/* both edges of the service */
		"\nsidestep_connect_seconds_bucket{service=\"web\",port=\"80\",protocol=\"TCP\","
		"family=\"ipv4\",le=\"0.000256\"} 0\n",
		",le=\"0.001024\"} 2\n",
		",le=\"4.194304\"} 2\n",
		",le=\"+Inf\"} 4\n",
		"\nsidestep_connect_seconds_sum{service=\"web\",port=\"80\",protocol=\"TCP\","
		"family=\"ipv4\"} 10.000600\n",
		"\nsidestep_connect_seconds_count{service=\"web\",port=\"80\",protocol=\"TCP\","
		"family=\"ipv4\"} 4\n",
		"\nsidestep_export_series_folded{kind=\"edge\"} 0\n",
		"\nsidestep_export_series_budget 10000\n",
	};
	struct fixture f;

	fixture_init(&f);
	_cleanup_text_ struct text out = write_all(&f);

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_contains(&out, lines[i]);
	/* who did not call cannot have failed to */
	assert_null(strstr(out.data, "reporter=\"destination\",verdict=\"allowed\",reason="));
}

/* As ztunnel counts: attempts open, "sent" is the response. */
static void test_istio_names(void **unused UNUSED)
{
	static const char *const lines[] = {
		"\nistio_tcp_connections_opened_total{reporter=\"source\","
		"source_workload=\"/a.slice\",source_workload_namespace=\"unknown\",",
		"destination_service=\"web\",destination_service_name=\"web\","
		"destination_service_namespace=\"unknown\",destination_workload=\"unknown\",",
		"connection_security_policy=\"unknown\",response_flags=\"CONNECT\"} 2\n",
		"connection_security_policy=\"unknown\",response_flags=\"DENY\"} 9\n",
		"connection_security_policy=\"unknown\",response_flags=\"-\"} 14\n",
		"connection_security_policy=\"unknown\",response_flags=\"-\"} 2700\n",
		"connection_security_policy=\"unknown\",response_flags=\"-\"} 1500\n",
	};
	struct fixture f;

	fixture_init(&f);
	_cleanup_text_ struct text out = write_all(&f);

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_contains(&out, lines[i]);
}

static void test_open_metrics(void **unused UNUSED)
{
	static struct exemplars exemplars;
	struct sst_record record = { .flow = 4711,
				     .time_ns = 1000 * S,
				     .type = SST_RECORD_FAILED,
				     .edge = 1,
				     .ending = SST_FAILURE_REFUSED };
	struct fixture f;

	fixture_init(&f);
	exemplars_add(&exemplars, &record, OFFSET);
	record.type = SST_RECORD_OPEN;
	record.service = 3;
	record.flow = 4712;
	record.connect_us = 300;
	exemplars_add(&exemplars, &record, OFFSET);
	_cleanup_text_ struct text plain = write_all(&f);
	_cleanup_text_ struct text out = write_state(&f.state, BUDGET, true, &exemplars);

	assert_null(strstr(plain.data, "EOF"));
	assert_contains(&out, "# TYPE sidestep_edge_connections_failed counter\n");
	assert_contains(&out, "reason=\"refused\"} 2 # {flow=\"4711\"} 1.000000 1767323045.006\n");
	assert_contains(&out, "le=\"0.001024\"} 2 # {flow=\"4712\"} 0.000300 1767323045.006\n");
	assert_string_equal(out.data + out.length - strlen("\n# EOF\n"), "\n# EOF\n");
}

static void test_without_daemon(void **unused UNUSED)
{
	_cleanup_text_ struct text out = {};
	struct metrics_series series;
	struct fixture f;

	fixture_init(&f);
	metrics_series_init(&series, false);
	const struct metrics_view view = { .state = &f.state, .series = &series };

	assert_int_equal(metrics_account(&series, &f.state, BUDGET), 0);
	assert_int_equal(metrics_write(&view, &out), 0);
	assert_null(strstr(out.data, "sidestep_daemon_"));
	assert_null(strstr(out.data, "sidestep_config_"));
	assert_null(strstr(out.data, "istio_"));
	metrics_series_release(&series);
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

static size_t count_samples(const struct text *out)
{
	size_t n = 0;

	for (const char *line = out->data; line && *line; line = strchr(line, '\n') + 1)
		n += *line != '#';
	return n;
}

#define MANY 10000

static struct state_edge *many_edges(void)
{
	struct state_edge *edges = calloc(MANY, sizeof(*edges));

	assert_non_null(edges);
	for (uint32_t i = 0; i < MANY; i++)
		edges[i] = (struct state_edge){
			.id = i + 1,
			.key = { .service = 3, .port = i + 1, .protocol = IPPROTO_TCP },
			.total = { .opened = 2, .sent_bytes = 10 },
		};
	return edges;
}

static struct state_endpoint *many_endpoints(void)
{
	struct state_endpoint *endpoints = calloc(MANY, sizeof(*endpoints));

	assert_non_null(endpoints);
	for (uint32_t i = 0; i < MANY; i++) {
		endpoints[i].id = i + 1;
		endpoints[i].value.service = 3;
		endpoints[i].value.address.w[3] = i;
		endpoints[i].stats.opened = 3;
	}
	return endpoints;
}

/* Sums a family's samples. Line by line: the sanitizer's strstr() looks at all of a text. */
static uint64_t sum_of(const struct text *out, const char *name)
{
	size_t n = strlen(name);
	uint64_t sum = 0;

	for (const char *line = out->data; *line; line = strchr(line, '\n') + 1) {
		const char *value = line + n;

		if (strncmp(line, name, n) || (*value != '{' && *value != ' '))
			continue;
		while (strncmp(value, "} ", 2) && *value != ' ')
			value++;
		sum += strtoull(value + (*value == '}') + 1, NULL, 10);
	}
	return sum;
}

static void test_budget(void **unused UNUSED)
{
	static const uint32_t budgets[] = { 1, 1000, 10000, 300000 };
	_cleanup_free_ struct state_edge *edges = many_edges();
	_cleanup_free_ struct state_endpoint *endpoints = many_endpoints();
	struct fixture f;

	fixture_init(&f);
	f.state.edges = edges;
	f.state.endpoints = endpoints;
	f.state.n_edges = f.state.n_endpoints = MANY;
	for (size_t i = 0; i < ARRAY_SIZE(budgets); i++) {
		_cleanup_text_ struct text out = write_state(&f.state, budgets[i], false, NULL);
		uint32_t least = METRICS_FIXED;
		size_t samples = count_samples(&out);

		if (budgets[i] < least) /* what is always there, and each kind's `other` */
			assert_true(samples < least + 100);
		else
			assert_in_range(samples, least / 2, budgets[i]);
		assert_int_equal(sum_of(&out, "sidestep_export_series"), samples);
		assert_int_equal(sum_of(&out, "sidestep_edge_connections_opened_total"), 2 * MANY);
		assert_int_equal(sum_of(&out, "sidestep_endpoint_connections_opened_total"),
				 3 * MANY);
	}
}

static void test_restart(void **unused UNUSED)
{
	_cleanup_free_ struct state_edge *edges = many_edges();
	struct metrics_series first, second;
	_cleanup_free_ char *saved = NULL;
	struct fixture f;

	fixture_init(&f);
	f.state.edges = edges;
	f.state.n_edges = MANY;
	metrics_series_init(&first, false);
	assert_int_equal(metrics_account(&first, &f.state, 1000), 0);
	saved = metrics_series_save(&first, &f.state.meta);
	assert_non_null(saved);
	assert_null(metrics_series_save(&first, &f.state.meta)); /* nothing has changed */
	metrics_series_release(&first);

	metrics_series_init(&second, false);
	assert_int_equal(metrics_series_load(&second, &f.state.meta, saved, strlen(saved)), 0);
	assert_int_equal(metrics_account(&second, &f.state, 1000), 0);
	assert_null(metrics_series_save(&second, &f.state.meta));
	metrics_series_release(&second);

	/* of another load of the data plane; cut off */
	assert_int_equal(metrics_series_load(&second, &f.state.meta, saved, strlen(saved) - 9),
			 -EINVAL);
	f.state.meta.loaded_ns++;
	assert_int_equal(metrics_series_load(&second, &f.state.meta, saved, strlen(saved)),
			 -ESTALE);
	metrics_series_release(&second);
}

/* Two samples of one series make the reader refuse the whole file. */
static void test_series_are_unique(void **unused UNUSED)
{
	_cleanup_policy_set_ struct policy_set set = shop_set(SHOP, NULL);
	static const char *lines[8192];
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
	_cleanup_text_ struct text istio = documented("| `istio_");
	text_add_bytes(&table, istio.data, istio.length);
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
		if (strncmp(line, "| `sidestep_", strlen("| `sidestep_")) &&
		    strncmp(line, "| `istio_", strlen("| `istio_")))
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
		cmocka_unit_test(test_nameless),
		cmocka_unit_test(test_without_policy),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_istio_names),
		cmocka_unit_test(test_open_metrics),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_without_daemon),
		cmocka_unit_test(test_escaping),
		cmocka_unit_test(test_series_are_unique),
		cmocka_unit_test(test_families_are_documented),
		cmocka_unit_test(test_reasons_are_documented),
		cmocka_unit_test(test_promtool),
	};

	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
