/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/traffic.h"

#include <arpa/inet.h>
#include <string.h>

struct bench_traffic bench_traffic(const struct state *state, const char *service, unsigned port)
{
	struct bench_traffic ret = {};

	for (size_t i = 0; i < state->n_services; i++) {
		const struct sst_service_info *info = &state->services[i].info;
		const struct sst_stats *stats = &state->services[i].stats;

		if (strcmp(info->name, service) || ntohs(info->port) != port)
			continue;
		ret.connections = stats->opened;
		ret.spliced = stats->spliced_sent_bytes + stats->spliced_received_bytes;
		ret.bytes = stats->sent_bytes + stats->received_bytes + ret.spliced;
	}
	return ret;
}

int bench_traffic_look(const char *pin, struct state *ret)
{
	_cleanup_datapath_ struct datapath *datapath = NULL;
	int err = datapath_open(pin, &datapath);

	err = err ?: datapath_sweep(datapath);
	return err ?: datapath_dump(datapath, DUMP_TABLES, ret);
}
