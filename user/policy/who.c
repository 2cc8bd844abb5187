/* SPDX-License-Identifier: Apache-2.0 */
/* Workloads and their identities, both sorted by id: an index is a place there. */
#include "policy/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/address.h"
#include "core/cleanup.h"

/* ---- identities ------------------------------------------------------------------ */

static int compare_ports(const void *a, const void *b)
{
	const struct model_named_port *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	if (order)
		return order;
	if (x->protocol != y->protocol)
		return x->protocol < y->protocol ? -1 : 1;
	return x->port < y->port ? -1 : x->port > y->port;
}

static int describe_ports(const struct model_workload *workload, struct text *out)
{
	_cleanup_free_ struct model_named_port *sorted =
		calloc(workload->n_ports + 1, sizeof(*sorted));

	if (!sorted)
		return -ENOMEM;
	if (workload->n_ports)
		memcpy(sorted, workload->ports, workload->n_ports * sizeof(*sorted));
	qsort(sorted, workload->n_ports, sizeof(*sorted), compare_ports);
	for (size_t i = 0; i < workload->n_ports; i++)
		text_add(out, "%s%s=%u/%s", i ? "," : "", sorted[i].name, sorted[i].port,
			 protocol_name(sorted[i].protocol));
	return out->error;
}

static int fill_identity(struct compile *compile, const char *name_space, const char *labels,
			 const char *ports, struct sst_policy_identity *ret)
{
	int r = policy_add_text(compile, name_space, &ret->name_space);

	if (!r)
		r = policy_add_text(compile, labels, &ret->labels);
	if (!r)
		r = policy_add_text(compile, ports, &ret->ports);
	return r;
}

static int add_reserved(struct compile *compile)
{
	static const char *const names[] = {
		[SST_IDENTITY_UNKNOWN] = "unknown", [SST_IDENTITY_WORLD] = "world",
		[SST_IDENTITY_HOST] = "host",       [SST_IDENTITY_NODES] = "nodes",
		[SST_IDENTITY_PROBES] = "probes",
	};
	int r = 0;

	for (uint32_t i = 0; !r && i < SST_IDENTITY_RESERVED; i++) {
		struct identity *identity = &compile->identities[compile->n_identities++];

		identity->number = i;
		identity->value.id = i;
		r = fill_identity(compile, "", names[i], "", &identity->value);
	}
	return r;
}

/* The identity of a workload: one that was met before, or a new one. */
static int meet_identity(struct compile *compile, const struct model_workload *workload,
			 struct dictionary *met, uint32_t *ret)
{
	_cleanup_text_ struct text labels = { 0 }, ports = { 0 }, key = { 0 };
	struct identity *identity = &compile->identities[compile->n_identities];
	int r;

	policy_describe_labels(&workload->labels, &labels);
	r = labels.error ?: describe_ports(workload, &ports);
	if (r)
		return r;
	policy_key_add(&key, workload->name_space);
	policy_key_add(&key, text_string(&labels));
	policy_key_add(&key, text_string(&ports));
	*ret = compile->n_identities;
	r = key.error ?: dictionary_add(met, key.data, key.length, ret);
	if (r)
		return r == -EEXIST ? 0 : r;
	identity->example = workload;
	identity->number = compile->n_identities++;
	identity->value.id = policy_claim_id(&compile->identity_ids, &key, &compile->ids.identity);
	return fill_identity(compile, workload->name_space, text_string(&labels),
			     text_string(&ports), &identity->value);
}

/* ---- workloads --------------------------------------------------------------------- */

static int fill_workload(struct compile *compile, const char *name_space, const char *name,
			 const char *how, struct sst_policy_workload *ret)
{
	_cleanup_text_ struct text key = { 0 };
	int r = policy_add_text(compile, name, &ret->name);

	if (!r)
		r = policy_add_text(compile, how, &ret->how);
	policy_key_add(&key, name_space);
	policy_key_add(&key, name);
	if (!r)
		r = key.error;
	if (!r)
		ret->id = policy_claim_id(&compile->workload_ids, &key, &compile->ids.workload);
	return r;
}

static int add_workload(struct compile *compile, const struct model_workload *model,
			struct dictionary *met)
{
	struct workload *workload = &compile->workloads[compile->n_workloads++];
	_cleanup_text_ struct text how = { 0 };
	int r = meet_identity(compile, model, met, &workload->value.identity);

	policy_describe_how(model, &how);
	if (!r)
		r = how.error;
	workload->model = model;
	workload->value.flags = model->remote ? 0 : SST_WORKLOAD_LOCAL;
	return r
		       ?: fill_workload(compile, model->name_space, model->name, text_string(&how),
					&workload->value);
}

