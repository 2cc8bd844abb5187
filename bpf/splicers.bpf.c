/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Readers by splice(2), as proxies are: tcp_splice_read() knows nothing of bytes that
 * came past TCP.
 *
 * - A socket that is read so before it was adopted never is.
 * - One that is adopted answers EINVAL, as sockets that cannot be spliced do, and
 *   programs go on with recv().
 * - What comes by another way than the system call (io_uring) sends the pair back to
 *   TCP; if spliced bytes wait, the connection is reset rather than left to hang or to
 *   lose its order.
 *
 * Optional: not every kernel has these attachments, and without them `auto` stays off.
 */
#include "maps.h"
#include "lib/record.h"
#include "lib/splice.h"

#include <bpf/bpf_tracing.h>

static __always_inline void reset(struct sst_flow *flow, struct sst_pair *pair)
{
	struct sst_nomination nomination = { .flow = flow->cookie, .doomed = 1 };

	if (flow->doomed)
		return;
	flow->doomed = 1;
	pair->doomed = 1;
	count(SST_COUNTER_SPLICE_RESET);
	/* the daemon ends it, see sst_leavers */
	if (bpf_ringbuf_output(&nominations, &nomination, sizeof(nomination), BPF_RB_FORCE_WAKEUP))
		count(SST_COUNTER_EVENT_NOMINATION_LOST);
}

SEC("fentry/tcp_splice_read")
int BPF_PROG(sst_splice_read, struct socket *sock)
{
	struct sock *sk = sock->sk;
	struct sst_flow *flow;
	struct sst_pair *pair;

	if (!sk)
		return 0;
	flow = bpf_sk_storage_get(&flows, sk, 0, 0);
	pair = flow ? pair_of(flow) : 0;
	if (!pair)
		return 0;
	if (pair->allowed) {
		pair->allowed = 0;
		count(SST_COUNTER_REFUSE_SPLICE_READER);
	}
	if (pair->end[flow->role & 1].state < SST_STATE_ADOPTED)
		return 0;
	pair_stop(pair);
	if (spliced_unread(sk))
		reset(flow, pair);
	return 0;
}

/* Whether the file is a socket that some sockmap holds. */
static __always_inline int is_member(struct file *file)
{
	struct socket *sock;

	if ((file->f_inode->i_mode & S_IFMT) != S_IFSOCK)
		return 0;
	sock = file->private_data;
	return (unsigned long)BPF_CORE_READ(sock, sk, sk_user_data) & SK_USER_DATA_PSOCK;
}

/* Runs for every read and write of the machine: most are no sockets and leave at once. */
SEC("fmod_ret/security_file_permission")
int BPF_PROG(sst_splice_call, struct file *file, int mask, int ret)
{
	struct task_struct *task;
	struct pt_regs *regs;

	if (ret || !(mask & MAY_READ) || !is_member(file))
		return ret;
	task = bpf_get_current_task_btf();
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	if (regs->orig_ax != SYS_SPLICE)
		return 0;
	count(SST_COUNTER_SPLICE_DECLINED);
	return -EINVAL;
}
