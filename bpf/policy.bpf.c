/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The one place where the kernel half asks the policy set. Its functions are global: the
 * verifier looks at each by itself, once for each program, so that the effort adds up
 * instead of multiplying, and their stacks are not all in use at once. Such a function
 * cannot be handed the set; it takes the one in force and tells by the generation when
 * that is another one by now.
 */
#include "maps.h"
#include "lib/datagram.h"
#include "lib/policy.h"
#include "lib/record.h"
#include "lib/sender.h"

/* A part of sst_decide(), so that the verifier looks at it once and not for each search. */
__u32 sst_first_rule(const struct sst_policy_rows *rows)
{
	void *set = policy_set();
	const struct sst_policy_head *head = policy_head(set);

	if (!rows || !set || !head || head->generation != rows->generation)
		return SST_POLICY_BROKEN;
	return sst_policy_first(set, rows);
}

/* ---- who is who ------------------------------------------------------------------- */

/* Adds the name of one cgroup to the hash of its path. */
static __always_inline __u64 hash_name(__u64 hash, const char *name)
{
	__u64 words[SST_PATH_WORDS + 1];

	for (int i = 0; i < SST_PATH_PIECES; i++) {
		__builtin_memset(words, 0, sizeof(words));
		/* with its NUL: a whole piece is followed by another one */
		long n = bpf_probe_read_kernel_str(words, SST_PATH_PIECE + 1,
						   name + i * SST_PATH_PIECE);

		hash = sst_path_piece(hash, words);
		if (n <= SST_PATH_PIECE)
			break;
	}
	return sst_path_name_end(hash);
}

/* A walk from the root to a cgroup. */
struct path {
	void *set;
	const struct sst_policy_head *head;
	struct cgroup **ancestors; /* of the cgroup, by level */
	__u64 hash;
	int level; /* the cgroup's own */
	__u32 workload;
};

/* One level; bpf_loop()'s are looked at once, however many there are. */
static long path_step(__u32 n, struct path *path)
{
	struct cgroup *ancestor = 0;
	struct kernfs_node *node;
	__u32 found;

	if ((int)n >= path->level ||
	    bpf_probe_read_kernel(&ancestor, sizeof(ancestor), path->ancestors + n + 1))
		return 1;
	node = BPF_CORE_READ(ancestor, kn);
	path->hash = hash_name(path->hash, BPF_CORE_READ(node, name));
	found = sst_policy_find(path->set, path->head, SST_KEY_CGROUP_PATH, path->hash);
	if (!found)
		found = sst_policy_find(path->set, path->head, SST_KEY_CGROUP_ID,
					BPF_CORE_READ(node, id));
	if (found)
		path->workload = found;
	return 0;
}

/* The workload of a cgroup, told by where that lies: the nearest of it and those above it that
 * is one. 0: nobody's, or the set is another one by now. */
__u32 sst_workload_of_path(__u64 place, __u64 generation)
{
	struct cgroup *cgroup = (struct cgroup *)place;
	struct path path = { .set = policy_set() };

	path.head = policy_head(path.set);
	if (!path.set || !path.head || path.head->generation != generation)
		return 0;
	path.hash = path.head->seed;
	path.level = BPF_CORE_READ(cgroup, level);
	path.ancestors = (struct cgroup **)__builtin_preserve_access_index(&cgroup->ancestors[0]);
	bpf_loop(SST_PATH_LEVELS, path_step, &path, 0);
	return path.workload;
}

static __always_inline __u32 workload_of_cgroup(struct sock *sk, __u64 id, __u64 generation)
{
	struct sst_cgroup *known = bpf_map_lookup_elem(&cgroups, &id);
	struct sst_cgroup found = { .generation = generation };

	if (known && known->generation == generation)
		return known->workload;
	found.workload = sst_workload_of_path((unsigned long)BPF_CORE_READ(sk, sk_cgrp_data.cgroup),
					      generation);
	if (bpf_map_update_elem(&cgroups, &id, &found, BPF_ANY))
		count(SST_COUNTER_POLICY_CACHE_FULL);
	return found.workload;
}

