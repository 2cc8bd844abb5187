/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets in more hands than one: fork, dup, SCM_RIGHTS, several readers and writers. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "semantics.h"

#define MEMBERS     4
#define RECORDS     100
#define RECORD_SIZE 64

static int status_of(pid_t child)
{
	int status = 0;

	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

static void check_fork_reader(struct pair *p)
{
	pid_t child = fork();

	if (!child)
		_exit(take(&p->rx, 5000) != 5000 || put(&p->rx, 100) != 100);
	put(&p->tx, 5000);
	saw("child", status_of(child));
	p->rx.received += 5000;
	p->rx.sent += 100;
	saw("its answer", take(&p->tx, 100));
	saw_if("conversation", converse(p));
}

static void check_fork_writer(struct pair *p)
{
	pid_t child = fork();

	if (!child)
		_exit(put(&p->tx, 5000) != 5000);
	saw("child", status_of(child));
	p->tx.sent += 5000;
	saw("read", take(&p->rx, 5000));
	saw_if("conversation", converse(p));
}

/* The end comes with the last of them that closes. */
static void check_fork_close(struct pair *p)
{
	int go[2];
	pid_t child;
	char byte;

	if (pipe(go))
		broken("pipe");
	child = fork();
	if (!child)
		_exit(read(go[0], &byte, 1) != 1 || put(&p->tx, 10) != 10);
	end_close(&p->tx);
	saw_events("poll after the first close", poll_for(p->rx.fd, POLLIN | POLLRDHUP, 0));
	if (write(go[1], "x", 1) != 1)
		broken("write");
	saw("from the child", take(&p->rx, 10));
	saw("child", status_of(child));
	poll_for(p->rx.fd, POLLRDHUP, SURELY_MS);
	saw("then", get(&p->rx, 1, 0));
}

static void check_dup(struct pair *p)
{
	int other = dup(p->rx.fd), first = p->rx.fd;

	deliver(&p->tx, 100);
	saw("read by one", get(&p->rx, 40, 0));
	p->rx.fd = other;
	saw("by the other", get(&p->rx, 100, 0));
	close(first);
	saw_if("conversation", converse(p));
	deliver(&p->tx, 10);
	p->rx.fd = dup2(other, first);
	close(other);
	saw("by a third", get(&p->rx, 100, 0));
	shutdown(p->rx.fd, SHUT_WR);
	saw("end", take(&p->tx, 1));
}

static void send_fd(int through, int fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr header;
	} control = { .header = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec part = { "x", 1 };
	struct msghdr msg = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	if (sendmsg(through, &msg, 0) != 1)
		broken("sendmsg");
}

static int receive_fd(int through)
{
	char byte, control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
	struct iovec part = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int fd = -1;

	if (recvmsg(through, &msg, 0) == 1 && CMSG_FIRSTHDR(&msg))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

/* Passed to another process with bytes before it, and more that come on the way. */
static void check_rights(struct pair *p)
{
	int through[2];
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, through))
		broken("socketpair");
	child = fork();
	if (!child) {
		end_close(&p->rx);
		end_close(&p->tx);
		pause_ms(A_WHILE_MS);
		p->rx.fd = receive_fd(through[1]);
		_exit(take(&p->rx, 300) != 300 || put(&p->rx, 70) != 70);
	}
	deliver(&p->tx, 100);
	send_fd(through[0], p->rx.fd);
	deliver(&p->tx, 100);
	end_close(&p->rx);
	put(&p->tx, 100);
	saw("child", status_of(child));
	p->rx.sent += 70;
	saw("its answer", take(&p->tx, 70));
	saw("end", take(&p->tx, 1));
}

/* ---- several at once ----------------------------------------------------------- */

static atomic_ullong come, sum;

static void *reader(void *arg)
{
	struct pair *p = arg;
	unsigned char buf[500];
	ssize_t n;

	for (;;) {
		n = recv(p->rx.fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN && poll_for(p->rx.fd, POLLIN, SURELY_MS))
			continue;
		if (n <= 0)
			return NULL;
		come += (unsigned long long)n;
		for (ssize_t i = 0; i < n; i++)
			sum += buf[i];
	}
}

