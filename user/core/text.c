/* SPDX-License-Identifier: Apache-2.0 */
#include "core/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_SIZE_MIN 64

bool text_reserve(struct text *text, size_t n)
{
	size_t size = text->size ? text->size : TEXT_SIZE_MIN;
	char *data;

	if (text->error)
		return false;
	if (n < text->size - text->length)
		return true;
	while (size - text->length <= n)
		size *= 2;
	data = realloc(text->data, size);
	if (!data) {
		text->error = -ENOMEM;
		return false;
	}
	text->data = data;
	text->size = size;
	return true;
}

void text_add(struct text *text, const char *format, ...)
{
	va_list ap;
	int n;

	if (!text_reserve(text, TEXT_SIZE_MIN))
		return;
	va_start(ap, format);
	n = vsnprintf(text->data + text->length, TEXT_SIZE_MIN, format, ap);
	va_end(ap);
	if (n < 0)
		text->error = -ENOMEM;
	if (n < TEXT_SIZE_MIN) { /* most are short */
		text->length += n < 0 ? 0 : n;
		return;
	}
	if (!text_reserve(text, n)) {
		text->data[text->length] = '\0';
		return;
	}
	va_start(ap, format);
	vsnprintf(text->data + text->length, n + 1, format, ap);
	va_end(ap);
	text->length += n;
}

void text_add_bytes(struct text *text, const void *bytes, size_t n)
{
	if (!n || !text_reserve(text, n))
		return;
	memcpy(text->data + text->length, bytes, n);
	text->length += n;
	text->data[text->length] = '\0';
}

void text_add_string(struct text *text, const char *string)
{
	text_add_bytes(text, string, strlen(string));
}

void text_add_repeated(struct text *text, char c, size_t n)
{
	if (!n || !text_reserve(text, n))
		return;
	memset(text->data + text->length, c, n);
	text->length += n;
	text->data[text->length] = '\0';
}

void text_release(struct text *text)
{
	free(text->data);
	memset(text, 0, sizeof(*text));
}
