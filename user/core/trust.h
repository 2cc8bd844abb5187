/* SPDX-License-Identifier: Apache-2.0 */
/* Files that say what root does. */
#ifndef SIDESTEP_CORE_TRUST_H
#define SIDESTEP_CORE_TRUST_H

#include <stdbool.h>
#include <sys/stat.h>

#include "core/problems.h"

/*
 * Whoever may write the file rules the node, so root takes no file that others may write; false:
 * told. What others run for themselves (`check`) is their own affair, and a pipe is its maker's.
 */
bool trust_file(const char *path, const struct stat *about, struct problems *problems);

#endif
