/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/lint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/address.h"
#include "core/cleanup.h"
#include "core/seen.h"
#include "core/text.h"
#include "policy/label.h"
#include "policy/reach.h"

struct lint {
	const struct model *model;
	const struct model_labels **namespaces; /* of the namespace of each workload */
	struct problems *warnings;
};

#define WARN(lint, place, ...) \
	problems_warn((lint)->warnings, (lint)->model->source, place, __VA_ARGS__)

/* ---- selectors ------------------------------------------------------------------ */

static const struct model_labels *labels_of_namespace(const struct model *model, const char *name)
{
	for (size_t i = 0; i < model->n_namespaces; i++)
		if (!strcmp(model->namespaces[i].name, name))
			return &model->namespaces[i].labels;
	return NULL;
}

/* As policies select: by the namespaces' labels, or for NULL in one namespace. */
struct selection {
	const char *name_space;
	const struct model_selector *namespaces;
	const struct model_selector *workloads;
};

static struct selection subject_of(const struct model_policy *policy)
{
	bool own = policy->tier == SST_TIER_NETWORK;

	return (struct selection){ own ? policy->name_space : NULL, policy->subject_namespaces,
				   &policy->subject };
}

static struct selection peer_of(const struct model_policy *policy, const struct model_peer *peer)
{
	bool own = policy->tier == SST_TIER_NETWORK && !peer->namespaces;

	return (struct selection){ own ? policy->name_space : NULL, peer->namespaces,
				   &peer->workloads };
}

static bool selects(const struct lint *lint, const struct selection *selection, size_t i)
{
	const struct model_workload *workload = &lint->model->workloads[i];

	if (selection->name_space && strcmp(selection->name_space, workload->name_space))
		return false;
	if (selection->namespaces &&
	    (!lint->namespaces[i] || !model_selects(selection->namespaces, lint->namespaces[i])))
		return false;
	return model_selects(selection->workloads, &workload->labels);
}

static bool selects_any(const struct lint *lint, const struct selection *selection)
{
	for (size_t i = 0; i < lint->model->n_workloads; i++)
		if (selects(lint, selection, i))
			return true;
	return false;
}

/* "subject", "peer": what selects nothing now, or everything. idle: what comes of nothing. */
static void lint_selection(const struct lint *lint, const struct selection *selection,
			   const char *what, const char *idle, struct place place)
{
	bool all_namespaces = !selection->namespaces || !selection->namespaces->n;

	if (!selection->workloads->n && all_namespaces && selection->name_space)
		WARN(lint, place, "the %s is empty: it selects every workload of namespace '%s'",
		     what, selection->name_space);
	else if (!selection->workloads->n && all_namespaces)
		WARN(lint, place, "the %s is empty: it selects every workload", what);
	if (!selects_any(lint, selection))
		WARN(lint, place, "the %s selects no workload now: %s", what, idle);
}

/* ---- ports ------------------------------------------------------------------------ */

static bool carries(const struct model_workload *workload, const struct model_port_match *match)
{
	for (size_t i = 0; i < workload->n_ports; i++)
		if (!strcmp(workload->ports[i].name, match->name) &&
		    (!match->protocol || match->protocol == workload->ports[i].protocol))
			return true;
	return false;
}

/* Who is called gives names to ports: in ingress the subject, in egress anybody. */
static void lint_port(const struct lint *lint, const struct model_policy *policy,
		      const struct model_rule *rule, const struct model_port_match *match)
{
	const struct selection subject = subject_of(policy);
	bool ingress = rule->direction == SST_INGRESS;

	for (size_t i = 0; i < lint->model->n_workloads; i++)
		if ((!ingress || selects(lint, &subject, i)) &&
		    carries(&lint->model->workloads[i], match))
			return;
	WARN(lint, match->place, "no port of %s is called '%s': it matches nothing until one is",
	     ingress ? "the selected workloads" : "any workload", match->name);
}

/* ---- networks ----------------------------------------------------------------------- */

static char *cidr_text(const struct model_cidr *cidr, char *buf)
{
	return address_prefix_format(&cidr->address, cidr->bits, buf);
}

