/* SPDX-License-Identifier: Apache-2.0 */
/* From what the self-test found to features, remedies, what is kept, and what is shown. */
#include "export_fixture.h"

#include "export/diagnosis.h"
#include "export/json.h"
#include "model/checks.h"
#include "model/remedy.h"

#define KEY "6.12.117 boot 1 version 0.1.0 ABI 1"

static struct checks all_passed(void)
{
	struct checks checks = {};

	for (int i = 0; i < CHECK_MAX; i++)
		check_pass(&checks, i);
	return checks;
}

/* As it is where FIONREAD is wrong and nobody watches splice(2). */
static struct checks miscounted(void)
{
	struct checks checks = all_passed();

	checks.result[CHECK_READER_SEEN] = (struct check_result){};
	checks.result[CHECK_READER_DECLINED] = (struct check_result){};
	check_skip(&checks, CHECK_READER_SEEN, "no fentry");
	check_skip(&checks, CHECK_READER_DECLINED, "no fentry");
	check_fail(&checks, CHECK_FIONREAD_BOTH, "FIONREAD says 3000 of 5000");
	return checks;
}

static struct checks with_failure(enum check check, const char *reason)
{
	struct checks checks = all_passed();

	check_fail(&checks, check, "%s", reason);
	return checks;
}

/* ---- the table ----------------------------------------------------------------- */

/* A check needs one that is tried before it; every feature has one. */
static void test_table(void **unused UNUSED)
{
	bool has[SST_FEATURE_MAX] = {};

	for (int i = 0; i < CHECK_MAX; i++) {
		assert_true(check_infos[i].needs == CHECK_NOTHING ||
			    check_infos[i].needs < (enum check)i);
		assert_null(strstr(check_infos[i].name, ": "));
		has[check_infos[i].feature] = true;
	}
	for (int i = 0; i < SST_FEATURE_MAX; i++)
		assert_true(has[i]);
}

/* ---- results --------------------------------------------------------------------- */

static void test_first_failure_stays(void **unused UNUSED)
{
	struct checks checks = {};

	check_fail(&checks, CHECK_ORDER, "first");
	check_fail(&checks, CHECK_ORDER, "second");
	check_pass(&checks, CHECK_ORDER);
	assert_false(check_passed(&checks, CHECK_ORDER));
	assert_string_equal(checks.result[CHECK_ORDER].reason, "first");
}

static void test_explained(void **unused UNUSED)
{
	struct checks checks = {};

	check_pass(&checks, CHECK_CONNECT4);
	check_pass(&checks, CHECK_SOCKOPS);
	check_fail(&checks, CHECK_ADOPT, "refused");
	checks_explain(&checks, "the test process died");
	assert_string_equal(checks.result[CHECK_REDIRECT].reason, "it needs adopt, which failed");
	assert_string_equal(checks.result[CHECK_ORDER].reason,
			    "it needs redirect, which was not tried");
	assert_string_equal(checks.result[CHECK_SENDMSG4].reason, "the test process died");
	assert_string_equal(checks.result[CHECK_CONNECT4].reason, "");
	assert_string_equal(checks.result[CHECK_ADOPT].reason, "refused");
}

/* ---- features ----------------------------------------------------------------------- */

static void test_all_well(void **unused UNUSED)
{
	struct feature_verdict features[SST_FEATURE_MAX];
	struct checks checks = all_passed();

	checks_judge(&checks, true, features);
	for (int i = 0; i < SST_FEATURE_MAX; i++) {
		assert_int_equal(features[i].state, FEATURE_OK);
		assert_string_equal(features[i].reason, "");
	}
}

static void test_auto_rests_on_others(void **unused UNUSED)
{
	struct feature_verdict features[SST_FEATURE_MAX];
	struct checks checks = miscounted();

	checks_judge(&checks, true, features);
	assert_int_equal(features[SST_FEATURE_SPLICE].state, FEATURE_OK);
	assert_int_equal(features[SST_FEATURE_SPLICE_READERS].state, FEATURE_OFF);
	assert_string_equal(features[SST_FEATURE_SPLICE_READERS].reason, "no fentry");
	/* its own reason is told before another feature's */
	assert_int_equal(features[SST_FEATURE_SPLICE_AUTO].check, CHECK_FIONREAD_BOTH);

	checks.result[CHECK_FIONREAD_BOTH].verdict = VERDICT_PASSED;
	checks_judge(&checks, true, features);
	assert_int_equal(features[SST_FEATURE_SPLICE_AUTO].state, FEATURE_OFF);
	assert_int_equal(features[SST_FEATURE_SPLICE_AUTO].check, CHECK_NOTHING);
	assert_int_equal(features[SST_FEATURE_SPLICE_AUTO].rests_on, SST_FEATURE_SPLICE_READERS);

	checks = with_failure(CHECK_ORDER, "bytes arrived out of order");
	checks_judge(&checks, true, features);
	assert_int_equal(features[SST_FEATURE_SPLICE].state, FEATURE_OFF);
	assert_int_equal(features[SST_FEATURE_SPLICE_AUTO].rests_on, SST_FEATURE_SPLICE);
	assert_int_equal(features[SST_FEATURE_SERVICES].state, FEATURE_OK);
}

