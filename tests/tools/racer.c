// SPDX-License-Identifier: Apache-2.0
/*
 * Connections to which something happens just when they may be adopted: they close, reset,
 * shut down, turn blocking, set an option, are passed to another process, forked, killed.
 * See usage().
 *
 * Every connection follows a script that both ends make from its seed, so that each knows
 * what the other does and what it must see: every byte that was sent, then the end or the
 * error that TCP gives. A process serves one connection, for it may be killed.
 */
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tool.h"

#define HELLO       0x7261636572212121ull
#define MESSAGE_MAX 9000u
#define TAIL        20000u /* bytes sent by whoever has seen the other's half-close */
#define BURST_MAX   4u
#define BUFFER      (TAIL + BURST_MAX * MESSAGE_MAX)
#define HANG_S      30
#define WORKERS_MAX 64

enum role { ROLE_CLIENT, ROLE_SERVER };

/* Those before LAST_TO_END end the connection, after the others it goes on. */
enum action {
	ACTION_CLOSE,
	ACTION_RESET,
	ACTION_KILL,
	ACTION_DISCONNECT,
	ACTION_HALF_CLOSE,
	LAST_TO_END = ACTION_HALF_CLOSE,
	ACTION_BLOCKING,
	ACTION_LOWAT,
	ACTION_OPTION,
	ACTION_PEEK,
	ACTION_DUP,
	ACTION_PASS,
	ACTION_FORK,
	ACTION_FORK_SHARED,
	ACTION_MAX,
};

static const char *const action_names[] = {
	[ACTION_CLOSE] = "close",
	[ACTION_RESET] = "reset",
	[ACTION_KILL] = "kill",
	[ACTION_DISCONNECT] = "disconnect",
	[ACTION_HALF_CLOSE] = "half-close",
	[ACTION_BLOCKING] = "blocking",
	[ACTION_LOWAT] = "lowat",
	[ACTION_OPTION] = "option",
	[ACTION_PEEK] = "peek",
	[ACTION_DUP] = "dup",
	[ACTION_PASS] = "pass",
	[ACTION_FORK] = "fork",
	[ACTION_FORK_SHARED] = "fork-shared",
};

/* What a connection does each round, by role. The action comes in place of an ACT. */
enum step { STEP_SEND, STEP_RECEIVE, STEP_ACT };
#define STEPS 4

static const enum step steps[][STEPS] = {
	[ROLE_CLIENT] = { STEP_ACT, STEP_SEND, STEP_ACT, STEP_RECEIVE },
	[ROLE_SERVER] = { STEP_RECEIVE, STEP_ACT, STEP_SEND, STEP_ACT },
};

static struct {
	struct address address;
	enum role role;
	uint64_t count;
	uint64_t workers;
	uint64_t seed;
	uint32_t actions; /* bit each */
} opt = { .count = 100, .workers = 4, .actions = (1u << ACTION_MAX) - 1 };

/* Of all processes. */
static struct shared {
	atomic_uint_fast64_t begun, connections, sent, received, errors, spurious;
	atomic_uint_fast64_t failed; /* bytes of messages that were refused: nobody is there */
	atomic_uint_fast64_t by_action[ACTION_MAX];
} * shared;

/* ---- the script ------------------------------------------------------------------------ */

/* A generator that both ends share; returns a number below n. */
static uint64_t draw(uint64_t *state, uint64_t n)
{
	*state += 0x9e3779b97f4a7c15ull;
	return tool_mix(*state) % n;
}

struct script {
	uint64_t seed;
	enum action action;
	enum role actor;
	uint32_t at; /* the actor's step, counted from the first round on */
	uint32_t rounds;
	uint32_t size;
	uint32_t burst; /* messages sent at once, each round */
	uint32_t pause_us;
	uint32_t option;
	bool edges; /* readers are edge-triggered */
};

/* The hello carries the seed and the actions to choose from. */
static struct script script_make(uint64_t seed, uint32_t actions)
{
	static const uint32_t sizes[] = { 1, 16, 64, 700, 4096, MESSAGE_MAX };
	struct script script = { .seed = seed };
	uint64_t state = seed;
	uint32_t round, act;

