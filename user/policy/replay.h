/* SPDX-License-Identifier: Apache-2.0 */
/* Recorded flows, judged anew by a candidate: what would be denied, what would be let in. */
#ifndef SIDESTEP_POLICY_REPLAY_H
#define SIDESTEP_POLICY_REPLAY_H

#include "policy/judge.h"

/* What was recorded of one end. */
struct replay_end {
	char *workload;    /* "shop/db"; NULL: nobody in particular */
	uint32_t reserved; /* host, probes or unknown: not told by the address; else 0 .. */
	bool is_reserved;  /* .. and false */
	struct sst_addr address;
	bool has_address; /* false: who was denied had none yet */
};

struct replay_flow {
	struct replay_end source;
	struct replay_end destination;
	uint16_t port; /* host order, of the destination */
	uint8_t protocol;
	bool denied; /* then */
};

/* Flows whose verdict is another one now, and alike in all that is here. */
struct replay_change {
	uint32_t source; /* identity, id */
	uint32_t source_workload;
	uint32_t destination;
	uint32_t destination_workload;
	struct judged verdict; /* now */
	uint16_t port;
	uint8_t protocol;
	uint64_t count;
};

/* Starts as { 0 }. */
struct replay {
	struct replay_change *changes;
	size_t n_changes, room;
	uint64_t flows;   /* that were judged */
	uint64_t denied;  /* of them: allowed then, denied now */
	uint64_t opened;  /* denied then, allowed now */
	uint64_t unknown; /* of them: an end is of a workload that the candidate does not
			    * know, and was told by its address */
};

/* Judges one flow. 0 or -ENOMEM. */
int replay_add(struct replay *replay, const struct judge *judge, const struct replay_flow *flow);

/* Puts like changes together, most frequent ones first. To be called once, at the end. */
void replay_group(struct replay *replay);

/* Usable as a cleanup. */
void replay_release(struct replay *replay);
#define _cleanup_replay_ __attribute__((cleanup(replay_release)))

#endif
