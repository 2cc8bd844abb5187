/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wrong with an input, in the order it was found. Bounded: a broken
 * file yields PROBLEMS_MAX messages and a count of the rest.
 */
#ifndef SIDESTEP_CORE_PROBLEMS_H
#define SIDESTEP_CORE_PROBLEMS_H

#include <stdbool.h>
#include <stddef.h>

#define PROBLEMS_MAX 20

/*
 * Where in an input something stands; line and column count from 1, 0: not known. file
 * is set where the input is several files: its name, owned by who owns the place.
 */
struct place {
	unsigned line;
	unsigned column;
	const char *file;
};

/* What a text is made of, for programs. */
struct problem_parts {
	size_t source;  /* it begins with so many bytes: the source's name */
	size_t message; /* where in it that begins */
	unsigned line;  /* as in struct place */
	unsigned column;
	bool is_warning;
};

struct problems {
	char *text[PROBLEMS_MAX];
	struct problem_parts parts[PROBLEMS_MAX];
	unsigned count; /* of text[] and parts[] */
	unsigned more;  /* found beyond PROBLEMS_MAX */
};

/* Is this one of the texts? Those beyond PROBLEMS_MAX are not known. */
bool problems_have(const struct problems *problems, const char *text);

/* Adds "source:line:column: message"; without a place "source: message". The place's file
 * stands for the source where it has one. Control characters become question marks. */
void problems_add(struct problems *problems, const char *source, struct place place,
		  const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The same for what is valid and probably not meant: "source:line:column: warning: message". */
void problems_warn(struct problems *problems, const char *source, struct place place,
		   const char *format, ...) __attribute__((format(printf, 4, 5)));

/* How many are no warnings. */
unsigned problems_errors(const struct problems *problems);

/* Frees the texts; the struct itself is the caller's. Usable as a cleanup. */
void problems_release(struct problems *problems);

#define _cleanup_problems_ __attribute__((cleanup(problems_release)))

#endif
