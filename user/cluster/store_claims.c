/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is reached where. The API server sees to it that no two services have the same cluster IP,
 * and to nothing else: an external IP, or a load balancer's address, may be several services', on
 * the same port. One of them has it then, and the address is none of the others', whatever their
 * other ports. What files serve is theirs.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "cluster/store_internal.h"
#include "core/address.h"
#include "core/cleanup.h"
#include "kube/combine.h"

/* What goes first. */
enum rank {
	RANK_FILES,
	RANK_CLUSTER,
	RANK_EXTERNAL,
	RANK_NODE,
};

struct claimant {
	struct store_claim *claim;
	struct claimant *next; /* behind it in the claim */
	struct store_service *service;
	enum rank rank;
};

/* One place: an address, a port, a protocol. */
struct store_claim {
	UT_hash_handle hh;
	struct sst_frontend_key key;
	struct claimant *first; /* who has it; the others stand behind it */
};

struct store_claims {
	size_t n;
	struct claimant items[];
};

/* ---- one claim ------------------------------------------------------------------------ */

/* Then by name. */
static bool is_before(const struct claimant *a, const struct claimant *b)
{
	return a->rank == b->rank ? strcmp(a->service->name, b->service->name) < 0
				  : a->rank < b->rank;
}

static struct store_claim *find(const struct store *store, const struct sst_frontend_key *key)
{
	struct store_claim *claim;

	HASH_FIND(hh, store->claims, key, sizeof(*key), claim);
	return claim;
}

static struct store_claim *need(struct store *store, const struct sst_frontend_key *key)
{
	struct store_claim *claim = find(store, key);

	if (claim)
		return claim;
	claim = calloc(1, sizeof(*claim));
	if (!claim)
		return NULL;
	claim->key = *key;
	HASH_ADD(hh, store->claims, key, sizeof(claim->key), claim);
	if (!claim->hh.tbl) {
		free(claim);
		return NULL;
	}
	return claim;
}

/* A service may claim a place twice: as an external address, and as the node's own. */
static bool is_lost(const struct claimant *claimant)
{
	const struct claimant *first = claimant->claim->first;

	return first->service != claimant->service || first->rank != claimant->rank;
}

static bool has_lost(const struct store_service *service)
{
	for (size_t i = 0; service->claims && i < service->claims->n; i++)
		if (is_lost(&service->claims->items[i]))
			return true;
	return false;
}

/* To another service. */
static const struct claimant *find_lost(const struct store_service *service)
{
	for (size_t i = 0; service->claims && i < service->claims->n; i++)
		if (service->claims->items[i].claim->first->service != service)
			return &service->claims->items[i];
	return NULL;
}

/* Somebody else may win or lose. */
static void mark_others(struct store *store, const struct store_claim *claim,
			const struct store_service *service)
{
	for (struct claimant *item = claim->first; item; item = item->next)
		if (item->service != service)
			store_mark(store, item->service);
}

static int join(struct store *store, struct claimant *claimant, const struct sst_frontend_key *key)
{
	struct store_claim *claim = need(store, key);
	struct claimant **at;

	if (!claim)
		return -ENOMEM;
	claimant->claim = claim;
	store->figures.colliding += claim->first != NULL;
	for (at = &claim->first; *at && !is_before(claimant, *at); at = &(*at)->next)
		;
	claimant->next = *at;
	*at = claimant;
	mark_others(store, claim, claimant->service);
	return 0;
}

/* Who has lost nothing any longer is told of the next loss. */
static void forget_told(const struct store *store, const struct store_claim *claim)
{
	for (struct claimant *item = claim->first; item; item = item->next)
		item->service->told =
			item->service->told && (find_lost(item->service) ||
						store_is_files_name(store, item->service->name));
}

static void leave(struct store *store, struct claimant *claimant)
{
	struct store_claim *claim = claimant->claim;
	struct claimant **at;

	for (at = &claim->first; *at != claimant; at = &(*at)->next)
		;
	*at = claimant->next;
	if (claim->first) {
		store->figures.colliding--;
		mark_others(store, claim, claimant->service);
		forget_told(store, claim);
		return;
	}
	HASH_DEL(store->claims, claim);
	free(claim);
}

