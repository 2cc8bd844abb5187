/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows worth looking at, from records as they come: the last one that failed or was denied, of
 * each edge and reason; the last one of each bucket of a service's times. The table is of a fixed
 * size, what is newer takes the place of what is older. Records come while somebody follows.
 */
#ifndef SIDESTEP_EXPORT_EXEMPLAR_H
#define SIDESTEP_EXPORT_EXEMPLAR_H

#include "export/metrics_text.h"
#include "sidestep/abi.h"

enum exemplar_kind {
	EXEMPLAR_FAILED, /* of an edge, by enum sst_failure */
	EXEMPLAR_DENIED, /* of an edge */
	EXEMPLAR_TIME,   /* of a service: + enum sst_time, by the number of a bucket */
	EXEMPLAR_KIND_MAX = EXEMPLAR_TIME + SST_TIME_MAX,
};

#define EXEMPLARS 512

/* Starts as { 0 }. */
struct exemplars {
	struct exemplar {
		uint32_t kind, id, which;
		struct metrics_exemplar flow;
	} items[EXEMPLARS];
};

/* "Which" bucket a time is in is the metrics' to say. */
void exemplars_add(struct exemplars *exemplars, const struct sst_record *record,
		   int64_t realtime_offset_ns);

/* NULL: none is known. */
const struct metrics_exemplar *exemplars_find(const struct exemplars *exemplars, uint32_t kind,
					      uint32_t id, uint32_t which);

/*
 * The times of a service have few buckets: bucket n is of what is less than 4^(n + 2), the last
 * one of all that is more.
 */
#define EXEMPLAR_BUCKETS 11
uint32_t exemplar_bucket(uint64_t value);

#endif
