/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON objects out of bytes that come in pieces of any size: those that stand one after the other,
 * as a watch sends them, or the items of a list, so that a list is never in memory as a whole.
 * It finds where an object ends and leaves all else to who reads it.
 */
#ifndef SIDESTEP_CLUSTER_STREAM_H
#define SIDESTEP_CLUSTER_STREAM_H

#include "core/text.h"

struct stream {
	bool is_list; /* set: the items of an object; else the objects themselves */
	size_t max;   /* set: bytes of an object */
	/* Of a list, what is no item: an object with an empty "items". */
	struct text rest;
	struct text object; /* the first bytes of one whose end has not come */
	unsigned depth;
	bool in_object, in_items, in_string, escaped;
};

/* Not 0 ends the reading. */
typedef int (*stream_fn)(const char *json, size_t size, void *arg);

/*
 * Calls fn for each object whose last byte is among these. Returns 0; what fn returned; -EPROTO:
 * what came is neither; -EMSGSIZE; or -ENOMEM. After a failure it is only good for release.
 */
int stream_add(struct stream *stream, const char *bytes, size_t size, stream_fn fn, void *arg);

/* Nothing was begun that has no end. */
bool stream_is_whole(const struct stream *stream);

/* Frees what it holds; it is then as at the beginning. Usable as a cleanup. */
void stream_release(struct stream *stream);
#define _cleanup_stream_ __attribute__((cleanup(stream_release)))

#endif
