/* SPDX-License-Identifier: Apache-2.0 */
#include "core/problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"

/* A message may quote what was read: that does not rule the terminal. */
static void make_harmless(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 127)
			*text = '?';
}

void problems_add(struct problems *problems, const char *source, struct place place,
		  const char *format, ...)
{
	_cleanup_free_ char *message = NULL;
	char *text = NULL;
	va_list ap;
	int n;

	if (problems->count == PROBLEMS_MAX) {
		problems->more++;
		return;
	}
	va_start(ap, format);
	n = vasprintf(&message, format, ap);
	va_end(ap);
	if (n < 0) {
		message = NULL;
		problems->more++;
		return;
	}
	if (place.file)
		source = place.file;
	if (place.line)
		n = asprintf(&text, "%s:%u:%u: %s", source, place.line, place.column, message);
	else
		n = asprintf(&text, "%s: %s", source, message);
	if (n < 0) {
		problems->more++;
		return;
	}
	make_harmless(text);
	problems->text[problems->count++] = text;
}

void problems_release(struct problems *problems)
{
	for (unsigned i = 0; i < problems->count; i++)
		free(problems->text[i]);
	memset(problems, 0, sizeof(*problems));
}