static bool lies_within(const struct model_cidr *inner, const struct model_cidr *outer)
{
	return inner->bits >= outer->bits && model_cidr_holds(outer, &inner->address);
}

/* Whether the excepted ones make up all of it. */
static bool is_covered(const struct model_peer *peer, const struct model_cidr *network)
{
	struct model_cidr half = { network->address, network->bits + 1, {} };
	bool split = false;

	for (size_t i = 0; i < peer->n_excepts; i++) {
		if (lies_within(network, &peer->excepts[i]))
			return true;
		split |= lies_within(&peer->excepts[i], network);
	}
	if (!split)
		return false;
	if (!is_covered(peer, &half))
		return false;
	((uint8_t *)&half.address)[network->bits / 8] |= 0x80 >> network->bits % 8;
	return is_covered(peer, &half);
}

static bool matches(const struct model_peer *peer, const struct model_cidr *cidr)
{
	for (size_t i = 0; i < peer->n_excepts; i++)
		if (lies_within(cidr, &peer->excepts[i]))
			return false;
	return lies_within(cidr, &peer->network);
}

/* The first workload of whose addresses the peer's network holds some; NULL: none. */
static const struct model_workload *held_by(const struct lint *lint, const struct model_peer *peer)
{
	for (size_t i = 0; i < lint->model->n_workloads; i++) {
		const struct model_workload *workload = &lint->model->workloads[i];

		for (size_t j = 0; j < workload->n_addresses; j++)
			if (matches(peer, &workload->addresses[j]))
				return workload;
	}
	return NULL;
}

static bool matches_address(const struct model_peer *peer, const struct sst_addr *address)
{
	const struct model_cidr cidr = { *address, 128, {} };

	return matches(peer, &cidr);
}

static bool matches_endpoint(const struct model_service *service, const struct model_peer *peer)
{
	for (size_t i = 0; i < service->n_ports; i++)
		for (size_t j = 0; j < service->ports[i].n_endpoints; j++)
			if (matches_address(peer, &service->ports[i].endpoints[j].address))
				return true;
	return false;
}

/* A service one of whose addresses the peer's network holds, where it holds no endpoint: these
 * are what policies are asked about. NULL: none. */
static const struct model_service *meant_by(const struct lint *lint, const struct model_peer *peer)
{
	const struct model_service *meant = NULL;

	for (size_t i = 0; i < lint->model->n_services; i++) {
		const struct model_service *service = &lint->model->services[i];

		if (matches_endpoint(service, peer))
			return NULL;
		for (size_t j = 0; !meant && j < service->n_addresses; j++)
			if (matches_address(peer, &service->addresses[j]))
				meant = service;
	}
	return meant;
}

static void lint_network(const struct lint *lint, const struct model_peer *peer)
{
	const struct model_service *service = meant_by(lint, peer);
	const struct model_workload *workload = held_by(lint, peer);
	char cidr[ADDRESS_TEXT_MAX];

	cidr_text(&peer->network, cidr);
	if (is_covered(peer, &peer->network))
		WARN(lint, peer->place, "all of %s is excepted: it matches nobody", cidr);
	if (workload)
		WARN(lint, peer->place,
		     "%s holds addresses of workloads, as of '%s/%s': they match, too", cidr,
		     workload->name_space, workload->name);
	if (service && !workload)
		WARN(lint, peer->place,
		     "%s holds an address of service '%s' and no endpoint: rules look at the "
		     "endpoint that is chosen, never at the service",
		     cidr, service->name);
}

/* A network beside one that holds it. */
static void lint_overlaps(const struct lint *lint, const struct model_rule *rule, size_t n)
{
	const struct model_peer *inner = &rule->peers[n];

	for (size_t i = 0; i < rule->n_peers; i++) {
		const struct model_peer *outer = &rule->peers[i];
		char a[ADDRESS_TEXT_MAX], b[ADDRESS_TEXT_MAX];

		if (i == n || outer->kind != MODEL_PEER_NETWORK ||
		    !lies_within(&inner->network, &outer->network))
			continue;
		if (inner->network.bits == outer->network.bits && i > n)
			continue; /* the same one twice: told of the second */
		WARN(lint, inner->place, "%s lies within %s of the same rule, %s",
		     cidr_text(&inner->network, a), cidr_text(&outer->network, b),
		     outer->n_excepts ? "which counts as well: one is enough to match"
				      : "which matches all of it: this one changes nothing");
		return;
	}
}

