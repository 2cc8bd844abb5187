/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of model_validate(): policies. */
#include <errno.h>
#include <string.h>

#include "core/address.h"
#include "core/text.h"
#include "model/validate.h"
#include "model/words.h"

static int check_name(struct check *check, const struct model_policy *policy)
{
	_cleanup_text_ struct text key = { 0 };
	struct seen_first first, who = { policy->place, policy };
	char at[WHERE_MAX];
	int r;

	text_add(&key, "%d %s %s", policy->tier, policy->name_space, policy->name);
	if (key.error)
		return key.error;
	r = seen_add(&check->seen[SEEN_POLICY_NAMES], key.data, key.length, who, &first);
	if (r == -EEXIST && *policy->name_space)
		complain(check, policy->place,
			 "policy name '%s' is used twice in namespace '%s', first%s", policy->name,
			 policy->name_space, check_where(first.place, at));
	else if (r == -EEXIST)
		complain(check, policy->place,
			 "policy name '%s' is used twice in the %s tier, first%s", policy->name,
			 tier_name(policy->tier), check_where(first.place, at));
	return r == -ENOMEM ? r : 0;
}

static int check_rule_name(struct check *check, const struct model_policy *policy,
			   const struct model_rule *rule, struct seen *names)
{
	struct seen_first first, who = { rule->place, rule };
	char at[WHERE_MAX];
	int r;

	if (!rule->name)
		return 0;
	r = seen_add(names, rule->name, strlen(rule->name), who, &first);
	if (r == -EEXIST)
		complain(check, rule->place,
			 "rule name '%s' is used twice in the %s of policy '%s', first%s",
			 rule->name, direction_name(rule->direction), policy->name,
			 check_where(first.place, at));
	return r == -ENOMEM ? r : 0;
}

static void check_except(struct check *check, const struct model_cidr *network,
			 const struct model_cidr *except)
{
	char inner[ADDRESS_TEXT_MAX], outer[ADDRESS_TEXT_MAX];

	if (except->bits > network->bits && model_cidr_holds(network, &except->address))
		return;
	complain(check, except->place, "found %s as an exception of %s, expected a part of that",
		 address_prefix_format(&except->address, except->bits, inner),
		 address_prefix_format(&network->address, network->bits, outer));
}

static void check_excepts(struct check *check, const struct model_rule *rule)
{
	for (size_t i = 0; i < rule->n_peers; i++)
		for (size_t j = 0; j < rule->peers[i].n_excepts; j++)
			check_except(check, &rule->peers[i].network, &rule->peers[i].excepts[j]);
}

int check_policy(struct check *check, const struct model_policy *policy)
{
	struct seen names[SST_DIRECTIONS] = { 0 };
	int r = check_name(check, policy);

	for (size_t i = 0; !r && i < policy->n_rules; i++) {
		const struct model_rule *rule = &policy->rules[i];

		r = check_rule_name(check, policy, rule, &names[rule->direction]);
		check_excepts(check, rule);
	}
	seen_release(&names[SST_EGRESS]);
	seen_release(&names[SST_INGRESS]);
	return r;
}
