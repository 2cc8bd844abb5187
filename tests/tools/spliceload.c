// SPDX-License-Identifier: Apache-2.0
/*
 * Streams whose every byte is known: what arrives is checked against what must
 * have been sent, so that a byte lost, doubled, reordered or delivered to the
 * wrong socket is found and told with its place. See usage().
 *
 * The two ends of a connection walk through phases. The client leads: it sends a
 * command, then both perform the phase, each in its role. Bytes of a phase
 * continue one stream a direction, so a reader cannot mistake one phase's bytes
 * for another's. An end waits without any timeout, the way its kind of reader
 * does; a watchdog turns a wake-up that never came into "stall" and exit code 3.
 */
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>

#include "tool.h"

#define MAGIC         0x73706c69u
#define MESSAGE_MAX   (1u << 20)
#define BUFFER        MESSAGE_MAX
#define LIST_MAX      32
#define SAMPLES_MAX   65536
#define SLOW_CHUNK    (64u * 1024) /* a slow reader's bite, answered with ACK bytes */
#define ACK           8u
#define BURST         16u /* messages sent before the first answer is awaited */
#define BURSTS_MAX    32u
#define BULK_MESSAGES 96u /* of a bulk phase: after more, a splice gives its pair up as a stream */
#define PINGPONG_MIN  16u /* rounds, however large the message */
#define SEARCH_WINDOW (16ull << 20)

/* What a stream's end looks like to transfer(); no system call returns it here. */
#define END_OF_STREAM (-ENODATA)

/* EAGAIN where a blocking call may not say it. */
#define SPURIOUS (-EPROTO)

/* Went wrong, and complain() has told how. */
#define TOLD (-EBADMSG)

enum reader { READER_BLOCKING, READER_POLL, READER_EPOLL_LT, READER_EPOLL_ET };

static const char *const reader_names[] = {
	[READER_BLOCKING] = "blocking",
	[READER_POLL] = "poll",
	[READER_EPOLL_LT] = "epoll-lt",
	[READER_EPOLL_ET] = "epoll-et",
};

/* In the order of the table below. */
enum phase {
	PHASE_PINGPONG,
	PHASE_UP,
	PHASE_DOWN,
	PHASE_BOTH,
	PHASE_BURST,
	PHASE_SLOW,
	PHASE_TURN_BLOCKING,
	PHASE_HALF_CLOSE,
	PHASE_HALF_CLOSE_BACK,
	PHASE_RESET,
	PHASE_RESET_BACK,
	PHASE_CLOSE,
	PHASE_MAX,
};

static struct {
	struct address server;
	struct address listen;
	bool serve;
	bool call;
	enum reader reader;
	enum reader peer_reader; /* of the server's end, where both are ours */
	bool nonblocking;
	uint32_t sizes[LIST_MAX];
	size_t n_sizes;
	enum phase phases[LIST_MAX];
	size_t n_phases;
	enum phase endings[LIST_MAX]; /* phases that end the connection */
	size_t n_endings;
	uint64_t rounds;
	uint64_t bulk;
	uint64_t connections;
	uint64_t slow_ms;
	uint64_t slow_bytes;
	uint64_t rcvbuf;
	uint64_t stall_s;
	uint64_t deadline_ns; /* 0: once through the plan */
	bool one_connection;
	bool until_usr1;
	uint64_t corrupt; /* offset of the byte to spoil, UINT64_MAX: none */
} opt = {
	.rounds = 64,
	.bulk = 4 << 20,
	.connections = 1,
	.slow_bytes = 48 << 20,
	.stall_s = 15,
	.corrupt = UINT64_MAX,
};

static struct {
	pthread_mutex_t lock;
	struct end *ends; /* alive, for the watchdog */
	atomic_uint_fast64_t bytes;
	atomic_uint_fast64_t errors;
	atomic_uint_fast64_t connections;
	atomic_uint_fast64_t rounds;
	atomic_uint_fast64_t max_unread;
	uint64_t samples[SAMPLES_MAX]; /* of round trips, the last ones */
} shared = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- the pattern --------------------------------------------------------------- */

static unsigned char pattern_byte(uint64_t seed, uint64_t offset)
{
	return (unsigned char)(tool_mix(seed + offset / 8) >> offset % 8 * 8);
}

/* The stream's bytes [offset, offset + len). */
static void pattern_fill(uint64_t seed, uint64_t offset, unsigned char *buf, size_t len)
{
	for (; len && offset % 8; len--)
		*buf++ = pattern_byte(seed, offset++);
	for (; len >= 8; len -= 8, buf += 8, offset += 8) {
		uint64_t word = htole64(tool_mix(seed + offset / 8));

		memcpy(buf, &word, 8);
	}
	while (len--)
		*buf++ = pattern_byte(seed, offset++);
}

/* Where in the stream eight strange bytes belong; UINT64_MAX: nowhere near. */
static uint64_t pattern_find(uint64_t seed, uint64_t near, const unsigned char *found)
{
	uint64_t from = near > SEARCH_WINDOW ? near - SEARCH_WINDOW : 0;

	for (uint64_t offset = from; offset < near + SEARCH_WINDOW; offset++) {
		size_t i = 0;

		while (i < 8 && pattern_byte(seed, offset + i) == found[i])
			i++;
		if (i == 8)
			return offset;
	}
	return UINT64_MAX;
}

