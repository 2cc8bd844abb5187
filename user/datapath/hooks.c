/* SPDX-License-Identifier: Apache-2.0 */
/* Which program goes where. */
#include "datapath/internal.h"

const struct hook hooks[HOOK_MAX] = {
	[HOOK_CONNECT4] = { "sst_connect4", HOOK_CGROUP, BPF_CGROUP_INET4_CONNECT, 0 },
	[HOOK_CONNECT6] = { "sst_connect6", HOOK_CGROUP, BPF_CGROUP_INET6_CONNECT, 0 },
	[HOOK_SENDMSG4] = { "sst_sendmsg4", HOOK_CGROUP, BPF_CGROUP_UDP4_SENDMSG, 0 },
	[HOOK_SENDMSG6] = { "sst_sendmsg6", HOOK_CGROUP, BPF_CGROUP_UDP6_SENDMSG, 0 },
	[HOOK_RECVMSG4] = { "sst_recvmsg4", HOOK_CGROUP, BPF_CGROUP_UDP4_RECVMSG, 0 },
	[HOOK_RECVMSG6] = { "sst_recvmsg6", HOOK_CGROUP, BPF_CGROUP_UDP6_RECVMSG, 0 },
	[HOOK_GETPEERNAME4] = { "sst_getpeername4", HOOK_CGROUP, BPF_CGROUP_INET4_GETPEERNAME, 0 },
	[HOOK_GETPEERNAME6] = { "sst_getpeername6", HOOK_CGROUP, BPF_CGROUP_INET6_GETPEERNAME, 0 },
	[HOOK_SOCKOPS] = { "sst_sockops", HOOK_CGROUP, BPF_CGROUP_SOCK_OPS, 0 },
	[HOOK_INGRESS] = { "sst_ingress", HOOK_CGROUP, BPF_CGROUP_INET_INGRESS, 0 },
	[HOOK_EGRESS] = { "sst_egress", HOOK_CGROUP, BPF_CGROUP_INET_EGRESS, 0 },
	[HOOK_SOCKET] = { "sst_socket", HOOK_POLICY, BPF_CGROUP_INET_SOCK_CREATE, 0 },
	[HOOK_LOOKUP] = { "sst_lookup", HOOK_NETNS, BPF_SK_LOOKUP, 0 },
	[HOOK_SKMSG] = { "sst_skmsg", HOOK_SK_MSG, BPF_SK_MSG_VERDICT, MAP_spliced },
	[HOOK_LIST] = { "sst_list", HOOK_ITER, BPF_TRACE_ITER, MAP_flows },
	[HOOK_LIST_SLOWLY] = { "sst_list_slowly", HOOK_ITER, BPF_TRACE_ITER, MAP_flows },
	[HOOK_LEAVERS] = { "sst_leavers", HOOK_ITER, BPF_TRACE_ITER, MAP_flows },
	[HOOK_REVOKE] = { "sst_revoke", HOOK_ITER, BPF_TRACE_ITER, MAP_flows },
	[HOOK_SWEEP] = { "sst_sweep", HOOK_ITER, BPF_TRACE_ITER, MAP_flows },
	[HOOK_ADOPT] = { "sst_adopt", HOOK_ITER, BPF_TRACE_ITER, MAP_candidates },
	[HOOK_STOP] = { "sst_stop", HOOK_ITER, BPF_TRACE_ITER, MAP_members },
	[HOOK_RELEASE] = { "sst_release", HOOK_ITER, BPF_TRACE_ITER, MAP_members },
	[HOOK_END_TCP] = { "sst_end_tcp", HOOK_ITER, BPF_TRACE_ITER, MAP_MAX },
	[HOOK_END_UDP] = { "sst_end_udp", HOOK_ITER, BPF_TRACE_ITER, MAP_MAX },
	[HOOK_SPLICE_READ] = { "sst_splice_read", HOOK_TRACE, BPF_TRACE_FENTRY, 0 },
	[HOOK_SPLICE_CALL] = { "sst_splice_call", HOOK_TRACE, BPF_MODIFY_RETURN, 0 },
};

#define X(name) [MAP_##name] = #name,
const char *const map_names[MAP_MAX] = { DATAPATH_MAPS(X) };
#undef X
