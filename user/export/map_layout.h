/* SPDX-License-Identifier: Apache-2.0 */
/* A place for each node of a map. Takes O(edges) a pass, and a fixed number of passes. */
#ifndef SIDESTEP_EXPORT_MAP_LAYOUT_H
#define SIDESTEP_EXPORT_MAP_LAYOUT_H

#include "export/map.h"

/* Sets layers and rows of the sorted map; -ENOMEM. */
int map_layout(struct map *map);

#endif
