/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that pass no buffer of the program: sendfile, splice, zerocopy. */
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "semantics.h"

#define SIZE 200000

/* A file that holds the next bytes of the pattern. */
static int pattern_file(struct end *from, size_t size)
{
	int fd = memfd_create("pattern", MFD_CLOEXEC);
	char *buf = malloc(size);

	fill_pattern(from, buf, size);
	if (fd < 0 || write(fd, buf, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET))
		broken("memfd_create");
	free(buf);
	return fd;
}

static void make_pipe(int ends[2])
{
	if (pipe2(ends, O_NONBLOCK | O_CLOEXEC))
		broken("pipe2");
}

static pid_t reader_child(struct pair *p, size_t size)
{
	pid_t child = fork();

	if (!child)
		_exit(take(&p->rx, size) != (ssize_t)size);
	return child;
}

static void reader_done(pid_t child, struct pair *p, size_t size)
{
	int status = -1;

	if (waitpid(child, &status, 0) != child)
		broken("waitpid");
	p->rx.received += size;
	saw("reader", status);
}

static void check_sendfile(struct pair *p)
{
	int file = pattern_file(&p->tx, SIZE);
	pid_t child = reader_child(p, SIZE);
	ssize_t n, sent = 0;

	while (sent < SIZE) {
		n = negated(sendfile(p->tx.fd, file, NULL, (size_t)(SIZE - sent)));
		if (n == -EAGAIN && poll_for(p->tx.fd, POLLOUT, SURELY_MS))
			continue;
		if (n <= 0)
			break;
		sent += n;
	}
	saw("sent", sent);
	reader_done(child, p, SIZE);
	saw_if("conversation", converse(p));
}

/* A header by send() with MSG_MORE, as web servers do, and a file behind it. */
static void check_sendfile_mixed(struct pair *p)
{
	ssize_t n = 0;
	int file;

	for (int i = 0; i < 5; i++) {
		give(&p->tx, 200, MSG_MORE);
		file = pattern_file(&p->tx, 10000);
		n += negated(sendfile(p->tx.fd, file, NULL, 10000));
		close(file);
		n += give(&p->tx, 7, 0);
		saw("read", take(&p->rx, 10207));
		put(&p->rx, 10);
		take(&p->tx, 10);
	}
	saw("sent", n);
}

static void check_splice_out(struct pair *p)
{
	int file = pattern_file(&p->tx, SIZE), ends[2];
	pid_t child = reader_child(p, SIZE);
	ssize_t n, filled, sent = 0;

	make_pipe(ends);
	while ((filled = splice(file, NULL, ends[1], NULL, 60000, 0)) > 0) {
		while (filled) {
			n = negated(splice(ends[0], NULL, p->tx.fd, NULL, (size_t)filled, 0));
			if (n == -EAGAIN && poll_for(p->tx.fd, POLLOUT, SURELY_MS))
				continue;
			if (n <= 0)
				break;
			filled -= n;
			sent += n;
		}
	}
	saw("sent", sent);
	reader_done(child, p, SIZE);
	saw_if("conversation", converse(p));
}

static void check_vmsplice_out(struct pair *p)
{
	char *buf = aligned_alloc(4096, 8192);
	struct iovec part = { buf, 8192 };
	int ends[2];

	make_pipe(ends);
	fill_pattern(&p->tx, buf, 8192);
	saw("vmsplice", negated(vmsplice(ends[1], &part, 1, 0)));
	saw("splice", negated(splice(ends[0], NULL, p->tx.fd, NULL, 8192, 0)));
	saw("read", take(&p->rx, 8192));
	free(buf);
}

/* What came out of the socket and lies in the pipe: checked. */
static ssize_t empty_pipe(struct end *to, int pipe_fd, ssize_t n)
{
	char buf[4096];

	return n <= 0 ? n : check_pattern(to, buf, (size_t)read(pipe_fd, buf, sizeof(buf)));
}

