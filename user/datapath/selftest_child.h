/* SPDX-License-Identifier: Apache-2.0 */
/* What the self-test's two processes say to each other. */
#ifndef SIDESTEP_DATAPATH_SELFTEST_CHILD_H
#define SIDESTEP_DATAPATH_SELFTEST_CHILD_H

#include <stdint.h>

#include "model/checks.h"

/* Nobody listens there, and what goes there by mistake never leaves the machine. */
#define SELFTEST_ADDRESS  "127.83.84.1"
#define SELFTEST_ADDRESS6 "100::5354" /* RFC 6666: routers discard it */
#define SELFTEST_PORT     7

/* No phase takes so long, unless the kernel has lost a wake-up. */
#define SELFTEST_SECONDS 20

/* What waits for something that must happen waits so long; only a failure takes it. */
#define SELFTEST_WAIT_MS 2000

/* Sent past TCP, and left unread when the parent stops the splice. */
#define SELFTEST_SPLICED 3000

/* Called at the end of each, the parent looks at the kernel's side. */
enum phase {
	PHASE_LISTEN,  /* sockets listen; the parent makes the service, without endpoints */
	PHASE_REFUSED, /* called in vain; the parent gives it its endpoint */
	PHASE_HOOKS,   /* called; the parent gives the UDP service an IPv6 address and endpoint */
	PHASE_V6,      /* called; the parent looks for the flows and ends the UDP socket */
	PHASE_ENDED,   /* looked at that one */
	PHASE_TALK,    /* request/response done; the parent adopts */
	PHASE_PROVEN,  /* the splice should run */
	PHASE_UNREAD,  /* spliced bytes are unread; the parent finds them */
	PHASE_FULL,    /* a reader that never read has read all now */
	PHASE_SPLIT,   /* spliced bytes are unread again; the parent sends the pair back to TCP */
	PHASE_STOPPED, /* the pair goes by TCP; the parent takes its sockets out */
	PHASE_DONE,    /* all sockets are closed; also sent where an earlier phase was the last */
};

/* The socket's cookies of a pair. */
struct report_pair {
	uint64_t client, server;
};

#define REPORT_REFUSALS 6

struct report {
	enum phase phase;
	int tcp_port, udp_port, udp6_port; /* PHASE_LISTEN; udp6_port 0: there is no IPv6 here */
	struct report_pair main;           /* PHASE_TALK: the one that is looked at */
	struct report_pair brief;          /* closed early */
	struct report_pair reader;         /* read by splice(2) */
	struct report_pair refusals[REPORT_REFUSALS]; /* asked for what only TCP gives */
	char refusal_names[REPORT_REFUSALS][16];
	uint64_t opened; /* TCP connections */
	uint64_t sent;   /* bytes, by their clients */
	struct checks checks;
	char error[SST_REASON_MAX]; /* what ended it early, beside a check */
};

struct selftest_child {
	int talk;     /* to the parent: reports out, one byte in, 'g' to go on, 's' to stop */
	int cgroup;   /* to live in */
	bool alone;   /* nobody else uses this data plane: see selftest.h */
	bool readers; /* splice(2) is watched */
};

/* Never returns. */
void selftest_child(const struct selftest_child *how) __attribute__((noreturn));

#endif
