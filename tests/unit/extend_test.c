/* SPDX-License-Identifier: Apache-2.0 */
/* A model of a file, and what another source adds to it. The sanitizers watch who owns what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "model/extend.h"
#include "source/yaml.h"

#define UNUSED __attribute__((unused))

static struct model *read_text(const char *text)
{
	_cleanup_problems_ struct problems problems = {};
	struct model *model = NULL;

	assert_int_equal(yaml_load_text("test", text, strlen(text), NULL, &problems, &model), 0);
	return model;
}

static const char file[] =
	"node: { splice: off }\n"
	"services:\n"
	"- { name: web, address: 10.96.0.10, ports: [ { port: 80 } ], endpoints: [ { address: 10.1.0.2 } ] }\n"
	"workloads:\n"
	"- { name: a, namespace: shop, cgroup: /a }\n";

/* As a source does that has copies of its own. */
static void move_services(struct model *from, struct extension *to)
{
	struct model *model = &to->model;

	model->services = reallocarray(model->services, model->n_services + from->n_services,
				       sizeof(*model->services));
	assert_non_null(model->services);
	memcpy(model->services + model->n_services, from->services,
	       from->n_services * sizeof(*from->services));
	model->n_services += from->n_services;
	from->n_services = 0;
}

static void test_namespaces_are_copies(void **state UNUSED)
{
	_cleanup_model_ struct model *base = read_text(file);
	_cleanup_extension_ struct extension extension = {};
	_cleanup_problems_ struct problems problems = {};
	struct model_namespace *own;

	assert_int_equal(extension_begin(base, &extension), 0);
	assert_int_equal(extension.model.n_namespaces, 1);
	own = &extension.model.namespaces[0];
	model_namespace_release(own);
	*own = (struct model_namespace){ .name = strdup("shop") };
	assert_int_equal(extension_finish(&extension, &problems), 0);
	assert_int_equal(extension.model.n_namespaces, 1);
	assert_string_equal(model_label_value(&own->labels, MODEL_NAMESPACE_LABEL), "shop");
	assert_string_equal(base->namespaces[0].name, "shop");
}

static void test_base_is_as_it_was(void **state UNUSED)
{
	_cleanup_model_ struct model *base = read_text(file);
	_cleanup_model_ struct model *more = read_text(
		"services: [ { name: db, address: 10.96.0.11, ports: [ { port: 5432 } ], endpoints: [ { address: 10.1.0.2 } ] } ]\n");
	_cleanup_problems_ struct problems problems = {};

	for (int i = 0; i < 2; i++) {
		_cleanup_extension_ struct extension extension = {};

		assert_int_equal(extension_begin(base, &extension), 0);
		move_services(more, &extension);
		assert_int_equal(extension_finish(&extension, &problems), 0);
		assert_int_equal(extension.model.n_services, 2 - i);
		assert_int_equal(extension.model.node.splice, SST_SPLICE_OFF);
		assert_int_equal(extension.model.n_workloads, 1);
	}
	assert_int_equal(base->n_services, 1);
	assert_int_equal(base->n_namespaces, 1);
}

static void test_whole_is_validated(void **state UNUSED)
{
	_cleanup_model_ struct model *base = read_text(file);
	_cleanup_model_ struct model *more = read_text(
		"services: [ { name: other, address: 10.96.0.10, ports: [ { port: 80 } ], endpoints: [ { address: 10.1.0.2 } ] } ]\n");
	_cleanup_extension_ struct extension extension = {};
	_cleanup_problems_ struct problems problems = {};

	assert_int_equal(extension_begin(base, &extension), 0);
	move_services(more, &extension);
	assert_int_equal(extension_finish(&extension, &problems), -EINVAL);
	assert_true(problems.count > 0);
}

static void test_nothing_to_begin_with(void **state UNUSED)
{
	_cleanup_model_ struct model *base = read_text("node: {}\n");
	_cleanup_extension_ struct extension extension = {};
	_cleanup_problems_ struct problems problems = {};

	assert_int_equal(extension_begin(base, &extension), 0);
	assert_int_equal(extension_finish(&extension, &problems), 0);
	assert_int_equal(extension.model.n_services, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_base_is_as_it_was),
		cmocka_unit_test(test_namespaces_are_copies),
		cmocka_unit_test(test_whole_is_validated),
		cmocka_unit_test(test_nothing_to_begin_with),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
