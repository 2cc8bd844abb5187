/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the self-test found of this kernel, kept until the next boot. A file that cannot be
 * read, is not whole, is of another kernel, boot or version, or is not ours is no file.
 */
#ifndef SIDESTEP_DATAPATH_CACHE_H
#define SIDESTEP_DATAPATH_CACHE_H

#include <stddef.h>

#include "model/checks.h"

#define CACHE_KEY_MAX 512

/* All that the results depend on: kernel, boot, version, the programs themselves, and whether
 * those that watch splice(2) are attached. */
void cache_key(const void *programs, size_t size, bool readers, char key[CACHE_KEY_MAX]);

/* Takes the results of PART_KERNEL into *checks; false: there are none. */
bool cache_read(const char *path, const char *key, struct checks *checks);

/* Makes the file's folder if it is missing. A cache that cannot be written is no failure. */
void cache_write(const char *path, const char *key, const struct checks *checks);

#endif
