/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/known.h"

#include <string.h>

#include "core/array.h"
#include "core/cleanup.h"
#include "plan/internal.h"

/* Without these two uthash ends the process when memory is out. */
#define HASH_NONFATAL_OOM            1
#define uthash_nonfatal_oom(element) ((element)->tbl_is_missing = true)
#include <uthash.h>

struct endpoint {
	uint32_t id;
	struct sst_endpoint value;
	uint64_t left; /* mark of the plan that it left with; 0: it has not, or is retired */
};

/* An address that leads to a unit. */
struct front_known {
	UT_hash_handle hh;
	bool tbl_is_missing;
	struct state_frontend value;
	struct known_unit *unit;
	struct front_known *next; /* of the unit */
};

/* All that stands under one service's id. */
struct known_unit {
	UT_hash_handle by_id, by_name; /* by_name: the first of a name only */
	bool tbl_is_missing;
	bool there;     /* in map services; else only endpoints and addresses tell of it */
	bool unsettled; /* among those of known */
	bool chosen;    /* for the part that is being made */
	uint32_t id;
	uint64_t flipped; /* mark of the last plan that was about it */
	struct sst_service value;
	struct sst_service_info info;
	struct known_unit *next; /* of its name */
	struct front_known *fronts;
	struct endpoint *endpoints; /* sorted by id */
	size_t n_endpoints, room_endpoints;
};

/* Slots that nothing refers to any more, but that may still be looked at. */
struct limbo {
	uint64_t mark;
	uint32_t first;
	uint32_t n;
};

struct known {
	bool valid;
	uint64_t generation;
	struct known_unit *by_id, *by_name;
	struct front_known *fronts;
	struct known_room room;
	uint64_t *slots;
	uint64_t capacity[STATE_MAP_MAX];
	uint32_t highest_endpoint; /* no higher id is in use */
	uint64_t mark;             /* of the last plan of which something was put off */
	uint64_t settled;          /* of the last that has had its GRACE */
	uint64_t stop;             /* of the last that tightens the splice; 0: none */
	struct limbo *limbo;
	size_t n_limbo, room_limbo;
	uint32_t *unsettled; /* ids of units of which something is to be removed */
	size_t n_unsettled, room_unsettled;
};

/* ---- units ------------------------------------------------------------------ */

static struct known_unit *find_unit(const struct known *known, uint32_t id)
{
	struct known_unit *unit;

	HASH_FIND(by_id, known->by_id, &id, sizeof(id), unit);
	return unit;
}

static size_t name_size(const char *name)
{
	return strnlen(name, SST_NAME_MAX - 1);
}

static struct known_unit *find_name(const struct known *known, const char *name)
{
	struct known_unit *unit;

	HASH_FIND(by_name, known->by_name, name, name_size(name), unit);
	return unit;
}

static int add_first(struct known *known, struct known_unit *unit)
{
	HASH_ADD_KEYPTR(by_name, known->by_name, unit->info.name, name_size(unit->info.name), unit);
	return unit->tbl_is_missing ? -ENOMEM : 0;
}

static int add_name(struct known *known, struct known_unit *unit)
{
	struct known_unit *first = find_name(known, unit->info.name);

	if (!first)
		return add_first(known, unit);
	unit->next = first->next;
	first->next = unit;
	return 0;
}

static int drop_name(struct known *known, struct known_unit *unit)
{
	struct known_unit *first = find_name(known, unit->info.name);

	if (first == unit) {
		HASH_DELETE(by_name, known->by_name, unit);
		return unit->next ? add_first(known, unit->next) : 0;
	}
	while (first && first->next != unit)
		first = first->next;
	if (first)
		first->next = unit->next;
	return 0;
}

/* A name never changes. */
static int set_info(struct known *known, struct known_unit *unit,
		    const struct sst_service_info *info)
{
	bool had_name = unit->info.name[0];

	unit->info = *info;
	return had_name || !info->name[0] ? 0 : add_name(known, unit);
}

/* Makes it when it is not there. NULL: no memory. */
static struct known_unit *need_unit(struct known *known, uint32_t id)
{
	struct known_unit *unit = find_unit(known, id);

