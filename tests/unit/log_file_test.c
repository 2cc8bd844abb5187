/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of its own for each test; a full disk is a file size limit (RLIMIT_FSIZE). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/log_file.h"

struct folder {
	char path[64];
	char log[80];
};

static int make_folder(void **ret)
{
	struct folder *folder = calloc(1, sizeof(*folder));

	strcpy(folder->path, "/tmp/sidestep-log.XXXXXX");
	assert_non_null(mkdtemp(folder->path));
	snprintf(folder->log, sizeof(folder->log), "%s/log", folder->path);
	*ret = folder;
	return 0;
}

static int remove_folder(void **state)
{
	struct folder *folder = *state;
	DIR *dir = opendir(folder->path);
	struct dirent *entry;

	chmod(folder->path, 0700);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	assert_int_equal(rmdir(folder->path), 0);
	free(folder);
	return 0;
}

static struct log_file open_log(const char *path, uint64_t max_size, unsigned keep)
{
	const struct log_file_options options = { path, max_size, keep };
	struct log_file log;

	assert_int_equal(log_file_open(&log, &options), 0);
	return log;
}

/* True: it was taken. A gap is told as "gap N". */
static bool add(struct log_file *log, const char *line)
{
	uint64_t gap;
	struct text *out = log_file_begin(log, &gap);

	if (!out)
		return false;
	if (gap)
		text_add(out, "gap %lu\n", (unsigned long)gap);
	text_add(out, "%s\n", line);
	log_file_end(log);
	return true;
}

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void assert_holds(const struct folder *folder, const char *suffix, const char *expected)
{
	char path[128], text[4096];
	FILE *file;
	size_t n;

	snprintf(path, sizeof(path), "%s%s", folder->log, suffix);
	file = fopen(path, "r");
	if (!file)
		fail_msg("%s: %s", path, strerror(errno));
	n = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[n] = '\0';
	assert_string_equal(text, expected);
}

static bool exists(const struct folder *folder, const char *suffix)
{
	char path[128];

	snprintf(path, sizeof(path), "%s%s", folder->log, suffix);
	return !access(path, F_OK);
}

/* ---- files ---------------------------------------------------------------------------- */

static void test_appends(void **state)
{
	struct folder *folder = *state;
	struct log_file log;
	struct stat stat_;

	write_text(folder->log, "before\n");
	log = open_log(folder->log, 1000, 1);
	add(&log, "one");
	assert_holds(folder, "", "before\n"); /* it waits for the others of its batch */
	add(&log, "two");
	log_file_flush(&log);
	assert_holds(folder, "", "before\none\ntwo\n");
	assert_int_equal(log.written, 2);
	add(&log, "three");
	log_file_close(&log);
	assert_holds(folder, "", "before\none\ntwo\nthree\n");

	unlink(folder->log);
	log = open_log(folder->log, 1000, 1);
	assert_int_equal(stat(folder->log, &stat_), 0);
	assert_int_equal(stat_.st_mode & 07777, 0600);
	log_file_close(&log);
}

/* Of a writer that was killed. */
static void test_half_a_line_goes(void **state)
{
	static const struct {
		const char *before, *after;
	} cases[] = {
		{ "", "new\n" },
		{ "half", "new\n" },
		{ "whole\nhalf", "whole\nnew\n" },
		{ "whole\n", "whole\nnew\n" },
		{ "\n", "\nnew\n" },
	};
	struct folder *folder = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct log_file log;

		write_text(folder->log, cases[i].before);
		log = open_log(folder->log, 1000, 1);
		add(&log, "new");
		log_file_close(&log);
		assert_holds(folder, "", cases[i].after);
	}
}

static void test_a_large_batch_is_written_at_once(void **state)
{
	struct folder *folder = *state;
	struct log_file log = open_log(folder->log, 1ull << 30, 1);
	char line[1024];
	struct stat stat_;

	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	for (size_t i = 0; i < LOG_FILE_BATCH / sizeof(line); i++)
		add(&log, line);
	assert_int_equal(log.waits.length, 0);
	assert_int_equal(stat(folder->log, &stat_), 0);
	assert_int_equal(stat_.st_size, LOG_FILE_BATCH);
	log_file_close(&log);
}

/* ---- rotation -------------------------------------------------------------------------- */

