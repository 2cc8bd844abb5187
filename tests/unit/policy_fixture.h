/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the policy compiler's tests: models from a few words, and questions to a set in words.
 *
 *	labels    "app=db,tier=back"
 *	selector  "app=db|web,tier!=front,owner,!old", "" selects all
 *	peers     separated by ";": a selector (of the policy's own namespace, or of any in tiers
 *	          that have none), "team=a : app=db" with namespaces before the colon,
 *	          "net 10.0.0.0/8 - 10.1.0.0/16 - 10.2.0.0/16", "is world"; NULL: everybody
 *	ports     separated by ",": "80", "80-90/UDP", "http", "dns/UDP", "53/any", "*"; NULL: all
 */
#ifndef TESTS_UNIT_POLICY_FIXTURE_H
#define TESTS_UNIT_POLICY_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/address.h"
#include "core/cleanup.h"
#include "model/model.h"
#include "policy/compile.h"

#define FIXTURE_POLICIES 16

/* Room for one more: *array has n elements. Returns the new one, zeroed. */
#define GROW(array, n)                                                    \
	({                                                                \
		(array) = reallocarray(array, (n) + 1, sizeof(*(array))); \
		assert_non_null(array);                                   \
		memset(&(array)[n], 0, sizeof(*(array)));                 \
		&(array)[(n)++];                                          \
	})

static inline char *copy_trimmed(const char *text)
{
	size_t length;

	text += strspn(text, " ");
	length = strlen(text);
	while (length && text[length - 1] == ' ')
		length--;
	return strndup(text, length);
}

/* ---- models ----------------------------------------------------------------------------- */

static inline struct model_labels make_labels(const char *text)
{
	_cleanup_free_ char *copy = strdup(text);
	struct model_labels labels = { 0 };
	char *save, *part;

	for (part = strtok_r(copy, ",", &save); part; part = strtok_r(NULL, ",", &save)) {
		struct model_label *label = GROW(labels.items, labels.n);
		char *value = strchr(part, '=');

		assert_non_null(value);
		*value++ = '\0';
		label->key = strdup(part);
		label->value = strdup(value);
	}
	return labels;
}

static inline void add_values(struct model_requirement *requirement, char *text)
{
	char *save, *part;

	for (part = strtok_r(text, "|", &save); part; part = strtok_r(NULL, "|", &save)) {
		char **value = GROW(requirement->values, requirement->n_values);

		*value = strdup(part);
	}
}

static inline void add_requirement(struct model_selector *selector, char *part)
{
	struct model_requirement *requirement = GROW(selector->requirements, selector->n);
	char *value = strchr(part, '=');

	if (!value) {
		requirement->op = *part == '!' ? MODEL_DOES_NOT_EXIST : MODEL_EXISTS;
		requirement->key = strdup(part + (*part == '!'));
		return;
	}
	*value++ = '\0';
	requirement->op = MODEL_IN;
	if (value[-2] == '!') {
		requirement->op = MODEL_NOT_IN;
		value[-2] = '\0';
	}
	requirement->key = strdup(part);
	add_values(requirement, value);
}

static inline struct model_selector make_selector(const char *text)
{
	_cleanup_free_ char *copy = copy_trimmed(text);
	struct model_selector selector = { 0 };
	char *save, *part;

	for (part = strtok_r(copy, ",", &save); part; part = strtok_r(NULL, ",", &save))
		add_requirement(&selector, part);
	return selector;
}

/* "10.0.0.0/8", "10.0.0.1", "fd00::/8" */
static inline struct model_cidr make_cidr(const char *text)
{
	_cleanup_free_ char *copy = copy_trimmed(text);
	char *bits = strchr(copy, '/');
	struct model_cidr cidr = { .bits = 128 };

	if (bits)
		*bits++ = '\0';
	assert_int_equal(address_parse(copy, &cidr.address), 0);
	if (bits)
		cidr.bits = atoi(bits) + (address_family(&cidr.address) == AF_INET ? 96 : 0);
	return cidr;
}

static inline void add_network(struct model_peer *peer, char *text)
{
	char *save, *part = strtok_r(text, "-", &save);

	peer->kind = MODEL_PEER_NETWORK;
	peer->network = make_cidr(part);
	while ((part = strtok_r(NULL, "-", &save))) {
		struct model_cidr *except = GROW(peer->excepts, peer->n_excepts);

		*except = make_cidr(part);
	}
}

static inline enum sst_reserved_identity reserved(const char *name)
{
	static const char *const names[] = { "unknown", "world", "host", "nodes", "probes" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i]))
			return i;
	fail_msg("no identity %s", name);
	return 0;
}

