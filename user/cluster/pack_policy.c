/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/pack.h"

#include <stdlib.h>

static void pack_requirement(struct pack *pack, struct model_requirement *requirement)
{
	pack_text(pack, &requirement->key);
	PACK(pack, requirement->op);
	PACK_ARRAY(pack, requirement, values);
	for (size_t i = 0; i < requirement->n_values; i++)
		pack_text(pack, &requirement->values[i]);
}

static void pack_selector(struct pack *pack, struct model_selector *selector)
{
	PACK(pack, selector->n);
	pack_make(pack, (void **)&selector->requirements, &selector->n,
		  sizeof(*selector->requirements));
	for (size_t i = 0; i < selector->n; i++)
		pack_requirement(pack, &selector->requirements[i]);
}

/* One that may be NULL. */
static void pack_selector_pointer(struct pack *pack, struct model_selector **selector)
{
	size_t n = *selector != NULL;

	PACK(pack, n);
	pack_make(pack, (void **)selector, &n, sizeof(**selector));
	if (n)
		pack_selector(pack, *selector);
}

static void pack_cidr(struct pack *pack, struct model_cidr *cidr)
{
	pack_address(pack, &cidr->address);
	PACK(pack, cidr->bits);
}

static void pack_peer(struct pack *pack, struct model_peer *peer)
{
	PACK(pack, peer->kind);
	pack_selector_pointer(pack, &peer->namespaces);
	pack_selector(pack, &peer->workloads);
	pack_cidr(pack, &peer->network);
	PACK_ARRAY(pack, peer, excepts);
	for (size_t i = 0; i < peer->n_excepts; i++)
		pack_cidr(pack, &peer->excepts[i]);
	PACK(pack, peer->identity);
}

static void pack_port(struct pack *pack, struct model_port_match *port)
{
	PACK(pack, port->protocol);
	PACK(pack, port->first);
	PACK(pack, port->last);
	pack_text(pack, &port->name);
}

static void pack_rule(struct pack *pack, struct model_rule *rule)
{
	pack_text(pack, &rule->name);
	PACK(pack, rule->direction);
	PACK(pack, rule->action);
	PACK(pack, rule->shadow);
	PACK(pack, rule->any_peer);
	PACK_ARRAY(pack, rule, peers);
	for (size_t i = 0; i < rule->n_peers; i++)
		pack_peer(pack, &rule->peers[i]);
	PACK_ARRAY(pack, rule, ports);
	for (size_t i = 0; i < rule->n_ports; i++)
		pack_port(pack, &rule->ports[i]);
}

void pack_policy(struct pack *pack, struct model_policy *policy)
{
	pack_text(pack, &policy->name);
	pack_text(pack, &policy->name_space);
	PACK(pack, policy->tier);
	PACK(pack, policy->priority);
	PACK(pack, policy->shadow);
	for (int i = 0; i < SST_DIRECTIONS; i++)
		PACK(pack, policy->isolates[i]);
	pack_selector_pointer(pack, &policy->subject_namespaces);
	pack_selector(pack, &policy->subject);
	PACK_ARRAY(pack, policy, rules);
	for (size_t i = 0; i < policy->n_rules; i++)
		pack_rule(pack, &policy->rules[i]);
}
