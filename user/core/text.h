/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A text that grows. Adding never fails visibly: the first failure sticks in
 * `error`, later additions do nothing, and the caller looks once, at the end.
 * A zeroed struct is an empty text.
 */
#ifndef SIDESTEP_CORE_TEXT_H
#define SIDESTEP_CORE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct text {
	char *data; /* NUL-terminated; NULL while nothing was added */
	size_t length;
	size_t size;
	int error; /* 0, or -ENOMEM: data is then incomplete */
};

void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_add_bytes(struct text *text, const void *bytes, size_t n);
void text_add_string(struct text *text, const char *string);

/* Makes room for n more bytes and the NUL; false: there is none, and `error` says so. */
bool text_reserve(struct text *text, size_t n);

/* n times the same character, for padding. */
void text_add_repeated(struct text *text, char c, size_t n);

/* A string as UTF-8 without control characters: what is not becomes question marks. */
void text_add_clean(struct text *text, const char *string);

/* How many bytes the character has that a string begins with; 0: it is no UTF-8. */
size_t text_character(const char *string);

/* Never NULL. */
static inline const char *text_string(const struct text *text)
{
	return text->data ? text->data : "";
}

/* Frees the data; the struct itself is the caller's and empty again. Usable as a cleanup. */
void text_release(struct text *text);

#define _cleanup_text_ __attribute__((cleanup(text_release)))

#endif
