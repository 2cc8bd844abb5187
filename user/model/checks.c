/* SPDX-License-Identifier: Apache-2.0 */
#include "model/checks.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/cleanup.h"

const struct check_info check_infos[CHECK_MAX] = {
#define X(symbol, check_name, feature_, part_, needs_, proves_) \
	[CHECK_##symbol] = { .name = check_name,                \
			     .proves = proves_,                 \
			     .feature = SST_FEATURE_##feature_, \
			     .part = PART_##part_,              \
			     .needs = CHECK_##needs_ },
	CHECKS(X)
#undef X
};

static const struct {
	const char *name;
	const char *help;
} features[SST_FEATURE_MAX] = {
#define X(symbol, name, help) [SST_FEATURE_##symbol] = { name, help },
	SST_FEATURES(X)
#undef X
};

const char *feature_name(enum sst_feature feature)
{
	return features[feature].name;
}

const char *feature_help(enum sst_feature feature)
{
	return features[feature].help;
}

bool feature_is_essential(enum sst_feature feature)
{
	return feature == SST_FEATURE_SERVICES || feature == SST_FEATURE_UDP ||
	       feature == SST_FEATURE_FLOWS || feature == SST_FEATURE_ITERATORS;
}

const char *feature_state_name(enum feature_state state)
{
	static const char *const names[] = {
		[FEATURE_OK] = "ok",
		[FEATURE_DEGRADED] = "degraded",
		[FEATURE_OFF] = "off",
	};

	return names[state];
}

static const char *const verdict_names[] = {
	[VERDICT_NOT_TRIED] = "not tried",
	[VERDICT_PASSED] = "passed",
	[VERDICT_FAILED] = "failed",
};

const char *verdict_name(enum verdict verdict)
{
	return verdict_names[verdict];
}

/* ---- results -------------------------------------------------------------------- */

static void set(struct check_result *result, enum verdict verdict, const char *format, va_list ap)
{
	result->verdict = verdict;
	vsnprintf(result->reason, sizeof(result->reason), format, ap);
}

void check_pass(struct checks *checks, enum check check)
{
	if (checks->result[check].verdict == VERDICT_NOT_TRIED)
		checks->result[check] = (struct check_result){ .verdict = VERDICT_PASSED };
}

void check_fail(struct checks *checks, enum check check, const char *format, ...)
{
	va_list ap;

	if (checks->result[check].verdict == VERDICT_FAILED)
		return;
	va_start(ap, format);
	set(&checks->result[check], VERDICT_FAILED, format, ap);
	va_end(ap);
}

void check_skip(struct checks *checks, enum check check, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	set(&checks->result[check], VERDICT_NOT_TRIED, format, ap);
	va_end(ap);
}

void checks_explain(struct checks *checks, const char *why)
{
	for (int i = 0; i < CHECK_MAX; i++) {
		enum check needs = check_infos[i].needs;

		if (checks->result[i].verdict != VERDICT_NOT_TRIED || checks->result[i].reason[0])
			continue;
		if (!check_passed(checks, needs))
			check_skip(checks, i, "it needs %s, which %s", check_infos[needs].name,
				   checks->result[needs].verdict == VERDICT_FAILED
					   ? "failed"
					   : "was not tried");
		else
			check_skip(checks, i, "%.90s",
				   why ? why : "the self-test did not come to it");
	}
}

/* ---- what follows ---------------------------------------------------------------- */

static void depends(struct feature_verdict *features_, enum sst_feature feature,
		    enum sst_feature on, const char *reason)
{
	struct feature_verdict *verdict = &features_[feature];

	if (verdict->state == FEATURE_OFF || features_[on].state != FEATURE_OFF)
		return;
	*verdict = (struct feature_verdict){ .state = FEATURE_OFF,
					     .check = CHECK_NOTHING,
					     .rests_on = on };
	snprintf(verdict->reason, sizeof(verdict->reason), "%s", reason);
}

/* What only doctor tries must have failed: that it was not tried follows from a check that
 * is told of itself. */
static bool speaks_against(const struct checks *checks, enum check check, bool doctor)
{
	if (check_infos[check].part != PART_DOCTOR)
		return !check_passed(checks, check);
	return doctor && checks->result[check].verdict == VERDICT_FAILED;
}

/* The first check that did not pass decides, one that failed rather than one that was
 * not tried. */
static bool outweighs(const struct checks *checks, const struct feature_verdict *now,
		      enum feature_state state, enum check check)
{
	if (state != now->state)
		return state > now->state;
	return checks->result[now->check].verdict == VERDICT_NOT_TRIED &&
	       checks->result[check].verdict == VERDICT_FAILED;
}

void checks_judge(const struct checks *checks, bool doctor,
		  struct feature_verdict ret[SST_FEATURE_MAX])
{
	for (int i = 0; i < SST_FEATURE_MAX; i++)
		ret[i] = (struct feature_verdict){ .state = FEATURE_OK, .check = CHECK_NOTHING };
	for (int i = 0; i < CHECK_MAX; i++) {
		struct feature_verdict *verdict = &ret[check_infos[i].feature];
		enum feature_state state =
			check_infos[i].part == PART_DOCTOR ? FEATURE_DEGRADED : FEATURE_OFF;

		if (!speaks_against(checks, i, doctor) || !outweighs(checks, verdict, state, i))
			continue;
		verdict->state = state;
		verdict->check = i;
		memcpy(verdict->reason, checks->result[i].reason, sizeof(verdict->reason));
	}
	depends(ret, SST_FEATURE_SPLICE_AUTO, SST_FEATURE_SPLICE, "the splice itself is off");
	depends(ret, SST_FEATURE_SPLICE_AUTO, SST_FEATURE_SPLICE_READERS,
		"splice(2) readers are not recognised");
}

/* ---- kept ------------------------------------------------------------------------- */

#define KEPT_HEADER "sidestep self-test 1"

static bool is_certain(const struct checks *checks)
{
	for (int i = 0; i < CHECK_MAX; i++)
		if (check_infos[i].part == PART_KERNEL &&
		    check_infos[i].feature == SST_FEATURE_SPLICE && !check_passed(checks, i))
			return false;
	return true;
}

bool checks_keep(const struct checks *checks, const char *key, struct text *out)
{
	if (!is_certain(checks))
		return false;
	text_add(out, KEPT_HEADER "\n%s\n", key);
	for (int i = 0; i < CHECK_MAX; i++)
		if (check_infos[i].part == PART_KERNEL)
			text_add(out, "%s: %s: %s\n", check_infos[i].name,
				 verdict_name(checks->result[i].verdict), checks->result[i].reason);
	text_add(out, "end\n");
	return !out->error;
}

/* What stands before the next delimiter; moves *text behind it. NULL: there is none. */
static char *next(char **text, const char *delimiter)
{
	char *begin = *text, *end = strstr(begin, delimiter);

	if (!end)
		return NULL;
	*end = '\0';
	*text = end + strlen(delimiter);
	return begin;
}

static bool recall_verdict(const char *name, enum verdict *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(verdict_names); i++)
		if (!strcmp(name, verdict_names[i])) {
			*ret = i;
			return true;
		}
	return false;
}