/* ---- policies ------------------------------------------------------------------------- */

static void lint_rule(const struct lint *lint, const struct model_policy *policy,
		      const struct model_rule *rule)
{
	for (size_t i = 0; i < rule->n_peers; i++) {
		const struct model_peer *peer = &rule->peers[i];
		const struct selection selection = peer_of(policy, peer);

		if (peer->kind == MODEL_PEER_WORKLOADS)
			lint_selection(lint, &selection, "peer", "it matches nobody", peer->place);
		if (peer->kind != MODEL_PEER_NETWORK)
			continue;
		lint_network(lint, peer);
		lint_overlaps(lint, rule, i);
	}
	for (size_t i = 0; i < rule->n_ports; i++)
		if (rule->ports[i].name)
			lint_port(lint, policy, rule, &rule->ports[i]);
}

static void lint_policies(const struct lint *lint)
{
	for (size_t i = 0; i < lint->model->n_policies; i++) {
		const struct model_policy *policy = &lint->model->policies[i];
		const struct selection subject = subject_of(policy);

		lint_selection(lint, &subject, "subject", "the policy does nothing", policy->place);
		for (size_t j = 0; j < policy->n_rules; j++)
			lint_rule(lint, policy, &policy->rules[j]);
	}
}

/* ---- addresses of workloads --------------------------------------------------------------- */

struct owned {
	const struct model_cidr *cidr;
	const struct model_workload *workload;
};

static int compare_owned(const void *a, const void *b)
{
	const struct owned *x = a, *y = b;
	int order = address_compare(&x->cidr->address, &y->cidr->address);

	return order ?: x->cidr->bits - y->cidr->bits;
}

static void warn_of_owned(const struct lint *lint, const struct owned *inner,
			  const struct owned *outer)
{
	char a[ADDRESS_TEXT_MAX], b[ADDRESS_TEXT_MAX];

	if (inner->workload == outer->workload)
		return;
	WARN(lint, inner->cidr->place,
	     "%s of '%s/%s' lies within %s of '%s/%s': it is the former's",
	     cidr_text(inner->cidr, a), inner->workload->name_space, inner->workload->name,
	     cidr_text(outer->cidr, b), outer->workload->name_space, outer->workload->name);
}

/* Sorted, a network stands behind all that hold it; nested ones make a stack. */
static void lint_owned(const struct lint *lint, const struct owned *owned, size_t n)
{
	const struct owned *holders[129];
	size_t depth = 0;

	for (size_t i = 0; i < n; i++) {
		while (depth && !lies_within(owned[i].cidr, holders[depth - 1]->cidr))
			depth--;
		if (depth)
			warn_of_owned(lint, &owned[i], holders[depth - 1]);
		/* equal ones do not nest deeper, so 129 are enough */
		if (!depth || holders[depth - 1]->cidr->bits < owned[i].cidr->bits)
			holders[depth++] = &owned[i];
	}
}

static int lint_addresses(const struct lint *lint)
{
	const struct model *model = lint->model;
	_cleanup_free_ struct owned *owned = NULL;
	size_t n = 0;

	for (size_t i = 0; i < model->n_workloads; i++)
		n += model->workloads[i].n_addresses;
	owned = calloc(n + 1, sizeof(*owned));
	if (!owned)
		return -ENOMEM;
	n = 0;
	for (size_t i = 0; i < model->n_workloads; i++)
		for (size_t j = 0; j < model->workloads[i].n_addresses; j++)
			owned[n++] = (struct owned){ &model->workloads[i].addresses[j],
						     &model->workloads[i] };
	qsort(owned, n, sizeof(*owned), compare_owned);
	lint_owned(lint, owned, n);
	return 0;
}

