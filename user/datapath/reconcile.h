/* SPDX-License-Identifier: Apache-2.0 */
/* The whole way down: what is wanted against what the maps hold, planned, carried out. */
#ifndef SIDESTEP_DATAPATH_RECONCILE_H
#define SIDESTEP_DATAPATH_RECONCILE_H

#include "datapath/datapath.h"
#include "datapath/locate.h"
#include "model/model.h"

/*
 * Makes the maps hold the model; the lock must be held. With dry_run it only
 * plans. *ret tells the differences and is the caller's to release. Errors are
 * those of policy_compile(), plan_make() and datapath_apply(), told in problems. What of
 * the host could not be found is told there too, and is no error.
 */
int reconcile(struct datapath *datapath, const struct model *model, bool dry_run,
	      struct problems *problems, struct plan *ret);

/* The same with what locate() has found. */
int reconcile_located(struct datapath *datapath, const struct model *model,
		      const struct located *located, bool dry_run, struct problems *problems,
		      struct plan *ret);

/* Deletes endpoints and services whose last flow has closed since. Takes the lock;
 * -EBUSY when somebody else has it. */
int collect(struct datapath *datapath, struct problems *problems);

#endif
