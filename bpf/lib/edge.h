/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Edges: who calls whom. edge.bpf.c keeps them, in functions of their own: what they need of
 * the stack is free again when they return.
 */
#ifndef SIDESTEP_BPF_EDGE_H
#define SIDESTEP_BPF_EDGE_H

#include "lib/address.h"
#include "lib/count.h"
#include "lib/policy.h"

/* What went through one end of a flow so far, by path. */
struct traffic {
	__u64 sent;
	__u64 received;
	__u64 spliced_sent;
	__u64 spliced_received;
	__u64 retransmits;
	__u32 srtt_us;
	__u32 pad;
};

/* Without a budget there are no edges, not even a service's `other`. */
static __always_inline int edges_wanted(void)
{
	struct sst_config *node = settings();

	return node && node->edge_budget;
}

/*
 * A flow as it opens, moves and ends, in its edge and in the statistics of its service. The
 * end that calls these is the one that tells of the connection; port is of who is called,
 * cgroup that of the socket.
 */
int sst_flow_opened(struct sst_flow *flow, __u64 cgroup, __u32 port);
int sst_flow_failed(struct sst_flow *flow, __u64 cgroup, __u32 port);

/* Brings what moved since the last time into them; closing: its end, too. */
int sst_flow_moved(struct sst_flow *flow, const struct traffic *now, int closing);

/* A UDP socket was connected; the case has where it lies. */
int sst_flow_connected(struct sst_flow *flow, const struct policy_case *c);

/* The edge of a case whose ends are known; 0: none. */
__u32 sst_edge_of_case(const struct policy_case *c, __u32 service);

/* Datagrams on their way to the server, or back. */
int sst_edge_datagrams(__u32 edge, int is_sent, __u32 datagrams, __u64 bytes, __u64 now);

/* A call that policy denied. */
int sst_call_denied(const struct policy_case *c, __u32 service);

#endif
