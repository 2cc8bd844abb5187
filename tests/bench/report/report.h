/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report of a benchmark: lines of JSON that its parts have written become results, results
 * become tables, growth and verdicts on goals. All of it stays one tree of jansson's, which is
 * what the report writes as JSON in the end:
 *
 *   { "machine": {...},
 *     "tests": { NAME: { what its declaration said, "skips": [...], "notes": [...],
 *                        "results": { BLOCK: { COLUMN: { VARIANT: RESULT }}}}},
 *     "goals": [...] }
 *   RESULT: { "samples": { ROUND: value }, "value": FIGURE, "ratio": FIGURE }
 *   FIGURE: { "median", "min", "max", "q1", "q3", "noisy" }
 *
 * A ratio tells how many times as good as the test's first variant one is, round by round and
 * whatever the unit: above 1 is better.
 */
#ifndef TESTS_BENCH_REPORT_H
#define TESTS_BENCH_REPORT_H

#include <jansson.h>
#include <stdbool.h>

#include "bench/figures.h"
#include "../../tools/tool.h"

/* What is slower than its base by more than this has lost. */
#define LOSES_BELOW 0.95

/* ---- reading the tree ------------------------------------------------------------- */

/* "" and 0 where there is none. */
const char *text(const json_t *object, const char *key);
double number(const json_t *object, const char *key);

const char *text_at(const json_t *array, size_t i);

/* NULL where nothing was measured. */
json_t *result_of(const json_t *test, const char *block, const char *column, const char *variant);

/* The test's first variant, whose ratios are not told; NULL if none are. */
const char *base_of(const json_t *test);

/* Whether what others are compared with is what lies to the left, as of times. */
bool less_is_better(const json_t *test);

/* ---- what is made of it ------------------------------------------------------------ */

/* Reads the lines that the parts have written; ends the program where one makes no sense. */
json_t *results_read(const char *path);

/* The figures of each result. */
void results_work_out(json_t *root);

/* The figure of what one sample is in terms of others of the same round. False: no round has
 * all that it takes. */
typedef bool sample_fn(const char *round, double value, const void *arg, double *out);
bool figure_of_samples(const json_t *result, sample_fn *fn, const void *arg, struct figure *out);

/* Adds "growth" to tests that have sizes: [{block, variant, slope, steepest, flat_up_to}]. */
void growth_work_out(json_t *root);
void growth_print(const json_t *root);

/* Judges the goals of a file and puts them into the tree. */
void goals_judge(json_t *root, const char *path);
void goals_print(const json_t *root);

void tables_print(const json_t *root);

/* Three digits, which say all that such figures can; good until it is called four times more. */
const char *short_number(double value);

#endif