/* All of it, in pieces where there is no room. */
static void send_whole(int fd, const char *buf, size_t size)
{
	ssize_t n;

	while (size) {
		n = send(fd, buf, size, MSG_NOSIGNAL);
		if (n < 0 && (errno != EAGAIN || !poll_for(fd, POLLOUT, SURELY_MS)))
			return;
		buf += n > 0 ? n : 0;
		size -= n > 0 ? (size_t)n : 0;
	}
}

static void check_readers(struct pair *p)
{
	pthread_t threads[MEMBERS];
	unsigned long long expected = 0;
	char record[1000];

	for (int i = 0; i < MEMBERS; i++)
		pthread_create(&threads[i], NULL, reader, p);
	for (int i = 0; i < 300; i++) {
		memset(record, i, sizeof(record));
		expected += (unsigned long long)(i & 255) * sizeof(record);
		send_whole(p->tx.fd, record, sizeof(record));
	}
	shutdown(p->tx.fd, SHUT_WR);
	for (int i = 0; i < MEMBERS; i++)
		pthread_join(threads[i], NULL);
	saw("bytes", (ssize_t)come);
	saw_if("each of them once", sum == expected);
}

/* A record is written by one send(): TCP does not mix it with another's. */
static void write_records(int fd, int who)
{
	char record[RECORD_SIZE];

	for (int i = 0; i < RECORDS; i++) {
		memset(record, who, sizeof(record));
		record[0] = (char)i;
		while (send(fd, record, sizeof(record), MSG_NOSIGNAL) < 0)
			poll_for(fd, POLLOUT, SURELY_MS);
	}
	_exit(0);
}

static bool is_whole(const char *record, int *next)
{
	int who = record[1];

	if (who < 0 || who >= MEMBERS || record[0] != next[who]++)
		return false;
	for (int i = 1; i < RECORD_SIZE; i++)
		if (record[i] != who)
			return false;
	return true;
}

static void check_writers(struct pair *p)
{
	int next[MEMBERS] = { 0 }, whole = 0, fill = 0;
	char record[RECORD_SIZE];

	for (int i = 0; i < MEMBERS; i++)
		if (!fork())
			write_records(p->tx.fd, i);
	while (whole < MEMBERS * RECORDS) {
		ssize_t n = recv(p->rx.fd, record + fill, (size_t)(RECORD_SIZE - fill), 0);

		if (n < 0 && errno == EAGAIN && poll_for(p->rx.fd, POLLIN, SURELY_MS))
			continue;
		fill += n > 0 ? (int)n : 0;
		if (n <= 0 || (fill == RECORD_SIZE && !is_whole(record, next)))
			break;
		whole += fill == RECORD_SIZE;
		fill %= RECORD_SIZE;
	}
	saw("whole records in order", whole);
	while (wait(NULL) > 0)
		;
}

static void *echo(void *arg)
{
	struct pair *p = arg;

	for (int i = 0; i < 100; i++)
		if (take(&p->rx, 5000) != 5000)
			break;
	return NULL;
}

static void *pour(void *arg)
{
	struct pair *p = arg;

	for (int i = 0; i < 100; i++)
		put(&p->rx, 5000);
	return NULL;
}

/* Both directions at once, each end with a thread that reads and one that writes. */
static void check_duplex(struct pair *p)
{
	pthread_t reads, writes;
	ssize_t n = 0;

	pthread_create(&reads, NULL, echo, p);
	pthread_create(&writes, NULL, pour, p);
	for (int i = 0; i < 100; i++) {
		put(&p->tx, 5000);
		n += take(&p->tx, 5000);
	}
	pthread_join(reads, NULL);
	pthread_join(writes, NULL);
	saw("one way", n);
	saw("the other", (ssize_t)p->rx.received % 64);
	saw_if("conversation", converse(p));
}

static const struct check checks[] = {
	{ "fork-reader", check_fork_reader }, { "fork-writer", check_fork_writer },
	{ "fork-close", check_fork_close },   { "dup", check_dup },
	{ "rights", check_rights },           { "readers", check_readers },
	{ "writers", check_writers },         { "duplex", check_duplex },
};
const struct family family_passing = { checks, ARRAY_SIZE(checks) };
