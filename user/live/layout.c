/* SPDX-License-Identifier: Apache-2.0 */
/* What of rows fits a screen. */
#include "live/view.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "core/cleanup.h"

/* ---- cells ------------------------------------------------------------------------------ */

/* A character as it is printed: where its bytes are, and how many columns it takes. */
struct glyph {
	const char *bytes;
	size_t size;
	unsigned width;
};

/* The next one of text, which is not at its end. What the locale cannot print is "?". */
static struct glyph next_glyph(const char *text)
{
	mbstate_t state = {};
	wchar_t wide;
	size_t size = mbrtowc(&wide, text, strlen(text), &state);
	int width = size < (size_t)-2 ? wcwidth(wide) : -1;

	if (width >= 0)
		return (struct glyph){ text, size, (unsigned)width };
	/* bytes that are no character go one by one */
	return (struct glyph){ "?", 1, 1 };
}

static size_t step_of(const char *text)
{
	mbstate_t state = {};
	size_t size = mbrtowc(NULL, text, strlen(text), &state);

	return size && size < (size_t)-2 ? size : 1;
}

unsigned live_width(const char *cell)
{
	unsigned width = 0;

	for (; *cell; cell += step_of(cell))
		width += next_glyph(cell).width;
	return width;
}

/* Appends from the begin what fits; returns how many columns that took. */
static unsigned add_begin(const char *cell, unsigned width, struct text *out)
{
	unsigned used = 0;

	for (; *cell; cell += step_of(cell)) {
		struct glyph glyph = next_glyph(cell);

		if (used + glyph.width > width)
			break;
		used += glyph.width;
		text_add_bytes(out, glyph.bytes, glyph.size);
	}
	return used;
}

/* Where the end begins that fits. */
static const char *end_that_fits(const char *cell, unsigned width)
{
	unsigned left = live_width(cell);

	for (; left > width; cell += step_of(cell))
		left -= next_glyph(cell).width;
	return cell;
}

void live_fit(const char *cell, unsigned width, enum table_align align, struct text *out)
{
	unsigned natural = live_width(cell), used;

	if (natural > width && width) {
		unsigned end = (width - 1) / 2;

		used = add_begin(cell, width - 1 - end, out) + 1;
		text_add(out, "~");
		used += add_begin(end_that_fits(cell, end), end, out);
		text_add_repeated(out, ' ', width - used);
		return;
	}
	if (align == TABLE_RIGHT)
		text_add_repeated(out, ' ', width - natural);
	add_begin(cell, width, out);
	if (align == TABLE_LEFT && natural < width)
		text_add_repeated(out, ' ', width - natural);
}

/* ---- columns ----------------------------------------------------------------------------- */

static unsigned total(const struct live_layout *layout)
{
	unsigned sum = layout->n ? (unsigned)layout->n - 1 : 0;

	for (size_t i = 0; i < layout->n; i++)
		sum += layout->cells[i].width;
	return sum;
}

static void drop_one(const struct live_column *columns, struct live_layout *layout)
{
	size_t worst = layout->n - 1;

	for (size_t i = 0; i < layout->n; i++)
		if (columns[layout->cells[i].column].rank >
		    columns[layout->cells[worst].column].rank)
			worst = i;
	layout->n--;
	memmove(&layout->cells[worst], &layout->cells[worst + 1],
		(layout->n - worst) * sizeof(layout->cells[0]));
}

/* What its longest words take. */
static unsigned wanted_width(const struct live_column *column, const struct live_rows *rows)
{
	unsigned widest = column->width;

	for (size_t i = 0; i < rows->n && live_is_words(column); i++) {
		unsigned width = live_width(rows->items[i].text[column->cell] ?: "-");

		if (width > widest)
			widest = width;
	}
	return widest;
}

/* Shares what is left among the words that want more, evenly. */
static void widen(const struct live_column *columns, const struct live_rows *rows, unsigned left,
		  struct live_layout *layout)
{
	unsigned wanted[LIVE_COLUMNS_MAX];
	bool given = true;

	for (size_t i = 0; i < layout->n; i++)
		wanted[i] = wanted_width(&columns[layout->cells[i].column], rows);
	while (left && given) {
		given = false;
		for (size_t i = 0; i < layout->n && left; i++)
			if (layout->cells[i].width < wanted[i]) {
				layout->cells[i].width++;
				left--;
				given = true;
			}
	}
}

void live_layout(enum live_view view, const struct live_rows *rows, unsigned width,
		 struct live_layout *ret)
{
	size_t n;
	const struct live_column *columns = live_columns(view, &n);
	struct live_layout layout = { .n = n };

	for (size_t i = 0; i < n; i++) {
		layout.cells[i].column = (unsigned)i;
		layout.cells[i].width = columns[i].unit == LIVE_ID ? wanted_width(&columns[i], rows)
								   : columns[i].width;
	}
	while (layout.n > 1 && total(&layout) > width)
		drop_one(columns, &layout);
	if (total(&layout) < width)
		widen(columns, rows, width - total(&layout), &layout);
	*ret = layout;
}
