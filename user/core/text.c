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

/* By RFC 3629: not longer than needed, no surrogates, nothing beyond U+10FFFF. */
size_t text_character(const char *string)
{
	const unsigned char *s = (const unsigned char *)string;
	size_t n = *s < 0x80   ? 1
		   : *s < 0xc2 ? 0
		   : *s < 0xe0 ? 2
		   : *s < 0xf0 ? 3
		   : *s < 0xf5 ? 4
			       : 0;

	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((*s == 0xe0 && s[1] < 0xa0) || (*s == 0xed && s[1] > 0x9f) ||
	    (*s == 0xf0 && s[1] < 0x90) || (*s == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

void text_add_clean(struct text *text, const char *string)
{
	while (*string) {
		size_t n = text_character(string);
		bool bad = !n || (unsigned char)*string < ' ' || *string == 0x7f;

		text_add_bytes(text, bad ? "?" : string, bad ? 1 : n);
		string += n ?: 1;
	}
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
