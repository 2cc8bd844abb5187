/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocking sockets, each twice: one that always was, which stays TCP; and one that
 * turns blocking in the middle, which may have been spliced by then.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "semantics.h"

static void send_five(struct pair *p)
{
	put(&p->tx, 5);
}

static void send_five_twice(struct pair *p)
{
	put(&p->tx, 5);
	pause_ms(A_WHILE_MS);
	put(&p->tx, 5);
}

static void shut(struct pair *p)
{
	shutdown(p->tx.fd, SHUT_WR);
}

static void shut_own_reading(struct pair *p)
{
	shutdown(p->rx.fd, SHUT_RD);
}

static void reset(struct pair *p)
{
	end_reset(&p->tx);
}

static pthread_t sleeper;
static volatile pid_t sleeper_id;

static void send_signal(struct pair *p)
{
	(void)p;
	pthread_kill(sleeper, SIGUSR1);
}

static void signal_then_five(struct pair *p)
{
	send_signal(p);
	await_sleep(sleeper_id);
	put(&p->tx, 5);
}

static void on_signal(int number)
{
	(void)number;
}

static void handle_signal(int flags)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };

	sleeper = pthread_self();
	sleeper_id = gettid();
	sigaction(SIGUSR1, &action, NULL);
}

static void set_timeout(struct end *end, int option, unsigned ms)
{
	struct timeval timeout = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	if (setsockopt(end->fd, SOL_SOCKET, option, &timeout, sizeof(timeout)))
		broken("setsockopt");
}

/* A recv() that sleeps, and what happens meanwhile. */
static void recv_while(struct pair *p, const char *what, size_t size, int flags, act_fn *meanwhile)
{
	struct act act;

	set_blocking(&p->rx, true);
	in_a_while(&act, meanwhile, p);
	saw(what, get(&p->rx, size, flags));
	act_done(&act);
}

static void recv_data(struct pair *p)
{
	recv_while(p, "recv", 10, 0, send_five);
	saw_if("conversation", converse(p));
	recv_while(p, "recv again", 10, 0, send_five);
	saw("recv, MSG_DONTWAIT", get(&p->rx, 10, MSG_DONTWAIT));
}

static void recv_fin(struct pair *p)
{
	recv_while(p, "recv", 10, 0, shut);
	saw("recv again", get(&p->rx, 10, 0));
}

static void recv_reset(struct pair *p)
{
	recv_while(p, "recv", 10, 0, reset);
	saw("recv again", get(&p->rx, 10, 0));
}

static void recv_shut_reading(struct pair *p)
{
	recv_while(p, "recv", 10, 0, shut_own_reading);
	saw("recv again", get(&p->rx, 10, 0));
}

static void waitall(struct pair *p)
{
	recv_while(p, "recv 10, 5 and 5 come", 10, MSG_WAITALL, send_five_twice);
	saw_if("conversation", converse(p));
}

/* Some was there before the socket turned blocking. */
static void waitall_half(struct pair *p)
{
	deliver(&p->tx, 5);
	recv_while(p, "recv 10 of 5, 5 come", 10, MSG_WAITALL, send_five);
}

static void waitall_fin(struct pair *p)
{
	deliver(&p->tx, 5);
	recv_while(p, "recv 10 of 5, FIN comes", 10, MSG_WAITALL, shut);
}

static void peek(struct pair *p)
{
	recv_while(p, "peek", 10, MSG_PEEK, send_five);
	saw("recv", get(&p->rx, 10, 0));
}

static void timeout(struct pair *p)
{
	set_timeout(&p->rx, SO_RCVTIMEO, A_WHILE_MS);
	set_blocking(&p->rx, true);
	saw("recv, nothing comes", get(&p->rx, 10, 0));
	set_timeout(&p->rx, SO_RCVTIMEO, SURELY_MS);
	recv_while(p, "recv, something comes", 10, 0, send_five);
}

static void signal_restarts(struct pair *p)
{
	handle_signal(SA_RESTART);
	recv_while(p, "recv", 10, 0, signal_then_five);
	/* long enough for five that a restarted call has not taken */
	poll_for(p->rx.fd, POLLIN, 10 * A_WHILE_MS);
	saw("what is left", get(&p->rx, 10, MSG_DONTWAIT));
}

static void signal_interrupts(struct pair *p)
{
	handle_signal(0);
	recv_while(p, "recv", 10, 0, send_signal);
	recv_while(p, "recv again", 10, 0, send_five);
}

static void signal_and_timeout(struct pair *p)
{
	set_timeout(&p->rx, SO_RCVTIMEO, SURELY_MS);
	handle_signal(SA_RESTART);
	recv_while(p, "recv", 10, 0, send_signal);
	recv_while(p, "recv again", 10, 0, send_five);
}

static void lowat(struct pair *p)
{
	set_option(&p->rx, SOL_SOCKET, SO_RCVLOWAT, 10);
	recv_while(p, "recv 20, 5 and 5 come", 20, 0, send_five_twice);
}

#define BULK 3000000

static void drain_bulk(struct pair *p)
{
	saw("read", take(&p->rx, BULK));
}

