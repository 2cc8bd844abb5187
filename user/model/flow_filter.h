/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which flows somebody wants to see: one filter for `flows`, `flows --follow` and the flow
 * log. Terms with the same key are alternatives, different keys must all hold; the empty
 * filter takes everything. It looks at a record as the kernel made it, before anything of it
 * is put into words.
 */
#ifndef SIDESTEP_MODEL_FLOW_FILTER_H
#define SIDESTEP_MODEL_FLOW_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/state.h"

/* X(SYMBOL, name, what a value looks like) */
#define FLOW_KEYS(X)                                                              \
	X(SOURCE, "source", FLOW_WHO)                                             \
	X(DESTINATION, "destination", FLOW_WHO)                                   \
	X(NAMESPACE, "namespace", "a namespace, like shop")                       \
	X(WORKLOAD, "workload", "a workload, like shop/db or db")                 \
	X(SERVICE, "service", "a service, like web, web/http or web/80")          \
	X(PORT, "port", "a port from 1 to 65535")                                 \
	X(PROTOCOL, "protocol", "tcp or udp")                                     \
	X(VERDICT, "verdict", "allowed or denied")                                \
	X(EVENT, "event", "open, close, failed or denied")                        \
	X(ERRORS, "errors", "true")                                               \
	X(MIN_BYTES, "min-bytes", "a number of bytes, like 1000, 64KiB or 10MiB") \
	X(SLOWER, "slower", "a time, like 500us, 20ms or 3s")

#define FLOW_WHO                                                             \
	"an address, a network like 10.0.0.0/8, a workload like shop/db, a " \
	"namespace like shop/, labels like app=db, or one of world, host, "  \
	"nodes, probes, unknown"

#define X(symbol, name, value) FLOW_KEY_##symbol,
enum flow_key { FLOW_KEYS(X) FLOW_KEY_MAX };
#undef X

/* Each looks at every record: more would be a way to keep the daemon busy. */
#define FLOW_TERMS_MAX 64

enum flow_term_kind {
	FLOW_TERM_NUMBER,
	FLOW_TERM_NETWORK,
	FLOW_TERM_WORKLOAD, /* name, and maybe its namespace */
	FLOW_TERM_NAMESPACE,
	FLOW_TERM_LABELS,
	FLOW_TERM_SERVICE, /* name, and maybe its port's name or number behind a slash */
};

struct flow_term {
	enum flow_key key;
	enum flow_term_kind kind;
	uint64_t number; /* port, protocol, bytes, microseconds, a word's value */
	struct sst_addr address;
	uint8_t bits;
	char *name;  /* workload, namespace, labels, service */
	char *scope; /* the workload's namespace; NULL: any */
	char *value; /* as it was given */
};

/* Starts as { 0 }. */
struct flow_filter {
	struct flow_term terms[FLOW_TERMS_MAX];
	size_t n;
	uint32_t keys; /* bit per enum flow_key that has a term */
};

/* -EINVAL: there is no such key. */
int flow_key_parse(const char *name, enum flow_key *ret);
const char *flow_key_name(enum flow_key key);

/* What a value of the key looks like, for messages: "found 'x', expected ...". */
const char *flow_key_expected(enum flow_key key);

/* -EINVAL: the value is no such, see flow_key_expected(); -E2BIG: too many terms; -ENOMEM. */
int flow_filter_add(struct flow_filter *filter, enum flow_key key, const char *value);

/* Whether the record is wanted. Names of services and policy are the state's. */
bool flow_filter_takes(const struct flow_filter *filter, const struct sst_record *record,
		       const struct state *state);

/* What --errors takes: failed, denied, or ended otherwise than by both sides closing. */
bool flow_is_error(const struct sst_record *record);

/* Usable as a cleanup. */
void flow_filter_release(struct flow_filter *filter);
#define _cleanup_flow_filter_ __attribute__((cleanup(flow_filter_release)))

/* "1000", "64KiB", "10M", "2G": units are powers of 1024. -EINVAL. */
int flow_bytes_parse(const char *text, uint64_t *ret);

#endif
