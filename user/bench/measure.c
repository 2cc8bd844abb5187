/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/measure.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/figures.h"
#include "core/cleanup.h"
#include "core/clock.h"

/* No measurement takes that much longer than it should: a connection hangs. */
#define STALL_MS 10000

/* What the processes tell each other; in memory that they share. */
struct shared {
	_Atomic uint64_t taken; /* bytes that a stream's server has read of its connection */
	struct bench_result result;
	bool done; /* the result is there */
	struct failure {
		int error;
		char what[64];
	} failure[BENCH_ROLES];
};

struct measurement {
	const struct bench_task *task;
	const struct bench_way *way;
	struct shared *shared;
	pid_t parent;
	struct {
		pid_t pid;
		int alive; /* a pipe that closes when it ends; a server says first that it is ready */
	} process[BENCH_ROLES];
};

/* What one of the processes works with. */
struct side {
	const struct bench_task *task;
	const struct bench_way *way;
	struct shared *shared;
	struct end_loop loop;
};

/* ---- the tests, both sides of each ------------------------------------------------------- */

static uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static uint64_t deadline_ns(const struct side *side)
{
	return now_ns() + side->task->ms * 1000000ull;
}

static int round_trip(struct end *end, uint32_t size)
{
	int err = end_send(end, size);
	ssize_t n = err ?: end_receive(end, size);

	return n < 0 ? (int)n : n ? 0 : -ECONNRESET;
}

/* The server's half; 0: there is no further request. */
static ssize_t answer(struct end *end, uint32_t size)
{
	ssize_t n = end_receive(end, size);

	return n <= 0 ? n : end_send(end, size) ?: 1;
}

static int round_trips(struct end *end, uint32_t size, unsigned n)
{
	int err = 0;

	while (!err && n--)
		err = round_trip(end, size);
	return err;
}

static int warm_up(struct end *end, uint32_t size)
{
	const struct timespec pause = { .tv_nsec = BENCH_WARM_UP_PAUSE_MS * 1000000 };
	int err;

	end->thorough = true;
	err = round_trips(end, size, BENCH_WARM_UP_ROUND_TRIPS / 2);
	nanosleep(&pause, NULL);
	err = err ?: round_trips(end, size, BENCH_WARM_UP_ROUND_TRIPS / 2);
	end->thorough = false;
	return err;
}

static int serve_requests(const struct side *side, struct end *end)
{
	ssize_t n;

	do
		n = answer(end, side->task->size);
	while (n > 0);
	return (int)n;
}

/* More than there can be, in pages that are there: a fault would be in the percentiles. */
static double *new_times(const struct side *side, size_t *room)
{
	double *times;

	*room = side->task->ms * 1000ul;
	times = malloc(*room * sizeof(*times));
	if (times)
		memset(times, 1, *room * sizeof(*times));
	return times;
}

static int time_round_trips(const struct side *side, struct end *end, double *times, size_t room,
			    size_t *n)
{
	uint64_t now = now_ns(), deadline = deadline_ns(side), begun;
	int err;

	*n = 0;
	do {
		begun = now;
		err = round_trip(end, side->task->size);
		now = now_ns();
		times[(*n)++] = (double)(now - begun) / 1e3;
	} while (!err && now < deadline && *n < room);
	return err;
}

static int measure_round_trips(const struct side *side, struct end *end, struct bench_result *ret)
{
	size_t n, room;
	_cleanup_free_ double *times = new_times(side, &room);
	int err = times ? warm_up(end, side->task->size) : -ENOMEM;

	err = err ?: time_round_trips(side, end, times, room, &n);
	if (err)
		return err;
	ret->p50 = figure_of(times, n).median;
	ret->p99 = figure_quantile(times, n, 0.99);
	ret->p999 = figure_quantile(times, n, 0.999);
	return 0;
}

static int call_once(const struct side *side)
{
	struct end end;
	int err = end_dial(&side->loop, &side->way->called, &end);

	if (err)
		return err;
	err = round_trip(&end, side->task->size);
	end_close(&end);
	return err;
}

/* The first connection is the caller's; it found everything cold. */
static int measure_connects(const struct side *side, struct end *first, struct bench_result *ret)
{
	uint64_t begun, now, deadline;
	unsigned n = 0;
	int err = round_trip(first, side->task->size);

	end_close(first);
	deadline = deadline_ns(side);
	begun = now = now_ns();
	while (!err && now < deadline) {
		err = call_once(side);
		n++;
		now = now_ns();
	}
	ret->per_second = n * 1e9 / (double)(now - begun);
	return err;
}

static int serve_stream(const struct side *side, struct end *end)
{
	ssize_t n;

	while ((n = end_receive_some(end, END_MESSAGE_MAX)) > 0)
		atomic_store_explicit(&side->shared->taken, end->received, memory_order_release);
	return (int)n;
}

