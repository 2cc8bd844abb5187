/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The contract between the kernel half (bpf/) and userspace (user/).
 *
 * Everything that lies in a map or a ring buffer is declared here and nowhere
 * else. Rules: fixed-width types, explicit padding, every size asserted; fields
 * holding network byte order are __be16 or struct sst_addr, all else is host
 * order. Any change of a layout or of a number's meaning raises SST_ABI_VERSION:
 * the loader compares it with what is pinned and refuses to mix.
 */
#ifndef SIDESTEP_ABI_H
#define SIDESTEP_ABI_H

#include <linux/types.h>

#ifndef static_assert
#define static_assert _Static_assert
#endif

#define SST_ABI_VERSION 7

/* ---- addresses ---------------------------------------------------------- */

/* One form for both families: IPv4 a.b.c.d is ::ffff:a.b.c.d. Network order. */
struct sst_addr {
	__be32 w[4];
};
static_assert(sizeof(struct sst_addr) == 16, "sst_addr");

/* ---- services ------------------------------------------------------------ */

/* Map `frontends`: what an application may ask for -> the service's id. */
struct sst_frontend_key {
	struct sst_addr address;
	__be16 port;
	__u8 protocol; /* IPPROTO_TCP, IPPROTO_UDP */
	__u8 pad;
};
static_assert(sizeof(struct sst_frontend_key) == 20, "sst_frontend_key");

struct sst_frontend {
	__u32 service;
	__u32 pad;
	__u64 netns; /* cookie of the only network namespace it is for, 0: for all */
};
static_assert(sizeof(struct sst_frontend) == 16, "sst_frontend");

enum sst_balance {
	SST_BALANCE_RANDOM = 0,
	SST_BALANCE_ROUND_ROBIN = 1,
};

/* What the operator asked for. INHERIT is a service's word only. */
enum sst_splice {
	SST_SPLICE_INHERIT = 0,
	SST_SPLICE_OFF = 1,
	SST_SPLICE_AUTO = 2,
	SST_SPLICE_ON = 3,
};

enum sst_on_remove {
	SST_ON_REMOVE_KEEP = 0,
	SST_ON_REMOVE_RESET = 1,
};

/*
 * Map `services`: one value for one port of one service in one address family.
 * It is replaced as a whole, so writing it is the atomic flip of that service:
 * a connect() sees the old schedule or the new one.
 *
 * The schedule is a run of slots, [first, first + slots); an endpoint stands in it as often
 * as its weight says. Balancing picks a slot.
 */
struct sst_service {
	__u32 first;
	__u32 slots;      /* 0: no usable endpoint, connect() is refused */
	__u32 affinity_s; /* client affinity in seconds, 0: none */
	__u8 balance;     /* enum sst_balance */
	__u8 splice;      /* enum sst_splice */
	__u8 on_remove;   /* enum sst_on_remove; acted on by userspace */
	__u8 pad;
};
static_assert(sizeof(struct sst_service) == 16, "sst_service");

/* Map `slots`: slot n, an endpoint's id, is number n % SST_RUN of element n / SST_RUN. An array's
 * element takes 8 bytes at least, whatever it holds; so there is no gap between slots. */
#define SST_RUN 2

struct sst_run {
	__u32 slot[SST_RUN];
};
static_assert(sizeof(struct sst_run) == 8, "sst_run");

/* Ids from this one on, of services and of endpoints, are the self-test's: userspace
 * neither gives them away nor tells of them, and the node's settings do not bind them. */
#define SST_SELFTEST_ID 0xfffffffeU

/* Map `service_info`: names, for people. The kernel half never reads it. */
#define SST_NAME_MAX      128
#define SST_PORT_NAME_MAX 64
struct sst_service_info {
	char name[SST_NAME_MAX];           /* NUL-terminated */
	char port_name[SST_PORT_NAME_MAX]; /* NUL-terminated, may be empty */
	__be16 port;
	__u8 protocol;
	__u8 family; /* AF_INET or AF_INET6 */
	__u32 pad;
};
static_assert(sizeof(struct sst_service_info) == 200, "sst_service_info");

enum sst_endpoint_state {
	SST_ENDPOINT_READY = 0,
	SST_ENDPOINT_NOT_READY = 1, /* no new connections; old ones live on */
	SST_ENDPOINT_DRAINING = 2,  /* the same, by the operator's word */
	SST_ENDPOINT_REMOVED = 3,   /* gone from the configuration; last flows still run */
};

/* Map `endpoints`, by id. An id belongs to one (service, address, port) for life. */
struct sst_endpoint {
	struct sst_addr address;
	__be16 port;
	__u8 state; /* enum sst_endpoint_state */
	__u8 pad;
	__u32 service;
	__u32 weight;
};
static_assert(sizeof(struct sst_endpoint) == 28, "sst_endpoint");

/* Map `affinity`: which endpoint a network namespace was given last. */
struct sst_affinity_key {
	__u64 netns_cookie;
	__u32 service;
	__u32 pad;
};
static_assert(sizeof(struct sst_affinity_key) == 16, "sst_affinity_key");

struct sst_affinity {
	__u64 used_ns; /* CLOCK_BOOTTIME */
	__u32 endpoint;
	__u32 pad;
};
static_assert(sizeof(struct sst_affinity) == 16, "sst_affinity");

/* ---- settings and self-knowledge ------------------------------------------ */

/* Map `config`, one entry. Userspace writes it whole, the kernel half reads it. */
struct sst_config {
	__u8 splice;           /* the node's enum sst_splice, never INHERIT */
	__u8 splice_auto;      /* 1: this kernel passed the self-test, AUTO may adopt */
	__u8 fail_closed;      /* 1: what cannot be decided is refused */
	__u8 splice_broken;    /* 1: the self-test failed, nobody may be adopted */
	__u32 splice_limit;    /* unread spliced bytes a receiver may hold; 0: half its rcvbuf */
	__u32 spliced_map_id;  /* of map `spliced`, as the kernel knows it */
	__u32 enforces;        /* 1: map `policy` must hold a set; without it nothing is decided */
	__u64 selftest_cgroup; /* id of the cgroup that policy is not about; 0: none */
	__u32 edge_budget; /* edges beyond it are folded into their service's `other`; 0: none */
	__u32 event_rate;  /* events of a class a second and CPU; 0: as many as there are */
};
static_assert(sizeof(struct sst_config) == 32, "sst_config");

