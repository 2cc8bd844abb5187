/* SPDX-License-Identifier: Apache-2.0 */
#include "model/state.h"

#include <stdlib.h>
#include <string.h>

void state_release(struct state *state)
{
	free(state->frontends);
	free(state->services);
	free(state->endpoints);
	free(state->slots);
	policy_set_release(&state->policy);
	free(state->rules);
	free(state->hooks);
	for (size_t i = 0; i < state->n_edges; i++)
		free(state->edges[i].cgroup);
	free(state->edges);
	memset(state, 0, sizeof(*state));
}

/* All arrays' elements begin with their id. */
static int compare_id(const void *key, const void *element)
{
	uint32_t a = *(const uint32_t *)key, b = *(const uint32_t *)element;

	return a < b ? -1 : a > b;
}

const struct state_service *state_service(const struct state *state, uint32_t id)
{
	if (!state->n_services)
		return NULL;
	return bsearch(&id, state->services, state->n_services, sizeof(*state->services),
		       compare_id);
}

const struct state_endpoint *state_endpoint(const struct state *state, uint32_t id)
{
	if (!state->n_endpoints)
		return NULL;
	return bsearch(&id, state->endpoints, state->n_endpoints, sizeof(*state->endpoints),
		       compare_id);
}

const struct state_rule *state_rule(const struct state *state, uint32_t id)
{
	if (!state->n_rules)
		return NULL;
	return bsearch(&id, state->rules, state->n_rules, sizeof(*state->rules), compare_id);
}

const struct state_edge *state_edge(const struct state *state, uint32_t id)
{
	if (!state->n_edges)
		return NULL;
	return bsearch(&id, state->edges, state->n_edges, sizeof(*state->edges), compare_id);
}

int state_hook_compare(const void *a, const void *b)
{
	const struct state_hook *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return x->netns < y->netns ? -1 : x->netns > y->netns;
}
