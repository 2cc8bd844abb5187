/* SPDX-License-Identifier: Apache-2.0 */
/* How large maps are, by a node's memory. */
#include "datapath/sizes.h" /* first: cmocka has a macro "fail" */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MIB (1024ull * 1024)
#define GIB (1024 * MIB)

static void the_rest_is_as_compiled(void **state)
{
	(void)state;
	assert_int_equal(map_size(MAP_services, 64 * GIB), 0);
	assert_int_equal(map_size(MAP_endpoints, GIB), 0);
	assert_int_equal(map_size(MAP_callers, GIB), 0);
	assert_int_equal(map_size(MAP_splicers, GIB), 0);
	assert_int_equal(map_size(MAP_pairs, GIB), 0);
}

/* What a kernel tells of a machine's memory is some percent less than what was bought. */
static void sizes_follow_memory(void **state)
{
	static const struct {
		uint64_t memory;
		uint32_t events, udp_flows, answers, messages;
	} cases[] = {
		{ 0, MIB, 8192, 2048, MIB / 4 },
		{ 2 * GIB, 2 * MIB, 8192, 2048, MIB / 4 },
		{ 7900 * MIB, 4 * MIB, 8192, 2048, MIB },
		{ 16 * GIB, 16 * MIB, 16384, 4096, 2 * MIB },
		{ 23900 * MIB, 16 * MIB, 16384, 4096, 2 * MIB },
		{ 24 * GIB - 1, 16 * MIB, 16384, 4096, 2 * MIB },
		{ 24 * GIB, 16 * MIB, 32768, 8192, 2 * MIB },
		{ 62 * GIB, 32 * MIB, 65536, 16384, 2 * MIB },
		{ 64 * GIB, 64 * MIB, 65536, 16384, 2 * MIB },
		{ UINT64_MAX, 64 * MIB, 65536, 16384, 2 * MIB },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(map_size(MAP_events, cases[i].memory), cases[i].events);
		assert_int_equal(map_size(MAP_udp_flows, cases[i].memory), cases[i].udp_flows);
		assert_int_equal(map_size(MAP_senders, cases[i].memory), cases[i].udp_flows);
		assert_int_equal(map_size(MAP_answers, cases[i].memory), cases[i].answers);
		assert_int_equal(map_size(MAP_messages, cases[i].memory), cases[i].messages);
	}
}

/* As the kernel wants rings; tables it would round up. */
static void all_are_powers_of_two(void **state)
{
	(void)state;
	for (uint64_t memory = 1; memory < 1024 * GIB; memory += memory / 3 + 1)
		for (int i = 0; i < MAP_MAX; i++) {
			uint32_t n = map_size(i, memory);

			assert_int_equal(n & (n - 1), 0);
			assert_true(n <= map_size(i, memory + memory / 3));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rest_is_as_compiled),
		cmocka_unit_test(sizes_follow_memory),
		cmocka_unit_test(all_are_powers_of_two),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
