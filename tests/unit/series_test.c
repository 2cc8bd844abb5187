/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever is given a row, loses it or goes: no value goes back, nothing is counted twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/cleanup.h"
#include "export/series.h"

#define UNUSED __attribute__((unused))

static const struct series_kind stays = { .n_values = 1 };
static const struct series_kind moves = { .n_values = 1, .moves = true };

/* Labels by id, as the sources have it. */
static void label(size_t i, const void *arg, struct text *out)
{
	const struct series_source *sources = arg;

	text_add(out, "id=\"%u\"", sources[i].id);
}

static void same_label(size_t i, const void *arg, struct text *out)
{
	(void)i;
	(void)arg;
	text_add(out, "all");
}

static void update(struct series *series, const struct series_source *sources, size_t n,
		   uint32_t room)
{
	assert_int_equal(series_update(series, sources, n, room, label, sources), 0);
}

static struct series_source source(uint32_t id, const uint64_t *value)
{
	return (struct series_source){ .id = id, .values = value, .cost = 1 };
}

/* What is shown of an id; of one without a row, -1. */
static int64_t shown(const struct series *series, uint32_t id)
{
	uint32_t row = series_row_of(series, id);

	return row == SERIES_OTHER ? -1 : (int64_t)series->rows[row].values[0];
}

static uint64_t other(const struct series *series)
{
	return series->rows[SERIES_OTHER].values[0];
}

static void test_first_come_first_kept(void **unused UNUSED)
{
	uint64_t values[] = { 10, 20, 30 };
	struct series_source sources[] = { source(1, &values[0]), source(2, &values[1]),
					   source(3, &values[2]) };
	struct series series = { .kind = &stays };

	update(&series, sources + 1, 2, 2);
	assert_int_equal(series.folded, 0);
	assert_false(series_has_other(&series));
	/* a smaller id takes no one's place */
	update(&series, sources, 3, 2);
	assert_int_equal(shown(&series, 1), -1);
	assert_int_equal(shown(&series, 2), 20);
	assert_int_equal(shown(&series, 3), 30);
	assert_int_equal(other(&series), 10);
	assert_int_equal(series.folded, 1);
	assert_true(series_has_other(&series));
	series_release(&series);
}

static void test_late_row_leaves_other_alone(void **unused UNUSED)
{
	uint64_t values[] = { 10, 20 };
	struct series_source sources[] = { source(1, &values[0]), source(2, &values[1]) };
	struct series series = { .kind = &stays };

	update(&series, sources, 2, 1);
	assert_int_equal(other(&series), 20);
	values[1] = 25;
	update(&series, sources, 2, 2);
	assert_int_equal(shown(&series, 2), 25);
	assert_int_equal(other(&series), 25);
	values[1] = 27;
	update(&series, sources, 2, 2);
	assert_int_equal(shown(&series, 2), 27);
	assert_int_equal(other(&series), 25);
	series_release(&series);
}

static void test_lost_row_is_not_counted_again(void **unused UNUSED)
{
	uint64_t values[] = { 10, 20 };
	struct series_source sources[] = { source(1, &values[0]), source(2, &values[1]) };
	struct series series = { .kind = &stays };

	update(&series, sources, 2, 2);
	values[1] = 23;
	update(&series, sources, 2, 1);
	assert_int_equal(shown(&series, 1), 10);
	assert_int_equal(shown(&series, 2), -1);
	assert_int_equal(other(&series), 3);
	series_release(&series);
}

