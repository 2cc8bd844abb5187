/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/stream.h"

#include <errno.h>
#include <string.h>

/* Items lie in a list in an object. */
#define ITEMS_DEPTH 2
/* Room that is kept for the next object. */
#define KEEP_MAX    (64 * 1024)

enum part {
	PART_BETWEEN, /* of no importance */
	PART_OBJECT,
	PART_LAST, /* the end of an object */
	PART_REST,
	PART_WRONG,
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Follows strings and brackets. Whether each bracket has its match is the reader's affair. */
static void nest(struct stream *stream, char c)
{
	if (stream->in_string) {
		if (stream->escaped)
			stream->escaped = false;
		else if (c == '\\')
			stream->escaped = true;
		else
			stream->in_string = c != '"';
	} else if (c == '"') {
		stream->in_string = true;
	} else if (c == '{' || c == '[') {
		stream->depth++;
	} else if (c == '}' || c == ']') {
		stream->depth--;
	}
}

/* Is it `"items":` and nothing else that came last? A quote inside of a key has a backslash. */
static bool ends_with_items(const struct text *rest)
{
	static const char items[] = "\"items\"";
	const char *begin = text_string(rest), *end = begin + rest->length;

	while (end > begin && is_blank(end[-1]))
		end--;
	if (end == begin || *--end != ':')
		return false;
	while (end > begin && is_blank(end[-1]))
		end--;
	if ((size_t)(end - begin) < strlen(items))
		return false;
	end -= strlen(items);
	if (strncmp(end, items, strlen(items)))
		return false;
	while (end > begin && is_blank(end[-1]))
		end--;
	return end > begin && (end[-1] == ',' || end[-1] == '{');
}

static enum part part_of_rest(struct stream *stream, char c)
{
	bool at_items = c == '[' && !stream->in_string && stream->depth == ITEMS_DEPTH - 1 &&
			ends_with_items(&stream->rest);

	if (!stream->depth) {
		if (is_blank(c))
			return PART_BETWEEN;
		if (c != '{' || stream->rest.length)
			return PART_WRONG;
	}
	nest(stream, c);
	stream->in_items = at_items;
	return PART_REST;
}

static enum part part_of(struct stream *stream, char c)
{
	unsigned base = stream->is_list ? ITEMS_DEPTH : 0;

	if (stream->in_object) {
		nest(stream, c);
		stream->in_object = stream->depth > base;
		return stream->in_object ? PART_OBJECT : PART_LAST;
	}
	if (stream->is_list && !stream->in_items)
		return part_of_rest(stream, c);
	if (c == '{') {
		nest(stream, c);
		stream->in_object = true;
		return PART_OBJECT;
	}
	if (stream->in_items && c == ']') {
		nest(stream, c);
		stream->in_items = false;
		return PART_REST;
	}
	return is_blank(c) || (stream->in_items && c == ',') ? PART_BETWEEN : PART_WRONG;
}

static int add(struct stream *stream, struct text *text, const char *bytes, size_t size)
{
	if (size > stream->max - text->length)
		return -EMSGSIZE;
	text_add_bytes(text, bytes, size);
	return text->error;
}

/* Most objects come in one piece and are not copied. */
static int hand_out(struct stream *stream, const char *bytes, size_t size, stream_fn fn, void *arg)
{
	struct text *object = &stream->object;
	int r;

	if (!object->length)
		return size > stream->max ? -EMSGSIZE : fn(bytes, size, arg);
	r = add(stream, object, bytes, size);
	if (!r)
		r = fn(object->data, object->length, arg);
	object->length = 0;
	if (object->size > KEEP_MAX)
		text_release(object);
	return r;
}

int stream_add(struct stream *stream, const char *bytes, size_t size, stream_fn fn, void *arg)
{
	size_t begin = 0; /* of what is here of the object */
	int r = 0;

	for (size_t i = 0; i < size && !r; i++) {
		bool before = stream->in_object;

		switch (part_of(stream, bytes[i])) {
		case PART_BETWEEN:
			break;
		case PART_OBJECT:
			if (!before)
				begin = i;
			break;
		case PART_LAST:
			r = hand_out(stream, bytes + begin, i + 1 - begin, fn, arg);
			break;
		case PART_REST:
			r = add(stream, &stream->rest, &bytes[i], 1);
			break;
		case PART_WRONG:
			r = -EPROTO;
		}
	}
	return !r && stream->in_object ? add(stream, &stream->object, bytes + begin, size - begin)
				       : r;
}

bool stream_is_whole(const struct stream *stream)
{
	return !stream->depth && !stream->in_string && (!stream->is_list || stream->rest.length);
}

void stream_release(struct stream *stream)
{
	text_release(&stream->object);
	text_release(&stream->rest);
	*stream = (struct stream){ .is_list = stream->is_list, .max = stream->max };
}