static void check_splice_in(struct pair *p)
{
	int ends[2];

	make_pipe(ends);
	deliver(&p->tx, 3000);
	saw("splice of 3000",
	    empty_pipe(&p->rx, ends[0],
		       negated(splice(p->rx.fd, NULL, ends[1], NULL, 4096, SPLICE_F_NONBLOCK))));
}

/* A reader that takes the header with recv() and the rest with splice(). */
static void check_splice_in_mixed(struct pair *p)
{
	int ends[2];

	make_pipe(ends);
	deliver(&p->tx, 3000);
	saw("recv of 100", get(&p->rx, 100, 0));
	saw("splice of the rest",
	    empty_pipe(&p->rx, ends[0],
		       negated(splice(p->rx.fd, NULL, ends[1], NULL, 4096, SPLICE_F_NONBLOCK))));
}

static void check_splice_in_empty(struct pair *p)
{
	int ends[2];

	make_pipe(ends);
	saw("splice when idle",
	    negated(splice(p->rx.fd, NULL, ends[1], NULL, 4096, SPLICE_F_NONBLOCK)));
	saw_if("conversation", converse(p));
}

/* 0: the kernel told that the buffer is free again. */
static int completion(const struct end *end)
{
	char control[256];
	struct msghdr msg = { .msg_control = control, .msg_controllen = sizeof(control) };

	for (int i = 0; i < 10 * A_WHILE_MS; i++) {
		if (recvmsg(end->fd, &msg, MSG_ERRQUEUE) >= 0)
			return 0;
		pause_ms(1);
	}
	return -errno;
}

static void send_zerocopy(struct pair *p)
{
	saw("send, MSG_ZEROCOPY", give(&p->tx, 20000, MSG_ZEROCOPY));
	saw("read", take(&p->rx, 20000));
	saw("completion", completion(&p->tx));
	saw_if("conversation", converse(p));
}

static bool want_zerocopy(struct pair *p)
{
	return !set_option(&p->tx, SOL_SOCKET, SO_ZEROCOPY, 1);
}

static void check_zerocopy(struct pair *p)
{
	saw("SO_ZEROCOPY", set_option(&p->tx, SOL_SOCKET, SO_ZEROCOPY, 1));
	send_zerocopy(p);
}

static void check_zerocopy_not_asked(struct pair *p)
{
	saw("send, MSG_ZEROCOPY", give(&p->tx, 20000, MSG_ZEROCOPY));
	saw("read", take(&p->rx, 20000));
	saw("completion", completion(&p->tx));
}

static void check_zerocopy_receive(struct pair *p)
{
	struct {
		uint64_t address;
		uint32_t length;
		uint32_t skip;
	} in = { .length = 8192 };
	socklen_t len = sizeof(in);
	void *map = mmap(NULL, 8192, PROT_READ, MAP_SHARED, p->rx.fd, 0);

	saw_if("mmap", map != MAP_FAILED);
	if (map == MAP_FAILED)
		return;
	in.address = (uintptr_t)map;
	deliver(&p->tx, 100);
	saw("TCP_ZEROCOPY_RECEIVE",
	    negated(getsockopt(p->rx.fd, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &in, &len)));
	saw("mapped", in.length);
	saw("to be read", in.skip);
	saw("read", take(&p->rx, 100));
}

static const struct check checks[] = {
	{ "sendfile", check_sendfile },
	{ "sendfile-mixed", check_sendfile_mixed },
	{ "splice-out", check_splice_out },
	{ "vmsplice-out", check_vmsplice_out },
	{ "splice-in", check_splice_in },
	{ "splice-in-mixed", check_splice_in_mixed },
	{ "splice-in-empty", check_splice_in_empty },
	{ "zerocopy-always", send_zerocopy, want_zerocopy },
	{ "zerocopy", check_zerocopy },
	{ "zerocopy-not-asked", check_zerocopy_not_asked },
	{ "zerocopy-receive", check_zerocopy_receive },
};
const struct family family_moving = { checks, ARRAY_SIZE(checks) };
