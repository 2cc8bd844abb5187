/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An instance of Sidestep that nobody else uses: two cgroups, one with hooks and one without, pins, a
 * daemon in the caller's network namespace, and a folder for its files. It goes with the caller,
 * whatever ends that; what a killed one leaves is removed by the next.
 */
#ifndef SIDESTEP_BENCH_INSTANCE_H
#define SIDESTEP_BENCH_INSTANCE_H

#include <limits.h>
#include <sys/types.h>

#include "core/problems.h"
#include "core/text.h"

struct instance_options {
	const char *cgroup; /* below which its own are; NULL: the root */
	const char *pin;    /* beside which its own are */
	const char *cache;  /* as in datapath.h */
};

struct instance {
	char plain[PATH_MAX], hooked[PATH_MAX]; /* the cgroups */
	char pin[PATH_MAX];
	char folder[80]; /* of its files; empty: there is none */
	int parent_fd;   /* of the cgroups */
	pid_t daemon;
};

#define INSTANCE_INIT           \
	{                       \
		.parent_fd = -1 \
	}

/* Makes what the daemon needs, and enters a network namespace of its own. 0, or told in problems. */
int instance_prepare(struct instance *instance, const struct instance_options *options,
		     struct problems *problems);

/* Returns when the daemon serves; -ECANCELED when stop can be read. */
int instance_start(struct instance *instance, const struct instance_options *options,
		   const struct text *config, int stop, struct problems *problems);

/* Whether its daemon still runs. */
bool instance_lives(const struct instance *instance);

/* Takes all away, also of one that was half made; what stays is told in problems. */
void instance_end(struct instance *instance, struct problems *problems);

#endif