/* ---- one end of a connection --------------------------------------------------- */

/* One direction. While raw is set it carries those bytes, which no pattern checks. */
struct lane {
	uint64_t seed;
	atomic_uint_fast64_t offset;
	unsigned char *raw;
};

struct end {
	struct end *next;
	int fd;
	int epoll; /* -1: not an epoll reader */
	uint32_t interest;
	enum reader reader;
	bool client;
	const char *phase; /* NULL: idle, nothing is due */
	uint32_t size;
	atomic_uint_fast64_t moved_ns;
	struct lane out;
	struct lane in;
	bool slow;         /* this end feeds a slow reader, which confirms what it read: */
	uint64_t slow_out; /* offsets at which that began */
	uint64_t slow_in;
	unsigned char *out_buf;
	unsigned char *in_buf;
	unsigned char *expected;
};

/* Tells what went wrong and where; everything that fails passes here. */
__attribute__((format(printf, 2, 3))) static void complain(struct end *end, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "spliceload: %s, %s reader, phase %s, size %u: %s\n",
		end->client ? "client" : "server", reader_names[end->reader],
		end->phase ? end->phase : "command", end->size, text);
	atomic_fetch_add(&shared.errors, 1);
}

/* Tells what a transfer returned, unless that is nothing or told already. */
static void complain_of(struct end *end, int r)
{
	if (r == END_OF_STREAM)
		complain(end, "the peer closed too early");
	else if (r == SPURIOUS)
		complain(end, "EAGAIN from a blocking call");
	else if (r && r != TOLD)
		complain(end, "%s", strerror(-r));
}

static struct end *end_new(int fd, bool client)
{
	struct end *end = tool_alloc(1, sizeof(*end));

	end->fd = fd;
	end->client = client;
	end->reader = client ? opt.reader : opt.peer_reader;
	end->epoll = -1;
	end->out_buf = tool_alloc(1, BUFFER);
	end->in_buf = tool_alloc(1, BUFFER);
	end->expected = tool_alloc(1, BUFFER);
	tool_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (opt.nonblocking && fcntl(fd, F_SETFL, O_NONBLOCK))
		tool_die("fcntl");
	if (end->reader == READER_EPOLL_LT || end->reader == READER_EPOLL_ET) {
		uint32_t edges = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
		struct epoll_event event = { .events = end->reader == READER_EPOLL_ET ? edges : 0 };

		end->epoll = epoll_create1(EPOLL_CLOEXEC);
		if (end->epoll < 0 || epoll_ctl(end->epoll, EPOLL_CTL_ADD, fd, &event))
			tool_die("epoll");
	}
	pthread_mutex_lock(&shared.lock);
	end->next = shared.ends;
	shared.ends = end;
	pthread_mutex_unlock(&shared.lock);
	return end;
}

static void end_free(struct end *end)
{
	struct end **p = &shared.ends;

	pthread_mutex_lock(&shared.lock);
	while (*p != end)
		p = &(*p)->next;
	*p = end->next;
	pthread_mutex_unlock(&shared.lock);
	close(end->fd);
	if (end->epoll >= 0)
		close(end->epoll);
	free(end->out_buf);
	free(end->in_buf);
	free(end->expected);
	free(end);
}

/* Without O_NONBLOCK an event loop has to say it call by call. */
static int io_flags(const struct end *end)
{
	return end->reader == READER_BLOCKING || opt.nonblocking ? 0 : MSG_DONTWAIT;
}

static void moved(struct end *end, struct lane *lane, size_t n)
{
	atomic_store(&end->moved_ns, tool_now_ns());
	if (lane->raw)
		lane->raw += n;
	else
		atomic_fetch_add(&lane->offset, n);
}

/* Bytes the kernel took and the slow reader has not confirmed. */
static void note_unread(struct end *end)
{
	uint64_t sent = end->out.offset - end->slow_out;
	uint64_t confirmed = (end->in.offset - end->slow_in) / ACK * SLOW_CHUNK;
	uint64_t max = shared.max_unread;

	while (sent - confirmed > max &&
	       !atomic_compare_exchange_weak(&shared.max_unread, &max, sent - confirmed))
		;
}

/* A blocking call may be interrupted, but EAGAIN is no answer to it. */
static ssize_t io_result(const struct end *end, ssize_t n)
{
	if (n >= 0)
		return n;
	if (errno == EINTR || (errno == EAGAIN && end->reader != READER_BLOCKING))
		return -EAGAIN;
	return errno == EAGAIN ? SPURIOUS : -errno;
}

/* One send() of up to len bytes: how many went, -EAGAIN, or another -errno. */
static ssize_t push(struct end *end, size_t len)
{
	struct lane *lane = &end->out;
	uint64_t offset = lane->offset;
	ssize_t n;

	if (lane->raw)
		memcpy(end->out_buf, lane->raw, len);
	else
		pattern_fill(lane->seed, offset, end->out_buf, len);
	if (!lane->raw && (end->client || !opt.call) && opt.corrupt - offset < len)
		end->out_buf[opt.corrupt - offset] ^= 0x5a;
	n = io_result(end, send(end->fd, end->out_buf, len, io_flags(end)));
	if (n > 0)
		moved(end, lane, (size_t)n);
	if (n > 0 && end->slow)
		note_unread(end);
	return n;
}

