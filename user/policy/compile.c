/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/compile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/cleanup.h"
#include "policy/internal.h"

/* ---- shared tools ---------------------------------------------------------------- */

int policy_add_text(struct compile *compile, const char *text, uint32_t *ret)
{
	uint32_t offset = compile->text.length;
	int r = dictionary_add(&compile->texts, text, strlen(text), &offset);

	if (!r)
		text_add_bytes(&compile->text, text, strlen(text) + 1);
	if (r == -ENOMEM || compile->text.error)
		return -ENOMEM;
	*ret = offset;
	return 0;
}

int policy_refuse_size(struct compile *compile, const char *what, uint64_t needed, uint64_t room)
{
	problems_add(compile->problems, compile->model->source, (struct place){ 0 },
		     "policies need %llu %s, there is room for %llu", (unsigned long long)needed,
		     what, (unsigned long long)room);
	return -E2BIG;
}

void policy_key_add(struct text *key, const char *string)
{
	text_add_bytes(key, string, strlen(string) + 1);
}

uint32_t policy_claim_id(struct dictionary *ids, const struct text *key, uint32_t *next)
{
	uint32_t id;

	if (dictionary_take(ids, key->data, key->length, &id))
		return id;
	return *next < UINT32_MAX ? (*next)++ : UINT32_MAX;
}

/* ---- the frame --------------------------------------------------------------------- */

static void release_sets(struct sets *sets)
{
	for (size_t i = 0; i < sets->n; i++) {
		free(sets->items[i]->bits);
		free(sets->items[i]->ranges);
		free(sets->items[i]);
	}
	free(sets->items);
	dictionary_release(&sets->numbers);
}

static void release_fields(struct compile *compile)
{
	for (int field = 0; field < SST_FIELDS; field++) {
		free(compile->rows[field].words);
		free(compile->rows[field].hashes);
		free(compile->rows[field].slots);
		free(compile->classes[field]);
	}
	free(compile->address_space.cuts);
	free(compile->port_space.cuts);
}

static void release_indexes(struct compile *compile)
{
	policy_index_release(&compile->namespaces);
	policy_index_release(&compile->labels);
	dictionary_release(&compile->namespace_numbers);
	for (size_t i = 0; compile->residents && i < compile->model->n_namespaces; i++)
		free(compile->residents[i].things);
	free(compile->residents);
}

static void release_compile(struct compile *compile)
{
	dictionary_release(&compile->identity_ids);
	dictionary_release(&compile->workload_ids);
	dictionary_release(&compile->rule_ids);
	dictionary_release(&compile->texts);
	text_release(&compile->text);
	free(compile->identities);
	free(compile->workloads);
	free(compile->workload_of);
	free(compile->named_ports);
	release_indexes(compile);
	free(compile->owners);
	release_sets(&compile->groups);
	release_sets(&compile->networks);
	release_sets(&compile->ports);
	free(compile->infos);
	for (int i = 0; i < SST_DIRECTIONS; i++)
		free(compile->direction[i].bits);
	release_fields(compile);
	free(compile->intervals);
	free(compile->keys);
	free(compile->pages);
}

static int remember_id(struct dictionary *ids, struct text *key, uint32_t id, uint32_t *next)
{
	int r = key->error ?: dictionary_add(ids, key->data, key->length, &id);

	if (*next <= id)
		*next = id < UINT32_MAX ? id + 1 : id;
	text_release(key);
	return r == -EEXIST ? 0 : r;
}

static int remember_identities(struct compile *compile)
{
	const struct policy_set *before = compile->before;
	struct text key = { 0 };
	int r = 0;

	for (uint32_t i = SST_IDENTITY_RESERVED; !r && i < policy_head(before)->n_identities; i++) {
		const struct sst_policy_identity *identity = policy_identity(before, i);

		policy_key_add(&key, policy_text(before, identity->name_space));
		policy_key_add(&key, policy_text(before, identity->labels));
		policy_key_add(&key, policy_text(before, identity->ports));
		r = remember_id(&compile->identity_ids, &key, identity->id, &compile->ids.identity);
	}
	return r;
}

