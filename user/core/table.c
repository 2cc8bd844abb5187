/* SPDX-License-Identifier: Apache-2.0 */
#include "core/table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_GAP 2

static int table_grow(struct table *table)
{
	size_t size = table->size ? 2 * table->size : 8 * table->n_columns;
	char **cells;

	if (table->n_cells < table->size)
		return 0;
	cells = reallocarray(table->cells, size, sizeof(*cells));
	if (!cells)
		return -ENOMEM;
	table->cells = cells;
	table->size = size;
	return 0;
}

void table_add(struct table *table, const char *format, ...)
{
	char *cell;
	va_list ap;
	int n;

	if (table->error)
		return;
	table->error = table_grow(table);
	if (table->error)
		return;
	va_start(ap, format);
	n = vasprintf(&cell, format, ap);
	va_end(ap);
	if (n < 0)
		table->error = -ENOMEM;
	else
		table->cells[table->n_cells++] = cell;
}

void table_add_text(struct table *table, struct text *text)
{
	table_add(table, "%s", text_string(text));
	if (text->error)
		table->error = text->error;
	text_release(text);
}

/* Columns on screen: the bytes of UTF-8 that begin a character. */
static size_t width_of(const char *cell)
{
	size_t width = 0;

	for (; *cell; cell++)
		width += (*cell & 0xc0) != 0x80;
	return width;
}

static void measure(const struct table *table, size_t *widths)
{
	for (size_t i = 0; i < table->n_columns; i++)
		widths[i] = width_of(table->columns[i].header);
	for (size_t i = 0; i < table->n_cells; i++) {
		size_t width = width_of(table->cells[i]);

		if (width > widths[i % table->n_columns])
			widths[i % table->n_columns] = width;
	}
}

static void print_cell(const struct table *table, const size_t *widths, size_t column,
		       const char *cell, struct text *out)
{
	size_t padding = widths[column] - width_of(cell);

	if (table->columns[column].align == TABLE_RIGHT)
		text_add_repeated(out, ' ', padding);
	text_add(out, "%s", cell);
	if (column + 1 == table->n_columns) {
		text_add(out, "\n");
		return;
	}
	if (table->columns[column].align == TABLE_LEFT)
		text_add_repeated(out, ' ', padding);
	text_add_repeated(out, ' ', TABLE_GAP);
}

int table_print(const struct table *table, struct text *out)
{
	_cleanup_free_ size_t *widths = calloc(table->n_columns, sizeof(*widths));

	if (table->error || !widths) {
		out->error = -ENOMEM;
		return out->error;
	}
	measure(table, widths);
	for (size_t i = 0; i < table->n_columns; i++)
		print_cell(table, widths, i, table->columns[i].header, out);
	for (size_t i = 0; i < table->n_cells; i++)
		print_cell(table, widths, i % table->n_columns, table->cells[i], out);
	return out->error;
}

void table_release(struct table *table)
{
	for (size_t i = 0; i < table->n_cells; i++)
		free(table->cells[i]);
	free(table->cells);
	table->cells = NULL;
	table->n_cells = table->size = 0;
}