/* What only doctor tries does not switch a load's feature off. */
static void test_degraded(void **unused UNUSED)
{
	struct feature_verdict features[SST_FEATURE_MAX];
	struct checks checks = with_failure(CHECK_EVENTS, "3 opened, expected 4");

	checks_judge(&checks, true, features);
	assert_int_equal(features[SST_FEATURE_FLOWS].state, FEATURE_DEGRADED);
	assert_string_equal(features[SST_FEATURE_FLOWS].reason, "3 opened, expected 4");
	checks_judge(&checks, false, features);
	assert_int_equal(features[SST_FEATURE_FLOWS].state, FEATURE_OK);
	/* nor does it when it was not tried, which another check tells of */
	checks.result[CHECK_EVENTS] = (struct check_result){ .reason = "not tried" };
	checks_judge(&checks, true, features);
	assert_int_equal(features[SST_FEATURE_FLOWS].state, FEATURE_OK);
	/* and weighs less than what does */
	check_fail(&checks, CHECK_UNLOAD, "pins stay");
	checks.result[CHECK_GETPEERNAME4].verdict = VERDICT_FAILED;
	checks_judge(&checks, true, features);
	assert_int_equal(features[SST_FEATURE_SERVICES].state, FEATURE_OFF);
	assert_int_equal(features[SST_FEATURE_SERVICES].check, CHECK_GETPEERNAME4);
}

static void test_failure_tells_more_than_what_follows(void **unused UNUSED)
{
	struct feature_verdict features[SST_FEATURE_MAX];
	struct checks checks = {};

	check_fail(&checks, CHECK_REFUSALS, "SO_ZEROCOPY: was adopted");
	checks_explain(&checks, NULL);
	checks_judge(&checks, true, features);
	assert_int_equal(features[SST_FEATURE_SPLICE].check, CHECK_REFUSALS);
	assert_int_equal(features[SST_FEATURE_SERVICES].check, CHECK_CONNECT4);
}

static void test_sound(void **unused UNUSED)
{
	struct survey survey = { .loaded = true, .checks = miscounted() };

	checks_judge(&survey.checks, true, survey.features);
	assert_true(survey_is_sound(&survey));
	survey.loaded = false;
	assert_false(survey_is_sound(&survey));
	survey.loaded = true;
	check_fail(&survey.checks, CHECK_RECVMSG6, "the reply does not come from the service");
	checks_judge(&survey.checks, true, survey.features);
	assert_false(survey_is_sound(&survey));
}

/* ---- remedies --------------------------------------------------------------------------- */

static void assert_remedy(enum check check, const char *release, const char *part)
{
	const struct feature_verdict verdict = { .state = FEATURE_OFF, .check = check };
	_cleanup_text_ struct text out = {};

	remedy_add(&verdict, release, &out);
	assert_contains(&out, part);
}

static void test_remedies(void **unused UNUSED)
{
	const struct feature_verdict fine = { .state = FEATURE_OK, .check = CHECK_NOTHING };
	const struct feature_verdict other = { .state = FEATURE_OFF,
					       .check = CHECK_NOTHING,
					       .rests_on = SST_FEATURE_SPLICE };
	_cleanup_text_ struct text out = {};

	assert_remedy(CHECK_FIONREAD_TCP, "6.12.100+deb12-cloud-amd64",
		      "upgrade to 6.12.114 or later (6.12.117 passes); until then");
	assert_remedy(CHECK_FIONREAD_BOTH, "6.1.0-56-cloud-amd64",
		      "no release of 6.1 is known to pass");
	assert_remedy(CHECK_FIONREAD_BOTH, "6.1.0-56-cloud-amd64", "use 6.12.114 or later of 6.12");
	assert_remedy(CHECK_FIONREAD_SPLICED, "6.18.44", "use 6.12.114 or later of 6.12");
	assert_remedy(CHECK_FIONREAD_TCP, "6.12.120-vendor", "6.12.120-vendor should pass");
	assert_remedy(CHECK_CHARGED, "6.12.7", "upgrade to 6.12.8 or later");
	assert_remedy(CHECK_CHARGED, "6.1.122", "upgrade to 6.1.123 or later");
	assert_remedy(CHECK_CHARGED, "6.6.1", "use 6.1.123 or later of 6.1");
	assert_remedy(CHECK_READER_SEEN, "6.18.44", "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS");
	assert_remedy(CHECK_DESTROY, "6.1.192", "modprobe");
	assert_remedy(CHECK_CONNECT6, "6.1.192", "CONFIG_CGROUP_BPF");
	assert_remedy(CHECK_CONNECT6, "not a release", "CONFIG_CGROUP_BPF");
	remedy_add(&fine, "6.1.192", &out);
	assert_int_equal(out.length, 0);
	remedy_add(&other, "6.1.192", &out);
	assert_string_equal(out.data, "see splice");
}