static void test_rotates(void **state)
{
	struct folder *folder = *state;
	struct log_file log = open_log(folder->log, 10, 2);
	char line[] = "000";

	for (int i = 0; i < 10; i++) {
		line[2] = '0' + i;
		add(&log, line);
		log_file_flush(&log);
	}
	log_file_close(&log);
	assert_holds(folder, ".2", "004\n005\n");
	assert_holds(folder, ".1", "006\n007\n");
	assert_holds(folder, "", "008\n009\n");
	assert_false(exists(folder, ".3"));
	assert_false(exists(folder, ".next"));
	assert_int_equal(log.written, 10);
	assert_int_equal(log.lost, 0);
}

/* One that is larger than a file may be has one of its own. */
static void test_a_batch_larger_than_the_file(void **state)
{
	struct folder *folder = *state;
	struct log_file log = open_log(folder->log, 4, 1);

	add(&log, "a long line");
	log_file_flush(&log);
	add(&log, "b");
	log_file_close(&log);
	assert_holds(folder, ".1", "a long line\n");
	assert_holds(folder, "", "b\n");
}

/* Without a way to rotate it must not grow: lines go, and are counted. */
static void test_a_rotation_that_fails(void **state)
{
	struct folder *folder = *state;
	struct log_file log = open_log(folder->log, 4, 1);
	char blocked[128];

	add(&log, "one");
	log_file_flush(&log);
	snprintf(blocked, sizeof(blocked), "%s.1", folder->log);
	assert_int_equal(mkdir(blocked, 0700), 0); /* root is not held back by a mode */
	add(&log, "two");
	log_file_flush(&log);
	assert_int_equal(log.error, -EISDIR);
	assert_int_equal(log.lost, 1);
	assert_holds(folder, "", "one\n");
	assert_false(exists(folder, ".next"));
	assert_int_equal(rmdir(blocked), 0);
	add(&log, "three");
	log_file_close(&log);
	assert_holds(folder, ".1", "one\n");
	assert_holds(folder, "", "gap 1\nthree\n");
}

/* ---- what goes wrong --------------------------------------------------------------------- */

/* Whole lines or none, and it goes on when there is room. */
static void test_a_full_disk(void **state)
{
	struct folder *folder = *state;
	struct log_file log = open_log(folder->log, 1000, 1);
	struct rlimit before, small;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	small = before;
	small.rlim_cur = 6;
	add(&log, "one");
	log_file_flush(&log);
	setrlimit(RLIMIT_FSIZE, &small);
	add(&log, "two"); /* two bytes of it would fit */
	add(&log, "three");
	log_file_flush(&log);
	assert_int_equal(log.error, -ENOSPC);
	assert_int_equal(log.lost, 2);
	add(&log, "four"); /* behind the word of the gap, which goes with it */
	log_file_flush(&log);
	assert_int_equal(log.lost, 3);
	setrlimit(RLIMIT_FSIZE, &before);
	assert_holds(folder, "", "one\n");
	add(&log, "five");
	log_file_flush(&log);
	assert_int_equal(log.error, 0);
	assert_holds(folder, "", "one\ngap 3\nfive\n");
	assert_int_equal(log.written, 2);
	log_file_close(&log);
	signal(SIGXFSZ, SIG_DFL);
}

static void test_a_folder_that_comes_later(void **state)
{
	struct folder *folder = *state;
	struct log_file log;
	char later[128], path[160];

	snprintf(later, sizeof(later), "%s/later", folder->path);
	snprintf(path, sizeof(path), "%s/log", later);
	log = open_log(path, 1000, 1);
	assert_int_equal(log.error, -ENOENT);
	assert_false(add(&log, "one"));
	log_file_look(&log);
	assert_int_equal(log.error, -ENOENT);
	assert_int_equal(mkdir(later, 0700), 0);
	log_file_look(&log);
	assert_int_equal(log.error, 0);
	assert_true(add(&log, "two"));
	log_file_close(&log);
	assert_int_equal(log.lost, 1);
	unlink(path);
	rmdir(later);
}

/* As other tools rotate, or clean up. */
static void test_a_file_that_was_taken_away(void **state)
{
	struct folder *folder = *state;
	struct log_file log = open_log(folder->log, 1000, 1);
	char away[128];

	snprintf(away, sizeof(away), "%s.away", folder->log);
	add(&log, "one");
	log_file_flush(&log);
	rename(folder->log, away);
	log_file_look(&log);
	add(&log, "two");
	log_file_close(&log);
	assert_holds(folder, ".away", "one\n");
	assert_holds(folder, "", "two\n");
}

