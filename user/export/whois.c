/* SPDX-License-Identifier: Apache-2.0 */
#include "export/whois.h"

#include "export/json.h"
#include "policy/label.h"

void whois_text(const struct policy_set *set, uint32_t identity, uint32_t workload,
		struct text *out)
{
	if (workload)
		policy_label_workload(set, workload, out);
	else
		policy_label_identity(set, identity, out);
}

static json_t *text_json(struct text *text)
{
	json_t *json = text->error ? NULL : json_string(text_string(text));

	text_release(text);
	return json;
}

static json_t *workload_json(const struct policy_set *set, uint32_t workload)
{
	struct text text = {};

	if (!workload)
		return json_null();
	policy_label_workload(set, workload, &text);
	return text_json(&text);
}

json_t *whois_json(const struct policy_set *set, uint32_t identity, uint32_t workload)
{
	const struct sst_policy_identity *who = policy_identity_by_id(set, identity);
	json_t *object = json_object();

	json_set(&object, "id", json_integer(identity));
	json_set(&object, "namespace", json_text(who ? policy_text(set, who->name_space) : NULL));
	json_set(&object, "labels", json_text(who ? policy_text(set, who->labels) : NULL));
	json_set(&object, "workload", workload_json(set, workload));
	return object;
}

void whois_line(const struct policy_set *set, uint32_t identity, uint32_t workload,
		struct json_line *line)
{
	const struct sst_policy_identity *who = policy_identity_by_id(set, identity);

	json_line_literal(line, "{\"id\":");
	json_line_number(line, identity);
	json_line_literal(line, ",\"namespace\":");
	json_line_string(line, who ? policy_text(set, who->name_space) : NULL);
	json_line_literal(line, ",\"labels\":");
	json_line_string(line, who ? policy_text(set, who->labels) : NULL);
	json_line_literal(line, ",\"workload\":");
	if (workload) {
		policy_label_workload(set, workload, json_line_open_string(line));
		json_line_close_string(line);
	} else {
		json_line_literal(line, "null");
	}
	json_line_literal(line, "}");
}

json_t *rule_json(const struct policy_set *set, uint32_t rule)
{
	struct text text = {};

	if (!rule)
		return json_null();
	policy_label_rule(set, rule, &text);
	return text_json(&text);
}

const char *ruling_name(bool denied)
{
	return denied ? "denied" : "allowed";
}
