/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables for terminals: a line of headers, columns as wide as their widest cell,
 * two spaces between them, nothing after the last.
 */
#ifndef SIDESTEP_CORE_TABLE_H
#define SIDESTEP_CORE_TABLE_H

#include <stddef.h>

#include "core/cleanup.h"
#include "core/text.h"

enum table_align {
	TABLE_LEFT,
	TABLE_RIGHT,
};

struct table_column {
	const char *header;
	enum table_align align;
};

struct table {
	const struct table_column *columns; /* the caller's, must outlive the table */
	size_t n_columns;
	char **cells; /* row after row */
	size_t n_cells;
	size_t size; /* of cells[] */
	int error;   /* 0 or -ENOMEM, sticky */
};

#define TABLE_INIT(c)                                      \
	{                                                  \
		.columns = (c), .n_columns = ARRAY_SIZE(c) \
	}

/* Adds the next cell; the row is complete with its last column. "" leaves it blank. */
void table_add(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same with a text, which is released. */
void table_add_text(struct table *table, struct text *text);

/*
 * Appends the table to out. Returns out->error: a cell that lacks memory makes the
 * text incomplete, too.
 */
int table_print(const struct table *table, struct text *out);

/* Frees the cells. Usable as a cleanup. */
void table_release(struct table *table);

#define _cleanup_table_ __attribute__((cleanup(table_release)))

#endif
