/* SPDX-License-Identifier: Apache-2.0 */
/* A model from YAML files; docs/configuration.md is their reference. */
#ifndef SIDESTEP_SOURCE_YAML_H
#define SIDESTEP_SOURCE_YAML_H

#include <stddef.h>

#include "core/problems.h"
#include "model/model.h"

#define YAML_SIZE_MAX      (64 << 20) /* bytes of a file */
/* Endpoints of a file, each counted once for every port of its service. */
#define YAML_ENDPOINTS_MAX 1000000
#define YAML_ADDRESSES_MAX 256 /* of a service or a workload */
#define YAML_PORTS_MAX     256 /* of a service or a workload */
#define YAML_LABELS_MAX    256 /* of a workload or a namespace; and expressions of a selector */
/* Rules of a policy's direction, peers or ports of a rule, values of an expression, ... */
#define YAML_ENTRIES_MAX   10000

/*
 * All read each document, validate the whole (model_validate) and refuse it whole when
 * anything is wrong. Return 0; -EINVAL with every problem found; or another
 * -errno, told in problems too when it comes from a file. On failure *ret is
 * untouched. Success may come with warnings. host: NULL, where nothing is known of it.
 */
int yaml_load_files(const char *const *paths, size_t n, const struct model_host *host,
		    struct problems *problems, struct model **ret);
int yaml_load_file(const char *path, struct problems *problems, struct model **ret);
int yaml_load_text(const char *name, const char *text, size_t size, const struct model_host *host,
		   struct problems *problems, struct model **ret);

#endif
