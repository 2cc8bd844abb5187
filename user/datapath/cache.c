/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/cache.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "core/atomic_file.h"
#include "core/cleanup.h"

/* Some times what there is to say. */
#define CACHE_MAX (64 * 1024)

/* FNV-1a: tells one build from another, no more is asked of it. */
static uint64_t hash_of(const unsigned char *bytes, size_t n)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3;
	return hash;
}

/* Without the newline; empty where it cannot be read. */
static void boot_id(char ret[64])
{
	_cleanup_fclose_ FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	ret[0] = '\0';
	if (f && fgets(ret, 64, f))
		ret[strcspn(ret, "\n")] = '\0';
}

void cache_key(const void *programs, size_t size, bool readers, char key[CACHE_KEY_MAX])
{
	struct utsname host = {};
	char boot[64];

	uname(&host);
	boot_id(boot);
	snprintf(key, CACHE_KEY_MAX, "%s %s %s boot %s version %s ABI %d programs %016llx %s",
		 host.release, host.version, host.machine, boot, SIDESTEP_VERSION, SST_ABI_VERSION,
		 (unsigned long long)hash_of(programs, size), readers ? "readers" : "no-readers");
}

/* What anybody else could have written says nothing. */
static bool is_ours(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISREG(st.st_mode) && !(st.st_mode & (S_IWGRP | S_IWOTH)) &&
	       (st.st_uid == 0 || st.st_uid == geteuid());
}

bool cache_read(const char *path, const char *key, struct checks *checks)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	_cleanup_free_ char *text = calloc(1, CACHE_MAX + 1);

	if (fd < 0 || !text || !is_ours(fd) || read(fd, text, CACHE_MAX) < 0)
		return false;
	return checks_recall(text, key, checks);
}

void cache_write(const char *path, const char *key, const struct checks *checks)
{
	_cleanup_free_ char *copy = strdup(path);
	_cleanup_text_ struct text text = {};

	if (!copy)
		return;
	mkdir(dirname(copy), 0755);
	if (checks_keep(checks, key, &text))
		atomic_file_write(path, text.data, text.length, 0644);
	else
		unlink(path);
}
