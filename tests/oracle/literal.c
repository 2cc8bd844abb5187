/* SPDX-License-Identifier: Apache-2.0 */
#include "oracle/literal.h"

#include <stdlib.h>
#include <string.h>

/* ---- addresses ------------------------------------------------------------------ */

static unsigned bit_of(const struct sst_addr *address, unsigned n)
{
	return ((const uint8_t *)address)[n / 8] >> (7 - n % 8) & 1;
}

static bool starts_as(const struct sst_addr *a, const struct sst_addr *b, unsigned bits)
{
	for (unsigned i = 0; i < bits; i++)
		if (bit_of(a, i) != bit_of(b, i))
			return false;
	return true;
}

static bool is_v4(const struct sst_addr *address)
{
	static const struct sst_addr mapped = { { 0, 0, __builtin_bswap32(0xffff), 0 } };

	return starts_as(address, &mapped, 96);
}

/* "0.0.0.0/0" will match IPv4, "::/0" will match IPv6: families do not mix. */
static bool holds(const struct model_cidr *cidr, const struct sst_addr *address)
{
	bool cidr_is_v4 = cidr->bits >= 96 && is_v4(&cidr->address);

	return cidr_is_v4 == is_v4(address) && starts_as(&cidr->address, address, cidr->bits);
}

/* The longest of the prefixes that hold an address, and whose it is. */
struct longest {
	const struct sst_addr *address;
	int bits;
	struct actor owner;
};

static void consider(struct longest *longest, const struct model_cidr *cidr, size_t workload,
		     enum sst_reserved_identity identity)
{
	if (cidr->bits <= longest->bits || !holds(cidr, longest->address))
		return;
	longest->bits = cidr->bits;
	longest->owner = (struct actor){ workload, identity };
}

static void consider_host(struct longest *longest, const struct policy_host *host)
{
	static const struct model_cidr loopback[] = {
		{ { { 0, 0, __builtin_bswap32(0xffff), __builtin_bswap32(0x7f000000) } }, 104 },
		{ { { 0, 0, 0, __builtin_bswap32(1) } }, 128 },
	};

	for (int i = 0; i < 2; i++)
		consider(longest, &loopback[i], NOBODY, SST_IDENTITY_HOST);
	for (size_t i = 0; i < host->n_addresses; i++) {
		struct model_cidr cidr = { .address = host->addresses[i], .bits = 128 };

		consider(longest, &cidr, NOBODY, SST_IDENTITY_HOST);
	}
}

struct actor literal_owner(const struct cluster *cluster, const struct sst_addr *address)
{
	const struct model *model = &cluster->model;
	const struct model_policy_settings *settings = &model->node.policy;
	struct longest longest = { address, -1, { NOBODY, SST_IDENTITY_WORLD } };

	consider_host(&longest, &cluster->host);
	for (size_t i = 0; i < settings->n_nodes; i++)
		consider(&longest, &settings->nodes[i], NOBODY, SST_IDENTITY_NODES);
	for (size_t i = 0; i < model->n_workloads; i++)
		for (size_t j = 0; j < model->workloads[i].n_addresses; j++)
			consider(&longest, &model->workloads[i].addresses[j], i, 0);
	return longest.owner;
}

/* ---- label selectors ------------------------------------------------------------ */

static const char *value_of(const struct model_labels *labels, const char *key)
{
	for (size_t i = 0; i < labels->n; i++)
		if (!strcmp(labels->items[i].key, key))
			return labels->items[i].value;
	return NULL;
}

static bool has_value(const struct model_requirement *requirement, const char *value)
{
	for (size_t i = 0; i < requirement->n_values; i++)
		if (!strcmp(requirement->values[i], value))
			return true;
	return false;
}

/* "key notin (values)" selects also resources with no label of that key. */
static bool is_met(const struct model_requirement *requirement, const struct model_labels *labels)
{
	const char *value = value_of(labels, requirement->key);

	if (requirement->op == MODEL_EXISTS)
		return value;
	if (requirement->op == MODEL_DOES_NOT_EXIST)
		return !value;
	if (requirement->op == MODEL_IN)
		return value && has_value(requirement, value);
	return !(value && has_value(requirement, value));
}

/* "The requirements are ANDed." "An empty label selector matches all objects." */
static bool selects(const struct model_selector *selector, const struct model_labels *labels)
{
	for (size_t i = 0; i < selector->n; i++)
		if (!is_met(&selector->requirements[i], labels))
			return false;
	return true;
}

static const struct model_labels *namespace_labels(const struct model *model, const char *name)
{
	for (size_t i = 0; i < model->n_namespaces; i++)
		if (!strcmp(model->namespaces[i].name, name))
			return &model->namespaces[i].labels;
	abort();
}

/* Without a selector of namespaces: those of the policy's own. */
static bool selects_workload(const struct model *model, const char *own,
			     const struct model_selector *namespaces,
			     const struct model_selector *workloads, size_t number)
{
	const struct model_workload *workload = &model->workloads[number];

	if (namespaces && !selects(namespaces, namespace_labels(model, workload->name_space)))
		return false;
	if (!namespaces && strcmp(workload->name_space, own) != 0)
		return false;
	return selects(workloads, &workload->labels);
}