/* What expires is counted by the kernel's own `other` from then on. */
static void test_what_moves_is_not_counted_again(void **unused UNUSED)
{
	uint64_t values[] = { 10, 20, 5 };
	struct series_source sources[] = { source(1, &values[0]), source(2, &values[1]),
					   source(9, &values[2]) };
	struct series series = { .kind = &moves };

	sources[2].nameless = true;
	update(&series, sources, 3, 1); /* 2 is folded */
	assert_int_equal(other(&series), 25);
	values[2] += 10 + 1; /* 1 goes; one more was counted for others */
	update(&series, sources + 1, 2, 1);
	assert_int_equal(other(&series), 26);
	assert_int_equal(shown(&series, 2), 20); /* the room is its now */
	values[2] += 20;
	update(&series, sources + 2, 1, 1);
	assert_int_equal(other(&series), 26);
	assert_int_equal(series.used, 0);
	series_release(&series);
}

/* What is removed and moves nowhere stays in `other`. */
static void test_what_goes_takes_nothing_back(void **unused UNUSED)
{
	uint64_t values[] = { 10, 20 };
	struct series_source sources[] = { source(1, &values[0]), source(2, &values[1]) };
	struct series series = { .kind = &stays };

	update(&series, sources, 2, 1);
	update(&series, sources, 1, 1);
	assert_int_equal(other(&series), 20);
	update(&series, NULL, 0, 1);
	assert_int_equal(other(&series), 20);
	series_release(&series);
}

static void test_one_row_for_the_same_labels(void **unused UNUSED)
{
	uint64_t values[] = { 10, 20 };
	struct series_source sources[] = { source(1, &values[0]), source(2, &values[1]) };
	struct series series = { .kind = &moves };

	assert_int_equal(series_update(&series, sources, 2, 1, same_label, NULL), 0);
	assert_int_equal(series.used, 1);
	assert_int_equal(shown(&series, 1), 30);
	/* one of both expires */
	assert_int_equal(series_update(&series, sources + 1, 1, 1, same_label, NULL), 0);
	assert_int_equal(shown(&series, 2), 30);
	series_release(&series);
}

/* As another daemon would: by what was saved. */
static void restart(struct series *series)
{
	json_t *saved = series_save(series);
	const struct series_kind *kind = series->kind;

	assert_non_null(saved);
	series_release(series);
	*series = (struct series){ .kind = kind };
	assert_int_equal(series_load(series, saved), 0);
	json_decref(saved);
}

static void test_restart(void **unused UNUSED)
{
	uint64_t values[] = { 10, 20, 30, 5 };
	struct series_source sources[] = { source(1, &values[0]), source(2, &values[1]),
					   source(3, &values[2]), source(9, &values[3]) };
	struct series series = { .kind = &moves };

	sources[3].nameless = true;
	update(&series, sources, 4, 2);
	values[3] += 10;
	update(&series, sources + 1, 3, 1); /* 1 has gone, 3 is still folded */
	assert_int_equal(other(&series), 35);
	restart(&series);
	values[1] += 1;
	values[2] += 2;
	values[3] += 3;
	update(&series, sources + 1, 3, 1);
	assert_int_equal(shown(&series, 2), 21);
	assert_int_equal(shown(&series, 3), -1);
	assert_int_equal(other(&series), 40);
	/* more room after a restart: `other` keeps what it had */
	restart(&series);
	update(&series, sources + 1, 3, 2);
	assert_int_equal(shown(&series, 3), 32);
	assert_int_equal(other(&series), 40);
	series_release(&series);
}

static void test_load_refuses_what_is_not_ours(void **unused UNUSED)
{
	static const char *const texts[] = {
		"[]",
		"[1]",
		"[{\"labels\":\"a\",\"cost\":1,\"offsets\":[0],\"ids\":[1]}]",
		"[{\"labels\":null,\"cost\":0,\"offsets\":[],\"ids\":[1]}]",
		"[{\"labels\":null,\"cost\":-1,\"offsets\":[0],\"ids\":[1]}]",
		"[{\"labels\":null,\"cost\":0,\"offsets\":[0],\"ids\":[\"1\"]}]",
		"[{\"labels\":null,\"cost\":0,\"offsets\":[0],\"ids\":[]},"
		"{\"labels\":\"a\",\"cost\":1,\"offsets\":[0],\"ids\":[]},"
		"{\"labels\":\"a\",\"cost\":1,\"offsets\":[0],\"ids\":[]}]",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct series series = { .kind = &stays };
		json_t *json = json_loads(texts[i], 0, NULL);

		assert_non_null(json);
		assert_int_equal(series_load(&series, json), -EINVAL);
		assert_int_equal(series.n_rows, 0);
		json_decref(json);
	}
}

