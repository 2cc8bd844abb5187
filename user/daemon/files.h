/* SPDX-License-Identifier: Apache-2.0 */
/* The files that make the configuration, followed. */
#ifndef SIDESTEP_DAEMON_FILES_H
#define SIDESTEP_DAEMON_FILES_H

#include <stdbool.h>
#include <uv.h>

struct files;

/* changed is called some time after a change of one: editors write in several steps. What is
 * given outlives it. -errno, told. */
int files_open(uv_loop_t *loop, const char *const *paths, size_t n, void (*changed)(void *arg),
	       void *arg, struct files **ret);

/* They are about to be read: what is written from now on is a change. */
void files_mark(struct files *files);

/* What a watch does not see: the target of a link, a folder that was replaced. */
bool files_have_changed(const struct files *files);

/* As if one had changed, in so many ms. */
void files_call_after(struct files *files, unsigned ms);

/* The loop has closed its handles, or will by itself. */
void files_free(struct files *files);

#endif