	do
		script.action = (enum action)draw(&state, ACTION_MAX);
	while (!(actions >> script.action & 1));
	script.actor = (enum role)draw(&state, 2);
	script.size = sizes[draw(&state, ARRAY_SIZE(sizes))];
	script.burst = draw(&state, 2) ? 1 : 2 + (uint32_t)draw(&state, BURST_MAX - 1);
	/* nominated after 8 data segments each way, adopted a moment later */
	round = 7 + (uint32_t)draw(&state, 14);
	act = script.actor == ROLE_CLIENT ? (uint32_t)draw(&state, 2) * 2
					  : 1 + (uint32_t)draw(&state, 2) * 2;
	script.at = round * STEPS + act;
	script.rounds = round + 2 + (uint32_t)draw(&state, 40);
	script.pause_us = draw(&state, 2) ? (uint32_t)draw(&state, 1500) : 0;
	script.option = (uint32_t)draw(&state, 1000);
	script.edges = draw(&state, 2);
	return script;
}

/* Whether the actor has sent this round's message when it comes to its action. */
static bool acts_after_sending(const struct script *script)
{
	return script->at % STEPS > (script->actor == ROLE_SERVER ? 2 : 1);
}

/* What a round carries, either way. */
static uint32_t round_size(const struct script *script)
{
	return script->burst * script->size;
}

/* What the actor has sent by then: all that the other end gets. */
static uint64_t sent_before_action(const struct script *script)
{
	return (uint64_t)(script->at / STEPS + acts_after_sending(script)) * round_size(script);
}

/* ---- one end --------------------------------------------------------------------------- */

struct end {
	int fd;
	int epoll; /* -1: not made yet by this process */
	enum role role;
	struct script script;
	uint32_t position;
	uint64_t sent;
	uint64_t received;
	bool blocking;
	bool lowat;
	bool peek;
};

#define END_OF_STREAM (-ENODATA)

/* Told by the handler of SIGALRM, which may not print. */
static char description[256];

static void describe(const struct end *end)
{
	const struct script *script = &end->script;

	snprintf(description, sizeof(description),
		 "racer: %s, seed %llu: %s by the %s at step %u, size %u by %u, pause %u us, %s",
		 end->role == ROLE_CLIENT ? "client" : "server", (unsigned long long)script->seed,
		 action_names[script->action], script->actor == ROLE_CLIENT ? "client" : "server",
		 script->at, script->size, script->burst, script->pause_us,
		 script->edges ? "edges" : "levels");
}

__attribute__((format(printf, 2, 3))) static int complain(const struct end *end, const char *format,
							  ...)
{
	char text[160];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "%s: step %u, sent %llu, received %llu: %s\n", description, end->position,
		(unsigned long long)end->sent, (unsigned long long)end->received, text);
	atomic_fetch_add(&shared->errors, 1);
	return -EBADMSG;
}

static void on_alarm(int number)
{
	static const char text[] = ": hangs\n";

	(void)number;
	atomic_fetch_add(&shared->errors, 1);
	if (write(STDERR_FILENO, description, strlen(description)) < 0 ||
	    write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(EXIT_FAILURE);
	_exit(EXIT_STALL);
}

static void fill(const struct end *end, bool out, unsigned char *to, size_t len)
{
	bool upward = out == (end->role == ROLE_CLIENT);
	uint64_t seed = upward ? end->script.seed : ~end->script.seed;
	uint64_t offset = out ? end->sent : end->received;

	for (size_t i = 0; i < len; i++, offset++)
		to[i] = (unsigned char)(tool_mix(seed + offset / 8) >> offset % 8 * 8);
}

/* Until something may go on; a blocking end only comes here by a spurious EAGAIN. */
static void await(struct end *end, short events, size_t wanted)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET };
	struct pollfd pollfd = { .fd = end->fd, .events = events };

	if (end->blocking) {
		atomic_fetch_add(&shared->spurious, 1);
		return;
	}
	if (end->lowat && events == POLLIN)
		tool_set(end->fd, SOL_SOCKET, SO_RCVLOWAT, (int)wanted);
	if (end->lowat || !end->script.edges) {
		poll(&pollfd, 1, -1);
		return;
	}
	if (end->epoll < 0) {
		end->epoll = epoll_create1(EPOLL_CLOEXEC);
		if (end->epoll < 0 || epoll_ctl(end->epoll, EPOLL_CTL_ADD, end->fd, &event))
			tool_die("epoll");
	}
	epoll_wait(end->epoll, &event, 1, -1);
}

