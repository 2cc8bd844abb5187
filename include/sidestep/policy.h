/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The compiled policy set, and the decision over it: pure functions that the kernel
 * half, `explain`, `policy check` and the tests all run.
 *
 * A set is one run of blocks of 512 bytes: who is who (addresses, cgroups, network
 * namespaces -> workloads -> identities), what is ruled (bit vectors), and the names of it
 * all. It is built whole, never changed, and replaced by one write: whoever decides sees
 * one set from begin to end. In the kernel it is an array map inside map `policy`, in
 * userspace a piece of memory.
 *
 * The rules of each direction stand in order of precedence, one bit each (a rule with a
 * named port may take several). Five rows of bits tell which rules are about this
 * subject, this peer's identity, this peer's address, this port, and which take part:
 *
 *	match = subject & (peer | network) & port & mask
 *
 * The first bit set decides. The order of a direction is
 *
 *	admin tier, by priority            allow, deny, pass
 *	the host's own traffic             allow (built in, ingress only)
 *	network tier: what is allowed      allow
 *	network tier: who is selected      deny (one per policy: "isolated by")
 *	baseline tier                      allow, deny
 *	the default of the node            allow or deny (built in)
 *
 * `pass` goes on at the second of these. No bit at all is an allow: the subject is no
 * workload.
 *
 * Rules in shadow are left out of the first search and take part in a second one, which
 * tells what would be if all of them were enforced.
 */
#ifndef SIDESTEP_POLICY_H
#define SIDESTEP_POLICY_H

#include "sidestep/abi.h"

#define SST_POLICY_FORMAT 1

#define SST_BLOCK_BYTES 512
#define SST_BLOCK_WORDS 64
#define SST_BLOCK_BITS  4096

#define SST_ROW_BLOCKS    8 /* at most: 32,768 rules of a direction */
#define SST_INTERVALS_MAX (1U << 20)
#define SST_KEY_PROBES    8

enum sst_direction {
	SST_EGRESS = 0,  /* the subject is who calls */
	SST_INGRESS = 1, /* the subject is who is called */
	SST_DIRECTIONS = 2,
};

enum sst_action {
	SST_ACTION_ALLOW = 0,
	SST_ACTION_DENY = 1,
	SST_ACTION_PASS = 2,
};

/* Identities that are always there; index and id are the same for them. */
enum sst_reserved_identity {
	SST_IDENTITY_UNKNOWN = 0, /* lives here, and nothing tells who it is */
	SST_IDENTITY_WORLD = 1,   /* an address that belongs to nobody known */
	SST_IDENTITY_HOST = 2,    /* this node itself */
	SST_IDENTITY_NODES = 3,   /* another node */
	SST_IDENTITY_PROBES = 4,  /* who checks the workloads' health from this node */
	SST_IDENTITY_RESERVED,    /* how many there are */
	SST_IDENTITY_FIRST = 256, /* the lowest id of others */
};

/* Which of the four rows of a direction; enforced is a single row of its own. */
enum sst_field {
	SST_FIELD_SUBJECT = 0,
	SST_FIELD_PEER = 1,
	SST_FIELD_NETWORK = 2,
	SST_FIELD_PORT = 3,
	SST_FIELDS = 4,
};

/* Which rules take part in a search: four rows. */
enum sst_mask {
	SST_MASK_ENFORCED = 0,
	SST_MASK_ALL = 1,    /* those in shadow, too */
	SST_MASK_PASSED = 2, /* added to either: from network_first on */
	SST_MASKS = 4,
};

/* All places are numbers of blocks from the set's begin. */
struct sst_policy_direction {
	__u32 n_rules;
	__u32 row_blocks;       /* a row takes so many; 0: no rule at all */
	__u32 network_first;    /* where a pass goes on */
	__u32 rules;            /* struct sst_policy_rule, by bit */
	__u32 masks;            /* row 0 of SST_MASKS, by enum sst_mask */
	__u32 rows[SST_FIELDS]; /* row 0 of each field; row n of a class n follows */
	__u32 has_shadow;       /* 1: there are rules in shadow */
	__u32 pad[2];
};
static_assert(sizeof(struct sst_policy_direction) == 48, "sst_policy_direction");

