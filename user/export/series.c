/* SPDX-License-Identifier: Apache-2.0 */
#include "export/series.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/array.h"
#include "core/cleanup.h"
#include "export/json.h"

#define NO_ROW UINT32_MAX

/* ---- rows ---------------------------------------------------------------------------- */

static void row_release(struct series *series, uint32_t number)
{
	struct series_row *row = &series->rows[number];
	uint32_t unused;

	if (row->labels)
		dictionary_take(&series->by_labels, row->labels, strlen(row->labels), &unused);
	free(row->labels);
	free(row->values);
	*row = (struct series_row){};
	if (number < series->first_free)
		series->first_free = number;
}

/* Labels NULL: `other`. -EEXIST: there is one of these labels. */
static int row_fill(struct series *series, uint32_t number, const char *labels, uint32_t cost)
{
	_cleanup_free_ uint64_t *values = calloc(series->kind->n_values, sizeof(*values));
	_cleanup_free_ char *copy = labels ? strdup(labels) : NULL;
	uint32_t known = number;
	int err = values && !labels == !copy ? 0 : -ENOMEM;

	if (!err && labels)
		err = dictionary_add(&series->by_labels, labels, strlen(labels), &known);
	if (err)
		return err;
	series->rows[number] = (struct series_row){
		.labels = TAKE_PTR(copy), .values = TAKE_PTR(values), .cost = cost, .fresh = true
	};
	return 0;
}

/* The first that is free, or a new one. */
static int row_add(struct series *series, const char *labels, uint32_t cost, uint32_t *ret)
{
	uint32_t number = series->first_free;
	int err;

	while (number < series->n_rows && series->rows[number].values)
		number++;
	err = array_reserve((void **)&series->rows, &series->room_rows, number,
			    sizeof(*series->rows));
	if (!err)
		err = row_fill(series, number, labels, cost);
	if (err)
		return err;
	if (number == series->n_rows)
		series->n_rows++;
	series->first_free = number + 1;
	*ret = number;
	return 0;
}

static int need_other(struct series *series)
{
	uint32_t number;

	return series->n_rows ? 0 : row_add(series, NULL, 0, &number);
}

/* ---- readings ------------------------------------------------------------------------ */

static int compare_members(const void *a, const void *b)
{
	uint32_t x = ((const struct series_member *)a)->id,
		 y = ((const struct series_member *)b)->id;

	return x < y ? -1 : x > y;
}

static const struct series_member *find(const struct series *series, uint32_t id)
{
	const struct series_member key = { .id = id };

	return series->n_members ? bsearch(&key, series->members, series->n_members, sizeof(key),
					   compare_members)
				 : NULL;
}

uint32_t series_row_of(const struct series *series, uint32_t id)
{
	const struct series_member *member = find(series, id);

	return member ? member->row : SERIES_OTHER;
}

/* What a member had counted; NULL: it is new. */
static const uint64_t *counted_by(const struct series *series, const struct series_member *member)
{
	return member ? series->counted + (member - series->members) * series->kind->n_values
		      : NULL;
}

/* A reading on its way to become the members. */
struct reading {
	const struct series_source *sources;
	size_t n;
	uint32_t room;
	struct series_member *members;
	uint64_t *counted;
	uint64_t *moved; /* what nameless ones have more, less what is only moved there */
};

static void reading_release(struct reading *reading)
{
	free(reading->members);
	free(reading->counted);
	free(reading->moved);
}
#define _cleanup_reading_ __attribute__((cleanup(reading_release)))

static int reading_init(const struct series *series, struct reading *reading)
{
	unsigned n_values = series->kind->n_values;

	reading->members = calloc(reading->n + 1, sizeof(*reading->members));
	reading->counted = calloc(reading->n + 1, n_values * sizeof(uint64_t));
	reading->moved = calloc(n_values, sizeof(uint64_t));
	if (!reading->members || !reading->counted || !reading->moved)
		return -ENOMEM;
	for (size_t i = 0; i < reading->n; i++) {
		reading->members[i].id = reading->sources[i].id;
		memcpy(reading->counted + i * n_values, reading->sources[i].values,
		       n_values * sizeof(uint64_t));
	}
	return 0;
}

/* Rows whose things have all gone go; then the newest, until the rest fits. */
static void keep_rows(struct series *series, const struct reading *reading)
{
	series->used = 0;
	for (size_t i = 0; i < series->n_rows; i++)
		series->rows[i].present = series->rows[i].fresh = false;
	for (size_t i = 0; i < reading->n; i++)
		series->rows[series_row_of(series, reading->sources[i].id)].present = true;
	for (size_t i = 1; i < series->n_rows; i++) {
		struct series_row *row = &series->rows[i];

		if (!row->values)
			continue;
		if (!row->present || row->cost > reading->room - series->used)
			row_release(series, i);
		else
			series->used += row->cost;
	}
	for (size_t m = 0; m < series->n_members; m++)
		if (!series->rows[series->members[m].row].values)
			series->members[m].row = SERIES_OTHER;
}