static int send_all(struct end *end, size_t len)
{
	static unsigned char buffer[BUFFER];

	while (len) {
		ssize_t n;

		fill(end, true, buffer, len);
		n = send(end->fd, buffer, len, 0);
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			atomic_fetch_add(&shared->failed, len);
			return -errno;
		}
		if (n < 0) {
			await(end, POLLOUT, 0);
			continue;
		}
		end->sent += (uint64_t)n;
		len -= (size_t)n;
		atomic_fetch_add(&shared->sent, (uint64_t)n);
	}
	return 0;
}

/* What was peeked at must be what is read. */
static int check_peek(struct end *end, const unsigned char *right, size_t len)
{
	static unsigned char buffer[BUFFER];
	ssize_t n = end->peek ? recv(end->fd, buffer, len, MSG_PEEK) : 0;

	if (n > 0 && memcmp(buffer, right, (size_t)n))
		return complain(end, "wrong bytes under MSG_PEEK");
	return 0;
}

static int receive_all(struct end *end, size_t len)
{
	static unsigned char buffer[BUFFER], right[BUFFER];

	while (len) {
		ssize_t n;

		fill(end, false, right, len);
		if (check_peek(end, right, len))
			return -EBADMSG;
		n = recv(end->fd, buffer, len, 0);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n < 0) {
			await(end, POLLIN, len);
			continue;
		}
		if (!n)
			return END_OF_STREAM;
		if (memcmp(buffer, right, (size_t)n))
			return complain(end, "wrong bytes");
		end->received += (uint64_t)n;
		len -= (size_t)n;
		atomic_fetch_add(&shared->received, (uint64_t)n);
	}
	return 0;
}

/* ---- actions --------------------------------------------------------------------------- */

#define GOES_ON 0
#define ENDED   1 /* this process is done with the connection */

static int play(struct end *end);

static void drop(struct end *end)
{
	close(end->fd);
	if (end->epoll >= 0)
		close(end->epoll);
	end->epoll = -1;
}

static void reset(struct end *end)
{
	struct linger linger = { .l_onoff = 1 };

	if (setsockopt(end->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)))
		tool_die("setsockopt");
	drop(end);
}

/* Has nothing more to say, and reads on: what its last message is answered with, and the
 * tail. */
static int half_close(struct end *end)
{
	size_t due = TAIL + (acts_after_sending(&end->script) ? round_size(&end->script) : 0);
	int r;

	if (shutdown(end->fd, SHUT_WR))
		return complain(end, "shutdown: %s", strerror(errno));
	r = receive_all(end, due);
	if (r)
		return complain(end, "after a half-close: %s", strerror(-r));
	r = receive_all(end, 1);
	if (r != END_OF_STREAM)
		return complain(end, "no end of stream after a half-close: %s", strerror(-r));
	drop(end);
	return ENDED;
}

static void set_option(struct end *end)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{ SOL_SOCKET, SO_RCVBUF, 16384 }, { SOL_SOCKET, SO_SNDBUF, 4608 },
		{ SOL_SOCKET, SO_TIMESTAMP, 1 },  { SOL_SOCKET, SO_ZEROCOPY, 1 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },  { SOL_SOCKET, SO_BUSY_POLL, 50 },
		{ IPPROTO_TCP, TCP_INQ, 1 },      { IPPROTO_TCP, TCP_NODELAY, 0 },
		{ IPPROTO_TCP, TCP_QUICKACK, 0 }, { IPPROTO_TCP, TCP_NOTSENT_LOWAT, 1024 },
		{ SOL_SOCKET, SO_RCVTIMEO, 0 },   { SOL_SOCKET, SO_OOBINLINE, 1 },
	};
	size_t i = end->script.option % ARRAY_SIZE(options);
	struct timeval patience = { .tv_sec = 60 };

	if (options[i].name == SO_RCVTIMEO)
		setsockopt(end->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	else
		tool_set(end->fd, options[i].level, options[i].name, options[i].value);
}

static void duplicate(struct end *end)
{
	int copy = dup(end->fd);

	if (copy < 0)
		tool_die("dup");
	drop(end);
	end->fd = copy;
}

/* Its own process from here on, with an event loop of its own. */
static int take_over(struct end *end)
{
	alarm(HANG_S);
	end->epoll = -1;
	_exit(play(end) ? EXIT_FAILURE : EXIT_SUCCESS);
}

