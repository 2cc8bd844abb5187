/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/reconcile.h"

#include <errno.h>
#include <string.h>

int reconcile(struct datapath *datapath, const struct model *model, bool dry_run,
	      struct problems *problems, struct plan *ret)
{
	_cleanup_state_ struct state state = {};
	_cleanup_plan_ struct plan plan = {};
	int err = datapath_dump(datapath, DUMP_TABLES | DUMP_SLOTS, &state);

	if (err) {
		problems_add(problems, "sidestep", (struct place){}, "the maps cannot be read: %s",
			     strerror(-err));
		return err;
	}
	err = plan_make(model, &state, problems, &plan);
	if (!err && !dry_run)
		err = datapath_apply(datapath, &plan, problems);
	if (err)
		return err;
	*ret = plan;
	memset(&plan, 0, sizeof(plan));
	return 0;
}

int collect(struct datapath *datapath, struct problems *problems)
{
	_cleanup_state_ struct state state = {};
	_cleanup_plan_ struct plan plan = {};
	int err = datapath_lock(datapath, 0);

	if (err)
		return err;
	err = datapath_dump(datapath, DUMP_TABLES | DUMP_SLOTS, &state);
	if (!err)
		err = plan_collect(&state, &plan);
	if (!err)
		err = datapath_apply(datapath, &plan, problems);
	datapath_unlock(datapath);
	return err;
}
