/* SPDX-License-Identifier: Apache-2.0 */
/* What the server takes is not always what a model may have in it. */
#include <errno.h>
#include <string.h>

#include "cluster/store_internal.h"
#include "core/address.h"
#include "core/cleanup.h"
#include "kube/combine.h"
#include "source/yaml.h"

#define LEAVE_OUT(tree, ...)                                                                      \
	({                                                                                        \
		unsigned _before = tree_problems(tree);                                           \
		problems_add((tree)->problems, (tree)->source, (struct place){ 0 }, __VA_ARGS__); \
		tree_forgive(tree, _before);                                                      \
	})

/* Nothing in it is the model's. */
static void validate(struct tree *tree, const struct model *model)
{
	if (model_validate(model, tree->problems) == -ENOMEM)
		tree->no_memory = true;
}

/* ---- services ------------------------------------------------------------------------ */

static bool is_listed(const struct kube_address *list, size_t n, const struct sst_addr *address)
{
	for (size_t i = 0; i < n; i++)
		if (!address_compare(&list[i].address, address))
			return true;
	return false;
}

/* Each address is one thing to the service, and one that nobody can be at is none. */
static void check_external(struct tree *tree, struct kube_service *service)
{
	char text[ADDRESS_TEXT_MAX];
	size_t kept = 0;

	for (size_t i = 0; i < service->n_external; i++) {
		const struct kube_address *item = &service->external[i];
		const char *why = address_unreachable(&item->address);

		if (why)
			LEAVE_OUT(tree, "address %s is %s, expected a unicast address",
				  address_format(&item->address, text), why);
		else if (!is_listed(service->cluster, service->n_cluster, &item->address) &&
			 !is_listed(service->external, kept, &item->address))
			service->external[kept++] = *item;
	}
	service->n_external = kept;
}

static void check_names(struct tree *tree, const struct model_service *made, int n)
{
	for (int i = 0; i < n; i++)
		if (strlen(made[i].name) >= SST_NAME_MAX)
			problems_add(tree->problems, tree->source, (struct place){ 0 },
				     "found '%s', expected at most %d characters", made[i].name,
				     SST_NAME_MAX - 1);
}

void store_check_service(struct tree *tree, struct kube_service *service)
{
	struct model_service made[KUBE_SERVICES_MAX];
	struct model model = { .source = (char *)tree->source, .services = made };
	int n;

	check_external(tree, service);
	n = kube_combine_one(service, NULL, 0, &(struct kube_here){ 0 }, made);
	if (n < 0) {
		tree->no_memory = true;
		return;
	}
	model.n_services = n;
	check_names(tree, made, n);
	validate(tree, &model);
	for (int i = 0; i < n; i++)
		model_service_release(&made[i]);
}

/* One bad endpoint, as whoever writes slices by hand may have it, is not all of them. */
void store_check_slice(struct tree *tree, struct kube_slice *slice)
{
	size_t kept = 0;

	for (size_t i = 0; i < slice->n_endpoints; i++) {
		struct kube_endpoint endpoint = slice->endpoints[i];
		const char *why = address_unreachable(&endpoint.address);
		char text[ADDRESS_TEXT_MAX];

		slice->endpoints[i] = slice->endpoints[kept];
		slice->endpoints[kept] = endpoint;
		kept += !why;
		if (why)
			LEAVE_OUT(tree, "endpoint %s is %s, expected a unicast address",
				  address_format(&endpoint.address, text), why);
	}
	while (slice->n_endpoints > kept)
		kube_endpoint_release(&slice->endpoints[--slice->n_endpoints]);
}

/* ---- who is who ---------------------------------------------------------------------- */

void store_check_pod(struct tree *tree, struct kube_pod *pod)
{
	char text[ADDRESS_TEXT_MAX];
	size_t kept = 0;

	for (size_t i = 0; i < pod->n_addresses; i++) {
		const char *why = address_unreachable(&pod->addresses[i].address);

		if (!why)
			pod->addresses[kept++] = pod->addresses[i];
		else
			LEAVE_OUT(tree, "address %s is %s, expected a unicast address",
				  address_format(&pod->addresses[i].address, text), why);
	}
	pod->n_addresses = kept;
}

void store_check_namespace(struct tree *tree, struct model_namespace *namespace)
{
	const struct model model = { .source = (char *)tree->source,
				     .namespaces = namespace,
				     .n_namespaces = 1 };

	validate(tree, &model);
}

/* Node ports are at its addresses. */
void store_check_node(struct tree *tree, struct kube_node *node)
{
	char text[ADDRESS_TEXT_MAX];
	size_t kept = 0;

	for (size_t i = 0; i < node->n_addresses; i++) {
		const char *why = address_unreachable(&node->addresses[i]);

		if (!why)
			node->addresses[kept++] = node->addresses[i];
		else
			LEAVE_OUT(tree, "address %s is %s, expected a unicast address",
				  address_format(&node->addresses[i], text), why);
	}
	node->n_addresses = kept;
}

void store_check_policy(struct tree *tree, struct model_policy *policy)
{
	const struct model model = { .source = (char *)tree->source,
				     .policies = policy,
				     .n_policies = 1 };

	validate(tree, &model);
}
