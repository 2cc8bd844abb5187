/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record as the client sees it, whichever end it is of: the source is the client, "sent"
 * goes from it to the service. So the two ends of a flow on one node agree, but for what
 * belongs to an end alone: its role, state, RTT and retransmissions, cgroup and namespace.
 * Every form of a record is made of this.
 */
#ifndef SIDESTEP_EXPORT_FLOW_VIEW_H
#define SIDESTEP_EXPORT_FLOW_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "core/text.h"
#include "model/state.h"

/* What a record does not say itself. */
struct record_context {
	const struct state *state;  /* for the names of services and of policy; NULL: not known */
	int64_t realtime_offset_ns; /* CLOCK_REALTIME - CLOCK_BOOTTIME */
	uint32_t sample;            /* it stands for so many flows; 0: for itself */
};

struct flow_side {
	struct sst_addr address;
	__be16 port;
};

/* Who an end is, by the ids of the policy set. */
struct flow_who {
	uint32_t identity;
	uint32_t workload;
};

/* What policy says of a flow, all in all. */
struct flow_ruling {
	bool asked; /* false: policy has nothing to do with it */
	bool denied;
	uint8_t direction; /* that decided: the one that denies, else the last one asked */
	uint8_t tier;
	uint32_t rule;
	uint32_t shadow; /* a rule in shadow that would have a say, 0: none */
	bool shadow_denied;
};

struct flow_view {
	const struct sst_record *record;
	const struct record_context *context;
	struct flow_side source;
	struct flow_side destination;
	struct flow_side asked;
	uint64_t sent_bytes; /* by TCP */
	uint64_t received_bytes;
	uint64_t spliced_sent_bytes;
	uint64_t spliced_received_bytes;
	uint64_t duration_ns;
	const struct sst_service_info *service; /* NULL: none, or none that is known */
	const struct policy_set *policy;        /* maybe empty */
	struct flow_who source_who;
	struct flow_who destination_who;
	struct flow_ruling ruling;
};

struct flow_view flow_view(const struct sst_record *record, const struct record_context *context);

/* A denied connect() has no address of its own yet. */
bool flow_side_is_known(const struct flow_side *side);
bool flow_was_asked(const struct flow_view *view);

/* Each for what has the word alone; NULL: does not apply. */
const char *flow_role(const struct flow_view *view);
const char *flow_ending(const struct flow_view *view);  /* of a CLOSE */
const char *flow_failure(const struct flow_view *view); /* of a FAILED */

/* "ECONNREFUSED", or the number where libc has no name, in buf of FORMAT_MAX; NULL: no error. */
const char *flow_error(const struct flow_view *view, char *buf);

/* RFC 3339; buf holds FORMAT_MAX. */
char *flow_time(const struct flow_view *view, char *buf);

/* For people: "-" where there is nothing to tell. */
void flow_add_service(const struct flow_view *view, struct text *out); /* "web/http", "#7" */
void flow_add_side(const struct flow_side *side, struct text *out);
void flow_add_asked(const struct flow_view *view, struct text *out);
void flow_add_who(const struct flow_view *view, const struct flow_who *who, struct text *out);

/* "ingress network shop/db-ingress/isolated", "egress default default", "ingress self" */
void flow_add_rule(const struct flow_view *view, struct text *out);

#endif
