/* SPDX-License-Identifier: Apache-2.0 */
/* The way down: what is wanted against what the maps hold, planned, carried out. */
#ifndef SIDESTEP_DATAPATH_RECONCILE_H
#define SIDESTEP_DATAPATH_RECONCILE_H

#include "datapath/datapath.h"
#include "datapath/locate.h"
#include "model/model.h"
#include "plan/known.h"

/*
 * Makes the maps hold the model; the lock must be held. With dry_run it only
 * plans. *ret tells the differences and is the caller's to release. Errors are
 * those of policy_compile(), plan_make() and datapath_apply(), told in problems. What of
 * the host could not be found is told there too, and is no error.
 */
int reconcile(struct datapath *datapath, const struct model *model, bool dry_run,
	      struct problems *problems, struct plan *ret);

/* The same with what locate() has found. known is renewed, and may be NULL. */
int reconcile_located(struct datapath *datapath, struct known *known, const struct model *model,
		      const struct located *located, bool dry_run, struct problems *problems,
		      struct plan *ret);

/* ---- a part of the model --------------------------------------------------------- */

/*
 * These take what the maps hold from `known`, which is read anew when another process has
 * changed them; the lock must be held. What they cost depends on what changes alone.
 */

/*
 * Services of these names become those given; whose name is among names only, goes; all others
 * stay as they are. The new is in force when it returns; GRACE and what is to be removed are put
 * off, and the lock is to be kept until then: reconcile_unlock().
 *
 * -EINVAL: the services are no valid model, or others have an address of theirs; -E2BIG: no
 * room, maybe until what was put off is done. Then all is as it was. Any other failure leaves
 * what only reconcile_located() brings in order.
 */
int reconcile_services(struct datapath *datapath, struct known *known, const char *source,
		       const struct model_service *services, size_t n_services,
		       const char *const *names, size_t n_names, struct problems *problems,
		       struct plan *ret);

/* Policies, workloads and settings of the node become those of the model; of services nothing
 * is looked at. It waits by itself where it has to. */
int reconcile_policy(struct datapath *datapath, struct known *known, const struct model *model,
		     const struct located *located, struct problems *problems, struct plan *ret);

/*
 * What was put off: mark is what known_owed() said, and after that somebody (a thread, since it
 * takes a while) has called datapath_grace(). Also removes what flows have left since. A failure leaves what only reconcile_located() brings in order.
 */
int reconcile_settle(struct datapath *datapath, struct known *known, uint64_t mark,
		     struct problems *problems);

/* The same with the wait. */
int reconcile_settle_all(struct datapath *datapath, struct known *known, struct problems *problems);

/* Unlocks, unless something is put off. */
void reconcile_unlock(struct datapath *datapath, const struct known *known);

/* Deletes endpoints and services whose last flow has closed since: 1, or 0 when there are none.
 * Takes the lock; -EBUSY when somebody else has it. */
int collect(struct datapath *datapath, struct known *known, struct problems *problems);

#endif
