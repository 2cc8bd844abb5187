/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic on what an edge holds. */
#ifndef SIDESTEP_MODEL_EDGE_H
#define SIDESTEP_MODEL_EDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "sidestep/abi.h"

static inline bool edge_is_folded(uint32_t id)
{
	return id & SST_EDGE_FOLDED;
}

/* Of all endings, of all reasons. */
uint64_t edge_closed(const struct sst_edge *total);
uint64_t edge_failed(const struct sst_edge *total);

/* Connections that are established now. */
uint64_t edge_active(const struct sst_edge *total);

/* By TCP and past it; UDP's payload included. */
uint64_t edge_sent_bytes(const struct sst_edge *total);
uint64_t edge_received_bytes(const struct sst_edge *total);

/* to += from */
void edge_add(struct sst_edge *to, const struct sst_edge *from);
void histogram_add(struct sst_histogram *to, const struct sst_histogram *from);

uint64_t histogram_count(const struct sst_histogram *histogram);

/* The value below which a share q (0 to 1) of all lies, interpolated within its bucket;
 * 0 when there is none. */
double histogram_quantile(const struct sst_histogram *histogram, double q);

#endif