/* Of the same labels, or a new one while there is room; SERIES_OTHER when there is none. */
static int give_row(struct series *series, const struct reading *reading, size_t i,
		    series_label_fn label, const void *arg, uint32_t *ret)
{
	uint32_t cost = reading->sources[i].cost;
	_cleanup_text_ struct text labels = {};
	int err;

	*ret = SERIES_OTHER;
	label(i, arg, &labels);
	if (labels.error)
		return labels.error;
	if (dictionary_find(&series->by_labels, text_string(&labels), labels.length, ret) ||
	    cost > reading->room - series->used)
		return 0;
	err = row_add(series, text_string(&labels), cost, ret);
	if (!err)
		series->used += cost;
	return err;
}

static int assign(struct series *series, struct reading *reading, series_label_fn label,
		  const void *arg)
{
	int err = 0;

	series->folded = 0;
	for (size_t i = 0; i < reading->n && !err; i++) {
		const struct series_source *source = &reading->sources[i];
		const struct series_member *before = find(series, source->id);
		uint32_t *row = &reading->members[i].row;

		*row = before ? before->row : SERIES_OTHER;
		/* a name takes time: of those that were folded only while there is room */
		if (!source->nameless && *row == SERIES_OTHER &&
		    (!before || source->cost <= reading->room - series->used))
			err = give_row(series, reading, i, label, arg, row);
		series->changed |= !before || before->row != *row;
		if (*row == SERIES_OTHER) {
			series->folded += source->nameless ? 0 : source->cost;
			series->needs_other = true;
		}
	}
	return err;
}

static void add(uint64_t *to, const uint64_t *now, const uint64_t *before, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		to[i] += now[i] - (before ? before[i] : 0);
}

static void count(struct series *series, const struct reading *reading, size_t i)
{
	const struct series_source *source = &reading->sources[i];
	struct series_row *row = &series->rows[reading->members[i].row];
	const struct series_member *member = find(series, source->id);
	const uint64_t *before = counted_by(series, member);
	unsigned n = series->kind->n_values;

	row->id = source->id;
	row->active += source->active;
	if (source->nameless) {
		add(reading->moved, source->values, before, n);
	} else if (member && member->row == SERIES_OTHER && row->fresh) {
		add(series->rows[SERIES_OTHER].values, source->values, before, n);
		add(row->values, source->values, NULL, n);
	} else {
		add(row->values, source->values, before, n);
	}
}

static bool is_there(const struct reading *reading, uint32_t id)
{
	const struct series_member key = { .id = id };

	return bsearch(&key, reading->members, reading->n, sizeof(key), compare_members);
}

/* It was counted in its row. */
static void count_moved(struct series *series, const struct reading *reading)
{
	unsigned n = series->kind->n_values;

	for (size_t m = 0; m < series->n_members && series->kind->moves; m++)
		if (!is_there(reading, series->members[m].id))
			for (unsigned i = 0; i < n; i++)
				reading->moved[i] -= series->counted[m * n + i];
	for (unsigned i = 0; i < n; i++)
		if ((int64_t)reading->moved[i] > 0)
			series->rows[SERIES_OTHER].values[i] += reading->moved[i];
}

/* What went while there was no daemon may leave less than was loaded. */
static void not_below_zero(struct series *series)
{
	for (size_t i = 0; i < series->n_rows; i++)
		for (unsigned v = 0; v < series->kind->n_values && series->rows[i].values; v++)
			if ((int64_t)series->rows[i].values[v] < 0)
				series->rows[i].values[v] = 0;
}

int series_update(struct series *series, const struct series_source *sources, size_t n,
		  uint32_t room, series_label_fn label, const void *arg)
{
	_cleanup_reading_ struct reading reading = { .sources = sources, .n = n, .room = room };
	int err = need_other(series) ?: reading_init(series, &reading);

	if (err)
		return err;
	series->changed |= n != series->n_members;
	keep_rows(series, &reading);
	err = assign(series, &reading, label, arg);
	if (err)
		return err;
	for (size_t i = 0; i < series->n_rows; i++)
		series->rows[i].active = 0;
	for (size_t i = 0; i < n; i++)
		count(series, &reading, i);
	count_moved(series, &reading);
	not_below_zero(series);
	free(series->members);
	free(series->counted);
	series->members = TAKE_PTR(reading.members);
	series->counted = TAKE_PTR(reading.counted);
	series->n_members = n;
	return 0;
}