static inline void add_peer(struct model_rule *rule, const char *text)
{
	struct model_peer *peer = GROW(rule->peers, rule->n_peers);
	_cleanup_free_ char *copy = copy_trimmed(text);
	char *colon;

	if (!strncmp(copy, "net ", 4)) {
		add_network(peer, copy + 4);
		return;
	}
	if (!strncmp(copy, "is ", 3)) {
		peer->kind = MODEL_PEER_RESERVED;
		peer->identity = reserved(copy + 3);
		return;
	}
	colon = strchr(copy, ':');
	if (colon) {
		*colon = '\0';
		peer->namespaces = calloc(1, sizeof(*peer->namespaces));
		*peer->namespaces = make_selector(copy);
	}
	peer->workloads = make_selector(colon ? colon + 1 : copy);
}

static inline uint8_t take_protocol(char *text)
{
	char *protocol = strchr(text, '/');

	if (!protocol)
		return IPPROTO_TCP;
	*protocol++ = '\0';
	return !strcmp(protocol, "any") ? 0 : !strcmp(protocol, "UDP") ? IPPROTO_UDP : IPPROTO_TCP;
}

static inline void add_port(struct model_rule *rule, char *text)
{
	struct model_port_match *match = GROW(rule->ports, rule->n_ports);
	char *last;

	match->protocol = take_protocol(text);
	if (*text == '*') {
		match->last = 65535;
	} else if (isdigit(*text)) {
		match->first = strtoul(text, &last, 10);
		match->last = *last ? atoi(last + 1) : match->first;
	} else {
		match->name = strdup(text);
	}
}

static inline struct model *make_model(void)
{
	struct model *model = model_new("test.yaml");

	assert_non_null(model);
	/* pointers to policies stay good */
	model->policies = calloc(FIXTURE_POLICIES, sizeof(*model->policies));
	assert_non_null(model->policies);
	return model;
}

static inline void add_namespace(struct model *model, const char *name, const char *labels)
{
	struct model_namespace *name_space = GROW(model->namespaces, model->n_namespaces);
	struct model_label *label;

	name_space->name = strdup(name);
	name_space->labels = make_labels(labels);
	label = GROW(name_space->labels.items, name_space->labels.n);
	label->key = strdup(MODEL_NAMESPACE_LABEL);
	label->value = strdup(name);
}

static inline void need_namespace(struct model *model, const char *name)
{
	for (size_t i = 0; i < model->n_namespaces; i++)
		if (!strcmp(model->namespaces[i].name, name))
			return;
	add_namespace(model, name, "");
}

/* addresses and ports are separated by ","; a port is "http=80/TCP". "" for none. */
static inline struct model_workload *add_workload(struct model *model, const char *name_space,
						  const char *name, const char *labels,
						  const char *addresses, const char *ports)
{
	struct model_workload *workload = GROW(model->workloads, model->n_workloads);
	_cleanup_free_ char *cidrs = strdup(addresses), *names = strdup(ports);
	char *save, *part;

	need_namespace(model, name_space);
	workload->name = strdup(name);
	workload->name_space = strdup(name_space);
	workload->labels = make_labels(labels);
	for (part = strtok_r(cidrs, ",", &save); part; part = strtok_r(NULL, ",", &save)) {
		struct model_cidr *cidr = GROW(workload->addresses, workload->n_addresses);

		*cidr = make_cidr(part);
	}
	for (part = strtok_r(names, ",", &save); part; part = strtok_r(NULL, ",", &save)) {
		struct model_named_port *port = GROW(workload->ports, workload->n_ports);
		char *number = strchr(part, '=');

		*number++ = '\0';
		port->name = strdup(part);
		port->protocol = take_protocol(number);
		port->port = atoi(number);
	}
	return workload;
}

static inline struct model_policy *add_policy(struct model *model, enum sst_tier tier,
					      const char *name_space, const char *name,
					      const char *subject)
{
	struct model_policy *policy = &model->policies[model->n_policies++];

	assert_in_range(model->n_policies, 1, FIXTURE_POLICIES);
	if (tier == SST_TIER_NETWORK)
		need_namespace(model, name_space);
	policy->tier = tier;
	policy->name_space = strdup(name_space);
	policy->name = strdup(name);
	policy->subject = make_selector(subject);
	return policy;
}