enum sst_policy_flags {
	SST_POLICY_REFUSED = 1,  /* a denied connect() says ECONNREFUSED instead of EPERM */
	SST_POLICY_ANSWER = 2,   /* denied remote clients are answered, not left to time out */
	SST_POLICY_REVOKE = 4,   /* established flows that are denied now are ended */
	SST_POLICY_RULES = 8,    /* there are rules: something may be denied */
	SST_POLICY_INGRESS = 16, /* ... of ingress */
	SST_POLICY_INGRESS_NETWORKS = 32, /* ... which ask for the caller's address */
};

/* Block 0. */
struct sst_policy_head {
	__u32 format;     /* SST_POLICY_FORMAT */
	__u32 blocks;     /* of the whole set */
	__u64 generation; /* of this set; grows with each that takes its place */
	__u64 seed;       /* of the hash of cgroups' paths */
	__u64 host_netns; /* cookie of the node's own network namespace, 0: not known */
	__u32 flags;      /* enum sst_policy_flags */
	__u32 ports;      /* two blocks of __u16[256], TCP and UDP: page of port >> 8 */
	__u32 pages;      /* blocks of __u16[256]: class of port & 255 */
	__u32 intervals;  /* struct sst_policy_interval, sorted, the first begins at :: */
	__u32 n_intervals;
	__u32 keys;       /* struct sst_policy_key, a hash table */
	__u32 key_mask;   /* its size less one; a power of two */
	__u32 identities; /* struct sst_policy_identity, by index; sorted by id */
	__u32 n_identities;
	__u32 workloads; /* struct sst_policy_workload, by index; sorted by id; 0 is nobody */
	__u32 n_workloads;
	/* For people; the kernel half never looks there. */
	__u32 infos; /* struct sst_policy_info, sorted by id */
	__u32 n_infos;
	__u32 text; /* NUL-terminated strings; offset 0 is "" */
	__u32 text_bytes;
	__u32 pad;
	struct sst_policy_direction direction[SST_DIRECTIONS];
	__u8 reserved[320];
};
static_assert(sizeof(struct sst_policy_head) == SST_BLOCK_BYTES, "sst_policy_head");

struct sst_policy_rule {
	__u32 id;    /* the same for all bits of one rule, and from set to set */
	__u8 action; /* enum sst_action */
	__u8 tier;   /* enum sst_tier */
	__u8 shadow;
	__u8 pad;
};
static_assert(sizeof(struct sst_policy_rule) == 8, "sst_policy_rule");

/* Addresses from this one on, up to the next interval's. Longest prefixes have been cut
 * into these. As numbers: `high` are the first 8 bytes. */
struct sst_policy_interval {
	__u64 high;
	__u64 low;
	__u32 identity; /* index */
	__u32 workload; /* index, 0: nobody's */
	__u32 network;  /* class: which CIDRs of rules hold it */
	__u32 pad;
};
static_assert(sizeof(struct sst_policy_interval) == 32, "sst_policy_interval");

enum sst_key_kind {
	SST_KEY_NONE = 0,
	SST_KEY_CGROUP_PATH = 1, /* sst_path_*() */
	SST_KEY_CGROUP_ID = 2,
	SST_KEY_NETNS = 3, /* cookie */
};

struct sst_policy_key {
	__u64 key;
	__u32 kind;     /* enum sst_key_kind; NONE: this place is free */
	__u32 workload; /* index */
};
static_assert(sizeof(struct sst_policy_key) == 16, "sst_policy_key");

/* Sorted by id, the reserved ones first. */
struct sst_policy_identity {
	__u32 id;
	__u32 subject; /* class */
	__u32 peer;    /* class */
	__u32 n_workloads;
	__u32 name_space;  /* text: the namespace, "" for reserved ones */
	__u32 labels;      /* text: "app=web,tier=front"; a reserved one's name */
	__u32 ports;       /* text: its named ports, "http=80/TCP,..." */
	__u32 is_selected; /* 1: some policy that is enforced has it as its subject */
};
static_assert(sizeof(struct sst_policy_identity) == 32, "sst_policy_identity");

enum sst_workload_flags {
	SST_WORKLOAD_LOCAL = 1, /* lives on this node: its ingress is decided here */
};

/* Class of addresses that are not known, or of several classes. */
#define SST_NETWORK_UNKNOWN (~0U)

