/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the maps hold of services, remembered between changes, so that a change of one service
 * costs what that service costs: made of a state, carried along by every step that is done, and
 * true as long as nobody else writes (see known_is_current()). Statistics and the content of
 * slots are not in it.
 *
 * A plan is made of a part of it: a small state, and what the others take (known_room()). What
 * stands after GRACE may be put off (known_owe()): then GRACE and REMOVE of many plans are one.
 * Until then what was flipped away takes its room, and endpoints that have left are marked so.
 */
#ifndef SIDESTEP_PLAN_KNOWN_H
#define SIDESTEP_PLAN_KNOWN_H

#include "plan/plan.h"

struct known;

/* Knows nothing yet. NULL: no memory. */
struct known *known_new(void);
void known_free(struct known *known);

static inline void cleanup_known(struct known **known)
{
	known_free(*known);
}
#define _cleanup_known_ __attribute__((cleanup(cleanup_known)))

/* Does it tell what the maps of this generation hold? */
bool known_is_current(const struct known *known, uint64_t generation);

/*
 * From a state with tables and fill, as of which nothing is owed. -ENOMEM: nothing is known, as
 * after known_forget().
 */
int known_renew(struct known *known, const struct state *state);
void known_forget(struct known *known);

/* The step has been carried out, or all of a plan, which has raised the generation. */
void known_note(struct known *known, const struct step *step);
void known_raise(struct known *known, uint64_t generation);

/* ---- a part of it ------------------------------------------------------------ */

/*
 * What is known of services of these names, and of those that the model has: a state without
 * slots, whose config and meta are the caller's to fill. -ENOMEM.
 */
int known_part(const struct known *known, const struct model *model, const char *const *names,
	       size_t n_names, struct state *ret);

/* What a plan for a part has to know of the rest. */
struct known_room {
	size_t n_frontends, n_services, n_endpoints; /* of all */
	uint64_t n_slots;                            /* that services refer to, of all */
	const uint64_t *slots;                       /* those in use, a bit each; more than these */
};

const struct known_room *known_room(const struct known *known);

bool known_has_service(const struct known *known, uint32_t id);
bool known_has_endpoint(const struct known *known, uint32_t id);

/* The service that is reached there; NULL: none. */
const struct sst_service_info *known_at(const struct known *known,
					const struct sst_frontend_key *key);

/* ---- what is put off ----------------------------------------------------------- */

/*
 * All of the plan up to GRACE was done, of which part was the state; what follows is put off.
 * Needed for an empty plan, too: who was to go may have come back.
 */
void known_owe(struct known *known, const struct plan *plan, struct state *part);

/* What has to wait for GRACE: a mark for known_settle(); 0: nothing. */
uint64_t known_owed(const struct known *known);

/* There was a GRACE since known_owed() gave this mark. */
void known_settle(struct known *known, uint64_t mark);

/*
 * The services of which something may be removed now: retired endpoints, shells of services.
 * As known_part(), for plan_collect(). *stop: flows are to be taken out of the splice.
 */
int known_remains(struct known *known, struct state *ret, bool *stop);

#endif
