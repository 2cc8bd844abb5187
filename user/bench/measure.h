/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One measurement: what connections cost on one way from a client to a server. Either is a process
 * of its own, forked for it: nothing is carried over from the measurement before, and CPU, cgroup
 * and namespace are set once.
 */
#ifndef SIDESTEP_BENCH_MEASURE_H
#define SIDESTEP_BENCH_MEASURE_H

#include "bench/end.h"
#include "core/problems.h"

enum bench_test {
	BENCH_ROUND_TRIP,
	BENCH_CONNECT,     /* connections with one request each */
	BENCH_STREAM,      /* nothing but that from the first byte, which the splice leaves alone */
	BENCH_LATE_STREAM, /* begins when the connection was request/response for a while */
};

/*
 * What makes a connection fit for the splice: enough round trips to be nominated, time for
 * the daemon to adopt it, and some more for the proof. What is not spliced has them too.
 */
#define BENCH_WARM_UP_ROUND_TRIPS 64
#define BENCH_WARM_UP_PAUSE_MS    5
#define BENCH_WARM_UP_SIZE        64 /* of a stream's first requests */

struct bench_task {
	enum bench_test test;
	uint32_t size; /* of messages or writes, END_MESSAGE_MAX at most */
	bool nagle;
	unsigned ms; /* so long */
};

enum bench_role { BENCH_CLIENT, BENCH_SERVER, BENCH_ROLES };

struct bench_place {
	const char *cgroup; /* its path; NULL: the caller's */
	int netns;          /* an fd; -1: the caller's */
	int cpu;
};

struct bench_way {
	struct bench_place place[BENCH_ROLES];
	struct end_address called; /* by the client */
	struct end_address bound;  /* by the server */
};

struct bench_result {
	double p50, p99, p999; /* ROUND_TRIP: microseconds */
	double per_second;     /* CONNECT: connections */
	double gigabytes;      /* streams: a second, until the last byte was read */
	double held;           /* streams: bytes written and not yet read, at most */
};

/*
 * Ends early, with -ECANCELED, when stop can be read, an fd or -1. Any other failure is told in
 * problems: what could not be done, a connection that stalls, bytes that arrive wrong or not at
 * all. No process is left.
 */
int bench_measure(const struct bench_task *task, const struct bench_way *way, int stop,
		  struct problems *problems, struct bench_result *ret);

/* The CPUs that clients and servers get if they get one each; 1: there is but one, for both.
 * The highest ones that may be used: the lowest has more of the machine's own work. */
unsigned bench_cpus(int cpus[BENCH_ROLES]);

#endif