/* ---- those of a service --------------------------------------------------------------- */

static bool is_cluster(const struct kube_service *object, const struct sst_addr *address)
{
	for (size_t i = 0; i < object->n_cluster; i++)
		if (!address_compare(&object->cluster[i].address, address))
			return true;
	return false;
}

/* Number i of the fronts of the n-th service that the object comes to. */
static enum rank rank_of(const struct kube_service *object, const struct model_service *made, int n,
			 size_t i)
{
	if (!object)
		return RANK_FILES;
	if (i >= made->n_addresses)
		return RANK_NODE;
	return n == 0 && is_cluster(object, &made->addresses[i]) ? RANK_CLUSTER : RANK_EXTERNAL;
}

static struct sst_frontend_key key_of(const struct sst_addr *address, uint16_t port,
				      uint8_t protocol)
{
	return (struct sst_frontend_key){ *address, htons(port), protocol, 0 };
}

static int claim_port(struct store *store, const struct model_service *made,
		      const struct model_port *port, size_t i, enum rank rank,
		      struct store_service *service, struct store_claims *ret)
{
	struct claimant *claimant = &ret->items[ret->n];
	struct sst_frontend_key key;
	struct model_front front;
	int r;

	if (!model_front(made, port, i, &front))
		return 0;
	key = key_of(&front.address, front.port, port->protocol);
	*claimant = (struct claimant){ .service = service, .rank = rank };
	r = join(store, claimant, &key);
	if (!r)
		ret->n++;
	return r;
}

static size_t count_fronts(const struct model_service *made, int n)
{
	size_t sum = 0;

	for (int i = 0; i < n; i++)
		sum += model_fronts(&made[i]) * made[i].n_ports;
	return sum;
}

static int claim_all(struct store *store, struct store_service *service,
		     const struct kube_service *object, const struct model_service *made, int n,
		     struct store_claims *ret)
{
	int r = 0;

	for (int i = 0; i < n; i++)
		for (size_t j = 0; j < model_fronts(&made[i]); j++)
			for (size_t k = 0; !r && k < made[i].n_ports; k++)
				r = claim_port(store, &made[i], &made[i].ports[k], j,
					       rank_of(object, &made[i], i, j), service, ret);
	return r;
}

/* object: what the services are made of, NULL: they are those of files. */
static int claim_made(struct store *store, struct store_service *service,
		      const struct kube_service *object, const struct model_service *made, int n,
		      struct store_claims **ret)
{
	struct store_claims *claims =
		calloc(1, sizeof(*claims) + count_fronts(made, n) * sizeof(*claims->items));
	int r = claims ? claim_all(store, service, object, made, n, claims) : -ENOMEM;

	if (r)
		store_unclaim(store, claims);
	else
		*ret = claims;
	return r;
}

static int claim_object(struct store *store, struct store_service *service,
			const struct kube_service *object, const struct kube_here *here,
			struct store_claims **ret)
{
	struct model_service made[KUBE_SERVICES_MAX];
	int n = kube_combine_one(object, NULL, 0, here, made);
	int r = n < 0 ? n : claim_made(store, service, object, made, n, ret);

	for (int i = 0; i < n; i++)
		model_service_release(&made[i]);
	return r;
}

int store_claim(struct store *store, struct store_service *service, const struct packed *packed,
		const struct kube_here *here, struct store_claims **ret)
{
	_cleanup_(kube_service_release) struct kube_service object = { 0 };
	struct pack pack = { .from = packed };

	if (!packed) {
		*ret = NULL;
		return 0;
	}
	pack_service(&pack, &object);
	return pack.no_memory ? -ENOMEM : claim_object(store, service, &object, here, ret);
}

int store_claim_files(struct store *store, const struct model *files, struct store_claims **ret)
{
	return claim_made(store, store->files, NULL, files->services, files->n_services, ret);
}

