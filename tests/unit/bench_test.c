/* SPDX-License-Identifier: Apache-2.0 */
/* What measures: ends that tell wrong bytes, a measurement as a whole, rounds. */
#include "bench/measure.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/rounds.h"
#include "core/cleanup.h"

#define UNUSED __attribute__((unused))

/* An abstract socket's, which nobody else has. */
static struct end_address address_of(const char *name)
{
	char own[64];

	snprintf(own, sizeof(own), "sst-%d-%s", getpid(), name);
	return end_address_unix(own);
}

/* ---- ends ---------------------------------------------------------------------------- */

struct two {
	struct end_loop loop;
	int listener;
	struct end ours, theirs;
};

static void open_two(struct two *two)
{
	struct end_address address = address_of("ends");

	memset(two, 0, sizeof(*two));
	assert_int_equal(end_loop_open(&two->loop), 0);
	two->listener = end_listen(&address);
	assert_true(two->listener >= 0);
	assert_int_equal(end_dial(&two->loop, &address, &two->ours), 0);
	assert_int_equal(end_accept(&two->loop, two->listener, &two->theirs), 0);
}

static void close_two(struct two *two)
{
	end_close(&two->ours);
	end_close(&two->theirs);
	close(two->listener);
	close(two->loop.epoll);
	free(two->loop.pattern);
	free(two->loop.arrived);
}

/* Pieces of any size, both ways, far beyond the pattern's period. */
static void test_ends_agree(void **state UNUSED)
{
	static const size_t sizes[] = { 1, 63, 64, 1000, 16064, 65536 };
	struct two two;

	open_two(&two);
	two.ours.thorough = two.theirs.thorough = true;
	for (unsigned i = 0; i < 60; i++) {
		size_t n = sizes[i % ARRAY_SIZE(sizes)];

		assert_int_equal(end_send(&two.ours, n), 0);
		assert_int_equal(end_receive(&two.theirs, n), n);
		assert_int_equal(end_send(&two.theirs, n), 0);
		assert_int_equal(end_receive(&two.ours, n), n);
	}
	assert_int_equal(two.ours.sent, two.theirs.received);
	close(two.theirs.fd);
	assert_int_equal(end_receive(&two.ours, 10), 0);
	close_two(&two);
}

/* Bytes that were lost, come twice or in another order: seen at the ends of what arrives. */
static void test_wrong_bytes_are_seen(void **state UNUSED)
{
	static const size_t lost[] = { 1, 64, 1024, 16384, 65536 };

	for (size_t i = 0; i < ARRAY_SIZE(lost); i++) {
		struct two two;

		open_two(&two);
		assert_int_equal(end_send(&two.ours, 300), 0);
		assert_int_equal(end_receive(&two.theirs, 300), 300);
		two.ours.sent += lost[i];
		assert_int_equal(end_send(&two.ours, 300), 0);
		assert_int_equal(end_receive(&two.theirs, 300), -EBADMSG);
		close_two(&two);
	}
}

static void test_one_wrong_byte_is_seen_by_the_thorough(void **state UNUSED)
{
	struct two two;

	open_two(&two);
	two.theirs.thorough = true;
	two.loop.pattern[150]++;
	assert_int_equal(send(two.ours.fd, two.loop.pattern, 300, 0), 300);
	two.loop.pattern[150]--;
	assert_int_equal(end_receive(&two.theirs, 300), -EBADMSG);
	close_two(&two);
}

static void test_a_cut_message(void **state UNUSED)
{
	struct two two;

	open_two(&two);
	assert_int_equal(end_send(&two.ours, 300), 0);
	assert_int_equal(shutdown(two.ours.fd, SHUT_WR), 0);
	assert_int_equal(end_receive(&two.theirs, 301), -ECONNRESET);
	close_two(&two);
}

/* ---- a measurement ------------------------------------------------------------------------ */

static struct bench_way way_by(const char *name)
{
	struct bench_way ret = { .called = address_of(name), .bound = address_of(name) };
	int cpus[BENCH_ROLES] = {};

	assert_true(bench_cpus(cpus) >= 1);
	for (int role = 0; role < BENCH_ROLES; role++)
		ret.place[role] = (struct bench_place){ .netns = -1, .cpu = cpus[BENCH_CLIENT] };
	return ret;
}

static int measure(enum bench_test test, uint32_t size, const struct bench_way *way, int stop,
		   struct problems *problems, struct bench_result *ret)
{
	const struct bench_task task = { .test = test, .size = size, .ms = 10 };

	return bench_measure(&task, way, stop, problems, ret);
}

static void test_round_trips(void **state UNUSED)
{
	_cleanup_problems_ struct problems problems = {};
	struct bench_way way = way_by("trip");
	struct bench_result result = {};

	assert_int_equal(measure(BENCH_ROUND_TRIP, 1024, &way, -1, &problems, &result), 0);
	assert_true(result.p50 > 0);
	assert_true(result.p50 <= result.p99 && result.p99 <= result.p999);
	assert_true(result.p999 < 1e6);
	assert_int_equal(problems.count, 0);
}