	if (unit)
		return unit;
	unit = calloc(1, sizeof(*unit));
	if (!unit)
		return NULL;
	unit->id = id;
	HASH_ADD(by_id, known->by_id, id, sizeof(unit->id), unit);
	if (!unit->tbl_is_missing)
		return unit;
	free(unit);
	return NULL;
}

/* Of which nothing is left is not there. */
static int drop_if_empty(struct known *known, struct known_unit *unit)
{
	int r = 0;

	if (unit->there || unit->n_endpoints || unit->fronts)
		return 0;
	if (unit->info.name[0])
		r = drop_name(known, unit);
	HASH_DELETE(by_id, known->by_id, unit);
	free(unit->endpoints);
	free(unit);
	return r;
}

static void set_value(struct known *known, struct known_unit *unit, const struct sst_service *value)
{
	known->room.n_services += !unit->there;
	known->room.n_slots += (uint64_t)value->slots - unit->value.slots;
	unit->there = true;
	unit->value = *value;
}

static int delete_service(struct known *known, uint32_t id)
{
	struct known_unit *unit = find_unit(known, id);

	if (!unit)
		return 0;
	if (unit->there) {
		known->room.n_services--;
		known->room.n_slots -= unit->value.slots;
	}
	unit->there = false;
	unit->value = (struct sst_service){ 0 };
	return drop_if_empty(known, unit);
}

/* Something of it may have to be removed. */
static int watch(struct known *known, struct known_unit *unit)
{
	if (unit->unsettled)
		return 0;
	if (array_reserve((void **)&known->unsettled, &known->room_unsettled, known->n_unsettled,
			  sizeof(*known->unsettled)))
		return -ENOMEM;
	unit->unsettled = true;
	known->unsettled[known->n_unsettled++] = unit->id;
	return 0;
}

/* ---- endpoints -------------------------------------------------------------- */