/* What `doctor` and `status` tell of; X(SYMBOL, name, what it is). */
#define SST_FEATURES(X)                                                            \
	X(SERVICES, "services", "service addresses become endpoints at connect()") \
	X(UDP, "udp", "the same for unconnected UDP, replies included")            \
	X(SET_RETVAL, "set-retval", "a refused connect() says ECONNREFUSED")       \
	X(FLOWS, "flows", "every TCP connection has a record and exact totals")    \
	X(ITERATORS, "iterators", "live flows are listed from the kernel")         \
	X(DESTROY, "sock-destroy", "sockets of dead endpoints are ended")          \
	X(SPLICE, "splice", "two sockets of the node exchange messages past TCP")  \
	X(SPLICE_READERS, "splice-readers", "readers by splice(2) are recognised") \
	X(SPLICE_AUTO, "splice-auto", "the splice is safe for any non-blocking pair")

#define X(symbol, name, help) SST_FEATURE_##symbol,
enum sst_feature { SST_FEATURES(X) SST_FEATURE_MAX };
#undef X

/* Map `interest`, one entry: what somebody wants to be told of. U writes, K reads. */
struct sst_interest {
	__u32 events; /* 1: somebody follows flows as they open, close and fail */
};
static_assert(sizeof(struct sst_interest) == 4, "sst_interest");

/* Map `meta`, one entry: who loaded this and how far it got. */
#define SST_REASON_MAX 104
struct sst_meta {
	__u32 abi;        /* SST_ABI_VERSION of the writer; always the first word */
	__u32 loads;      /* 1 after the first load, more after upgrades */
	__u64 generation; /* raised by each apply that changed something */
	__u64 loaded_ns;  /* CLOCK_REALTIME of the first load */
	__u32 next_service;
	__u32 next_endpoint;
	__u32 next_identity;
	__u32 next_workload;
	__u32 next_rule;
	__u32 next_set;  /* generation of the next policy set */
	__u64 cgroup_id; /* the cgroup the programs are attached to */
	char cgroup[256];
	char version[32]; /* of the binary that loaded last */
	/* Empty: the feature is on. Else why it is off, in words. */
	char feature_off[SST_FEATURE_MAX][SST_REASON_MAX];
};
static_assert(sizeof(struct sst_meta) == 344 + SST_FEATURE_MAX * SST_REASON_MAX, "sst_meta");

/* ---- counters -------------------------------------------------------------- */

/*
 * Maps `service_stats` and `endpoint_stats`, per CPU, by id; only ever added to.
 * Id 0 holds the flows that went to no service, and those whose service or
 * endpoint has left the map, so that no flow is lost from the totals.
 * At any time opened = closed + active. "sent" is from the client to the service.
 */
struct sst_stats {
	__u64 opened;         /* TCP connections established */
	__u64 closed;         /* established ones that ended */
	__u64 failed;         /* connect() that did not succeed */
	__u64 refused;        /* connect() or sendmsg() refused: no usable endpoint */
	__u64 sent_bytes;     /* by TCP, retransmissions not counted */
	__u64 received_bytes; /* by TCP */
	__u64 spliced_sent_bytes;
	__u64 spliced_received_bytes;
	__u64 retransmits;   /* segments */
	__u64 udp_connected; /* UDP sockets connected */
	__u64 udp_datagrams; /* datagrams sent by unconnected sockets */
	__u64 denied;        /* connect() or sendmsg() denied by policy */
};
static_assert(sizeof(struct sst_stats) == 96, "sst_stats");

/*
 * Map `counters`, per CPU: every early exit, fallback and refusal by reason.
 * X(SYMBOL, group, name, help); the metric is sidestep_GROUP_total{reason="NAME"}.
 */
