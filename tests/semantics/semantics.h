/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that tries the whole contract of a stream socket between two ends, and
 * prints what it saw: one line an observation,
 *
 *   CHECK/STAGE WHAT: VALUE
 *
 * Two runs, one of them with its connections spliced, must print the same. So nothing
 * here depends on time but for how long is waited for what must come; where TCP itself
 * is free (how bytes are cut into reads) sums are printed.
 */
#ifndef TESTS_SEMANTICS_H
#define TESTS_SEMANTICS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* How long to wait for what must come, and for what must not. */
#define SURELY_MS  5000
#define A_WHILE_MS 30

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* ---- a connection (ends.c) -------------------------------------------------- */

/* One end. What it sends is a pattern, so that each byte received can be checked. */
struct end {
	int fd;
	uint8_t salt; /* of what it sends */
	uint64_t sent;
	uint64_t received;
	struct end *peer;
};

/* Both ends, in one process: tx is the one that mostly sends. */
struct pair {
	struct end tx;
	struct end rx;
};

enum stage {
	BEFORE, /* right after connect() */
	RACING, /* ready to be adopted, which happens at any moment now */
	DURING, /* the first message from tx to rx has been spliced */
	AFTER,  /* messages of both directions have been */
};

struct ends_options {
	const char *connect;
	const char *listen;
	const char *listener_netns; /* NULL: this one */
	bool reverse;               /* the server is tx */
	pid_t daemon;               /* stopped until a check resumes it; 0: it runs */
	bool spliced;               /* wait until it is, in a run that is to be spliced */
};

/* Asks before a word is said for what must keep a connection from being spliced; false:
 * this kernel has no such thing. */
typedef bool prepare_fn(struct pair *pair);

void ends_listen(const struct ends_options *options);
/* A fresh connection, brought to that stage. */
void ends_make(struct pair *pair, enum stage stage, prepare_fn *prepare);
/* Lets the daemon run again, if it was stopped, and gives it time to adopt. */
void ends_resume_daemon(void);
/* Connects this socket to where all of them are, and accepts; false: refused. */
bool ends_reconnect(int fd, int *accepted);
/* The address the client has asked for is the one it sees. */
bool ends_peer_is_asked(const struct pair *pair);
/* Tells of what only a broken set-up explains, and exits. */
__attribute__((noreturn)) void broken(const char *what);

void set_blocking(struct end *end, bool blocking);
bool both_blocking(struct pair *pair);
int set_option(struct end *end, int level, int option, int value);
void end_close(struct end *end);
/* close() with a reset. */
void end_reset(struct end *end);

/* ---- how far TCP has come (progress.c) ----------------------------------------- */

struct progress {
	uint64_t sent;     /* bytes that left, retransmissions included */
	uint64_t received; /* in order */
	uint64_t unsent;
	uint32_t segments_out; /* with data */
};

void progress_of(int fd, struct progress *progress);
/* Waits until what went by TCP has arrived. */
void settle(const struct end *from);

/* ---- sending and receiving (stream.c) --------------------------------------------- */

#define WRONG_BYTES 1000 /* beyond the errnos: what came is not what was sent */

/* One call: bytes, or -errno. */
ssize_t give(struct end *from, size_t size, int flags);
ssize_t get(struct end *to, size_t size, int flags);
/* All of it, waiting where that is needed: bytes that moved, or -errno. */
ssize_t put(struct end *from, size_t size);
ssize_t take(struct end *to, size_t size);
/* put(), and wait until it is there. */
void deliver(struct end *from, size_t size);
/* Until the other end's stop: bytes; *end_errno is 0 for an orderly one. */
uint64_t drain(struct end *to, int *end_errno);
/* The bytes that `from` sends next; they count as sent. */
void fill_pattern(struct end *from, void *buf, size_t size);
/* The bytes that have come to `to`: size, or -WRONG_BYTES. */
ssize_t check_pattern(struct end *to, const void *buf, size_t size);
/* A few messages there and back; false: one did not come right. */
bool converse(struct pair *pair);

/* ---- waiting -------------------------------------------------------------------------- */

/* poll() of one descriptor: revents, 0 after that time. */
short poll_for(int fd, short events, int ms);
void pause_ms(unsigned ms);
/* Until a thread waits for something other than a processor. */
void await_sleep(pid_t thread);

/* Something that happens once this thread sleeps in the call that follows. */
typedef void act_fn(struct pair *pair);
struct act {
	act_fn *act;
	struct pair *pair;
	unsigned long thread;
	pid_t caller;
};
void in_a_while(struct act *act, act_fn *what, struct pair *pair);
void act_done(struct act *act);

/* ---- what was seen (main.c) ------------------------------------------------------------ */

/* A number; -errno, by name. */
void saw(const char *what, ssize_t value);
void saw_if(const char *what, bool value);
void saw_word(const char *what, const char *word);
/* Bits of poll(), by name. */
void saw_events(const char *what, unsigned events);

#define negated(call)                           \
	({                                      \
		ssize_t result_ = (call);       \
		result_ < 0 ? -errno : result_; \
	})

/* ---- the checks: a table a file ----------------------------------------------------------- */

struct check {
	const char *name;
	void (*run)(struct pair *pair);
	prepare_fn *prepare; /* NULL: nothing stands against the splice */
};

struct family {
	const struct check *checks;
	size_t n;
};

extern const struct family family_reading, family_waiting, family_blocking, family_writing,
	family_closing, family_passing, family_moving, family_limits, family_socket_options,
	family_uring;

#endif
