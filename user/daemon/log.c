/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void log_line(const char *format, ...)
{
	va_list ap;

	fputs("sidestep: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
}

void log_problems(const struct problems *problems)
{
	for (unsigned i = 0; i < problems->count; i++)
		fprintf(stderr, "%s\n", problems->text[i]);
	if (problems->more)
		fprintf(stderr, "... and %u more\n", problems->more);
}

static bool has(const struct problems *problems, const char *text)
{
	for (unsigned i = 0; i < problems->count; i++)
		if (!strcmp(problems->text[i], text))
			return true;
	return false;
}

void log_new_problems(struct problems *problems, struct problems *before)
{
	for (unsigned i = 0; i < problems->count; i++)
		if (!has(before, problems->text[i]))
			fprintf(stderr, "%s\n", problems->text[i]);
	if (problems->more > before->more)
		fprintf(stderr, "... and %u more\n", problems->more);
	problems_release(before);
	*before = *problems;
	*problems = (struct problems){};
}
