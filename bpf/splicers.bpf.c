/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Readers by splice(2), as proxies are: tcp_splice_read() knows nothing of bytes that
 * came past TCP.
 *
 * - A socket that is read so before it was adopted never is, and for an hour no other
 *   socket of its cgroup.
 * - An adopted one is let go. While spliced bytes wait, splice(2) says EINVAL, as it does of
 *   sockets that cannot be spliced, and programs go on with recv().
 * - What comes by another way than the system call (io_uring) and finds spliced bytes
 *   resets the connection rather than leave it to hang. Bytes that came by TCP behind
 *   them may have been read by then.
 *
 * Optional: not every kernel has these attachments, and without them `auto` stays off.
 */
#include "maps.h"
#include "lib/pair.h"
#include "lib/record.h"
#include "lib/splice.h"

#include <bpf/bpf_tracing.h>

static __always_inline void reset(struct sst_flow *flow, struct sst_pair *pair)
{
	if (flow->doomed)
		return;
	flow->doomed = 1;
	pair->doomed = 1;
	count(SST_COUNTER_SPLICE_RESET);
	errand(SST_ERRAND_END); /* the daemon ends it, see sst_leavers */
}

/* The pair of any socket, which may change meanwhile, so that it is not found now and then. */
static __always_inline struct sst_pair *pair_of_stranger(struct tcp_sock *tp)
{
	struct sst_pair_key as_server, as_client;
	struct sst_pair *pair;
	__u32 place;

	pair = pair_of_seat(tp, &as_server, &place);
	if (pair)
		return pair;
	/* the client's SYN was acknowledged, too */
	as_client.client_seq = as_server.server_seq + 1;
	as_client.server_seq = as_server.client_seq;
	pair = pair_find(&as_client, &place);
	return pair && pair->end[SST_ROLE_CLIENT].sock == (unsigned long)tp ? pair : 0;
}

/* The self-test's own readers say nothing of its other sockets. */
static __always_inline void reader_found(struct sock *sk, struct sst_pair *pair)
{
	if (pair->service < SST_SELFTEST_ID)
		splicer_seen(sk);
	if (pair->allowed) {
		pair->allowed = SST_FORBIDDEN;
		count(SST_COUNTER_REFUSE_SPLICE_READER);
	}
	if (pair->end[SST_ROLE_CLIENT].state < SST_STATE_ADOPTED &&
	    pair->end[SST_ROLE_SERVER].state < SST_STATE_ADOPTED)
		return;
	let_go(pair);
}

SEC("fentry/tcp_splice_read")
int BPF_PROG(sst_splice_read, struct socket *sock)
{
	struct sock *sk = sock->sk;
	struct sst_pair_key key;
	struct sst_flow *flow;
	struct sst_pair *pair;
	struct tcp_sock *tp;
	__u32 place;

	tp = sk ? bpf_skc_to_tcp_sock(sk) : 0;
	if (!tp)
		return 0;
	flow = bpf_sk_storage_get(&flows, sk, 0, 0);
	pair = flow ? pair_of(flow) : pair_of_seat(tp, &key, &place);
	if (!pair)
		return 0;
	/* first of all: what is sent from now on must not overtake what is stuck */
	if (flow && spliced_unread(sk))
		reset(flow, pair);
	reader_found(sk, pair);
	return 0;
}

/* Sockmaps that hold one socket at once; more are not looked at. */
#define LINKS_MAX 4

/* Whether our sockhash is among those that hold the socket: splice(2) on the members of
 * somebody else's is none of our business. */
static __always_inline int is_ours(const struct sk_psock *psock, __u32 map_id)
{
	struct list_head *link = BPF_CORE_READ(psock, link.next);

	for (int i = 0; i < LINKS_MAX; i++) {
		struct sk_psock_link *held = (struct sk_psock_link *)link;

		if (link == __builtin_preserve_access_index(&psock->link))
			return 0;
		if (BPF_CORE_READ(held, map, id) == map_id)
			return 1;
		link = BPF_CORE_READ(link, next);
	}
	return 0;
}

/* What holds an adopted socket; 0: it is none. */
static __always_inline struct sk_psock *adopted(struct sock *sk)
{
	struct sst_config *node = settings();
	struct sk_psock *psock = psock_of(sk);

	return node && psock && is_ours(psock, node->spliced_map_id) ? psock : 0;
}

/* Whether splice(2) must not go on: there is what only recv() can read. */
static __always_inline int must_decline(struct sock *sk)
{
	struct sk_psock *psock = adopted(sk);
	struct sst_pair *pair;

	if (!psock)
		return 0;
	pair = pair_of_stranger((struct tcp_sock *)sk);
	if (!pair)
		return 1;
	reader_found(sk, pair);
	return psock_unread(psock);
}

/* Runs for every read and write of the machine: most are no sockets and leave at once. */
SEC("fmod_ret/security_file_permission")
int BPF_PROG(sst_splice_call, struct file *file, int mask, int ret)
{
	struct task_struct *task;
	struct socket *sock;
	struct pt_regs *regs;

	if (ret || !(mask & MAY_READ) || (file->f_inode->i_mode & S_IFMT) != S_IFSOCK)
		return ret;
	task = bpf_get_current_task_btf();
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	if (regs->orig_ax != SYS_SPLICE)
		return 0;
	sock = file->private_data;
	if (!must_decline(BPF_CORE_READ(sock, sk)))
		return 0;
	count(SST_COUNTER_SPLICE_DECLINED);
	return -EINVAL;
}
