/* SPDX-License-Identifier: Apache-2.0 */
/* Services with their slices, and this node: what becomes of them, and what has changed. */
#include <errno.h>
#include <string.h>

#include "cluster/store_internal.h"
#include "core/cleanup.h"
#include "core/text.h"
#include "kube/combine.h"

/* ---- by name --------------------------------------------------------------------------- */

static struct store_service *find(const struct store *store, const char *name)
{
	struct store_service *service;

	HASH_FIND_STR(store->services, name, service);
	return service;
}

static struct store_service *need(struct store *store, const char *name)
{
	struct store_service *service = find(store, name);
	size_t length = strlen(name);

	if (service)
		return service;
	service = calloc(1, sizeof(*service) + length + 1);
	if (!service)
		return NULL;
	memcpy(service->name, name, length);
	HASH_ADD_KEYPTR(hh, store->services, service->name, length, service);
	if (!service->hh.tbl) {
		free(service);
		return NULL;
	}
	return service;
}

/* One of which nothing is left goes, once that has been told. */
static void put_back(struct store *store, struct store_service *service)
{
	if (!service || service->entry || service->slices || service->changed)
		return;
	HASH_DEL(store->services, service);
	free(service);
}

void store_mark(struct store *store, struct store_service *service)
{
	if (service->changed || service == store->files)
		return;
	service->changed = true;
	service->next_changed = store->changed;
	store->changed = service;
}

/* The new ones are in force already; the old ones are left when they are nobody's. */
static void exchange_claims(struct store *store, struct store_service *service,
			    struct store_claims *claims)
{
	struct store_claims *old = service->claims;

	service->claims = claims;
	store_unclaim(store, old);
}

void store_release_services(struct store *store)
{
	struct store_service *service, *next;

	HASH_ITER (hh, store->services, service, next)
		exchange_claims(store, service, NULL);
	exchange_claims(store, store->files, NULL);
	free(store->files);
	dictionary_release(&store->file_names);
	HASH_ITER (hh, store->services, service, next) {
		HASH_DEL(store->services, service);
		free(service);
	}
}

/* ---- changes --------------------------------------------------------------------------- */

/* What figures tell of a service; packed is NULL when it has gone. */
static void count(struct store *store, struct store_service *service, const struct packed *packed)
{
	_cleanup_(kube_service_release) struct kube_service object = { 0 };
	struct pack pack = { .from = packed };

	if (packed)
		pack_service(&pack, &object);
	store->figures.sctp -= service->n_sctp;
	store->figures.exposed -= service->exposed;
	service->n_sctp = object.n_sctp;
	service->exposed = kube_is_exposed(&object);
	store->figures.sctp += service->n_sctp;
	store->figures.exposed += service->exposed;
}

int store_change_service(struct store *store, struct store_entry *entry,
			 const struct packed *packed, struct problems *problems)
{
	struct kube_here here = store_here(store, &store->own);
	struct store_service *service = need(store, entry->key);
	struct store_claims *claims;
	int r = service ? store_claim(store, service, packed, &here, &claims) : -ENOMEM;

	if (r) {
		put_back(store, service);
		return r;
	}
	exchange_claims(store, service, claims);
	service->entry = packed ? entry : NULL;
	count(store, service, packed);
	store_tell_lost(store, service, problems);
	store_mark(store, service);
	return 0;
}

static void unlink_slice(struct store *store, struct store_entry *entry)
{
	struct store_service *service = entry->service;

	if (!service)
		return;
	if (entry->next)
		entry->next->previous = entry->previous;
	if (entry->previous)
		entry->previous->next = entry->next;
	else
		service->slices = entry->next;
	entry->service = NULL;
	if (service->entry)
		store_mark(store, service);
	put_back(store, service);
}

static void link_slice(struct store *store, struct store_entry *entry,
		       struct store_service *service)
{
	entry->service = service;
	entry->previous = NULL;
	entry->next = service->slices;
	if (entry->next)
		entry->next->previous = entry;
	service->slices = entry;
	if (service->entry)
		store_mark(store, service);
}

/* The service that a slice belongs to. */
static int need_owner(struct store *store, const struct packed *packed, struct store_service **ret)
{
	_cleanup_(kube_slice_release) struct kube_slice slice = { 0 };
	_cleanup_text_ struct text name = { 0 };
	struct pack pack = { .from = packed };

	pack_slice_owner(&pack, &slice);
	if (pack.no_memory)
		return -ENOMEM;
	text_add(&name, "%s/%s", slice.name_space, slice.service);
	*ret = name.error ? NULL : need(store, name.data);
	return *ret ? 0 : -ENOMEM;
}

