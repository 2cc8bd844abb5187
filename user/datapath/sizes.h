/* SPDX-License-Identifier: Apache-2.0 */
/* How large the maps are whose size is a matter of how busy a node is. What a configuration
 * may hold is bounded by the others, which are as large as bpf/maps.h says on each node. */
#ifndef SIDESTEP_DATAPATH_SIZES_H
#define SIDESTEP_DATAPATH_SIZES_H

#include <stdint.h>

#include "datapath/internal.h"

/* Entries, of a ring bytes, that suit a node with so many bytes of memory: a power of two.
 * 0: as bpf/maps.h says. */
uint32_t map_size(enum map_index map, uint64_t memory);

#endif