/* ---- from one daemon to the next ------------------------------------------------------- */

/*
 * A row's values less what its things have counted: with what they will have counted, they go
 * on as if there had been no break. Nearly always all 0; below 0 for `other` when something
 * lost its row.
 */
static uint64_t *offsets_of(const struct series *series)
{
	unsigned n = series->kind->n_values;
	uint64_t *offsets = calloc(series->n_rows * n + 1, sizeof(*offsets));

	if (!offsets)
		return NULL;
	for (size_t i = 0; i < series->n_rows; i++)
		if (series->rows[i].values)
			memcpy(offsets + i * n, series->rows[i].values, n * sizeof(*offsets));
	for (size_t m = 0; m < series->n_members; m++)
		for (unsigned v = 0; v < n; v++)
			offsets[series->members[m].row * n + v] -= series->counted[m * n + v];
	return offsets;
}

static json_t *save_row(const struct series *series, uint32_t number, const uint64_t *offsets)
{
	const struct series_row *row = &series->rows[number];
	json_t *object = json_object(), *array = json_array();

	for (unsigned v = 0; v < series->kind->n_values; v++)
		json_add(&array, json_integer((json_int_t)offsets[v]));
	json_set(&object, "labels", json_text(row->labels));
	json_set(&object, "cost", json_integer(row->cost));
	json_set(&object, "offsets", array);
	json_set(&object, "ids", json_array());
	return object;
}

json_t *series_save(const struct series *series)
{
	_cleanup_free_ uint64_t *offsets = offsets_of(series);
	json_t *array = offsets ? json_array() : NULL;
	unsigned n = series->kind->n_values;

	for (uint32_t i = 0; i < series->n_rows; i++)
		json_add(&array, series->rows[i].values ? save_row(series, i, offsets + i * n)
							: json_null());
	for (size_t m = 0; m < series->n_members; m++) {
		const struct series_member *member = &series->members[m];
		json_t *ids = json_object_get(json_array_get(array, member->row), "ids");

		if (json_array_append_new(ids, json_integer(member->id)))
			json_add(&array, NULL);
	}
	return array;
}

static int load_members(struct series *series, uint32_t row, const json_t *ids)
{
	for (size_t i = 0; i < json_array_size(ids); i++) {
		struct series_member *member = &series->members[series->n_members++];

		if (!json_is_integer(json_array_get(ids, i)))
			return -EINVAL;
		member->id = json_integer_value(json_array_get(ids, i));
		member->row = row;
	}
	return 0;
}

static int load_row(struct series *series, const json_t *saved)
{
	const json_t *ids = json_object_get(saved, "ids");
	const json_t *offsets = json_object_get(saved, "offsets");
	json_int_t cost = json_integer_value(json_object_get(saved, "cost"));
	const char *labels = json_string_value(json_object_get(saved, "labels"));
	uint32_t number;
	int err;

	if (json_is_null(saved))
		return 0;
	if (json_array_size(offsets) != series->kind->n_values || !labels != !series->n_rows ||
	    cost < 0 || cost > UINT16_MAX)
		return -EINVAL;
	err = row_add(series, labels, cost, &number);
	if (err)
		return err == -EEXIST ? -EINVAL : err;
	for (unsigned i = 0; i < series->kind->n_values; i++)
		series->rows[number].values[i] =
			(uint64_t)json_integer_value(json_array_get(offsets, i));
	series->needs_other |= number == SERIES_OTHER && json_array_size(ids);
	return load_members(series, number, ids);
}

static size_t count_ids(const json_t *saved)
{
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(saved); i++)
		n += json_array_size(json_object_get(json_array_get(saved, i), "ids"));
	return n;
}

int series_load(struct series *series, const json_t *saved)
{
	size_t n = count_ids(saved);
	int err = json_array_size(saved) ? 0 : -EINVAL;

	series->members = calloc(n + 1, sizeof(*series->members));
	series->counted = calloc(n + 1, series->kind->n_values * sizeof(uint64_t));
	if (!series->members || !series->counted)
		err = -ENOMEM;
	for (size_t i = 0; i < json_array_size(saved) && !err; i++)
		err = load_row(series, json_array_get(saved, i));
	if (err) {
		series_release(series);
		return err;
	}
	qsort(series->members, series->n_members, sizeof(*series->members), compare_members);
	return 0;
}

void series_release(struct series *series)
{
	const struct series_kind *kind = series->kind;

	for (uint32_t i = 0; i < series->n_rows; i++)
		row_release(series, i);
	dictionary_release(&series->by_labels);
	free(series->rows);
	free(series->members);
	free(series->counted);
	*series = (struct series){ .kind = kind };
}
