/* SPDX-License-Identifier: Apache-2.0 */
#include "core/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cleanup.h"

#define FILE_MODE  0600 /* it tells who talked to whom */
#define OPEN_FLAGS (O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

#define PIPE_BYTES (1024 * 1024)

/* ---- opening ------------------------------------------------------------------------- */

/* A writer that was killed may have left half a line, which no reader could make sense of. */
static int whole_size(const char *path, uint64_t size, uint64_t *ret)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char tail[64 * 1024];
	size_t n = size < sizeof(tail) ? size : sizeof(tail);
	const char *end;

	if (fd < 0 || pread(fd, tail, n, size - n) != (ssize_t)n)
		return fd < 0 ? -errno : -EIO;
	end = memrchr(tail, '\n', n);
	*ret = end ? size - n + (end + 1 - tail) : size - n;
	return 0;
}

static int adopt_file(struct log_file *log, int fd, uint64_t size)
{
	int err = whole_size(log->path, size, &log->size);

	if (err)
		return err;
	if (log->size < size && ftruncate(fd, log->size))
		return -errno;
	log->is_file = true;
	return 0;
}

/* A description of our own, since O_NONBLOCK on the shared one would befall others. A
 * socket has none to open; it is told with each message. */
static int open_stdout(struct log_file *log)
{
	struct stat stat;
	int fd;

	if (fstat(STDOUT_FILENO, &stat))
		return -errno;
	log->is_socket = S_ISSOCK(stat.st_mode);
	fd = log->is_socket || S_ISREG(stat.st_mode)
		     ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
		     : open("/proc/self/fd/1", O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES); /* or as it was */
	return fd;
}

static int open_path(struct log_file *log)
{
	_cleanup_close_ int fd = open(log->path, OPEN_FLAGS, FILE_MODE);
	struct stat stat;
	int err = 0;

	if (fd < 0 || fstat(fd, &stat))
		return -errno;
	if (S_ISREG(stat.st_mode))
		err = adopt_file(log, fd, stat.st_size);
	else
		fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES);
	return err ?: TAKE_FD(fd);
}

static void reopen(struct log_file *log)
{
	int fd;

	cleanup_close(&log->fd);
	log->is_file = log->is_socket = false;
	fd = strcmp(log->path, "-") ? open_path(log) : open_stdout(log);
	log->fd = fd < 0 ? -1 : fd;
	log->error = fd < 0 ? fd : 0;
}

/* Less than a file may be, so that none becomes larger. */
static size_t batch_of(const struct log_file *log)
{
	return log->max_size / 2 < LOG_FILE_BATCH ? log->max_size / 2 : LOG_FILE_BATCH;
}

int log_file_open(struct log_file *log, const struct log_file_options *options)
{
	char *path = strdup(options->path);

	if (!path)
		return -ENOMEM;
	*log = (struct log_file){
		.path = path,
		.max_size = options->max_size,
		.keep = options->keep,
		.fd = -1,
	};
	log->enough = batch_of(log);
	reopen(log);
	return 0;
}

/* Somebody has moved it away, or the folder came later. */
void log_file_look(struct log_file *log)
{
	struct stat ours, theirs;

	if (log->fd < 0) {
		reopen(log);
		return;
	}
	if (log->is_file && (stat(log->path, &theirs) || fstat(log->fd, &ours) ||
			     ours.st_ino != theirs.st_ino || ours.st_dev != theirs.st_dev))
		reopen(log);
}

/* ---- rotation ------------------------------------------------------------------------- */