int store_change_slice(struct store *store, struct store_entry *entry, const struct packed *packed,
		       struct problems *problems)
{
	struct store_service *service = NULL;
	int r = packed ? need_owner(store, packed, &service) : 0;

	(void)problems;
	if (r)
		return r;
	/* first there: a service between two slices is not one without any */
	if (service != entry->service || !service) {
		unlink_slice(store, entry);
		if (service)
			link_slice(store, entry, service);
	} else if (service->entry) {
		store_mark(store, service);
	}
	return 0;
}

/* ---- this node ------------------------------------------------------------------------- */

const char *store_node(const struct store *store)
{
	return store->options.node ?: store->options.host->name;
}

struct kube_here store_here(const struct store *store, const struct kube_node *own)
{
	struct kube_objects objects = { .nodes = (struct kube_node *)own, .n_nodes = !!own->name };

	return kube_find_here(&objects, store->options.node, store->options.host);
}

/* Claims of all services for another place; none of them in force when memory runs out. */
static int claim_anew(struct store *store, const struct kube_here *here,
		      struct store_claims **claims)
{
	struct store_service *service, *next;
	size_t n = 0;
	int r = 0;

	HASH_ITER (hh, store->services, service, next) {
		if (service->entry)
			r = store_claim(store, service, service->entry->packed, here, &claims[n]);
		if (r)
			break;
		n++;
	}
	while (r && n)
		store_unclaim(store, claims[--n]);
	return r;
}

static int move_claims(struct store *store, const struct kube_here *here, struct problems *problems)
{
	_cleanup_free_ struct store_claims **claims =
		calloc(HASH_COUNT(store->services) + 1, sizeof(*claims));
	int r = claims ? claim_anew(store, here, claims) : -ENOMEM;
	struct store_service *service, *next;
	size_t n = 0;

	if (r)
		return r;
	HASH_ITER (hh, store->services, service, next)
		exchange_claims(store, service, claims[n++]);
	HASH_ITER (hh, store->services, service, next) {
		store_tell_lost(store, service, problems);
		if (service->entry)
			store_mark(store, service);
	}
	return 0;
}

int store_change_node(struct store *store, struct store_entry *entry, const struct packed *packed,
		      struct problems *problems)
{
	const char *name = store_node(store);
	struct pack pack = { .from = packed };
	struct kube_node own = { 0 };
	struct kube_here here;
	int r;

	if (!name || strcmp(entry->key, name)) {
		store->policy_changed = true;
		return 0;
	}
	if (packed)
		pack_node(&pack, &own);
	here = store_here(store, &own);
	r = pack.no_memory ? -ENOMEM : move_claims(store, &here, problems);
	kube_node_release(r ? &own : &store->own);
	if (!r)
		store->own = own;
	return r;
}

int store_move(struct store *store, struct problems *problems)
{
	struct kube_here here = store_here(store, &store->own);

	return move_claims(store, &here, problems);
}

/* ---- files ------------------------------------------------------------------------------ */

bool store_is_files_name(const struct store *store, const char *name)
{
	uint32_t unused;

	return dictionary_find(&store->file_names, name, strlen(name), &unused);
}

static int list_names(const struct model *files, struct dictionary *ret)
{
	int r = 0;

	for (size_t i = 0; r != -ENOMEM && i < files->n_services; i++) {
		const char *name = files->services[i].name;
		uint32_t unused = 0;

		r = dictionary_add(ret, name, strlen(name), &unused);
	}
	return r == -ENOMEM ? r : 0;
}

int store_set_files(struct store *store, const struct model *files, struct problems *problems)
{
	struct dictionary names = { 0 };
	struct store_service *service, *next;
	struct store_claims *claims;
	int r = list_names(files, &names);

	if (!r)
		r = store_claim_files(store, files, &claims);
	if (r) {
		dictionary_release(&names);
		return r;
	}
	exchange_claims(store, store->files, claims);
	dictionary_release(&store->file_names);
	store->file_names = names;
	HASH_ITER (hh, store->services, service, next) {
		store_tell_lost(store, service, problems);
		if (service->entry)
			store_mark(store, service);
	}
	return 0;
}

/* ---- what has changed ------------------------------------------------------------------- */

bool store_has_changes(const struct store *store)
{
	return store->policy_changed || store->changed;
}