static void test_connects(void **state UNUSED)
{
	_cleanup_problems_ struct problems problems = {};
	struct bench_way way = way_by("connect");
	struct bench_result result = {};

	assert_int_equal(measure(BENCH_CONNECT, 1, &way, -1, &problems, &result), 0);
	assert_true(result.per_second > 10);
}

/* An AF_UNIX socket holds some writes, and no more than its buffer. */
static void test_streams(void **state UNUSED)
{
	_cleanup_problems_ struct problems problems = {};
	struct bench_way way = way_by("stream");
	struct bench_result result = {};

	assert_int_equal(measure(BENCH_STREAM, 4096, &way, -1, &problems, &result), 0);
	assert_true(result.gigabytes > 0.001);
	assert_true(result.held >= 4096 && result.held < 16 << 20);
	assert_int_equal(measure(BENCH_LATE_STREAM, 4096, &way, -1, &problems, &result), 0);
	assert_true(result.held >= 4096 && result.held < 16 << 20);
}

static void test_nobody_listens(void **state UNUSED)
{
	_cleanup_problems_ struct problems problems = {};
	struct bench_way way = way_by("here");
	struct bench_result result;

	way.called = address_of("elsewhere");
	assert_int_equal(measure(BENCH_CONNECT, 1, &way, -1, &problems, &result), -ECONNREFUSED);
	assert_int_equal(problems.count, 1);
	assert_string_equal(problems.text[0], "client: connect: Connection refused");
}

static void test_the_address_is_taken(void **state UNUSED)
{
	_cleanup_problems_ struct problems problems = {};
	struct bench_way way = way_by("taken");
	_cleanup_close_ int listener = end_listen(&way.bound);
	struct bench_result result;

	assert_true(listener >= 0);
	assert_int_equal(measure(BENCH_CONNECT, 1, &way, -1, &problems, &result), -EADDRINUSE);
	assert_string_equal(problems.text[0], "server: listen: Address already in use");
}

/* Nothing is told, and nobody is left. */
static void test_stopped(void **state UNUSED)
{
	_cleanup_problems_ struct problems problems = {};
	struct bench_way way = way_by("stop");
	struct bench_result result;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	close(fds[1]);
	assert_int_equal(measure(BENCH_CONNECT, 1, &way, fds[0], &problems, &result), -ECANCELED);
	assert_int_equal(problems.count, 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	close(fds[0]);
}

/* ---- rounds ---------------------------------------------------------------------------------- */

#define ROWS     5
#define VARIANTS 4

struct walk {
	unsigned n;
	unsigned row[ROWS * VARIANTS];
	unsigned seen[ROWS][VARIANTS];
	unsigned end_at;
};

static int visit(unsigned row, unsigned variant, void *arg)
{
	struct walk *walk = arg;

	walk->row[walk->n++] = row;
	walk->seen[row][variant]++;
	return walk->n == walk->end_at ? -EIO : 0;
}

/* Each once, those of a row right after one another. */
static void test_a_round(void **state UNUSED)
{
	struct walk walk = {};

	assert_int_equal(bench_round(ROWS, VARIANTS, visit, &walk), 0);
	assert_int_equal(walk.n, ROWS * VARIANTS);
	for (unsigned row = 0; row < ROWS; row++)
		for (unsigned variant = 0; variant < VARIANTS; variant++)
			assert_int_equal(walk.seen[row][variant], 1);
	for (unsigned i = 0; i < walk.n; i++)
		assert_int_equal(walk.row[i], walk.row[i / VARIANTS * VARIANTS]);
}

static void test_orders_differ(void **state UNUSED)
{
	struct walk first = {};
	bool differ = false;

	bench_round(ROWS, VARIANTS, visit, &first);
	for (unsigned i = 0; i < 100 && !differ; i++) {
		struct walk walk = {};

		bench_round(ROWS, VARIANTS, visit, &walk);
		differ = memcmp(walk.row, first.row, sizeof(walk.row));
	}
	assert_true(differ);
}

static void test_a_failure_ends_the_round(void **state UNUSED)
{
	struct walk walk = { .end_at = 7 };

	assert_int_equal(bench_round(ROWS, VARIANTS, visit, &walk), -EIO);
	assert_int_equal(walk.n, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends_agree),
		cmocka_unit_test(test_wrong_bytes_are_seen),
		cmocka_unit_test(test_one_wrong_byte_is_seen_by_the_thorough),
		cmocka_unit_test(test_a_cut_message),
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_connects),
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_nobody_listens),
		cmocka_unit_test(test_the_address_is_taken),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_a_round),
		cmocka_unit_test(test_orders_differ),
		cmocka_unit_test(test_a_failure_ends_the_round),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