/* One send() of more than there is room for. */
static void send_large(struct pair *p)
{
	struct act act;

	set_blocking(&p->tx, true);
	in_a_while(&act, drain_bulk, p);
	saw("send", give(&p->tx, BULK, 0));
	act_done(&act);
	saw_if("conversation", converse(p));
}

static void send_timeout(struct pair *p)
{
	ssize_t n, sent = 0;

	set_timeout(&p->tx, SO_SNDTIMEO, A_WHILE_MS);
	set_blocking(&p->tx, true);
	while ((n = give(&p->tx, 1000000, 0)) > 0)
		sent += n;
	saw("send with no room", n);
	saw_if("read all", take(&p->rx, (size_t)sent) == sent);
}

static void *echo_thread(void *arg)
{
	struct pair *p = arg;

	for (int i = 0; i < 200; i++)
		if (take(&p->rx, 64) != 64 || put(&p->rx, 64) != 64)
			break;
	return NULL;
}

/* recv() that must not say EAGAIN: nothing but a signal or a timeout ends it. */
static void ping_pong(struct pair *p)
{
	ssize_t n, wrong = 0, come = 0;
	pthread_t echo;

	both_blocking(p);
	pthread_create(&echo, NULL, echo_thread, p);
	for (int i = 0; i < 200 && !wrong; i++) {
		put(&p->tx, 64);
		for (ssize_t due = 64; due && !wrong;) {
			n = get(&p->tx, (size_t)due, 0);
			due -= n > 0 ? n : 0;
			come += n > 0 ? n : 0;
			wrong = n > 0 ? 0 : n;
		}
	}
	saw("bytes", come);
	saw("error", wrong);
	if (!wrong)
		pthread_join(echo, NULL);
}

/* A thread that sleeps in a recv() of this size. */
struct sleeper {
	struct pair *pair;
	size_t size;
	pthread_t thread;
	ssize_t result;
};

static void *sleep_in_recv(void *arg)
{
	struct sleeper *it = arg;

	sleeper_id = gettid();
	it->result = get(&it->pair->rx, it->size, MSG_WAITALL);
	return NULL;
}

/* Begins to sleep while the socket is blocking, and sleeps on when it no longer is. */
static void begin_sleep(struct sleeper *it)
{
	set_blocking(&it->pair->rx, true);
	sleeper_id = 0;
	if (pthread_create(&it->thread, NULL, sleep_in_recv, it))
		broken("pthread_create");
	while (!sleeper_id)
		pause_ms(1);
	await_sleep(sleeper_id);
	set_blocking(&it->pair->rx, false);
}

static void end_sleep(struct sleeper *it)
{
	pthread_join(it->thread, NULL);
	saw("recv", it->result);
	saw_if("conversation", converse(it->pair));
}

/* The socket is adopted meanwhile: the call is TCP's, and ends for its bytes only. */
static void sleeper_adopted(struct pair *p)
{
	struct sleeper it = { .pair = p, .size = 10 };

	begin_sleep(&it);
	ends_resume_daemon();
	/* its end speaks: no proof that its reader is awake */
	saw("the other way", put(&p->rx, 10));
	saw("which is", take(&p->tx, 10));
	deliver(&p->tx, 10);
	end_sleep(&it);
}

/* Bytes by TCP lead the call into TCP's, which has read all and waits for more of them. */
static void sleeper_by_tcp(struct pair *p)
{
	struct sleeper it = { .pair = p, .size = 2010 };

	/* more than half the buffer, doubled by the kernel: what follows goes by TCP */
	set_option(&p->rx, SOL_SOCKET, SO_RCVBUF, 28000);
	deliver(&p->tx, 30000);
	deliver(&p->tx, 2000);
	saw("read", take(&p->rx, 30000));
	begin_sleep(&it);
	deliver(&p->tx, 10);
	end_sleep(&it);
}

#define BOTH(name, function)                         \
	{ name "-always", function, both_blocking }, \
	{                                            \
		name, function                       \
	}

static const struct check checks[] = {
	BOTH("blocking-data", recv_data),
	BOTH("blocking-fin", recv_fin),
	BOTH("blocking-reset", recv_reset),
	BOTH("blocking-shut-reading", recv_shut_reading),
	BOTH("blocking-waitall", waitall),
	BOTH("blocking-waitall-half", waitall_half),
	BOTH("blocking-waitall-fin", waitall_fin),
	BOTH("blocking-peek", peek),
	BOTH("blocking-timeout", timeout),
	BOTH("blocking-signal-restarts", signal_restarts),
	BOTH("blocking-signal-interrupts", signal_interrupts),
	BOTH("blocking-signal-timeout", signal_and_timeout),
	BOTH("blocking-lowat", lowat),
	BOTH("blocking-send", send_large),
	BOTH("blocking-send-timeout", send_timeout),
	BOTH("blocking-ping-pong", ping_pong),
	{ "sleeper-adopted", sleeper_adopted },
	{ "sleeper-by-tcp", sleeper_by_tcp },
};
const struct family family_blocking = { checks, ARRAY_SIZE(checks) };
