/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/kubepods.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/cleanup.h"
#include "datapath/host.h"

static void cleanup_folder(DIR **folder)
{
	if (*folder)
		closedir(*folder);
}

static bool is_folder(const char *cgroup_root, const char *below, const char *name)
{
	char path[PATH_MAX];
	struct stat about;

	return snprintf(path, sizeof(path), "%s%s/%s", cgroup_root, below, name) < PATH_MAX &&
	       !stat(path, &about) && S_ISDIR(about.st_mode);
}

/*
 * systemd's slices bear the names of all above: below "/kubelet.slice" it is
 * "kubelet-kubepods.slice".
 */
static bool has_slice(const char *cgroup_root, const char *below)
{
	const char *last = strrchr(below, '/');
	const char *end = last ? strstr(last, ".slice") : NULL;
	char name[NAME_MAX + 1];

	if (end && end[sizeof(".slice") - 1] == '\0')
		snprintf(name, sizeof(name), "%.*s-kubepods.slice", (int)(end - last - 1),
			 last + 1);
	else
		snprintf(name, sizeof(name), "kubepods.slice");
	return is_folder(cgroup_root, below, name);
}

static int look_here(const char *cgroup_root, const char *below, struct kubepods *ret)
{
	bool systemd = has_slice(cgroup_root, below);

	if (!systemd && !is_folder(cgroup_root, below, "kubepods"))
		return -ENOENT;
	snprintf(ret->root, sizeof(ret->root), "%s", below);
	ret->systemd = systemd;
	return 0;
}

static int look_below(const char *cgroup_root, const char *below, struct kubepods *ret)
{
	_cleanup_(cleanup_folder) DIR *folder = NULL;
	const struct dirent *entry;
	char path[PATH_MAX];

	if (!look_here(cgroup_root, below, ret))
		return 0;
	if (snprintf(path, sizeof(path), "%s%s", cgroup_root, below) >= PATH_MAX)
		return -ENOENT;
	folder = opendir(path);
	while (folder && (entry = readdir(folder)))
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.' &&
		    snprintf(path, sizeof(path), "%s/%s", below, entry->d_name) < PATH_MAX &&
		    !look_here(cgroup_root, path, ret))
			return 0;
	return -ENOENT;
}

int kubepods_find(const char *attached, struct kubepods *ret)
{
	char cgroup_root[PATH_MAX];
	int err = host_cgroup_root(cgroup_root);

	if (err)
		return err;
	if (!strncmp(attached, cgroup_root, strlen(cgroup_root)))
		attached += strlen(cgroup_root);
	if (*attached && *attached != '/')
		return -ENOENT; /* a folder of another cgroup2 that is called nearly so */
	if (!look_below(cgroup_root, attached, ret))
		return 0;
	return *attached ? look_below(cgroup_root, "", ret) : -ENOENT;
}
