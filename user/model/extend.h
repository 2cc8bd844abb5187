/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model that begins with all that another one has. What is added to it is its own, the rest is
 * borrowed: for sources that go on from what the files say. Namespaces are copies, since others
 * know more of them.
 */
#ifndef SIDESTEP_MODEL_EXTEND_H
#define SIDESTEP_MODEL_EXTEND_H

#include "model/model.h"

struct extension {
	struct model model; /* nothing of it is to be released by itself; arrays are its own */
	size_t n_services;  /* the first so many of each are borrowed */
	size_t n_workloads;
	size_t n_policies;
};

/* base outlives it, and was validated. 0 or -ENOMEM. */
int extension_begin(const struct model *base, struct extension *ret);

/* Nothing more is added: completes and validates the whole. Results are model_validate()'s. */
int extension_finish(struct extension *extension, struct problems *problems);

void extension_release(struct extension *extension);
#define _cleanup_extension_ __attribute__((cleanup(extension_release)))

#endif