static int check(struct end *end, size_t len)
{
	struct lane *lane = &end->in;
	uint64_t offset = lane->offset, belongs = UINT64_MAX;
	size_t i = 0;

	pattern_fill(lane->seed, offset, end->expected, len);
	if (!memcmp(end->in_buf, end->expected, len))
		return 0;
	while (end->in_buf[i] == end->expected[i])
		i++;
	if (len - i >= 8)
		belongs = pattern_find(lane->seed, offset + i, end->in_buf + i);
	complain(end, "wrong byte at offset %llu: expected %02x, found %02x",
		 (unsigned long long)(offset + i), end->expected[i], end->in_buf[i]);
	if (belongs != UINT64_MAX)
		fprintf(stderr, "spliceload: what was found belongs at offset %llu\n",
			(unsigned long long)belongs);
	return TOLD;
}

/* One recv() of up to len bytes, checked: how many, -EAGAIN, END_OF_STREAM or -errno. */
static ssize_t pull(struct end *end, size_t len)
{
	struct lane *lane = &end->in;
	ssize_t n = io_result(end, recv(end->fd, end->in_buf, len, io_flags(end)));

	if (n == 0)
		return END_OF_STREAM;
	if (n < 0)
		return n;
	if (lane->raw)
		memcpy(lane->raw, end->in_buf, (size_t)n);
	else if (check(end, (size_t)n))
		return TOLD;
	else
		atomic_fetch_add(&shared.bytes, (uint64_t)n);
	moved(end, lane, (size_t)n);
	return n;
}

/* ---- moving bytes both ways at once ---------------------------------------------- */

/* What is left of a transfer. Messages are cut at multiples of end->size. */
struct transfer {
	struct end *end;
	uint64_t out;
	uint64_t in;
	uint32_t message; /* left of the message being sent */
};

static int send_step(struct transfer *t)
{
	size_t len;
	ssize_t n;

	if (!t->message)
		t->message = t->end->size;
	len = t->out < t->message ? (size_t)t->out : t->message;
	n = push(t->end, len);
	if (n < 0)
		return (int)n;
	t->out -= (uint64_t)n;
	t->message -= (uint32_t)n;
	return 0;
}

static int receive_step(struct transfer *t)
{
	ssize_t n = pull(t->end, t->in < BUFFER ? (size_t)t->in : BUFFER);

	if (n < 0)
		return (int)n;
	t->in -= (uint64_t)n;
	return 0;
}

/* An interrupted blocking call is simply made again. */
static int send_blocking(struct transfer *t)
{
	int r = 0;

	while (t->out && (!r || r == -EAGAIN))
		r = send_step(t);
	return t->out ? r : 0;
}

static int receive_blocking(struct transfer *t)
{
	int r = 0;

	while (t->in && (!r || r == -EAGAIN))
		r = receive_step(t);
	return t->in ? r : 0;
}

static void *sender_thread(void *arg)
{
	return (void *)(intptr_t)send_blocking(arg);
}

/* Two threads where both directions move: neither call may wait for the other. */
static int transfer_blocking(struct transfer *t)
{
	struct transfer half = { .end = t->end, .out = t->out };
	pthread_t thread;
	void *sent;
	int r;

	if (!t->in)
		return send_blocking(t);
	if (!t->out)
		return receive_blocking(t);
	errno = pthread_create(&thread, NULL, sender_thread, &half);
	if (errno)
		tool_die("pthread_create");
	r = receive_blocking(t);
	if (r) /* the sender must not wait for a reader that has given up */
		shutdown(t->end->fd, SHUT_RDWR);
	pthread_join(thread, &sent);
	return r ? r : (int)(intptr_t)sent;
}

/* Waits the way of this end's reader; timeout as in poll(). Returns EPOLL* bits. */
static uint32_t await(struct end *end, uint32_t interest, int timeout)
{
	struct pollfd pollfd = { .fd = end->fd, .events = (short)interest };
	struct epoll_event event = { .events = interest };

	if (end->reader == READER_POLL)
		return poll(&pollfd, 1, timeout) > 0 ? (uint32_t)pollfd.revents : 0;
	if (end->reader == READER_EPOLL_LT && interest != end->interest) {
		if (epoll_ctl(end->epoll, EPOLL_CTL_MOD, end->fd, &event))
			tool_die("epoll_ctl");
		end->interest = interest;
	}
	return epoll_wait(end->epoll, &event, 1, timeout) > 0 ? event.events : 0;
}

/*
 * An event loop. Level-triggered readers ask before every recv(); edge-triggered
 * ones read until EAGAIN and only then wait, for an edge that must come. Edges
 * of an earlier transfer are gone, so each begins by trying.
 */
