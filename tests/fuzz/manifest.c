/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kubernetes manifests, in several files: what is between lines "#file" is a file of its own.
 * They are read as one model or refused, and each complaint names the file that it is about.
 */
#include "fuzz.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define SEPARATOR "\n#file\n"
#define FILES_MAX 4

struct files {
	int fds[FILES_MAX];
	char names[FILES_MAX][32];
	const char *paths[FILES_MAX];
	size_t n;
};

static void add_file(struct files *files, const uint8_t *text, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	/* one that others may write would be refused */
	assert(fd >= 0 && !fchmod(fd, 0600) && write(fd, text, size) == (ssize_t)size);
	files->fds[files->n] = fd;
	sprintf(files->names[files->n], "/proc/self/fd/%d", fd);
	files->paths[files->n] = files->names[files->n];
	files->n++;
}

static void close_files(struct files *files)
{
	for (size_t i = 0; i < files->n; i++)
		close(files->fds[i]);
}

static void split(struct files *files, const uint8_t *text, size_t size)
{
	const size_t length = strlen(SEPARATOR);
	const uint8_t *end;

	while (files->n < FILES_MAX - 1 && (end = memmem(text, size, SEPARATOR, length))) {
		add_file(files, text, end - text);
		size -= end + length - text;
		text = end + length;
	}
	add_file(files, text, size);
}

static bool names_file(const struct files *files, const char *problem)
{
	for (size_t i = 0; i < files->n; i++)
		if (!strncmp(problem, files->paths[i], strlen(files->paths[i])))
			return true;
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sst_addr own = { { 0, 0, htonl(0xffff), htonl(0xc0000201) } };
	struct model_host host = { "n1", &own, 1, 77 };
	_cleanup_(close_files) struct files files = {};
	_cleanup_problems_ struct problems problems = {};
	_cleanup_model_ struct model *model = NULL;
	int r;

	split(&files, data, size);
	r = yaml_load_files(files.paths, files.n, &host, &problems, &model);
	check_told(r, &problems);
	assert(!r == !!model);
	for (unsigned i = 0; i < problems.count; i++)
		assert(names_file(&files, problems.text[i]));
	if (model)
		assert(!model_validate(model, &problems) && !problems_errors(&problems));
	return 0;
}
