/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ending the flows that a walk tells of. To end one takes the kernel longer than to find it,
 * so the work is shared by two threads: while this one still walks, a helper ends what was
 * found; then both do. One that finds few ends them alone.
 */
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "core/array.h"
#include "datapath/destroy.h"
#include "datapath/internal.h"
#include "datapath/policy.h"

/* Who was found by one walk. */
struct found {
	uint64_t *flows;
	size_t n, room;
};

/* The batch of a namespace that is being filled, if there is one. */
struct filling {
	uint32_t netns;
	struct batch *batch;
};

struct ending {
	struct datapath *datapath;
	struct found now, before;
	struct filling *filling;
	size_t n_filling, room;
	pthread_t helper;
	bool has_helper;
	/* Of both threads: */
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct batch *queue;
	struct batch *left; /* of which some could not be ended */
	bool complete;      /* no more will come */
};

/* ---- what both do ------------------------------------------------------------------- */

static void push(struct batch **list, struct batch *batch)
{
	batch->next = *list;
	*list = batch;
}

static struct batch *pop(struct batch **list)
{
	struct batch *batch = *list;

	if (batch)
		*list = batch->next;
	return batch;
}

static void free_all(struct batch **list)
{
	struct batch *batch;

	while ((batch = pop(list)))
		free(batch);
}

/* Waits for the next one; NULL: there is none, nor will be. */
static struct batch *take(struct ending *ending)
{
	struct batch *batch;

	pthread_mutex_lock(&ending->lock);
	while (!ending->queue && !ending->complete)
		pthread_cond_wait(&ending->more, &ending->lock);
	batch = pop(&ending->queue);
	pthread_mutex_unlock(&ending->lock);
	return batch;
}

static void put_aside(struct ending *ending, struct batch *batch)
{
	pthread_mutex_lock(&ending->lock);
	push(&ending->left, batch);
	pthread_mutex_unlock(&ending->lock);
}

static void *end_queued(void *arg)
{
	_cleanup_(destroyer_release) struct destroyer destroyer = DESTROYER_INIT;
	struct ending *ending = arg;
	struct batch *batch;

	while ((batch = take(ending))) {
		destroy_batch(&destroyer, batch);
		if (batch_has_left(batch))
			put_aside(ending, batch);
		else
			free(batch);
	}
	return NULL;
}

/* ---- the helper ------------------------------------------------------------------------ */