static int transfer_events(struct transfer *t)
{
	struct end *end = t->end;
	bool edges = end->reader == READER_EPOLL_ET;
	bool readable = edges, writable = true;
	int r;

	while (t->out || t->in) {
		bool idle = true;

		if (t->out && writable) {
			r = send_step(t);
			if (r && r != -EAGAIN)
				return r;
			writable = r == 0;
			idle &= r != 0;
		}
		if (t->in && readable) {
			r = receive_step(t);
			if (r && r != -EAGAIN)
				return r;
			readable = edges && r == 0;
			idle &= r != 0;
		}
		if ((t->out || t->in) && (idle || (!edges && t->in))) {
			uint32_t interest =
				(t->in ? EPOLLIN : 0) | (t->out && !writable ? EPOLLOUT : 0);
			uint32_t events = await(end, interest, t->out && writable ? 0 : -1);
			bool ended = events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP);

			readable |= ended || events & EPOLLIN;
			writable |= ended || events & EPOLLOUT;
		}
	}
	return 0;
}

/* Sends and receives so many bytes, at once. 0, END_OF_STREAM or -errno. */
static int transfer(struct end *end, uint64_t out, uint64_t in)
{
	struct transfer t = { .end = end, .out = out, .in = in };

	return end->reader == READER_BLOCKING ? transfer_blocking(&t) : transfer_events(&t);
}

/* ---- phases: each end's role ----------------------------------------------------- */

/* Sent before each phase, in the machine's own byte order: the peer is a neighbour. */
struct command {
	uint32_t magic;
	uint32_t phase;
	uint32_t size;
	uint32_t slow_ms;
	uint64_t amount; /* rounds of a ping-pong, bytes of the others */
	uint64_t seed;
};

static int role_ask(struct end *end, const struct command *command)
{
	for (uint64_t i = 0; i < command->amount; i++) {
		uint64_t begun = tool_now_ns();
		int r = transfer(end, command->size, 0);

		if (!r)
			r = transfer(end, 0, command->size);
		if (r)
			return r;
		shared.samples[atomic_fetch_add(&shared.rounds, 1) % SAMPLES_MAX] =
			tool_now_ns() - begun;
	}
	return 0;
}

static int role_answer(struct end *end, const struct command *command)
{
	int r = 0;

	for (uint64_t i = 0; i < command->amount && !r; i++) {
		r = transfer(end, 0, command->size);
		if (!r)
			r = transfer(end, command->size, 0);
	}
	return r;
}

/* Goes on as a blocking program, which must not be told apart from one born so. */
static int role_turn_blocking(struct end *end, const struct command *command)
{
	if (fcntl(end->fd, F_SETFL, 0))
		tool_die("fcntl");
	end->reader = READER_BLOCKING;
	return role_ask(end, command);
}

static int role_send(struct end *end, const struct command *command)
{
	return transfer(end, command->amount, 0);
}

static int role_receive(struct end *end, const struct command *command)
{
	return transfer(end, 0, command->amount);
}

static int role_exchange(struct end *end, const struct command *command)
{
	return transfer(end, command->amount, command->amount);
}

static uint64_t bursts(const struct command *command)
{
	uint64_t n = command->amount / command->size / BURST;

	return n < 1 ? 1 : n > BURSTS_MAX ? BURSTS_MAX : n;
}

/* Pipelining: several requests are under way before the first answer comes. */
static int role_burst(struct end *end, const struct command *command)
{
	uint64_t len = (uint64_t)BURST * command->size;
	int r = 0;

	for (uint64_t i = 0; i < bursts(command) && !r; i++)
		r = transfer(end, len, len);
	return r;
}

static int role_answer_bursts(struct end *end, const struct command *command)
{
	struct command each = *command;

	each.amount = bursts(command) * BURST;
	return role_answer(end, &each);
}

/* Sends as fast as the kernel takes it; the confirmations tell how far ahead that is. */
static int role_feed(struct end *end, const struct command *command)
{
	int r;

	end->slow_out = end->out.offset;
	end->slow_in = end->in.offset;
	end->slow = true;
	r = transfer(end, command->amount, command->amount / SLOW_CHUNK * ACK);
	end->slow = false;
	return r;
}

static int role_read_slowly(struct end *end, const struct command *command)
{
	int r = 0;

	for (uint64_t i = 0; i < command->amount / SLOW_CHUNK && !r; i++) {
		tool_sleep_ms(command->slow_ms);
		r = transfer(end, 0, SLOW_CHUNK);
		if (!r)
			r = transfer(end, ACK, 0);
	}
	return r;
}

static int expect_end(struct end *end)
{
	int r = transfer(end, 0, 1);

	if (!r)
		complain(end, "a byte came where the stream should end");
	return r == END_OF_STREAM ? 0 : r ? r : TOLD;
}

/* Stops sending in the middle of the other's stream, and reads that to its end. */
static int role_close_half(struct end *end, const struct command *command)
{
	int r = transfer(end, command->amount, command->amount / 2);

	if (r)
		return r;
	shutdown(end->fd, SHUT_WR);
	r = transfer(end, 0, command->amount - command->amount / 2);
	return r ? r : expect_end(end);
}

/* Sees the other stop, and sends the rest all the same. */
static int role_outlive(struct end *end, const struct command *command)
{
	int r = transfer(end, command->amount / 2, command->amount);

	if (!r)
		r = expect_end(end);
	return r ? r : transfer(end, command->amount - command->amount / 2, 0);
}

