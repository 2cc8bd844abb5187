/* SPDX-License-Identifier: Apache-2.0 */
/* The words and figures that every view of Sidestep shares. */
#ifndef SIDESTEP_EXPORT_FORMAT_H
#define SIDESTEP_EXPORT_FORMAT_H

#include <stdint.h>

#include "model/state.h"
#include "model/words.h"

/* Large enough for each function below. */
#define FORMAT_MAX 40

/* "12B", "1.5KiB", "3.0GiB". Returns buf. */
char *format_size(uint64_t bytes, char *buf);

/* "0.004s", "12.3s", "3m07s", "2h05m", "4d03h". Returns buf. */
char *format_duration(uint64_t ns, char *buf);

/* RFC 3339 in UTC with nanoseconds, from CLOCK_REALTIME. Returns buf. */
char *format_time(uint64_t realtime_ns, char *buf);

/* A number that no name fits is told as "?". */
const char *endpoint_state_name(uint8_t state);    /* enum sst_endpoint_state */
const char *splice_state_name(uint8_t state);      /* enum sst_splice_state */
const char *record_type_name(uint8_t record_type); /* enum sst_record_type */
const char *tcp_state_name(uint8_t state);         /* the kernel's TCP_ESTABLISHED ... */
const char *family_name(uint8_t family);           /* "ipv4", "ipv6" */

/* A service's port as people call it: its name, or its number when it has none. */
#define SERVICE_PORT_MAX SST_PORT_NAME_MAX
char *format_service_port(const struct sst_service_info *info, char *buf);

/* "web/http", "web/80". Returns buf, which holds SERVICE_LABEL_MAX (more than an address). */
#define SERVICE_LABEL_MAX (SST_NAME_MAX + SST_PORT_NAME_MAX)
char *format_service(const struct sst_service_info *info, char *buf);

#endif