/* Where it is, or would be. */
static size_t position_of(const struct known_unit *unit, uint32_t id)
{
	size_t from = 0, to = unit->n_endpoints;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (unit->endpoints[middle].id < id)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

static struct endpoint *find_endpoint(const struct known_unit *unit, uint32_t id)
{
	size_t i = position_of(unit, id);

	return i < unit->n_endpoints && unit->endpoints[i].id == id ? &unit->endpoints[i] : NULL;
}

/* Most services have few, so room is made in small pieces. */
static int make_room(struct known_unit *unit)
{
	size_t room = unit->n_endpoints + unit->n_endpoints / 4 + 2;
	struct endpoint *endpoints;

	if (unit->n_endpoints < unit->room_endpoints)
		return 0;
	endpoints = reallocarray(unit->endpoints, room, sizeof(*endpoints));
	if (!endpoints)
		return -ENOMEM;
	unit->endpoints = endpoints;
	unit->room_endpoints = room;
	return 0;
}

static int put_endpoint(struct known *known, uint32_t id, const struct sst_endpoint *value)
{
	struct known_unit *unit = need_unit(known, value->service);
	struct endpoint *endpoint;
	size_t i;

	if (!unit)
		return -ENOMEM;
	endpoint = find_endpoint(unit, id);
	if (endpoint) {
		endpoint->value = *value;
		return 0;
	}
	if (make_room(unit))
		return -ENOMEM;
	i = position_of(unit, id);
	endpoint = &unit->endpoints[i];
	memmove(endpoint + 1, endpoint, (unit->n_endpoints - i) * sizeof(*endpoint));
	*endpoint = (struct endpoint){ .id = id, .value = *value };
	unit->n_endpoints++;
	known->room.n_endpoints++;
	if (id > known->highest_endpoint)
		known->highest_endpoint = id;
	return 0;
}

static int retire_endpoint(struct known *known, uint32_t id, const struct sst_endpoint *value)
{
	struct known_unit *unit = find_unit(known, value->service);
	struct endpoint *endpoint = unit ? find_endpoint(unit, id) : NULL;

	if (!endpoint)
		return 0;
	endpoint->value = *value;
	endpoint->left = 0;
	return watch(known, unit);
}

static int delete_endpoint(struct known *known, uint32_t id, uint32_t service)
{
	struct known_unit *unit = find_unit(known, service);
	struct endpoint *endpoint = unit ? find_endpoint(unit, id) : NULL;
	size_t i;

	if (!endpoint)
		return 0;
	i = endpoint - unit->endpoints;
	memmove(endpoint, endpoint + 1, (--unit->n_endpoints - i) * sizeof(*endpoint));
	known->room.n_endpoints--;
	return drop_if_empty(known, unit);
}

/* ---- addresses -------------------------------------------------------------- */

static struct front_known *find_front(const struct known *known, const struct sst_frontend_key *key)
{
	struct front_known *front;

	HASH_FIND(hh, known->fronts, key, sizeof(*key), front);
	return front;
}

static int drop_front(struct known *known, const struct sst_frontend_key *key)
{
	struct front_known *front = find_front(known, key), **link;
	struct known_unit *unit;

	if (!front)
		return 0;
	unit = front->unit;
	for (link = &unit->fronts; *link != front;)
		link = &(*link)->next;
	*link = front->next;
	HASH_DELETE(hh, known->fronts, front);
	free(front);
	known->room.n_frontends--;
	return drop_if_empty(known, unit);
}

/* A service may be without any now, and a shell. */
static int leave_front(struct known *known, const struct state_frontend *old)
{
	struct known_unit *unit = find_unit(known, old->service);

	if (unit && watch(known, unit))
		return -ENOMEM;
	return drop_front(known, &old->key);
}

static int put_front(struct known *known, const struct state_frontend *value)
{
	struct front_known *front;
	struct known_unit *unit;

	if (drop_front(known, &value->key))
		return -ENOMEM;
	unit = need_unit(known, value->service);
	front = unit ? calloc(1, sizeof(*front)) : NULL;
	if (!front)
		return -ENOMEM;
	front->value = *value;
	HASH_ADD(hh, known->fronts, value.key, sizeof(value->key), front);
	if (front->tbl_is_missing) {
		free(front);
		return -ENOMEM;
	}
	front->unit = unit;
	front->next = unit->fronts;
	unit->fronts = front;
	known->room.n_frontends++;
	return 0;
}

/* ---- slots ------------------------------------------------------------------ */

static void mark_slots(struct known *known, uint32_t first, uint32_t n, bool used)
{
	uint64_t capacity = known->capacity[STATE_MAP_SLOTS];

	slot_bits_set(known->slots, capacity, first, n, used);
}

/* What the service referred to takes its room until the next GRACE. */
static int abandon_slots(struct known *known, const struct sst_service *old,
			 const struct sst_service *new)
{
	if (!old->slots || (old->first == new->first &&new->slots))
		return 0;
	if (array_reserve((void **)&known->limbo, &known->room_limbo, known->n_limbo,
			  sizeof(*known->limbo)))
		return -ENOMEM;
	known->limbo[known->n_limbo++] = (struct limbo){ 0, old->first, old->slots };
	return 0;
}

static void free_limbo(struct known *known)
{
	size_t kept = 0;

	for (size_t i = 0; i < known->n_limbo; i++) {
		struct limbo *limbo = &known->limbo[i];

		if (limbo->mark > known->settled)
			known->limbo[kept++] = *limbo;
		else
			mark_slots(known, limbo->first, limbo->n, false);
	}
	known->n_limbo = kept;
}

static int flip_service(struct known *known, const struct step *step)
{
	struct known_unit *unit = find_unit(known, step->id);

	if (!unit)
		return 0;
	if (abandon_slots(known, &unit->value, &step->value.service) || watch(known, unit))
		return -ENOMEM;
	set_value(known, unit, &step->value.service);
	return 0;
}

/* ---- steps ------------------------------------------------------------------ */

static int add_service(struct known *known, const struct step *step)
{
	struct known_unit *unit = need_unit(known, step->id);

	if (!unit)
		return -ENOMEM;
	if (step->kind == STEP_ADD_SERVICE)
		set_value(known, unit, &step->value.service);
	else
		return set_info(known, unit, step->value.info);
	return 0;
}

static int note(struct known *known, const struct step *step)
{
	const union step_value *value = &step->value;

	switch (step->kind) {
	case STEP_ADD_ENDPOINT:
	case STEP_FLIP_ENDPOINT:
		return put_endpoint(known, step->id, &value->endpoint);
	case STEP_ADD_SLOTS:
		mark_slots(known, value->slots.first, value->slots.n, true);
		return 0;
	case STEP_ADD_SERVICE_INFO:
	case STEP_FLIP_SERVICE_INFO:
	case STEP_ADD_SERVICE:
		return add_service(known, step);
	case STEP_FLIP_SERVICE:
		return flip_service(known, step);
	case STEP_FLIP_FRONTEND:
		if (step->replaces && leave_front(known, &step->old.frontend))
			return -ENOMEM;
		return put_front(known, &value->frontend);
	case STEP_DROP_FRONTEND:
		return leave_front(known, &step->old.frontend);
	case STEP_FLIP_POLICY: /* which waits by itself */
	case STEP_GRACE:
		free_limbo(known);
		return 0;
	case STEP_RETIRE_ENDPOINT:
		return retire_endpoint(known, step->id, &value->endpoint);
	case STEP_DELETE_ENDPOINT:
		return delete_endpoint(known, step->id, step->old.endpoint.service);
	case STEP_DELETE_SERVICE:
		return delete_service(known, step->id);
	default:
		return 0;
	}
}

void known_note(struct known *known, const struct step *step)
{
	if (known->valid && note(known, step))
		known_forget(known);
}

void known_raise(struct known *known, uint64_t generation)
{
	known->generation = generation;
}

/* ---- all of it -------------------------------------------------------------- */

struct known *known_new(void)
{
	return calloc(1, sizeof(struct known));
}

static void release_units(struct known *known)
{
	struct known_unit *unit, *next_unit;
	struct front_known *front, *next_front;

	HASH_ITER (hh, known->fronts, front, next_front) {
		HASH_DELETE(hh, known->fronts, front);
		free(front);
	}
	HASH_CLEAR(by_name, known->by_name);
	HASH_ITER (by_id, known->by_id, unit, next_unit) {
		HASH_DELETE(by_id, known->by_id, unit);
		free(unit->endpoints);
		free(unit);
	}
}

void known_forget(struct known *known)
{
	release_units(known);
	free(known->slots);
	free(known->limbo);
	free(known->unsettled);
	/* marks go on: somebody may be waiting with one */
	*known = (struct known){ .mark = known->mark, .settled = known->mark };
}

void known_free(struct known *known)
{
	if (known)
		known_forget(known);
	free(known);
}

bool known_is_current(const struct known *known, uint64_t generation)
{
	return known->valid && known->generation == generation;
}

static int learn_service(struct known *known, const struct state_service *service)
{
	struct known_unit *unit = need_unit(known, service->id);

	if (!unit || set_info(known, unit, &service->info) || watch(known, unit))
		return -ENOMEM;
	set_value(known, unit, &service->value);
	mark_slots(known, service->value.first, service->value.slots, true);
	return 0;
}

static int learn_endpoint(struct known *known, const struct state_endpoint *endpoint)
{
	int r = put_endpoint(known, endpoint->id, &endpoint->value);

	if (!r && endpoint->value.state == SST_ENDPOINT_REMOVED)
		r = watch(known, find_unit(known, endpoint->value.service));
	return r;
}

static int learn(struct known *known, const struct state *state)
{
	int r = 0;

	for (int i = 0; i < STATE_MAP_MAX; i++)
		known->capacity[i] = state->fill[i].capacity;
	known->slots = slot_bits_new(known->capacity[STATE_MAP_SLOTS]);
	if (!known->slots)
		return -ENOMEM;
	known->room.slots = known->slots;
	for (size_t i = 0; !r && i < state->n_services; i++)
		r = learn_service(known, &state->services[i]);
	for (size_t i = 0; !r && i < state->n_endpoints; i++)
		r = learn_endpoint(known, &state->endpoints[i]);
	for (size_t i = 0; !r && i < state->n_frontends; i++)
		r = put_front(known, &state->frontends[i]);
	return r;
}

int known_renew(struct known *known, const struct state *state)
{
	int r;

	known_forget(known);
	r = learn(known, state);
	if (r) {
		known_forget(known);
		return r;
	}
	known->valid = true;
	known->generation = state->meta.generation;
	return 0;
}

/* ---- a part of it ----------------------------------------------------------- */

/* Units of a part, each once. */
struct chosen {
	struct known_unit **units;
	size_t n, room;
};

static void chosen_release(struct chosen *chosen)
{
	for (size_t i = 0; i < chosen->n; i++)
		chosen->units[i]->chosen = false;
	free(chosen->units);
}
#define _cleanup_chosen_ __attribute__((cleanup(chosen_release)))

static int choose(struct chosen *chosen, struct known_unit *unit)
{
	if (unit->chosen)
		return 0;
	if (array_reserve((void **)&chosen->units, &chosen->room, chosen->n,
			  sizeof(*chosen->units)))
		return -ENOMEM;
	unit->chosen = true;
	chosen->units[chosen->n++] = unit;
	return 0;
}

static int choose_name(const struct known *known, struct chosen *chosen, const char *name)
{
	int r = 0;

	for (struct known_unit *unit = find_name(known, name); !r && unit; unit = unit->next)
		r = choose(chosen, unit);
	return r;
}

static int part_allocate(const struct chosen *chosen, struct state *part)
{
	size_t n_endpoints = 0, n_frontends = 0;

	for (size_t i = 0; i < chosen->n; i++) {
		n_endpoints += chosen->units[i]->n_endpoints;
		for (const struct front_known *front = chosen->units[i]->fronts; front;
		     front = front->next)
			n_frontends++;
	}
	part->services = calloc(chosen->n + 1, sizeof(*part->services));
	part->endpoints = calloc(n_endpoints + 1, sizeof(*part->endpoints));
	part->frontends = calloc(n_frontends + 1, sizeof(*part->frontends));
	return part->services && part->endpoints && part->frontends ? 0 : -ENOMEM;
}

/* up_to: endpoints that left with this mark, or before. */
static void part_add(struct state *part, const struct known_unit *unit, uint64_t up_to)
{
	if (unit->there)
		part->services[part->n_services++] = (struct state_service){
			.id = unit->id,
			.value = unit->value,
			.info = unit->info,
		};
	for (size_t i = 0; i < unit->n_endpoints; i++) {
		const struct endpoint *endpoint = &unit->endpoints[i];

		part->endpoints[part->n_endpoints++] = (struct state_endpoint){
			.id = endpoint->id,
			.value = endpoint->value,
			.left = endpoint->left && endpoint->left <= up_to,
		};
	}
	for (const struct front_known *front = unit->fronts; front; front = front->next)
		part->frontends[part->n_frontends++] = front->value;
}

/* All elements begin with their id. */
static int compare_ids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int compare_keys(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct sst_frontend_key));
}

