/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What processes take. `spent COMMAND...` runs one and tells in a line: milliseconds by the clock,
 * of processor time, and MB of memory at most. What it writes to standard output is lost; exits as
 * it does. `spent --running SECONDS PID...` tells of each that runs already, in that order:
 * milliseconds of processor time a second, MB of memory now, and at most so far.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_ms(clockid_t clock)
{
	struct timespec now;

	if (clock_gettime(clock, &now)) {
		perror("spent");
		exit(1);
	}
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static double ms_of(const struct timeval *time)
{
	return time->tv_sec * 1e3 + time->tv_usec / 1e3;
}

static void become(char **argv)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (null >= 0 && dup2(null, STDOUT_FILENO) >= 0)
		execvp(argv[0], argv);
	fprintf(stderr, "spent: %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* ---- of one that is started --------------------------------------------------------------- */

static int run(char **argv)
{
	double begin = now_ms(CLOCK_MONOTONIC);
	struct rusage usage;
	int status;
	pid_t pid = fork();

	if (!pid)
		become(argv);
	if (pid < 0 || wait4(pid, &status, 0, &usage) < 0) {
		perror("spent");
		return 1;
	}
	printf("%.3f %.3f %.2f\n", now_ms(CLOCK_MONOTONIC) - begin, ms_of(&usage.ru_utime) + ms_of(&usage.ru_stime),
	       usage.ru_maxrss / 1024.0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- of those that run -------------------------------------------------------------------- */

/* Of all its threads, those that have ended, too. */
static double cpu_ms(pid_t pid)
{
	clockid_t clock;
	int error = clock_getcpuclockid(pid, &clock);

	if (error) {
		fprintf(stderr, "spent: %d: %s\n", pid, strerror(error));
		exit(1);
	}
	return now_ms(clock);
}

/* "VmRSS:" in MB. */
static double memory(pid_t pid, const char *what)
{
	char path[64], line[256];
	unsigned long kib = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, what, strlen(what)))
			kib = strtoul(line + strlen(what), NULL, 10);
	if (file)
		fclose(file);
	return kib / 1024.0;
}

static int watch(unsigned seconds, char **pids, int n)
{
	double *before = calloc(n, sizeof(*before));

	if (!before)
		return 1;
	for (int i = 0; i < n; i++)
		before[i] = cpu_ms(atoi(pids[i]));
	sleep(seconds);
	for (int i = 0; i < n; i++) {
		pid_t pid = atoi(pids[i]);

		printf("%.3f %.2f %.2f\n", (cpu_ms(pid) - before[i]) / seconds,
		       memory(pid, "VmRSS:"), memory(pid, "VmHWM:"));
	}
	free(before);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 3 && !strcmp(argv[1], "--running") && atoi(argv[2]) > 0)
		return watch(atoi(argv[2]), argv + 3, argc - 3);
	if (argc > 1 && argv[1][0] != '-')
		return run(argv + 1);
	fprintf(stderr, "usage: spent COMMAND..., or spent --running SECONDS PID...\n");
	return 2;
}