static int await_successor(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status ? -EBADMSG : ENDED;
}

static int hand_over_by_fork(struct end *end)
{
	pid_t pid;
	int r;

	end->position++;
	pid = fork();
	if (pid < 0)
		tool_die("fork");
	if (!pid)
		take_over(end);
	if (end->script.action == ACTION_FORK)
		drop(end);
	r = await_successor(pid);
	if (end->script.action == ACTION_FORK_SHARED)
		drop(end);
	return r;
}

/* A message with a socket and what must be known of it. */
union control {
	char buffer[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

static void pass_end(int to, struct end *end)
{
	union control control = { .buffer = { 0 } };
	struct iovec part = { .iov_base = end, .iov_len = sizeof(*end) };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = control.buffer,
				  .msg_controllen = sizeof(control.buffer) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &end->fd, sizeof(int));
	if (sendmsg(to, &message, 0) != (ssize_t)sizeof(*end))
		tool_die("sendmsg");
}

static void take_end(int from, struct end *end)
{
	union control control;
	struct iovec part = { .iov_base = end, .iov_len = sizeof(*end) };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = control.buffer,
				  .msg_controllen = sizeof(control.buffer) };

	if (recvmsg(from, &message, 0) != (ssize_t)sizeof(*end) || !CMSG_FIRSTHDR(&message))
		tool_die("recvmsg");
	memcpy(&end->fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
}

/* For a moment the socket is nobody's: it is in the message. */
static int hand_over_by_message(struct end *end)
{
	int channel[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel))
		tool_die("socketpair");
	end->position++;
	pass_end(channel[0], end);
	drop(end);
	pid = fork();
	if (pid < 0)
		tool_die("fork");
	if (!pid) {
		take_end(channel[1], end);
		take_over(end);
	}
	close(channel[0]);
	close(channel[1]);
	return await_successor(pid);
}

static int disconnect(struct end *end)
{
	struct sockaddr nobody = { .sa_family = AF_UNSPEC };

	if (connect(end->fd, &nobody, sizeof(nobody)))
		return complain(end, "disconnect: %s", strerror(errno));
	drop(end);
	return ENDED;
}

static int turn_blocking(struct end *end)
{
	if (fcntl(end->fd, F_SETFL, 0))
		tool_die("fcntl");
	end->blocking = true;
	return GOES_ON;
}

/* Those after which the connection goes on in this process. */
static int act_and_go_on(struct end *end)
{
	switch (end->script.action) {
	case ACTION_BLOCKING:
		return turn_blocking(end);
	case ACTION_OPTION:
		set_option(end);
		break;
	case ACTION_DUP:
		duplicate(end);
		break;
	case ACTION_LOWAT:
		end->lowat = true;
		break;
	default:
		end->peek = true;
		break;
	}
	return GOES_ON;
}

static int act(struct end *end)
{
	if (end->script.pause_us)
		usleep(end->script.pause_us);
	atomic_fetch_add(&shared->by_action[end->script.action], 1);
	switch (end->script.action) {
	case ACTION_CLOSE:
		drop(end);
		return ENDED;
	case ACTION_RESET:
		reset(end);
		return ENDED;
	case ACTION_KILL:
		raise(SIGKILL);
		return ENDED;
	case ACTION_DISCONNECT:
		return disconnect(end);
	case ACTION_HALF_CLOSE:
		return half_close(end);
	case ACTION_PASS:
		return hand_over_by_message(end);
	case ACTION_FORK:
	case ACTION_FORK_SHARED:
		return hand_over_by_fork(end);
	default:
		return act_and_go_on(end);
	}
}

/* ---- following the script ---------------------------------------------------------------- */

/* The actor has half-closed: the tail is for it. */
static int send_tail(struct end *end)
{
	int r = send_all(end, TAIL);

	if (r)
		return complain(end, "the tail: %s", strerror(-r));
	drop(end);
	return ENDED;
}