static size_t count_changed(const struct store *store)
{
	size_t n = 0;

	for (const struct store_service *service = store->changed; service;
	     service = service->next_changed)
		n++;
	return n;
}

static void forget_changes(struct store *store)
{
	while (store->changed) {
		struct store_service *service = store->changed;

		store->changed = service->next_changed;
		service->changed = false;
		put_back(store, service);
	}
	store->policy_changed = false;
}

int store_take_changes(struct store *store, struct store_changes *ret)
{
	struct store_changes changes = { .policy = store->policy_changed };

	changes.services = calloc(count_changed(store) + 1, sizeof(*changes.services));
	if (!changes.services)
		return -ENOMEM;
	for (const struct store_service *service = store->changed; service;
	     service = service->next_changed) {
		char *name = strdup(service->name);

		if (!name) {
			store_changes_release(&changes);
			return -ENOMEM;
		}
		changes.services[changes.n_services++] = name;
	}
	forget_changes(store);
	*ret = changes;
	return 0;
}

void store_changes_release(struct store_changes *changes)
{
	for (size_t i = 0; i < changes->n_services; i++)
		free(changes->services[i]);
	free(changes->services);
	*changes = (struct store_changes){ 0 };
}

void store_change_all(struct store *store)
{
	struct store_service *service, *next;

	HASH_ITER (hh, store->services, service, next)
		if (service->entry)
			store_mark(store, service);
	store->policy_changed = true;
}

/* ---- services ---------------------------------------------------------------------------- */

static void release_slices(struct kube_slice *slices, size_t n)
{
	for (size_t i = 0; i < n; i++)
		kube_slice_release(&slices[i]);
	free(slices);
}

static size_t count_slices(const struct store_service *service)
{
	size_t n = 0;

	for (const struct store_entry *entry = service->slices; entry; entry = entry->next)
		n++;
	return n;
}

/* pointers: to what is in slices. Both are the caller's also when memory runs out. */
static int read_slices(const struct store_service *service, struct kube_slice *slices,
		       const struct kube_slice **pointers)
{
	bool no_memory = false;
	size_t n = 0;

	for (const struct store_entry *entry = service->slices; entry; entry = entry->next) {
		struct pack pack = { .from = entry->packed };

		pack_slice(&pack, &slices[n]);
		pointers[n] = &slices[n];
		no_memory |= pack.no_memory;
		n++;
	}
	return no_memory ? -ENOMEM : 0;
}

/* What files have a service of the same name for is left to them. */
static int drop_names(const struct store *store, struct model_service *made, int n)
{
	int kept = 0;

	for (int i = 0; i < n; i++)
		if (store_is_files_name(store, made[i].name))
			model_service_release(&made[i]);
		else
			made[kept++] = made[i];
	return n < 0 ? n : kept;
}

static int combine(const struct store *store, const struct store_service *service,
		   struct model_service ret[KUBE_SERVICES_MAX])
{
	_cleanup_(kube_service_release) struct kube_service object = { 0 };
	size_t n = count_slices(service);
	struct kube_slice *slices = calloc(n + 1, sizeof(*slices));
	_cleanup_free_ const struct kube_slice **pointers = calloc(n + 1, sizeof(*pointers));
	struct kube_here here = store_here(store, &store->own);
	struct pack pack = { .from = service->entry->packed };
	int r = slices && pointers ? read_slices(service, slices, pointers) : -ENOMEM;

	pack_service(&pack, &object);
	if (!r && !pack.no_memory) {
		store_drop_lost(store, service, &here, &object);
		r = drop_names(store, ret, kube_combine_one(&object, pointers, n, &here, ret));
	}
	release_slices(slices, slices ? n : 0);
	return pack.no_memory ? -ENOMEM : r;
}

int store_service(const struct store *store, const char *name,
		  struct model_service ret[KUBE_SERVICES_MAX])
{
	const struct store_service *service = find(store, name);

	return service && service->entry ? combine(store, service, ret) : 0;
}

int store_add_services(const struct store *store, struct model *model)
{
	size_t room = model->n_services + KUBE_SERVICES_MAX * HASH_COUNT(store->services);
	struct model_service *grown =
		reallocarray(model->services, room + 1, sizeof(*model->services));
	struct store_service *service, *next;

	if (!grown)
		return -ENOMEM;
	model->services = grown;
	HASH_ITER (hh, store->services, service, next) {
		int n = service->entry ? combine(store, service, grown + model->n_services) : 0;

		if (n < 0)
			return n;
		model->n_services += n;
	}
	return 0;
}
