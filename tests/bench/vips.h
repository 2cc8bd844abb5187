/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the services of the benchmark are: service I of N is TCP at 10.96.1.0 + I, port 80; a further
 * one is UDP at 10.96.0.10, port 53. Each has ten endpoints with port 8080 in
 * 10.128.0.0/10.
 */
#ifndef TESTS_BENCH_VIPS_H
#define TESTS_BENCH_VIPS_H

#include <stdint.h>

#define VIPS_MAX      60000
#define VIP_ENDPOINTS 10
#define VIP_DNS_INDEX VIPS_MAX
#define VIP_PORT      80
#define VIP_DNS_PORT  53
#define VIP_DNS       (10u << 24 | 96 << 16 | 10)
#define ENDPOINT_PORT 8080

static inline uint32_t vip(uint32_t service)
{
	return (10u << 24 | 96 << 16 | 1 << 8) + service;
}

/* Last numbers of three digits, so that their order as text, which is kube-proxy's, is that of the
 * numbers; and two in reserve, which the last endpoint can move to. */
static inline uint32_t vip_endpoint(uint32_t service, uint32_t i)
{
	return (10u << 24 | 128 << 16) + (service / 12 << 8) + 100 +
	       service % 12 * (VIP_ENDPOINTS + 2) + i;
}

#endif