static __always_inline __u64 generation_in_force(void)
{
	const struct sst_policy_head *head = policy_head(policy_set());

	return head ? head->generation : 0;
}

static __always_inline void find_workload(struct policy_case *c, struct policy_end *end)
{
	struct sock *sk = (struct sock *)end->sk;
	struct sst_config *node = settings();
	__u64 id = end->cgroup;

	end->workload = 0;
	if (!sk)
		return;
	if (!id)
		id = BPF_CORE_READ(sk, sk_cgrp_data.cgroup, kn, id);
	end->workload = workload_of_cgroup(sk, id, c->generation);
	/* what proves the hooks must not depend on what is ruled */
	if (node && node->selftest_cgroup == id)
		c->exempt = 1;
}

/* First: those that their sockets' cgroups tell of. */
int sst_find_workloads(struct policy_case *c)
{
	if (!c)
		return -1;
	c->generation = generation_in_force();
	if (!c->generation)
		return -1;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 2; i++)
		find_workload(c, &c->end[i]);
	return 0; /* that the set is still the same is seen by the next step */
}

/* Who is called was found by its cgroup, and is whom the caller was judged for: the usual case of
 * a call within the node, which needs no more. */
int sst_is_settled(struct policy_case *c)
{
	const struct sst_policy_workload *workload;
	const struct sst_policy_head *head;
	void *set = policy_set();

	if (!c)
		return 0;
	head = policy_head(set);
	if (!set || !head || c->judged_by != c->generation || head->generation != c->generation)
		return 0;
	workload = sst_policy_at(set, head->workloads, c->end[c->own & 1].workload,
				 struct sst_policy_workload);
	c->flags = head->flags;
	return workload && workload->id == c->judged;
}

static __always_inline int is_known(const struct sst_addr *address)
{
	return (address->w[0] | address->w[1] | address->w[3]) != 0;
}

static __always_inline const struct sst_policy_workload *
workload_at(void *set, const struct sst_policy_head *head, __u32 index)
{
	if (!index)
		return 0;
	return sst_policy_at(set, head->workloads, index, struct sst_policy_workload);
}

int sst_is_host(const struct sst_addr *address)
{
	void *set = policy_set();
	const struct sst_policy_head *head = policy_head(set);
	struct sst_policy_place place;

	if (!address || !set || !head)
		return 0;
	locate(set, head, address, &place);
	return place.identity == SST_IDENTITY_HOST;
}

/* By its cgroup, its network namespace, the address it has; else it is the node's own, or in a
 * namespace that nobody has told of. */
static __always_inline void ask_socket(void *set, const struct sst_policy_head *head,
				       struct policy_end *end, const struct sst_policy_place *place)
{
	const struct sst_policy_workload *workload;
	struct sock *sk = (struct sock *)end->sk;
	__u64 netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, net_cookie);
	__u32 index = end->workload;

	if (!index)
		index = sst_policy_find(set, head, SST_KEY_NETNS, netns);
	if (!index)
		index = place->workload;
	workload = workload_at(set, head, index);
	end->is_local = 1;
	end->is_home = !head->host_netns || netns == head->host_netns;
	end->workload = workload ? index : 0;
	end->identity = SST_IDENTITY_UNKNOWN;
	if (workload)
		end->identity = workload->identity;
	else if (end->is_home)
		end->identity = SST_IDENTITY_HOST;
}

/* Somebody on this node whom we do not see, or on another one. */
static __always_inline void ask_address(void *set, const struct sst_policy_head *head,
					struct policy_end *end,
					const struct sst_policy_place *place)
{
	const struct sst_policy_workload *workload = workload_at(set, head, place->workload);

	end->identity = place->identity;
	end->workload = place->workload;
	end->is_local = workload && workload->flags & SST_WORKLOAD_LOCAL;
}

static __noinline int find_identity(void *set, const struct sst_policy_head *head,
				    struct policy_end *end)
{
	struct sst_policy_place place = { .network = SST_NETWORK_UNKNOWN };

