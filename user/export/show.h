/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel's maps hold, for people (tables, sizes rounded) and for programs
 * (JSON, exact). The members of the JSON are documented in sidestep(8).
 */
#ifndef SIDESTEP_EXPORT_SHOW_H
#define SIDESTEP_EXPORT_SHOW_H

#include <jansson.h>

#include "core/text.h"
#include "model/state.h"

/*
 * The tables are appended to out. Return 0 or -ENOMEM, when what was appended is
 * incomplete.
 */
int show_endpoints(const struct state *state, struct text *out);
int show_status(const struct state *state, struct text *out);

/*
 * All services for name NULL. A name shows that service and its endpoints; returns
 * -ENOENT when there is none of that name.
 */
int show_services(const struct state *state, const char *name, struct text *out);

/* New references: arrays, and for the status an object. NULL when memory is out. */
json_t *show_services_json(const struct state *state, const char *name); /* maybe empty */
json_t *show_endpoints_json(const struct state *state);
json_t *show_status_json(const struct state *state);

#endif
