/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of model_validate(): who is who. */
#include <errno.h>
#include <string.h>

#include "core/address.h"
#include "core/cleanup.h"
#include "core/text.h"
#include "model/validate.h"

/* ---- namespaces ---------------------------------------------------------- */

int check_namespace(struct check *check, const struct model_namespace *namespace)
{
	const char *name = namespace->name;
	const char *label = model_label_value(&namespace->labels, MODEL_NAMESPACE_LABEL);
	struct seen_first first, who = { namespace->place, namespace };
	char at[WHERE_MAX];
	int r = seen_add(&check->seen[SEEN_NAMESPACES], name, strlen(name), who, &first);

	if (r == -EEXIST)
		complain(check, namespace->place, "namespace '%s' is listed twice, first%s", name,
			 check_where(first.place, at));
	if (label && strcmp(label, name))
		complain(check, namespace->place,
			 "namespace '%s' has the label %s '%s', expected its name, or not to list "
			 "that label",
			 name, MODEL_NAMESPACE_LABEL, label);
	return r == -ENOMEM ? r : 0;
}

/* ---- addresses ----------------------------------------------------------- */

struct prefix_key {
	struct sst_addr address;
	uint8_t bits;
} __attribute__((packed));

static int see_prefix(struct check *check, const struct model_cidr *cidr, const void *owner,
		      struct seen_first *ret)
{
	struct prefix_key key = { cidr->address, cidr->bits };

	return seen_add(&check->seen[SEEN_PREFIXES], &key, sizeof(key),
			(struct seen_first){ cidr->place, owner }, ret);
}

/* The node comes first; what it names has no owner. */
int check_node(struct check *check)
{
	const struct model_policy_settings *settings = &check->model->node.policy;
	const char *probes = settings->probes_cgroup;
	char text[ADDRESS_TEXT_MAX], at[WHERE_MAX];
	struct seen_first first;

	if (probes && seen_add(&check->seen[SEEN_CGROUPS], probes, strlen(probes),
			       (struct seen_first){ 0 }, &first))
		return -ENOMEM;

	for (size_t i = 0; i < settings->n_nodes; i++) {
		const struct model_cidr *cidr = &settings->nodes[i];
		int r = see_prefix(check, cidr, NULL, &first);

		if (r == -ENOMEM)
			return r;
		if (r == -EEXIST)
			complain(check, cidr->place, "%s is listed twice among the nodes, first%s",
				 address_prefix_format(&cidr->address, cidr->bits, text),
				 check_where(first.place, at));
	}
	return 0;
}

/* ---- workloads ----------------------------------------------------------- */

static int check_name(struct check *check, const struct model_workload *workload)
{
	_cleanup_text_ struct text key = { 0 };
	struct seen_first first, who = { workload->place, workload };
	char at[WHERE_MAX];
	int r;

	text_add(&key, "%s %s", workload->name_space, workload->name);
	if (key.error)
		return key.error;
	r = seen_add(&check->seen[SEEN_WORKLOAD_NAMES], key.data, key.length, who, &first);
	if (r == -EEXIST)
		complain(check, workload->place,
			 "workload name '%s' is used twice in namespace '%s', first%s",
			 workload->name, workload->name_space, check_where(first.place, at));
	return r == -ENOMEM ? r : 0;
}

/* Two workloads must not claim the same connections. what is "address" or "cgroup". */
static void complain_shared(struct check *check, const struct model_workload *workload,
			    struct place place, struct seen_first first, const char *what,
			    const char *text)
{
	const struct model_workload *other = first.owner;
	char at[WHERE_MAX];

	if (!other)
		complain(check, place,
			 "%s %s of workload '%s' is already named in the node's policy", what, text,
			 workload->name);
	else if (other == workload)
		complain(check, place, "%s %s is listed twice in workload '%s'", what, text,
			 workload->name);
	else
		complain(check, place, "%s %s of workload '%s' is already that of workload '%s'%s",
			 what, text, workload->name, other->name, check_where(other->place, at));
}

static int check_prefix(struct check *check, const struct model_workload *workload,
			const struct model_cidr *cidr)
{
	char text[ADDRESS_TEXT_MAX];
	struct seen_first first;
	int r = see_prefix(check, cidr, workload, &first);

	if (r == -ENOMEM)
		return r;
	if (r == -EEXIST)
		complain_shared(check, workload, cidr->place, first, "address",
				address_prefix_format(&cidr->address, cidr->bits, text));
	else if (cidr->bits == 128 || address_is_multicast(&cidr->address))
		check_reachable(check, "workload address", &cidr->address, cidr->place);
	return 0;
}

/* A thing other than an address that tells a workload; NULL: not told by that. */
static int check_key(struct check *check, const struct model_workload *workload,
		     enum seen_kind kind, const char *what, const char *text)
{
	struct seen_first first, who = { workload->place, workload };
	int r;

	if (!text)
		return 0;
	r = seen_add(&check->seen[kind], text, strlen(text), who, &first);
	if (r == -EEXIST)
		complain_shared(check, workload, workload->place, first, what, text);
	return r == -ENOMEM ? r : 0;
}

static int check_cgroup_id(struct check *check, const struct model_workload *workload)
{
	char text[24];

	if (!workload->cgroup_id)
		return 0;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)workload->cgroup_id);
	return check_key(check, workload, SEEN_CGROUP_IDS, "cgroup-id", text);
}

static void check_told(struct check *check, const struct model_workload *workload)
{
	bool here = workload->cgroup || workload->cgroup_id || workload->netns;

	if (!here && !workload->n_addresses)
		complain(check, workload->place,
			 "workload '%s' has none of 'cgroup', 'cgroup-id', 'netns' and "
			 "'addresses', expected at least one of them",
			 workload->name);
	else if (here && workload->remote)
		complain(check, workload->place,
			 "workload '%s' is on another node, but told by a cgroup or network "
			 "namespace of this one, expected addresses only",
			 workload->name);
}

int check_workload(struct check *check, const struct model_workload *workload)
{
	int r = check_name(check, workload);

	if (!r)
		r = check_key(check, workload, SEEN_CGROUPS, "cgroup", workload->cgroup);
	if (!r)
		r = check_cgroup_id(check, workload);
	if (!r)
		r = check_key(check, workload, SEEN_NETNS, "netns", workload->netns);
	for (size_t i = 0; !r && i < workload->n_addresses; i++)
		r = check_prefix(check, workload, &workload->addresses[i]);
	check_told(check, workload);
	return r;
}
