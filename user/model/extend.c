/* SPDX-License-Identifier: Apache-2.0 */
#include "model/extend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"

/* One more than n: memory for nothing is no error. */
static void *copy(const void *items, size_t n, size_t size)
{
	void *own = calloc(n + 1, size);

	if (own && n)
		memcpy(own, items, n * size);
	return own;
}

int extension_begin(const struct model *base, struct extension *ret)
{
	_cleanup_extension_ struct extension extension = {
		.model = *base,
		.n_services = base->n_services,
		.n_workloads = base->n_workloads,
		.n_namespaces = base->n_namespaces,
		.n_policies = base->n_policies,
	};
	struct model *model = &extension.model;

	model->services = copy(base->services, base->n_services, sizeof(*base->services));
	model->workloads = copy(base->workloads, base->n_workloads, sizeof(*base->workloads));
	model->namespaces = copy(base->namespaces, base->n_namespaces, sizeof(*base->namespaces));
	model->policies = copy(base->policies, base->n_policies, sizeof(*base->policies));
	if (!model->services || !model->workloads || !model->namespaces || !model->policies)
		return -ENOMEM;
	*ret = extension;
	extension = (struct extension){ 0 };
	return 0;
}

static bool is_added(const struct extension *extension, const char *namespace)
{
	const struct model *model = &extension->model;

	for (size_t i = extension->n_namespaces; i < model->n_namespaces; i++)
		if (!strcmp(model->namespaces[i].name, namespace))
			return true;
	return false;
}

/* The files speak of a namespace because they use it, the others know its labels. */
static void drop_borrowed_namespaces(struct extension *extension)
{
	struct model *model = &extension->model;
	size_t i = 0;

	while (i < extension->n_namespaces) {
		if (!is_added(extension, model->namespaces[i].name)) {
			i++;
			continue;
		}
		memmove(&model->namespaces[i], &model->namespaces[i + 1],
			(--model->n_namespaces - i) * sizeof(*model->namespaces));
		extension->n_namespaces--;
	}
}

int extension_finish(struct extension *extension, struct problems *problems)
{
	int r;

	drop_borrowed_namespaces(extension);
	r = model_complete_namespaces(&extension->model);
	return r ? r : model_validate(&extension->model, problems);
}

void extension_release(struct extension *extension)
{
	struct model *model = &extension->model;

	for (size_t i = extension->n_services; i < model->n_services; i++)
		model_service_release(&model->services[i]);
	for (size_t i = extension->n_workloads; i < model->n_workloads; i++)
		model_workload_release(&model->workloads[i]);
	for (size_t i = extension->n_namespaces; i < model->n_namespaces; i++)
		model_namespace_release(&model->namespaces[i]);
	for (size_t i = extension->n_policies; i < model->n_policies; i++)
		model_policy_release(&model->policies[i]);
	free(model->services);
	free(model->workloads);
	free(model->namespaces);
	free(model->policies);
	*extension = (struct extension){ 0 };
}
