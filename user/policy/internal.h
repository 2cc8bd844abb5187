/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the compiler share. In this order:
 *
 *	who.c       workloads -> identities, both with their ids
 *	select.c    selectors -> sets of identities
 *	ranges.c    CIDRs and ports -> sets of ranges, and the intervals that these cut
 *	owners.c    addresses -> workloads, by longest prefix
 *	keys.c      cgroups and network namespaces -> workloads
 *	rules.c     policies -> the rules of each direction in order, one or more bits each
 *	describe.c  ... in words
 *	rows.c      bits and their sets -> rows, one for each class of what is alike
 *	tables.c    from an address, from a port to its class
 *	layout.c    all of it -> blocks
 */
#ifndef SIDESTEP_POLICY_INTERNAL_H
#define SIDESTEP_POLICY_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/array.h"
#include "core/dictionary.h"
#include "core/text.h"
#include "policy/compile.h"

/* An address, or a protocol and port: see ranges.c. */
typedef unsigned __int128 wide;

struct range {
	wide first;
	wide last;
};

/*
 * Whom or what a bit is about: identities as a bitmap by index, or addresses or ports as
 * ranges, sorted and apart. In rows.c the ranges are of intervals' numbers.
 */
struct set {
	uint64_t *bits;
	struct range *ranges;
	size_t n_ranges;
	size_t size;
	size_t passed; /* ranges that lie below what is looked at */
};

/* Each different set once, by a key that says what it is made of. */
struct sets {
	struct dictionary numbers;
	struct set **items;
	size_t n;
	size_t size;
};

struct identity {
	struct sst_policy_identity value;
	const struct model_workload *example; /* one that has it; NULL: reserved */
	uint32_t number;                      /* in the order they were met */
};

struct workload {
	struct sst_policy_workload value;
	const struct model_workload *model; /* NULL: nobody, probes */
};

/* An identity calls a port by a name. */
struct named_port {
	const char *name;
	uint8_t protocol;
	uint16_t port;
	uint32_t identity; /* index */
	uint32_t n_givers; /* from this one on who call the same port so */
};

/* Some of them in a row: one name, protocol and port, and who gives it. n 0: no such thing. */
struct port_givers {
	const struct named_port *first;
	size_t n;
};

/* Which things have a label: an array of numbers for each "key" and each "key" NUL "value". */
struct posting {
	uint32_t *things;
	size_t n;
	size_t size;
};

struct label_index {
	struct dictionary numbers; /* of postings */
	struct posting *postings;
	size_t n;
	size_t size;
};

struct owner {
	struct range range;
	uint32_t identity; /* index */
	uint32_t workload; /* index, 0: nobody's */
};

struct bit {
	struct sst_policy_rule rule;
	struct set *about[SST_FIELDS]; /* NULL: nobody, nothing */
};

struct direction {
	struct bit *bits;
	size_t n;
	size_t size;
	uint32_t network_first;
	bool has_shadow;
	uint32_t row_blocks;
};

/* Numbers from the first cut to the next are alike, and so on. cuts[0] is 0. */
struct space {
	wide *cuts;
	size_t n;
	size_t size;
};

/* The rows of a field; a row is those of both directions, egress first. */
struct rows {
	uint64_t *words; /* of the first `kept` rows */
	uint64_t *hashes;
	uint32_t *slots; /* by hash: number + 1, 0: free */
	size_t n_slots;
	size_t size;
	size_t kept;
	size_t n;
};

struct compile {
	const struct model *model;
	const struct policy_host *host;
	const struct policy_set *before;
	struct problems *problems;
	struct policy_ids ids;
	uint64_t seed;

	/* Ids that `before` gave and nobody has claimed yet. */
	struct dictionary identity_ids;
	struct dictionary workload_ids;
	struct dictionary rule_ids;

	struct text text;
	struct dictionary texts; /* offsets */

	struct identity *identities;
	size_t n_identities;
	struct workload *workloads;
	size_t n_workloads;
	uint32_t *workload_of; /* index, by number in the model */
	struct named_port *named_ports;
	size_t n_named_ports;

	struct label_index namespaces;       /* by number in the model */
	struct dictionary namespace_numbers; /* by name */
	struct posting *residents;           /* identities by namespace */
	struct label_index labels;           /* identities */

	struct owner *owners; /* sorted, without gaps */
	size_t n_owners;

