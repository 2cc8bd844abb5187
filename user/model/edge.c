/* SPDX-License-Identifier: Apache-2.0 */
#include "model/edge.h"

#include <stddef.h>

static uint64_t sum(const __u64 *values, size_t n)
{
	uint64_t all = 0;

	for (size_t i = 0; i < n; i++)
		all += values[i];
	return all;
}

uint64_t edge_closed(const struct sst_edge *total)
{
	return sum(total->closed, SST_ENDING_MAX);
}

uint64_t edge_failed(const struct sst_edge *total)
{
	return sum(total->failed, SST_FAILURE_MAX);
}

uint64_t edge_active(const struct sst_edge *total)
{
	return total->opened - edge_closed(total);
}

uint64_t edge_sent_bytes(const struct sst_edge *total)
{
	return total->sent_bytes + total->spliced_sent_bytes + total->udp_sent_bytes;
}

uint64_t edge_received_bytes(const struct sst_edge *total)
{
	return total->received_bytes + total->spliced_received_bytes + total->udp_received_bytes;
}

static void add_words(void *to, const void *from, size_t size)
{
	const __u64 *more = from;
	__u64 *words = to;

	for (size_t i = 0; i < size / sizeof(*words); i++)
		words[i] += more[i];
}

void edge_add(struct sst_edge *to, const struct sst_edge *from)
{
	add_words(to, from, sizeof(*to));
}

void histogram_add(struct sst_histogram *to, const struct sst_histogram *from)
{
	add_words(to, from, sizeof(*to));
}

uint64_t histogram_count(const struct sst_histogram *histogram)
{
	return sum(histogram->count, SST_BUCKETS);
}

double histogram_quantile(const struct sst_histogram *histogram, double q)
{
	double rank = q * (double)histogram_count(histogram), below = 0;

	for (uint32_t i = 0; i < SST_BUCKETS; i++) {
		double count = (double)histogram->count[i];
		double begin = (double)sst_bucket_begin(i), end = (double)sst_bucket_begin(i + 1);

		if (count > 0 && below + count >= rank)
			return begin + (end - begin) * (rank - below) / count;
		below += count;
	}
	return 0;
}
