/* SPDX-License-Identifier: Apache-2.0 */
/* Sending and receiving patterns, waiting, and acting while another thread sleeps. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "semantics.h"

#define PIECE 65536

static uint8_t pattern(uint8_t salt, uint64_t offset)
{
	return (uint8_t)(salt + offset * 31 + offset / 251);
}

void fill_pattern(struct end *from, void *buf, size_t size)
{
	uint8_t *bytes = buf;

	for (size_t i = 0; i < size; i++)
		bytes[i] = pattern(from->salt, from->sent + i);
	from->sent += size;
}

static ssize_t compare(const struct end *to, const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i] != pattern(to->peer->salt, to->received + i))
			return -WRONG_BYTES;
	return (ssize_t)size;
}

ssize_t check_pattern(struct end *to, const void *buf, size_t size)
{
	ssize_t ret = compare(to, buf, size);

	to->received += size;
	return ret;
}

ssize_t give(struct end *from, size_t size, int flags)
{
	uint8_t *buf = malloc(size + 1);
	ssize_t n;

	fill_pattern(from, buf, size);
	n = negated(send(from->fd, buf, size, flags | MSG_NOSIGNAL));
	from->sent -= size - (n > 0 ? (size_t)n : 0);
	if (!(flags & MSG_ZEROCOPY)) /* else the kernel sends from it later; the process is short */
		free(buf);
	return n;
}

ssize_t get(struct end *to, size_t size, int flags)
{
	uint8_t *buf = calloc(1, size + 1);
	ssize_t n = negated(recv(to->fd, buf, size, flags));

	if (n > 0 && flags & MSG_PEEK)
		n = compare(to, buf, (size_t)n);
	else if (n > 0)
		n = check_pattern(to, buf, (size_t)n);
	free(buf);
	return n;
}

ssize_t put(struct end *from, size_t size)
{
	size_t done = 0;

	while (done < size) {
		size_t piece = size - done < PIECE ? size - done : PIECE;
		ssize_t n = give(from, piece, 0);

		if (n == -EAGAIN && poll_for(from->fd, POLLOUT, SURELY_MS))
			continue;
		if (n < 0)
			return done ? (ssize_t)done : n;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

ssize_t take(struct end *to, size_t size)
{
	size_t done = 0;

	while (done < size) {
		size_t piece = size - done < PIECE ? size - done : PIECE;
		ssize_t n = get(to, piece, MSG_DONTWAIT);

		if (n == -WRONG_BYTES)
			return n;
		if (n == -EAGAIN && poll_for(to->fd, POLLIN, SURELY_MS))
			continue;
		if (n <= 0)
			return done ? (ssize_t)done : n;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

void deliver(struct end *from, size_t size)
{
	if (put(from, size) != (ssize_t)size)
		broken("send");
	settle(from);
}

uint64_t drain(struct end *to, int *end_errno)
{
	uint64_t done = 0;
	ssize_t n;

	for (;;) {
		n = get(to, PIECE, MSG_DONTWAIT);
		if (n > 0)
			done += (uint64_t)n;
		else if (n != -EAGAIN || !poll_for(to->fd, POLLIN, SURELY_MS))
			break;
	}
	*end_errno = (int)-n;
	return done;
}

bool converse(struct pair *pair)
{
	static const size_t sizes[] = { 1, 100, 4096, 20000 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		ssize_t size = (ssize_t)sizes[i];

		if (put(&pair->tx, sizes[i]) != size || take(&pair->rx, sizes[i]) != size ||
		    put(&pair->rx, sizes[i]) != size || take(&pair->tx, sizes[i]) != size)
			return false;
	}
	return true;
}

/* ---- waiting --------------------------------------------------------------------- */

short poll_for(int fd, short events, int ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };
	int n;

	while ((n = poll(&poll_fd, 1, ms)) < 0 && errno == EINTR)
		;
	return n > 0 ? poll_fd.revents : 0;
}

void pause_ms(unsigned ms)
{
	struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

static bool sleeps(pid_t thread)
{
	char path[64], stat[256] = "", *name_end;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", thread);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, stat, sizeof(stat) - 1) < 0)
		broken(path);
	close(fd);
	name_end = strrchr(stat, ')');
	return name_end && name_end[2] == 'S';
}

void await_sleep(pid_t thread)
{
	do
		pause_ms(A_WHILE_MS);
	while (!sleeps(thread));
}

static void *act_thread(void *arg)
{
	struct act *act = arg;

	await_sleep(act->caller);
	act->act(act->pair);
	return NULL;
}

void in_a_while(struct act *act, act_fn *what, struct pair *pair)
{
	act->act = what;
	act->pair = pair;
	act->caller = gettid();
	if (pthread_create(&act->thread, NULL, act_thread, act))
		broken("pthread_create");
}

void act_done(struct act *act)
{
	pthread_join(act->thread, NULL);
}