/* close() will now send a reset and forget what is still queued. */
static int role_reset(struct end *end, const struct command *command)
{
	static const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };
	int r = transfer(end, command->amount, 0);

	if (!r && setsockopt(end->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)))
		tool_die("SO_LINGER");
	return r;
}

/* A reset may cut the stream, but must say so: an orderly end comes after all of it. */
static int role_suffer_reset(struct end *end, const struct command *command)
{
	uint64_t begun = end->in.offset;
	int r = transfer(end, 0, command->amount + 1);
	uint64_t got = end->in.offset - begun;

	if (r == -ECONNRESET || (r == END_OF_STREAM && got == command->amount))
		return 0;
	if (r && r != END_OF_STREAM)
		return r;
	complain(end, "orderly end after %llu of %llu bytes", (unsigned long long)got,
		 (unsigned long long)command->amount);
	return TOLD;
}

static int role_leave(struct end *end, const struct command *command)
{
	(void)end;
	(void)command;
	return 0;
}

static int role_see_off(struct end *end, const struct command *command)
{
	(void)command;
	return expect_end(end);
}

typedef int (*role_fn)(struct end *end, const struct command *command);

static const struct {
	const char *name;
	role_fn client;
	role_fn server;
	bool ends; /* the connection is over afterwards */
} phases[PHASE_MAX] = {
	[PHASE_PINGPONG] = { "pingpong", role_ask, role_answer },
	[PHASE_UP] = { "up", role_send, role_receive },
	[PHASE_DOWN] = { "down", role_receive, role_send },
	[PHASE_BOTH] = { "both", role_exchange, role_exchange },
	[PHASE_BURST] = { "burst", role_burst, role_answer_bursts },
	[PHASE_SLOW] = { "slow", role_feed, role_read_slowly },
	[PHASE_TURN_BLOCKING] = { "turn-blocking", role_turn_blocking, role_answer },
	[PHASE_HALF_CLOSE] = { "half-close", role_close_half, role_outlive, true },
	[PHASE_HALF_CLOSE_BACK] = { "half-close-back", role_outlive, role_close_half, true },
	[PHASE_RESET] = { "reset", role_reset, role_suffer_reset, true },
	[PHASE_RESET_BACK] = { "reset-back", role_suffer_reset, role_reset, true },
	[PHASE_CLOSE] = { "close", role_leave, role_see_off, true },
};

/* ---- the client: leads through the plan ------------------------------------------- */

static uint64_t amount_of(enum phase phase, uint32_t size)
{
	uint64_t bulk = opt.bulk < (uint64_t)size * BULK_MESSAGES ? opt.bulk
								  : (uint64_t)size * BULK_MESSAGES;
	uint64_t rounds = opt.bulk / size > PINGPONG_MIN ? opt.bulk / size : PINGPONG_MIN;

	if (phase == PHASE_PINGPONG || phase == PHASE_TURN_BLOCKING)
		return opt.rounds < rounds ? opt.rounds : rounds;
	if (phase == PHASE_SLOW)
		return opt.slow_bytes / SLOW_CHUNK * SLOW_CHUNK;
	return bulk > size ? bulk : size;
}

/* Moves bytes that no pattern covers. */
static int transfer_command(struct end *end, struct command *command, bool send)
{
	struct lane *lane = send ? &end->out : &end->in;
	int r;

	end->size = sizeof(*command);
	lane->raw = (unsigned char *)command;
	r = transfer(end, send ? sizeof(*command) : 0, send ? 0 : sizeof(*command));
	lane->raw = NULL;
	return r;
}

static int lead(struct end *end, enum phase phase, uint32_t size)
{
	struct command command = {
		.magic = MAGIC,
		.phase = phase,
		.size = size,
		.slow_ms = (uint32_t)opt.slow_ms,
		.amount = amount_of(phase, size),
		.seed = end->out.seed,
	};
	int r;

	atomic_store(&end->moved_ns, tool_now_ns());
	end->phase = phases[phase].name;
	r = transfer_command(end, &command, true);
	end->size = size;
	if (!r)
		r = phases[phase].client(end, &command);
	return r;
}

static atomic_bool go_on; /* SIGUSR1 has come */

static void on_usr1(int number)
{
	(void)number;
	atomic_store(&go_on, true);
}

static bool out_of_time(void)
{
	return tool_stop || (opt.deadline_ns && tool_now_ns() >= opt.deadline_ns);
}

/* All phases, with each of the sizes; in a long run some may be left out at its end. */
static int lead_phases(struct end *end, const uint32_t *sizes, size_t n_sizes)
{
	int r = 0;

	while (opt.until_usr1 && !go_on && !r && !out_of_time())
		r = lead(end, opt.phases[0], sizes[0]);
	for (size_t i = 0; i < n_sizes; i++)
		for (size_t j = 0; j < opt.n_phases && !r && !out_of_time(); j++)
			r = lead(end, opt.phases[j], sizes[i]);
	return r;
}