/* ---- kept --------------------------------------------------------------------------------- */

static void test_kept(void **unused UNUSED)
{
	struct checks before = miscounted(), after = {};
	_cleanup_text_ struct text text = {};

	check_fail(&before, CHECK_EVENTS, "not kept: another part's");
	assert_true(checks_keep(&before, KEY, &text));
	assert_true(checks_recall(text.data, KEY, &after));
	for (int i = 0; i < CHECK_MAX; i++) {
		if (check_infos[i].part != PART_KERNEL) {
			assert_int_equal(after.result[i].verdict, VERDICT_NOT_TRIED);
			continue;
		}
		assert_int_equal(after.result[i].verdict, before.result[i].verdict);
		assert_string_equal(after.result[i].reason, before.result[i].reason);
	}
}

/* It may have failed by accident, and must not stay off until the next boot. */
static void test_broken_splice_is_not_kept(void **unused UNUSED)
{
	struct checks checks = with_failure(CHECK_LEVEL, "a reader was not woken");
	_cleanup_text_ struct text text = {};

	assert_false(checks_keep(&checks, KEY, &text));
	assert_int_equal(text.length, 0);
	checks = (struct checks){};
	assert_false(checks_keep(&checks, KEY, &text));
}

static void assert_not_recalled(const char *text, const char *key)
{
	struct checks after = {}, untouched = {};

	assert_false(checks_recall(text, key, &after));
	assert_memory_equal(&after, &untouched, sizeof(after));
}

static void test_other_key(void **unused UNUSED)
{
	struct checks checks = miscounted();
	_cleanup_text_ struct text text = {};

	assert_true(checks_keep(&checks, KEY, &text));
	assert_not_recalled(text.data, KEY "1");
	assert_not_recalled(text.data, "");
}

/* Cut anywhere, or with any one character changed that says something. */
static void test_corrupt(void **unused UNUSED)
{
	struct checks checks = miscounted();
	_cleanup_text_ struct text text = {};

	assert_true(checks_keep(&checks, KEY, &text));
	for (size_t i = 0; i < text.length; i++) {
		_cleanup_free_ char *copy = strdup(text.data);
		struct checks after;

		copy[i] = '\0';
		assert_not_recalled(copy, KEY);
		copy[i] = text.data[i] == 'x' ? 'y' : 'x';
		/* but for a reason's own words */
		after = (struct checks){};
		if (!checks_recall(copy, KEY, &after))
			continue;
		assert_int_equal(after.result[CHECK_ORDER].verdict, VERDICT_PASSED);
		assert_int_equal(after.result[CHECK_FIONREAD_BOTH].verdict, VERDICT_FAILED);
		assert_int_equal(after.result[CHECK_READER_SEEN].verdict, VERDICT_NOT_TRIED);
	}
	assert_not_recalled("", KEY);
	assert_not_recalled("\n\n\n", KEY);
	text_add(&text, "more");
	assert_not_recalled(text.data, KEY);
}

/* Whoever writes a splice that failed into the file has not been us. */
static void test_forged(void **unused UNUSED)
{
	struct checks checks = miscounted();
	_cleanup_text_ struct text text = {};
	char *line;

	assert_true(checks_keep(&checks, KEY, &text));
	line = strstr(text.data, "order: passed: ");
	assert_non_null(line);
	memcpy(line, "order: failed: ", strlen("order: failed: "));
	assert_not_recalled(text.data, KEY);
}

/* ---- shown ----------------------------------------------------------------------------------- */

static struct survey surveyed(void)
{
	struct survey survey = {
		.loaded = true, .release = "6.18.44", .took_ns = 765000000, .checks = miscounted()
	};

	strcpy(survey.host[HOST_KERNEL].value, "6.18.44");
	strcpy(survey.host[HOST_CGROUP].value, "not mounted");
	strcpy(survey.host[HOST_CGROUP].remedy, "mount -t cgroup2 none /sys/fs/cgroup/unified");
	checks_judge(&survey.checks, true, survey.features);
	return survey;
}