static inline struct model_rule *add_rule(struct model_policy *policy, enum sst_direction direction,
					  enum sst_action action, const char *peers,
					  const char *ports)
{
	struct model_rule *rule = GROW(policy->rules, policy->n_rules);
	_cleanup_free_ char *whom = strdup(peers ?: ""), *which = strdup(ports ?: "");
	char *save, *part;

	rule->direction = direction;
	rule->action = action;
	rule->any_peer = !peers;
	if (peers && !*peers)
		add_peer(rule, "");
	for (part = strtok_r(whom, ";", &save); part; part = strtok_r(NULL, ";", &save))
		add_peer(rule, part);
	for (part = strtok_r(which, ",", &save); part; part = strtok_r(NULL, ",", &save))
		add_port(rule, part);
	return rule;
}

/* ---- compiling ---------------------------------------------------------------------------- */

static inline struct policy_set
compile_after(const struct model *model, const struct policy_set *before, struct policy_ids *ids)
{
	_cleanup_problems_ struct problems problems = { 0 };
	struct policy_host host = { 0 };
	struct policy_set set = { 0 };
	int r = policy_compile(model, &host, before, ids, &problems, &set);

	if (problems.count)
		print_error("%s\n", problems.text[0]);
	assert_int_equal(r, 0);
	return set;
}

static inline struct policy_set compile(const struct model *model)
{
	struct policy_set nothing = { 0 };
	struct policy_ids ids = { 0 };

	return compile_after(model, &nothing, &ids);
}

/* ---- asking -------------------------------------------------------------------------------- */

/* The index of a workload's or a reserved identity; "shop/db", "world". */
static inline uint32_t find_identity(const struct policy_set *set, const char *name)
{
	const char *slash = strchr(name, '/');

	if (!slash)
		return reserved(name);
	for (uint32_t i = 1; i < policy_head(set)->n_workloads; i++) {
		const struct sst_policy_workload *workload = policy_workload(set, i);
		const char *name_space =
			policy_text(set, policy_identity(set, workload->identity)->name_space);

		if (!strcmp(policy_text(set, workload->name), slash + 1) &&
		    !strncmp(name_space, name, slash - name) && !name_space[slash - name])
			return workload->identity;
	}
	fail_msg("no workload %s", name);
	return 0;
}

static inline struct sst_policy_place locate(const struct policy_set *set, const char *text)
{
	struct sst_addr address;

	assert_int_equal(address_parse(text, &address), 0);
	return policy_locate(set, &address);
}

/* peer: a workload, a reserved identity, or an address. */
static inline struct sst_policy_decision ask(const struct policy_set *set,
					     enum sst_direction direction, const char *subject,
					     const char *peer, uint16_t port, uint8_t protocol)
{
	struct sst_policy_query query = {
		.subject = find_identity(set, subject),
		.port = port,
		.protocol = protocol,
		.direction = direction,
	};

	if (strpbrk(peer, ".:")) {
		struct sst_policy_place place = locate(set, peer);

		query.peer = place.identity;
		query.peer_network = place.network;
	} else {
		query.peer = find_identity(set, peer);
	}
	return policy_decide(set, &query);
}

/* "deny shop/db-ingress/isolated", "allow /default/"; nothing decides: "allow". Static. */
static inline const char *rule_text(const struct policy_set *set, bool denied, uint32_t id)
{
	static char text[200];
	const struct sst_policy_info *info = policy_info_by_id(set, id);

	snprintf(text, sizeof(text), "%s", denied ? "deny" : "allow");
	if (info)
		snprintf(text, sizeof(text), "%s %s/%s/%s", denied ? "deny" : "allow",
			 policy_text(set, info->name_space), policy_text(set, info->policy),
			 policy_text(set, info->rule));
	return text;
}

#define assert_decision(set, direction, subject, peer, port, protocol, expected)      \
	do {                                                                          \
		struct sst_policy_decision _d =                                       \
			ask(set, direction, subject, peer, port, IPPROTO_##protocol); \
		assert_string_equal(rule_text(set, _d.denied, _d.rule), expected);    \
	} while (0)
#define assert_ingress(set, subject, peer, port, protocol, expected) \
	assert_decision(set, SST_INGRESS, subject, peer, port, protocol, expected)
#define assert_egress(set, subject, peer, port, protocol, expected) \
	assert_decision(set, SST_EGRESS, subject, peer, port, protocol, expected)

/* The answer if all in shadow were enforced, and by whom; "": they have no say. */
#define assert_shadow(set, direction, subject, peer, port, protocol, expected)                    \
	do {                                                                                      \
		struct sst_policy_decision _d =                                                   \
			ask(set, direction, subject, peer, port, IPPROTO_##protocol);             \
		assert_string_equal(_d.shadow ? rule_text(set, _d.shadow_denied, _d.shadow) : "", \
				    expected);                                                    \
	} while (0)

#endif
