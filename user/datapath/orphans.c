/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/orphans.h"

#include "datapath/internal.h"

/* Deletes what map holds of ids that owner does not; id 0 stands for "no service". */
static int delete_unowned(struct datapath *datapath, enum map_index map, enum map_index owner,
			  void *value)
{
	__u32 id = 0, next;
	int err = bpf_map_get_next_key(datapath->map[map], NULL, &next);

	while (!err) {
		id = next;
		/* before id is deleted: a deleted key sends the walk back to its begin */
		err = bpf_map_get_next_key(datapath->map[map], &id, &next);
		if (!id || !bpf_map_lookup_elem(datapath->map[owner], &id, value))
			continue;
		if (bpf_map_delete_elem(datapath->map[map], &id) && errno != ENOENT)
			return -errno;
	}
	return 0;
}

int orphans_delete(struct datapath *datapath)
{
	static const struct {
		enum map_index map, owner;
	} pairs[] = {
		{ MAP_service_stats, MAP_services },
		{ MAP_service_info, MAP_services },
		{ MAP_cursors, MAP_services },
		{ MAP_endpoint_stats, MAP_endpoints },
	};
	union {
		struct sst_service service;
		struct sst_endpoint endpoint;
	} value;
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(pairs) && !err; i++)
		err = delete_unowned(datapath, pairs[i].map, pairs[i].owner, &value);
	return err;
}
