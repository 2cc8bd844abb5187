/* SPDX-License-Identifier: Apache-2.0 */
#include "core/problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/text.h"

/* A message may quote what was read: that does not rule the terminal. */
static void make_harmless(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 127)
			*text = '?';
}

/* Whole, and what it is made of. */
static void compose(const char *source, struct place place, const char *message, struct text *text,
		    struct problem_parts *parts)
{
	text_add(text, "%s", place.file ?: source);
	parts->source = text->length;
	parts->line = place.line;
	parts->column = place.column;
	if (place.line)
		text_add(text, ":%u:%u", place.line, place.column);
	text_add(text, ": %s", parts->is_warning ? "warning: " : "");
	parts->message = text->length;
	text_add(text, "%s", message);
}

static void add(struct problems *problems, bool is_warning, const char *source, struct place place,
		const char *format, va_list ap)
{
	struct problem_parts parts = { .is_warning = is_warning };
	_cleanup_free_ char *message = NULL;
	_cleanup_text_ struct text text = {};

	if (problems->count == PROBLEMS_MAX) {
		problems->more++;
		return;
	}
	if (vasprintf(&message, format, ap) < 0) {
		message = NULL;
		problems->more++;
		return;
	}
	compose(source, place, message, &text, &parts);
	if (text.error) {
		problems->more++;
		return;
	}
	make_harmless(text.data);
	problems->parts[problems->count] = parts;
	problems->text[problems->count++] = TAKE_PTR(text.data);
}

void problems_add(struct problems *problems, const char *source, struct place place,
		  const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	add(problems, false, source, place, format, ap);
	va_end(ap);
}

void problems_warn(struct problems *problems, const char *source, struct place place,
		   const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	add(problems, true, source, place, format, ap);
	va_end(ap);
}

unsigned problems_errors(const struct problems *problems)
{
	unsigned n = problems->more;

	for (unsigned i = 0; i < problems->count; i++)
		n += !problems->parts[i].is_warning;
	return n;
}

void problems_release(struct problems *problems)
{
	for (unsigned i = 0; i < problems->count; i++)
		free(problems->text[i]);
	memset(problems, 0, sizeof(*problems));
}

bool problems_have(const struct problems *problems, const char *text)
{
	for (unsigned i = 0; i < problems->count; i++)
		if (!strcmp(problems->text[i], text))
			return true;
	return false;
}