/* PATH, PATH.1 ... */
static int numbered(const struct log_file *log, unsigned n, char path[PATH_MAX])
{
	int length = n ? snprintf(path, PATH_MAX, "%s.%u", log->path, n)
		       : snprintf(path, PATH_MAX, "%s", log->path);

	return length < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* What is there takes the next number, the oldest first; the last one is overwritten. */
static int shift(const struct log_file *log)
{
	char from[PATH_MAX], to[PATH_MAX];

	for (unsigned n = log->keep; n--;) {
		int err = numbered(log, n, from) ?: numbered(log, n + 1, to);

		if (err)
			return err;
		if (rename(from, to) && errno != ENOENT)
			return -errno;
	}
	return 0;
}

/* The new file is there before the old one goes: without one for it nothing is moved. */
static int rotate(struct log_file *log)
{
	_cleanup_close_ int fd = -1;
	char next[PATH_MAX];
	int err;

	if (snprintf(next, PATH_MAX, "%s.next", log->path) >= PATH_MAX)
		return -ENAMETOOLONG;
	fd = open(next, OPEN_FLAGS | O_TRUNC, FILE_MODE);
	if (fd < 0)
		return -errno;
	err = shift(log);
	if (!err && rename(next, log->path))
		err = -errno;
	if (err) {
		unlink(next);
		return err;
	}
	cleanup_close(&log->fd);
	log->fd = TAKE_FD(fd);
	log->size = 0;
	return 0;
}

/* ---- writing --------------------------------------------------------------------------- */

static void nothing_waits(struct log_file *log, int err)
{
	log->n_waits = log->gap_waits = 0;
	log->waits.length = log->sent = 0;
	log->error = err;
}

static void took_all(struct log_file *log)
{
	log->written += log->n_waits;
	nothing_waits(log, 0);
}

static void drop_all(struct log_file *log, int err)
{
	log->lost += log->n_waits;
	log->gap += log->n_waits + log->gap_waits;
	log->reason = err;
	nothing_waits(log, err);
}

/* All of what waits or nothing: half a line would be worse than none. */
static int write_file(struct log_file *log)
{
	ssize_t n;
	int err;

	if (log->size && log->size + log->waits.length > log->max_size) {
		err = rotate(log);
		if (err)
			return err; /* it must not grow without bound */
	}
	n = write(log->fd, log->waits.data, log->waits.length);
	if (n == (ssize_t)log->waits.length) {
		log->size += n;
		return 0;
	}
	err = n < 0 ? -errno : -ENOSPC;
	if (n > 0 && ftruncate(log->fd, log->size))
		log->size += n;
	return err;
}

static ssize_t write_some(const struct log_file *log)
{
	const char *data = log->waits.data + log->sent;
	size_t n = log->waits.length - log->sent;

	return log->is_socket ? send(log->fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL)
			      : write(log->fd, data, n);
}

/* As much as goes in; the rest waits. */
static void write_stream(struct log_file *log)
{
	ssize_t n = write_some(log);

	if (n >= 0) {
		log->sent += n;
		if (log->sent == log->waits.length)
			took_all(log);
	} else if (errno != EAGAIN && errno != ENOSPC) {
		drop_all(log, -errno);
		cleanup_close(&log->fd); /* it takes no more: log_file_look() opens it anew */
		log->fd = -1;
	}
}

void log_file_flush(struct log_file *log)
{
	int err;

	if (!log->waits.length)
		return;
	if (log->fd < 0) {
		drop_all(log, log->error);
	} else if (log->is_file) {
		err = write_file(log);
		if (err)
			drop_all(log, err);
		else
			took_all(log);
	} else {
		write_stream(log);
	}
	log->enough = log->waits.length + batch_of(log);
}

/* ---- lines ------------------------------------------------------------------------------ */

struct text *log_file_begin(struct log_file *log, uint64_t *ret_gap)
{
	if (log->waits.error) { /* memory was out */
		text_release(&log->waits);
		drop_all(log, -ENOMEM);
	}
	if (log->fd < 0 || log->waits.length >= LOG_FILE_WAIT_MAX) {
		log->lost++;
		log->gap++;
		log->reason = log->fd < 0 ? log->error : -EAGAIN;
		return NULL;
	}
	*ret_gap = log->gap;
	log->gap_waits += log->gap;
	log->gap = 0;
	return &log->waits;
}

void log_file_end(struct log_file *log)
{
	log->n_waits++;
	if (log->waits.length >= log->enough)
		log_file_flush(log);
}

void log_file_close(struct log_file *log)
{
	log_file_flush(log);
	cleanup_close(&log->fd);
	text_release(&log->waits);
	free(log->path);
}
