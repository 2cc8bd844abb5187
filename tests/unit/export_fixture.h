/* SPDX-License-Identifier: Apache-2.0 */
/* A state as the kernel might hold it: two services, three endpoints, some figures. */
#ifndef SIDESTEP_TESTS_EXPORT_FIXTURE_H
#define SIDESTEP_TESTS_EXPORT_FIXTURE_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

#include "core/address.h"
#include "core/cleanup.h"
#include "core/text.h"
#include "model/state.h"

#define UNUSED __attribute__((unused))

/* 2026-01-02T03:04:05.006Z */
#define FIXTURE_TIME_NS 1767323045006000000ull

/* What is told of is of boot time 1000 s, and that is FIXTURE_TIME_NS. */
#define S      1000000000ull
#define OFFSET (int64_t)(FIXTURE_TIME_NS - 1000 * S)

static inline void assert_json(json_t *json, const char *expected)
{
	_cleanup_free_ char *text = json_dumps(json, JSON_INDENT(1));

	assert_non_null(text);
	assert_string_equal(text, expected);
}

struct fixture {
	struct state state; /* its arrays are the ones below */
	struct state_frontend frontends[3];
	struct state_service services[2];
	struct state_endpoint endpoints[3];
};

static inline struct sst_addr fixture_address(const char *text)
{
	struct sst_addr address;

	assert_int_equal(address_parse(text, &address), 0);
	return address;
}

static inline struct state_frontend fixture_frontend(const char *address, uint16_t port,
						     uint8_t protocol, uint32_t service)
{
	return (struct state_frontend){
		.key = { fixture_address(address), htons(port), protocol, 0 },
		.service = service,
	};
}

static inline struct state_endpoint
fixture_endpoint(uint32_t id, const char *address, uint16_t port, uint32_t service, uint32_t weight)
{
	return (struct state_endpoint){
		.id = id,
		.value = { .address = fixture_address(address),
			   .port = htons(port),
			   .service = service,
			   .weight = weight },
	};
}

static inline void fixture_services(struct fixture *f)
{
	f->services[0] = (struct state_service){
		.id = 3,
		.value = { .slots = 4, .balance = SST_BALANCE_ROUND_ROBIN, .affinity_s = 600 },
		.info = { .name = "web",
			  .port_name = "http",
			  .port = htons(80),
			  .protocol = IPPROTO_TCP,
			  .family = AF_INET },
		.stats = { .opened = 10,
			   .closed = 7,
			   .failed = 2,
			   .refused = 1,
			   .sent_bytes = 1000,
			   .received_bytes = 2048,
			   .spliced_sent_bytes = 1ull << 40,
			   .spliced_received_bytes = 5,
			   .retransmits = 6 },
	};
	f->services[1] = (struct state_service){
		.id = 5,
		.value = { .splice = SST_SPLICE_OFF, .on_remove = SST_ON_REMOVE_RESET },
		.info = { .name = "dns",
			  .port = htons(53),
			  .protocol = IPPROTO_UDP,
			  .family = AF_INET6 },
		.stats = { .udp_connected = 8, .udp_datagrams = 9 },
	};
}

static inline void fixture_meta(struct sst_meta *meta)
{
	*meta = (struct sst_meta){
		.abi = SST_ABI_VERSION,
		.loads = 2,
		.generation = 7,
		.loaded_ns = FIXTURE_TIME_NS,
		.cgroup_id = 1,
		.cgroup = "/sys/fs/cgroup",
		.version = "0.1.0",
	};
	strcpy(meta->feature_off[SST_FEATURE_SPLICE_AUTO], "FIONREAD does not see messages");
}

static inline void fixture_init(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	fixture_meta(&f->state.meta);
	fixture_services(f);
	f->frontends[0] = fixture_frontend("10.96.0.10", 80, IPPROTO_TCP, 3);
	f->frontends[1] = fixture_frontend("10.96.0.11", 80, IPPROTO_TCP, 3);
	f->frontends[2] = fixture_frontend("fd00::53", 53, IPPROTO_UDP, 5);
	/* ids in the order of services would be too easy */
	f->endpoints[0] = fixture_endpoint(1, "fd00::2", 5353, 5, 1);
	f->endpoints[0].value.state = SST_ENDPOINT_DRAINING;
	f->endpoints[1] = fixture_endpoint(2, "10.1.0.2", 8080, 3, 3);
	f->endpoints[1].stats = f->services[0].stats;
	f->endpoints[2] = fixture_endpoint(4, "10.1.0.3", 8080, 3, 1);
	f->endpoints[2].value.state = SST_ENDPOINT_REMOVED;

	f->state.config.splice = SST_SPLICE_AUTO;
	f->state.frontends = f->frontends;
	f->state.n_frontends = ARRAY_SIZE(f->frontends);
	f->state.services = f->services;
	f->state.n_services = ARRAY_SIZE(f->services);
	f->state.endpoints = f->endpoints;
	f->state.n_endpoints = ARRAY_SIZE(f->endpoints);
	f->state.direct.opened = 4;
	f->state.counters[SST_COUNTER_PAIR_CLASH] = 11;
	f->state.fill[STATE_MAP_PAIRS] = (struct state_fill){ "pairs", 512, 65536 };
}

/* Fails, and shows the text, unless it holds the part. */
static inline void assert_contains(const struct text *text, const char *part)
{
	if (!strstr(text_string(text), part))
		fail_msg("no \"%s\" in:\n%s", part, text_string(text));
}

#endif