static bool recall_result(char **text, const char *name, struct check_result *ret)
{
	char *line = next(text, "\n"), *word, *reason;

	if (!line)
		return false;
	word = next(&line, ": ");
	if (!word || strcmp(word, name))
		return false;
	word = next(&line, ": ");
	reason = line;
	if (!word || !recall_verdict(word, &ret->verdict) ||
	    strlen(reason) >= sizeof(ret->reason) || (ret->verdict == VERDICT_PASSED) != !*reason)
		return false;
	strcpy(ret->reason, reason);
	return true;
}

static bool recall_all(char *text, const char *key, struct checks *checks)
{
	const char *line = next(&text, "\n");

	if (!line || strcmp(line, KEPT_HEADER))
		return false;
	line = next(&text, "\n");
	if (!line || strcmp(line, key))
		return false;
	for (int i = 0; i < CHECK_MAX; i++)
		if (check_infos[i].part == PART_KERNEL &&
		    !recall_result(&text, check_infos[i].name, &checks->result[i]))
			return false;
	return !strcmp(text, "end\n");
}

bool checks_recall(const char *text, const char *key, struct checks *checks)
{
	_cleanup_free_ char *copy = strdup(text);
	struct checks found = *checks;

	if (!copy || !recall_all(copy, key, &found) || !is_certain(&found))
		return false;
	*checks = found;
	return true;
}
