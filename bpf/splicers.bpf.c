/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Readers by splice(2), as proxies are: tcp_splice_read() knows nothing of bytes that
 * came past TCP.
 *
 * - A socket that is read so before it was adopted never is.
 * - One that is adopted answers EINVAL, as sockets that cannot be spliced do, and
 *   programs go on with recv().
 * - What comes by another way than the system call (io_uring) sends the pair back to
 *   TCP; if spliced bytes wait, the connection is reset rather than left to hang. Bytes
 *   that came by TCP behind them may have been read by then.
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
	errand(flow->cookie, SST_ERRAND_END); /* the daemon ends it, see sst_leavers */
}

/* Not adopted yet, or never to be. */
static __always_inline void exclude(struct sst_pair *pair)
{
	if (!pair->allowed)
		return;
	pair->allowed = 0;
	count(SST_COUNTER_REFUSE_SPLICE_READER);
}

/* Only past the system call does anybody come here with an adopted socket. */
static __always_inline void let_go_of(struct sock *sk, struct sst_flow *flow, struct sst_pair *pair)
{
	/* first of all: what is sent from now on must not overtake what is stuck */
	if (spliced_unread(sk))
		reset(flow, pair);
	if (!pair_stop(pair))
		return;
	habit_strike(pair->endpoint, SST_HABIT_SPLICE_READER);
	errand(flow->cookie, SST_ERRAND_RELEASE);
}

SEC("fentry/tcp_splice_read")
int BPF_PROG(sst_splice_read, struct socket *sock)
{
	struct sst_pair_key key;
	struct sock *sk = sock->sk;
	struct sst_flow *flow;
	struct sst_pair *pair;
	struct tcp_sock *tp;

	tp = sk ? bpf_skc_to_tcp_sock(sk) : 0;
	if (!tp)
		return 0;
	flow = bpf_sk_storage_get(&flows, sk, 0, 0);
	pair = flow ? pair_of(flow) : pair_of_seat(tp, &key);
	if (!pair)
		return 0;
	exclude(pair);
	if (flow && pair->end[flow->role & 1].state >= SST_STATE_ADOPTED)
		let_go_of(sk, flow, pair);
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

static __always_inline int is_adopted(struct file *file)
{
	struct sst_config *node = settings();
	unsigned long user_data;
	struct socket *sock;

	if (!node)
		return 0;
	sock = file->private_data;
	user_data = (unsigned long)BPF_CORE_READ(sock, sk, sk_user_data);
	if (!(user_data & SK_USER_DATA_PSOCK))
		return 0;
	return is_ours((struct sk_psock *)(user_data & ~7UL), node->spliced_map_id);
}

/* Runs for every read and write of the machine: most are no sockets and leave at once. */
SEC("fmod_ret/security_file_permission")
int BPF_PROG(sst_splice_call, struct file *file, int mask, int ret)
{
	struct task_struct *task;
	struct pt_regs *regs;

	if (ret || !(mask & MAY_READ) || (file->f_inode->i_mode & S_IFMT) != S_IFSOCK)
		return ret;
	task = bpf_get_current_task_btf();
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	if (regs->orig_ax != SYS_SPLICE || !is_adopted(file))
		return 0;
	count(SST_COUNTER_SPLICE_DECLINED);
	return -EINVAL;
}
