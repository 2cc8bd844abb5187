/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The few kernel types this half reads. Only names matter: CO-RE finds each field
 * in the running kernel's own types at load, wherever it lies there. This is all
 * the build needs of a kernel, so any machine builds for any kernel.
 */
#ifndef SIDESTEP_BPF_KERNEL_H
#define SIDESTEP_BPF_KERNEL_H

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#define AF_INET  2
#define AF_INET6 10

#define IPPROTO_TCP     6
#define IPPROTO_UDP     17
#define IPPROTO_DCCP    33
#define IPPROTO_SCTP    132
#define IPPROTO_UDPLITE 136
#define IPPROTO_MPTCP   262

#define ETH_P_IP   0x0800
#define ETH_P_IPV6 0x86dd

#define SOCK_RAW 3

#define O_NONBLOCK    00004000
#define SEND_SHUTDOWN 2

#define EINVAL       22
#define EPIPE        32
#define ENETUNREACH  101
#define ECONNABORTED 103
#define ECONNRESET   104
#define ETIMEDOUT    110
#define ECONNREFUSED 111
#define EHOSTUNREACH 113

#define MAY_READ   4
#define SYS_SPLICE 275 /* x86-64 */

#define S_IFMT   0170000
#define S_IFSOCK 0140000

/* In sk_user_data: it is a sockmap's psock. */
#define SK_USER_DATA_PSOCK 4UL

/* Bits of skc_flags; relocated by name, bpf_core_enum_value(). */
enum sock_flags {
	SOCK_DEAD = 0, /* the program has closed it */
	SOCK_DONE = 1, /* a FIN was received */
	SOCK_RCVTSTAMP = 11,
	SOCK_ZEROCOPY = 22,
};

#ifndef static_assert
#define static_assert _Static_assert
#endif

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sock;

struct list_head {
	struct list_head *next;
};

struct in6_addr {
	union {
		__be32 u6_addr32[4];
	} in6_u;
};

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
	__u64 net_cookie;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct kernfs_node {
	const char *name;
	__u64 id;
};

struct cgroup {
	int level; /* 0: the root */
	struct kernfs_node *kn;
	struct cgroup *ancestors[]; /* by level, the last is the cgroup itself */
};

struct sock_cgroup_data {
	struct cgroup *cgroup;
};

struct inode {
	unsigned short i_mode;
};

struct file {
	unsigned int f_flags;
	struct inode *f_inode;
	void *private_data;
};

struct task_struct {
	int pid;
};

struct pt_regs {
	unsigned long orig_ax; /* x86: the number of the system call */
};

struct socket {
	struct file *file;
	struct sock *sk;
};

typedef struct {
	__s64 counter;
} atomic64_t;

typedef struct {
	int counter;
} atomic_t;

typedef struct refcount_struct {
	atomic_t refs;
} refcount_t;

struct proto {
	unsigned long *memory_pressure;
};

struct sock_common {
	struct proto *skc_prot;
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
	unsigned long skc_flags;
};

struct mem_cgroup {
	_Bool tcpmem_active; /* v1: memory.kmem.tcp.limit_in_bytes is set */
};

struct sock {
	struct sock_common __sk_common;
	struct {
		struct {
			struct {
				struct {
					atomic_t val;
				} raw_lock;
			} rlock; /* not on a kernel for real time */
		} slock;
		int owned;
	} sk_lock;
	struct {
		atomic_t rmem_alloc;
	} sk_backlog;
	int sk_rcvbuf;
	int sk_rcvlowat;
	int sk_err;
	int sk_peek_off;
	__u32 sk_tsflags;
	__u8 sk_shutdown;
	__u16 sk_protocol;
	void *sk_user_data;
	struct mem_cgroup *sk_memcg;
	struct socket *sk_socket;
	struct sock_cgroup_data sk_cgrp_data;
};

struct inet_sock {
	struct sock sk;
};

struct tcp_ulp_ops;
struct request_sock;

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	const struct tcp_ulp_ops *icsk_ulp_ops;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 write_seq;
	__u32 copied_seq;
	__u32 rcv_nxt;
	__u32 srtt_us;
	__u32 total_retrans;
	__u32 data_segs_in;
	__u32 data_segs_out;
	__u32 snd_una;
	struct request_sock *fastopen_rsk;
	__u64 bytes_acked;
	__u64 bytes_received;
	__u64 bytes_sent;
	__u64 bytes_retrans;
	__u8 repair : 1;
	__u8 recvmsg_inq : 1;
	_Bool is_mptcp;
};

struct sk_psock {
	struct list_head ingress_msg;
	struct list_head link;
	refcount_t refcnt;
};

struct bpf_map {
	__u32 id;
};

struct sk_psock_link {
	struct list_head list; /* the first field: a list_head is its link */
	struct bpf_map *map;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__bpf_sk_storage_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	struct sock *sk;
	void *value;
};

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
};

struct udp_sock {
	struct inet_sock inet;
};

struct bpf_iter__udp {
	struct bpf_iter_meta *meta;
	struct udp_sock *udp_sk;
};

#pragma clang attribute pop

#endif
