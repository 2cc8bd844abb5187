/* SPDX-License-Identifier: Apache-2.0 */
#include "model/shadow.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/address.h"
#include "core/array.h"
#include "core/cleanup.h"

int shadow_sockets_add(struct shadow_sockets *sockets, const struct shadow_socket *socket)
{
	if (array_reserve((void **)&sockets->items, &sockets->room, sockets->n,
			  sizeof(*sockets->items)))
		return -ENOMEM;
	sockets->items[sockets->n++] = *socket;
	return 0;
}

void shadow_sockets_release(struct shadow_sockets *sockets)
{
	free(sockets->items);
	*sockets = (struct shadow_sockets){ 0 };
}

/* ---- the search ---------------------------------------------------------------------- */

struct search {
	const struct state *state;
	const struct model_host *host;
	const struct shadow_socket **by; /* for each frontend: who listens there; NULL: nobody */
};

static int compare_key(const void *key, const void *frontend)
{
	return memcmp(key, &((const struct state_frontend *)frontend)->key,
		      sizeof(struct sst_frontend_key));
}

static void look_at(struct search *search, const struct shadow_socket *socket,
		    const struct sst_addr *address)
{
	const struct state *state = search->state;
	const struct sst_frontend_key key = { .address = *address,
					      .port = htons(socket->port),
					      .protocol = socket->protocol };
	const struct state_frontend *found =
		state->n_frontends ? bsearch(&key, state->frontends, state->n_frontends,
					     sizeof(*state->frontends), compare_key)
				   : NULL;

	if (found && (!found->netns || found->netns == search->host->netns))
		search->by[found - state->frontends] = socket;
}

/* One bound to no address is at each of the node's, loopback included. */
static void look_everywhere(struct search *search, const struct shadow_socket *socket)
{
	const struct sst_addr loopback[] = {
		{ { 0, 0, htonl(0xffff), htonl(INADDR_LOOPBACK) } },
		{ { 0, 0, 0, htonl(1) } },
	};
	const struct model_host *host = search->host;
	bool v4 = address_family(&socket->address) == AF_INET || !socket->v6_only;
	bool v6 = address_family(&socket->address) == AF_INET6;

	for (size_t i = 0; i < host->n_addresses; i++)
		if (address_family(&host->addresses[i]) == AF_INET ? v4 : v6)
			look_at(search, socket, &host->addresses[i]);
	if (v4)
		look_at(search, socket, &loopback[0]);
	if (v6)
		look_at(search, socket, &loopback[1]);
}

/* ---- the telling ---------------------------------------------------------------------- */

static void tell(const struct search *search, size_t number, struct problems *problems)
{
	const struct state_frontend *frontend = &search->state->frontends[number];
	const struct shadow_socket *socket = search->by[number];
	const struct state_service *service = state_service(search->state, frontend->service);
	char at[ADDRESS_TEXT_MAX], bound[ADDRESS_TEXT_MAX];

	problems_warn(problems, "sidestep", (struct place){ 0 },
		      "a socket of this node listens at %s/%s, where service '%s' is reached: who "
		      "connects to %s on this node gets the service",
		      address_port_format(&socket->address, htons(socket->port), bound),
		      protocol_name(socket->protocol), service ? service->info.name : "?",
		      address_port_format(&frontend->key.address, frontend->key.port, at));
}

/* Whether one of the same service, port and protocol was before it: that was told. */
static bool is_told(const struct search *search, size_t number)
{
	const struct state_frontend *all = search->state->frontends;

	for (size_t i = 0; i < number; i++)
		if (search->by[i] && all[i].service == all[number].service &&
		    all[i].key.port == all[number].key.port)
			return true;
	return false;
}

int shadow_find(const struct state *state, const struct model_host *host,
		const struct shadow_sockets *sockets, struct problems *problems, size_t *ret)
{
	_cleanup_free_ const struct shadow_socket **by =
		calloc(state->n_frontends + 1, sizeof(*by));
	struct search search = { state, host, by };
	size_t n = 0;

	if (!by)
		return -ENOMEM;
	for (size_t i = 0; i < sockets->n; i++) {
		const struct shadow_socket *socket = &sockets->items[i];

		look_at(&search, socket, &socket->address);
		if (address_is_unspecified(&socket->address))
			look_everywhere(&search, socket);
	}
	for (size_t i = 0; i < state->n_frontends; i++) {
		if (!by[i])
			continue;
		n++;
		if (!is_told(&search, i))
			tell(&search, i, problems);
	}
	*ret = n;
	return 0;
}
