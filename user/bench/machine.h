/* SPDX-License-Identifier: Apache-2.0 */
/* What has to be known of a machine to make sense of what was measured on it. */
#ifndef SIDESTEP_BENCH_MACHINE_H
#define SIDESTEP_BENCH_MACHINE_H

#include <jansson.h>

/*
 * { "date", "kernel", "arch", "cpu", "cpus", "governor", "congestion_control", "load" }: null
 * where the machine does not tell. The caller's reference; NULL: no memory.
 */
json_t *machine_state(void);

#endif