static struct end *dial(void)
{
	static atomic_uint_fast64_t count;
	int fd = socket(opt.server.sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct end *end;

	if (fd < 0)
		tool_die("socket");
	if (opt.rcvbuf)
		tool_set(fd, SOL_SOCKET, SO_RCVBUF, (int)opt.rcvbuf);
	while (connect(fd, (struct sockaddr *)&opt.server.sa, opt.server.len))
		if (errno != EINTR)
			tool_die("connect");
	end = end_new(fd, true);
	end->out.seed = tool_mix(tool_now_ns() + atomic_fetch_add(&count, 1));
	end->in.seed = ~end->out.seed;
	return end;
}

/* One connection from its first phase to its ending. */
static int call(const uint32_t *sizes, size_t n_sizes, enum phase ending)
{
	struct end *end = dial();
	int r;

	do
		r = lead_phases(end, sizes, n_sizes);
	while (!r && opt.one_connection && opt.deadline_ns && !out_of_time());
	if (!r)
		r = lead(end, ending, sizes[n_sizes - 1]);
	complain_of(end, r);
	atomic_fetch_add(&shared.connections, 1);
	end_free(end);
	return r;
}

/* Every size with every ending. */
static int call_each(void)
{
	int r = 0;

	for (size_t i = 0; i < opt.n_sizes; i++)
		for (size_t j = 0; j < opt.n_endings && !r && !out_of_time(); j++)
			r = call(&opt.sizes[i], 1, opt.endings[j]);
	return r;
}

static void *caller(void *arg)
{
	int r;

	(void)arg;
	do
		r = opt.one_connection ? call(opt.sizes, opt.n_sizes, opt.endings[0]) : call_each();
	while (!r && opt.deadline_ns && !out_of_time());
	return NULL;
}

/* The last caller is this thread. */
static void run_client(void)
{
	pthread_t *threads = tool_alloc(opt.connections, sizeof(*threads));

	for (size_t i = 0; i + 1 < opt.connections; i++) {
		errno = pthread_create(&threads[i], NULL, caller, NULL);
		if (errno)
			tool_die("pthread_create");
	}
	caller(NULL);
	for (size_t i = 0; i + 1 < opt.connections; i++)
		pthread_join(threads[i], NULL);
	free(threads);
}

/* ---- the server: follows ------------------------------------------------------------ */

static int follow(struct end *end, const struct command *command)
{
	atomic_store(&end->moved_ns, tool_now_ns());
	end->in.seed = command->seed;
	end->out.seed = ~command->seed;
	end->size = command->size;
	end->phase = phases[command->phase].name;
	return phases[command->phase].server(end, command);
}

static void *serve(void *arg)
{
	struct command command = { 0 };
	struct end *end = arg;
	int r;

	do {
		end->phase = NULL;
		r = transfer_command(end, &command, false);
		if (!r && (command.magic != MAGIC || command.phase >= PHASE_MAX ||
			   command.size < 1 || command.size > MESSAGE_MAX)) {
			complain(end, "wrong bytes in place of a command");
			r = TOLD;
		}
		if (!r)
			r = follow(end, &command);
	} while (!r && !phases[command.phase].ends);
	complain_of(end, r);
	if (!opt.call)
		atomic_fetch_add(&shared.connections, 1);
	end_free(end);
	return NULL;
}

static void *acceptor(void *arg)
{
	int listener = (int)(intptr_t)arg;
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		errno = pthread_create(&thread, &attr, serve, end_new(fd, false));
		if (errno)
			tool_die("pthread_create");
	}
	return NULL;
}

static void start_server(void)
{
	int listener = tool_bind(&opt.listen, SOCK_STREAM, false);
	pthread_t thread;

	if (opt.rcvbuf)
		tool_set(listener, SOL_SOCKET, SO_RCVBUF, (int)opt.rcvbuf);
	errno = pthread_create(&thread, NULL, acceptor, (void *)(intptr_t)listener);
	if (errno)
		tool_die("pthread_create");
}

/* The server's last words may be late: its ends finish after the client's. */
static bool ends_alive(void)
{
	bool alive;

	pthread_mutex_lock(&shared.lock);
	alive = shared.ends != NULL;
	pthread_mutex_unlock(&shared.lock);
	return alive;
}

/* ---- watchdog and report --------------------------------------------------------------- */

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static uint64_t median_round_trip(void)
{
	size_t n = shared.rounds < SAMPLES_MAX ? shared.rounds : SAMPLES_MAX;

	qsort(shared.samples, n, sizeof(shared.samples[0]), compare_u64);
	return n ? shared.samples[n / 2] : 0;
}

static void report(const char *stall)
{
	bool ok = !stall && !shared.errors;

	printf("{\"ok\":%s,\"bytes\":%llu,\"errors\":%llu,\"connections\":%llu,"
	       "\"max_unread\":%llu,\"rounds\":%llu,\"rtt_ns_median\":%llu",
	       ok ? "true" : "false", (unsigned long long)shared.bytes,
	       (unsigned long long)shared.errors, (unsigned long long)shared.connections,
	       (unsigned long long)shared.max_unread, (unsigned long long)shared.rounds,
	       (unsigned long long)median_round_trip());
	if (stall)
		printf(",\"stall\":\"%s\"", stall);
	puts("}");
	fflush(stdout);
}

