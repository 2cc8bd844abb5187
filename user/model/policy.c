/* SPDX-License-Identifier: Apache-2.0 */
#include "model/policy.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/address.h"

/* ---- selecting ------------------------------------------------------------------ */

const char *model_label_value(const struct model_labels *labels, const char *key)
{
	for (size_t i = 0; i < labels->n; i++)
		if (!strcmp(labels->items[i].key, key))
			return labels->items[i].value;
	return NULL;
}

static bool is_among(const struct model_requirement *requirement, const char *value)
{
	for (size_t i = 0; i < requirement->n_values; i++)
		if (!strcmp(requirement->values[i], value))
			return true;
	return false;
}

static bool is_met(const struct model_requirement *requirement, const struct model_labels *labels)
{
	const char *value = model_label_value(labels, requirement->key);

	switch (requirement->op) {
	case MODEL_IN:
		return value && is_among(requirement, value);
	case MODEL_NOT_IN:
		return !value || !is_among(requirement, value);
	case MODEL_EXISTS:
		return value;
	case MODEL_DOES_NOT_EXIST:
		return !value;
	}
	return false;
}

bool model_selects(const struct model_selector *selector, const struct model_labels *labels)
{
	for (size_t i = 0; i < selector->n; i++)
		if (!is_met(&selector->requirements[i], labels))
			return false;
	return true;
}

bool model_cidr_holds(const struct model_cidr *cidr, const struct sst_addr *address)
{
	const uint8_t *a = (const void *)&cidr->address, *b = (const void *)address;
	unsigned whole = cidr->bits / 8, rest = cidr->bits % 8;

	if (cidr->bits < 96 && address_family(address) == AF_INET)
		return false;
	if (memcmp(a, b, whole))
		return false;
	return !rest || !((a[whole] ^ b[whole]) >> (8 - rest));
}

/* ---- releasing ------------------------------------------------------------------ */

void model_labels_release(struct model_labels *labels)
{
	for (size_t i = 0; i < labels->n; i++) {
		free(labels->items[i].key);
		free(labels->items[i].value);
	}
	free(labels->items);
	*labels = (struct model_labels){ 0 };
}

static void release_requirement(struct model_requirement *requirement)
{
	for (size_t i = 0; i < requirement->n_values; i++)
		free(requirement->values[i]);
	free(requirement->values);
	free(requirement->key);
}

void model_selector_release(struct model_selector *selector)
{
	for (size_t i = 0; i < selector->n; i++)
		release_requirement(&selector->requirements[i]);
	free(selector->requirements);
	*selector = (struct model_selector){ 0 };
}

static void free_selector(struct model_selector *selector)
{
	if (selector)
		model_selector_release(selector);
	free(selector);
}

static void release_peer(struct model_peer *peer)
{
	free_selector(peer->namespaces);
	model_selector_release(&peer->workloads);
	free(peer->excepts);
}

void model_rule_release(struct model_rule *rule)
{
	for (size_t i = 0; i < rule->n_peers; i++)
		release_peer(&rule->peers[i]);
	for (size_t i = 0; i < rule->n_ports; i++)
		free(rule->ports[i].name);
	free(rule->peers);
	free(rule->ports);
	free(rule->name);
}

void model_policy_release(struct model_policy *policy)
{
	for (size_t i = 0; i < policy->n_rules; i++)
		model_rule_release(&policy->rules[i]);
	free(policy->rules);
	free_selector(policy->subject_namespaces);
	model_selector_release(&policy->subject);
	free(policy->name);
	free(policy->name_space);
	*policy = (struct model_policy){ 0 };
}

void model_namespace_release(struct model_namespace *namespace)
{
	model_labels_release(&namespace->labels);
	free(namespace->name);
}
