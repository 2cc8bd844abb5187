/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/log.h"

#include <stdarg.h>
#include <stdio.h>

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

void log_new_problems(struct problems *problems, struct problems *before)
{
	for (unsigned i = 0; i < problems->count; i++)
		if (!problems_have(before, problems->text[i]))
			fprintf(stderr, "%s\n", problems->text[i]);
	if (problems->more > before->more)
		fprintf(stderr, "... and %u more\n", problems->more);
	problems_release(before);
	*before = *problems;
	*problems = (struct problems){};
}