static int part_make(const struct known *known, const struct chosen *chosen, uint64_t up_to,
		     struct state *ret)
{
	_cleanup_state_ struct state part = { 0 };

	if (part_allocate(chosen, &part))
		return -ENOMEM;
	for (size_t i = 0; i < chosen->n; i++)
		part_add(&part, chosen->units[i], up_to);
	qsort(part.services, part.n_services, sizeof(*part.services), compare_ids);
	qsort(part.endpoints, part.n_endpoints, sizeof(*part.endpoints), compare_ids);
	qsort(part.frontends, part.n_frontends, sizeof(*part.frontends), compare_keys);
	for (int i = 0; i < STATE_MAP_MAX; i++)
		part.fill[i].capacity = known->capacity[i];
	*ret = part;
	part = (struct state){ 0 };
	return 0;
}

int known_part(const struct known *known, const struct model *model, const char *const *names,
	       size_t n_names, struct state *ret)
{
	_cleanup_chosen_ struct chosen chosen = { 0 };
	int r = 0;

	for (size_t i = 0; !r && i < n_names; i++)
		r = choose_name(known, &chosen, names[i]);
	for (size_t i = 0; !r && i < model->n_services; i++)
		r = choose_name(known, &chosen, model->services[i].name);
	return r ? r : part_make(known, &chosen, UINT64_MAX, ret);
}

