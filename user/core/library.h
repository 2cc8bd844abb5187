/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Libraries that most runs do without, and that bring many others: loaded by who needs one. Its
 * functions are then called by a table, a struct of pointers to them and nothing else.
 */
#ifndef SIDESTEP_CORE_LIBRARY_H
#define SIDESTEP_CORE_LIBRARY_H

#include <stddef.h>

#include "core/problems.h"

struct library {
	const char *soname;
	const char *purpose;      /* what for, as people know it: "--web" */
	const char *package;      /* of Debian, that has it */
	const char *const *names; /* of its functions, in the table's order */
	size_t n_names;
};

/*
 * Fills the table; the library stays as long as the process does. -ELIBACC, with what is missing
 * in problems, and the table as it was.
 */
int library_load(const struct library *library, void *table, struct problems *problems);

#endif