#define SST_COUNTERS(X)                                                                            \
	/* connect() and sendmsg(): what happened to a destination */                              \
	X(CONNECT_TRANSLATED, connect, "translated", "destination was a service, endpoint chosen") \
	X(CONNECT_NO_SERVICE, connect, "no-service", "destination is no service, left alone")      \
	X(CONNECT_NO_ENDPOINT, connect, "no-endpoint", "service without usable endpoint, refused") \
	X(CONNECT_UNDECIDED, connect, "undecided-open",                                            \
	  "tables inconsistent, left alone (fail: open)")                                          \
	X(CONNECT_UNDECIDED_CLOSED, connect, "undecided-closed",                                   \
	  "tables inconsistent, refused (fail: closed)")                                           \
	X(CONNECT_PROTOCOL, connect, "protocol", "neither TCP nor UDP, left alone")                \
	X(AFFINITY_HIT, affinity, "hit", "client kept its endpoint")                               \
	X(AFFINITY_GONE, affinity, "gone", "remembered endpoint no longer usable, chosen anew")    \
	X(AFFINITY_FULL, affinity, "full", "could not be remembered")                              \
	X(UDP_REVERSED, udp, "reversed", "reply shown as coming from the service")                 \
	X(UDP_RECYCLED, udp, "recycled",                                                           \
	  "a socket talks to more services than remembered, oldest forgotten")                     \
	X(UDP_NO_RECORD, udp, "no-record",                                                         \
	  "no memory for the reply's address, left alone or refused")                              \
	/* policy: what was decided, once per flow and direction, by tier */                       \
	X(POLICY_NONE_ALLOW, policy, "none-allow", "no rule is about it, allowed")                 \
	X(POLICY_ADMIN_ALLOW, policy, "admin-allow", "allowed by the admin tier")                  \
	X(POLICY_ADMIN_DENY, policy, "admin-deny", "denied by the admin tier")                     \
	X(POLICY_HOST_ALLOW, policy, "host-allow", "the host's own traffic to its workloads")      \
	X(POLICY_NETWORK_ALLOW, policy, "network-allow", "allowed by the network tier")            \
	X(POLICY_NETWORK_DENY, policy, "network-deny",                                             \
	  "denied: selected by the network tier and not allowed by it")                            \
	X(POLICY_BASELINE_ALLOW, policy, "baseline-allow", "allowed by the baseline tier")         \
	X(POLICY_BASELINE_DENY, policy, "baseline-deny", "denied by the baseline tier")            \
	X(POLICY_DEFAULT_ALLOW, policy, "default-allow", "no policy selects it, allowed")          \
	X(POLICY_DEFAULT_DENY, policy, "default-deny", "no policy selects it, denied")             \
	X(POLICY_SELF_ALLOW, policy, "self-allow", "a workload to itself, always allowed")         \
	/* ... and what could not be decided, by what was missing and how it failed */             \
	X(POLICY_SET_OPEN, policy_undecided, "set-open", "no policy set, allowed (fail: open)")    \
	X(POLICY_SET_CLOSED, policy_undecided, "set-closed",                                       \
	  "no policy set, denied (fail: closed)")                                                  \
	X(POLICY_UNKNOWN_OPEN, policy_undecided, "unknown-open",                                   \
	  "nothing tells which workload it is, allowed (fail: open)")                              \
	X(POLICY_UNKNOWN_CLOSED, policy_undecided, "unknown-closed",                               \
	  "nothing tells which workload it is, denied (fail: closed)")                             \
	X(POLICY_REVOKED, policy_flow, "revoked", "established flows ended by a changed policy")   \
	X(POLICY_SYN_DROPPED, policy_flow, "syn-dropped", "denied SYNs of remote clients dropped") \
	X(POLICY_DATAGRAM_DROPPED, policy_flow, "datagram-dropped",                                \
	  "denied datagrams dropped on arrival")                                                   \
	X(POLICY_ANSWERED, policy_flow, "answered", "denied remote clients answered")              \
	X(POLICY_PACKET_UNREADABLE, policy_flow, "unreadable",                                     \
	  "packets dropped on arrival: too many extension headers")                                \
	X(POLICY_CALLER_LOST, policy_flow, "caller-lost",                                          \
	  "table of callers full, this one is known by its address only")                          \
	X(POLICY_SENDER_LOST, policy_flow, "sender-lost",                                          \
	  "a datagram's sender is not told, or no longer: dropped, or known by its address")       \
	X(POLICY_CACHE_FULL, policy_flow, "cache-full",                                            \
	  "a cgroup's workload found anew each time")                                              \
	X(POLICY_SOCKET_RAW, policy_socket, "raw", "raw sockets refused to a selected workload")   \
	X(POLICY_SOCKET_UDPLITE, policy_socket, "udp-lite",                                        \
	  "UDP-Lite sockets refused to a selected workload")                                       \
	X(POLICY_SOCKET_OTHER, policy_socket, "other",                                             \
	  "sockets of SCTP, DCCP and the like refused to a selected workload")                     \
	/* flows */                                                                                \
	X(FLOW_NO_RECORD, flow, "no-record", "no memory for the flow's record, flow not counted")  \
	X(FLOW_NO_STATS, flow, "no-stats", "service or endpoint left the map, counted under none") \
	X(EDGE_FOLDED, edge, "folded",                                                             \
	  "flows of edges beyond the budget, in their service's other")                            \
	X(EDGE_LOST, edge, "lost", "no memory for an edge, flows on none")                         \
	X(PAIR_MADE, pair, "made", "both ends of a connection found on this node")                 \
	X(PAIR_FULL, pair, "full", "table of pairs full, connection stays TCP")                    \
	X(PAIR_CLASH, pair, "clash", "sequence numbers not unique, connection stays TCP")          \
	/* events: sent + withheld + limited + lost = all there were; by enum sst_record_type */   \
	X(EVENT_OPEN, event, "open", "records of an opened flow sent")                             \
	X(EVENT_CLOSE, event, "close", "records of a closed flow sent")                            \
	X(EVENT_FAILED, event, "failed", "records of a failed connect() sent")                     \
	X(EVENT_DENIED, event, "denied", "records of what policy denied sent")                     \
	X(EVENT_OPEN_WITHHELD, event_withheld, "open", "nobody follows")                           \
	X(EVENT_CLOSE_WITHHELD, event_withheld, "close", "nobody follows")                         \
	X(EVENT_FAILED_WITHHELD, event_withheld, "failed", "nobody follows")                       \
	X(EVENT_DENIED_WITHHELD, event_withheld, "denied", "nobody follows")                       \
	X(EVENT_OPEN_LIMITED, event_limited, "open", "more a second than the node's events")       \
	X(EVENT_CLOSE_LIMITED, event_limited, "close", "more a second than the node's events")     \
	X(EVENT_FAILED_LIMITED, event_limited, "failed", "more a second than the node's events")   \
	X(EVENT_DENIED_LIMITED, event_limited, "denied", "more a second than the node's events")   \
	X(EVENT_OPEN_LOST, event_lost, "open", "ring buffer full")                                 \
	X(EVENT_CLOSE_LOST, event_lost, "close", "ring buffer full")                               \
	X(EVENT_FAILED_LOST, event_lost, "failed", "ring buffer full")                             \
	X(EVENT_DENIED_LOST, event_lost, "denied", "ring buffer full")                             \
	X(EVENT_ERRAND_LOST, event_lost, "errand",                                                 \
	  "ring buffer full, the daemon's next pass finds the work")                               \
	X(EVENT_MESSAGE_LOST, event_lost, "message", "ring buffer full: not in the capture")       \
	/* splice: what became of flows */                                                         \
	X(SPLICE_NOMINATED, splice_flow, "nominated", "ends that proved to be request/response")   \
	X(SPLICE_ADOPTED, splice_flow, "adopted", "ends adopted")                                  \
	X(SPLICE_PROVEN, splice_flow, "proven", "directions that began to redirect")               \
	X(SPLICE_STOPPED, splice_flow, "stopped", "pairs sent back to TCP for good")               \
	X(SPLICE_RELEASED, splice_flow, "released", "ends taken out, plain TCP sockets again")     \
	X(SPLICE_DECLINED, splice_flow, "declined",                                                \
	  "calls of splice(2) answered EINVAL: spliced bytes had to be read first")                \
	X(SPLICE_RESET, splice_flow, "reset",                                                      \
	  "connections reset: a splice(2) reader had spliced bytes unread")                        \
	X(REFUSE_OFF, splice_refused, "off", "switched off for the node or the service")           \
	X(REFUSE_KERNEL, splice_refused, "kernel", "auto, and this kernel failed the self-test")   \
	X(REFUSE_REMOTE, splice_refused, "remote", "other end is not on this node")                \
	X(REFUSE_ONE_WAY, splice_refused, "one-way", "a stream, not request/response")             \
	X(REFUSE_STREAMING, splice_refused, "streaming", "adopted, then turned into a stream")     \
	X(REFUSE_LEARNED, splice_refused, "learned",                                               \
	  "what the endpoint did lately speaks against")                                           \
	X(REFUSE_STATE, splice_refused, "state", "no longer established when it came to adoption") \
	X(REFUSE_SPLICE_READER, splice_refused, "splice-reader", "an end reads by splice(2)")      \
	X(REFUSE_PEER, splice_refused, "peer", "the other end was refused")                        \
	X(REFUSE_BLOCKING, splice_refused, "blocking", "an end's socket is blocking")              \
	X(REFUSE_LOWAT, splice_refused, "lowat", "SO_RCVLOWAT is set")                             \
	X(REFUSE_ZEROCOPY, splice_refused, "zerocopy", "SO_ZEROCOPY is set")                       \
	X(REFUSE_ULP, splice_refused, "ulp", "kTLS or another upper layer protocol")               \
	X(REFUSE_MPTCP, splice_refused, "mptcp", "subflow of MPTCP")                               \
	X(REFUSE_INQ, splice_refused, "inq", "TCP_INQ is set")                                     \
	X(REFUSE_PEEK_OFF, splice_refused, "peek-off", "SO_PEEK_OFF is set")                       \
	X(REFUSE_TIMESTAMPS, splice_refused, "timestamps",                                         \
	  "SO_TIMESTAMP or SO_TIMESTAMPING is set")                                                \
	X(REFUSE_REPAIR, splice_refused, "repair", "TCP_REPAIR is set")                            \
	X(REFUSE_MEMORY, splice_refused, "memory",                                                 \
	  "TCP's memory is short, or a memory cgroup of v1 limits the socket's")                   \
	X(REFUSE_MEMBER, splice_refused, "member",                                                 \
	  "somebody else's sockmap holds the socket, or ours is full")                             \
	/* splice: messages */                                                                     \
	X(MESSAGE_SPLICED, splice_message, "spliced", "messages redirected into the peer")         \
	X(MESSAGE_STOPPED, splice_message, "stopped", "by TCP: the pair was sent back for good")   \
	X(MESSAGE_NO_PEER, splice_message, "no-peer",                                              \
	  "by TCP: the peer has ended or is not adopted yet")                                      \
	X(MESSAGE_SHUTDOWN, splice_message, "shutdown", "by TCP: sender has shut down its side")   \
	X(MESSAGE_UNPROVEN, splice_message, "unproven",                                            \
	  "by TCP: the reader may still sleep in a plain recv()")                                  \
	X(MESSAGE_DRAIN, splice_message, "drain",                                                  \
	  "by TCP: the reader has TCP bytes to read first")                                        \
	X(MESSAGE_TURN, splice_message, "turn",                                                    \
	  "by TCP: the reader has not answered since the last TCP message")                        \
	X(MESSAGE_FULL, splice_message, "full", "by TCP: the reader holds enough unread bytes")    \
	X(MESSAGE_FAILED, splice_message, "failed", "by TCP: the redirect helper declined")        \
	X(MESSAGE_DOOMED, splice_message, "doomed", "refused: the connection is about to be reset")