void store_unclaim(struct store *store, struct store_claims *claims)
{
	for (size_t i = 0; claims && i < claims->n; i++)
		leave(store, &claims->items[i]);
	free(claims);
}

/* ---- who lost ------------------------------------------------------------------------- */

static void tell_place(const struct claimant *lost, struct problems *problems)
{
	const struct store_claim *claim = lost->claim;
	const char *winner = claim->first->service->name;
	char text[ADDRESS_TEXT_MAX], source[512];

	snprintf(source, sizeof(source), "Service %s", lost->service->name);
	problems_warn(problems, source, (struct place){ 0 },
		      "%s/%s is that of %s%s, too, which goes first: it is not reached there",
		      address_port_format(&claim->key.address, claim->key.port, text),
		      protocol_name(claim->key.protocol),
		      *winner ? "Service " : "a service of the configuration", winner);
}

static void tell_name(const struct store_service *service, struct problems *problems)
{
	char source[512];

	snprintf(source, sizeof(source), "Service %s", service->name);
	problems_warn(problems, source, (struct place){ 0 },
		      "a service of the configuration is called so, too, and goes first: it is "
		      "skipped");
}

/* Once, until it has lost nothing. */
static void tell(const struct store *store, struct store_service *service,
		 struct problems *problems)
{
	const struct claimant *lost = find_lost(service);
	bool named = store_is_files_name(store, service->name);

	if (named && !service->told)
		tell_name(service, problems);
	else if (lost && !service->told)
		tell_place(lost, problems);
	service->told = named || lost;
}

void store_tell_lost(struct store *store, struct store_service *service, struct problems *problems)
{
	tell(store, service, problems);
	for (size_t i = 0; service->claims && i < service->claims->n; i++)
		for (struct claimant *item = service->claims->items[i].claim->first; item;
		     item = item->next)
			if (item->service != service)
				tell(store, item->service, problems);
}

static bool has(const struct store *store, const struct store_service *service,
		const struct sst_addr *address, uint16_t port, uint8_t protocol, enum rank rank)
{
	struct sst_frontend_key key = key_of(address, port, protocol);
	const struct store_claim *claim = find(store, &key);

	/* where it claims nothing, it is not reached for other reasons */
	return !claim || (claim->first->service == service && claim->first->rank == rank);
}

/* Keeps the addresses at which the service has all its ports. */
static void drop_addresses(const struct store *store, const struct store_service *service,
			   const struct kube_service *object, enum rank rank,
			   struct kube_address *list, size_t *n)
{
	size_t kept = 0;

	for (size_t i = 0; i < *n; i++) {
		bool all = true;

		for (size_t j = 0; all && j < object->n_ports; j++)
			all = has(store, service, &list[i].address, object->ports[j].port,
				  object->ports[j].protocol, rank);
		if (all)
			list[kept++] = list[i];
	}
	*n = kept;
}

/* At one of the node's addresses another one has it: then it is left out at all of them. */
static void drop_node_port(const struct store *store, const struct store_service *service,
			   const struct kube_here *here, struct kube_service_port *port)
{
	static const struct sst_addr nowhere = { 0 };
	struct sst_addr loopback = { { 0, 0, htonl(0xffff), htonl(INADDR_LOOPBACK) } };
	bool all = has(store, service, here->netns ? &loopback : &nowhere, port->node_port,
		       port->protocol, RANK_NODE);

	for (size_t i = 0; all && i < here->n_addresses; i++)
		all = has(store, service, &here->addresses[i], port->node_port, port->protocol,
			  RANK_NODE);
	if (!all)
		port->node_port = 0;
}

void store_drop_lost(const struct store *store, const struct store_service *service,
		     const struct kube_here *here, struct kube_service *object)
{
	if (!has_lost(service))
		return;
	drop_addresses(store, service, object, RANK_CLUSTER, object->cluster, &object->n_cluster);
	drop_addresses(store, service, object, RANK_EXTERNAL, object->external,
		       &object->n_external);
	for (size_t i = 0; i < object->n_ports; i++)
		if (object->ports[i].node_port)
			drop_node_port(store, service, here, &object->ports[i]);
}