/* ---- at random ------------------------------------------------------------------------- */

#define IDS 40

/* A kernel: edges that count, come, go idle and are moved to its own `other`. */
struct world {
	uint64_t values[IDS + 1]; /* the last one is its `other` */
	bool there[IDS];
	unsigned born; /* ids below it were given */
	uint64_t truth;
};

static void step(struct world *world)
{
	if (world->born < IDS && rand() % 3 == 0)
		world->there[world->born++] = true;
	for (unsigned i = 0; i < world->born; i++) {
		unsigned more = world->there[i] ? rand() % 5 : 0;

		world->values[i] += more;
		world->truth += more;
		if (world->there[i] && rand() % 20 == 0) {
			world->there[i] = false;
			world->values[IDS] += world->values[i];
		}
	}
}

static size_t read_world(const struct world *world, struct series_source *sources)
{
	size_t n = 0;

	for (unsigned i = 0; i < world->born; i++)
		if (world->there[i])
			sources[n++] = source(i + 1, &world->values[i]);
	sources[n] = source(1000, &world->values[IDS]);
	sources[n].nameless = true;
	return n + 1;
}

/* By labels, as Prometheus has them: their values before, and what they have grown by. */
struct scraper {
	uint64_t before[IDS + 2];
	bool known[IDS + 2];
	uint64_t seen; /* the sum of all that grew */
};

static void scrape_one(struct scraper *scraper, unsigned n, uint64_t value)
{
	if (scraper->known[n]) {
		assert_true(value >= scraper->before[n]);
		scraper->seen += value - scraper->before[n];
	}
	scraper->known[n] = true;
	scraper->before[n] = value;
}

/* A series that is gone when it comes again is another one. */
static void scrape(struct scraper *scraper, const struct series *series)
{
	bool there[IDS + 2] = { true };

	scrape_one(scraper, 0, other(series));
	for (unsigned id = 1; id <= IDS; id++)
		if (shown(series, id) >= 0) {
			there[id] = true;
			scrape_one(scraper, id, shown(series, id));
		}
	for (unsigned id = 1; id <= IDS; id++)
		scraper->known[id] &= there[id];
}

static void test_at_random(void **unused UNUSED)
{
	for (unsigned seed = 1; seed <= 200; seed++) {
		struct series series = { .kind = &moves };
		struct series_source sources[IDS + 1];
		struct scraper scraper = {};
		struct world world = {};

		srand(seed);
		for (int i = 0; i < 100; i++) {
			uint32_t room = rand() % 2 ? 5 : 8;
			size_t n;

			step(&world);
			n = read_world(&world, sources);
			update(&series, sources, n, room);
			assert_true(series.used <= room);
			scrape(&scraper, &series);
			if (rand() % 10)
				continue;
			/* nothing goes idle before the next daemon's first reading */
			restart(&series);
			update(&series, sources, n, room);
			scrape(&scraper, &series);
		}
		/* what rates tell is never more than there was */
		assert_true(scraper.seen <= world.truth);
		series_release(&series);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_come_first_kept),
		cmocka_unit_test(test_late_row_leaves_other_alone),
		cmocka_unit_test(test_lost_row_is_not_counted_again),
		cmocka_unit_test(test_what_moves_is_not_counted_again),
		cmocka_unit_test(test_what_goes_takes_nothing_back),
		cmocka_unit_test(test_one_row_for_the_same_labels),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_load_refuses_what_is_not_ours),
		cmocka_unit_test(test_at_random),
	};

	return cmocka_run_group_tests_name("series", tests, NULL, NULL);
}
