/* SPDX-License-Identifier: Apache-2.0 */
#include "export/json.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>

#include "core/address.h"

static void json_drop(json_t **json)
{
	json_decref(*json);
	*json = NULL;
}

void json_set(json_t **object, const char *name, json_t *value)
{
	if (json_object_set_new(*object, name, value))
		json_drop(object);
}

void json_add(json_t **array, json_t *value)
{
	if (json_array_append_new(*array, value))
		json_drop(array);
}

json_t *json_text(const char *text)
{
	return text ? json_string(text) : json_null();
}

json_t *json_id(uint64_t id)
{
	return id ? json_sprintf("%" PRIu64, id) : json_null();
}

json_t *json_address_port(const struct sst_addr *address, __be16 port)
{
	json_t *object = json_object();
	char text[ADDRESS_TEXT_MAX];

	json_set(&object, "address", json_string(address_format(address, text)));
	json_set(&object, "port", json_integer(ntohs(port)));
	return object;
}