static void test_shown(void **unused UNUSED)
{
	_cleanup_survey_ struct survey survey = surveyed();
	_cleanup_text_ struct text out = {}, more = {};

	assert_int_equal(diagnosis_show(&survey, false, &out), 0);
	assert_contains(&out, "\nkernel        6.18.44\n");
	assert_contains(&out, "\nservices        ok       service addresses become endpoints");
	assert_contains(&out, "\nsplice-auto     off      FIONREAD says 3000 of 5000\n");
	assert_contains(&out, "\ncgroup2: mount -t cgroup2 none /sys/fs/cgroup/unified\n");
	assert_contains(&out, "\nsplice-auto: use 6.12.114 or later of 6.12");
	assert_contains(&out, "\neverything that services need works (0.765s)\n");
	assert_null(strstr(out.data, "\nCHECK"));
	assert_int_equal(diagnosis_show(&survey, true, &more), 0);
	assert_contains(
		&more,
		"\nfionread-both     splice-auto     failed     FIONREAD says 3000 of 5000\n");
	assert_contains(&more, "\nreader-seen       splice-readers  not tried  no fentry\n");
}

static void test_shown_json(void **unused UNUSED)
{
	_cleanup_survey_ struct survey survey = surveyed();
	_cleanup_json_ json_t *json = diagnosis_json(&survey);
	const char *name, *verdict, *check, *reason, *remedy;
	int sound;

	assert_int_equal(json_unpack(json, "{s:b, s:[*]}", "sound", &sound, "problems"), 0);
	assert_true(sound);
	assert_int_equal(json_array_size(json_object_get(json, "checks")), CHECK_MAX);
	assert_int_equal(json_array_size(json_object_get(json, "host")), HOST_MAX);
	assert_int_equal(json_unpack(json_array_get(json_object_get(json, "features"),
						    SST_FEATURE_SPLICE_AUTO),
				     "{s:s, s:s, s:s, s:s, s:s}", "name", &name, "verdict",
				     &verdict, "check", &check, "reason", &reason, "remedy",
				     &remedy),
			 0);
	assert_string_equal(name, "splice-auto");
	assert_string_equal(verdict, "off");
	assert_string_equal(check, "fionread-both");
	assert_string_equal(reason, "FIONREAD says 3000 of 5000");
	assert_non_null(strstr(remedy, "6.12.114"));
}

/* What could not be tried has no remedy of its own: the host's is told. */
static void test_shown_unloaded(void **unused UNUSED)
{
	_cleanup_survey_ struct survey survey = surveyed();
	_cleanup_text_ struct text out = {};

	survey.loaded = false;
	problems_add(&survey.problems, "sidestep", (struct place){}, "CAP_BPF is missing");
	assert_int_equal(diagnosis_show(&survey, false, &out), 0);
	assert_contains(&out, "\nsidestep: CAP_BPF is missing\n");
	assert_contains(&out, "\nsomething that services need does not work (");
	assert_null(strstr(out.data, "\nsplice-auto: "));
}

/* ---- docs/doctor.md ------------------------------------------------------------------------ */

static void read_documentation(struct text *ret)
{
	const char *root = getenv("SIDESTEP_ROOT");
	_cleanup_free_ char *path = NULL;
	_cleanup_fclose_ FILE *file = NULL;
	char buf[4096];
	size_t n;

	assert_true(asprintf(&path, "%s/docs/doctor.md", root ? root : ".") > 0);
	file = fopen(path, "r");
	if (!file)
		fail_msg("cannot open %s: run from the repository's root, or set SIDESTEP_ROOT",
			 path);
	while ((n = fread(buf, 1, sizeof(buf), file)))
		text_add_bytes(ret, buf, n);
}

/* Every check has its row, in the order they are tried, and there is no row more. */
static void test_checks_are_documented(void **unused UNUSED)
{
	static const char *const tried_by[] = { "each load", "kernel", "doctor" };
	_cleanup_text_ struct text found = {}, expected = {};

	read_documentation(&found);
	text_add(&expected, "|---|---|---|---|\n");
	for (int i = 0; i < CHECK_MAX; i++)
		text_add(&expected, "| `%s` | %s | %s | %s |\n", check_infos[i].name,
			 feature_name(check_infos[i].feature), tried_by[check_infos[i].part],
			 check_infos[i].proves);
	text_add(&expected, "\n");
	assert_contains(&found, text_string(&expected));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_first_failure_stays),
		cmocka_unit_test(test_explained),
		cmocka_unit_test(test_all_well),
		cmocka_unit_test(test_auto_rests_on_others),
		cmocka_unit_test(test_degraded),
		cmocka_unit_test(test_failure_tells_more_than_what_follows),
		cmocka_unit_test(test_sound),
		cmocka_unit_test(test_remedies),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_broken_splice_is_not_kept),
		cmocka_unit_test(test_other_key),
		cmocka_unit_test(test_corrupt),
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_shown),
		cmocka_unit_test(test_shown_json),
		cmocka_unit_test(test_shown_unloaded),
		cmocka_unit_test(test_checks_are_documented),
	};

	return cmocka_run_group_tests_name("checks", tests, NULL, NULL);
}
