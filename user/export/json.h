/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON objects member by member: like a text, an object takes failures silently
 * and is looked at once, at the end. NULL stands for "memory was out".
 */
#ifndef SIDESTEP_EXPORT_JSON_H
#define SIDESTEP_EXPORT_JSON_H

#include <jansson.h>
#include <stdint.h>

#include "sidestep/abi.h"

/* Takes over value. When value or *object is NULL, *object is released and becomes NULL. */
void json_set(json_t **object, const char *name, json_t *value);

/* The same for arrays. */
void json_add(json_t **array, json_t *value);

/* null for NULL */
json_t *json_text(const char *text);

/*
 * An identifier of 64 bits as a string, since many readers of JSON round numbers
 * above 2^53; null for 0.
 */
json_t *json_id(uint64_t id);

/* { "address": "10.0.0.1", "port": 80 }; port in network order */
json_t *json_address_port(const struct sst_addr *address, __be16 port);

static inline void cleanup_json(json_t **json)
{
	json_decref(*json);
}
#define _cleanup_json_ __attribute__((cleanup(cleanup_json)))

#endif
