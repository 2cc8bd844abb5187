/* SPDX-License-Identifier: Apache-2.0 */
/* How rows are shown: their columns, their order, what fits a screen. */
#ifndef SIDESTEP_LIVE_VIEW_H
#define SIDESTEP_LIVE_VIEW_H

#include <jansson.h>

#include "core/table.h"
#include "core/text.h"
#include "live/rows.h"

enum live_unit {
	LIVE_WORDS,
	LIVE_ID, /* words that are never cut */
	LIVE_NUMBER,
	LIVE_SIZE, /* in bytes */
	LIVE_SHARE,
	LIVE_MICROSECONDS,
	LIVE_SECONDS,
};

struct live_column {
	const char *header;
	const char *name; /* to sort by, and in JSON */
	const char *help;
	enum live_unit unit;
	unsigned cell;  /* enum live_text for words, else enum live_figure */
	unsigned width; /* of words the least */
	unsigned rank;  /* where room is short the highest goes first; 0 never does */
};

#define LIVE_COLUMNS_MAX 16

static inline bool live_is_words(const struct live_column *column)
{
	return column->unit == LIVE_WORDS || column->unit == LIVE_ID;
}

/* "services", "edges", "flows" */
const char *live_view_name(enum live_view view);

/* -ENOENT: there is no such view. */
int live_view_by_name(const char *name, enum live_view *ret);

const struct live_column *live_columns(enum live_view view, size_t *n);

/* The column's number, or -ENOENT. */
int live_column_by_name(enum live_view view, const char *name);

/* Figures begin with the largest, words with A; what is not known comes last either way. */
void live_sort(struct live_rows *rows, const struct live_column *column, bool reverse);

/* What stands in a cell. buf holds FORMAT_MAX; the value is in it or of the row. */
const char *live_cell(const struct live_row *row, const struct live_column *column, char *buf);

/* Whether the cell tells of something that went wrong. */
bool live_is_alarm(const struct live_row *row, const struct live_column *column);

/* ---- what fits a screen --------------------------------------------------------------- */

struct live_layout {
	size_t n;
	struct {
		unsigned column; /* its number in the view */
		unsigned width;
	} cells[LIVE_COLUMNS_MAX];
};

/* The least screen that shows anything of use. */
#define LIVE_WIDTH_MIN  40
#define LIVE_HEIGHT_MIN 6

/* Columns that go side by side into so many columns of the screen, one blank between them. */
void live_layout(enum live_view view, const struct live_rows *rows, unsigned width,
		 struct live_layout *ret);

/*
 * Appends what fits into width columns of the screen, and blanks up to it. What is too long
 * loses its middle, for a "~"; what cannot be printed in the locale becomes "?".
 */
void live_fit(const char *cell, unsigned width, enum table_align align, struct text *out);

/* How many columns of the screen it takes. */
unsigned live_width(const char *cell);

/* ---- without a screen ------------------------------------------------------------------ */

/* All columns; -ENOMEM. */
int live_print(enum live_view view, const struct live_rows *rows, struct text *out);
json_t *live_to_json(enum live_view view, const struct live_rows *rows);

#endif