	if (is_known(&end->address))
		locate(set, head, &end->address, &place);
	end->network = place.network;
	if (end->sk)
		ask_socket(set, head, end, &place);
	else
		ask_address(set, head, end, &place);
	return 0;
}

/* Identities and workloads are sorted by id, which each begins with. */
struct numbered {
	__u32 id;
	__u32 rest[7];
};
static_assert(sizeof(struct numbered) == sizeof(struct sst_policy_identity) &&
		      sizeof(struct numbered) == sizeof(struct sst_policy_workload),
	      "both tables are searched alike");

/* Index of an id, 0 if it is not there any more. */
static __noinline __u32 index_of(void *set, __u32 table, __u32 n, __u32 id)
{
	const struct numbered *at;
	__u32 first = 0;

	for (int i = 0; i < 21 && n > 1; i++) {
		__u32 half = n / 2;

		at = sst_policy_at(set, table, first + half, struct numbered);
		if (!at)
			return 0;
		if (at->id <= id) {
			first += half;
			n -= half;
		} else {
			n = half;
		}
	}
	at = sst_policy_at(set, table, first, struct numbered);
	return at && at->id == id ? first : 0;
}

static __always_inline const struct numbered *
identity_at(void *set, const struct sst_policy_head *head, const struct policy_end *end)
{
	return sst_policy_at(set, head->identities, end->identity, struct numbered);
}

static __always_inline void write_ids(void *set, const struct sst_policy_head *head,
				      struct policy_case *c)
{
	const struct policy_end *own = &c->end[c->own & 1], *peer = &c->end[!c->own];
	const struct numbered *at = identity_at(set, head, own);

	c->judgement.identity = at ? at->id : 0;
	at = identity_at(set, head, peer);
	c->judgement.peer_identity = at ? at->id : 0;
	at = sst_policy_at(set, head->workloads, own->workload, struct numbered);
	c->judgement.workload = at ? at->id : 0;
	at = sst_policy_at(set, head->workloads, peer->workload, struct numbered);
	c->judgement.peer_workload = at ? at->id : 0;
}

static __always_inline __u8 is_selected(void *set, const struct sst_policy_head *head,
					const struct policy_end *end)
{
	const struct sst_policy_identity *identity =
		sst_policy_at(set, head->identities, end->identity, struct sst_policy_identity);

	return identity && identity->is_selected;
}

/* A loopback address is of the namespace of who sees it. */
static __always_inline void find_loopback(struct policy_end *end, const struct policy_end *seen_by)
{
	if (end->sk || !is_loopback(&end->address))
		return;
	end->identity = seen_by->is_home ? SST_IDENTITY_HOST : SST_IDENTITY_UNKNOWN;
	end->workload = 0;
}

/* Then those that namespaces and addresses tell of, and whose identity each has. */
int sst_find_identities(struct policy_case *c)
{
	const struct sst_policy_head *head;
	const struct sst_policy_workload *workload;
	struct policy_end *peer;
	void *set = policy_set();

	if (!c)
		return -1;
	head = policy_head(set);
	if (!set || !head || head->generation != c->generation)
		return -1;
	__builtin_memset(&c->judgement, 0, sizeof(c->judgement));
	c->denied = c->unknown = 0;
	c->flags = head->flags;
	find_identity(set, head, &c->end[0]);
	find_identity(set, head, &c->end[1]);
	find_loopback(&c->end[0], &c->end[1]);
	find_loopback(&c->end[1], &c->end[0]);
	if (c->is_told) {
		peer = &c->end[!c->own];
		peer->identity =
			index_of(set, head->identities, head->n_identities, c->told_identity);
		peer->workload =
			index_of(set, head->workloads, head->n_workloads, c->told_workload);
		workload = workload_at(set, head, peer->workload);
		peer->is_local = workload && workload->flags & SST_WORKLOAD_LOCAL;
	}
	c->selected = is_selected(set, head, &c->end[c->own & 1]);
	write_ids(set, head, c);
	return 0;
}

/* ---- what the rules say ------------------------------------------------------------- */

