/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines into a file that rotates by size, or into a pipe. Nothing here waits: what a full
 * disk or a slow reader does not take is dropped, whole lines only, and counted; what follows
 * is written when there is room again. Only a disk that hangs holds its writer up, as it
 * would with any file.
 */
#ifndef SIDESTEP_CORE_LOG_FILE_H
#define SIDESTEP_CORE_LOG_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/text.h"

/* Written when so much waits, or when log_file_flush() is called. */
#define LOG_FILE_BATCH    (256 * 1024)
/* What may wait for the reader of a pipe. */
#define LOG_FILE_WAIT_MAX (4 * 1024 * 1024)

struct log_file_options {
	const char *path;  /* "-": standard output, which does not rotate */
	uint64_t max_size; /* of a file, before it becomes PATH.1 */
	unsigned keep;     /* PATH.1 to PATH.keep; at least one */
};

struct log_file {
	char *path;
	uint64_t max_size;
	unsigned keep;
	int fd;       /* -1: cannot be opened for now */
	bool is_file; /* of ours: regular, and not standard output */
	bool is_socket;
	uint64_t size; /* of a file, all whole lines */
	struct text waits;
	size_t sent;        /* of it, by a pipe that took a part */
	size_t enough;      /* when it is so long, it is written */
	uint64_t n_waits;   /* lines in it */
	uint64_t gap;       /* lines lost that the log does not tell of yet .. */
	uint64_t gap_waits; /* .. and those that a line in `waits` tells of */
	uint64_t written;   /* lines */
	uint64_t lost;
	int error;  /* why the last attempt failed, 0: it did not */
	int reason; /* why lines were lost last; -EAGAIN: a pipe's reader is too slow */
};

/* Opens it, or leaves log->error; log_file_look() tries again. -ENOMEM. */
int log_file_open(struct log_file *log, const struct log_file_options *options);

/* Where to append one line, with its newline, or NULL: there is no room, it is lost.
 * *ret_gap: so many lines were lost before it; whoever tells them does so in front of it. */
struct text *log_file_begin(struct log_file *log, uint64_t *ret_gap);
void log_file_end(struct log_file *log);

void log_file_flush(struct log_file *log);

/* Now and then: opens a file that could not be opened, or that somebody has taken away. */
void log_file_look(struct log_file *log);

/* Writes what waits, if there is room. A zeroed struct must not be closed. */
void log_file_close(struct log_file *log);

#endif
