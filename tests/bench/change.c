// SPDX-License-Identifier: Apache-2.0
/*
 * Changes services of an instance as the daemon does that follows an API server: usage is "change PIN";
 * each line on stdin names a file, whose services become what it says. When they are in force, a
 * line on stdout tells the milliseconds since that was wanted; what is put off is done after that.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/clock.h"
#include "datapath/reconcile.h"
#include "source/yaml.h"

static void check(int err, const char *what, const struct problems *problems)
{
	if (!err)
		return;
	for (unsigned i = 0; i < problems->count; i++)
		fprintf(stderr, "%s\n", problems->text[i]);
	fprintf(stderr, "change: %s: %s\n", what, strerror(-err));
	exit(1);
}

static void put_in_force(struct datapath *datapath, struct known *known, const struct model *model)
{
	_cleanup_problems_ struct problems problems = {};
	_cleanup_free_ const char **names = calloc(model->n_services, sizeof(*names));
	_cleanup_plan_ struct plan plan = {};

	if (!names)
		check(-ENOMEM, "names", &problems);
	for (size_t i = 0; i < model->n_services; i++)
		names[i] = model->services[i].name;
	check(datapath_lock(datapath, 0), "lock", &problems);
	check(reconcile_services(datapath, known, model->source, model->services, model->n_services,
				 names, model->n_services, &problems, &plan),
	      "change", &problems);
	if (!plan.n_steps)
		check(-EALREADY, model->source, &problems);
}

static void change(struct datapath *datapath, struct known *known, const char *file)
{
	_cleanup_problems_ struct problems problems = {};
	_cleanup_model_ struct model *model = NULL;
	uint64_t begin;

	check(yaml_load_file(file, &problems, &model), file, &problems);
	begin = clock_ns(CLOCK_MONOTONIC);
	put_in_force(datapath, known, model);
	printf("%.6f\n", (double)(clock_ns(CLOCK_MONOTONIC) - begin) / 1e6);
	check(reconcile_settle_all(datapath, known, &problems), "rest", &problems);
	reconcile_unlock(datapath, known);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	_cleanup_problems_ struct problems problems = {};
	_cleanup_datapath_ struct datapath *datapath = NULL;
	struct known *known = known_new();
	char file[4096];

	if (argc != 2 || !known) {
		fprintf(stderr, "usage: change PIN\n");
		return 2;
	}
	check(datapath_open(argv[1], &datapath), argv[1], &problems);
	while (fgets(file, sizeof(file), stdin)) {
		file[strcspn(file, "\n")] = '\0';
		change(datapath, known, file);
	}
	known_free(known);
	return 0;
}