	struct sets groups;
	struct sets networks;
	size_t n_ranges;      /* of all networks */
	size_t ranges_needed; /* by the network that there is no room for */
	struct sets ports;
	struct sst_policy_info *infos;
	size_t n_infos;
	size_t infos_size;
	struct direction direction[SST_DIRECTIONS];

	struct space address_space;
	struct space port_space;
	size_t row_words;    /* of both directions */
	uint64_t row_blocks; /* that all rows so far take */
	struct rows rows[SST_FIELDS];
	uint32_t *classes[SST_FIELDS]; /* PEER, SUBJECT: by identity; else by interval */

	struct sst_policy_interval *intervals;
	size_t n_intervals;
	struct sst_policy_key *keys;
	size_t n_keys; /* places */
	uint16_t *pages;
	size_t n_pages;
	uint16_t page_of[2 * 256];
};

/* ---- shared tools (compile.c) -------------------------------------------------------- */

/* The text's offset; the same text has one. Returns 0 or -ENOMEM. */
int policy_add_text(struct compile *compile, const char *text, uint32_t *ret);

/* -E2BIG, with a sentence. */
int policy_refuse_size(struct compile *compile, const char *what, uint64_t needed, uint64_t room);

/* A key of strings with a NUL after each. */
void policy_key_add(struct text *key, const char *string);

/* The id of `before`, else the next one. */
uint32_t policy_claim_id(struct dictionary *ids, const struct text *key, uint32_t *next);

/* Of the rule, from set to set. */
void policy_rule_key(struct text *key, const struct sst_policy_info *info, const char *name_space,
		     const char *policy, const char *rule);

/* ---- the parts, in order ------------------------------------------------------------- */

int policy_make_who(struct compile *compile);
int policy_make_indexes(struct compile *compile);
int policy_make_owners(struct compile *compile);
int policy_make_rules(struct compile *compile);
int policy_make_rows(struct compile *compile);
int policy_make_intervals(struct compile *compile);
int policy_make_ports(struct compile *compile);
int policy_make_keys(struct compile *compile);
int policy_lay_out(struct compile *compile, struct policy_set *ret);

/* ---- select.c ------------------------------------------------------------------------ */

/*
 * The set of identities that one of the peers means (NETWORK ones mean none), of those that
 * are in givers where there are any. peers NULL: everybody. name_space is that of the policy,
 * "" for tiers that have none.
 */
int policy_group(struct compile *compile, const char *name_space, const struct model_peer *peers,
		 size_t n, struct port_givers givers, struct set **ret);

/* All workloads: what is not reserved. */
int policy_group_of_workloads(struct compile *compile, struct set **ret);

void policy_index_release(struct label_index *index);

/* ---- ranges.c ------------------------------------------------------------------------ */

#define POLICY_ADDRESS_MAX (~(wide)0)
#define POLICY_IPV4_FIRST  ((wide)0xffff << 32)
#define POLICY_IPV4_LAST   (POLICY_IPV4_FIRST | 0xffffffff)
/* TCP's ports, then UDP's. */
#define POLICY_PORT_MAX    ((wide)2 * 65536 - 1)

/* -ENOENT: there is none of this key. */
int policy_find_set(const struct sets *sets, const struct text *key, struct set **ret);
int policy_add_set(struct sets *sets, const struct text *key, struct set **ret);
void policy_givers_key(struct text *key, struct port_givers givers);

wide policy_number(const struct sst_addr *address);
struct range policy_cidr_range(const struct model_cidr *cidr);

/* The addresses of the NETWORK ones among the peers, where there are givers those of their
 * workloads only. *ret is NULL when there are none. -E2BIG, without a sentence: these are more
 * ranges than there is room for. */
int policy_network(struct compile *compile, const struct model_peer *peers, size_t n,
		   struct port_givers givers, struct set **ret);

/* Ports by number; n 0: all. Those with a name are left out. */
int policy_ports(struct compile *compile, const struct model_port_match *ports, size_t n,
		 struct set **ret);

/* Cuts a space by all sets, and more, turns the sets' ranges into those of intervals. */
int policy_space_cut(struct space *space, wide first, wide last, wide max);
int policy_space_close(struct space *space, struct sets *sets, wide max);

/* ---- describe.c ---------------------------------------------------------------------- */

/* NULL rule: what isolates. */
void policy_describe(const struct model_policy *policy, const struct model_rule *rule,
		     enum sst_direction direction, struct text *out);
void policy_describe_how(const struct model_workload *workload, struct text *out);
void policy_describe_labels(const struct model_labels *labels, struct text *out);

#endif