/* An end for which something is due and nothing has moved for too long. */
static void look_for_stall(void)
{
	uint64_t now = tool_now_ns();

	pthread_mutex_lock(&shared.lock);
	for (struct end *end = shared.ends; end; end = end->next) {
		uint64_t since = end->moved_ns;

		if (!end->phase || now < since || now - since < opt.stall_s * 1000000000)
			continue;
		complain(end, "stall: sent %llu, received %llu bytes",
			 (unsigned long long)end->out.offset, (unsigned long long)end->in.offset);
		report(end->phase);
		_exit(EXIT_STALL);
	}
	pthread_mutex_unlock(&shared.lock);
}

static void *watchdog(void *arg)
{
	(void)arg;
	for (;;) {
		tool_sleep_ms(100);
		look_for_stall();
	}
	return NULL;
}

/* ---- options --------------------------------------------------------------------------- */

__attribute__((noreturn)) static void usage(int code)
{
	fprintf(code ? stderr : stdout,
		"usage: spliceload server ADDRESS:PORT [OPTIONS]\n"
		"       spliceload client ADDRESS:PORT [OPTIONS]\n"
		"       spliceload pair ADDRESS:PORT [--listen ADDRESS:PORT] [OPTIONS]\n"
		"  --reader KIND        blocking (default), poll, epoll-lt, epoll-et\n"
		"  --peer-reader KIND   pair: of the server's end (default: as --reader)\n"
		"  --nonblocking        O_NONBLOCK on the sockets\n"
		"  --rcvbuf BYTES       SO_RCVBUF\n"
		"  --stall-s S          this long without a byte is a stall (default: 15)\n"
		"of the client:\n"
		"  --sizes LIST         of messages, up to 1048576 (default: a range of all)\n"
		"  --phases LIST        pingpong, up, down, both, burst, slow, turn-blocking (the\n"
		"                       client's socket, for good), and the endings\n"
		"                       half-close, half-close-back, reset, reset-back, close\n"
		"  --rounds N           of a pingpong (default: 64)\n"
		"  --bulk BYTES         of a bulk phase, at most (default: 4194304)\n"
		"  --connections N      at once (default: 1)\n"
		"  --one-connection     all sizes on one connection, with the first ending\n"
		"  --seconds S          repeat for so long; 0: until SIGTERM\n"
		"  --until-usr1         repeat the first phase until SIGUSR1, before all others\n"
		"  --slow-reader-ms MS  the server sleeps before each 64 KiB of phase slow\n"
		"  --slow-bytes BYTES   of phase slow (default: 50331648)\n");
	exit(code);
}

static enum reader parse_reader(const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(reader_names); i++)
		if (!strcmp(text, reader_names[i]))
			return (enum reader)i;
	tool_exit(EXIT_USAGE, "\"%s\" is no reader", text);
}

static void parse_sizes(char *text)
{
	opt.n_sizes = 0;
	for (char *word = strtok(text, ","); word; word = strtok(NULL, ",")) {
		uint64_t size = tool_number("--sizes", word);

		if (size < 1 || size > MESSAGE_MAX || opt.n_sizes == LIST_MAX)
			tool_exit(EXIT_USAGE, "--sizes: 1 to %u, at most %d", MESSAGE_MAX,
				  LIST_MAX);
		opt.sizes[opt.n_sizes++] = (uint32_t)size;
	}
}

static void parse_phase(const char *word)
{
	size_t i = 0;

	while (i < PHASE_MAX && strcmp(word, phases[i].name))
		i++;
	if (i == PHASE_MAX)
		tool_exit(EXIT_USAGE, "\"%s\" is no phase", word);
	if (opt.n_phases == LIST_MAX || opt.n_endings == LIST_MAX)
		tool_exit(EXIT_USAGE, "--phases: at most %d", LIST_MAX);
	if (phases[i].ends)
		opt.endings[opt.n_endings++] = (enum phase)i;
	else
		opt.phases[opt.n_phases++] = (enum phase)i;
}

static void parse_phases(char *text)
{
	opt.n_phases = opt.n_endings = 0;
	for (char *word = strtok(text, ","); word; word = strtok(NULL, ","))
		parse_phase(word);
	if (!opt.n_endings)
		opt.endings[opt.n_endings++] = PHASE_CLOSE;
}

static void parse_seconds(const char *text)
{
	uint64_t seconds = tool_number("--seconds", text);

	opt.deadline_ns = seconds ? tool_now_ns() + seconds * 1000000000 : UINT64_MAX;
}

static void parse_defaults(void)
{
	char sizes[] = "1,7,64,256,1024,1460,4096,16384,65536,262144,1048576";
	char list[] = "pingpong,up,pingpong,down,pingpong,both,burst,"
		      "half-close,half-close-back,reset,reset-back";

	parse_sizes(sizes);
	parse_phases(list);
}

static void parse_role(const char *role)
{
	opt.serve = !strcmp(role, "server") || !strcmp(role, "pair");
	opt.call = !strcmp(role, "client") || !strcmp(role, "pair");
	if (!opt.serve && !opt.call)
		usage(!strcmp(role, "--help") ? EXIT_SUCCESS : EXIT_USAGE);
}