const struct known_room *known_room(const struct known *known)
{
	return &known->room;
}

bool known_has_service(const struct known *known, uint32_t id)
{
	return find_unit(known, id);
}

/* Ids grow: only when they have wrapped around is one looked for. */
bool known_has_endpoint(const struct known *known, uint32_t id)
{
	if (id > known->highest_endpoint)
		return false;
	for (const struct known_unit *unit = known->by_id; unit; unit = unit->by_id.next)
		if (find_endpoint(unit, id))
			return true;
	return false;
}

const struct sst_service_info *known_at(const struct known *known,
					const struct sst_frontend_key *key)
{
	const struct front_known *front = find_front(known, key);

	return front && front->unit->there ? &front->unit->info : NULL;
}

/* ---- what is put off -------------------------------------------------------- */

static bool has_grace(const struct plan *plan)
{
	for (size_t i = 0; i < plan->n_steps; i++)
		if (plan->steps[i].kind == STEP_GRACE)
			return true;
	return false;
}

static void tell_leavers(const struct plan *plan, struct state *part)
{
	for (size_t i = 0; i < part->n_endpoints; i++)
		part->endpoints[i].left = false;
	for (size_t i = 0; i < plan->n_steps; i++) {
		const struct step *step = &plan->steps[i];

		if (step->kind == STEP_RETIRE_ENDPOINT)
			((struct state_endpoint *)state_endpoint(part, step->id))->left = true;
	}
}

