/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that nobody else is to see: keys, tokens, and files that hold them. */
#ifndef SIDESTEP_CLUSTER_SECRET_H
#define SIDESTEP_CLUSTER_SECRET_H

#include <stdbool.h>
#include <sys/stat.h>

/* Wipes and frees it, and makes it NULL. Usable as a cleanup. */
void secret_free(char **secret);
#define _cleanup_secret_ __attribute__((cleanup(secret_free)))

#define SECRET_SIZE_MAX (1 << 20)

/*
 * The whole of a file of text, and what it was then; about may be NULL. 0; -EFBIG beyond
 * SECRET_SIZE_MAX; -EINVAL with a NUL in it; or -errno.
 */
int secret_read(const char *path, struct stat *about, char **ret);

/* What Base64 stands for, line breaks allowed. 0; -EINVAL: it is none, or has a NUL; -ENOMEM. */
int secret_decode(const char *base64, char **ret);

/* Is it one that can stand in a header? Takes the blanks around it away. */
bool secret_is_token(char *text);

#endif
