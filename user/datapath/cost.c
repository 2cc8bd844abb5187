/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/cost.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "datapath/internal.h"

static_assert(HOOK_MAX <= COST_PROGRAMS_MAX, "programs");

/* By its link where there is one: an upgrade may have replaced what is pinned. */
static int program_open(const struct datapath *datapath, enum hook_index hook)
{
	struct bpf_link_info info = {};
	__u32 size = sizeof(info);
	int fd;

	if (datapath->link[hook] < 0 || bpf_obj_get_info_by_fd(datapath->link[hook], &info, &size))
		return program_pin_open(datapath, hook);
	fd = bpf_prog_get_fd_by_id(info.prog_id);
	return fd < 0 ? -errno : fd;
}

static int look_at(int fd, uint64_t *runs, uint64_t *ns)
{
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		return -errno;
	*runs = info.run_cnt;
	*ns = info.run_time_ns;
	return 0;
}

/* ---- what measuring takes ------------------------------------------------------------- */

#define IDLE_RUNS 200000

/* A program that does nothing. */
static int idle_program(void)
{
	const struct bpf_insn nothing[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "sst_idle", "GPL", nothing,
			       ARRAY_SIZE(nothing), NULL);

	return fd < 0 ? -errno : fd;
}

/* Nanoseconds a run, by a clock of its own. */
static int run_idle(int fd, double *ns)
{
	char packet[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = IDLE_RUNS);

	if (bpf_prog_test_run_opts(fd, &options))
		return -errno;
	*ns = options.duration; /* the mean */
	return 0;
}

/* The kernel tells whole nanoseconds. */
static int measure_idle(int fd, const double *without, struct cost *cost)
{
	uint64_t runs_before = 0, ns_before = 0, runs = 0, ns = 0;
	double with = 0;
	int err = look_at(fd, &runs_before, &ns_before);

	if (!err)
		err = run_idle(fd, &with);
	if (!err)
		err = look_at(fd, &runs, &ns);
	if (err)
		return err;
	if (runs > runs_before)
		cost->included_ns = (double)(ns - ns_before) / (double)(runs - runs_before);
	cost->added_ns = with > *without ? with - *without : 0;
	return 0;
}

/* ---- the programs --------------------------------------------------------------------- */

static void wait_ms(unsigned ms)
{
	struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

/* Fds of those that are loaded, -1 for the others. */
static void open_programs(const struct datapath *datapath, int fds[HOOK_MAX])
{
	for (int i = 0; i < HOOK_MAX; i++)
		fds[i] = program_open(datapath, i);
}

static void close_programs(int fds[HOOK_MAX])
{
	for (int i = 0; i < HOOK_MAX; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* Adds `sign` times what they have counted. */
static void count_programs(const int fds[HOOK_MAX], struct cost_program programs[HOOK_MAX],
			   int64_t sign)
{
	for (int i = 0; i < HOOK_MAX; i++) {
		uint64_t runs, ns;

		if (fds[i] < 0 || look_at(fds[i], &runs, &ns))
			continue;
		programs[i].name = hooks[i].program;
		programs[i].runs += sign * runs;
		programs[i].ns += sign * ns;
	}
}

static void take_programs(const struct cost_program programs[HOOK_MAX], struct cost *cost)
{
	for (int i = 0; i < HOOK_MAX; i++)
		if (programs[i].name)
			cost->programs[cost->n++] = programs[i];
}

static void measure_programs(const struct datapath *datapath, unsigned ms, struct cost *cost)
{
	struct cost_program programs[HOOK_MAX] = {};
	uint64_t begin = clock_ns(CLOCK_MONOTONIC);
	int fds[HOOK_MAX];

	open_programs(datapath, fds);
	count_programs(fds, programs, -1);
	wait_ms(ms);
	count_programs(fds, programs, 1);
	close_programs(fds);
	cost->measured_ns = clock_ns(CLOCK_MONOTONIC) - begin;
	take_programs(programs, cost);
}

/* With nobody's statistics on, an idle program counts none of its runs. */
static int find_whether_on(int idle, struct cost *cost)
{
	uint64_t runs = 0, ns = 0;
	int err = look_at(idle, &runs, &ns);

	cost->was_on = !err && runs;
	return err;
}

int datapath_cost(const struct datapath *datapath, unsigned ms, struct cost *ret)
{
	_cleanup_close_ int idle = idle_program(), statistics = -1;
	struct cost cost = {};
	double without = 0;
	int err = idle < 0 ? idle : run_idle(idle, &without) ?: find_whether_on(idle, &cost);

	if (err)
		return err;
	statistics = bpf_enable_stats(BPF_STATS_RUN_TIME);
	if (statistics < 0)
		return -errno;
	measure_programs(datapath, ms, &cost);
	err = measure_idle(idle, &without, &cost);
	if (!err)
		*ret = cost;
	return err;
}