#define X(symbol, group, name, help) SST_COUNTER_##symbol,
enum sst_counter { SST_COUNTERS(X) SST_COUNTER_MAX };
#undef X

/* ---- flows ------------------------------------------------------------------ */

enum sst_role {
	SST_ROLE_CLIENT = 0, /* called connect() */
	SST_ROLE_SERVER = 1, /* was accepted */
};

/* The splice's states, see ARCHITECTURE.md. */
enum sst_splice_state {
	SST_STATE_TCP = 0,
	SST_STATE_NOMINATED = 1,
	SST_STATE_ADOPTING = 2, /* one walk has it; another leaves it alone */
	SST_STATE_ADOPTED = 3,
	SST_STATE_REDIRECTING = 4,
	SST_STATE_STICKY = 5,   /* in the sockhash, but every message goes by TCP */
	SST_STATE_RELEASED = 6, /* taken out: a plain TCP socket, for good */
};

enum sst_record_type {
	SST_RECORD_LIVE = 0, /* from the iterator */
	SST_RECORD_OPEN = 1, /* the rest from the ring buffer */
	SST_RECORD_CLOSE = 2,
	SST_RECORD_FAILED = 3,
	SST_RECORD_DENIED = 4, /* by policy: there was no connection */
	SST_RECORD_TYPES,
};

/* Who decided, in the order in which they are asked. */
enum sst_tier {
	SST_TIER_NONE = 0, /* no rule is about it */
	SST_TIER_ADMIN = 1,
	SST_TIER_HOST = 2, /* built in: the host reaches its own workloads */
	SST_TIER_NETWORK = 3,
	SST_TIER_BASELINE = 4,
	SST_TIER_DEFAULT = 5, /* built in: what befalls workloads that nothing selects */
	SST_TIER_SELF = 6,    /* built in: a workload reaches itself */
};

/* What policy says of a flow: by the one who calls and by the one who is called. Ids,
 * which the policy set gives names to; 0: none, or not asked. */