static void test_a_folder_is_no_file(void **state)
{
	struct folder *folder = *state;
	struct log_file log = open_log(folder->path, 1000, 1);

	assert_int_equal(log.error, -EISDIR);
	assert_false(add(&log, "one"));
	log_file_flush(&log);
	log_file_close(&log);
}

/* ---- pipes --------------------------------------------------------------------------------- */

static struct log_file open_pipe(const struct folder *folder, int *reader)
{
	assert_int_equal(mkfifo(folder->log, 0600), 0);
	*reader = open(folder->log, O_RDONLY | O_NONBLOCK);
	assert_true(*reader >= 0);
	return open_log(folder->log, 1000, 1);
}

/* Nothing waits for it; what is taken later has whole lines, and tells of the gap. */
static void test_a_reader_that_does_not_read(void **state)
{
	struct folder *folder = *state;
	size_t lines = 0, gaps = 0, got = 0, n = 64 * 1024;
	char line[256], buf[LOG_FILE_BATCH];
	int reader;
	struct log_file log = open_pipe(folder, &reader);
	_cleanup_text_ struct text all = {};
	ssize_t r;

	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	for (size_t i = 0; i < n; i++)
		lines += add(&log, line);
	assert_in_range(lines, LOG_FILE_WAIT_MAX / sizeof(line), n - 1);
	assert_in_range(log.waits.length, 0, LOG_FILE_WAIT_MAX + sizeof(line) + 64);
	assert_int_equal(log.lost, n - lines);
	for (int last = 0; last < 2 || log.waits.length; log_file_flush(&log)) {
		while ((r = read(reader, buf, sizeof(buf))) > 0)
			text_add_bytes(&all, buf, r);
		if (!log.waits.length && !last++)
			assert_true(add(&log, "last"));
	}
	for (char *at = strtok(all.data, "\n"); at; at = strtok(NULL, "\n")) {
		if (!strncmp(at, "gap ", 4))
			gaps += strtoul(at + 4, NULL, 10);
		else
			got += !strcmp(at, line) || !strcmp(at, "last");
	}
	assert_int_equal(got, lines + 1);
	assert_int_equal(gaps, n - lines);
	assert_int_equal(log.written, lines + 1);
	log_file_close(&log);
	close(reader);
}

static void test_a_reader_that_goes(void **state)
{
	struct folder *folder = *state;
	int reader;
	struct log_file log = open_pipe(folder, &reader);

	signal(SIGPIPE, SIG_IGN);
	close(reader);
	add(&log, "one");
	log_file_flush(&log);
	assert_int_equal(log.error, -EPIPE);
	assert_int_equal(log.lost, 1);
	log_file_look(&log);
	assert_int_equal(log.error, -ENXIO); /* nobody reads it */
	assert_false(add(&log, "two"));
	reader = open(folder->log, O_RDONLY | O_NONBLOCK);
	log_file_look(&log);
	assert_true(add(&log, "three"));
	log_file_close(&log);
	assert_int_equal(log.written, 1);
	close(reader);
	signal(SIGPIPE, SIG_DFL);
}

/* Its own description is left as it is: others write to it, too. */
static void test_stdout(void **state)
{
	int ends[2], saved = dup(STDOUT_FILENO);
	struct log_file log;
	char buf[64] = "";
	int flags;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	fflush(stdout);
	dup2(ends[1], STDOUT_FILENO);
	log = open_log("-", 1000, 1);
	add(&log, "one");
	log_file_close(&log);
	flags = fcntl(STDOUT_FILENO, F_GETFL);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	assert_false(flags & O_NONBLOCK);
	assert_int_equal(read(ends[0], buf, sizeof(buf)), 4);
	assert_string_equal(buf, "one\n");
	close(ends[0]);
	close(ends[1]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_appends),
		TEST(test_half_a_line_goes),
		TEST(test_a_large_batch_is_written_at_once),
		TEST(test_rotates),
		TEST(test_a_batch_larger_than_the_file),
		TEST(test_a_rotation_that_fails),
		TEST(test_a_full_disk),
		TEST(test_a_folder_that_comes_later),
		TEST(test_a_file_that_was_taken_away),
		TEST(test_a_folder_is_no_file),
		TEST(test_a_reader_that_does_not_read),
		TEST(test_a_reader_that_goes),
		cmocka_unit_test(test_stdout),
	};

	return cmocka_run_group_tests_name("log_file", tests, NULL, NULL);
}