/* ---- rules ---------------------------------------------------------------------- */

static struct actor peer_of(const struct cluster *cluster, const struct query *query)
{
	return query->by_address ? literal_owner(cluster, &query->address) : query->peer;
}

/* "This can either be a numerical or named port on a pod": the one who is called gives the
 * name. */
static bool gives_name(const struct cluster *cluster, struct actor called, const char *name,
		       const struct query *query)
{
	const struct model_workload *workload;

	if (called.workload == NOBODY)
		return false;
	workload = &cluster->model.workloads[called.workload];
	for (size_t i = 0; i < workload->n_ports; i++)
		if (!strcmp(workload->ports[i].name, name) &&
		    workload->ports[i].port == query->port &&
		    workload->ports[i].protocol == query->protocol)
			return true;
	return false;
}

static bool is_port(const struct cluster *cluster, const struct model_port_match *port,
		    const struct query *query, struct actor called)
{
	if (port->protocol && port->protocol != query->protocol)
		return false;
	if (port->name)
		return gives_name(cluster, called, port->name, query);
	return query->port >= port->first && query->port <= port->last;
}

/* "Each item in this list is combined using a logical OR. If this field is empty or missing,
 * this rule matches all ports." */
static bool is_any_port(const struct cluster *cluster, const struct model_rule *rule,
			const struct query *query, struct actor called)
{
	for (size_t i = 0; i < rule->n_ports; i++)
		if (is_port(cluster, &rule->ports[i], query, called))
			return true;
	return !rule->n_ports;
}

/* "The except entry describes CIDRs that should not be included within this rule." */
static bool is_in_network(const struct model_peer *peer, const struct query *query)
{
	if (!query->has_address || !holds(&peer->network, &query->address))
		return false;
	for (size_t i = 0; i < peer->n_excepts; i++)
		if (holds(&peer->excepts[i], &query->address))
			return false;
	return true;
}

static bool is_peer(const struct cluster *cluster, const struct model_policy *policy,
		    const struct model_peer *peer, const struct query *query)
{
	struct actor who = peer_of(cluster, query);

	switch (peer->kind) {
	case MODEL_PEER_NETWORK:
		return is_in_network(peer, query);
	case MODEL_PEER_RESERVED:
		return who.workload == NOBODY && who.identity == peer->identity;
	default:
		return who.workload != NOBODY &&
		       selects_workload(&cluster->model, policy->name_space, peer->namespaces,
					&peer->workloads, who.workload);
	}
}

/* Who gives a port its name in the eyes of a peer of an egress rule: an address's owner
 * where the peer is told by addresses. */
static struct actor called_by(const struct cluster *cluster, const struct model_peer *peer,
			      const struct query *query)
{
	if (query->direction == SST_INGRESS)
		return query->subject;
	if (peer && peer->kind == MODEL_PEER_NETWORK)
		return literal_owner(cluster, &query->address);
	return peer_of(cluster, query);
}

/* "The traffic must match both ports and from." "Items in this list are combined using a
 * logical OR operation." */
bool literal_matches(const struct cluster *cluster, const struct model_policy *policy,
		     const struct model_rule *rule, const struct query *query)
{
	if (rule->direction != query->direction)
		return false;
	if (rule->any_peer)
		return is_any_port(cluster, rule, query, called_by(cluster, NULL, query));
	for (size_t i = 0; i < rule->n_peers; i++) {
		const struct model_peer *peer = &rule->peers[i];

		if (is_peer(cluster, policy, peer, query) &&
		    is_any_port(cluster, rule, query, called_by(cluster, peer, query)))
			return true;
	}
	return false;
}

bool literal_selects(const struct cluster *cluster, const struct model_policy *policy,
		     const struct query *query)
{
	return query->subject.workload != NOBODY &&
	       selects_workload(&cluster->model, policy->name_space, policy->subject_namespaces,
				&policy->subject, query->subject.workload);
}

/* ---- tiers ---------------------------------------------------------------------- */

/* One way through the tiers. */
struct way {
	const struct cluster *cluster;
	const struct query *query;
	bool with_shadow;
	struct literal_answer answer;
};

static bool decide(struct way *way, enum sst_tier tier, bool denied)
{
	way->answer.tier = tier;
	way->answer.denied = denied;
	return true;
}

/* "Policies with lower priority values have higher precedence." Equal ones by name. */
static bool is_before(const struct model_policy *a, const struct model_policy *b)
{
	if (a->priority != b->priority)
		return a->priority < b->priority;
	return strcmp(a->name, b->name) < 0;
}

