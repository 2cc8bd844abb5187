/* SPDX-License-Identifier: Apache-2.0 */
#include "export/follow_request.h"

#include <errno.h>
#include <string.h>

#include "core/cleanup.h"
#include "export/json.h"
#include "export/record.h"

/* ---- to JSON ------------------------------------------------------------------------- */

static json_t *filter_to_json(const struct flow_filter *filter)
{
	json_t *object = json_object();

	for (size_t i = 0; i < filter->n; i++) {
		const struct flow_term *term = &filter->terms[i];
		const char *name = flow_key_name(term->key);
		json_t *values = json_object_get(object, name);

		if (!values) {
			json_set(&object, name, json_array());
			values = json_object_get(object, name);
		}
		if (json_array_append_new(values, json_string(term->value))) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

static json_t *columns_to_json(const struct flow_columns *columns)
{
	_cleanup_text_ struct text names = {};

	for (size_t i = 0; i < columns->n; i++) {
		text_add_string(&names, i ? "," : "");
		text_add_string(&names, flow_column_name(columns->column[i]));
	}
	return names.error ? NULL : json_string(text_string(&names));
}

json_t *follow_request_to_json(const struct follow_request *request)
{
	json_t *object = json_object();

	json_set(&object, "command", json_string("follow"));
	json_set(&object, "output", json_string(request->json ? "json" : "text"));
	json_set(&object, "colour", json_boolean(request->colour));
	if (request->columns.n)
		json_set(&object, "columns", columns_to_json(&request->columns));
	json_set(&object, "filter", filter_to_json(&request->filter));
	return object;
}

/* ---- from JSON ----------------------------------------------------------------------- */

static int read_value(const char *name, enum flow_key key, const json_t *value,
		      struct flow_filter *filter, struct text *wrong)
{
	const char *text = json_string_value(value);
	int err = text ? flow_filter_add(filter, key, text) : -EINVAL;

	if (err == -EINVAL)
		text_add(wrong, "filter %s: expected %s", name, flow_key_expected(key));
	else if (err == -E2BIG)
		text_add(wrong, "filter: expected at most %d values", FLOW_TERMS_MAX);
	return err == -E2BIG ? -EINVAL : err;
}

static int read_key(const char *name, const json_t *values, struct flow_filter *filter,
		    struct text *wrong)
{
	enum flow_key key;
	int err = flow_key_parse(name, &key);

	if (err) {
		text_add(wrong, "filter: there is no '%s'", name);
		return err;
	}
	for (size_t i = 0; !err && i < json_array_size(values); i++)
		err = read_value(name, key, json_array_get(values, i), filter, wrong);
	return err;
}

static int read_filter(const json_t *json, struct flow_filter *filter, struct text *wrong)
{
	const char *name;
	json_t *values;
	int err = 0;

	json_object_foreach ((json_t *)json, name, values) {
		err = read_key(name, values, filter, wrong);
		if (err)
			break;
	}
	return err;
}

static int read_columns(const json_t *json, struct flow_columns *columns, struct text *wrong)
{
	const char *names = json_string_value(json), *at;

	if (!names || !flow_columns_parse(names, columns, &at))
		return 0;
	text_add(wrong, "columns: what is '%s'?", names);
	return -EINVAL;
}

int follow_request_parse(const json_t *json, struct follow_request *ret, struct text *ret_wrong)
{
	const char *output = json_string_value(json_object_get(json, "output"));
	struct follow_request request = {
		.json = output && !strcmp(output, "json"),
		.colour = json_is_true(json_object_get(json, "colour")),
	};
	int err = read_columns(json_object_get(json, "columns"), &request.columns, ret_wrong);

	if (!err)
		err = read_filter(json_object_get(json, "filter"), &request.filter, ret_wrong);
	if (err) {
		follow_request_release(&request);
		return err;
	}
	*ret = request;
	return 0;
}

void follow_request_release(struct follow_request *request)
{
	flow_filter_release(&request->filter);
}

/* ---- events --------------------------------------------------------------------------- */

static void add_text(const struct follow_request *request, const struct sst_record *record,
		     const struct record_context *context, struct text *out)
{
	const char *colour = request->colour ? flow_colour(record) : "";

	text_add_string(out, colour);
	if (request->columns.n)
		flow_table_row(record, context, &request->columns, out);
	else
		record_to_line(record, context, out);
	if (*colour && !out->error) {
		out->length--; /* the newline comes last */
		text_add_string(out, FLOW_COLOUR_END "\n");
	}
}

void follow_request_add(const struct follow_request *request, const struct sst_record *record,
			const struct record_context *context, struct text *out)
{
	if (!request->json) {
		add_text(request, record, context, out);
		return;
	}
	record_to_json(record, context, out);
	text_add_string(out, "\n");
}

void follow_request_add_lost(const struct follow_request *request, uint64_t count, struct text *out)
{
	if (!request->json) {
		record_lost_to_line(count, out);
		return;
	}
	record_lost_to_json(count, out);
	text_add_string(out, "\n");
}
