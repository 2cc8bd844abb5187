/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One captured message, as a line for people and as JSON. Unlike a flow, a message is
 * told from its sender's point of view.
 */
#ifndef SIDESTEP_EXPORT_MESSAGE_H
#define SIDESTEP_EXPORT_MESSAGE_H

#include <jansson.h>

#include "export/flow_view.h"

/* Appends one line, with its newline. */
void message_to_line(const struct sst_message *message, const struct record_context *context,
		     struct text *out);

/* The members are documented in sidestep(8). A new reference, NULL when memory is out. */
json_t *message_to_json(const struct sst_message *message, const struct record_context *context);

#endif
