/* SPDX-License-Identifier: Apache-2.0 */
/* What is compiled, in a few words. */
#include "policy/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/address.h"
#include "core/cleanup.h"

/* More peers, ports or values than these are told by their number. */
#define NAMED_MAX 4

static void add_more(struct text *out, size_t n)
{
	if (n > NAMED_MAX)
		text_add(out, " and %zu more", n - NAMED_MAX);
}

static size_t named(size_t n)
{
	return n < NAMED_MAX ? n : NAMED_MAX;
}

/* ---- labels ---------------------------------------------------------------------------- */

static int compare_labels(const void *a, const void *b)
{
	const struct model_label *x = a, *y = b;

	return strcmp(x->key, y->key);
}

/* So that no two sets of labels have the same text. */
static void add_escaped(struct text *out, const char *string)
{
	while (*string) {
		size_t plain = strcspn(string, ",=\\");

		text_add_bytes(out, string, plain);
		string += plain;
		if (*string)
			text_add(out, "\\%c", *string++);
	}
}

void policy_describe_labels(const struct model_labels *labels, struct text *out)
{
	_cleanup_free_ struct model_label *sorted = calloc(labels->n + 1, sizeof(*sorted));

	if (!sorted) {
		out->error = -ENOMEM;
		return;
	}
	if (labels->n)
		memcpy(sorted, labels->items, labels->n * sizeof(*sorted));
	qsort(sorted, labels->n, sizeof(*sorted), compare_labels);
	for (size_t i = 0; i < labels->n; i++) {
		text_add(out, "%s", i ? "," : "");
		add_escaped(out, sorted[i].key);
		text_add(out, "=");
		add_escaped(out, sorted[i].value);
	}
}

/* ---- selectors -------------------------------------------------------------------------- */

/* "app=web", "app!=web", "app in (web,db)", "app not in (web,db)", "app", "!app" */
static void add_requirement(struct text *out, const struct model_requirement *requirement)
{
	bool negative = requirement->op == MODEL_NOT_IN;
	size_t n = requirement->n_values;

	text_add(out, "%s%s", requirement->op == MODEL_DOES_NOT_EXIST ? "!" : "", requirement->key);
	if (n == 1)
		text_add(out, "%s%s", negative ? "!=" : "=", requirement->values[0]);
	if (n <= 1)
		return;
	text_add(out, negative ? " not in (" : " in (");
	for (size_t i = 0; i < named(n); i++)
		text_add(out, "%s%s", i ? "," : "", requirement->values[i]);
	add_more(out, n);
	text_add(out, ")");
}

static void add_selector(struct text *out, const struct model_selector *selector)
{
	if (!selector->n)
		text_add(out, "all");
	for (size_t i = 0; i < selector->n; i++) {
		text_add(out, "%s", i ? "," : "");
		add_requirement(out, &selector->requirements[i]);
	}
}

/* "app=web", "app=web of namespaces team=a" */
static void add_selected(struct text *out, const struct model_selector *namespaces,
			 const struct model_selector *workloads)
{
	add_selector(out, workloads);
	if (namespaces && namespaces->n) {
		text_add(out, " of namespaces ");
		add_selector(out, namespaces);
	} else if (namespaces) {
		text_add(out, " of all namespaces");
	}
}

/* ---- rules ------------------------------------------------------------------------------- */

static void add_cidr(struct text *out, const struct model_cidr *cidr)
{
	char text[ADDRESS_TEXT_MAX];
	bool v4 = cidr->bits >= 96 && address_family(&cidr->address) == AF_INET;

	text_add(out, "%s", address_format(&cidr->address, text));
	if (cidr->bits < 128)
		text_add(out, "/%u", v4 ? cidr->bits - 96 : cidr->bits);
}

static void add_network(struct text *out, const struct model_peer *peer)
{
	add_cidr(out, &peer->network);
	for (size_t i = 0; i < named(peer->n_excepts); i++) {
		text_add(out, "%s", i ? ", " : " except ");
		add_cidr(out, &peer->excepts[i]);
	}
	add_more(out, peer->n_excepts);
}

static void add_peer(struct text *out, const struct model_peer *peer)
{
	static const char *const reserved[] = { "unknown", "world", "host", "nodes", "probes" };

	switch (peer->kind) {
	case MODEL_PEER_WORKLOADS:
		add_selected(out, peer->namespaces, &peer->workloads);
		return;
	case MODEL_PEER_NETWORK:
		add_network(out, peer);
		return;
	case MODEL_PEER_RESERVED:
		text_add(out, "%s", reserved[peer->identity]);
		return;
	}
}

static void add_peers(struct text *out, const struct model_rule *rule)
{
	if (rule->any_peer)
		text_add(out, "everybody");
	else if (!rule->n_peers)
		text_add(out, "nobody");
	for (size_t i = 0; i < named(rule->n_peers); i++) {
		text_add(out, "%s", i ? " or " : "");
		add_peer(out, &rule->peers[i]);
	}
	add_more(out, rule->n_peers);
}

static void add_port(struct text *out, const struct model_port_match *match)
{
	const char *protocol = match->protocol ? protocol_name(match->protocol) : "any";

	if (match->name)
		text_add(out, "%s/%s", match->name, protocol);
	else if (match->first == match->last)
		text_add(out, "%u/%s", match->first, protocol);
	else if (!match->first && match->last == 65535)
		text_add(out, "%s", match->protocol ? protocol : "all ports");
	else
		text_add(out, "%u-%u/%s", match->first, match->last, protocol);
}

void policy_describe(const struct model_policy *policy, const struct model_rule *rule,
		     enum sst_direction direction, struct text *out)
{
	add_selected(out, policy->subject_namespaces, &policy->subject);
	if (!rule) {
		text_add(out, " isolated");
		return;
	}
	text_add(out, direction == SST_INGRESS ? " <- " : " -> ");
	add_peers(out, rule);
	for (size_t i = 0; i < named(rule->n_ports); i++) {
		text_add(out, "%s", i ? "," : " ");
		add_port(out, &rule->ports[i]);
	}
	add_more(out, rule->n_ports);
}

/* ---- workloads ---------------------------------------------------------------------------- */

void policy_describe_how(const struct model_workload *workload, struct text *out)
{
	if (workload->cgroup)
		text_add(out, "cgroup %s", workload->cgroup);
	if (workload->cgroup_id)
		text_add(out, "%scgroup id %llu", out->length ? ", " : "",
			 (unsigned long long)workload->cgroup_id);
	if (workload->netns)
		text_add(out, "%snetns %s", out->length ? ", " : "", workload->netns);
	for (size_t i = 0; i < workload->n_addresses; i++) {
		text_add(out, "%s", out->length ? ", " : "");
		add_cidr(out, &workload->addresses[i]);
	}
}
