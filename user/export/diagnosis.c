/* SPDX-License-Identifier: Apache-2.0 */
#include "export/diagnosis.h"

#include "core/table.h"
#include "export/format.h"
#include "export/json.h"
#include "model/remedy.h"

static const char *const host_names[HOST_MAX] = {
#define X(symbol, name) [HOST_##symbol] = name,
	HOST_ROWS(X)
#undef X
};

/* ---- tables ---------------------------------------------------------------------- */

static int show_host(const struct survey *survey, struct text *out)
{
	static const struct table_column columns[] = {
		{ "HOST", TABLE_LEFT },
		{ "WHAT THERE IS", TABLE_LEFT },
	};
	_cleanup_table_ struct table table = TABLE_INIT(columns);

	for (int i = 0; i < HOST_MAX; i++) {
		table_add(&table, "%s", host_names[i]);
		table_add(&table, "%s", survey->host[i].value);
	}
	return table_print(&table, out);
}

static int show_features(const struct survey *survey, struct text *out)
{
	static const struct table_column columns[] = {
		{ "FEATURE", TABLE_LEFT },
		{ "VERDICT", TABLE_LEFT },
		{ "WHAT IT IS, OR WHAT IS WRONG", TABLE_LEFT },
	};
	_cleanup_table_ struct table table = TABLE_INIT(columns);

	for (int i = 0; i < SST_FEATURE_MAX; i++) {
		const struct feature_verdict *verdict = &survey->features[i];

		table_add(&table, "%s", feature_name(i));
		table_add(&table, "%s", feature_state_name(verdict->state));
		table_add(&table, "%s",
			  verdict->state == FEATURE_OK ? feature_help(i) : verdict->reason);
	}
	return table_print(&table, out);
}

static int show_checks(const struct survey *survey, struct text *out)
{
	static const struct table_column columns[] = {
		{ "CHECK", TABLE_LEFT },
		{ "FEATURE", TABLE_LEFT },
		{ "VERDICT", TABLE_LEFT },
		{ "WHAT IT PROVES, OR WHY IT DOES NOT", TABLE_LEFT },
	};
	_cleanup_table_ struct table table = TABLE_INIT(columns);

	for (int i = 0; i < CHECK_MAX; i++) {
		const struct check_result *result = &survey->checks.result[i];

		table_add(&table, "%s", check_infos[i].name);
		table_add(&table, "%s", feature_name(check_infos[i].feature));
		table_add(&table, "%s", verdict_name(result->verdict));
		table_add(&table, "%s",
			  result->verdict == VERDICT_PASSED ? check_infos[i].proves
							    : result->reason);
	}
	return table_print(&table, out);
}

static void show_remedies(const struct survey *survey, struct text *out)
{
	for (int i = 0; i < HOST_MAX; i++)
		if (survey->host[i].remedy[0])
			text_add(out, "\n%s: %s\n", host_names[i], survey->host[i].remedy);
	for (unsigned i = 0; i < survey->problems.count; i++)
		text_add(out, "\n%s\n", survey->problems.text[i]);
	for (int i = 0; i < SST_FEATURE_MAX && survey->loaded; i++) {
		if (survey->features[i].state == FEATURE_OK)
			continue;
		text_add(out, "\n%s: ", feature_name(i));
		remedy_add(&survey->features[i], survey->release, out);
		text_add(out, "\n");
	}
}

int diagnosis_show(const struct survey *survey, bool checks, struct text *out)
{
	char took[FORMAT_MAX];

	show_host(survey, out);
	text_add(out, "\n");
	show_features(survey, out);
	if (checks) {
		text_add(out, "\n");
		show_checks(survey, out);
	}
	show_remedies(survey, out);
	text_add(out, "\n%s (%s)\n",
		 survey_is_sound(survey) ? "everything that services need works"
					 : "something that services need does not work",
		 format_duration(survey->took_ns, took));
	return out->error;
}

/* ---- JSON --------------------------------------------------------------------------- */

static json_t *text_or_null(const char *text)
{
	return json_text(*text ? text : NULL);
}

static json_t *host_json(const struct survey *survey)
{
	json_t *array = json_array();

	for (int i = 0; i < HOST_MAX; i++) {
		json_t *row = json_object();

		json_set(&row, "name", json_string(host_names[i]));
		json_set(&row, "value", json_string(survey->host[i].value));
		json_set(&row, "remedy", text_or_null(survey->host[i].remedy));
		json_add(&array, row);
	}
	return array;
}

static json_t *feature_json(const struct survey *survey, enum sst_feature feature)
{
	const struct feature_verdict *verdict = &survey->features[feature];
	const char *check =
		verdict->check == CHECK_NOTHING ? NULL : check_infos[verdict->check].name;
	_cleanup_text_ struct text remedy = {};
	json_t *object = json_object();

	if (survey->loaded)
		remedy_add(verdict, survey->release, &remedy);
	json_set(&object, "name", json_string(feature_name(feature)));
	json_set(&object, "verdict", json_string(feature_state_name(verdict->state)));
	json_set(&object, "essential", json_boolean(feature_is_essential(feature)));
	json_set(&object, "check", json_text(check));
	json_set(&object, "reason", text_or_null(verdict->reason));
	json_set(&object, "remedy", text_or_null(text_string(&remedy)));
	return object;
}

static json_t *features_json(const struct survey *survey)
{
	json_t *array = json_array();

	for (int i = 0; i < SST_FEATURE_MAX; i++)
		json_add(&array, feature_json(survey, i));
	return array;
}

static json_t *checks_json(const struct survey *survey)
{
	json_t *array = json_array();

	for (int i = 0; i < CHECK_MAX; i++) {
		const struct check_result *result = &survey->checks.result[i];
		json_t *row = json_object();

		json_set(&row, "name", json_string(check_infos[i].name));
		json_set(&row, "feature", json_string(feature_name(check_infos[i].feature)));
		json_set(&row, "verdict", json_string(verdict_name(result->verdict)));
		json_set(&row, "proves", json_string(check_infos[i].proves));
		json_set(&row, "reason", text_or_null(result->reason));
		json_add(&array, row);
	}
	return array;
}

static json_t *problems_json(const struct survey *survey)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < survey->problems.count; i++)
		json_add(&array, json_string(survey->problems.text[i]));
	return array;
}

json_t *diagnosis_json(const struct survey *survey)
{
	json_t *object = json_object();

	json_set(&object, "version", json_string(SIDESTEP_VERSION));
	json_set(&object, "abi", json_integer(SST_ABI_VERSION));
	json_set(&object, "kernel", json_string(survey->release));
	json_set(&object, "sound", json_boolean(survey_is_sound(survey)));
	json_set(&object, "seconds", json_real(survey->took_ns / 1e9));
	json_set(&object, "host", host_json(survey));
	json_set(&object, "features", features_json(survey));
	json_set(&object, "checks", checks_json(survey));
	json_set(&object, "problems", problems_json(survey));
	return object;
}