struct sst_judgement {
	__u32 identity; /* of this end */
	__u32 workload;
	__u32 peer_identity;
	__u32 peer_workload;
	__u32 rule[2];   /* that decided, by enum sst_direction */
	__u32 shadow[2]; /* in shadow, that would have had a say */
	__u8 tier[2];
	__u8 denied[2];
	__u8 shadow_denied[2]; /* what it would have been */
	__u8 asked[2];         /* 1: this direction was decided here */
};
static_assert(sizeof(struct sst_judgement) == 40, "sst_judgement");

/*
 * One end of a flow, as told by the iterator and by events alike: what a human
 * or a log wants to know of it. Byte counts are from this end's point of view
 * and split by path.
 */
struct sst_record {
	__u64 flow;      /* the socket's cookie: the flow's id in every view */
	__u64 peer_flow; /* the other end's, 0 if it is not on this node */
	__u64 time_ns;   /* CLOCK_BOOTTIME of this record */
	__u64 opened_ns; /* CLOCK_BOOTTIME of ESTABLISHED (of connect() for a failed one) */
	__u64 cgroup_id; /* of the socket: the cgroup at socket(), an accepted one has its listener's */
	__u64 sent_bytes;
	__u64 received_bytes;
	__u64 spliced_sent_bytes;
	__u64 spliced_received_bytes;
	struct sst_addr local;
	struct sst_addr remote; /* the endpoint, where there is a service */
	struct sst_addr asked;  /* what the application asked for; all zero without a service */
	__be16 local_port;
	__be16 remote_port;
	__be16 asked_port;
	__u8 type;     /* enum sst_record_type */
	__u8 protocol; /* IPPROTO_* */
	__u8 role;     /* enum sst_role */
	__u8 splice;   /* enum sst_splice_state */
	__u8 tcp_state;
	__u8 unread;   /* 1: spliced bytes wait to be read (a switch-off must wait for them) */
	__u32 service; /* 0: none */
	__u32 endpoint;
	__u32 error; /* errno of a failed connect(), or what ended the flow; 0: none */
	__u32 srtt_us;
	__u32 retransmits;
	__u32 netns_ino; /* as in /proc/PID/ns/net */
	struct sst_judgement judgement;
	__u32 edge;       /* id in map `edges`; 0: none */
	__u32 connect_us; /* that connect() took, of a client's end */
	__u8 ending;      /* enum sst_ending of a CLOSE, enum sst_failure of a FAILED */
	__u8 pad[7];
};
static_assert(sizeof(struct sst_record) == 216, "sst_record");

/*
 * A pair: the two ends of a connection whose sockets are both on this node. Key
 * of map `pairs`: the first sequence numbers of the two directions, which both
 * ends know at ESTABLISHED and nobody else shares.
 */
struct sst_pair_key {
	__u32 client_seq;
	__u32 server_seq;
};
static_assert(sizeof(struct sst_pair_key) == 8, "sst_pair_key");

struct sst_pair_end {
	__u64 cookie; /* 0: this end is not here (yet) */
	__u64 sock;   /* its struct tcp_sock: an address to probe, never to trust */
	__u64 spliced_bytes;
	__u64 spliced_messages;
	__u32 turns;      /* messages it has sent since it was adopted */
	__u32 seen_turns; /* the other end's turns when it last sent by TCP */
	__u32 copied_seq; /* its own, when it was adopted */
	__u32 state;      /* enum sst_splice_state, but for STICKY, which is the pair's */
	__s32 credit;     /* what the splice is worth to it; below 0: it is a stream */
	__u32 next_seq;   /* its write_seq after its last message, as far as was seen */
	__u32 run_seq;    /* its write_seq when the other end had sent something since */
	__u32 pad;
};
static_assert(sizeof(struct sst_pair_end) == 64, "sst_pair_end");

enum sst_permission {
	SST_FORBIDDEN = 0,
	SST_PERMITTED = 1, /* by `auto`: unless what was learned of the endpoint speaks against */
	SST_INSISTED = 2,  /* by `on`, whatever was learned */
};

struct sst_pair {
	struct sst_pair_end end[2]; /* by enum sst_role */
	__u64 joined;               /* the server's cookie once it has a record of its own */
	__u32 service;
	__u32 endpoint;
	__u32 ended;   /* bit per role; who sets the second one deletes the pair */
	__u32 stopped; /* 1: back to TCP for good */
	__u8 allowed;  /* enum sst_permission: may it be nominated and adopted */
	__u8 doomed;   /* 1: about to be reset, carries nothing more */
	__u8 quiet[2]; /* by role; 1: stopped, and no send() from before is under way */
	__u32 pad;
};
static_assert(sizeof(struct sst_pair) == 160, "sst_pair");

/* Map `pair_places`: pairs have a place here as long as there is room, see lib/pair.h; the others
 * lie in map `pairs`. */
#define SST_PAIR_PLACES 4096

struct sst_pair_place {
	__u64 key; /* struct sst_pair_key as a number, 0: free */
	struct sst_pair pair;
};
static_assert(sizeof(struct sst_pair_place) == 168, "sst_pair_place");

#define SST_PAIR_ELSEWHERE (~0U) /* in map `pairs` */

enum sst_flow_state {
	SST_FLOW_CONNECTING = 0,
	SST_FLOW_ESTABLISHED = 1,
	SST_FLOW_ENDED = 2,
};

enum sst_counted {
	SST_COUNTED_NOT = 0,
	SST_COUNTED_HERE = 1,      /* in the statistics of its own service */
	SST_COUNTED_ELSEWHERE = 2, /* in those of 0: it had left when the flow began */
};