/* Signals are for who has called. Without a helper it takes longer. */
static void helper_start(struct ending *ending)
{
	sigset_t all, before;

	if (ending->has_helper)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ending->has_helper = !pthread_create(&ending->helper, NULL, end_queued, ending);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void give(struct ending *ending, struct batch *batch)
{
	pthread_mutex_lock(&ending->lock);
	push(&ending->queue, batch);
	pthread_cond_signal(&ending->more);
	pthread_mutex_unlock(&ending->lock);
}

static void helper_join(struct ending *ending)
{
	pthread_mutex_lock(&ending->lock);
	ending->complete = true;
	pthread_cond_signal(&ending->more);
	pthread_mutex_unlock(&ending->lock);
	end_queued(ending);
	if (ending->has_helper)
		pthread_join(ending->helper, NULL);
	ending->has_helper = false;
	ending->complete = false;
}

/* ---- a walk ------------------------------------------------------------------------------ */

static struct filling *filling_of(struct ending *ending, uint32_t netns)
{
	for (size_t i = 0; i < ending->n_filling; i++)
		if (ending->filling[i].netns == netns)
			return &ending->filling[i];
	if (array_reserve((void **)&ending->filling, &ending->room, ending->n_filling,
			  sizeof(*ending->filling)))
		return NULL;
	ending->filling[ending->n_filling] = (struct filling){ .netns = netns };
	return &ending->filling[ending->n_filling++];
}

static int put(struct ending *ending, const struct sst_record *record)
{
	struct filling *filling = filling_of(ending, record->netns_ino);

	if (filling && !filling->batch)
		filling->batch = calloc(1, sizeof(*filling->batch));
	if (!filling || !filling->batch)
		return -ENOMEM;
	filling->batch->netns = filling->netns;
	filling->batch->records[filling->batch->n++] = *record;
	if (filling->batch->n < BATCH_MAX)
		return 0;
	give(ending, TAKE_PTR(filling->batch));
	/* later walks first tell whether it makes sense to go on */
	if (!ending->before.n)
		helper_start(ending);
	return 0;
}

static int add_found(const struct sst_record *record, void *arg)
{
	struct ending *ending = arg;
	struct found *now = &ending->now;

	if (array_reserve((void **)&now->flows, &now->room, now->n, sizeof(*now->flows)))
		return -ENOMEM;
	now->flows[now->n++] = record->flow;
	return put(ending, record);
}

/* All that were found. */
static void end_queue(struct ending *ending)
{
	for (size_t i = 0; i < ending->n_filling; i++)
		if (ending->filling[i].batch)
			give(ending, TAKE_PTR(ending->filling[i].batch));
	ending->n_filling = 0;
	if (!ending->has_helper && ending->queue && ending->queue->next)
		helper_start(ending);
	helper_join(ending);
	destroy_left(ending->datapath, ending->left);
	free_all(&ending->left);
}

static int compare_flows(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* How many of them were found before, too: cookies are never used twice. */
static size_t count_again(const struct found *now, const struct found *before)
{
	size_t n = 0;

	for (size_t i = 0; before->n && i < now->n; i++)
		n += bsearch(&now->flows[i], before->flows, before->n, sizeof(*before->flows),
			     compare_flows) != NULL;
	return n;
}

/* ---- until nobody is left ------------------------------------------------------------------ */

typedef int (*walk_fn)(struct datapath *datapath, flow_fn fn, void *arg);

/* Whoever opens flows without end is left to the next time. */
#define NEWCOMERS_MAX 16

/*
 * A walk may miss some, an attempt may end some only, and others come meanwhile: so it is
 * repeated until nobody is found, or just those of before. These cannot be ended, and *left
 * tells how many.
 */
static int end_found(struct ending *ending, walk_fn walk_over, size_t *left)
{
	struct found *now = &ending->now, *before = &ending->before, swap;
	int err = 0;

	for (unsigned newcomers = 0; !err && newcomers < NEWCOMERS_MAX;) {
		now->n = 0;
		err = walk_over(ending->datapath, add_found, ending);
		*left = count_again(now, before);
		if (err || !now->n || (*left == now->n && now->n == before->n))
			break;
		newcomers += *left < now->n;
		end_queue(ending);
		qsort(now->flows, now->n, sizeof(*now->flows), compare_flows);
		swap = *before;
		*before = *now;
		*now = swap;
	}
	return err;
}

static void release(struct ending *ending)
{
	/* a walk that failed */
	if (ending->has_helper)
		end_queue(ending);
	for (size_t i = 0; i < ending->n_filling; i++)
		free(ending->filling[i].batch);
	free_all(&ending->queue);
	free(ending->filling);
	free(ending->now.flows);
	free(ending->before.flows);
}

static int end_all(struct datapath *datapath, walk_fn walk_over, struct problems *problems)
{
	struct ending ending = { .datapath = datapath,
				 .lock = PTHREAD_MUTEX_INITIALIZER,
				 .more = PTHREAD_COND_INITIALIZER };
	size_t left = 0;
	int err = end_found(&ending, walk_over, &left);

	release(&ending);
	if (err || !left)
		return err;
	return fail(problems, -EBUSY,
		    "%zu sockets that must end could not be ended: their network namespace "
		    "cannot be entered, or the kernel cannot end them",
		    left);
}

int datapath_end_leavers(struct datapath *datapath, struct problems *problems)
{
	return end_all(datapath, datapath_leavers, problems);
}

int datapath_revoke(struct datapath *datapath, struct problems *problems)
{
	uint32_t flags;
	int err = policy_flags(datapath, &flags);

	if (err || !(flags & SST_POLICY_REVOKE))
		return err;
	return end_all(datapath, datapath_denied, problems);
}