/* The next policy of a tier that is for the subject, after this one (NULL: the first one). */
static const struct model_policy *next_of(const struct way *way, enum sst_tier tier,
					  const struct model_policy *after)
{
	const struct model *model = &way->cluster->model;
	const struct model_policy *next = NULL;

	for (size_t i = 0; i < model->n_policies; i++) {
		const struct model_policy *policy = &model->policies[i];

		if (policy->tier != tier || (after && !is_before(after, policy)) ||
		    (next && !is_before(policy, next)))
			continue;
		if (literal_selects(way->cluster, policy, way->query))
			next = policy;
	}
	return next;
}

static bool is_about(const struct way *way, const struct model_policy *policy,
		     const struct model_rule *rule)
{
	return (way->with_shadow || !rule->shadow) &&
	       literal_matches(way->cluster, policy, rule, way->query);
}

static void note_shadow(struct way *way, const struct model_rule *rule)
{
	if (!rule->shadow || way->answer.shadow)
		return;
	way->answer.shadow = true;
	way->answer.shadow_rule = rule;
}

/* "A rule that appears at the top of the rules would take the highest precedence." "Pass:
 * skips all further rules in the current tier and passes evaluation to the next tier." */
static bool ask_cluster_policies(struct way *way, enum sst_tier tier)
{
	const struct model_policy *policy = NULL;

	while ((policy = next_of(way, tier, policy))) {
		for (size_t i = 0; i < policy->n_rules; i++) {
			const struct model_rule *rule = &policy->rules[i];

			if (!is_about(way, policy, rule))
				continue;
			note_shadow(way, rule);
			if (rule->action == SST_ACTION_PASS)
				return false;
			way->answer.policy = policy;
			way->answer.rule = rule;
			return decide(way, tier, rule->action == SST_ACTION_DENY);
		}
	}
	return false;
}

/* The host reaches its own workloads, unless the admin tier denies it: by setting. */
static bool ask_host(struct way *way)
{
	struct actor peer = peer_of(way->cluster, way->query);
	bool is_probe = peer.identity == SST_IDENTITY_PROBES;

	if (way->query->direction != SST_INGRESS || peer.workload != NOBODY)
		return false;
	switch (way->cluster->model.node.policy.host) {
	case MODEL_HOST_ALLOW:
		if (!is_probe && peer.identity != SST_IDENTITY_HOST)
			return false;
		break;
	case MODEL_HOST_PROBES:
		if (!is_probe)
			return false;
		break;
	default:
		return false;
	}
	return decide(way, SST_TIER_HOST, false);
}

/* What NetworkPolicies that are for the subject do, enforced and in shadow. */
struct findings {
	bool selected[2];
	bool allowed[2];
};

/* "policyTypes is a list of rule types that the NetworkPolicy relates to." */
static void read_network_policy(const struct way *way, const struct model_policy *policy,
				struct findings *findings)
{
	if (policy->tier != SST_TIER_NETWORK || !policy->isolates[way->query->direction] ||
	    !literal_selects(way->cluster, policy, way->query))
		return;
	findings->selected[policy->shadow] = true;
	for (size_t i = 0; i < policy->n_rules; i++)
		if (literal_matches(way->cluster, policy, &policy->rules[i], way->query))
			findings->allowed[policy->rules[i].shadow] = true;
}

/* "Traffic is allowed if there are no NetworkPolicies selecting the pod, OR if the traffic
 * matches at least one rule across all of the NetworkPolicy objects whose podSelector matches
 * the pod." */
static bool ask_network_policies(struct way *way)
{
	const struct model *model = &way->cluster->model;
	struct findings findings = { 0 };

	for (size_t i = 0; i < model->n_policies; i++)
		read_network_policy(way, &model->policies[i], &findings);
	for (int shadow = 0; shadow <= way->with_shadow; shadow++)
		if (findings.allowed[shadow]) {
			way->answer.shadow |= shadow;
			return decide(way, SST_TIER_NETWORK, false);
		}
	for (int shadow = 0; shadow <= way->with_shadow; shadow++)
		if (findings.selected[shadow]) {
			way->answer.shadow |= shadow;
			return decide(way, SST_TIER_NETWORK, true);
		}
	return false;
}

static struct literal_answer go(const struct cluster *cluster, const struct query *query,
				bool with_shadow)
{
	struct way way = { .cluster = cluster, .query = query, .with_shadow = with_shadow };

	/* no workload: nobody rules what it does */
	if (query->subject.workload == NOBODY)
		return way.answer;
	if (!ask_cluster_policies(&way, SST_TIER_ADMIN) && !ask_host(&way) &&
	    !ask_network_policies(&way) && !ask_cluster_policies(&way, SST_TIER_BASELINE))
		decide(&way, SST_TIER_DEFAULT, cluster->model.node.policy.default_deny);
	return way.answer;
}

struct literal_answer literal_decide(const struct cluster *cluster, const struct query *query)
{
	struct literal_answer answer = go(cluster, query, false);
	struct literal_answer shadow = go(cluster, query, true);

	answer.shadow = shadow.shadow;
	answer.shadow_rule = shadow.shadow_rule;
	answer.shadow_denied = shadow.denied;
	return answer;
}