/* Sorted by id; index 0 is nobody, id 0. */
struct sst_policy_workload {
	__u32 id;         /* the same from set to set while it is there */
	__u32 identity;   /* index */
	__u32 flags;      /* enum sst_workload_flags */
	__u32 name;       /* text */
	__u32 how;        /* text: "cgroup /a.service, 10.1.0.7" */
	__u32 network[2]; /* class of its one address, v4 and v6; or SST_NETWORK_UNKNOWN */
	__u32 pad;
};
static_assert(sizeof(struct sst_policy_workload) == 32, "sst_policy_workload");

/* One for each rule, for people. */
struct sst_policy_info {
	__u32 id;
	__u8 direction;
	__u8 action;
	__u8 tier;
	__u8 shadow;
	__u32 policy;     /* text: its name; built-in ones: "host", "default" */
	__u32 name_space; /* text: of the policy, "" for the admin and baseline tier */
	__u32 rule;       /* text: its name, or place "ingress[0]"; "isolated"; built in: "" */
	__u32 summary;    /* text: subject, peers and ports in a few words */
	__u32 line;       /* in the file, 0: not known */
	__u32 pad;
};
static_assert(sizeof(struct sst_policy_info) == 32, "sst_policy_info");

/* ---- reading a set ------------------------------------------------------------ */

#ifdef __bpf__
/* A set is the inner map. */
typedef void sst_policy_set;

static __always_inline const void *sst_policy_block(sst_policy_set *set, __u32 n)
{
	/* eight bytes of their own: what is spilled beside it the verifier would lose sight of */
	__u32 key[2] __attribute__((aligned(8))) = { n, 0 };

	return bpf_map_lookup_elem(set, key);
}
#define SST_PURE static __always_inline
#else
struct sst_policy_memory {
	const unsigned char *base; /* 8-aligned */
	__u32 blocks;
};
typedef const struct sst_policy_memory sst_policy_set;

static inline const void *sst_policy_block(sst_policy_set *set, __u32 n)
{
	return n < set->blocks ? set->base + (unsigned long)n * SST_BLOCK_BYTES : 0;
}
#define SST_PURE static inline
#endif

/* Element n of a table of type that begins at block first; NULL: the set is broken. The
 * compiler is kept from adding to a pointer that may be NULL, which the verifier refuses. */
#define sst_policy_at(set, first, n, type)                                       \
	({                                                                       \
		const unsigned int _per = SST_BLOCK_BYTES / sizeof(type);        \
		__u32 _n = (n);                                                  \
		const type *_found = sst_policy_block(set, (first) + _n / _per); \
                                                                                 \
		if (_found) {                                                    \
			__asm__ volatile("" : "+r"(_found));                     \
			_found += _n % _per;                                     \
		}                                                                \
		_found;                                                          \
	})

/* ---- who is who ----------------------------------------------------------------- */

SST_PURE __u64 sst_policy_mix(__u64 value)
{
	value ^= value >> 32;
	value *= 0xd6e8feb86659fd93ULL;
	value ^= value >> 32;
	value *= 0xd6e8feb86659fd93ULL;
	return value ^ value >> 32;
}

/*
 * The hash of a cgroup's path is made name by name from below the root; a name is taken in
 * pieces of 24 bytes, NUL-padded, as many as it begins. `length` is without the NUL.
 */
#define SST_PATH_PIECE  24
#define SST_PATH_WORDS  (SST_PATH_PIECE / 8)
#define SST_PATH_PIECES 11 /* of a name: 255 bytes */
#define SST_PATH_LEVELS 16 /* deeper cgroups belong to the one at this level */

SST_PURE __u64 sst_path_piece(__u64 hash, const __u64 words[SST_PATH_WORDS])
{
	for (int i = 0; i < SST_PATH_WORDS; i++)
		hash = sst_policy_mix(hash ^ words[i]) + i;
	return hash;
}

/* After the last piece of a name. */
SST_PURE __u64 sst_path_name_end(__u64 hash)
{
	return sst_policy_mix(hash + 0x2f);
}

/* The workload (index) known by this key, 0: nobody. */
SST_PURE __u32 sst_policy_find(sst_policy_set *set, const struct sst_policy_head *head,
			       enum sst_key_kind kind, __u64 key)
{
	__u32 slot = (__u32)sst_policy_mix(key + kind);

