/* SPDX-License-Identifier: Apache-2.0 */
/* Prometheus' text format, and OpenMetrics, which differs from it in few places. */
#ifndef SIDESTEP_EXPORT_METRICS_TEXT_H
#define SIDESTEP_EXPORT_METRICS_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/text.h"

struct metrics_text {
	struct text *out;
	bool open_metrics;
	uint32_t series; /* so far */
};

/* A flow that shows what a sample is about; OpenMetrics has these, the text format does not. */
struct metrics_exemplar {
	uint64_t flow; /* its id in every view; 0: there is none */
	double value;
	uint64_t time_ns; /* CLOCK_REALTIME */
};

/* What comes before a family's samples. Type: counter, gauge, histogram. */
void metrics_family(struct metrics_text *text, const char *name, const char *type,
		    const char *help);

/*
 * One sample: "name{labels,more} value". Labels and more may be "". The exemplar may be NULL.
 */
void metrics_sample(struct metrics_text *text, const char *name, const char *labels,
		    const char *more, uint64_t value);
void metrics_sample_with(struct metrics_text *text, const char *name, const char *labels,
			 const char *more, uint64_t value, const struct metrics_exemplar *exemplar);

/* A value of so many units, `digits` decimal digits behind the point: 1500, 3: 1.500 */
void metrics_sample_fixed(struct metrics_text *text, const char *name, const char *labels,
			  const char *more, uint64_t value, unsigned digits);

/* A family of one gauge without labels. */
void metrics_gauge(struct metrics_text *text, const char *name, const char *help, uint64_t value);
void metrics_timestamp(struct metrics_text *text, const char *name, const char *help, uint64_t ns);

/* Appends name="value" with the three characters escaped that the format names. */
void metrics_label(struct text *labels, const char *name, const char *value);

#endif
