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

static int copy_labels(const struct model_labels *from, struct model_labels *to)
{
	to->items = calloc(from->n + 1, sizeof(*to->items));
	if (!to->items)
		return -ENOMEM;
	for (; to->n < from->n; to->n++) {
		struct model_label *label = &to->items[to->n];

		label->key = strdup(from->items[to->n].key);
		label->value = strdup(from->items[to->n].value);
		if (label->key && label->value)
			continue;
		free(label->key);
		free(label->value);
		return -ENOMEM;
	}
	return 0;
}

static int copy_namespaces(const struct model *base, struct model *model)
{
	int r = 0;

	model->n_namespaces = 0;
	model->namespaces = calloc(base->n_namespaces + 1, sizeof(*model->namespaces));
	if (!model->namespaces)
		return -ENOMEM;
	for (size_t i = 0; !r && i < base->n_namespaces; i++) {
		struct model_namespace *namespace = &model->namespaces[model->n_namespaces++];

		namespace->place = base->namespaces[i].place;
		namespace->name = strdup(base->namespaces[i].name);
		r = namespace->name ? copy_labels(&base->namespaces[i].labels, &namespace->labels)
				    : -ENOMEM;
	}
	return r;
}

int extension_begin(const struct model *base, struct extension *ret)
{
	_cleanup_extension_ struct extension extension = {
		.model = *base,
		.n_services = base->n_services,
		.n_workloads = base->n_workloads,
		.n_policies = base->n_policies,
	};
	struct model *model = &extension.model;
	struct model_policy_settings *settings = &model->node.policy;

	model->services = copy(base->services, base->n_services, sizeof(*base->services));
	model->workloads = copy(base->workloads, base->n_workloads, sizeof(*base->workloads));
	model->policies = copy(base->policies, base->n_policies, sizeof(*base->policies));
	settings->nodes = copy(settings->nodes, settings->n_nodes, sizeof(*settings->nodes));
	if (copy_namespaces(base, model) || !model->services || !model->workloads ||
	    !model->policies || !settings->nodes)
		return -ENOMEM;
	*ret = extension;
	extension = (struct extension){ 0 };
	return 0;
}

int extension_finish(struct extension *extension, struct problems *problems)
{
	int r;

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
	for (size_t i = 0; i < model->n_namespaces; i++)
		model_namespace_release(&model->namespaces[i]);
	for (size_t i = extension->n_policies; i < model->n_policies; i++)
		model_policy_release(&model->policies[i]);
	free(model->services);
	free(model->workloads);
	free(model->namespaces);
	free(model->policies);
	free(model->node.policy.nodes);
	*extension = (struct extension){ 0 };
}