	for (int i = 0; i < SST_KEY_PROBES; i++) {
		const struct sst_policy_key *entry = sst_policy_at(
			set, head->keys, (slot + i) & head->key_mask, struct sst_policy_key);

		if (!entry || entry->kind == SST_KEY_NONE)
			return 0;
		if (entry->kind == kind && entry->key == key)
			return entry->workload;
	}
	return 0;
}

/* What an address says. */
struct sst_policy_place {
	__u32 identity; /* index */
	__u32 workload; /* index, 0: nobody's */
	__u32 network;  /* class */
};

/* 0, or -1 when the set is broken. */
SST_PURE int sst_policy_locate(sst_policy_set *set, const struct sst_policy_head *head, __u64 high,
			       __u64 low, struct sst_policy_place *ret)
{
	const struct sst_policy_interval *at;
	__u32 first = 0, n = head->n_intervals;

	/* the last one that begins at or below the address; 2^20 are halved 20 times */
	for (int i = 0; i < 21 && n > 1; i++) {
		__u32 half = n / 2;

		at = sst_policy_at(set, head->intervals, first + half, struct sst_policy_interval);
		if (!at)
			return -1;
		if (at->high < high || (at->high == high && at->low <= low)) {
			first += half;
			n -= half;
		} else {
			n = half;
		}
	}
	at = sst_policy_at(set, head->intervals, first, struct sst_policy_interval);
	if (!at)
		return -1;
	ret->identity = at->identity;
	ret->workload = at->workload;
	ret->network = at->network;
	return 0;
}

/* ---- what is ruled ----------------------------------------------------------------- */

/* One question about one direction. */
struct sst_policy_query {
	__u32 subject;      /* identity's index */
	__u32 peer;         /* identity's index */
	__u32 peer_network; /* class of the peer's address; 0: it has none that tells */
	__u16 port;         /* host order, of who is called */
	__u8 protocol;      /* IPPROTO_TCP, IPPROTO_UDP */
	__u8 direction;     /* enum sst_direction */
};

struct sst_policy_decision {
	__u32 rule;         /* id of the rule that decides, 0: none, allowed */
	__u32 shadow;       /* id of the rule in shadow that would have a say, 0: none */
	__u8 denied;        /* 1: denied */
	__u8 tier;          /* enum sst_tier */
	__u8 shadow_denied; /* what it would be */
	__u8 pad;
};

/* The blocks in which the rows of a question begin. */
struct sst_policy_rows {
	__u64 generation; /* of the set */
	__u32 subject;
	__u32 peer;
	__u32 network;
	__u32 port;
	__u32 mask;
	__u32 blocks;
};

SST_PURE int sst_policy_rows_of(sst_policy_set *set, const struct sst_policy_head *head,
				const struct sst_policy_query *query, struct sst_policy_rows *ret)
{
	const struct sst_policy_direction *direction =
		&head->direction[query->direction & SST_INGRESS];
	const struct sst_policy_identity *subject, *peer;
	const __u16 *page, *class;
	__u32 n = direction->row_blocks;

	subject = sst_policy_at(set, head->identities, query->subject, struct sst_policy_identity);
	peer = sst_policy_at(set, head->identities, query->peer, struct sst_policy_identity);
	page = sst_policy_at(set, head->ports + (query->protocol != 6 /* TCP */), query->port >> 8,
			     __u16);
	if (!subject || !peer || !page)
		return -1;
	class = sst_policy_at(set, head->pages + *page, query->port & 255, __u16);
	if (!class)
		return -1;
	ret->generation = head->generation;
	ret->subject = direction->rows[SST_FIELD_SUBJECT] + subject->subject * n;
	ret->peer = direction->rows[SST_FIELD_PEER] + peer->peer * n;
	ret->network = direction->rows[SST_FIELD_NETWORK] + query->peer_network * n;
	ret->port = direction->rows[SST_FIELD_PORT] + *class * n;
	ret->mask = direction->masks;
	ret->blocks = n;
	return 0;
}

/* Without a branch: to the verifier each would be a way of its own. */
SST_PURE __u32 sst_first_bit(__u64 word)
{
	word = (word & -word) - 1; /* as many bits as there are zeros below */
	word -= word >> 1 & 0x5555555555555555ULL;
	word = (word & 0x3333333333333333ULL) + (word >> 2 & 0x3333333333333333ULL);
	word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
	return word * 0x0101010101010101ULL >> 56;
}