/* Map `flows`, in the socket's own storage: what is known of this end of a flow. */
struct sst_flow {
	__u64 cookie;
	__u64 started_ns; /* CLOCK_BOOTTIME of connect() or accept */
	__u64 opened_ns;  /* of ESTABLISHED */
	/* What the statistics already hold of this flow; grows by compare-and-swap. */
	__u64 counted_sent;
	__u64 counted_received;
	__u64 counted_spliced_sent;
	__u64 counted_spliced_received;
	__u64 counted_retransmits;
	struct sst_addr asked;  /* the service address, zero without a service */
	struct sst_addr chosen; /* the endpoint's, zero without a service */
	struct sst_pair_key pair;
	__be16 asked_port;
	__be16 chosen_port;
	__u32 service;
	__u32 endpoint;
	__u8 role;      /* enum sst_role */
	__u8 protocol;  /* IPPROTO_* */
	__u8 state;     /* enum sst_flow_state */
	__u8 counted;   /* enum sst_counted: statistics and events tell of it by this end */
	__u8 doomed;    /* 1: must be reset, see splicers.bpf.c */
	__u8 splice;    /* enum sst_splice, the service's when it was chosen */
	__u8 peer_told; /* 1: who is called was told by its socket, not by its address */
	__u8 ending;    /* enum sst_failure if it never was established, else enum sst_ending */
	__u32 place;    /* of the pair: in map `pair_places` + 1, or SST_PAIR_ELSEWHERE; 0: none */
	struct sst_judgement judgement;
	__u64 generation; /* of the policy set that judged it */
	__u32 calling_as; /* its place in map `callers` + 1, 0: none */
	__u32 edge;       /* id in map `edges`, 0: none yet */
};
/* What the kernel puts before it makes 256 bytes of it: a size that it allocates. */
static_assert(sizeof(struct sst_flow) == 184, "sst_flow");

/*
 * Map `udp_peers`, in the storage of a UDP socket that talks to services without
 * connect(): which endpoint stands for which service, for the way back. A socket
 * stays with its endpoint while datagrams follow each other within
 * SST_UDP_STICKY_NS and the endpoint is ready.
 */
#define SST_UDP_PEERS     8
#define SST_UDP_STICKY_NS (30ULL * 1000000000)

struct sst_udp_peer {
	struct sst_addr asked;
	struct sst_addr chosen;
	__be16 asked_port;
	__be16 chosen_port;
	__u32 endpoint; /* 0: unused */
	__u64 used_ns;  /* CLOCK_BOOTTIME */
};
static_assert(sizeof(struct sst_udp_peer) == 48, "sst_udp_peer");

/*
 * Map `habits`, by endpoint: how often its adopted connections turned out to be streams.
 * After a disappointment none is adopted for a while, twice as long after each that
 * follows; a connection that did well halves the count.
 */
#define SST_HABIT_FIRST_NS  (10ULL * 1000000000)
#define SST_HABIT_DOUBLINGS 9 /* at most: an hour and a half */

struct sst_habit {
	__u64 until_ns; /* CLOCK_BOOTTIME; nothing is adopted before */
	__u32 strikes;  /* disappointments, less what was made up for */
	__u32 pad;
};
static_assert(sizeof(struct sst_habit) == 16, "sst_habit");

/*
 * Map `splicers`, by the id of a cgroup, CLOCK_BOOTTIME: somebody there read by splice(2)
 * lately. A program that reads one socket so will read others so, and one that begins when
 * it has spliced bytes before it is harmed.
 */
#define SST_SPLICER_NS (3600ULL * 1000000000) /* as long nothing of the cgroup is adopted */

/* Ring `errands`: what the daemon is asked to do at once. */
enum sst_errand_kind {
	SST_ERRAND_ADOPT = 0,   /* both ends of a pair are nominated */
	SST_ERRAND_END = 1,     /* a flow must be reset */
	SST_ERRAND_RELEASE = 2, /* a pair was stopped */
};

struct sst_errand {
	__u32 kind; /* enum sst_errand_kind; the walks find the flows */
};
static_assert(sizeof(struct sst_errand) == 4, "sst_errand");

/* A datagram as it is on the wire. */
struct sst_tuple {
	struct sst_addr source;
	struct sst_addr target;
	__be16 source_port;
	__be16 target_port;
};
static_assert(sizeof(struct sst_tuple) == 36, "sst_tuple");

/* Map `udp_flows`, by a flow's first datagram: which end tells of it, and on which edge. */
#define SST_UDP_FLOW_NS (120ULL * 1000000000) /* without datagrams the other end may */

struct sst_udp_flow {
	__u64 cookie;     /* of the socket that tells */
	__u64 generation; /* of the policy set by which they are who they are, 0: none */
	__u64 used_ns;    /* CLOCK_BOOTTIME */
	__u32 edge;       /* id */
	__u32 edges;      /* sst_edge_state.generation then */
	__u32 role;       /* enum sst_role of the socket that tells */
	__u32 pad;
};
static_assert(sizeof(struct sst_udp_flow) == 40, "sst_udp_flow");

/* ---- policy ------------------------------------------------------------------- */

/* Map `rule_stats`, per CPU, by the id of a rule; see policy.h. */
struct sst_rule_stats {
	__u64 decided;     /* flows it decided; for one in shadow always 0 */
	__u64 shadow;      /* flows it would have had a say in, were it enforced */
	__u64 would_allow; /* ... which were denied */
	__u64 would_deny;  /* ... which were allowed */
};
static_assert(sizeof(struct sst_rule_stats) == 32, "sst_rule_stats");

/*
 * Map `callers`: a connect() of this node whose SYN is under way. The called end finds it by
 * the SYN, which bears nothing else of who sent it: two processes on 127.0.0.1 are two
 * identities, and addresses may be translated on the way.
 */
struct sst_caller {
	__u64 generation; /* of the set by which it was judged */
	struct sst_addr address;
	__u32 identity; /* id */
	__u32 workload; /* id, 0: none */
	__u32 judged;   /* id of the workload whose ingress was decided at connect(), 0: none */
	__u32 pad;
};
static_assert(sizeof(struct sst_caller) == 40, "sst_caller");

/* An element: who is there is told by its first 64 bytes. */
#define SST_CALLERS      7
#define SST_CALLERS_NEAR 32   /* elements that are tried first */
#define SST_CALLERS_FAR  4096 /* and the others */