static int serve_late_stream(const struct side *side, struct end *end)
{
	ssize_t n = 1;

	for (int i = 0; n > 0 && i < BENCH_WARM_UP_ROUND_TRIPS; i++)
		n = answer(end, BENCH_WARM_UP_SIZE);
	return n > 0 ? serve_stream(side, end) : (int)n;
}

/* What is held is most right after a write; a byte counts as read when recv() has returned. */
static int write_once(const struct side *side, struct end *end, uint64_t *held)
{
	size_t left = side->task->size;

	while (left) {
		ssize_t n = end_send_some(end, left);
		uint64_t now;

		if (n < 0)
			return (int)n;
		left -= (size_t)n;
		now = end->sent - atomic_load_explicit(&side->shared->taken, memory_order_acquire);
		if (now > *held)
			*held = now;
	}
	return 0;
}

/* The server closes when it has read all. */
static int finish_stream(const struct side *side, struct end *end)
{
	ssize_t n;

	if (shutdown(end->fd, SHUT_WR))
		return -errno;
	n = end_receive_some(end, 1);
	if (n)
		return n < 0 ? (int)n : -EBADMSG;
	return atomic_load(&side->shared->taken) == end->sent ? 0 : -EBADMSG;
}

static int measure_stream(const struct side *side, struct end *end, struct bench_result *ret)
{
	uint64_t before = end->sent, held = 0, begun, deadline;
	int err;

	atomic_store(&side->shared->taken, before);
	begun = now_ns();
	deadline = deadline_ns(side);
	do
		err = write_once(side, end, &held);
	while (!err && now_ns() < deadline);
	err = err ?: finish_stream(side, end);
	ret->gigabytes = (double)(end->sent - before) / (double)(now_ns() - begun);
	ret->held = (double)held;
	return err;
}

static int measure_late_stream(const struct side *side, struct end *end, struct bench_result *ret)
{
	return warm_up(end, BENCH_WARM_UP_SIZE) ?: measure_stream(side, end, ret);
}

static const struct {
	int (*serve)(const struct side *side, struct end *end); /* one connection, until it ends */
	int (*measure)(const struct side *side, struct end *end, struct bench_result *ret);
} tests[] = {
	[BENCH_ROUND_TRIP] = { serve_requests, measure_round_trips },
	[BENCH_CONNECT] = { serve_requests, measure_connects },
	[BENCH_STREAM] = { serve_stream, measure_stream },
	[BENCH_LATE_STREAM] = { serve_late_stream, measure_late_stream },
};

/* ---- the processes ------------------------------------------------------------------------- */

static int join_cgroup(const char *cgroup)
{
	_cleanup_close_ int fd = -1;
	char procs[PATH_MAX];

	if (snprintf(procs, sizeof(procs), "%s/cgroup.procs", cgroup) >= PATH_MAX)
		return -ENAMETOOLONG;
	fd = open(procs, O_WRONLY | O_CLOEXEC);
	return fd < 0 || write(fd, "0", 1) != 1 ? -errno : 0;
}

static int pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

__attribute__((noreturn)) static void give_up(struct side *side, enum bench_role role,
					      const char *what, int err)
{
	struct failure *failure = &side->shared->failure[role];

	snprintf(failure->what, sizeof(failure->what), "%s", what);
	failure->error = err;
	_exit(EXIT_FAILURE);
}

static void must(struct side *side, enum bench_role role, const char *what, int err)
{
	if (err < 0)
		give_up(side, role, what, err);
}

static void settle(struct side *side, enum bench_role role)
{
	const struct bench_place *place = &side->way->place[role];

	if (place->cgroup)
		must(side, role, "its cgroup", join_cgroup(place->cgroup));
	if (place->netns >= 0 && setns(place->netns, CLONE_NEWNET))
		give_up(side, role, "its network namespace", -errno);
	must(side, role, "its CPU", pin(place->cpu));
	must(side, role, "epoll", end_loop_open(&side->loop));
}

__attribute__((noreturn)) static void be_server(struct side *side, int told)
{
	int listener;

	settle(side, BENCH_SERVER);
	listener = end_listen(&side->way->bound);
	must(side, BENCH_SERVER, "listen", listener);
	if (write(told, "", 1) != 1)
		give_up(side, BENCH_SERVER, "pipe", -errno);
	for (;;) {
		struct end end;

		must(side, BENCH_SERVER, "accept", end_accept(&side->loop, listener, &end));
		must(side, BENCH_SERVER, "connection", tests[side->task->test].serve(side, &end));
		end_close(&end);
	}
}