static __always_inline enum sst_counter counter_of(__u8 tier, __u8 denied)
{
	switch (tier) {
	case SST_TIER_ADMIN:
		return denied ? SST_COUNTER_POLICY_ADMIN_DENY : SST_COUNTER_POLICY_ADMIN_ALLOW;
	case SST_TIER_HOST:
		return SST_COUNTER_POLICY_HOST_ALLOW;
	case SST_TIER_NETWORK:
		return denied ? SST_COUNTER_POLICY_NETWORK_DENY : SST_COUNTER_POLICY_NETWORK_ALLOW;
	case SST_TIER_BASELINE:
		return denied ? SST_COUNTER_POLICY_BASELINE_DENY
			      : SST_COUNTER_POLICY_BASELINE_ALLOW;
	case SST_TIER_DEFAULT:
		return denied ? SST_COUNTER_POLICY_DEFAULT_DENY : SST_COUNTER_POLICY_DEFAULT_ALLOW;
	case SST_TIER_SELF:
		return SST_COUNTER_POLICY_SELF_ALLOW;
	}
	return SST_COUNTER_POLICY_NONE_ALLOW;
}

/* The rule that decided, and the one in shadow that would have had a say. */
static __always_inline void count_rules(const struct sst_judgement *judgement, __u32 direction)
{
	__u8 denied = judgement->denied[direction];
	struct sst_rule_stats *stats;
	__u32 id = judgement->rule[direction];

	stats = id ? bpf_map_lookup_elem(&rule_stats, &id) : 0;
	if (stats)
		__sync_fetch_and_add(&stats->decided, 1);
	id = judgement->shadow[direction];
	stats = id ? bpf_map_lookup_elem(&rule_stats, &id) : 0;
	if (!stats)
		return;
	__sync_fetch_and_add(&stats->shadow, 1);
	if (judgement->shadow_denied[direction] == denied)
		return;
	if (denied)
		__sync_fetch_and_add(&stats->would_allow, 1);
	else
		__sync_fetch_and_add(&stats->would_deny, 1);
}

/* Once the case is closed, since it may have been opened twice. */
static __always_inline void count_case(const struct policy_case *c)
{
	const struct sst_judgement *judgement = &c->judgement;

	for (__u32 i = 0; i < SST_DIRECTIONS; i++) {
		__u8 denied = judgement->denied[i];

		if (!judgement->asked[i] || !(c->counts & (denied ? COUNT_DENIED : COUNT_ALLOWED)))
			continue;
		count(counter_of(judgement->tier[i], denied));
		count_rules(judgement, i);
	}
}

/* What cannot be decided goes as the node's `fail` says. */
static __always_inline int fails_closed(void)
{
	struct sst_config *node = settings();

	return node && node->fail_closed;
}

static __always_inline void count_undecided(const struct policy_case *c, enum sst_counter open,
					    enum sst_counter closed)
{
	int closes = fails_closed();

	if (c->counts & (closes ? COUNT_DENIED : COUNT_ALLOWED))
		count(closes ? closed : open);
}

/* The class of the address a call will come from, before the kernel has chosen it. */
static __always_inline __u32 source_network(void *set, const struct sst_policy_head *head,
					    const struct policy_case *c)
{
	const struct policy_end *caller = &c->end[SST_ROLE_CLIENT];
	const struct policy_end *called = &c->end[SST_ROLE_SERVER];
	const struct sst_policy_workload *workload;
	struct sst_policy_place place;
	struct sst_addr source;

	if (!(head->flags & SST_POLICY_INGRESS_NETWORKS))
		return 0;
	if (caller->network != SST_NETWORK_UNKNOWN)
		return caller->network;
	if (called->sk) {
		/* within one namespace a local address is called from itself, but for 127/8 */
		source = called->address;
		if (is_v4(&source) && is_loopback(&source))
			source.w[3] = bpf_htonl(0x7f000001);
		locate(set, head, &source, &place);
		return place.network;
	}
	workload = workload_at(set, head, caller->workload);
	return workload ? workload->network[!is_v4(&called->address)] : SST_NETWORK_UNKNOWN;
}

