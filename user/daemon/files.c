/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/files.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/log.h"

#define SETTLE_MS 50

struct followed {
	struct files *files;
	const char *path;
	char name[NAME_MAX + 1]; /* in its folder */
	uv_fs_event_t watch;
	struct stat as_read; /* when it was last read */
};

struct files {
	uv_loop_t *loop;
	uv_timer_t timer;
	void (*changed)(void *arg);
	void *arg;
	size_t n;
	struct followed followed[];
};

static void on_settled(uv_timer_t *timer)
{
	struct files *files = timer->data;

	files->changed(files->arg);
}

void files_call_after(struct files *files, unsigned ms)
{
	uv_timer_start(&files->timer, on_settled, ms, 0);
}

/* The folder is watched, not the file: a rename over it is a change of the folder. */
static void on_folder_change(uv_fs_event_t *watch, const char *name, int events, int status)
{
	const struct followed *followed = watch->data;
	struct files *files = followed->files;

	(void)events;
	/* "..data" is the link that Kubernetes swaps under a mounted ConfigMap */
	if (status || !name || (strcmp(name, followed->name) && strcmp(name, "..data")))
		return;
	/* not again while it runs: a folder that never rests must not hold it off */
	if (!uv_is_active((uv_handle_t *)&files->timer))
		files_call_after(files, SETTLE_MS);
}

void files_mark(struct files *files)
{
	for (size_t i = 0; i < files->n; i++)
		if (stat(files->followed[i].path, &files->followed[i].as_read))
			files->followed[i].as_read = (struct stat){};
}

static bool has_changed(const struct followed *followed)
{
	const struct stat *then = &followed->as_read;
	struct stat now;

	if (stat(followed->path, &now))
		return false; /* gone; what is in force stays until there is one again */
	return now.st_ino != then->st_ino || now.st_dev != then->st_dev ||
	       now.st_size != then->st_size || now.st_mtim.tv_sec != then->st_mtim.tv_sec ||
	       now.st_mtim.tv_nsec != then->st_mtim.tv_nsec;
}

bool files_have_changed(const struct files *files)
{
	for (size_t i = 0; i < files->n; i++)
		if (has_changed(&files->followed[i]))
			return true;
	return false;
}

static int follow(struct followed *followed)
{
	char folder[PATH_MAX], name[PATH_MAX];
	int err;

	snprintf(folder, sizeof(folder), "%s", followed->path);
	snprintf(name, sizeof(name), "%s", followed->path);
	snprintf(followed->name, sizeof(followed->name), "%.*s", NAME_MAX, basename(name));
	uv_fs_event_init(followed->files->loop, &followed->watch);
	followed->watch.data = followed;
	err = uv_fs_event_start(&followed->watch, on_folder_change, dirname(folder), 0);
	if (err)
		log_line("%s cannot be followed: %s", followed->path, strerror(-err));
	return err;
}

int files_open(uv_loop_t *loop, const char *const *paths, size_t n, void (*changed)(void *arg),
	       void *arg, struct files **ret)
{
	struct files *files = calloc(1, sizeof(*files) + n * sizeof(files->followed[0]));
	int err = 0;

	if (!files)
		return -ENOMEM;
	files->loop = loop;
	files->changed = changed;
	files->arg = arg;
	files->n = n;
	uv_timer_init(loop, &files->timer);
	files->timer.data = files;
	*ret = files; /* also when it fails: the loop has its handles */
	for (size_t i = 0; !err && i < n; i++) {
		files->followed[i] = (struct followed){ files, paths[i] };
		err = follow(&files->followed[i]);
	}
	return err;
}

void files_free(struct files *files)
{
	free(files);
}