struct sst_callers {
	__u64 key[SST_CALLERS]; /* the SYN's sequence and the caller's port; 0: free */
	__u64 elsewhere;        /* how many found this one full and are in another one */
	struct sst_caller caller[SST_CALLERS];
};
static_assert(sizeof(struct sst_callers) == 344, "sst_callers");

/*
 * Map `verdicts`: calls by TCP that were allowed, by all that the answer hangs on beside the set,
 * which never changes: who a cgroup and a network namespace are, what addresses are, what is
 * asked for. Their ids are never given twice.
 */
#define SST_VERDICTS 4096 /* a power of two */

struct sst_verdict_key {
	__u64 netns;                /* cookie, of who asks */
	__u64 cgroup[2];            /* ids, by enum sst_role; 0: of no socket that was seen */
	struct sst_addr address[2]; /* zero: not known yet */
	__u16 port;                 /* of who is called, host order */
	__u16 own;                  /* enum sst_role of who asks */
	__u32 pad;
};
static_assert(sizeof(struct sst_verdict_key) == 64, "sst_verdict_key");

struct sst_verdict {
	__u64 version;    /* odd while somebody writes */
	__u64 generation; /* of the set, 0: nothing is here */
	struct sst_verdict_key key;
	struct sst_judgement judgement;
};
static_assert(sizeof(struct sst_verdict) == 120, "sst_verdict");

/* Map `datagrams`: with whom a UDP socket may exchange datagrams without being asked again,
 * as long as the set is the same. */
struct sst_datagram_key {
	__u64 cookie;
	struct sst_addr address;
	__be16 port;
	__u16 pad[3];
};
static_assert(sizeof(struct sst_datagram_key) == 32, "sst_datagram_key");

#define SST_DATAGRAM_NS (120ULL * 1000000000) /* without any it is asked about anew */

struct sst_datagram {
	__u64 generation;
	__u64 used_ns; /* CLOCK_BOOTTIME */
	__u32 judged;  /* id of the workload whose ingress the sender had decided, 0: none */
	__u32 is_told; /* 1: map `senders` told who sends, and must go on to: */
	__u32 sender_identity; /* id */
	__u32 sender_workload; /* id, 0: none */
};
static_assert(sizeof(struct sst_datagram) == 32, "sst_datagram");

/*
 * Map `senders`: a datagram of this node that is under way. Each one is
 * told of when it leaves its sender's network namespace, so that what is found when it
 * arrives is no older than the way takes; what another node sends is never told of.
 */
#define SST_SENDER_NS (1ULL * 1000000000) /* none is under way for so long */

struct sst_sender {
	__u64 generation; /* of the set by which it is who it is */
	__u64 cookie;     /* of the sending socket */
	__u64 used_ns;    /* CLOCK_BOOTTIME */
	__u32 identity;   /* id */
	__u32 workload;   /* id, 0: none */
	__u32 judged;     /* id of the workload whose ingress it had decided, 0: none */
	__u32 pad;
};
static_assert(sizeof(struct sst_sender) == 40, "sst_sender");

/* Map `answers`: whom to answer, instead of dropping what it sends, while the set is of this
 * generation. */
struct sst_answer_key {
	struct sst_addr remote;
	struct sst_addr local;
	__be16 port; /* of who is called */
	__u8 protocol;
	__u8 pad;
};
static_assert(sizeof(struct sst_answer_key) == 36, "sst_answer_key");

/* Map `cgroups`: which workload a cgroup is part of, as far as it was asked for. */
struct sst_cgroup {
	__u64 generation;
	__u32 workload; /* index, 0: nobody */
	__u32 pad;
};
static_assert(sizeof(struct sst_cgroup) == 16, "sst_cgroup");

/* ---- edges ---------------------------------------------------------------------- */

/*
 * An edge: who calls whom, through which service. The counters of map `edges` are the truth
 * of what flowed; records and events are the news. One end of a connection tells of it: its
 * client's where that is on this node, else its server's.
 */
struct sst_edge_key {
	__u64 cgroup; /* id, of the end that tells, where no workload says who it is; else 0 */
	__u32 source_identity;
	__u32 source_workload;
	__u32 destination_identity;
	__u32 destination_workload;
	__u32 service; /* that was asked for; 0: none */
	__u32 rule;    /* that denied; 0: none did */
	__u16 port;    /* of who is called, host order */
	__u8 protocol; /* IPPROTO_TCP, IPPROTO_UDP */
	__u8 role;     /* enum sst_role of the end that tells */
	__u8 denied;   /* 1: the edge is of calls that were denied */
	__u8 pad[3];
};
static_assert(sizeof(struct sst_edge_key) == 40, "sst_edge_key");

/* Ids are never given twice. This bit and a service's id: what of the service is on no edge
 * of its own, since there are more than the budget. */
#define SST_EDGE_FOLDED 0x80000000U

/* Why a connect() did not succeed; X(SYMBOL, name, help). */
#define SST_FAILURES(X)                                               \
	X(REFUSED, "refused", "nobody listens there")                 \
	X(TIMED_OUT, "timed-out", "no answer")                        \
	X(UNREACHABLE, "unreachable", "no way to the host")           \
	X(ABANDONED, "abandoned", "the caller closed it before that") \
	X(OTHER, "other", "another error")

#define X(symbol, name, help) SST_FAILURE_##symbol,
enum sst_failure { SST_FAILURES(X) SST_FAILURE_MAX };
#undef X

/* How an established connection ended. */
#define SST_ENDINGS(X)                                               \
	X(ORDERLY, "orderly", "both sides closed it")                \
	X(RESET_BY_CLIENT, "reset-by-client", "the client reset it") \
	X(RESET_BY_SERVER, "reset-by-server", "the server reset it") \
	X(TIMED_OUT, "timed-out", "the other side answered no more") \
	X(ENDED, "ended", "this node ended it: by policy, or with its endpoint")

#define X(symbol, name, help) SST_ENDING_##symbol,
enum sst_ending { SST_ENDINGS(X) SST_ENDING_MAX };
#undef X

