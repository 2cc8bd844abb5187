/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a hook asks policy, and what it is told. policy.bpf.c answers. */
#ifndef SIDESTEP_BPF_POLICY_H
#define SIDESTEP_BPF_POLICY_H

#include "lib/address.h"
#include "lib/count.h"

enum case_counts {
	COUNT_ALLOWED = 1,
	COUNT_DENIED = 2,
};

/* One end of a flow. */
struct policy_end {
	/* Where its socket lies in the kernel, an address to probe, so that any hook can ask about
	 * any socket; 0: the address tells who it is. */
	__u64 sk;
	__u64 cgroup;            /* its id, 0: to be probed for; see cgroup_of_tcp() */
	struct sst_addr address; /* zero: not known yet */
	/* The answer, indices of the set. */
	__u32 identity;
	__u32 workload; /* 0: none */
	__u32 network;  /* class of the address, or SST_NETWORK_UNKNOWN */
	__u16 is_local; /* 1: lives on this node */
	__u16 is_home;  /* 1: its socket is in the node's own network namespace */
};

/* One flow; ends by enum sst_role. */
struct policy_case {
	struct policy_end end[2];
	/* Ids of the other end, where somebody else has told who it is. */
	__u32 told_identity;
	__u32 told_workload;
	/* Which workload's ingress the other end has had decided, and by which set; 0: none. */
	__u64 judged_by;
	__u32 judged;
	__u16 port;    /* of who is called, host order */
	__u8 protocol; /* IPPROTO_TCP, IPPROTO_UDP */
	__u8 own;      /* enum sst_role of the end whose hook asks; its socket is known */
	__u8 counts;   /* enum case_counts: of which outcome the counters are to tell */
	__u8 is_told;  /* 1: the ids above tell */
	/* The answer. */
	__u8 denied;
	__u8 unknown;     /* 1: a subject is not known */
	__u8 exempt;      /* 1: the self-test's */
	__u8 selected;    /* 1: own's identity is some policy's subject */
	__u8 flags;       /* of the set, enum sst_policy_flags */
	__u64 generation; /* of the set, 0: there is none */
	struct sst_judgement judgement;
};

/* Steps of judge(), see policy.bpf.c. 0, or -1: the set is another one by now. */
int sst_find_workloads(struct policy_case *c);
int sst_is_settled(struct policy_case *c);
int sst_find_identities(struct policy_case *c);
int sst_decide(struct policy_case *c, __u32 direction);
int sst_close(struct policy_case *c, int decided);

/*
 * What was decided before of the very same case, by the set in force: 1, and the case is. netns is
 * the cookie of the network namespace of who asks, 0: it is not to be remembered.
 */
int sst_recall(struct policy_case *c, __u64 netns);
int sst_keep(const struct policy_case *c, __u64 netns);

/* Whether the address is one of this node itself. */
int sst_is_host(const struct sst_addr *address);

/* How often a case is opened anew when the set was replaced meanwhile, which takes a fair
 * share of a second each time. */
#define POLICY_TRIES 4

/* For this very workload: an address need not be of who listens there. */
static __always_inline int was_decided(const struct policy_case *c)
{
	return c->judged && c->judged == c->judgement.workload && c->judged_by == c->generation;
}

/* Egress where the caller asks; ingress where the called does, or lives here, too. */
static __always_inline int decide(struct policy_case *c)
{
	if (c->exempt)
		return 0;
	if (c->own == SST_ROLE_CLIENT && sst_decide(c, SST_EGRESS))
		return -1;
	if (c->denied || !c->end[SST_ROLE_SERVER].is_local || was_decided(c))
		return 0;
	return sst_decide(c, SST_INGRESS);
}

/* Decides, and counts for each direction that is decided here who decided. One set answers
 * everything of one case. */
static __always_inline void judge(struct policy_case *c, __u64 netns)
{
	int decided = 0;

	if (sst_recall(c, netns)) {
		sst_close(c, 1);
		return;
	}

#pragma clang loop unroll(disable)
	for (int i = 0; i < POLICY_TRIES && !decided; i++) {
		if (sst_find_workloads(c))
			continue;
		if (c->judged && sst_is_settled(c))
			return;
		decided = !sst_find_identities(c) && !decide(c);
	}
	if (decided)
		sst_keep(c, netns);
	sst_close(c, decided);
}

static __always_inline void *policy_set(void)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&policy, &key);
}

static __always_inline const struct sst_policy_head *policy_head(void *set)
{
	__u32 key = 0;

	return set ? bpf_map_lookup_elem(set, &key) : 0;
}

/* Whether anything is to be asked: also when a set should be there and is not. */
static __always_inline int policy_wanted(void)
{
	struct sst_config *node;

	if (policy_set())
		return 1;
	node = settings();
	return node && node->enforces;
}

/* Whether rules are to be asked, and not only who is who. */
static __always_inline int policy_rules(void)
{
	const struct sst_policy_head *head = policy_head(policy_set());

	return head ? !!(head->flags & SST_POLICY_RULES) : policy_wanted();
}

/* Of a judgement by who calls: the workload whose ingress it has decided, 0: none. */
static __always_inline __u32 judged_called(const struct sst_judgement *judgement)
{
	return judgement->asked[SST_INGRESS] ? judgement->peer_workload : 0;
}

/* The id of the cgroup of a TCP socket, by plain loads; 0: another kind of socket. */
static __always_inline __u64 cgroup_of_tcp(struct bpf_sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	return tp ? tp->inet_conn.icsk_inet.sk.sk_cgrp_data.cgroup->kn->id : 0;
}

/* Likewise the cookie of its network namespace. */
static __always_inline __u64 netns_of_tcp(struct bpf_sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	return tp ? tp->inet_conn.icsk_inet.sk.__sk_common.skc_net.net->net_cookie : 0;
}

static __always_inline int is_v4(const struct sst_addr *address)
{
	return !address->w[0] && !address->w[1] && address->w[2] == bpf_htonl(0xffff);
}

static __always_inline int is_loopback(const struct sst_addr *address)
{
	if (is_v4(address))
		return bpf_ntohl(address->w[3]) >> 24 == 127;
	return !address->w[0] && !address->w[1] && !address->w[2] && address->w[3] == bpf_htonl(1);
}

/* What an address says; nothing when the set is broken. */
static __always_inline void locate(void *set, const struct sst_policy_head *head,
				   const struct sst_addr *address, struct sst_policy_place *ret)
{
	__u64 high = (__u64)bpf_ntohl(address->w[0]) << 32 | bpf_ntohl(address->w[1]);
	__u64 low = (__u64)bpf_ntohl(address->w[2]) << 32 | bpf_ntohl(address->w[3]);

	if (sst_policy_locate(set, head, high, low, ret))
		__builtin_memset(ret, 0, sizeof(*ret));
}

#endif