/* Who is still leaving has had part of the wait. Who has come back stays. */
static int owe_endpoints(struct known *known, const struct state *part)
{
	for (size_t i = 0; i < part->n_endpoints; i++) {
		const struct state_endpoint *old = &part->endpoints[i];
		struct known_unit *unit = find_unit(known, old->value.service);
		struct endpoint *endpoint = unit ? find_endpoint(unit, old->id) : NULL;

		if (!endpoint)
			continue;
		if (!old->left)
			endpoint->left = 0;
		else if (!endpoint->left)
			endpoint->left = known->mark;
		if (old->left && watch(known, unit))
			return -ENOMEM;
	}
	return 0;
}

void known_owe(struct known *known, const struct plan *plan, struct state *part)
{
	if (!known->valid)
		return;
	if (has_grace(plan))
		known->mark++;
	tell_leavers(plan, part);
	for (size_t i = 0; i < part->n_services; i++) {
		struct known_unit *unit = find_unit(known, part->services[i].id);

		if (unit)
			unit->flipped = known->mark;
	}
	for (size_t i = 0; i < known->n_limbo; i++)
		if (!known->limbo[i].mark)
			known->limbo[i].mark = known->mark;
	for (size_t i = 0; i < plan->n_steps; i++)
		if (plan->steps[i].kind == STEP_STOP_SPLICE)
			known->stop = known->mark;
	if (owe_endpoints(known, part))
		known_forget(known);
}

uint64_t known_owed(const struct known *known)
{
	return known->mark > known->settled ? known->mark : 0;
}

void known_settle(struct known *known, uint64_t mark)
{
	if (mark > known->settled)
		known->settled = mark;
	free_limbo(known);
}

/* Nobody can reach it, but it is there. */
static bool is_shell(const struct known_unit *unit)
{
	return unit->there && !unit->fronts && !unit->value.slots;
}

static bool has_remains(const struct known_unit *unit)
{
	if (is_shell(unit))
		return true;
	for (size_t i = 0; i < unit->n_endpoints; i++)
		if (unit->endpoints[i].left ||
		    unit->endpoints[i].value.state == SST_ENDPOINT_REMOVED)
			return true;
	return false;
}

static bool is_due(const struct known *known, const struct known_unit *unit)
{
	return unit->unsettled && (!is_shell(unit) || unit->flipped <= known->settled);
}

int known_remains(struct known *known, struct state *ret, bool *stop)
{
	_cleanup_chosen_ struct chosen chosen = { 0 };
	size_t kept = 0;
	int r = 0;

	for (size_t i = 0; i < known->n_unsettled; i++) {
		struct known_unit *unit = find_unit(known, known->unsettled[i]);

		if (!unit)
			continue;
		unit->unsettled = has_remains(unit);
		if (unit->unsettled)
			known->unsettled[kept++] = unit->id;
		if (!r && is_due(known, unit))
			r = choose(&chosen, unit);
	}
	known->n_unsettled = kept;
	if (!r)
		r = part_make(known, &chosen, known->settled, ret);
	if (r)
		return r;
	*stop = known->stop && known->stop <= known->settled;
	if (*stop)
		known->stop = 0;
	return 0;
}