static __always_inline void ask(const struct policy_case *c, __u32 direction,
				struct sst_policy_query *query)
{
	const struct policy_end *caller = &c->end[SST_ROLE_CLIENT];
	const struct policy_end *called = &c->end[SST_ROLE_SERVER];
	const struct policy_end *subject = direction == SST_EGRESS ? caller : called;
	const struct policy_end *peer = direction == SST_EGRESS ? called : caller;

	query->subject = subject->identity;
	query->peer = peer->identity;
	query->peer_network = peer->network;
	query->port = c->port;
	query->protocol = c->protocol;
	query->direction = direction;
}

static __always_inline void write_down(struct policy_case *c, __u32 direction,
				       const struct sst_policy_decision *decision)
{
	c->denied = decision->denied;
	c->judgement.rule[direction] = decision->rule;
	c->judgement.shadow[direction] = decision->shadow;
	c->judgement.tier[direction] = decision->tier;
	c->judgement.denied[direction] = decision->denied;
	c->judgement.shadow_denied[direction] = decision->shadow_denied;
	c->judgement.asked[direction] = 1;
}

/* A workload reaches itself, whatever the rules say. */
static __always_inline int is_self(const struct policy_case *c)
{
	return c->end[0].workload && c->end[0].workload == c->end[1].workload;
}

/* A datagram from the node's own namespace bears the node's address, and nothing tells the
 * called end whose it is: its ingress is asked now, without what networks have to say. */
static __always_inline int arrives_as_host(const struct policy_case *c)
{
	const struct policy_end *caller = &c->end[SST_ROLE_CLIENT];

	return c->own == SST_ROLE_CLIENT && c->protocol == IPPROTO_UDP && caller->workload &&
	       caller->is_home;
}

/*
 * At last: one direction. Where the caller's address matters for ingress and its hook does not
 * know it yet, the called end will ask.
 */
int sst_decide(struct policy_case *c, __u32 direction)
{
	struct sst_policy_decision decision = { .tier = SST_TIER_SELF };
	const struct sst_policy_head *head;
	struct sst_policy_query query;
	void *set = policy_set();

	if (!c)
		return -1;
	head = policy_head(set);
	if (!set || !head || head->generation != c->generation)
		return -1;
	if (!(c->flags & SST_POLICY_RULES))
		return 0;
	direction &= SST_INGRESS;
	ask(c, direction, &query);
	if (query.subject == SST_IDENTITY_UNKNOWN) {
		c->unknown = 1;
		c->denied = fails_closed();
		return 0;
	}
	if (direction == SST_INGRESS && c->own == SST_ROLE_CLIENT)
		query.peer_network = source_network(set, head, c);
	if (query.peer_network == SST_NETWORK_UNKNOWN) {
		if (direction == SST_INGRESS && !arrives_as_host(c))
			return 0;
		query.peer_network = 0;
	}
	if (!is_self(c) && sst_policy_decide(set, head, &query, &decision))
		return -1;
	write_down(c, direction, &decision);
	return 0;
}

/* A datagram of a workload of this node: its own end has told of it, if it was asked. */
static __always_inline int is_told_of(const struct policy_case *c)
{
	const struct policy_end *sender = &c->end[SST_ROLE_CLIENT];

	return c->own == SST_ROLE_SERVER && c->protocol == IPPROTO_UDP && !c->is_told &&
	       sender->workload && sender->is_local && !(c->flags & SST_POLICY_INGRESS_NETWORKS);
}

/* What could not be decided goes as the node says, and what was is counted. */
int sst_close(struct policy_case *c, int decided)
{
	if (!c)
		return 0;
	if (is_told_of(c))
		c->counts &= ~COUNT_ALLOWED;
	if (!decided) {
		c->denied = fails_closed();
		count_undecided(c, SST_COUNTER_POLICY_SET_OPEN, SST_COUNTER_POLICY_SET_CLOSED);
		return 0;
	}
	if (c->unknown)
		count_undecided(c, SST_COUNTER_POLICY_UNKNOWN_OPEN,
				SST_COUNTER_POLICY_UNKNOWN_CLOSED);
	count_case(c);
	return 0;
}

