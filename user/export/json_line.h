/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON written straight into a text, for what comes a million times a second: jansson
 * would make a tree of some fifty allocations first. The writer knows nothing of
 * structure: commas and braces are part of the literals, so a line reads as it will look.
 */
#ifndef SIDESTEP_EXPORT_JSON_LINE_H
#define SIDESTEP_EXPORT_JSON_LINE_H

#include <string.h>

#include "core/address.h"
#include "core/decimal.h"
#include "core/text.h"

/* What is left free behind each string: more than the literals and numbers of a line. */
#define JSON_LINE_ROOM 4096

struct json_line {
	struct text *out;
	char *at;      /* where to write next */
	size_t begin;  /* of the line, in out */
	size_t opened; /* a string, in out */
	bool failed;   /* no memory: what is written goes nowhere */
};

/* Appends to out, once json_line_end() is called; false: there is no memory. */
bool json_line_begin(struct json_line *line, struct text *out);
void json_line_end(struct json_line *line);

/* In quotes, escaped; null for NULL. */
void json_line_string(struct json_line *line, const char *string);

/* The same for who has a text to append it to: between the two, at its end, not escaped yet. */
struct text *json_line_open_string(struct json_line *line);
void json_line_close_string(struct json_line *line);

static inline void json_line_put(struct json_line *line, const char *bytes, size_t n)
{
	memcpy(line->at, bytes, n);
	line->at += n;
}

/* What needs no escapes: names of members, braces, words of ours. */
#define json_line_literal(line, literal) json_line_put(line, literal, sizeof(literal) - 1)

static inline void json_line_number(struct json_line *line, uint64_t number)
{
	line->at = decimal(number, line->at);
}

/* An identifier of 64 bits as a string, see json_id(). */
static inline void json_line_id(struct json_line *line, uint64_t id)
{
	if (!id) {
		json_line_literal(line, "null");
		return;
	}
	*line->at++ = '"';
	line->at = decimal(id, line->at);
	*line->at++ = '"';
}

/* A short word of ours in quotes; null for NULL. */
static inline void json_line_word(struct json_line *line, const char *word)
{
	if (!word) {
		json_line_literal(line, "null");
		return;
	}
	*line->at++ = '"';
	json_line_put(line, word, strlen(word));
	*line->at++ = '"';
}

#endif