/* A call has failed: as the script says? */
static int judge(struct end *end, int error)
{
	const struct script *script = &end->script;
	uint64_t due = sent_before_action(script);
	bool orderly = error == END_OF_STREAM;

	if (error == -EBADMSG)
		return error;
	if (script->actor == end->role || script->action > LAST_TO_END)
		return complain(end, "%s", strerror(-error));
	if (!orderly && error != -ECONNRESET && error != -EPIPE)
		return complain(end, "%s is no end of a connection", strerror(-error));
	if (script->action == ACTION_RESET || script->action == ACTION_DISCONNECT) {
		if (orderly)
			return complain(end, "an orderly end in place of a reset");
	} else if (end->received != due) {
		return complain(end, "%s, and %llu bytes are due", strerror(-error),
				(unsigned long long)due);
	}
	if (script->action == ACTION_HALF_CLOSE)
		return orderly ? send_tail(end)
			       : complain(end, "after a half-close: %s", strerror(-error));
	drop(end);
	return ENDED;
}

static int step(struct end *end)
{
	const struct script *script = &end->script;
	int r = 0;

	switch (steps[end->role][end->position % STEPS]) {
	case STEP_SEND:
		for (uint32_t i = 0; i < script->burst && !r; i++)
			r = send_all(end, script->size);
		break;
	case STEP_RECEIVE:
		r = receive_all(end, round_size(script));
		break;
	case STEP_ACT:
		if (script->actor == end->role && script->at == end->position)
			return act(end);
		break;
	}
	return r ? judge(end, r) : GOES_ON;
}

/* From where it stands to the end. 0 or a negative errno, told already. */
static int play(struct end *end)
{
	int r = GOES_ON;

	for (; r == GOES_ON && end->position < end->script.rounds * STEPS; end->position++)
		r = step(end);
	if (r == GOES_ON && end->role == ROLE_SERVER) {
		r = receive_all(end, 1);
		r = r == END_OF_STREAM ? GOES_ON : complain(end, "at the end: %s", strerror(-r));
	}
	if (r == GOES_ON)
		drop(end);
	return r < 0 ? r : 0;
}

/* ---- both sides -------------------------------------------------------------------------- */

struct hello {
	uint64_t magic;
	uint64_t seed;
	uint64_t actions;
};

static void prepare(struct end *end, const struct hello *hello)
{
	end->script = script_make(hello->seed, (uint32_t)hello->actions);
	describe(end);
	tool_set(end->fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (fcntl(end->fd, F_SETFL, O_NONBLOCK))
		tool_die("fcntl");
	/* both can tell a process that was killed from one that failed */
	atomic_fetch_add(&shared->connections, 1);
}

static int call(uint64_t index)
{
	struct hello hello = { .magic = HELLO,
			       .seed = tool_mix(opt.seed + index),
			       .actions = opt.actions };
	struct end end = { .role = ROLE_CLIENT, .epoll = -1 };

	end.fd = socket(opt.address.sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (end.fd < 0 || connect(end.fd, (struct sockaddr *)&opt.address.sa, opt.address.len))
		tool_die("connect");
	if (send(end.fd, &hello, sizeof(hello), 0) != (ssize_t)sizeof(hello))
		tool_die("send");
	atomic_fetch_add(&shared->sent, sizeof(hello));
	prepare(&end, &hello);
	return play(&end);
}

static int serve(int fd)
{
	struct end end = { .role = ROLE_SERVER, .epoll = -1, .fd = fd };
	struct hello hello;

	if (recv(fd, &hello, sizeof(hello), MSG_WAITALL) != (ssize_t)sizeof(hello) ||
	    hello.magic != HELLO)
		tool_exit(EXIT_FAILURE, "racer: no hello");
	atomic_fetch_add(&shared->received, sizeof(hello));
	prepare(&end, &hello);
	return play(&end);
}

/* Whether a process ended as it should: only the script's own kill may kill it. */
static void reap(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL) {
		fprintf(stderr, "racer: a process died of signal %d\n", WTERMSIG(status));
		atomic_fetch_add(&shared->errors, 1);
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) && !atomic_load(&shared->errors))
		atomic_fetch_add(&shared->errors, 1);
}

static void work(void)
{
	for (;;) {
		uint64_t index = atomic_fetch_add(&shared->begun, 1);
		pid_t pid;

		if (tool_stop || index >= opt.count)
			return;
		pid = fork();
		if (pid < 0)
			tool_die("fork");
		if (!pid) {
			alarm(HANG_S);
			_exit(call(index) ? EXIT_FAILURE : EXIT_SUCCESS);
		}
		reap(pid);
	}
}

