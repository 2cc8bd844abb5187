/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Edges, for people and programs: who calls whom. Names are alike in every view: metrics,
 * lists, the live views, the page.
 */
#ifndef SIDESTEP_EXPORT_EDGE_H
#define SIDESTEP_EXPORT_EDGE_H

#include <jansson.h>

#include "core/text.h"
#include "model/state.h"

/* "shop/web", "/system.slice/cron.service" (a cgroup that is no workload), "world", "unknown";
 * "other" for both ends of what is on no edge of its own. */
void edge_source(const struct state *state, const struct state_edge *edge, struct text *out);
void edge_destination(const struct state *state, const struct state_edge *edge, struct text *out);

/* The same in two: "web" and "shop"; the namespace is empty where there is none. */
void edge_end(const struct state *state, const struct state_edge *edge, enum sst_role role,
	      struct text *name, struct text *name_space);

/* "web/http"; "-" for none, "#7" for one that has gone. */
void edge_service(const struct state *state, const struct state_edge *edge, struct text *out);

/* One word for an enum's number, as in abi.h; "?" for any other. */
const char *ending_name(uint8_t ending);
const char *failure_name(uint8_t failure);
const char *time_name(uint8_t time);

/*
 * The members are documented in sidestep(8); new ones may come, none goes or changes its
 * meaning. NULL when memory is out.
 */
json_t *edge_to_json(const struct state *state, const struct state_edge *edge);
json_t *show_edges_json(const struct state *state);

/* Appends the table to out; -ENOMEM. */
int show_edges(const struct state *state, struct text *out);

#endif