static int remember_workloads(struct compile *compile)
{
	const struct policy_set *before = compile->before;
	struct text key = { 0 };
	int r = 0;

	for (uint32_t i = 1; !r && i < policy_head(before)->n_workloads; i++) {
		const struct sst_policy_workload *workload = policy_workload(before, i);
		const struct sst_policy_identity *identity =
			policy_identity(before, workload->identity);

		policy_key_add(&key, policy_text(before, identity->name_space));
		policy_key_add(&key, policy_text(before, workload->name));
		r = remember_id(&compile->workload_ids, &key, workload->id, &compile->ids.workload);
	}
	return r;
}

static int remember_rules(struct compile *compile)
{
	const struct policy_set *before = compile->before;
	struct text key = { 0 };
	int r = 0;

	for (uint32_t i = 0; !r && i < policy_head(before)->n_infos; i++) {
		const struct sst_policy_info *info = policy_info(before, i);

		policy_rule_key(&key, info, policy_text(before, info->name_space),
				policy_text(before, info->policy), policy_text(before, info->rule));
		r = remember_id(&compile->rule_ids, &key, info->id, &compile->ids.rule);
	}
	return r;
}

static int remember_ids(struct compile *compile)
{
	int r;

	if (compile->ids.identity < SST_IDENTITY_FIRST)
		compile->ids.identity = SST_IDENTITY_FIRST;
	if (!compile->ids.workload)
		compile->ids.workload = 1;
	if (!compile->ids.rule)
		compile->ids.rule = 1;
	if (policy_set_is_empty(compile->before))
		return 0;
	r = remember_identities(compile);
	if (!r)
		r = remember_workloads(compile);
	if (!r)
		r = remember_rules(compile);
	return r;
}

static int begin(struct compile *compile)
{
	uint32_t empty;

	if (!policy_set_is_empty(compile->before))
		compile->seed = policy_head(compile->before)->seed;
	else if (getrandom(&compile->seed, sizeof(compile->seed), 0) != sizeof(compile->seed))
		return -errno;
	return policy_add_text(compile, "", &empty);
}

/* No id is used twice, so that there is an end to them: whoever has come to it stays there. */
static int check_ids(struct compile *compile)
{
	const struct policy_ids *ids = &compile->ids;

	if (ids->identity < UINT32_MAX && ids->workload < UINT32_MAX && ids->rule < UINT32_MAX)
		return 0;
	problems_add(compile->problems, compile->model->source, (struct place){ 0 },
		     "policies have used all ids that there are, expected 'sidestep unload' "
		     "before");
	return -E2BIG;
}

int policy_compile(const struct model *model, const struct policy_host *host,
		   const struct policy_set *before, struct policy_ids *ids,
		   struct problems *problems, struct policy_set *ret)
{
	static int (*const parts[])(struct compile *) = {
		begin,
		remember_ids,
		policy_make_who,
		policy_make_indexes,
		policy_make_owners,
		policy_make_keys,
		policy_make_rules,
		policy_make_rows,
		policy_make_intervals,
		policy_make_ports,
	};
	_cleanup_(release_compile) struct compile compile = {
		.model = model,
		.host = host,
		.before = before,
		.problems = problems,
		.ids = *ids,
	};
	int r = 0;

	if (!model->n_workloads && !model->n_policies) {
		*ret = (struct policy_set){ 0 };
		return 0;
	}
	for (size_t i = 0; !r && i < ARRAY_SIZE(parts); i++)
		r = parts[i](&compile);
	if (!r)
		r = check_ids(&compile);
	if (!r)
		r = policy_lay_out(&compile, ret);
	if (!r)
		*ids = compile.ids;
	return r;
}
