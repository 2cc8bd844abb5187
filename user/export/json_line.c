/* SPDX-License-Identifier: Apache-2.0 */
#include "export/json_line.h"

bool json_line_begin(struct json_line *line, struct text *out)
{
	if (!text_reserve(out, JSON_LINE_ROOM))
		return false;
	*line = (struct json_line){ out, out->data + out->length, out->length, false };
	return true;
}

/* Room for n bytes and all that comes without asking. Without memory the line begins anew
 * where it began, where there was room, and is dropped in the end. */
static bool make_room(struct json_line *line, size_t n)
{
	struct text *out = line->out;

	out->length = line->at - out->data;
	if (!text_reserve(out, n + JSON_LINE_ROOM)) {
		out->length = line->begin;
		line->failed = true;
	}
	line->at = out->data + out->length;
	return !line->failed;
}

void json_line_end(struct json_line *line)
{
	line->out->length = line->failed ? line->begin : (size_t)(line->at - line->out->data);
	line->out->data[line->out->length] = '\0';
}

static void put_escaped(struct json_line *line, unsigned char c)
{
	static const char digits[] = "0123456789abcdef";

	if (c == '"' || c == '\\') {
		*line->at++ = '\\';
		*line->at++ = c;
		return;
	}
	json_line_literal(line, "\\u00");
	*line->at++ = digits[c >> 4];
	*line->at++ = digits[c & 15];
}

/* Bytes at the begin that need no escape. */
static size_t plain_bytes(const char *string, size_t n)
{
	size_t i = 0;

	while (i < n && string[i] >= ' ' && string[i] <= '~' && string[i] != '"' &&
	       string[i] != '\\')
		i++;
	return i;
}

/* Names are ASCII, since no other is let in; a byte that is not, of a map that somebody
 * else wrote, must not break the line. */
void json_line_string(struct json_line *line, const char *string)
{
	size_t n, plain;

	if (!string) {
		json_line_literal(line, "null");
		return;
	}
	n = strlen(string);
	if (!make_room(line, 6 * n + 2))
		return;
	*line->at++ = '"';
	for (; n; string += plain, n -= plain) {
		plain = plain_bytes(string, n);
		json_line_put(line, string, plain);
		if (plain == n)
			break;
		put_escaped(line, string[plain++]);
	}
	*line->at++ = '"';
}
