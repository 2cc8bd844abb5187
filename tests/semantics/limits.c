/* SPDX-License-Identifier: Apache-2.0 */
/* Backpressure and memory: what a reader has not read is bounded, and none of it is lost. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include "semantics.h"

/* TCP alone holds 4 to 5 MB here, once it has tuned its buffers. */
#define UNREAD_MAX (16 << 20)

/* Sends pieces for as long as there is room. */
static size_t fill(struct end *from, size_t piece, ssize_t *why)
{
	size_t sent = 0;
	ssize_t n;

	while ((n = give(from, piece, 0)) > 0 && sent <= UNREAD_MAX)
		sent += (size_t)n;
	*why = n;
	return sent;
}

static void fill_and_read(struct pair *p, size_t piece)
{
	ssize_t why;
	size_t sent = fill(&p->tx, piece, &why);

	saw("send in the end", why);
	saw_if("unread is bounded", sent <= UNREAD_MAX);
	saw_if("read all", take(&p->rx, sent) == (ssize_t)sent);
	saw("recv when read", get(&p->rx, 1, 0));
	saw_if("conversation", converse(p));
}

static void check_full_large(struct pair *p)
{
	fill_and_read(p, 60000);
}

static void check_full_small(struct pair *p)
{
	fill_and_read(p, 1000);
}

static void check_full_small_buffers(struct pair *p)
{
	set_option(&p->rx, SOL_SOCKET, SO_RCVBUF, 4096);
	set_option(&p->tx, SOL_SOCKET, SO_SNDBUF, 4096);
	fill_and_read(p, 1000);
}

/* The kernel keeps a kilobyte for each message that went past TCP, be it of one byte:
 * those that wait must be few, however large the reader's buffer is. */
#define WAITING_MAX 4096

static void check_full_one_byte(struct pair *p)
{
	struct progress before, now;
	size_t sent = 0;

	progress_of(p->tx.fd, &before);
	do {
		if (give(&p->tx, 1, 0) != 1)
			break;
		sent++;
		progress_of(p->tx.fd, &now);
	} while (now.segments_out == before.segments_out && sent <= WAITING_MAX);
	saw_if("few wait past TCP", sent <= WAITING_MAX);
	saw_if("read all", take(&p->rx, sent) == (ssize_t)sent);
	saw_if("conversation", converse(p));
}

static void check_full_both_ways(struct pair *p)
{
	ssize_t why;
	size_t there = fill(&p->tx, 20000, &why), back = fill(&p->rx, 20000, &why);

	saw_if("unread is bounded", there <= UNREAD_MAX && back <= UNREAD_MAX);
	saw_if("read all", take(&p->rx, there) == (ssize_t)there);
	saw_if("the other way, too", take(&p->tx, back) == (ssize_t)back);
	saw_if("conversation", converse(p));
}

/* A reader that keeps some unread all the time. */
static void check_never_empty(struct pair *p)
{
	ssize_t sent = 0, come = 0;

	for (int i = 0; i < 300; i++) {
		sent += put(&p->tx, 3000);
		come += take(&p->rx, i ? 3000 : 1000);
	}
	come += take(&p->rx, 2000);
	saw("sent", sent);
	saw("come", come);
	saw_if("conversation", converse(p));
}

#define BULK (8u << 20)

static void *pour(void *arg)
{
	struct pair *p = arg;

	put(&p->tx, BULK);
	return NULL;
}

static void check_bulk(struct pair *p)
{
	pthread_t thread;

	pthread_create(&thread, NULL, pour, p);
	saw("read", take(&p->rx, BULK));
	pthread_join(thread, NULL);
	saw_if("conversation", converse(p));
}

static bool answered(struct pair *p, size_t size)
{
	return put(&p->tx, size) == (ssize_t)size && take(&p->rx, size) == (ssize_t)size &&
	       put(&p->rx, 5) == 5 && take(&p->tx, 5) == 5;
}

/* Requests and answers between bulk: the way of the bytes changes all the time. */
static void check_mixed_sizes(struct pair *p)
{
	static const size_t sizes[] = { 1, 70000, 10, 90000, 3, 3, 3, 80000, 64, 1 };
	pthread_t thread;
	bool right = true;

	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
			right = right && answered(p, sizes[i]);
	pthread_create(&thread, NULL, pour, p);
	right = right && take(&p->rx, BULK) == BULK;
	pthread_join(thread, NULL);
	saw_if("conversation", right && converse(p));
}

static const struct check checks[] = {
	{ "full-large", check_full_large },
	{ "full-small", check_full_small },
	{ "full-small-buffers", check_full_small_buffers },
	{ "full-one-byte", check_full_one_byte },
	{ "full-both-ways", check_full_both_ways },
	{ "never-empty", check_never_empty },
	{ "bulk", check_bulk },
	{ "mixed-sizes", check_mixed_sizes },
};
const struct family family_limits = { checks, ARRAY_SIZE(checks) };
