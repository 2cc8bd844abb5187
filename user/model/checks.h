/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the self-test tries, what came of it, and what follows for the features. A check
 * is one thing that an application would notice; it belongs to one feature, which is
 * off when it fails.
 */
#ifndef SIDESTEP_MODEL_CHECKS_H
#define SIDESTEP_MODEL_CHECKS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/text.h"
#include "sidestep/abi.h"

/* When a check is tried. */
enum check_part {
	PART_HOOKS,  /* by each load: it depends on where the programs are attached */
	PART_KERNEL, /* once a boot: the same kernel and programs give the same answer */
	PART_DOCTOR, /* by doctor alone: it needs a data plane that nobody else uses */
};

/* In the order they are tried: X(SYMBOL, name, feature, part, check it needs, what it proves). */
#define CHECKS(X)                                                                               \
	X(SET_RETVAL, "set-retval", SET_RETVAL, HOOKS, NOTHING,                                 \
	  "connect() to a service without endpoints says ECONNREFUSED")                         \
	X(CONNECT4, "connect4", SERVICES, HOOKS, NOTHING,                                       \
	  "connect() to a service reaches its endpoint")                                        \
	X(GETPEERNAME4, "getpeername4", SERVICES, HOOKS, CONNECT4,                              \
	  "getpeername() shows the service")                                                    \
	X(CONNECT6, "connect6", SERVICES, HOOKS, NOTHING,                                       \
	  "the same for an IPv6 socket that calls by the v4-mapped address")                    \
	X(GETPEERNAME6, "getpeername6", SERVICES, HOOKS, CONNECT6,                              \
	  "getpeername() shows the service to it")                                              \
	X(SENDMSG4, "sendmsg4", UDP, HOOKS, NOTHING,                                            \
	  "a datagram to a service reaches its endpoint")                                       \
	X(RECVMSG4, "recvmsg4", UDP, HOOKS, SENDMSG4, "its reply comes from the service")       \
	X(SENDMSG6, "sendmsg6", UDP, HOOKS, NOTHING, "the same for IPv6")                       \
	X(RECVMSG6, "recvmsg6", UDP, HOOKS, SENDMSG6, "its reply comes from the service")       \
	X(CONNECT_UDP, "connect-udp", UDP, HOOKS, NOTHING,                                      \
	  "connect() of a UDP socket reaches the endpoint")                                     \
	X(LIST, "list", ITERATORS, HOOKS, NOTHING, "live flows are listed")                     \
	X(SOCKOPS, "sockops", FLOWS, HOOKS, CONNECT4,                                           \
	  "both ends of a connection have a record and find each other")                        \
	X(LEAVERS, "leavers", ITERATORS, HOOKS, CONNECT_UDP,                                    \
	  "a socket whose endpoint has gone is found")                                          \
	X(DESTROY, "destroy", DESTROY, HOOKS, CONNECT_UDP, "and is ended")                      \
	X(SWEEP, "sweep", FLOWS, DOCTOR, SOCKOPS,                                               \
	  "bytes of live flows get into the statistics, each once")                             \
	X(ADOPT, "adopt", SPLICE, KERNEL, SOCKOPS, "live sockets go into the sockhash")         \
	X(REFUSALS, "refusals", SPLICE, KERNEL, ADOPT,                                          \
	  "sockets that asked for what only TCP gives do not")                                  \
	X(REDIRECT, "redirect", SPLICE, KERNEL, ADOPT, "messages go past TCP")                  \
	X(FIONREAD_SPLICED, "fionread-spliced", SPLICE_AUTO, KERNEL, REDIRECT,                  \
	  "FIONREAD tells of bytes that came past TCP")                                         \
	X(CHARGED, "charged", SPLICE, KERNEL, REDIRECT,                                         \
	  "unread spliced bytes take room in the reader's receive buffer")                      \
	X(LEVEL, "readiness-level", SPLICE, KERNEL, REDIRECT,                                   \
	  "poll() and level-triggered epoll tell of spliced bytes until all are read")          \
	X(EDGE, "readiness-edge", SPLICE_AUTO, KERNEL, REDIRECT,                                \
	  "edge-triggered epoll tells of each arrival")                                         \
	X(UNREAD, "unread", SPLICE, KERNEL, REDIRECT,                                           \
	  "a reader that holds spliced bytes is found")                                         \
	X(DRAIN, "drain", SPLICE, DOCTOR, UNREAD, "unload waits for it")                        \
	X(BOUNDS, "bounds", SPLICE, KERNEL, REDIRECT,                                           \
	  "what a sender can give a reader that never reads is bounded: EAGAIN comes")          \
	X(ORDER, "order", SPLICE, KERNEL, REDIRECT,                                             \
	  "bytes past TCP, by TCP and past TCP again arrive in order")                          \
	X(CLOSE, "close", SPLICE, KERNEL, REDIRECT, "close() right after send() loses nothing") \
	X(STOP, "stop", SPLICE, KERNEL, REDIRECT, "a spliced pair goes back to TCP, in order")  \
	X(FIONREAD_BOTH, "fionread-both", SPLICE_AUTO, KERNEL, STOP,                            \
	  "FIONREAD tells of bytes that came past TCP and by TCP behind them")                  \
	X(FIONREAD_TCP, "fionread-tcp", SPLICE_AUTO, KERNEL, STOP,                              \
	  "FIONREAD tells an adopted socket of bytes that came by TCP")                         \
	X(READER_SEEN, "reader-seen", SPLICE_READERS, KERNEL, ADOPT,                            \
	  "a socket that is read by splice(2) is not adopted")                                  \
	X(READER_DECLINED, "reader-declined", SPLICE_READERS, KERNEL, REDIRECT,                 \
	  "splice(2) on an adopted socket says EINVAL while spliced bytes wait")                \
	X(RELEASE, "release", SPLICE_AUTO, KERNEL, STOP,                                        \
	  "sockets of a stopped pair become plain TCP sockets again")                           \
	X(EVENTS, "events", FLOWS, DOCTOR, SOCKOPS,                                             \
	  "each flow is told of through the ring buffer when it opens and closes")              \
	X(TOTALS, "totals", FLOWS, DOCTOR, EVENTS,                                              \
	  "the bytes they tell of are the bytes that were sent")                                \
	X(UNLOAD, "unload", SERVICES, DOCTOR, NOTHING,                                          \
	  "unload leaves no program, map, pin or cgroup behind")