#define SST_POLICY_NO_BIT (~0U)
#define SST_POLICY_BROKEN (~0U - 1)

/* The lowest bit that is set in all rows. */
SST_PURE __u32 sst_policy_first(sst_policy_set *set, const struct sst_policy_rows *rows)
{
	for (__u32 block = 0; block < SST_ROW_BLOCKS && block < rows->blocks; block++) {
		const __u64 *subject = sst_policy_block(set, rows->subject + block);
		const __u64 *peer = sst_policy_block(set, rows->peer + block);
		const __u64 *network = sst_policy_block(set, rows->network + block);
		const __u64 *port = sst_policy_block(set, rows->port + block);
		const __u64 *mask = sst_policy_block(set, rows->mask + block);

		if (!subject || !peer || !network || !port || !mask)
			return SST_POLICY_BROKEN;
		for (__u32 i = 0; i < SST_BLOCK_WORDS; i++) {
			__u64 match = subject[i] & mask[i];

			/* most rules are about others: two loads tell that of 64 */
			if (!match)
				continue;
			match &= (peer[i] | network[i]) & port[i];
			if (match)
				return block * SST_BLOCK_BITS + i * 64 + sst_first_bit(match);
		}
	}
	return SST_POLICY_NO_BIT;
}

/* The kernel half calls it through a function of its own, see policy.bpf.c. */
#ifdef __bpf__
__u32 sst_first_rule(const struct sst_policy_rows *rows);
#define SST_POLICY_FIRST(set, rows) sst_first_rule(rows)
#else
#define SST_POLICY_FIRST(set, rows) sst_policy_first(set, rows)
#endif

/* What one search came to. */
struct sst_policy_outcome {
	__u32 rule;   /* that decides, 0: none */
	__u32 shadow; /* the first one in shadow on the way, 0: none */
	__u8 denied;
	__u8 tier;
};

/* 0, or -1 when the set is broken. */
SST_PURE int sst_policy_search(sst_policy_set *set, const struct sst_policy_direction *direction,
			       struct sst_policy_rows *rows, enum sst_mask mask,
			       struct sst_policy_outcome *ret)
{
	const struct sst_policy_rule *rule;

	ret->rule = ret->shadow = 0;
	ret->denied = ret->tier = 0;
	rows->mask = direction->masks + mask * rows->blocks;
	/* once, and once more after a pass: nothing passes from there on */
	for (int i = 0; i < 2; i++) {
		__u32 bit = SST_POLICY_FIRST(set, rows);

		if (bit == SST_POLICY_BROKEN)
			return -1;
		if (bit == SST_POLICY_NO_BIT)
			return 0;
		rule = sst_policy_at(set, direction->rules, bit, struct sst_policy_rule);
		if (!rule)
			return -1;
		if (rule->shadow && !ret->shadow)
			ret->shadow = rule->id;
		if (rule->action != SST_ACTION_PASS) {
			ret->rule = rule->id;
			ret->tier = rule->tier;
			ret->denied = rule->action == SST_ACTION_DENY;
			return 0;
		}
		rows->mask += SST_MASK_PASSED * rows->blocks;
	}
	return 0;
}

/* Decides one direction. 0, or -1 when the set is broken: nothing is decided then. */
SST_PURE int sst_policy_decide(sst_policy_set *set, const struct sst_policy_head *head,
			       const struct sst_policy_query *query,
			       struct sst_policy_decision *ret)
{
	const struct sst_policy_direction *direction =
		&head->direction[query->direction & SST_INGRESS];
	struct sst_policy_outcome outcome;
	struct sst_policy_rows rows;

	__builtin_memset(ret, 0, sizeof(*ret));
	if (!direction->row_blocks)
		return 0;
	if (sst_policy_rows_of(set, head, query, &rows) ||
	    sst_policy_search(set, direction, &rows, SST_MASK_ENFORCED, &outcome))
		return -1;
	ret->rule = outcome.rule;
	ret->denied = ret->shadow_denied = outcome.denied;
	ret->tier = outcome.tier;
	if (!direction->has_shadow)
		return 0;
	if (sst_policy_search(set, direction, &rows, SST_MASK_ALL, &outcome))
		return -1;
	if (outcome.shadow) {
		ret->shadow = outcome.shadow;
		ret->shadow_denied = outcome.denied;
	}
	return 0;
}

#endif /* SIDESTEP_POLICY_H */