/* Map `edges`, per CPU, by id; only ever added to. "sent" is from the client. */
struct sst_edge {
	__u64 opened;                  /* TCP connections established */
	__u64 closed[SST_ENDING_MAX];  /* established ones that ended */
	__u64 failed[SST_FAILURE_MAX]; /* connect() that did not succeed */
	__u64 denied;                  /* connect() or sendmsg() denied by policy */
	__u64 sent_bytes;              /* by TCP, retransmissions not counted */
	__u64 received_bytes;
	__u64 spliced_sent_bytes;
	__u64 spliced_received_bytes;
	__u64 retransmits; /* segments */
	__u64 udp_connected;
	__u64 udp_sent_datagrams;
	__u64 udp_received_datagrams;
	__u64 udp_sent_bytes; /* of payload */
	__u64 udp_received_bytes;
};
static_assert(sizeof(struct sst_edge) == 176, "sst_edge");

/*
 * Two buckets for each power of two, so that a value is off by a third at most: bucket n >= 2
 * begins with (2 + n % 2) << (n / 2 - 1), the last one has all that is larger.
 */
#define SST_BUCKETS 56

#define SST_TIMES(X)                                                           \
	X(CONNECT, "connect", "microseconds from connect() to the connection") \
	X(RTT, "rtt",                                                          \
	  "microseconds of the smoothed round trip, at the connection's "      \
	  "end and at each sweep that finds bytes moved")                      \
	X(DURATION, "duration", "milliseconds from the connection to its end")

#define X(symbol, name, help) SST_TIME_##symbol,
enum sst_time { SST_TIMES(X) SST_TIME_MAX };
#undef X

struct sst_histogram {
	__u64 sum;
	__u64 count[SST_BUCKETS];
};

/* Map `edge_info`, by id: whose the id is, and what takes its time there. */
struct sst_edge_info {
	struct sst_edge_key key;
	__u64 used_ns; /* CLOCK_BOOTTIME, to the second or so */
	struct sst_histogram time[SST_TIME_MAX];
};
static_assert(sizeof(struct sst_edge_info) == 48 + SST_TIME_MAX * 8 * (1 + SST_BUCKETS),
	      "sst_edge_info");

static inline __u32 sst_bucket(__u64 value)
{
	__u64 rest = value;
	__u32 log = 0;

	if (value < 2)
		return value;
	for (__u32 step = 32; step; step >>= 1)
		if (rest >> step) {
			rest >>= step;
			log += step;
		}
	log = 2 * log + (value >> (log - 1) & 1);
	return log < SST_BUCKETS ? log : SST_BUCKETS - 1;
}

/* The least value of bucket n. */
static inline __u64 sst_bucket_begin(__u32 n)
{
	return n < 2 ? n : (2ULL + n % 2) << (n / 2 - 1);
}

/* Map `edge_state`, one entry. */
struct sst_edge_state {
	__u32 last;       /* id that was given; K adds */
	__u32 used;       /* keys in map `edge_ids`; K adds, U takes away */
	__u32 generation; /* raised when keys were taken away: ids that a program keeps beyond
			   * its own run are to be asked for anew. U writes */
	__u32 pad;
};
static_assert(sizeof(struct sst_edge_state) == 16, "sst_edge_state");

/* What had expired of a service goes by this id when the service has gone and it joins the rest. */
#define SST_EDGES_OF(service) (1ULL << 32 | (service))

/* Map `edges_expired`, by service: totals of edges that were idle, and of which nothing else is
 * left. U only. */
struct sst_edge_expired {
	struct sst_edge total;
	struct sst_histogram time[SST_TIME_MAX];
	__u64 last; /* id that was added last: a crash must not add it twice */
};
static_assert(sizeof(struct sst_edge_expired) == 184 + SST_TIME_MAX * 8 * (1 + SST_BUCKETS),
	      "sst_edge_expired");

/* ---- captures ----------------------------------------------------------------- */

/*
 * Map `capture`, one entry: which messages of adopted sockets are told of in ring
 * `messages`. A capture of services has their ids in map `captured` and flow = 0.
 * It ends at its deadline or limit, whatever became of the process that began it.
 */
struct sst_capture {
	__u64 deadline_ns; /* CLOCK_BOOTTIME; 0: none runs. The kernel half puts 0 at the end */
	__u64 flow;        /* the cookie of either end; 0: by service */
	__u64 limit;       /* messages */
	__u64 taken;       /* messages that were asked for, the lost ones included; K adds */
	__u64 lost;        /* of these: ring full; K adds */
	__u32 payload;     /* bytes of each message to record, at most SST_PAYLOAD_MAX */
	__u32 owner;       /* pid */
};
static_assert(sizeof(struct sst_capture) == 48, "sst_capture");

/* A message's first piece, the only one to be seen, is never longer: the kernel copies
 * what is sent into areas of this size. */
#define SST_PAYLOAD_MAX 32768

/*
 * One message as its sender gave it to the kernel. Offsets count the bytes of one direction
 * from the first one, by TCP and past it; with `first` they are sequence numbers that
 * go on where the handshake, which is TCP's, left off.
 */
struct sst_message {
	__u64 time_ns; /* CLOCK_BOOTTIME */
	__u64 flow;    /* the sender's cookie */
	__u64 peer_flow;
	__u64 offset; /* of the message's first byte */
	__u64 acked;  /* bytes of the other direction that have reached the sender */
	struct sst_addr local;
	struct sst_addr remote;
	struct sst_addr asked; /* what the sender asked for; zero for a server's end */
	__be16 local_port;
	__be16 remote_port;
	__be16 asked_port;
	__u8 role; /* enum sst_role of the sender */
	__u8 pad;
	struct sst_pair_key first;
	__u32 service;
	__u32 decision; /* enum sst_counter: MESSAGE_SPLICED, or why it went by TCP */
	__u32 size;
	__u32 captured; /* bytes that follow: the message's begin */
};
static_assert(sizeof(struct sst_message) == 120, "sst_message");

#endif /* SIDESTEP_ABI_H */
