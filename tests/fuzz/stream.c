/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an API server sends, cut anywhere. The first byte says whether it is a list and how it is
 * cut. However it is, the same is found; and of what is JSON all that jansson finds in it.
 */
#include "fuzz.h"

#include <jansson.h>

#include "cluster/stream.h"

#define MAX 1000

struct found {
	struct text text; /* one object after the other */
	size_t n;
};

static int add_found(const char *json, size_t size, void *arg)
{
	struct found *found = arg;

	assert(size >= 2 && size <= MAX && *json == '{');
	found->n++;
	text_add_bytes(&found->text, json, size);
	assert(!found->text.error);
	return 0;
}

/* Pieces are copies, so that reading past one is seen. */
static int read_cut(struct stream *stream, const char *text, size_t size, size_t most,
		    struct dice *dice, struct found *found)
{
	int r = 0;

	while (size && !r) {
		size_t n = most ? 1 + throw_below(dice, most) : size;
		char *piece;

		n = n < size ? n : size;
		piece = malloc(n);
		assert(piece);
		memcpy(piece, text, n);
		r = stream_add(stream, piece, n, add_found, found);
		free(piece);
		text += n;
		size -= n;
	}
	assert(!r || r == -EPROTO || r == -EMSGSIZE);
	return r;
}

static void check_same(const struct text *a, const struct text *b)
{
	assert(a->length == b->length);
	assert(!a->length || !memcmp(a->data, b->data, a->length));
}

/* Items that are objects, and what is around them. Nobody writes "\u0069tems". */
static void check_list(const struct stream *stream, const struct found *found, const char *text,
		       size_t size)
{
	json_t *list = json_loadb(text, size, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
	json_t *items = json_object_get(list, "items"), *rest;

	if (json_is_object(list) && !memmem(text, size, "\\u", 2)) {
		assert(found->n == json_array_size(items));
		rest = json_loadb(stream->rest.data, stream->rest.length, JSON_ALLOW_NUL, NULL);
		assert(rest);
		json_array_clear(items);
		assert(json_equal(list, rest));
		json_decref(rest);
	}
	json_decref(list);
}

/* A single object. */
static void check_object(const struct found *found, const char *text, size_t size)
{
	json_t *object = json_loadb(text, size, JSON_ALLOW_NUL, NULL);

	if (json_is_object(object))
		assert(found->n == 1);
	json_decref(object);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	json_object_seed(1); /* the same bytes have to do the same each time */
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool is_list = size && *data & 1;
	struct dice dice = dice_of(data, size);
	_cleanup_stream_ struct stream whole = { .is_list = is_list, .max = MAX };
	_cleanup_stream_ struct stream cut = { .is_list = is_list, .max = MAX };
	struct found in_whole = {}, in_cut = {};
	const char *text = (const char *)data + 1;
	int r;

	if (!size--)
		return 0;
	r = read_cut(&whole, text, size, 0, &dice, &in_whole);
	assert(read_cut(&cut, text, size, 1 + *data / 2, &dice, &in_cut) == r);
	if (!r) {
		check_same(&in_whole.text, &in_cut.text);
		check_same(&whole.rest, &cut.rest);
		assert(stream_is_whole(&whole) == stream_is_whole(&cut));
		if (is_list)
			check_list(&whole, &in_whole, text, size);
		else
			check_object(&in_whole, text, size);
	}
	text_release(&in_whole.text);
	text_release(&in_cut.text);
	return 0;
}