__attribute__((noreturn)) static void be_client(struct side *side)
{
	struct end end;

	settle(side, BENCH_CLIENT);
	must(side, BENCH_CLIENT, "connect", end_dial(&side->loop, &side->way->called, &end));
	must(side, BENCH_CLIENT, "connection",
	     tests[side->task->test].measure(side, &end, &side->shared->result));
	side->shared->done = true;
	_exit(EXIT_SUCCESS);
}

__attribute__((noreturn)) static void become(const struct measurement *it, enum bench_role role,
					     int told)
{
	struct side side = {
		.task = it->task,
		.way = it->way,
		.shared = it->shared,
		.loop = { .nagle = it->task->nagle },
	};

	/* nobody is left behind, not even one whose parent was killed just now */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != it->parent)
		_exit(EXIT_FAILURE);
	if (role == BENCH_SERVER)
		be_server(&side, told);
	be_client(&side);
}

static int start(struct measurement *it, enum bench_role role)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	it->process[role].alive = fds[0];
	it->process[role].pid = fork();
	if (!it->process[role].pid)
		become(it, role, fds[1]);
	close(fds[1]);
	return it->process[role].pid < 0 ? -errno : 0;
}

static void end_process(struct measurement *it, enum bench_role role)
{
	if (it->process[role].pid > 0) {
		kill(it->process[role].pid, SIGKILL);
		waitpid(it->process[role].pid, NULL, 0);
	}
	cleanup_close(&it->process[role].alive);
}

/* ---- one measurement -------------------------------------------------------------------------- */

/* Until the process of this role says something, or either ends. */
static int await(const struct measurement *it, enum bench_role role, int stop)
{
	struct pollfd fds[] = {
		{ .fd = stop, .events = POLLIN },
		{ .fd = it->process[BENCH_SERVER].alive, .events = POLLIN },
		{ .fd = role == BENCH_CLIENT ? it->process[BENCH_CLIENT].alive : -1,
		  .events = POLLIN },
	};
	int n = poll(fds, ARRAY_SIZE(fds), STALL_MS + (int)it->task->ms);

	if (n < 0)
		return -errno;
	if (fds[0].revents)
		return -ECANCELED;
	return n ? 0 : -ETIMEDOUT;
}

static int await_server(const struct measurement *it, int stop)
{
	int err = await(it, BENCH_SERVER, stop);
	char ready;

	if (err)
		return err;
	return read(it->process[BENCH_SERVER].alive, &ready, 1) == 1 ? 0 : -ECHILD;
}

static int run(struct measurement *it, int stop)
{
	int err = start(it, BENCH_SERVER);

	err = err ?: await_server(it, stop);
	err = err ?: start(it, BENCH_CLIENT);
	err = err ?: await(it, BENCH_CLIENT, stop);
	end_process(it, BENCH_CLIENT);
	end_process(it, BENCH_SERVER);
	return err ?: it->shared->done ? 0 : -ECHILD;
}

static const char *explain(int err)
{
	switch (err) {
	case -EBADMSG:
		return "what arrived is not what was sent";
	case -ECHILD:
		return "a process has died";
	case -ETIMEDOUT:
		return "stalled";
	}
	return strerror(-err);
}

/* By the server first: it may be why the client's connection broke. */
static int tell(const struct measurement *it, int err, struct problems *problems)
{
	static const char *const names[] = { [BENCH_CLIENT] = "client", [BENCH_SERVER] = "server" };

	for (int role = BENCH_SERVER; role >= BENCH_CLIENT; role--) {
		const struct failure *failure = &it->shared->failure[role];

		if (!failure->error)
			continue;
		problems_add(problems, names[role], (struct place){}, "%s: %s", failure->what,
			     explain(failure->error));
		return failure->error;
	}
	problems_add(problems, "measurement", (struct place){}, "%s", explain(err));
	return err;
}

int bench_measure(const struct bench_task *task, const struct bench_way *way, int stop,
		  struct problems *problems, struct bench_result *ret)
{
	struct measurement it = {
		.task = task,
		.way = way,
		.parent = getpid(),
		.process = { { .alive = -1 }, { .alive = -1 } },
	};
	int err;

	it.shared = mmap(NULL, sizeof(*it.shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (it.shared == MAP_FAILED)
		return -errno;
	err = run(&it, stop);
	if (!err)
		*ret = it.shared->result;
	else if (err != -ECANCELED)
		err = tell(&it, err, problems);
	munmap(it.shared, sizeof(*it.shared));
	return err;
}

unsigned bench_cpus(int cpus[BENCH_ROLES])
{
	unsigned n = 0;
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		CPU_ZERO(&set);
	for (int cpu = CPU_SETSIZE - 1; cpu >= 0 && n < BENCH_ROLES; cpu--)
		if (CPU_ISSET(cpu, &set))
			cpus[n++] = cpu;
	return n;
}