static void run_client(void)
{
	pid_t workers[WORKERS_MAX];

	for (uint64_t i = 0; i < opt.workers; i++) {
		workers[i] = fork();
		if (workers[i] < 0)
			tool_die("fork");
		if (!workers[i]) {
			work();
			_exit(EXIT_SUCCESS);
		}
	}
	for (uint64_t i = 0; i < opt.workers; i++)
		reap(workers[i]);
}

/* Ends by a signal, after the connections at work: their children hold nothing else. */
static void run_server(void)
{
	int listener = tool_bind(&opt.address, SOCK_STREAM, false);

	tool_ready();
	while (!tool_stop) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		pid_t pid = fd < 0 ? -1 : fork();

		if (!pid) {
			close(listener);
			alarm(HANG_S);
			_exit(serve(fd) ? EXIT_FAILURE : EXIT_SUCCESS);
		}
		if (fd >= 0)
			close(fd);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
	while (waitpid(-1, NULL, 0) > 0)
		;
}

static void report(void)
{
	printf("{\"ok\":%s,\"seed\":%llu,\"connections\":%llu,\"sent\":%llu,\"received\":%llu,"
	       "\"failed\":%llu,\"errors\":%llu,\"spurious\":%llu",
	       shared->errors ? "false" : "true", (unsigned long long)opt.seed,
	       (unsigned long long)shared->connections, (unsigned long long)shared->sent,
	       (unsigned long long)shared->received, (unsigned long long)shared->failed,
	       (unsigned long long)shared->errors, (unsigned long long)shared->spurious);
	for (int i = 0; i < ACTION_MAX; i++)
		printf(",\"%s\":%llu", action_names[i], (unsigned long long)shared->by_action[i]);
	puts("}");
}

/* ---- options ----------------------------------------------------------------------------- */

__attribute__((noreturn)) static void usage(int code)
{
	fprintf(code ? stderr : stdout,
		"usage: racer server ADDRESS:PORT\n"
		"       racer client ADDRESS:PORT [OPTIONS]\n"
		"  --count N        connections (default: 100)\n"
		"  --workers N      of them at once, up to 64 (default: 4)\n"
		"  --seed N         of the scripts (default: the time)\n"
		"  --actions LIST   of what may happen: close, reset, kill, disconnect,\n"
		"                   half-close, blocking, lowat, option, peek, dup, pass,\n"
		"                   fork, fork-shared (default: all)\n");
	exit(code);
}

static void parse_actions(char *text)
{
	opt.actions = 0;
	for (char *word = strtok(text, ","); word; word = strtok(NULL, ",")) {
		int i = 0;

		while (i < ACTION_MAX && strcmp(word, action_names[i]))
			i++;
		if (i == ACTION_MAX)
			tool_exit(EXIT_USAGE, "--actions: \"%s\" is none", word);
		opt.actions |= 1u << i;
	}
	if (!opt.actions)
		usage(EXIT_USAGE);
}

static void parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "count", required_argument, NULL, 'c' },
		{ "workers", required_argument, NULL, 'w' },
		{ "seed", required_argument, NULL, 's' },
		{ "actions", required_argument, NULL, 'a' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	int c;

	opt.seed = tool_now_ns();
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'c')
			opt.count = tool_number("--count", optarg);
		else if (c == 'w')
			opt.workers = tool_number("--workers", optarg);
		else if (c == 's')
			opt.seed = tool_number("--seed", optarg);
		else if (c == 'a')
			parse_actions(optarg);
		else
			usage(c == 'h' ? EXIT_SUCCESS : EXIT_USAGE);
	}
	if (optind + 2 != argc || !opt.workers || opt.workers > WORKERS_MAX)
		usage(EXIT_USAGE);
	opt.role = !strcmp(argv[optind], "server") ? ROLE_SERVER : ROLE_CLIENT;
	if (opt.role == ROLE_CLIENT && strcmp(argv[optind], "client"))
		usage(EXIT_USAGE);
	opt.address = tool_address(argv[optind + 1]);
}

int main(int argc, char **argv)
{
	parse_options(argc, argv);
	tool_init();
	signal(SIGALRM, on_alarm);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		tool_die("mmap");
	if (opt.role == ROLE_SERVER)
		run_server();
	else
		run_client();
	report();
	return shared->errors ? EXIT_FAILURE : EXIT_SUCCESS;
}