enum option_id {
	OPT_READER = 256,
	OPT_PEER_READER,
	OPT_NONBLOCKING,
	OPT_RCVBUF,
	OPT_STALL,
	OPT_SIZES,
	OPT_PHASES,
	OPT_ROUNDS,
	OPT_BULK,
	OPT_CONNECTIONS,
	OPT_ONE_CONNECTION,
	OPT_SECONDS,
	OPT_UNTIL_USR1,
	OPT_SLOW_MS,
	OPT_SLOW_BYTES,
	OPT_LISTEN,
	OPT_CORRUPT, /* not in the usage text: spoils a byte, to see that it is found */
};

static const struct option options[] = {
	{ "reader", required_argument, NULL, OPT_READER },
	{ "peer-reader", required_argument, NULL, OPT_PEER_READER },
	{ "nonblocking", no_argument, NULL, OPT_NONBLOCKING },
	{ "rcvbuf", required_argument, NULL, OPT_RCVBUF },
	{ "stall-s", required_argument, NULL, OPT_STALL },
	{ "sizes", required_argument, NULL, OPT_SIZES },
	{ "phases", required_argument, NULL, OPT_PHASES },
	{ "rounds", required_argument, NULL, OPT_ROUNDS },
	{ "bulk", required_argument, NULL, OPT_BULK },
	{ "connections", required_argument, NULL, OPT_CONNECTIONS },
	{ "one-connection", no_argument, NULL, OPT_ONE_CONNECTION },
	{ "seconds", required_argument, NULL, OPT_SECONDS },
	{ "until-usr1", no_argument, NULL, OPT_UNTIL_USR1 },
	{ "slow-reader-ms", required_argument, NULL, OPT_SLOW_MS },
	{ "slow-bytes", required_argument, NULL, OPT_SLOW_BYTES },
	{ "listen", required_argument, NULL, OPT_LISTEN },
	{ "corrupt", required_argument, NULL, OPT_CORRUPT },
	{ "help", no_argument, NULL, 'h' },
	{},
};

/* Where a plain number of an option goes; NULL: not such an option. */
static uint64_t *number_option(int id)
{
	switch (id) {
	case OPT_RCVBUF:
		return &opt.rcvbuf;
	case OPT_STALL:
		return &opt.stall_s;
	case OPT_ROUNDS:
		return &opt.rounds;
	case OPT_BULK:
		return &opt.bulk;
	case OPT_CONNECTIONS:
		return &opt.connections;
	case OPT_SLOW_MS:
		return &opt.slow_ms;
	case OPT_SLOW_BYTES:
		return &opt.slow_bytes;
	case OPT_CORRUPT:
		return &opt.corrupt;
	default:
		return NULL;
	}
}

static void parse_options(int argc, char **argv)
{
	const char *peer_reader = NULL, *listen_at = NULL;
	int c, index = 0;

	if (argc < 2)
		usage(EXIT_USAGE);
	parse_role(argv[1]);
	parse_defaults();
	while ((c = getopt_long(argc - 1, argv + 1, "h", options, &index)) != -1) {
		uint64_t *number = number_option(c);

		if (number)
			*number = tool_number(options[index].name, optarg);
		else if (c == OPT_READER)
			opt.reader = parse_reader(optarg);
		else if (c == OPT_PEER_READER)
			peer_reader = optarg;
		else if (c == OPT_NONBLOCKING)
			opt.nonblocking = true;
		else if (c == OPT_SIZES)
			parse_sizes(optarg);
		else if (c == OPT_PHASES)
			parse_phases(optarg);
		else if (c == OPT_ONE_CONNECTION)
			opt.one_connection = true;
		else if (c == OPT_UNTIL_USR1)
			opt.until_usr1 = true;
		else if (c == OPT_SECONDS)
			parse_seconds(optarg);
		else if (c == OPT_LISTEN)
			listen_at = optarg;
		else
			usage(c == 'h' ? EXIT_SUCCESS : EXIT_USAGE);
	}
	if (optind + 1 != argc - 1 || !opt.n_sizes || !opt.connections)
		usage(EXIT_USAGE);
	opt.server = tool_address(argv[optind + 1]);
	opt.listen = listen_at ? tool_address(listen_at) : opt.server;
	opt.peer_reader = peer_reader ? parse_reader(peer_reader) : opt.reader;
	if (opt.nonblocking &&
	    (opt.reader == READER_BLOCKING || opt.peer_reader == READER_BLOCKING))
		tool_exit(EXIT_USAGE, "--nonblocking: not with a blocking reader");
}

int main(int argc, char **argv)
{
	pthread_t thread;

	parse_options(argc, argv);
	tool_init();
	signal(SIGUSR1, on_usr1);
	errno = pthread_create(&thread, NULL, watchdog, NULL);
	if (errno)
		tool_die("pthread_create");
	if (opt.serve)
		start_server();
	if (opt.serve && !opt.call)
		tool_ready();
	if (opt.call)
		run_client();
	/* A server ends by a signal, and lets the ends finish that are at work. */
	while (opt.call ? ends_alive() : !tool_stop)
		tool_sleep_ms(opt.call ? 1 : 20);
	report(NULL);
	return shared.errors ? EXIT_FAILURE : EXIT_SUCCESS;
}
