/* SPDX-License-Identifier: Apache-2.0 */
/* A file that readers see whole: the old content or the new one, also after a crash. */
#ifndef SIDESTEP_CORE_ATOMIC_FILE_H
#define SIDESTEP_CORE_ATOMIC_FILE_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Replaces the content of path by way of a temporary file beside it, named
 * path.XXXXXX, which is gone afterwards in every case but a crash. mode is taken
 * as it is, the umask has no say.
 *
 * Returns 0 or -errno. On failure path is as it was, but for one case: when only
 * the last step, the sync of the directory, fails, the new content is in place
 * and a power cut may bring the old one back.
 */
int atomic_file_write(const char *path, const void *data, size_t n, mode_t mode);

#endif
