/* SPDX-License-Identifier: Apache-2.0 */
/* Every namespace that a model speaks of is there, and has the label of its name. */
#include <errno.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/seen.h"
#include "model/model.h"

static int add_label(struct model_namespace *namespace)
{
	struct model_labels *labels = &namespace->labels;
	struct model_label label, *grown;

	if (model_label_value(labels, MODEL_NAMESPACE_LABEL))
		return 0;
	grown = reallocarray(labels->items, labels->n + 1, sizeof(*labels->items));
	if (!grown)
		return -ENOMEM;
	labels->items = grown;
	label = (struct model_label){ strdup(MODEL_NAMESPACE_LABEL), strdup(namespace->name) };
	labels->items[labels->n++] = label;
	return label.key && label.value ? 0 : -ENOMEM;
}

static int add_namespace(struct model *model, const char *name)
{
	struct model_namespace *grown =
		reallocarray(model->namespaces, model->n_namespaces + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	model->namespaces = grown;
	grown[model->n_namespaces] = (struct model_namespace){ .name = strdup(name) };
	if (!grown[model->n_namespaces].name)
		return -ENOMEM;
	model->n_namespaces++;
	return 0;
}

static int add_missing(struct model *model, struct seen *seen, const char *name)
{
	struct seen_first first;
	int r = seen_add(seen, name, strlen(name), (struct seen_first){ 0 }, &first);

	if (r == -EEXIST)
		return 0;
	return r ? r : add_namespace(model, name);
}

int model_complete_namespaces(struct model *model)
{
	_cleanup_seen_ struct seen seen = { 0 };
	struct seen_first first;
	int r = 0;

	for (size_t i = 0; r != -ENOMEM && i < model->n_namespaces; i++)
		r = seen_add(&seen, model->namespaces[i].name, strlen(model->namespaces[i].name),
			     (struct seen_first){ 0 }, &first);
	if (r == -EEXIST) /* a rule of model_validate() */
		r = 0;
	for (size_t i = 0; !r && i < model->n_workloads; i++)
		r = add_missing(model, &seen, model->workloads[i].name_space);
	for (size_t i = 0; !r && i < model->n_policies; i++)
		if (*model->policies[i].name_space)
			r = add_missing(model, &seen, model->policies[i].name_space);
	for (size_t i = 0; !r && i < model->n_namespaces; i++)
		r = add_label(&model->namespaces[i]);
	return r;
}