/* ---- what was decided before ---------------------------------------------------------- */

/*
 * The set does not change, and of both ends nothing is asked but what the key has, if
 *
 * - the end that asks is a TCP socket that is seen, and the other one, too, or no socket at all:
 *   that stands in the same namespace, or is told by its address;
 * - nobody has told who the other end is, or what it was judged for;
 * - everything was decided: `fail` is a setting of the node and no part of the set, as is which
 *   cgroup is the self-test's.
 *
 * Only what was allowed is kept: of what is denied there is more to tell.
 */
static __always_inline int is_lasting(const struct policy_case *c, __u64 netns)
{
	const struct policy_end *own = &c->end[c->own & 1], *peer = &c->end[!c->own];

	return netns && c->protocol == IPPROTO_TCP && own->sk && own->cgroup &&
	       !peer->sk == !peer->cgroup && !c->is_told && !c->judged;
}

static __always_inline void key_of_verdict(const struct policy_case *c, __u64 netns,
					   struct sst_verdict_key *key)
{
	key->netns = netns;
	for (int i = 0; i < 2; i++) {
		key->cgroup[i] = c->end[i].cgroup;
		key->address[i] = c->end[i].address;
	}
	key->port = c->port;
	key->own = c->own;
	key->pad = 0;
}

#define VERDICT_WORDS (sizeof(struct sst_verdict_key) / sizeof(__u64))

static __always_inline struct sst_verdict *verdict_at(const struct sst_verdict_key *key)
{
	const __u64 *words = (const __u64 *)key;
	__u64 hash = 0;
	__u32 place;

	for (__u32 i = 0; i < VERDICT_WORDS; i++)
		hash = (hash ^ words[i]) * 0xd6e8feb86659fd93ULL;
	place = sst_policy_mix(hash) & (SST_VERDICTS - 1);
	return bpf_map_lookup_elem(&verdicts, &place);
}

static __always_inline int is_verdict_of(const struct sst_verdict *verdict,
					 const struct sst_verdict_key *key)
{
	const __u64 *a = (const __u64 *)&verdict->key, *b = (const __u64 *)key;
	__u64 differs = 0;

	for (__u32 i = 0; i < VERDICT_WORDS; i++)
		differs |= a[i] ^ b[i];
	return !differs;
}

/* What was read is of one verdict if nobody has written from before to after. */
int sst_recall(struct policy_case *c, __u64 netns)
{
	const struct sst_policy_head *head = policy_head(policy_set());
	struct sst_verdict_key key;
	struct sst_verdict *kept;
	__u64 version;

	if (!c || !head || !is_lasting(c, netns))
		return 0;
	key_of_verdict(c, netns, &key);
	kept = verdict_at(&key);
	if (!kept)
		return 0;
	version = kept->version;
	barrier();
	if (version & 1 || kept->generation != head->generation || !is_verdict_of(kept, &key))
		return 0;
	c->judgement = kept->judgement;
	barrier();
	if (kept->version != version) {
		__builtin_memset(&c->judgement, 0, sizeof(c->judgement));
		return 0;
	}
	c->generation = head->generation;
	c->flags = head->flags;
	return 1;
}

/* One writes, on whatever CPU, and who comes meanwhile does without. */
int sst_keep(const struct policy_case *c, __u64 netns)
{
	struct sst_verdict_key key;
	struct sst_verdict *kept;
	__u64 version;

	if (!c || c->denied || c->unknown || c->exempt || !is_lasting(c, netns))
		return 0;
	key_of_verdict(c, netns, &key);
	kept = verdict_at(&key);
	if (!kept)
		return 0;
	version = kept->version & ~1ULL;
	if (__sync_val_compare_and_swap(&kept->version, version, version + 1) != version)
		return 0;
	kept->generation = c->generation;
	kept->key = key;
	kept->judgement = c->judgement;
	__sync_val_compare_and_swap(&kept->version, version + 1, version + 2);
	return 0;
}

