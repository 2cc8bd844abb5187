/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of both directions in their order, as bits and for people. */
#include "policy/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"

#define ISOLATED "isolated"

static const char *const direction_names[] = { "egress", "ingress" };

/* A rule on its way into the set. */
struct draft {
	const struct model_policy *policy; /* NULL: built in */
	const struct model_rule *rule;     /* NULL: built in, or what isolates */
	struct sst_policy_info info;       /* without texts */
};

/* ---- named ports ------------------------------------------------------------------------- */

static size_t first_named(const struct compile *compile, const char *name)
{
	size_t low = 0, high = compile->n_named_ports;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(compile->named_ports[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The next number that somebody gives to the name, from *at on; n 0: no more. */
static struct port_givers next_givers(const struct compile *compile,
				      const struct model_port_match *match, size_t *at)
{
	while (*at < compile->n_named_ports) {
		const struct named_port *first = &compile->named_ports[*at];

		if (strcmp(first->name, match->name))
			break;
		*at += first->n_givers;
		if (!match->protocol || match->protocol == first->protocol)
			return (struct port_givers){ first, first->n_givers };
	}
	return (struct port_givers){ 0 };
}

static bool has_numbers(const struct model_rule *rule)
{
	for (size_t i = 0; i < rule->n_ports; i++)
		if (!rule->ports[i].name)
			return true;
	return !rule->n_ports;
}

/* The bits that a rule takes. */
static size_t count_bits(const struct compile *compile, const struct model_rule *rule)
{
	size_t n = has_numbers(rule);

	for (size_t i = 0; i < rule->n_ports; i++) {
		const struct model_port_match *match = &rule->ports[i];
		size_t at = match->name ? first_named(compile, match->name) : 0;

		while (match->name && next_givers(compile, match, &at).n)
			n++;
	}
	return n;
}

/* ---- for people ---------------------------------------------------------------------------- */

void policy_rule_key(struct text *key, const struct sst_policy_info *info, const char *name_space,
		     const char *policy, const char *rule)
{
	/* of the network tier only what isolates denies, and it has a name that a rule may have */
	bool isolates = info->tier == SST_TIER_NETWORK && info->action == SST_ACTION_DENY;

	text_add(key, "%u %u %u ", info->tier, info->direction, isolates);
	policy_key_add(key, name_space);
	policy_key_add(key, policy);
	policy_key_add(key, rule);
}

/* Its name, or its number among those of its direction. */
static void add_rule_name(const struct draft *draft, struct text *out)
{
	unsigned n = 0;

	if (!draft->rule) {
		text_add(out, "%s", draft->policy ? ISOLATED : "");
		return;
	}
	if (draft->rule->name) {
		text_add(out, "%s", draft->rule->name);
		return;
	}
	for (const struct model_rule *rule = draft->policy->rules; rule < draft->rule; rule++)
		n += rule->direction == draft->rule->direction;
	text_add(out, "%s[%u]", direction_names[draft->rule->direction], n);
}

static int add_info(struct compile *compile, struct draft *draft, const char *policy,
		    const char *name_space, const char *summary)
{
	_cleanup_text_ struct text rule = { 0 }, key = { 0 };
	struct sst_policy_info *info = &draft->info;
	int r;

	add_rule_name(draft, &rule);
	policy_rule_key(&key, info, name_space, policy, text_string(&rule));
	r = rule.error ?: key.error;
	if (!r)
		r = policy_add_text(compile, policy, &info->policy);
	if (!r)
		r = policy_add_text(compile, name_space, &info->name_space);
	if (!r)
		r = policy_add_text(compile, text_string(&rule), &info->rule);
	if (!r)
		r = policy_add_text(compile, summary, &info->summary);
	if (!r)
		r = array_reserve((void **)&compile->infos, &compile->infos_size, compile->n_infos,
				  sizeof(*compile->infos));
	if (r)
		return r;
	info->id = policy_claim_id(&compile->rule_ids, &key, &compile->ids.rule);
	compile->infos[compile->n_infos++] = *info;
	return 0;
}

static int compare_infos(const void *a, const void *b)
{
	const struct sst_policy_info *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

/* ---- bits ------------------------------------------------------------------------------------ */

static struct bit *add_bit(struct compile *compile, const struct sst_policy_info *info)
{
	struct direction *direction = &compile->direction[info->direction];
	struct bit *bit = &direction->bits[direction->n++];

	bit->rule = (struct sst_policy_rule){
		.id = info->id,
		.action = info->action,
		.tier = info->tier,
		.shadow = info->shadow,
	};
	direction->has_shadow |= info->shadow;
	return bit;
}

static int set_subject(struct compile *compile, const struct model_policy *policy,
		       struct port_givers givers, struct bit *bit)
{
	struct model_peer subject = {
		.kind = MODEL_PEER_WORKLOADS,
		.namespaces = policy->subject_namespaces,
		.workloads = policy->subject,
	};

	return policy_group(compile, policy->name_space, &subject, 1, givers,
			    &bit->about[SST_FIELD_SUBJECT]);
}

static int refuse_networks(struct compile *compile, const struct draft *draft,
			   struct port_givers givers)
{
	_cleanup_text_ struct text rule = { 0 }, port = { 0 };

	add_rule_name(draft, &rule);
	if (givers.n)
		text_add(&port, " of workloads with port '%s'", givers.first->name);
	problems_add(compile->problems, compile->model->source, draft->rule->place,
		     "the networks of rule '%s' of policy '%s' need %zu ranges of addresses%s, "
		     "there is room for %zu",
		     text_string(&rule), draft->policy->name, compile->ranges_needed,
		     text_string(&port), POLICY_RANGES_MAX - compile->n_ranges);
	return -E2BIG;
}

static int set_peers(struct compile *compile, const struct draft *draft, struct port_givers givers,
		     struct bit *bit)
{
	const struct model_rule *rule = draft->rule;
	const char *name_space = draft->policy->name_space;
	int r;

	if (rule->any_peer)
		return policy_group(compile, name_space, NULL, 0, givers,
				    &bit->about[SST_FIELD_PEER]);
	if (!rule->n_peers)
		return 0;
	r = policy_group(compile, name_space, rule->peers, rule->n_peers, givers,
			 &bit->about[SST_FIELD_PEER]);
	if (!r)
		r = policy_network(compile, rule->peers, rule->n_peers, givers,
				   &bit->about[SST_FIELD_NETWORK]);
	return r == -E2BIG ? refuse_networks(compile, draft, givers) : r;
}

/* Who is called gives the port its name: of egress the peers, of ingress the subject. */
static int add_variant(struct compile *compile, const struct draft *draft,
		       const struct model_port_match *ports, size_t n, struct port_givers givers)
{
	struct bit *bit = add_bit(compile, &draft->info);
	bool ingress = draft->info.direction == SST_INGRESS;
	struct port_givers any = { 0 };
	int r = set_subject(compile, draft->policy, ingress ? givers : any, bit);

	if (!r)
		r = set_peers(compile, draft, ingress ? any : givers, bit);
	return r ?: policy_ports(compile, ports, n, &bit->about[SST_FIELD_PORT]);
}

static int add_named(struct compile *compile, const struct draft *draft,
		     const struct model_port_match *match)
{
	size_t at = first_named(compile, match->name);
	struct port_givers givers;
	int r = 0;

	while (!r && (givers = next_givers(compile, match, &at)).n) {
		struct model_port_match number = {
			.protocol = givers.first->protocol,
			.first = givers.first->port,
			.last = givers.first->port,
		};

		r = add_variant(compile, draft, &number, 1, givers);
	}
	return r;
}

static int add_variants(struct compile *compile, const struct draft *draft)
{
	const struct model_rule *rule = draft->rule;
	struct port_givers any = { 0 };
	int r = 0;

	if (has_numbers(rule))
		r = add_variant(compile, draft, rule->ports, rule->n_ports, any);
	for (size_t i = 0; !r && i < rule->n_ports; i++)
		if (rule->ports[i].name)
			r = add_named(compile, draft, &rule->ports[i]);
	return r;
}

/* ---- rules ------------------------------------------------------------------------------------ */

static int add_policy_info(struct compile *compile, struct draft *draft)
{
	_cleanup_text_ struct text summary = { 0 };

	policy_describe(draft->policy, draft->rule, draft->info.direction, &summary);
	return summary.error
		       ?: add_info(compile, draft, draft->policy->name, draft->policy->name_space,
				   summary.data);
}

static int add_rule(struct compile *compile, const struct model_policy *policy,
		    const struct model_rule *rule)
{
	struct draft draft = {
		.policy = policy,
		.rule = rule,
		.info = {
			.direction = rule->direction,
			.action = rule->action,
			.tier = policy->tier,
			.shadow = policy->shadow || rule->shadow,
			.line = rule->place.line,
		},
	};
	int r = add_policy_info(compile, &draft);

	return r ?: add_variants(compile, &draft);
}

static int add_isolation(struct compile *compile, const struct model_policy *policy,
			 enum sst_direction direction)
{
	struct draft draft = {
		.policy = policy,
		.info = {
			.direction = direction,
			.action = SST_ACTION_DENY,
			.tier = policy->tier,
			.shadow = policy->shadow,
			.line = policy->place.line,
		},
	};
	struct port_givers any = { 0 };
	struct bit *bit;
	int r = add_policy_info(compile, &draft);

	if (r)
		return r;
	bit = add_bit(compile, &draft.info);
	r = set_subject(compile, policy, any, bit);
	if (!r)
		r = policy_group(compile, "", NULL, 0, any, &bit->about[SST_FIELD_PEER]);
	return r ?: policy_ports(compile, NULL, 0, &bit->about[SST_FIELD_PORT]);
}

static int add_built_in(struct compile *compile, struct draft *draft, const char *name,
			const char *summary, const struct model_peer *peers, size_t n)
{
	struct port_givers any = { 0 };
	struct bit *bit;
	int r = add_info(compile, draft, name, "", summary);

	if (r)
		return r;
	bit = add_bit(compile, &draft->info);
	r = policy_group_of_workloads(compile, &bit->about[SST_FIELD_SUBJECT]);
	if (!r)
		r = policy_group(compile, "", peers, n, any, &bit->about[SST_FIELD_PEER]);
	return r ?: policy_ports(compile, NULL, 0, &bit->about[SST_FIELD_PORT]);
}

static int add_host(struct compile *compile)
{
	static const struct model_peer peers[] = {
		{ .kind = MODEL_PEER_RESERVED, .identity = SST_IDENTITY_PROBES },
		{ .kind = MODEL_PEER_RESERVED, .identity = SST_IDENTITY_HOST },
	};
	struct draft draft = { .info = {
				       .direction = SST_INGRESS,
				       .action = SST_ACTION_ALLOW,
				       .tier = SST_TIER_HOST,
			       } };

	switch (compile->model->node.policy.host) {
	case MODEL_HOST_ALLOW:
		return add_built_in(compile, &draft, "host", "all <- host or probes", peers, 2);
	case MODEL_HOST_PROBES:
		return add_built_in(compile, &draft, "host", "all <- probes", peers, 1);
	case MODEL_HOST_POLICY:
		return 0;
	}
	return 0;
}

static int add_default(struct compile *compile, enum sst_direction direction)
{
	bool deny = compile->model->node.policy.default_deny;
	struct draft draft = { .info = {
				       .direction = direction,
				       .action = deny ? SST_ACTION_DENY : SST_ACTION_ALLOW,
				       .tier = SST_TIER_DEFAULT,
			       } };
	const char *summary = direction == SST_INGRESS ? "all <- everybody" : "all -> everybody";

	return add_built_in(compile, &draft, "default", summary, NULL, 0);
}

/* ---- the order ---------------------------------------------------------------------------------- */

/* Policies in the order of precedence; those of the network tier as they stand. */
static int compare_policies(const void *a, const void *b)
{
	const struct model_policy *x = *(const struct model_policy *const *)a;
	const struct model_policy *y = *(const struct model_policy *const *)b;
	int order = 0;

	if (x->tier != y->tier)
		return x->tier < y->tier ? -1 : 1;
	if (x->tier != SST_TIER_NETWORK && x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	if (x->tier != SST_TIER_NETWORK)
		order = strcmp(x->name, y->name);
	return order ?: x < y ? -1 : x > y;
}

/* The rules of a tier in their order; those of the network tier, which has none, with what
 * is enforced first: what it decides, nobody in shadow has a say in. */
static int add_tier(struct compile *compile, const struct model_policy **sorted, enum sst_tier tier)
{
	unsigned passes = tier == SST_TIER_NETWORK ? 2 : 1;
	int r = 0;

	for (unsigned pass = 0; pass < passes; pass++)
		for (size_t i = 0; i < compile->model->n_policies; i++) {
			const struct model_policy *policy = sorted[i];

			if (policy->tier != tier)
				continue;
			for (size_t j = 0; !r && j < policy->n_rules; j++) {
				bool shadow = policy->shadow || policy->rules[j].shadow;

				if (passes == 1 || shadow == pass)
					r = add_rule(compile, policy, &policy->rules[j]);
			}
		}
	return r;
}

static int add_isolations(struct compile *compile, const struct model_policy **sorted)
{
	int r = 0;

	for (unsigned pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < compile->model->n_policies; i++) {
			const struct model_policy *policy = sorted[i];

			if (policy->tier != SST_TIER_NETWORK || policy->shadow != pass)
				continue;
			for (int d = 0; !r && d < SST_DIRECTIONS; d++)
				if (policy->isolates[d])
					r = add_isolation(compile, policy, d);
		}
	return r;
}

static int add_all(struct compile *compile, const struct model_policy **sorted)
{
	int r = add_tier(compile, sorted, SST_TIER_ADMIN);

	for (int d = 0; d < SST_DIRECTIONS; d++)
		compile->direction[d].network_first = compile->direction[d].n;
	if (!r)
		r = add_host(compile);
	if (!r)
		r = add_tier(compile, sorted, SST_TIER_NETWORK);
	if (!r)
		r = add_isolations(compile, sorted);
	if (!r)
		r = add_tier(compile, sorted, SST_TIER_BASELINE);
	for (int d = 0; !r && d < SST_DIRECTIONS; d++)
		r = add_default(compile, d);
	return r;
}

/* ---- room ---------------------------------------------------------------------------------------- */

static int reserve_bits(struct compile *compile)
{
	size_t n[SST_DIRECTIONS] = { 1, 2 }; /* built in */
	const size_t room = SST_ROW_BLOCKS * SST_BLOCK_BITS;
	int r = 0;

	for (size_t i = 0; i < compile->model->n_policies; i++) {
		const struct model_policy *policy = &compile->model->policies[i];

		for (size_t j = 0; j < policy->n_rules; j++)
			n[policy->rules[j].direction] += count_bits(compile, &policy->rules[j]);
		for (int d = 0; d < SST_DIRECTIONS; d++)
			n[d] += policy->tier == SST_TIER_NETWORK && policy->isolates[d];
	}
	if (n[SST_EGRESS] > room)
		r = policy_refuse_size(compile, "bits for rules of egress", n[SST_EGRESS], room);
	if (n[SST_INGRESS] > room)
		r = policy_refuse_size(compile, "bits for rules of ingress", n[SST_INGRESS], room);
	for (int d = 0; !r && d < SST_DIRECTIONS; d++) {
		compile->direction[d].bits = calloc(n[d], sizeof(struct bit));
		if (!compile->direction[d].bits)
			r = -ENOMEM;
	}
	return r;
}

int policy_make_rules(struct compile *compile)
{
	size_t n = compile->model->n_policies;
	_cleanup_free_ const struct model_policy **sorted = calloc(n + 1, sizeof(*sorted));
	int r = reserve_bits(compile);

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		sorted[i] = &compile->model->policies[i];
	qsort(sorted, n, sizeof(*sorted), compare_policies);
	if (!r)
		r = add_all(compile, sorted);
	if (!r)
		qsort(compile->infos, compile->n_infos, sizeof(*compile->infos), compare_infos);
	return r;
}
