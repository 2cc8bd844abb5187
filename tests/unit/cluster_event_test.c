/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cluster/event.h"
#include "core/cleanup.h"

#define UNUSED __attribute__((unused))
#define S      1000000000ULL

static const struct event_source source = { .node = "node-1", .instance = "sidestep-x7k2p" };
static const struct event_object policy = { "networking.k8s.io/v1", "NetworkPolicy", "shop", "db",
					    "0b0a" };

/* 2026-01-02T03:04:05.006007Z */
#define TIME 1767323045006007000ULL

static char *dump(const struct event *event)
{
	json_t *json = event_json(event, &source);
	char *text;

	assert_non_null(json);
	text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(json);
	assert_non_null(text);
	return text;
}

/* ---- how one looks ------------------------------------------------------------------- */

static void test_of_the_node(void **unused UNUSED)
{
	const struct event event = { EVENT_CAPACITY_REFUSED, event_node(&source), "no room", TIME,
				     1 };
	_cleanup_free_ char *text = dump(&event);

	assert_string_equal(
		text, "{\"action\":\"Applying\",\"apiVersion\":\"events.k8s.io/v1\","
		      "\"eventTime\":\"2026-01-02T03:04:05.006007Z\",\"kind\":\"Event\","
		      "\"metadata\":{\"name\":\"sidestep.2cb6e6591886caf21cf1dad8\","
		      "\"namespace\":\"default\"},\"note\":\"no room\","
		      "\"reason\":\"CapacityRefused\","
		      "\"regarding\":{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"name\":\"node-1\","
		      "\"uid\":\"node-1\"},\"reportingController\":\"sidestep\","
		      "\"reportingInstance\":\"sidestep-x7k2p\",\"type\":\"Warning\"}");
}

static void test_of_an_object(void **unused UNUSED)
{
	const struct event event = { EVENT_POLICY_SKIPPED, policy, "what it says", TIME, 3 };
	_cleanup_free_ char *text = dump(&event);

	assert_non_null(strstr(text, "\"namespace\":\"shop\"},\"note\""));
	assert_non_null(strstr(text, "\"regarding\":{\"apiVersion\":\"networking.k8s.io/v1\","
				     "\"kind\":\"NetworkPolicy\",\"name\":\"db\","
				     "\"namespace\":\"shop\",\"uid\":\"0b0a\"}"));
	assert_non_null(strstr(text, "\"related\":{\"apiVersion\":\"v1\",\"kind\":\"Node\","
				     "\"name\":\"node-1\",\"uid\":\"node-1\"}"));
	assert_non_null(strstr(text, "\"series\":{\"count\":3,\"lastObservedTime\":"
				     "\"2026-01-02T03:04:05.006007Z\"}"));
}

static size_t note_length(const char *note)
{
	const struct event event = { EVENT_SPLICE_OFF, event_node(&source), note, TIME, 1 };
	json_t *json = event_json(&event, &source);
	size_t length;

	assert_non_null(json);
	length = json_string_length(json_object_get(json, "note"));
	json_decref(json);
	return length;
}

/* The API server takes 1024 bytes, and no half characters. */
static void test_long_notes(void **unused UNUSED)
{
	char note[2000];

	memset(note, 'x', sizeof(note) - 1);
	note[sizeof(note) - 1] = '\0';
	assert_int_equal(note_length(note), 1024);
	memcpy(note + 1022, "\u20ac", 3);
	assert_int_equal(note_length(note), 1022);
	note[1024] = '\0';
	memcpy(note + 1021, "\u20ac", 3);
	assert_int_equal(note_length(note), 1024);
	assert_int_equal(note_length("\xff\n"), 2);
	assert_int_equal(note_length(""), 0);
}

/* ---- how often ------------------------------------------------------------------------ */

static void test_once_an_hour(void **unused UNUSED)
{
	struct event_memory memory = {};
	struct event_object other = policy;
	uint64_t begin = 5 * S;

	assert_int_equal(event_is_due(&memory, EVENT_POLICY_SKIPPED, &policy, begin), 1);
	for (unsigned i = 1; i < 10; i++)
		assert_int_equal(
			event_is_due(&memory, EVENT_POLICY_SKIPPED, &policy, begin + i * 300 * S),
			0);
	/* another reason, another object, the same one made anew */
	assert_int_equal(event_is_due(&memory, EVENT_SERVICE_SKIPPED, &policy, begin), 1);
	other.name = "web";
	assert_int_equal(event_is_due(&memory, EVENT_POLICY_SKIPPED, &other, begin), 1);
	other = policy;
	other.uid = "0b0c";
	assert_int_equal(event_is_due(&memory, EVENT_POLICY_SKIPPED, &other, begin), 1);
	/* what was kept back is told of in the next one */
	begin += EVENT_AGAIN_NS;
	assert_int_equal(event_is_due(&memory, EVENT_POLICY_SKIPPED, &policy, begin), 10);
	assert_int_equal(event_is_due(&memory, EVENT_POLICY_SKIPPED, &policy, begin), 0);
}

/* Who is forgotten is the one that was told of first. */
static void test_memory_is_bounded(void **unused UNUSED)
{
	struct event_memory memory = {};
	struct event_object object = policy;
	char name[16];

	object.name = name;
	for (unsigned i = 0; i <= EVENT_MEMORY; i++) {
		snprintf(name, sizeof(name), "p%u", i);
		assert_int_equal(event_is_due(&memory, EVENT_POLICY_SKIPPED, &object, S + i), 1);
	}
	assert_int_equal(memory.n, EVENT_MEMORY);
	snprintf(name, sizeof(name), "p1");
	assert_int_equal(event_is_due(&memory, EVENT_POLICY_SKIPPED, &object, 2 * S), 0);
	snprintf(name, sizeof(name), "p0");
	assert_int_equal(event_is_due(&memory, EVENT_POLICY_SKIPPED, &object, 2 * S), 1);
}

static void test_rate(void **unused UNUSED)
{
	struct event_rate rate = {};
	uint64_t now = 1000 * S;

	for (int i = 0; i < EVENT_BURST; i++)
		assert_int_equal(event_wait(&rate, now), 0);
	assert_int_equal(event_wait(&rate, now), EVENT_EVERY_NS);
	assert_int_equal(event_wait(&rate, now + EVENT_EVERY_NS - 1), 1);
	assert_int_equal(event_wait(&rate, now + EVENT_EVERY_NS), 0);
	assert_int_equal(event_wait(&rate, now + EVENT_EVERY_NS), EVENT_EVERY_NS);
	/* a quiet time gives no more than a burst */
	now += 1000 * EVENT_EVERY_NS;
	for (int i = 0; i < EVENT_BURST; i++)
		assert_int_equal(event_wait(&rate, now), 0);
	assert_int_equal(event_wait(&rate, now), EVENT_EVERY_NS);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_of_the_node),       cmocka_unit_test(test_of_an_object),
		cmocka_unit_test(test_long_notes),        cmocka_unit_test(test_once_an_hour),
		cmocka_unit_test(test_memory_is_bounded), cmocka_unit_test(test_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
