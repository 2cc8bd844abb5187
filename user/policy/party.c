/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/party.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/array.h"
#include "core/address.h"
#include "core/cleanup.h"

/* ---- addresses ---------------------------------------------------------------- */

struct sst_addr policy_interval_address(const struct sst_policy_interval *interval)
{
	return (struct sst_addr){ .w = { htonl(interval->high >> 32), htonl(interval->high),
					 htonl(interval->low >> 32), htonl(interval->low) } };
}

const struct sst_policy_interval *policy_interval(const struct policy_set *set, uint32_t index)
{
	return sst_policy_at(&set->memory, policy_head(set)->intervals, index,
			     struct sst_policy_interval);
}

int parties_add(struct parties *parties, const struct party *party)
{
	if (array_reserve((void **)&parties->items, &parties->room, parties->n,
			  sizeof(*parties->items)))
		return -ENOMEM;
	parties->items[parties->n++] = *party;
	return 0;
}

int parties_add_address(const struct policy_set *set, const struct sst_addr *address,
			struct parties *parties)
{
	struct sst_policy_place place = policy_locate(set, address);
	struct party party = { .identity = place.identity,
			       .workload = place.workload,
			       .network = place.network,
			       .has_address = true,
			       .address = *address };

	return parties_add(parties, &party);
}

/* Since item number first. */
static bool has_network(const struct parties *parties, size_t first, uint32_t network)
{
	for (size_t i = first; i < parties->n; i++)
		if (parties->items[i].network == network)
			return true;
	return false;
}

/* Once for each class of the addresses of a workload or, for 0, of an identity; once
 * without an address for those that have none. */
static int add_faces(const struct policy_set *set, uint32_t identity, uint32_t workload,
		     struct parties *parties)
{
	struct party party = { .identity = identity, .workload = workload };
	size_t first = parties->n;

	for (uint32_t i = 0; i < policy_head(set)->n_intervals; i++) {
		const struct sst_policy_interval *interval = policy_interval(set, i);
		bool ours =
			workload ? interval->workload == workload : interval->identity == identity;

		if (!ours || has_network(parties, first, interval->network))
			continue;
		party.network = interval->network;
		party.address = policy_interval_address(interval);
		party.has_address = true;
		if (parties_add(parties, &party))
			return -ENOMEM;
	}
	return parties->n > first ? 0 : parties_add(parties, &party);
}

/* ---- labels ------------------------------------------------------------------- */

/* Whether "app=web,tier=front" has "tier=front". */
static bool has_label(const char *labels, const char *label, size_t length)
{
	while (*labels) {
		size_t n = strcspn(labels, ",");

		if (n == length && !memcmp(labels, label, length))
			return true;
		labels += n + (labels[n] == ',');
	}
	return false;
}

static bool has_labels(const char *labels, const char *wanted)
{
	for (size_t n; *wanted; wanted += n + (wanted[n] == ',')) {
		n = strcspn(wanted, ",");
		if (!has_label(labels, wanted, n))
			return false;
	}
	return true;
}

static int find_labels(const struct policy_set *set, const char *text, struct problems *problems,
		       struct parties *parties)
{
	size_t before = parties->n;
	int err = 0;

	for (uint32_t i = SST_IDENTITY_RESERVED; i < policy_head(set)->n_identities && !err; i++) {
		const struct sst_policy_identity *identity = policy_identity(set, i);

		if (has_labels(policy_text(set, identity->labels), text))
			err = add_faces(set, i, 0, parties);
	}
	if (err || parties->n > before)
		return err;
	problems_add(problems, text, (struct place){}, "no identity has these labels");
	return -ENOENT;
}

/* ---- workloads ------------------------------------------------------------------ */

/* Whether workload number i is called so. */
static bool is_called(const struct policy_set *set, uint32_t i, const char *name)
{
	const struct sst_policy_workload *workload = policy_workload(set, i);
	const struct sst_policy_identity *identity = policy_identity(set, workload->identity);
	const char *name_space = policy_text(set, identity->name_space);
	size_t n = strlen(name_space);

	if (!strcmp(policy_text(set, workload->name), name))
		return true;
	return !strncmp(name, name_space, n) && name[n] == '/' &&
	       !strcmp(policy_text(set, workload->name), name + n + 1);
}

/* How many are called so; *ret is one of them. */
static unsigned count_workloads(const struct policy_set *set, const char *name, uint32_t *ret)
{
	unsigned n = 0;

	for (uint32_t i = 1; i < policy_head(set)->n_workloads; i++)
		if (is_called(set, i, name)) {
			*ret = i;
			n++;
		}
	return n;
}

uint32_t policy_find_workload(const struct policy_set *set, const char *name)
{
	uint32_t workload = 0;

	return count_workloads(set, name, &workload) == 1 ? workload : 0;
}

/* -ENOENT silently: it may be something else. */
static int find_workload(const struct policy_set *set, const char *text, struct problems *problems,
			 struct parties *parties)
{
	uint32_t workload = 0;
	unsigned n = count_workloads(set, text, &workload);

	if (!n)
		return -ENOENT;
	if (n > 1) {
		problems_add(problems, text, (struct place){},
			     "%u workloads are called so, expected NAMESPACE/NAME", n);
		return -EINVAL;
	}
	return add_faces(set, policy_workload(set, workload)->identity, workload, parties);
}

/* "shop/db@10.1.0.7": also one that it shares, as 127.0.0.1. */
static int find_workload_at(const struct policy_set *set, const char *text, const char *at,
			    struct problems *problems, struct parties *parties)
{
	_cleanup_free_ char *name = strndup(text, at - text);
	struct party party = { .has_address = true };

	if (!name)
		return -ENOMEM;
	party.workload = policy_find_workload(set, name);
	if (!party.workload || address_parse(at + 1, &party.address)) {
		problems_add(problems, text, (struct place){}, "expected WORKLOAD@ADDRESS");
		return -EINVAL;
	}
	party.identity = policy_workload(set, party.workload)->identity;
	party.network = policy_locate(set, &party.address).network;
	return parties_add(parties, &party);
}

static int find_reserved(const struct policy_set *set, const char *text, struct parties *parties)
{
	for (uint32_t i = 0; i < SST_IDENTITY_RESERVED; i++)
		if (!strcmp(policy_text(set, policy_identity(set, i)->labels), text))
			return add_faces(set, i, 0, parties);
	return -ENOENT;
}

int parties_find(const struct policy_set *set, const char *text, struct problems *problems,
		 struct parties *parties)
{
	const char *at = strchr(text, '@');
	struct sst_addr address;
	int err;

	if (!address_parse(text, &address))
		return parties_add_address(set, &address, parties);
	if (strchr(text, '='))
		return find_labels(set, text, problems, parties);
	if (at)
		return find_workload_at(set, text, at, problems, parties);
	err = find_workload(set, text, problems, parties);
	if (err == -ENOENT)
		err = find_reserved(set, text, parties);
	return err;
}

void parties_release(struct parties *parties)
{
	free(parties->items);
	memset(parties, 0, sizeof(*parties));
}