/* ---- rules that never decide -------------------------------------------------------------- */

/* What a rule is known by in both the model and the set. */
static int add_key(struct seen *keys, enum sst_tier tier, enum sst_direction direction,
		   const char *name_space, const char *policy, const char *rule,
		   struct seen_first who, struct seen_first *ret)
{
	_cleanup_text_ struct text key = {};

	text_add(&key, "%u %u %s/%s/%s", tier, direction, name_space, policy, rule);
	return key.error ?: seen_add(keys, text_string(&key), key.length, who, ret);
}

static int add_policy_keys(struct seen *keys, const struct model_policy *policy)
{
	unsigned counts[SST_DIRECTIONS] = {};
	struct seen_first first;

	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct model_rule *rule = &policy->rules[i];
		_cleanup_text_ struct text name = {};
		int err;

		text_add(&name, "%s[%u]", rule->direction == SST_INGRESS ? "ingress" : "egress",
			 counts[rule->direction]++);
		err = name.error
			      ?: add_key(keys, policy->tier, rule->direction, policy->name_space,
					 policy->name, rule->name ?: text_string(&name),
					 (struct seen_first){ rule->place, rule }, &first);
		if (err && err != -EEXIST)
			return err;
	}
	return 0;
}

/* Where the rule stands; the model's place is better than the set's line. */
static struct place place_of(struct seen *keys, const struct policy_set *set,
			     const struct sst_policy_info *info)
{
	struct place line = { .line = info->line, .column = 1 };
	struct seen_first first = {};
	int err = add_key(keys, info->tier, info->direction, policy_text(set, info->name_space),
			  policy_text(set, info->policy), policy_text(set, info->rule),
			  (struct seen_first){ line, NULL }, &first);

	return err == -EEXIST ? first.place : line;
}

static void lint_reach(const struct lint *lint, const struct policy_set *set, struct seen *keys,
		       const struct sst_policy_info *info, const struct reach *reach)
{
	_cleanup_text_ struct text rule = {}, other = {};

	policy_label_rule(set, info->id, &rule);
	policy_label_rule(set, reach->hidden_by, &other);
	if (reach->matches && !reach->decides)
		WARN(lint, place_of(keys, set, info),
		     "rule '%s' can never decide: '%s' and the like are asked before",
		     text_string(&rule), text_string(&other));
	else if (info->action == SST_ACTION_PASS && reach->decides && !reach->matters)
		WARN(lint, place_of(keys, set, info),
		     "rule '%s' passes on what no later rule of the admin tier would decide otherwise",
		     text_string(&rule));
}

static int lint_reaches(const struct lint *lint, const struct policy_set *set)
{
	_cleanup_free_ struct reach *reach = NULL;
	_cleanup_seen_ struct seen keys = {};
	int err = policy_reach(set, LINT_WORDS_MAX, &reach);
	uint32_t unknown = 0;

	for (size_t i = 0; i < lint->model->n_policies && !err; i++)
		err = add_policy_keys(&keys, &lint->model->policies[i]);
	for (uint32_t i = 0; !err && i < policy_head(set)->n_infos; i++) {
		unknown += reach[i].unknown;
		if (!reach[i].unknown)
			lint_reach(lint, set, &keys, policy_info(set, i), &reach[i]);
	}
	if (unknown)
		WARN(lint, (struct place){},
		     "%u rules are about too many to find out whether they ever decide", unknown);
	return err;
}

int policy_lint(const struct model *model, const struct policy_set *set, struct problems *warnings)
{
	_cleanup_free_ const struct model_labels **namespaces =
		calloc(model->n_workloads + 1, sizeof(*namespaces));
	const struct lint lint = { model, namespaces, warnings };
	int err;

	if (!namespaces)
		return -ENOMEM;
	for (size_t i = 0; i < model->n_workloads; i++)
		namespaces[i] = labels_of_namespace(model, model->workloads[i].name_space);
	lint_policies(&lint);
	err = lint_addresses(&lint);
	if (!err && !policy_set_is_empty(set))
		err = lint_reaches(&lint, set);
	return err;
}
