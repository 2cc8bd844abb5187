/* SPDX-License-Identifier: Apache-2.0 */
/* Making connections, and bringing them to the stage that a check is for. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>

#include "../tools/tool.h"
#undef ARRAY_SIZE
#include "semantics.h"

/* Rounds before a check: as many as adoption takes, several times over. */
#define ROUNDS             24
#define ROUNDS_TO_NOMINATE 9 /* of a message each way, with one to spare */
#define ROUNDS_MAX         20000
#define PING               64

static const struct ends_options *options;
static int listener;
static int lock_fd; /* who holds it connects and accepts, so that each gets its own */

__attribute__((noreturn)) void broken(const char *what)
{
	tool_exit(EXIT_FAILURE, "%s: %s", what, strerror(errno));
}

/* The listener in its namespace, and this process back in ours. */
static void listen_there(const struct address *address)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int there = open(options->listener_netns, O_RDONLY | O_CLOEXEC);

	if (home < 0 || there < 0 || setns(there, CLONE_NEWNET))
		tool_exit(EXIT_FAILURE, "%s: %s", options->listener_netns, strerror(errno));
	listener = tool_bind(address, SOCK_STREAM, false);
	if (setns(home, CLONE_NEWNET))
		broken("setns");
	close(home);
	close(there);
}

void ends_listen(const struct ends_options *given)
{
	struct address address = tool_address(given->listen);

	options = given;
	if (options->listener_netns)
		listen_there(&address);
	else
		listener = tool_bind(&address, SOCK_STREAM, false);
	lock_fd = memfd_create("connecting", MFD_CLOEXEC);
	if (lock_fd < 0)
		broken("memfd_create");
}

static void lock(short type)
{
	struct flock whole = { .l_type = type };

	if (fcntl(lock_fd, F_SETLKW, &whole))
		broken("fcntl");
}

bool ends_reconnect(int fd, int *accepted)
{
	struct address address = tool_address(options->connect);
	bool connected;

	lock(F_WRLCK);
	connected = !connect(fd, (struct sockaddr *)&address.sa, address.len);
	*accepted = connected ? accept4(listener, NULL, NULL, SOCK_CLOEXEC) : -1;
	lock(F_UNLCK);
	return connected && *accepted >= 0;
}

bool ends_peer_is_asked(const struct pair *pair)
{
	struct address asked = tool_address(options->connect), seen = { .len = sizeof(seen.sa) };
	int client = options->reverse ? pair->rx.fd : pair->tx.fd;
	char a[ADDRESS_TEXT], b[ADDRESS_TEXT];

	if (getpeername(client, (struct sockaddr *)&seen.sa, &seen.len))
		return false;
	return !strcmp(tool_address_text(&asked, a), tool_address_text(&seen, b));
}

static void ends_connect(struct pair *pair)
{
	struct address address = tool_address(options->connect);
	int client = socket(address.sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), server;

	if (client < 0 || !ends_reconnect(client, &server))
		broken(options->connect);
	pair->tx = (struct end){ .fd = options->reverse ? server : client, .salt = 1 };
	pair->rx = (struct end){ .fd = options->reverse ? client : server, .salt = 99 };
	pair->tx.peer = &pair->rx;
	pair->rx.peer = &pair->tx;
	set_blocking(&pair->tx, false);
	set_blocking(&pair->rx, false);
	set_option(&pair->tx, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(&pair->rx, IPPROTO_TCP, TCP_NODELAY, 1);
}

/* One message; true: TCP had nothing to do with it. */
static bool message(struct end *from)
{
	struct progress before, after;

	progress_of(from->fd, &before);
	if (put(from, PING) != PING || take(from->peer, PING) != PING)
		broken("a round of the conversation");
	progress_of(from->fd, &after);
	return after.segments_out == before.segments_out;
}

/* Talks until the splice has come as far as the stage wants; else for a while. */
static bool talk(struct pair *pair, enum stage stage, bool await, int rounds)
{
	for (int i = 0; i < rounds; i++) {
		bool there = message(&pair->tx), back;

		if (await && there && stage == DURING)
			return true;
		back = message(&pair->rx);
		if (await && there && back)
			return true;
		if (i >= ROUNDS && i % 8 == 0)
			pause_ms(2);
	}
	return false;
}

void ends_make(struct pair *pair, enum stage stage, prepare_fn *prepare)
{
	bool awaited;

	ends_connect(pair);
	awaited = !(prepare && prepare(pair)) && options->spliced;
	if (stage == RACING)
		talk(pair, stage, false, ROUNDS_TO_NOMINATE);
	if (stage == BEFORE || stage == RACING)
		return;
	if (awaited && !talk(pair, stage, true, ROUNDS_MAX))
		tool_exit(EXIT_FAILURE, "was not spliced");
	if (awaited)
		return;
	talk(pair, stage, false, ROUNDS);
	if (!options->spliced)
		return;
	/* time enough to be looked at and refused */
	pause_ms(5 * A_WHILE_MS);
	if (talk(pair, stage, true, 4))
		tool_exit(EXIT_FAILURE, "was spliced");
}

void ends_resume_daemon(void)
{
	if (!options->daemon)
		return;
	kill(options->daemon, SIGCONT);
	pause_ms(20 * A_WHILE_MS);
}

void set_blocking(struct end *end, bool blocking)
{
	int flags = fcntl(end->fd, F_GETFL);

	if (fcntl(end->fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK))
		broken("fcntl");
}

bool both_blocking(struct pair *pair)
{
	set_blocking(&pair->tx, true);
	set_blocking(&pair->rx, true);
	return true;
}

int set_option(struct end *end, int level, int option, int value)
{
	return setsockopt(end->fd, level, option, &value, sizeof(value)) ? -errno : 0;
}

void end_close(struct end *end)
{
	close(end->fd);
	end->fd = -1;
}

void end_reset(struct end *end)
{
	struct linger now = { .l_onoff = 1 };

	setsockopt(end->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	end_close(end);
}