static int add_probes(struct compile *compile)
{
	const char *cgroup = compile->model->node.policy.probes_cgroup;
	_cleanup_text_ struct text how = { 0 };
	struct workload *workload;

	if (!cgroup)
		return 0;
	text_add(&how, "cgroup %s", cgroup);
	if (how.error)
		return how.error;
	workload = &compile->workloads[compile->n_workloads++];
	workload->value.identity = SST_IDENTITY_PROBES;
	workload->value.flags = SST_WORKLOAD_LOCAL;
	return fill_workload(compile, "", "probes", how.data, &workload->value);
}

/* ---- order --------------------------------------------------------------------------- */

static int compare_identities(const void *a, const void *b)
{
	const struct identity *x = a, *y = b;

	return x->value.id < y->value.id ? -1 : x->value.id > y->value.id;
}

static int compare_workloads(const void *a, const void *b)
{
	const struct workload *x = a, *y = b;

	return x->value.id < y->value.id ? -1 : x->value.id > y->value.id;
}

static int sort_all(struct compile *compile)
{
	_cleanup_free_ uint32_t *index = calloc(compile->n_identities, sizeof(*index));

	if (!index)
		return -ENOMEM;
	qsort(compile->identities, compile->n_identities, sizeof(*compile->identities),
	      compare_identities);
	for (size_t i = 0; i < compile->n_identities; i++)
		index[compile->identities[i].number] = i;
	qsort(compile->workloads, compile->n_workloads, sizeof(*compile->workloads),
	      compare_workloads);
	for (size_t i = 1; i < compile->n_workloads; i++) {
		struct workload *workload = &compile->workloads[i];

		workload->value.identity = index[workload->value.identity];
		compile->identities[workload->value.identity].value.n_workloads++;
		if (workload->model)
			compile->workload_of[workload->model - compile->model->workloads] = i;
	}
	return 0;
}

/* ---- named ports ----------------------------------------------------------------------- */

static int compare_named(const void *a, const void *b)
{
	const struct named_port *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	if (order)
		return order;
	if (x->protocol != y->protocol)
		return x->protocol < y->protocol ? -1 : 1;
	if (x->port != y->port)
		return x->port < y->port ? -1 : 1;
	return x->identity < y->identity ? -1 : x->identity > y->identity;
}

static bool is_same_port(const struct named_port *a, const struct named_port *b)
{
	return !strcmp(a->name, b->name) && a->protocol == b->protocol && a->port == b->port;
}

static void count_givers(struct compile *compile)
{
	for (size_t i = compile->n_named_ports; i-- > 0;) {
		struct named_port *port = &compile->named_ports[i];

		port->n_givers = 1;
		if (i + 1 < compile->n_named_ports && is_same_port(port, port + 1))
			port->n_givers += (port + 1)->n_givers;
	}
}

static void list_named_ports(struct compile *compile)
{
	for (size_t i = SST_IDENTITY_RESERVED; i < compile->n_identities; i++) {
		const struct model_workload *example = compile->identities[i].example;

		for (size_t j = 0; j < example->n_ports; j++)
			compile->named_ports[compile->n_named_ports++] = (struct named_port){
				.name = example->ports[j].name,
				.protocol = example->ports[j].protocol,
				.port = example->ports[j].port,
				.identity = i,
			};
	}
	qsort(compile->named_ports, compile->n_named_ports, sizeof(*compile->named_ports),
	      compare_named);
	count_givers(compile);
}

/* ---- all of it --------------------------------------------------------------------------- */

static int reserve_all(struct compile *compile)
{
	const struct model *model = compile->model;
	size_t n = model->n_workloads, n_ports = 0;

	for (size_t i = 0; i < n; i++)
		n_ports += model->workloads[i].n_ports;
	compile->identities = calloc(n + SST_IDENTITY_RESERVED + 1, sizeof(*compile->identities));
	compile->workloads = calloc(n + 2, sizeof(*compile->workloads)); /* nobody, probes */
	compile->workload_of = calloc(n + 1, sizeof(*compile->workload_of));
	compile->named_ports = calloc(n_ports + 1, sizeof(*compile->named_ports));
	compile->n_workloads = 1;
	if (!compile->identities || !compile->workloads || !compile->workload_of ||
	    !compile->named_ports)
		return -ENOMEM;
	return 0;
}

int policy_make_who(struct compile *compile)
{
	_cleanup_dictionary_ struct dictionary met = { 0 };
	int r = reserve_all(compile);

	if (!r)
		r = add_reserved(compile);
	for (size_t i = 0; !r && i < compile->model->n_workloads; i++)
		r = add_workload(compile, &compile->model->workloads[i], &met);
	if (!r)
		r = add_probes(compile);
	if (!r)
		r = sort_all(compile);
	if (!r)
		list_named_ports(compile);
	return r;
}