#define X(symbol, name, feature, part, needs, proves) CHECK_##symbol,
enum check { CHECKS(X) CHECK_MAX, CHECK_NOTHING = CHECK_MAX };
#undef X

enum verdict {
	VERDICT_NOT_TRIED = 0,
	VERDICT_PASSED,
	VERDICT_FAILED,
};

struct check_result {
	enum verdict verdict;
	char reason[SST_REASON_MAX]; /* empty when passed */
};

struct checks {
	struct check_result result[CHECK_MAX];
};

struct check_info {
	const char *name;
	const char *proves;
	enum sst_feature feature;
	enum check_part part;
	enum check needs; /* CHECK_NOTHING: none */
};

extern const struct check_info check_infos[CHECK_MAX];

const char *verdict_name(enum verdict verdict); /* "passed", "failed", "not tried" */

static inline bool check_passed(const struct checks *checks, enum check check)
{
	return check == CHECK_NOTHING || checks->result[check].verdict == VERDICT_PASSED;
}

void check_pass(struct checks *checks, enum check check);

/* A check fails once: what was found first is what is told. */
void check_fail(struct checks *checks, enum check check, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void check_skip(struct checks *checks, enum check check, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Gives every check that was not tried and does not say why a reason: the check it needs, or
 * else why, which the test ended for (NULL: not known). */
void checks_explain(struct checks *checks, const char *why);

enum feature_state {
	FEATURE_OK,
	FEATURE_DEGRADED, /* a check of PART_DOCTOR failed: a load does not know */
	FEATURE_OFF,
};

struct feature_verdict {
	enum feature_state state;
	enum check check;          /* that decided it; CHECK_NOTHING: none, or rests_on did */
	enum sst_feature rests_on; /* the feature whose being off decided it */
	char reason[SST_REASON_MAX];
};

const char *feature_state_name(enum feature_state state);
const char *feature_name(enum sst_feature feature);
const char *feature_help(enum sst_feature feature);

/* Without it Sidestep does not load. */
bool feature_is_essential(enum sst_feature feature);

/* What the checks say of each feature; those of PART_DOCTOR only where that was tried. */
void checks_judge(const struct checks *checks, bool doctor,
		  struct feature_verdict ret[SST_FEATURE_MAX]);

/*
 * The results of PART_KERNEL as a text, to be kept while key is true: what they depend on, one
 * line. Only what is certain is kept: false when a splice has failed as a whole, which the
 * next load tries again.
 */
bool checks_keep(const struct checks *checks, const char *key, struct text *out);

/* The way back. False, with checks untouched, unless the text is whole and of this key. */
bool checks_recall(const char *text, const char *key, struct checks *checks);

#endif
