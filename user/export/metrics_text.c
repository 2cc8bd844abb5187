/* SPDX-License-Identifier: Apache-2.0 */
#include "export/metrics_text.h"

#include <inttypes.h>
#include <string.h>

#define NS 1000000000

/* In OpenMetrics a counter's family is named without what its samples' names end with. */
static int family_length(const struct metrics_text *text, const char *name, const char *type)
{
	size_t length = strlen(name), suffix = strlen("_total");

	return text->open_metrics && !strcmp(type, "counter") ? (int)(length - suffix)
							      : (int)length;
}

void metrics_family(struct metrics_text *text, const char *name, const char *type, const char *help)
{
	int n = family_length(text, name, type);

	text_add(text->out, "# HELP %.*s %s\n# TYPE %.*s %s\n", n, name, help, n, name, type);
}

static void add_name(struct metrics_text *text, const char *name, const char *labels,
		     const char *more)
{
	struct text *out = text->out;

	text_add_bytes(out, name, strlen(name));
	if (*labels || *more)
		text_add_bytes(out, "{", 1);
	text_add_bytes(out, labels, strlen(labels));
	if (*labels && *more)
		text_add_bytes(out, ",", 1);
	text_add_bytes(out, more, strlen(more));
	if (*labels || *more)
		text_add_bytes(out, "}", 1);
	text->series++;
}

void metrics_sample_with(struct metrics_text *text, const char *name, const char *labels,
			 const char *more, uint64_t value, const struct metrics_exemplar *exemplar)
{
	add_name(text, name, labels, more);
	text_add(text->out, " %" PRIu64, value);
	if (exemplar && exemplar->flow && text->open_metrics)
		text_add(text->out, " # {flow=\"%" PRIu64 "\"} %.6f %" PRIu64 ".%03" PRIu64,
			 exemplar->flow, exemplar->value, exemplar->time_ns / NS,
			 exemplar->time_ns % NS / 1000000);
	text_add_bytes(text->out, "\n", 1);
}

void metrics_sample(struct metrics_text *text, const char *name, const char *labels,
		    const char *more, uint64_t value)
{
	metrics_sample_with(text, name, labels, more, value, NULL);
}

void metrics_sample_fixed(struct metrics_text *text, const char *name, const char *labels,
			  const char *more, uint64_t value, unsigned digits)
{
	uint64_t unit = 1;

	for (unsigned i = 0; i < digits; i++)
		unit *= 10;
	add_name(text, name, labels, more);
	text_add(text->out, " %" PRIu64 ".%0*" PRIu64 "\n", value / unit, (int)digits,
		 value % unit);
}

void metrics_gauge(struct metrics_text *text, const char *name, const char *help, uint64_t value)
{
	metrics_family(text, name, "gauge", help);
	metrics_sample(text, name, "", "", value);
}

void metrics_timestamp(struct metrics_text *text, const char *name, const char *help, uint64_t ns)
{
	metrics_family(text, name, "gauge", help);
	metrics_sample_fixed(text, name, "", "", ns, 9);
}

void metrics_label(struct text *labels, const char *name, const char *value)
{
	text_add(labels, "%s%s=\"", labels->length ? "," : "", name);
	for (; *value; value++) {
		if (*value == '\n')
			text_add_bytes(labels, "\\n", 2);
		else if (*value == '\\' || *value == '"')
			text_add(labels, "\\%c", *value);
		else
			text_add_bytes(labels, value, 1);
	}
	text_add_bytes(labels, "\"", 1);
}