/* ---- news --------------------------------------------------------------------------------- */

/* What policy denied: there is no connection, so all there is to tell is in the question. */
int sst_event_denied(const struct policy_case *c, __u64 cookie, __u32 caller, __u32 service,
		     __u32 endpoint)
{
	const struct policy_end *own, *peer;
	struct sst_record *record;
	struct sock *sk;

	if (!c)
		return 0;
	record = event_begin(SST_RECORD_DENIED);
	if (!record)
		return 0;
	own = &c->end[c->own & 1];
	peer = &c->end[!c->own];
	sk = (struct sock *)own->sk;
	__builtin_memset(record, 0, sizeof(*record));
	record->flow = cookie;
	record->time_ns = record->opened_ns = bpf_ktime_get_boot_ns();
	record->cgroup_id = BPF_CORE_READ(sk, sk_cgrp_data.cgroup, kn, id);
	record->netns_ino = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	record->local = own->address;
	record->remote = peer->address;
	record->local_port = c->own ? bpf_htons(c->port) : caller;
	record->remote_port = c->own ? caller : bpf_htons(c->port);
	record->type = SST_RECORD_DENIED;
	record->protocol = c->protocol;
	record->role = c->own;
	record->service = service;
	record->endpoint = endpoint;
	record->judgement = c->judgement;
	event_end(record, SST_RECORD_DENIED);
	return 0;
}

/* ---- datagrams --------------------------------------------------------------------------- */

static __always_inline struct sst_datagram *datagram_of(const struct sst_datagram_key *key)
{
	const struct sst_policy_head *head = policy_head(policy_set());
	struct sst_datagram *known = bpf_map_lookup_elem(&datagrams, key);

	if (!known || !head || known->generation != head->generation ||
	    bpf_ktime_get_boot_ns() - known->used_ns > SST_DATAGRAM_NS)
		return 0;
	return known;
}

int sst_datagram_is_known(__u64 cookie, const struct sst_addr *peer, __u32 port)
{
	struct sst_datagram_key key = { .cookie = cookie, .port = port };
	struct sst_datagram *known;

	if (!peer)
		return 0;
	key.address = *peer;
	known = datagram_of(&key);
	if (known)
		known->used_ns = bpf_ktime_get_boot_ns();
	return !!known;
}

int sst_datagram_arrives(__u64 cookie, const struct packet *packet)
{
	struct sst_datagram_key key = { .cookie = cookie };
	struct sst_datagram *known;

	if (!packet)
		return 0;
	key.address = packet->source;
	key.port = packet->source_port;
	known = datagram_of(&key);
	if (!known || (known->is_told &&
		       !sst_sender_is(packet, known->sender_identity, known->sender_workload)))
		return 0;
	known->used_ns = bpf_ktime_get_boot_ns();
	return 1;
}

int sst_datagram_judged(__u64 cookie, const struct sst_addr *peer, __u32 port,
			struct policy_case *c)
{
	struct sst_datagram_key key = { .cookie = cookie, .port = port };
	struct sst_datagram *known;

	if (!peer || !c)
		return 0;
	key.address = *peer;
	known = datagram_of(&key);
	if (known) {
		c->judged = known->judged;
		c->judged_by = known->generation;
	}
	return 0;
}

int sst_datagram_remember(__u64 cookie, const struct sst_addr *peer, __u32 port,
			  const struct policy_case *c)
{
	struct sst_datagram_key key = { .cookie = cookie, .port = port };
	struct sst_datagram known = { .used_ns = bpf_ktime_get_boot_ns() };

	if (!peer || !c)
		return 0;
	key.address = *peer;
	known.generation = c->generation;
	known.judged = c->own == SST_ROLE_CLIENT ? judged_called(&c->judgement) : 0;
	known.is_told = c->is_told;
	known.sender_identity = c->told_identity;
	known.sender_workload = c->told_workload;
	bpf_map_update_elem(&datagrams, &key, &known, BPF_ANY);
	return 0;
}
