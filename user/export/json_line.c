/* SPDX-License-Identifier: Apache-2.0 */
#include "export/json_line.h"

bool json_line_begin(struct json_line *line, struct text *out)
{
	if (!text_reserve(out, JSON_LINE_ROOM))
		return false;
	*line = (struct json_line){ .out = out,
				    .at = out->data + out->length,
				    .begin = out->length };
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

/* Whether none of eight bytes is below ' ' or above '~', a quote or a backslash. */
static bool are_plain(uint64_t eight)
{
	const uint64_t ones = 0x0101010101010101, high = ones << 7;
	uint64_t quote = eight ^ ones * '"', backslash = eight ^ ones * '\\';
	uint64_t below = (eight - ones * ' ') | (quote - ones) | (backslash - ones);

	/* a bit that was borrowed stands behind a byte that is told of by itself */
	return !((below | eight | (eight + ones)) & high);
}

static bool are_plain_at(const char *bytes)
{
	uint64_t eight;

	memcpy(&eight, bytes, sizeof(eight));
	return are_plain(eight);
}

/* Bytes at the begin that need no escape. */
static size_t plain_bytes(const char *string, size_t n)
{
	size_t i = 0;

	while (i + 8 <= n && are_plain_at(string + i))
		i += 8;
	if (i && i + 8 > n && are_plain_at(string + n - 8))
		return n;
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

struct text *json_line_open_string(struct json_line *line)
{
	struct text *out = line->out;

	*line->at++ = '"';
	line->opened = out->length = line->at - out->data;
	return out;
}

/* Once in a blue moon. */
static void escape_opened(struct json_line *line)
{
	_cleanup_text_ struct text copy = {};

	text_add_string(&copy, line->out->data + line->opened);
	line->failed |= copy.error;
	line->at = line->out->data + line->opened - 1;
	json_line_string(line, text_string(&copy));
}

void json_line_close_string(struct json_line *line)
{
	struct text *out = line->out;
	size_t n = out->length - line->opened;

	line->at = out->data + out->length;
	if (!make_room(line, 0))
		return;
	if (plain_bytes(out->data + line->opened, n) == n)
		*line->at++ = '"';
	else
		escape_opened(line);
}
