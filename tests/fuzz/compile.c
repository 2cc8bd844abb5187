/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a text by way of the model to a policy set: it is sound, the same each time, and
 * knows every workload by all that it is told by.
 */
#include "fuzz.h"

#include "core/address.h"
#include "policy/lint.h"

#define HOST_NETNS   1
#define FIRST_COOKIE 100 /* of the workload that is number 0 in the model */

static void locate_workloads(const struct model *model, struct policy_host *host)
{
	host->netns = HOST_NETNS;
	host->workloads = calloc(model->n_workloads + 1, sizeof(*host->workloads));
	assert(host->workloads);
	for (size_t i = 0; i < model->n_workloads; i++)
		if (model->workloads[i].netns)
			host->workloads[host->n_workloads++] =
				(struct policy_netns){ i, FIRST_COOKIE + i };
}

static void release_host(struct policy_host *host)
{
	free(host->workloads);
}

/* ---- who is who ---------------------------------------------------------------------- */

static void check_name(const struct policy_set *set, uint32_t index,
		       const struct model_workload *expected)
{
	const struct sst_policy_workload *workload = policy_workload(set, index);
	const struct sst_policy_identity *identity = policy_identity(set, workload->identity);

	assert(index);
	assert(!strcmp(policy_text(set, workload->name), expected->name));
	assert(!strcmp(policy_text(set, identity->name_space), expected->name_space));
}

static void check_key(const struct policy_set *set, enum sst_key_kind kind, uint64_t key,
		      const struct model_workload *expected)
{
	check_name(set, sst_policy_find(&set->memory, policy_head(set), kind, key), expected);
}

static bool is_loopback(const struct sst_addr *address)
{
	struct model_cidr v4 = { .bits = 104 }, v6 = { .bits = 128 };

	assert(!address_parse("127.0.0.0", &v4.address) && !address_parse("::1", &v6.address));
	return model_cidr_holds(&v4, address) || model_cidr_holds(&v6, address);
}

/* Who has the longest prefix that holds the address; NULL: several, or somebody else may. */
static const struct model_workload *find_owner(const struct model *model,
					       const struct sst_addr *address)
{
	const struct model_policy_settings *settings = &model->node.policy;
	const struct model_workload *owner = NULL;
	int best = -1;

	for (size_t i = 0; i < model->n_workloads; i++) {
		const struct model_workload *workload = &model->workloads[i];

		for (size_t j = 0; j < workload->n_addresses; j++) {
			const struct model_cidr *cidr = &workload->addresses[j];

			if (cidr->bits > best && model_cidr_holds(cidr, address)) {
				best = cidr->bits;
				owner = workload;
			}
		}
	}
	for (size_t i = 0; i < settings->n_nodes; i++)
		if (settings->nodes[i].bits >= best &&
		    model_cidr_holds(&settings->nodes[i], address))
			return NULL;
	return is_loopback(address) ? NULL : owner;
}

static void check_workload(const struct model *model, const struct policy_set *set, size_t n)
{
	const struct model_workload *workload = &model->workloads[n];
	uint64_t hash;

	if (workload->cgroup) {
		assert(!policy_path_hash(policy_head(set)->seed, workload->cgroup, &hash));
		check_key(set, SST_KEY_CGROUP_PATH, hash, workload);
	}
	if (workload->cgroup_id)
		check_key(set, SST_KEY_CGROUP_ID, workload->cgroup_id, workload);
	if (workload->netns)
		check_key(set, SST_KEY_NETNS, FIRST_COOKIE + n, workload);
	for (size_t i = 0; i < workload->n_addresses; i++) {
		const struct sst_addr *address = &workload->addresses[i].address;
		const struct model_workload *owner = find_owner(model, address);

		if (owner)
			check_name(set, policy_locate(set, address).workload, owner);
	}
}

/* ---- the set ------------------------------------------------------------------------- */

/* Compiled after itself nothing is new: neither an id nor anything else. */
static void check_same(const struct model *model, const struct policy_host *host,
		       const struct policy_set *set, const struct policy_ids *ids)
{
	_cleanup_problems_ struct problems problems = {};
	_cleanup_policy_set_ struct policy_set again = {};
	struct policy_ids after = *ids;

	assert(!policy_compile(model, host, set, &after, &problems, &again));
	assert(policy_sets_are_equal(set, &again));
	assert(!memcmp(&after, ids, sizeof(after)));
}

static void check_adopted(const struct policy_set *set)
{
	_cleanup_policy_set_ struct policy_set copy = adopt(set->memory.base, size_of(set));

	assert(policy_sets_are_equal(set, &copy));
}

#define ONE_IN_SO_MANY 8 /* inputs: it takes four times as long as all else */

static void check_lint(const struct model *model, const struct policy_set *set)
{
	_cleanup_problems_ struct problems warnings = {};

	assert(!policy_lint(model, set, &warnings));
	check_harmless(&warnings);
}

static void check_set(const struct model *model, const struct policy_host *host,
		      const struct policy_set *set, const struct policy_ids *ids)
{
	check_same(model, host, set, ids);
	if (policy_set_is_empty(set))
		return;
	check_adopted(set);
	for (size_t i = 0; i < model->n_workloads; i++)
		check_workload(model, set, i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct policy_set none;
	_cleanup_problems_ struct problems problems = {}, refused = {};
	_cleanup_(release_host) struct policy_host host = {};
	_cleanup_policy_set_ struct policy_set set = {};
	_cleanup_model_ struct model *model = NULL;
	struct dice dice = dice_of(data, size);
	struct policy_ids ids = {};
	int r;

	if (yaml_load_text("fuzz.yaml", (const char *)data, size, NULL, &refused, &model))
		return 0;
	locate_workloads(model, &host);
	r = policy_compile(model, &host, &none, &ids, &problems, &set);
	check_told(r, &problems);
	if (!r) {
		check_set(model, &host, &set, &ids);
		ask_all(&set, &dice);
		if (!throw_below(&dice, ONE_IN_SO_MANY))
			check_lint(model, &set);
	}
	return 0;
}
